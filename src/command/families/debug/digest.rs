//! Digests of values. They do not depend on the order of unordered parts.
//!
//! Source: redis 8.0 debug.c, `xorObjectDigest`, `computeDatasetDigest`.

use std::fmt;

use sha1::{Digest as _, Sha1};

use crate::command::rows::Error;
use crate::dialect::Dialect;
use crate::rdb::array::ElementText;
use crate::rdb::packed::{IntText, Item};
use crate::rdb::stream::StreamId;
use crate::resp::double;
use crate::store::{Entry, Tainted, Value, View};
use crate::value::{Array, Hash, Object, Stream, VectorSet, Zset};

/// The missing indexes of one array that are digested: they take a few seconds.
const DIGESTED_HOLES_MAX: u64 = 10_000_000;

/// A digest, built up from texts; zero for a missing key.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Digest([u8; 20]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Digest {
    /// Adds a text whose position does not matter.
    fn add(&mut self, text: &[u8]) {
        let sum = Sha1::digest(text);
        let bytes = self.0.iter_mut().zip(sum);
        bytes.for_each(|(byte, with)| *byte ^= with);
    }

    /// Adds a text after all those mixed in before.
    fn mix(&mut self, text: &[u8]) {
        self.add(text);
        self.0 = Sha1::digest(self.0).into();
    }

    fn mix_item(&mut self, item: Item<'_>) {
        self.mix(item.text(&mut IntText::new()));
    }

    /// Adds an entry's value and whether it expires.
    ///
    /// # Errors
    /// [`Tainted`] for a value that is no longer known, and another error for a module's value, which only the module can digest.
    pub(super) fn mix_value(
        &mut self,
        entry: &Entry,
        dialect: Dialect,
        now_ms: i64,
    ) -> Result<(), Error> {
        let value = entry.value();
        let Some(kind) = type_number(value) else {
            return Err(Tainted.into());
        };
        self.mix(&kind.to_be_bytes());
        match value {
            Value::Text(text) => self.mix(text),
            Value::Integer(number) => self.mix_item(Item::Int(number)),
            Value::Object(object) => self.mix_object(object, dialect, now_ms)?,
        }
        if entry.expire_at_ms().is_some() {
            self.add(b"!!expire!!");
        }
        Ok(())
    }

    fn mix_object(&mut self, object: &Object, dialect: Dialect, now_ms: i64) -> Result<(), Error> {
        match object {
            Object::Text(text) => self.mix(text),
            Object::List(list) => list.iter().for_each(|item| self.mix_item(item)),
            Object::Set(set) => set
                .iter()
                .for_each(|member| self.add(member.text(&mut IntText::new()))),
            Object::Zset(zset) => self.add_zset(zset, dialect),
            Object::Hash(hash) => self.add_hash(hash, dialect, now_ms),
            Object::Stream(stream) => self.mix_stream(stream),
            Object::Array(array) => self.mix_array(array)?,
            Object::VectorSet(set) => self.add_vectors(set),
            Object::Module(_) => {
                return Err(Error::Text(
                    "ERR only the module itself can compute the digest of its value",
                ));
            }
            Object::Swept => return Err(Tainted.into()),
        }
        Ok(())
    }

    fn add_zset(&mut self, zset: &Zset, dialect: Dialect) {
        let mut score_text = Vec::new();
        for (member, score) in zset.iter() {
            score_text.clear();
            if dialect.has_shortest_doubles() {
                double::write_dtoa(&mut score_text, score);
            } else {
                double::write(&mut score_text, score, false);
            }
            let mut one = Self::default();
            one.mix_item(member);
            one.mix(&score_text);
            self.add(&one.0);
        }
    }

    fn add_hash(&mut self, hash: &Hash, dialect: Dialect, now_ms: i64) {
        let with_expiries = dialect.digests_field_expiries();
        let fields = hash.fields();
        for field in fields.filter(|field| with_expiries || !field.is_expired(now_ms)) {
            let mut one = Self::default();
            one.mix_item(field.name);
            one.mix_item(field.value);
            if with_expiries && field.expire_at_ms.is_some() {
                one.add(b"!!hexpire!!");
            }
            self.add(&one.0);
        }
    }

    /// Digests only the entries: groups do not count.
    fn mix_stream(&mut self, stream: &Stream) {
        for entry in stream.range(StreamId::MIN, StreamId::MAX) {
            self.mix(format!("{}.{}", entry.id.ms, entry.id.seq).as_bytes());
            for (field, value) in entry.pairs() {
                self.mix_item(field);
                self.mix_item(value);
            }
        }
    }

    /// Source: redis 8.8 debug.c.
    ///
    /// DIFFERENCE: a server digests every missing index, and so may take for ever.
    ///
    /// # Errors
    /// If there are too many missing indexes.
    fn mix_array(&mut self, array: &Array) -> Result<(), Error> {
        let missing = array.span() - array.len() as u64;
        if missing > DIGESTED_HOLES_MAX {
            return Err(Error::Text(
                "ERR not supported: the digest of an array with millions of missing indexes",
            ));
        }
        let mut text = ElementText::default();
        let mut expected = 0;
        for (index, element) in array.iter() {
            (expected..index).for_each(|_| self.mix(b"(null)"));
            self.mix(element.text(&mut text));
            expected = index + 1;
        }
        Ok(())
    }

    /// Source: redis 8.0 modules/vector-sets/vset.c, `VectorSetDigest`.
    fn add_vectors(&mut self, set: &VectorSet) {
        let mut all = Self::default();
        let mut one = Self::default();
        one.mix(set.len().to_string().as_bytes());
        one.mix(set.shape().dim.to_string().as_bytes());
        all.add(&one.0);
        for element in set.iter() {
            let mut one = Self::default();
            one.mix(&element.point().to_bytes());
            one.mix(element.name());
            if let Some(attributes) = element.attributes() {
                one.mix(attributes);
            }
            all.add(&one.0);
        }
        self.add(&all.0);
    }

    /// Adds all keys of a database, held whole.
    ///
    /// # Errors
    /// Same as [`Self::mix_value`].
    pub(super) fn mix_database(&mut self, view: &View<'_>, dialect: Dialect) -> Result<(), Error> {
        let mut entries = view.entries_at_any_time().peekable();
        if entries.peek().is_some() {
            let number = u32::try_from(view.db_number()).unwrap_or(u32::MAX);
            self.mix(&number.to_be_bytes());
        }
        for entry in entries {
            let mut one = Self::default();
            one.mix(entry.key());
            one.mix_value(entry, dialect, view.now_ms())?;
            self.add(&one.0);
        }
        Ok(())
    }
}

/// Source: redis 7.0 server.h, `OBJ_STRING` and those that follow.
fn type_number(value: Value<'_>) -> Option<u32> {
    Some(match value {
        Value::Text(_) | Value::Integer(_) | Value::Object(Object::Text(_)) => 0,
        Value::Object(Object::List(_)) => 1,
        Value::Object(Object::Set(_)) => 2,
        Value::Object(Object::Zset(_)) => 3,
        Value::Object(Object::Hash(_)) => 4,
        Value::Object(Object::VectorSet(_) | Object::Module(_)) => 5,
        Value::Object(Object::Stream(_)) => 6,
        Value::Object(Object::Array(_)) => 7,
        Value::Object(Object::Swept) => return None,
    })
}
