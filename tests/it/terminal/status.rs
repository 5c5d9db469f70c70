//! `redtail status` in each condition of a real redtail, and at addresses where no redtail answers.

use std::fs;
use std::net::TcpListener;
use std::process::Output;

use serde_json::Value;

use super::{redtail, run};
use crate::scripted::{Scripted, full_resync};
use crate::servers::{PATIENCE, Server, free_port};

fn address(server: &Server) -> String {
    format!("127.0.0.1:{}", server.port)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The exit code and the standard output of `redtail status` with these arguments.
fn status(server: &Server, arguments: &[&str]) -> (i32, String) {
    let address = address(server);
    let output = run(&[&["status", address.as_str()], arguments].concat());
    (output.status.code().expect("it ends"), text(&output.stdout))
}

/// What INFO says of the health: condition, why and advice.
fn told(server: &Server) -> [String; 3] {
    let mut client = server.client();
    [
        "redtail_health",
        "redtail_health_why",
        "redtail_health_advice",
    ]
    .map(|name| client.info("redtail", name).unwrap_or_default())
}

/// Asserts that the status is in that condition, with that exit code, and that its words are those of INFO and of the log.
fn agrees(server: &Server, condition: &str, code: i32) {
    server.wait_for(condition, |client| {
        client.info("redtail", "redtail_health").as_deref() == Some(condition)
    });
    let deadline = std::time::Instant::now() + PATIENCE;
    // An error may be replaced by the next one between two questions.
    let [title, why, advice] = loop {
        let before = told(server);
        let shown = status(server, &[]);
        if before == told(server) {
            let title = before[0].replace('_', " ");
            let lines: Vec<&str> = shown.1.lines().collect();
            assert_eq!(shown.0, code, "{}", shown.1);
            assert!(
                lines[1].starts_with(&format!("{title} for ")),
                "{}",
                shown.1
            );
            assert_eq!(lines[2], before[1], "{}", shown.1);
            if !before[2].is_empty() {
                assert_eq!(lines[3], before[2], "{}", shown.1);
            }
            break [title, before[1].clone(), before[2].clone()];
        }
        assert!(
            std::time::Instant::now() < deadline,
            "it changes all the time: {before:?}"
        );
    };
    let sentence = match advice.as_str() {
        "" => format!("{title}: {why}"),
        // An error may end with a question.
        advice if why.ends_with('?') => format!("{title}: {why} {advice}"),
        advice => format!("{title}: {why}. {advice}"),
    };
    if condition != "catching_up" {
        server.wait_for_log(&sentence);
    }
    let checked = status(server, &["--check"]);
    if told(server)[1] == why {
        assert_eq!(checked, (code, format!("{sentence}\n")));
    }
}

#[test]
fn the_status_says_what_info_and_the_log_say_in_each_condition() {
    let Some(mut primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    primary.command("SET greeting hello");
    let upstream = format!("redis://127.0.0.1:{}", primary.port);
    let redtail = Server::redtail_with(&primary, &["--max-staleness", "2s"]);
    let lasting = Server::redtail_of(&upstream, &[]);
    agrees(&redtail, "in_sync", 0);
    agrees(&lasting, "in_sync", 0);
    let (code, shown) = status(&lasting, &[]);
    assert_eq!(code, 0);
    for words in [
        &format!(
            "redtail {} at {}, answers as redis 7.0.15",
            env!("CARGO_PKG_VERSION"),
            address(&lasting)
        ),
        &format!("Primary   127.0.0.1:{}, link up", primary.port),
        "Lag       0 B behind",
        "Data      1 keys",
        "Syncs     1 full, 0 partial",
    ] {
        assert!(shown.contains(words), "{words}\nis not in\n{shown}");
    }
    assert!(!shown.contains('\x1b'), "{shown:?}");

    let port = primary.port;
    primary.stop();
    agrees(&lasting, "disconnected", 1);
    let (code, _) = status(&lasting, &["--check=reads"]);
    assert_eq!(code, 0);
    agrees(&redtail, "stale", 4);
    let (code, shown) = status(&redtail, &["--check=reads"]);
    assert_eq!(code, 4, "{shown}");

    let Some(primary) = Server::start_on("redis-7.0", Some(port), None, &[]) else {
        return;
    };
    primary.command("SET greeting again");
    agrees(&lasting, "in_sync", 0);
    let (_, shown) = status(&lasting, &[]);
    assert!(shown.contains("Syncs     2 full, 0 partial"), "{shown}");
}

#[test]
fn a_lost_primary_is_told_within_two_seconds() {
    let Some(mut primary) = Server::start("valkey-9.1", &[]) else {
        return;
    };
    let redtail = Server::redtail(&primary);
    agrees(&redtail, "in_sync", 0);
    primary.stop();
    let killed = std::time::Instant::now();
    let condition = loop {
        let (_, shown) = status(&redtail, &["--check"]);
        if !shown.starts_with("in sync") {
            break shown;
        }
        assert!(killed.elapsed() < PATIENCE, "{shown}");
    };
    // On a working machine this takes a quarter of a second. The limit is that of the promise, with room for a busy machine.
    let took = killed.elapsed();
    assert!(
        condition.starts_with("disconnected: reads are answered from the data as it was; "),
        "{condition}"
    );
    assert!(took < PATIENCE / 3, "{took:?}");
}

#[test]
fn before_the_first_sync_the_status_says_so() {
    let nobody = Server::redtail_of(&format!("redis://127.0.0.1:{}", free_port()), &[]);
    agrees(&nobody, "connecting", 4);

    let primary = Scripted::start();
    let loading = Server::redtail_of(&format!("redis://{}", primary.address()), &[]);
    let (mut connection, _) = primary.accept_psync();
    connection.send(full_resync(1));
    connection.send("$1000\r\nREDIS0010");
    agrees(&loading, "loading", 4);
    let (_, shown) = status(&loading, &[]);
    assert!(
        shown.contains("Loading   ░") && shown.contains(" of 1000 B"),
        "{shown}"
    );
}

#[test]
fn a_resync_is_shown_while_reads_go_on() {
    let primary = Scripted::start();
    let redtail = Server::redtail_of(&format!("redis://{}", primary.address()), &[]);
    let (mut first, _) = primary.accept_psync();
    first.send(full_resync(1));
    let dump = fs::read(crate::servers::fixture("redis-7.0.rdb")).expect("the fixture exists");
    first.send(format!("${}\r\n", dump.len()));
    first.send(dump);
    agrees(&redtail, "in_sync", 0);
    drop(first);
    let (mut second, _) = primary.accept_psync();
    second.send(full_resync(7));
    second.send("$5000\r\nREDIS0010");
    agrees(&redtail, "resyncing", 1);
    let (_, shown) = status(&redtail, &["--json"]);
    let json: Value = serde_json::from_str(&shown).expect("it is JSON");
    assert_eq!(json["health"]["condition"], "resyncing");
    assert_eq!(json["health"]["answers_reads"], true);
    assert_eq!(json["sync"]["loading"]["bytes_expected"], 5000.0);
    assert!(json["data"]["keys"].as_f64() > Some(50.0), "{json}");
}

/// The standard error of a status that must end with exit code 3.
fn none(output: &Output) -> String {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(output.stdout.is_empty(), "{output:?}");
    assert_eq!(said.lines().count(), 1, "{said}");
    said
}

#[test]
fn where_nothing_answers_it_says_what_to_do() {
    let port = free_port();
    let said = none(&run(&["status", &port.to_string()]));
    assert!(
        said.starts_with(&format!(
            "redtail: no status of 127.0.0.1:{port}: cannot connect"
        )) && said.contains("Nothing listens there: check that redtail runs, and its --listen"),
        "{said}"
    );
    let said = none(&run(&["status", "unix:/nowhere/at/all"]));
    assert!(said.contains("The socket does not exist"), "{said}");
    let said = none(&run(&["status", "no-such-host.invalid"]));
    assert!(said.contains("Check the name"), "{said}");
    let said = none(&run(&["status", &format!("http://127.0.0.1:{port}")]));
    assert!(
        said.contains("Check that redtail runs, and its --http"),
        "{said}"
    );
    // Somebody who accepts and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent_at = silent.local_addr().expect("an address").to_string();
    let said = none(&run(&["status", &silent_at, "--timeout", "100ms"]));
    assert!(said.contains("sent nothing for 100ms"), "{said}");
    let said = none(&run(&[
        "status",
        &format!("http://{silent_at}"),
        "--timeout",
        "100ms",
    ]));
    assert!(said.contains("did not answer in time"), "{said}");
    // Without an address it is the listener of the environment.
    let mut own = redtail(&["status"]);
    own.env("REDTAIL_LISTEN", format!("0.0.0.0:{port}"));
    let said = none(&own.output().expect("it runs"));
    assert!(
        said.contains(&format!("no status of 127.0.0.1:{port}")),
        "{said}"
    );
}

#[test]
fn a_password_is_asked_for_and_sent_only_when_it_is() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    let guarded = Server::redtail_with(&primary, &[]);
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let upstream = format!("redis://127.0.0.1:{}", primary.port);
    let locked = Server::redtail_of(
        &upstream,
        &["--listen", &listen, "--requirepass", "right-word"],
    );
    locked.wait_for_log("in sync: ");
    let at = address(&locked);
    let said = none(&run(&["status", &at]));
    assert!(
        said.contains("requires a password (NOAUTH") && said.contains("REDTAIL_REQUIREPASS"),
        "{said}"
    );
    let with = |word: &str| {
        let mut command = redtail(&["status", &at, "--check=reads"]);
        command
            .env("REDTAIL_REQUIREPASS", word)
            .output()
            .expect("it runs")
    };
    let said = none(&with("wrong-word"));
    assert!(
        said.contains("does not accept the password (WRONGPASS") && !said.contains("wrong-word"),
        "{said}"
    );
    assert_eq!(with("right-word").status.code(), Some(0));
    let inside = format!("redis://:right-word@{at}");
    assert_eq!(
        run(&["status", &inside, "--check=reads"]).status.code(),
        Some(0)
    );
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), "right-word\n").expect("a file");
    let path = file.path().display().to_string();
    let by_file = run(&["status", &at, "--check=reads", "--password-file", &path]);
    assert_eq!(by_file.status.code(), Some(0), "{by_file:?}");
    let said = none(&run(&["status", &at, "--password-file", "/nowhere"]));
    assert!(
        said.contains("--password-file /nowhere: No such file"),
        "{said}"
    );
    // A server without a password is not sent one: AUTH would be an error there.
    let mut open = redtail(&["status", &address(&guarded), "--check=reads"]);
    let open = open
        .env("REDTAIL_REQUIREPASS", "word")
        .output()
        .expect("it runs");
    assert_eq!(open.status.code(), Some(0), "{open:?}");
}

#[test]
fn a_server_that_is_no_redtail_is_called_so_and_shown_as_far_as_it_goes() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    primary.command("SET a 1");
    let (code, shown) = status(&primary, &[]);
    assert_eq!(code, 3);
    assert!(
        shown.contains("this is Redis 7.0.15, a primary, and no redtail. What it says of itself:"),
        "{shown}"
    );
    assert!(
        shown.contains("Data      1 keys") && shown.contains("Clients   "),
        "{shown}"
    );
    assert!(
        !shown.contains("in sync") && !shown.contains("Syncs"),
        "{shown}"
    );
    let (code, checked) = status(&primary, &["--check=reads"]);
    assert_eq!(
        (code, checked.as_str()),
        (3, "this is Redis 7.0.15, a primary, and no redtail\n")
    );
    let Some(replica) = Server::replica("valkey-9.1", &primary) else {
        return;
    };
    let (code, shown) = status(&replica, &[]);
    assert_eq!(code, 3);
    assert!(shown.contains(", a replica, and no redtail"), "{shown}");
    assert!(
        shown.contains(&format!("Primary   127.0.0.1:{}, link up", primary.port)),
        "{shown}"
    );
}

#[test]
fn wrong_arguments_of_status_are_exit_2() {
    for (arguments, words) in [
        (
            &["status", "https://h"][..],
            "redtail answers HTTP without TLS",
        ),
        (&["status", "h:port"], "invalid port"),
        (
            &["status", "h", "--tls-sni", "x"],
            "write rediss://host:port",
        ),
        (
            &["status", "h", "--check", "--watch"],
            "cannot be used with",
        ),
        (&["status", "h", "--timeout", "5"], "the unit is missing"),
    ] {
        let said = super::complaint(2, arguments);
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
}
