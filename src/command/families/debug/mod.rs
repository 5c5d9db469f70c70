//! DEBUG: digests of values, and other subcommands that do no harm. The setting `enable-debug-command` guards it.

mod digest;

use std::io;
use std::time::Duration;

use digest::Digest;

use crate::command::families::object::encoding_of as encoding;
use crate::command::rows::error::c_string;
use crate::command::rows::session::loading;
use crate::command::rows::{Arity, Command, Error, Family, Flags, Keys, SessionCx, long};
use crate::dialect::Dialect;
use crate::rdb::ValueType;
use crate::rdb::encode::Writer;
use crate::rdb::version::Version;
use crate::resp::Args;
use crate::store::{Entry, Generation, Keyspaces, Names, Slot, Tainted, Value};
use crate::value::{List, Object, Thresholds};

/// This file's rows.
pub(crate) const FAMILY: Family = Family {
    group: "server",
    commands: &[Command::new("debug", Arity::at_least(2), Keys::None)
        .session(debug)
        .flags(
            Flags::ADMIN
                .and(Flags::NOSCRIPT)
                .and(Flags::LOADING)
                .and(Flags::STALE)
                .and(Flags::NO_MULTI),
        )
        .difference(
            "Supports DIGEST, DIGEST-VALUE, HELP, OBJECT, SET-ACTIVE-EXPIRE and SLEEP (of this one connection, up to a minute), \
             but not inside MULTI. Access times and frequencies are 0, reference counts 1. The nodes of a 6.0 or 7.0 list \
             are measured as redtail stores them. A module's value has no digest.",
        )
        .about("1.0.0", "Inspects the store itself.")],
};

/// Source: redis 7.0 server.c, `processCommand`.
const NOT_ALLOWED: Error = Error::Text(
    "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a local \
     connection, otherwise you need to set this option in the configuration file, and then restart the server.",
);

/// The longest time that DEBUG SLEEP may hold a runtime thread.
const SLEEP_MAX: Duration = Duration::from_secs(60);

const HELP: &[&str] = &[
    "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "DIGEST",
    "    Output a hex signature representing the current DB content.",
    "DIGEST-VALUE <key> [<key> ...]",
    "    Output a hex signature of the values of all the specified keys.",
    "OBJECT <key>",
    "    Show low level info about `key` and associated value.",
    "SET-ACTIVE-EXPIRE <0|1>",
    "    Accepted: redtail does not expire keys actively.",
    "SLEEP <seconds>",
    "    Stop this connection for <seconds>. Decimals allowed.",
    "HELP",
    "    Print this help.",
];

fn debug(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    if !cx.host.allows_debug(&cx.session.client) {
        return Err(NOT_ALLOWED);
    }
    match args.len() {
        2 if args.is(1, "help") => help(cx),
        2 if args.is(1, "digest") => long(|| digest(cx))?,
        _ if args.is(1, "digest-value") => digest_values(cx, args)?,
        3 if args.is(1, "object") => object(cx, args, false)?,
        4 if args.is(1, "object") && is_fast(cx, args) => object(cx, args, true)?,
        3 if args.is(1, "set-active-expire") => cx.reply.ok(),
        3 if args.is(1, "sleep") => sleep(cx, args)?,
        _ if args.is(1, "reload") => {
            return Err(Error::Text(
                "ERR DEBUG RELOAD is not supported: a replica keeps no snapshot of its own",
            ));
        }
        _ => return Err(unknown(args, cx.reply.dialect())),
    }
    Ok(())
}

/// Source: networking.c of redis 6.0 and 7.0, `addReplySubcommandSyntaxError`.
fn unknown(args: Args<'_>, dialect: Dialect) -> Error {
    let (start, most): (&[u8], usize) = if dialect.has_subcommand_rows() {
        (b"ERR unknown", 128)
    } else {
        (b"ERR Unknown", usize::MAX)
    };
    let middle: &[u8] = b" subcommand or wrong number of arguments for '";
    let word = c_string(args.at(1), most);
    let end: &[u8] = b"'. Try DEBUG HELP.";
    Error::Quoting([start, middle, word, end].concat())
}

fn help(cx: &mut SessionCx<'_>) {
    cx.reply.array(HELP.len());
    HELP.iter().for_each(|line| cx.reply.simple(line));
}

fn sleep(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    // Like strtod, whose errors Redis does not check: text that is no number counts as 0.
    let text = std::str::from_utf8(args.at(2)).unwrap_or_default();
    let seconds = text.parse().unwrap_or(0.0);
    let time = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    if time > SLEEP_MAX {
        return Err(Error::Text("ERR a sleep longer than a minute is refused"));
    }
    long(|| std::thread::sleep(time));
    cx.reply.ok();
    Ok(())
}

fn generation<'g>(cx: &SessionCx<'g>) -> Result<&'g Generation, Error> {
    cx.generation.ok_or_else(|| loading(cx))
}

/// `DEBUG DIGEST`: covers all databases at one moment, expired keys included.
fn digest(cx: &mut SessionCx<'_>) -> Result<(), Error> {
    let spaces = &generation(cx)?.spaces;
    let held = spaces.hold(all_slots(spaces));
    if spaces.taints().any() {
        return Err(Tainted.into());
    }
    let mut digest = Digest::default();
    for hold in &held {
        hold.read(Names::Existence, |view| {
            digest.mix_database(view, cx.reply.dialect())
        })?;
    }
    cx.reply.simple(&digest.to_string());
    Ok(())
}

fn all_slots(spaces: &Keyspaces) -> Vec<Slot> {
    let used = (0..spaces.databases()).filter(|db| spaces.db(*db).is_some());
    used.flat_map(|db| spaces.slots_of_db(db)).collect()
}

/// `DEBUG DIGEST-VALUE [key …]`: zeros for a missing key.
fn digest_values(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (spaces, db) = (&generation(cx)?.spaces, cx.session.db);
    let dialect = cx.reply.dialect();
    let keys = args.from(2);
    let hold = spaces.view_keys(db, keys.iter());
    let each = |visit: &mut dyn FnMut(&[u8])| keys.iter().for_each(visit);
    hold.read(Names::Keys(&each), |view| {
        cx.reply.array(keys.len());
        for key in keys.iter() {
            let mut digest = Digest::default();
            if let Some(entry) = view.entry_at_any_time(key) {
                digest.mix_value(entry, dialect, view.now_ms())?;
            }
            cx.reply.simple(&digest.to_string());
        }
        Ok(())
    })
}

fn is_fast(cx: &SessionCx<'_>, args: Args<'_>) -> bool {
    args.is(3, "fast") && cx.reply.dialect().has_fast_debug_object()
}

/// `DEBUG OBJECT key [FAST]`. Source: redis 7.0 and valkey 9.0 debug.c, `debugCommand`.
fn object(cx: &mut SessionCx<'_>, args: Args<'_>, fast: bool) -> Result<(), Error> {
    let (spaces, db, key) = (&generation(cx)?.spaces, cx.session.db, args.at(2));
    let dialect = cx.reply.dialect();
    let hold = spaces.view_key(db, key);
    let line = hold.read(Names::Key(key), |view| {
        let entry = view.entry_at_any_time(key).ok_or(Error::NoSuchKey)?;
        described(entry, dialect, &generation(cx)?.thresholds(), fast)
    })?;
    cx.reply.simple(&line);
    Ok(())
}

fn described(
    entry: &Entry,
    dialect: Dialect,
    thresholds: &Thresholds,
    fast: bool,
) -> Result<String, Error> {
    let name = encoding(entry, dialect)?;
    let mut line = format!("Value at:{entry:p} refcount:1 encoding:{name}");
    if !fast {
        line.push_str(&format!(
            " serializedlength:{}",
            serialized_len(entry, dialect)?
        ));
    }
    line.push_str(" lru:0 lru_seconds_idle:0");
    if dialect.tells_frequency_in_debug_object() {
        line.push_str(" lfu_freq:0 lfu_access_time_minutes:0");
    }
    if let (Value::Object(Object::List(list)), "quicklist") = (entry.value(), name) {
        line.push_str(&node_figures(list, thresholds, dialect));
    }
    Ok(line)
}

/// Returns the bytes of the value in a snapshot, as Redis counts them: without the eight bytes of a hash's earliest expiry.
///
/// Source: redis 8.0 rdb.c, `rdbSavedObjectLen`, `rdbSaveObject`.
fn serialized_len(entry: &Entry, dialect: Dialect) -> Result<u64, Error> {
    let version = Version::of_payload(dialect.rdb_version());
    let mut writer = Writer::new(io::sink(), version);
    let encoded = entry.value().encode(&mut writer);
    encoded.map_err(|error| Error::Owned(format!("ERR {error}")))?;
    let uncounted = match entry.value().value_type(writer.layouts()) {
        ValueType::HashMetadata | ValueType::HashListpackEx => 8,
        _ => 0,
    };
    Ok(writer.position() - uncounted)
}

#[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
fn node_figures(list: &List, thresholds: &Thresholds, dialect: Dialect) -> String {
    let nodes = list.node_bytes();
    let average = list.len() as f64 / nodes.len().max(1) as f64;
    let packed = if dialect.has_listpacks() {
        "listpack"
    } else {
        "ziplist"
    };
    format!(
        " ql_nodes:{} ql_avg_node:{average:.2} ql_{packed}_max:{} ql_compressed:{} ql_uncompressed_size:{}",
        nodes.len(),
        thresholds.list_max_listpack_size,
        u8::from(thresholds.list_compress_depth != 0),
        nodes.iter().sum::<usize>()
    )
}
