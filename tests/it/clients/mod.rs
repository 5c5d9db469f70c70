//! Clients and tools work with redtail as they do with a real replica.
//!
//! The oracle is the client itself: it prints what it sees, one line per fact, first of a real replica and then of redtail, and both
//! must print the same lines. What it reads must also be what it reads from the primary.

mod cli;
mod crates;
pub mod scripts;
mod table;

use crate::servers::{Server, fixture};

/// The number of strings "n:0", "n:1", …, each of which holds its own number, and of the elements of each large collection.
const STRINGS: usize = 20_000;

/// The password of the followers that have one.
const PASSWORD: &str = "secret";

/// A primary with data of every type.
struct Primary {
    name: &'static str,
    server: Server,
}

/// What follows a primary.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    RealReplica,
    Redtail,
}

/// A follower in sync with its primary.
struct Follower<'a> {
    kind: Kind,
    primary: &'a Primary,
    server: Server,
}

impl Primary {
    /// Starts the server `name`. Returns `None` if it is not installed.
    fn start(name: &'static str) -> Option<Self> {
        let dump = fixture(&format!("{name}.rdb"));
        let server = Server::start_on(name, None, Some(&dump), &[])?;
        fill(&server);
        Some(Self { name, server })
    }

    /// Starts a follower.
    fn follower(&self, kind: Kind) -> Follower<'_> {
        Follower {
            kind,
            primary: self,
            server: self.started(kind, None, &[]),
        }
    }

    /// Starts a follower that clients must give a password.
    fn locked(&self, kind: Kind) -> Server {
        self.started(kind, None, &["--requirepass", PASSWORD])
    }

    fn started(&self, kind: Kind, port: Option<u16>, arguments: &[&str]) -> Server {
        let primary = self.server.port.to_string();
        let server = match kind {
            Kind::RealReplica => {
                let config = [&["--replicaof", "127.0.0.1", &primary], arguments].concat();
                Server::start_loading(&[], self.name, port, None, &config)
                    .expect("the server was there a moment ago")
            }
            Kind::Redtail => {
                Server::redtail_at(port, &format!("redis://127.0.0.1:{primary}"), arguments)
            }
        };
        let offset = self.server.client().offset("master_repl_offset");
        server.wait_for("its data", |client| {
            client.command(&format!("AUTH {PASSWORD}"));
            let is_up = client.info("replication", "master_link_status").as_deref() == Some("up");
            is_up && client.offset("slave_repl_offset") >= offset
        });
        server
    }
}

impl Follower<'_> {
    /// Stops the follower and starts it again on the same port, without its data.
    fn restart(&mut self) {
        let port = self.server.port;
        self.server.stop();
        self.server = self.primary.started(self.kind, Some(port), &[]);
    }
}

/// Adds strings, and a collection of each type that scans need many calls for.
fn fill(server: &Server) {
    let numbers = || 0..STRINGS;
    let strings = numbers().map(|i| line(&format!("SET n:{i} {i}")));
    let collections = [
        format!("HSET scan:hash{}", list(|i| format!("field:{i} {i}"))),
        format!("SADD scan:set{}", list(|i| format!("member:{i}"))),
        format!(
            "ZADD scan:zset{}",
            list(|i| format!("{} member:{i}", i as f64 / 8.0))
        ),
        format!("RPUSH scan:list{}", list(|i| i.to_string())),
        "GEOADD scan:geo 13.361389 38.115556 Palermo 15.087269 37.502669 Catania".to_owned(),
        "SET expires late PXAT 4102444800123".to_owned(),
        // What clients write later, so that each of them finds the same number of keys.
        "MSET tmp:both 0 tmp:mark 0 tmp:watched 0".to_owned(),
        "XADD tmp:news 7-7 a b".to_owned(),
    ];
    let entries = (1..=300).map(|i| line(&format!("XADD scan:stream {i}-1 n {i}")));
    let commands: Vec<Vec<Vec<u8>>> = strings
        .chain(collections.iter().map(|each| line(each)))
        .chain(entries)
        .collect();
    let replies = server.client().pipeline(&commands);
    for (command, reply) in commands.iter().zip(replies) {
        // Redis 6.0 has no PXAT.
        let is_known = !reply.is_error() || command.contains(&b"PXAT".to_vec());
        assert!(is_known, "{}: {reply:?}", crate::client::show(command));
    }
    server.command("PEXPIREAT expires 4102444800123");
}

fn line(text: &str) -> Vec<Vec<u8>> {
    text.split(' ')
        .map(|word| word.as_bytes().to_vec())
        .collect()
}

fn list(element: impl Fn(usize) -> String) -> String {
    (0..STRINGS).map(|i| format!(" {}", element(i))).collect()
}

/// Asserts that two followers were seen alike, and that what was read is what the primary has.
pub fn assert_alike(what: &str, theirs: &[String], ours: &[String]) {
    let mut lines = theirs.iter().zip(ours);
    if let Some((theirs, ours)) = lines.find(|(theirs, ours)| theirs != ours) {
        panic!("{what}\n a real replica: {theirs}\n redtail:        {ours}");
    }
    assert_eq!(theirs.len(), ours.len(), "{what}: the number of facts");
}

/// Keeps the lines about data, which the primary must agree with.
fn data(lines: &[String]) -> Vec<String> {
    let is_data = |line: &&String| line.starts_with("data ");
    lines.iter().filter(is_data).cloned().collect()
}
