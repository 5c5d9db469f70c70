//! OBJECT and MEMORY USAGE: how a value is stored.

use crate::command::rows::parse::integer;
use crate::command::rows::work::words;
use crate::command::rows::{Arity, Command, Error, Flags, Keys, ReadFn, help};
use crate::dialect::Dialect;
use crate::resp::{Args, Reply};
use crate::store::{Entry, Tainted, Value, View};
use crate::value::Object;

/// Integers from 0 up to this one (exclusive) are objects that all keys share. Source: redis 7.0 server.h,
/// `OBJ_SHARED_INTEGERS`.
const SHARED_INTEGERS: i64 = 10_000;

/// The reference count of a shared object. Source: redis 7.0 server.h, `OBJ_SHARED_REFCOUNT`.
const SHARED_REFERENCES: i64 = i32::MAX as i64;

/// OBJECT's subcommands.
pub(crate) const OBJECT: &[Command] = &[
    of_key("encoding", encoding).about("2.2.3", "Returns the name of a value's internal encoding."),
    of_key("freq", freq)
        .about("4.0.0", "Refused, as on a server without an LFU policy."),
    of_key("idletime", idletime)
        .about("2.2.3", "Returns the seconds since a key was last used, with --track-access.")
        .difference(
            "An error without --track-access: access times cost memory for every key and time for every read. In Redis, small \
             integers of the same value also share an access time.",
        ),
    of_key("refcount", refcount)
        .about("2.2.3", "Returns a value's reference count.")
        .difference("With Redis as upstream, all small integers count as shared, even those that COPY or SETRANGE made and Redis does not share."),
    Command::new("help", Arity::exactly(2), Keys::None)
        .session(|cx, _| help(cx, "OBJECT", OBJECT))
        .flags(Flags::LOADING.and(Flags::STALE))
        .about("6.2.0", "Lists the subcommands."),
];

/// MEMORY USAGE.
pub(crate) const MEMORY_USAGE: Command = Command::new("usage", Arity::at_least(3), SECOND)
    .read(usage)
    .work(words)
    .about(
        "4.0.0",
        "Returns the bytes that a key and its value use in redtail.",
    )
    .difference(
        "Counts the bytes that redtail uses, and all of them: SAMPLES is checked but not needed.",
    );

const SECOND: Keys = Keys::Range {
    first: 2,
    last: 2,
    step: 1,
};

const fn of_key(name: &'static str, handler: ReadFn) -> Command {
    Command::new(name, Arity::exactly(3), SECOND)
        .read(handler)
        .work(words)
}

/// The entry at word 2. If it does not exist, replies null.
fn entry<'v>(view: &'v View<'_>, args: Args<'_>, reply: &mut Reply) -> Option<&'v Entry> {
    let key = args.at(2);
    let counts = reply.dialect().counts_misses_of_object() || view.glance(key).is_some();
    let entry = if counts { view.peek_quietly(key) } else { None };
    if entry.is_none() {
        reply.null();
    }
    entry
}

fn encoding(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let dialect = reply.dialect();
    if let Some(entry) = entry(view, args, reply) {
        reply.bulk(encoding_of(entry, dialect)?.as_bytes());
    }
    Ok(())
}

/// Returns the name of the encoding in which a value is stored.
///
/// # Errors
/// [`Tainted`] if the value is no longer known.
pub(crate) fn encoding_of(entry: &Entry, dialect: Dialect) -> Result<&'static str, Error> {
    Ok(match entry.value() {
        Value::Integer(_) => "int",
        Value::Text(text) if is_embedded(dialect, entry, text) => "embstr",
        Value::Text(_)
        | Value::Object(Object::Text(_) | Object::VectorSet(_) | Object::Module(_)) => "raw",
        Value::Object(Object::List(list)) => list.encoding(dialect),
        Value::Object(Object::Set(set)) => set.encoding(dialect),
        Value::Object(Object::Hash(hash)) => hash.encoding(dialect),
        Value::Object(Object::Zset(zset)) => zset.encoding(dialect),
        Value::Object(Object::Stream(_)) => "stream",
        Value::Object(Object::Array(_)) => "sliced-array",
        Value::Object(Object::Swept) => return Err(Tainted.into()),
    })
}

fn is_embedded(dialect: Dialect, entry: &Entry, text: &[u8]) -> bool {
    let expires = entry.expire_at_ms().is_some();
    !entry.is_raw() && dialect.embeds_text(entry.key().len(), text.len(), expires)
}

fn refcount(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let shares = reply.dialect().shares_small_integers();
    let Some(entry) = entry(view, args, reply) else {
        return Ok(());
    };
    let count = match entry.value() {
        Value::Integer(0..SHARED_INTEGERS) if shares => SHARED_REFERENCES,
        _ => 1,
    };
    reply.integer(count);
    Ok(())
}

/// Source: redis 7.0 object.c, `objectCommand`.
fn freq(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    if entry(view, args, reply).is_none() {
        return Ok(());
    }
    Err(Error::Text(
        "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between \
         policies at runtime LRU and LFU data will take some time to adjust.",
    ))
}

fn idletime(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let Some(entry) = entry(view, args, reply) else {
        return Ok(());
    };
    let used_at_s = entry.used_at_s().map(i64::from).ok_or(Error::Text(
        "ERR not supported: redtail keeps no access times without --track-access yes",
    ))?;
    reply.integer((view.now_ms() / 1000 - used_at_s).max(0));
    Ok(())
}

/// Also reports an expired key, as long as it is still in memory. Source: redis 7.0 object.c, `memoryCommand`.
fn usage(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let mut at = 3;
    while at < args.len() {
        if !args.is(at, "samples") || at + 1 >= args.len() {
            return Err(Error::Syntax);
        }
        if integer(args.at(at + 1))? < 0 {
            return Err(Error::Syntax);
        }
        at += 2;
    }
    match view.entry_at_any_time(args.at(2)) {
        Some(entry) => reply.count(entry.heap_bytes()),
        None => reply.null(),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Bench;
    use crate::dialect::Dialect;

    #[test]
    fn small_integers_are_shared_where_the_server_shares_them() {
        let redis = Bench::new(Dialect::redis(8, 0, 6));
        let valkey = Bench::new(Dialect::valkey(9, 1, 2));
        for bench in [&redis, &valkey] {
            bench.apply("SET small 9999\nSET large 10000\nSET text abc");
        }
        assert_eq!(redis.read("OBJECT REFCOUNT small"), ":2147483647");
        assert_eq!(redis.read("OBJECT REFCOUNT large"), ":1");
        assert_eq!(redis.read("OBJECT REFCOUNT text"), ":1");
        assert_eq!(redis.read("OBJECT REFCOUNT none"), "$-1");
        assert_eq!(valkey.read("OBJECT REFCOUNT small"), ":1");
    }

    #[test]
    fn what_is_not_kept_is_refused_for_keys_that_exist_alone() {
        let bench = Bench::new(Dialect::redis(7, 0, 15));
        bench.apply("SET k v");
        assert_eq!(bench.read("OBJECT FREQ none"), "$-1");
        assert!(
            bench
                .read("OBJECT FREQ k")
                .contains("ERR An LFU maxmemory policy")
        );
        assert!(
            bench
                .read("OBJECT IDLETIME k")
                .contains("ERR not supported")
        );
    }

    #[test]
    fn memory_usage_checks_its_option_before_the_key() {
        let bench = Bench::new(Dialect::redis(7, 0, 15));
        bench.apply("SET k v");
        assert!(
            bench
                .read("MEMORY USAGE none SAMPLES x")
                .contains("not an integer")
        );
        assert!(
            bench
                .read("MEMORY USAGE none SAMPLES -1")
                .contains("syntax error")
        );
        assert!(
            bench
                .read("MEMORY USAGE none FOO 1")
                .contains("syntax error")
        );
        assert_eq!(bench.read("MEMORY USAGE none SAMPLES 0"), "$-1");
        bench.apply("SET past v PXAT 1");
        assert!(bench.read("MEMORY USAGE past").starts_with(':'));
        assert!(bench.read("MEMORY USAGE k").starts_with(':'));
    }
}
