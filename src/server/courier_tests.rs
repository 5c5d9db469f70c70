//! A courier that is too slow for what it has to hand out.

use std::sync::Barrier;

use super::*;
use crate::feed::{Feed, Interest};
use crate::limits::FEED_BYTES_MAX;

impl Running {
    /// Keeps all threads of the runtime busy while `act` runs, so that the courier cannot.
    pub(super) fn stalled(&self, act: impl FnOnce()) {
        let (begun, ended) = (Arc::new(Barrier::new(3)), Arc::new(Barrier::new(3)));
        for _ in 0..2 {
            let (begun, ended) = (Arc::clone(&begun), Arc::clone(&ended));
            self.runtime.as_ref().unwrap().spawn(async move {
                begun.wait();
                ended.wait();
            });
        }
        begun.wait();
        act();
        ended.wait();
    }

    /// Notes something as the writer does, in a turn of its own.
    fn note(&self, number: u64, interest: Interest, note: impl FnOnce(&Feed)) {
        let feed = self.served.feed();
        feed.begin_turn(number);
        assert!(feed.interest().has(interest));
        note(feed);
        feed.commit(number + 1);
        feed.publish(number + 1);
        feed.end_turn(number + 1);
    }

    /// Publishes messages as the writer does, each in a turn of its own.
    fn publish(&self, count: usize, payload: &[u8]) {
        for number in 0..count as u64 {
            let note = |feed: &Feed| feed.note_message(b"c", payload, false);
            self.note(number, Interest::MESSAGES, note);
        }
    }

    /// Makes the courier panic.
    fn fail(&self) {
        let note = |feed: &Feed| feed.note_message(b"fail", b"", false);
        self.note(0, Interest::MESSAGES, note);
    }

    /// A client that may have cached `a`.
    fn caching(&self) -> Client {
        let mut caching = self.client();
        caching.send("HELLO 3\r\nCLIENT TRACKING on\r\nECHO marker\r\n");
        caching.skip_to_marker();
        // From here on, the writer notes touches.
        self.note(0, Interest::TOUCHES, |_| {});
        caching.says("GET a\r\n", "$1\r\n1\r\n");
        caching
    }

    /// Waits until a client's peer takes no replies.
    fn wait_for_stalled(&self) {
        let is_stalled = || {
            let clients = self.server.clients.all();
            clients
                .iter()
                .any(|client| client.shown().stalled.is_some())
        };
        let deadline = Instant::now() + PATIENCE;
        while !is_stalled() {
            assert!(Instant::now() < deadline, "no client waits");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn losses(&self) -> u64 {
        self.server.statistics.feed_losses.load(Ordering::Relaxed)
    }
}

impl Client {
    /// Reads the reply to `ECHO marker`, and all before it.
    pub(super) fn skip_to_marker(&mut self) {
        let mut seen = Vec::new();
        while !seen.ends_with(b"$6\r\nmarker\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap();
            seen.push(byte[0]);
        }
    }
}

const SUBSCRIBED: &str = "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n";

#[test]
fn subscribers_are_disconnected_when_the_feed_has_dropped_something() {
    let running = plain();
    let mut subscriber = running.client();
    subscriber.says("SUBSCRIBE c\r\n", SUBSCRIBED);
    running.publish(1, b"one");
    subscriber.expects("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$3\r\none\r\n");
    let mut other = running.client();
    other.says("GET a\r\n", "$1\r\n1\r\n");
    let payload = vec![b'x'; 1 << 20];
    running.stalled(|| running.publish((FEED_BYTES_MAX >> 20) + 2, &payload));
    assert_eq!(subscriber.rest(), "", "nothing after a gap");
    assert_eq!(running.losses(), 1);
    other.says("GET a\r\n", "$1\r\n1\r\n");
    // Who subscribes afterwards misses nothing.
    let mut again = running.client();
    again.says("SUBSCRIBE c\r\n", SUBSCRIBED);
    running.publish(1, b"two");
    again.expects("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$3\r\ntwo\r\n");
}

#[test]
fn a_stall_that_the_feed_bridges_loses_nothing() {
    let running = plain();
    let mut subscriber = running.client();
    subscriber.says("SUBSCRIBE c\r\n", SUBSCRIBED);
    let payload = vec![b'x'; 1 << 20];
    running.stalled(|| running.publish(8, &payload));
    let message = format!(
        "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1048576\r\n{}\r\n",
        "x".repeat(1 << 20)
    );
    subscriber.expects(&message.repeat(8));
    assert_eq!(running.losses(), 0);
}

#[test]
fn clients_that_cache_forget_everything_when_the_feed_has_dropped_something() {
    let running = plain();
    let mut subscriber = running.client();
    subscriber.says("SUBSCRIBE c\r\n", SUBSCRIBED);
    let mut caching = running.caching();
    let payload = vec![b'x'; 1 << 20];
    running.stalled(|| running.publish((FEED_BYTES_MAX >> 20) + 2, &payload));
    caching.expects(FORGET_EVERYTHING);
}

const FORGET_EVERYTHING: &str = ">2\r\n$10\r\ninvalidate\r\n_\r\n";

#[test]
fn a_courier_that_panics_leaves_nobody_with_a_gap_and_goes_on() {
    let running = plain();
    let mut subscriber = running.client();
    subscriber.says("SUBSCRIBE c\r\n", SUBSCRIBED);
    let mut by_pattern = running.client();
    by_pattern.says("PSUBSCRIBE *\r\n", PATTERN_SUBSCRIBED);
    let (mut caching, mut other) = (running.caching(), running.client());
    other.says("GET a\r\n", "$1\r\n1\r\n");
    for round in 1..=2 {
        running.fail();
        assert_eq!(subscriber.rest(), "");
        assert_eq!(by_pattern.rest(), "");
        caching.expects(FORGET_EVERYTHING);
        assert_eq!(running.losses(), round);
        other.says("GET a\r\n", "$1\r\n1\r\n");
        // Who subscribes afterwards misses nothing.
        subscriber = running.client();
        subscriber.says("SUBSCRIBE c\r\n", SUBSCRIBED);
        by_pattern = running.client();
        by_pattern.says("PSUBSCRIBE *\r\n", PATTERN_SUBSCRIBED);
        running.publish(1, b"two");
        subscriber.expects("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$3\r\ntwo\r\n");
        by_pattern.expects("*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$1\r\nc\r\n$3\r\ntwo\r\n");
    }
}

const PATTERN_SUBSCRIBED: &str = "*3\r\n$10\r\npsubscribe\r\n$1\r\n*\r\n:1\r\n";

#[test]
fn clients_that_cache_hear_of_changes_after_a_panic() {
    let running = plain();
    let mut caching = running.caching();
    let touch = |key: &'static [u8]| {
        let note = |feed: &Feed| feed.note_touch(0, key);
        running.note(0, Interest::TOUCHES, note);
    };
    touch(b"fail");
    caching.expects(FORGET_EVERYTHING);
    caching.says("GET a\r\n", "$1\r\n1\r\n");
    touch(b"a");
    caching.expects(">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n");
}

#[test]
fn clients_that_cannot_be_told_of_a_loss_are_disconnected() {
    let running = plain();
    let mut subscriber = running.client();
    let channel = "fail to tell";
    subscriber.says(
        "SUBSCRIBE \"fail to tell\"\r\n",
        &format!("*3\r\n$9\r\nsubscribe\r\n$12\r\n{channel}\r\n:1\r\n"),
    );
    let mut caching = running.caching();
    running.fail();
    assert_eq!(subscriber.rest(), "");
    assert_eq!(caching.rest(), "");
    // The courier goes on.
    let mut again = running.client();
    again.says("SUBSCRIBE c\r\n", SUBSCRIBED);
    running.publish(1, b"two");
    again.expects("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$3\r\ntwo\r\n");
}

#[test]
fn a_read_is_answered_though_nobody_can_be_told_that_its_key_is_absent() {
    let running = plain();
    let generation = Generation::new(16, Dialect::default(), Arc::clone(running.served.tuning()));
    let spaces = generation.spaces.feeding(Arc::clone(running.served.feed()));
    running.served.swap_in(Arc::new(Generation {
        spaces,
        ..generation
    }));
    let mut subscriber = running.client();
    subscriber.says("CONFIG SET notify-keyspace-events Em\r\n", "+OK\r\n");
    subscriber.says("SUBSCRIBE c\r\n", SUBSCRIBED);
    let mut reader = running.client();
    reader.says("GET fail\r\n", "$-1\r\n");
    assert_eq!(subscriber.rest(), "");
    assert_eq!(running.losses(), 1);
    reader.says("GET a\r\n", "$-1\r\n");
}

#[test]
fn no_message_follows_a_gap_while_the_client_is_disconnected() {
    let running = plain();
    let value = "v".repeat(4 << 20);
    running.serve(&[&["SET", "large", &value]]);
    let mut subscriber = running.client();
    subscriber.send("HELLO 3\r\nSUBSCRIBE c\r\n");
    subscriber.send("GET large\r\n".repeat(8));
    running.wait_for_stalled();
    running.server.pubsub.disconnect_all();
    running.publish(1, b"after the gap");
    let rest = subscriber.rest();
    assert!(rest.contains("vvv") && !rest.contains("after the gap"));
}
