//! What the stream and a full resync note for those who listen.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use super::tests::{Bench, stream};
use super::*;
use crate::feed::{Fact, Interest, Listener};

fn everything() -> Interest {
    let keys = Interest::EVENTS.with(Interest::TOUCHES);
    keys.with(Interest::MESSAGES).with(Interest::COMMANDS)
}

/// One line for each fact, with its offset and database.
fn told(listener: &mut Listener, interest: Interest) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace("\r\n", " ");
    let mut lines = Vec::new();
    while let Some(news) = listener.try_next().unwrap() {
        for change in news.changes(interest) {
            let fact = match change.fact {
                Fact::Event {
                    event, key, kind, ..
                } => format!("{event} {} {kind}", text(key)),
                Fact::Touch { key } => format!("touch {}", text(key)),
                Fact::Message {
                    channel,
                    payload,
                    sharded,
                } => {
                    format!("message {} {} {sharded}", text(channel), text(payload))
                }
                Fact::Command { resp } => format!("command {}", text(resp)),
                fact => format!("{fact:?}"),
            };
            lines.push(format!("{}:{} {fact}", change.offset, change.db));
        }
    }
    lines
}

const LINES: [&str; 10] = [
    "SELECT 1",
    "SET a 1",
    "PUBLISH c one",
    "MULTI",
    "XACK none g 1-1",
    "PUBLISH c two",
    "DEL a",
    "EXEC",
    "SPUBLISH s three",
    "FLUSHALL",
];

fn end_of(count: usize) -> usize {
    stream(&LINES[..count]).len()
}

#[test]
fn facts_have_the_offset_at_which_they_are_visible_and_stand_in_order() {
    let bench = Bench::new();
    let mut listener = bench.generation.spaces.feed().listen(everything());
    bench.applier(0).feed(&stream(&LINES)).unwrap();
    let (set, first, exec) = (end_of(2), end_of(3), end_of(8));
    let lines = told(&mut listener, everything());
    let without = |word: &str| {
        lines
            .iter()
            .filter(|line| !line.contains(word))
            .cloned()
            .collect::<Vec<_>>()
    };
    let facts: Vec<_> = without("command")
        .into_iter()
        .filter(|line| !line.contains("touch"))
        .collect();
    assert!(
        facts.contains(&format!("{first}:0 message c one false")),
        "{facts:#?}"
    );
    assert!(
        facts.contains(&format!("{exec}:0 message c two false")),
        "{facts:#?}"
    );
    assert!(
        facts.contains(&format!("{exec}:1 xack none ")),
        "{facts:#?}"
    );
    assert!(
        facts.contains(&format!("{}:0 message s three true", end_of(9))),
        "{facts:#?}"
    );
    assert!(
        facts.contains(&format!("{}:1 Flushed", end_of(10))),
        "{facts:#?}"
    );
    assert!(
        lines.contains(&format!("{set}:1 touch a")) && lines.contains(&format!("{exec}:1 touch a"))
    );
    assert!(
        lines.contains(&format!("{set}:1 command *3 $3 SET $1 a $1 1 ")),
        "{lines:#?}"
    );
    let offsets: Vec<u64> = lines
        .iter()
        .map(|line| line.split(':').next().unwrap().parse().unwrap())
        .collect();
    assert!(offsets.is_sorted(), "{lines:#?}");
    // What is gone has the type that it had.
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with(&format!("{exec}:1 del a string"))),
        "{lines:#?}"
    );
}

#[test]
fn however_the_bytes_arrive_each_fact_is_told_once() {
    let bytes = stream(&LINES);
    let told_in = |piece: usize| {
        let bench = Bench::new();
        let mut listener = bench.generation.spaces.feed().listen(everything());
        let mut applier = bench.applier(0);
        bytes
            .chunks(piece)
            .for_each(|piece| applier.feed(piece).unwrap());
        told(&mut listener, everything())
    };
    let whole = told_in(bytes.len());
    for piece in 1..40 {
        assert_eq!(told_in(piece), whole, "pieces of {piece}");
    }
}

#[test]
fn a_link_lost_within_a_transaction_tells_nothing_of_it_until_it_comes_again() {
    let bytes = stream(&LINES);
    for cut in 0..bytes.len() {
        let bench = Bench::new();
        let mut listener = bench.generation.spaces.feed().listen(everything());
        let mut applier = bench.applier(0);
        applier.feed(&bytes[..cut]).unwrap();
        let position = applier.into_position();
        let rest = usize::try_from(position.offset).unwrap();
        let (token, progress, figures) = (
            crate::store::WriteToken::for_tests(),
            &bench.progress,
            &bench.figures,
        );
        let mut applier = Applier::new(position, token, progress, figures);
        applier.feed(&bytes[rest..]).unwrap();
        let all = told(&mut listener, everything());
        let messages = all.iter().filter(|line| line.contains("message")).count();
        assert_eq!(messages, 3, "cut at {cut}: {all:#?}");
    }
}
