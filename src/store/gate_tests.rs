#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::atomic::AtomicBool;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::super::entry::NewValue;
use super::super::keyspaces::Keyspaces;
use super::super::scan::Cursor;
use super::super::write::WriteToken;
use super::*;

/// No working machine takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Long enough for a writer to do what it must not do.
const A_MOMENT: Duration = Duration::from_millis(20);

const READERS: usize = 6;

fn spaces() -> Keyspaces {
    let spaces = Keyspaces::new(1);
    write(&spaces, b"k");
    spaces
}

fn write(spaces: &Keyspaces, key: &[u8]) {
    let mut tx = spaces.write(0, [spaces.slot(0, key)]);
    tx.set(key, None, NewValue::text(b"x"));
}

fn wait_until(is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() && Instant::now() < deadline {
        std::thread::yield_now();
    }
}

/// Readers that each stay until another has come, so that one is always in unless all are kept out.
struct Relay<'a> {
    spaces: &'a Keyspaces,
    turns: AtomicUsize,
    done: AtomicBool,
    deadline: Instant,
}

impl<'a> Relay<'a> {
    fn new(spaces: &'a Keyspaces) -> Self {
        Self {
            spaces,
            turns: AtomicUsize::new(0),
            done: AtomicBool::new(false),
            deadline: Instant::now() + PATIENCE,
        }
    }

    fn goes_on(&self) -> bool {
        !self.done.load(Ordering::SeqCst) && Instant::now() < self.deadline
    }

    /// Counts a turn, and stays until the next one begins or cannot begin.
    fn stay(&self) {
        let mine = self.turns.fetch_add(1, Ordering::SeqCst);
        while self.goes_on() && self.turns.load(Ordering::SeqCst) == mine + 1 {
            let waiting = self.spaces.gate().owed.load(Ordering::SeqCst);
            if waiting == READERS - 1 {
                return;
            }
            std::thread::yield_now();
        }
    }

    fn read(&self, number: usize) {
        while self.goes_on() {
            match number % 3 {
                0 => {
                    let _view = self.spaces.view_key(0, b"k");
                    self.stay();
                }
                1 => {
                    let _view = self.spaces.view_db(0);
                    self.stay();
                }
                _ => {
                    let view = self.spaces.view_none(0);
                    view.scan(Cursor::START, usize::MAX, |_| self.stay());
                }
            }
        }
    }
}

#[test]
fn each_reader_gets_in_once_at_most_before_the_writer_that_waits() {
    let spaces = spaces();
    let relay = Relay::new(&spaces);
    let slot = spaces.slot(0, b"k");
    std::thread::scope(|scope| {
        for number in 0..READERS {
            let relay = &relay;
            scope.spawn(move || relay.read(number));
        }
        for _ in 0..20 {
            let gate = spaces.gate();
            let shard = spaces.db(0).unwrap().shard(slot.shard as usize).unwrap();
            let before = relay.turns.load(Ordering::SeqCst);
            while relay.turns.load(Ordering::SeqCst) < before + 3 && relay.goes_on() {
                std::thread::yield_now();
            }
            gate.close(slot);
            let closed_at = relay.turns.load(Ordering::SeqCst);
            let guard = shard.write();
            let turns = relay.turns.load(Ordering::SeqCst) - closed_at;
            assert!(turns <= READERS, "{turns} turns of readers");
            drop(guard);
            gate.leave();
        }
        relay.done.store(true, Ordering::SeqCst);
    });
    assert!(Instant::now() < relay.deadline, "the readers gave up first");
}

#[test]
fn readers_that_overlap_do_not_keep_commands_out() {
    let spaces = spaces();
    let relay = Relay::new(&spaces);
    std::thread::scope(|scope| {
        for number in 0..READERS {
            let relay = &relay;
            scope.spawn(move || relay.read(number));
        }
        for _ in 0..20 {
            let _turn = WriteToken::for_tests().turn(&spaces);
            (0..10).for_each(|_| write(&spaces, b"k"));
        }
        relay.done.store(true, Ordering::SeqCst);
    });
    assert!(Instant::now() < relay.deadline, "the readers gave up first");
}

#[test]
fn the_writers_next_turn_waits_for_readers_whom_the_last_kept_waiting() {
    let spaces = spaces();
    let debt = spaces.gate().owe();
    let (sender, written) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            write(&spaces, b"k");
            sender.send(())
        });
        assert!(written.recv_timeout(A_MOMENT).is_err());
        drop(spaces.view_key(0, b"k"));
        drop(debt);
        assert_eq!(written.recv_timeout(PATIENCE), Ok(()));
    });
}

#[test]
fn a_reader_at_a_shards_own_lock_is_owed_a_turn() {
    let spaces = spaces();
    let tx = spaces.write(0, [spaces.slot(0, b"k")]);
    let is_owed = || spaces.gate().owed.load(Ordering::SeqCst) == 1;
    std::thread::scope(|scope| {
        scope.spawn(|| drop(spaces.view_key(0, b"k")));
        wait_until(is_owed);
        drop(tx);
        assert!(!is_owed(), "the writer left before the reader was in");
    });
}

#[test]
fn who_is_kept_waiting_gets_in_when_the_turn_ends() {
    let spaces = spaces();
    let turn = WriteToken::for_tests().turn(&spaces);
    spaces.gate().close(spaces.slot(0, b"k"));
    let (sender, read) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            drop(spaces.view_key(0, b"k"));
            sender.send(())
        });
        wait_until(|| spaces.gate().owed.load(Ordering::SeqCst) == 1);
        // Other readers and writes come and go while the turn lasts.
        drop(spaces.view_key(0, b"another"));
        write(&spaces, b"k");
        assert_eq!(read.try_recv(), Err(mpsc::TryRecvError::Empty));
        drop(turn);
        assert_eq!(read.recv_timeout(PATIENCE), Ok(()));
    });
    assert!(!spaces.keeps_waiting());
}

#[test]
fn who_holds_a_shard_passes() {
    let spaces = spaces();
    let held = spaces.hold(vec![spaces.slot(0, b"k")]);
    spaces.gate().close(spaces.slot(0, b"k"));
    drop(spaces.view_db(0));
    drop(spaces.view_key(0, b"k"));
    drop(spaces.hold(vec![spaces.slot(0, b"k")]));
    drop(held);
    assert!(!Inside::anyone());
}

#[test]
fn slots_have_numbers_of_their_own_and_none_is_zero() {
    for (db, shard) in [(0, 0), (0, 1023), (1, 0), (1023, 1023)] {
        let place = Slot { db, shard };
        assert_ne!(number(place), 0);
        assert_eq!(slot(number(place)), Some(place));
    }
    assert_eq!(slot(0), None);
}
