#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use super::super::testing::{Content, Keyspace};
use super::*;
use crate::rdb::decode::{Checksum, decode};
use crate::rdb::object::Meta;
use crate::rdb::packed::Item;
use crate::rdb::reader::Reader;
use crate::rdb::source::MemorySource;
use crate::rdb::{ValueType, listpack::Listpack, object::NodeRef};
use bytes::Bytes;
use std::collections::BTreeMap;

const V12: Version = Version {
    magic: Magic::Redis,
    number: 12,
};

/// Returns what `write` writes, without a checksum.
fn written(write: impl FnOnce(&mut Writer<Vec<u8>>) -> io::Result<()>) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), V12);
    write(&mut writer).unwrap();
    let mut bytes = writer.checksum().unwrap();
    bytes.truncate(bytes.len() - 8);
    bytes
}

fn reader(bytes: Vec<u8>) -> Reader<MemorySource> {
    Reader::new(MemorySource(Bytes::from(bytes)))
}

#[test]
fn lengths_take_their_shortest_form_and_read_back() {
    let edges = [0, 63, 64, 16_383, 16_384, (1 << 32) - 1, 1 << 32, u64::MAX];
    for (length, bytes) in edges.into_iter().zip([1, 1, 2, 2, 5, 5, 9, 9]) {
        let form = written(|writer| writer.length(length));
        assert_eq!(form.len(), bytes, "{length}");
        assert_eq!(reader(form).length().unwrap(), length);
    }
}

/// Values as real servers dump them.
#[test]
fn strings_take_the_form_that_redis_gives_them() {
    let string = |text: &[u8]| written(|writer| writer.string(text));
    assert_eq!(string(b""), b"\0");
    assert_eq!(string(b"-7"), b"\xc0\xf9");
    assert_eq!(string(b"300"), b"\xc1\x2c\x01");
    assert_eq!(string(b"-2147483648"), b"\xc2\0\0\0\x80");
    assert_eq!(string(b"2147483648"), b"\x0a2147483648");
    assert_eq!(string(b"007"), b"\x03007");
    assert_eq!(string(&[b'a'; 20]), [&b"\x14"[..], &[b'a'; 20]].concat());
    assert_eq!(string(&[b'a'; 21]), b"\xc3\x06\x15\x01aa\xe0\x0a\0");
    let plain = Writer::new(Vec::new(), V12).uncompressed();
    let mut plain = plain;
    plain.string(&[b'a'; 21]).unwrap();
    assert_eq!(plain.position(), 22);
    let integer = |value| written(|writer| writer.integer(value));
    assert_eq!(integer(12), b"\xc0\x0c");
    assert_eq!(integer(1 << 31), b"\x0a2147483648");
}

/// A snapshot of two databases, in strings that cross chunks and exceed them.
fn snapshot(version: Version, large: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), version);
    let mut write = || -> io::Result<()> {
        writer.header()?;
        writer.aux(b"redis-ver", b"7.2.0")?;
        writer.function(b"#!lua name=l")?;
        writer.database(0, 2, 1)?;
        let meta = Meta {
            expire_at_ms: Some(1 << 41),
            ..Meta::default()
        };
        writer.key(b"large", meta, ValueType::String)?;
        writer.string(large)?;
        writer.key(b"12", Meta::default(), ValueType::Set)?;
        writer.set(2, [Item::Str(b"a"), Item::Int(5)].into_iter())?;
        writer.database(3, 1, 0)?;
        let meta = Meta {
            idle_s: Some(70),
            freq: Some(9),
            ..Meta::default()
        };
        let packed: Listpack = ["a", "1"].iter().collect();
        let nodes = [NodeRef::Packed(&packed), NodeRef::Plain(b"plain")];
        let kind = if writer.layouts().has_listpacks() {
            ValueType::ListQuicklist2
        } else {
            ValueType::ListQuicklist
        };
        writer.key(b"list", meta, kind)?;
        writer.list(nodes.into_iter())
    };
    write().unwrap();
    writer.end().unwrap()
}

#[test]
fn a_snapshot_of_every_version_is_read_back() {
    let large: Vec<u8> = (0..300_000_u32)
        .map(|i| i.wrapping_mul(i).to_le_bytes()[1])
        .collect();
    for number in [9, 10, 11, 12, 80] {
        let version = Version::of_payload(number);
        let mut read = Keyspace::default();
        let summary = decode(&mut reader(snapshot(version, &large)), &mut read).unwrap();
        assert!(matches!(summary.checksum, Checksum::Verified(_)));
        assert_eq!((summary.version, summary.keys), (version, 3));
        let texts = |list: &[&str]| list.iter().map(|text| text.as_bytes().to_vec()).collect();
        let contents: BTreeMap<_, _> = read
            .keys
            .into_values()
            .map(|(meta, c)| (meta.idle_s, c))
            .collect();
        assert_eq!(
            contents[&Some(70)],
            Content::List(texts(&["a", "1", "plain"]))
        );
        assert_eq!(read.sizes, [(2, 1), (1, 0)]);
        assert_eq!(read.functions, [b"#!lua name=l"]);
    }
}

#[test]
fn an_output_that_fails_is_an_error() {
    let mut full: &mut [u8] = &mut [0; 10];
    let mut writer = Writer::new(&mut full, V12);
    writer.header().unwrap();
    assert!(writer.end().is_err());
}
