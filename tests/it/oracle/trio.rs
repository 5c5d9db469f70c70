//! A real primary, its real replica and redtail, which are written to and compared.

use super::grammar::Words;
use super::pair::{Difference, Pair, of};
use super::pools::DATABASES;
use super::report::line;
use super::torn;
use crate::client::{Client, Reply, words};
use crate::servers::Server;

/// What happens to the three.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Commands that belong together, sent to the primary.
    Write(Vec<Words>),
    /// Both followers lose their connections and load a whole snapshot.
    Attach,
}

/// The servers of one version.
pub struct Trio {
    /// Whether FUNCTION FLUSH is safe. Redis 8.0.2 may crash when it frees the client that ran its functions.
    survives_function_flush: bool,
    primary: Server,
    replica: Server,
    follower: Server,
    scratch: Server,
    writer: Client,
    /// How the seed is run.
    manner: Manner,
    /// The settings named in [`TIGHT`], with the values that the servers start with.
    defaults: Vec<Words>,
}

/// How a seed is run.
#[derive(Clone, Copy, Default)]
pub struct Manner {
    /// Whether the primary deletes expired keys by itself. Otherwise they remain until a command touches them.
    pub expires: bool,
    /// Whether the limits of small encodings are those in [`TIGHT`].
    pub is_tight: bool,
}

/// Limits of small encodings that values often exceed, under the names of all versions.
const TIGHT: &[(&str, &str)] = &[
    ("hash-max-listpack-entries", "5"),
    ("hash-max-ziplist-entries", "5"),
    ("hash-max-listpack-value", "20"),
    ("hash-max-ziplist-value", "20"),
    ("zset-max-listpack-entries", "4"),
    ("zset-max-ziplist-entries", "4"),
    ("zset-max-listpack-value", "30"),
    ("zset-max-ziplist-value", "30"),
    ("set-max-intset-entries", "6"),
    ("set-max-listpack-entries", "9"),
    ("set-max-listpack-value", "25"),
    ("list-max-listpack-size", "7"),
    ("list-max-ziplist-size", "7"),
    ("list-compress-depth", "1"),
    ("stream-node-max-entries", "5"),
    ("stream-node-max-bytes", "300"),
    ("hll-sparse-max-bytes", "200"),
];

impl Trio {
    /// Starts the servers `name`, with redtail as the follower. Returns `None` if they are not installed.
    pub fn start(name: &str) -> Option<Self> {
        Self::start_with(name, |primary| {
            // DEBUG DIGEST includes expired values, so the sweeper must not discard any.
            let options = "--enable-debug-command yes --expired-grace 0";
            Server::redtail_with(primary, &options.split(' ').collect::<Vec<_>>())
        })
    }

    /// The same with another follower.
    pub fn start_with(name: &str, follow: impl Fn(&Server) -> Server) -> Option<Self> {
        // Otherwise Redis 6.0 replicates scripts verbatim, which taints.
        let scripts: &[&str] = match name {
            "redis-6.0" => &["--lua-replicate-commands", "yes"],
            _ => &[],
        };
        let primary = Server::start(name, scripts)?;
        let replica = Server::replica(name, &primary)?;
        // A blocked command ends at a tick of the server's clock, of which there are ten per second by default.
        for server in [&primary, &replica] {
            server.command("CONFIG SET hz 500");
        }
        let follower = follow(&primary);
        let scratch = Server::start(name, &[])?;
        // Otherwise a restored value that has expired would disappear at an unpredictable moment.
        scratch.command("DEBUG SET-ACTIVE-EXPIRE 0");
        Some(Self {
            survives_function_flush: name != "redis-8.0",
            writer: primary.client(),
            defaults: defaults(&scratch),
            primary,
            replica,
            follower,
            scratch,
            manner: Manner::default(),
        })
    }

    /// Empties all servers.
    pub fn reset(&mut self, manner: Manner) {
        self.manner = manner;
        self.writer = self.primary.client();
        self.writer.command("FLUSHALL");
        if self.survives_function_flush {
            self.writer.command("FUNCTION FLUSH");
        } else {
            self.delete_libraries();
        }
        let expires = u8::from(manner.expires);
        self.writer
            .command(&format!("DEBUG SET-ACTIVE-EXPIRE {expires}"));
        self.synchronise();
        self.set_limits();
        if self.follower.command("DBSIZE").is_error() {
            self.attach();
        }
    }

    fn delete_libraries(&mut self) {
        for library in self.writer.command("FUNCTION LIST").elements() {
            // Its reply begins with the word library_name.
            let name = library.elements().swap_remove(1).text();
            let deleted = self.writer.command(&format!("FUNCTION DELETE {name}"));
            assert_eq!(deleted.text(), "OK", "{name}");
        }
    }

    fn set_limits(&self) {
        let known = |name: &[u8]| TIGHT.iter().find(|(tight, _)| tight.as_bytes() == name);
        let mut settings = self.defaults.clone();
        for setting in settings.iter_mut().filter(|_| self.manner.is_tight) {
            if let Some((_, value)) = known(&setting[2]) {
                setting[3] = value.as_bytes().to_vec();
            }
        }
        for server in [&self.primary, &self.replica, &self.follower, &self.scratch] {
            for (setting, reply) in settings.iter().zip(server.client().pipeline(&settings)) {
                assert_eq!(reply.text(), "OK", "{}", line(setting));
            }
        }
    }

    /// Runs the steps.
    pub fn apply(&mut self, steps: &[Step]) {
        for part in steps.chunk_by(|a, b| *a != Step::Attach && *b != Step::Attach) {
            let writes = part.iter().flat_map(|step| match step {
                Step::Write(commands) => commands.as_slice(),
                Step::Attach => &[],
            });
            let writes = writes.filter(|words| self.survives_function_flush || !flushes(words));
            self.writer.pipeline(&writes.cloned().collect::<Vec<_>>());
            if part.contains(&Step::Attach) {
                // The two snapshots are taken at different moments, so nothing may expire between them.
                self.settle();
                self.attach();
            }
        }
    }

    /// Makes both followers load a snapshot: the primary changes its replication id and closes their connections.
    fn attach(&mut self) {
        let mut admin = self.primary.client();
        let syncs = full_syncs(&mut admin);
        admin.command("DEBUG CHANGE-REPL-ID");
        admin.command("CLIENT KILL TYPE replica");
        self.hurry();
        self.primary
            .wait_for("two full syncs", |client| full_syncs(client) >= syncs + 2);
        for follower in [&self.replica, &self.follower] {
            follower.wait_for("the snapshot", |client| {
                client.info("replication", "master_link_status").as_deref() == Some("up")
            });
        }
    }

    /// Makes the real replica reconnect at once instead of within a second. This does not work with Redis 6.0.
    fn hurry(&self) {
        let version = self.replica.client().info("server", "redis_version");
        if version.is_some_and(|version| version.starts_with("6.0")) {
            return;
        }
        let again = format!("REPLICAOF 127.0.0.1 {}", self.primary.port);
        for line in ["REPLICAOF NO ONE", &again] {
            self.replica.command(line);
        }
    }

    fn synchronise(&self) {
        for follower in [&self.replica, &self.follower] {
            follower.wait_in_sync(&self.primary);
        }
    }

    /// Runs the steps on empty servers.
    pub fn replay(&mut self, steps: &[Step]) {
        self.reset(self.manner);
        self.apply(steps);
        self.settle();
    }

    /// Waits until nothing expires any more, and both followers have applied everything.
    pub fn settle(&mut self) {
        self.quiet_down();
        if self.lacks_an_order() {
            self.attach();
        }
    }

    /// Whether there are tainted keys, and no failure has another cause than a taint: SORT stored a result that only the primary
    /// can order, which its row calls a DIFFERENCE. The next full sync brings that result.
    fn lacks_an_order(&self) -> bool {
        let tainted = self
            .follower
            .client()
            .info("redtail", "redtail_tainted_keys");
        let log = self.follower.log();
        let mut failures = log
            .lines()
            .filter(|line| line.contains("could not be applied"));
        tainted.is_some_and(|keys| keys != "0")
            && failures.all(|line| line.contains("error=TAINTED"))
    }

    fn quiet_down(&self) {
        self.synchronise();
        let expires = self.manner.expires;
        self.replica.wait_for("short expiries to pass", |client| {
            DATABASES.iter().all(|database| {
                client.command(&format!("SELECT {database}"));
                is_quiet(client, expires)
            })
        });
        self.synchronise();
    }

    /// DUMP payloads of some keys, from the replica.
    pub fn payloads(&self, keys: &[Words]) -> Vec<Vec<u8>> {
        let mut client = self.replica.client();
        client
            .pipeline(keys)
            .iter()
            .filter_map(Reply::bulk)
            .collect()
    }

    /// Compares everything, then the `reads` in their databases: first those that change nothing. Some are repeated inside
    /// transactions.
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
                    let reads: Vec<_> = reads.cloned().collect();
                    pair.ask_harmless(&reads);
                    pair.ask_transactions(&reads);
                }
            }
        }
        pairs
            .into_iter()
            .flat_map(|pair| pair.differences)
            .collect()
    }

    /// Repeats one read. Returns its difference, if it still differs.
    pub fn repeat(&self, difference: &Difference) -> Option<Difference> {
        let mut pair = self.pair(difference.protocol);
        pair.select(difference.database);
        if difference.transaction.is_empty() {
            pair.ask(std::slice::from_ref(&difference.read));
        } else {
            pair.ask_as_one(&difference.transaction);
        }
        pair.differences.pop()
    }

    /// The primary's reply to the read.
    pub fn primary_says(&self, difference: &Difference) -> Reply {
        let client = self.primary.client();
        let mut client = if difference.protocol == 3 {
            client.resp3()
        } else {
            client
        };
        client.command(&format!("SELECT {}", difference.database));
        torn::ask(&mut client, &difference.read)
    }

    fn pair(&self, protocol: u8) -> Pair {
        Pair::connect(&self.replica, &self.follower, protocol)
            .with_scratch(&self.scratch)
            .with_primary(&self.primary)
    }

    /// The last lines of the follower's log.
    pub fn log(&self) -> String {
        let log = self.follower.log();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }
}

/// Whether a real replica stores inside the value what it counts for this read.
pub fn notes_count(read: &Words) -> bool {
    read.len() == 2 && read[0].eq_ignore_ascii_case(b"pfcount")
}

/// The commands that restore the server's current limits.
fn defaults(server: &Server) -> Vec<Words> {
    let mut client = server.client();
    let setting = |(name, _): &(&str, &str)| {
        let [_, value] = <[Reply; 2]>::try_from(
            client
                .words(&[b"CONFIG", b"GET", name.as_bytes()])
                .elements(),
        )
        .ok()?;
        Some(words(&format!("CONFIG SET {name} {}", value.text())))
    };
    TIGHT.iter().filter_map(setting).collect()
}

fn full_syncs(client: &mut Client) -> i64 {
    let syncs = client.info("stats", "sync_full");
    syncs.and_then(|syncs| syncs.parse().ok()).unwrap_or(0)
}

/// The time within which an expiry might fall into a comparison. Less than the maximum time of a wait.
const SOON_MS: i64 = 20_000;

/// Whether no key and no field of the selected database expires soon and, if `expires`, all expired ones are deleted.
pub fn is_quiet(client: &mut Client, expires: bool) -> bool {
    let keys: Vec<_> = client
        .command("KEYS *")
        .elements()
        .iter()
        .filter_map(Reply::bulk)
        .collect();
    let ttls: Vec<_> = keys.iter().map(|key| of("PTTL {k}", key)).collect();
    // Redis 6.0 reports 0 for a time that wrapped below zero, and such a key stays.
    let is_soon = |ttl: &Reply| ttl.integer().is_some_and(|ms| (1..SOON_MS).contains(&ms));
    if client.pipeline(&ttls).iter().any(is_soon) {
        return false;
    }
    // DBSIZE includes expired keys until they are deleted; KEYS does not show them.
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
    // Redis 6.0 reports 0 for a time that wrapped below zero, and such a key stays.
    let is_soon = |ttl: &Reply| ttl.integer().is_some_and(|ms| (1..SOON_MS).contains(&ms));
    let size = client.words(&[b"HLEN", key]).integer();
    !ttls.iter().any(is_soon) && (!expires || size == i64::try_from(fields.len()).ok())
}

/// Whether this is FUNCTION FLUSH.
pub fn flushes(words: &Words) -> bool {
    let is = |at: usize, name: &str| {
        let word = words.get(at);
        word.is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()))
    };
    is(0, "function") && is(1, "flush")
}
