//! The thread that waits for the disk, so that the stream need not.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::figures::Figures;
use super::folder::Folder;

/// How often a log is forced to the disk.
const EVERY: Duration = Duration::from_secs(1);

/// A complete snapshot.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) number: u64,
    pub(super) file: Arc<File>,
    /// Its temporary name, if it still has one.
    pub(super) temporary: Option<PathBuf>,
    pub(super) log: Arc<File>,
}

/// What the thread and the writer share.
#[derive(Debug, Default)]
struct Shared {
    /// Logs whose end may not be on the disk yet, in order. The last one is being written.
    logs: Mutex<Vec<Arc<File>>>,
    /// Whether the last log has received bytes since it was last forced to the disk.
    dirty: AtomicBool,
    /// Whether there is a new log, whose name must also be forced to the disk.
    renamed: AtomicBool,
    /// Generations up to this one are abandoned: nothing may complete them any more.
    abandoned: Mutex<u64>,
    /// The generation whose snapshot became durable last.
    durable: Mutex<Option<u64>>,
    failed: AtomicBool,
    error: Mutex<Option<io::Error>>,
}

/// The writer's side. Dropping it forces the log to the disk and ends the thread.
#[derive(Debug)]
pub(super) struct Disk {
    shared: Arc<Shared>,
    jobs: Option<Sender<Whole>>,
    thread: Option<JoinHandle<()>>,
}

impl Disk {
    /// Starts the thread. If `syncs_logs`, it forces the log to the disk once a second.
    pub(super) fn start(
        folder: Folder,
        figures: Arc<Figures>,
        syncs_logs: bool,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (jobs, waiting) = mpsc::channel();
        let worker = Worker {
            folder,
            figures,
            shared: Arc::clone(&shared),
            syncs_logs,
        };
        let thread = std::thread::Builder::new()
            .name("redtail-state".to_owned())
            .spawn(move || worker.run(&waiting))?;
        Ok(Self {
            shared,
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    /// Sets the log that is written from now on. Earlier logs are forced to the disk once more, because this log is useless
    /// without their ends.
    pub(super) fn watch(&self, log: Arc<File>) {
        lock(&self.shared.logs).push(log);
        self.shared.renamed.store(true, Ordering::Release);
    }

    /// Abandons all generations up to `number`. Once this returns, none of them is being renamed.
    pub(super) fn abandon(&self, number: u64) {
        lock(&self.shared.logs).clear();
        *lock(&self.shared.abandoned) = number;
    }

    /// Notes that the log has received bytes.
    pub(super) fn note_written(&self) {
        self.shared.dirty.store(true, Ordering::Release);
    }

    /// Makes a snapshot durable, then removes the generations before it.
    pub(super) fn settle(&self, whole: Whole) {
        let sent = self
            .jobs
            .as_ref()
            .is_some_and(|jobs| jobs.send(whole).is_ok());
        if !sent {
            self.shared.note(Err(io::Error::other(ENDED)));
        }
    }

    /// Returns the generation whose snapshot has become durable since the last call.
    pub(super) fn durable(&self) -> Option<u64> {
        lock(&self.shared.durable).take()
    }

    /// Returns what went wrong since the last call. Costs one load as long as nothing has.
    pub(super) fn error(&self) -> Option<io::Error> {
        if self.shared.failed.load(Ordering::Relaxed) {
            self.shared.failed.store(false, Ordering::Release);
            return lock(&self.shared.error).take();
        }
        let has_ended = self.thread.as_ref().is_none_or(JoinHandle::is_finished);
        has_ended.then(|| io::Error::other(ENDED))
    }
}

/// Without the thread, nothing becomes durable any more.
const ENDED: &str = "the thread that forces the state to the disk has ended";

impl Shared {
    fn note(&self, result: io::Result<()>) {
        if let Err(error) = result {
            *lock(&self.error) = Some(error);
            self.failed.store(true, Ordering::Release);
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing more to force.
            let _ = thread.join();
        }
    }
}

struct Worker {
    folder: Folder,
    figures: Arc<Figures>,
    shared: Arc<Shared>,
    syncs_logs: bool,
}

impl Worker {
    fn run(&self, jobs: &Receiver<Whole>) {
        loop {
            let result = match jobs.recv_timeout(EVERY) {
                Ok(whole) => self.settle(whole),
                Err(RecvTimeoutError::Timeout) => self.sync(),
                Err(RecvTimeoutError::Disconnected) => break,
            };
            self.shared.note(result);
        }
        self.shared.note(self.sync());
    }

    fn sync(&self) -> io::Result<()> {
        let Some((ended, log)) = self.logs() else {
            return Ok(());
        };
        if !self.syncs_logs {
            return Ok(());
        }
        ended.iter().try_for_each(|log| log.sync_data())?;
        if self.shared.renamed.swap(false, Ordering::AcqRel) {
            self.folder.sync()?;
        }
        if self.shared.dirty.swap(false, Ordering::AcqRel) {
            log.sync_data()?;
        }
        Ok(())
    }

    /// Returns the logs that are no longer written, and forgets them, and the log that is written.
    fn logs(&self) -> Option<(Vec<Arc<File>>, Arc<File>)> {
        let mut logs = lock(&self.shared.logs);
        let log = logs.pop()?;
        let ended = std::mem::replace(&mut *logs, vec![Arc::clone(&log)]);
        Some((ended, log))
    }

    fn settle(&self, whole: Whole) -> io::Result<()> {
        whole.file.sync_all()?;
        whole.log.sync_all()?;
        let abandoned = lock(&self.shared.abandoned);
        if whole.number <= *abandoned {
            return whole.temporary.map_or(Ok(()), fs::remove_file);
        }
        if let Some(temporary) = whole.temporary {
            fs::rename(temporary, self.folder.snapshot(whole.number))?;
        }
        self.folder.sync()?;
        self.folder
            .remove_generations(|number| number < whole.number)?;
        drop(abandoned);
        let bytes = whole.file.metadata()?.len();
        self.figures.snapshot_bytes.store(bytes, Ordering::Relaxed);
        self.figures.snapshots.fetch_add(1, Ordering::Relaxed);
        self.figures.note_error(None);
        *lock(&self.shared.durable) = Some(whole.number);
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A poisoned lock still holds a whole value.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn says_that_its_thread_has_ended() {
        let ended = std::thread::spawn(|| ());
        while !ended.is_finished() {
            std::thread::yield_now();
        }
        let (jobs, waiting) = mpsc::channel();
        drop(waiting);
        let disk = Disk {
            shared: Arc::default(),
            jobs: Some(jobs),
            thread: Some(ended),
        };
        assert_eq!(disk.error().unwrap().to_string(), ENDED);
        let file = || Arc::new(tempfile::tempfile().unwrap());
        disk.settle(Whole {
            number: 1,
            file: file(),
            temporary: None,
            log: file(),
        });
        assert!(disk.shared.failed.load(Ordering::Relaxed));
        assert_eq!(disk.error().unwrap().to_string(), ENDED);
    }
}
