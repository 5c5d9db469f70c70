//! The load on the primary while its connections are cut: everything that the oracle writes, and the keys that the readers of
//! [`super::reader`] watch.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockWriteGuard};
use std::thread::{self, JoinHandle, sleep};
use std::time::Duration;

use super::{STEADY_KEYS, WATCHED_DB, steady};
use crate::client::{Client, Reply, encode, show, words};
use crate::oracle::{Generator, Step, flushes_functions};

type Words = Vec<Vec<u8>>;

/// The number of random writes sent at once.
const STEPS: usize = 25;

/// The maximum number of commands remembered.
const RECENT_MAX: usize = 20_000;

/// The maximum number of those that are shown.
const RECENT_SHOWN_MAX: usize = 60;

/// Writers that end when this is dropped.
pub struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    /// The primary's port.
    target: AtomicU16,
    stopped: AtomicBool,
    /// Held for reading by the writers while they write.
    gate: RwLock<()>,
    written: AtomicU64,
    /// Recently written commands, for messages.
    recent: Mutex<VecDeque<String>>,
}

impl Load {
    /// Writes to the primary on that port. When it returns, the keys that readers watch have their first values.
    pub fn start(port: u16, seed: u64) -> Self {
        let shared = Arc::new(Shared {
            target: AtomicU16::new(port),
            stopped: AtomicBool::new(false),
            gate: RwLock::new(()),
            written: AtomicU64::new(0),
            recent: Mutex::default(),
        });
        let mut keeper = Keeper::new(seed);
        assert!(shared.write_to(
            &mut Client::try_connect(port).expect("a primary"),
            &keeper.begin()
        ));
        let (random, watched) = (Arc::clone(&shared), Arc::clone(&shared));
        let mut generator = Generator::new(seed);
        let threads = vec![
            thread::spawn(move || random.write(|client| anything(&mut generator, client))),
            thread::spawn(move || watched.write(|_| keeper.round())),
        ];
        Self { shared, threads }
    }

    /// Writes to another primary from now on.
    pub fn aim(&self, port: u16) {
        self.shared.target.store(port, Ordering::Relaxed);
    }

    /// Stops all writes while the guard is held.
    pub fn freeze(&self) -> RwLockWriteGuard<'_, ()> {
        self.shared
            .gate
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Recent writes to a key, or to all of them.
    pub fn recently(&self, key: &[u8]) -> Vec<String> {
        let key = String::from_utf8_lossy(key).into_owned();
        let recent = self
            .shared
            .recent
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let concerns = |line: &&String| {
            let upper = line.to_ascii_uppercase();
            line.contains(&key)
                || ["SWAPDB", "FLUSHDB", "SELECT"]
                    .iter()
                    .any(|name| upper.starts_with(name))
        };
        let lines: Vec<_> = recent.iter().filter(concerns).cloned().collect();
        lines[lines.len().saturating_sub(RECENT_SHOWN_MAX)..].to_vec()
    }

    /// The number of commands that a primary has answered.
    pub fn written(&self) -> u64 {
        self.shared.written.load(Ordering::Relaxed)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            _ = thread.join();
        }
    }
}

impl Shared {
    /// Writes round after round. Connects again whenever a connection ends or the target changes. Repeats a failed round, so that
    /// every number is written in the end.
    fn write(&self, mut round: impl FnMut(&mut Client) -> Vec<Words>) {
        let mut failed = None;
        while !self.stopped.load(Ordering::Relaxed) {
            let port = self.target.load(Ordering::Relaxed);
            let is_to_go_on = || {
                self.target.load(Ordering::Relaxed) == port && !self.stopped.load(Ordering::Relaxed)
            };
            let select = [words(&format!("SELECT {WATCHED_DB}"))];
            if let Ok(mut client) = Client::try_connect(port)
                && self.write_to(&mut client, &select)
            {
                while is_to_go_on() && self.write_once(&mut client, &mut failed, &mut round) {
                    // Not at full speed, because the readers need their share of the processors.
                    sleep(Duration::from_millis(2));
                }
            }
            sleep(Duration::from_millis(2));
        }
    }

    fn write_once(
        &self,
        client: &mut Client,
        failed: &mut Option<Vec<Words>>,
        round: &mut impl FnMut(&mut Client) -> Vec<Words>,
    ) -> bool {
        let _open = self.gate.read().unwrap_or_else(PoisonError::into_inner);
        let commands = failed.take().unwrap_or_else(|| round(client));
        let is_written = self.write_to(client, &commands);
        *failed = (!is_written).then_some(commands);
        is_written
    }

    /// Whether the primary accepted the commands: false if it is gone, or no longer a primary.
    fn write_to(&self, client: &mut Client, commands: &[Words]) -> bool {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.extend(commands.iter().map(|words| show(words)));
        let beyond = recent.len().saturating_sub(RECENT_MAX);
        recent.drain(..beyond);
        drop(recent);
        let request: Vec<u8> = commands.iter().flat_map(|words| encode(words)).collect();
        let sent = client.send(&request);
        let replies: Result<Vec<_>, _> = commands.iter().map(|_| client.read()).collect();
        self.written
            .fetch_add(commands.len() as u64, Ordering::Relaxed);
        sent.is_ok() && replies.is_ok_and(|replies| !replies.iter().any(is_no_primary))
    }
}

fn is_no_primary(reply: &Reply) -> bool {
    reply.0.starts_with(b"-READONLY") || reply.0.starts_with(b"-LOADING")
}

/// Random writes of every kind, to the oracle's databases.
fn anything(generator: &mut Generator, client: &mut Client) -> Vec<Words> {
    if generator.pools.one_in(40) {
        let dumps: Vec<_> = generator
            .dumps(5)
            .iter()
            .map(|words| client.words(&words.iter().map(Vec::as_slice).collect::<Vec<_>>()))
            .collect();
        generator.pools.payloads = dumps.iter().filter_map(Reply::bulk).collect();
    }
    let steps = generator.steps(STEPS).into_iter();
    let writes = steps.flat_map(|step| match step {
        Step::Write(commands) => commands,
        Step::Attach => Vec::new(),
    });
    writes.filter(is_wanted).collect()
}

/// Leaves out what deletes the readers' keys, what only the primary can order (a DIFFERENCE of SORT), what crashes Redis 8.0, and
/// what its own replicas apply differently.
fn is_wanted(words: &Words) -> bool {
    let name = words[0].to_ascii_lowercase();
    let is_unwanted = match name.as_slice() {
        // With different scores the result depends on the levels of a skip list, which each server chooses at random.
        b"zremrangebylex" => true,
        b"zrangestore" => has(words, "bylex"),
        // A zero loses its sign if its sorted set is packed, and a full sync may pack it.
        b"zadd" | b"zincrby" => has(words, "-0"),
        b"zunionstore" | b"zinterstore" => has(words, "weights"),
        // Valkey 9.1 searches the key, too, for options that it rewrites.
        b"hsetex" => !words.get(1).is_some_and(|key| key.contains(&b':')),
        b"flushall" | b"sort" => true,
        _ => false,
    };
    !is_unwanted && !flushes_functions(words)
}

fn has(words: &Words, option: &str) -> bool {
    words
        .iter()
        .any(|word| word.eq_ignore_ascii_case(option.as_bytes()))
}

/// Writes the keys that readers watch, each round with a number larger by one.
struct Keeper {
    round: u64,
    rng: fastrand::Rng,
}

impl Keeper {
    fn new(seed: u64) -> Self {
        Self {
            round: 0,
            rng: fastrand::Rng::with_seed(seed),
        }
    }

    /// The writes before the first round.
    fn begin(&mut self) -> Vec<Words> {
        let mut commands = vec![words(&format!("SELECT {WATCHED_DB}"))];
        commands.extend((0..STEADY_KEYS).map(set_steady));
        commands.extend(self.round());
        commands
    }

    fn round(&mut self) -> Vec<Words> {
        self.round += 1;
        let n = self.round;
        let mut commands = vec![words("MULTI"), words(&format!("SET pair:a {n}"))];
        // Occasionally a long transaction.
        let filling = if self.rng.u8(..16) == 0 {
            150
        } else {
            self.rng.usize(0..4)
        };
        commands.extend((0..filling).map(|_| self.filling()));
        commands.extend(
            [
                format!("SET pair:b {n}"),
                "EXEC".into(),
                format!("SET first {n}"),
                format!("SET second {n}"),
            ]
            .map(|line| words(&line)),
        );
        commands.push(set_steady(self.rng.usize(0..STEADY_KEYS)));
        commands
    }

    /// A write of a few hundred bytes, rarely of tens of thousands.
    fn filling(&mut self) -> Words {
        let length = if self.rng.u8(..) == 0 {
            60_000
        } else {
            self.rng.usize(0..700)
        };
        let value = vec![self.rng.u8(..); length];
        let key = format!("filling:{}", self.rng.u8(..60));
        vec![b"SET".to_vec(), key.into_bytes(), value]
    }
}

/// Writes the value that a steady key always has.
fn set_steady(number: usize) -> Words {
    let (key, value) = steady(number);
    vec![b"SET".to_vec(), key, value]
}
