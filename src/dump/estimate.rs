//! The memory that a key would take in a server, as MEMORY USAGE would reply after the server has loaded the dump.
//!
//! The structures are those of the servers' headers; the allocator is jemalloc with its size classes, as their packages are built.
//! What a structure cannot say without being built (levels of skip lists, nodes of radix trees, overflowing buckets) is the
//! expected value.
//!
//! Source: object.c, `objectComputeSize`, of redis 7.0 and 8.0 and valkey 9.1, and answers of those servers.

use super::{
    collections::{HashForm, SetForm, SortedForm},
    item::Item,
    stream::Stream,
    value::{Key, Value},
};
use crate::rdb::{object::ListNode, packed};

/// What radix trees take.
struct Radix {
    node: f64,
    key: f64,
    /// The nodes of a tree for each pending entry in it.
    nodes_of_pending: f64,
}

/// A server for which memory is estimated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerKind {
    /// Redis 7.0.
    Redis7,
    /// Redis 8.0.
    Redis8,
    /// Valkey 9.
    Valkey9,
}

/// `robj`, with its pointer.
const OBJECT: f64 = 16.0;
/// A Redis `dictEntry`.
const ENTRY: f64 = 24.0;
/// A Redis `dict`.
const DICT: f64 = 56.0;
/// A Valkey `hashtable`.
const HASHTABLE: f64 = 88.0;
/// A Valkey bucket, and how many entries it has.
const BUCKET: f64 = 64.0;
const BUCKET_ENTRIES: f64 = 7.0;
/// `quicklist`, and `quicklistNode`.
const QUICKLIST: f64 = 40.0;
const QUICKLIST_NODE: f64 = 32.0;
/// A list in one listpack of at most these bytes is no quicklist since Redis 7.2. Source: `list-max-listpack-size -2`.
const LISTPACK_LIST_BYTES_MAX: usize = 8192;
/// The expected size of a skip list's node: one level in four goes on to the next.
const SKIPLIST_NODE: f64 = 53.3;
/// `zset`, `zskiplist` and the first node, with 32 levels.
const SKIPLIST: f64 = 16.0 + 32.0 + 640.0;
const SKIPLIST_VALKEY: f64 = 540.0;
/// `stream`.
const STREAM: f64 = 80.0;
/// What Redis counts for each node and each key of a radix tree, whatever they take. Source: `streamRadixTreeMemoryUsage`.
const RADIX: Radix = Radix {
    node: 244.0,
    key: 16.0,
    nodes_of_pending: 1.38,
};
/// What Valkey's radix trees take: it adds up their allocations.
const RADIX_VALKEY: Radix = Radix {
    node: 40.0,
    key: 8.0,
    nodes_of_pending: 0.2,
};
/// `streamCG`, `streamConsumer`, `streamNACK`.
const GROUP: f64 = 40.0;
const CONSUMER: f64 = 48.0;
const PENDING: f64 = 24.0;
/// The length of the longest text that is kept as an integer.
const INTEGER_TEXT_BYTES_MAX: usize = 20;
/// Longer values are not in their key's block in Valkey.
const EMBEDDED_BYTES_MAX: usize = 128;
/// The longest string in its object's block in Redis.
const EMBSTR_BYTES_MAX: usize = 44;

impl Key<'_> {
    /// About how many bytes the key takes in `server`: as MEMORY USAGE replies after the dump was loaded there. For strings, lists
    /// and packed collections this is exact, for others within a few percent, for streams within a third. The value of a module is
    /// taken as its bytes.
    #[must_use]
    pub fn server_bytes(&self, server: ServerKind) -> u64 {
        let total = match server {
            ServerKind::Redis7 | ServerKind::Redis8 => redis(self, server),
            ServerKind::Valkey9 => valkey(self),
        };
        // Sizes are positive and far below 2⁵³.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "see above"
        )]
        let bytes = total.round() as u64;
        bytes
    }
}

/// The size class of an allocation. Source: jemalloc 5, `size_classes.sh`.
fn class(bytes: usize) -> f64 {
    let rounded = match bytes {
        0..=8 => 8,
        9..=128 => bytes.next_multiple_of(16),
        _ => {
            let power = (bytes - 1).ilog2();
            bytes.next_multiple_of(1 << (power - 2))
        }
    };
    number(rounded)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a size or a count far below 2⁵³"
)]
const fn number(count: usize) -> f64 {
    count as f64
}

/// A string of its own. Source: sds.h: a header by the length, and a zero at the end.
fn sds(len: usize) -> f64 {
    class(sds_header(len) + len + 1)
}

const fn sds_header(len: usize) -> usize {
    match len {
        0 => 3,
        1..32 => 1,
        32..256 => 3,
        256..65_536 => 5,
        _ => 9,
    }
}

fn redis(key: &Key<'_>, server: ServerKind) -> f64 {
    let value = match &key.value {
        Value::String(Item::Integer(_)) => OBJECT,
        Value::String(Item::Bytes(text)) if is_integer(text) => OBJECT,
        Value::String(text) if text.len() <= EMBSTR_BYTES_MAX => class(20 + text.len()),
        Value::String(text) => OBJECT + raw(text.len()),
        Value::List(list) => OBJECT + list_bytes(list.0, server != ServerKind::Redis7),
        Value::Set(set) => {
            OBJECT
                + match set.0 {
                    SetForm::Integers(set) => class(set.byte_len()),
                    SetForm::Packed(set) => class(set.byte_len()),
                    SetForm::Records(set) => {
                        let each = set.iter().map(|member| ENTRY + sds(member.key.len()));
                        dict(set.len()) + each.sum::<f64>()
                    }
                }
        }
        Value::Hash(hash) => {
            OBJECT
                + match hash.0 {
                    HashForm::Packed(hash) | HashForm::PackedTimed(hash) => class(hash.byte_len()),
                    _ => {
                        let pairs = hash.iter();
                        let each = pairs
                            .map(|field| ENTRY + sds(field.name.len()) + sds(field.value.len()));
                        dict(hash.len()) + each.sum::<f64>()
                    }
                }
        }
        Value::SortedSet(set) => {
            OBJECT
                + match set.0 {
                    SortedForm::Packed(set) => class(set.byte_len()),
                    SortedForm::Records(set) => {
                        let each = set
                            .iter()
                            .map(|member| ENTRY + SKIPLIST_NODE + sds(member.key.len()));
                        SKIPLIST + dict(set.len()) + each.sum::<f64>()
                    }
                }
        }
        Value::Stream(stream) => OBJECT + stream_bytes(stream, &RADIX),
        Value::Array(_) | Value::Module(_) => {
            OBJECT + number(usize::try_from(key.file_bytes).unwrap_or(0))
        }
    };
    value + sds(key.name.len()) + ENTRY
}

fn valkey(key: &Key<'_>) -> f64 {
    let expiry = if key.expire_at_ms.is_some() { 8 } else { 0 };
    // The key is in its object's block, after the length of its header.
    let name = 1 + sds_header(key.name.len()) + key.name.len() + 1;
    let object = class(16 + expiry + name);
    match &key.value {
        Value::String(Item::Integer(_)) => object,
        Value::String(Item::Bytes(text)) if is_integer(text) => object,
        Value::String(text) => {
            // In place of the pointer.
            let embedded = 8 + expiry + name + 3 + text.len() + 1;
            match embedded <= EMBEDDED_BYTES_MAX {
                true => class(embedded),
                false => object + raw(text.len()),
            }
        }
        Value::List(list) => object + list_bytes(list.0, true),
        Value::Set(set) => {
            object
                + match set.0 {
                    SetForm::Integers(set) => class(set.byte_len()),
                    SetForm::Packed(set) => class(set.byte_len()),
                    SetForm::Records(set) => {
                        let each = set.iter().map(|member| sds(member.key.len()));
                        hashtable(set.len()) + each.sum::<f64>()
                    }
                }
        }
        Value::Hash(hash) => {
            object
                + match hash.0 {
                    HashForm::Packed(hash) | HashForm::PackedTimed(hash) => class(hash.byte_len()),
                    _ => {
                        let each = hash.iter().map(|field| {
                            let expiry = if field.expire_at_ms.is_some() { 8 } else { 0 };
                            pair(field.name.len(), field.value.len(), expiry)
                        });
                        hashtable(hash.len()) + each.sum::<f64>()
                    }
                }
        }
        Value::SortedSet(set) => {
            object
                + match set.0 {
                    SortedForm::Packed(set) => class(set.byte_len()),
                    SortedForm::Records(set) => {
                        let each = set.iter().map(|member| node(member.key.len()));
                        SKIPLIST_VALKEY + hashtable(set.len()) + each.sum::<f64>()
                    }
                }
        }
        Value::Stream(stream) => object + stream_bytes(stream, &RADIX_VALKEY),
        Value::Array(_) | Value::Module(_) => {
            object + number(usize::try_from(key.file_bytes).unwrap_or(0))
        }
    }
}

/// Whether a string is kept as an integer.
fn is_integer(text: &[u8]) -> bool {
    text.len() <= INTEGER_TEXT_BYTES_MAX
        && matches!(packed::Item::from_text(text), packed::Item::Int(_))
}

/// A string outside its object's block. Its header is never the smallest.
fn raw(len: usize) -> f64 {
    let header = sds_header(len).max(3);
    class(header + len + 1)
}

fn list_bytes(nodes: &[ListNode], has_listpacks: bool) -> f64 {
    if let ([ListNode::Packed(packed)], true) = (nodes, has_listpacks)
        && packed.byte_len() <= LISTPACK_LIST_BYTES_MAX
    {
        return class(packed.byte_len());
    }
    let each = nodes.iter().map(|node| {
        QUICKLIST_NODE
            + match node {
                ListNode::Plain(bytes) => class(bytes.len()),
                ListNode::Packed(packed) => class(packed.byte_len()),
            }
    });
    QUICKLIST + each.sum::<f64>()
}

/// A Redis dict of `len` entries, without these.
fn dict(len: usize) -> f64 {
    DICT + 8.0 * number(len.max(4).next_power_of_two())
}

/// A Valkey hashtable of `len` entries, without these. A bucket that overflows has another one; how many entries a bucket has is
/// Poisson distributed.
fn hashtable(len: usize) -> f64 {
    let buckets = number(len.div_ceil(7).max(1).next_power_of_two());
    let mean = number(len) / buckets;
    let mut term = (-mean).exp();
    let mut fits = 0.0;
    let mut count = 0.0;
    while count <= BUCKET_ENTRIES {
        fits += term;
        count += 1.0;
        term *= mean / count;
    }
    HASHTABLE + BUCKET * buckets * (2.0 - fits)
}

/// A Valkey field with its value: in one block if that is small.
fn pair(field: usize, value: usize, expiry: usize) -> f64 {
    let name = sds_header(field) + field + 1;
    let text = 3.max(sds_header(value)) + value + 1;
    match expiry + name + 1 + text <= EMBEDDED_BYTES_MAX {
        true => class(expiry + name + 1 + text),
        false => class(expiry + 8 + name) + class(text),
    }
}

/// A Valkey node with its member, at the expected level.
fn node(member: usize) -> f64 {
    let text = 1 + sds_header(member) + member + 1;
    let level = |levels: usize| class(16 + 16 * levels + text);
    0.75 * level(1) + 0.1875 * level(2) + 0.0469 * level(3) + 0.0156 * level(4)
}

fn stream_bytes(stream: &Stream<'_>, radix: &Radix) -> f64 {
    let packs: f64 = stream.nodes().map(class).sum();
    let groups = stream.groups().map(|group| {
        let consumers = group.consumers();
        let consumers = consumers.map(|consumer| CONSUMER + sds(consumer.name.len()) + radix.node);
        // Each is in the tree of its group and in that of its consumer.
        let pending = number(group.pending().count());
        let tree = radix.key + radix.nodes_of_pending * radix.node;
        let pending = pending * (PENDING + 2.0 * tree);
        GROUP + radix.node + consumers.sum::<f64>() + pending
    });
    let count = number(stream.nodes().count());
    let radix = count * radix.key + (1.1 + 0.87 * count) * radix.node;
    STREAM + radix + packs + groups.sum::<f64>()
}
