//! Reads while something else goes on: a stream of writes, a full resync.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::control::{Control, is_in_sync, wait, wait_applied};
use crate::load::{Generator, Requests, Seen, Shape};
use crate::measure::StringsPrimary;
use crate::process::Process;
use crate::strings::Set;

/// Writes in a second while reads go on.
const WRITES_PER_SECOND: u64 = 100_000;

/// Readers who leave the processors some time for what goes on beside them.
pub(crate) const FEW: Shape = Shape {
    clients: 10,
    pipeline: 1,
};

/// Reads of 10 clients, one by one, for `time` while the primary is written to; everything is applied afterwards.
pub(crate) fn during_writes(
    replica: &Process,
    primary: &mut StringsPrimary,
    time: Duration,
) -> Seen {
    let mut sets = primary.strings.overwrites();
    let mut generator = Generator::connect(replica.port, FEW);
    let strings = &primary.strings;
    let port = primary.process.port;
    let stop = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        let writer = scope.spawn(|| write_at_pace(port, &mut sets, &stop));
        let seen = generator.run_for(&mut strings.gets_during_writes(), time);
        stop.store(true, Ordering::Relaxed);
        let written = writer.join().expect("the writer writes");
        let wanted = WRITES_PER_SECOND as f64 * time.as_secs_f64();
        if (written as f64) < wanted * 0.9 {
            eprintln!("the primary took {written} writes of {wanted}");
        }
        seen
    });
    primary.strings.wrote(&sets);
    wait_applied(replica, &primary.process);
    seen
}

/// Sends writes, a hundred at once, at their pace until told to stop; how many.
fn write_at_pace(port: u16, requests: &mut Set, stop: &AtomicBool) -> u64 {
    let shape = Shape {
        clients: 1,
        pipeline: 100,
    };
    let begun = Instant::now();
    let seen = Generator::connect(port, shape).run(requests, |seen| {
        let due = Duration::from_micros(seen.answered * 1_000_000 / WRITES_PER_SECOND);
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
        stop.load(Ordering::Relaxed)
    });
    seen.answered
}

/// Reads of 10 clients, one by one, from the moment when the primary drops `replica` and takes another history, until that is in sync
/// again with `keys` keys.
pub(crate) fn during_resync(
    replica: &Process,
    primary: &Process,
    keys: u64,
    requests: &mut impl Requests,
) -> Seen {
    let mut generator = Generator::connect(replica.port, FEW);
    std::thread::scope(|scope| {
        let resync = scope.spawn(|| resync(replica, primary, keys));
        generator.run(requests, |_| resync.is_finished())
    })
}

/// Makes the replica sync in full, and waits until it has.
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
