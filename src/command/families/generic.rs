//! Commands on keys of any type, and on whole databases.

use std::borrow::Cow;

use super::{object, restore};
use crate::command::rows::glob::Glob;
use crate::command::rows::parse::{integer, moment_ms};
use crate::command::rows::scan::{ScanOptions, scan_cursor};
use crate::command::rows::{Arity, Command, Error, Family, Flags, Keys, Outcome, Scope, Touch};
use crate::feed::Class;
use crate::resp::{Args, Reply};
use crate::store::{Attached, Cursor, Entry, Tx, Value, View, drop_aside};
use crate::value::Object;

/// More deleted keys than this are dropped on a thread of their own, so that the stream does not wait for it.
const DROP_ASIDE_KEYS: usize = 10_000;

/// This file's rows.
pub(crate) const FAMILY: Family = Family {
    group: "generic",
    commands: &[
        Command::new("exists", Arity::at_least(2), Keys::all())
            .read(exists)
            .flags(Flags::FAST)
            .about("1.0.0", "Counts the keys that exist."),
        Command::new("touch", Arity::at_least(2), Keys::all())
            .read(touch)
            .flags(Flags::FAST)
            .about("3.2.1", "Counts the keys that exist and updates their access times."),
        Command::new("type", Arity::exactly(2), Keys::first())
            .read(type_of)
            .flags(Flags::FAST)
            .about("1.0.0", "Returns the type of a value."),
        Command::new("dump", Arity::exactly(2), Keys::first())
            .read(restore::dump)
            .difference(
                "The elements of hash tables come in redtail's own order; all other bytes are the same.",
            )
            .about(
                "2.6.0",
                "Returns a value as a payload for RESTORE.",
            ),
        Command::new("ttl", Arity::exactly(2), Keys::first())
            .read(ttl)
            .flags(Flags::FAST)
            .about("1.0.0", "Returns the seconds until a key expires."),
        Command::new("pttl", Arity::exactly(2), Keys::first())
            .read(pttl)
            .flags(Flags::FAST)
            .about("2.6.0", "Returns the milliseconds until a key expires."),
        Command::new("expiretime", Arity::exactly(2), Keys::first())
            .read(expiretime)
            .flags(Flags::FAST)
            .about("7.0.0", "Returns the Unix time in seconds at which a key expires."),
        Command::new("pexpiretime", Arity::exactly(2), Keys::first())
            .read(pexpiretime)
            .flags(Flags::FAST)
            .about(
                "7.0.0",
                "Returns the Unix time in milliseconds at which a key expires.",
            ),
        Command::new("keys", Arity::exactly(2), Keys::None)
            .read(keys)
            .scope(Scope::Database)
            .about("1.0.0", "Returns all keys that match a pattern."),
        Command::new("scan", Arity::at_least(2), Keys::None)
            .read(scan)
            .scope(Scope::Nothing)
            .about("2.8.0", "Returns the keys, a few at a time."),
        Command::new("randomkey", Arity::exactly(1), Keys::None)
            .read(randomkey)
            .scope(Scope::Nothing)
            .about("1.0.0", "Returns a random key."),
        Command::new("dbsize", Arity::exactly(1), Keys::None)
            .read(dbsize)
            .scope(Scope::Nothing)
            .flags(Flags::FAST)
            .about("1.0.0", "Returns the number of keys."),
        Command::container("object", object::OBJECT).about("2.2.3", "Shows how a value is stored."),
        Command::new("del", Arity::at_least(2), Keys::all())
            .apply(del)
            .outcome(Outcome::Gone)
            .about("1.0.0", "Deletes keys."),
        Command::new("unlink", Arity::at_least(2), Keys::all())
            .apply(del)
            .outcome(Outcome::Gone)
            .flags(Flags::FAST)
            .about("4.0.0", "Deletes keys; their memory is freed later."),
        Command::new("expire", Arity::at_least(3), Keys::first())
            .apply(expire)
            .by_length()
            .flags(Flags::FAST)
            .about("1.0.0", "Sets a key's expiry in seconds from now.")
            .arity_before("7.0.0", Arity::exactly(3)),
        Command::new("pexpire", Arity::at_least(3), Keys::first())
            .apply(pexpire)
            .by_length()
            .flags(Flags::FAST)
            .about("2.6.0", "Sets a key's expiry in milliseconds from now.")
            .arity_before("7.0.0", Arity::exactly(3)),
        Command::new("expireat", Arity::at_least(3), Keys::first())
            .apply(expireat)
            .by_length()
            .flags(Flags::FAST)
            .about("1.2.0", "Sets a key's expiry to a Unix time in seconds.")
            .arity_before("7.0.0", Arity::exactly(3)),
        Command::new("pexpireat", Arity::at_least(3), Keys::first())
            .apply(pexpireat)
            .by_length()
            .flags(Flags::FAST)
            .about("2.6.0", "Sets a key's expiry to a Unix time in milliseconds.")
            .arity_before("7.0.0", Arity::exactly(3)),
        Command::new("persist", Arity::exactly(2), Keys::first())
            .apply(persist)
            .by_length()
            .flags(Flags::FAST)
            .about("2.2.0", "Removes a key's expiry."),
        Command::new("rename", Arity::exactly(3), Keys::leading(2))
            .apply(rename)
            .by_length()
            .about("1.0.0", "Renames a key."),
        Command::new("renamenx", Arity::exactly(3), Keys::leading(2))
            .apply(renamenx)
            .by_length()
            .flags(Flags::FAST)
            .about("1.0.0", "Renames a key if the new name is free."),
        Command::new("copy", Arity::at_least(3), Keys::leading(2))
            .apply(copy)
            .touches(copy_touches)
            .flags(Flags::DENYOOM)
            .about("6.2.0", "Copies a value to another key."),
        Command::new("move", Arity::exactly(3), Keys::first())
            .apply(move_key)
            .touches(move_touches)
            .flags(Flags::FAST)
            .about("1.0.0", "Moves a key to another database."),
        Command::new("swapdb", Arity::exactly(3), Keys::None)
            .apply(swapdb)
            .touches(swapdb_touches)
            .flags(Flags::FAST)
            .about("4.0.0", "Swaps two databases."),
        Command::new("flushdb", Arity::at_least(1), Keys::None)
            .apply(flushdb)
            .touches(flushdb_touches)
            .about("1.0.0", "Empties the database."),
        Command::new("flushall", Arity::at_least(1), Keys::None)
            .apply(flushall)
            .touches(flushall_touches)
            .about("1.0.0", "Empties all databases."),
        Command::new("restore", Arity::at_least(4), Keys::first())
            .apply(restore::restore)
            .flags(Flags::DENYOOM)
            .about("2.6.0", "Creates a key from a DUMP payload."),
        Command::new("restore-asking", Arity::at_least(4), Keys::first())
            .apply(restore::restore)
            .flags(Flags::DENYOOM)
            .about("3.0.0", "RESTORE during a slot's migration."),
        Command::new(
            "migrate",
            Arity::at_least(6),
            Keys::Found {
                first: 3,
                find: migrate_keys,
            },
        )
        .write()
        .about("2.6.0", "Moves keys to another server."),
    ],
};

fn exists(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    reply.count(
        args.from(1)
            .iter()
            .filter(|key| view.peek(key).is_some())
            .count(),
    );
    Ok(())
}

/// TOUCH updates access times even under CLIENT NO-TOUCH.
fn touch(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    view.set_touches(true);
    let keys = args.from(1);
    reply.count(keys.iter().filter(|key| view.entry(key).is_some()).count());
    Ok(())
}

/// Returns a value's type as TYPE names it.
#[must_use]
pub fn type_name(value: Value<'_>) -> Cow<'static, str> {
    Cow::Borrowed(match value {
        Value::Text(_) | Value::Integer(_) | Value::Object(Object::Text(_)) => "string",
        Value::Object(Object::List(_)) => "list",
        Value::Object(Object::Set(_)) => "set",
        Value::Object(Object::Hash(_)) => "hash",
        Value::Object(Object::Zset(_)) => "zset",
        Value::Object(Object::Stream(_)) => "stream",
        Value::Object(Object::Array(_)) => "array",
        Value::Object(Object::VectorSet(_)) => "vectorset",
        // Readers never see one.
        Value::Object(Object::Swept) => "none",
        Value::Object(Object::Module(value)) => return Cow::Owned(value.id().name()),
    })
}

fn type_of(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let value = view.peek(args.at(1)).map(Entry::value);
    reply.simple(&value.map_or("none".into(), type_name));
    Ok(())
}

/// Replies −2 if the key does not exist, −1 if it has no expiry, else `figure` of its expiry.
fn expiry_figure(
    view: &View<'_>,
    args: Args<'_>,
    reply: &mut Reply,
    figure: impl Fn(i64) -> i64,
) -> Result<(), Error> {
    reply.integer(match view.peek(args.at(1)).map(Entry::expire_at_ms) {
        None => -2,
        Some(None) => -1,
        Some(Some(at)) => figure(at),
    });
    Ok(())
}

fn left_ms(view: &View<'_>, at: i64) -> i64 {
    at.wrapping_sub(view.now_ms()).max(0)
}

/// Rounds non-negative milliseconds to the nearest second.
const fn seconds(ms: i64) -> i64 {
    ((ms.cast_unsigned() + 500) / 1000).cast_signed()
}

fn ttl(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    expiry_figure(view, args, reply, |at| seconds(left_ms(view, at)))
}

fn pttl(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    expiry_figure(view, args, reply, |at| left_ms(view, at))
}

fn expiretime(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    expiry_figure(view, args, reply, |at| seconds(at.max(0)))
}

fn pexpiretime(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    expiry_figure(view, args, reply, |at| at)
}

fn keys(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let pattern = Glob::new(args.at(1), reply.dialect());
    reply.array_of(|reply| {
        let mut matching = 0;
        for entry in view.entries().filter(|entry| pattern.matches(entry.key())) {
            reply.bulk(entry.key());
            matching += 1;
        }
        matching
    });
    Ok(())
}

fn scan(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let cursor = scan_cursor(args.at(1), reply.dialect())?;
    let options = ScanOptions::parse(args, 2, reply.dialect())?;
    scan_from(view, cursor, &options, reply, |_| true, scan_number);
    Ok(())
}

/// Writes a cursor as SCAN does.
pub(super) fn scan_number(reply: &mut Reply, cursor: u64) {
    reply.bulk(itoa::Buffer::new().format(cursor).as_bytes());
}

/// Scans the keys that are `within` from `cursor` on. `show` writes the cursor to go on with.
pub(super) fn scan_from(
    view: &View<'_>,
    cursor: u64,
    options: &ScanOptions<'_>,
    reply: &mut Reply,
    within: impl Fn(&[u8]) -> bool,
    show: impl FnOnce(&mut Reply, u64),
) {
    let wanted = |entry: &Entry, key: &[u8]| {
        view.lists(entry)
            && options.pattern.matches(key)
            && within(key)
            && options
                .type_name
                .is_none_or(|name| name.eq_ignore_ascii_case(type_name(entry.value()).as_bytes()))
    };
    let walk = |reply: &mut Reply| {
        let mut found = 0;
        let next = view.scan(Cursor::from_number(cursor), options.count, |entry| {
            let key = entry.key();
            if wanted(entry, key) {
                reply.bulk(key);
                found += 1;
            }
        });
        (next, found)
    };
    reply.under(walk, |reply, (next, found)| {
        reply.array(2);
        show(reply, next.number());
        reply.array(found);
    });
}

fn randomkey(view: &View<'_>, _args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    reply.bulk_or_null(view.random_key().as_deref());
    Ok(())
}

fn dbsize(view: &View<'_>, _args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    reply.count(view.count_keys());
    Ok(())
}

fn del(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    for key in args.from(1).iter() {
        if tx.remove(key).is_some() {
            tx.event(Class::GENERIC, "del", key);
        }
    }
    Ok(())
}

/// Whether the conditions of the EXPIRE family allow the new expiry. Source: redis 7.0 expire.c, `expireGenericCommand`.
fn expiry_allowed(tx: &Tx<'_>, args: Args<'_>, at: i64) -> Result<bool, Error> {
    let current = tx.entry(args.at(1)).and_then(Entry::expire_at_ms);
    let mut allowed = true;
    for index in 3..args.len() {
        // No expiry counts as infinitely far away.
        allowed &= if args.is(index, "nx") {
            current.is_none()
        } else if args.is(index, "xx") {
            current.is_some()
        } else if args.is(index, "gt") {
            current.is_some_and(|current| at > current)
        } else if args.is(index, "lt") {
            current.is_none_or(|current| at < current)
        } else {
            return Err(Error::quoting(
                "ERR Unsupported option {}",
                &[args.at(index)],
            ));
        };
    }
    Ok(allowed)
}

/// Sets an expiry even if it has passed: the primary itself sends the deletion.
fn expire_at(tx: &mut Tx<'_>, args: Args<'_>, scale: i64, base: i64) -> Result<(), Error> {
    let at = moment_ms(integer(args.at(2))?, scale, base);
    if expiry_allowed(tx, args, at)? && tx.set_expiry(args.at(1), Some(at)) {
        tx.event(Class::GENERIC, "expire", args.at(1));
    }
    Ok(())
}

fn expire(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let now = tx.now_ms();
    expire_at(tx, args, 1000, now)
}

fn pexpire(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let now = tx.now_ms();
    expire_at(tx, args, 1, now)
}

fn expireat(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    expire_at(tx, args, 1000, 0)
}

fn pexpireat(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    expire_at(tx, args, 1, 0)
}

fn persist(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    if tx.set_expiry(args.at(1), None) {
        tx.event(Class::GENERIC, "persist", args.at(1));
    }
    Ok(())
}

fn rename(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (from, to) = (args.at(1), args.at(2));
    if !tx.exists(from) {
        return Err(Error::NoSuchKey);
    }
    let attached = tx.attached(from).is_some();
    let before = tx.kind_before(to);
    if from != to
        && let Some(entry) = tx.remove(from)
    {
        let expiry = entry.expire_at_ms();
        tx.put(entry.rebuilt(to, expiry));
        doubt_attached(tx, to, attached);
        tx.event_of_new(to, before);
        tx.event(Class::GENERIC, "rename_from", from);
        tx.event(Class::GENERIC, "rename_to", to);
        tx.event_of_overwriting(to, before);
    }
    Ok(())
}

/// Records that only a module knows what is attached to `key`, if its value comes from a key to which something was `attached`.
fn doubt_attached(tx: &mut Tx<'_>, key: &[u8], attached: bool) {
    if attached {
        tx.attach(key, Attached::Unknown);
    }
}

fn renamenx(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    if tx.exists(args.at(1)) && tx.exists(args.at(2)) {
        Ok(())
    } else {
        rename(tx, args)
    }
}

const SAME: Error = Error::Text("ERR source and destination objects are the same");

/// A database number argument.
fn database(text: &[u8]) -> Result<usize, Error> {
    let out_of_range = Error::Text("ERR DB index is out of range");
    usize::try_from(integer(text)?).map_err(|_| out_of_range)
}

/// COPY's target database, and whether it may replace an existing key.
fn copy_options(args: Args<'_>, db: usize) -> Result<(usize, bool), Error> {
    let (mut target, mut replace) = (db, false);
    let mut index = 3;
    while index < args.len() {
        if args.is(index, "replace") {
            replace = true;
        } else if args.is(index, "db") && index + 1 < args.len() {
            index += 1;
            target = database(args.at(index))?;
        } else {
            return Err(Error::Syntax);
        }
        index += 1;
    }
    Ok((target, replace))
}

fn copy_touches<'a>(args: Args<'a>, db: usize, visit: &mut dyn FnMut(Touch<'a>)) {
    visit(Touch::Key(db, args.at(1)));
    visit(match copy_options(args, db) {
        Ok((target, _)) => Touch::Key(target, args.at(2)),
        // An option of a later version: it may write to any database.
        Err(_) => Touch::Everything,
    });
}

fn copy(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let source = tx.db_number();
    let (target, replace) = copy_options(args, source)?;
    if (source, args.at(1)) == (target, args.at(2)) {
        return Err(SAME);
    }
    let Some(copied) = tx.copied(args.at(1), args.at(2)) else {
        return Ok(());
    };
    let attached = tx.attached(args.at(1)).is_some();
    tx.select(target)?;
    if replace || !tx.exists(args.at(2)) {
        let before = tx.kind_before(args.at(2));
        tx.put(copied);
        doubt_attached(tx, args.at(2), attached);
        tx.event_of_new(args.at(2), before);
        tx.event(Class::GENERIC, "copy_to", args.at(2));
        tx.event_of_overwriting(args.at(2), before);
    }
    tx.select(source)?;
    Ok(())
}

fn move_touches<'a>(args: Args<'a>, db: usize, visit: &mut dyn FnMut(Touch<'a>)) {
    visit(Touch::Key(db, args.at(1)));
    visit(Touch::Key(database(args.at(2)).unwrap_or(db), args.at(1)));
}

fn move_key(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (key, own, target) = (args.at(1), tx.db_number(), database(args.at(2))?);
    if own == target {
        return Err(SAME);
    }
    tx.select(target)?;
    let taken = tx.exists(key);
    tx.select(own)?;
    if taken {
        return Ok(());
    }
    let attached = tx.attached(key).is_some();
    if let Some(entry) = tx.remove(key) {
        tx.select(target)?;
        tx.put(entry);
        doubt_attached(tx, key, attached);
        tx.event_in(own, Class::GENERIC, "move_from", key);
        tx.event(Class::GENERIC, "move_to", key);
        tx.select(own)?;
    }
    Ok(())
}

fn swapdb_touches<'a>(args: Args<'a>, _db: usize, visit: &mut dyn FnMut(Touch<'a>)) {
    for index in [1, 2] {
        if let Ok(db) = database(args.at(index)) {
            visit(Touch::Db(db));
        }
    }
}

fn swapdb(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    tx.swap(database(args.at(1))?, database(args.at(2))?)?;
    Ok(())
}

/// Accepts only the options that every server understands.
fn check_flush(args: Args<'_>) -> Result<(), Error> {
    match args.len() {
        1 => Ok(()),
        2 if args.is(1, "async") || args.is(1, "sync") => Ok(()),
        _ => Err(Error::Syntax),
    }
}

fn flushdb_touches<'a>(_args: Args<'a>, db: usize, visit: &mut dyn FnMut(Touch<'a>)) {
    visit(Touch::Db(db));
}

fn flushdb(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    check_flush(args)?;
    let keys = tx.keys();
    let old = tx.flush(tx.db_number());
    if keys > DROP_ASIDE_KEYS {
        drop_aside(old);
    }
    Ok(())
}

/// Frees removed keys.
pub(super) fn release(entries: Vec<Entry>) {
    if entries.len() > DROP_ASIDE_KEYS {
        drop_aside(entries);
    }
}

fn flushall_touches<'a>(_args: Args<'a>, _db: usize, visit: &mut dyn FnMut(Touch<'a>)) {
    visit(Touch::Everything);
}

fn flushall(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    check_flush(args)?;
    let old: Vec<_> = (0..tx.databases()).map(|db| tx.flush(db)).collect();
    drop_aside(old);
    Ok(())
}

/// MIGRATE's keys: word 3, or all words after KEYS if word 3 is empty.
fn migrate_keys(args: Args<'_>, visit: &mut dyn FnMut(usize)) {
    match (6..args.len()).find(|index| args.is(*index, "keys")) {
        Some(keys) if args.at(3).is_empty() => (keys + 1..args.len()).for_each(visit),
        _ => visit(3),
    }
}
