//! The directory's files and their names.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Error;

/// An open state directory, which no other process can open.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: Arc<File>,
}

/// The generations of which there are files.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) snapshots: BTreeSet<u64>,
    pub(super) logs: BTreeSet<u64>,
}

impl Folder {
    /// Opens the directory, makes it if need be, and removes what was not finished.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let wrong = |error| Error::Folder(path.to_owned(), error);
        // For its owner alone: it holds all the data.
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(wrong)?;
        let lock = owned(&path.join("lock"), OpenOptions::new().create(true)).map_err(wrong)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => Error::InUse(path.to_owned()),
            TryLockError::Error(error) => wrong(error),
        })?;
        let folder = Self {
            path: path.to_owned(),
            _lock: Arc::new(lock),
        };
        folder.remove_where(is_unfinished).map_err(wrong)?;
        Ok(folder)
    }

    pub(super) fn snapshot(&self, number: u64) -> PathBuf {
        self.path.join(format!("{SNAPSHOT}{number}{RDB}"))
    }

    pub(super) fn log(&self, number: u64) -> PathBuf {
        self.path.join(format!("{LOG}{number}"))
    }

    /// A new file under a temporary name, and that name.
    pub(super) fn create(&self, number: u64, what: &str) -> io::Result<(File, PathBuf)> {
        let path = self.path.join(format!("{what}-{number}{TEMPORARY}"));
        let file = owned(&path, OpenOptions::new().create(true).truncate(true))?;
        Ok((file, path))
    }

    /// Forces names to the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    pub(super) fn list(&self) -> io::Result<Listing> {
        let mut listing = Listing::default();
        for name in self.names()? {
            let snapshot = name
                .strip_prefix(SNAPSHOT)
                .and_then(|rest| rest.strip_suffix(RDB));
            listing.snapshots.extend(snapshot.and_then(number_of));
            listing
                .logs
                .extend(name.strip_prefix(LOG).and_then(number_of));
        }
        Ok(listing)
    }

    /// Removes all snapshots and logs of generations for which `goes` says yes.
    pub(super) fn remove_generations(&self, goes: impl Fn(u64) -> bool) -> io::Result<()> {
        let listing = self.list()?;
        let snapshots = listing.snapshots.iter().filter(|number| goes(**number));
        let logs = listing.logs.iter().filter(|number| goes(**number));
        // Snapshots first: a log without one is nothing, a snapshot without its log is damage.
        let paths = snapshots
            .map(|number| self.snapshot(*number))
            .chain(logs.map(|number| self.log(*number)));
        paths.into_iter().try_for_each(fs::remove_file)
    }

    /// Renames the files of these generations out of the way, and removes what was set aside before `stamp`.
    pub(super) fn set_aside(&self, numbers: &[u64], stamp: i64) -> io::Result<()> {
        let this = format!("{CORRUPT}{stamp}");
        self.remove_where(|name| is_set_aside(name) && !name.ends_with(&this))?;
        for number in numbers {
            for path in [self.snapshot(*number), self.log(*number)] {
                let mut aside = path.clone().into_os_string();
                aside.push(&this);
                match fs::rename(&path, aside) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    other => other?,
                }
            }
        }
        self.sync()
    }

    fn remove_where(&self, goes: impl Fn(&str) -> bool) -> io::Result<()> {
        let names = self.names()?;
        names
            .iter()
            .filter(|name| goes(name))
            .try_for_each(|name| fs::remove_file(self.path.join(name)))
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(&self.path)?;
        let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect()
    }
}

/// Opens a file that its owner alone may read.
fn owned(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    options.read(true).write(true).mode(0o600).open(path)
}

/// The number in a name as this room writes it: nothing else is taken for one of its files, nor a number that leaves no room
/// for later ones.
fn number_of(text: &str) -> Option<u64> {
    text.parse()
        .ok()
        .filter(|number: &u64| number.to_string() == text && *number < u64::MAX / 2)
}

/// Whether that is a file which was not finished. Others may keep files of their own here.
fn is_unfinished(name: &str) -> bool {
    let number = |start| number_of(name.strip_prefix(start)?.strip_suffix(TEMPORARY)?);
    [SNAPSHOT, LOG, PAYLOAD]
        .into_iter()
        .any(|start| number(start).is_some())
}

/// Whether that is a file which was set aside.
fn is_set_aside(name: &str) -> bool {
    let whole = name.split_once(CORRUPT).map_or("", |(whole, _)| whole);
    let snapshot = whole
        .strip_prefix(SNAPSHOT)
        .and_then(|rest| rest.strip_suffix(RDB));
    let number = snapshot.or_else(|| whole.strip_prefix(LOG));
    number.and_then(number_of).is_some()
}

const SNAPSHOT: &str = "snapshot-";
const RDB: &str = ".rdb";
const LOG: &str = "log-";
/// Only ever with a temporary name.
const PAYLOAD: &str = "payload-";
const TEMPORARY: &str = ".tmp";
const CORRUPT: &str = ".corrupt-";

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn files_of_others_are_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let foreign = [
            "notes.tmp",
            "log-x.tmp",
            "log-01.tmp",
            "a.corrupt-1",
            "snapshot-1",
            "snapshot-18446744073709551615.rdb",
        ];
        let own = ["log-7.tmp", "snapshot-3.tmp", "payload-9.tmp"];
        let kept = ["snapshot-2.rdb", "log-2", "log-1.corrupt-5"];
        for name in foreign.iter().chain(&own).chain(&kept) {
            fs::write(home.path().join(name), "").unwrap();
        }
        let folder = Folder::open(home.path()).unwrap();
        let listing = folder.list().unwrap();
        assert_eq!((listing.snapshots, listing.logs), ([2].into(), [2].into()));
        folder.set_aside(&[2], 6).unwrap();
        let mut names = folder.names().unwrap();
        names.sort_unstable();
        let set_aside = ["log-2.corrupt-6", "snapshot-2.rdb.corrupt-6", "lock"];
        let mut expected: Vec<&str> = foreign.into_iter().chain(set_aside).collect();
        expected.sort_unstable();
        assert_eq!(names, expected);
    }
}
