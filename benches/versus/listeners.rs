//! What reaches those who listen to changes: keyspace notifications, invalidations of cached keys, and the lines of `redtail tail`.
//!
//! The primary sets keys, each as often as the others. Every listener adds up the numbers of the keys that it is told of, so a key
//! that is left out or told twice is noticed.

use std::io::{ErrorKind, Read as _, Write as _};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::control::{Control, wait, wait_applied, wait_in_sync};
use crate::measure::Plan;
use crate::process::{PATIENCE, Process};
use crate::report::Results;
use crate::systems::{System, primary};

/// Keys that the primary sets in turn.
const KEYS: u64 = 100_000;
/// The bytes of `key:` and a number.
const KEY_BYTES: usize = 12;
/// What reaches all listeners together in one measurement, at least.
const RECEPTIONS: u64 = 400_000;
/// The number of tracking clients.
const TRACKING: u64 = 1000;
/// Keys that the primary sets for `redtail tail`.
const LINES: u64 = 1_000_000;

/// Measures a system as a replica of an own primary.
pub(crate) fn measure(plan: &Plan, primary_name: &str, system: &System, results: &mut Results) {
    let primary = primary(primary_name);
    set_all(primary.port, KEYS, &|_| true);
    if plan.wants("feeds") {
        let replica = system.replica_with(&[], &primary).listening();
        wait_in_sync(&replica, KEYS);
        let mut bench = Bench {
            name: &system.name,
            primary: &primary,
            replica: &replica,
            results,
        };
        bench.unheard();
        bench.notifications(1, ["events-1-rate", "events-1-cpu"]);
        bench.notifications(100, ["events-100-rate", "events-100-cpu"]);
        bench.tracking();
        bench.broadcast();
    }
    if plan.wants("tail") && !system.is_rival() {
        tail(system, &primary, results);
    }
}

struct Bench<'b> {
    name: &'b str,
    primary: &'b Process,
    replica: &'b Process,
    results: &'b mut Results,
}

impl Bench<'_> {
    /// Sets keys while nobody listens.
    fn unheard(&mut self) {
        let cpu = self.replica.cpu();
        set_all(self.primary.port, RECEPTIONS, &|_| true);
        wait_applied(self.replica, self.primary);
        let cpu = self.replica.cpu() - cpu;
        let per_write = cpu.as_secs_f64() * 1e6 / RECEPTIONS as f64;
        self.results.record("unheard-cpu", self.name, per_write);
    }

    fn record(&mut self, [rate, cpu]: [&'static str; 2], cost: &Cost) {
        let count = cost.receptions as f64;
        let per_second = count / cost.took.as_secs_f64();
        self.results.record(rate, self.name, per_second / 1e3);
        let cpu_us = cost.cpu.as_secs_f64() * 1e6 / count;
        self.results.record(cpu, self.name, cpu_us);
    }

    fn notifications(&mut self, listeners: u64, rows: [&'static str; 2]) {
        let mut control = Control::of(self.replica);
        let configured = control.ask::<()>(&["CONFIG", "SET", "notify-keyspace-events", "EA"]);
        configured.expect("CONFIG SET");
        let mut listeners = Listeners::connect(self.replica.port, listeners, &|_| {
            command(&["SUBSCRIBE", "__keyevent@0__:set"])
        });
        let writes = RECEPTIONS / listeners.count();
        self.run(&mut listeners, writes / 10, listeners_all);
        let cost = self.run(&mut listeners, writes, listeners_all);
        self.record(rows, &cost);
    }

    /// Each client reads its part of the keys, then all keys are set once, several times.
    fn tracking(&mut self) {
        let request = |_| command(&["CLIENT", "TRACKING", "ON"]);
        let mut clients = Listeners::connect(self.replica.port, TRACKING, &request);
        let mut total = Cost::default();
        for round in 0..=RECEPTIONS / KEYS {
            clients.read_all();
            let cost = self.run(&mut clients, KEYS, |_, writes| writes);
            // The first round warms up.
            if round > 0 {
                total.add(&cost);
            }
        }
        self.record(["tracking-rate", "tracking-cpu"], &total);
    }

    fn broadcast(&mut self) {
        let request = |_| command(&["CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "key:"]);
        let mut clients = Listeners::connect(self.replica.port, TRACKING, &request);
        let writes = 5 * RECEPTIONS / TRACKING;
        self.run(&mut clients, writes / 10, listeners_all);
        let cost = self.run(&mut clients, writes, listeners_all);
        self.record(["bcast-rate", "bcast-cpu"], &cost);
    }

    /// Sets keys, and waits until the listeners have been told `told(listeners, writes)` times.
    fn run(&self, listeners: &mut Listeners, writes: u64, told: impl Fn(u64, u64) -> u64) -> Cost {
        let (each, receptions) = (
            told(listeners.count(), writes) / writes,
            told(listeners.count(), writes),
        );
        let (cpu, begun) = (self.replica.cpu(), Instant::now());
        let sum = listeners.hear(receptions, |received| {
            let ahead = |sent: u64| {
                let waiting = (sent * each).saturating_sub(received());
                waiting < 50_000.max(2 * each)
            };
            set_all(self.primary.port, writes, &ahead);
        });
        let took = begun.elapsed();
        let numbers: u64 = (0..writes).map(|number| number % KEYS).sum();
        assert_eq!(sum, numbers * each, "other keys than those that were set");
        wait_applied(self.replica, self.primary);
        Cost {
            receptions,
            took,
            cpu: self.replica.cpu() - cpu,
        }
    }
}

/// Everyone is told of every write.
const fn listeners_all(listeners: u64, writes: u64) -> u64 {
    listeners * writes
}

#[derive(Default)]
struct Cost {
    receptions: u64,
    took: Duration,
    cpu: Duration,
}

impl Cost {
    fn add(&mut self, other: &Self) {
        self.receptions += other.receptions;
        self.took += other.took;
        self.cpu += other.cpu;
    }
}

/// Measures `redtail tail`, which prints a line for each write into a file.
fn tail(system: &System, primary: &Process, results: &mut Results) {
    let tail = system.tail(primary);
    let mut control = Control::of(primary);
    wait(&tail, Duration::from_millis(20), || {
        control.set("begin", b"");
        tail.log().contains("\"key\":\"begin\"")
    });
    let (cpu, begun) = (tail.cpu(), Instant::now());
    set_all(primary.port, LINES, &|_| true);
    control.set("end", b"");
    wait(&tail, Duration::from_millis(5), || {
        tail.log_ends_with("\"key\":\"end\"")
    });
    let (took, cpu) = (begun.elapsed(), tail.cpu() - cpu);
    let log = tail.log();
    let lines = log.lines().filter(|line| line.contains("\"key\":\"key:"));
    assert_eq!(lines.count() as u64, LINES, "lines are missing");
    let name = &system.name;
    results.record("tail-rate", name, LINES as f64 / took.as_secs_f64() / 1e3);
    results.record("tail-cpu", name, cpu.as_secs_f64() * 1e6 / LINES as f64);
}

/// Encodes a command.
fn command(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len());
    for word in words {
        bytes += &format!("${}\r\n{word}\r\n", word.len());
    }
    bytes.into_bytes()
}

fn key(number: u64) -> String {
    format!("key:{number:08}")
}

/// Lets the server set `count` keys, and waits while `ahead` returns false for the number of keys set so far.
fn set_all(port: u16, count: u64, ahead: &dyn Fn(u64) -> bool) {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).expect("the primary");
    stream.set_nodelay(true).expect("a TCP socket");
    let mut sent = 0;
    while sent < count {
        if !ahead(sent) {
            sleep(Duration::from_micros(200));
            continue;
        }
        let now = (count - sent).min(200);
        let numbers = (sent..sent + now).map(|number| number % KEYS);
        let requests = numbers.flat_map(|number| command(&["SET", &key(number), "value"]));
        let requests: Vec<u8> = requests.collect();
        stream.write_all(&requests).expect("the primary reads");
        let mut replies = vec![0; now as usize * b"+OK\r\n".len()];
        stream
            .read_exact(&mut replies)
            .expect("the primary answers");
        assert_eq!(replies, b"+OK\r\n".repeat(now as usize));
        sent += now;
    }
}

/// Connections that are told of changes.
struct Listeners {
    poll: Poll,
    all: Vec<Listener>,
    input: Vec<u8>,
}

struct Listener {
    stream: TcpStream,
    /// The beginning of a line whose end has not come yet.
    line: Vec<u8>,
}

impl Listeners {
    /// Connects listeners, each of which sends the request that `request` returns for its number, in RESP3.
    fn connect(port: u16, count: u64, request: &dyn Fn(u64) -> Vec<u8>) -> Self {
        let poll = Poll::new().expect("epoll");
        let all = (0..count).map(|number| {
            let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).expect("the server");
            stream.write_all(b"HELLO 3\r\n").expect("it reads");
            stream.write_all(&request(number)).expect("it reads");
            stream.write_all(b"ECHO marker\r\n").expect("it reads");
            read_until(&mut stream, b"$6\r\nmarker\r\n");
            stream.set_nonblocking(true).expect("a TCP socket");
            let mut stream = TcpStream::from_std(stream);
            let token = Token(number as usize);
            let registered = poll
                .registry()
                .register(&mut stream, token, Interest::READABLE);
            registered.expect("epoll");
            let line = Vec::new();
            Listener { stream, line }
        });
        Self {
            all: all.collect(),
            poll,
            input: vec![0; 64 << 10],
        }
    }

    fn count(&self) -> u64 {
        self.all.len() as u64
    }

    /// Each listener reads its part of the keys, and waits for the values.
    fn read_all(&mut self) {
        let each = KEYS / self.count();
        let values = b"$5\r\nvalue\r\n".repeat(each as usize);
        for (listener, first) in self.all.iter_mut().zip((0..).step_by(each as usize)) {
            let keys = first..first + each;
            let request: Vec<u8> = keys
                .flat_map(|number| command(&["GET", &key(number)]))
                .collect();
            let mut replies = vec![0; values.len()];
            listener.blocking(|stream| {
                stream.write_all(&request).expect("the server reads");
                stream.read_exact(&mut replies).expect("it answers");
            });
            assert_eq!(replies, values);
        }
    }

    /// Lets `act` run, which may ask how many keys the listeners have been told of, until these are `count`. Returns the sum of the
    /// keys' numbers.
    fn hear(&mut self, count: u64, act: impl FnOnce(&dyn Fn() -> u64) + Send) -> u64 {
        let (received, failed) = (AtomicU64::new(0), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                act(&|| match failed.load(Ordering::Relaxed) {
                    true => u64::MAX,
                    false => received.load(Ordering::Relaxed),
                });
            });
            let deadline = Instant::now() + PATIENCE;
            let mut events = Events::with_capacity(1024);
            let mut sum = 0;
            while received.load(Ordering::Relaxed) < count {
                if Instant::now() > deadline {
                    failed.store(true, Ordering::Relaxed);
                    panic!("some changes are not told");
                }
                let patience = Some(Duration::from_secs(1));
                self.poll.poll(&mut events, patience).expect("epoll");
                for event in &events {
                    let listener = &mut self.all[event.token().0];
                    let [keys, numbers] = listener.receive(&mut self.input);
                    received.fetch_add(keys, Ordering::Relaxed);
                    sum += numbers;
                }
            }
            assert_eq!(received.load(Ordering::Relaxed), count, "too many changes");
            sum
        })
    }
}

/// Reads until the bytes end with `end`.
fn read_until(stream: &mut std::net::TcpStream, end: &[u8]) {
    let mut seen = Vec::new();
    while !seen.ends_with(end) {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("the server answers");
        seen.push(byte[0]);
    }
}

impl Listener {
    /// Lets `act` read and write without looking at readiness.
    fn blocking(&mut self, act: impl FnOnce(&mut std::net::TcpStream)) {
        use std::os::fd::AsFd as _;
        let own = self.stream.as_fd().try_clone_to_owned();
        let mut stream = std::net::TcpStream::from(own.expect("a socket"));
        stream.set_nonblocking(false).expect("a TCP socket");
        act(&mut stream);
        stream.set_nonblocking(true).expect("a TCP socket");
    }

    /// Reads what has come. Returns the number of keys, and the sum of their numbers.
    fn receive(&mut self, input: &mut [u8]) -> [u64; 2] {
        let mut told = [0; 2];
        loop {
            let read = match self.stream.read(input) {
                Ok(0) => panic!("the server disconnected a listener"),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return told,
                Err(error) => panic!("{error}"),
            };
            for piece in input[..read].split_inclusive(|byte| *byte == b'\n') {
                self.line.extend_from_slice(piece);
                if !piece.ends_with(b"\n") {
                    continue;
                }
                if let Some(number) = self.line.strip_prefix(b"key:") {
                    assert_eq!(self.line.len(), KEY_BYTES + b"\r\n".len());
                    let digits = number[..8].iter();
                    let number = digits.fold(0, |all, digit| all * 10 + u64::from(digit - b'0'));
                    told = [told[0] + 1, told[1] + number];
                }
                self.line.clear();
            }
            if read < input.len() {
                return told;
            }
        }
    }
}
