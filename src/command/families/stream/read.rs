//! XRANGE, XREVRANGE and XREAD.

use super::{entries, id, streams_at};
use crate::command::rows::Error;
use crate::command::rows::parse::integer;
use crate::command::rows::wait::deadline;
use crate::command::rows::{Awaited, Entries, Limits, Wait};
use crate::rdb::stream::StreamId;
use crate::resp::{Args, Reply};
use crate::store::{View, unix_ms};
use crate::value::{Entry, Stream};

pub(super) fn xrange(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let dialect = reply.dialect();
    let (start, end) = (
        id::start(args.at(2), dialect)?,
        id::end(args.at(3), dialect)?,
    );
    range(view, args, reply, |stream, reply, count| {
        entries(reply, count, stream.range(start, end));
    })
}

pub(super) fn xrevrange(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let dialect = reply.dialect();
    let (start, end) = (
        id::start(args.at(3), dialect)?,
        id::end(args.at(2), dialect)?,
    );
    range(view, args, reply, |stream, reply, count| {
        entries(reply, count, stream.range_back(start, end));
    })
}

fn range(
    view: &View<'_>,
    args: Args<'_>,
    reply: &mut Reply,
    write: impl FnOnce(&Stream, &mut Reply, Option<usize>),
) -> Result<(), Error> {
    let count = count(args)?;
    match view.collection::<Stream>(args.at(1))? {
        None => reply.array(0),
        Some(_) if count == Some(0) => reply.null_array(),
        Some(stream) => write(stream, reply, count),
    }
    Ok(())
}

/// XRANGE's COUNT. A negative one counts as 0.
fn count(args: Args<'_>) -> Result<Option<usize>, Error> {
    let mut count = None;
    for index in (4..args.len()).step_by(2) {
        let number = args.get(index + 1).filter(|_| args.is(index, "count"));
        let number = integer(number.ok_or(Error::Syntax)?)?;
        count = Some(usize::try_from(number).unwrap_or(0));
    }
    Ok(count)
}

/// XREAD's options.
#[derive(Debug, Default)]
struct Options {
    /// The maximum number of entries of each stream; 0 means no limit.
    count: usize,
    /// The maximum number of entries of all streams.
    total: Option<usize>,
    /// The bytes of the reply after which no further entry is returned.
    bytes: Option<usize>,
    /// How long to wait, 0 for ever. `None` does not wait.
    block_ms: Option<u64>,
    /// The index of the first key.
    first: usize,
    streams: usize,
}

impl Options {
    fn parse(args: Args<'_>, reply: &Reply) -> Result<Self, Error> {
        let mut options = Self::default();
        let mut index = 1;
        while options.first == 0 {
            let more = index + 1 < args.len();
            if more && args.is(index, "block") {
                options.block_ms = Some(timeout(args.at(index + 1), reply)?);
            } else if more && args.is(index, "count") {
                options.count = usize::try_from(integer(args.at(index + 1))?).unwrap_or(0);
            } else if more && args.is(index, "streams") {
                options.first = index + 1;
            } else if more && reply.dialect().has_read_limits() && args.is(index, "maxcount") {
                options.total = Some(positive(args.at(index + 1), MAXCOUNT)?);
            } else if more && reply.dialect().has_read_limits() && args.is(index, "maxsize") {
                options.bytes = Some(positive(args.at(index + 1), MAXSIZE)?);
            } else {
                return Err(unknown_option(args, index));
            }
            index += 2;
        }
        let words = args.len() - options.first;
        if !words.is_multiple_of(2) {
            return Err(unbalanced(reply));
        }
        options.streams = words / 2;
        if options.total.is_some_and(|total| total < options.count) {
            return Err(Error::Text(MAXCOUNT));
        }
        Ok(options)
    }

    fn limits(&self) -> Limits {
        Limits {
            each: (self.count > 0).then_some(self.count),
            total: self.total,
            bytes: self.bytes,
        }
    }
}

/// Reads the number of MAXCOUNT or MAXSIZE.
///
/// Source: the documentation of Redis 8.10's XREAD, and of its clients; no server of this version was asked.
fn positive(text: &[u8], invalid: &'static str) -> Result<usize, Error> {
    let number = usize::try_from(integer(text)?).ok();
    let number = number.filter(|number| *number > 0);
    number.ok_or(Error::Text(invalid))
}

/// DIFFERENCE: servers refuse this too, but in which words is not known.
const MAXCOUNT: &str = "ERR MAXCOUNT must be positive, and at least COUNT";
/// DIFFERENCE: as above.
const MAXSIZE: &str = "ERR MAXSIZE must be positive";
/// DIFFERENCE: servers answer with the key and no entries, or without the key; which of the two is not known.
const AT_THE_EDGE: &str = "ERR not supported: MAXSIZE is reached within the name of a stream, and what a server returns then is not documented";

/// Parses the milliseconds to wait. Source: redis 7.0 and 8.0 timeout.c, `getTimeoutFromObjectOrReply`.
fn timeout(text: &[u8], reply: &Reply) -> Result<u64, Error> {
    let invalid = || Error::Text("ERR timeout is not an integer or out of range");
    let timeout_ms = crate::resp::parse_integer(text).ok_or_else(invalid)?;
    if timeout_ms < 0 {
        return Err(Error::Text("ERR timeout is negative"));
    }
    if timeout_ms > i64::MAX - unix_ms() {
        // In older servers the sum overflows. The resulting moment sorts after all others, so the timeout never ends.
        return if reply.dialect().reads_again_when_woken() {
            Err(Error::Text("ERR timeout is out of range"))
        } else {
            Ok(0)
        };
    }
    Ok(timeout_ms.unsigned_abs())
}

fn unknown_option(args: Args<'_>, index: usize) -> Error {
    if args.is(index, "group") && index + 2 < args.len() {
        return Error::Text(
            "ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.",
        );
    }
    if args.is(index, "noack") {
        return Error::Text(
            "ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.",
        );
    }
    Error::Syntax
}

fn unbalanced(reply: &Reply) -> Error {
    let dialect = reply.dialect();
    Error::Text(if dialect.names_last_entry_id() {
        "ERR Unbalanced 'xread' list of streams: for each stream key an ID, '+', or '$' must be specified."
    } else if dialect.names_unbalanced_command() {
        "ERR Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be specified."
    } else {
        "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified."
    })
}

/// A stream that has entries to return.
pub(super) struct Found<'v> {
    key: &'v [u8],
    stream: &'v Stream,
    start: StreamId,
}

impl<'v> Found<'v> {
    /// Returns the stream if it has entries above an id. As in servers, the length that it states is checked first.
    pub(super) fn new(key: &'v [u8], stream: &'v Stream, above: StreamId) -> Option<Self> {
        if stream.is_empty() {
            return None;
        }
        let start = id::after(above)?;
        let last = stream.last_live_id()?;
        (last > above).then_some(Self { key, stream, start })
    }
}

pub(super) fn xread(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let options = Options::parse(args, reply)?;
    debug_assert_eq!(
        streams_at(args),
        Some(options.first),
        "the locks are those of the keys that are read"
    );
    // Servers look up each key twice, and count that: first to check its type and its id.
    let keys = || options.first..options.first + options.streams;
    let mut ids = Vec::new();
    for index in keys() {
        let stream = view.collection::<Stream>(args.at(index))?;
        ids.push(above(args.at(index + options.streams), stream, reply)?);
    }
    let mut found = Vec::new();
    for (index, above) in keys().zip(&ids) {
        let stream = view.collection::<Stream>(args.at(index))?;
        found.extend(stream.and_then(|stream| Found::new(args.at(index), stream, *above)));
    }
    match options.block_ms {
        _ if !found.is_empty() => write(reply, &found, options.limits())?,
        None => reply.null_array(),
        Some(block_ms) => {
            let keys = args.from(options.first).iter().take(options.streams);
            return Err(Error::Waits(Box::new(Wait {
                awaited: Awaited::Entries(Entries {
                    db: view.db_number(),
                    keys: keys.map(Box::from).collect(),
                    above: ids,
                    limits: options.limits(),
                }),
                deadline: deadline(block_ms),
            })));
        }
    }
    Ok(())
}

/// Writes XREAD's reply.
///
/// # Errors
/// If it is not known which entries a server returns.
pub(super) fn write(reply: &mut Reply, found: &[Found<'_>], limits: Limits) -> Result<(), Error> {
    let shares = shares(found, limits, reply.is_resp3())?;
    if reply.is_resp3() {
        reply.map(shares.len());
    } else {
        reply.array(shares.len());
    }
    for (Found { key, stream, start }, count) in found.iter().zip(shares) {
        if !reply.is_resp3() {
            reply.array(2);
        }
        reply.bulk(key);
        entries(reply, count, stream.range(*start, StreamId::MAX));
    }
    Ok(())
}

/// Returns how many entries of each stream to write at most; of the streams at the end, none if the others reach a limit for all.
///
/// MAXSIZE ends the reply before an entry if the bytes so far have reached it, unless there is no entry yet. What counts are the
/// bytes written by then: the length of an array of entries is written after them, and that of the whole reply at its end.
/// Source: redis 8.10 t_stream.c, `streamReplyMaxsizeReached`, and networking.c, `setDeferredReply`, from documents and changes; no
/// server of this version was asked.
///
/// # Errors
/// If the name of a stream alone reaches MAXSIZE: see [`AT_THE_EDGE`].
fn shares(
    found: &[Found<'_>],
    limits: Limits,
    is_resp3: bool,
) -> Result<Vec<Option<usize>>, Error> {
    if limits.total.is_none() && limits.bytes.is_none() {
        return Ok(vec![limits.each; found.len()]);
    }
    let mut left = limits.total.unwrap_or(usize::MAX);
    let most_bytes = limits.bytes.unwrap_or(usize::MAX);
    let (mut bytes, mut any) = (0_usize, false);
    let mut shares = Vec::new();
    for Found { key, stream, start } in found {
        if left == 0 || any && bytes >= most_bytes {
            break;
        }
        bytes += bulk_bytes(key.len()) + if is_resp3 { 0 } else { PAIR_BYTES };
        if any && bytes >= most_bytes {
            return Err(Error::Text(AT_THE_EDGE));
        }
        let most = limits.each.map_or(left, |each| each.min(left));
        let mut count = 0;
        for entry in stream.range(*start, StreamId::MAX).take(most) {
            if any && bytes >= most_bytes {
                break;
            }
            bytes += entry_bytes(&entry);
            (count, any) = (count + 1, true);
        }
        bytes += head_bytes(count);
        left -= count;
        shares.push(Some(count));
    }
    Ok(shares)
}

/// The bytes of `*2` and its line end.
const PAIR_BYTES: usize = 4;

/// The bytes of an entry in a reply.
fn entry_bytes(entry: &Entry<'_>) -> usize {
    let id = entry.id.to_string().len();
    let pairs = entry.pairs();
    let pairs = pairs.map(|(field, value)| bulk_bytes(field.len()) + bulk_bytes(value.len()));
    PAIR_BYTES + bulk_bytes(id) + head_bytes(entry.fields * 2) + pairs.sum::<usize>()
}

/// The bytes of a bulk string of `len` bytes.
fn bulk_bytes(len: usize) -> usize {
    head_bytes(len) + len + 2
}

/// The bytes of a length with its mark and its line end.
fn head_bytes(number: usize) -> usize {
    itoa::Buffer::new().format(number).len() + 3
}

/// Returns the id above which entries are wanted.
fn above(text: &[u8], stream: Option<&Stream>, reply: &Reply) -> Result<StreamId, Error> {
    let last = stream.map_or(StreamId::MIN, |stream| stream.last_id);
    let dialect = reply.dialect();
    match text {
        b"$" => Ok(last),
        b"+" if dialect.has_last_entry_id() => {
            let live = stream
                .filter(|_| dialect.skips_deleted_last_entry())
                .and_then(Stream::last_live_id);
            match id::before(live.unwrap_or(last)) {
                Some(before) => Ok(before),
                // Source: valkey 8.1 t_stream.c, `xreadCommand`.
                None if stream.is_some() && dialect.refuses_last_of_no_entries() => {
                    Err(Error::Text("ERR the stream last element ID is 0-0"))
                }
                None => Ok(StreamId::MIN),
            }
        }
        b">" => Err(Error::Text(
            "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
        )),
        text => id::strict(text, 0),
    }
}
