//! XADD, XDEL, XTRIM and XSETID.

use super::id;
use crate::command::rows::Error;
use crate::command::rows::parse::integer;
use crate::rdb::stream::StreamId;
use crate::resp::Args;
use crate::store::Tx;
use crate::value::{Keep, Stream};

/// The options of XADD and XTRIM. LIMIT has no effect in a replication stream.
#[derive(Debug, Clone, Copy, Default)]
struct Trim {
    keep: Option<Keep>,
    roughly: bool,
    only_present: bool,
    /// The index of the word after the options.
    next: usize,
}

impl Trim {
    /// Source: redis 7.0 t_stream.c, `streamParseAddOrTrimArgsOrReply`.
    fn parse(args: Args<'_>, adds: bool) -> Result<Self, Error> {
        let mut trim = Self::default();
        let mut index = 2;
        while index < args.len() {
            if args.is(index, "maxlen") || args.is(index, "minid") {
                index = trim.strategy(args, index)?;
            } else if args.is(index, "limit") && index + 1 < args.len() {
                integer(args.at(index + 1))?;
                index += 1;
            } else if adds && args.is(index, "nomkstream") {
                trim.only_present = true;
            } else {
                break;
            }
            index += 1;
        }
        trim.next = index;
        Ok(trim)
    }

    /// Reads MAXLEN or MINID at `index`. Returns the index of its last word.
    fn strategy(&mut self, args: Args<'_>, index: usize) -> Result<usize, Error> {
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

    fn apply(self, stream: &mut Stream) {
        if let Some(keep) = self.keep {
            stream.trim(keep, self.roughly, 0);
        }
    }
}

pub(super) fn xadd(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let trim = Trim::parse(args, true)?;
    let id = id::strict(args.at(trim.next), 0)?;
    let words = args.from(trim.next + 1);
    if words.is_empty() || !words.len().is_multiple_of(2) {
        return Err(Error::Arity("xadd".to_owned()));
    }
    let pairs: Vec<(&[u8], &[u8])> = (0..words.len())
        .step_by(2)
        .map(|index| (words.at(index), words.at(index + 1)))
        .collect();
    let thresholds = tx.thresholds();
    let add = |stream: &mut Stream| {
        let added = stream.append(id, &pairs, &thresholds);
        trim.apply(stream);
        added
    };
    let added = if trim.only_present {
        tx.update(args.at(1), add)?.unwrap_or(true)
    } else {
        tx.upsert(args.at(1), add)?
    };
    if added {
        Ok(())
    } else {
        Err(Error::Text(
            "ERR The ID specified in XADD is equal or smaller than the target stream top item",
        ))
    }
}

pub(super) fn xdel(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let ids = ids(args.from(2))?;
    tx.update(args.at(1), |stream: &mut Stream| stream.delete(&ids))?;
    Ok(())
}

/// Parses all words as ids.
pub(super) fn ids(words: Args<'_>) -> Result<Vec<StreamId>, Error> {
    words.iter().map(|word| id::strict(word, 0)).collect()
}

pub(super) fn xtrim(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let trim = Trim::parse(args, false)?;
    if trim.next < args.len() || trim.keep.is_none() {
        return Err(Error::Syntax);
    }
    tx.update(args.at(1), |stream: &mut Stream| trim.apply(stream))?;
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
    tx.update(args.at(1), set)?.ok_or(Error::NoSuchKey)?
}
