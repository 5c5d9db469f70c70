//! Readers that never stop. They must see no error, no nil for a key that always exists, no partial transaction, and nothing
//! older than what any of them has seen before.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{STEADY_KEYS, WATCHED_DB, steady};
use crate::client::{Client, Reply, encode, show, words};

/// The results of a reader.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    pub reads: u64,
    /// The longest time from a request to the last of its replies.
    pub worst: Duration,
    pub elapsed: Duration,
}

impl Seen {
    /// Replies per second.
    pub fn rate(&self) -> f64 {
        self.reads as f64 / self.elapsed.as_secs_f64()
    }
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (reads, rate, worst) = (self.reads, self.rate(), self.worst);
        write!(
            f,
            "{reads} reads, {rate:.0} per second, {worst:.1?} for the slowest request"
        )
    }
}

/// Readers of one follower, which end when this is dropped.
pub struct Readers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Seen>>,
}

#[derive(Default)]
struct Shared {
    stopped: AtomicBool,
    /// The newest moment that any reader has seen.
    newest: AtomicU64,
    /// The first fault.
    fault: Mutex<Option<String>>,
}

impl Readers {
    /// Reads from the follower on that port: two connections send many reads at once, and one sends single reads.
    pub fn start(port: u16) -> Self {
        let connect = |steady_reads: usize| {
            let mut client = Client::try_connect(port).expect("the follower listens");
            client.command(&format!("SELECT {WATCHED_DB}"));
            move |shared: &Shared, seed| {
                Reader::new(shared, seed, steady_reads).run(ByClient(client))
            }
        };
        let mut readers = Self {
            shared: Arc::default(),
            threads: Vec::new(),
        };
        for (seed, steady_reads) in [(1, 100), (2, 20), (3, 0)] {
            readers.spawn(seed, connect(steady_reads));
        }
        readers
    }

    /// Reads through a library handle.
    pub fn of_library(replica: &Arc<redtail::Replica>) -> Self {
        let mut readers = Self {
            shared: Arc::default(),
            threads: Vec::new(),
        };
        let handle = ByHandle(Arc::clone(replica));
        readers.spawn(4, move |shared, seed| {
            Reader::new(shared, seed, 50).run(handle)
        });
        readers
    }

    fn spawn(&mut self, seed: u64, run: impl FnOnce(&Shared, u64) -> Seen + Send + 'static) {
        let shared = Arc::clone(&self.shared);
        self.threads.push(thread::spawn(move || run(&shared, seed)));
    }

    /// # Panics
    /// If a reader has seen something wrong.
    pub fn check(&self) {
        if let Some(fault) = self.shared.fault() {
            panic!("a reader {fault}");
        }
    }

    /// Ends the readers. Returns their total number of reads and the longest run time.
    ///
    /// # Panics
    /// If a reader has seen something wrong.
    pub fn end(mut self) -> Seen {
        self.shared.stopped.store(true, Ordering::Relaxed);
        let mut all = Seen::default();
        for thread in self.threads.drain(..) {
            let seen = thread.join().expect("a reader ends by itself");
            all.reads += seen.reads;
            all.worst = all.worst.max(seen.worst);
            all.elapsed = all.elapsed.max(seen.elapsed);
        }
        self.check();
        all
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn fault(&self) -> Option<String> {
        self.fault
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// How a reader sends commands.
trait Ask {
    /// Whether it supports transactions.
    fn knows_exec(&self) -> bool;

    /// The replies to all commands.
    fn ask(&mut self, commands: &[Vec<Vec<u8>>]) -> Result<Vec<Reply>, String>;
}

struct ByClient(Client);

impl Ask for ByClient {
    fn knows_exec(&self) -> bool {
        true
    }

    fn ask(&mut self, commands: &[Vec<Vec<u8>>]) -> Result<Vec<Reply>, String> {
        let request: Vec<u8> = commands.iter().flat_map(|words| encode(words)).collect();
        self.0.send(&request).map_err(|error| error.to_string())?;
        let replies = commands
            .iter()
            .map(|_| self.0.read().map_err(|error| error.to_string()));
        replies.collect()
    }
}

struct ByHandle(Arc<redtail::Replica>);

impl Ask for ByHandle {
    fn knows_exec(&self) -> bool {
        false
    }

    fn ask(&mut self, commands: &[Vec<Vec<u8>>]) -> Result<Vec<Reply>, String> {
        let database = self.0.database(WATCHED_DB);
        let one = |words: &Vec<Vec<u8>>| match words[0].as_slice() {
            b"GET" => database.get(&words[1]).map(|value| Reply(as_bulk(value))),
            _ => database.mget(&words[1..]).map(|values| {
                let head = format!("*{}\r\n", values.len()).into_bytes();
                let parts = [head].into_iter().chain(values.into_iter().map(as_bulk));
                Reply(parts.flatten().collect())
            }),
        };
        let replies = commands
            .iter()
            .map(|words| one(words).map_err(|error| error.to_string()));
        replies.collect()
    }
}

/// A value encoded as a connection would send it.
fn as_bulk(value: Option<Vec<u8>>) -> Vec<u8> {
    let Some(value) = value else {
        return b"$-1\r\n".to_vec();
    };
    [format!("${}\r\n", value.len()).as_bytes(), &value, b"\r\n"].concat()
}

/// What is known about a reply.
enum Expected {
    /// These bytes.
    Steady(Vec<u8>),
    /// The number of a round, as it is after this number of the round's three steps. If the reply has two elements, both must
    /// hold it.
    Round(u64),
    /// Anything but an error.
    Anything,
}

impl Expected {
    /// Returns the earliest moment at which this reply is possible, but at least `newest`. A moment is a step of a round: three
    /// times the round's number, plus the number of its steps that are done.
    fn moment(&self, reply: &Reply, newest: u64) -> Result<u64, String> {
        if reply.is_error() {
            return Err("an error".into());
        }
        match self {
            Self::Anything => Ok(newest),
            Self::Steady(value) if reply.bulk().as_ref() == Some(value) => Ok(newest),
            Self::Steady(_) => Err("it never had that value".into()),
            Self::Round(step) => {
                let round = round_of(reply).ok_or("no round, or two different ones")?;
                let earliest = STEPS * round + step;
                let latest = earliest + STEPS - 1;
                if latest < newest {
                    return Err(format!(
                        "older than moment {newest}, which was already seen"
                    ));
                }
                Ok(newest.max(earliest))
            }
        }
    }
}

/// The round in a reply; if there are two elements, both must agree.
fn round_of(reply: &Reply) -> Option<u64> {
    let all = reply.elements();
    let one = all.first().unwrap_or(reply);
    let agree = all.iter().all(|other| other == one);
    let text = String::from_utf8(one.bulk()?).ok()?;
    text.parse().ok().filter(|_| agree)
}

/// The steps of a round: the pair, `first`, `second`.
const STEPS: u64 = 3;

/// Reads, and what is known about their replies.
type Questions = Vec<(Vec<Vec<u8>>, Expected)>;

struct Reader<'a> {
    shared: &'a Shared,
    rng: fastrand::Rng,
    /// The number of steady keys in each request; 0 for a reader that sends single reads.
    steady_reads: usize,
    seen: Seen,
}

impl<'a> Reader<'a> {
    fn new(shared: &'a Shared, seed: u64, steady_reads: usize) -> Self {
        Self {
            shared,
            rng: fastrand::Rng::with_seed(seed),
            steady_reads,
            seen: Seen::default(),
        }
    }

    fn run(mut self, mut server: impl Ask) -> Seen {
        let started = Instant::now();
        while !self.shared.stopped.load(Ordering::Relaxed) {
            if let Err(fault) = self.round(&mut server) {
                let first = &self.shared.fault;
                let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
                first.get_or_insert(fault);
                break;
            }
        }
        self.seen.elapsed = started.elapsed();
        self.seen
    }

    /// Sends one request and checks its replies.
    fn round(&mut self, server: &mut impl Ask) -> Result<(), String> {
        let (commands, expected): (Vec<_>, Vec<_>) =
            self.questions(server.knows_exec()).into_iter().unzip();
        let mut newest = self.shared.newest.load(Ordering::SeqCst);
        let asked = Instant::now();
        let replies = server.ask(&commands)?;
        self.seen.worst = self.seen.worst.max(asked.elapsed());
        self.seen.reads += replies.len() as u64;
        for ((command, expected), reply) in commands.iter().zip(expected).zip(replies) {
            let moment = expected.moment(&reply, newest);
            newest =
                moment.map_err(|fault| format!("got {reply:?} to {}: {fault}", show(command)))?;
        }
        self.shared.newest.fetch_max(newest, Ordering::SeqCst);
        Ok(())
    }

    fn questions(&mut self, knows_exec: bool) -> Questions {
        if self.steady_reads == 0 {
            let kind = self.rng.u8(..8);
            return if kind < 4 {
                vec![self.steady()]
            } else {
                vec![self.watched(kind)]
            };
        }
        let mut questions: Questions = (0..self.steady_reads).map(|_| self.steady()).collect();
        // `second` is written last, so a reader that reads it first must find the others at least as new.
        questions.extend([4, 5, 6].map(|kind| self.watched(kind)));
        if knows_exec {
            let queued = ["MULTI", "GET pair:a", "GET pair:b"];
            questions.extend(queued.map(|line| (words(line), Expected::Anything)));
            questions.push((words("EXEC"), Expected::Round(0)));
        }
        questions
    }

    fn steady(&mut self) -> (Vec<Vec<u8>>, Expected) {
        let (key, value) = steady(self.rng.usize(0..STEADY_KEYS));
        (vec![b"GET".to_vec(), key], Expected::Steady(value))
    }

    fn watched(&self, kind: u8) -> (Vec<Vec<u8>>, Expected) {
        match kind {
            4 => (words("GET second"), Expected::Round(2)),
            5 => (words("GET first"), Expected::Round(1)),
            _ => (words("MGET pair:a pair:b"), Expected::Round(0)),
        }
    }
}

#[test]
fn a_reader_tells_earlier_moments_and_mixed_ones() {
    let bulk = |text: &str| format!("${}\r\n{text}\r\n", text.len());
    let pair = |a: &str, b: &str| Reply(format!("*2\r\n{}{}", bulk(a), bulk(b)).into_bytes());
    let one = |text: &str| Reply(bulk(text).into_bytes());
    let (pairs, first) = (Expected::Round(0), Expected::Round(1));
    assert_eq!(pairs.moment(&pair("7", "7"), 0), Ok(21));
    assert!(pairs.moment(&pair("7", "8"), 0).is_err());
    assert_eq!(first.moment(&one("6"), 21), Ok(21));
    assert!(first.moment(&one("5"), 21).is_err());
    assert!(pairs.moment(&pair("6", "6"), 21).is_err());
    let steady = Expected::Steady(b"x".to_vec());
    assert!(steady.moment(&one("x"), 0).is_ok());
    for wrong in ["$-1\r\n", "$1\r\ny\r\n", "-LOADING\r\n"] {
        assert!(steady.moment(&Reply(wrong.into()), 0).is_err());
    }
    assert!(
        Expected::Anything
            .moment(&Reply(b"-LOADING\r\n".to_vec()), 0)
            .is_err()
    );
}
