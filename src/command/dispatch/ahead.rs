//! Answers pipelined requests that read one key each as a group.
//!
//! Consecutive reads in a connection's input are taken together: their shards are held and their entries fetched side
//! by side, then they are answered in order. The replies are those of the individual requests, all of one moment.
//! Scripts with one key are also grouped, but they take their own locks: only their entries are fetched in advance.
//! Everything else, and whatever has to wait for the writer, takes the ordinary path through
//! [`answer`](crate::command::answer).
//!
//! A group has up to [`GROUP_MAX`] reads and waits for nothing: if the writer is in one of the shards, or wants to be, the reads
//! are answered one by one. Any other request ends a group, and so do enough replies to be written. `redtail_grouped_reads` in
//! INFO counts the reads that were answered in a group.

use super::account::{self, LARGE_REPLY_BYTES, Ran};
use super::answer::{answer_row, finish, run};
use super::execute::Request;
use super::permission;
use super::resolve::resolve_for;
use crate::command::rows::{Called, Command, Flags, Replies, SessionCx, Statistics};
use crate::resp::{Args, Batch};
use crate::store::{GROUP_MAX, Generation, Group, KeyHash, Names};

/// Reads that are waiting for the group to be complete. Empty between batches.
#[derive(Debug, Default)]
pub struct Ahead {
    reads: Batch<Read>,
    /// The row of the last read: pipelines repeat themselves.
    last: Option<&'static Command>,
}

#[derive(Debug, Clone, Copy)]
struct Read {
    row: &'static Command,
    hash: KeyHash,
}

/// How the reads of a group are accounted for.
#[derive(Debug, Clone, Copy)]
struct Accounts<'s> {
    statistics: &'s Statistics,
    /// Whether each is timed by itself.
    alone: bool,
}

impl Ahead {
    /// Returns whether no read is waiting.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.reads.is_empty()
    }

    /// Takes a request at `bytes` of the input, unless it must be answered by itself. Returns whether it took it.
    #[inline]
    pub fn take(&mut self, cx: &SessionCx<'_>, args: Args<'_>, bytes: [usize; 2]) -> bool {
        if self.reads.len() >= GROUP_MAX || (self.reads.is_empty() && !takes_reads(cx)) {
            return false;
        }
        let Some((generation, row)) = cx.generation.zip(self.row(cx, args)) else {
            return false;
        };
        if !self.reads.is_empty() && self.are_scripts() != is_script(row) {
            return false;
        }
        let Some(key) = single_key(row, args) else {
            return false;
        };
        if let Some(rights) = &cx.session.rights
            && !permission::permits(rights, row, args, cx.session.db)
        {
            return false;
        }
        let hash = generation.spaces.hash_of(key);
        self.reads.push(args, bytes, Read { row, hash });
        true
    }

    #[inline]
    fn row(&mut self, cx: &SessionCx<'_>, args: Args<'_>) -> Option<&'static Command> {
        let dialect = cx.reply.dialect();
        if let Some(last) = self.last.filter(|_| !self.reads.is_empty())
            && args.at(0).eq_ignore_ascii_case(last.name.as_bytes())
            && last.arity_in(dialect).fits(args.len())
        {
            return Some(last);
        }
        self.last = resolve_for(args, dialect)
            .ok()
            .filter(|row| row.is_point_read() || is_script(row));
        self.last
    }

    /// Answers the waiting reads until `pause` returns true or the connection closes. Returns the position in the
    /// input after the last one answered. Later reads are dropped, and so is one that was put off.
    pub fn answer(
        &mut self,
        cx: &mut SessionCx<'_>,
        input: &[u8],
        pause: impl Fn(&SessionCx<'_>) -> bool,
    ) -> usize {
        let group = self.group(cx);
        if group.is_none() {
            self.fetch(cx);
        }
        let statistics = cx.host.statistics();
        // Without a group, each read may wait for locks.
        let alone = group.is_none() || account::times_each(statistics);
        let mut end = 0;
        for (index, (args, bytes, read)) in self.reads.iter(input).enumerate() {
            let group = group.as_ref().map(|group| (group, index));
            read.answer(cx, args, group, Accounts { statistics, alone });
            if cx.session.deferred {
                end = bytes[0];
                break;
            }
            end = bytes[1];
            if cx.session.closing || pause(cx) {
                break;
            }
        }
        cx.session.timing.mark(statistics);
        self.reads.clear();
        end
    }

    fn are_scripts(&self) -> bool {
        let mut reads = self.reads.known();
        reads.next().is_some_and(|read| is_script(read.row))
    }

    /// Fetches the entries that scripts will read, so that their memory accesses overlap.
    fn fetch(&self, cx: &SessionCx<'_>) {
        if let Some(generation) = cx.generation
            && self.reads.len() > 1
            && self.are_scripts()
        {
            let hashes = self.reads.known().map(|read| read.hash);
            drop(generation.spaces.group(cx.session.db, hashes));
        }
    }

    /// Holds the shards of all waiting reads, if that is possible without waiting and pays off.
    fn group<'g>(&self, cx: &SessionCx<'g>) -> Option<Group<'g>> {
        if self.are_scripts() {
            return None;
        }
        let spaces = &cx.generation.filter(|_| self.reads.len() > 1)?.spaces;
        let group = spaces.group(cx.session.db, self.reads.known().map(|read| read.hash))?;
        // A taint is set under the locks of its keys, which are held here. So no taint of these keys can appear from
        // here on.
        (!spaces.taints().any()).then_some(group)
    }
}

impl Read {
    #[inline]
    fn answer(
        self,
        cx: &mut SessionCx<'_>,
        args: Args<'_>,
        group: Option<(&Group<'_>, usize)>,
        accounts: Accounts<'_>,
    ) {
        if is_script(self.row) {
            return answer_row(cx, self.row, args);
        }
        let mark = cx.reply.len();
        cx.session.commands += 1;
        cx.session.last = (None, self.row.name);
        let Accounts { statistics, alone } = accounts;
        let is_quick = self.row.flags.has(Flags::FAST);
        if !is_quick {
            // The time until here is that of the quick reads before it.
            cx.session.timing.mark(statistics);
        }
        let result = match (group, self.row.read, self.row.keys.single(args)) {
            (Some((group, index)), Some(handler), Some(key)) => {
                cx.session.grouped += 1;
                let hold = group.view(index, key);
                hold.set_touches(cx.session.touches);
                let request = Request {
                    command: self.row,
                    handler,
                    args,
                    tally: Some(&cx.session.tally),
                };
                request.look_for(Names::Key(key), &hold, cx.reply)
            }
            _ => run(cx, self.row, args),
        };
        let failed = result.is_err();
        finish(cx, mark, result, true);
        if cx.session.deferred {
            cx.session.commands -= 1;
            return;
        }
        let called = Called {
            container: None,
            row: self.row,
        };
        let is_large = cx.reply.len().saturating_sub(mark) >= LARGE_REPLY_BYTES;
        if alone || is_large || !is_quick {
            let db = cx.session.db;
            account::ran(cx, called, args, Ran { failed, mark, db });
        } else {
            account::ran_in_group(cx, called, args, failed, statistics);
        }
    }
}

/// Returns whether a row runs scripts, which take their own locks.
const fn is_script(row: &Command) -> bool {
    row.flags.has(Flags::SCRIPT)
}

/// Returns the key of a request that has exactly one.
#[inline]
fn single_key<'a>(row: &Command, args: Args<'a>) -> Option<&'a [u8]> {
    if is_script(row) {
        return args.get(3).filter(|_| args.at(2) == b"1");
    }
    row.keys.single(args)
}

/// Returns the hash of the key that a request reads, if it reads only one.
#[inline]
pub fn point_read_key(generation: &Generation, args: Args<'_>) -> Option<KeyHash> {
    let row = resolve_for(args, generation.dialect).ok()?;
    let key = row.keys.single(args).filter(|_| row.is_point_read())?;
    Some(generation.spaces.hash_of(key))
}

/// Returns whether the connection's state allows a request to be answered in a group without further checks.
fn takes_reads(cx: &SessionCx<'_>) -> bool {
    let session = &cx.session;
    session.authenticated
        && session.transaction.is_none()
        && session.replies == Replies::On
        && session.clock.is_none()
        && (cx.reply.is_resp3() || !session.is_subscriber())
        && session.tracking.is_none()
        && cx.cluster.is_none()
        && session
            .read_after
            .as_ref()
            .is_none_or(|after| after.is_reached_in(cx.generation))
        && !cx.stale
}
