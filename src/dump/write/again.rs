//! Values that a reader handed out, in the layouts of the dump's version.

use super::{
    NewKey, WriteError, Writer, require,
    stream::check_read,
    timed::{FIELD_EXPIRIES, check, timed_type},
};
use crate::{
    dump::{
        Hash, Key, List, Set, SortedSet, Stream, Value,
        collections::{HashForm, SetForm, SortedForm},
        item::Item,
    },
    rdb::{
        ValueType,
        listpack::Listpack,
        object::{Meta, NodeRef},
        stream::{IDMP_DURATION_S, IDMP_ENTRIES_MAX},
    },
};
use std::io::Write;

impl<W: Write> Writer<W> {
    /// Writes a key that was read from a dump of any version, with its attributes, its value and what modules have attached to it.
    /// Its database, name and attributes may be changed before:
    ///
    /// ```
    /// use redtail::rdb::{Keys, Writer};
    ///
    /// # let dump = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/redis-7.0.rdb");
    /// let mut keys = Keys::open(dump)?;
    /// let mut writer = Writer::new(Vec::new());
    /// while let Some(mut key) = keys.next_key()? {
    ///     let name = [b"copy:", key.name].concat();
    ///     key.name = &name;
    ///     key.db = 0;
    ///     key.expire_at_ms = None;
    ///     writer.copy(&key)?;
    /// }
    /// assert!(writer.keys() > 50);
    /// let dump = writer.finish()?;
    /// # assert!(dump.starts_with(b"REDIS0009"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// The value's bytes are those of the version: a listpack becomes a ziplist in version 9. A stream loses the figures that the
    /// version has no place for: how many entries were ever added and read and what was deleted (version 9), and when consumers
    /// were active (before 11). A module's value is written as it is.
    ///
    /// # Errors
    /// [`WriteError::Unsupported`] if the version has no place for something else in the value: field expiries, arrays, and in
    /// streams idempotent producers and released entries. What servers of the version refuse but others wrote: [`WriteError::Empty`],
    /// [`WriteError::Expiry`], [`WriteError::Stream`]. The output's error.
    pub fn copy(&mut self, key: &Key<'_>) -> Result<(), WriteError> {
        let meta = Meta {
            expire_at_ms: key.expire_at_ms,
            idle_s: key.idle_s,
            freq: key.freq,
        };
        NewKey {
            writer: self,
            name: key.name,
            db: key.db,
            meta,
            attached: key.attached,
        }
        .value(&key.value)
    }
}

impl<W: Write> NewKey<'_, W> {
    /// Writes the key with a value that was read from a dump of any version: see [`Writer::copy`].
    ///
    /// # Errors
    /// Like [`Writer::copy`].
    pub fn value(self, value: &Value<'_>) -> Result<(), WriteError> {
        self.write(|key| match value {
            Value::String(text) => Ok(key.begin(ValueType::String)?.item(text.packed())?),
            Value::List(list) => key.read_list(*list),
            Value::Set(set) => key.read_set(*set),
            Value::Hash(hash) => key.read_hash(*hash),
            Value::SortedSet(set) => key.read_sorted_set(*set),
            Value::Stream(stream) => key.read_stream(stream),
            Value::Array(array) => {
                let out = &key.writer.out;
                require(out, out.layouts().has_arrays(), "arrays")?;
                Ok(array.held().encode(key.begin(ValueType::Array)?)?)
            }
            Value::Module(module) => {
                let out = key.begin(ValueType::Module2)?;
                Ok(out.module(module.id(), module.raw())?)
            }
        })
    }

    fn read_list(&mut self, list: List<'_>) -> Result<(), WriteError> {
        not_empty(list.is_empty())?;
        let kind = if self.writer.out.layouts().has_listpacks() {
            ValueType::ListQuicklist2
        } else {
            ValueType::ListQuicklist
        };
        Ok(self.begin(kind)?.list(list.0.iter().map(NodeRef::from))?)
    }

    fn read_set(&mut self, set: Set<'_>) -> Result<(), WriteError> {
        not_empty(set.is_empty())?;
        match set.0 {
            SetForm::Integers(integers) => {
                Ok(self.begin(ValueType::SetIntset)?.intset(integers)?)
            }
            SetForm::Packed(packed) if self.writer.out.layouts().has_listpack_sets() => {
                self.packed(ValueType::SetListpack, packed)
            }
            SetForm::Packed(_) | SetForm::Records(_) => {
                let out = self.begin(ValueType::Set)?;
                Ok(out.set(set.len(), set.iter().map(Item::packed))?)
            }
        }
    }

    fn read_hash(&mut self, hash: Hash<'_>) -> Result<(), WriteError> {
        not_empty(hash.is_empty())?;
        let layouts = self.writer.out.layouts();
        let expiries = hash.iter().filter_map(|field| field.expire_at_ms);
        if let Some(first_ms) = expiries.min() {
            return self.read_timed_hash(hash, first_ms);
        }
        match hash.0 {
            HashForm::Packed(packed) if layouts.has_listpacks() => {
                self.packed(ValueType::HashListpack, packed)
            }
            HashForm::Packed(packed) => self.packed(ValueType::HashZiplist, packed),
            HashForm::PackedTimed(_)
            | HashForm::Records(_)
            | HashForm::RecordsTimed(_)
            | HashForm::Template(..) => {
                let out = self.begin(ValueType::Hash)?;
                let fields = hash.iter();
                let pairs = fields.map(|field| (field.name.packed(), field.value.packed()));
                Ok(out.hash(hash.len(), pairs)?)
            }
        }
    }

    fn read_timed_hash(&mut self, hash: Hash<'_>, first_ms: i64) -> Result<(), WriteError> {
        let out = &self.writer.out;
        let layouts = out.layouts();
        require(out, layouts.has_field_expiries(), FIELD_EXPIRIES)?;
        for field in hash.iter() {
            check(field.expire_at_ms, layouts)?;
        }
        if let HashForm::PackedTimed(packed) = hash.0
            && !layouts.is_valkey()
        {
            let out = self.begin(ValueType::HashListpackEx)?;
            out.raw(&first_ms.to_le_bytes())?;
            return Ok(out.packed(packed)?);
        }
        let fields = hash.iter();
        let fields = fields.map(|field| {
            let (name, value) = (field.name.packed(), field.value.packed());
            (name, value, field.expire_at_ms)
        });
        let out = self.begin(timed_type(layouts))?;
        if layouts.is_valkey() {
            Ok(out.hash_with_expiries(hash.len(), fields)?)
        } else {
            Ok(out.hash_metadata(hash.len(), first_ms, fields)?)
        }
    }

    fn read_sorted_set(&mut self, set: SortedSet<'_>) -> Result<(), WriteError> {
        not_empty(set.is_empty())?;
        match set.0 {
            SortedForm::Packed(packed) if self.writer.out.layouts().has_listpacks() => {
                self.packed(ValueType::ZsetListpack, packed)
            }
            SortedForm::Packed(packed) => self.packed(ValueType::ZsetZiplist, packed),
            SortedForm::Records(_) => {
                let out = self.begin(ValueType::Zset2)?;
                let members = set.iter();
                let members = members.map(|(member, score)| (member.packed(), score));
                Ok(out.zset(set.len(), members)?)
            }
        }
    }

    fn read_stream(&mut self, stream: &Stream<'_>) -> Result<(), WriteError> {
        let (out, held) = (&self.writer.out, stream.held());
        let layout = out.layouts().stream();
        let has_producers = held.idmp().is_some_and(|idmp| {
            let settings = (idmp.duration_s(), idmp.entries_max());
            settings != (IDMP_DURATION_S, IDMP_ENTRIES_MAX) || idmp.producers(None).next().is_some()
        });
        require(
            out,
            layout >= 4 || !has_producers,
            "idempotent producers of streams",
        )?;
        let mut groups = held.groups().values();
        let has_released = groups.any(|group| group.released_count() > 0);
        require(
            out,
            layout >= 5 || !has_released,
            "released entries of streams",
        )?;
        check_read(held, out.version())?;
        let kind = crate::value::Stream::value_type(out.layouts());
        Ok(held.encode(self.begin(kind)?)?)
    }

    fn packed(&mut self, kind: ValueType, packed: &Listpack) -> Result<(), WriteError> {
        Ok(self.begin(kind)?.packed(packed)?)
    }
}

fn not_empty(is_empty: bool) -> Result<(), WriteError> {
    if is_empty {
        Err(WriteError::Empty)
    } else {
        Ok(())
    }
}
