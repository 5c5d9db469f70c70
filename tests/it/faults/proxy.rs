//! A TCP proxy between a follower and its primary. It cuts, pauses, slows down and fragments the traffic, but changes neither the
//! bytes nor their order.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::cut::{Cut, End, Place};
use crate::servers::{PATIENCE, leave_primaries_unwatched};

/// How bytes pass the proxy.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The maximum number of bytes in one write.
    pub piece: usize,
    /// The time between two writes.
    pub pause: Duration,
}

/// Full speed.
pub const FREE: Pace = Pace {
    piece: READ_BYTES,
    pause: Duration::ZERO,
};

/// How the proxy treats a connection.
pub struct Plan {
    pub pace: Pace,
    pub cut: Option<Cut>,
}

impl Plan {
    /// Cuts at that place, with this pace up to there.
    pub fn cut(place: Place, end: End, pace: Pace) -> Self {
        Self {
            pace,
            cut: Some(Cut::new(place, end)),
        }
    }

    fn free() -> Self {
        Self {
            pace: FREE,
            cut: None,
        }
    }
}

/// A listening proxy. Drop ends it and all its connections.
pub struct Proxy {
    pub port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    /// The primary's port.
    target: AtomicU16,
    stopped: AtomicBool,
    /// Whether the traffic is paused.
    held: AtomicBool,
    /// Whether new connections are refused.
    closed: AtomicBool,
    cuts: AtomicU64,
    next: Mutex<Option<Plan>>,
    wires: Mutex<Vec<Arc<Wire>>>,
}

/// One connection through the proxy.
struct Wire {
    follower: TcpStream,
    primary: TcpStream,
    plan: Mutex<Plan>,
    ended: AtomicBool,
}

impl Proxy {
    /// Forwards to the port `target` of this machine.
    pub fn start(target: u16) -> Self {
        leave_primaries_unwatched();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let shared = Arc::new(Shared {
            target: AtomicU16::new(target),
            stopped: AtomicBool::new(false),
            held: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            cuts: AtomicU64::new(0),
            next: Mutex::new(None),
            wires: Mutex::new(Vec::new()),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accepting.accept(&listener));
        Self { port, shared }
    }

    /// Forwards new connections to another port.
    pub fn aim(&self, target: u16) {
        self.shared.target.store(target, Ordering::Relaxed);
    }

    /// Applies this plan to the current connection.
    pub fn plan(&self, plan: Plan) {
        if let Some(wire) = lock(&self.shared.wires).last() {
            *lock(&wire.plan) = plan;
        }
    }

    /// Applies this plan to the next connection.
    pub fn plan_next(&self, plan: Plan) {
        *lock(&self.shared.next) = Some(plan);
    }

    /// Ends all current connections.
    pub fn cut_now(&self, end: End) {
        let wires: Vec<_> = lock(&self.shared.wires).clone();
        wires.iter().for_each(|wire| self.shared.cut(wire, end));
    }

    /// Starts or stops refusing new connections.
    pub fn close(&self, closed: bool) {
        self.shared.closed.store(closed, Ordering::Relaxed);
    }

    /// Pauses or resumes all traffic.
    pub fn hold(&self, held: bool) {
        self.shared.held.store(held, Ordering::Relaxed);
    }

    /// The number of connections that this proxy has cut.
    pub fn cuts(&self) -> u64 {
        self.shared.cuts.load(Ordering::SeqCst)
    }

    /// Waits until that number of connections has been cut.
    pub fn wait_for_cuts(&self, cuts: u64) {
        let deadline = Instant::now() + PATIENCE;
        while self.cuts() < cuts {
            assert!(
                Instant::now() < deadline,
                "timed out waiting for cut {cuts}"
            );
            sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        self.hold(false);
        self.cut_now(End::Fin);
        // Wakes the accepting thread.
        _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Shared {
    fn accept(self: Arc<Self>, listener: &TcpListener) {
        for follower in listener.incoming().flatten() {
            if self.stopped.load(Ordering::Relaxed) {
                return;
            }
            if !self.closed.load(Ordering::Relaxed) {
                // If the primary refuses, the follower's connection closes too.
                _ = self.connect(follower);
            }
        }
    }

    fn connect(self: &Arc<Self>, follower: TcpStream) -> io::Result<()> {
        let primary = TcpStream::connect(("127.0.0.1", self.target.load(Ordering::Relaxed)))?;
        for stream in [&follower, &primary] {
            stream.set_nodelay(true)?;
            stream.set_write_timeout(Some(PATIENCE))?;
        }
        let plan = lock(&self.next).take().unwrap_or_else(Plan::free);
        let wire = Arc::new(Wire {
            follower,
            primary,
            plan: Mutex::new(plan),
            ended: AtomicBool::new(false),
        });
        lock(&self.wires).push(Arc::clone(&wire));
        for direction in [Direction::Down, Direction::Up] {
            let (shared, wire) = (Arc::clone(self), Arc::clone(&wire));
            thread::spawn(move || {
                // An error ends the connection like a close.
                _ = shared.pump(&wire, direction);
                shared.end(&wire);
            });
        }
        Ok(())
    }

    fn pump(&self, wire: &Arc<Wire>, direction: Direction) -> io::Result<()> {
        let (mut from, mut to) = direction.of(wire);
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let read = from.read(&mut buffer)?;
            if read == 0 {
                return Ok(());
            }
            let mut rest = &buffer[..read];
            while !rest.is_empty() {
                self.wait_while_held();
                let (passing, pace, end) = wire.passes(rest, direction);
                to.write_all(&rest[..passing])?;
                if let Some(end) = end {
                    self.cut(wire, end);
                    return Ok(());
                }
                rest = &rest[passing..];
                sleep(pace.pause);
            }
        }
    }

    fn wait_while_held(&self) {
        while self.held.load(Ordering::Relaxed) {
            sleep(Duration::from_millis(1));
        }
    }

    /// Ends a connection and counts it before either side can notice the end and ask for the count.
    fn cut(&self, wire: &Arc<Wire>, end: End) {
        if !wire.ended.swap(true, Ordering::Relaxed) {
            self.cuts.fetch_add(1, Ordering::SeqCst);
            self.close_both(wire, end);
        }
    }

    /// Ends a connection after one of its sides has ended it.
    fn end(&self, wire: &Arc<Wire>) {
        if !wire.ended.swap(true, Ordering::Relaxed) {
            self.close_both(wire, End::Fin);
        }
    }

    fn close_both(&self, wire: &Arc<Wire>, end: End) {
        lock(&self.wires).retain(|other| !Arc::ptr_eq(other, wire));
        for stream in [&wire.follower, &wire.primary] {
            if end == End::Rst {
                // The kernel sends the reset when the last thread drops the socket. The shutdown stops the threads' reads, so
                // that they do.
                _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
                _ = stream.shutdown(Shutdown::Read);
            } else {
                _ = stream.shutdown(Shutdown::Both);
            }
        }
    }
}

/// The direction of the bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Down,
    Up,
}

impl Direction {
    fn of(self, wire: &Wire) -> (&TcpStream, &TcpStream) {
        match self {
            Self::Down => (&wire.primary, &wire.follower),
            Self::Up => (&wire.follower, &wire.primary),
        }
    }
}

impl Wire {
    /// Returns how many of these bytes pass now, at what pace, and whether the connection ends after them.
    fn passes(&self, bytes: &[u8], direction: Direction) -> (usize, Pace, Option<End>) {
        let plan = &mut *lock(&self.plan);
        let pace = plan.pace;
        let piece = &bytes[..bytes.len().min(pace.piece)];
        let Some(cut) = &mut plan.cut else {
            return (piece.len(), pace, None);
        };
        let passing = match direction {
            Direction::Down => cut.down(piece),
            Direction::Up => cut.up(piece),
        };
        (
            passing.unwrap_or(piece.len()),
            pace,
            passing.map(|_| cut.end),
        )
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const READ_BYTES: usize = 16 << 10;

#[test]
fn everything_passes_in_order_in_pieces_of_one_byte_and_ends_at_the_byte_named() {
    let primary = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::start(primary.local_addr().unwrap().port());
    let sent: Vec<u8> = (0..=255).collect();
    for end in [End::Fin, End::Rst] {
        proxy.plan_next(Plan::cut(
            Place::Down(200),
            end,
            Pace {
                piece: 1,
                pause: Duration::ZERO,
            },
        ));
        let mut follower = TcpStream::connect(("127.0.0.1", proxy.port)).unwrap();
        let (mut upstream, _) = primary.accept().unwrap();
        upstream.write_all(&sent).unwrap();
        let mut received = Vec::new();
        let ended = follower.read_to_end(&mut received);
        if end == End::Fin {
            assert_eq!(received, sent[..200]);
        } else {
            // A reset may discard bytes that are not read yet.
            assert!(sent[..200].starts_with(&received));
            assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        }
    }
    assert_eq!(proxy.cuts(), 2);
}
