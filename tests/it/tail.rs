//! `redtail tail`: every change of a primary once and in order, whatever is cut, killed, or slow.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value as Json;
use tempfile::TempDir;

use crate::client::Client;
use crate::servers::{PATIENCE, Server, free_port, program};

/// A folder with the output and the log of tails, one after another.
struct Stage {
    folder: TempDir,
}

/// A running tail, killed on drop.
struct Tail {
    child: Child,
}

impl Stage {
    fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn appended(&self, name: &str) -> File {
        let mut options = File::options();
        options.append(true).create(true);
        options.open(self.path(name)).unwrap()
    }

    /// Starts a tail that appends to the file "out".
    fn tail(&self, arguments: &[&str]) -> Tail {
        self.tail_to(self.appended("out").into(), arguments)
    }

    fn tail_to(&self, out: Stdio, arguments: &[&str]) -> Tail {
        let mut command = Command::new(env!("CARGO_BIN_EXE_redtail"));
        command.arg("tail").args(arguments);
        command.stdin(Stdio::null()).stdout(out);
        command.stderr(self.appended("log"));
        Tail {
            child: command.spawn().unwrap(),
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    fn out(&self) -> String {
        fs::read_to_string(self.path("out")).unwrap_or_default()
    }

    #[track_caller]
    fn wait_for(&self, what: &str, mut done: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done() {
            let log = self.log();
            assert!(Instant::now() < deadline, "waited in vain: {what}: {log}");
            sleep(Duration::from_millis(5));
        }
    }

    /// Waits until a tail has begun.
    #[track_caller]
    fn wait_for_begin(&self) {
        self.wait_for("the beginning", || {
            self.log().contains("printing the changes")
        });
    }

    /// Waits for a line with this key.
    #[track_caller]
    fn wait_for_key(&self, key: &str) {
        let part = format!("\"key\":\"{key}\"");
        self.wait_for(key, || self.out().contains(&part));
    }
}

impl Tail {
    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
    }

    fn ended(mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "tail does not end");
            sleep(Duration::from_millis(5));
        }
    }

    /// Ends it as an operator does.
    #[track_caller]
    fn stop(self) {
        self.signal(Signal::SIGTERM);
        assert_eq!(self.ended().code(), Some(0));
    }

    /// The same, perhaps before it listens for signals.
    #[track_caller]
    fn stop_early(self) {
        use std::os::unix::process::ExitStatusExt as _;
        self.signal(Signal::SIGTERM);
        let status = self.ended();
        let is_early = status.signal() == Some(Signal::SIGTERM as i32);
        assert!(status.code() == Some(0) || is_early, "{status:?}");
    }

    fn kill(self) {
        self.signal(Signal::SIGKILL);
        self.ended();
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn url(primary: &Server) -> String {
    format!("redis://127.0.0.1:{}", primary.port)
}

fn parsed(text: &str) -> Vec<Json> {
    let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line:?}"));
    text.lines().map(line).collect()
}

/// A line without its place, and without what tells more about the same change.
fn said(lines: &[Json]) -> Vec<String> {
    let text = |line: &Json| {
        let mut line = line.as_object().unwrap().clone();
        for place in ["replid", "offset", "index"] {
            line.remove(place).unwrap();
        }
        Json::Object(line).to_string()
    };
    lines.iter().map(text).collect()
}

/// Asserts that no two lines have the same place, and that places never go back within a history.
#[track_caller]
fn have_places(lines: &[Json]) {
    let place = |line: &Json| {
        let number = |name| line[name].as_u64().unwrap();
        (
            line["replid"].as_str().unwrap().to_owned(),
            number("offset"),
            number("index"),
        )
    };
    let places: Vec<_> = lines.iter().map(place).collect();
    for pair in places.windows(2) {
        let [
            (replid, offset, index),
            (next_replid, next_offset, next_index),
        ] = pair
        else {
            panic!();
        };
        let grows = (offset, index) < (next_offset, next_index);
        assert!(replid != next_replid || grows, "{pair:?}");
    }
    assert_eq!(places.iter().collect::<BTreeSet<_>>().len(), places.len());
}

/// Asserts that the lines tell of the keys `n:0`, `n:1` and so on to `end`, each once and in order.
#[track_caller]
fn are_complete(text: &str, end: usize) {
    let lines = parsed(text);
    have_places(&lines);
    let keys: Vec<&str> = lines
        .iter()
        .map(|line| line["key"].as_str().unwrap_or_else(|| panic!("{line}")))
        .collect();
    for (index, key) in keys.iter().enumerate() {
        let last = index == keys.len() - 1;
        let expected = if last {
            "end".to_owned()
        } else {
            format!("n:{index}")
        };
        assert_eq!(*key, expected, "line {index} of {}", keys.len());
    }
    assert_eq!(keys.len(), end + 1);
}

/// Writes `n:<number>` for the numbers of `range`, some in transactions and some several at once.
fn write(client: &mut Client, range: std::ops::Range<usize>) {
    let mut number = range.start;
    while number < range.end {
        let left = range.end - number;
        match number % 7 {
            3 if left >= 3 => {
                client.command("MULTI");
                for key in number..number + 3 {
                    client.command(&format!("SET n:{key} v"));
                }
                client.command("EXEC");
                number += 3;
            }
            5 if left >= 2 => {
                client.command(&format!("MSET n:{number} a n:{} b", number + 1));
                number += 2;
            }
            _ => {
                client.command(&format!("SET n:{number} {}", "x".repeat(number % 50)));
                number += 1;
            }
        }
    }
}

#[test]
fn lines_say_what_happened() {
    let Some(primary) = Server::start("redis-8.2", &[]) else {
        return;
    };
    primary.command("SET before 1");
    let stage = Stage::new();
    let tail = stage.tail(&[&url(&primary)]);
    stage.wait_for_begin();
    let filtered = Stage::new();
    let only = filtered.tail(&[
        &url(&primary),
        "--match",
        "l*",
        "--type",
        "list",
        "--db",
        "2",
    ]);
    filtered.wait_for_begin();
    let with_writes = Stage::new();
    let commands = with_writes.tail(&[&url(&primary), "--commands"]);
    with_writes.wait_for_begin();
    let mut client = primary.client();
    client.words(&[b"SET", b"\xff\"\n", b"\0\xfe"]);
    for line in [
        "SELECT 2",
        "SET string v",
        "RPUSH list a",
        "SELECT 3",
        "RPUSH list b",
        "SWAPDB 2 3",
        "FLUSHDB",
        "DEL none",
        "SELECT 2",
        "SET list:end v",
        "DEL list:end",
        "RPUSH list:end v",
    ] {
        assert!(!client.command(line).is_error(), "{line}");
    }
    for stage in [&stage, &filtered, &with_writes] {
        stage.wait_for_key("list:end");
        stage.wait_for("the last line", || {
            stage.out().trim_end().ends_with('}')
                && stage.out().contains("list:end\",\"type\":\"list\"")
        });
    }
    [tail, only, commands].into_iter().for_each(Tail::stop);
    let lines = parsed(&stage.out());
    have_places(&lines);
    let expected = [
        r#"{"db":0,"event":"set","key_base64":"/yIK","type":"string"}"#,
        r#"{"db":2,"event":"set","key":"string","type":"string"}"#,
        r#"{"db":2,"event":"rpush","key":"list","type":"list"}"#,
        r#"{"db":3,"event":"rpush","key":"list","type":"list"}"#,
        r#"{"db":2,"event":"swap","with":3}"#,
        r#"{"db":3,"event":"flush"}"#,
        r#"{"db":2,"event":"set","key":"list:end","type":"string"}"#,
        r#"{"db":2,"event":"del","key":"list:end","type":"string"}"#,
        r#"{"db":2,"event":"rpush","key":"list:end","type":"list"}"#,
    ];
    let sorted = |text: &str| serde_json::from_str::<Json>(text).unwrap().to_string();
    let expected: Vec<String> = expected.iter().map(|text| sorted(text)).collect();
    assert_eq!(said(&lines), expected);
    let filtered = parsed(&filtered.out());
    assert_eq!(
        said(&filtered),
        [&expected[2], &expected[4], &expected[8]].map(Clone::clone)
    );
    // The numbers do not depend on what is left out.
    for line in &filtered {
        assert!(lines.contains(line), "{line}");
    }
    let writes = parsed(&with_writes.out());
    assert_eq!(writes[0]["command"][1]["base64"], "/yIK");
    assert_eq!(writes[0]["command"][2]["base64"], "AP4=");
    let write = |key: &str, event: &str| {
        let is_it = |line: &&Json| line["key"] == key && line["event"] == event;
        writes.iter().find(is_it).unwrap()["command"].to_string()
    };
    assert_eq!(write("list", "rpush"), r#"["RPUSH","list","a"]"#);
    let flush = writes.iter().find(|line| line["event"] == "flush").unwrap();
    assert_eq!(
        flush["command"][0].as_str().unwrap().to_uppercase(),
        "FLUSHDB"
    );
}

/// Kills tails at arbitrary moments while `writer` writes, and asserts that the file has every line once.
fn survives(stage: &Stage, arguments: &[&str], writer: impl FnOnce() -> usize + Send) {
    let first = stage.tail(arguments);
    stage.wait_for_begin();
    let done = AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let written = writer();
            done.store(true, Ordering::Relaxed);
            written
        });
        let mut tail = first;
        let mut lives = 0;
        while !done.load(Ordering::Relaxed) {
            sleep(Duration::from_millis(fastrand::u64(0..700)));
            if fastrand::u8(0..4) == 0 {
                tail.stop_early();
            } else {
                tail.kill();
            }
            tail = stage.tail(arguments);
            lives += 1;
        }
        eprintln!("{lives} lives");
        stage.wait_for_key("end");
        tail.stop_early();
        writer.join().unwrap()
    });
    are_complete(&stage.out(), written);
}

/// Settings under which a new snapshot of the state is due all the time.
fn busy_state(stage: &Stage) -> String {
    let path = stage.path("redtail.toml");
    fs::write(&path, "state-log-max = \"16kb\"\nresync-floor = 0\n").unwrap();
    path.display().to_string()
}

#[test]
fn a_file_has_every_change_once_whenever_tail_is_killed() {
    let Some(primary) = Server::start("valkey-9.1", &["--repl-backlog-size", "64mb"]) else {
        return;
    };
    primary.command("DEBUG POPULATE 2000");
    let stage = Stage::new();
    let state = stage.path("state").display().to_string();
    let config = busy_state(&stage);
    let arguments = [&url(&primary), "--state-dir", &state, "--config", &config];
    survives(&stage, &arguments, || {
        let mut client = primary.client();
        for round in 0..60 {
            write(&mut client, round * 500..(round + 1) * 500);
            sleep(Duration::from_millis(100));
            if round % 5 == 1 {
                client.command("CLIENT KILL TYPE replica");
            }
        }
        client.command("SET end 1");
        30_000
    });
}

#[test]
fn a_file_has_every_change_once_across_a_failover() {
    let (old, new) = (free_port(), free_port());
    let Some(mut primary) = Server::start_on("redis-7.0", Some(old), None, &[]) else {
        return;
    };
    let port = old.to_string();
    let replica = Server::start_on(
        "redis-7.0",
        Some(new),
        None,
        &["--replicaof", "127.0.0.1", &port],
    );
    let replica = replica.unwrap();
    replica.wait_for("its primary", |client| {
        let status = client.info("replication", "master_link_status");
        status.is_some_and(|status| status == "up")
    });
    let stage = Stage::new();
    let state = stage.path("state").display().to_string();
    let config = busy_state(&stage);
    let both = format!("redis://127.0.0.1:{old},redis://127.0.0.1:{new}");
    let arguments = [&both, "--state-dir", &state, "--config", &config];
    survives(&stage, &arguments, || {
        write(&mut primary.client(), 0..3000);
        replica.wait_in_sync(&primary);
        // Whoever catches up after the failover gets all under the new id.
        let id = primary
            .client()
            .info("replication", "master_replid")
            .unwrap();
        stage.wait_for("lines of the first history", || stage.out().contains(&id));
        primary.stop();
        replica.command("REPLICAOF NO ONE");
        write(&mut replica.client(), 3000..6000);
        replica.command("SET end 1");
        6000
    });
    let lines = parsed(&stage.out());
    let ids: BTreeSet<&str> = lines
        .iter()
        .map(|line| line["replid"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), 2);
}

#[test]
fn a_full_resync_is_told_with_what_it_changed() {
    let port = free_port();
    let Some(mut primary) = Server::start_on("redis-7.0", Some(port), None, &[]) else {
        return;
    };
    for line in ["SET same 1", "SET gone 1", "SET other 1"] {
        primary.command(line);
    }
    let stage = Stage::new();
    let state = stage.path("state").display().to_string();
    let (address, config) = (url(&primary), busy_state(&stage));
    let arguments = [address.as_str(), "--state-dir", &state, "--config", &config];
    let tail = stage.tail(&arguments);
    stage.wait_for_begin();
    primary.command("SET last 1");
    stage.wait_for_key("last");
    primary.stop();
    let primary = Server::start_on(
        "redis-7.0",
        Some(port),
        None,
        &["--repl-diskless-sync-delay", "3"],
    );
    let primary = primary.unwrap();
    for line in ["SET same 1", "SET last 1", "SET other 2", "RPUSH new a"] {
        primary.command(line);
    }
    stage.wait_for("the resync", || stage.out().contains("replaced"));
    primary.command("SET end 1");
    stage.wait_for_key("end");
    tail.kill();
    let again = stage.tail(&arguments);
    primary.command("SET restarted 1");
    stage.wait_for_key("restarted");
    again.stop();
    let lines = parsed(&stage.out());
    have_places(&lines);
    let mut told: Vec<(String, String)> = lines
        .iter()
        .map(|line| {
            let word = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
            (word("event"), word("key"))
        })
        .collect();
    let own = |event: &str, key: &str| (event.to_owned(), key.to_owned());
    assert_eq!(told.remove(0), own("set", "last"));
    assert_eq!(told.remove(0), own("replaced", ""));
    assert_eq!(lines[1]["differences_follow"], true);
    let end = told.split_off(told.len() - 2);
    assert_eq!(end, [own("set", "end"), own("set", "restarted")]);
    // What the new primary had when redtail came may be less than all of it: the rest came as writes.
    let told: BTreeSet<_> = told.into_iter().collect();
    for (event, key) in [("del", "gone"), ("restore", "other"), ("restore", "new")] {
        let as_write = told.contains(&own("set", key)) || told.contains(&own("rpush", key));
        assert!(told.contains(&own(event, key)) || as_write, "{told:?}");
    }
}

#[test]
fn a_state_that_does_not_reach_back_is_said_to_have_a_gap() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    let stage = Stage::new();
    let state = stage.path("state");
    let address = url(&primary);
    let arguments = [address.as_str(), "--state-dir", state.to_str().unwrap()];
    let tail = stage.tail(&arguments);
    stage.wait_for_begin();
    primary.command("SET one 1");
    stage.wait_for_key("one");
    tail.stop();
    // The place of an older tail: as after a backup of one file.
    let place = fs::read(state.join("tail-place")).unwrap();
    for name in fs::read_dir(&state).unwrap() {
        fs::remove_file(name.unwrap().path()).unwrap();
    }
    primary.command("SET two 1");
    let tail = stage.tail(&arguments);
    stage.wait_for("another sync", || {
        stage.log().matches("printing the changes").count() == 2
    });
    primary.command("SET three 1");
    stage.wait_for_key("three");
    tail.stop();
    fs::write(state.join("tail-place"), place).unwrap();
    let tail = stage.tail(&arguments);
    primary.command("SET four 1");
    stage.wait_for_key("four");
    tail.stop();
    let lines = parsed(&stage.out());
    let told: Vec<&str> = lines
        .iter()
        .map(|line| {
            line["key"]
                .as_str()
                .unwrap_or_else(|| line["event"].as_str().unwrap())
        })
        .collect();
    assert_eq!(told, ["one", "three", "lost", "three", "four"]);
}

#[test]
fn a_pipe_gets_every_change_once_if_tail_is_asked_to_stop() {
    let Some(primary) = Server::start("redis-8.0", &["--repl-backlog-size", "64mb"]) else {
        return;
    };
    let stage = Stage::new();
    let state = stage.path("state").display().to_string();
    let config = busy_state(&stage);
    let arguments = [&url(&primary), "--state-dir", &state, "--config", &config];
    let done = AtomicBool::new(false);
    let mut all = String::new();
    std::thread::scope(|scope| {
        let mut begun = false;
        let mut writer = None;
        loop {
            let last = done.load(Ordering::Relaxed);
            let mut tail = stage.tail_to(Stdio::piped(), &arguments);
            let mut out = tail.child.stdout.take().unwrap();
            let reader = scope.spawn(move || {
                let mut text = Vec::new();
                // Slower than the writer.
                let mut piece = [0; 3000];
                loop {
                    match out.read(&mut piece).unwrap() {
                        0 => return String::from_utf8(text).unwrap(),
                        read => text.extend_from_slice(&piece[..read]),
                    }
                    if text.ends_with(b"\"key\":\"end\",\"type\":\"string\"}\n") {
                        return String::from_utf8(text).unwrap();
                    }
                }
            });
            if !begun {
                stage.wait_for_begin();
                begun = true;
                writer = Some(scope.spawn(|| {
                    write(&mut primary.client(), 0..20_000);
                    primary.command("SET end 1");
                    done.store(true, Ordering::Relaxed);
                }));
            }
            if last {
                all.push_str(&reader.join().unwrap());
                tail.kill();
                break;
            }
            sleep(Duration::from_millis(fastrand::u64(0..500)));
            tail.stop_early();
            all.push_str(&reader.join().unwrap());
            if all.contains("\"key\":\"end\"") {
                break;
            }
        }
        writer.unwrap().join().unwrap();
    });
    are_complete(&all, 20_000);
}

#[test]
fn a_slow_reader_holds_tail_up_and_loses_nothing_and_one_that_goes_ends_it() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    let stage = Stage::new();
    let mut tail = stage.tail_to(Stdio::piped(), &[&url(&primary), "--commands"]);
    stage.wait_for_begin();
    // Far more than pipe and feed hold.
    let large = "v".repeat(2 << 20);
    let mut client = primary.client();
    for number in 0..30 {
        client.command(&format!("SET n:{number} {large}"));
    }
    client.command("SET end 1");
    let mut out = tail.child.stdout.take().unwrap();
    let (mut text, mut piece) = (Vec::new(), vec![0; 1 << 20]);
    while !text.ends_with(b"\"command\":[\"SET\",\"end\",\"1\"]}\n") {
        let read = out.read(&mut piece).unwrap();
        assert!(read > 0, "{}", stage.log());
        text.extend_from_slice(&piece[..read]);
    }
    are_complete(&String::from_utf8(text).unwrap(), 30);
    drop(out);
    assert_eq!(tail.ended().code(), Some(0));
}

/// Writes to all kinds of keys, for a comparison of data.
fn write_all_kinds(client: &mut Client) {
    for round in 0..50 {
        for line in [
            format!("SELECT {}", round % 3),
            format!("SET s:{round} {round}"),
            "INCR counter".to_owned(),
            format!("RPUSH list {round} x"),
            format!("HSET hash f{round} {round}"),
            format!("ZADD zset {round} m{round}"),
            format!("SADD set m{round}"),
            format!("XADD stream {}-1 f v", round + 1),
            format!("EXPIRE s:{round} 100000"),
            format!("LPOP list {}", round % 2),
            "MULTI".to_owned(),
            format!("SET t:{round} a"),
            "SELECT 5".to_owned(),
            "INCR counter".to_owned(),
            "EXEC".to_owned(),
            format!("COPY s:{round} copy:{round}"),
        ] {
            let _ = client.command(&line);
        }
    }
    client.words(&[b"SET", b"binary\xff\r\n", b"\0\r\n"]);
}

#[test]
fn the_writes_make_another_server_the_same() {
    for name in ["redis-6.0", "redis-7.0", "redis-8.2", "valkey-9.1"] {
        let Some(primary) = Server::start(name, &[]) else {
            continue;
        };
        let other = Server::start(name, &[]).unwrap();
        let stage = Stage::new();
        let tail = stage.tail(&[&url(&primary), "--format", "resp"]);
        stage.wait_for_begin();
        let mut client = primary.client();
        write_all_kinds(&mut client);
        client.command("SET end 1");
        stage.wait_for("the last write", || {
            let out = fs::read(stage.path("out")).unwrap();
            out.ends_with(b"$3\r\nend\r\n$1\r\n1\r\n")
        });
        tail.stop();
        pipe(name, &other, &stage.path("out"));
        let digest = |server: &Server| server.command("DEBUG DIGEST");
        assert_eq!(digest(&other), digest(&primary), "{name}");
        assert!(!digest(&other).0.starts_with(b"+0000000000000000"));
    }
}

/// Sends a file of writes to a server, as the documentation says.
#[track_caller]
fn pipe(name: &str, server: &Server, file: &Path) {
    let cli = program(name, "cli").unwrap();
    let output = Command::new(cli)
        .args(["-p", &server.port.to_string(), "--pipe"])
        .stdin(File::open(file).unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("errors: 0"), "{name}: {said}");
}

/// The point after which the first tail of a log has begun.
fn begin_of(log: &str) -> String {
    let line = log
        .lines()
        .find(|line| line.contains("printing the changes"));
    let value = |name: &str| {
        let (_, rest) = line.unwrap().split_once(name).unwrap();
        let end = rest.find(|c: char| !c.is_alphanumeric());
        rest[..end.unwrap_or(rest.len())].to_owned()
    };
    format!("{}:{}", value("replid="), value("offset="))
}

#[test]
fn the_stream_after_a_point_needs_no_data() {
    let Some(primary) = Server::start("redis-7.4", &[]) else {
        return;
    };
    let stage = Stage::new();
    // Something must follow for the primary to have a backlog.
    let whole = stage.tail(&[&url(&primary)]);
    stage.wait_for_begin();
    let mut client = primary.client();
    client.command("SELECT 4");
    write(&mut client, 0..200);
    client.command("SET end 1");
    stage.wait_for_key("end");
    whole.stop();
    let lines = parsed(&stage.out());
    let from = |line: &Json| {
        let replid = line["replid"].as_str().unwrap();
        format!("{replid}:{}", line["offset"])
    };
    // The last line of each of some offsets.
    for at in [0, 50, 150] {
        let offset = lines[at]["offset"].as_u64().unwrap();
        let rest: Vec<&Json> = lines
            .iter()
            .filter(|line| line["offset"].as_u64().unwrap() > offset)
            .collect();
        let after = Stage::new();
        let point = from(&lines[at]);
        let tail = after.tail(&[&url(&primary), "--from", &format!("{point}:4")]);
        after.wait_for_key("end");
        tail.stop();
        let again = parsed(&after.out());
        have_places(&again);
        let place = |line: &Json| {
            let names = ["replid", "offset", "index", "db", "key"];
            names.map(|name| line[name].clone())
        };
        let expected: Vec<_> = rest.iter().map(|line| place(line)).collect();
        assert_eq!(again.iter().map(place).collect::<Vec<_>>(), expected);
        assert!(again.iter().all(|line| line["type"].is_null()));
    }
    // Without the database it is not known until one is selected.
    let after = Stage::new();
    let tail = after.tail(&[&url(&primary), "--from", &from(&lines[199])]);
    after.wait_for_key("end");
    tail.stop();
    assert!(parsed(&after.out())[0]["db"].is_null());
    // As writes.
    let other = Server::start("redis-7.4", &[]).unwrap();
    let begin = format!("{}:0", begin_of(&stage.log()));
    let after = Stage::new();
    let tail = after.tail(&[&url(&primary), "--from", &begin, "--format", "resp"]);
    after.wait_for("the last write", || {
        let out = fs::read(after.path("out")).unwrap();
        out.ends_with(b"$3\r\nend\r\n$1\r\n1\r\n")
    });
    tail.stop();
    pipe("redis-7.4", &other, &after.path("out"));
    assert_eq!(
        other.command("DEBUG DIGEST"),
        primary.command("DEBUG DIGEST")
    );
    // Another history, and what is yet to come.
    for point in [
        format!("{}:5", "0".repeat(40)),
        format!("{}:99999999", &begin[..40]),
    ] {
        let refused = Stage::new();
        let tail = refused.tail(&[&url(&primary), "--from", &point]);
        assert_eq!(tail.ended().code(), Some(3));
        assert!(
            refused.log().contains("cannot continue after"),
            "{}",
            refused.log()
        );
        assert_eq!(refused.out(), "");
    }
}

#[test]
fn wrong_arguments_are_told() {
    let point = format!("{}:5", "a".repeat(40));
    for (arguments, expected) in [
        (
            &["h", "--from", "5"][..],
            "a replication id of 40 characters",
        ),
        (
            &["h", "--from", &point, "--format", "resp"],
            "REPLID:OFFSET:DB",
        ),
        (&["h", "--from", &point, "--db", "1"], "REPLID:OFFSET:DB"),
        (
            &["h", "--from", &point, "--state-dir", "x"],
            "cannot be used with",
        ),
        (&["h", "--format", "resp", "--commands"], "--format json"),
        (&[], "no server to follow"),
    ] {
        let stage = Stage::new();
        let tail = stage.tail(arguments);
        assert_eq!(tail.ended().code(), Some(2), "{arguments:?}");
        assert!(stage.log().contains(expected), "{}", stage.log());
    }
}
