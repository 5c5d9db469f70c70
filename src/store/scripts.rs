//! Scripts that the upstream has sent, by the digests it may call them by. Its stream depends on them as it does on the
//! keys. They are kept as text; this module does not run them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::limits::UPSTREAM_SCRIPTS_BYTES_MAX;

/// Bytes that a script costs beyond its text.
const OVERHEAD_BYTES: usize = 256;

/// All scripts of a generation. When they take too many bytes, the oldest is forgotten: a call of it is then a call of an
/// unknown script.
#[derive(Debug, Default)]
pub struct Scripts(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    by_digest: HashMap<Box<[u8]>, Bytes, ahash::RandomState>,
    /// The same, with their digests, oldest first.
    oldest: VecDeque<(Box<[u8]>, Bytes)>,
    bytes: usize,
}

impl Scripts {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a script under the forty hex digits of its digest, in lower case.
    pub(super) fn keep(&self, digits: &str, code: &[u8]) {
        let mut kept = self.kept();
        let digits = digits.as_bytes();
        if kept.by_digest.contains_key(digits) {
            return;
        }
        let code = Bytes::copy_from_slice(code);
        kept.bytes += code.len() + OVERHEAD_BYTES;
        kept.oldest.push_back((digits.into(), code.clone()));
        kept.by_digest.insert(digits.into(), code);
        while kept.bytes > UPSTREAM_SCRIPTS_BYTES_MAX
            && let Some((oldest, code)) = kept.oldest.pop_front()
        {
            kept.by_digest.remove(&oldest);
            kept.bytes -= code.len() + OVERHEAD_BYTES;
        }
    }

    /// The text of a script, by its digest in upper or lower case.
    #[must_use]
    pub fn text(&self, digest: &[u8]) -> Option<Bytes> {
        let digits = digest.to_ascii_lowercase();
        self.kept().by_digest.get(&*digits).cloned()
    }

    /// Forgets all scripts.
    pub(super) fn clear(&self) {
        *self.kept() = Kept::default();
    }

    /// All texts, oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<Bytes> {
        let kept = self.kept();
        let texts = kept.oldest.iter().map(|(_, code)| code.clone());
        texts.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_when_there_are_too_many_bytes() {
        let scripts = Scripts::default();
        let long = vec![b'x'; UPSTREAM_SCRIPTS_BYTES_MAX / 2 - OVERHEAD_BYTES];
        for digits in ["aa", "bb", "bb"] {
            scripts.keep(digits, &long);
        }
        assert!(scripts.text(b"AA").is_some());
        scripts.keep("cc", b"return 1");
        assert!(scripts.text(b"aa").is_none());
        assert_eq!(scripts.all(), [&*long, b"return 1"]);
        scripts.clear();
        assert!(scripts.all().is_empty());
    }
}
