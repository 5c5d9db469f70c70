//! DUMP and RESTORE: a value as bytes, and a key from those bytes.

use crate::command::rows::Error;
use crate::command::rows::parse::{integer, moment_ms};
use crate::feed::Class;
use crate::rdb::dump::Sums;
use crate::rdb::encode::{Layouts, Writer};
use crate::rdb::{self, version::Version};
use crate::resp::{Args, Reply};
use crate::store::{Attached, NewValue, Tx, Value, View};
use crate::value::Object;

/// `DUMP key`, in the RDB version that the upstream writes.
pub(crate) fn dump(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let Some(value) = view.value(args.at(1)) else {
        reply.null();
        return Ok(());
    };
    if let Value::Object(Object::Module(module)) = value
        && !module.stands_alone(args.at(1))
    {
        return Err(BOUND_SERIES);
    }
    let attached = match view.attached(args.at(1)) {
        None => Box::default(),
        Some(Attached::Known(record)) => record,
        Some(Attached::Unknown) => return Err(DOUBTED),
    };
    let version = Version::of_payload(reply.dialect().rdb_version());
    let kind = value.value_type(Layouts::of(version));
    let write = |writer: &mut Writer<Vec<u8>>| {
        writer.as_of(view.now_ms());
        value.encode(writer)
    };
    let payload = rdb::dump::encode_payload(version, &attached, kind, write)
        .map_err(|error| Error::Owned(format!("ERR {error}")))?;
    reply.bulk(&payload);
    Ok(())
}

/// DIFFERENCE: only its module knows what DUMP returns for such a value.
const BOUND_SERIES: Error = Error::Text(
    "ERR not supported: redtail cannot dump a time series that was renamed or belongs to a compaction rule; ask the primary",
);

const DOUBTED: Error = Error::Text(
    "TAINTED a module has attached data to this key, and a command has replaced the key since: what DUMP returns is unknown until the next full sync",
);

/// The options after the payload.
#[derive(Default)]
struct Options {
    replace: bool,
    absolute: bool,
    /// Which of IDLETIME and FREQ was given; only one may be.
    rank: Option<Rank>,
    idle_s: i64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Rank {
    Idle,
    Freq,
}

/// DIFFERENCE: access frequencies are checked and then dropped, as on a server without an LFU policy.
///
/// Source: redis 7.0 cluster.c, restoreCommand.
fn options(args: Args<'_>) -> Result<Options, Error> {
    let mut options = Options::default();
    let mut index = 4;
    while index < args.len() {
        if args.is(index, "replace") {
            options.replace = true;
        } else if args.is(index, "absttl") {
            options.absolute = true;
        } else {
            let (rank, number) = rank(args, index, options.rank)?;
            if rank == Rank::Idle {
                options.idle_s = number;
            }
            options.rank = Some(rank);
            index += 1;
        }
        index += 1;
    }
    Ok(options)
}

/// Reads IDLETIME or FREQ and its number. It must not differ from `before`, the one read earlier.
fn rank(args: Args<'_>, index: usize, before: Option<Rank>) -> Result<(Rank, i64), Error> {
    let rank = if args.is(index, "idletime") {
        Rank::Idle
    } else if args.is(index, "freq") {
        Rank::Freq
    } else {
        return Err(Error::Syntax);
    };
    if before.is_some_and(|before| before != rank) {
        return Err(Error::Syntax);
    }
    let number = integer(args.get(index + 1).ok_or(Error::Syntax)?)?;
    match rank {
        Rank::Idle if number < 0 => Err(Error::Text("ERR Invalid IDLETIME value, must be >= 0")),
        Rank::Freq if !(0..=255).contains(&number) => Err(Error::Text(
            "ERR Invalid FREQ value, must be >= 0 and <= 255",
        )),
        _ => Ok((rank, number)),
    }
}

/// `RESTORE key ttl payload [REPLACE] [ABSTTL] [IDLETIME s] [FREQ n]`. Primaries before 7.0 send a relative time. A time
/// that has already passed leaves a key that readers do not see, because a replica waits for the primary's DEL.
pub(crate) fn restore(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let key = args.at(1);
    let options = options(args)?;
    if !options.replace && tx.exists(key) {
        return Err(Error::Text("BUSYKEY Target key name already exists."));
    }
    let ttl = integer(args.at(2))?;
    if ttl < 0 {
        return Err(Error::Text("ERR Invalid TTL value, must be >= 0"));
    }
    let base = if options.absolute { 0 } else { tx.now_ms() };
    let expiry = (ttl != 0).then(|| moment_ms(ttl, 1, base));
    let thresholds = tx.thresholds();
    let sums = match tx.dialect().takes_payloads_without_sums() {
        true => Sums::Optional,
        false => Sums::Required,
    };
    let before = tx.kind_before(key);
    let restored = rdb::dump::decode_payload(args.at(3), sums, |object, attached| {
        NewValue::from_rdb(object, &thresholds).map(|value| {
            tx.set(key, expiry, value);
            if !attached.is_empty() {
                tx.attach(key, Attached::Known(attached.into()));
            }
        })
    });
    match restored {
        Ok(Ok(())) => {
            tx.set_idle(key, u32::try_from(options.idle_s).unwrap_or(u32::MAX));
            tx.event_of_new(key, before);
            tx.event(Class::GENERIC, "restore", key);
            tx.event_of_overwriting(key, before);
            Ok(())
        }
        Ok(Err(duplicate)) => Err(Error::Owned(format!("ERR Bad data format: {duplicate}"))),
        Err(error) => Err(Error::Owned(format!("ERR Bad data format: {error}"))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::command::dispatch::execute::{apply, slots};
    use crate::command::resolve;
    use crate::dialect::Dialect;
    use crate::rdb::ValueType;
    use crate::resp::{ArgsBuf, Protocol};
    use crate::store::Keyspaces;

    /// Applies RESTORE of the string `hi` with this TTL and these options.
    fn restored(spaces: &Keyspaces, ttl: &str, options: &str) -> Result<(), Error> {
        let version = Version::of_payload(10);
        let payload = rdb::dump::encode_payload(version, b"", ValueType::String, |writer| {
            writer.string(b"hi")
        });
        let mut words = ArgsBuf::new(["restore", "k", ttl]);
        words.push(&payload.unwrap());
        options
            .split_whitespace()
            .for_each(|word| words.push(word.as_bytes()));
        let args = words.as_args();
        let command = resolve(args).unwrap();
        let mut needed = smallvec::SmallVec::new();
        slots(command, spaces, 0, args, &mut needed);
        apply(&mut spaces.write(0, needed), spaces, command, args)
    }

    fn expiry(spaces: &Keyspaces) -> Option<i64> {
        let view = spaces.view_key(0, b"k");
        view.entry_at_any_time(b"k").unwrap().expire_at_ms()
    }

    #[test]
    fn options_are_those_of_redis() {
        let spaces = Keyspaces::new(1);
        let good = [
            ("0", "", None),
            ("9999999999999", "ABSTTL REPLACE", Some(9_999_999_999_999)),
            ("1", "absttl replace idletime 5", Some(1)),
            ("0", "REPLACE FREQ 255 FREQ 0", None),
        ];
        for (ttl, options, at) in good {
            assert_eq!(restored(&spaces, ttl, options), Ok(()), "{options}");
            assert_eq!(expiry(&spaces), at, "{options}");
        }
        assert_eq!(restored(&spaces, "1000", "REPLACE"), Ok(()));
        assert!(expiry(&spaces).unwrap() > crate::store::unix_ms());
    }

    #[test]
    fn what_redis_refuses_is_refused() {
        for (ttl, options) in [
            ("-1", "REPLACE"),
            ("x", "REPLACE"),
            ("0", "REPLACE IDLETIME"),
            ("0", "REPLACE IDLETIME -1"),
            ("0", "REPLACE FREQ 256"),
            ("0", "REPLACE FREQ 1 IDLETIME 1"),
            ("0", "REPLACE IDLETIME 1 FREQ 1"),
            ("0", "OTHER"),
        ] {
            let spaces = Keyspaces::new(1);
            assert!(restored(&spaces, ttl, options).is_err(), "{ttl} {options}");
        }
        let spaces = Keyspaces::new(1);
        restored(&spaces, "0", "").unwrap();
        assert!(restored(&spaces, "0", "").is_err(), "the key exists");
    }

    #[test]
    fn a_dump_is_in_the_version_of_the_upstream() {
        let spaces = Keyspaces::new(1);
        restored(&spaces, "0", "").unwrap();
        let words = ArgsBuf::new(["dump", "k"]);
        for (dialect, version) in [
            (Dialect::redis(6, 0, 16), 9),
            (Dialect::redis(7, 0, 15), 10),
            (Dialect::redis(8, 0, 2), 12),
            (Dialect::valkey(8, 1, 1), 11),
            (Dialect::valkey(9, 1, 2), 80),
        ] {
            let mut reply = Reply::new(Protocol::Resp2, dialect, 1000);
            dump(&spaces.view_key(0, b"k"), words.as_args(), &mut reply).unwrap();
            let start = [b"$14\r\n\0\x02hi", &[version, 0][..]].concat();
            assert!(reply.as_bytes().starts_with(&start), "{version}");
        }
    }
}
