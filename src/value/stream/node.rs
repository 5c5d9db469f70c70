//! One node of a stream: a listpack of entries, in exactly Redis's layout.
//!
//! First comes a master entry: number of live entries, number of deleted entries, number of fields, the fields, 0. Then comes
//! each entry: flags, the difference of its id to the node's id (ms, seq), number of fields, field, value, …, number of items
//! of this entry. An entry with the master's fields omits the number of fields and the field names.
//!
//! Source: redis 7.0 t_stream.c, `streamAppendItem`.

use crate::rdb::listpack::{Item, Iter, Listpack};
use crate::rdb::stream::StreamId;
use crate::value::Error;

const DELETED: i64 = 1;
const SAME_FIELDS: i64 = 2;
/// The number of items in a master entry other than fields: both counts, the number of fields, the zero.
const MASTER_ITEMS: usize = 4;

/// An entry: its id, and its fields and values.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    /// The id.
    pub id: StreamId,
    /// The number of fields.
    pub fields: usize,
    /// The master's fields, if the entry has the same ones.
    names: Option<Iter<'a>>,
    /// Values, or alternating fields and values.
    data: Iter<'a>,
    deleted: bool,
    /// The index of its flags in the listpack.
    index: usize,
}

impl<'a> Entry<'a> {
    /// Iterates over its fields and values, in order.
    pub fn pairs(&self) -> impl Iterator<Item = (Item<'a>, Item<'a>)> + use<'a> {
        let (mut names, mut data) = (self.names.clone(), self.data.clone());
        let mut left = self.fields;
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let name = match &mut names {
                Some(names) => names.next()?,
                None => data.next()?,
            };
            Some((name, data.next()?))
        })
    }

    /// Whether it is a tombstone.
    pub(super) const fn is_deleted(&self) -> bool {
        self.deleted
    }
}

/// Where an entry is, without its contents.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) id: StreamId,
    /// The index of its flags in the listpack.
    pub(super) index: usize,
    /// Whether it is a tombstone.
    pub(super) deleted: bool,
}

impl From<Entry<'_>> for Place {
    fn from(entry: Entry<'_>) -> Self {
        Self {
            id: entry.id,
            index: entry.index,
            deleted: entry.deleted,
        }
    }
}

/// Iterates over a node's entries, including tombstones.
#[derive(Debug, Clone)]
pub(super) struct Entries<'a> {
    master_id: StreamId,
    names: Iter<'a>,
    master_fields: usize,
    rest: Iter<'a>,
    /// The index of the next entry's flags.
    index: usize,
}

impl<'a> Entries<'a> {
    /// Iterates over the entries of a node. Returns `None` if its master entry is incomplete.
    pub(super) fn new(master_id: StreamId, node: &'a Listpack) -> Option<Self> {
        let mut rest = node.iter();
        let (_, _) = (rest.next()?, rest.next()?);
        let master_fields = usize::try_from(rest.next()?.as_int()?).ok()?;
        let names = rest.clone();
        skip(&mut rest, master_fields)?;
        rest.next()?;
        Some(Self {
            master_id,
            names,
            master_fields,
            rest,
            index: master_fields + MASTER_ITEMS,
        })
    }

    /// Returns the next entry, or `None` if it is incomplete or the listpack ends.
    fn entry(&mut self) -> Option<Entry<'a>> {
        let rest = &mut self.rest;
        let flags = rest.next()?.as_int()?;
        let (ms, seq) = (rest.next()?.as_int()?, rest.next()?.as_int()?);
        let same_fields = flags & SAME_FIELDS != 0;
        let fields = if same_fields {
            self.master_fields
        } else {
            usize::try_from(rest.next()?.as_int()?).ok()?
        };
        let data = rest.clone();
        let items = if same_fields {
            fields
        } else {
            fields.checked_mul(2)?
        };
        skip(rest, items)?;
        let counted = usize::try_from(rest.next()?.as_int()?).ok()?;
        let head = if same_fields { 3 } else { 4 };
        let index = self.index;
        self.index += head + items + 1;
        (counted == head + items).then_some(Entry {
            id: StreamId::new(
                self.master_id.ms.wrapping_add_signed(ms),
                self.master_id.seq.wrapping_add_signed(seq),
            ),
            fields,
            names: same_fields.then(|| self.names.clone()),
            data,
            deleted: flags & DELETED != 0,
            index,
        })
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        self.entry()
    }
}

/// Iterates over the entries of a node that has been [`check`]ed.
pub(super) fn entries(master_id: StreamId, node: &Listpack) -> impl Iterator<Item = Entry<'_>> {
    let entries = Entries::new(master_id, node);
    debug_assert!(entries.is_some(), "the node {master_id} is not sound");
    entries.into_iter().flatten()
}

fn skip(rest: &mut Iter<'_>, items: usize) -> Option<()> {
    (rest.by_ref().take(items).count() == items).then_some(())
}

/// Returns the numbers of live entries and of tombstones in a node.
pub(super) fn counts(node: &Listpack) -> (u64, u64) {
    let counts = stated_counts(node);
    debug_assert!(counts.is_some(), "a node begins with its counts");
    counts.unwrap_or_default()
}

fn stated_counts(node: &Listpack) -> Option<(u64, u64)> {
    let mut items = node.iter();
    let mut count = || u64::try_from(items.next()?.as_int()?).ok();
    Some((count()?, count()?))
}

fn set_counts(node: &mut Listpack, live: u64, deleted: u64) {
    for (index, count) in [live, deleted].into_iter().enumerate() {
        node.replace_item(index, Item::Int(count.cast_signed()));
    }
}

/// Checks a whole node: all entries are complete, the counts are right, and no live id is below the node's own. Does not check
/// that ids ascend. Returns the largest live id.
pub(super) fn check(master_id: StreamId, node: &Listpack) -> Result<Option<StreamId>, Error> {
    let mut entries =
        Entries::new(master_id, node).ok_or(Error::Stream("master entry is incomplete"))?;
    let (mut live, mut deleted, mut last) = (0_u64, 0_u64, None);
    for entry in entries.by_ref() {
        if entry.is_deleted() {
            deleted += 1;
            continue;
        }
        live += 1;
        if entry.id < master_id {
            return Err(Error::Stream("entry has an id below its node's"));
        }
        last = last.max(Some(entry.id));
    }
    if entries.index != node.len() {
        return Err(Error::Stream("entry is incomplete"));
    }
    if stated_counts(node) != Some((live, deleted)) {
        return Err(Error::Stream("counts do not match its entries"));
    }
    Ok(last)
}

/// Creates a node whose master entry has these fields. Does not append the entry itself.
pub(super) fn create(pairs: &[(&[u8], &[u8])]) -> Listpack {
    let mut node = Listpack::new();
    node.push_int(0);
    node.push_int(0);
    push_count(&mut node, pairs.len());
    pairs.iter().for_each(|(field, _)| node.push(field));
    node.push_int(0);
    node
}

/// Appends an entry.
pub(super) fn append(
    node: &mut Listpack,
    master_id: StreamId,
    id: StreamId,
    pairs: &[(&[u8], &[u8])],
) {
    let (live, deleted) = counts(node);
    set_counts(node, live + 1, deleted);
    let same_fields = has_fields(node, pairs);
    node.push_int(if same_fields { SAME_FIELDS } else { 0 });
    node.push_int(id.ms.wrapping_sub(master_id.ms).cast_signed());
    node.push_int(id.seq.wrapping_sub(master_id.seq).cast_signed());
    if !same_fields {
        push_count(node, pairs.len());
    }
    for (field, value) in pairs {
        if !same_fields {
            node.push(field);
        }
        node.push(value);
    }
    let items = if same_fields {
        pairs.len() + 3
    } else {
        pairs.len() * 2 + 4
    };
    push_count(node, items);
}

fn push_count(node: &mut Listpack, count: usize) {
    node.push_int(i64::try_from(count).unwrap_or(i64::MAX));
}

/// Whether the master entry has exactly these fields.
fn has_fields(node: &Listpack, pairs: &[(&[u8], &[u8])]) -> bool {
    let mut items = node.iter_from(2);
    let count = items.next().and_then(|item| item.as_int());
    count == i64::try_from(pairs.len()).ok()
        && pairs
            .iter()
            .zip(items)
            .all(|((field, _), own)| own.eq_bytes(field))
}

/// Turns live entries into tombstones, in order, up to the first entry, live or not, that is not `wanted`. Returns how many.
pub(super) fn bury(
    node: &mut Listpack,
    master_id: StreamId,
    wanted: impl FnMut(&Entry<'_>) -> bool,
) -> u64 {
    let buried: Vec<usize> = entries(master_id, node)
        .take_while(wanted)
        .filter(|entry| !entry.is_deleted())
        .map(|entry| entry.index)
        .collect();
    bury_at(node, &buried)
}

/// Turns a live entry into a tombstone. Returns whether it existed.
pub(super) fn bury_one(node: &mut Listpack, master_id: StreamId, id: StreamId) -> bool {
    // Checks only the first entry whose id is not below `id`. Where ids do not ascend, servers search no further either.
    let found = entries(master_id, node).find(|entry| !entry.is_deleted() && entry.id >= id);
    let index = found
        .filter(|entry| entry.id == id)
        .map(|entry| entry.index);
    index.is_some_and(|index| bury_at(node, &[index]) == 1)
}

/// Turns the live entries whose flags are at these indexes into tombstones. Returns how many.
pub(super) fn bury_at(node: &mut Listpack, indexes: &[usize]) -> u64 {
    for index in indexes {
        let Some(flags) = node.get(*index).and_then(|item| item.as_int()) else {
            unreachable!("no flags of an entry at {index}")
        };
        node.replace_item(*index, Item::Int(flags | DELETED));
    }
    let (live, deleted) = counts(node);
    let buried = indexes.len() as u64;
    set_counts(node, live.saturating_sub(buried), deleted + buried);
    buried
}
