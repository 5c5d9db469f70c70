//! Hash commands.
//!
//! A client does not see an expired field, but HLEN counts it. The stream's commands see it, because the primary deletes it.

mod apply;
mod expiry;
mod random;
mod read;

use super::introspection::refused::{FIELD_SETS, refused};
use super::introspection::row;
use crate::command::rows::parse::integer;
use crate::command::rows::work::{random, step};
use crate::command::rows::{Arity, Command, Error, Family, Flags, Keys, SessionCx, least};
use crate::dialect::Dialect;
use crate::resp::Args;
use apply::{hdel, hexpire, hgetdel, hincrby, hpersist, hset, hsetex, hsetnx};
use expiry::{hexpiretime, hpexpiretime, hpttl, httl};
use random::hrandfield;
pub(crate) use read::Seen;
use read::{hexists, hget, hgetall, hkeys, hlen, hmget, hscan, hstrlen, hvals};

const GROW_FAST: Flags = Flags::DENYOOM.and(Flags::FAST);

/// This file's rows.
pub(crate) const FAMILY: Family = Family {
    group: "hash",
    commands: &[
        Command::new("hget", Arity::exactly(3), Keys::first())
            .read(hget)
            .flags(Flags::FAST)
            .about("2.0.0", "Returns a field's value."),
        Command::new("hmget", Arity::at_least(3), Keys::first())
            .read(hmget)
            .flags(Flags::FAST)
            .about("2.0.0", "Returns the values of several fields."),
        Command::new("hgetall", Arity::exactly(2), Keys::first())
            .read(hgetall)
            .least(least::fields)
            .about("2.0.0", "Returns all fields with their values."),
        Command::new("hlen", Arity::exactly(2), Keys::first())
            .read(hlen)
            .flags(Flags::FAST)
            .about("2.0.0", "Returns the number of fields."),
        Command::new("hexists", Arity::exactly(3), Keys::first())
            .read(hexists)
            .flags(Flags::FAST)
            .about("2.0.0", "Says whether a field exists."),
        Command::new("hkeys", Arity::exactly(2), Keys::first())
            .read(hkeys)
            .least(least::fields)
            .about("2.0.0", "Returns all fields."),
        Command::new("hvals", Arity::exactly(2), Keys::first())
            .read(hvals)
            .least(least::fields)
            .about("2.0.0", "Returns all values."),
        Command::new("hstrlen", Arity::exactly(3), Keys::first())
            .read(hstrlen)
            .flags(Flags::FAST)
            .about("3.2.0", "Returns the length of a field's value."),
        Command::new("hscan", Arity::at_least(3), Keys::first())
            .read(hscan)
            .steps(step)
            .about("2.8.0", "Walks over the fields a few at a time."),
        Command::new("hrandfield", Arity::at_least(2), Keys::first())
            .read(hrandfield)
            .work(random)
            .least(least::random_fields)
            .about("6.2.0", "Returns random fields."),
        Command::new("httl", Arity::at_least(5), Keys::first())
            .read(httl)
            .flags(Flags::FAST)
            .about("7.4.0", "Returns the seconds until fields expire.")
            .valkey("9.0.0"),
        Command::new("hpttl", Arity::at_least(5), Keys::first())
            .read(hpttl)
            .flags(Flags::FAST)
            .about("7.4.0", "Returns the milliseconds until fields expire.")
            .valkey("9.0.0"),
        Command::new("hexpiretime", Arity::at_least(5), Keys::first())
            .read(hexpiretime)
            .flags(Flags::FAST)
            .about(
                "7.4.0",
                "Returns the Unix time in seconds at which fields expire.",
            )
            .valkey("9.0.0"),
        Command::new("hpexpiretime", Arity::at_least(5), Keys::first())
            .read(hpexpiretime)
            .flags(Flags::FAST)
            .about(
                "7.4.0",
                "Returns the Unix time in milliseconds at which fields expire.",
            )
            .valkey("9.0.0"),
        Command::new("hset", Arity::at_least(4), Keys::first())
            .apply(hset)
            .flags(GROW_FAST)
            .about("2.0.0", "Sets fields."),
        Command::new("hmset", Arity::at_least(4), Keys::first())
            .apply(hset)
            .flags(GROW_FAST)
            .about("2.0.0", "Sets fields."),
        Command::new("hsetnx", Arity::exactly(4), Keys::first())
            .apply(hsetnx)
            .flags(GROW_FAST)
            .about("2.0.0", "Sets a field if it does not exist."),
        Command::new("hdel", Arity::at_least(3), Keys::first())
            .apply(hdel)
            .flags(Flags::FAST)
            .about("2.0.0", "Removes fields."),
        Command::new("hincrby", Arity::exactly(4), Keys::first())
            .apply(hincrby)
            .flags(GROW_FAST)
            .about("2.0.0", "Adds an integer to a field."),
        Command::new("hincrbyfloat", Arity::exactly(4), Keys::first())
            .write()
            .flags(GROW_FAST)
            .about("2.6.0", "Adds a floating point number to a field."),
        Command::new("hgetdel", Arity::at_least(5), Keys::first())
            .apply(hgetdel)
            .flags(Flags::FAST)
            .about("8.0.0", "Returns fields' values and removes the fields.")
            .valkey("9.1.0"),
        Command::new("hsetex", Arity::at_least(6), Keys::first())
            .apply(hsetex)
            .flags(GROW_FAST)
            .about("8.0.0", "Sets fields, with an expiry.")
            .valkey("9.0.0"),
        Command::new("hgetex", Arity::at_least(5), Keys::first())
            .write()
            .flags(Flags::FAST)
            .about("8.0.0", "Returns fields' values and changes the expiry.")
            .valkey("9.0.0"),
        Command::new("hexpire", Arity::at_least(6), Keys::first())
            .apply(hexpire)
            .flags(Flags::FAST)
            .about("7.4.0", "Sets fields' expiry in seconds from now.")
            .valkey("9.0.0"),
        Command::new("hexpireat", Arity::at_least(6), Keys::first())
            .apply(hexpire)
            .flags(Flags::FAST)
            .about("7.4.0", "Sets fields' expiry to a Unix time in seconds.")
            .valkey("9.0.0"),
        Command::new("hpexpire", Arity::at_least(6), Keys::first())
            .apply(hexpire)
            .flags(Flags::FAST)
            .about("7.4.0", "Sets fields' expiry in milliseconds from now.")
            .valkey("9.0.0"),
        Command::new("hpexpireat", Arity::at_least(6), Keys::first())
            .apply(hexpire)
            .flags(Flags::FAST)
            .about("7.4.0", "Sets fields' expiry to a Unix time in milliseconds.")
            .valkey("9.0.0"),
        Command::new("hpersist", Arity::at_least(5), Keys::first())
            .apply(hpersist)
            .flags(Flags::FAST)
            .about("7.4.0", "Removes fields' expiry.")
            .valkey("9.0.0")
            .difference(
                "A field whose expiry the primary removed has none, even if redtail receives the command after that time. \
                A Redis replica goes by its own clock then, and keeps the field hidden.",
            ),
        Command::container("himport", HIMPORT)
            .about("8.10.0", "Creates hashes that have the same fields."),
    ],
};

/// Sets of fields belong to a connection, and no connection to redtail has any. A HIMPORT SET arrives as a RESTORE.
///
/// Source: redis 8.10 src/commands/himport-*.json, from documents: no server of this version was asked.
const HIMPORT: &[Command] = &[
    refused(("prepare", -4, "8.10.0")).difference(FIELD_SETS),
    Command::new("set", Arity::at_least(5), Keys::at(2))
        .write()
        .flags(Flags::DENYOOM)
        .about("8.10.0", "Creates a hash from values of a set of fields."),
    row("discard", Arity::exactly(3), Flags::NONE, no_field_set)
        .about("8.10.0", "Returns 0: there is no set of fields."),
    row("discardall", Arity::exactly(2), Flags::NONE, no_field_set)
        .about("8.10.0", "Returns 0: there is no set of fields."),
];

fn no_field_set(cx: &mut SessionCx<'_>, _: Args<'_>) -> Result<(), Error> {
    cx.reply.integer(0);
    Ok(())
}

/// Returns the words after `FIELDS count` at `index`, which must be `words_each × count` words.
fn counted_fields(args: Args<'_>, index: usize, words_each: usize) -> Result<Args<'_>, Error> {
    if !args.is(index, "fields") {
        return Err(Error::Syntax);
    }
    counted_words(args, index + 1, words_each)
}

/// Returns the fields of HTTL and the like, and of HPERSIST, as a server of `dialect` reads them.
fn expiring_fields(args: Args<'_>, dialect: Dialect) -> Result<Args<'_>, Error> {
    if dialect.takes_any_word_for_fields() {
        counted_words(args, 3, 1)
    } else {
        counted_fields(args, 2, 1)
    }
}

/// Returns the words after the count at `index`, which must be `words_each × count` words.
fn counted_words(args: Args<'_>, index: usize, words_each: usize) -> Result<Args<'_>, Error> {
    let words = args.from(index + 1);
    let count = usize::try_from(integer(args.at(index))?).map_err(|_| Error::Syntax)?;
    if count > 0 && count.checked_mul(words_each) == Some(words.len()) {
        Ok(words)
    } else {
        Err(Error::Syntax)
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]
mod tests;
