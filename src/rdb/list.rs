//! The layouts of lists.

use super::{
    error::{Cause, Error},
    listpack::Listpack,
    object::{ListNode, Object},
    packed::{IntText, Item},
    reader::Reader,
    source::Source,
    ziplist::read_ziplist,
};

/// A list as single strings. Packed here the way that Redis packs by default.
pub(super) fn plain<S: Source>(reader: &mut Reader<S>) -> Result<Object<'static>, Error> {
    reader.reading("a list's size");
    let count = reader.length()?;
    let mut list = Builder::default();
    reader.reading("a list's element");
    for _ in 0..count {
        list.push(reader.string()?);
    }
    Ok(list.finish())
}

/// A list as many ziplists.
pub(super) fn quicklist<S: Source>(reader: &mut Reader<S>) -> Result<Object<'static>, Error> {
    reader.reading("a list's size");
    let nodes = reader.length()?;
    ziplists(reader, nodes)
}

/// A list as a number of ziplists.
pub(super) fn ziplists<S: Source>(
    reader: &mut Reader<S>,
    nodes: u64,
) -> Result<Object<'static>, Error> {
    let mut list = Builder::default();
    reader.reading("a list's ziplist");
    for _ in 0..nodes {
        let blob = reader.blob()?;
        read_ziplist(&blob, |item| list.push(item)).map_err(|error| reader.error(error))?;
        list.end_node();
    }
    Ok(list.finish())
}

/// A list as listpacks and single large elements.
pub(super) fn quicklist_2<S: Source>(reader: &mut Reader<S>) -> Result<Object<'static>, Error> {
    reader.reading("a list's size");
    let count = reader.length()?;
    let mut nodes = Vec::new();
    for _ in 0..count {
        match node(reader)? {
            ListNode::Packed(packed) if packed.is_empty() => {}
            node => nodes.push(node),
        }
    }
    Ok(Object::List(nodes))
}

fn node<S: Source>(reader: &mut Reader<S>) -> Result<ListNode, Error> {
    reader.reading("a list's node");
    match reader.length()? {
        PLAIN => match reader.boxed_string()? {
            text if text.is_empty() => {
                Err(reader.error(Cause::Corrupt("a large element without bytes")))
            }
            text => Ok(ListNode::Plain(text)),
        },
        PACKED => {
            let blob = reader.blob()?;
            Listpack::validate(blob)
                .map(ListNode::Packed)
                .map_err(|error| reader.error(error))
        }
        _ => Err(reader.error(Cause::Corrupt("not a kind of list node"))),
    }
}

/// Packs elements into nodes of up to [`NODE_BYTES_MAX`].
#[derive(Default)]
struct Builder {
    nodes: Vec<ListNode>,
    current: Listpack,
}

impl Builder {
    fn push(&mut self, item: Item<'_>) {
        let mut buffer = IntText::new();
        let text = item.text(&mut buffer);
        if self.current.byte_len() + text.len() + ENTRY_OVERHEAD_BYTES > NODE_BYTES_MAX {
            self.end_node();
        }
        if text.len() > NODE_BYTES_MAX - ENTRY_OVERHEAD_BYTES {
            self.nodes.push(ListNode::Plain(text.into()));
        } else {
            self.current.push(text);
        }
    }

    fn end_node(&mut self) {
        if !self.current.is_empty() {
            let mut full = std::mem::take(&mut self.current);
            full.shrink_to_fit();
            self.nodes.push(ListNode::Packed(full));
        }
    }

    fn finish(mut self) -> Object<'static> {
        self.end_node();
        Object::List(self.nodes)
    }
}

/// Source: redis 7.0 quicklist.h, `QUICKLIST_NODE_CONTAINER_*`.
pub(super) const PLAIN: u64 = 1;
pub(super) const PACKED: u64 = 2;
/// The default `list-max-listpack-size`, -2.
const NODE_BYTES_MAX: usize = 8 << 10;
/// What a listpack adds to an element at most. Source: redis 7.0 quicklist.c, `SIZE_ESTIMATE_OVERHEAD`.
const ENTRY_OVERHEAD_BYTES: usize = 8;
