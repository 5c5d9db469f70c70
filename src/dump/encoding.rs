//! The name that OBJECT ENCODING has for the form in which a value is written.

use super::value::{Key, Value};
use crate::rdb::{object::ListNode, packed, type_name};

/// Returns the name that the server which wrote the value used for its form.
///
/// The dialect decides where the value's type number does not: whether a string is `embstr`, and whether a list of one listpack
/// is `listpack`.
pub(super) fn encoding(key: &Key<'_>) -> &'static str {
    match &key.value {
        Value::String(text) => string(key, text.packed()),
        Value::List(list) => list_encoding(list.0, key),
        Value::Stream(_) => "stream",
        Value::Array(_) => "sliced-array",
        Value::Module(_) => "raw",
        Value::Set(_) | Value::Hash(_) | Value::SortedSet(_) => collection(key.type_number),
    }
}

fn string(key: &Key<'_>, text: packed::Item<'_>) -> &'static str {
    let packed::Item::Str(text) = text else {
        return "int";
    };
    let expires = key.expire_at_ms.is_some();
    if packed::Item::from_text(text) != packed::Item::Str(text) {
        "int"
    } else if key.dialect.embeds_text(key.name.len(), text.len(), expires) {
        "embstr"
    } else {
        "raw"
    }
}

fn list_encoding(nodes: &[ListNode], key: &Key<'_>) -> &'static str {
    let has_small = key.dialect.has_small_listpack_lists_and_sets();
    match (type_name(key.type_number), nodes) {
        ("quicklist-v2", [ListNode::Packed(_)]) if has_small => "listpack",
        ("list-linked", _) => "linkedlist",
        ("list-ziplist", _) => "ziplist",
        _ => "quicklist",
    }
}

fn collection(type_number: u8) -> &'static str {
    match type_name(type_number) {
        "set-intset" => "intset",
        "set-listpack" | "hash-listpack" | "zset-listpack" => "listpack",
        "hash-listpack-md" | "hash-listpack-md-pre-release" => "listpackex",
        "hash-ziplist" | "zset-ziplist" => "ziplist",
        "hash-zipmap" => "zipmap",
        "hash-template-listpack" | "hash-template-listpack-ref" => "template-listpack",
        "hash-template-array" | "hash-template-array-ref" => "template-array",
        "zset-v1" | "zset-v2" => "skiplist",
        _ => "hashtable",
    }
}
