//! The layouts of lists.

use super::{
    error::{Cause, Error},
    flaws::Flaws,
    listpack::Listpack,
    object::{ListNode, Object},
    packed::{IntText, Item},
    reader::Reader,
    source::Source,
    value::listpack,
    ziplist::read_ziplist,
};
use crate::dialect::Flaw;

/// Reads a list of single strings and packs it the way Redis packs by default.
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

/// Reads a list of ziplists, preceded by their number.
pub(super) fn quicklist<S: Source>(
    reader: &mut Reader<S>,
    flaws: &mut Flaws,
) -> Result<Object<'static>, Error> {
    reader.reading("a list's size");
    let nodes = reader.length()?;
    ziplists(reader, flaws, nodes)
}

/// Reads a list of `nodes` ziplists.
pub(super) fn ziplists<S: Source>(
    reader: &mut Reader<S>,
    flaws: &mut Flaws,
    nodes: u64,
) -> Result<Object<'static>, Error> {
    let mut list = Builder::default();
    reader.reading("a list's ziplist");
    for _ in 0..nodes {
        let (blob, place) = reader.blob()?;
        if let Err(error) = read_ziplist(&blob, |item| list.push(item)) {
            flaws.lose(Flaw::OldPacked, reader.packed_error(place, error))?;
        }
        list.end_node();
    }
    Ok(list.finish())
}

/// Reads a list of listpacks and single large elements.
pub(super) fn quicklist_2<S: Source>(
    reader: &mut Reader<S>,
    flaws: &mut Flaws,
) -> Result<Object<'static>, Error> {
    reader.reading("a list's size");
    let count = reader.length()?;
    let mut nodes = Vec::new();
    for _ in 0..count {
        match node(reader, flaws)? {
            None => {}
            Some(ListNode::Packed(packed)) if packed.is_empty() => {}
            Some(node) => nodes.push(node),
        }
    }
    Ok(Object::List(nodes))
}

/// Reads a node. Returns `None` if it has a flaw that loses the list.
fn node<S: Source>(reader: &mut Reader<S>, flaws: &mut Flaws) -> Result<Option<ListNode>, Error> {
    reader.reading("a list's node");
    let at = reader.position();
    match reader.length()? {
        PLAIN => {
            let at = reader.position();
            match reader.boxed_string()? {
                text if text.is_empty() => {
                    let cause = Cause::Corrupt("an empty large element");
                    Err(reader.error_at(at, cause))
                }
                text => Ok(Some(ListNode::Plain(text))),
            }
        }
        PACKED => Ok(listpack(reader, flaws, 1)?.map(ListNode::Packed)),
        _ => Err(reader.error_at(at, Cause::Corrupt("unknown kind of list node"))),
    }
}

/// Packs elements into nodes of at most [`NODE_BYTES_MAX`] bytes.
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
/// The most bytes that a listpack adds to an element. Source: redis 7.0 quicklist.c, `SIZE_ESTIMATE_OVERHEAD`.
const ENTRY_OVERHEAD_BYTES: usize = 8;
