//! The scripts that EVAL has run or SCRIPT LOAD has loaded, by their digests.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use sha1::{Digest as _, Sha1};

use super::habit::Habit;
use super::interpreter::may_set_collector;
use super::shebang::{self, ScriptFlags};
use crate::dialect::Dialect;
use crate::limits::{SCRIPTS_BYTES_MAX, SCRIPTS_MAX};

/// The digest that identifies a script: the SHA-1 of its text, as forty lowercase hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Digest([u8; 40]);

impl Digest {
    /// Returns the digest of a text.
    pub(super) fn of(text: &[u8]) -> Self {
        let sum: [u8; 20] = Sha1::digest(text).into();
        let mut digits = [0; 40];
        for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(sum) {
            *pair = [byte >> 4, byte & 0xF].map(digit);
        }
        Self(digits)
    }

    /// Parses forty digits, in upper or lower case. Other characters are not rejected, but then the digest matches no text.
    pub(super) fn parse(digits: &[u8]) -> Option<Self> {
        let mut digits: [u8; 40] = digits.try_into().ok()?;
        digits.make_ascii_lowercase();
        Some(Self(digits))
    }

    /// Returns the digits as a string.
    pub(super) fn digits(&self) -> String {
        self.0.iter().copied().map(char::from).collect()
    }
}

const fn digit(value: u8) -> u8 {
    match value {
        0..10 => b'0' + value,
        _ => b'a' + value - 10,
    }
}

/// A script.
#[derive(Debug)]
pub(super) struct Text {
    /// The whole text.
    pub(super) code: Bytes,
    /// The flags in its first line; `None` if it has no such line.
    pub(super) flags: Option<ScriptFlags>,
    /// The index where the Lua code starts.
    pub(super) start: usize,
    /// Whether it may change the settings of the garbage collector.
    pub(super) sets_collector: bool,
    /// How much it held lately.
    pub(super) habit: Habit,
}

impl Text {
    /// Creates the entry for a script that has not run yet.
    ///
    /// # Errors
    /// The server's error message for a first line that it does not understand.
    pub(super) fn new(code: &[u8], dialect: Dialect) -> Result<Self, Vec<u8>> {
        let (flags, start) = shebang::read(code, dialect)?;
        Ok(Self {
            code: Bytes::copy_from_slice(code),
            flags,
            start,
            sets_collector: may_set_collector(code),
            habit: Habit::default(),
        })
    }
}

/// Texts by digest. When there are too many, the oldest are forgotten first. DIFFERENCE: servers before Redis 7.4 forget none,
/// and later ones never forget a script that was loaded on purpose. A client that gets NOSCRIPT loads the script again.
#[derive(Debug, Default)]
pub(super) struct Texts {
    by_digest: HashMap<Digest, Arc<Text>, ahash::RandomState>,
    oldest: VecDeque<Digest>,
    bytes: usize,
    /// Changes whenever a text is forgotten.
    number: u64,
}

impl Texts {
    /// Returns the text with this digest.
    pub(super) fn get(&self, digest: &Digest) -> Option<&Arc<Text>> {
        self.by_digest.get(digest)
    }

    /// Adds a text, and forgets the oldest ones if there are too many.
    pub(super) fn insert(&mut self, digest: Digest, text: Arc<Text>) {
        let bytes = text.code.len();
        if self.by_digest.insert(digest, text).is_some() {
            return;
        }
        self.bytes += bytes;
        self.oldest.push_back(digest);
        while self.oldest.len() > SCRIPTS_MAX || self.bytes > SCRIPTS_BYTES_MAX {
            let Some(oldest) = self.oldest.pop_front() else {
                return;
            };
            self.number += 1;
            let gone = self.by_digest.remove(&oldest);
            self.bytes -= gone.map_or(0, |text| text.code.len());
        }
    }

    /// Forgets all texts.
    pub(super) fn clear(&mut self) {
        *self = Self {
            number: self.number + 1,
            ..Self::default()
        };
    }

    /// Returns how many texts there are, and their bytes.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.by_digest.len(), self.bytes)
    }

    /// Returns a number that changes whenever a text is forgotten.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_read_from_its_digits_in_any_letters() {
        let digest = Digest::of(b"return 1");
        let digits = digest.digits();
        assert_eq!(digits, "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
        assert_eq!(
            Digest::parse(digits.to_uppercase().as_bytes()),
            Some(digest)
        );
        for wrong in [&digits[1..], &format!("{digits}0")] {
            assert_eq!(Digest::parse(wrong.as_bytes()), None, "{wrong}");
        }
        let other = format!("g{}", &digits[1..]);
        assert_ne!(Digest::parse(other.as_bytes()), Some(digest));
    }
}
