//! Tracks what has arrived at this host and is not visible yet, for readers that would rather wait for it.
//!
//! A client that has the primary's reply to a write and then asks redtail may be faster than the writer, which must be woken
//! first. This cannot happen with a single-threaded replica: it finds the write and the request when it next polls its
//! sockets. So a reader checks the link's socket, too. If bytes wait in it, or if the writer is processing some, the reader
//! waits until the writer has processed everything that had arrived, for at most [`PATIENCE`]: readers do not wait for a
//! writer that falls behind.
//!
//! The writer counts its turns. The count is even while the writer waits in the socket and has processed everything that it
//! has read. It is odd from before the writer reads until that is processed.

use std::hint::spin_loop;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

use super::line::Socket;

/// How long a reader waits at most. The writer needs a few microseconds, and some tens if it has to be woken.
const PATIENCE: Duration = Duration::from_millis(1);

/// After this number of readers has waited in vain in one turn, the writer is not late but stuck, most likely because it
/// waits for a long reader of the same keys.
const VAIN_WAITS_MAX: u32 = 20;

/// How often a reader checks the turn before it yields to other threads.
const SPINS: u32 = 50;

/// Lets readers wait for what has arrived: see the module.
#[derive(Debug, Default)]
pub struct Arrivals {
    /// The socket that the writer reads.
    socket: ArcSwapOption<Socket>,
    /// Whether the writer reads the socket now. If not, the bytes take another path, and a reader cannot know how many are on
    /// it.
    is_direct: AtomicBool,
    turn: AtomicU64,
    /// The last turn in which readers waited in vain, and the number of those readers.
    vain: (AtomicU64, AtomicU32),
    /// Number of readers that had to wait.
    waits: AtomicU64,
    /// Number of those that waited in vain, or that did not wait because too many had.
    waits_in_vain: AtomicU64,
}

/// Readers that waited until what had arrived was visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waits {
    /// All of them.
    pub all: u64,
    /// Those that waited in vain.
    pub in_vain: u64,
}

impl Arrivals {
    /// Notes that a link starts, with the socket that the writer may read, if any.
    pub(super) fn begin(&self, socket: Option<Arc<Socket>>) {
        self.leave();
        self.socket.store(socket);
    }

    /// Notes that the link has ended.
    pub(super) fn end(&self) {
        self.begin(None);
    }

    /// Notes that the writer has processed everything that it has read, and is about to wait in the socket.
    pub(super) fn rest(&self) {
        self.turn
            .fetch_add(self.turn.load(Ordering::Relaxed) & 1, Ordering::SeqCst);
        self.is_direct.store(true, Ordering::SeqCst);
    }

    /// Notes that the writer is about to read.
    pub(super) fn work(&self) {
        self.turn.fetch_add(1, Ordering::SeqCst);
    }

    /// Notes that the bytes take another path from now on.
    pub(super) fn leave(&self) {
        self.is_direct.store(false, Ordering::SeqCst);
    }

    /// Waits until everything that has arrived is visible, if that is likely to be soon.
    #[inline]
    pub fn catch_up(&self) {
        if !self.is_direct.load(Ordering::Relaxed) {
            return;
        }
        let socket = self.socket.load();
        let Some(socket) = socket.as_deref() else {
            return;
        };
        if let Some(until) = self.turn_to_wait_for(socket) {
            self.wait(socket, until);
        }
    }

    /// Returns how many readers have waited.
    #[must_use]
    pub fn waits(&self) -> Waits {
        Waits {
            all: self.waits.load(Ordering::Relaxed),
            in_vain: self.waits_in_vain.load(Ordering::Relaxed),
        }
    }

    /// Returns the turn in which everything that has arrived by now will be visible; `None` when all of it is.
    #[inline]
    fn turn_to_wait_for(&self, socket: &Socket) -> Option<u64> {
        let has_more = socket.has_more();
        let turn = self.turn.load(Ordering::SeqCst);
        let works = turn & 1;
        match has_more {
            false if works == 0 => None,
            false => Some(turn + 1),
            // The writer may have read the bytes that it is processing before these arrived.
            true => Some(turn + 2 + works),
        }
    }

    #[cold]
    fn wait(&self, socket: &Socket, until: u64) {
        self.waits.fetch_add(1, Ordering::Relaxed);
        let turn = self.turn.load(Ordering::SeqCst);
        if self.vain_waits_in(turn) >= VAIN_WAITS_MAX || !self.is_visible_soon(socket, until, turn)
        {
            self.waits_in_vain.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits for turn `until`, or until everything that has arrived is visible. Returns false when that takes too long.
    fn is_visible_soon(&self, socket: &Socket, until: u64, mut seen: u64) -> bool {
        let begun = Instant::now();
        let mut looks = 0u32;
        loop {
            let turn = self.turn.load(Ordering::SeqCst);
            if turn >= until || !self.is_direct.load(Ordering::Relaxed) {
                return true;
            }
            if turn != seen {
                seen = turn;
                if self.turn_to_wait_for(socket).is_none() {
                    return true;
                }
            }
            looks += 1;
            if looks < SPINS {
                spin_loop();
                continue;
            }
            if begun.elapsed() >= PATIENCE {
                self.note_vain(turn);
                return false;
            }
            std::thread::yield_now();
        }
    }

    fn vain_waits_in(&self, turn: u64) -> u32 {
        let (last, waits) = &self.vain;
        match last.load(Ordering::Relaxed) == turn {
            true => waits.load(Ordering::Relaxed),
            false => 0,
        }
    }

    /// Two readers at the same time may lose one of their counts, which does no harm.
    fn note_vain(&self, turn: u64) {
        let waits = self.vain_waits_in(turn) + 1;
        self.vain.1.store(waits, Ordering::Relaxed);
        self.vain.0.store(turn, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use std::io::Write as _;
    use std::os::unix::net::UnixStream;
    use std::thread;

    use super::*;

    /// Returns the two ends of a link, with a writer that waits in it.
    fn resting() -> (UnixStream, Arc<Socket>, Arrivals) {
        let (primary, own) = UnixStream::pair().unwrap();
        own.set_nonblocking(true).unwrap();
        let socket = Arc::new(Socket::of(&own).unwrap());
        let arrivals = Arrivals::default();
        arrivals.begin(Some(Arc::clone(&socket)));
        arrivals.rest();
        (primary, socket, arrivals)
    }

    fn work(socket: &Socket, arrivals: &Arrivals) {
        assert!(socket.wait(Duration::from_secs(10)).unwrap());
        arrivals.work();
        assert!(socket.read(&mut [0; 16]).unwrap() > 0);
    }

    #[test]
    fn a_reader_waits_for_what_has_arrived_or_is_being_worked_off_and_for_nothing_else() {
        let (mut primary, socket, arrivals) = resting();
        assert_eq!(arrivals.turn_to_wait_for(&socket), None);
        primary.write_all(b"x").unwrap();
        assert_eq!(arrivals.turn_to_wait_for(&socket), Some(2));
        work(&socket, &arrivals);
        assert_eq!(arrivals.turn_to_wait_for(&socket), Some(2));
        primary.write_all(b"y").unwrap();
        assert_eq!(arrivals.turn_to_wait_for(&socket), Some(4));
        arrivals.rest();
        work(&socket, &arrivals);
        arrivals.rest();
        assert_eq!(arrivals.turn_to_wait_for(&socket), None);
        arrivals.catch_up();
        assert_eq!(arrivals.waits().all, 0);
    }

    #[test]
    fn a_reader_goes_on_once_the_writer_has_worked_off_what_was_there() {
        for _ in 0..200 {
            let (mut primary, socket, arrivals) = resting();
            let visible = AtomicBool::new(false);
            primary.write_all(b"x").unwrap();
            thread::scope(|scope| {
                scope.spawn(|| {
                    work(&socket, &arrivals);
                    visible.store(true, Ordering::SeqCst);
                    arrivals.rest();
                });
                arrivals.catch_up();
                let in_vain = arrivals.waits().in_vain;
                assert!(visible.load(Ordering::SeqCst) || in_vain == 1);
            });
        }
    }

    #[test]
    fn a_writer_that_does_not_come_back_is_waited_for_a_few_times_in_each_turn() {
        let (mut primary, socket, arrivals) = resting();
        let calls = u64::from(VAIN_WAITS_MAX) + 5;
        for turn in [0, 2] {
            primary.write_all(b"x").unwrap();
            (0..calls).for_each(|_| arrivals.catch_up());
            assert_eq!(arrivals.vain_waits_in(turn), VAIN_WAITS_MAX);
            work(&socket, &arrivals);
            arrivals.rest();
        }
        let waits = Waits {
            all: 2 * calls,
            in_vain: 2 * calls,
        };
        assert_eq!(arrivals.waits(), waits);
        primary.write_all(b"x").unwrap();
        for gone in [Arrivals::leave, Arrivals::end] {
            gone(&arrivals);
            arrivals.catch_up();
            assert_eq!(arrivals.waits(), waits);
        }
    }
}
