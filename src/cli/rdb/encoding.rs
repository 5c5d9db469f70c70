//! The name that OBJECT ENCODING has for the form in which a value is written.

use super::keys::Key;
use crate::{
    dialect::Dialect,
    rdb::{
        object::{ListNode, Object},
        packed::Item,
        type_name,
    },
};

/// Returns the name that the server which wrote the value used for its form: `ziplist` for a value written as a ziplist, even
/// if a newer server converts it.
///
/// `dialect` decides where the value's type number does not: whether a string is `embstr`, and whether a list of one listpack
/// is `listpack`.
pub(super) fn encoding(key: &Key<'_>, dialect: Dialect) -> &'static str {
    let expires = key.meta.expire_at_ms.is_some();
    match &key.object {
        Object::Str(text) if Item::from_text(text) == Item::Str(text) => {
            let embedded = dialect.embeds_text(key.name.len(), text.len(), expires);
            if embedded { "embstr" } else { "raw" }
        }
        Object::Str(_) | Object::Int(_) => "int",
        Object::List(nodes) => list(nodes, key.type_number, dialect),
        Object::Stream(_) => "stream",
        Object::Module(_) => "raw",
        _ => collection(key.type_number),
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
