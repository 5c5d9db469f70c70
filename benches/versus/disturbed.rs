//! Reads while something else happens: a stream of writes, or a full resync.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::control::{Control, is_in_sync, wait, wait_applied};
use crate::load::{Generator, Requests, Seen, Shape};
use crate::measure::StringsPrimary;
use crate::process::Process;
use crate::strings::Set;

/// The number of writes per second while reads run.
const WRITES_PER_SECOND: u64 = 100_000;

/// A few readers, which leave processor time for the work beside them.
pub(crate) const FEW: Shape = Shape {
    clients: 10,
    pipeline: 1,
};

/// Paces the requests of one connection to a fixed number per second.
pub(crate) struct Paced {
    begun: Instant,
    per_second: u64,
}

impl Paced {
    pub(crate) const SHAPE: Shape = Self::shape(100_000);

    /// One batch per millisecond.
    const fn shape(per_second: u64) -> Shape {
        Shape {
            clients: 1,
            pipeline: (per_second / 1000) as usize,
        }
    }

    pub(crate) fn new(per_second: u64) -> Self {
        Self {
            begun: Instant::now(),
            per_second,
        }
    }

    /// Waits until the next batch is due. Returns the number of requests answered so far.
    pub(crate) fn hold(&self, seen: &Seen) -> u64 {
        let due = Duration::from_micros(seen.answered * 1_000_000 / self.per_second);
        std::thread::sleep(due.saturating_sub(self.begun.elapsed()));
        seen.answered
    }
}

/// Runs `read` while `work` runs on another thread. `read` can ask whether `work` is done.
pub(crate) fn beside(
    work: impl FnOnce() + Send,
    read: impl FnOnce(&dyn Fn() -> bool) -> Seen,
) -> Seen {
    std::thread::scope(|scope| {
        let work = scope.spawn(work);
        read(&|| work.is_finished())
    })
}

/// Runs `read` while `work` runs on another thread, and then tells `work` to stop.
pub(crate) fn throughout<T>(work: impl FnOnce(&AtomicBool) + Send, read: impl FnOnce() -> T) -> T {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| work(&stop));
        let _told = TellOnDrop(&stop);
        read()
    })
}

/// Sets the flag on drop, and so also when the readers panic: the scope waits for the other thread.
struct TellOnDrop<'a>(&'a AtomicBool);

impl Drop for TellOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Measures reads of 10 clients without a pipeline for `time` while the primary is written to. Afterwards waits until everything
/// is applied.
pub(crate) fn during_writes(
    replica: &Process,
    primary: &mut StringsPrimary,
    time: Duration,
) -> Seen {
    let mut sets = primary.strings.overwrites();
    let mut generator = Generator::connect(replica.port, FEW);
    let mut gets = primary.strings.gets_during_writes();
    let port = primary.process.port;
    let seen = throughout(
        |stop| write_at_pace(port, WRITES_PER_SECOND, &mut sets, stop),
        || generator.run_for(&mut gets, time),
    );
    primary.strings.wrote(&sets);
    wait_applied(replica, &primary.process);
    seen
}

/// Writes at that rate until told to stop. Warns if the primary does not keep up, because the row then compares unequal streams.
pub(crate) fn write_at_pace(port: u16, per_second: u64, requests: &mut Set, stop: &AtomicBool) {
    let pace = Paced::new(per_second);
    let seen = Generator::connect(port, Paced::shape(per_second)).run(requests, |seen| {
        pace.hold(seen);
        stop.load(Ordering::Relaxed)
    });
    let share = seen.per_second() / per_second as f64;
    if share < 0.9 {
        eprintln!(
            "warning: the primary took only {:.0} % of the writes",
            share * 100.0
        );
    }
}

/// Measures reads of 10 clients without a pipeline, from the moment when the primary drops `replica` and changes its replication
/// id until `replica` is in sync again with `keys` keys.
pub(crate) fn during_resync(
    replica: &Process,
    primary: &Process,
    keys: u64,
    requests: &mut impl Requests,
) -> Seen {
    let mut generator = Generator::connect(replica.port, FEW);
    beside(
        || resync(replica, primary, keys),
        |done| generator.run(requests, |_| done()),
    )
}

/// Forces a full sync of the replica and waits until it is done.
fn resync(replica: &Process, primary: &Process, keys: u64) {
    let mut control = Control::of(primary);
    control
        .ask::<()>(&["DEBUG", "CHANGE-REPL-ID"])
        .expect("DEBUG");
    control
        .ask::<()>(&["CLIENT", "KILL", "TYPE", "replica"])
        .expect("CLIENT KILL");
    let history = control.info("replication", "master_replid");
    let mut asking = Control::of(replica);
    wait(replica, Duration::from_millis(20), || {
        asking.info("replication", "master_replid") == history && is_in_sync(&mut asking, keys)
    });
}
