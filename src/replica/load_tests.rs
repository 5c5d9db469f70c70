//! Tests of loading a snapshot.

use super::*;
use crate::rdb::source::MemorySource;
use crate::store::{Value, WriteToken};
use crate::value;

/// Loads a dump of version 4, which has no checksum, from a payload that announces its length.
fn load(body: &[u8]) -> Generation {
    try_load(body).unwrap()
}

fn try_load(body: &[u8]) -> Result<Generation, LoadError> {
    let dump = [b"REDIS0004", body, b"\xff"].concat();
    let payload = [format!("\n${}\r\n", dump.len()).as_bytes(), &dump].concat();
    let mut reader = Reader::new(MemorySource(payload.into()));
    let kept = Kept {
        token: WriteToken::for_tests(),
        databases: 16,
        dialect: None,
        tuning: &Arc::default(),
        feed: &Arc::default(),
        scripting: None,
    };
    let framing = super::header(&mut reader).unwrap();
    let loaded = super::payload(&mut reader, &framing, kept, &LoadFigures::default())?;
    Ok(Arc::into_inner(loaded.generation).unwrap())
}

fn aux(name: &str, value: &str) -> Vec<u8> {
    let len = u32::try_from(value.len()).unwrap().to_be_bytes();
    let name_len = u8::try_from(name.len()).unwrap();
    let name = [&[0xfa, name_len], name.as_bytes(), &[0x80]].concat();
    [&name, &len[..], value.as_bytes()].concat()
}

#[test]
fn sizes_announced_make_no_more_room_than_the_snapshot_could_fill() {
    let filler = aux("filler", &"x".repeat(300_000));
    let database = |number: u8| [0xfe, number, 0xfb, 0x80, 255, 255, 255, 255, 0];
    let room = |databases: u8| -> usize {
        let sizes: Vec<u8> = (0..databases).flat_map(database).collect();
        let generation = load(&[&filler[..], &sizes].concat());
        let databases = (0..16).filter_map(|number| generation.spaces.db(number));
        databases.map(|db| db.memory_bytes()).sum()
    };
    let one = room(1);
    assert!((900_000..4_000_000).contains(&one), "{one}");
    assert!(room(9) < one + one / 2, "for all databases together");
}

#[test]
fn keys_are_kept_as_the_server_that_wrote_them_keeps_them() {
    let encoding = |version: &str| {
        let set = b"\x02\x01k\x01\x01a";
        let generation = load(&[&aux("redis-ver", version), &set[..]].concat());
        let view = generation.spaces.view_key(0, b"k");
        match view.value(b"k") {
            Some(Value::Object(value::Object::Set(set))) => set.encoding(generation.dialect),
            _ => "none",
        }
    };
    assert_eq!(encoding("7.0.15"), "hashtable");
    assert_eq!(encoding("8.0.2"), "listpack");
}

#[test]
fn libraries_that_cannot_all_be_right_are_not_known() {
    let library = |name: &str| {
        let code = format!("#!lua name={name}\n");
        let len = u8::try_from(code.len()).unwrap();
        [&[0xf5, len], code.as_bytes()].concat()
    };
    let known = |names: &[&str]| {
        let libraries: Vec<u8> = names.iter().flat_map(|name| library(name)).collect();
        let held = load(&libraries).spaces.libraries();
        held.all().map(<[_]>::len)
    };
    assert_eq!(known(&["a", "b"]), Some(2));
    assert_eq!(known(&["a", "a", "b"]), None);
    assert_eq!(known(&["-"]), None);
}

#[test]
fn knows_both_ways_in_which_a_payload_is_framed() {
    let mark = "0123456789abcdef0123456789abcdef01234567";
    assert_eq!(Framing::parse(b"$1234").ok(), Some(Framing::Length(1234)));
    let framing = Framing::parse(format!("$EOF:{mark}").as_bytes()).ok();
    assert_eq!(framing, mark.as_bytes().try_into().ok().map(Framing::Mark));
    for wrong in ["$", "$-1", "$EOF:short", "*1", "1234"] {
        assert!(
            matches!(Framing::parse(wrong.as_bytes()), Err(LoadError::Header(_))),
            "{wrong}"
        );
    }
    assert!(matches!(
        Framing::parse(b"-ERR no"),
        Err(LoadError::Refused(_))
    ));
}

#[test]
fn a_taint_that_cannot_be_read_refuses_the_snapshot() {
    let field = |value: &str| {
        let key = b"\x00\x01k\x01v";
        try_load(&[&aux("redtail-tainted", value), &key[..]].concat())
    };
    let tainted = field("0 value k").unwrap();
    assert!(tainted.spaces.taints().holds(0, b"k"));
    for damaged in ["", "k", "0 value", "0 rumour k", "-1 value k"] {
        let error = field(damaged).unwrap_err().to_string();
        assert!(error.contains("which key's value is unknown"), "{error}");
    }
}
