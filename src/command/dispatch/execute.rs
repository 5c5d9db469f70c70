//! Runs a row: locks, taints, errors.

use smallvec::SmallVec;

use super::resolve::check_arity;
use crate::command::rows::{Command, Error, Outcome, ReadFn, Scope, Tally, Touch, long, work};
use crate::feed::{Class, Interest};
use crate::resp::{Args, Reply};
use crate::store::{Doubt, Growing, Hold, Keyspaces, Names, NewValue, Slot, Tainted, Tx, View};

/// Answers a client's read in database `db`, all of it at one moment. The arity must have been checked.
///
/// # Errors
/// The error reply. Nothing that the handler wrote is kept then.
#[inline]
pub fn read(
    handler: ReadFn,
    command: &Command,
    spaces: &Keyspaces,
    db: usize,
    args: Args<'_>,
    reply: &mut Reply,
) -> Result<(), Error> {
    let place = ReadCx {
        spaces,
        db,
        now_ms: None,
        touches: true,
        tally: None,
    };
    read_at(place, handler, command, args, reply)
}

/// The data and the moment that a read works on.
#[derive(Debug, Clone, Copy)]
pub struct ReadCx<'s> {
    /// The databases.
    pub spaces: &'s Keyspaces,
    /// The database's number.
    pub db: usize,
    /// The time in Unix milliseconds, for commands that must agree on what has expired. Otherwise each command reads
    /// the clock.
    pub now_ms: Option<i64>,
    /// Whether looking up a key counts as an access.
    pub touches: bool,
    /// What the work and the lookups are added to.
    pub tally: Option<&'s Tally>,
}

impl ReadCx<'_> {
    /// Sets the time and the mode of a read. Counts its work, and returns it.
    #[inline]
    fn begin(self, hold: &Hold<'_>, request: Request<'_>) -> usize {
        self.prepare(hold);
        let work = hold.weigh(|view| work::of(request.command, view, request.args));
        if let Some(tally) = self.tally {
            tally.add_work(work);
        }
        work
    }

    #[inline]
    fn prepare(self, hold: &Hold<'_>) {
        if let Some(now_ms) = self.now_ms {
            hold.set_clock(now_ms);
        }
        hold.set_touches(self.touches);
    }
}

/// A read with its row.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) command: &'a Command,
    pub(crate) handler: ReadFn,
    pub(crate) args: Args<'a>,
    /// What the lookups are added to.
    pub(crate) tally: Option<&'a Tally>,
}

impl<'a> Request<'a> {
    /// Passes the keys that it names to `visit`.
    fn visit(self, visit: &mut dyn FnMut(&'a [u8])) {
        let Self { command, args, .. } = self;
        command.keys.visit(args, |index| visit(args.at(index)));
    }

    /// Answers from what is held.
    ///
    /// # Errors
    /// The error reply. What the handler wrote is still in the reply then.
    #[inline]
    pub(crate) fn look(self, hold: &Hold<'_>, reply: &mut Reply) -> Result<(), Error> {
        let each = |visit: &mut dyn FnMut(&[u8])| self.visit(&mut |key| visit(key));
        match self.command.scope {
            Scope::Keys => self.look_for(Names::Keys(&each), hold, reply),
            // Counts and walks depend on which keys exist, not on their values.
            Scope::Database | Scope::Nothing => self.look_for(Names::Existence, hold, reply),
        }
    }

    /// Like [`look`](Self::look), for a read of which it is known what it names.
    ///
    /// # Errors
    /// Like [`look`](Self::look).
    #[inline]
    pub(crate) fn look_for(
        self,
        names: Names<'_>,
        hold: &Hold<'_>,
        reply: &mut Reply,
    ) -> Result<(), Error> {
        let result = hold.read(names, |view| (self.handler)(view, self.args, reply));
        if let Some(tally) = self.tally {
            let lookups = hold.lookups();
            tally.add_lookups(lookups.hits.into(), lookups.misses.into());
            if lookups.misses > 0 {
                hold.tell_missed();
            }
        }
        debug_assert!(
            result != Err(Error::Unheld),
            "{} asks for a key that its row does not name",
            self.command.name
        );
        result
    }
}

/// Like [`read_at`], for a command that reads only the keys that it names, whose shards `held` holds.
///
/// # Errors
/// Like [`read`].
pub fn read_held(
    place: ReadCx<'_>,
    held: &Growing<'_>,
    handler: ReadFn,
    command: &Command,
    args: Args<'_>,
    reply: &mut Reply,
) -> Result<(), Error> {
    let request = Request {
        command,
        handler,
        args,
        tally: place.tally,
    };
    let mark = reply.len();
    let hold = held.view(place.db);
    let result = if place.begin(&hold, request) > work::LONG {
        long(|| request.look(&hold, reply))
    } else {
        request.look(&hold, reply)
    };
    if result.is_err() {
        reply.truncate(mark);
    }
    result
}

/// Like [`read`], from a hold on everything that the command may read.
///
/// # Errors
/// Like [`read`].
pub fn read_in(
    hold: &Hold<'_>,
    handler: ReadFn,
    command: &Command,
    args: Args<'_>,
    reply: &mut Reply,
) -> Result<(), Error> {
    let request = Request {
        command,
        handler,
        args,
        tally: None,
    };
    let mark = reply.len();
    let result = request.look(hold, reply);
    if result.is_err() {
        reply.truncate(mark);
    }
    result
}

/// Like [`read`], at a given place and time.
///
/// # Errors
/// Like [`read`].
#[inline]
pub fn read_at(
    place: ReadCx<'_>,
    handler: ReadFn,
    command: &Command,
    args: Args<'_>,
    reply: &mut Reply,
) -> Result<(), Error> {
    let ReadCx { spaces, db, .. } = place;
    let request = Request {
        command,
        handler,
        args,
        tally: place.tally,
    };
    let mark = reply.len();
    let result = if let (Scope::Keys, None, Some(key)) =
        (command.scope, command.also_reads, command.keys.single(args))
    {
        let hold = spaces.view_key(db, key);
        let work = place.begin(&hold, request);
        if work <= work::LONG {
            request.look_for(Names::Key(key), &hold, reply)
        } else {
            look_more(hold, request, reply, work)
        }
    } else if command.scope == Scope::Nothing {
        spaces.survey(db, |hold| {
            reply.truncate(mark);
            place.prepare(hold);
            request.look(hold, reply)
        })
    } else {
        look_once(hold(request, spaces, db), place, request, reply)
    };
    if result.is_err() {
        reply.truncate(mark);
    }
    result
}

/// Answers from what nothing else needs. If the read may take long, other connections continue in the meantime; so does
/// the writer, if copying the values is much less work.
#[inline]
fn look_once(
    hold: Hold<'_>,
    place: ReadCx<'_>,
    request: Request<'_>,
    reply: &mut Reply,
) -> Result<(), Error> {
    let work = place.begin(&hold, request);
    if work <= work::LONG {
        return request.look(&hold, reply);
    }
    look_more(hold, request, reply, work)
}

/// Like [`look_once`], for a read that takes long.
#[cold]
fn look_more(
    hold: Hold<'_>,
    request: Request<'_>,
    reply: &mut Reply,
    work: usize,
) -> Result<(), Error> {
    if !has_room(&hold, request, reply) {
        return Ok(());
    }
    long(move || look_long(hold, request, reply, work))
}

/// Reserves room for a long reply, as far as its length is known before anything is copied. Returns whether there is
/// room; if not, the reply has overflowed.
#[cold]
fn has_room(hold: &Hold<'_>, request: Request<'_>, reply: &mut Reply) -> bool {
    let least = request.command.least;
    let least = least.map_or(0, |least| hold.weigh(|view| least(view, request.args)));
    reply.reserve(least)
}

/// Like [`look_once`], for a read that takes long. The copy is of one moment, because the locks are released only
/// after it is made.
#[cold]
fn look_long(
    hold: Hold<'_>,
    request: Request<'_>,
    reply: &mut Reply,
    work: usize,
) -> Result<(), Error> {
    let Request { command, args, .. } = request;
    let pays = |view: &View<'_>| {
        work::is_worth_a_copy(command, view, args, work, |bytes| reply.has_room(bytes))
    };
    if command.locks(args) != Scope::Keys || !hold.weigh(pays) {
        return request.look(&hold, reply);
    }
    let copy = hold.copied(&|visit| request.visit(&mut |key| visit(key)))?;
    drop(hold);
    request.look(&copy, reply)
}

fn hold<'s>(request: Request<'_>, spaces: &'s Keyspaces, db: usize) -> Hold<'s> {
    match request.command.locks(request.args) {
        Scope::Database => spaces.view_db(db),
        Scope::Nothing => spaces.view_none(db),
        Scope::Keys => spaces.view_each(db, |visit| request.visit(visit)),
    }
}

fn touched<'a>(command: &Command, args: Args<'a>, db: usize, visit: &mut dyn FnMut(Touch<'a>)) {
    match command.touches {
        Some(touches) => touches(args, db, visit),
        None => command
            .keys
            .visit(args, |index| visit(Touch::Key(db, args.at(index)))),
    }
}

/// Adds the slots that applying `command` in database `db` needs.
pub fn slots(
    command: &Command,
    spaces: &Keyspaces,
    db: usize,
    args: Args<'_>,
    slots: &mut SmallVec<[Slot; 4]>,
) {
    if command.also_reads.is_some_and(|reads| reads(args)) {
        slots.extend(spaces.slots_of_db(db));
    }
    if let (None, Some(key)) = (command.touches, command.keys.single(args)) {
        return slots.push(spaces.slot(db, key));
    }
    touched(command, args, db, &mut |touch| match touch {
        Touch::Key(db, key) => slots.push(spaces.slot(db, key)),
        Touch::Db(db) => slots.extend(spaces.slots_of_db(db)),
        Touch::Everything => (0..spaces.databases())
            .filter(|db| spaces.db(*db).is_some())
            .for_each(|db| slots.extend(spaces.slots_of_db(db))),
        Touch::Libraries => {}
    });
}

/// Passes to `visit` every key that applying `command` in database `db` may change. Returns true if it may also change
/// whole databases.
pub fn changes(
    command: &Command,
    db: usize,
    args: Args<'_>,
    visit: &mut dyn FnMut(usize, &[u8]),
) -> bool {
    let mut whole = false;
    touched(command, args, db, &mut |touch| match touch {
        Touch::Key(db, key) => visit(db, key),
        Touch::Db(_) | Touch::Everything => whole = true,
        Touch::Libraries => {}
    });
    whole
}

/// Wakes the clients that wait for a key that `command` may have changed. Call this when the change is visible.
#[cold]
pub fn wake(spaces: &Keyspaces, command: &Command, db: usize, args: Args<'_>) {
    touched(command, args, db, &mut |touch| match touch {
        Touch::Key(db, key) => spaces.waiters().wake(db, key),
        Touch::Db(_) | Touch::Everything => spaces.waiters().wake_all(),
        Touch::Libraries => {}
    });
}

/// Applies one command of the stream under locks that are already held. A failure taints what the command names.
///
/// DIFFERENCE: a real replica logs a write that fails because of its data (another type, no such group, not a number)
/// and keeps the data. But a primary does not send a command that failed on the primary. A failure only here therefore
/// means that our data differs from the primary's.
///
/// # Errors
/// The handler's error; the keys are tainted then.
pub fn apply(
    tx: &mut Tx<'_>,
    spaces: &Keyspaces,
    command: &Command,
    args: Args<'_>,
) -> Result<(), Error> {
    let result = try_apply(tx, spaces, command, args);
    if result.is_err() {
        taint(tx, spaces, command, args);
    }
    result
}

/// Like [`apply`], and notes the write for the feed, which names every key that a write changes: if servers publish no event
/// for it, the event is named like the command.
///
/// # Errors
/// Like [`apply`].
#[cold]
pub fn apply_heard(
    tx: &mut Tx<'_>,
    spaces: &Keyspaces,
    command: &Command,
    args: Args<'_>,
) -> Result<(), Error> {
    let result = note_keys(tx, spaces, command, args, apply);
    // A write that cannot be applied here is a write on the primary.
    note_words(tx, spaces, args);
    result
}

/// Like [`try_apply`], for a command within a script, and notes it for the feed if it succeeds.
///
/// # Errors
/// Like [`try_apply`].
pub(crate) fn try_apply_heard(
    tx: &mut Tx<'_>,
    spaces: &Keyspaces,
    command: &Command,
    args: Args<'_>,
) -> Result<(), Error> {
    if !spaces.feed().interest().any() {
        return try_apply(tx, spaces, command, args);
    }
    note_keys(tx, spaces, command, args, try_apply)?;
    note_words(tx, spaces, args);
    Ok(())
}

fn note_words(tx: &Tx<'_>, spaces: &Keyspaces, args: Args<'_>) {
    let feed = spaces.feed();
    if feed.interest().has(Interest::COMMANDS) {
        feed.note_command(tx.db_number(), args.iter());
    }
}

/// Applies a command with `apply`. If no event is noted for it, notes one for each key that it changes.
fn note_keys(
    tx: &mut Tx<'_>,
    spaces: &Keyspaces,
    command: &Command,
    args: Args<'_>,
    apply: fn(&mut Tx<'_>, &Keyspaces, &Command, Args<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let (feed, db) = (spaces.feed(), tx.db_number());
    let before = feed.events_pending();
    apply(tx, spaces, command, args)?;
    if tx.notes_events() && feed.events_pending() == before {
        changes(command, db, args, &mut |db, key| {
            tx.event_in(db, Class::NONE, command.name, key);
        });
    }
    Ok(())
}

pub(crate) fn try_apply(
    tx: &mut Tx<'_>,
    spaces: &Keyspaces,
    command: &Command,
    args: Args<'_>,
) -> Result<(), Error> {
    let Some(handler) = command.apply else {
        return Err(Error::Owned(format!(
            "ERR this version cannot apply '{}'",
            command.name
        )));
    };
    check_arity(command, args)?;
    let doubted = spaces.taints().any() && settle_taints(tx, spaces, command, args)?;
    tx.set_quiet(command.quiet);
    let result = tx.apply(|tx| handler(tx, args));
    debug_assert!(
        result != Err(Error::Unheld),
        "{} asks for a key that its row does not name",
        command.name
    );
    if doubted && result.is_ok() {
        doubt_elements(tx, command, args);
    }
    result
}

/// If a command reads or changes a key whose value is unknown, its outcome is unknown too; but a key that it deletes
/// is known again. Returns true if the command runs on lists of which only the lengths are known.
fn settle_taints(
    tx: &mut Tx<'_>,
    spaces: &Keyspaces,
    command: &Command,
    args: Args<'_>,
) -> Result<bool, Error> {
    let is_gone = match command.outcome {
        Outcome::Gone => true,
        Outcome::GoneIfAlone => args.len() == 2,
        Outcome::Depends | Outcome::Exists | Outcome::SecondExists => false,
    };
    let mut worst = None;
    touched(command, args, tx.db_number(), &mut |touch| {
        if let Touch::Key(db, key) = touch {
            if is_gone {
                tx.untaint(db, key);
            }
            worst = worst.max(spaces.taints().doubt(db, key));
        }
    });
    match worst {
        None => Ok(false),
        Some(Doubt::Elements) if command.by_length => Ok(true),
        Some(_) => Err(Tainted.into()),
    }
}

/// Marks the elements of all lists that the command names as unknown: unknown elements may have moved to any of them.
fn doubt_elements(tx: &mut Tx<'_>, command: &Command, args: Args<'_>) {
    touched(command, args, tx.db_number(), &mut |touch| {
        if let Touch::Key(db, key) = touch {
            if tx.exists(key) {
                tx.taint(db, key, Doubt::Elements);
            } else {
                tx.untaint(db, key);
            }
        }
    });
}

/// Whether a key that `command` names does not exist, as far as is known.
fn may_be_new(tx: &Tx<'_>, spaces: &Keyspaces, command: &Command, args: Args<'_>) -> bool {
    let mut may_be_new = false;
    touched(command, args, tx.db_number(), &mut |touch| {
        if let Touch::Key(db, key) = touch {
            let doubt = spaces.taints().doubt(db, key);
            may_be_new |= !tx.exists(key) || doubt == Some(Doubt::Existence);
        }
    });
    may_be_new
}

/// Taints everything that `command` names, or everything if that is unknown.
fn taint(tx: &mut Tx<'_>, spaces: &Keyspaces, command: &Command, args: Args<'_>) {
    if command.makes_others && may_be_new(tx, spaces, command, args) {
        tx.taint_everything();
    }
    let mut named = false;
    let exists = |key: &[u8]| match command.outcome {
        Outcome::Exists => true,
        Outcome::SecondExists => args.get(2) == Some(key),
        Outcome::Depends | Outcome::Gone | Outcome::GoneIfAlone => false,
    };
    touched(command, args, tx.db_number(), &mut |touch| {
        named = true;
        match touch {
            Touch::Key(db, key) => {
                let exists = exists(key);
                if exists && !tx.exists(key) {
                    // Counts and walks must include the key. A read of its value answers TAINTED.
                    tx.set(key, None, NewValue::text(b""));
                }
                tx.taint(
                    db,
                    key,
                    if exists {
                        Doubt::Value
                    } else {
                        Doubt::Existence
                    },
                );
            }
            Touch::Db(_) | Touch::Everything => tx.taint_everything(),
            Touch::Libraries => tx.libraries().doubt(),
        }
    });
    if !named && command.is_write() {
        tx.taint_everything();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::rows::{Arity, Keys};
    use crate::dialect::Dialect;
    use crate::resp::{ArgsBuf, Protocol};

    /// A row that asks for another key than it names.
    fn wrong(view: &View<'_>, _args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
        reply.boolean(view.value(b"another").is_some());
        Ok(())
    }

    #[test]
    #[should_panic(expected = "wrong asks for a key that its row does not name")]
    #[cfg(debug_assertions)]
    fn a_wrong_row_is_named() {
        let spaces = Keyspaces::new(1);
        drop(spaces.write(0, [spaces.slot(0, b"k")]));
        let row = Command::new("wrong", Arity::exactly(2), Keys::first()).read(wrong);
        let words = ArgsBuf::new(["wrong", "k"]);
        let mut reply = Reply::new(Protocol::Resp3, Dialect::default(), usize::MAX);
        _ = read(wrong, &row, &spaces, 0, words.as_args(), &mut reply);
    }
}
