#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use super::{Class, Fact, Feed, Interest, Listener, Lost};
use crate::history::{Point, ReplId};
use crate::limits::FEED_BYTES_MAX;

fn at(history: char, offset: u64) -> Point {
    let replid: ReplId = history.to_string().repeat(40).parse().unwrap();
    Point { replid, offset }
}

/// Sets `keys` in one turn that begins at `from`, each key one byte of the history.
fn turn(feed: &Feed, from: u64, keys: &[&str]) {
    if !feed.begin_turn(from) {
        return;
    }
    let mut offset = from;
    for key in keys {
        offset += 1;
        if feed.interest().has(Interest::EVENTS) {
            feed.note_event(0, Class::STRING, "set", key.as_bytes(), "string");
        }
        feed.commit(offset);
    }
    feed.publish(offset);
}

fn keys(listener: &mut Listener) -> Result<Vec<String>, Lost> {
    let mut keys = Vec::new();
    while let Some(news) = listener.try_next()? {
        for change in news.changes(Interest::EVENTS) {
            if let Fact::Event { key, .. } = change.fact {
                keys.push(format!(
                    "{}@{}",
                    String::from_utf8_lossy(key),
                    change.offset
                ));
            }
        }
    }
    Ok(keys)
}

#[test]
fn a_listener_gets_each_change_once_and_in_order_from_the_next_turn_on() {
    let feed = Arc::new(Feed::default());
    turn(&feed, 0, &["before"]);
    let mut one = feed.listen(Interest::EVENTS);
    turn(&feed, 1, &["k", "l"]);
    let mut other = feed.listen(Interest::EVENTS);
    assert_eq!(keys(&mut one).unwrap(), ["k@2", "l@3"]);
    turn(&feed, 3, &["m"]);
    assert_eq!(keys(&mut one).unwrap(), ["m@4"]);
    assert_eq!(keys(&mut other).unwrap(), ["m@4"]);
    assert!(keys(&mut one).unwrap().is_empty());
}

#[test]
fn nothing_is_noted_and_kept_while_nobody_listens() {
    let feed = Arc::new(Feed::default());
    let listener = feed.listen(Interest::EVENTS);
    turn(&feed, 0, &["k"]);
    drop(listener);
    assert!(!feed.begin_turn(1) && !feed.interest().any());
    assert_eq!(feed.ring().bytes(), 0);
}

#[test]
fn what_is_not_committed_is_not_shown_and_can_be_discarded() {
    let feed = Arc::new(Feed::default());
    let mut listener = feed.listen(Interest::EVENTS);
    feed.begin_turn(0);
    feed.note_event(0, Class::STRING, "set", b"k", "string");
    feed.publish(0);
    assert!(keys(&mut listener).unwrap().is_empty());
    feed.commit(5);
    feed.note_event(0, Class::STRING, "set", b"half", "string");
    feed.publish(5);
    assert_eq!(keys(&mut listener).unwrap(), ["k@5"]);
    feed.discard();
    feed.note_event(0, Class::STRING, "set", b"l", "string");
    feed.commit(6);
    feed.publish(6);
    assert_eq!(keys(&mut listener).unwrap(), ["l@6"]);
}

#[test]
fn a_listener_that_is_too_slow_learns_that_it_lost_its_place_and_continues() {
    let feed = Arc::new(Feed::default());
    let mut slow = feed.listen(Interest::EVENTS);
    let large = "k".repeat(FEED_BYTES_MAX / 4);
    for from in 0..6 {
        turn(&feed, from, &[&large]);
    }
    assert!(feed.ring().bytes() <= FEED_BYTES_MAX);
    assert!(keys(&mut slow).is_err());
    turn(&feed, 6, &["k"]);
    assert_eq!(keys(&mut slow).unwrap(), ["k@7"]);
}

#[test]
fn a_listener_that_comes_back_in_the_window_misses_nothing() {
    let feed = Arc::new(Feed::keeping(1 << 20));
    feed.begin_history(at('a', 0));
    turn(&feed, 0, &["k", "l"]);
    turn(&feed, 2, &["m"]);
    feed.rename(at('b', 3));
    turn(&feed, 3, &["n"]);
    let from = |point| {
        feed.listen_from(Interest::EVENTS, point)
            .map(|mut listener| keys(&mut listener).unwrap())
    };
    assert_eq!(from(at('a', 0)).unwrap(), ["k@1", "l@2", "m@3", "n@4"]);
    assert_eq!(from(at('a', 1)).unwrap(), ["l@2", "m@3", "n@4"]);
    assert_eq!(from(at('b', 1)).unwrap(), ["l@2", "m@3", "n@4"]);
    assert_eq!(from(at('a', 3)).unwrap(), ["n@4"]);
    assert!(from(at('b', 4)).unwrap().is_empty());
    // The old history ended there, and nothing of a third is known.
    for lost in [at('a', 4), at('b', 5), at('c', 1)] {
        assert!(from(lost).is_err(), "{lost:?}");
    }
}

#[test]
fn another_history_is_told_with_lower_offsets_and_reached_from_the_end_of_the_last() {
    let feed = Arc::new(Feed::keeping(1 << 20));
    feed.begin_history(at('a', 0));
    turn(&feed, 100, &["k"]);
    feed.begin_history(at('b', 5));
    feed.note_replacement(true);
    feed.note_event(0, Class::GENERIC, "restore", b"l", "list");
    feed.commit(5);
    feed.publish(5);
    turn(&feed, 5, &["m"]);
    let mut listener = feed.listen_from(Interest::EVENTS, at('a', 101)).unwrap();
    assert_eq!(keys(&mut listener).unwrap(), ["l@5", "m@6"]);
    let mut listener = feed.listen_from(Interest::EVENTS, at('b', 5)).unwrap();
    assert_eq!(keys(&mut listener).unwrap(), ["m@6"]);
    assert!(feed.listen_from(Interest::EVENTS, at('b', 101)).is_err());
}

#[test]
fn a_gap_in_what_was_noted_is_no_place_to_come_back_to() {
    let feed = Arc::new(Feed::default());
    feed.begin_history(at('a', 0));
    let first = feed.listen(Interest::EVENTS);
    turn(&feed, 0, &["k"]);
    drop(first);
    turn(&feed, 1, &["unseen"]);
    let _second = feed.listen(Interest::EVENTS);
    turn(&feed, 2, &["l"]);
    assert!(feed.listen_from(Interest::EVENTS, at('a', 1)).is_err());
    assert!(feed.listen_from(Interest::EVENTS, at('a', 2)).is_ok());
    assert!(feed.listen_from(Interest::TOUCHES, at('a', 2)).is_err());
}

#[test]
fn the_window_is_bounded() {
    let feed = Arc::new(Feed::keeping(4096));
    feed.begin_history(at('a', 0));
    for from in 0..100 {
        turn(&feed, from, &[&"k".repeat(100)]);
    }
    assert!(feed.ring().bytes() <= 4096);
    assert!(feed.listen_from(Interest::EVENTS, at('a', 10)).is_err());
    let mut listener = feed.listen_from(Interest::EVENTS, at('a', 99)).unwrap();
    assert_eq!(keys(&mut listener).unwrap().len(), 1);
}

#[tokio::test]
async fn a_listener_that_waits_is_woken() {
    let feed = Arc::new(Feed::default());
    let mut listener = feed.listen(Interest::EVENTS);
    let waits = tokio::spawn(async move {
        let news = listener.next().await.unwrap();
        news.changes(Interest::EVENTS).count()
    });
    tokio::task::yield_now().await;
    turn(&feed, 0, &["k", "l"]);
    assert_eq!(waits.await.unwrap(), 2);
}

#[test]
fn commands_and_messages_keep_their_bytes() {
    let feed = Arc::new(Feed::default());
    let interest = Interest::COMMANDS.with(Interest::MESSAGES);
    let mut listener = feed.listen(interest);
    feed.begin_turn(0);
    feed.note_command(3, [&b"SET"[..], b"k", b""].into_iter());
    feed.note_message(b"c\r\n", b"hello", true);
    feed.commit(9);
    feed.publish(9);
    let news = listener.try_next().unwrap().unwrap();
    let facts: Vec<_> = news
        .changes(interest)
        .map(|change| (change.db, change.fact))
        .collect();
    let resp = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n";
    let (channel, payload) = (&b"c\r\n"[..], &b"hello"[..]);
    assert_eq!(
        facts,
        [
            (3, Fact::Command { resp }),
            (
                0,
                Fact::Message {
                    sharded: true,
                    channel,
                    payload
                }
            )
        ]
    );
}
