//! "Did you mean": the nearest of the names that exist.

/// The candidate nearest to `word`, when it is near enough to be a slip of the fingers.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let allowed = match word.chars().count() {
        0..=2 => 1,
        3..=5 => 2,
        _ => 3,
    };
    candidates
        .into_iter()
        .map(|candidate| {
            let other = candidate.to_lowercase();
            let begins = lower.chars().count() >= 3 && other.starts_with(&lower);
            let distance = match strsim::osa_distance(&lower, &other) {
                0 => 0,
                _ if begins => 1,
                distance => distance,
            };
            (distance, candidate)
        })
        .filter(|(distance, candidate)| *distance <= allowed && *distance < candidate.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn slips_are_near_and_other_words_are_not() {
        assert_eq!(nearest("statsu", ["status", "trials"]), Some("status"));
        assert_eq!(nearest("loguniforn", ["uniform", "loguniform"]), Some("loguniform"));
        assert_eq!(nearest("MNIST", ["mnist", "train"]), Some("mnist"));
        assert_eq!(nearest("expo", ["explain", "export"]), Some("export"));
        assert_eq!(nearest("BOX2", ["box1", "box2"]), Some("box2"));
        assert_eq!(nearest("bananas", ["status", "trials"]), None);
        assert_eq!(nearest("x", ["y"]), None);
    }
}
