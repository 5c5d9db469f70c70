//! Decodes one value of an RDB, by its type number.

use smallvec::SmallVec;

use super::{
    array,
    duplicates::Duplicates,
    error::{Cause, Error},
    flaws::{Flaws, Found, corrupt},
    intset::{self, Intset},
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
    template::{self, Templates},
    version::Version,
    ziplist::{read_ziplist, read_zipmap},
};
use crate::dialect::Flaw;
use crate::limits::PREALLOCATED_ELEMENTS_MAX;

/// Decodes the values of one RDB version.
#[derive(Debug)]
pub(super) struct Values {
    version: Version,
    duplicates: Duplicates,
    /// A buffer in which records are collected before they are copied to an allocation of their size.
    room: Vec<u8>,
    pub(super) flaws: Flaws,
    pub(super) templates: Templates,
}

/// A value as read.
#[derive(Debug)]
pub(super) struct Decoded<'r> {
    /// The value. Meaningless if it is lost.
    pub(super) object: Object<'r>,
    /// The position at its end.
    pub(super) end: u64,
    /// The flaw in it, if servers load the value anyway.
    pub(super) found: Option<Found>,
}

/// A placeholder for a value that cannot be kept.
const LOST: Object<'static> = Object::Int(0);

/// Passes over a number of elements and over each of them.
fn skip_each<S: Source>(
    reader: &mut Reader<S>,
    mut skip: impl FnMut(&mut Reader<S>) -> Result<(), Error>,
) -> Result<(), Error> {
    for _ in 0..reader.length()? {
        skip(reader)?;
    }
    Ok(())
}

impl Values {
    pub(super) fn new(version: Version) -> Self {
        Self {
            version,
            duplicates: Duplicates::default(),
            room: Vec::new(),
            flaws: Flaws::of(version.dialect()),
            templates: Templates::default(),
        }
    }

    /// Reads the next value. Its type is `number`, read at `type_at`.
    pub(super) fn decode<'r, S: Source>(
        &mut self,
        reader: &'r mut Reader<S>,
        number: u8,
        type_at: u64,
    ) -> Result<Decoded<'r>, Error> {
        let Some(kind) = ValueType::new(number, self.version) else {
            return Err(reader.error_at(type_at, Cause::UnknownType(number)));
        };
        let (object, end) = if kind == ValueType::String {
            string(reader)?
        } else {
            let object = self.read(reader, kind)?;
            (object, reader.position())
        };
        let found = self.flaws.take();
        Ok(Decoded { object, end, found })
    }

    /// Passes over the next value. Most layouts are not decoded; the rest are, and dropped.
    pub(super) fn skip<S: Source>(
        &mut self,
        reader: &mut Reader<S>,
        number: u8,
        type_at: u64,
    ) -> Result<(), Error> {
        let Some(kind) = ValueType::new(number, self.version) else {
            return Err(reader.error_at(type_at, Cause::UnknownType(number)));
        };
        match kind {
            ValueType::String
            | ValueType::ListZiplist
            | ValueType::SetIntset
            | ValueType::SetListpack
            | ValueType::HashZipmap
            | ValueType::HashZiplist
            | ValueType::HashListpack
            | ValueType::HashListpackExPreGa
            | ValueType::ZsetZiplist
            | ValueType::ZsetListpack => reader.skip_string(),
            ValueType::HashListpackEx => {
                first_expiry(reader)?;
                reader.skip_string()
            }
            ValueType::List | ValueType::ListQuicklist | ValueType::Set => {
                skip_each(reader, |reader| reader.skip_string())
            }
            ValueType::ListQuicklist2 => skip_each(reader, |reader| {
                reader.length()?;
                reader.skip_string()
            }),
            ValueType::Hash => skip_each(reader, |reader| {
                reader.skip_string()?;
                reader.skip_string()
            }),
            ValueType::Zset2 => skip_each(reader, |reader| {
                reader.skip_string()?;
                reader.array::<8>().map(drop)
            }),
            kind => {
                self.read(reader, kind)?;
                // Whoever does not want the value does not care.
                self.flaws.take();
                Ok(())
            }
        }
    }

    /// Reads a value, which is not borrowed from the reader unless it is a string.
    fn read<S: Source>(
        &mut self,
        reader: &mut Reader<S>,
        kind: ValueType,
    ) -> Result<Object<'static>, Error> {
        let (room, flaws) = (&mut self.room, &mut self.flaws);
        match kind {
            ValueType::String => unreachable!("a string is borrowed"),
            ValueType::List => list::plain(reader),
            ValueType::ListZiplist => list::ziplists(reader, flaws, 1),
            ValueType::ListQuicklist => list::quicklist(reader, flaws),
            ValueType::ListQuicklist2 => list::quicklist_2(reader, flaws),
            ValueType::Set => set(reader, room),
            ValueType::SetIntset => intset(reader, flaws),
            ValueType::SetListpack => self.packed_set(reader),
            ValueType::Hash => hash(reader, room),
            ValueType::Hash2 => hash_timed(reader, room, pair_with_expiry),
            ValueType::HashMetadata => hash_metadata(reader, room),
            ValueType::HashMetadataPreGa => hash_timed(reader, room, |reader, pairs| {
                pair_after_expiry(reader, pairs, 1)
            }),
            ValueType::HashZipmap => self.zipmap_hash(reader),
            ValueType::HashZiplist => {
                let place = Packed::Old(reader.position());
                let packed = ziplist(reader, flaws)?;
                self.packed_hash(reader, place, packed)
            }
            ValueType::HashListpack => {
                let place = Packed::New(reader.position());
                let packed = listpack(reader, flaws, 2)?;
                self.packed_hash(reader, place, packed)
            }
            ValueType::HashListpackEx => {
                first_expiry(reader)?;
                self.packed_timed_hash(reader)
            }
            ValueType::HashListpackExPreGa => self.packed_timed_hash(reader),
            ValueType::HashTemplateListpack
            | ValueType::HashTemplateListpackRef
            | ValueType::HashTemplateArray
            | ValueType::HashTemplateArrayRef => {
                let hash = template::hash(reader, flaws, &self.templates, kind)?;
                Ok(hash.unwrap_or(LOST))
            }
            ValueType::Zset => zset(reader, room, |reader| text_score(reader, flaws)),
            ValueType::Zset2 => zset(reader, room, binary_score),
            ValueType::ZsetZiplist => {
                let place = Packed::Old(reader.position());
                let packed = ziplist(reader, flaws)?;
                self.packed_zset(reader, place, packed)
            }
            ValueType::ZsetListpack => {
                let place = Packed::New(reader.position());
                let packed = listpack(reader, flaws, 2)?;
                self.packed_zset(reader, place, packed)
            }
            ValueType::StreamListpacks => stream_read::stream(reader, flaws, 1),
            ValueType::StreamListpacks2 => stream_read::stream(reader, flaws, 2),
            ValueType::StreamListpacks3 => stream_read::stream(reader, flaws, 3),
            ValueType::StreamListpacks4 => stream_read::stream(reader, flaws, 4),
            ValueType::StreamListpacks5 => stream_read::stream(reader, flaws, 5),
            ValueType::Array => array::array(reader).map(|array| Object::Array(Box::new(array))),
            ValueType::Module2 => ModuleValue::read(reader).map(Object::Module),
            ValueType::ModulePreGa => Err(reader.error(Cause::Module(kind.number()))),
        }
    }

    fn packed_set<S: Source>(&mut self, reader: &mut Reader<S>) -> Result<Object<'static>, Error> {
        let place = Packed::New(reader.position());
        let Some(packed) = listpack(reader, &mut self.flaws, 1)? else {
            return Ok(LOST);
        };
        if self.duplicates.any(packed.len(), packed.iter()) {
            return self.lose(reader, place, "duplicate member in a set");
        }
        Ok(Object::SetListpack(packed))
    }

    fn packed_hash<S: Source>(
        &mut self,
        reader: &Reader<S>,
        place: Packed,
        packed: Option<Listpack>,
    ) -> Result<Object<'static>, Error> {
        let Some(packed) = packed else {
            return Ok(LOST);
        };
        match self.wrong_pairs(&packed) {
            Some(reason) => self.lose(reader, place, reason),
            None => Ok(Object::HashListpack(packed)),
        }
    }

    /// Reads a zipmap into unpacked pairs: unlike a ziplist's, the lengths of its elements decide the hash's encoding.
    ///
    /// Source: redis 7.0 rdb.c, rdbLoadObject, case `RDB_TYPE_HASH_ZIPMAP`.
    fn zipmap_hash<S: Source>(&mut self, reader: &mut Reader<S>) -> Result<Object<'static>, Error> {
        let place = Packed::Old(reader.position());
        let Some(packed) = zipmap(reader, &mut self.flaws)? else {
            return Ok(LOST);
        };
        if let Some(reason) = self.wrong_pairs(&packed) {
            return self.lose(reader, place, reason);
        }
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
        let place = Packed::New(reader.position());
        let Some(packed) = listpack(reader, &mut self.flaws, 3)? else {
            return Ok(LOST);
        };
        let mut expiries = packed.iter().skip(2).step_by(3).fuse();
        if let Some(expiry) = expiries.find(|expiry| !is_packed_expiry(*expiry)) {
            let error = reader.error_at(place.at(), corrupt(NOT_AN_EXPIRY));
            if expiry.as_int().is_none() {
                // No server accepts text in its place.
                return Err(error);
            }
            self.flaws.lose(Flaw::FieldExpiry, error)?;
            return Ok(LOST);
        }
        let triples = packed.len() / 3;
        if !packed.len().is_multiple_of(3) {
            self.lose(
                reader,
                place,
                "the elements are not triples of field, value and expiry",
            )
        } else if self.duplicates.any(triples, packed.iter().step_by(3)) {
            self.lose(reader, place, TWICE)
        } else {
            Ok(Object::HashListpackTimed(packed))
        }
    }

    /// DIFFERENCE: servers trust the order of a packed sorted set and answer by it. redtail's searches rely on the order: a set
    /// that is out of order is lost, and its key answers TAINTED.
    fn packed_zset<S: Source>(
        &mut self,
        reader: &Reader<S>,
        place: Packed,
        packed: Option<Listpack>,
    ) -> Result<Object<'static>, Error> {
        let Some(packed) = packed else {
            return Ok(LOST);
        };
        if let Some(reason) = self.wrong_pairs(&packed) {
            return self.lose(reader, place, reason);
        }
        if let Some((flaw, reason)) = wrong_scores(&packed) {
            let error = reader.error_at(place.at(), corrupt(reason));
            self.flaws.lose(flaw, error)?;
            return Ok(LOST);
        }
        Ok(Object::ZsetListpack(packed))
    }

    fn wrong_pairs(&mut self, packed: &Listpack) -> Option<&'static str> {
        if !packed.len().is_multiple_of(2) {
            return Some("an odd number of elements");
        }
        let firsts = packed.iter().step_by(2);
        let any = self.duplicates.any(packed.len() / 2, firsts);
        any.then_some(TWICE)
    }

    /// Reports a packed value whose entries are valid one by one but wrong together. The value is lost.
    fn lose<S: Source>(
        &mut self,
        reader: &Reader<S>,
        place: Packed,
        reason: &'static str,
    ) -> Result<Object<'static>, Error> {
        let error = reader.error_at(place.at(), corrupt(reason));
        self.flaws.lose(place.flaw(), error)?;
        Ok(LOST)
    }
}

/// Where the string that holds a packed value starts.
#[derive(Debug, Clone, Copy)]
enum Packed {
    /// A ziplist or zipmap.
    Old(u64),
    /// A listpack.
    New(u64),
}

impl Packed {
    const fn at(self) -> u64 {
        match self {
            Self::Old(at) | Self::New(at) => at,
        }
    }

    const fn flaw(self) -> Flaw {
        match self {
            Self::Old(_) => Flaw::OldPacked,
            Self::New(_) => Flaw::Listpack,
        }
    }
}

/// Reads a string. Returns also the position at its end.
fn string<S: Source>(reader: &mut Reader<S>) -> Result<(Object<'_>, u64), Error> {
    reader.reading("a string");
    let (kept, end) = reader.string_to_keep()?;
    let object = match kept {
        Kept::Text(text) => Object::Str(text),
        Kept::Int(value) => Object::Int(value),
    };
    Ok((object, end))
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

fn intset<S: Source>(reader: &mut Reader<S>, flaws: &mut Flaws) -> Result<Object<'static>, Error> {
    reader.reading("an intset");
    let (blob, place) = reader.blob()?;
    match Intset::validate(blob) {
        Ok(set) => Ok(Object::SetIntset(set)),
        Err(error) => {
            let flaw = if error.at() >= intset::HEADER_BYTES {
                Flaw::IntsetOrder
            } else {
                Flaw::OldPacked
            };
            flaws.lose(flaw, reader.packed_error(place, error))?;
            Ok(LOST)
        }
    }
}

fn hash<S: Source>(reader: &mut Reader<S>, room: &mut Vec<u8>) -> Result<Object<'static>, Error> {
    let count = count(reader)?;
    let mut pairs = Records::in_room(Shape::FIELD, room);
    for _ in 0..count {
        pair(reader, &mut pairs, None)?;
    }
    Ok(Object::Hash(pairs.leave_room(room)))
}

/// Holds a field while its value is read. Most fields fit inline.
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
    let place = reader.position();
    match i64::from_le_bytes(reader.array()?) {
        -1 => {}
        at @ 0.. => pairs.set_number(handle, expiry_number(Some(at))),
        _ => return Err(reader.error_at(place, corrupt(NOT_AN_EXPIRY))),
    }
    Ok(())
}

/// Redis's type 24, which Redis writes only for hashes that have an expiring field.
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

/// Reads the earliest expiry of a hash's fields. The expiries in Redis's type 24 are relative to it.
fn first_expiry<S: Source>(reader: &mut Reader<S>) -> Result<u64, Error> {
    reader.reading("a hash's first expiry");
    let place = reader.position();
    match u64::from_le_bytes(reader.array()?) {
        // One more than the latest time means no expiry at all.
        at if at <= FIELD_EXPIRY_MS_MAX + 1 => Ok(at),
        _ => Err(reader.error_at(place, corrupt(NOT_AN_EXPIRY))),
    }
}

/// Reads a field's expiry, then the pair. The expiry is 0 for none, or the time since `first` plus one.
fn pair_after_expiry<S: Source>(
    reader: &mut Reader<S>,
    pairs: &mut Records,
    first: u64,
) -> Result<(), Error> {
    reader.reading("a field's expiry");
    let place = reader.position();
    let expire_at_ms = match reader.length()? {
        0 => None,
        since => Some(
            field_expiry(since - 1, first)
                .ok_or_else(|| reader.error_at(place, corrupt(NOT_AN_EXPIRY)))?,
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
    mut score: impl FnMut(&mut Reader<S>) -> Result<f64, Error>,
) -> Result<Object<'static>, Error> {
    let count = count(reader)?;
    let mut members = Records::in_room(Shape::SCORED, room);
    for _ in 0..count {
        reader.reading("a sorted set's member");
        let member = reader.string()?;
        let member = members.push(Record::member(member.text(&mut IntText::new())));
        reader.reading("a sorted set's score");
        let at = reader.position();
        let score = score(reader)?;
        if score.is_nan() {
            return Err(reader.error_at(at, corrupt(NOT_A_SCORE)));
        }
        members.set_number(member, score.to_bits());
    }
    Ok(Object::Zset(members.leave_room(room)))
}

fn binary_score<S: Source>(reader: &mut Reader<S>) -> Result<f64, Error> {
    reader.array().map(f64::from_le_bytes)
}

/// Source: redis 7.0 rdb.c, rdbLoadDoubleValue.
fn text_score<S: Source>(reader: &mut Reader<S>, flaws: &mut Flaws) -> Result<f64, Error> {
    let at = reader.position();
    let text = match reader.u8()? {
        253 => return Ok(f64::NAN),
        254 => return Ok(f64::INFINITY),
        255 => return Ok(f64::NEG_INFINITY),
        len => reader.take(len.into())?,
    };
    if let Ok(score) = parse_score(text) {
        return Ok(score);
    }
    // Servers read up to where the text stops being a number.
    let flaw = if text
        .trim_ascii_start()
        .first()
        .is_some_and(u8::is_ascii_digit)
    {
        Flaw::ScoreText
    } else {
        Flaw::MemberTwice
    };
    flaws.lose(flaw, reader.error_at(at, corrupt(NOT_A_SCORE)))?;
    Ok(0.0)
}

/// Parses a score's text, or returns the flaw in it.
fn parse_score(text: &[u8]) -> Result<f64, Flaw> {
    let text = std::str::from_utf8(text).map_err(|_| Flaw::ScoreText)?;
    match text.parse::<f64>() {
        Ok(score) if score.is_nan() => Err(Flaw::ScoreNan),
        Ok(score) => Ok(score),
        Err(_) => Err(Flaw::ScoreText),
    }
}

/// Checks that every second element is a score, and that the scores, then the members, ascend. Returns what is wrong, if
/// anything.
fn wrong_scores(packed: &Listpack) -> Option<(Flaw, &'static str)> {
    let mut items = packed.iter();
    let mut previous: Option<(f64, Item<'_>)> = None;
    let mut wrong = None;
    while let (Some(member), Some(score)) = (items.next(), items.next()) {
        let score = match packed_score(score) {
            Ok(score) => score,
            // More servers refuse this flaw than any other, so it counts wherever it is.
            Err(Flaw::ScoreNan) => return Some((Flaw::ScoreNan, NOT_A_SCORE)),
            Err(flaw) => {
                wrong.get_or_insert((flaw, NOT_A_SCORE));
                continue;
            }
        };
        let ascends = previous.is_none_or(|(before, earlier)| {
            before < score || (before == score && less(&earlier, &member))
        });
        if !ascends {
            wrong.get_or_insert((Flaw::ScoreOrder, "a packed sorted set is out of order"));
        }
        previous = Some((score, member));
    }
    wrong
}

fn packed_score(item: Item<'_>) -> Result<f64, Flaw> {
    match item {
        #[expect(
            clippy::cast_precision_loss,
            reason = "Redis converts the same way; larger numbers are stored as text"
        )]
        Item::Int(value) => Ok(value as f64),
        Item::Str(text) => parse_score(text),
    }
}

fn less(one: &Item<'_>, other: &Item<'_>) -> bool {
    one.text(&mut IntText::new()) < other.text(&mut IntText::new())
}

/// Reads a listpack whose elements take `items` items each. Returns `None` if it has a flaw that loses the value.
///
/// Servers trust the header: a listpack whose header states less than one whole element is empty, whatever it holds.
pub(super) fn listpack<S: Source>(
    reader: &mut Reader<S>,
    flaws: &mut Flaws,
    items: u16,
) -> Result<Option<Listpack>, Error> {
    reader.reading("a listpack");
    let (blob, place) = reader.blob()?;
    let stated = match blob.as_slice() {
        [_, _, _, _, low, high, ..] => u16::from_le_bytes([*low, *high]),
        _ => 0,
    };
    let error = match Listpack::validate(blob) {
        Ok(packed) if packed.is_empty() || stated >= items => return Ok(Some(packed)),
        Ok(_) => reader.packed_error(place, INCOMPLETE),
        Err(error) if error.is_outside() => return Err(reader.packed_error(place, error)),
        Err(error) => reader.packed_error(place, error),
    };
    if stated < items {
        flaws.keep(Flaw::Listpack, error)?;
        return Ok(Some(Listpack::new()));
    }
    flaws.lose(Flaw::Listpack, error)?;
    Ok(None)
}

fn ziplist<S: Source>(
    reader: &mut Reader<S>,
    flaws: &mut Flaws,
) -> Result<Option<Listpack>, Error> {
    reader.reading("a ziplist");
    repack(reader, flaws, |blob, packed| {
        read_ziplist(blob, |item| packed.push_item(item))
    })
}

fn zipmap<S: Source>(reader: &mut Reader<S>, flaws: &mut Flaws) -> Result<Option<Listpack>, Error> {
    reader.reading("a zipmap");
    repack(reader, flaws, |blob, packed| {
        read_zipmap(blob, |text| packed.push(text))
    })
}

/// Converts a blob of an old layout to a listpack. Returns `None` if it has a flaw that loses the value.
fn repack<S: Source>(
    reader: &mut Reader<S>,
    flaws: &mut Flaws,
    read: impl FnOnce(&[u8], &mut Listpack) -> Result<(), PackedError>,
) -> Result<Option<Listpack>, Error> {
    let (blob, place) = reader.blob()?;
    let mut packed = Listpack::with_room(blob.len());
    if let Err(error) = read(&blob, &mut packed) {
        flaws.lose(Flaw::OldPacked, reader.packed_error(place, error))?;
        return Ok(None);
    }
    packed.shrink_to_fit();
    Ok(Some(packed))
}

fn count<S: Source>(reader: &mut Reader<S>) -> Result<u64, Error> {
    reader.reading("a collection's size");
    reader.length()
}

/// The capacity to reserve for a declared count that is not yet backed by data.
pub(super) fn room(count: u64) -> usize {
    usize::try_from(count).map_or(PREALLOCATED_ELEMENTS_MAX, |count| {
        count.min(PREALLOCATED_ELEMENTS_MAX)
    })
}

const INCOMPLETE: PackedError = PackedError::Entry {
    at: 4,
    reason: "the listpack holds no complete element",
};
const TWICE: &str = "duplicate field or member";
const NOT_A_SCORE: &str = "invalid score";
const NOT_AN_EXPIRY: &str = "invalid expiry";
/// The latest expiry that Redis accepts for a field, Unix time in milliseconds. Source: redis 8.0 ebuckets.h,
/// `EB_EXPIRE_TIME_MAX`.
pub(crate) const FIELD_EXPIRY_MS_MAX: u64 = 0xffff_ffff_ffff;

#[cfg(test)]
#[path = "value_tests.rs"]
mod tests;
