//! The texts of scripts that EVAL has run or SCRIPT LOAD has kept, by their digests.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;

use super::shebang::ScriptFlags;
use crate::limits::{SCRIPTS_BYTES_MAX, SCRIPTS_MAX};

/// A script that compiles.
#[derive(Debug, Clone)]
pub(super) struct Text {
    /// All of it.
    pub(super) code: Bytes,
    /// What its first line says; `None` for nothing.
    pub(super) flags: Option<ScriptFlags>,
    /// Where Lua begins.
    pub(super) start: usize,
}

/// Texts by digest, the oldest forgotten first when there are too many. DIFFERENCE: servers before Redis 7.4 forget none,
/// and later ones none that was loaded on purpose; a client that is told NOSCRIPT loads it again.
#[derive(Debug, Default)]
pub(super) struct Texts {
    by_digest: HashMap<String, Text>,
    oldest: VecDeque<String>,
    bytes: usize,
}

impl Texts {
    /// The text of a digest in small letters.
    pub(super) fn get(&self, digest: &str) -> Option<&Text> {
        self.by_digest.get(digest)
    }

    /// Remembers a text.
    pub(super) fn insert(&mut self, digest: String, text: Text) {
        let bytes = text.code.len();
        if self.by_digest.insert(digest.clone(), text).is_some() {
            return;
        }
        self.bytes += bytes;
        self.oldest.push_back(digest);
        while self.oldest.len() > SCRIPTS_MAX || self.bytes > SCRIPTS_BYTES_MAX {
            let Some(oldest) = self.oldest.pop_front() else {
                return;
            };
            let gone = self.by_digest.remove(&oldest);
            self.bytes -= gone.map_or(0, |text| text.code.len());
        }
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
