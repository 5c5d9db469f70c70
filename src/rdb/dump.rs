//! Payloads of DUMP and RESTORE: one value without its key.

use super::{
    crc64,
    encode::Writer,
    error::{Cause, Error},
    kind::{FUNCTION2, ValueType},
    object::Object,
    packed::IntText,
    reader::Reader,
    source::MemorySource,
    value::Values,
    version::Version,
};
use bytes::Bytes;
use std::io;

/// Decodes a whole payload, passes its value to `take`, and returns the result of `take`.
///
/// # Errors
/// If the version is newer than this decoder supports, the checksum is wrong (0 is not an exception here), the value is
/// corrupt, of an unknown type or an empty collection, or bytes are left after it.
///
/// Source: redis 8.0 cluster.c, verifyDumpPayload and restoreCommand.
pub fn decode_payload<T>(payload: &[u8], take: impl FnOnce(Object<'_>) -> T) -> Result<T, Error> {
    let value = check_footer(payload)?;
    let mut reader = Reader::new(MemorySource(Bytes::copy_from_slice(value.bytes)));
    reader.reading("a payload's type");
    let kind = reader.u8()?;
    let decoded = Values::new(value.version).decode(&mut reader, kind, 0)?;
    if let Some(found) = decoded.found {
        // Servers skip these checks when they load a snapshot, but not here: the command that carried the payload taints its
        // key.
        return Err(found.error);
    }
    let object = decoded.object;
    let is_taken = value.version.keeps_empty_collections() || !object.is_empty_collection();
    let taken = is_taken.then(|| take(object));
    let left = (value.bytes.len() as u64).saturating_sub(reader.position());
    reader.reading("a payload's end");
    match taken {
        None => Err(reader.error(Cause::Corrupt("an empty collection"))),
        Some(_) if left > 0 => Err(reader.error(Cause::Corrupt("trailing bytes after the value"))),
        Some(taken) => Ok(taken),
    }
}

/// Encodes the payload of one value for a server whose snapshots have `version`. `encode` writes the value.
///
/// # Errors
/// The error of `encode`.
///
/// Source: redis 8.0 cluster.c, createDumpPayload.
pub fn encode_payload(
    version: Version,
    kind: ValueType,
    encode: impl FnOnce(&mut Writer<Vec<u8>>) -> io::Result<()>,
) -> io::Result<Vec<u8>> {
    let mut writer = Writer::new(Vec::new(), version);
    writer.u8(kind.number())?;
    encode(&mut writer)?;
    writer.raw(&version.number.to_le_bytes())?;
    writer.checksum()
}

/// Returns the sources of the libraries in a FUNCTION DUMP payload.
///
/// # Errors
/// Like [`decode_payload`], and if the payload holds anything but libraries.
///
/// Source: redis 7.0 functions.c, functionRestoreCommand.
pub fn decode_functions(payload: &[u8]) -> Result<Vec<Bytes>, Error> {
    let value = check_footer(payload)?;
    let mut reader = Reader::new(MemorySource(Bytes::copy_from_slice(value.bytes)));
    let mut codes = Vec::new();
    while reader.position() < value.bytes.len() as u64 {
        reader.reading("a function library");
        if reader.u8()? != FUNCTION2 {
            return Err(reader.error(Cause::Corrupt("not a function library")));
        }
        let code = reader.string()?;
        codes.push(Bytes::copy_from_slice(code.text(&mut IntText::new())));
    }
    Ok(codes)
}

/// Encodes the payload of libraries for a server whose snapshots have `version`.
///
/// # Errors
/// Writing to memory does not fail. The signature is that of all writers.
pub fn encode_functions<'c>(
    version: Version,
    codes: impl Iterator<Item = &'c [u8]>,
) -> io::Result<Vec<u8>> {
    let mut writer = Writer::new(Vec::new(), version);
    for code in codes {
        writer.function(code)?;
    }
    writer.raw(&version.number.to_le_bytes())?;
    writer.checksum()
}

/// The part of a payload before its footer.
struct Value<'p> {
    bytes: &'p [u8],
    version: Version,
}

/// Checks the footer, version and checksum, and takes it off. A version newer than this decoder's is accepted: a primary with
/// `rdb-version-check relaxed` has accepted the payload, and whatever is new in a version has a type of its own.
fn check_footer(payload: &[u8]) -> Result<Value<'_>, Error> {
    let wrong = |cause| Error::new(0, "a payload's footer", cause);
    let Some((summed, sum)) = payload.split_last_chunk::<8>() else {
        return Err(wrong(Cause::Truncated));
    };
    let Some((bytes, version)) = summed.split_last_chunk::<2>() else {
        return Err(wrong(Cause::Truncated));
    };
    let version = Version::of_payload(u16::from_le_bytes(*version));
    if version.number == 0 {
        return Err(wrong(Cause::Version(version)));
    }
    let stated = u64::from_le_bytes(*sum);
    let computed = crc64::update(0, summed);
    if stated != computed {
        return Err(wrong(Cause::Checksum { stated, computed }));
    }
    Ok(Value { bytes, version })
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]
mod tests {
    use super::{
        super::{object::ListNode, packed::Item},
        *,
    };

    /// The result of `RPUSH l a -5 bb`, then `DUMP l`, on real servers.
    const PAYLOADS: [(&str, &[u8]); 4] = [
        ("redis 6.0", b"\x0e\x01\x15\x15\0\0\0\x10\0\0\0\x03\0\0\x01a\x03\xfe\xfb\x03\x02bb\xff\t\0d\x95o\xb2h\xd02\x15"),
        ("redis 7.0", b"\x12\x01\x02\x11\x11\0\0\0\x03\0\x81a\x02\xdf\xfb\x02\x82bb\x03\xff\n\0\x9a\xb5H\xd6arH\xe8"),
        ("redis 8.0", b"\x12\x01\x02\x11\x11\0\0\0\x03\0\x81a\x02\xdf\xfb\x02\x82bb\x03\xff\x0c\0Q\xc3|\x16\x9bX\xd6\xa1"),
        ("valkey 9.1", b"\x12\x01\x02\x11\x11\0\0\0\x03\0\x81a\x02\xdf\xfb\x02\x82bb\x03\xffP\0U\x9f\x81G\xff /\x1c"),
    ];

    /// Wraps a type and value in a payload of version 12.
    fn payload(value: &[u8]) -> Vec<u8> {
        let summed = [value, &[12, 0]].concat();
        let sum = crc64::update(0, &summed).to_le_bytes();
        [summed, sum.to_vec()].concat()
    }

    fn is_accepted(payload: &[u8]) -> bool {
        decode_payload(payload, |_| ()).is_ok()
    }

    #[test]
    fn reads_what_real_servers_dump() {
        for (server, payload) in PAYLOADS {
            decode_payload(payload, |object| {
                let Object::List(nodes) = object else {
                    panic!("{server}")
                };
                let [ListNode::Packed(packed)] = &nodes[..] else {
                    panic!("{server}")
                };
                assert!(
                    packed
                        .iter()
                        .eq([Item::Str(b"a"), Item::Int(-5), Item::Str(b"bb")]),
                    "{server}"
                );
            })
            .unwrap();
        }
    }

    #[test]
    fn refuses_every_truncation_and_every_flipped_bit() {
        for (_, good) in PAYLOADS {
            assert!((0..good.len()).all(|len| !is_accepted(&good[..len])));
            let mut bad = good.to_vec();
            for at in 0..good.len() {
                for bit in 0..8 {
                    bad[at] ^= 1 << bit;
                    assert!(!is_accepted(&bad), "byte {at}, bit {bit}");
                    bad[at] = good[at];
                }
            }
        }
    }

    #[test]
    fn refuses_a_zero_checksum_bytes_left_and_empty_collections() {
        assert!(is_accepted(&payload(b"\x00\x02hi")));
        assert!(!is_accepted(b"\x00\x02hi\x0c\0\0\0\0\0\0\0\0\0"));
        assert!(!is_accepted(&payload(b"\x00\x02hi!")));
        assert!(!is_accepted(&payload(b"\x04\x00")));
        assert!(!is_accepted(&payload(b"")));
        assert!(!is_accepted(b""));
    }

    /// A string of version 222, which Valkey 8.1 accepts with `rdb-version-check relaxed`, and a type that no version has.
    #[test]
    fn takes_what_it_knows_of_newer_versions_and_nothing_of_none() {
        assert!(is_accepted(b"\0\x03bar\xde\0\x0fYUza\xd3\xec\xe0"));
        let of = |version: u8, value: &[u8]| {
            let summed = [value, &[version, 0]].concat();
            let sum = crc64::update(0, &summed).to_le_bytes();
            [summed, sum.to_vec()].concat()
        };
        assert!(is_accepted(&of(13, b"\0\x02hi")));
        assert!(!is_accepted(&of(13, b"\xc8\x02hi")));
        assert!(!is_accepted(&of(0, b"\0\x02hi")));
    }

    #[test]
    fn a_wrong_value_gives_its_place_in_the_payload() {
        let error =
            decode_payload(&payload(b"\x05\x01\x01a\0\0\0\0\0\0\xf8\x7f"), |_| ()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "byte 4, reading a sorted set's score: corrupt: invalid score"
        );
    }
}
