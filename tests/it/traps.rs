//! Mistakes that other followers made, with a test for each, against real servers. `psync` tests what a real server cannot be
//! made to do, against a scripted primary.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use crate::client::{Reply, encode, words};
use crate::oracle::{compare, scan};
use crate::servers::{ALL, Server};

/// A primary whose snapshot takes a millisecond per key, which leaves time for other things during it.
fn slow_primary(keys: u32, config: &[&str]) -> Option<Server> {
    let primary = Server::start(
        "redis-7.0",
        &[&["--rdb-key-save-delay", "1000"], config].concat(),
    )?;
    let sets: Vec<_> = (0..keys)
        .map(|i| words(&format!("SET key:{i} {}", noise(i))))
        .collect();
    primary.client().pipeline(&sets);
    Some(primary)
}

/// Text that does not compress, so that a transfer does not fit into one packet.
fn noise(seed: u32) -> String {
    let mut rng = fastrand::Rng::with_seed(u64::from(seed));
    (0..100).map(|_| rng.alphanumeric()).collect()
}

fn stat(server: &Server, field: &str) -> i64 {
    server
        .client()
        .info("stats", field)
        .and_then(|value| value.parse().ok())
        .expect("a number in INFO stats")
}

#[test]
fn newlines_while_the_primary_saves_are_no_error() {
    let Some(primary) = slow_primary(3000, &["--repl-diskless-sync", "no"]) else {
        return;
    };
    let redtail = Server::redtail(&primary);
    assert_eq!(redtail.command("DBSIZE"), primary.command("DBSIZE"));
    assert_eq!(
        (
            stat(&primary, "sync_full"),
            stat(&primary, "sync_partial_ok")
        ),
        (1, 0),
        "it used only one connection"
    );
}

#[test]
fn the_read_timeout_counts_from_the_last_byte_not_from_the_start_of_the_transfer() {
    for diskless in ["no", "yes"] {
        let Some(primary) = slow_primary(6000, &["--repl-diskless-sync", diskless]) else {
            return;
        };
        let redtail = Server::redtail_with(&primary, &["--repl-timeout", "3"]);
        assert_eq!(redtail.command("DBSIZE").integer(), Some(6000));
        assert_eq!(
            stat(&primary, "sync_full"),
            1,
            "a transfer of six seconds on one connection"
        );
    }
}

#[test]
fn writes_behind_the_snapshot_are_kept() {
    for diskless in ["no", "yes"] {
        let Some(primary) = slow_primary(1000, &["--repl-diskless-sync", diskless]) else {
            return;
        };
        let redtail = Server::redtail_of(&format!("redis://127.0.0.1:{}", primary.port), &[]);
        let mut client = primary.client();
        primary.wait_for("the snapshot to begin", |client| {
            stat_of(client, "sync_full") == 1
        });
        client.pipeline(
            &(0..500)
                .map(|i| words(&format!("SET during:{i} {i}")))
                .collect::<Vec<_>>(),
        );
        redtail.wait_for("the first sync", |client| {
            client.command("DBSIZE").is_integer()
        });
        compare(&primary, &redtail);
        assert_eq!(redtail.command("DBSIZE").integer(), Some(1500));
    }
}

fn stat_of(client: &mut crate::client::Client, field: &str) -> i64 {
    client
        .info("stats", field)
        .and_then(|value| value.parse().ok())
        .unwrap_or(-1)
}

#[test]
fn a_full_resync_leaves_no_deleted_key() {
    let Some(mut primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    primary.command("MSET stays 1 goes 2");
    primary.command("HSET changes f v");
    let redtail = Server::redtail(&primary);
    let port = primary.port;
    primary.stop();

    let Some(primary) = Server::start_on("redis-7.0", Some(port), None, &[]) else {
        return;
    };
    primary.command("MSET stays 3 changes text");
    redtail.wait_for("the second full sync", |client| {
        client.command("GET stays").text() == "3"
    });
    compare(&primary, &redtail);
    assert_eq!(redtail.command("EXISTS goes").integer(), Some(0));
}

#[test]
fn the_acknowledged_offset_is_the_applied_one_and_moves() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    let redtail = Server::redtail_with(&primary, &["--ack", "honest"]);
    for round in 0..3 {
        primary.command(&format!("SET round {round}"));
        redtail.wait_in_sync(&primary);
        primary.wait_for("the acknowledgement", |client| {
            let replica = client.info("replication", "slave0").unwrap_or_default();
            let acknowledged = replica
                .split(',')
                .find_map(|field| field.strip_prefix("offset=")?.parse().ok());
            acknowledged == client.offset("master_repl_offset")
        });
    }
    assert_eq!(
        redtail.client().offset("slave_repl_offset"),
        primary.client().offset("master_repl_offset")
    );
}

#[test]
fn wait_counts_it_as_a_replica_where_it_is_to_be_one() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    let _redtail = Server::redtail_with(&primary, &["--ack", "honest"]);
    let mut client = primary.client();
    client.command("SET a 1");
    assert_eq!(
        client.command("WAIT 1 20000").integer(),
        Some(1),
        "GETACK is answered"
    );
}

#[test]
fn a_clients_select_does_not_move_the_replicated_writes() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    let redtail = Server::redtail(&primary);
    let (mut writer, mut reader) = (primary.client(), redtail.client());
    writer.command("SET a 0");
    for round in 1..20 {
        reader.command("SELECT 7");
        writer.command(&format!("SET a {round}"));
        redtail.wait_in_sync(&primary);
        assert_eq!(
            reader.command("DBSIZE").integer(),
            Some(0),
            "database 7 stays empty"
        );
        reader.command("SELECT 0");
        assert_eq!(reader.command("GET a").text(), round.to_string());
    }
}

#[test]
fn each_database_gets_its_own_writes() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    let redtail = Server::redtail(&primary);
    let writes =
        (0..1600).flat_map(|i| [format!("SELECT {}", i * 7 % 16), format!("APPEND key {i},")]);
    primary
        .client()
        .pipeline(&writes.map(|line| words(&line)).collect::<Vec<_>>());
    compare(&primary, &redtail);
}

#[test]
fn reads_minus_5_as_minus_5() {
    for name in ALL {
        let Some(primary) = Server::with_dump(name, &format!("{name}.rdb"), &[]) else {
            return;
        };
        let redtail = Server::redtail(&primary);
        let mut client = redtail.client();
        for number in [
            "-5",
            "251",
            "-128",
            "-129",
            "-32769",
            "-2147483648",
            "-2147483649",
        ] {
            assert_eq!(client.command(&format!("GET int:{number}")).text(), number);
        }
        assert_eq!(client.command("SISMEMBER set:int16 -5").integer(), Some(1));
        assert_eq!(client.command("HGET hash:small balance").text(), "-5");
        assert_eq!(client.command("ZSCORE zset:small minus").text(), "-5");
        assert!(
            client
                .command("LRANGE list:ints 0 -1")
                .text()
                .lines()
                .any(|element| element == "-4097")
        );
    }
}

#[test]
fn a_scan_among_writes_returns_every_key_that_stays() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    primary.client().pipeline(
        &(0..10_000)
            .map(|i| words(&format!("SET stays:{i} {i}")))
            .collect::<Vec<_>>(),
    );
    let redtail = Server::redtail(&primary);
    let mut writer = primary.client();
    let churn = thread::spawn(move || {
        for round in 0..40 {
            let verb = if round % 2 == 0 { "SET" } else { "DEL" };
            let value = if round % 2 == 0 { " x" } else { "" };
            let lines = (0..1000).map(|i| {
                words(&format!(
                    "{verb} moves:{}{value}",
                    (round / 2 * 500 + i) % 4000
                ))
            });
            writer.pipeline(&lines.collect::<Vec<_>>());
        }
    });
    let mut client = redtail.client();
    while !churn.is_finished() {
        let keys: BTreeSet<_> = scan(&mut client, &words("SCAN 0 COUNT 50"), 1)
            .into_iter()
            .collect();
        let stay = keys
            .iter()
            .filter(|key| key[0].text().starts_with("stays:"))
            .count();
        assert_eq!(stay, 10_000);
    }
    churn.join().expect("the writer does not panic");
    redtail.wait_in_sync(&primary);
    let matched: BTreeSet<_> = scan(&mut client, &words("SCAN 0 MATCH stays:* TYPE string"), 1)
        .into_iter()
        .collect();
    assert_eq!(matched.len(), 10_000);
}

#[test]
fn every_type_and_every_policy_loads() {
    for name in ALL {
        for policy in ["", "-lru", "-lfu"] {
            let maxmemory = match policy {
                "-lru" => "allkeys-lru",
                "-lfu" => "allkeys-lfu",
                _ => "noeviction",
            };
            let config = ["--maxmemory", "100mb", "--maxmemory-policy", maxmemory];
            let Some(primary) = Server::with_dump(name, &format!("{name}{policy}.rdb"), &config)
            else {
                return;
            };
            compare(&primary, &Server::redtail(&primary));
        }
    }
}

#[test]
fn a_pipeline_is_answered_with_few_writes() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    primary.command("SET a 1");
    let redtail = Server::redtail(&primary);
    let mut client = redtail.client();
    let request: Vec<u8> = (0..1000).flat_map(|_| encode(&["GET", "a"])).collect();
    client.send(&request).expect("redtail reads");
    let (mut reads, mut bytes, mut buffer) = (0, 0, vec![0; 64 * 1024]);
    while bytes < 7 * 1000 {
        bytes += client.read_some(&mut buffer).expect("redtail answers");
        reads += 1;
    }
    // A request of 20 KB may arrive in a few pieces, each answered separately. A flush for each reply would take a thousand
    // reads.
    assert!(reads <= 20, "{reads} reads for one pipeline");
}

#[test]
fn a_cut_connection_resumes_with_nothing_lost_or_doubled() {
    let Some(primary) = Server::start("redis-7.0", &["--repl-backlog-size", "64mb"]) else {
        return;
    };
    let redtail = Server::redtail(&primary);
    let mut writer = primary.client();
    let writes = thread::spawn(move || {
        for round in 0..60 {
            let lines = (0..100).flat_map(|i| {
                let select = format!("SELECT {}", (round + i) % 3);
                [
                    select,
                    "INCR count".into(),
                    format!("RPUSH log {round}-{i}"),
                    "MULTI".into(),
                    "INCR a".into(),
                    "INCR b".into(),
                    "EXEC".into(),
                ]
            });
            writer.pipeline(&lines.map(|line| words(&line)).collect::<Vec<_>>());
        }
    });
    let mut killer = primary.client();
    let mut killed = 0;
    while !writes.is_finished() || killed < 3 {
        killed += killer
            .command("CLIENT KILL TYPE replica")
            .integer()
            .unwrap_or(0);
        thread::sleep(Duration::from_millis(50));
    }
    writes.join().expect("the writer does not panic");
    compare(&primary, &redtail);
    assert_eq!(stat(&primary, "sync_full"), 1, "no second full sync");
    assert!(stat(&primary, "sync_partial_ok") >= 1, "it resumed");
}

#[test]
fn a_resumed_stream_goes_on_in_the_same_database() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    let redtail = Server::redtail(&primary);
    let mut writer = primary.client();
    writer.command("SELECT 5");
    writer.command("SET before 1");
    redtail.wait_in_sync(&primary);
    assert_eq!(
        primary.command("CLIENT KILL TYPE replica").integer(),
        Some(1)
    );
    primary.wait_for("the replica's return", |client| {
        stat_of(client, "sync_partial_ok") == 1
    });
    // The primary does not repeat its SELECT.
    writer.command("SET after 1");
    compare(&primary, &redtail);
    let mut reader = redtail.client();
    reader.command("SELECT 5");
    assert_eq!(
        reader.command("MGET before after").elements(),
        [
            Reply(b"$1\r\n1\r\n".to_vec()),
            Reply(b"$1\r\n1\r\n".to_vec())
        ]
    );
}

#[test]
fn a_client_cannot_write() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    let redtail = Server::redtail(&primary);
    for line in [
        "SET a 1",
        "DEL a",
        "FLUSHALL",
        "LPUSH l 1",
        "GETEX a",
        "SORT l",
        "XADD s * f v",
        "SPOP s",
        "EXPIRE a 1",
    ] {
        assert_eq!(
            redtail.command(line).0,
            b"-READONLY You can't write against a read only replica.\r\n",
            "{line}"
        );
    }
}
