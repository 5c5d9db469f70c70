//! What servers report about themselves: CONFIG, CLIENT LIST, MODULE LIST, MEMORY STATS, the logs, consumer groups. redtail must
//! report the same as a replica of each version, except for the differences listed here.

use std::collections::{BTreeMap, BTreeSet};

use crate::client::{Client, Reply};
use crate::servers::{ALL, Server};

/// A primary with one key, its replica and redtail.
pub(crate) struct Trio {
    pub(crate) name: &'static str,
    pub(crate) primary: Server,
    pub(crate) replica: Server,
    pub(crate) redtail: Server,
}

impl Trio {
    /// Runs `check` for each version. The replica also starts with `config`.
    pub(crate) fn each(config: &[&str], check: impl Fn(&Self)) {
        for name in ALL {
            let Some(primary) = Server::start(name, &[]) else {
                continue;
            };
            primary.command("SET key value");
            let port = primary.port.to_string();
            let mut words = vec!["--replicaof", "127.0.0.1", &port];
            words.extend(config);
            let replica = Server::start(name, &words).expect("the server was there a moment ago");
            replica.wait_for("its primary", |client| {
                let status = client.info("replication", "master_link_status");
                status.is_some_and(|status| status == "up")
            });
            let redtail = Server::redtail(&primary);
            let trio = Self {
                name,
                primary,
                replica,
                redtail,
            };
            check(&trio);
        }
    }

    /// Asserts that both give the same answers to the lines, which are sent one by one on one connection each.
    pub(crate) fn same(&self, lines: &[&str]) {
        let (mut theirs, mut ours) = (self.replica.client(), self.redtail.client());
        for line in lines {
            let asked = words(line);
            let replies = [theirs.words(&asked), ours.words(&asked)];
            // The order of settings is that of a hash table.
            let [expected, found] = if line.starts_with("CONFIG GET") {
                replies.map(|reply| reply.sorted(2))
            } else {
                replies
            };
            assert_eq!(found, expected, "{}: {line}", self.name);
        }
    }
}

/// The words of a line. `''` is an empty word, and `_` in a quoted word is a space.
fn words(line: &str) -> Vec<&'static [u8]> {
    let word = |word: &str| match word {
        "''" => Vec::new(),
        word if word.starts_with('"') => word.trim_matches('"').replace('_', " ").into_bytes(),
        word => word.as_bytes().to_vec(),
    };
    // The lines are few and live as long as the test, so leaking them is fine.
    line.split(' ').map(|text| &*word(text).leak()).collect()
}

fn settings(server: &Server) -> BTreeMap<String, String> {
    let all = server.command("CONFIG GET *").elements();
    let pairs = all.chunks(2);
    pairs.map(|pair| (pair[0].text(), pair[1].text())).collect()
}

/// Settings whose values differ from a replica's defaults, because redtail reports what is true for it.
const OWN_VALUES: &[&str] = &[
    "client-output-buffer-limit",
    "crash-log-enabled",
    "dir",
    "enable-debug-command",
    "maxclients",
    "port",
    "repl-diskless-load",
    "repl-diskless-sync-delay",
    "replica-announced",
    "replica-priority",
    "set-proc-title",
    "slave-priority",
];

#[test]
fn config_get_names_the_settings_of_the_version() {
    Trio::each(&[], |trio| {
        let (theirs, ours) = (settings(&trio.replica), settings(&trio.redtail));
        let [theirs_alone, ours_alone] =
            [(&theirs, &ours), (&ours, &theirs)].map(|(one, other)| {
                let names = one.keys().filter(|name| !other.contains_key(*name));
                names.map(String::as_str).collect::<Vec<_>>()
            });
        assert!(theirs_alone.is_empty(), "{}: {theirs_alone:?}", trio.name);
        assert_eq!(ours_alone, ["track-access"], "{}", trio.name);
        for (name, value) in &theirs {
            if !OWN_VALUES.contains(&name.as_str()) {
                assert_eq!(&ours[name], value, "{}: {name}", trio.name);
            }
        }
    });
}

/// Changes that take effect or are stored, and errors.
const CHANGES: &[&str] = &[
    "CONFIG SET timeout 5",
    "CONFIG GET timeout",
    "CONFIG SET timeout x",
    "CONFIG SET timeout -1",
    "CONFIG SET timeout 0",
    "CONFIG SET TCP-KeepAlive 60",
    "CONFIG GET TCP-KeepAlive",
    "CONFIG SET maxclients 0",
    "CONFIG SET maxclients -1",
    "CONFIG SET tracking-table-max-keys -1",
    "CONFIG SET hash-max-ziplist-entries -1",
    "CONFIG SET stream-node-max-entries -1",
    "CONFIG SET proto-max-bulk-len 100mb",
    "CONFIG GET proto-max-bulk-len",
    "CONFIG SET proto-max-bulk-len 512mb",
    "CONFIG SET proto-max-bulk-len x",
    "CONFIG SET client-query-buffer-limit 100mb",
    "CONFIG GET client-query-buffer-limit",
    "CONFIG SET loglevel verbose",
    "CONFIG GET loglevel",
    "CONFIG SET loglevel Notice",
    "CONFIG GET loglevel",
    "CONFIG SET loglevel chatty",
    "CONFIG GET notify-keyspace-events",
    "CONFIG SET notify-keyspace-events Egx",
    "CONFIG GET notify-keyspace-events",
    "CONFIG SET notify-keyspace-events KEA",
    "CONFIG GET notify-keyspace-events",
    "CONFIG SET notify-keyspace-events g$lshzxet",
    "CONFIG GET notify-keyspace-events",
    "CONFIG SET notify-keyspace-events mdtexzhslg$EK",
    "CONFIG GET notify-keyspace-events",
    "CONFIG SET notify-keyspace-events An",
    "CONFIG SET notify-keyspace-events dn",
    "CONFIG GET notify-keyspace-events",
    "CONFIG SET notify-keyspace-events o",
    "CONFIG SET notify-keyspace-events ''",
    "CONFIG GET notify-keyspace-events",
    "CONFIG SET maxmemory 100mb",
    "CONFIG GET maxmemory",
    "CONFIG SET maxmemory ''",
    "CONFIG GET maxmemory",
    "CONFIG SET maxmemory 1q",
    "CONFIG SET maxmemory-policy ALLKEYS-LRU",
    "CONFIG GET maxmemory-policy",
    "CONFIG SET maxmemory-policy nosuch",
    "CONFIG SET maxmemory-samples 7",
    "CONFIG GET maxmemory-samples",
    "CONFIG SET lfu-log-factor 11",
    "CONFIG GET lfu-*",
    "CONFIG SET hz 50",
    "CONFIG SET activedefrag no",
    "CONFIG SET lazyfree-lazy-expire yes",
    "CONFIG GET lazyfree-lazy-expire",
    "CONFIG SET lazyfree-lazy-expire maybe",
    "CONFIG SET min-slaves-to-write 1",
    "CONFIG GET min-*-to-write",
    "CONFIG SET save ''",
    "CONFIG SET save x",
    "CONFIG SET save \"900_1_300\"",
    "CONFIG SET save \"0_1\"",
    "CONFIG SET appendonly no",
    "CONFIG SET appendonly x",
    "CONFIG SET replica-read-only yes",
    "CONFIG SET latency-monitor-threshold 0",
    "CONFIG SET client-output-buffer-limit \"normal_x_0_0\"",
    "CONFIG SET databases 16",
    "CONFIG SET daemonize no",
    "CONFIG SET nosuch 1",
    "CONFIG SET databases 3 nosuch 6",
    "CONFIG SET timeout 5 nosuch 6 databases 3",
    "CONFIG SET timeout 5 timeout 6",
    "CONFIG SET timeout 5 maxmemory x",
    "CONFIG GET timeout",
    "CONFIG SET timeout 5 maxmemory 2mb",
    "CONFIG GET timeout",
    "CONFIG GET maxmemory",
    "CONFIG SET timeout 0",
    "CONFIG SET timeout",
    "CONFIG SET timeout 1 2",
    "CONFIG REWRITE",
    "CONFIG RESETSTAT",
    "CONFIG RESETSTAT x",
];

#[test]
fn config_set_answers_as_the_version_does() {
    Trio::each(&[], |trio| {
        trio.same(CHANGES);
        if trio.name != "redis-6.0" {
            trio.same(&[
                "CONFIG SET dir /",
                "CONFIG SET client-output-buffer-limit \"normal_1_2\"",
                "CONFIG SET client-output-buffer-limit \"bogus_1_2_3\"",
                "CONFIG SET client-output-buffer-limit ''",
            ]);
        }
        let changed = "CONFIG SET client-output-buffer-limit \"pubsub_32mb_8mb_60_replica_0_0_0\"";
        trio.same(&[changed]);
        let shown = settings(&trio.redtail)["client-output-buffer-limit"].clone();
        let expected = "normal 1073741824 0 0 slave 0 0 0 pubsub 33554432 8388608 60";
        assert_eq!(shown, expected, "{}", trio.name);
    });
}

/// Settings that would promise something redtail does not do.
const REFUSED: &[(&str, &str)] = &[
    ("save", "900_1"),
    ("appendonly", "yes"),
    ("slowlog-max-len", "10001"),
    ("replica-read-only", "no"),
    ("replica-priority", "100"),
    ("replica-ignore-maxmemory", "no"),
    ("maxmemory-policy", "allkeys-lfu"),
    ("requirepass", "word"),
    ("tls-port", "6390"),
];

#[test]
fn config_set_refuses_what_would_lie() {
    Trio::each(&[], |trio| {
        let before = settings(&trio.redtail);
        for (name, value) in REFUSED {
            let line = format!("CONFIG SET {name} \"{value}\"");
            let reply = trio.redtail.client().words(&words(&line));
            assert!(reply.is_error(), "{}: {line}: {reply:?}", trio.name);
            if trio.name != "redis-6.0" {
                // A CONFIG SET changes all its settings or none.
                let line = format!("CONFIG SET timeout 77 {name} \"{value}\"");
                let reply = trio.redtail.client().words(&words(&line));
                assert!(reply.is_error(), "{}: {line}: {reply:?}", trio.name);
            }
        }
        assert_eq!(settings(&trio.redtail), before, "{}", trio.name);
    });
}

#[test]
fn config_set_takes_effect() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    let redtail = Server::redtail(&primary);
    let mut admin = redtail.client();
    let mut set = |line: &str| assert_eq!(admin.command(line).text(), "OK", "{line}");

    // The log's level.
    set("CONFIG SET loglevel warning");
    set("CONFIG SET maxmemory 1mb");
    set("CONFIG SET loglevel notice");
    set("CONFIG SET maxmemory-samples 9");
    redtail.wait_for_log("maxmemory-samples");
    assert!(!redtail.log().contains("\"1048576\""), "{}", redtail.log());

    // The maximum number of connections.
    set("CONFIG SET maxclients 1");
    let mut second = Client::try_connect(redtail.port).expect("the system accepts");
    let refusal = second.try_command(&[b"PING"]).map(|reply| reply.text());
    assert!(
        refusal
            .as_ref()
            .map_or(true, |text| text.contains("max number of clients")),
        "{refusal:?}"
    );
    set("CONFIG SET maxclients 100");

    // The maximum size of words and requests.
    let long = vec![b'x'; 2 << 20];
    let mut client = redtail.client();
    assert_eq!(client.words(&[b"ECHO", &long]).bulk(), Some(long.clone()));
    set("CONFIG SET proto-max-bulk-len 1mb");
    let mut client = redtail.client();
    client
        .send(b"*2\r\n$4\r\nECHO\r\n$2097152\r\n")
        .expect("the server reads");
    let refusal = client.read().expect("an error").text();
    assert_eq!(refusal, "ERR Protocol error: invalid bulk length");

    // The maximum silence.
    let mut silent = redtail.client();
    assert_eq!(silent.command("PING").text(), "PONG");
    set("CONFIG SET timeout 1");
    assert!(silent.read().is_err(), "the connection is closed");
}

/// The names of the fields in a line of CLIENT LIST.
fn fields(line: &str) -> Vec<String> {
    let words = line.split_whitespace();
    words
        .filter_map(|word| Some(word.split_once('=')?.0.to_owned()))
        .collect()
}

#[test]
fn client_list_has_the_fields_of_the_version() {
    Trio::each(&[], |trio| {
        let line = |server: &Server| {
            let text = server.command("CLIENT LIST").text();
            let own = text.lines().find(|line| line.contains("cmd=client"));
            own.expect("the connection itself").to_owned()
        };
        let (theirs, ours) = (line(&trio.replica), line(&trio.redtail));
        assert_eq!(fields(&ours), fields(&theirs), "{}", trio.name);
        let command = |line: &str| {
            let word = line.split(' ').find(|word| word.starts_with("cmd="));
            word.map(str::to_owned)
        };
        assert_eq!(command(&ours), command(&theirs), "{}", trio.name);
    });
}

#[test]
fn modules_are_those_that_the_version_brings() {
    Trio::each(&[], |trio| {
        trio.same(&["MODULE LIST"]);
        let in_resp3 = |server: &Server| {
            let mut client = server.client().resp3();
            let greeting = client.command("HELLO 3").elements();
            (client.command("MODULE LIST"), greeting.last().cloned())
        };
        assert_eq!(
            in_resp3(&trio.redtail),
            in_resp3(&trio.replica),
            "{}",
            trio.name
        );
    });
}

#[test]
fn memory_stats_have_the_fields_of_the_version() {
    Trio::each(&[], |trio| {
        for resp3 in [false, true] {
            // Names, types of values, and sizes of maps.
            let shape = |server: &Server| -> Vec<(String, u8, usize)> {
                let client = server.client();
                let mut client = if resp3 { client.resp3() } else { client };
                let all = client.command("MEMORY STATS").elements();
                let pairs = all.chunks(2);
                pairs
                    .map(|pair| (pair[0].text(), pair[1].0[0], pair[1].elements().len()))
                    .collect()
            };
            let (theirs, ours) = (shape(&trio.replica), shape(&trio.redtail));
            assert_eq!(ours, theirs, "{}", trio.name);
        }
    });
}

#[test]
fn logs_answer_as_where_they_are_turned_off() {
    let off = ["--slowlog-log-slower-than", "-1"];
    Trio::each(&off, |trio| {
        trio.same(&[
            "CONFIG SET slowlog-log-slower-than -1",
            "SLOWLOG GET",
            "SLOWLOG GET 5",
            "SLOWLOG GET -1",
            "SLOWLOG GET -2",
            "SLOWLOG GET x",
            "SLOWLOG LEN",
            "SLOWLOG RESET",
            "SLOWLOG LEN x",
            "SLOWLOG GET 1 2",
            "SLOWLOG NOSUCH",
            "CONFIG GET slowlog-log-slower-than",
            "CONFIG SET slowlog-log-slower-than -5",
            "CONFIG GET slowlog-log-slower-than",
            "LATENCY LATEST",
            "LATENCY HISTORY command",
            "LATENCY RESET",
        ]);
        if trio.name.starts_with("valkey") {
            trio.same(&[
                "COMMANDLOG LEN slow",
                "COMMANDLOG GET 5 slow",
                "COMMANDLOG GET -2 slow",
                "COMMANDLOG GET 5 nosuch",
                "COMMANDLOG RESET slow",
            ]);
        }
    });
}

/// The fields that INFO leaves out because redtail does not count them.
const UNCOUNTED: &[&str] = &[
    "# Cluster Info",
    "# Keysizes",
    "# Scripting Engines",
    "# TLS",
    "# Threads",
    "atomicvar_api",
    "engines_",
    "eventloop_",
    "instantaneous_eventloop_",
    "instantaneous_input_repl_kbps",
    "io_thread_",
    "number_of_",
    "rdb_last_load_keys_",
    "reply_buffer_",
    "tls_",
    "total_blocking_keys",
    "total_reads_processed",
    "total_writes_processed",
    "used_active_time_main_thread",
    "used_cpu_sys_main_thread",
    "used_cpu_user_main_thread",
    "used_memory_functions",
    "used_memory_scripts",
    "used_memory_vm_",
];

/// The sections and fields of INFO, except for those whose names contain a number or a command.
fn info_names(server: &Server) -> BTreeSet<String> {
    let text = server.command("INFO everything").text();
    let named = text.lines().filter_map(|line| match line.split_once(':') {
        Some((name, _)) => Some(name),
        None => line.starts_with("# ").then_some(line),
    });
    let varying = [
        "cmdstat_",
        "latency_percentiles_",
        "errorstat_",
        "db",
        "engine_",
    ];
    named
        .map(|name| name.trim_end().to_owned())
        .filter(|name| !varying.iter().any(|start| name.starts_with(start)))
        .collect()
}

#[test]
fn info_has_the_fields_of_the_version() {
    Trio::each(&[], |trio| {
        let (theirs, ours) = (info_names(&trio.replica), info_names(&trio.redtail));
        let left_out = |name: &&String| UNCOUNTED.iter().any(|start| name.starts_with(start));
        let missing: Vec<&String> = theirs
            .difference(&ours)
            .filter(|name| !left_out(name))
            .collect();
        assert!(missing.is_empty(), "{}: {missing:?}", trio.name);
        let own = |name: &&String| name.starts_with("redtail_") || *name == "# Redtail";
        let more: Vec<&String> = ours.difference(&theirs).filter(|name| !own(name)).collect();
        assert!(more.is_empty(), "{}: {more:?}", trio.name);
    });
}

fn groups(server: &Server) -> Reply {
    server.command("XINFO GROUPS s")
}

/// Before Redis 7.2 a primary does not replicate the number of entries that a group has read. What a replica reports therefore
/// depends on when it synced. A replica that synced at the same moment as redtail must report the same.
#[test]
fn groups_have_read_what_a_replica_of_the_same_moment_says() {
    for name in ALL {
        let Some(primary) = Server::start(name, &[]) else {
            continue;
        };
        let write = |line: &str| assert!(!primary.command(line).is_error(), "{line}");
        for at in 1..=20 {
            write(&format!("XADD s {at}-1 a 1"));
        }
        write("XGROUP CREATE s g 0");
        let mut pairs = Vec::new();
        for count in [5, 2, 2] {
            pairs.push((
                Server::replica(name, &primary).expect("the server was there a moment ago"),
                Server::redtail(&primary),
            ));
            write(&format!("XREADGROUP GROUP g c COUNT {count} STREAMS s >"));
        }
        let mut said = BTreeSet::new();
        let mut compare = || {
            for (replica, redtail) in &pairs {
                replica.wait_in_sync(&primary);
                redtail.wait_in_sync(&primary);
                let ours = groups(redtail);
                assert_eq!(ours, groups(replica), "{name}");
                said.insert(ours);
            }
        };
        compare();
        // This read is replicated with its count.
        write("XREADGROUP GROUP g c COUNT 1 NOACK STREAMS s >");
        write("XADD s 30-1 a 1");
        compare();
        let differ = name == "redis-7.0";
        assert_eq!(said.len() > 2, differ, "{name}: {said:?}");
    }
}
