//! Numbers that redtail generates must survive in clients that only have doubles.

use std::collections::BTreeSet;

use crate::client::Client;
use crate::servers::{ALL, Server};

/// The number of elements in the database, and in each collection.
const ELEMENTS: usize = 20_000;

/// The first number beyond which a double is no longer exact.
const EXACT_BELOW: f64 = 9_007_199_254_740_992.0;

/// The words of a reply, without lengths.
fn words(client: &mut Client, line: &str) -> Vec<String> {
    let text = client.command(line).text();
    let lines = text.split("\r\n").flat_map(|line| line.split(['\n', ' ']));
    let kept = lines.filter(|line| !line.is_empty() && !line.starts_with(['$', '*', ':']));
    kept.map(str::to_owned).collect()
}

/// Iterates with `line` (`%` is the cursor), keeping cursors as doubles. Returns the number of elements that begin with `prefix`.
fn walk(client: &mut Client, line: &str, prefix: &str, between: &mut dyn FnMut()) -> usize {
    let (mut cursor, mut seen) = (0.0_f64, BTreeSet::new());
    loop {
        // Written as JavaScript writes an integer: no exponent, no point.
        let found = words(client, &line.replace('%', &format!("{cursor:.0}")));
        cursor = found[0].parse().expect("a cursor");
        assert!(cursor < EXACT_BELOW, "{line}: {cursor}");
        seen.extend(
            found[1..]
                .iter()
                .filter(|word| word.starts_with(prefix))
                .cloned(),
        );
        if cursor == 0.0 {
            return seen.len();
        }
        between();
    }
}

#[test]
fn cursors_that_are_kept_as_doubles_lose_nothing() {
    for name in ALL {
        let Some(primary) = Server::start(name, &["--repl-diskless-sync", "no"]) else {
            return;
        };
        let mut writer = primary.client();
        let number = |command: &str, key: &str, number: usize, value: &str| {
            format!("{command} {key} {value}m{number}")
        };
        let fill: Vec<Vec<Vec<u8>>> = (0..ELEMENTS)
            .flat_map(|at| {
                [
                    format!("SET m{at} x"),
                    number("SADD", "s", at, ""),
                    format!("HSET h m{at} x"),
                    number("ZADD", "z", at, &format!("{at} ")),
                ]
            })
            .map(|line| crate::client::words(&line))
            .collect();
        for batch in fill.chunks(crate::client::BATCH) {
            writer.pipeline(batch);
        }
        let redtail = Server::redtail(&primary);
        redtail.wait_in_sync(&primary);
        let mut client = redtail.client();
        let mut more = 0;
        for line in [
            "SCAN % COUNT 500",
            "SSCAN s % COUNT 500",
            "HSCAN h % COUNT 500",
            "ZSCAN z % COUNT 500",
        ] {
            // Adds elements during the iteration, so that tables grow.
            let mut grow = || {
                more += 1;
                let names: Vec<_> = (0..100).map(|at| format!("n{more}-{at}")).collect();
                let pairs: Vec<_> = names.iter().map(|name| format!("{name} x")).collect();
                let scored: Vec<_> = names.iter().map(|name| format!("1 {name}")).collect();
                writer.command(&format!("MSET {}", pairs.join(" ")));
                writer.command(&format!("SADD s {}", names.join(" ")));
                writer.command(&format!("HSET h {}", pairs.join(" ")));
                writer.command(&format!("ZADD z {}", scored.join(" ")));
            };
            assert_eq!(
                walk(&mut client, line, "m", &mut grow),
                ELEMENTS,
                "{name}: {line}"
            );
        }
        let mut idle = || {};
        assert_eq!(
            walk(&mut redtail.client(), "SCAN % COUNT 300", "m", &mut idle),
            ELEMENTS
        );
    }
}

#[test]
fn ids_of_connections_are_exact_as_doubles() {
    let Some(primary) = Server::start(ALL[2], &[]) else {
        return;
    };
    let redtail = Server::redtail(&primary);
    let id = redtail.command("CLIENT ID").text();
    let id: f64 = id.trim().parse().expect("a number");
    assert!((1.0..EXACT_BELOW).contains(&id));
    let hello = redtail.command("HELLO 2").text();
    let id = hello.lines().skip_while(|line| *line != "id").nth(1);
    let id: f64 = id.and_then(|id| id.parse().ok()).expect("an id");
    assert!((1.0..EXACT_BELOW).contains(&id), "{hello}");
    let run_id = redtail.client().info("server", "run_id").expect("a run id");
    assert!(run_id.len() == 40 && run_id.bytes().all(|byte| byte.is_ascii_hexdigit()));
}
