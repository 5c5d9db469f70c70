//! One value of an RDB, by its type number.

use smallvec::SmallVec;

use super::{
    decode::Version,
    duplicates::Duplicates,
    error::{Cause, Error},
    intset::Intset,
    kind::ValueType,
    length::Kept,
    list,
    listpack::Listpack,
    module::ModuleValue,
    object::Object,
    packed::{IntText, Item, PackedError},
    reader::Reader,
    records::{Handle, Record, Records, Shape, expiry_number},
    source::Source,
    stream_read,
    ziplist::{read_ziplist, read_zipmap},
};
use crate::limits::PREALLOCATED_ELEMENTS_MAX;

/// Decodes values of one version.
#[derive(Debug)]
pub(super) struct Values {
    version: Version,
    duplicates: Duplicates,
    /// Where records are put together, so that they get blocks of their own size.
    room: Vec<u8>,
}

impl Values {
    pub(super) fn new(version: Version) -> Self {
        Self {
            version,
            duplicates: Duplicates::default(),
            room: Vec::new(),
        }
    }

    /// Reads the value of type `number` that follows.
    pub(super) fn decode<'r, S: Source>(
        &mut self,
        reader: &'r mut Reader<S>,
        number: u8,
    ) -> Result<Object<'r>, Error> {
        let Some(kind) = ValueType::new(number, self.version) else {
            return Err(reader.error(Cause::UnknownType(number)));
        };
        let room = &mut self.room;
        match kind {
            ValueType::String => string(reader),
            ValueType::List => list::plain(reader),
            ValueType::ListZiplist => list::ziplists(reader, 1),
            ValueType::ListQuicklist => list::quicklist(reader),
            ValueType::ListQuicklist2 => list::quicklist_2(reader),
            ValueType::Set => set(reader, room),
            ValueType::SetIntset => intset(reader),
            ValueType::SetListpack => self.packed_set(reader),
            ValueType::Hash => hash(reader, room),
            ValueType::Hash2 => hash_timed(reader, room, pair_with_expiry),
            ValueType::HashMetadata => hash_metadata(reader, room),
            ValueType::HashMetadataPreGa => hash_timed(reader, room, |reader, pairs| {
                pair_after_expiry(reader, pairs, 1)
            }),
            ValueType::HashZipmap => {
                zipmap(reader).and_then(|packed| self.zipmap_hash(reader, &packed))
            }
            ValueType::HashZiplist => {
                ziplist(reader).and_then(|packed| self.packed_hash(reader, packed))
            }
            ValueType::HashListpack => {
                listpack(reader).and_then(|packed| self.packed_hash(reader, packed))
            }
            ValueType::HashListpackEx => {
                first_expiry(reader)?;
                self.packed_timed_hash(reader)
            }
            ValueType::HashListpackExPreGa => self.packed_timed_hash(reader),
            ValueType::Zset => zset(reader, room, text_score),
            ValueType::Zset2 => zset(reader, room, binary_score),
            ValueType::ZsetZiplist => {
                ziplist(reader).and_then(|packed| self.packed_zset(reader, packed))
            }
            ValueType::ZsetListpack => {
                listpack(reader).and_then(|packed| self.packed_zset(reader, packed))
            }
            ValueType::StreamListpacks => stream_read::stream(reader, 1),
            ValueType::StreamListpacks2 => stream_read::stream(reader, 2),
            ValueType::StreamListpacks3 => stream_read::stream(reader, 3),
            ValueType::Module2 => ModuleValue::read(reader).map(Object::Module),
            ValueType::ModulePreGa => Err(reader.error(Cause::Module(number))),
        }
    }

    fn packed_set<S: Source>(&mut self, reader: &mut Reader<S>) -> Result<Object<'static>, Error> {
        let packed = listpack(reader)?;
        if self.duplicates.any(packed.len(), packed.iter()) {
            return Err(reader.error(Cause::Corrupt("a member stands twice in a set")));
        }
        Ok(Object::SetListpack(packed))
    }

    fn packed_hash<S: Source>(
        &mut self,
        reader: &Reader<S>,
        packed: Listpack,
    ) -> Result<Object<'static>, Error> {
        self.check_pairs(reader, &packed)?;
        Ok(Object::HashListpack(packed))
    }

    /// A zipmap's pairs, unpacked: unlike those of a ziplist their lengths count for the encoding that they take.
    ///
    /// Source: redis 7.0 rdb.c, rdbLoadObject, case `RDB_TYPE_HASH_ZIPMAP`.
    fn zipmap_hash<S: Source>(
        &mut self,
        reader: &Reader<S>,
        packed: &Listpack,
    ) -> Result<Object<'static>, Error> {
        self.check_pairs(reader, packed)?;
        let fields = packed.iter().step_by(2);
        let values = packed.iter().skip(1).step_by(2);
        let mut pairs = Records::in_room(Shape::FIELD, &mut self.room);
        let (mut field_text, mut value_text) = (IntText::new(), IntText::new());
        for (field, value) in fields.zip(values) {
            let (field, value) = (field.text(&mut field_text), value.text(&mut value_text));
            pairs.push(Record::field(field, value));
        }
        Ok(Object::Hash(pairs.leave_room(&mut self.room)))
    }

    /// Source: redis 8.0 rdb.c, rdbLoadObject, case `RDB_TYPE_HASH_LISTPACK_EX`.
    fn packed_timed_hash<S: Source>(
        &mut self,
        reader: &mut Reader<S>,
    ) -> Result<Object<'static>, Error> {
        let packed = listpack(reader)?;
        let expiries = packed.iter().skip(2).step_by(3);
        if !packed.len().is_multiple_of(3) || !expiries.fuse().all(is_packed_expiry) {
            return Err(reader.error(Cause::Corrupt("not field, value and expiry")));
        }
        if self
            .duplicates
            .any(packed.len() / 3, packed.iter().step_by(3))
        {
            return Err(reader.error(Cause::Corrupt("a field or member stands twice")));
        }
        Ok(Object::HashListpackTimed(packed))
    }

    /// DIFFERENCE: Redis trusts the order of a packed sorted set; our searches rely on it, so it is checked.
    fn packed_zset<S: Source>(
        &mut self,
        reader: &Reader<S>,
        packed: Listpack,
    ) -> Result<Object<'static>, Error> {
        self.check_pairs(reader, &packed)?;
        check_scores(&packed).map_err(|reason| reader.error(Cause::Corrupt(reason)))?;
        Ok(Object::ZsetListpack(packed))
    }

    fn check_pairs<S: Source>(
        &mut self,
        reader: &Reader<S>,
        packed: &Listpack,
    ) -> Result<(), Error> {
        if !packed.len().is_multiple_of(2) {
            return Err(reader.error(Cause::Corrupt("an element without its pair")));
        }
        if self
            .duplicates
            .any(packed.len() / 2, packed.iter().step_by(2))
        {
            return Err(reader.error(Cause::Corrupt("a field or member stands twice")));
        }
        Ok(())
    }
}

fn string<S: Source>(reader: &mut Reader<S>) -> Result<Object<'_>, Error> {
    reader.reading("a string");
    reader.string_to_keep().map(|kept| match kept {
        Kept::Text(text) => Object::Str(text),
        Kept::Int(value) => Object::Int(value),
    })
}

fn set<S: Source>(reader: &mut Reader<S>, room: &mut Vec<u8>) -> Result<Object<'static>, Error> {
    let count = count(reader)?;
    let mut members = Records::in_room(Shape::MEMBER, room);
    reader.reading("a set's member");
    for _ in 0..count {
        let member = reader.string()?;
        members.push(Record::member(member.text(&mut IntText::new())));
    }
    Ok(Object::Set(members.leave_room(room)))
}

fn intset<S: Source>(reader: &mut Reader<S>) -> Result<Object<'static>, Error> {
    reader.reading("an intset");
    let blob = reader.blob()?;
    Intset::validate(blob)
        .map(Object::SetIntset)
        .map_err(|error| reader.error(error))
}

fn hash<S: Source>(reader: &mut Reader<S>, room: &mut Vec<u8>) -> Result<Object<'static>, Error> {
    let count = count(reader)?;
    let mut pairs = Records::in_room(Shape::FIELD, room);
    for _ in 0..count {
        pair(reader, &mut pairs, None)?;
    }
    Ok(Object::Hash(pairs.leave_room(room)))
}

/// A field waits here for its value; most fit.
type FieldText = SmallVec<[u8; 64]>;

fn pair<S: Source>(
    reader: &mut Reader<S>,
    pairs: &mut Records,
    expire_at_ms: Option<i64>,
) -> Result<Handle, Error> {
    reader.reading("a hash's field");
    let field: FieldText = reader.string()?.text(&mut IntText::new()).into();
    reader.reading("a hash's value");
    let value = reader.string()?;
    let mut text = IntText::new();
    let record = Record::timed_field(&field, value.text(&mut text), expire_at_ms);
    Ok(pairs.push(record))
}

fn hash_timed<S: Source>(
    reader: &mut Reader<S>,
    room: &mut Vec<u8>,
    pair: impl Fn(&mut Reader<S>, &mut Records) -> Result<(), Error>,
) -> Result<Object<'static>, Error> {
    let count = count(reader)?;
    let mut pairs = Records::in_room(Shape::TIMED_FIELD, room);
    for _ in 0..count {
        pair(reader, &mut pairs)?;
    }
    Ok(Object::HashTimed(pairs.leave_room(room)))
}

/// A pair of Valkey's type 22. Source: valkey 9.0 rdb.c, rdbLoadObject.
fn pair_with_expiry<S: Source>(reader: &mut Reader<S>, pairs: &mut Records) -> Result<(), Error> {
    let handle = pair(reader, pairs, None)?;
    reader.reading("a field's expiry");
    match i64::from_le_bytes(reader.array()?) {
        -1 => {}
        at @ 0.. => pairs.set_number(handle, expiry_number(Some(at))),
        _ => return Err(reader.error(Cause::Corrupt(NOT_AN_EXPIRY))),
    }
    Ok(())
}

/// Redis's type 24, which it writes only for hashes that have an expiring field.
///
/// Source: redis 8.0 rdb.c, rdbLoadObject, case `RDB_TYPE_HASH_METADATA`.
fn hash_metadata<S: Source>(
    reader: &mut Reader<S>,
    room: &mut Vec<u8>,
) -> Result<Object<'static>, Error> {
    let first = first_expiry(reader)?;
    hash_timed(reader, room, |reader, pairs| {
        pair_after_expiry(reader, pairs, first)
    })
}

/// The soonest expiry of a hash's fields, to which those of Redis's type 24 are relative.
fn first_expiry<S: Source>(reader: &mut Reader<S>) -> Result<u64, Error> {
    reader.reading("a hash's first expiry");
    match u64::from_le_bytes(reader.array()?) {
        // One more than the latest stands for none at all.
        at if at <= FIELD_EXPIRY_MS_MAX + 1 => Ok(at),
        _ => Err(reader.error(Cause::Corrupt(NOT_AN_EXPIRY))),
    }
}

/// A pair behind its expiry: 0 for none, or one more than the time since `first`.
fn pair_after_expiry<S: Source>(
    reader: &mut Reader<S>,
    pairs: &mut Records,
    first: u64,
) -> Result<(), Error> {
    reader.reading("a field's expiry");
    let expire_at_ms = match reader.length()? {
        0 => None,
        since => Some(
            field_expiry(since - 1, first)
                .ok_or_else(|| reader.error(Cause::Corrupt(NOT_AN_EXPIRY)))?,
        ),
    };
    pair(reader, pairs, expire_at_ms.filter(|at| *at != 0)).map(drop)
}

fn field_expiry(since: u64, first: u64) -> Option<i64> {
    let at = first.checked_add(since)?;
    i64::try_from(at).ok().filter(|_| at <= FIELD_EXPIRY_MS_MAX)
}

fn is_packed_expiry(item: Item<'_>) -> bool {
    matches!(item, Item::Int(at) if u64::try_from(at).is_ok_and(|at| at <= FIELD_EXPIRY_MS_MAX))
}

fn zset<S: Source>(
    reader: &mut Reader<S>,
    room: &mut Vec<u8>,
    score: impl Fn(&mut Reader<S>) -> Result<f64, Error>,
) -> Result<Object<'static>, Error> {
    let count = count(reader)?;
    let mut members = Records::in_room(Shape::SCORED, room);
    for _ in 0..count {
        reader.reading("a sorted set's member");
        let member = reader.string()?;
        let member = members.push(Record::member(member.text(&mut IntText::new())));
        reader.reading("a sorted set's score");
        let score = score(reader)?;
        if score.is_nan() {
            return Err(reader.error(Cause::Corrupt(NOT_A_SCORE)));
        }
        members.set_number(member, score.to_bits());
    }
    Ok(Object::Zset(members.leave_room(room)))
}

fn binary_score<S: Source>(reader: &mut Reader<S>) -> Result<f64, Error> {
    reader.array().map(f64::from_le_bytes)
}

/// Source: redis 7.0 rdb.c, rdbLoadDoubleValue.
fn text_score<S: Source>(reader: &mut Reader<S>) -> Result<f64, Error> {
    let score = match reader.u8()? {
        253 => None,
        254 => Some(f64::INFINITY),
        255 => Some(f64::NEG_INFINITY),
        len => parse_score(reader.take(len.into())?),
    };
    score.ok_or_else(|| reader.error(Cause::Corrupt(NOT_A_SCORE)))
}

/// A score from its text; never NaN.
fn parse_score(text: &[u8]) -> Option<f64> {
    let score: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (!score.is_nan()).then_some(score)
}

/// Checks that every second element is a score, and that scores, then members, ascend.
fn check_scores(packed: &Listpack) -> Result<(), &'static str> {
    let mut items = packed.iter();
    let mut previous: Option<(f64, Item<'_>)> = None;
    while let (Some(member), Some(score)) = (items.next(), items.next()) {
        let score = packed_score(score).ok_or(NOT_A_SCORE)?;
        let ascends = previous.is_none_or(|(before, earlier)| {
            before < score || (before == score && less(&earlier, &member))
        });
        if !ascends {
            return Err("a packed sorted set is not in order");
        }
        previous = Some((score, member));
    }
    Ok(())
}

fn packed_score(item: Item<'_>) -> Option<f64> {
    match item {
        #[expect(
            clippy::cast_precision_loss,
            reason = "Redis converts the same way; larger numbers are stored as text"
        )]
        Item::Int(value) => Some(value as f64),
        Item::Str(text) => parse_score(text),
    }
}

fn less(one: &Item<'_>, other: &Item<'_>) -> bool {
    one.text(&mut IntText::new()) < other.text(&mut IntText::new())
}

fn listpack<S: Source>(reader: &mut Reader<S>) -> Result<Listpack, Error> {
    reader.reading("a listpack");
    let blob = reader.blob()?;
    Listpack::validate(blob).map_err(|error| reader.error(error))
}

fn ziplist<S: Source>(reader: &mut Reader<S>) -> Result<Listpack, Error> {
    reader.reading("a ziplist");
    repack(reader, |blob, packed| {
        read_ziplist(blob, |item| packed.push_item(item))
    })
}

fn zipmap<S: Source>(reader: &mut Reader<S>) -> Result<Listpack, Error> {
    reader.reading("a zipmap");
    repack(reader, |blob, packed| {
        read_zipmap(blob, |text| packed.push(text))
    })
}

/// Reads a blob of an old layout into a listpack.
fn repack<S: Source>(
    reader: &mut Reader<S>,
    read: impl FnOnce(&[u8], &mut Listpack) -> Result<(), PackedError>,
) -> Result<Listpack, Error> {
    let blob = reader.blob()?;
    let mut packed = Listpack::with_room(blob.len());
    read(&blob, &mut packed).map_err(|error| reader.error(error))?;
    packed.shrink_to_fit();
    Ok(packed)
}

fn count<S: Source>(reader: &mut Reader<S>) -> Result<u64, Error> {
    reader.reading("a collection's size");
    reader.length()
}

/// The room reserved on a declared count alone.
pub(super) fn room(count: u64) -> usize {
    usize::try_from(count).map_or(PREALLOCATED_ELEMENTS_MAX, |count| {
        count.min(PREALLOCATED_ELEMENTS_MAX)
    })
}

const NOT_A_SCORE: &str = "not a score";
const NOT_AN_EXPIRY: &str = "not an expiry";
/// The latest time that Redis gives a field, Unix time in milliseconds. Source: redis 8.0 ebuckets.h, `EB_EXPIRE_TIME_MAX`.
const FIELD_EXPIRY_MS_MAX: u64 = 0xffff_ffff_ffff;

#[cfg(test)]
#[path = "value_tests.rs"]
mod tests;
