//! What redtail counts and logs of its clients' commands: INFO's hits and misses, commandstats, errorstats and latencystats,
//! SLOWLOG, COMMANDLOG, LATENCY, MONITOR and CLIENT LIST. A replica of the same version is asked the same, and must show the same.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use crate::client::{Client, Reply, encode};
use crate::introspection::Trio;
use crate::servers::{ALL, Server};

/// A key of each type, and one that expires soon after.
const DATA: &[&str] = &[
    "SET string value",
    "SET number 12",
    "SET other 1",
    "RPUSH list a b c",
    "SADD set a b c",
    "SADD set2 b c d",
    "HSET hash f v g w",
    "ZADD zset 1 a 2 b",
    "ZADD zset2 1 a 3 c",
    "XADD stream 1-1 f v",
    "GEOADD geo 13.36 38.11 Palermo 15.08 37.50 Catania",
    "PFADD sketch a b c",
    "SETBIT bits 7 1",
    "SET weight_a 2",
    "SET weight_b 1",
    "RPUSH tosort a b",
    "SET brief x PX 1",
];

/// Reads: of each kind of key lookup, found and in vain.
const READS: &[&str] = &[
    "GET string",
    "GET nosuch",
    "GET list",
    "GET brief",
    "MGET string nosuch number list",
    "EXISTS string nosuch string",
    "TYPE string",
    "TYPE nosuch",
    "TTL string",
    "TTL nosuch",
    "PTTL brief",
    "STRLEN string",
    "STRLEN nosuch",
    "GETRANGE string 0 1",
    "TOUCH string nosuch",
    "OBJECT ENCODING string",
    "OBJECT ENCODING nosuch",
    "OBJECT REFCOUNT string",
    "MEMORY USAGE string",
    "MEMORY USAGE nosuch",
    "DUMP string",
    "DUMP nosuch",
    "LRANGE list 0 -1",
    "LLEN nosuch",
    "LINDEX list 1",
    "LPOS list b",
    "SMEMBERS set",
    "SISMEMBER set a",
    "SCARD nosuch",
    "SINTER set set2",
    "SINTER set nosuch set2",
    "SUNION set nosuch set2",
    "SDIFF set set2 nosuch",
    "SRANDMEMBER set",
    "SSCAN set 0",
    "HGET hash f",
    "HGET nosuch f",
    "HGETALL hash",
    "HMGET hash f nosuch",
    "HLEN hash",
    "HSCAN hash 0",
    "ZRANGE zset 0 -1",
    "ZRANGEBYSCORE zset 0 9",
    "ZSCORE zset a",
    "ZSCORE nosuch a",
    "ZCARD zset",
    "ZRANK zset a",
    "ZSCAN zset 0",
    "XRANGE stream - +",
    "XLEN stream",
    "XREAD STREAMS stream nosuch 0 0",
    "XINFO STREAM stream",
    "XINFO STREAM nosuch",
    "GEOPOS geo Palermo nosuch",
    "GEODIST geo Palermo Catania",
    "PFCOUNT sketch",
    "PFCOUNT sketch nosuch",
    "GETBIT bits 7",
    "BITCOUNT bits",
    "BITPOS bits 1",
    "SORT tosort BY weight_* GET weight_* GET #",
    "SORT nosuch",
    "SCAN 0",
    "KEYS *",
    "DBSIZE",
    "RANDOMKEY",
    "PING",
];

/// Reads that Redis 6.0 does not have.
const NEWER_READS: &[&str] = &[
    "SMISMEMBER set a z",
    "ZMSCORE zset a z",
    "ZDIFF 2 zset zset2",
    "ZUNION 2 zset nosuch",
    "ZINTER 2 zset zset2",
    "GEOSEARCH geo FROMMEMBER Palermo BYRADIUS 500 km",
    "LCS string number",
    "SINTERCARD 2 set set2",
    "SORT_RO list ALPHA",
    "EXPIRETIME string",
];

fn fill(trio: &Trio) {
    let mut client = trio.primary.client();
    for line in DATA {
        assert!(!client.command(line).is_error(), "{line}");
    }
    trio.replica.wait_in_sync(&trio.primary);
    trio.redtail.wait_in_sync(&trio.primary);
    // The last key expires: the clocks of servers are only as fine as their event loops.
    std::thread::sleep(Duration::from_millis(30));
}

/// Like [`fill`], and the primary has deleted the key that expires: a replica counts and logs the command for it.
fn fill_for_good(trio: &Trio) {
    fill(trio);
    assert_eq!(trio.primary.command("GET brief").0, b"$-1\r\n");
    trio.replica.wait_in_sync(&trio.primary);
    trio.redtail.wait_in_sync(&trio.primary);
}

fn reads(trio: &Trio) -> impl Iterator<Item = &'static str> {
    let newer = NEWER_READS.iter().filter(|_| trio.name != "redis-6.0");
    READS.iter().chain(newer).copied()
}

/// Hits and misses so far.
fn lookups(client: &mut Client) -> [i64; 2] {
    ["keyspace_hits", "keyspace_misses"].map(|field| {
        let value = client.info("stats", field).expect("a field of INFO");
        value.parse().expect("a number")
    })
}

/// What `ask` adds to hits and misses.
fn looked_up(server: &Server, ask: impl FnOnce(&mut Client)) -> [i64; 2] {
    let mut client = server.client();
    let before = lookups(&mut client);
    ask(&mut client);
    let after = lookups(&mut client);
    [after[0] - before[0], after[1] - before[1]]
}

fn words(line: &str) -> Vec<Vec<u8>> {
    line.split(' ')
        .map(|word| word.as_bytes().to_vec())
        .collect()
}

#[test]
fn hits_and_misses_are_counted_as_a_replica_counts_them() {
    let wrong = RefCell::new(Vec::new());
    Trio::each(&[], |trio| {
        fill(trio);
        for line in reads(trio) {
            let ask = |client: &mut Client| drop(client.command(line));
            let [theirs, ours] =
                [&trio.replica, &trio.redtail].map(|server| looked_up(server, ask));
            if theirs != ours {
                let text = format!("{}: {line}: {ours:?}, not {theirs:?}", trio.name);
                wrong.borrow_mut().push(text);
            }
        }
    });
    assert!(wrong.borrow().is_empty(), "{wrong:#?}");
}

/// All reads at once: in a pipeline, in a transaction, and in a script.
#[test]
fn hits_and_misses_are_the_same_in_pipelines_transactions_and_scripts() {
    Trio::each(&[], |trio| {
        fill(trio);
        let commands: Vec<Vec<Vec<u8>>> = reads(trio).map(words).collect();
        let mut queued = vec![words("MULTI")];
        queued.extend(commands.iter().cloned());
        queued.push(words("EXEC"));
        let script = b"return {redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2]), redis.call('LLEN', KEYS[3])}";
        let called = vec![
            b"EVAL".to_vec(),
            script.to_vec(),
            b"3".to_vec(),
            b"string".to_vec(),
            b"nosuch".to_vec(),
            b"list".to_vec(),
        ];
        for (what, commands) in [
            ("a pipeline", &commands),
            ("a transaction", &queued),
            ("a script", &vec![called]),
        ] {
            let ask = |client: &mut Client| drop(client.pipeline(commands));
            let [theirs, ours] =
                [&trio.replica, &trio.redtail].map(|server| looked_up(server, ask));
            assert_eq!(ours, theirs, "{}: {what}", trio.name);
        }
    });
}

/// What INFO says about commands, without their times.
fn command_counts(server: &Server) -> BTreeMap<String, String> {
    let text = server.command("INFO commandstats").text();
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    lines
        .map(|(name, figures)| {
            let counts = figures
                .split(',')
                .filter(|figure| !figure.starts_with("usec"));
            (name.to_owned(), counts.collect::<Vec<_>>().join(","))
        })
        // A replica also counts what its primary sends, and the tests themselves ask INFO.
        .filter(|(name, _)| {
            !["info", "replconf", "psync", "del"]
                .iter()
                .any(|own| name.ends_with(own))
        })
        .collect()
}

const REFUSED_AND_FAILED: &[&str] = &[
    "GET",
    "GET a b",
    "LLEN string",
    "OBJECT ENCODING",
    "OBJECT NOSUCH key",
    "NOSUCH",
    "SET key value",
    "XRANGE list - +",
    "CLIENT GETNAME",
    "CONFIG GET nosuch",
    "MULTI",
    "GET string",
    "LLEN string",
    "EXEC",
    "MULTI",
    "GET",
    "EXEC",
    "EXEC",
    "SELECT 99",
];

#[test]
fn commands_and_errors_are_counted_as_a_replica_counts_them() {
    Trio::each(&[], |trio| {
        fill_for_good(trio);
        for server in [&trio.replica, &trio.redtail] {
            server.command("CONFIG RESETSTAT");
            let mut client = server.client();
            reads(trio).for_each(|line| drop(client.command(line)));
            REFUSED_AND_FAILED
                .iter()
                .for_each(|line| drop(client.command(line)));
            // Groups of the same command, and of several.
            let pipeline: Vec<_> = (0..200)
                .map(|turn| words(["GET string", "HGETALL hash", "GET list"][turn % 3]))
                .collect();
            client.pipeline(&pipeline);
        }
        let (theirs, ours) = (command_counts(&trio.replica), command_counts(&trio.redtail));
        let differs = |(name, counts): &(&String, &String)| ours.get(*name) != Some(counts);
        let missing: Vec<_> = theirs.iter().filter(differs).collect();
        let found: Vec<_> = missing.iter().map(|(name, _)| ours.get(*name)).collect();
        assert!(
            missing.is_empty(),
            "{}: {missing:?} are {found:?}",
            trio.name
        );
        assert_eq!(ours.len(), theirs.len(), "{}: {ours:?}", trio.name);
        if trio.name != "redis-6.0" {
            let errors = |server: &Server| server.command("INFO errorstats").text();
            assert_eq!(
                errors(&trio.redtail),
                errors(&trio.replica),
                "{}",
                trio.name
            );
        }
    });
}

#[test]
fn times_and_latencies_are_measured() {
    Trio::each(&[], |trio| {
        let slow = ["--enable-debug-command", "yes"];
        let redtail = Server::redtail_with(&trio.primary, &slow);
        let mut client = redtail.client();
        assert_eq!(
            client
                .command("CONFIG SET latency-monitor-threshold 5")
                .text(),
            "OK"
        );
        assert_eq!(client.command("DEBUG SLEEP 0.02").text(), "OK");
        (0..100).for_each(|_| drop(client.command("GET key")));
        let text = client.command("INFO commandstats").text();
        let line = text.lines().find(|line| line.starts_with("cmdstat_debug"));
        let usec =
            line.and_then(|line| line.split("usec=").nth(1)?.split(',').next()?.parse().ok());
        assert!(
            usec.is_some_and(|usec: u64| (20_000..2_000_000).contains(&usec)),
            "{line:?}"
        );
        if trio.name != "redis-6.0" {
            let percentiles = b"0 50 100";
            client.words(&[
                b"CONFIG",
                b"SET",
                b"latency-tracking-info-percentiles",
                percentiles,
            ]);
            let text = client.command("INFO latencystats").text();
            assert!(text.contains("latency_percentiles_usec_get:p0="), "{text}");
            let get = client.command("LATENCY HISTOGRAM get").elements();
            let [name, figures] = get.as_slice() else {
                panic!("{get:?}")
            };
            assert_eq!(name.text(), "get");
            assert_eq!(figures.elements()[1].integer(), Some(100));
        }
        // The sleeper is among the slow.
        let latest = client.command("LATENCY LATEST").elements();
        let event = latest[0].elements();
        assert_eq!(event[0].text(), "command");
        assert!(event[2].integer().is_some_and(|ms| ms >= 20), "{event:?}");
        let history = client.command("LATENCY HISTORY command").elements();
        assert_eq!(history.len(), 1);
        let graph = client.command("LATENCY GRAPH command").text();
        assert!(graph.starts_with("command - high "), "{graph}");
        assert!(client.command("LATENCY GRAPH nosuch").is_error());
        assert!(client.command("LATENCY DOCTOR").text().contains("longest"));
        assert_eq!(
            client.command("LATENCY RESET nosuch command").integer(),
            Some(1)
        );
        let slow = client.command("SLOWLOG GET 1").elements();
        let entry = slow[0].elements();
        assert_eq!(entry.len(), 6);
        assert!(entry[2].integer().is_some_and(|micros| micros >= 20_000));
        assert_eq!(entry[3].elements().len(), 3);
    });
}

/// The shapes of LATENCY's replies after a slow command, against a real server's.
#[test]
fn latency_answers_in_the_form_of_the_version() {
    fn shape(reply: &Reply) -> String {
        match reply.0.first() {
            Some(b'*' | b'%') => {
                let inner: Vec<String> = reply.elements().iter().map(shape).collect();
                format!("[{}]", inner.join(" "))
            }
            Some(first) => char::from(*first).to_string(),
            None => String::new(),
        }
    }
    for name in ALL {
        let allows = [
            "--enable-debug-command",
            "yes",
            "--latency-monitor-threshold",
            "5",
        ];
        // Redis 6.0 allows DEBUG, and does not know the setting.
        let config = if name == "redis-6.0" {
            &allows[2..]
        } else {
            &allows[..]
        };
        let Some(primary) = Server::start(name, config) else {
            continue;
        };
        let redtail = Server::redtail_with(&primary, &["--enable-debug-command", "yes"]);
        redtail.command("CONFIG SET latency-monitor-threshold 5");
        for line in [
            "LATENCY LATEST",
            "LATENCY HISTORY command",
            "LATENCY RESET command",
        ] {
            let [theirs, ours] = [&primary, &redtail].map(|server| {
                if line != "LATENCY LATEST" {
                    return shape(&server.command(line));
                }
                server.command("DEBUG SLEEP 0.02");
                let events = server.command(line).elements();
                // A busy machine makes other events late, too.
                let sleep = events
                    .iter()
                    .find(|one| one.elements()[0].text() == "command");
                shape(sleep.unwrap())
            });
            assert_eq!(ours, theirs, "{name}: {line}");
        }
    }
}

/// The words in the log, oldest first.
fn logged(client: &mut Client, line: &str) -> Vec<String> {
    let entries = client.command(line).elements();
    let words = |entry: &Reply| {
        let words = entry.elements()[3].elements();
        words.iter().map(Reply::text).collect::<Vec<_>>().join(" ")
    };
    entries.iter().rev().map(words).collect()
}

#[test]
fn the_slow_log_has_what_a_replica_logs() {
    Trio::each(&[], |trio| {
        fill_for_good(trio);
        let long = "x".repeat(200);
        let many = vec!["string"; 40].join(" ");
        let lines = [
            "CONFIG SET slowlog-log-slower-than 0",
            "SLOWLOG RESET",
            "GET string",
            &format!("GET {long}"),
            &format!("MGET {many}"),
            "CLIENT SETNAME me",
            "LLEN string",
            "NOSUCH",
            "GET",
            "MULTI",
            "GET string",
            "EXEC",
            "AUTH default secret",
            "HELLO 2",
            "EVAL return(1) 0",
            "CONFIG GET maxmemory",
            "SELECT 1",
        ];
        let [theirs, ours] = [&trio.replica, &trio.redtail].map(|server| {
            let mut client = server.client();
            lines.iter().for_each(|line| drop(client.command(line)));
            let pipeline: Vec<_> = (0..10).map(|_| words("GET string")).collect();
            client.pipeline(&pipeline);
            let logged = logged(&mut client, "SLOWLOG GET 128");
            let newest = client.command("SLOWLOG GET 1").elements()[0].elements();
            assert_eq!(newest[5].text(), "me");
            assert!(newest[4].text().starts_with("127.0.0.1:"));
            client.command("CONFIG SET slowlog-max-len 3");
            client.command("PING");
            assert_eq!(client.command("SLOWLOG LEN").integer(), Some(3));
            client.command("CONFIG SET slowlog-log-slower-than -1");
            client.command("SLOWLOG RESET");
            client.command("PING");
            assert_eq!(client.command("SLOWLOG LEN").integer(), Some(0));
            logged
        });
        assert_eq!(ours, theirs, "{}", trio.name);
    });
}

#[test]
fn large_commands_are_logged_where_the_version_does() {
    for name in ["valkey-8.1", "valkey-9.1"] {
        let Some(primary) = Server::start(name, &[]) else {
            continue;
        };
        let redtail = Server::redtail(&primary);
        primary
            .client()
            .words(&[b"SET", b"large", &vec![b'x'; 5000]]);
        redtail.wait_in_sync(&primary);
        let [theirs, ours] = [&primary, &redtail].map(|server| {
            let mut client = server.client();
            client.command("CONFIG SET commandlog-reply-larger-than 4000");
            client.command("CONFIG SET commandlog-request-larger-than 200");
            client.command("GET large");
            client.words(&[b"EXISTS", &[b'k'; 300]]);
            client.command("GET nosuch");
            let of = |client: &mut Client, kind: &str| {
                let entries = client
                    .command(&format!("COMMANDLOG GET -1 {kind}"))
                    .elements();
                let shown = entries.iter().map(|entry| {
                    let entry = entry.elements();
                    (entry[2].integer(), entry[3].elements()[0].text())
                });
                shown.collect::<Vec<_>>()
            };
            let found = [
                of(&mut client, "large-reply"),
                of(&mut client, "large-request"),
            ];
            assert_eq!(
                client.command("COMMANDLOG LEN large-reply").integer(),
                Some(1)
            );
            client.command("COMMANDLOG RESET large-reply");
            assert_eq!(
                client.command("COMMANDLOG LEN large-reply").integer(),
                Some(0)
            );
            found
        });
        assert_eq!(ours, theirs, "{name}");
    }
}

/// A line of MONITOR without its time and with the client's address replaced.
fn watched(reply: &Reply) -> String {
    let line = reply.text();
    let (_, rest) = line.split_once(' ').unwrap_or_default();
    let (head, words) = rest.split_once("] ").unwrap_or_default();
    let (db, from) = head
        .trim_start_matches('[')
        .split_once(' ')
        .unwrap_or_default();
    let from = if from.starts_with("127.0.0.1:") {
        "client"
    } else {
        from
    };
    format!("{db} {from} {words}")
}

#[test]
fn monitor_shows_what_a_replica_shows() {
    Trio::each(&[], |trio| {
        fill(trio);
        // Valkey 8.1 leaves out the backslash before quotation marks and backslashes, so that words run into each other. redtail
        // does not.
        let odd: &[u8] = if trio.name == "valkey-8.1" {
            b"\n\r\t\x07\x08\x00\xff"
        } else {
            b"a\"b\\c\n\r\t\x07\x08\x00\xff"
        };
        let lines: &[&[&[u8]]] = &[
            &[b"GET", b"string"],
            &[b"get", odd],
            &[b"NOSUCH", b"x"],
            &[b"GET"],
            &[b"SET", b"string", b"x"],
            &[b"SELECT", b"2"],
            &[b"GET", b"string"],
            &[b"MULTI"],
            &[b"GET", b"a"],
            &[b"EXEC"],
            &[
                b"EVAL",
                b"return redis.call('GET', KEYS[1])",
                b"1",
                b"string",
            ],
            &[b"CONFIG", b"GET", b"maxmemory"],
            &[b"AUTH", b"default", b"secret"],
            &[b"CLIENT", b"SETNAME", b"me"],
            &[b"INFO", b"server"],
            &[b"PING"],
        ];
        let [theirs, ours] = [&trio.replica, &trio.redtail].map(|server| {
            let mut watcher = server.client();
            assert_eq!(watcher.command("MONITOR").text(), "OK");
            let mut client = server.client();
            lines.iter().for_each(|words| drop(client.words(words)));
            let pipeline: Vec<_> = (0..5).map(|_| words("GET string")).collect();
            client.pipeline(&pipeline);
            client.command("ECHO end");
            let mut seen = Vec::new();
            loop {
                let line = watched(&watcher.read().expect("a line"));
                // A replica also shows what its primary sends.
                if !line.contains("\"ping\"") || line.contains(" client ") {
                    seen.push(line);
                }
                if seen.last().is_some_and(|line| line.contains("\"end\"")) {
                    break seen;
                }
            }
        });
        assert_eq!(ours, theirs, "{}", trio.name);
    });
}

#[test]
fn a_client_that_watches_is_marked_and_can_still_ask() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    let redtail = Server::redtail(&primary);
    let mut watcher = redtail.client();
    watcher.command("MONITOR");
    let list = redtail.command("CLIENT LIST").text();
    assert!(
        list.contains(" flags=O ") && list.contains("cmd=monitor"),
        "{list}"
    );
    // The line of CLIENT LIST itself is hidden: it is for administrators.
    let mut others = redtail.client();
    others.command("PING");
    assert!(watcher.read().expect("a line").text().ends_with("\"PING\""));
    watcher.send(&encode(&["ECHO", "me"])).expect("it is open");
    let both = [0, 1].map(|_| watcher.read().expect("a reply or a line").text());
    assert!(both.contains(&"me".to_owned()), "{both:?}");
    assert!(
        both.iter().any(|line| line.ends_with("\"ECHO\" \"me\"")),
        "{both:?}"
    );
    // RESET ends it.
    watcher.send(&encode(&["RESET"])).expect("it is open");
    while watcher.read().expect("lines, then the reply").text() != "RESET" {}
    others.command("ECHO unseen");
    assert_eq!(watcher.command("ECHO mine").text(), "mine");
}

#[test]
fn a_client_that_watches_and_does_not_read_is_disconnected() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    let redtail = Server::redtail(&primary);
    let mut watcher = redtail.client();
    watcher.command("MONITOR");
    let mut others = redtail.client();
    let long = vec![b'x'; 100_000];
    // The sockets hold a few megabytes.
    for _ in 0..400 {
        others.words(&[b"ECHO", &long]);
    }
    redtail.wait_for_log("takes its output too slowly");
    redtail.wait_for("the watcher's end", |client| {
        !client.command("CLIENT LIST").text().contains(" flags=O")
    });
    assert_eq!(others.command("PING").text(), "PONG");
}

#[test]
fn client_list_says_what_is_true() {
    let Some(primary) = Server::start("valkey-9.1", &[]) else {
        return;
    };
    let redtail = Server::redtail(&primary);
    let mut client = redtail.client();
    client.command("CLIENT SETNAME asker");
    client.command("MULTI");
    client.words(&[b"GET", &[b'k'; 1000]]);
    let list = redtail.command("CLIENT LIST").text();
    let line = list
        .lines()
        .find(|line| line.contains("name=asker"))
        .expect("it is listed");
    let field = |name: &str| -> u64 {
        let value = line
            .split(' ')
            .find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        value
            .and_then(|value| value.parse().ok())
            .unwrap_or_else(|| panic!("{name} in {line}"))
    };
    assert!(field("fd") > 2, "{line}");
    assert_eq!(field("multi"), 1, "{line}");
    assert!(field("multi-mem") >= 1000, "{line}");
    assert!(
        field("tot-mem") >= field("multi-mem") + field("qbuf"),
        "{line}"
    );
    assert!(
        field("tot-net-in") > 1000 && field("tot-net-out") > 10,
        "{line}"
    );
    assert_eq!(field("tot-cmds"), 3, "{line}");
}
