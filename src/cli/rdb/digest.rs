//! What a value is, in 16 bytes, however it is written; and its parts, each with a name.

use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use crate::dump::{Array, Group, Hash, Item, Key, SortedSet, Stream, StreamId, Value};

/// Returns a digest of a key's type and value, and of its expiry if `expiry` is set. Values are equal to clients if and, but for
/// collisions of 128 bits, only if their digests are.
pub(super) fn digest(key: &Key<'_>, expiry: bool) -> u128 {
    let mut all = Sequence::new(key.value.kind());
    match &key.value {
        Value::Set(_) | Value::Hash(_) | Value::SortedSet(_) => {
            let mut sum = 0_u128;
            elements(&key.value, &mut |name, content| {
                let mut one = Sequence::new("element");
                one.add(name);
                one.add(content);
                // Their order does not matter.
                sum = sum.wrapping_add(one.finish());
            });
            all.add(&sum.to_le_bytes());
        }
        other => elements(other, &mut |name, content| {
            all.add(name);
            all.add(content);
        }),
    }
    if let (Some(at), true) = (key.expire_at_ms, expiry) {
        all.add(&at.to_le_bytes());
    }
    all.finish()
}

/// Texts one after the other, each with its length.
struct Sequence(Xxh3);

impl Sequence {
    fn new(kind: &str) -> Self {
        let mut sequence = Self(Xxh3::new());
        sequence.add(kind.as_bytes());
        sequence
    }

    fn add(&mut self, text: &[u8]) {
        self.0.update(&(text.len() as u64).to_le_bytes());
        self.0.update(text);
    }

    fn finish(&self) -> u128 {
        self.0.digest128()
    }
}

/// Passes the parts of a value to `visit`: the name of each, such as a field or an index, and its content.
pub(super) fn elements(value: &Value<'_>, visit: &mut dyn FnMut(&[u8], &[u8])) {
    match value {
        Value::String(text) => visit(b"value", &text.to_bytes()),
        Value::List(list) => {
            for (index, item) in list.iter().enumerate() {
                visit(index.to_string().as_bytes(), &item.to_bytes());
            }
        }
        Value::Set(set) => set.iter().for_each(|member| visit(&member.to_bytes(), b"")),
        Value::Hash(hash) => fields(hash, visit),
        Value::SortedSet(set) => members(set, visit),
        Value::Stream(stream) => entries(stream, visit),
        Value::Array(array) => indexes(array, visit),
        Value::Module(module) => visit(module.type_name().as_bytes(), module.raw()),
    }
}

fn fields(hash: &Hash<'_>, visit: &mut dyn FnMut(&[u8], &[u8])) {
    for field in hash.iter() {
        let value = field.value.to_bytes();
        match field.expire_at_ms {
            None => visit(&field.name.to_bytes(), &value),
            Some(at) => {
                let timed = [&value[..], format!(" (expires {at})").as_bytes()].concat();
                visit(&field.name.to_bytes(), &timed);
            }
        }
    }
}

fn members(set: &SortedSet<'_>, visit: &mut dyn FnMut(&[u8], &[u8])) {
    let mut text = Vec::new();
    for (member, score) in set.iter() {
        text.clear();
        crate::resp::double::write(&mut text, score, true);
        visit(&member.to_bytes(), &text);
    }
}

fn indexes(array: &Array<'_>, visit: &mut dyn FnMut(&[u8], &[u8])) {
    for (index, text) in array.iter() {
        visit(index.to_string().as_bytes(), &text);
    }
    if let Some(index) = array.insert_index() {
        visit(b"insert index", index.to_string().as_bytes());
    }
}

fn entries(stream: &Stream<'_>, visit: &mut dyn FnMut(&[u8], &[u8])) {
    let id = |id: StreamId| format!("{}-{}", id.ms, id.seq);
    for entry in stream.iter() {
        let mut pairs = Vec::new();
        for (field, value) in entry.iter() {
            join(&mut pairs, field);
            join(&mut pairs, value);
        }
        visit(id(entry.id()).as_bytes(), &pairs);
    }
    visit(b"last id", id(stream.last_id()).as_bytes());
    if let (Some(added), Some(deleted)) = (stream.entries_added(), stream.max_deleted_id()) {
        visit(b"entries added", added.to_string().as_bytes());
        visit(b"largest deleted id", id(deleted).as_bytes());
    }
    for group in stream.groups() {
        let name = [b"group ", group.name()].concat();
        let content = described(&group);
        visit(&name, &content);
    }
}

/// What a group has delivered. When consumers were last seen is left out: that changes without any command.
fn described(group: &Group<'_>) -> Vec<u8> {
    let last = group.last_id();
    let mut text = format!("last id {}-{}", last.ms, last.seq).into_bytes();
    for pending in group.pending() {
        let (id, count) = (pending.id, pending.deliveries);
        text.extend_from_slice(
            format!(", {}-{} delivered {count} times to ", id.ms, id.seq).as_bytes(),
        );
        text.extend_from_slice(pending.consumer.unwrap_or(b"(nobody)"));
    }
    for consumer in group.consumers() {
        text.extend_from_slice(b", consumer ");
        text.extend_from_slice(consumer.name);
    }
    text
}

fn join(texts: &mut Vec<u8>, item: Item<'_>) {
    if !texts.is_empty() {
        texts.push(b' ');
    }
    texts.extend_from_slice(&item.to_bytes());
}

/// A digest of a key's name, with its database.
pub(super) fn name_digest(name: &[u8]) -> u128 {
    xxh3_128(name)
}

/// A database's number and a key's name in one.
pub(super) fn place(db: u64, key: &[u8]) -> Vec<u8> {
    [&db.to_le_bytes()[..], key].concat()
}

/// The database and the name in what [`place`] returned.
pub(super) fn of_place(place: &[u8]) -> (u64, &[u8]) {
    match place.split_first_chunk() {
        Some((db, key)) => (u64::from_le_bytes(*db), key),
        None => (0, place),
    }
}
