//! The code that a person carries from one machine to another.
//!
//! Owns: how it is drawn, written and read, and the key that it stands for. Must not: show it unasked.

use std::str::FromStr;

use anyhow::Result;

use crate::data_dir::random;

/// Crockford's base 32: no I, L, O or U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// 5 bits each: 60 together.
const SYMBOLS: usize = 12;

/// 60 random bits. It has no `Debug` or `Display`, so that it gets into no log.
#[derive(Clone, PartialEq, Eq)]
pub struct Code([u8; SYMBOLS]);

impl Code {
    /// A new one.
    ///
    /// # Errors
    /// The operating system gives no random bytes.
    pub fn draw() -> Result<Self> {
        Ok(Self(random::<SYMBOLS>()?.map(|byte| ALPHABET[usize::from(byte % 32)])))
    }

    /// As people type it: `XXXX-XXXX-XXXX`.
    pub fn reveal(&self) -> String {
        let groups: Vec<_> = self.0.chunks(4).map(String::from_utf8_lossy).collect();
        groups.join("-")
    }

    /// What both sides prove that they know.
    pub(super) fn key(&self) -> [u8; 32] {
        blake3::derive_key("metaopt pairing v1", &self.0)
    }
}

/// What was typed is no code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("that is no invitation code: it has 12 letters and digits, as in XXXX-XXXX-XXXX; `metaopt invite` prints one")]
pub struct NoCode;

impl FromStr for Code {
    type Err = NoCode;

    /// Letters of any case; O counts as 0, I and L as 1; dashes and spaces don't count.
    fn from_str(text: &str) -> Result<Self, NoCode> {
        let mut symbols = [0; SYMBOLS];
        let mut count = 0;
        for letter in text.bytes().filter(|byte| !matches!(byte, b'-' | b' ' | b'\t' | b'\r' | b'\n')) {
            let letter = match letter.to_ascii_uppercase() {
                b'O' => b'0',
                b'I' | b'L' => b'1',
                other => other,
            };
            if !ALPHABET.contains(&letter) {
                return Err(NoCode);
            }
            *symbols.get_mut(count).ok_or(NoCode)? = letter;
            count += 1;
        }
        if count == SYMBOLS { Ok(Self(symbols)) } else { Err(NoCode) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_however_it_is_typed() {
        let code: Code = "0123-45ab-CDEF".parse().unwrap();
        assert_eq!(code.reveal(), "0123-45AB-CDEF");
        for typed in ["o123 45ab cdef", "OI2345ABCDEF", "  0l23-45-AB-cdef\n"] {
            assert!(typed.parse::<Code>().unwrap() == code, "{typed}");
        }
        for typed in ["", "0123-45AB-CDE", "0123-45AB-CDEF-0", "U123-45AB-CDEF", "0123-45AB-CDÉF"] {
            assert!(typed.parse::<Code>().is_err(), "{typed}");
        }
        let drawn = Code::draw().unwrap();
        assert!(drawn.reveal().parse::<Code>().unwrap() == drawn && drawn != Code::draw().unwrap());
    }
}
