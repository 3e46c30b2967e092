//! Keys: fields joined by `/`, each escaped so that opaque IDs cannot be mistaken for structure.
//!
//! Owns: the escaping and canonical numbers. Must not: know what a key means.

use std::borrow::Cow;

/// `text` as one field of a key: `%` and `/` are written `%25` and `%2f`.
pub(super) fn field(text: &str) -> Cow<'_, str> {
    if text.contains(['%', '/']) { text.replace('%', "%25").replace('/', "%2f").into() } else { text.into() }
}

/// The text that [`field`] wrote; `None` when it didn't.
pub(super) fn text(field: &str) -> Option<Cow<'_, str>> {
    let mut parts = field.split('%');
    let first = parts.next()?;
    let mut plain = Cow::Borrowed(first);
    for part in parts {
        let (mark, rest) = part.split_at_checked(2)?;
        plain.to_mut().push(match mark {
            "25" => '%',
            "2f" => '/',
            _ => return None,
        });
        plain.to_mut().push_str(rest);
    }
    Some(plain)
}

/// A number as keys spell it: decimal digits without sign or leading zeros, so that one number has one key.
pub(super) fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    let canonical = text == "0" || (!text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit()));
    if canonical { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_is_one_field_and_comes_back() {
        for plain in ["", "node", "a/b", "%", "%2f", "100%/", "ü/é", "//"] {
            let spelt = field(plain);
            assert!(!spelt.contains('/'));
            assert_eq!(text(&spelt).as_deref(), Some(plain));
        }
        for foreign in ["%", "%2", "%2F", "a%zz"] {
            assert_eq!(text(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn a_number_has_one_spelling() {
        assert_eq!(number::<u64>("0"), Some(0));
        assert_eq!(number::<u64>("18446744073709551615"), Some(u64::MAX));
        for other in ["", "00", "01", "+1", "-1", " 1", "1e3", "18446744073709551616"] {
            assert_eq!(number::<u64>(other), None, "{other}");
        }
    }
}
