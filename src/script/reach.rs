//! What a script holds: the shards of the keys that it declares, then more as it asks for more.
//!
//! Nothing that is held is released before the end, so everything that a script reads is from one moment. If a script asks for
//! a shard whose lock is not free, the run is abandoned and the script starts over at the next [`Level`]. The same happens if
//! it asks for more after its clock has moved on, because it would then compare newer expiries with an older time.

use std::cell::RefCell;

use crate::command::{Command, Error, ReadCx, Scope, SessionCx, read_held};
use crate::resp::Args;
use crate::store::{Generation, Growing, unix_ms};

/// How much is held from the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// The declared keys. The script never waits for anything else and is short, so it runs among the connection's other
    /// commands.
    Keys,
    /// The script's database.
    Database,
    /// All databases.
    Everything,
    /// Whatever the transaction around the script holds: all databases.
    Lent,
}

/// What a command reads.
enum Need {
    Nothing,
    Keys,
    Database,
    Everything,
}

/// What one run of a script holds.
pub(super) struct Reach<'c> {
    /// `None` if nothing has to be held: before the first sync, and in a transaction.
    shards: Option<RefCell<Growing<'c>>>,
    generation: Option<&'c Generation>,
    may_wait: bool,
    /// The script's time. The keys that it holds are as of this time.
    pub(super) now_ms: i64,
}

impl<'c> Reach<'c> {
    /// Takes the locks of `level` for a script of `cx` with these keys, then reads the clock.
    pub(super) fn begin<'k>(
        cx: &SessionCx<'c>,
        level: Level,
        keys: impl Iterator<Item = &'k [u8]>,
    ) -> Self {
        let generation = cx.generation;
        let db = cx.session.db;
        let shards = generation.and_then(|generation| {
            let spaces = &generation.spaces;
            let shards = match level {
                Level::Lent => return None,
                Level::Keys => spaces.growing(db, keys),
                Level::Database => spaces.growing_dbs(db..=db),
                Level::Everything => spaces.growing_dbs(0..=spaces.databases().saturating_sub(1)),
            };
            Some(RefCell::new(shards))
        });
        Self {
            shards,
            generation,
            may_wait: level != Level::Keys,
            now_ms: cx.session.clock.unwrap_or_else(unix_ms),
        }
    }

    /// Also holds what `row` reads in database `db`. Returns false if that is not possible at the script's moment.
    pub(super) fn covers(&self, row: &Command, args: Args<'_>, db: usize) -> bool {
        let (Some(shards), Some(generation)) = (&self.shards, self.generation) else {
            return true;
        };
        let mut shards = shards.borrow_mut();
        let before = shards.len();
        let whole = match need(row, args) {
            Need::Nothing => true,
            Need::Keys => {
                let mut whole = true;
                row.keys.visit(args, |index| {
                    whole = whole && shards.add_key(db, args.at(index), self.may_wait);
                });
                whole
            }
            Need::Database => shards.add_db(db, self.may_wait),
            Need::Everything => {
                (0..generation.spaces.databases()).all(|db| shards.add_db(db, self.may_wait))
            }
        };
        whole && (shards.len() == before || unix_ms() == self.now_ms)
    }

    /// Answers a read of keys that are [covered](Self::covers) from what is held. Returns `None` if the command is not such a
    /// read.
    pub(super) fn read(
        &self,
        cx: &mut SessionCx<'_>,
        row: &Command,
        args: Args<'_>,
    ) -> Option<Result<(), Error>> {
        let (shards, generation) = self.shards.as_ref().zip(self.generation)?;
        let handler = row.read.filter(|_| row.locks(args) == Scope::Keys)?;
        let place = ReadCx {
            spaces: &generation.spaces,
            db: cx.session.db,
            now_ms: cx.session.clock,
            touches: cx.session.touches,
            tally: Some(&cx.session.tally),
        };
        let shards = shards.borrow();
        Some(read_held(place, &shards, handler, row, args, cx.reply))
    }
}

/// Commands other than reads that depend on nothing that the stream changes.
const INDEPENDENT: [&str; 12] = [
    "ping",
    "echo",
    "select",
    "time",
    "help",
    "publish",
    "spublish",
    "channels",
    "numsub",
    "numpat",
    "shardchannels",
    "shardnumsub",
];

fn need(row: &Command, args: Args<'_>) -> Need {
    match row.read {
        Some(_) => match row.locks(args) {
            Scope::Keys => Need::Keys,
            // Counts and walks take no locks up front: outside of scripts they need not agree with another command.
            Scope::Database | Scope::Nothing => Need::Database,
        },
        None if INDEPENDENT.contains(&row.name) => Need::Nothing,
        None => Need::Everything,
    }
}
