//! What a script holds: the shards of the keys that it declares, and more as it asks for more.
//!
//! Nothing that is held is let go before the end, so all that a script reads is of one moment. A script that asks for a shard
//! which is not to be had at once gives up, and runs again from its beginning at the next [`Level`]; so does one that asks for
//! more once its clock has gone on, for then it would compare newer expiries with an older time.

use std::cell::RefCell;

use crate::command::{Command, Error, Place, Scope, SessionCx, read_held};
use crate::resp::Args;
use crate::store::{Generation, Growing, unix_ms};

/// How much is held from the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// The keys that are declared. The script waits for nothing more, and is short: it runs among the connection's other
    /// commands.
    Keys,
    /// Its database.
    Database,
    /// All databases.
    Everything,
    /// Whatever its transaction holds: all databases.
    Lent,
}

/// What a command looks at.
enum Need {
    Nothing,
    Keys,
    Database,
    Everything,
}

/// What one run of a script holds.
pub(super) struct Reach<'c> {
    /// `None` where nothing is to be held: before the first sync, and in a transaction.
    shards: Option<RefCell<Growing<'c>>>,
    generation: Option<&'c Generation>,
    may_wait: bool,
    /// The time of the script, which the keys that it holds are of.
    pub(super) now_ms: i64,
}

impl<'c> Reach<'c> {
    /// Takes the locks of a level for a script of `cx` with these keys, then looks at the clock.
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

    /// Holds what `row` looks at in database `db`, too; false when that is not to be had at the script's moment.
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

    /// Answers a read of keys that are [covered](Self::covers) from what is held; `None` for what is answered otherwise.
    pub(super) fn read(
        &self,
        cx: &mut SessionCx<'_>,
        row: &Command,
        args: Args<'_>,
    ) -> Option<Result<(), Error>> {
        let (shards, generation) = self.shards.as_ref().zip(self.generation)?;
        let handler = row.read.filter(|_| row.locks(args) == Scope::Keys)?;
        let place = Place {
            spaces: &generation.spaces,
            db: cx.session.db,
            now_ms: cx.session.clock,
            touches: cx.session.touches,
            worked: None,
        };
        let shards = shards.borrow();
        Some(read_held(place, &shards, handler, row, args, cx.reply))
    }
}

/// Commands beside reads that look at nothing which the stream changes.
const INDEPENDENT: [&str; 5] = ["ping", "echo", "select", "time", "help"];

fn need(row: &Command, args: Args<'_>) -> Need {
    match row.read {
        Some(_) => match row.locks(args) {
            Scope::Keys => Need::Keys,
            // Counts and walks hold nothing themselves: outside of scripts they need not agree with another command.
            Scope::Database | Scope::Nothing => Need::Database,
        },
        None if INDEPENDENT.contains(&row.name) => Need::Nothing,
        None => Need::Everything,
    }
}
