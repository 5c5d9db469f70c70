//! A courier that is too slow for what it has to hand out.

use std::sync::Barrier;

use super::*;
use crate::feed::Interest;
use crate::limits::FEED_BYTES_MAX;

impl Running {
    /// Keeps all threads of the runtime busy while `act` runs, so that the courier cannot.
    fn stalled(&self, act: impl FnOnce()) {
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

    /// Publishes messages as the writer does, each in a turn of its own.
    fn publish(&self, count: usize, payload: &[u8]) {
        let feed = self.served.feed();
        for number in 0..count as u64 {
            feed.begin_turn(number);
            assert!(feed.interest().has(Interest::MESSAGES));
            feed.note_message(b"c", payload, false);
            feed.commit(number + 1);
            feed.publish(number + 1);
            feed.end_turn(number + 1);
        }
    }

    fn losses(&self) -> u64 {
        self.server.statistics.feed_losses.load(Ordering::Relaxed)
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
    let mut caching = running.client();
    caching.send("HELLO 3\r\n");
    caching.send("CLIENT TRACKING on\r\nGET a\r\nECHO marker\r\n");
    let mut seen = Vec::new();
    while !seen.ends_with(b"$6\r\nmarker\r\n") {
        let mut byte = [0];
        caching.0.read_exact(&mut byte).unwrap();
        seen.push(byte[0]);
    }
    let payload = vec![b'x'; 1 << 20];
    running.stalled(|| running.publish((FEED_BYTES_MAX >> 20) + 2, &payload));
    caching.expects(">2\r\n$10\r\ninvalidate\r\n_\r\n");
}
