//! Reading fields.

use super::Error;
use crate::command::rows::scan::{ScanOptions, scan_cursor};
use crate::rdb::listpack::{IntText, Item};
use crate::resp::{Args, Reply};
use crate::store::View;
use crate::value::Hash;
use crate::value::hash::Field;

/// A hash as a client sees it.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'v> {
    pub(crate) hash: &'v Hash,
    pub(crate) now_ms: i64,
}

impl<'v> Seen<'v> {
    /// Returns the hash at `key`.
    ///
    /// # Errors
    /// If the key holds another type.
    pub(crate) fn at(view: &'v View<'_>, key: &[u8]) -> Result<Option<Self>, Error> {
        let hash = view.collection::<Hash>(key)?;
        Ok(hash.map(|hash| Self {
            hash,
            // The clock is read only if some field expires.
            now_ms: if hash.expiring() > 0 {
                view.now_ms()
            } else {
                i64::MIN
            },
        }))
    }

    /// Returns the value of an unexpired field.
    pub(crate) fn get(&self, field: &[u8]) -> Option<Item<'v>> {
        self.hash.get_live(field, self.now_ms)
    }

    /// The unexpired fields.
    pub(crate) fn fields(self) -> impl Iterator<Item = Field<'v>> {
        let fields = self.hash.fields();
        fields.filter(move |field| !field.is_expired(self.now_ms))
    }

    /// Returns the number of unexpired fields.
    fn len(self) -> usize {
        if self.hash.expiring() > 0 {
            self.fields().count()
        } else {
            self.hash.len()
        }
    }
}

pub(super) fn bulk(reply: &mut Reply, item: Item<'_>) {
    reply.bulk(item.text(&mut IntText::new()));
}

pub(super) fn bulk_or_null(reply: &mut Reply, item: Option<Item<'_>>) {
    match item {
        Some(item) => bulk(reply, item),
        None => reply.null(),
    }
}

pub(super) fn hget(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let hash = Seen::at(view, args.at(1))?;
    bulk_or_null(reply, hash.and_then(|hash| hash.get(args.at(2))));
    Ok(())
}

pub(super) fn hmget(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let hash = Seen::at(view, args.at(1))?;
    let fields = args.from(2);
    reply.array(fields.len());
    for field in fields.iter() {
        bulk_or_null(reply, hash.and_then(|hash| hash.get(field)));
    }
    Ok(())
}

pub(super) fn hgetall(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let hash = Seen::at(view, args.at(1))?;
    reply.map(hash.map_or(0, Seen::len));
    for field in hash.into_iter().flat_map(Seen::fields) {
        bulk(reply, field.name);
        bulk(reply, field.value);
    }
    Ok(())
}

/// Counts expired fields, too, as servers do.
pub(super) fn hlen(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let hash = view.collection::<Hash>(args.at(1))?;
    reply.count(hash.map_or(0, Hash::len));
    Ok(())
}

pub(super) fn hexists(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let hash = Seen::at(view, args.at(1))?;
    let exists = hash.is_some_and(|hash| hash.get(args.at(2)).is_some());
    reply.integer(exists.into());
    Ok(())
}

pub(super) fn hkeys(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let hash = Seen::at(view, args.at(1))?;
    reply.array(hash.map_or(0, Seen::len));
    let fields = hash.into_iter().flat_map(Seen::fields);
    fields.for_each(|field| bulk(reply, field.name));
    Ok(())
}

pub(super) fn hvals(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let hash = Seen::at(view, args.at(1))?;
    reply.array(hash.map_or(0, Seen::len));
    let fields = hash.into_iter().flat_map(Seen::fields);
    fields.for_each(|field| bulk(reply, field.value));
    Ok(())
}

pub(super) fn hstrlen(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let hash = Seen::at(view, args.at(1))?;
    let value = hash.and_then(|hash| hash.get(args.at(2)));
    reply.count(value.map_or(0, |value| value.len()));
    Ok(())
}

pub(super) fn hscan(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let cursor = scan_cursor(args.at(2), reply.dialect())?;
    let Some(seen) = Seen::at(view, args.at(1))? else {
        reply.array(2);
        reply.bulk(b"0");
        reply.array(0);
        return Ok(());
    };
    let options = ScanOptions::parse(args, 3, reply.dialect())?;
    if options.no_values && !reply.dialect().has_hscan_novalues() {
        return Err(Error::Syntax);
    }
    let mut found = Vec::new();
    let next = seen.hash.scan(cursor, options.count, |field| {
        let name = field.name.to_vec();
        if !field.is_expired(seen.now_ms) && options.pattern.matches(&name) {
            found.push(name);
            found.extend((!options.no_values).then(|| field.value.to_vec()));
        }
    });
    reply.array(2);
    reply.bulk(next.to_string().as_bytes());
    reply.array(found.len());
    found.iter().for_each(|word| reply.bulk(word));
    Ok(())
}
