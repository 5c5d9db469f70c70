//! HRANDFIELD.

use super::Error;
use super::read::{Seen, bulk, bulk_or_null};
use crate::command::rows::parse::random_count;
use crate::rdb::listpack::Item;
use crate::resp::{Args, Reply};
use crate::store::View;
use crate::value::Hash;

/// A field with its value.
type Pair<'v> = (Item<'v>, Item<'v>);

/// What random fields are chosen from.
enum Choice<'v> {
    /// A whole hash.
    Whole(&'v Hash),
    /// The unexpired fields of a hash.
    Live(Vec<Pair<'v>>),
}

impl<'v> Choice<'v> {
    /// A Redis replica also returns expired fields; a Valkey replica does not.
    ///
    /// Source: redis 8.0 t_hash.c, `hashTypeExpireIfNeeded`; valkey 9.0 t_hash.c, `hashTypeRandomElement`.
    fn new(seen: Seen<'v>, hides: bool) -> Self {
        if hides && seen.hash.expiring() > 0 {
            let live = seen.fields().map(|field| (field.name, field.value));
            Self::Live(live.collect())
        } else {
            Self::Whole(seen.hash)
        }
    }

    fn one(&self) -> Option<Pair<'v>> {
        match self {
            Self::Whole(hash) => hash.random(),
            Self::Live(live) if live.is_empty() => None,
            Self::Live(live) => live.get(fastrand::usize(..live.len())).copied(),
        }
    }

    fn different(self, count: usize) -> Vec<Pair<'v>> {
        match self {
            Self::Whole(hash) => hash.sample(count),
            Self::Live(mut live) => {
                fastrand::shuffle(&mut live);
                live.truncate(count);
                live
            }
        }
    }
}

pub(super) fn hrandfield(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let hides = reply.dialect().hides_expired_random_fields();
    let choice = || -> Result<_, Error> {
        let seen = Seen::at(view, args.at(1))?;
        Ok(seen.map(|seen| Choice::new(seen, hides)))
    };
    let Some(count) = args.get(2).map(random_count).transpose()? else {
        let field = choice()?.and_then(|choice| choice.one());
        bulk_or_null(reply, field.map(|(name, _)| name));
        return Ok(());
    };
    let with_values = wants_values(args, count)?;
    let Some(choice) = choice()? else {
        reply.array(0);
        return Ok(());
    };
    match count {
        Ok(count) => {
            let pairs = choice.different(count);
            random_head(pairs.len(), with_values, reply);
            let mut pairs = pairs.into_iter();
            pairs.try_for_each(|pair| random_pair(pair, with_values, reply))
        }
        Err(repeats) => {
            let repeats = if choice.one().is_some() { repeats } else { 0 };
            random_head(repeats, with_values, reply);
            let pairs = std::iter::repeat_with(|| choice.one()).take(repeats);
            let mut pairs = pairs.flatten();
            pairs.try_for_each(|pair| random_pair(pair, with_values, reply))
        }
    };
    Ok(())
}

/// Whether HRANDFIELD must return values. If so, the count must not exceed half of `i64::MAX`.
fn wants_values(args: Args<'_>, count: Result<usize, usize>) -> Result<bool, Error> {
    const COUNT_MAX: u64 = i64::MAX.unsigned_abs() / 2;
    if args.len() == 3 {
        return Ok(false);
    }
    if args.len() > 4 || !args.is(3, "withvalues") {
        return Err(Error::Syntax);
    }
    let (Ok(count) | Err(count)) = count;
    if u64::try_from(count).is_ok_and(|count| count > COUNT_MAX) {
        return Err(Error::Text("ERR value is out of range"));
    }
    Ok(true)
}

fn random_head(fields: usize, with_values: bool, reply: &mut Reply) {
    let flat = with_values && !reply.is_resp3();
    reply.array(if flat {
        fields.saturating_mul(2)
    } else {
        fields
    });
}

/// Writes one field. Returns `None` once the reply is too long, so that no more fields are looked up.
fn random_pair(
    (field, value): (Item<'_>, Item<'_>),
    with_values: bool,
    reply: &mut Reply,
) -> Option<()> {
    if with_values && reply.is_resp3() {
        reply.array(2);
    }
    bulk(reply, field);
    if with_values {
        bulk(reply, value);
    }
    (!reply.overflowed()).then_some(())
}
