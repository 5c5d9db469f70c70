//! Applies writes. An expired field still exists here, because the primary decides.

use super::{Error, counted_fields, expiring_fields};
use crate::command::rows::parse::integer;
use crate::feed::Class;
use crate::rdb::listpack::IntText;
use crate::resp::Args;
use crate::store::Tx;
use crate::value::{Hash, Thresholds};

/// Returns the pairs in `words`.
fn pairs<'a>(words: Args<'a>) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    let fields = words.iter().step_by(2);
    fields.zip(words.from(1).iter().step_by(2))
}

fn set_pairs(tx: &mut Tx<'_>, key: &[u8], words: Args<'_>, then: Then) -> Result<(), Error> {
    let thresholds = tx.thresholds();
    tx.upsert(key, |hash: &mut Hash| {
        hash.prepare(words.iter(), &thresholds);
        for (field, value) in pairs(words) {
            then.set(hash, field, value, &thresholds);
        }
        hash.settle_expiries();
    })?;
    Ok(())
}

/// What happens to the expiry of a field that is set.
#[derive(Clone, Copy)]
enum Then {
    /// It is removed.
    Persist,
    /// It stays.
    Keep,
    /// It becomes this Unix time in milliseconds.
    Expire(i64),
}

impl Then {
    fn set(self, hash: &mut Hash, field: &[u8], value: &[u8], thresholds: &Thresholds) {
        match self {
            Self::Persist => hash.set(field, value, thresholds),
            Self::Keep => hash.set_value(field, value, thresholds),
            Self::Expire(at) => {
                hash.set_value(field, value, thresholds);
                hash.set_expiry(field, Some(at), thresholds)
            }
        };
    }
}

pub(super) fn hset(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    if !args.len().is_multiple_of(2) {
        let name = String::from_utf8_lossy(args.at(0)).to_lowercase();
        return Err(Error::Arity(name));
    }
    set_pairs(tx, args.at(1), args.from(2), Then::Persist)?;
    tx.event(Class::HASH, "hset", args.at(1));
    Ok(())
}

pub(super) fn hsetnx(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let hash = tx.collection::<Hash>(args.at(1))?;
    if hash.is_some_and(|hash| hash.get(args.at(2)).is_some()) {
        return Ok(());
    }
    set_pairs(tx, args.at(1), args.from(2), Then::Persist)?;
    tx.event(Class::HASH, "hset", args.at(1));
    Ok(())
}

fn delete(tx: &mut Tx<'_>, key: &[u8], fields: Args<'_>) -> Result<(), Error> {
    tx.shrink(key, (Class::HASH, "hdel"), |hash: &mut Hash| {
        let fields = fields.iter();
        fields.fold(false, |removed, field| hash.remove(field) | removed)
    })?;
    Ok(())
}

pub(super) fn hdel(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    delete(tx, args.at(1), args.from(2))
}

pub(super) fn hincrby(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (key, field) = (args.at(1), args.at(2));
    let by = integer(args.at(3))?;
    let hash = tx.collection::<Hash>(key)?;
    let value = match hash.and_then(|hash| hash.get(field)) {
        Some(value) => value
            .as_int()
            .ok_or(Error::Text("ERR hash value is not an integer"))?,
        None => 0,
    };
    let sum = value.checked_add(by).ok_or(Error::Overflow)?;
    let mut thresholds = tx.thresholds();
    if !thresholds.hash_measures_increments {
        thresholds.hash_max_listpack_value = usize::MAX;
    }
    tx.upsert(key, |hash: &mut Hash| {
        hash.set_value(field, IntText::new().format(sum), &thresholds)
    })?;
    tx.event(Class::HASH, "hincrby", key);
    Ok(())
}

pub(super) fn hgetdel(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    delete(tx, args.at(1), counted_fields(args, 2, 1)?)
}

/// HSETEX's options: whether all its fields must exist or none may, what happens to expiries, and the index of FIELDS.
struct SetOptions {
    must_exist: Option<bool>,
    then: Then,
    fields: usize,
}

impl SetOptions {
    fn parse(args: Args<'_>, now_ms: i64) -> Result<Self, Error> {
        // Valkey takes a key named `fields` for the word FIELDS; on any other server, the word after the key is no number.
        // Source: valkey 9.1 t_hash.c, `hsetexCommand`.
        let is_named_so =
            args.is(1, "fields") && args.get(2).is_some_and(|word| integer(word).is_ok());
        let mut options = Self {
            must_exist: None,
            then: Then::Persist,
            fields: if is_named_so { 1 } else { 2 },
        };
        while !args.is(options.fields, "fields") {
            let index = options.fields;
            options.fields += 1;
            if args.is(index, "keepttl") {
                options.then = Then::Keep;
            } else if args.is(index, "fnx") {
                options.must_exist = Some(false);
            } else if args.is(index, "fxx") {
                options.must_exist = Some(true);
            } else {
                options.then = Then::Expire(expiry_option(args, index, now_ms)?);
                options.fields += 1;
            }
        }
        Ok(options)
    }
}

/// Returns the time that the option at `index` and the word after it state. Primaries send PXAT.
fn expiry_option(args: Args<'_>, index: usize, now_ms: i64) -> Result<i64, Error> {
    let option = |word: &str| args.is(index, word);
    let (scale, base) = match () {
        () if option("pxat") => (1, 0),
        () if option("exat") => (1000, 0),
        () if option("px") => (1, now_ms),
        () if option("ex") => (1000, now_ms),
        () => return Err(Error::Syntax),
    };
    let time = integer(args.get(index + 1).ok_or(Error::Syntax)?)?;
    field_time(time.saturating_mul(scale).saturating_add(base))
}

/// Refuses what no primary sends: it refuses a negative time itself, and deletes a field at the time 0. A hash could not keep
/// such a time, and its field would never expire.
const fn field_time(at_ms: i64) -> Result<i64, Error> {
    match at_ms {
        1.. => Ok(at_ms),
        _ => Err(Error::Text("ERR a field expires at an impossible time")),
    }
}

pub(super) fn hsetex(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let options = SetOptions::parse(args, tx.now_ms())?;
    let words = counted_fields(args, options.fields, 2)?;
    let hash = tx.collection::<Hash>(args.at(1))?;
    let exists = |field: &[u8]| hash.is_some_and(|hash| hash.get(field).is_some());
    let wanted = options
        .must_exist
        .is_none_or(|must_exist| pairs(words).all(|(field, _)| exists(field) == must_exist));
    if wanted {
        set_pairs(tx, args.at(1), words, options.then)?;
        tx.event(Class::HASH, "hset", args.at(1));
        if matches!(options.then, Then::Expire(_)) {
            tx.event(Class::HASH, "hexpire", args.at(1));
        }
    }
    Ok(())
}

/// HPEXPIREAT, and the other forms, which primaries rewrite to it. A time that has passed is set all the same: the
/// primary itself sends the deletion.
pub(super) fn hexpire(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let at = hexpire_time(args, tx.now_ms())?;
    let fields = (3..args.len()).find(|index| args.is(*index, "fields"));
    let fields = fields.ok_or(Error::Syntax)?;
    let names = counted_fields(args, fields, 1)?;
    let condition = Condition::parse(args, 3..fields)?;
    let thresholds = tx.thresholds();
    let changed = tx.update(args.at(1), |hash: &mut Hash| {
        let mut has_changed = false;
        if thresholds.hash_packs_expiries {
            hash.admit_expiries(&thresholds);
        }
        for name in names.iter() {
            if hash
                .expiry(name)
                .is_some_and(|now| condition.allows(now, at))
            {
                hash.set_expiry(name, Some(at), &thresholds);
                has_changed = true;
            }
        }
        hash.settle_expiries();
        has_changed
    })?;
    if changed == Some(true) {
        tx.event(Class::HASH, "hexpire", args.at(1));
    }
    Ok(())
}

fn hexpire_time(args: Args<'_>, now_ms: i64) -> Result<i64, Error> {
    let scale = if args.is(0, "hexpire") || args.is(0, "hexpireat") {
        1000
    } else {
        1
    };
    let base = if args.is(0, "hexpire") || args.is(0, "hpexpire") {
        now_ms
    } else {
        0
    };
    let time = integer(args.at(2))?.saturating_mul(scale);
    field_time(time.saturating_add(base))
}

/// The condition for setting a field's expiry.
#[derive(Default)]
struct Condition {
    none: bool,
    some: bool,
    later: bool,
    sooner: bool,
}

impl Condition {
    fn parse(args: Args<'_>, words: std::ops::Range<usize>) -> Result<Self, Error> {
        let mut condition = Self::default();
        for index in words {
            let word = |word: &str| args.is(index, word);
            let asked = match () {
                () if word("nx") => &mut condition.none,
                () if word("xx") => &mut condition.some,
                () if word("gt") => &mut condition.later,
                () if word("lt") => &mut condition.sooner,
                () => return Err(Error::Syntax),
            };
            *asked = true;
        }
        Ok(condition)
    }

    /// Whether the expiry `now` may become `at`. No expiry counts as infinitely far away.
    fn allows(&self, now: Option<i64>, at: i64) -> bool {
        (!self.none || now.is_none())
            && (!self.some || now.is_some())
            && (!self.later || now.is_some_and(|now| at > now))
            && (!self.sooner || now.is_none_or(|now| at < now))
    }
}

/// DIFFERENCE: the primary may remove a field's expiry in time, but a Redis replica whose clock is past that expiry keeps
/// it. redtail removes it.
pub(super) fn hpersist(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let fields = expiring_fields(args, tx.dialect())?;
    let thresholds = tx.thresholds();
    let found = tx.update(args.at(1), |hash: &mut Hash| {
        let persist = |found, field: &[u8]| hash.set_expiry(field, None, &thresholds) | found;
        fields.iter().fold(false, persist)
    })?;
    if found == Some(true) {
        tx.event(Class::HASH, "hpersist", args.at(1));
    }
    Ok(())
}
