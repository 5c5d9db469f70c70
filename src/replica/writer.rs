//! The writer thread's main loop.

use std::io;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::figures::{Figures, Held};
use super::load::{self, Kept, LoadError};
use super::rate::Rate;
use super::restore::{Restored, restore};
use super::resync::{Confirmation, ResyncMemory, ResyncPolicy};
use super::stream::{Applier, Position, StreamError};
use crate::command::ReplayScripts;
use crate::dialect::Dialect;
use crate::feed::{Class, Feed, Interest};
use crate::history::{Point, ReplId, StreamPoint};
use crate::limits::FEED_BYTES_MAX;
use crate::rdb::decode::Checksum;
use crate::rdb::reader::Reader;
use crate::rdb::source::Source;
use crate::state::{Keeper, Payload, Saving};
use crate::store::{Difference, Generation, Kind, Served, WriteToken, drop_aside, unix_ms};
use crate::upstream::{
    Begin, Brought, Fault, Link, LinkEnd, Piece, ProgressWriter, Receiver, Start, Status, SyncCause,
};
use crate::words::Period;

/// How often the writer checks whether a snapshot that is held back was confirmed.
const HOLD_LOOK: Duration = Duration::from_millis(20);

/// How long readers may finish what they have begun before a generation is discarded under one-copy.
const READERS_LEAVE: Duration = Duration::from_secs(1);

/// How long a snapshot is written before the writer checks for new bytes.
const SAVE_STEP: Duration = Duration::from_millis(2);

/// Maximum bytes of the differences that a full sync makes. If there are more, listeners learn that everything has changed:
/// that is cheaper for them, too.
const DIFFERENCE_BYTES_MAX: usize = FEED_BYTES_MAX / 2;

/// The bytes of a link; ends when the connection does.
struct LinkSource {
    bytes: Receiver,
    figures: Arc<Figures>,
    progress: ProgressWriter,
    rate: Option<Rate>,
    /// Keeps the bytes received, while they are a payload.
    payload: Option<Payload>,
}

impl LinkSource {
    /// The next bytes of the stream, read from the socket by this thread if it keeps up; empty at the end.
    fn next_piece(&mut self) -> io::Result<Piece<'_>> {
        let piece = self.bytes.recv_stream()?;
        if !piece.is_empty() {
            self.figures.visibility.begin(piece.arrived());
        }
        if let Some(rate) = &mut self.rate {
            std::thread::sleep(rate.delay(piece.len(), Instant::now()));
        }
        if let Piece::Spooled(chunk, _) = &piece {
            self.progress.note_taken(chunk.len());
        }
        Ok(piece)
    }
}

impl Source for LinkSource {
    fn next_chunk(&mut self) -> io::Result<Bytes> {
        let chunk = self.bytes.recv()?;
        if let Some(rate) = &mut self.rate {
            std::thread::sleep(rate.delay(chunk.len(), Instant::now()));
        }
        self.progress.note_taken(chunk.len());
        self.figures.load.note_bytes(chunk.len());
        if let Some(payload) = &mut self.payload {
            payload.take(&chunk);
        }
        Ok(chunk)
    }
}

/// Follows one link after another. Owns the position between them.
pub(super) struct Writer {
    pub(super) served: Arc<Served>,
    pub(super) token: WriteToken,
    pub(super) progress: ProgressWriter,
    pub(super) figures: Arc<Figures>,
    pub(super) databases: usize,
    /// The dialect of replies, in place of the one that the snapshot names.
    pub(super) dialect: Option<Dialect>,
    /// Maximum bytes to process per second.
    pub(super) rate: Option<NonZeroU64>,
    /// Maximum bytes of a transaction to keep until its end.
    pub(super) transaction_max: usize,
    /// What a full sync may do to the served data.
    pub(super) resync: ResyncPolicy,
    pub(super) confirmation: Arc<Confirmation>,
    /// Whether anything is served yet.
    pub(super) ready: watch::Sender<bool>,
    pub(super) lineage: Option<(ReplId, Position)>,
    /// What a restart resumes from.
    pub(super) keeper: Option<Keeper>,
    /// The snapshot being written for the keeper.
    pub(super) saving: Option<Saving>,
    /// Runs scripts that arrive as their text.
    pub(super) scripting: Option<Arc<dyn ReplayScripts>>,
    /// Ends a restore that takes long.
    pub(super) stop: CancellationToken,
    /// The payload of the generation that is about to be served.
    pub(super) loaded: Option<LoadedPayload>,
    /// What the sync under way has brought.
    pub(super) brought: Brought,
    /// The link's state, which keeps the record of syncs.
    pub(super) link: Arc<Status>,
}

/// A payload that was loaded, as it is kept.
pub(super) struct LoadedPayload {
    payload: Payload,
    bytes: u64,
    checksum: Checksum,
}

impl Writer {
    /// Serves what the state directory holds. If `age_matters`, marks it as stale, because nothing proves that it is
    /// fresh. Returns where the first link starts.
    pub(super) fn restore(&mut self, age_matters: bool) -> Begin {
        let had_state = self
            .keeper
            .as_mut()
            .is_some_and(|keeper| keeper.newest().is_some());
        let resume = self.restore_state(age_matters);
        self.served.feed().end_replay();
        Begin {
            resume,
            cause: match had_state {
                true => SyncCause::StateUnusable,
                false => SyncCause::FirstStart,
            },
        }
    }

    fn restore_state(&mut self, age_matters: bool) -> Option<Point> {
        let kept = Kept {
            token: &self.token,
            databases: self.databases,
            dialect: self.dialect,
            tuning: self.served.tuning(),
            feed: self.served.feed(),
            scripting: self.scripting.as_ref(),
        };
        let Restored { position, replid } =
            restore(self.keeper.as_mut()?, kept, &self.figures.load, &|| {
                self.stop.is_cancelled()
            })?;
        let offset = position.offset;
        let generation = Arc::clone(&position.generation);
        self.leave_proofs(&position);
        // Set the figures first: a client that sees the data must not be told that it has no offset.
        self.progress.set_applied(offset);
        self.figures.stream.taken.store(offset, Relaxed);
        self.lineage = replid.map(|replid| (replid, position));
        if let Some(replid) = replid {
            self.figures.begin_history(replid);
        }
        self.token.serve(&self.served, generation);
        self.progress.lookout().note_moved();
        if age_matters {
            self.served.set_stale(true);
        }
        // A program that is told that it can read can also come back to its changes.
        self.served.feed().end_replay();
        self.ready.send_replace(true);
        replid.map(|replid| Point { replid, offset })
    }

    /// Works until the upstream hands over no more links.
    pub(super) fn run(mut self, mut links: mpsc::Receiver<Link>) {
        while let Some(link) = self.next_link(&mut links) {
            let source = LinkSource {
                bytes: link.bytes,
                figures: Arc::clone(&self.figures),
                progress: self.progress.clone(),
                rate: self.rate.map(Rate::new),
                payload: None,
            };
            let fault = self.follow(link.start, source).err();
            self.progress.set_idle();
            self.figures.visibility.reset();
            if let Some(fault) = &fault {
                self.figures.note_fault(fault.to_string());
            }
            let resume = self.lineage.as_ref().map(|(replid, position)| Point {
                replid: *replid,
                offset: position.offset,
            });
            // The receiver is gone if the upstream is being stopped.
            let _ = link.done.send(LinkEnd { resume, fault });
        }
    }

    /// Waits for a link. In the meantime, continues to write an unfinished snapshot.
    fn next_link(&mut self, links: &mut mpsc::Receiver<Link>) -> Option<Link> {
        while let (Some(keeper), true) = (&mut self.keeper, self.saving.is_some()) {
            match links.try_recv() {
                Ok(link) => return Some(link),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) => keeper.work(&mut self.saving, SAVE_STEP),
            }
        }
        links.blocking_recv()
    }

    fn follow(&mut self, start: Start, source: LinkSource) -> Result<(), Fault> {
        let is_full = matches!(start, Start::Full(_));
        let (rest, source) = match start {
            Start::Full(Point { replid, offset }) => self.load(replid, offset, source)?,
            Start::Continue { replid } => {
                self.resume(replid)?;
                (Bytes::new(), source)
            }
        };
        if self.released(&source)? {
            self.stream(rest, source, is_full)
        } else {
            Ok(())
        }
    }

    fn resume(&mut self, replid: Option<ReplId>) -> Result<(), Fault> {
        let Some((current, position)) = &mut self.lineage else {
            let message = "the primary continues a stream that redtail does not have";
            return Err(Fault::new(message));
        };
        // After a failover the stream continues under the new primary's id.
        if let Some(replid) = replid.filter(|replid| replid != current) {
            *current = replid;
            let offset = position.offset;
            self.served.feed().rename(Point { replid, offset });
            if let Some(keeper) = self
                .keeper
                .as_mut()
                .filter(|_| self.figures.held().is_none())
            {
                keeper.rename(replid, position.offset);
            }
        }
        if self.figures.held().is_some() {
            self.progress.start_hold(position.offset);
        } else {
            self.figures.rename_history(*current, position.offset);
            self.progress.start_stream(position.offset);
            self.progress.lookout().note_moved();
            self.link.syncs.finish(Brought::default());
        }
        Ok(())
    }

    /// Loads a snapshot beside the served data, then serves it or holds it back. If loading fails, the old generation
    /// stays.
    fn load(
        &mut self,
        replid: ReplId,
        offset: u64,
        mut source: LinkSource,
    ) -> Result<(Bytes, LinkSource), Fault> {
        self.progress.start_transfer();
        // Drop it before another file takes its name.
        self.loaded = None;
        source.payload = self.keeper.as_mut().and_then(Keeper::payload);
        let mut reader = Reader::new(source);
        let framing = load::header(&mut reader).map_err(|error| fault_of(&error))?;
        if self.resync.memory == ResyncMemory::OneCopy {
            self.make_room();
        }
        let kept = Kept {
            token: &self.token,
            databases: self.databases,
            dialect: self.dialect,
            tuning: self.served.tuning(),
            feed: self.served.feed(),
            scripting: self.scripting.as_ref(),
        };
        let loaded = load::payload(&mut reader, &framing, kept, &self.figures.load)
            .map_err(|error| fault_of(&error))?;
        self.brought = Brought {
            bytes: loaded.bytes,
            keys: keys_of(&loaded.generation) as u64,
        };
        let held = self.suspicion(replid, &loaded.generation);
        let (rest, mut source) = reader.into_rest();
        self.loaded = source.payload.take().map(|payload| LoadedPayload {
            payload,
            bytes: loaded.bytes,
            checksum: loaded.checksum,
        });
        let position = Position {
            offset,
            db: loaded.stream_db,
            generation: loaded.generation,
        };
        self.lineage = Some((replid, position));
        self.figures.note_held(held);
        match held {
            Some(held) => self.hold(held, offset),
            None => self.publish()?,
        }
        Ok((rest, source))
    }

    /// Discards the served data before anything replaces it.
    fn make_room(&mut self) {
        self.lineage = None;
        let Some(old) = self.token.clear(&self.served) else {
            return;
        };
        tracing::warn!(
            "the old data is discarded: clients get LOADING until the full resync is loaded (--resync-memory one-copy)"
        );
        old.spaces.waiters().wake_all();
        self.progress.lookout().note_moved();
        let patience = Instant::now() + READERS_LEAVE;
        while Arc::strong_count(&old) > 1 && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Returns why a loaded snapshot should not be served yet: it is of another history than the served data, and much
    /// smaller.
    fn suspicion(&self, replid: ReplId, loaded: &Generation) -> Option<Held> {
        let served = self.served.current()?;
        if self.figures.history().knows(replid) {
            return None;
        }
        let (keys, served_keys) = (keys_of(loaded), keys_of(&served));
        let since = self.figures.held().map(|held| held.since);
        self.resync.suspects(keys, served_keys).then(|| Held {
            since: since.unwrap_or_else(Instant::now),
            keys,
            served_keys,
        })
    }

    fn hold(&self, held: Held, offset: u64) {
        let Held {
            keys, served_keys, ..
        } = held;
        tracing::error!(
            keys,
            served_keys,
            patience = %Period(self.resync.guard_patience),
            "the primary has begun another history with far fewer keys: redtail keeps serving the old data (--resync-guard). \
             Send SIGUSR1 to accept the new data now"
        );
        // A confirmation applies to what is held at the time it is given.
        let _earlier = self.confirmation.take();
        self.progress.start_hold(offset);
        self.link.syncs.hold();
    }

    /// Waits until nothing is held back; returns `false` if the link ends first.
    fn released(&mut self, source: &LinkSource) -> Result<bool, Fault> {
        let Some(held) = self.figures.held() else {
            return Ok(true);
        };
        loop {
            let confirmed = self.confirmation.take();
            if confirmed || held.since.elapsed() >= self.resync.guard_patience {
                tracing::warn!(
                    confirmed,
                    keys = held.keys,
                    "serving the new data that was held back"
                );
                self.figures.note_held(None);
                self.publish()?;
                return Ok(true);
            }
            if source.bytes.ended() {
                return Ok(false);
            }
            std::thread::sleep(HOLD_LOOK);
        }
    }

    /// Whether the listeners that the writer waits for have dealt with everything. If one of them has left instead, the replica
    /// is being stopped, and the next one must find the state that it has not seen the end of.
    fn has_settled(&self) -> bool {
        let offset = self.progress.applied();
        let replid = self.figures.history().replid;
        replid.is_none_or(|replid| self.served.feed().settle(Point { replid, offset }))
    }

    /// Serves what was loaded.
    fn publish(&mut self) -> Result<(), Fault> {
        if !self.has_settled() {
            self.lineage = None;
            return Err(Fault::new("the listener has left"));
        }
        let Some((replid, position)) = &self.lineage else {
            return Ok(());
        };
        if let Some(keeper) = &mut self.keeper {
            self.saving = None;
            let (replid, offset, db) = (*replid, position.offset, position.db);
            let place = StreamPoint {
                point: Point { replid, offset },
                db,
            };
            // Do this before anyone sees the new data: a restart must not return to the old.
            match self.loaded.take() {
                Some(loaded) => keeper.begin(loaded.payload, loaded.bytes, loaded.checksum, place),
                None => keeper.begin_without(),
            }
        }
        let change = self.served.change(&self.token);
        self.figures.leave_history();
        self.leave_proofs(position);
        if self.served.peek().is_none() {
            // The first client to be served must not be told the offset and the history of nothing.
            self.progress.set_applied(position.offset);
            self.figures.begin_history(*replid);
        }
        let old = self
            .token
            .serve(&self.served, Arc::clone(&position.generation));
        if let Some(old) = &old {
            old.spaces.waiters().wake_all();
        }
        self.progress.start_stream(position.offset);
        self.link.loaded();
        self.figures.begin_history(*replid);
        self.progress.lookout().note_moved();
        // A snapshot has everything that was written before the primary announced it.
        if let Some(since) = self.link.syncs.finish(self.brought) {
            self.figures.note_proven(since);
        }
        drop(change);
        let now = Point {
            replid: *replid,
            offset: position.offset,
        };
        note_replacement(old.as_deref(), &position.generation, now);
        // After the first sync is told: who listens from then on has it.
        self.ready.send_replace(true);
        if let Some(old) = old {
            drop_aside(old);
        }
        Ok(())
    }

    /// What was proven of the cluster's slots held for the old data. Must follow the end of the old history.
    fn leave_proofs(&self, position: &Position) {
        if let Some(ownership) = self.served.tuning().ownership() {
            ownership.forget_proofs();
            let spaces = &position.generation.spaces;
            self.token.begin_at(spaces, position.offset);
        }
    }

    /// Applies the stream: of the server that wrote the snapshot if `is_own`, otherwise of one that continues it.
    fn stream(&mut self, rest: Bytes, mut source: LinkSource, is_own: bool) -> Result<(), Fault> {
        let Some((replid, position)) = self.lineage.take() else {
            return Ok(());
        };
        self.figures.stream.taken.store(position.offset, Relaxed);
        let mut applier = Applier::new(position, &self.token, &self.progress, &self.figures.stream)
            .with_scripting(self.scripting.clone());
        applier.set_transaction_max(self.transaction_max);
        if is_own {
            applier.trust_version();
        }
        *applier.saving() = self.saving.take();
        // How long the rest of a snapshot's last chunk has waited is not known: it does not count.
        let (mut arrived, mut before) = (Instant::now(), u64::MAX);
        self.figures.visibility.begin(arrived);
        let mut result = take(&mut self.keeper, &mut applier, &rest);
        while result.is_ok() {
            self.note_visible(arrived, before, applier.received());
            if let Some(keeper) = &mut self.keeper {
                save(keeper, &mut applier, replid, &source.bytes);
            }
            match source.next_piece() {
                Ok(piece) if !piece.is_empty() => {
                    (arrived, before) = (piece.arrived(), self.progress.applied());
                    result = take(&mut self.keeper, &mut applier, &piece);
                }
                _ => break,
            }
        }
        self.saving = applier.saving().take();
        match result {
            Ok(()) => {
                self.lineage = Some((replid, applier.into_position()));
                Ok(())
            }
            // The position is lost with the lineage: the next link is a full resync. The data already applied is still
            // served.
            Err(error) => {
                self.saving = None;
                self.keeper.iter_mut().for_each(Keeper::end);
                Err(Fault::new(error.to_string()))
            }
        }
    }

    /// Notes what has become visible of bytes that arrived at `arrived`: of all until the offset `received`, those after
    /// `before`.
    fn note_visible(&self, arrived: Instant, before: u64, received: u64) {
        let visible = self.progress.applied();
        let visibility = &self.figures.visibility;
        visibility.end(arrived, visible > before, visible < received);
    }
}

/// Keeps a chunk of the stream, then applies it: a restart must not find less than readers have seen.
fn take(
    keeper: &mut Option<Keeper>,
    applier: &mut Applier<'_>,
    chunk: &[u8],
) -> Result<(), StreamError> {
    if let Some(keeper) = keeper
        && !chunk.is_empty()
    {
        // The time is kept with the chunk, so that relative expiries have the same result when it is applied again.
        let at_ms = unix_ms();
        keeper.append(applier.received(), at_ms, chunk);
        applier.set_clock(at_ms);
    }
    applier.feed(chunk)
}

/// Begins a snapshot if one is due, and writes it until the stream continues.
fn save(keeper: &mut Keeper, applier: &mut Applier<'_>, replid: ReplId, stream: &Receiver) {
    if applier.saving().is_none() && keeper.wants_snapshot() {
        let begun = applier.rest().and_then(|(position, pending)| {
            let place = StreamPoint {
                point: Point {
                    replid,
                    offset: position.offset,
                },
                db: position.db,
            };
            // The log that the snapshot replaces has what listeners come back for.
            let feed = position.generation.spaces.feed();
            let settled = feed.settle(place.point);
            settled.then(|| keeper.start_saving(place, pending, &position.generation))?
        });
        *applier.saving() = begun;
    }
    if applier.saving().is_some() {
        // While the snapshot is written, new bytes are read from the spool.
        stream.give_back();
    }
    while applier.saving().is_some() {
        // A waiting stream gets its turn after each shard, and most of the time.
        let waits = stream.waiting() > 0;
        if waits && applier.saving().as_ref().is_some_and(Saving::rests) {
            return;
        }
        let budget = if waits { Duration::ZERO } else { SAVE_STEP };
        keeper.work(applier.saving(), budget);
        if stream.waiting() > 0 || stream.ended() {
            return;
        }
    }
}

/// Notes for the feed that `next` is served instead of `old` since `now`: each key that differs, if that can be told. The stream
/// waits in the spool meanwhile, and readers see the new data already.
fn note_replacement(old: Option<&Generation>, next: &Generation, now: Point) {
    let feed = next.spaces.feed();
    feed.begin_history(now);
    if feed.begin_turn(now.offset) {
        note_differences(old, next, now);
    }
    feed.end_turn(now.offset);
}

fn note_differences(old: Option<&Generation>, next: &Generation, now: Point) {
    let feed = next.spaces.feed();
    feed.note_replacement(true);
    let is_told = feed.interest().keys()
        && old.is_some_and(|old| {
            let mut note =
                |db, key: &[u8], kind, difference| note_difference(feed, db, key, kind, difference);
            old.spaces.differences(&next.spaces, &mut note)
        });
    if !is_told {
        feed.discard();
        feed.note_replacement(false);
    }
    feed.commit(now.offset);
    feed.publish(now.offset);
}

/// Returns false if there is no room for more differences.
fn note_difference(feed: &Feed, db: usize, key: &[u8], kind: Kind, difference: Difference) -> bool {
    let interest = feed.interest();
    if interest.has(Interest::TOUCHES) {
        feed.note_touch(db, key);
    }
    if interest.has(Interest::EVENTS) {
        let note = |class, event| feed.note_event(db, class, event, key, kind.word());
        match difference {
            Difference::Gone => note(Class::GENERIC, "del"),
            Difference::New => {
                note(Class::NEW, "new");
                note(Class::GENERIC, "restore");
            }
            // The command that puts a whole value in place.
            Difference::Changed => note(Class::GENERIC, "restore"),
        }
    }
    feed.pending_bytes() <= DIFFERENCE_BYTES_MAX
}

fn keys_of(generation: &Generation) -> usize {
    let databases = generation.spaces.figures();
    databases.iter().map(|database| database.keys).sum()
}

fn fault_of(error: &LoadError) -> Fault {
    Fault::new(error.to_string())
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
