//! Connections that change threads.

use std::io::{BufRead as _, BufReader};

use super::*;
use crate::command::{Message, Woken};
use crate::dialect::Dialect;

const SUBSCRIBED: &str = "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n";

impl Running {
    /// Waits until this many connections are among those that only listen.
    fn wait_for_audience(&self, connections: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.server.audience.connections() != connections {
            let there = self.server.audience.connections();
            assert!(Instant::now() < deadline, "{there} connections listen");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Delivers a message to the subscribers of `c`, as the courier does.
    fn deliver(&self, payload: &str) {
        let message = Message {
            channel: b"c",
            payload: payload.as_bytes(),
            sharded: false,
        };
        let mut woken = Woken::default();
        let pubsub = &self.server.pubsub;
        assert_eq!(pubsub.deliver(message, Dialect::default(), &mut woken), 1);
    }
}

fn message(first: char, payload: &str) -> String {
    let length = payload.len();
    format!("{first}3\r\n$7\r\nmessage\r\n$1\r\nc\r\n${length}\r\n{payload}\r\n")
}

#[test]
fn whoever_only_listens_is_not_served_by_the_threads_of_the_others() {
    let running = plain();
    let mut subscriber = running.client();
    subscriber.says("SUBSCRIBE c\r\n", SUBSCRIBED);
    running.wait_for_audience(1);
    running.stalled(|| {
        running.deliver("one");
        subscriber.expects(&message('*', "one"));
    });
    subscriber.says("PING\r\n", "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
    running.wait_for_audience(1);
    subscriber.says(
        "UNSUBSCRIBE\r\n",
        "*3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:0\r\n",
    );
    running.wait_for_audience(0);
    subscriber.says("GET a\r\n", "$1\r\n1\r\n");
    // A part of a request comes along.
    let begin = "SUBSCRIBE c\r\nPI";
    subscriber.says(begin, SUBSCRIBED);
    running.wait_for_audience(1);
    subscriber.says("NG\r\n", "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
    // Invalidations are for a reader.
    let name = "__redis__:invalidate";
    let reply = format!("*3\r\n$9\r\nsubscribe\r\n$20\r\n{name}\r\n:2\r\n");
    subscriber.says(&format!("SUBSCRIBE {name}\r\n"), &reply);
    running.wait_for_audience(0);
    subscriber.says(
        &format!("UNSUBSCRIBE {name}\r\n"),
        &reply.replace("$9\r\ns", "$11\r\nuns").replace(":2", ":1"),
    );
    running.wait_for_audience(1);
    drop(subscriber);
    running.wait_for_audience(0);
}

#[test]
fn whoever_reads_beside_listening_is_served_with_the_other_readers() {
    let running = plain();
    let mut client = running.client();
    client.send("HELLO 3\r\nECHO marker\r\n");
    client.skip_to_marker();
    let subscribed = SUBSCRIBED.replacen('*', ">", 1);
    client.says("SUBSCRIBE c\r\n", &subscribed);
    running.wait_for_audience(1);
    client.says("PING\r\n", "+PONG\r\n");
    running.wait_for_audience(1);
    client.says("GET a\r\n", "$1\r\n1\r\n");
    running.wait_for_audience(0);
    client.says("PING\r\n", "+PONG\r\n");
    running.deliver("one");
    client.expects(&message('>', "one"));
    client.says("SUBSCRIBE c\r\n", &subscribed);
    running.wait_for_audience(1);
    // Invalidations are for a reader.
    client.says("CLIENT TRACKING on\r\n", "+OK\r\n");
    running.wait_for_audience(0);
    client.says("SUBSCRIBE c\r\n", &subscribed);
    client.says("PING\r\n", "+PONG\r\n");
    assert_eq!(running.server.audience.connections(), 0);
}

#[test]
fn nothing_is_lost_and_all_is_in_order_while_a_connection_changes_threads() {
    const MESSAGES: usize = 2_000;
    let running = plain();
    let mut client = running.client();
    client.send("HELLO 3\r\nECHO marker\r\n");
    client.skip_to_marker();
    client.says("SUBSCRIBE c\r\n", &SUBSCRIBED.replacen('*', ">", 1));
    let mut sender = Client(client.0.try_clone().unwrap());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..MESSAGES {
                running.deliver(&number.to_string());
                std::thread::sleep(Duration::from_micros(20));
            }
        });
        scope.spawn(|| {
            for _ in 0..MESSAGES {
                sender.send("SUBSCRIBE c\r\n");
                sender.send("GET a\r\n");
            }
        });
        let mut lines = BufReader::new(&client.0).lines();
        let mut next = || lines.next().unwrap().unwrap();
        let (mut messages, mut gets, mut subscribes) = (0, 0, 0);
        while messages < MESSAGES || gets < MESSAGES || subscribes < MESSAGES {
            if next() == "$1" {
                assert_eq!(next(), "1");
                gets += 1;
                continue;
            }
            let [_, kind, _, _] = [(); 4].map(|()| next());
            if kind == "message" {
                next();
                assert_eq!(next(), messages.to_string());
                messages += 1;
            } else {
                assert_eq!(next(), ":1");
                subscribes += 1;
            }
        }
    });
}
