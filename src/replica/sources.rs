//! The state of a replica, read from the parts that know it: for the library, and for clients of a server.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use super::figures::{Fault, Figures, Held, History};
use crate::command::{
    HeldBack, KeptState, LastFault, Loading, Replication, SyncNames, Synced, SyncsOf,
};
use crate::dialect::Dialect;
use crate::state;
use crate::store::{Figures as DatabaseFigures, Served};
use crate::upstream::{self, Address, Progress, SyncCause, SyncDone};

/// The state of a replica.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Status {
    /// The link to the primary.
    pub link: upstream::Snapshot,
    /// The history that is served.
    pub history: History,
    /// The snapshot that is held back, if there is one.
    pub held: Option<Held>,
    /// Bytes of the history that have been applied and are visible.
    pub applied_offset: u64,
    /// Bytes of the history that have been received.
    pub received_offset: u64,
    /// How long ago the served data was last proven to be complete; `None` if it never was. While the link is up and the
    /// server is not asked for proof ([`Config::max_staleness`](super::Config::max_staleness)), how long ago the last byte
    /// arrived.
    pub proven_ago: Option<Duration>,
    /// How far the served data is behind. While the link streams: the age of the oldest byte that redtail has received and not
    /// made visible, zero if there is none. While it does not: the same as `proven_ago`, because nothing newer is visible.
    ///
    /// The data is at least this far behind, and at most by `proven_ago`. `None` before the first sync.
    pub lag: Option<Duration>,
    /// Whether reads are refused because of that.
    pub stale: bool,
    /// Full syncs loaded.
    pub loads: u64,
    /// The last syncs that ended, oldest first: at most 16.
    pub syncs: Vec<SyncDone>,
    /// Writes that could not be applied.
    pub failed_writes: u64,
    /// Keys that answer TAINTED; `None` when all do.
    pub tainted_keys: Option<usize>,
    /// Keys whose values were discarded long after they expired, to free their memory.
    pub swept_keys: u64,
    /// Bytes that this freed.
    pub swept_bytes: u64,
    /// What last went wrong with the link, a load or the stream.
    pub last_fault: Option<Fault>,
    /// The dialect of the server that wrote the snapshot; `None` before the first sync.
    pub dialect: Option<Dialect>,
    /// The databases that hold keys.
    pub databases: Vec<DatabaseFigures>,
}

/// The parts of a running replica that know its state.
#[derive(Debug, Clone)]
pub struct Sources {
    pub(super) served: Arc<Served>,
    pub(super) progress: Arc<Progress>,
    pub(super) link: Arc<upstream::Status>,
    pub(super) figures: Arc<Figures>,
    pub(super) state: Option<Arc<state::Figures>>,
}

impl Sources {
    /// Returns the state of the replica.
    #[must_use]
    pub fn status(&self) -> Status {
        let generation = self.served.current();
        let taints = generation
            .as_ref()
            .map(|generation| generation.spaces.taints());
        Status {
            link: self.link.snapshot(),
            history: self.figures.history(),
            held: self.figures.held(),
            applied_offset: self.progress.applied(),
            received_offset: self.figures.received(&self.progress),
            proven_ago: self.figures.proven().map(|at| at.elapsed()),
            lag: self.figures.lag(&self.progress, &self.link),
            stale: self.served.is_stale(),
            loads: self.figures.load.completed.load(Relaxed),
            syncs: self.link.syncs.last(),
            failed_writes: self.figures.stream.failed.load(Relaxed),
            tainted_keys: taints.map_or(Some(0), |taints| {
                (!taints.everything()).then(|| taints.count())
            }),
            swept_keys: self.figures.sweep.keys.load(Relaxed),
            swept_bytes: self.figures.sweep.bytes.load(Relaxed),
            last_fault: self.figures.last_fault(&self.link),
            dialect: generation.as_ref().map(|generation| generation.dialect),
            databases: generation
                .map(|generation| generation.spaces.figures())
                .unwrap_or_default(),
        }
    }

    /// Returns the state of the replica as clients of a server see it in INFO and ROLE.
    #[must_use]
    pub fn replication(&self) -> Replication {
        let link = self.link.snapshot();
        let address = link.address.as_ref().map(Address::host_and_port);
        let (host, port) = address.unwrap_or_default();
        let (history, held) = (self.figures.history(), self.figures.held());
        let (load, stream) = (&self.figures.load, &self.figures.stream);
        let waited = self.link.arrivals.waits();
        let fault = self.figures.last_fault(&self.link);
        let applied = if self.served.peek().is_some() {
            self.progress.applied()
        } else {
            0
        };
        Replication {
            host,
            port,
            state: link.state.word(),
            last_io: link.last_io,
            down_for: link.down_for,
            was_up: link.was_up,
            up_for: link.up_for,
            disconnected_for: link.disconnected_for,
            attempts: self.link.attempts.load(Relaxed),
            attempts_since_lost: link.attempts_since_lost,
            last_error: link.last_error,
            needs_a_person: link.needs_a_person,
            silent_for: link.silent_for,
            is_unacknowledged: link.is_unacknowledged,
            upstream_mode: link.mode.word(),
            replid: history
                .replid
                .map(|replid| replid.to_string())
                .unwrap_or_default(),
            replid_before: history
                .before
                .map(|last| (last.replid.to_string(), last.offset.saturating_add(1))),
            held: held.map(|held| HeldBack {
                keys: held.keys,
                served_keys: held.served_keys,
                since: held.since.elapsed(),
            }),
            applied_offset: applied,
            proven_ago: self.figures.proven().map(|at| at.elapsed()),
            lag: self.figures.lag(&self.progress, &self.link),
            visibility: self.figures.visibility.took.durations(),
            in_state_for: link.in_state_for,
            stale: self.served.is_stale(),
            received_offset: self.figures.received(&self.progress),
            input_bytes: self.link.bytes.load(Relaxed),
            spooled_bytes: self.link.spooled.load(Relaxed),
            spool_memory_bytes: self.link.waiting_in_memory.load(Relaxed),
            spool_file_bytes: self.link.waiting_in_files.load(Relaxed),
            direct_reads: self.link.direct_reads.load(Relaxed),
            reads_that_waited: waited.all,
            reads_that_waited_in_vain: waited.in_vain,
            applied_commands: stream.commands.load(Relaxed),
            failed_writes: stream.failed.load(Relaxed),
            unknown_commands: stream.unknown.load(Relaxed),
            unknown_names: stream.unknown_names.all(),
            scripts: stream.scripts.load(Relaxed),
            passed: stream.passed.counts(),
            published: stream.published.load(Relaxed),
            swept_keys: self.figures.sweep.keys.load(Relaxed),
            swept_bytes: self.figures.sweep.bytes.load(Relaxed),
            expired_keys: (self.figures.sweep.expired()).map(|(keys, at)| (keys, at.elapsed())),
            syncing: (self.link.syncs.running()).map(|(cause, since)| (names(cause), since)),
            syncs: self.link.syncs.last().into_iter().map(synced).collect(),
            syncs_by_cause: self
                .link
                .syncs
                .by_cause()
                .into_iter()
                .map(syncs_of)
                .collect(),
            full_syncs: self.link.full_resyncs.load(Relaxed),
            partial_syncs: self.link.partial_resyncs.load(Relaxed),
            partial_syncs_refused: self.link.partial_refused.load(Relaxed),
            loads_completed: load.completed.load(Relaxed),
            loads_failed: load.failed.load(Relaxed),
            loading: load.running.load(Relaxed).then(|| Loading {
                bytes: load.bytes.load(Relaxed),
                keys: load.keys.load(Relaxed),
                bytes_expected: load.bytes_expected.load(Relaxed),
            }),
            last_fault: fault.map(|fault| LastFault {
                what: fault.what,
                ago: fault.at.elapsed(),
            }),
            kept: self.state.as_deref().map(kept),
        }
    }
}

const fn names(cause: SyncCause) -> SyncNames {
    SyncNames {
        kind: cause.kind().word(),
        cause: cause.word(),
    }
}

fn synced(done: SyncDone) -> Synced {
    let at = done.began.duration_since(SystemTime::UNIX_EPOCH);
    let brought = done.brought.unwrap_or_default();
    Synced {
        names: names(done.cause),
        at_ms: u64::try_from(at.unwrap_or_default().as_millis()).unwrap_or(u64::MAX),
        took: done.took,
        failed: done.brought.is_none(),
        bytes: brought.bytes,
        keys: brought.keys,
    }
}

fn syncs_of(of: upstream::SyncsOf) -> SyncsOf {
    SyncsOf {
        names: names(of.cause),
        took: of.took,
        failed: of.failed,
    }
}

fn kept(state: &state::Figures) -> KeptState {
    KeptState {
        keeps: state.keeps.load(Relaxed),
        saves: state.saves.load(Relaxed),
        snapshots: state.snapshots.load(Relaxed),
        snapshot_bytes: state.snapshot_bytes.load(Relaxed),
        log_bytes: state.log_bytes.load(Relaxed),
        failures: state.failures.load(Relaxed),
        set_aside: state.set_aside.load(Relaxed),
        last_error: state.last_error(),
    }
}
