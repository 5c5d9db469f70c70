//! The program's own behaviour: `rdb check`, exit codes, secrets, signals.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::servers::{Server, fixture, free_port};

fn redtail(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_redtail"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn check(file: &Path) -> Output {
    redtail(&["rdb", "check"])
        .arg(file)
        .output()
        .expect("it runs")
}

/// Asserts exit code 1, one line on standard error, and no panic.
fn assert_refused(file: &Path, what: &str) {
    let output = check(file);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{what}: {error}");
    assert_eq!(error.lines().count(), 1, "{what}: {error}");
    assert!(!error.contains("panicked"), "{what}: {error}");
}

#[test]
fn a_sound_dump_is_reported_with_exit_0() {
    for entry in fixture("").read_dir().expect("fixtures exist") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if !name.ends_with(".rdb") {
            continue;
        }
        let output = check(&path);
        assert!(output.status.success(), "{name}: {output:?}");
        let report = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            report.contains("checksum") && report.contains("redis-bits"),
            "{report}"
        );
    }
}

#[test]
fn a_broken_dump_is_refused_with_one_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("broken.rdb");
    let whole = std::fs::read(fixture("redis-7.0.rdb")).expect("the fixture exists");
    for length in [
        0,
        5,
        9,
        10,
        100,
        whole.len() / 2,
        whole.len() - 9,
        whole.len() - 1,
    ] {
        std::fs::write(&file, &whole[..length]).expect("a file");
        assert_refused(&file, &format!("cut to {length}"));
    }
    for at in [
        0,
        4,
        20,
        100,
        1000,
        whole.len() / 2,
        whole.len() - 20,
        whole.len() - 1,
    ] {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        std::fs::write(&file, flipped).expect("a file");
        assert_refused(&file, &format!("flipped at {at}"));
    }
    assert_refused(directory.path(), "a directory");
    assert_refused(&directory.path().join("nothing"), "no file");
}

#[test]
fn of_a_cut_dump_the_whole_keys_are_printed_before_the_error() {
    let whole = std::fs::read(fixture("redis-7.0.rdb")).expect("the fixture exists");
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("cut.rdb");
    std::fs::write(&file, &whole[..20_000]).expect("a file");
    let json = |file: &Path| {
        let mut command = redtail(&["rdb", "json"]);
        command.arg(file).output().expect("it runs")
    };
    let (cut, whole) = (json(&file), json(&fixture("redis-7.0.rdb")));
    assert_eq!((cut.status.code(), whole.status.code()), (Some(1), Some(0)));
    assert!(cut.stdout.ends_with(b"}\n") && whole.stdout.starts_with(&cut.stdout));
    let error = String::from_utf8_lossy(&cut.stderr).into_owned();
    assert!(error.contains("; the file is cut short"), "{error}");
    assert_eq!(error, String::from_utf8_lossy(&check(&file).stderr));
}

#[test]
fn a_wrong_argument_is_exit_2() {
    for arguments in [
        &["serve", "--no-such-flag"][..],
        &["nonsense"],
        &["rdb", "check"],
        &["serve", "--primary", "nonsense://x"],
    ] {
        let output = redtail(arguments).output().expect("it runs");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
    }
}

#[test]
fn an_address_in_use_is_exit_1() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let listen = listener.local_addr().expect("an address").to_string();
    let output = redtail(&[
        "serve",
        "--primary",
        "redis://127.0.0.1:1",
        "--listen",
        &listen,
    ])
    .output()
    .expect("it runs");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains(&listen),
        "{output:?}"
    );
}

#[test]
fn sigterm_ends_it_with_exit_0() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    let mut redtail = Server::redtail(&primary);
    let kill = Command::new("kill")
        .args(["-TERM", &redtail.pid().to_string()])
        .status()
        .expect("kill runs");
    assert!(kill.success());
    assert_eq!(redtail.exit_code(), Some(0), "{}", redtail.log());
}

#[test]
fn three_commands_are_all_that_it_needs_of_a_primary() {
    for name in ["redis-6.0", "redis-7.0", "valkey-9.1"] {
        let Some(primary) = Server::start(name, &[]) else {
            return;
        };
        primary.command("SET a 1");
        primary.command("ACL SETUSER follower on >s3cret-word +psync +replconf +ping");
        primary.command("ACL SETUSER default resetpass >other-word");
        let address = format!("redis://follower:s3cret-word@127.0.0.1:{}", primary.port);
        let redtail = Server::redtail_of(&address, &[]);
        redtail.wait_for("the first sync", |client| {
            client.command("GET a").text() == "1"
        });
        for told in [
            redtail.log(),
            redtail.command("INFO everything").text(),
            redtail.command("CONFIG GET *").text(),
        ] {
            assert!(!told.contains("s3cret-word"), "{told}");
        }
    }
}

#[test]
fn a_refusal_is_explained_and_retried() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    primary.command("CONFIG SET requirepass right-word");
    for credentials in ["", ":wrong-word@", "nobody:wrong-word@"] {
        let redtail = Server::redtail_of(
            &format!("redis://{credentials}127.0.0.1:{}", primary.port),
            &[],
        );
        redtail.wait_for_log("password");
        assert!(!redtail.log().contains("wrong-word"), "{}", redtail.log());
        assert!(
            redtail.command("GET a").0.starts_with(b"-LOADING"),
            "{:?}",
            redtail.command("GET a")
        );
    }
}

#[test]
fn a_missing_primary_is_waited_for() {
    let port = free_port();
    let redtail = Server::redtail_of(&format!("redis://127.0.0.1:{port}"), &[]);
    assert!(redtail.command("GET a").0.starts_with(b"-LOADING"));
    let Some(primary) = Server::start_on("redis-7.0", Some(port), None, &[]) else {
        return;
    };
    primary.command("SET a 1");
    redtail.wait_for("the first sync", |client| {
        client.command("GET a").text() == "1"
    });
}

#[test]
fn a_password_is_seen_in_no_process_list_log_or_reply() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    primary.command("CONFIG SET requirepass hidden-word");
    let address = format!("redis://:hidden-word@127.0.0.1:{}", primary.port);
    let redtail = Server::redtail_of(&address, &["--log-level", "trace"]);
    redtail.wait_for("its first sync", |client| {
        client.command("DBSIZE").is_integer()
    });
    let arguments = std::fs::read(format!("/proc/{}/cmdline", redtail.pid())).expect("it runs");
    let arguments = String::from_utf8_lossy(&arguments).into_owned();
    assert!(arguments.contains("--listen"), "{arguments}");
    let told =
        ["INFO everything", "CONFIG GET *", "CLIENT LIST"].map(|line| redtail.command(line).text());
    for shown in told.iter().chain([&arguments, &redtail.log()]) {
        assert!(!shown.contains("hidden-word"), "{shown}");
    }
}

#[test]
fn it_listens_on_a_unix_socket_too() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    primary.command("SET a 1");
    let redtail = Server::redtail_with(&primary, &["--listen", "unix:redtail.sock"]);
    let path = redtail.directory().join("redtail.sock");
    let client = redis::Client::open(format!("unix://{}", path.display())).expect("an address");
    let value: String = redis::cmd("GET")
        .arg("a")
        .query(&mut client.get_connection().expect("it listens"))
        .expect("a reply");
    assert_eq!(value, "1");
}

#[test]
fn the_demo_runs_with_nothing_installed() {
    let port = free_port();
    let mut child = redtail(&["demo", "--listen", &format!("127.0.0.1:{port}")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it runs");
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut greeting = String::new();
    while greeting != "hello from redtail" && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
        if let Ok(mut client) = crate::client::Client::try_connect(port) {
            greeting = client
                .try_command(&[b"GET", b"greeting"])
                .map(|reply| reply.text())
                .unwrap_or_default();
        }
    }
    _ = child.kill();
    _ = child.wait();
    assert_eq!(greeting, "hello from redtail");
}
