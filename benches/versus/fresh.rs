//! How soon a write can be read from a replica: the time from the primary's reply to a SET until a GET from the replica returns
//! the value.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::control::{Control, wait_applied};
use crate::disturbed::{throughout, write_at_pace};
use crate::measure::StringsPrimary;
use crate::process::Process;
use crate::report::Results;

/// The key that is written and read.
const KEY: &str = "fresh";
/// The number of digits in its values.
const DIGITS: usize = 12;
/// The pause between two writes of the key, so that the replica is waiting when each arrives.
const PAUSE: Duration = Duration::from_micros(300);
/// Multiplies the time for a row. An idle link is measured for longer because it does little.
const IDLE_TIMES: u32 = 5;

/// The number of other writes per second, and the rows: the share of first reads that are stale, and p50 and p99 of the time
/// until the value is visible.
type Beside = (u64, [&'static str; 3]);

const BESIDE: [Beside; 3] = [
    (0, ["fresh-share", "fresh-p50", "fresh-p99"]),
    (
        10_000,
        ["fresh-10k-share", "fresh-10k-p50", "fresh-10k-p99"],
    ),
    (
        100_000,
        ["fresh-100k-share", "fresh-100k-p50", "fresh-100k-p99"],
    ),
];

/// Measures `replica`, which must be in sync.
pub(crate) fn measure(
    name: &str,
    replica: &Process,
    primary: &mut StringsPrimary,
    time: Duration,
    results: &mut Results,
) {
    let before = replica.cpu();
    std::thread::sleep(time * IDLE_TIMES);
    let share = (replica.cpu() - before).as_secs_f64() / (time * IDLE_TIMES).as_secs_f64();
    results.record("fresh-idle-cpu", name, share * 100.0);
    for (per_second, [share, p50, p99]) in BESIDE {
        let mut seen = beside(replica, primary, per_second, time * 2);
        results.record(share, name, seen.share() * 1e4);
        results.record(p50, name, seen.percentile_us(0.50));
        results.record(p99, name, seen.percentile_us(0.99));
    }
    // Other measurements count the keys.
    let deleted: u64 = Control::of(&primary.process)
        .ask(&["DEL", KEY])
        .expect("DEL");
    assert_eq!(deleted, 1);
    wait_applied(replica, &primary.process);
}

fn beside(
    replica: &Process,
    primary: &mut StringsPrimary,
    per_second: u64,
    time: Duration,
) -> Waits {
    let port = primary.process.port;
    if per_second == 0 {
        return waits(port, replica.port, time);
    }
    let mut sets = primary.strings.overwrites();
    let seen = throughout(
        |stop| write_at_pace(port, per_second, &mut sets, stop),
        || waits(port, replica.port, time),
    );
    primary.strings.wrote(&sets);
    wait_applied(replica, &primary.process);
    seen
}

/// How long it took until values were visible.
#[derive(Default)]
struct Waits {
    ns: Vec<u64>,
    too_old: usize,
}

impl Waits {
    /// The share of first reads that were stale.
    fn share(&self) -> f64 {
        self.too_old as f64 / self.ns.len() as f64
    }

    fn percentile_us(&mut self, share: f64) -> f64 {
        self.ns.sort_unstable();
        let last = self.ns.len().saturating_sub(1);
        let at = (last as f64 * share).round() as usize;
        self.ns.get(at).map_or(0.0, |&ns| ns as f64 / 1e3)
    }
}

/// Repeatedly writes to the first port and reads from the second.
fn waits(primary: u16, replica: u16, time: Duration) -> Waits {
    let (mut writes, mut reads) = (Talk::with(primary), Talk::with(replica));
    let get = format!("*2\r\n$3\r\nGET\r\n${}\r\n{KEY}\r\n", KEY.len());
    let mut waits = Waits::default();
    let begun = Instant::now();
    while begun.elapsed() < time {
        let value = format!("{:0DIGITS$}", waits.ns.len());
        let key = KEY.len();
        let set = format!("*3\r\n$3\r\nSET\r\n${key}\r\n{KEY}\r\n${DIGITS}\r\n{value}\r\n");
        assert_eq!(writes.ask(&set), "+OK\r\n");
        let expected = format!("${DIGITS}\r\n{value}\r\n");
        let replied = Instant::now();
        let mut asked = 1;
        while reads.ask(&get) != expected {
            asked += 1;
        }
        waits.ns.push(replied.elapsed().as_nanos() as u64);
        waits.too_old += usize::from(asked > 1);
        std::thread::sleep(PAUSE);
    }
    waits
}

/// A connection on which each request waits for its reply, which must be one string or one line.
struct Talk {
    stream: TcpStream,
    input: Vec<u8>,
}

impl Talk {
    fn with(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("the server accepts");
        stream.set_nodelay(true).expect("a TCP socket");
        let input = vec![0; 1024];
        Self { stream, input }
    }

    fn ask(&mut self, request: &str) -> &str {
        self.stream
            .write_all(request.as_bytes())
            .expect("the server reads");
        let mut filled = 0;
        loop {
            let read = self.stream.read(&mut self.input[filled..]);
            filled += read.expect("the server answers");
            let reply = &self.input[..filled];
            let lines = if reply.starts_with(b"$") && !reply.starts_with(b"$-1") {
                2
            } else {
                1
            };
            if memchr::memchr_iter(b'\n', reply).count() == lines {
                break;
            }
        }
        std::str::from_utf8(&self.input[..filled]).expect("plain text")
    }
}
