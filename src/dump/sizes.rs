//! The memory that a value takes in redtail.

use super::{
    collections::{HashForm, SetForm, SortedForm},
    item::Item,
    value::{Key, Value},
};
use crate::rdb::{object::ListNode, records::Records};

/// A string longer than this has a block of its own. See `store/entry.rs`.
const INLINE_TEXT_BYTES_MAX: usize = 4096;

/// A value that is not in its key's block: its enum, and the pointer in the block.
const OBJECT_BYTES: usize = 32 + 8;

/// A key's place in its table: a pointer and a byte of the hash, in tables that are 7/8 to 7/16 full.
const SLOT_BYTES: usize = 13;

/// A member's place in the table of a large collection.
const MEMBER_BYTES: usize = 10;

/// A member's place in the order of a large sorted set.
const RANK_BYTES: usize = 12;

impl Key<'_> {
    /// About how many bytes of memory redtail takes for the key, its value and its place in the table.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let expiry = if self.expire_at_ms.is_some() { 8 } else { 0 };
        SLOT_BYTES + 1 + prefixed(self.name.len()) + expiry + value_bytes(&self.value)
    }
}

/// The length of a text after its own length.
const fn prefixed(len: usize) -> usize {
    match len {
        0..0x80 => 1 + len,
        0x80..0x4000 => 2 + len,
        0x4000..0x20_0000 => 3 + len,
        _ => 4 + len,
    }
}

fn value_bytes(value: &Value<'_>) -> usize {
    let outside = match value {
        Value::String(Item::Integer(_)) => return 8,
        Value::String(text) if text.len() <= INLINE_TEXT_BYTES_MAX => return prefixed(text.len()),
        Value::String(text) => text.len(),
        Value::List(list) => list.0.iter().map(node_bytes).sum(),
        Value::Set(set) => match set.0 {
            SetForm::Integers(set) => set.as_bytes().len(),
            SetForm::Packed(set) => set.as_bytes().len(),
            SetForm::Records(set) => records_bytes(set, 0),
        },
        Value::Hash(hash) => match hash.0 {
            HashForm::Packed(hash) | HashForm::PackedTimed(hash) => hash.as_bytes().len(),
            HashForm::Records(hash) | HashForm::RecordsTimed(hash) => records_bytes(hash, 0),
            HashForm::Template(_, values) => values.iter().map(|value| prefixed(value.len())).sum(),
        },
        Value::SortedSet(set) => match set.0 {
            SortedForm::Packed(set) => set.as_bytes().len(),
            SortedForm::Records(set) => records_bytes(set, RANK_BYTES),
        },
        Value::Stream(stream) => stream.held_bytes(),
        Value::Array(array) => array.held_bytes(),
        Value::Module(module) => module.held_bytes(),
    };
    OBJECT_BYTES + outside
}

fn node_bytes(node: &ListNode) -> usize {
    /// A node's own fields.
    const NODE_BYTES: usize = 24;
    NODE_BYTES
        + match node {
            ListNode::Plain(bytes) => bytes.len(),
            ListNode::Packed(packed) => packed.as_bytes().len(),
        }
}

fn records_bytes(records: &Records, each: usize) -> usize {
    records.heap_bytes() + records.len() * (MEMBER_BYTES + each)
}
