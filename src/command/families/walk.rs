//! Counts and walks over all shards of a cluster.
//!
//! A key that moves from one shard to another while they are looked at one after the other may be in neither at the time. So what was
//! looked at counts only if no key has been moved: if all removals by then were deletions.

use super::generic::{scan_from, scan_number};
use crate::command::rows::glob::Glob;
use crate::command::rows::scan::{ScanOptions, scan_cursor};
use crate::command::rows::{Error, InCluster};
use crate::resp::{Args, Reply, parse_integer};
use crate::slots::{CLUSTER_SLOTS, ClusterSlots, cluster_slot, tag_of_slot};
use crate::store::{Entry, Hold, Moving, Names, PART_CURSOR_BITS, View};

/// All shards, to be walked over.
pub(crate) struct Walk<'a> {
    pub(crate) cluster: &'a InCluster<'a>,
    /// The database's number.
    pub(crate) db: usize,
}

/// A cursor's bits for the shard of the cluster.
const PART_BITS: u32 = 7;

/// How many states of the cluster's slots a cursor tells apart.
const CHANGES: u64 = 7;

impl Walk<'_> {
    /// Looks at one shard.
    fn survey<T>(
        &self,
        part: usize,
        mut look: impl FnMut(&View<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let generation = self.cluster.generation(part).ok_or(Moving)?;
        let named = |hold: &Hold<'_>| hold.read(Names::Existence, &mut look);
        generation.spaces.survey(self.db, named)
    }

    /// Whether what was looked at counts. A shard that serves nothing needs no proof, and may have no primary any more that could give
    /// one. If it has lost its last slots only now, that was said before: nothing is settled.
    fn prove(&self) -> Result<(), Error> {
        let shards = self.cluster.shards;
        let parts = self
            .cluster
            .map
            .parts
            .iter()
            .zip(self.cluster.generations());
        for (part, generation) in parts {
            if part.ownership.now().served.is_empty() {
                continue;
            }
            if !generation.is_some_and(|generation| shards.await_proof(part, generation)) {
                return Err(Moving.into());
            }
        }
        match shards.is_settled() {
            true => Ok(()),
            false => Err(Moving.into()),
        }
    }

    fn parts(&self) -> std::ops::Range<usize> {
        0..self.cluster.map.parts.len()
    }

    pub(crate) fn dbsize(&self, reply: &mut Reply) -> Result<(), Error> {
        let mut keys = 0;
        for part in self.parts() {
            keys += self.survey(part, |view| Ok(view.count_keys()))?;
        }
        self.prove()?;
        reply.count(keys);
        Ok(())
    }

    pub(crate) fn keys(&self, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
        let pattern = Glob::new(args.at(1), reply.dialect());
        let mut keys: Vec<Box<[u8]>> = Vec::new();
        for part in self.parts() {
            let generation = self.cluster.generation(part).ok_or(Moving)?;
            let hold = generation.spaces.view_db(self.db);
            hold.read(Names::Existence, |view| {
                let matching = view.entries().map(Entry::key);
                keys.extend(matching.filter(|key| pattern.matches(key)).map(Box::from));
                Ok::<_, Error>(())
            })?;
        }
        self.prove()?;
        reply.array(keys.len());
        keys.iter().for_each(|key| reply.bulk(key));
        Ok(())
    }

    pub(crate) fn randomkey(&self, reply: &mut Reply) -> Result<(), Error> {
        let mut counts = Vec::new();
        for part in self.parts() {
            counts.push(self.survey(part, |view| Ok(view.count_keys()))?);
        }
        let mut chosen = fastrand::usize(..counts.iter().sum::<usize>().max(1));
        for (part, count) in counts.iter().enumerate() {
            if chosen < *count {
                let key = self.survey(part, |view| Ok(view.random_key()))?;
                reply.bulk_or_null(key.as_deref());
                return Ok(());
            }
            chosen -= count;
        }
        self.prove()?;
        reply.bulk_or_null(None);
        Ok(())
    }

    /// The cursor says, from the highest bits down: in which state of the slots the walk began, the shard, and the place there. If
    /// slots have changed hands since, the walk begins again.
    pub(crate) fn scan(&self, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
        let given = scan_cursor(args.at(1), reply.dialect())?;
        let options = ScanOptions::parse(args, 2, reply.dialect())?;
        let now = self.cluster.shards.changes() % CHANGES + 1;
        let is_of_now = given >> (PART_CURSOR_BITS + PART_BITS) == now;
        let given = if is_of_now { given } else { 0 };
        let part = given >> PART_CURSOR_BITS & ((1 << PART_BITS) - 1);
        let last = self.parts().end as u64 - 1;
        if last >> PART_BITS > 0 {
            return Err(Error::Text(
                "ERR redtail scans clusters of at most 128 shards",
            ));
        }
        let shown = |part: u64, next: u64| {
            now << (PART_CURSOR_BITS + PART_BITS) | part << PART_CURSOR_BITS | next
        };
        let within = given & ((1 << PART_CURSOR_BITS) - 1);
        let at = usize::try_from(part.min(last)).unwrap_or(0);
        self.scan_part(
            at,
            within,
            &options,
            reply,
            |_| true,
            |reply, next| {
                let next = match next {
                    0 if part >= last => 0,
                    0 => shown(part + 1, 0),
                    next => shown(part, next),
                };
                scan_number(reply, next);
            },
        )
    }

    /// Scans one shard from a cursor on.
    fn scan_part(
        &self,
        part: usize,
        cursor: u64,
        options: &ScanOptions<'_>,
        reply: &mut Reply,
        within: impl Fn(&[u8]) -> bool,
        show: impl Fn(&mut Reply, u64),
    ) -> Result<(), Error> {
        let mark = reply.len();
        self.survey(part, |view| {
            reply.truncate(mark);
            scan_from(view, cursor, options, reply, &within, &show);
            Ok(())
        })?;
        self.prove()
    }

    /// Scans the cluster slot by slot, as CLUSTERSCAN does: whoever comes with a cursor has got the keys of all slots before that of the
    /// cursor. So a client may go on here where it was at a server of the cluster, and the other way round.
    ///
    /// A walk that began here goes from shard to shard, in the order of their lowest slots, and through each only once. One that began
    /// elsewhere goes from each run of slots with one shard to the next. `run_id` is that of this process: another's places in a table
    /// are not its own.
    ///
    /// Source: the replies of valkey 9.1.
    pub(crate) fn cluster_scan(
        &self,
        args: Args<'_>,
        run_id: &str,
        reply: &mut Reply,
    ) -> Result<(), Error> {
        let options = ScanOptions::parse(args, 2, reply.dialect())?;
        let run_id = run_id.get(..4).unwrap_or_default();
        let mark = |began: Began| {
            let began = if began == Began::Here { 'h' } else { 'e' };
            format!("{began}{run_id}{}", self.cluster.shards.changes())
        };
        let Some(given) = ClusterCursor::parse(args.at(1))? else {
            let first = options
                .slot
                .or_else(|| self.cluster.shards.wanted().iter().next());
            let first = tag_of_slot(first.unwrap_or(0));
            reply.array(2);
            reply.bulk(format!("{}-{{{first}}}-0", mark(Began::Here)).as_bytes());
            reply.array(0);
            return Ok(());
        };
        let part = self.cluster.map.owner(given.slot).ok_or(Moving)?;
        let known = [Began::Here, Began::Elsewhere].into_iter();
        let began = known
            .into_iter()
            .find(|began| mark(*began).as_bytes() == given.mark);
        let at = if began.is_some() { given.at } else { 0 };
        let began = began.unwrap_or(Began::Elsewhere);
        let (slots, next) = self.leg(part, given.slot, options.slot, began);
        let within = |key: &[u8]| slots.as_ref().is_none_or(|slots| slots.hold(key));
        self.scan_part(part, at, &options, reply, within, |reply, place| {
            let cursor = match (place, next) {
                (0, None) => "0".to_owned(),
                (0, Some(slot)) => format!("{}-{{{}}}-0", mark(began), tag_of_slot(slot)),
                (place, _) => format!("{}-{{{}}}-{place}", mark(began), tag_of_slot(given.slot)),
            };
            reply.bulk(cursor.as_bytes());
        })
    }

    /// The slots that a walk at `slot` of a shard takes now, `None` for all of the shard, and the slot with which it goes on.
    fn leg(
        &self,
        part: usize,
        slot: u16,
        only: Option<u16>,
        began: Began,
    ) -> (Option<ClusterSlots>, Option<u16>) {
        let map = &self.cluster.map;
        let mut slots = ClusterSlots::default();
        if let Some(only) = only {
            slots.insert(only);
            return (Some(slots), None);
        }
        let lowest = |part: usize| (0..CLUSTER_SLOTS).find(|slot| map.owner(*slot) == Some(part));
        if began == Began::Here && lowest(part) == Some(slot) {
            let later = self
                .parts()
                .filter_map(lowest)
                .filter(|other| *other > slot);
            return (None, later.min());
        }
        let run = (slot..CLUSTER_SLOTS).take_while(|slot| map.owner(*slot) == Some(part));
        run.for_each(|slot| slots.insert(slot));
        let is_next = |other: &u16| *other > slot && !slots.contains(*other);
        let next = self.cluster.shards.wanted().iter().find(is_next);
        (Some(slots), next)
    }
}

/// Where a walk with CLUSTERSCAN began.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Began {
    Here,
    Elsewhere,
}

/// CLUSTERSCAN's cursor, `mark-{tag}-place`: a key in the slot with which the walk goes on.
struct ClusterCursor<'a> {
    /// Which server's place it is.
    mark: &'a [u8],
    slot: u16,
    /// The place in that server's table.
    at: u64,
}

impl<'a> ClusterCursor<'a> {
    /// Reads a cursor; `None` for that of the beginning.
    fn parse(text: &'a [u8]) -> Result<Option<Self>, Error> {
        if text == b"0" {
            return Ok(None);
        }
        let parts = || {
            let mut parts = text.splitn(3, |byte| *byte == b'-');
            let (mark, tag, at) = (parts.next()?, parts.next()?, parts.next()?);
            let tag = tag.strip_prefix(b"{")?.strip_suffix(b"}")?;
            let at = u64::try_from(parse_integer(at)?).ok()?;
            let slot = cluster_slot(tag);
            (!mark.is_empty() && !tag.is_empty()).then_some(Self { mark, slot, at })
        };
        parts().map(Some).ok_or(Error::Text("ERR Invalid cursor"))
    }
}
