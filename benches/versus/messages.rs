//! Messages of the primary on their way to the replica's subscribers: how many per second, at what cost, and what that costs
//! another client's reads.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::control::{Control, wait_in_sync};
use crate::disturbed::throughout;
use crate::process::{PATIENCE, Process};
use crate::systems::{System, primary};

/// The number of subscribers.
const SUBSCRIBERS: usize = 10_000;
/// Receptions per second at which the reads of another client are measured.
const PACES: [u64; 2] = [10_000, 100_000];
/// Receptions of a run at full speed.
const RECEPTIONS: u64 = 300_000;
/// The number of subscribers of each channel.
const SHAPES: [usize; 3] = [1, 100, SUBSCRIBERS];
const PAYLOAD: &str = "mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm";
/// The reads of another client per second.
const READS_PER_SECOND: u32 = 1000;

/// What was measured of one system with one shape.
struct Measured {
    system: String,
    per_channel: usize,
    per_second: f64,
    cpu_us: f64,
    idle_bytes: f64,
    busy_bytes: f64,
    /// Reads without messages.
    quiet: P99,
    /// Reads beside messages, for each of [`PACES`].
    loud: [Loud; PACES.len()],
}

/// Reads beside messages.
struct Loud {
    per_second: f64,
    reads: P99,
}

/// The 99th percentile of reads, in µs.
struct P99 {
    /// At the replica with the subscribers.
    here: f64,
    /// In the same time at another replica, of the same system and without subscribers: what the load of the machine alone does.
    elsewhere: f64,
}

/// Measures all systems as replicas of one primary, with the wanted numbers of subscribers per channel, and returns a table.
pub(crate) fn measure(
    primary_name: &str,
    systems: &[System],
    wants: impl Fn(usize) -> bool,
    time: Duration,
) -> String {
    let primary = primary(primary_name);
    Control::of(&primary).set("key", b"value");
    let mut all = Vec::new();
    for per_channel in SHAPES.into_iter().filter(|shape| wants(*shape)) {
        for system in systems {
            all.push(measure_one(system, &primary, per_channel, time));
        }
    }
    table(&all)
}

fn measure_one(system: &System, primary: &Process, per_channel: usize, time: Duration) -> Measured {
    let replica = system
        .replica_with(&["--maxclients", "11000"], primary)
        .listening();
    let bystander = system.replica_with(&[], primary).listening();
    wait_in_sync(&replica, 1);
    wait_in_sync(&bystander, 1);
    let before = replica.resident_bytes();
    let mut subscribers = Subscribers::connect(replica.port, per_channel);
    let each = |bytes: u64| bytes.saturating_sub(before) as f64 / SUBSCRIBERS as f64;
    let idle_bytes = each(replica.resident_bytes());
    let channels = SUBSCRIBERS / per_channel;
    // Warm up.
    subscribers.run(primary.port, channels, RECEPTIONS / 10, None);
    let (cpu, begun) = (replica.cpu(), Instant::now());
    subscribers.run(primary.port, channels, RECEPTIONS, None);
    let (took, cpu) = (begun.elapsed(), replica.cpu() - cpu);
    let busy_bytes = each(replica.resident_bytes());
    let reads = || P99::of(&replica, &bystander, time);
    let quiet = reads();
    let loud = PACES.map(|pace| {
        let receptions = (pace as f64 * time.as_secs_f64()) as u64;
        let mut took = Duration::ZERO;
        let reads = throughout(
            |stop| {
                let begun = Instant::now();
                subscribers.run(primary.port, channels, receptions, Some(pace));
                took = begun.elapsed();
                stop.store(true, Ordering::Relaxed);
            },
            reads,
        );
        let per_second = receptions as f64 / took.as_secs_f64();
        Loud { per_second, reads }
    });
    Measured {
        system: system.name.clone(),
        per_channel,
        per_second: RECEPTIONS as f64 / took.as_secs_f64(),
        cpu_us: cpu.as_secs_f64() * 1e6 / RECEPTIONS as f64,
        idle_bytes,
        busy_bytes,
        quiet,
        loud,
    }
}

impl P99 {
    /// Reads from both replicas for `time`.
    fn of(here: &Process, elsewhere: &Process, time: Duration) -> Self {
        let (here, elsewhere) = (here.port, elsewhere.port);
        std::thread::scope(|scope| {
            let elsewhere = scope.spawn(move || read_for(elsewhere, time));
            Self {
                here: p99_us(read_for(here, time)),
                elsewhere: p99_us(elsewhere.join().expect("no panic")),
            }
        })
    }
}

fn p99_us(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    let at = times.len() * 99 / 100;
    times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1e6)
}

/// Reads a key at a fixed pace. Returns how long each read took.
fn read_for(port: u16, time: Duration) -> Vec<Duration> {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).expect("the server");
    stream.set_nodelay(true).expect("a TCP socket");
    let begun = Instant::now();
    let mut times = Vec::new();
    let mut reply = [0; 11];
    while begun.elapsed() < time {
        let due = Duration::from_secs(times.len() as u64) / READS_PER_SECOND;
        sleep(due.saturating_sub(begun.elapsed()));
        let asked = Instant::now();
        stream
            .write_all(b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n")
            .expect("the server reads");
        stream.read_exact(&mut reply).expect("the server answers");
        times.push(asked.elapsed());
        assert_eq!(&reply, b"$5\r\nvalue\r\n");
    }
    times
}

fn channel(number: usize) -> String {
    format!("channel:{number:05}")
}

/// Publishes `count` messages, to the channels in turn, and reads the replies. With `per_second`, at that pace.
fn publish(
    port: u16,
    channels: usize,
    count: u64,
    per_second: Option<u64>,
    ahead: &dyn Fn(u64) -> bool,
) {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).expect("the primary");
    stream.set_nodelay(true).expect("a TCP socket");
    let begun = Instant::now();
    let (mut sent, mut replies) = (0, vec![0; 64 << 10]);
    while sent < count {
        let due = per_second.map_or(count, |rate| {
            (begun.elapsed().as_secs_f64() * rate as f64) as u64 + 1
        });
        let now = due.min(count).saturating_sub(sent).min(200);
        if now == 0 || !ahead(sent) {
            sleep(Duration::from_micros(200));
            continue;
        }
        let mut request = Vec::new();
        for number in sent..sent + now {
            let name = channel(number as usize % channels);
            request.extend(
                format!(
                    "*3\r\n$7\r\nPUBLISH\r\n${}\r\n{name}\r\n$32\r\n{PAYLOAD}\r\n",
                    name.len()
                )
                .bytes(),
            );
        }
        stream.write_all(&request).expect("the primary reads");
        // Nobody listens at the primary: each reply is `:0`.
        let mut left = now as usize * 4;
        while left > 0 {
            let most = left.min(replies.len());
            left -= stream
                .read(&mut replies[..most])
                .expect("the primary answers");
        }
        sent += now;
    }
}

/// Connections that have subscribed to one channel each.
struct Subscribers {
    poll: Poll,
    clients: Vec<Subscriber>,
    per_channel: usize,
    input: Vec<u8>,
}

struct Subscriber {
    stream: TcpStream,
    /// What each message looks like.
    message: Vec<u8>,
    /// How far the last, incomplete message has come.
    at: usize,
}

impl Subscribers {
    fn connect(port: u16, per_channel: usize) -> Self {
        let poll = Poll::new().expect("epoll");
        let channels = SUBSCRIBERS / per_channel;
        let clients = (0..SUBSCRIBERS)
            .map(|number| Subscriber::connect(&poll, port, number, &channel(number % channels)));
        Self {
            clients: clients.collect(),
            poll,
            per_channel,
            input: vec![0; 64 << 10],
        }
    }

    /// Lets the primary publish until there are `receptions`, and waits for all of them.
    fn run(&mut self, primary: u16, channels: usize, receptions: u64, per_second: Option<u64>) {
        let each = self.per_channel as u64;
        let (messages, per_second) = (receptions / each, per_second.map(|rate| rate / each));
        let received = AtomicU64::new(0);
        let failed = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // At full speed, the primary must not run away: a server would disconnect those who are too slow.
                let ahead = |sent: u64| {
                    let waiting = (sent * each).saturating_sub(received.load(Ordering::Relaxed));
                    waiting < 50_000.max(2 * each) || failed.load(Ordering::Relaxed)
                };
                publish(primary, channels, messages, per_second, &ahead);
            });
            let deadline = Instant::now() + PATIENCE;
            let mut events = Events::with_capacity(1024);
            while received.load(Ordering::Relaxed) < messages * each {
                if Instant::now() > deadline {
                    failed.store(true, Ordering::Relaxed);
                    panic!("messages are missing");
                }
                let patience = Some(Duration::from_secs(1));
                self.poll.poll(&mut events, patience).expect("epoll");
                for event in &events {
                    let client = &mut self.clients[event.token().0];
                    let count = client.receive(&mut self.input);
                    received.fetch_add(count, Ordering::Relaxed);
                }
            }
        });
    }
}

impl Subscriber {
    fn connect(poll: &Poll, port: u16, number: usize, channel: &str) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut stream = std::net::TcpStream::connect(address).expect("the server accepts");
        let length = channel.len();
        let request = format!("*2\r\n$9\r\nSUBSCRIBE\r\n${length}\r\n{channel}\r\n");
        stream.write_all(request.as_bytes()).expect("it reads");
        let expected = format!("*3\r\n$9\r\nsubscribe\r\n${length}\r\n{channel}\r\n:1\r\n");
        let mut reply = vec![0; expected.len()];
        stream.read_exact(&mut reply).expect("it answers");
        assert_eq!(reply, expected.as_bytes());
        stream.set_nonblocking(true).expect("a TCP socket");
        let mut stream = TcpStream::from_std(stream);
        poll.registry()
            .register(&mut stream, Token(number), Interest::READABLE)
            .expect("epoll");
        let message =
            format!("*3\r\n$7\r\nmessage\r\n${length}\r\n{channel}\r\n$32\r\n{PAYLOAD}\r\n");
        Self {
            stream,
            message: message.into_bytes(),
            at: 0,
        }
    }

    /// Reads what has come, and checks it. Returns the number of whole messages.
    fn receive(&mut self, input: &mut [u8]) -> u64 {
        let mut whole = 0;
        loop {
            let read = match self.stream.read(input) {
                Ok(0) => panic!("the server disconnected a subscriber"),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return whole,
                Err(error) => panic!("{error}"),
            };
            let mut bytes = &input[..read];
            while !bytes.is_empty() {
                let rest = &self.message[self.at..];
                let length = rest.len().min(bytes.len());
                assert_eq!(&bytes[..length], &rest[..length], "another message");
                self.at += length;
                if self.at == self.message.len() {
                    self.at = 0;
                    whole += 1;
                }
                bytes = &bytes[length..];
            }
            if read < input.len() {
                return whole;
            }
        }
    }
}

fn table(all: &[Measured]) -> String {
    let mut text = format!(
        "{SUBSCRIBERS} subscribers, payloads of {} bytes.\n\n| subscribers per channel | system | received/s | CPU per reception, µs | memory per idle subscriber, bytes | after traffic, bytes |\n|---|---|---|---|---|---|\n",
        PAYLOAD.len()
    );
    for one in all {
        text += &format!(
            "| {} | {} | {:.0} | {:.2} | {:.0} | {:.0} |\n",
            one.per_channel, one.system, one.per_second, one.cpu_us, one.idle_bytes, one.busy_bytes,
        );
    }
    text += &format!(
        "\np99 of {READS_PER_SECOND} GET/s by one client, µs, and in the same time at another replica without subscribers.\n\n| subscribers per channel | system | receptions/s wanted | received/s | p99 | p99 elsewhere |\n|---|---|---|---|---|---|\n"
    );
    for one in all {
        let quiet = (0, 0.0, &one.quiet);
        let loud = PACES.iter().zip(&one.loud);
        let loud = loud.map(|(pace, loud)| (*pace, loud.per_second, &loud.reads));
        for (pace, per_second, reads) in std::iter::once(quiet).chain(loud) {
            text += &format!(
                "| {} | {} | {pace} | {per_second:.0} | {:.0} | {:.0} |\n",
                one.per_channel, one.system, reads.here, reads.elsewhere,
            );
        }
    }
    for pair in all.chunks(2) {
        if let [ours, theirs] = pair {
            text += &format!(
                "\n{} to {} with {} per channel: received/s ×{:.2}, CPU ×{:.2}, memory ×{:.2} ",
                ours.system,
                theirs.system,
                ours.per_channel,
                ours.per_second / theirs.per_second,
                ours.cpu_us / theirs.cpu_us,
                ours.busy_bytes / theirs.busy_bytes,
            );
        }
    }
    text + "\n"
}
