//! Proves that nothing was lost or applied twice: compares DEBUG DIGEST of both at the same offset, while nothing is written.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::WATCHED_DB;
use super::load::Load;
use super::reader::Readers;
use crate::client::{Client, Reply, show};
use crate::servers::PATIENCE;

/// Connections to a primary and its follower.
pub struct Proof {
    pub primary: Client,
    pub follower: Client,
    /// A real replica of the primary, which shows what the primary did not replicate.
    pub witness: Option<Client>,
    /// The changes that primaries did not replicate.
    pub kept: Vec<String>,
}

impl Proof {
    pub fn new(primary: Client, follower: Client) -> Self {
        Self {
            primary,
            follower,
            witness: None,
            kept: Vec::new(),
        }
    }

    /// Stops the writers, waits for the follower, and compares both.
    ///
    /// # Panics
    /// If the follower does not catch up, if the data differs, or if a reader has seen something wrong.
    pub fn settle(&mut self, what: &str, load: &Load, readers: &Readers) {
        let _frozen = load.freeze();
        self.same_or(what, |key| load.recently(key));
        readers.check();
    }

    /// Compares both. Nothing may be written at the same time.
    ///
    /// # Panics
    /// If the follower does not catch up, or if the data differs.
    pub fn same(&mut self, what: &str) {
        self.same_or(what, |_| Vec::new());
    }

    /// The same. `history` returns recent writes to a key, for the message.
    fn same_or(&mut self, what: &str, history: impl Fn(&[u8]) -> Vec<String>) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(
                Instant::now() < deadline,
                "{what}: the two were never at one offset without changes"
            );
            let Some([expected, found]) = self.digests(what) else {
                continue;
            };
            if expected == found {
                return;
            }
            let mut differences = self.differences();
            assert!(
                !differences.is_empty(),
                "{what}: {expected:?}, here {found:?}"
            );
            differences.retain(|key| !self.is_kept(key));
            for difference in &differences {
                self.show(difference, history(&difference.key));
            }
            assert!(differences.is_empty(), "{what}: {differences:#?}");
        }
    }

    /// Prints what is known about a difference: the elements that only one server has, and recent writes to the key.
    fn show(&mut self, difference: &Difference, history: Vec<String>) {
        let key = difference.key.as_slice();
        let reads: [&[&[u8]]; 4] = [
            &[b"GET", key],
            &[b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"],
            &[b"HGETALL", key],
            &[b"LRANGE", key, b"0", b"-1"],
        ];
        for read in reads {
            let [there, here] = [&mut self.primary, &mut self.follower].map(|client| {
                client.command(&format!("SELECT {}", difference.database));
                client.words(read)
            });
            if there != here {
                let only = |one: &Reply, other: &Reply| {
                    let (one, other) = (one.elements(), other.elements());
                    one.into_iter()
                        .filter(|element| !other.contains(element))
                        .collect::<Vec<_>>()
                };
                eprintln!(
                    "{}: only there {:?}, only here {:?}",
                    show(read),
                    only(&there, &here),
                    only(&here, &there)
                );
            }
        }
        eprintln!("recent writes: {history:#?}");
    }

    /// Returns the digests of both at one offset, or `None` if something changed in between: keys expire, primaries send pings.
    /// What expires without a command in the stream (fields of Valkey's hashes) shows as a change between the primary's digests
    /// before and after.
    fn digests(&mut self, what: &str) -> Option<[Reply; 2]> {
        let offset = self.primary.offset("master_repl_offset")?;
        self.wait_for_offset(what, offset);
        let before = self.primary.command("DEBUG DIGEST");
        let here = self.follower.command("DEBUG DIGEST");
        let after = self.primary.command("DEBUG DIGEST");
        let is_still = before == after
            && self.primary.offset("master_repl_offset") == Some(offset)
            && self.follower.offset("slave_repl_offset") == Some(offset);
        is_still.then_some([after, here])
    }

    fn wait_for_offset(&mut self, what: &str, offset: i64) {
        let deadline = Instant::now() + PATIENCE;
        let follower = &mut self.follower;
        while follower.offset("slave_repl_offset") < Some(offset) || !is_up(follower) {
            let last = follower.info("redtail", "redtail_last_link_error");
            let info = follower.command("INFO replication").text();
            assert!(
                Instant::now() < deadline,
                "{what}: timed out waiting for offset {offset}: {last:?} {info}"
            );
            sleep(Duration::from_millis(2));
        }
    }

    /// The first keys with different digests.
    fn differences(&mut self) -> Vec<Difference> {
        let mut found = Vec::new();
        for database in [0, 1, 5, WATCHED_DB] {
            for key in self.keys(database) {
                let ask: [&[u8]; 3] = [b"DEBUG", b"DIGEST-VALUE", &key];
                let [expected, here] =
                    [&mut self.primary, &mut self.follower].map(|client| client.words(&ask));
                if expected != here && found.len() < DIFFERENCES_MAX {
                    found.push(Difference {
                        database,
                        key,
                        expected,
                        here,
                    });
                }
            }
        }
        found
    }

    /// Selects the database on all servers and returns their keys.
    fn keys(&mut self, database: usize) -> Vec<Vec<u8>> {
        let mut keys = Vec::new();
        let witness = self.witness.iter_mut();
        for client in [&mut self.primary, &mut self.follower]
            .into_iter()
            .chain(witness)
        {
            client.command(&format!("SELECT {database}"));
            keys.extend(
                client
                    .command("KEYS *")
                    .elements()
                    .iter()
                    .filter_map(Reply::bulk),
            );
        }
        keys.sort();
        keys.dedup();
        keys
    }

    /// Whether the primary's own replica agrees with redtail, which means that the primary did not replicate a change. Then
    /// deletes the key.
    fn is_kept(&mut self, difference: &Difference) -> bool {
        let Some(witness) = &mut self.witness else {
            return false;
        };
        let select = format!("SELECT {}", difference.database);
        for client in [&mut self.primary, witness] {
            client.command(&select);
        }
        let digest = witness.words(&[b"DEBUG", b"DIGEST-VALUE", &difference.key]);
        let is_kept = digest == difference.here;
        if is_kept {
            self.kept.push(format!("{difference:?}"));
            self.primary.words(&[b"DEL", &difference.key]);
        }
        is_kept
    }
}

/// A key with different digests.
struct Difference {
    database: usize,
    key: Vec<u8>,
    expected: Reply,
    here: Reply,
}

impl std::fmt::Debug for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (key, expected, here) = (show(&[&self.key]), self.expected.text(), self.here.text());
        write!(f, "{key} in {}: {expected} here {here}", self.database)
    }
}

/// The maximum number of differences shown.
const DIFFERENCES_MAX: usize = 10;

/// Whether the link is up.
pub fn is_up(follower: &mut Client) -> bool {
    follower
        .info("replication", "master_link_status")
        .as_deref()
        == Some("up")
}
