//! Payloads of DUMP and RESTORE: one value without its key.

use super::{
    crc64,
    encode::Writer,
    error::{Cause, Error},
    kind::{FUNCTION2, KEY_META, ValueType},
    module,
    object::Object,
    packed::IntText,
    reader::Reader,
    source::MemorySource,
    value::Values,
    version::Version,
};
use bytes::Bytes;
use std::io;

/// Whether a payload must have a checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sums {
    /// It must match the payload.
    Required,
    /// 0 means that the writer computed none.
    Optional,
}

/// Decodes a whole payload, passes its value and what modules have attached to the key (a record with its opcode, or nothing) to
/// `take`, and returns the result of `take`.
///
/// # Errors
/// If the checksum is wrong or missing, the value is corrupt, of an unknown type or an empty collection, or bytes are left after
/// it.
///
/// Source: redis 8.0 cluster.c, verifyDumpPayload and restoreCommand.
pub fn decode_payload<T>(
    payload: &[u8],
    sums: Sums,
    take: impl FnOnce(Object<'_>, &[u8]) -> T,
) -> Result<T, Error> {
    let value = check_footer(payload, sums)?;
    let mut reader = Reader::new(MemorySource(Bytes::copy_from_slice(value.bytes)));
    reader.reading("a payload's type");
    let (mut kind, mut attached) = (reader.u8()?, Vec::new());
    if kind == KEY_META {
        module::read_attached(&mut reader, &mut attached)?;
        reader.reading("a payload's type");
        kind = reader.u8()?;
    }
    let decoded = Values::new(value.version).decode(&mut reader, kind, 0)?;
    if let Some(found) = decoded.found {
        // Servers skip these checks when they load a snapshot, but not here: the command that carried the payload taints its
        // key.
        return Err(found.error);
    }
    let object = decoded.object;
    let is_taken = value.version.keeps_empty_collections() || !object.is_empty_collection();
    let taken = is_taken.then(|| take(object, &attached));
    let left = (value.bytes.len() as u64).saturating_sub(reader.position());
    reader.reading("a payload's end");
    match taken {
        None => Err(reader.error(Cause::Corrupt("an empty collection"))),
        Some(_) if left > 0 => Err(reader.error(Cause::Corrupt("trailing bytes after the value"))),
        Some(taken) => Ok(taken),
    }
}

/// Encodes the payload of one value for a server whose snapshots have `version`. `encode` writes the value; `attached` is what
/// modules have attached to the key: a record with its opcode, or nothing.
///
/// # Errors
/// The error of `encode`.
///
/// Source: redis 8.0 cluster.c, createDumpPayload.
pub fn encode_payload(
    version: Version,
    attached: &[u8],
    kind: ValueType,
    encode: impl FnOnce(&mut Writer<Vec<u8>>) -> io::Result<()>,
) -> io::Result<Vec<u8>> {
    let mut writer = Writer::new(Vec::new(), version);
    writer.raw(attached)?;
    writer.u8(kind.number())?;
    encode(&mut writer)?;
    writer.raw(&version.number.to_le_bytes())?;
    writer.checksum()
}

/// Returns the sources of the libraries in a FUNCTION DUMP payload, which must have a checksum.
///
/// # Errors
/// Like [`decode_payload`], and if the payload holds anything but libraries.
///
/// Source: redis 7.0 functions.c, functionRestoreCommand.
pub fn decode_functions(payload: &[u8]) -> Result<Vec<Bytes>, Error> {
    let value = check_footer(payload, Sums::Required)?;
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
fn check_footer(payload: &[u8], sums: Sums) -> Result<Value<'_>, Error> {
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
    if stated == 0 && sums == Sums::Optional {
        return Ok(Value { bytes, version });
    }
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
        decode_payload(payload, Sums::Required, |_, _| ()).is_ok()
    }

    #[test]
    fn reads_what_real_servers_dump() {
        for (server, payload) in PAYLOADS {
            decode_payload(payload, Sums::Required, |object, _| {
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

    #[test]
    fn takes_a_zero_checksum_where_none_is_required() {
        let takes = |payload: &[u8]| decode_payload(payload, Sums::Optional, |_, _| ()).is_ok();
        assert!(takes(&payload(b"\x00\x02hi")));
        assert!(takes(b"\x00\x02hi\x0c\0\0\0\0\0\0\0\0\0"));
        assert!(!takes(b"\x00\x02hi\x0c\0\x01\0\0\0\0\0\0\0"), "a wrong one");
        assert!(
            !takes(b"\x00\x02hi!\x0c\0\0\0\0\0\0\0\0\0"),
            "a byte too many"
        );
    }

    #[test]
    fn what_modules_attach_comes_before_the_type() {
        let record = b"\xf3\x01\x09\x00\x00\x04\x02\x05\x00";
        let payload = payload(&[&record[..], b"\x00\x02hi"].concat());
        let read = |object: Object<'_>, attached: &[u8]| {
            assert_eq!(object, Object::Str(b"hi".into()));
            attached.to_vec()
        };
        assert_eq!(
            decode_payload(&payload, Sums::Required, read).unwrap(),
            record
        );
        for cut in 1..record.len() {
            let cut = [record.get(..cut).unwrap(), b"\0\0\0\0\0\0\0\0\0\0"].concat();
            assert!(decode_payload(&cut, Sums::Optional, |_, _| ()).is_err());
        }
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
        let error = decode_payload(
            &payload(b"\x05\x01\x01a\0\0\0\0\0\0\xf8\x7f"),
            Sums::Required,
            |_, _| (),
        )
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "byte 4, reading a sorted set's score: corrupt: invalid score"
        );
    }
}
