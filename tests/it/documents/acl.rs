//! The users of `docs/operations.md` can do what redtail needs, on every server, and nothing in their rules is idle.

use std::fs;

use super::markdown::text;
use crate::servers::{ALL, Server};

const PAGE: &str = "docs/operations.md";

/// The rules of the user on a primary and on a sentinel, as the page prints them.
fn rules() -> [String; 2] {
    let page = text(PAGE);
    let found = page
        .lines()
        .filter(|line| line.starts_with("ACL SETUSER redtail "));
    let mut found = found.map(str::to_owned);
    [(); 2].map(|()| found.next().expect("two users"))
}

/// The rules without those that the server does not know.
fn for_server(name: &str, rules: &str) -> String {
    let is_known = |rule: &&str| name != "redis-6.0" || *rule != "resetchannels";
    let words: Vec<&str> = rules.split(' ').filter(is_known).collect();
    words.join(" ")
}

/// Makes the user on a server. Nobody else may do anything there without the other password.
fn admit(server: &Server, rules: &str) {
    let reply = server.command(rules);
    assert_eq!(reply.text(), "OK", "{rules}");
}

/// redtail as this user.
fn follow(primary: &Server, more: &[&str]) -> Server {
    let address = format!("redis://redtail:a-password@127.0.0.1:{}", primary.port);
    Server::redtail_of(&address, more)
}

fn field(redtail: &Server, name: &str) -> String {
    redtail.client().info("redtail", name).unwrap_or_default()
}

#[test]
fn the_user_follows_every_server_and_reads_no_key_there() {
    let [rules, _] = rules();
    for name in ALL {
        let Some(primary) = Server::start(name, &[]) else {
            continue;
        };
        admit(&primary, &for_server(name, &rules));
        primary.command("SET before 1");
        let redtail = follow(&primary, &["--max-staleness", "5s"]);
        redtail.wait_for("the snapshot", |client| {
            client.command("GET before").text() == "1"
        });
        primary.command("SET after 2");
        redtail.wait_for("the stream", |client| {
            client.command("GET after").text() == "2"
        });
        redtail.wait_for("a proof", |client| {
            client
                .info("redtail", "redtail_proven_ms_ago")
                .is_some_and(|age| age != "-1")
        });
        assert_eq!(
            field(&redtail, "redtail_upstream_mode"),
            "standalone",
            "{name}"
        );
        let log = redtail.log();
        assert!(
            !log.contains("NOPERM") && !log.contains("does not say whether"),
            "{name}: {log}"
        );
        let mut client = primary.client();
        assert_eq!(client.command("AUTH redtail a-password").text(), "OK");
        for refused in [
            "GET before",
            "SET before 3",
            "KEYS *",
            "CONFIG GET *",
            "SUBSCRIBE c",
        ] {
            let reply = client.command(refused).text();
            assert!(reply.contains("NOPERM"), "{name}: {refused}: {reply}");
        }
    }
}

#[test]
fn a_missing_rule_is_named() {
    let [rules, _] = rules();
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    for rule in ["+psync", "+replconf", "+info"] {
        let fewer: Vec<&str> = rules.split(' ').filter(|one| *one != rule).collect();
        assert_ne!(
            fewer.len(),
            rules.split(' ').count(),
            "{rule} is in the rules"
        );
        admit(&primary, "ACL SETUSER redtail reset");
        admit(&primary, &fewer.join(" "));
        let redtail = follow(&primary, &[]);
        redtail.wait_for_log(match rule {
            "+info" => "assumes that it is a primary",
            _ => "ACL SETUSER <user> +ping +psync +replconf +info",
        });
    }
}

#[test]
fn the_user_of_sentinels_is_enough() {
    let [primary_rules, sentinel_rules] = rules();
    for name in ["redis-7.0", "valkey-9.1"] {
        let Some(primary) = Server::start(name, &[]) else {
            continue;
        };
        admit(&primary, &primary_rules);
        let file = primary.directory().join("sentinel.conf");
        let text = format!("sentinel monitor group 127.0.0.1 {} 1\n", primary.port);
        fs::write(&file, text).expect("a file");
        let sentinel = Server::sentinel(name, &file.display().to_string()).expect("the server");
        sentinel.wait_for("an answer", |client| {
            client.command("PING").text() == "PONG"
        });
        admit(&sentinel, &sentinel_rules);
        admit(&sentinel, "ACL SETUSER default resetpass >other");
        let address = format!(
            "sentinel://redtail:a-password@127.0.0.1:{}/group?prefer=primary",
            sentinel.port
        );
        let login = [
            "--primary-user",
            "redtail",
            "--primary-password",
            "a-password",
        ];
        let redtail = Server::redtail_of(&address, &login);
        primary.command("SET key value");
        redtail.wait_for("the primary", |client| {
            client.command("GET key").text() == "value"
        });
        assert!(
            !redtail.log().contains("NOPERM"),
            "{name}: {}",
            redtail.log()
        );
    }
}
