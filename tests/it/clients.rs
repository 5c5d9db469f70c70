//! Ordinary clients work without changes.

use std::collections::BTreeMap;
use std::process::Command;

use crate::servers::{Server, program};

/// A primary with the demo data and a `redtail` that follows it.
fn shop() -> Option<(Server, Server)> {
    let primary = Server::with_dump("redis-7.0", "demo.rdb", &[])?;
    let redtail = Server::redtail(&primary);
    Some((primary, redtail))
}

/// Returns the output of a program of the server `name` that is connected to `server`.
fn run(name: &str, tool: &str, server: &Server, arguments: &[&str]) -> Option<String> {
    let port = server.port.to_string();
    let output = Command::new(program(name, tool)?)
        .args(["-p", &port])
        .args(arguments)
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{output:?}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn the_redis_crate_reads() {
    let Some((_primary, redtail)) = shop() else {
        return;
    };
    for protocol in ["resp2", "resp3"] {
        let client = redis::Client::open(format!(
            "redis://127.0.0.1:{}/?protocol={protocol}",
            redtail.port
        ))
        .unwrap();
        let mut connection = client.get_connection().unwrap();
        let greeting: String = redis::cmd("GET")
            .arg("greeting")
            .query(&mut connection)
            .unwrap();
        assert_eq!(greeting, "hello from redtail");
        let user: BTreeMap<String, String> = redis::cmd("HGETALL")
            .arg("user:1")
            .query(&mut connection)
            .unwrap();
        assert_eq!(user["name"], "Ada");
        let (balance, missing): (i64, Option<String>) = redis::pipe()
            .get("balance:house")
            .get("nothing")
            .query(&mut connection)
            .unwrap();
        assert_eq!((balance, missing), (-5, None));
        let best: Vec<(String, f64)> = redis::cmd("ZRANGE")
            .arg("leaderboard:week")
            .arg(&["0", "2", "REV", "WITHSCORES"])
            .query(&mut connection)
            .unwrap();
        assert_eq!(best.len(), 3);
        let keys: Vec<String> = redis::cmd("SCAN")
            .cursor_arg(0)
            .clone()
            .iter(&mut connection)
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(
            keys.len() as i64,
            redis::cmd("DBSIZE").query::<i64>(&mut connection).unwrap()
        );
        let refused: redis::RedisResult<()> =
            redis::cmd("SET").arg("a").arg(1).query(&mut connection);
        assert_eq!(
            refused.unwrap_err().kind(),
            redis::ErrorKind::Server(redis::ServerErrorKind::ReadOnly)
        );
    }
}

#[test]
fn redis_cli_reads() {
    let Some((primary, redtail)) = shop() else {
        return;
    };
    for name in ["redis-7.0", "valkey-9.1"] {
        for arguments in [
            &["get", "greeting"][..],
            &["-3", "hgetall", "user:2"],
            &["-n", "1", "get", "greeting"],
            &["lrange", "feed:1", "0", "-1"],
        ] {
            assert_eq!(
                run(name, "cli", &redtail, arguments),
                run(name, "cli", &primary, arguments),
                "{arguments:?}"
            );
        }
        let Some(keys) = run(name, "cli", &redtail, &["--scan"]) else {
            return;
        };
        assert_eq!(
            keys.lines().count().to_string(),
            redtail.command("DBSIZE").text()
        );
        assert!(
            run(name, "cli", &redtail, &["--bigkeys"])
                .unwrap()
                .contains("Sampled")
        );
        assert!(
            run(name, "cli", &redtail, &["info", "replication"])
                .unwrap()
                .contains("role:slave")
        );
    }
}

#[test]
fn redis_benchmark_reads() {
    let Some((_primary, redtail)) = shop() else {
        return;
    };
    for (name, extra) in [
        ("redis-7.0", &["-P", "16"][..]),
        ("redis-7.0", &["-3"]),
        ("valkey-9.1", &["-P", "4"]),
    ] {
        let arguments = [&["-t", "get", "-n", "2000", "-c", "10", "-q"], extra].concat();
        let Some(report) = run(name, "benchmark", &redtail, &arguments) else {
            return;
        };
        assert!(
            report.contains("GET: ") && report.contains("requests per second"),
            "{report}"
        );
    }
}
