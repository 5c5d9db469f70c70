//! A real primary, a real replica of it and redtail, that are written to and compared.

use super::grammar::Words;
use super::pair::{Difference, Pair, of};
use super::pools::DATABASES;
use crate::client::{Client, Reply};
use crate::servers::Server;

/// What happens to the three.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Commands that belong together, sent to the primary.
    Write(Vec<Words>),
    /// Both followers lose their connections and get a whole snapshot.
    Attach,
}

/// The servers of one version.
pub struct Trio {
    primary: Server,
    replica: Server,
    follower: Server,
    scratch: Server,
    writer: Client,
    /// Whether the primary deletes expired keys by itself.
    expires: bool,
}

impl Trio {
    /// Starts the servers `name`, with redtail as the follower; `None` when they are not there.
    pub fn start(name: &str) -> Option<Self> {
        Self::start_with(name, |primary| {
            Server::redtail_with(primary, &["--enable-debug-command", "yes"])
        })
    }

    /// The same with another follower.
    pub fn start_with(name: &str, follow: impl Fn(&Server) -> Server) -> Option<Self> {
        // Redis 6.0 sends scripts verbatim otherwise, which taint.
        let scripts: &[&str] = match name {
            "redis-6.0" => &["--lua-replicate-commands", "yes"],
            _ => &[],
        };
        let primary = Server::start(name, scripts)?;
        let replica = Server::replica(name, &primary)?;
        let follower = follow(&primary);
        Some(Self {
            scratch: Server::start(name, &[])?,
            writer: primary.client(),
            primary,
            replica,
            follower,
            expires: true,
        })
    }

    /// Empties the three. Without `expires` the primary keeps expired keys until something touches them.
    pub fn reset(&mut self, expires: bool) {
        self.expires = expires;
        self.writer = self.primary.client();
        for line in ["FLUSHALL", "FUNCTION FLUSH"] {
            self.writer.command(line);
        }
        let expires = u8::from(expires);
        self.writer
            .command(&format!("DEBUG SET-ACTIVE-EXPIRE {expires}"));
        self.synchronise();
        if self.follower.command("DBSIZE").is_error() {
            self.attach();
        }
    }

    /// Does the steps.
    pub fn apply(&mut self, steps: &[Step]) {
        for part in steps.chunk_by(|a, b| *a != Step::Attach && *b != Step::Attach) {
            let writes = part.iter().flat_map(|step| match step {
                Step::Write(commands) => commands.as_slice(),
                Step::Attach => &[],
            });
            self.writer.pipeline(&writes.cloned().collect::<Vec<_>>());
            if part.contains(&Step::Attach) {
                self.attach();
            }
        }
    }

    /// Makes both followers take a snapshot: the primary gets a new history and cuts their connections.
    fn attach(&mut self) {
        let mut admin = self.primary.client();
        let syncs = full_syncs(&mut admin);
        admin.command("DEBUG CHANGE-REPL-ID");
        admin.command("CLIENT KILL TYPE replica");
        self.primary
            .wait_for("two full syncs", |client| full_syncs(client) >= syncs + 2);
        for follower in [&self.replica, &self.follower] {
            follower.wait_for("the snapshot", |client| {
                client.info("replication", "master_link_status").as_deref() == Some("up")
            });
        }
    }

    fn synchronise(&self) {
        for follower in [&self.replica, &self.follower] {
            follower.wait_in_sync(&self.primary);
        }
    }

    /// Does the steps from the beginning.
    pub fn replay(&mut self, steps: &[Step]) {
        self.reset(self.expires);
        self.apply(steps);
        self.settle();
    }

    /// Waits until nothing expires any more, and both followers have all of it.
    pub fn settle(&self) {
        self.synchronise();
        let expires = self.expires;
        self.replica.wait_for("short expiries to pass", |client| {
            DATABASES.iter().all(|database| {
                client.command(&format!("SELECT {database}"));
                is_quiet(client, expires)
            })
        });
        self.synchronise();
    }

    /// DUMP payloads of some keys, as the replica makes them.
    pub fn payloads(&self, keys: &[Words]) -> Vec<Vec<u8>> {
        let mut client = self.replica.client();
        client
            .pipeline(keys)
            .iter()
            .filter_map(Reply::bulk)
            .collect()
    }

    /// Compares everything, and `reads` in the database that each names: first those that change nothing.
    pub fn compare(&self, reads: &[(u32, Vec<Words>)]) -> Vec<Difference> {
        let mut pairs = [2, 3].map(|protocol| self.pair(protocol));
        for pair in &mut pairs {
            pair.ask_for_everything();
        }
        for counts in [false, true] {
            for pair in &mut pairs {
                for (database, reads) in reads {
                    pair.select(*database);
                    let reads = reads.iter().filter(|read| notes_count(read) == counts);
                    pair.ask_harmless(&reads.cloned().collect::<Vec<_>>());
                }
            }
        }
        pairs
            .into_iter()
            .flat_map(|pair| pair.differences)
            .collect()
    }

    /// Asks for one thing again.
    pub fn repeat(&self, difference: &Difference) -> Option<Difference> {
        let mut pair = self.pair(difference.protocol);
        pair.select(difference.database);
        pair.ask(std::slice::from_ref(&difference.read));
        pair.differences.pop()
    }

    /// What the primary answers.
    pub fn primary_says(&self, difference: &Difference) -> Reply {
        let client = self.primary.client();
        let mut client = if difference.protocol == 3 {
            client.resp3()
        } else {
            client
        };
        client.command(&format!("SELECT {}", difference.database));
        let words: Vec<&[u8]> = difference.read.iter().map(Vec::as_slice).collect();
        client.words(&words)
    }

    fn pair(&self, protocol: u8) -> Pair {
        Pair::connect(&self.replica, &self.follower, protocol).with_scratch(&self.scratch)
    }

    /// The end of what the follower has logged.
    pub fn log(&self) -> String {
        let log = self.follower.log();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }
}

/// Whether a real replica notes inside the value what it counts for this read.
pub fn notes_count(read: &Words) -> bool {
    read.len() == 2 && read[0].eq_ignore_ascii_case(b"pfcount")
}

fn full_syncs(client: &mut Client) -> i64 {
    let syncs = client.info("stats", "sync_full");
    syncs.and_then(|syncs| syncs.parse().ok()).unwrap_or(0)
}

/// Whether no key and no field of the selected database is about to expire or, if `expires`, to be deleted.
pub fn is_quiet(client: &mut Client, expires: bool) -> bool {
    let keys: Vec<_> = client
        .command("KEYS *")
        .elements()
        .iter()
        .filter_map(Reply::bulk)
        .collect();
    let ttls: Vec<_> = keys.iter().map(|key| of("PTTL {k}", key)).collect();
    let is_soon = |ttl: &Reply| ttl.integer().is_some_and(|ms| (0..500_000).contains(&ms));
    if client.pipeline(&ttls).iter().any(is_soon) {
        return false;
    }
    // DBSIZE counts what has expired until it is deleted; KEYS does not show it.
    let size = client.command("DBSIZE").integer();
    (!expires || size == i64::try_from(keys.len()).ok())
        && keys
            .iter()
            .all(|key| are_fields_quiet(client, key, expires))
}

fn are_fields_quiet(client: &mut Client, key: &[u8], expires: bool) -> bool {
    let fields = client.words(&[b"HKEYS", key]);
    if fields.is_error() || fields.elements().is_empty() {
        return true;
    }
    let fields: Vec<_> = fields.elements().iter().filter_map(Reply::bulk).collect();
    let count = fields.len().to_string();
    let mut ask: Vec<&[u8]> = vec![b"HPTTL", key, b"FIELDS", count.as_bytes()];
    ask.extend(fields.iter().map(Vec::as_slice));
    let ttls = client.words(&ask).elements();
    let is_soon = |ttl: &Reply| ttl.integer().is_some_and(|ms| (0..500_000).contains(&ms));
    let size = client.words(&[b"HLEN", key]).integer();
    !ttls.iter().any(is_soon) && (!expires || size == i64::try_from(fields.len()).ok())
}
