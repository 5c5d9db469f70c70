//! What clients of a cluster hear: messages, notifications and invalidations, each once, from all shards.

use std::io::ErrorKind;
use std::time::Duration;

use super::faces::cluster;
use super::moves::KeyByKey;
use super::nodes::Cluster;
use super::router::{Prefer, Router};
use super::slots::slot;
use super::stage::{BOTH, Face, Follower, servers};
use crate::client::{Client, Reply, words};

/// How long a message may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long to listen for what must not come.
const QUIET: Duration = Duration::from_millis(300);

/// A connection with a subscription.
fn subscribed(redtail: &Follower, line: &str) -> Client {
    let mut client = redtail.server.client().patient(PATIENCE);
    let word = line.split(' ').next().expect("a word").to_lowercase();
    let reply = client.command(line).text();
    assert!(reply.starts_with(&word), "{line}: {reply}");
    client
}

fn next(client: &mut Client) -> Vec<String> {
    let push = client.read().expect("a message");
    push.elements().iter().map(Reply::text).collect()
}

/// Nothing more comes.
fn is_quiet(client: Client) {
    let more = client.patient(QUIET).read();
    assert!(more.is_err(), "{more:?}");
}

/// Writes to the primary that has the key.
fn write(cluster: &Cluster, line: &str) {
    let key = line.split(' ').nth(1).expect("a key");
    let mut router = Router::new(cluster.ports(), Prefer::Primaries);
    let answer = router.ask(slot(key.as_bytes()), &[words(line)]);
    let reply = answer.expect("an answer").replies[0].text();
    assert!(!reply.starts_with("ERR"), "{line}: {reply}");
}

/// Keys of all shards.
fn keys() -> Vec<String> {
    (0..24).map(|number| format!("heard:{number}")).collect()
}

#[test]
fn a_message_is_heard_once_wherever_it_is_published() {
    for name in servers() {
        let Some(cluster) = cluster(name) else { return };
        for face in BOTH {
            let redtail = Follower::start(&cluster, face);
            let mut channel = subscribed(&redtail, "SUBSCRIBE news");
            let mut pattern = subscribed(&redtail, "PSUBSCRIBE n?ws");
            let mut published = Vec::new();
            for node in cluster.running() {
                let text = format!("from {}", node.port).replace(' ', "-");
                node.client().command(&format!("PUBLISH news {text}"));
                published.push(text);
            }
            let mut heard: Vec<String> = published
                .iter()
                .map(|_| next(&mut channel)[2].clone())
                .collect();
            heard.sort();
            let mut by_pattern: Vec<String> = published
                .iter()
                .map(|_| next(&mut pattern)[3].clone())
                .collect();
            by_pattern.sort();
            published.sort();
            assert_eq!((&heard, &by_pattern), (&published, &published));
            is_quiet(channel);
            is_quiet(pattern);
            let refused = redtail.server.command("PUBLISH news here").text();
            assert!(
                refused.starts_with("ERR redtail publishes nothing"),
                "{refused}"
            );
        }
    }
}

#[test]
fn shard_channels_of_all_shards_are_heard_once() {
    for name in servers() {
        let Some(cluster) = cluster(name) else { return };
        for face in BOTH {
            let redtail = Follower::start(&cluster, face);
            for channel in ["s1", "s2", "s3", "s4", "s5", "s6"] {
                let mut client = subscribed(&redtail, &format!("SSUBSCRIBE {channel}"));
                let owner = cluster.node(cluster.owner(slot(channel.as_bytes())));
                owner.client().command(&format!("SPUBLISH {channel} hello"));
                assert_eq!(next(&mut client), ["smessage", channel, "hello"]);
                is_quiet(client);
            }
            let moved = redtail.server.command("SPUBLISH s1 here").text();
            let expected = if face == Face::Cluster {
                "MOVED"
            } else {
                "ERR"
            };
            assert!(moved.starts_with(expected), "{moved}");
        }
    }
}

#[test]
fn a_subscriber_that_may_miss_messages_is_disconnected() {
    for name in servers() {
        let Some(mut cluster) = cluster(name) else {
            return;
        };
        let redtail = Follower::start(&cluster, Face::One);
        // redtail has subscribed at one of these; whichever it is, it is gone now.
        let mut client = subscribed(&redtail, "SUBSCRIBE news");
        for place in cluster.primaries() {
            for replica in cluster.replicas(place) {
                cluster.kill(replica);
            }
        }
        let end = client.read().expect_err("no message").kind();
        assert!(
            !matches!(end, ErrorKind::WouldBlock | ErrorKind::TimedOut),
            "{end}"
        );
        let mut again = redtail.server.client().patient(PATIENCE);
        // As long as the cluster has not noticed which nodes are down, redtail may try these.
        while again.command("SUBSCRIBE news").is_error() {}
        let node = cluster.node(cluster.primaries()[0]);
        node.client().command("PUBLISH news again");
        assert_eq!(next(&mut again), ["message", "news", "again"]);
    }
}

#[test]
fn keyspace_notifications_come_from_all_shards() {
    for name in servers() {
        let Some(cluster) = cluster(name) else { return };
        let redtail = Follower::start(&cluster, Face::One);
        let reply = redtail
            .server
            .command("CONFIG SET notify-keyspace-events KEA");
        assert_eq!(reply.text(), "OK");
        // Were redtail to hand on what its server notifies, each would come twice.
        for node in cluster.running() {
            node.ok("CONFIG SET notify-keyspace-events KEA");
        }
        let mut client = subscribed(&redtail, "PSUBSCRIBE __keyevent@*");
        let keys = keys();
        for key in &keys {
            write(&cluster, &format!("SET {key} 1"));
        }
        let mut heard: Vec<String> = keys.iter().map(|_| next(&mut client)[3].clone()).collect();
        heard.sort();
        let mut expected = keys.clone();
        expected.sort();
        assert_eq!(heard, expected);
        is_quiet(client);
    }
}

#[test]
fn a_client_that_tracks_hears_of_changes_in_all_shards_and_of_slots_that_move() {
    for name in servers() {
        let Some(cluster) = cluster(name) else { return };
        let redtail = Follower::start(&cluster, Face::One);
        let keys = keys();
        for key in &keys {
            write(&cluster, &format!("SET {key} 1"));
        }
        let mut client = redtail.server.client().resp3().patient(PATIENCE);
        assert_eq!(client.command("CLIENT TRACKING ON").text(), "OK");
        let read = |client: &mut Client| {
            // Until the writer notes changes, reads are followed by an invalidation at once.
            for command in [
                format!("MGET {}", keys.join(" ")),
                format!("GET {}", keys[0]),
            ] {
                client
                    .send(&crate::client::encode(&words(&command)))
                    .expect("it is sent");
                while client.read().expect("a reply").0.first() == Some(&b'>') {}
            }
        };
        read(&mut client);
        client = client.patient(QUIET);
        while client.read().is_ok() {}
        client = client.patient(PATIENCE);
        read(&mut client);
        for key in &keys {
            write(&cluster, &format!("SET {key} 2"));
        }
        let mut told: Vec<String> = keys.iter().map(|_| next(&mut client)[1].clone()).collect();
        told.sort();
        let mut expected = keys.clone();
        expected.sort();
        assert_eq!(told, expected);
        read(&mut client);
        let moving = slot(keys[0].as_bytes());
        let from = cluster.owner(moving);
        let to = cluster.primaries().into_iter().find(|place| *place != from);
        KeyByKey::whole(&cluster, moving, to.expect("another primary"), || ());
        // The key itself may be told of first: to the old shard, it looks deleted.
        while next(&mut client) != ["invalidate", ""] {}
    }
}
