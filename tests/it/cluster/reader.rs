//! Readers that never stop. On each connection, a key that always exists is never nil, its version is one that was sent, and no
//! version is older than one that this connection has seen before. Errors are of a few kinds, and end soon after what caused them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::OpenOptions;
use std::io;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use super::calm::Calm;
use super::keys::{KINDS, Words};
use super::router::{Prefer, Router};
use super::writer::Written;
use crate::client::{Client, Reply, show, words};
use crate::servers::PATIENCE;

/// What a reader reads from.
#[derive(Clone, Debug)]
pub enum Target {
    /// A server with a single keyspace.
    One(u16),
    /// The replicas that these servers name, as cluster clients do that read from replicas.
    Replicas(Vec<u16>),
    /// The primaries that these servers name.
    Primaries(Vec<u16>),
}

/// The slot of which half of all reads are.
pub type Focus = Arc<AtomicU16>;

/// Readers of one target, which end when this is dropped.
pub struct Readers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    target: Target,
    written: Arc<Written>,
    calm: Calm,
    focus: Focus,
    stopped: AtomicBool,
    report: Mutex<Report>,
}

/// What readers have seen.
#[derive(Clone, Default, Debug)]
pub struct Report {
    pub reads: u64,
    pub walks: u64,
    /// How long all replies took together, and the slowest.
    pub waited: Duration,
    pub slowest: Duration,
    /// The number of errors by their first words.
    pub errors: BTreeMap<String, u64>,
    pub violations: u64,
    /// The wrong values among them.
    pub wrong: u64,
    /// The first of them.
    pub shown: Vec<String>,
}

impl Readers {
    pub fn start(target: &Target, written: &Arc<Written>, calm: &Calm, focus: &Focus) -> Self {
        let shared = Arc::new(Shared {
            target: target.clone(),
            written: Arc::clone(written),
            calm: calm.clone(),
            focus: Arc::clone(focus),
            stopped: AtomicBool::new(false),
            report: Mutex::default(),
        });
        let start = |seed: u64| {
            let mut reader = Reader {
                source: Source::new(target),
                seen: HashMap::new(),
                rng: fastrand::Rng::with_seed(seed),
                shared: Arc::clone(&shared),
            };
            thread::spawn(move || reader.run())
        };
        Self {
            threads: (0..READERS).map(start).collect(),
            shared: Arc::clone(&shared),
        }
    }

    /// What they have seen so far.
    pub fn report(&self) -> Report {
        self.shared.report().clone()
    }

    /// Waits until that number of further requests are answered, whatever the replies.
    pub fn wait_for_reads(&self, number: u64) {
        let before = self.report();
        let deadline = Instant::now() + PATIENCE;
        while self.report().reads < before.reads + number {
            let now = self.report();
            assert!(
                Instant::now() < deadline,
                "{before:#?} and no more than {now:#?}"
            );
            sleep(Duration::from_millis(10));
        }
    }

    /// # Panics
    /// If a reader has seen something wrong.
    pub fn check(&self) {
        let report = self.report();
        if report.wrong > 0 {
            remember(&report);
        }
        assert_eq!(
            report.violations, 0,
            "{:?}: {report:#?}",
            self.shared.target
        );
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            _ = thread.join();
        }
    }
}

impl Shared {
    fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connections of a reader.
enum Source {
    One(OneKeyspace),
    Cluster(Router, Prefer),
}

struct OneKeyspace {
    port: u16,
    connection: Option<Client>,
    connections: u64,
}

/// The connection that a reply came from, of those whose replies must not go back in time.
type Origin = u64;

impl Source {
    fn new(target: &Target) -> Self {
        match target.clone() {
            Target::One(port) => Self::One(OneKeyspace {
                port,
                connection: None,
                connections: 0,
            }),
            Target::Replicas(seeds) => {
                Self::Cluster(Router::new(seeds, Prefer::Replicas), Prefer::Replicas)
            }
            Target::Primaries(seeds) => {
                Self::Cluster(Router::new(seeds, Prefer::Primaries), Prefer::Primaries)
            }
        }
    }

    const fn is_one(&self) -> bool {
        matches!(self, Self::One(_))
    }

    fn ask(&mut self, slot: u16, command: &Words) -> io::Result<(Origin, Reply)> {
        match self {
            Self::One(one) => one.ask(command),
            Self::Cluster(router, prefer) => {
                let mut answer = router.ask(slot, std::slice::from_ref(command))?;
                // All primaries together are never behind, whoever answers.
                let origin = match prefer {
                    Prefer::Primaries => 0,
                    Prefer::Replicas => answer.connection,
                };
                Ok((origin, answer.replies.remove(0)))
            }
        }
    }
}

impl OneKeyspace {
    fn ask(&mut self, command: &Words) -> io::Result<(Origin, Reply)> {
        let mut client = match self.connection.take() {
            Some(client) => client,
            None => self.connect()?,
        };
        let words: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
        let reply = client.try_command(&words)?;
        self.connection = Some(client);
        Ok((self.connections, reply))
    }

    fn connect(&mut self) -> io::Result<Client> {
        self.connections += 1;
        Ok(Client::try_connect(self.port)?.patient(REPLY_MAX))
    }
}

/// What a reader asks: about keys by their numbers.
enum Question {
    /// The whole value of a key.
    Value(usize),
    /// The values of several strings.
    Values(Vec<usize>),
    /// Whether all of them exist.
    Exist(Vec<usize>),
    /// All keys there are.
    Walk,
}

/// Why a question has no good answer.
enum Trouble {
    /// The server said so, or the connection ended.
    Refused(String),
    /// The answer is wrong.
    Wrong(String),
}

struct Reader {
    source: Source,
    shared: Arc<Shared>,
    /// The newest version seen of each key, by connection.
    seen: HashMap<(Origin, usize), u64>,
    rng: fastrand::Rng,
}

impl Reader {
    fn run(&mut self) {
        while !self.shared.stopped.load(Ordering::SeqCst) {
            let question = self.question();
            let asked = Instant::now();
            let answer = self.answer(&question);
            self.count(asked.elapsed());
            if let Err(trouble) = answer {
                self.note(trouble, asked);
                sleep(BREATH * 20);
            }
            sleep(BREATH);
        }
    }

    fn count(&self, waited: Duration) {
        let mut report = self.shared.report();
        report.reads += 1;
        report.waited += waited;
        report.slowest = report.slowest.max(waited);
    }

    fn question(&mut self) -> Question {
        let is_one = self.source.is_one();
        match self.rng.u16(..1000) {
            0 if is_one => Question::Walk,
            0..350 => Question::Values(self.several(|key| key.is_string())),
            350..500 => Question::Exist(self.several(|_| true)),
            _ => Question::Value(self.any()),
        }
    }

    /// A key: every other time one of the slot that is looked at.
    fn any(&mut self) -> usize {
        let keys = &self.shared.written.keys;
        let slot = self.shared.focus.load(Ordering::SeqCst);
        let first = keys.iter().position(|key| key.slot == slot);
        match first.filter(|_| self.rng.bool()) {
            Some(first) => first + self.rng.usize(..KINDS.len()),
            None => self.rng.usize(..keys.len()),
        }
    }

    /// Keys of any slots if the source has a single keyspace, else of one slot.
    fn several(&mut self, are_meant: impl Fn(&super::keys::Key) -> bool) -> Vec<usize> {
        let is_one = self.source.is_one();
        let first = self.any();
        let keys = &self.shared.written.keys;
        let mut chosen: Vec<usize> = (0..keys.len())
            .filter(|number| are_meant(&keys[*number]))
            .filter(|number| is_one || keys[*number].slot == keys[first].slot)
            .collect();
        self.rng.shuffle(&mut chosen);
        // Those of the first key's slot come first, so that some of them are there.
        chosen.sort_by_key(|number| keys[*number].slot != keys[first].slot);
        chosen.truncate(SEVERAL);
        chosen
    }

    fn answer(&mut self, question: &Question) -> Result<(), Trouble> {
        match question {
            Question::Value(number) => {
                let command = self.shared.written.keys[*number].read();
                let (origin, reply) = self.ask(*number, &command)?;
                self.judge(origin, *number, &reply, &command)
            }
            Question::Values(numbers) => self.values(numbers),
            Question::Exist(numbers) => {
                let command = self.about("EXISTS", numbers);
                let (_, reply) = self.ask(numbers[0], &command)?;
                if reply.integer() == i64::try_from(numbers.len()).ok() {
                    return Ok(());
                }
                Err(wrong(&command, &reply, "all of them always exist"))
            }
            Question::Walk => self.walk(),
        }
    }

    fn about(&self, name: &str, numbers: &[usize]) -> Words {
        let keys = numbers
            .iter()
            .map(|number| &self.shared.written.keys[*number]);
        let names: Vec<&str> = keys.map(|key| key.name.as_str()).collect();
        words(&format!("{name} {}", names.join(" ")))
    }

    fn ask(&mut self, number: usize, command: &Words) -> Result<(Origin, Reply), Trouble> {
        let slot = self.shared.written.keys[number].slot;
        let answer = self.source.ask(slot, command);
        let (origin, reply) = answer.map_err(|_| Trouble::Refused("closed".to_owned()))?;
        if !reply.is_error() {
            return Ok((origin, reply));
        }
        let text = reply.text();
        let kind = text.split(' ').next().unwrap_or_default();
        let is_allowed =
            ERRORS.contains(&kind) || (REDIRECTIONS.contains(&kind) && !self.source.is_one());
        if is_allowed {
            return Err(Trouble::Refused(kind.to_owned()));
        }
        Err(wrong(command, &reply, "no such error is allowed"))
    }

    fn values(&mut self, numbers: &[usize]) -> Result<(), Trouble> {
        let command = self.about("MGET", numbers);
        let (origin, reply) = self.ask(numbers[0], &command)?;
        let values = reply.elements();
        if values.len() != numbers.len() {
            return Err(wrong(&command, &reply, "another number of values"));
        }
        for (number, value) in numbers.iter().zip(values) {
            self.judge(origin, *number, &value, &command)?;
        }
        Ok(())
    }

    /// Checks one value.
    fn judge(
        &mut self,
        origin: Origin,
        number: usize,
        reply: &Reply,
        command: &Words,
    ) -> Result<(), Trouble> {
        let key = &self.shared.written.keys[number];
        let version = key.version(reply);
        let version = version.map_err(|fault| self.wrong_value(number, command, reply, &fault))?;
        let sent = self.shared.written.sent(number);
        let seen = self.seen.get(&(origin, number)).copied().unwrap_or(1);
        if version > sent {
            return Err(self.wrong_value(number, command, reply, "nobody has written that yet"));
        }
        if version < seen {
            let fault = format!("older than {seen}, which this connection has seen");
            return Err(self.wrong_value(number, command, reply, &fault));
        }
        self.seen.insert((origin, number), version);
        Ok(())
    }

    fn wrong_value(&self, number: usize, command: &Words, reply: &Reply, fault: &str) -> Trouble {
        let written = &self.shared.written;
        let (key, slot) = (&written.keys[number].name, written.keys[number].slot);
        let (sent, acknowledged) = (written.sent(number), written.acknowledged(number));
        let detail = format!(
            "{fault} (key {key} of slot {slot}, version {acknowledged} acknowledged, {sent} sent)"
        );
        wrong(command, reply, &detail)
    }

    /// Scans from the beginning to the end.
    fn walk(&mut self) -> Result<(), Trouble> {
        let mut found = BTreeSet::new();
        let mut cursor = "0".to_owned();
        for _ in 0..WALK_MAX {
            let command = words(&format!("SCAN {cursor} COUNT 50"));
            let (_, reply) = self.ask(0, &command)?;
            let parts = reply.elements();
            let [next, page] = parts.as_slice() else {
                return Err(wrong(&command, &reply, "no page of a scan"));
            };
            found.extend(page.elements().iter().map(Reply::text));
            cursor = next.text();
            if cursor == "0" {
                return self.judge_walk(&found);
            }
        }
        Err(Trouble::Wrong("a scan does not end".to_owned()))
    }

    fn judge_walk(&self, found: &BTreeSet<String>) -> Result<(), Trouble> {
        self.shared.report().walks += 1;
        let mut keys = self.shared.written.keys.iter();
        match keys.find(|key| !found.contains(&key.name)) {
            None => Ok(()),
            Some(key) => Err(Trouble::Wrong(format!(
                "a whole scan returned {} keys, but not {} of slot {}",
                found.len(),
                key.name,
                key.slot
            ))),
        }
    }

    fn note(&self, trouble: Trouble, asked: Instant) {
        let calm = &self.shared.calm;
        let mut report = self.shared.report();
        let violation = match trouble {
            Trouble::Refused(kind) => {
                let is_excused = calm.excuses(asked);
                let text = format!("answered {kind} though nothing is being done");
                *report.errors.entry(kind).or_default() += 1;
                (!is_excused).then_some(text)
            }
            Trouble::Wrong(text) => {
                report.wrong += 1;
                Some(text)
            }
        };
        if let Some(text) = violation {
            report.violations += 1;
            if report.shown.len() < SHOWN_MAX {
                report.shown.push(format!("{text}, {}", calm.last()));
            }
        }
    }
}

/// Keeps a report of wrong values where `tests/run` finds it: a test of a cluster may be tried again, but no wrong value is forgiven.
fn remember(report: &Report) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("wrong-values"));
    let written = file.and_then(|mut file| writeln!(file, "{report:#?}"));
    written.expect("the report is kept");
}

fn wrong(command: &Words, reply: &Reply, fault: &str) -> Trouble {
    Trouble::Wrong(format!(
        "{} was answered {reply:.300?}: {fault}",
        show(command)
    ))
}

/// Errors that any reader may meet while something is being done.
const ERRORS: [&str; 4] = ["TRYAGAIN", "LOADING", "MASTERDOWN", "CLUSTERDOWN"];

/// What a cluster client may still be told after the redirections that it follows.
const REDIRECTIONS: [&str; 2] = ["MOVED", "ASK"];

/// Readers of each target.
const READERS: u64 = 2;

/// The number of keys in one command.
const SEVERAL: usize = 12;

/// More steps than any scan of these few keys takes.
const WALK_MAX: usize = 100_000;

/// The pause after each request, so that the machine has time for everybody else.
const BREATH: Duration = Duration::from_micros(500);

const REPLY_MAX: Duration = Duration::from_secs(10);

const SHOWN_MAX: usize = 10;
