//! Messages: what subscribers of redtail get, beside a real replica of each version with the same subscriptions.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

use crate::client::{Client, Reply, encode, words};
use crate::introspection::Trio;
use crate::servers::{PATIENCE, Server};

/// Lines, and how many replies or pushes each is answered with.
type Lines<'l> = &'l [(&'l str, usize)];

/// Sends a line and reads `count` frames.
fn ask(client: &mut Client, line: &str, count: usize) -> Vec<Reply> {
    client.send(&encode(&words(line))).unwrap();
    (0..count)
        .map(|_| {
            client
                .read()
                .unwrap_or_else(|error| panic!("{line}: {error}"))
        })
        .collect()
}

/// Asserts that a replica and redtail answer the lines alike, in both protocols.
fn same(trio: &Trio, lines: Lines<'_>) {
    for resp3 in [false, true] {
        let connect = |server: &Server| match resp3 {
            true => server.client().resp3(),
            false => server.client(),
        };
        let (mut theirs, mut ours) = (connect(&trio.replica), connect(&trio.redtail));
        for (line, count) in lines {
            let expected = ask(&mut theirs, line, *count);
            let found = ask(&mut ours, line, *count);
            assert_eq!(found, expected, "{} resp3={resp3}: {line}", trio.name);
        }
    }
}

fn has_shards(name: &str) -> bool {
    name != "redis-6.0"
}

#[test]
fn subscribing_is_answered_as_by_a_replica() {
    Trio::each(&[], |trio| {
        same(
            trio,
            &[
                ("UNSUBSCRIBE", 1),
                ("UNSUBSCRIBE q w", 2),
                ("PUNSUBSCRIBE", 1),
                ("SUBSCRIBE", 1),
                ("SUBSCRIBE a b a", 3),
                ("PSUBSCRIBE * a?", 2),
                ("PING", 1),
                ("PING hey", 1),
                ("PING a b", 1),
                ("GET x", 1),
                ("SET x y", 1),
                ("foo", 1),
                ("PUBSUB", 1),
                ("PUBSUB NUMPAT", 1),
                ("PUBSUB NUMSUB a b nosuch", 1),
                ("PUBSUB CHANNELS b", 1),
                ("CLIENT GETNAME", 1),
                ("MULTI", 1),
                ("EXEC", 1),
                ("EVAL return(1) 0", 1),
                ("UNSUBSCRIBE a", 1),
                ("UNSUBSCRIBE", 1),
                ("PUNSUBSCRIBE nosuch", 1),
                ("PUNSUBSCRIBE *", 1),
                ("PUNSUBSCRIBE", 1),
                ("PUNSUBSCRIBE", 1),
                ("GET x", 1),
                ("PUBSUB CHANNELS", 1),
                ("PUBSUB NUMSUB", 1),
                ("PUBSUB NUMPAT x", 1),
                ("PUBSUB CHANNELS a b", 1),
                ("PUBSUB nosuch", 1),
                ("MULTI", 1),
                ("SUBSCRIBE a", 1),
                ("PING", 1),
                ("GET x", 1),
                ("EXEC", 1),
                ("UNSUBSCRIBE a", 1),
                ("MULTI", 1),
                ("UNSUBSCRIBE", 1),
                ("PUBLISH a m", 1),
                ("EXEC", 1),
                ("PUBLISH nobody m", 1),
                ("PUBLISH nobody", 1),
                ("EVAL return(redis.call('subscribe','a')) 0", 1),
                ("EVAL return(redis.pcall('publish','a','b')) 0", 1),
                ("EVAL return(redis.call('pubsub','numpat')) 0", 1),
                ("SUBSCRIBE a", 1),
                ("QUIT", 1),
            ],
        );
        if has_shards(trio.name) {
            same(
                trio,
                &[
                    ("SUNSUBSCRIBE", 1),
                    ("SSUBSCRIBE s1 s2", 2),
                    ("SUBSCRIBE a", 1),
                    ("GET x", 1),
                    ("SUNSUBSCRIBE s1 a", 2),
                    ("UNSUBSCRIBE s2", 1),
                    ("PUBSUB SHARDNUMSUB s2 a", 1),
                    ("PUBSUB SHARDCHANNELS s*", 1),
                    ("RESET", 1),
                    ("SPUBLISH s2 m", 1),
                    ("PUBSUB SHARDCHANNELS", 1),
                    ("EVAL_RO return(redis.call('publish','a','b')) 0", 1),
                    ("EVAL return(redis.call('spublish','a','b')) 0", 1),
                ],
            );
        }
    });
}

#[test]
fn a_client_that_publishes_to_itself_gets_reply_and_message_in_the_servers_order() {
    Trio::each(&[], |trio| {
        let (mut theirs, mut ours) = (trio.replica.client().resp3(), trio.redtail.client().resp3());
        let lines: Lines<'_> = &[
            ("SUBSCRIBE a", 1),
            ("PUBLISH a own", 2),
            ("PSUBSCRIBE a*", 1),
            ("PUBLISH a twice", 3),
            (
                "EVAL return(redis.call('publish','a','x')..redis.call('publish','a','y')) 0",
                5,
            ),
        ];
        for (line, count) in lines {
            let expected = ask(&mut theirs, line, *count);
            assert_eq!(
                ask(&mut ours, line, *count),
                expected,
                "{}: {line}",
                trio.name
            );
        }
    });
}

/// The messages that a client gets until one says `end`.
fn until_end(client: &mut Client) -> Vec<Reply> {
    let mut messages = Vec::new();
    loop {
        let message = client.read().expect("a message");
        let is_end = message
            .elements()
            .last()
            .is_some_and(|last| last.text() == "end");
        messages.push(message);
        if is_end {
            return messages;
        }
    }
}

/// Everything that makes a primary send a message.
fn publish_in_all_ways(trio: &Trio) {
    let mut primary = trio.primary.client();
    let large = "x".repeat(200_000);
    let mut run = |line: &str| {
        let reply = primary.command(line);
        assert!(!reply.is_error(), "{}: {line:.80}: {reply:?}", trio.name);
    };
    run("PUBLISH a one");
    run("PUBLISH nobody two");
    run("PUBLISH news.1 three");
    run("MULTI");
    run("SET k 1");
    run("PUBLISH a four");
    run("PUBLISH news.2 five");
    run("SET k 2");
    run("PUBLISH a six");
    run("EXEC");
    run(
        "EVAL redis.call('set','k','3')redis.call('publish','a','seven')redis.call('publish','b','eight') 0",
    );
    run(&format!("PUBLISH a {large}"));
    if has_shards(trio.name) {
        run("SPUBLISH s nine");
        run("SPUBLISH a ten");
        let library = b"#!lua name=lib\nredis.register_function('say', function(k,a) return redis.call('publish',a[1],a[2]) end)";
        let loaded = primary.words(&[b"FUNCTION", b"LOAD", library]);
        assert!(!loaded.is_error(), "{loaded:?}");
        assert!(!primary.command("FCALL say 0 b eleven").is_error());
        assert!(!primary.command("SPUBLISH s end").is_error());
    }
    for number in 0..2000 {
        primary.command(&format!("PUBLISH a {number}"));
    }
    primary.words(&[b"PUBLISH", b"a", b""]);
    primary.words(&[b"PUBLISH", b"a", b"\0\r\n*"]);
    for end in ["a end", "b end", "news.1 end"] {
        primary.command(&format!("PUBLISH {end}"));
    }
}

#[test]
fn subscribers_get_what_a_replicas_subscribers_get() {
    Trio::each(&[], |trio| {
        let mut subscriptions = vec![
            "SUBSCRIBE a",
            "SUBSCRIBE b",
            "PSUBSCRIBE news.*",
            "PSUBSCRIBE [ab]",
        ];
        if has_shards(trio.name) {
            subscriptions.push("SSUBSCRIBE s");
        }
        let mut pairs = Vec::new();
        for line in subscriptions {
            for resp3 in [false, true] {
                let mut pair = [&trio.replica, &trio.redtail].map(|server| match resp3 {
                    true => server.client().resp3(),
                    false => server.client(),
                });
                let [theirs, ours] = &mut pair;
                assert_eq!(ask(ours, line, 1), ask(theirs, line, 1), "{line}");
                pairs.push((line, resp3, pair));
            }
        }
        publish_in_all_ways(trio);
        for (line, resp3, [mut theirs, mut ours]) in pairs {
            let (expected, found) = (until_end(&mut theirs), until_end(&mut ours));
            assert_eq!(
                found.len(),
                expected.len(),
                "{} resp3={resp3}: {line}",
                trio.name
            );
            assert!(found == expected, "{} resp3={resp3}: {line}", trio.name);
        }
    });
}

#[test]
fn overlapping_subscriptions_get_a_message_once_each() {
    Trio::each(&[], |trio| {
        let mut pair = [&trio.replica, &trio.redtail].map(|server| server.client().resp3());
        let mut found = Vec::new();
        for client in &mut pair {
            ask(client, "SUBSCRIBE abc", 1);
            ask(
                client,
                "PSUBSCRIBE a* ab* *c a?c [a]bc abc \\abc x* abc* a*c* **",
                11,
            );
        }
        trio.primary.command("PUBLISH abc m");
        trio.primary.command("PUBLISH abc end");
        for client in &mut pair {
            let mut messages: Vec<Reply> = (0..22).map(|_| client.read().unwrap()).collect();
            messages.sort();
            found.push(messages);
        }
        assert_eq!(found[1], found[0], "{}", trio.name);
    });
}

#[test]
fn whoever_gets_a_message_sees_all_writes_before_it() {
    for name in ["redis-7.0", "valkey-9.1"] {
        let Some(primary) = Server::start(name, &[]) else {
            return;
        };
        let redtail = Server::redtail(&primary);
        let (mut subscriber, mut reader) = (redtail.client(), redtail.client());
        ask(&mut subscriber, "SUBSCRIBE c", 1);
        const COUNT: i64 = 20_000;
        let writer = std::thread::spawn(move || {
            let mut client = primary.client();
            for batch in (0..COUNT).collect::<Vec<_>>().chunks(50) {
                let pairs = batch.iter().flat_map(|number| {
                    [
                        words(&format!("SET x {number}")),
                        words(&format!("PUBLISH c {number}")),
                    ]
                });
                client.pipeline(&pairs.collect::<Vec<_>>());
            }
            primary
        });
        for expected in 0..COUNT {
            let message = subscriber.read().unwrap().elements()[2].text();
            assert_eq!(
                message,
                expected.to_string(),
                "messages come in order, each once"
            );
            let seen: i64 = reader.command("GET x").text().parse().unwrap();
            assert!(
                seen >= expected,
                "{name}: message {expected}, but x is {seen}"
            );
        }
        writer.join().unwrap();
    }
}

#[test]
fn a_cut_link_loses_no_message() {
    Trio::each(&[], |trio| {
        let mut pair = [&trio.replica, &trio.redtail].map(Server::client);
        for client in &mut pair {
            ask(client, "SUBSCRIBE a", 1);
        }
        let mut primary = trio.primary.client();
        for round in 0..5 {
            for number in 0..200 {
                primary.command(&format!("PUBLISH a {round}-{number}"));
            }
            primary.command("CLIENT KILL TYPE replica");
        }
        primary.command("PUBLISH a end");
        let [theirs, ours] = pair.each_mut().map(until_end);
        assert_eq!(ours.len(), 1001, "{}", trio.name);
        assert_eq!(ours, theirs, "{}", trio.name);
    });
}

/// The names and values of a client's line in CLIENT LIST.
fn fields(line: &str) -> BTreeMap<&str, &str> {
    line.split(' ')
        .filter_map(|field| field.split_once('='))
        .collect()
}

#[test]
fn subscribers_are_shown_as_by_a_replica() {
    Trio::each(&[], |trio| {
        let sort = |line: &str| {
            let found = fields(line);
            ["flags", "sub", "psub", "ssub", "resp", "cmd"].map(|name| {
                let value = found.get(name).map(|value| (*value).to_owned());
                // Which command it was is another test's matter.
                value.filter(|_| name != "cmd")
            })
        };
        let seen = [&trio.replica, &trio.redtail].map(|server| {
            let (mut one, mut two) = (server.client(), server.client().resp3());
            ask(&mut one, "SUBSCRIBE a b", 2);
            ask(&mut two, "PSUBSCRIBE x y z", 3);
            if has_shards(trio.name) {
                ask(&mut two, "SSUBSCRIBE s", 1);
            }
            let mut admin = server.client();
            let list = admin.command("CLIENT LIST TYPE pubsub").text();
            let mut lines: Vec<_> = list.lines().map(sort).collect();
            lines.sort();
            let normal = admin.command("CLIENT LIST TYPE normal").text();
            assert!(!normal.contains("flags=P"), "{normal}");
            let stats: Vec<_> = ["pubsub_channels", "pubsub_patterns", "pubsubshard_channels"]
                .map(|field| admin.info("stats", field))
                .into();
            let clients = admin.info("clients", "pubsub_clients");
            let killed = admin.command("CLIENT KILL TYPE pubsub").text();
            for client in [&mut one, &mut two] {
                assert!(client.read().is_err(), "it is disconnected");
            }
            server.wait_for("the end of the subscriptions", |client| {
                let left = client.command("PUBSUB CHANNELS").elements().len();
                left == 0 && client.command("PUBSUB NUMPAT").integer() == Some(0)
            });
            (lines, stats, clients, killed)
        });
        let [theirs, ours] = seen;
        assert_eq!(ours, theirs, "{}", trio.name);
    });
}

#[test]
fn a_channel_that_a_user_may_not_use_is_refused_and_lost() {
    Trio::each(&[], |trio| {
        if !has_shards(trio.name) {
            return;
        }
        for server in [&trio.replica, &trio.redtail] {
            let rules = "ACL SETUSER bob on >pw ~* +@all resetchannels &a* &news.*";
            assert_eq!(server.command(rules).text(), "OK");
        }
        same(
            trio,
            &[
                ("AUTH bob pw", 1),
                ("SUBSCRIBE z", 1),
                ("SUBSCRIBE a z", 1),
                ("PSUBSCRIBE ab*", 1),
                ("PSUBSCRIBE a* *", 1),
                ("SSUBSCRIBE z", 1),
                ("PUBLISH z m", 1),
                ("SPUBLISH z m", 1),
                ("EVAL return(redis.pcall('publish','z','m')) 0", 1),
                ("MULTI", 1),
                ("PUBLISH z m", 1),
                ("EXEC", 1),
                ("PSUBSCRIBE a*", 1),
                ("SUBSCRIBE abc news.1", 2),
                ("SSUBSCRIBE abc", 1),
                ("UNSUBSCRIBE z", 1),
                ("RESET", 1),
            ],
        );
        let changes = [
            "&zz",
            "-get",
            "resetchannels &a* &news.*",
            "resetchannels &a*",
            "resetchannels &abc",
            "resetchannels &*",
            "resetchannels",
        ];
        let subscriptions = [
            "SUBSCRIBE abc",
            "PSUBSCRIBE a*",
            "SSUBSCRIBE abc",
            "SUBSCRIBE abc news.1",
            "PING",
        ];
        for (step, change) in changes.iter().enumerate() {
            let lost = [&trio.replica, &trio.redtail].map(|server| {
                let mut clients: Vec<Client> = subscriptions
                    .iter()
                    .map(|line| {
                        let mut client = server.client().resp3();
                        server.command("ACL SETUSER bob resetchannels &a* &news.* +get");
                        ask(&mut client, "AUTH bob pw", 1);
                        ask(&mut client, line, line.split(' ').count().max(2) - 1);
                        client
                    })
                    .collect();
                if step > 0 {
                    server.command(&format!("ACL SETUSER bob {}", changes[step - 1]));
                    // redtail's connections look for changes when they have something to do.
                    for client in &mut clients {
                        _ = client.try_command(&[b"PING"]);
                    }
                    server.command("ACL SETUSER bob resetchannels &a* &news.*");
                }
                server.command(&format!("ACL SETUSER bob {change}"));
                clients
                    .into_iter()
                    .map(|mut client| client.try_command(&[b"PING"]).is_err())
                    .collect::<Vec<_>>()
            });
            let [theirs, ours] = lost;
            assert_eq!(ours, theirs, "{}: {change}", trio.name);
        }
        // An idle subscriber is disconnected at once, and gets nothing more.
        let mut idle = trio.redtail.client();
        trio.redtail.command("ACL SETUSER bob &*");
        ask(&mut idle, "AUTH bob pw", 1);
        ask(&mut idle, "SUBSCRIBE secret", 1);
        trio.redtail.command("ACL SETUSER bob resetchannels");
        trio.redtail.command("PUBLISH secret m");
        assert!(idle.read().is_err(), "{}", trio.name);
    });
}

/// A subscriber that reads nothing.
fn stuck(server: &Server, channel: &str) -> Client {
    let mut client = server.client();
    ask(&mut client, &format!("SUBSCRIBE {channel}"), 1);
    client
}

fn set_limits(server: &Server, limits: &str) {
    let set = server.client().words(&[
        b"CONFIG",
        b"SET",
        b"client-output-buffer-limit",
        limits.as_bytes(),
    ]);
    assert_eq!(set.text(), "OK");
}

#[test]
fn a_subscriber_over_its_hard_limit_is_disconnected_and_the_others_go_on() {
    let Some(primary) = Server::start("valkey-9.1", &[]) else {
        return;
    };
    let redtail = Server::redtail(&primary);
    set_limits(&redtail, "pubsub 1mb 0 0");
    let shown = redtail
        .command("CONFIG GET client-output-buffer-limit")
        .text();
    assert!(
        shown.ends_with("slave 268435456 67108864 60 pubsub 1048576 0 0"),
        "{shown}"
    );
    let mut slow = stuck(&redtail, "c");
    let mut quick = stuck(&redtail, "c");
    let payload = "x".repeat(50_000);
    let mut writer = primary.client();
    for _ in 0..1000 {
        writer.command(&format!("PUBLISH c {payload}"));
        assert_eq!(quick.read().unwrap().elements()[2].text(), payload);
    }
    let ended = |client: &mut Client| loop {
        match client.read() {
            Ok(_) => {}
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        }
    };
    assert!(ended(&mut slow), "it was disconnected, not kept waiting");
    let count = redtail
        .client()
        .info("stats", "client_output_buffer_limit_disconnections");
    assert_eq!(count.as_deref(), Some("1"));
    redtail.wait_for_log("takes its output too slowly");
    assert_eq!(
        redtail.command("PUBSUB NUMSUB c").elements()[1].integer(),
        Some(1)
    );
}

#[test]
fn a_subscriber_over_its_soft_limit_has_its_seconds() {
    let Some(primary) = Server::start("valkey-9.1", &[]) else {
        return;
    };
    let redtail = Server::redtail(&primary);
    set_limits(&redtail, "pubsub 0 1mb 2");
    let slow = stuck(&redtail, "c");
    let start = Instant::now();
    let payload = "x".repeat(500_000);
    let mut writer = primary.client();
    for _ in 0..40 {
        writer.command(&format!("PUBLISH c {payload}"));
    }
    redtail.wait_for("the backlog", |client| {
        let list = client.command("CLIENT LIST TYPE pubsub").text();
        let waiting = list
            .lines()
            .next()
            .and_then(|line| fields(line)["omem"].parse::<u64>().ok());
        waiting.is_some_and(|bytes| bytes > 2 << 20)
    });
    redtail.wait_for("its end", |client| {
        client.command("PUBSUB NUMSUB c").elements()[1].integer() == Some(0)
    });
    assert!(start.elapsed() >= Duration::from_secs(2));
    let count = redtail
        .client()
        .info("stats", "client_output_buffer_limit_disconnections");
    assert_eq!(count.as_deref(), Some("1"));
    drop(slow);
}

#[test]
fn hostile_subscriptions_are_bounded_and_leave_nothing_behind() {
    let Some(primary) = Server::start("valkey-9.1", &[]) else {
        return;
    };
    let redtail = Server::redtail_with(&primary, &["--clients-memory", "67108864"]);
    let mut client = redtail.client();
    let mut many = vec![b"SUBSCRIBE".to_vec()];
    many.extend((0..100_000).map(|number| format!("channel:{number}").into_bytes()));
    client.send(&encode(&many)).unwrap();
    for number in 1..=100_000 {
        assert_eq!(client.read().unwrap().elements()[2].integer(), Some(number));
    }
    assert_eq!(
        redtail.command("PUBSUB NUMSUB channel:77").elements()[1].integer(),
        Some(1)
    );
    // More than the memory for clients: an error, and nothing is subscribed.
    let mut more = vec![b"SUBSCRIBE".to_vec()];
    more.extend((0..150_000).map(|number| format!("another:{number}").into_bytes()));
    let mut other = redtail.client();
    other.send(&encode(&more)).unwrap();
    let refused = other.read().unwrap().text();
    assert!(refused.starts_with("OOM"), "{refused:.100}");
    // Patterns that backtrack.
    let mut patterns = redtail.client();
    let stars = "*a".repeat(2000);
    ask(
        &mut patterns,
        &format!("PSUBSCRIBE {stars} {} *a*a*a*a*b", "*".repeat(10_000)),
        3,
    );
    let text = "a".repeat(5000);
    let start = Instant::now();
    primary.command(&format!("PUBLISH {text} m"));
    let got = patterns.read().unwrap();
    assert_eq!(got.elements()[3].text(), "m");
    assert!(start.elapsed() < PATIENCE);
    drop((client, other, patterns));
    redtail.wait_for("no trace", |client| {
        client.command("PUBSUB CHANNELS").elements().is_empty()
            && client.command("PUBSUB NUMPAT").integer() == Some(0)
    });
}

#[test]
fn replies_and_messages_are_not_mixed_up() {
    let Some(primary) = Server::start("valkey-9.1", &[]) else {
        return;
    };
    primary.command("SET k v");
    let redtail = Server::redtail(&primary);
    let mut client = redtail.client().resp3();
    ask(&mut client, "SUBSCRIBE c", 1);
    let writer = std::thread::spawn(move || {
        let mut client = primary.client();
        let payload = "x".repeat(3000);
        for _ in 0..300 {
            client.command(&format!("PUBLISH c {payload}"));
        }
        client.command("PUBLISH c end");
        // Lives on until the last message is through.
        primary
    });
    let large = "z".repeat(100_000);
    let (mut sent, mut answered, mut ended) = (0, 0, false);
    while !ended || answered < sent {
        if !ended && sent < answered + 50 {
            client.send(&encode(&["GET", "k"])).unwrap();
            client.send(&encode(&["ECHO", &large])).unwrap();
            sent += 2;
        }
        let frame = client.read().unwrap();
        match frame.0[0] {
            b'>' => ended |= frame.elements()[2].text() == "end",
            _ => {
                let expected = if answered % 2 == 0 { "v" } else { &large };
                assert_eq!(frame.text(), expected);
                answered += 1;
            }
        }
    }
    drop(writer.join().unwrap());
}

#[test]
fn a_client_that_waits_gets_messages_and_then_its_reply() {
    let Some(primary) = Server::start("valkey-9.1", &[]) else {
        return;
    };
    primary.command("XADD s 1-1 a b");
    let redtail = Server::redtail(&primary);
    let mut client = redtail.client().resp3();
    ask(&mut client, "SUBSCRIBE c", 1);
    client
        .send(&encode(&words("XREAD BLOCK 0 STREAMS s $")))
        .unwrap();
    client.send(&encode(&words("PING"))).unwrap();
    redtail.wait_for("a waiting client", |client| {
        client.info("clients", "blocked_clients").as_deref() == Some("1")
    });
    primary.command("PUBLISH c one");
    assert_eq!(client.read().unwrap().elements()[2].text(), "one");
    primary.command("PUBLISH c two");
    assert_eq!(client.read().unwrap().elements()[2].text(), "two");
    primary.command("XADD s 2-1 a b");
    let kinds = [client.read().unwrap(), client.read().unwrap()].map(|reply| reply.0[0]);
    assert_eq!(kinds, [b'%', b'+']);
}

#[test]
fn replies_that_are_turned_off_leave_messages_on_as_on_a_replica() {
    Trio::each(&[], |trio| {
        let got = [&trio.replica, &trio.redtail].map(|server| {
            let mut client = server.client().resp3();
            let mut seen = Vec::new();
            client.send(&encode(&words("CLIENT REPLY OFF"))).unwrap();
            client.send(&encode(&words("SUBSCRIBE c"))).unwrap();
            client.send(&encode(&words("PING"))).unwrap();
            server.wait_for("the subscription", |other| {
                other.command("PUBSUB NUMSUB c").elements()[1].integer() == Some(1)
            });
            server.command("PUBLISH c one");
            client.send(&encode(&words("CLIENT REPLY ON"))).unwrap();
            loop {
                let frame = client.read().unwrap();
                let is_ok = frame.text() == "OK";
                seen.push(frame);
                if is_ok {
                    break;
                }
            }
            client.send(&encode(&words("CLIENT REPLY SKIP"))).unwrap();
            client.send(&encode(&words("SUBSCRIBE d"))).unwrap();
            client.send(&encode(&words("PING"))).unwrap();
            loop {
                let frame = client.read().unwrap();
                let is_pong = frame.text() == "PONG";
                seen.push(frame);
                if is_pong {
                    break;
                }
            }
            seen
        });
        let [theirs, ours] = got;
        assert_eq!(ours, theirs, "{}", trio.name);
    });
}

#[test]
fn a_script_that_starts_over_publishes_once() {
    let Some(primary) = Server::start("valkey-9.1", &[]) else {
        return;
    };
    primary.command("SET k v");
    let redtail = Server::redtail(&primary);
    let mut subscriber = stuck(&redtail, "c");
    // It is too long to remain among short scripts, and asks for a key that it did not declare.
    let script = "redis.call('publish','c','m') for i=1,1000000 do end redis.call('get','k') redis.call('dbsize') return redis.call('publish','c','end')";
    for _ in 0..5 {
        let reply = redtail.client().words(&[b"EVAL", script.as_bytes(), b"0"]);
        assert_eq!(reply.integer(), Some(1), "{reply:?}");
        let texts: Vec<String> = until_end(&mut subscriber)
            .iter()
            .map(|m| m.elements()[2].text())
            .collect();
        assert_eq!(texts, ["m", "end"]);
    }
}

#[test]
fn a_subscriber_is_not_idle_and_another_client_is() {
    let Some(primary) = Server::start("valkey-9.1", &[]) else {
        return;
    };
    let redtail = Server::redtail_with(&primary, &["--timeout", "1"]);
    let (mut subscriber, mut other) = (stuck(&redtail, "c"), redtail.client());
    assert!(other.read().is_err(), "a silent client is disconnected");
    primary.command("PUBLISH c m");
    assert_eq!(subscriber.read().unwrap().elements()[2].text(), "m");
}
