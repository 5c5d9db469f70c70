//! Hashes of passwords. The passwords themselves are not kept.

use std::hint::black_box;

use sha2::{Digest as _, Sha256};

use super::rule::RuleError;

/// The SHA-256 of a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hash([u8; 32]);

impl Hash {
    /// Hashes a password.
    pub(crate) fn of(password: &[u8]) -> Self {
        Self(Sha256::digest(password).into())
    }

    /// Parses 64 lower-case hexadecimal digits.
    pub(super) fn parse(text: &[u8]) -> Result<Self, RuleError> {
        let mut hash = [0; 32];
        if text.len() != 64 {
            return Err(RuleError::Hash);
        }
        for (byte, digits) in hash.iter_mut().zip(text.chunks_exact(2)) {
            for digit in digits {
                let value = match digit {
                    b'0'..=b'9' => digit - b'0',
                    b'a'..=b'f' => digit - b'a' + 10,
                    _ => return Err(RuleError::Hash),
                };
                *byte = *byte << 4 | value;
            }
        }
        Ok(Self(hash))
    }

    /// Compares two hashes in a time that does not depend on where they differ.
    pub(super) fn is(&self, other: &Self) -> bool {
        let pairs = self.0.iter().zip(&other.0);
        black_box(pairs.fold(0, |different, (a, b)| different | (a ^ b))) == 0
    }

    /// Returns the 64 digits.
    pub(crate) fn text(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::with_capacity(64);
        for byte in self.0 {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_that_of_servers() {
        let hash = Hash::of(b"");
        let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(hash.text(), text);
        assert_eq!(Hash::parse(text.as_bytes()), Ok(hash));
        assert!(hash.is(&hash) && !hash.is(&Hash::of(b"a")));
        for wrong in [
            "",
            "E3b0",
            &text[1..],
            &text.to_uppercase(),
            &text.replace('e', "g"),
        ] {
            assert_eq!(
                Hash::parse(wrong.as_bytes()),
                Err(RuleError::Hash),
                "{wrong}"
            );
        }
    }
}
