//! The surroundings of a snapshot: bytes after its end, odd fields before its keys. A scripted primary sends the same to a real
//! replica of each version and to redtail.

use crate::scripted::{stream, with_length, with_mark};
use crate::servers::ALL;
use crate::stream_forms::{Follower, dump, dump_with};

/// Payloads that every replica loads.
fn loaded(name: &str) -> Vec<(&'static str, Vec<u8>)> {
    let after = |tail: &[u8]| [&*dump(name), tail].concat();
    let command = stream(&["SET tail 1"]);
    let field = |value| with_length(&dump_with(name, &[("repl-stream-db", value)]));
    vec![
        ("a byte", with_length(&after(b"x"))),
        ("a command", with_length(&after(&command))),
        (
            "more than a read, and a mark",
            with_mark(&after(&[b'm'; 100_000])),
        ),
        ("a command, and a mark", with_mark(&after(&command))),
        ("not a database number", field("x")),
        ("a negative number", field("-7")),
        ("characters after the number", field("3x")),
        (
            "a number beyond every integer",
            field("99999999999999999999"),
        ),
    ]
}

fn compare(name: &str) {
    for (what, payload) in loaded(name) {
        let real = Follower::real_of(name, &payload);
        let (Some(real), Some(redtail)) = (real, Follower::redtail_of(&payload)) else {
            return;
        };
        let answers = [real, redtail].map(|mut follower| {
            // Without a SELECT, so that the write goes to the database named by the field.
            follower.send(&stream(&["SET s 1"]));
            follower.settle(what);
            let questions = ["MGET k s tail", "DBSIZE", "DEBUG DIGEST"];
            questions.map(|question| follower.ask(question))
        });
        let [theirs, ours] = answers;
        assert_eq!(ours, theirs, "{name}: {what}");
    }
}

#[test]
fn a_snapshot_for_redis_6_0_is_loaded_whatever_stands_around_it() {
    compare(ALL[0]);
}

#[test]
fn a_snapshot_for_redis_7_0_is_loaded_whatever_stands_around_it() {
    compare(ALL[1]);
}

#[test]
fn a_snapshot_for_redis_8_0_is_loaded_whatever_stands_around_it() {
    compare(ALL[2]);
}

#[test]
fn a_snapshot_for_valkey_8_1_is_loaded_whatever_stands_around_it() {
    compare(ALL[3]);
}

#[test]
fn a_snapshot_for_valkey_9_1_is_loaded_whatever_stands_around_it() {
    compare(ALL[4]);
}
