//! The expiry of fields.

use super::{Error, expiring_fields};
use crate::command::rows::parse::integer;
use crate::resp::{Args, Reply};
use crate::store::View;
use crate::value::Hash;
use crate::value::hash::Layout;

/// What to report about an expiry.
#[derive(Clone, Copy)]
struct Figure {
    /// The time left rather than the time itself.
    left: bool,
    /// In seconds rather than milliseconds.
    seconds: bool,
}

pub(super) fn httl(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    tell(view, args, reply, (true, true))
}

pub(super) fn hpttl(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    tell(view, args, reply, (true, false))
}

pub(super) fn hexpiretime(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    tell(view, args, reply, (false, true))
}

pub(super) fn hpexpiretime(
    view: &View<'_>,
    args: Args<'_>,
    reply: &mut Reply,
) -> Result<(), Error> {
    tell(view, args, reply, (false, false))
}

fn tell(
    view: &View<'_>,
    args: Args<'_>,
    reply: &mut Reply,
    (left, seconds): (bool, bool),
) -> Result<(), Error> {
    let (hash, fields) = if reply.dialect().checks_fields_before_type() {
        let fields = expiring_fields(args, reply.dialect())?;
        (view.collection::<Hash>(args.at(1))?, fields)
    } else {
        let hash = view.collection::<Hash>(args.at(1))?;
        (hash, named_fields(args)?)
    };
    let figure = Figure { left, seconds };
    reply.array(fields.len());
    for field in fields.iter() {
        let told = match hash.and_then(|hash| Some((hash, hash.expiry(field)?))) {
            None => NO_FIELD,
            Some((_, None)) => NO_EXPIRY,
            Some((hash, Some(at))) if is_past(hash, at, view.now_ms()) => NO_FIELD,
            Some((_, Some(at))) if reply.dialect().packs_field_expiries() => {
                figure.of_redis(at, view.now_ms())
            }
            Some((_, Some(at))) => figure.of_valkey(at, view.now_ms()),
        };
        reply.integer(told);
    }
    Ok(())
}

/// Whether a time counts as past: in a packed hash, a millisecond earlier. Source: redis 8.0 t_hash.c,
/// `httlGenericCommand`.
fn is_past(hash: &Hash, at: i64, now_ms: i64) -> bool {
    at < now_ms || (at == now_ms && matches!(hash.layout(), Layout::Triples(_)))
}

impl Figure {
    fn base(self, now_ms: i64) -> i64 {
        if self.left { now_ms } else { 0 }
    }

    /// Redis rounds up to whole seconds.
    fn of_redis(self, at: i64, now_ms: i64) -> i64 {
        let ms = at.saturating_sub(self.base(now_ms));
        if self.seconds {
            ms.saturating_add(999) / 1000
        } else {
            ms
        }
    }

    /// Valkey rounds to the nearest second.
    fn of_valkey(self, at: i64, now_ms: i64) -> i64 {
        let ms = at.saturating_sub(self.base(now_ms)).max(0);
        if self.seconds {
            ms.saturating_add(500) / 1000
        } else {
            ms
        }
    }
}

const NO_EXPIRY: i64 = -1;
const NO_FIELD: i64 = -2;

/// Returns the words after `FIELDS count`, with Redis's own errors.
fn named_fields(args: Args<'_>) -> Result<Args<'_>, Error> {
    if !args.is(2, "fields") {
        return Err(Error::Text(
            "ERR Mandatory argument FIELDS is missing or not at the right position",
        ));
    }
    let count = integer(args.at(3)).ok().filter(|count| *count > 0);
    let count = count.ok_or(Error::Text(
        "ERR Number of fields must be a positive integer",
    ))?;
    let fields = args.from(4);
    if usize::try_from(count) == Ok(fields.len()) {
        Ok(fields)
    } else {
        Err(Error::Text(
            "ERR The `numfields` parameter must match the number of arguments",
        ))
    }
}
