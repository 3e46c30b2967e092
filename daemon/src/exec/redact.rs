//! Takes secret values out of a stream of bytes, also where a value is cut by a chunk's border.
//!
//! Owns: the search. Must not: know where secrets come from. It finds values as they are, not encoded, reversed or
//! broken over lines: see `docs/running.md`.

/// Shorter values are left alone: replacing every `12` would only ruin the log.
pub const SHORTEST: usize = 4;

const MASK: &[u8] = b"[redacted]";

/// Redacts one stream.
#[derive(Debug, Clone)]
pub struct Redactor {
    secrets: Vec<Vec<u8>>,
    held: Vec<u8>,
}

impl Redactor {
    /// Redacts these values.
    pub fn new<S: AsRef<str>>(values: impl IntoIterator<Item = S>) -> Self {
        let mut secrets: Vec<Vec<u8>> = values
            .into_iter()
            .map(|value| value.as_ref().as_bytes().to_vec())
            .filter(|value| value.len() >= SHORTEST)
            .collect();
        // the longest first, so that a secret that holds another one is taken out whole
        secrets.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        secrets.dedup();
        Self { secrets, held: Vec::new() }
    }

    /// Takes a chunk and answers what may be shown by now; at most a secret's length is held back.
    pub fn push(&mut self, chunk: &[u8]) -> Vec<u8> {
        if self.secrets.is_empty() {
            return chunk.to_vec();
        }
        self.held.extend_from_slice(chunk);
        let mut out = Vec::with_capacity(self.held.len());
        let mut at = 0;
        while at < self.held.len() {
            let rest = &self.held[at..];
            // A longer secret may be under way here: wait for it, even where a shorter one is already complete.
            if self.secrets.iter().any(|secret| secret.len() > rest.len() && secret.starts_with(rest)) {
                break;
            }
            if let Some(secret) = self.secrets.iter().find(|secret| rest.starts_with(secret)) {
                out.extend_from_slice(MASK);
                at += secret.len();
            } else {
                out.push(rest[0]);
                at += 1;
            }
        }
        self.held.drain(..at);
        out
    }

    /// A text that is no part of the stream.
    pub fn whole(&self, text: &str) -> String {
        let mut alone = Self { secrets: self.secrets.clone(), held: Vec::new() };
        let mut out = alone.push(text.as_bytes());
        out.extend(alone.finish());
        String::from_utf8_lossy(&out).into_owned()
    }

    /// The stream has ended: what was held back.
    pub fn finish(&mut self) -> Vec<u8> {
        let rest = std::mem::take(&mut self.held);
        let mut out = Vec::new();
        let mut at = 0;
        while at < rest.len() {
            if let Some(secret) = self.secrets.iter().find(|secret| rest[at..].starts_with(secret)) {
                out.extend_from_slice(MASK);
                at += secret.len();
            } else {
                out.push(rest[at]);
                at += 1;
            }
        }
        out
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn chunked(secrets: &[&str], text: &str, size: usize) -> String {
        let mut redactor = Redactor::new(secrets);
        let mut out = Vec::new();
        for chunk in text.as_bytes().chunks(size) {
            out.extend(redactor.push(chunk));
        }
        out.extend(redactor.finish());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_are_found_whatever_the_chunks() {
        let text = "key=hunter22 hunter2 aahunter22a hunter";
        for size in 1..text.len() + 1 {
            assert_eq!(chunked(&["hunter22"], text, size), "key=[redacted] hunter2 aa[redacted]a hunter", "{size}");
        }
    }

    #[test]
    fn of_overlapping_values_the_longest_is_taken() {
        for size in 1..20 {
            assert_eq!(chunked(&["abcd", "abcdefgh"], "abcdefgh abcdef", size), "[redacted] [redacted]ef", "{size}");
        }
    }

    #[test]
    fn ordinary_output_is_not_held_back() {
        let mut redactor = Redactor::new(["hunter22"]);
        assert_eq!(redactor.push(b"epoch 1\n"), b"epoch 1\n");
        assert_eq!(redactor.push(b"epoch h"), b"epoch ");
        assert_eq!(redactor.push(b"i\n"), b"hi\n");
    }

    #[test]
    fn very_short_values_are_left_alone() {
        assert_eq!(chunked(&["12", ""], "1212", 1), "1212");
    }
}
