//! What OBJECT ENCODING calls a value that is written in a given way.

use crate::{
    dialect::Dialect,
    rdb::{
        object::{ListNode, Meta, Object},
        packed::Item,
        type_name,
    },
};

/// The name that the server which wrote the value had for its form: `ziplist` for one written as a ziplist, whatever a
/// newer server would make of it.
///
/// `type_number` is the value's number in the dump; `dialect` tells the versions apart where that does not: whether a
/// string is `embstr`, and whether a list of one listpack is called so.
pub(super) fn encoding(
    key: &[u8],
    meta: Meta,
    object: &Object<'_>,
    type_number: u8,
    dialect: Dialect,
) -> &'static str {
    match object {
        Object::Str(text) if Item::from_text(text) == Item::Str(text) => {
            let embedded = dialect.embeds_text(key.len(), text.len(), meta.expire_at_ms.is_some());
            if embedded { "embstr" } else { "raw" }
        }
        Object::Str(_) | Object::Int(_) => "int",
        Object::List(nodes) => list(nodes, type_number, dialect),
        Object::Stream(_) => "stream",
        Object::Module(_) => "raw",
        _ => collection(type_number),
    }
}

fn list(nodes: &[ListNode], type_number: u8, dialect: Dialect) -> &'static str {
    match (type_name(type_number), nodes) {
        ("quicklist-v2", [ListNode::Packed(_)]) if dialect.has_small_listpack_lists_and_sets() => {
            "listpack"
        }
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
        "zset-v1" | "zset-v2" => "skiplist",
        _ => "hashtable",
    }
}
