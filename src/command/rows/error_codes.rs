//! How often each error code was sent, for INFO's errorstats.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Maximum number of different codes: servers stop there too. Source: valkey 8.0 server.c, `ERROR_STATS_NUMBER`.
const CODES_MAX: usize = 128;

/// The longest code that is kept. A text without a space is no code.
const CODE_BYTES_MAX: usize = 64;

/// Counts of error codes.
#[derive(Debug, Default)]
pub struct ErrorCodes(Mutex<BTreeMap<Box<str>, u64>>);

impl ErrorCodes {
    fn counts(&self) -> MutexGuard<'_, BTreeMap<Box<str>, u64>> {
        // A poisoned lock still holds a whole map.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an error reply. Its text begins with the code.
    pub fn count(&self, text: &[u8]) {
        let code = text.split(|byte| *byte == b' ').next().unwrap_or_default();
        let code = std::str::from_utf8(code).ok();
        let is_code = |code: &&str| {
            code.len() <= CODE_BYTES_MAX && code.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let code = code.filter(is_code).unwrap_or("ERR");
        let mut counts = self.counts();
        if let Some(count) = counts.get_mut(code) {
            *count += 1;
        } else if counts.len() < CODES_MAX {
            counts.insert(code.into(), 1);
        }
    }

    /// Returns all codes with their counts, by name.
    #[must_use]
    pub fn all(&self) -> Vec<(Box<str>, u64)> {
        let counts = self.counts();
        counts
            .iter()
            .map(|(code, count)| (code.clone(), *count))
            .collect()
    }

    /// Forgets everything.
    pub fn reset(&self) {
        self.counts().clear();
    }
}
