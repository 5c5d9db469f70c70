//! Copies dumps, leaving out keys.

use super::{
    error::Error,
    read::{BoxError, Parts, Visitor},
    value::Key,
};
use crate::rdb::{
    decode::{Record, Summary, decode_records},
    encode::Writer,
    error::SinkError,
    reader::Reader,
    source::ReadSource,
    version::Version,
};
use std::io::{self, Read, Write};

/// Writes a dump that consists of the keys taken from other dumps.
///
/// Keys are copied byte for byte, with their expiry and everything else that belongs to them. The facts and function libraries of
/// the first dump are copied, too, and the libraries of the others that differ from those.
#[derive(Debug)]
pub struct Copier<W> {
    out: Writer<W>,
    /// The version of the first dump.
    version: Option<Version>,
    /// The libraries that were written.
    libraries: Vec<Vec<u8>>,
    dumps: u64,
    keys: u64,
}

impl<W: Write> Copier<W> {
    /// Writes to `out` in pieces of 64 KiB, so it needs no buffer of its own.
    pub fn new(out: W) -> Self {
        Self {
            // The first dump decides the version.
            out: Writer::new(out, Version::NEWEST).uncompressed(),
            version: None,
            libraries: Vec::new(),
            dumps: 0,
            keys: 0,
        }
    }

    /// Number of keys written.
    #[must_use]
    pub const fn keys(&self) -> u64 {
        self.keys
    }

    /// Appends the keys of a dump for which `takes` returns true.
    ///
    /// # Errors
    /// What is wrong with the dump, the output's error, or that the dump has another version than the first. The keys before the
    /// error are written.
    pub fn append(
        &mut self,
        from: impl Read,
        takes: &mut dyn FnMut(&Key<'_>) -> bool,
    ) -> Result<Summary, Error> {
        let mut choice = Choice { takes, taken: None };
        let mut reader = Reader::new(ReadSource::new(from)).lending();
        let mut parts = Parts::new(&mut choice);
        let (mut attributes, mut begun) = (Vec::new(), false);
        let summary = decode_records(&mut reader, &mut parts, &mut |parts, kind, bytes| {
            if !std::mem::replace(&mut begun, true) {
                self.begin(parts.version())?;
            }
            let taken = parts.visitor().taken.take();
            self.record(kind, bytes, taken, &mut attributes)
                .map_err(SinkError::new)
        });
        self.dumps += 1;
        summary.map_err(Error::new)
    }

    /// Ends the dump with its checksum. Returns the output.
    ///
    /// # Errors
    /// The output's error; an error if there was no dump to take a version from.
    pub fn finish(self) -> io::Result<W> {
        if self.version.is_none() {
            return Err(io::Error::other("there was no dump to copy from"));
        }
        self.out.end()
    }

    fn begin(&mut self, version: Option<Version>) -> Result<(), SinkError> {
        match (self.version, version) {
            (None, Some(version)) => {
                self.version = Some(version);
                self.out.set_version(version);
                self.out.header().map_err(SinkError::new)
            }
            (Some(first), Some(version)) if first != version => {
                let error = format!(
                    "a dump of version {version} cannot be appended to one of version {first}"
                );
                Err(SinkError::new(io::Error::other(error)))
            }
            _ => Ok(()),
        }
    }

    fn record(
        &mut self,
        kind: Record,
        bytes: &[u8],
        taken: Option<Taken>,
        attributes: &mut Vec<u8>,
    ) -> io::Result<()> {
        match kind {
            Record::Attribute => attributes.extend_from_slice(bytes),
            Record::Key => {
                if let Some(Taken { db }) = taken {
                    self.out.enter(db)?;
                    self.out.raw(attributes)?;
                    self.out.raw(bytes)?;
                    self.keys += 1;
                }
                attributes.clear();
            }
            // A copy writes the database before the first key in it.
            Record::Database | Record::Hint => {}
            Record::Aux if self.dumps > 0 => {}
            Record::Library if self.libraries.iter().any(|library| library == bytes) => {}
            Record::Library => {
                self.libraries.push(bytes.to_vec());
                self.out.raw(bytes)?;
            }
            Record::Aux | Record::Other => self.out.raw(bytes)?,
        }
        Ok(())
    }
}

/// A key that is taken.
struct Taken {
    db: u64,
}

/// Remembers whether the last key is taken.
struct Choice<'t> {
    takes: &'t mut dyn FnMut(&Key<'_>) -> bool,
    taken: Option<Taken>,
}

impl Visitor for Choice<'_> {
    fn key(&mut self, key: Key<'_>) -> Result<(), BoxError> {
        self.taken = (self.takes)(&key).then_some(Taken { db: key.db });
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::dump;

    fn fixture(name: &str) -> Vec<u8> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/");
        std::fs::read(format!("{folder}{name}")).unwrap()
    }

    fn shown(bytes: &[u8]) -> Vec<String> {
        let mut keys = Vec::new();
        let summary = dump::read(bytes, &mut |key: Key<'_>| {
            keys.push(format!("{key:?}"));
            Ok(())
        });
        assert!(matches!(
            summary.unwrap().checksum,
            dump::Checksum::Verified(_)
        ));
        keys
    }

    #[test]
    fn a_copy_has_the_keys_that_were_taken_and_no_others() {
        for name in [
            "redis-6.0.rdb",
            "redis-7.0-lru.rdb",
            "redis-8.0-field-expiries.rdb",
            "valkey-9.1-lfu.rdb",
            "redis-8.10-by-hand.rdb",
        ] {
            let original = fixture(name);
            let mut all = Vec::new();
            dump::read(&original[..], &mut |key: Key<'_>| {
                all.push(format!("{key:?}"));
                Ok(())
            })
            .unwrap();
            let mut copy = Copier::new(Vec::new());
            copy.append(&original[..], &mut |_| true).unwrap();
            assert_eq!(copy.keys(), all.len() as u64);
            assert_eq!(shown(&copy.finish().unwrap()), all, "{name}");
            let mut number = 0;
            let mut copy = Copier::new(Vec::new());
            let mut every_second = |_: &Key<'_>| {
                number += 1;
                number % 2 == 0
            };
            copy.append(&original[..], &mut every_second).unwrap();
            let half: Vec<_> = all.iter().skip(1).step_by(2).cloned().collect();
            assert_eq!(shown(&copy.finish().unwrap()), half, "{name}");
        }
    }

    #[test]
    fn two_dumps_make_one_and_a_broken_one_leaves_its_whole_keys() {
        let original = fixture("redis-7.0.rdb");
        let mut copy = Copier::new(Vec::new());
        let keys = copy.append(&original[..], &mut |_| true).unwrap().keys;
        let cut = original.get(..original.len() / 2).unwrap();
        assert!(copy.append(cut, &mut |key| key.db == 0).is_err());
        assert!(copy.keys() > keys);
        let written = copy.keys();
        assert_eq!(shown(&copy.finish().unwrap()).len() as u64, written);
        let mut copy = Copier::new(Vec::new());
        copy.append(&original[..], &mut |_| true).unwrap();
        let other = copy
            .append(&fixture("redis-8.0.rdb")[..], &mut |_| true)
            .unwrap_err();
        assert!(
            other
                .to_string()
                .contains("cannot be appended to one of version REDIS0010"),
            "{other}"
        );
        assert!(Copier::new(Vec::new()).finish().is_err());
    }
}
