//! The load generator: one thread, closed loop, every reply checked. It shares the machine with the server, so it must be cheap.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

/// What the received bytes begin with.
pub(crate) enum Reply {
    /// The right reply, with its length in bytes.
    Right(usize),
    /// An error reply, with its length in bytes.
    Refused(usize),
    /// An incomplete reply.
    Partial,
}

/// Requests of one kind, and their expected replies.
pub(crate) trait Requests {
    /// Appends a request. Returns what [`Self::check`] needs to know about it.
    fn request(&mut self, out: &mut Vec<u8>) -> u32;

    /// Checks the reply to the request that [`Self::request`] returned `asked` for.
    ///
    /// # Panics
    /// If the reply is wrong.
    fn check(&self, asked: u32, bytes: &[u8]) -> Reply;
}

/// The number of connections, and the number of requests that each sends at once.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) clients: usize,
    pub(crate) pipeline: usize,
}

/// The results of a run.
#[derive(Default)]
pub(crate) struct Seen {
    /// The number of right replies.
    pub(crate) answered: u64,
    /// The number of error replies.
    pub(crate) refused: u64,
    /// The duration of the run.
    pub(crate) took: Duration,
    /// For each batch the time from the first byte sent to the last byte received, in nanoseconds.
    batches_ns: Vec<u64>,
}

impl Seen {
    /// Right replies per second.
    pub(crate) fn per_second(&self) -> f64 {
        self.answered as f64 / self.took.as_secs_f64()
    }

    /// The time that the fraction `share` of the batches did not exceed, in milliseconds.
    pub(crate) fn percentile_ms(&self, share: f64) -> f64 {
        let mut sorted = self.batches_ns.clone();
        sorted.sort_unstable();
        let last = sorted.len().saturating_sub(1);
        let at = (last as f64 * share).round() as usize;
        sorted.get(at).map_or(0.0, |&ns| ns as f64 / 1e6)
    }
}

/// Connections to one server.
pub(crate) struct Generator {
    poll: Poll,
    clients: Vec<Client>,
    pipeline: usize,
}

impl Generator {
    /// Connects to a server on 127.0.0.1.
    pub(crate) fn connect(port: u16, shape: Shape) -> Self {
        let poll = Poll::new().expect("epoll");
        let clients = (0..shape.clients).map(|number| Client::connect(&poll, port, number));
        Self {
            clients: clients.collect(),
            poll,
            pipeline: shape.pipeline,
        }
    }

    /// Sends requests for `time`.
    pub(crate) fn run_for(&mut self, requests: &mut impl Requests, time: Duration) -> Seen {
        self.run(requests, |seen| seen.took >= time)
    }

    /// Sends at least `count` requests, and at most one batch per connection more.
    pub(crate) fn run_count(&mut self, requests: &mut impl Requests, count: u64) -> Seen {
        let ahead = (self.clients.len().saturating_sub(1) * self.pipeline) as u64;
        self.run(requests, |seen| {
            seen.answered + seen.refused + ahead >= count
        })
    }

    /// Sends requests until `enough` returns true, then reads the outstanding replies.
    pub(crate) fn run(
        &mut self,
        requests: &mut impl Requests,
        mut enough: impl FnMut(&Seen) -> bool,
    ) -> Seen {
        let begun = Instant::now();
        let mut seen = Seen::default();
        let mut busy = self.clients.len();
        for client in &mut self.clients {
            client.begin(requests, self.pipeline);
        }
        let mut events = Events::with_capacity(1024);
        while busy > 0 {
            self.poll.poll(&mut events, None).expect("epoll");
            seen.took = begun.elapsed();
            for event in &events {
                let client = &mut self.clients[event.token().0];
                if !client.advance(requests, &mut seen) {
                    continue;
                }
                if enough(&seen) {
                    busy -= 1;
                } else {
                    client.begin(requests, self.pipeline);
                }
            }
        }
        seen.took = begun.elapsed();
        seen
    }
}

/// One connection, with one batch in flight.
struct Client {
    stream: TcpStream,
    output: Vec<u8>,
    sent: usize,
    /// The requests of the batch, oldest first, and how many of them are answered.
    asked: Vec<u32>,
    answered: usize,
    /// Received bytes; the first `filled` are not processed yet.
    input: Vec<u8>,
    filled: usize,
    begun: Instant,
}

impl Client {
    fn connect(poll: &Poll, port: u16, number: usize) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let stream = std::net::TcpStream::connect(address).expect("the server accepts connections");
        stream.set_nodelay(true).expect("a TCP socket");
        stream.set_nonblocking(true).expect("a TCP socket");
        let mut stream = TcpStream::from_std(stream);
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry()
            .register(&mut stream, Token(number), interest)
            .expect("epoll");
        Self {
            stream,
            output: Vec::new(),
            sent: 0,
            asked: Vec::new(),
            answered: 0,
            input: vec![0; 64 * 1024],
            filled: 0,
            begun: Instant::now(),
        }
    }

    /// Sends a batch.
    fn begin(&mut self, requests: &mut impl Requests, pipeline: usize) {
        self.output.clear();
        self.asked.clear();
        self.sent = 0;
        self.answered = 0;
        for _ in 0..pipeline {
            self.asked.push(requests.request(&mut self.output));
        }
        self.begun = Instant::now();
        self.send();
    }

    /// Continues after an event. Returns true if that completed the batch.
    fn advance(&mut self, requests: &impl Requests, seen: &mut Seen) -> bool {
        let under_way = self.answered < self.asked.len();
        self.send();
        while self.receive() {
            self.look(requests, seen);
        }
        self.look(requests, seen);
        let done = under_way && self.answered == self.asked.len();
        if done {
            assert_eq!(self.filled, 0, "more replies than requests");
            seen.batches_ns.push(self.begun.elapsed().as_nanos() as u64);
        }
        done
    }

    fn send(&mut self) {
        while self.sent < self.output.len() {
            match self.stream.write(&self.output[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("sending: {error}"),
            }
        }
    }

    /// Reads once. Returns true if more bytes may be waiting. A short read means that the socket is empty, and epoll reports when
    /// more bytes arrive.
    fn receive(&mut self) -> bool {
        if self.filled == self.input.len() {
            self.input.resize(self.input.len() * 2, 0);
        }
        match self.stream.read(&mut self.input[self.filled..]) {
            Ok(0) => panic!("the server closed the connection"),
            Ok(count) => {
                self.filled += count;
                self.filled == self.input.len()
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Err(error) => panic!("receiving: {error}"),
        }
    }

    /// Checks the complete replies.
    fn look(&mut self, requests: &impl Requests, seen: &mut Seen) {
        let mut at = 0;
        for &asked in &self.asked[self.answered..] {
            match requests.check(asked, &self.input[at..self.filled]) {
                Reply::Right(length) => {
                    seen.answered += 1;
                    at += length;
                }
                Reply::Refused(length) => {
                    seen.refused += 1;
                    at += length;
                }
                Reply::Partial => break,
            }
            self.answered += 1;
        }
        self.input.copy_within(at..self.filled, 0);
        self.filled -= at;
    }
}

/// Implements [`Requests::check`]: the reply must be `expected` or an error.
pub(crate) fn expect(expected: &[u8], bytes: &[u8]) -> Reply {
    if bytes.starts_with(expected) {
        return Reply::Right(expected.len());
    }
    unexpected(bytes, expected)
}

/// Implements [`Requests::check`] for bytes that do not begin with `expected`.
#[cold]
pub(crate) fn unexpected(bytes: &[u8], expected: &[u8]) -> Reply {
    if bytes.first() == Some(&b'-') {
        let end = memchr::memchr(b'\n', bytes);
        return end.map_or(Reply::Partial, |end| Reply::Refused(end + 1));
    }
    assert!(
        expected.starts_with(bytes),
        "wrong reply: {:?} instead of {:?}",
        String::from_utf8_lossy(&bytes[..bytes.len().min(expected.len())]),
        String::from_utf8_lossy(expected)
    );
    Reply::Partial
}
