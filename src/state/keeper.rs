//! The writer thread's handle to the state directory.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::disk::{Disk, Whole};
use super::figures::Figures;
use super::folder::Folder;
use super::log::{Damage, Log};
use super::payload::Payload;
use super::record::{Begin, Kind, PAYLOAD_BYTES_MAX};
use super::saving::{Saving, Step};
use super::{Config, Error, Fsync};
use crate::history::{ReplId, StreamPoint};
use crate::rdb::decode::Checksum;
use crate::store::{Generation, unix_ms};
use crate::words::{Period, Plain};

/// A generation's files, and the logs that may continue it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// The generation.
    pub number: u64,
    /// Its snapshot.
    pub snapshot: PathBuf,
    /// The logs in order, each with its generation. If the first one, which belongs to the snapshot, is missing, the state
    /// is damaged.
    pub logs: Vec<(u64, PathBuf)>,
}

/// The history that is being kept.
#[derive(Debug)]
enum History {
    /// Nothing: no history is followed, or it has ended.
    None,
    Kept(Kept),
    /// Nothing, because something could not be written.
    Stopped {
        until: Instant,
    },
}

#[derive(Debug)]
struct Kept {
    log: Log,
    /// Bytes of the logs between the newest durable snapshot and `log`.
    earlier_bytes: u64,
    /// Whether there is a snapshot to resume from.
    has_snapshot: bool,
    /// Whether a snapshot is being forced to the disk.
    settling: bool,
    /// No snapshot starts before this time.
    not_before: Instant,
    /// Snapshots that have failed in a row, for example because a command needed too many keys at once.
    hurried: u32,
}

/// Keeps a history so that a restart can resume it. A failure is logged here and stops the keeping for a while.
#[derive(Debug)]
pub struct Keeper {
    config: Config,
    folder: Folder,
    figures: Arc<Figures>,
    disk: Disk,
    history: History,
    /// The highest generation number so far.
    last: u64,
    pause: Duration,
    /// Why no file could be created for a payload.
    refused: Option<io::Error>,
}

/// The longest pause between two attempts, as a multiple of the first pause.
const PAUSE_TIMES_MAX: u32 = 100;

/// The log may grow to this size, no matter how small the snapshot is.
const LOG_BYTES_MIN: u64 = 64 << 20;

/// No snapshot starts while more than this of an unfinished command waits, because it would have to be copied.
const PENDING_BYTES_MAX: usize = 1 << 20;

/// After this number of failed snapshots in a row, the next one is written no matter how much commands need at once.
const HURRIED_MAX: u32 = 3;

impl Keeper {
    /// Opens the directory. Nothing is read yet.
    ///
    /// # Errors
    /// [`Error`].
    pub fn open(config: Config, figures: Arc<Figures>) -> Result<Self, Error> {
        let folder = Folder::open(&config.folder)?;
        let wrong = |error| Error::Folder(config.folder.clone(), error);
        let listing = folder.list().map_err(wrong)?;
        let numbers = listing.snapshots.iter().chain(&listing.logs);
        let last = numbers.max().copied().unwrap_or(0);
        let syncs_logs = config.fsync == Fsync::EverySecond;
        let disk = Disk::start(folder.clone(), Arc::clone(&figures), syncs_logs).map_err(wrong)?;
        Ok(Self {
            pause: config.retry,
            config,
            folder,
            figures,
            disk,
            history: History::None,
            last,
            refused: None,
        })
    }

    /// Like [`Keeper::open`], but returns `None` when the disk does not let redtail write. The failure is logged and shown.
    ///
    /// # Errors
    /// Returns [`Error`] when a setting is wrong.
    pub fn open_if_possible(config: Config, figures: &Arc<Figures>) -> Result<Option<Self>, Error> {
        match Self::open(config, Arc::clone(figures)) {
            Err(error) if error.is_of_the_disk() => {
                tracing::error!(
                    %error,
                    "redtail serves without keeping its state: the next start needs a full sync. Once the directory is writable, empty \
                     it, because its contents are out of date by then, and restart redtail"
                );
                figures.failures.fetch_add(1, Ordering::Relaxed);
                figures.note_error(Some(error.to_string()));
                Ok(None)
            }
            opened => opened.map(Some),
        }
    }

    /// Returns the newest generation, if there is one.
    #[must_use]
    pub fn newest(&self) -> Option<Chain> {
        let listing = match self.folder.list() {
            Ok(listing) => listing,
            Err(error) => {
                tracing::warn!(error = %Plain(&error), "cannot read the state directory: redtail asks the primary for a full sync");
                return None;
            }
        };
        let number = *listing.snapshots.last()?;
        let logs = (number..).take_while(|number| listing.logs.contains(number));
        Some(Chain {
            number,
            snapshot: self.folder.snapshot(number),
            logs: logs
                .map(|number| (number, self.folder.log(number)))
                .collect(),
        })
    }

    /// Renames the files of a damaged generation out of the way.
    ///
    /// # Errors
    /// Returns an error when files may still be there.
    pub fn set_aside(&self, chain: &Chain, damage: &Damage) -> io::Result<()> {
        tracing::error!(%damage, "the kept state is damaged: redtail renames its files to *.corrupt-<time> and does not use them");
        self.figures.note_error(Some(damage.to_string()));
        self.figures.set_aside.fetch_add(1, Ordering::Relaxed);
        let mut numbers: Vec<u64> = chain.logs.iter().map(|(number, _)| *number).collect();
        numbers.push(chain.number);
        self.folder.set_aside(&numbers, unix_ms() / 1000)
    }

    /// Continues a chain that was read up to the log `number`, whose whole records end at `bytes`. Removes later logs.
    pub fn resume(&mut self, chain: &Chain, number: u64, bytes: u64) {
        if let Err(error) = self.try_resume(chain, number, bytes) {
            self.stop(&error);
        }
    }

    fn try_resume(&mut self, chain: &Chain, number: u64, bytes: u64) -> io::Result<()> {
        self.folder.remove_generations(|other| other > number)?;
        let earlier = chain.logs.iter().filter(|(other, _)| *other < number);
        let sizes = earlier.map(|(_, path)| Ok(fs::metadata(path)?.len()));
        let earlier_bytes = sizes.sum::<io::Result<u64>>()?;
        let log = Log::reopen(&self.folder.log(number), bytes)?;
        self.force(chain, number)?;
        let snapshot = Arc::new(File::open(&chain.snapshot)?);
        let size = snapshot.metadata()?.len();
        self.figures.snapshot_bytes.store(size, Ordering::Relaxed);
        // The snapshot may not be on the disk yet. Older files are removed once it is.
        self.disk.settle(Whole {
            number: chain.number,
            file: snapshot,
            temporary: None,
            log: Arc::clone(log.file()),
        });
        self.keep(log, earlier_bytes, true);
        Ok(())
    }

    /// Forces the logs that were read to the disk. If the previous process was killed, they may not be there yet.
    fn force(&self, chain: &Chain, last: u64) -> io::Result<()> {
        let is_read = |(number, _): &&(u64, PathBuf)| *number <= last;
        for (_, path) in chain.logs.iter().filter(is_read) {
            let log = File::open(path)?;
            match self.config.fsync {
                Fsync::Always => log.sync_all()?,
                Fsync::EverySecond | Fsync::No => self.disk.watch(Arc::new(log)),
            }
        }
        if self.config.fsync == Fsync::Always {
            self.folder.sync()?;
        }
        Ok(())
    }

    fn keep(&mut self, log: Log, earlier_bytes: u64, has_snapshot: bool) {
        self.disk.watch(Arc::clone(log.file()));
        let kept = Kept {
            log,
            earlier_bytes,
            has_snapshot,
            settling: has_snapshot,
            not_before: Instant::now(),
            hurried: 0,
        };
        self.note_log(&kept);
        self.history = History::Kept(kept);
        self.figures.keeps.store(true, Ordering::Relaxed);
    }

    fn note_log(&self, kept: &Kept) {
        let bytes = kept.earlier_bytes + kept.log.bytes();
        self.figures.log_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Returns where to put the payload of a full resync that starts; `None` if no file can be created for it.
    pub fn payload(&mut self) -> Option<Payload> {
        let created = Payload::create(&self.folder, self.last + 1);
        created.map_err(|error| self.refused = Some(error)).ok()
    }

    /// Starts to keep the history of a full resync, and stops keeping the previous one. The payload is loaded, and is about
    /// to be served from `place` on. `bytes` and `checksum` are those of its RDB.
    pub fn begin(&mut self, payload: Payload, bytes: u64, checksum: Checksum, place: StreamPoint) {
        if let Err(error) = self.try_begin(payload, bytes, checksum, place) {
            self.stop(&error);
        }
    }

    /// Like [`begin`](Self::begin), but the payload could not be kept: a snapshot must be written first.
    pub fn begin_without(&mut self) {
        let error = self.refused.take();
        self.stop(&error.unwrap_or_else(|| io::Error::other("the payload was not kept")));
    }

    fn try_begin(
        &mut self,
        mut payload: Payload,
        bytes: u64,
        checksum: Checksum,
        place: StreamPoint,
    ) -> io::Result<()> {
        let (file, path) = payload.done(bytes, checksum)?;
        let log = self.new_log(place, &[])?;
        if self.config.fsync == Fsync::Always {
            file.sync_all()?;
        }
        fs::rename(path, self.folder.snapshot(self.last))?;
        if self.config.fsync == Fsync::Always {
            self.folder.sync()?;
        }
        self.disk.settle(Whole {
            number: self.last,
            file,
            temporary: None,
            log: Arc::clone(log.file()),
        });
        self.keep(log, 0, true);
        Ok(())
    }

    /// Starts the log of the next generation at `place`, with the received part of the command there.
    fn new_log(&mut self, place: StreamPoint, pending: &[u8]) -> io::Result<Log> {
        let begin = Begin {
            number: self.last + 1,
            at: place,
        };
        self.last += 1;
        let log = Log::create(&self.folder, begin, unix_ms(), pending)?;
        if self.config.fsync == Fsync::Always {
            log.file().sync_all()?;
            self.folder.sync()?;
        }
        Ok(log)
    }

    /// Notes that the history cannot be followed any further. A restart will find that out again, so nothing more is
    /// appended.
    pub fn end(&mut self) {
        if matches!(self.history, History::Kept(_)) {
            self.history = History::None;
            self.figures.keeps.store(false, Ordering::Relaxed);
        }
    }

    /// Keeps `chunk`, which begins at `offset` and is about to be applied at `at_ms`.
    pub fn append(&mut self, offset: u64, at_ms: i64, chunk: &[u8]) {
        let most = usize::try_from(PAYLOAD_BYTES_MAX).unwrap_or(usize::MAX);
        let mut at = offset;
        for part in chunk.chunks(most) {
            self.record(Kind::Stream, at, at_ms, part);
            at += part.len() as u64;
        }
    }

    /// Notes that the history continues under another id.
    pub fn rename(&mut self, replid: ReplId, offset: u64) {
        let id = replid.to_string();
        self.record(Kind::Renamed, offset, unix_ms(), id.as_bytes());
    }

    fn record(&mut self, kind: Kind, offset: u64, at_ms: i64, payload: &[u8]) {
        let History::Kept(kept) = &mut self.history else {
            return;
        };
        let mut result = kept.log.append(kind, offset, at_ms, payload);
        if result.is_ok() && self.config.fsync == Fsync::Always {
            result = kept.log.file().sync_data();
        }
        let bytes = kept.earlier_bytes + kept.log.bytes();
        self.figures.log_bytes.store(bytes, Ordering::Relaxed);
        match result.err().or_else(|| self.disk.error()) {
            None => self.disk.note_written(),
            Some(error) => self.stop(&error),
        }
    }

    /// Whether a snapshot should start now.
    #[must_use]
    pub fn wants_snapshot(&mut self) -> bool {
        let most = self.log_bytes_max();
        if let History::Kept(kept) = &mut self.history
            && kept.settling
            && self.disk.durable().is_some()
        {
            self.pause = self.config.retry;
            kept.settling = false;
        }
        match &self.history {
            History::None => false,
            History::Kept(kept) => {
                let bytes = kept.earlier_bytes + kept.log.bytes();
                bytes > most && !kept.settling && kept.not_before <= Instant::now()
            }
            History::Stopped { until } => *until <= Instant::now(),
        }
    }

    fn log_bytes_max(&self) -> u64 {
        let snapshot_bytes = self.figures.snapshot_bytes.load(Ordering::Relaxed);
        let chosen = self.config.log_bytes_max;
        chosen.unwrap_or_else(|| snapshot_bytes.max(LOG_BYTES_MIN))
    }

    /// Starts a snapshot of what `generation` holds at `place`. `pending` is what was received beyond it. Returns `None` if
    /// the snapshot cannot start.
    pub fn start_saving(
        &mut self,
        place: StreamPoint,
        pending: &[u8],
        generation: &Arc<Generation>,
    ) -> Option<Saving> {
        if pending.len() > PENDING_BYTES_MAX {
            return None;
        }
        match self.try_start_saving(place, pending, generation) {
            Ok(saving) => {
                self.figures.saves.store(true, Ordering::Relaxed);
                Some(saving)
            }
            Err(error) => {
                self.saving_failed(&error);
                None
            }
        }
    }

    fn try_start_saving(
        &mut self,
        place: StreamPoint,
        pending: &[u8],
        generation: &Arc<Generation>,
    ) -> io::Result<Saving> {
        let patient = match &self.history {
            History::Kept(kept) => kept.hurried >= HURRIED_MAX,
            _ => false,
        };
        let saving = Saving::create(&self.folder, self.last + 1, place, generation, patient)?;
        let log = self.new_log(place, pending)?;
        match &mut self.history {
            History::Kept(kept) => {
                kept.earlier_bytes += kept.log.bytes();
                self.disk.watch(Arc::clone(log.file()));
                kept.log = log;
            }
            _ => {
                self.keep(log, 0, false);
            }
        }
        Ok(saving)
    }

    /// Continues a snapshot for at least one shard, and for at most `budget` beyond that. A finished snapshot becomes the
    /// newest generation; a failed one is discarded.
    pub fn work(&mut self, saving: &mut Option<Saving>, budget: Duration) {
        let Some(going) = saving else { return };
        let is_kept = matches!(self.history, History::Kept(_));
        if is_kept && going.step(budget) == Step::More {
            return;
        }
        self.figures.saves.store(false, Ordering::Relaxed);
        let ended = saving.take().filter(|_| is_kept);
        if let Some(ended) = ended
            && let Err(error) = self.end_saving(ended)
        {
            self.saving_failed(&error);
        }
    }

    fn end_saving(&mut self, mut saving: Saving) -> io::Result<()> {
        saving.end()?;
        let History::Kept(kept) = &mut self.history else {
            return Ok(());
        };
        kept.settling = true;
        kept.has_snapshot = true;
        kept.earlier_bytes = 0;
        kept.hurried = 0;
        self.disk.settle(Whole {
            number: saving.number(),
            file: Arc::clone(saving.file()),
            temporary: saving.keep(),
            log: Arc::clone(kept.log.file()),
        });
        Ok(())
    }

    /// Handles a failed snapshot. The log continues if there is a snapshot before it.
    fn saving_failed(&mut self, error: &io::Error) {
        let pause = self.pause;
        match &mut self.history {
            History::Kept(kept) if kept.has_snapshot => {
                tracing::warn!(
                    error = %Plain(error),
                    retry_in = %Period(pause),
                    "could not write a new snapshot of the state: the last one stays, and the log after it keeps growing"
                );
                kept.not_before = Instant::now() + pause;
                kept.hurried += 1;
                self.figures.failures.fetch_add(1, Ordering::Relaxed);
                self.figures.note_error(Some(error.to_string()));
            }
            _ => self.stop(error),
        }
    }

    /// Keeps nothing for a while. Removes the existing state, because a restart would go back in time with it.
    fn stop(&mut self, error: &io::Error) {
        let pause = self.pause;
        tracing::error!(
            error = %Plain(error),
            retry_in = %Period(pause),
            "cannot write the state, and redtail has removed the old one: until a new snapshot is complete, a restart needs a full sync"
        );
        self.figures.keeps.store(false, Ordering::Relaxed);
        self.figures.log_bytes.store(0, Ordering::Relaxed);
        self.figures.failures.fetch_add(1, Ordering::Relaxed);
        self.figures.note_error(Some(error.to_string()));
        self.disk.abandon(self.last);
        let removed = self.folder.remove_generations(|_| true);
        if let Err(error) = removed.and_then(|()| self.folder.sync()) {
            tracing::error!(
                error = %Plain(&error),
                "cannot remove the old state either: empty the directory before the next start, or redtail goes back to older data"
            );
        }
        self.history = History::Stopped {
            until: Instant::now() + pause,
        };
        self.pause = (pause * 2).min(self.config.retry * PAUSE_TIMES_MAX);
    }
}
