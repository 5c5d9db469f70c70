//! Payloads of DUMP and RESTORE: one value without its key.

use super::{
    crc64,
    decode::Version,
    error::{Cause, Error},
    object::Object,
    reader::Reader,
    source::MemorySource,
    value::Values,
};
use bytes::Bytes;

/// Version and checksum.
const FOOTER_BYTES: usize = 10;

/// Decodes a payload whole and gives its value to `take`, whose result comes back.
///
/// # Errors
/// When the version is newer than this decoder knows, the checksum wrong (0 is not excused here), the value corrupt
/// or of an unknown type, or bytes are left after it.
///
/// Source: redis 8.0 cluster.c, verifyDumpPayload.
pub fn decode_payload<T>(payload: &[u8], take: impl FnOnce(Object<'_>) -> T) -> Result<T, Error> {
    let wrong = |cause| Error::new(0, "a payload's footer", cause);
    let value_len = payload
        .len()
        .checked_sub(FOOTER_BYTES)
        .ok_or_else(|| wrong(Cause::Truncated))?;
    let Some(([kind, value @ ..], [v0, v1, sum @ ..])) = payload.split_at_checked(value_len) else {
        return Err(wrong(Cause::Truncated));
    };
    let version = Version::of_payload(u16::from_le_bytes([*v0, *v1]));
    if !version.is_known() {
        return Err(wrong(Cause::Version(version)));
    }
    let stated = u64::from_le_bytes(sum.try_into().unwrap_or_default());
    let computed = crc64::update(0, payload.get(..value_len + 2).unwrap_or_default());
    if stated != computed {
        return Err(wrong(Cause::Checksum { stated, computed }));
    }
    decode_value(*kind, value, version, take)
}

fn decode_value<T>(
    kind: u8,
    value: &[u8],
    version: Version,
    take: impl FnOnce(Object<'_>) -> T,
) -> Result<T, Error> {
    let mut reader = Reader::new(MemorySource(Bytes::copy_from_slice(value)));
    let taken = take(Values::new(version).decode(&mut reader, kind)?);
    let (rest, _) = reader.into_rest();
    if rest.is_empty() {
        return Ok(taken);
    }
    let at = u64::try_from(value.len() - rest.len()).unwrap_or(u64::MAX);
    Err(Error::new(
        at,
        "a payload's end",
        Cause::Corrupt("bytes are left after the value"),
    ))
}
