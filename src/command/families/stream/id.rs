//! Stream ids as arguments.

use crate::command::rows::Error;
use crate::dialect::Dialect;
use crate::rdb::stream::StreamId;

/// Longer texts are not ids. Source: redis 7.0 t_stream.c, `streamGenericParseIDOrReply`.
const ID_BYTES_MAX: usize = 127;

const INVALID: Error = Error::Text("ERR Invalid stream ID specified as stream command argument");

/// Parses an id `ms` or `ms-seq`; `missing` is the sequence number of the short form.
///
/// # Errors
/// Redis's error for anything else.
pub(super) fn strict(text: &[u8], missing: u64) -> Result<StreamId, Error> {
    parse(text, missing).ok_or(INVALID)
}

fn parse(text: &[u8], missing: u64) -> Option<StreamId> {
    if text.len() > ID_BYTES_MAX {
        return None;
    }
    let mut parts = text.splitn(2, |byte| *byte == b'-');
    let ms = number(parts.next()?)?;
    let seq = parts.next().map_or(Some(missing), number)?;
    Some(StreamId::new(ms, seq))
}

/// Accepts what `strtoull` reads whole. Source: redis 7.0 util.c, `string2ull`.
fn number(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii_start();
    let digits = text.strip_prefix(b"+").unwrap_or(text);
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Same as [`strict`], but also accepts `-` and `+` for the smallest and the largest id.
fn open(text: &[u8], missing: u64) -> Result<StreamId, Error> {
    match text {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        text => strict(text, missing),
    }
}

/// Parses the start of an interval. Since Redis 6.2, `(id` excludes the id itself.
pub(super) fn start(text: &[u8], dialect: Dialect) -> Result<StreamId, Error> {
    match excluded(text, dialect) {
        Some(text) => {
            after(strict(text, 0)?).ok_or(Error::Text("ERR invalid start ID for the interval"))
        }
        None => open(text, 0),
    }
}

/// Parses the end of an interval. Since Redis 6.2, `(id` excludes the id itself.
pub(super) fn end(text: &[u8], dialect: Dialect) -> Result<StreamId, Error> {
    match excluded(text, dialect) {
        Some(text) => before(strict(text, u64::MAX)?)
            .ok_or(Error::Text("ERR invalid end ID for the interval")),
        None => open(text, u64::MAX),
    }
}

fn excluded(text: &[u8], dialect: Dialect) -> Option<&[u8]> {
    text.strip_prefix(b"(")
        .filter(|text| !text.is_empty() && dialect.has_exclusive_ids())
}

/// Returns the next id.
pub(crate) fn after(id: StreamId) -> Option<StreamId> {
    match id.seq.checked_add(1) {
        Some(seq) => Some(StreamId::new(id.ms, seq)),
        None => Some(StreamId::new(id.ms.checked_add(1)?, 0)),
    }
}

/// Returns the previous id.
pub(crate) fn before(id: StreamId) -> Option<StreamId> {
    match id.seq.checked_sub(1) {
        Some(seq) => Some(StreamId::new(id.ms, seq)),
        None => Some(StreamId::new(id.ms.checked_sub(1)?, u64::MAX)),
    }
}
