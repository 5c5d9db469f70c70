//! How long do another client and the stream wait while a client asks for the most expensive form of every read? For each read it
//! prints how long the read took, the longest wait of a client that constantly sends GETs on another connection, and the longest
//! time that a write to the same key took the writer. The server has one worker, so only handing over work keeps the other
//! client's waits short.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use criterion::Criterion;
use redtail::internal::command::Replication;
use redtail::internal::replica::fuzzing::applying;
use redtail::internal::server::{Config, Listeners, Server};
use redtail::internal::store::{Generation, Served};
use tokio_util::sync::CancellationToken;

use crate::data::{element, empty, push, request, value, words};

/// The number of elements of the large values.
const ELEMENTS: usize = 500_000;

/// The size of the large text in bytes.
const TEXT_BYTES: usize = 256 << 20;

/// The reads, and the command that the stream sends while each of them runs.
const ASKED: &[(&str, &str)] = &[
    ("SRANDMEMBER small -5000000", "SADD small a"),
    ("HRANDFIELD small-hash -5000000", "HSET small-hash a 1"),
    ("ZRANDMEMBER small-zset -5000000", "ZADD small-zset 1 a"),
    ("LCS short short LEN", "SETRANGE short 0 x"),
    ("SMEMBERS set", "SADD set x"),
    ("SUNION set set set set", "SADD set x"),
    ("SINTER set set", "SADD set x"),
    ("SSCAN set 0 COUNT 1000000000", "SADD set x"),
    ("HGETALL hash", "HSET hash x 1"),
    ("ZRANGE zset 0 -1 WITHSCORES", "ZADD zset 1 x"),
    ("ZRANGEBYSCORE zset -inf +inf", "ZADD zset 1 x"),
    ("ZUNION 2 zset zset WITHSCORES", "ZADD zset 1 x"),
    ("ZINTER 2 zset zset", "ZADD zset 1 x"),
    ("LRANGE list 0 -1", "LPUSH list x"),
    ("LPOS list none", "LPUSH list x"),
    ("SORT_RO list ALPHA", "LPUSH list x"),
    (
        "GEOSEARCH zset FROMLONLAT 0 0 BYRADIUS 20000 km",
        "ZADD zset 1 x",
    ),
    ("XRANGE stream - +", "XDEL stream 9-9"),
    ("GET text", "APPEND text x"),
    ("GETRANGE text 0 -1", "APPEND text x"),
    ("BITCOUNT text", "APPEND text x"),
    ("BITPOS text 1", "APPEND text x"),
    ("DUMP set", "SADD set x"),
    ("KEYS *none*", "SET a 1"),
    ("SCAN 0 COUNT 1000000000 MATCH none", "SET a 1"),
    ("DEBUG DIGEST", "SET a 1"),
];

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("waits");
    group
        .sample_size(10)
        .measurement_time(Duration::from_millis(1));
    let mut room = None;
    group.bench_function("every read at its most expensive", |bencher| {
        let room = room.get_or_insert_with(|| {
            let room = Room::new();
            room.print();
            room
        });
        let mut client = room.client();
        bencher.iter(|| ask(&mut client, "GET a"));
    });
    group.finish();
}

/// A server and its data.
struct Room {
    generation: Arc<Generation>,
    port: u16,
    _runtime: tokio::runtime::Runtime,
}

impl Room {
    fn new() -> Self {
        let generation = filled();
        let served = Arc::new(Served::default());
        served.swap_in(Arc::clone(&generation));
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().unwrap();
        let any = "127.0.0.1:0".parse().unwrap();
        let listeners = runtime.block_on(Listeners::open(&[any], None)).unwrap();
        let port = listeners.port().unwrap();
        let config = Config {
            debug: redtail::internal::server::Access::Yes,
            clients_memory: 8 << 30,
            ..Config::default()
        };
        let server = Server::new(config, served, Replication::default);
        runtime.spawn(server.run(listeners, CancellationToken::new()));
        Self {
            generation,
            port,
            _runtime: runtime,
        }
    }

    fn client(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    fn print(&self) {
        println!(
            "waits: {:<50} {:>10} {:>14} {:>14}",
            "asked", "took ms", "client ms", "stream ms"
        );
        let many: String = (0..ELEMENTS)
            .map(|at| format!(" {}", element(at)))
            .collect();
        let mget = format!("MGET{many}");
        let long = [(mget.as_str(), "SET a 1")];
        for (asked, meanwhile) in ASKED.iter().chain(&long) {
            let done = AtomicBool::new(false);
            let (took, client, stream) = std::thread::scope(|scope| {
                let other = scope.spawn(|| self.longest_wait(&done));
                let writer = scope.spawn(|| self.longest_write(&done, meanwhile));
                std::thread::sleep(Duration::from_millis(20));
                let begun = Instant::now();
                let reply = ask(&mut self.client(), asked);
                let took = begun.elapsed();
                assert!(!reply.starts_with('-'), "{asked:.60}: {reply}");
                done.store(true, Ordering::Relaxed);
                (took, other.join().unwrap(), writer.join().unwrap())
            });
            let ms = |time: Duration| time.as_secs_f64() * 1000.0;
            println!(
                "waits: {asked:<50.50} {:>10.1} {:>14.1} {:>14.1}",
                ms(took),
                ms(client),
                ms(stream)
            );
        }
    }

    /// The longest time that a GET took until `done`.
    fn longest_wait(&self, done: &AtomicBool) -> Duration {
        let mut client = self.client();
        let mut longest = Duration::ZERO;
        while !done.load(Ordering::Relaxed) {
            let begun = Instant::now();
            assert_eq!(ask(&mut client, "GET a"), "$1");
            longest = longest.max(begun.elapsed());
            std::thread::sleep(Duration::from_micros(200));
        }
        longest
    }

    /// The longest time that a command of the stream took until `done`.
    fn longest_write(&self, done: &AtomicBool, line: &str) -> Duration {
        let bytes = request(&words(line));
        let mut longest = Duration::ZERO;
        applying(&self.generation, |apply| {
            while !done.load(Ordering::Relaxed) {
                let begun = Instant::now();
                apply(&bytes);
                longest = longest.max(begun.elapsed());
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        longest
    }
}

/// Small and large values of every type.
fn filled() -> Arc<Generation> {
    let generation = empty();
    let mut stream = Vec::new();
    for line in [
        "SET a 1",
        "SADD small a b c",
        "HSET small-hash a 1 b 2",
        "ZADD small-zset 1 a 2 b",
    ] {
        push(&mut stream, &words(line));
    }
    push(&mut stream, &[b"SET", &b"text"[..], &vec![0; TEXT_BYTES]]);
    push(&mut stream, &[b"SET", &b"short"[..], &value(8_000)]);
    for at in 0..ELEMENTS {
        let (name, number) = (element(at), at.to_string());
        push(&mut stream, &["SADD", "set", &name]);
        push(&mut stream, &["HSET", "hash", &name, &number]);
        push(&mut stream, &["ZADD", "zset", &number, &name]);
        push(&mut stream, &["RPUSH", "list", &name]);
        push(
            &mut stream,
            &["XADD", "stream", &format!("{}-1", at + 1), "a", "b"],
        );
        push(&mut stream, &["SET", &name, &number]);
    }
    applying(&generation, |apply| apply(&stream));
    generation
}

/// Sends one command and reads its whole reply. Returns the reply's first line.
fn ask(client: &mut TcpStream, line: &str) -> String {
    client.write_all(&request(&words(line))).unwrap();
    let mut taker = Taker {
        client,
        bytes: vec![0; 1 << 20],
        at: 0,
        end: 0,
    };
    let first = taker.line();
    taker.rest_of(&first);
    first
}

/// Reads replies from a socket.
struct Taker<'c> {
    client: &'c mut TcpStream,
    bytes: Vec<u8>,
    at: usize,
    end: usize,
}

impl Taker<'_> {
    fn byte(&mut self) -> u8 {
        if self.at == self.end {
            self.end = self.client.read(&mut self.bytes).unwrap();
            self.at = 0;
            assert!(self.end > 0, "the server has closed the connection");
        }
        self.at += 1;
        self.bytes[self.at - 1]
    }

    fn skip(&mut self, bytes: usize) {
        let mut left = bytes;
        while left > 0 {
            self.byte();
            let more = (self.end - self.at).min(left - 1);
            self.at += more;
            left -= 1 + more;
        }
    }

    fn line(&mut self) -> String {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.push(self.byte());
        }
        line.truncate(line.len() - 2);
        String::from_utf8_lossy(&line).into_owned()
    }

    /// Skips the rest of the reply that begins with `first`.
    fn rest_of(&mut self, first: &str) {
        let mut line = first.to_owned();
        let mut left = 0_i64;
        loop {
            let number = || line[1..].parse::<i64>().unwrap();
            match line.as_bytes()[0] {
                b'$' if number() >= 0 => self.skip(number() as usize + 2),
                b'*' => left += number().max(0),
                _ => {}
            }
            if left == 0 {
                return;
            }
            left -= 1;
            line = self.line();
        }
    }
}
