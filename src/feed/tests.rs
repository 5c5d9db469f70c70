#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use super::{Class, Fact, Feed, Interest, Listener, Lost, Mark};
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

/// What a listener that the writer waits for is shown: marks, and keys with their history.
fn shown(listener: &mut Listener) -> Vec<String> {
    let mut shown = Vec::new();
    while let Some(news) = listener.try_next().unwrap() {
        let history = |replid: ReplId| replid.to_string().get(..1).unwrap().to_owned();
        let mark = news.mark().map(|mark| match mark {
            Mark::Begins(at) => format!("begins {}{}", history(at.replid), at.offset),
            Mark::Resynced(at) => format!("resynced {}{}", history(at.replid), at.offset),
            Mark::Renamed(at) => format!("renamed {}{}", history(at.replid), at.offset),
            Mark::Reached(at) => format!("reached {}{}", history(at.replid), at.offset),
        });
        shown.extend(mark);
        let replid = news.replid().map(history).unwrap_or_default();
        for change in news.changes(Interest::EVENTS) {
            if let Fact::Event { key, .. } = change.fact {
                let key = String::from_utf8_lossy(key);
                shown.push(format!("{key}@{replid}{}", change.offset));
            }
        }
    }
    shown
}

#[test]
fn a_listener_that_the_writer_waits_for_sees_a_replay_and_where_the_history_is_renamed() {
    let feed = Arc::new(Feed::default());
    feed.wait_for_listeners();
    let mut listener = feed.listen(Interest::EVENTS);
    feed.begin_replay(at('a', 5));
    turn(&feed, 5, &["k"]);
    feed.rename(at('b', 6));
    turn(&feed, 6, &["l"]);
    feed.end_replay();
    turn(&feed, 7, &["m"]);
    feed.begin_history(at('c', 3));
    turn(&feed, 3, &["n"]);
    let expected = [
        "begins a5",
        "k@a6",
        "renamed b6",
        "l@b7",
        "m@b8",
        "resynced c3",
        "n@c4",
    ];
    assert_eq!(shown(&mut listener), expected);
}

#[test]
fn a_replay_is_news_only_for_those_who_come_back() {
    let feed = Arc::new(Feed::keeping(1 << 20));
    let mut early = feed.listen(Interest::EVENTS);
    feed.begin_replay(at('a', 5));
    turn(&feed, 5, &["k", "l"]);
    let mut during = feed.listen(Interest::EVENTS);
    assert!(keys(&mut early).unwrap().is_empty());
    assert!(feed.listen_from(Interest::EVENTS, at('a', 6)).is_err());
    feed.end_replay();
    turn(&feed, 7, &["m"]);
    for listener in [&mut early, &mut during] {
        assert_eq!(keys(listener).unwrap(), ["m@8"]);
    }
    let mut back = feed.listen_from(Interest::EVENTS, at('a', 6)).unwrap();
    assert_eq!(keys(&mut back).unwrap(), ["l@7", "m@8"]);
    // The next try is another one: what was told before does not lead to it.
    feed.begin_replay(at('a', 5));
    turn(&feed, 5, &["k", "l", "m"]);
    feed.end_replay();
    let mut back = feed.listen_from(Interest::EVENTS, at('a', 7)).unwrap();
    assert_eq!(keys(&mut back).unwrap(), ["m@8"]);
}

/// Takes everything until the writer's thread has ended.
fn drain(listener: &mut Listener, writer: &std::thread::JoinHandle<()>) -> Vec<String> {
    let mut taken = Vec::new();
    while !writer.is_finished() {
        taken.extend(keys(listener).unwrap());
        std::thread::yield_now();
    }
    taken.extend(keys(listener).unwrap());
    taken
}

#[test]
fn a_writer_that_waits_loses_nothing_and_keeps_little() {
    let feed = Arc::new(Feed::default());
    feed.wait_for_listeners();
    let mut slow = feed.listen(Interest::EVENTS);
    let large = "k".repeat(1 << 20);
    let writer = std::thread::spawn({
        let feed = Arc::clone(&feed);
        move || (0..100).for_each(|from| turn(&feed, from, &[&large]))
    });
    while !feed.ring().must_wait() {
        std::thread::yield_now();
    }
    assert!(feed.ring().bytes() <= FEED_BYTES_MAX / 2);
    assert_eq!(drain(&mut slow, &writer).len(), 100);
    writer.join().unwrap();
}

#[test]
fn a_listener_that_leaves_frees_the_writer_and_is_remembered() {
    for leaves in [false, true] {
        let feed = Arc::new(Feed::default());
        feed.wait_for_listeners();
        let mut listener = feed.listen(Interest::EVENTS);
        turn(&feed, 0, &["k"]);
        let waits = std::thread::spawn({
            let feed = Arc::clone(&feed);
            move || feed.settle(at('a', 1))
        });
        assert!(listener.try_next().unwrap().is_some());
        while !feed.ring().is_unsettled() {
            std::thread::yield_now();
        }
        assert!(!waits.is_finished());
        if leaves {
            drop(listener);
            assert!(!feed.settle(at('a', 1)));
        } else {
            while !waits.is_finished() {
                assert!(
                    listener
                        .try_next()
                        .unwrap()
                        .is_none_or(|news| news.mark().is_some())
                );
            }
            // Nothing is noted for it any more.
            drop(listener);
            assert!(!feed.settle(at('a', 2)));
        }
        assert_eq!(waits.join().unwrap(), !leaves);
    }
}
