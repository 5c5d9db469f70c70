//! Clients of other languages. The scripts in `tests/clients` say what they see.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use super::{Kind, PASSWORD, Primary, assert_alike, data};
use crate::servers::{PATIENCE, Server, free_port};
use crate::tools;

/// A client: the program that runs its script, the script, and the script's first arguments.
pub type Client = (&'static str, &'static str, &'static [&'static str]);

const REDIS_PY: Client = ("python", "python_client.py", &["redis"]);
const VALKEY_PY: Client = ("python", "python_client.py", &["valkey"]);
const GLIDE: Client = ("python", "glide_client.py", &[]);
const NODE_REDIS: Client = ("node", "node_redis.cjs", &[]);
const IOREDIS: Client = ("node", "ioredis.cjs", &[]);

const CLIENTS: [Client; 5] = [REDIS_PY, VALKEY_PY, GLIDE, NODE_REDIS, IOREDIS];

/// A running script, killed on drop.
pub struct Script {
    child: Child,
    lines: Receiver<String>,
    name: String,
}

impl Script {
    /// Starts a client's script for the server at `port`. Returns `None` if the program is not there.
    pub fn start(client: Client, port: u16, primary: u16, portion: &str) -> Option<Self> {
        let (program, file, arguments) = client;
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/clients")
            .join(file);
        let mut child = Command::new(tools::path(program)?)
            .arg(&path)
            .args(arguments)
            .args([&port.to_string(), &primary.to_string(), portion])
            // Python writes no caches next to its scripts.
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let (send, lines) = channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        let name = format!("{file} {arguments:?} {portion}");
        Some(Self { child, lines, name })
    }

    /// Returns the lines that the script prints, and calls `restart` when it asks for a restart.
    pub fn finish(mut self, mut restart: impl FnMut()) -> Vec<String> {
        let mut lines = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(2 * PATIENCE) {
            if line == "!RESTART" {
                restart();
                let input = self.child.stdin.as_mut().expect("it is piped");
                input.write_all(b"\n").expect("it reads");
            } else {
                lines.push(line);
            }
        }
        // It has ended, or it hangs and is killed.
        let ended = self.child.try_wait().expect("the child is ours");
        let is_done = match ended {
            Some(status) => status.success(),
            None => self.ends_soon(),
        };
        if !is_done {
            let errors = self.errors();
            panic!("{}: {}\n{errors}", self.name, lines.join("\n"));
        }
        lines
    }

    /// Whether the script, which has closed its output, ends with success.
    fn ends_soon(&mut self) -> bool {
        if self.lines.try_recv() != Err(std::sync::mpsc::TryRecvError::Disconnected) {
            return false;
        }
        self.child.wait().is_ok_and(|status| status.success())
    }

    fn errors(&mut self) -> String {
        _ = self.child.kill();
        let mut text = String::new();
        if let Some(errors) = self.child.stderr.as_mut() {
            _ = errors.read_to_string(&mut text);
        }
        text
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Asserts that a client sees the same of redtail as of a real replica of the server `name`.
fn sees_a_replica(client: Client, name: &'static str, portion: &str) {
    let Some(primary) = Primary::start(name) else {
        return;
    };
    let port = primary.server.port;
    let facts = |kind| {
        let mut follower = primary.follower(kind);
        let script = Script::start(client, follower.server.port, port, portion)?;
        Some(script.finish(|| follower.restart()))
    };
    let what = format!("{client:?} with {name}");
    let Some(read) = Script::start(client, port, port, "data") else {
        return;
    };
    let read = data(&read.finish(|| ()));
    let [theirs, ours] = [Kind::RealReplica, Kind::Redtail].map(facts);
    let (Some(theirs), Some(ours)) = (theirs, ours) else {
        return;
    };
    assert_alike(&what, &theirs, &ours);
    assert_alike(
        &format!("{what}, the primary in place of the replica"),
        &read,
        &data(&ours),
    );
    assert!(read.len() > 50, "{what}: only {} facts", read.len());
}

#[test]
fn redis_py_sees_a_replica() {
    sees_a_replica(REDIS_PY, "redis-8.0", "all");
    sees_a_replica(REDIS_PY, "redis-6.0", "brief");
}

#[test]
fn valkey_py_sees_a_replica() {
    sees_a_replica(VALKEY_PY, "valkey-9.1", "all");
    sees_a_replica(VALKEY_PY, "redis-7.0", "brief");
}

#[test]
fn valkey_glide_sees_a_replica() {
    sees_a_replica(GLIDE, "valkey-8.1", "all");
    sees_a_replica(GLIDE, "redis-7.0", "brief");
}

#[test]
fn node_redis_sees_a_replica() {
    sees_a_replica(NODE_REDIS, "redis-7.0", "all");
    sees_a_replica(NODE_REDIS, "valkey-9.1", "brief");
}

#[test]
fn ioredis_sees_a_replica() {
    sees_a_replica(IOREDIS, "redis-6.0", "all");
    sees_a_replica(IOREDIS, "redis-8.0", "brief");
}

/// Asserts that every client sees the same of both servers. Returns what they saw of redtail.
fn see_alike(theirs: &Server, ours: &Server, portion: &str) -> Vec<String> {
    let mut seen = Vec::new();
    for client in CLIENTS {
        let [real, redtail] = [theirs, ours].map(|server| {
            Script::start(client, server.port, server.port, portion).map(|it| it.finish(|| ()))
        });
        let (Some(real), Some(redtail)) = (real, redtail) else {
            continue;
        };
        assert_alike(&format!("{client:?}, {portion}"), &real, &redtail);
        seen.extend(redtail);
    }
    seen
}

/// How often `text` occurs in `lines`.
fn count(lines: &[String], text: &str) -> usize {
    lines.iter().filter(|line| line.contains(text)).count()
}

#[test]
fn clients_see_that_the_data_is_old() {
    let Some(mut primary) = Server::start("valkey-8.1", &[]) else {
        return;
    };
    let redtail = Server::redtail_with(&primary, &["--max-staleness", "100ms"]);
    let real = Server::replica("valkey-8.1", &primary).expect("the server was there");
    real.command("CONFIG SET replica-serve-stale-data no");
    primary.stop();
    for server in [&real, &redtail] {
        server.wait_for("a refusal", |client| {
            client.command("GET a").text().starts_with("MASTERDOWN")
        });
    }
    let seen = see_alike(&real, &redtail, "refused");
    assert!(count(&seen, "Link with MASTER is down") > 10, "{seen:#?}");
}

#[test]
fn clients_see_that_the_data_is_loading() {
    let Some(source) = Server::start("redis-8.0", &["--rdbcompression", "no"]) else {
        return;
    };
    source.command("DEBUG POPULATE 60000 key 1000");
    assert_eq!(source.command("SAVE").text(), "OK");
    let nobody = free_port().to_string();
    // Loads for at least a minute, and serves clients after each key.
    let slowly = [
        "--replicaof",
        "127.0.0.1",
        &nobody,
        "--key-load-delay",
        "1000",
        "--loading-process-events-interval-bytes",
        "1024",
    ];
    let dump = source.directory().join("dump.rdb");
    let real = Server::start_loading(&[], "redis-8.0", None, Some(&dump), &slowly);
    let real = real.expect("the server was there a moment ago");
    let address = format!("redis://127.0.0.1:{nobody}");
    let redtail = Server::redtail_of(&address, &["--dialect", "redis-8.0.2"]);
    let seen = see_alike(&real, &redtail, "refused");
    assert!(
        count(&seen, "loading the dataset in memory") > 5,
        "{seen:#?}"
    );
    let loading = real.client().info("persistence", "loading");
    assert_eq!(loading.as_deref(), Some("1"), "it loaded too fast");
}

#[test]
fn clients_need_the_password() {
    let Some(primary) = Primary::start("valkey-9.1") else {
        return;
    };
    let [real, redtail] = [Kind::RealReplica, Kind::Redtail].map(|kind| primary.locked(kind));
    let seen = see_alike(&real, &redtail, "locked");
    assert!(
        count(&seen, "WRONGPASS") + count(&seen, "invalid username-password") >= 10,
        "{seen:#?}"
    );
    assert!(
        count(&seen, "NOAUTH") + count(&seen, "Authentication required") >= 4,
        "{seen:#?}"
    );
    assert_eq!(PASSWORD, "secret", "the scripts know it");
}
