//! Changes to entries: XADD, XDEL, XDELEX, XACKDEL, XTRIM and XSETID.

use super::id;
use crate::command::rows::Error;
use crate::command::rows::parse::integer;
use crate::dialect::Dialect;
use crate::feed::Class;
use crate::rdb::stream::StreamId;
use crate::resp::Args;
use crate::store::Tx;
use crate::value::{Deletion, Doubt, Keep, Strategy, Stream, automatic_iid};

/// The options of XADD and XTRIM. LIMIT has no effect in a replication stream.
#[derive(Debug, Clone, Copy, Default)]
struct Options<'a> {
    keep: Option<Keep>,
    roughly: bool,
    only_present: bool,
    strategy: Option<Strategy>,
    producer: Option<Producing<'a>>,
    /// The index of the word after the options.
    next: usize,
}

/// XADD's idempotent producer.
#[derive(Debug, Clone, Copy)]
struct Producing<'a> {
    producer: &'a [u8],
    /// The id that it has given the entry; `None` if the entry's fields and values decide.
    iid: Option<&'a [u8]>,
}

impl<'a> Options<'a> {
    /// Source: redis 7.0, 8.2 and 8.8 t_stream.c, `streamParseAddOrTrimArgsOrReply`.
    fn parse(args: Args<'a>, adds: bool, dialect: Dialect) -> Result<Self, Error> {
        let mut options = Self::default();
        let mut index = 2;
        while index < args.len() {
            if args.is(index, "maxlen") || args.is(index, "minid") {
                index = options.trim(args, index)?;
            } else if args.is(index, "limit") && index + 1 < args.len() {
                integer(args.at(index + 1))?;
                index += 1;
            } else if adds && args.is(index, "nomkstream") {
                options.only_present = true;
            } else if let (None, Some(strategy)) =
                (options.strategy, strategy(args, index, dialect))
            {
                options.strategy = Some(strategy);
            } else if let Some(words) = Producing::words(args, index, dialect).filter(|_| adds) {
                options.produce(args, index, words)?;
                index += words;
            } else {
                break;
            }
            index += 1;
        }
        options.next = index;
        Ok(options)
    }

    /// Reads MAXLEN or MINID at `index`. Returns the index of its last word.
    fn trim(&mut self, args: Args<'_>, index: usize) -> Result<usize, Error> {
        if self.keep.is_some() {
            return Err(Error::Text(
                "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
            ));
        }
        let marked = index + 2 < args.len() && matches!(args.at(index + 1), b"~" | b"=");
        self.roughly = marked && args.at(index + 1) == b"~";
        let at = index + 1 + usize::from(marked);
        self.keep = Some(if args.is(index, "maxlen") {
            let most = integer(args.get(at).ok_or(Error::Syntax)?)?;
            Keep::Newest(
                u64::try_from(most)
                    .map_err(|_| Error::Text("ERR The MAXLEN argument must be >= 0."))?,
            )
        } else {
            Keep::From(id::strict(args.get(at).ok_or(Error::Syntax)?, 0)?)
        });
        Ok(at)
    }

    /// Reads IDMPAUTO or IDMP at `index`, which takes one or two `words`.
    fn produce(&mut self, args: Args<'a>, index: usize, words: usize) -> Result<(), Error> {
        if self.producer.is_some() {
            return Err(Error::Text(
                "ERR syntax error, IDMP/IDMPAUTO specified multiple times",
            ));
        }
        if (1..=words).any(|word| args.at(index + word).is_empty()) {
            return Err(Error::Text(
                "ERR syntax error, IDMP and IDMPAUTO require ids that are not empty",
            ));
        }
        self.producer = Some(Producing {
            producer: args.at(index + 1),
            iid: (words == 2).then(|| args.at(index + 2)),
        });
        Ok(())
    }

    /// Returns the number of entries that were removed.
    fn apply(self, stream: &mut Stream, dialect: Dialect) -> Result<u64, Error> {
        let Some(keep) = self.keep else {
            return Ok(0);
        };
        let strategy = self.strategy.unwrap_or_default();
        if !self.roughly {
            let deletion = Deletion::new(strategy, dialect);
            stream.trim_by(keep, deletion).map_err(doubt)
        } else if strategy == Strategy::KeepRef {
            Ok(stream.trim(keep, true, 0))
        } else {
            Err(Error::Text(
                "ERR a primary sends DELREF and ACKED with the exact number of entries that are left",
            ))
        }
    }
}

impl Producing<'_> {
    /// How many words IDMPAUTO or IDMP at `index` takes after itself; `None` if it is neither.
    fn words(args: Args<'_>, index: usize, dialect: Dialect) -> Option<usize> {
        if !dialect.has_idempotent_producers() {
            return None;
        }
        let words = if args.is(index, "idmpauto") {
            1
        } else if args.is(index, "idmp") {
            2
        } else {
            return None;
        };
        (index + words < args.len()).then_some(words)
    }

    /// Notes that the producer has added the entry `id`.
    fn record(self, stream: &mut Stream, pairs: &[Pair<'_>], id: StreamId, now_ms: i64) {
        let automatic;
        let iid = match self.iid {
            Some(iid) => iid,
            None => {
                automatic = automatic_iid(pairs);
                &automatic
            }
        };
        stream.change_idmp(|idmp| idmp.record(self.producer, iid, id, now_ms));
    }
}

/// The deletion strategy that the word at `index` names, in a server that has them.
pub(super) fn strategy(args: Args<'_>, index: usize, dialect: Dialect) -> Option<Strategy> {
    let named = if args.is(index, "keepref") {
        Strategy::KeepRef
    } else if args.is(index, "delref") {
        Strategy::DelRef
    } else if args.is(index, "acked") {
        Strategy::Acked
    } else {
        return None;
    };
    dialect.has_deletion_strategies().then_some(named)
}

pub(super) fn doubt(doubt: Doubt) -> Error {
    Error::Owned(format!("ERR {doubt}"))
}

/// Appends an entry, with the id that the primary has given it.
///
/// A primary sends the duplicate of an idempotent producer with the id `*`, as it came: it has added no entry, and this says so
/// whatever ids are still known here. An entry that it has added has its id.
///
/// Source: redis 8.8 t_stream.c, `xaddCommand`; from its text, no server of this version was asked.
pub(super) fn xadd(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let dialect = tx.dialect();
    let options = Options::parse(args, true, dialect)?;
    let words = args.from((options.next + 1).min(args.len()));
    if options.producer.is_some() && args.get(options.next) == Some(b"*") {
        return duplicate(tx, args.at(1), words);
    }
    let id = id::strict(args.get(options.next).unwrap_or_default(), 0)?;
    let pairs = pairs(words)?;
    let (thresholds, now_ms) = (tx.thresholds(), tx.now_ms());
    let add = |stream: &mut Stream| {
        if !stream.append(id, &pairs, &thresholds) {
            return Err(Error::Text(
                "ERR The ID specified in XADD is equal or smaller than the target stream top item",
            ));
        }
        if let Some(producer) = options.producer {
            producer.record(stream, &pairs, id, now_ms);
        }
        options.apply(stream, dialect)
    };
    let added = match options.only_present {
        true => tx.update(args.at(1), add)?,
        false => Some(tx.upsert(args.at(1), add)?),
    };
    if let Some(trimmed) = added.transpose()? {
        tx.event(Class::STREAM, "xadd", args.at(1));
        note_trimmed(tx, args.at(1), trimmed);
    }
    Ok(())
}

/// Notes that so many entries of a stream were trimmed off.
fn note_trimmed(tx: &Tx<'_>, key: &[u8], trimmed: u64) {
    if trimmed > 0 {
        tx.event(Class::STREAM, "xtrim", key);
    }
}

/// Notes that so many entries of a stream were deleted.
fn note_deleted(tx: &Tx<'_>, key: &[u8], deleted: usize) {
    if deleted > 0 {
        tx.event(Class::STREAM, "xdel", key);
    }
}

/// A field and its value.
type Pair<'a> = (&'a [u8], &'a [u8]);

fn pairs(words: Args<'_>) -> Result<Vec<Pair<'_>>, Error> {
    if words.is_empty() || !words.len().is_multiple_of(2) {
        return Err(Error::Arity("xadd".to_owned()));
    }
    let indexes = (0..words.len()).step_by(2);
    Ok(indexes
        .map(|index| (words.at(index), words.at(index + 1)))
        .collect())
}

/// Counts an entry that the primary has not added, because its producer had added it before. Servers do not tell watchers.
fn duplicate(tx: &mut Tx<'_>, key: &[u8], words: Args<'_>) -> Result<(), Error> {
    pairs(words)?;
    tx.set_quiet(true);
    tx.update(key, |stream: &mut Stream| {
        stream.change_idmp(|idmp| idmp.duplicates = idmp.duplicates.wrapping_add(1));
    })?
    .ok_or(Error::NoSuchKey)
}

pub(super) fn xdel(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let ids = ids(args.from(2))?;
    let deleted = tx.update(args.at(1), |stream: &mut Stream| stream.delete(&ids))?;
    note_deleted(tx, args.at(1), deleted.unwrap_or(0));
    Ok(())
}

/// Parses all words as ids.
pub(super) fn ids(words: Args<'_>) -> Result<Vec<StreamId>, Error> {
    words.iter().map(|word| id::strict(word, 0)).collect()
}

pub(super) fn xtrim(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let dialect = tx.dialect();
    let options = Options::parse(args, false, dialect)?;
    if options.next < args.len() || options.keep.is_none() {
        return Err(Error::Syntax);
    }
    let trim = |stream: &mut Stream| options.apply(stream, dialect);
    let trimmed = tx.update(args.at(1), trim)?.unwrap_or(Ok(0))?;
    note_trimmed(tx, args.at(1), trimmed);
    Ok(())
}

/// The options of XDELEX and XACKDEL, which begin at the word `first`.
struct Chosen {
    deletion: Deletion,
    ids: Vec<StreamId>,
}

impl Chosen {
    /// Source: redis 8.2 t_stream.c, `streamParseAckDelArgsOrReply`.
    fn parse(args: Args<'_>, first: usize, dialect: Dialect) -> Result<Self, Error> {
        let (mut index, mut chosen) = (first, None);
        let mut words = None;
        while index < args.len() {
            if let (None, Some(strategy)) = (chosen, strategy(args, index, dialect)) {
                chosen = Some(strategy);
                index += 1;
            } else if args.is(index, "ids") && index + 1 < args.len() {
                let count = counted_ids(args, index + 1)?;
                words = Some((index + 2, count));
                index += 2 + count;
            } else {
                return Err(Error::Syntax);
            }
        }
        let (start, count) = words.ok_or(Error::Text("ERR IDS option is required"))?;
        let words = args.from(start);
        let ids = words.iter().take(count).map(|word| id::strict(word, 0));
        Ok(Self {
            deletion: Deletion::new(chosen.unwrap_or_default(), dialect),
            ids: ids.collect::<Result<_, _>>()?,
        })
    }
}

/// Reads the number of ids at `index`, which must be there.
pub(super) fn counted_ids(args: Args<'_>, index: usize) -> Result<usize, Error> {
    let count = integer(args.at(index)).ok();
    let count = count.and_then(|count| usize::try_from(count).ok());
    let count = count
        .filter(|count| *count > 0)
        .ok_or(Error::Text("ERR Number of IDs must be a positive integer"))?;
    if count > args.len() - index - 1 {
        return Err(Error::Text(
            "ERR The `numids` parameter must match the number of arguments",
        ));
    }
    Ok(count)
}

pub(super) fn xdelex(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let Chosen { deletion, ids } = Chosen::parse(args, 2, tx.dialect())?;
    let delete = |stream: &mut Stream| stream.delete_by(&ids, deletion);
    let deleted = tx.update(args.at(1), delete)?.unwrap_or(Ok(0));
    note_deleted(tx, args.at(1), deleted.map_err(doubt)?);
    Ok(())
}

/// Its row hides changes from watchers: servers tell them only if it deletes an entry.
pub(super) fn xackdel(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let Chosen { deletion, ids } = Chosen::parse(args, 3, tx.dialect())?;
    let delete = |stream: &mut Stream| stream.acknowledge_and_delete(args.at(2), &ids, deletion);
    let deleted = tx.update(args.at(1), delete)?.unwrap_or(Ok(0));
    let deleted = deleted.map_err(doubt)?;
    if deleted > 0 {
        tx.announce(args.at(1));
    }
    note_deleted(tx, args.at(1), deleted);
    Ok(())
}

pub(super) fn xsetid(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let id = id::strict(args.at(2), 0)?;
    let (mut entries_added, mut max_deleted_id) = (None, StreamId::MIN);
    for index in (3..args.len()).step_by(2) {
        let value = args.get(index + 1).ok_or(Error::Syntax)?;
        if args.is(index, "entriesadded") {
            let count = u64::try_from(integer(value)?);
            entries_added =
                Some(count.map_err(|_| Error::Text("ERR entries_added must be positive"))?);
        } else if args.is(index, "maxdeletedid") {
            max_deleted_id = id::strict(value, 0)?;
        } else {
            return Err(Error::Syntax);
        }
    }
    let set = |stream: &mut Stream| {
        if stream.last_live_id().is_some_and(|last| last > id) {
            return Err(Error::Text(
                "ERR The ID specified in XSETID is smaller than the target stream top item",
            ));
        }
        stream.last_id = id;
        stream.entries_added = entries_added.unwrap_or(stream.entries_added);
        if max_deleted_id != StreamId::MIN {
            stream.max_deleted_id = max_deleted_id;
        }
        Ok(())
    };
    tx.update(args.at(1), set)?.ok_or(Error::NoSuchKey)??;
    tx.event(Class::STREAM, "xsetid", args.at(1));
    Ok(())
}
