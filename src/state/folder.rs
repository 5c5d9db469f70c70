//! The directory's files and their names.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Error;

/// An open state directory, which no other process can open.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: Arc<File>,
}

/// The generations that have files.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) snapshots: BTreeSet<u64>,
    pub(super) logs: BTreeSet<u64>,
}

/// A directory of state directories, such as those of a cluster's shards, which no other process can use while this is held.
#[derive(Debug)]
pub struct Root(#[expect(dead_code, reason = "held, and not used otherwise")] Folder);

impl Root {
    /// Locks the directory, and creates it if necessary. Returns `None` if the disk is at fault: whoever uses what is in it finds
    /// that, too.
    ///
    /// # Errors
    /// [`Error`].
    pub fn lock(path: &Path) -> Result<Option<Self>, Error> {
        match Folder::open(path) {
            Err(error) if error.is_of_the_disk() => Ok(None),
            opened => opened.map(|folder| Some(Self(folder))),
        }
    }
}

impl Folder {
    /// Opens the directory, creates it if necessary, and removes unfinished files.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let wrong = |error| Error::Folder(path.to_owned(), error);
        // For its owner only: it contains all the data.
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(wrong)?;
        close(path)?;
        let lock = path.join(LOCK);
        if lock.is_dir() {
            return Err(Error::Lock(lock));
        }
        let lock = owned(&lock, OpenOptions::new().create(true)).map_err(wrong)?;
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

    /// Creates a file under a temporary name. Returns the file and that name.
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

    /// Removes all snapshots and logs of the generations for which `goes` returns true.
    pub(super) fn remove_generations(&self, goes: impl Fn(u64) -> bool) -> io::Result<()> {
        let listing = self.list()?;
        let snapshots = listing.snapshots.iter().filter(|number| goes(**number));
        let logs = listing.logs.iter().filter(|number| goes(**number));
        // Snapshots first: a log without its snapshot is ignored, but a snapshot without its log counts as damaged.
        let paths = snapshots
            .map(|number| self.snapshot(*number))
            .chain(logs.map(|number| self.log(*number)));
        paths.into_iter().try_for_each(fs::remove_file)
    }

    /// Renames the files of these generations out of the way, and removes the files that were set aside before `stamp`.
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
        names_in(&self.path)
    }
}

/// Says whether redtail could use the directory, without changing anything in it. Another redtail may be using it.
///
/// # Errors
/// [`Error`], as opening the directory would return it.
#[cfg(feature = "cli")]
pub fn check(path: &Path) -> Result<(), Error> {
    let wrong = |error| Error::Folder(path.to_owned(), error);
    let Some(there) = path.ancestors().find(|path| path.exists()) else {
        // A relative path: its first part will be created here.
        return Ok(());
    };
    if !there.is_dir() {
        return Err(wrong(io::ErrorKind::NotADirectory.into()));
    }
    // A file without a name.
    tempfile::tempfile_in(there).map_err(|error| wrong(error.kind().into()))?;
    let mode = fs::metadata(there).map_err(wrong)?.permissions().mode() & 0o777;
    let is_shared = there == path && mode & 0o077 != 0;
    if is_shared
        && !names_in(path)
            .map_err(wrong)?
            .iter()
            .all(|name| is_own(name))
    {
        return Err(Error::Open(path.to_owned(), mode, OF_OTHERS));
    }
    let lock = path.join(LOCK);
    if lock.is_dir() {
        return Err(Error::Lock(lock));
    }
    Ok(())
}

fn names_in(path: &Path) -> io::Result<Vec<String>> {
    let entries = fs::read_dir(path)?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    names.collect()
}

/// Restricts a directory to its owner, but only if it contains nothing but redtail's own files: `/tmp`, for example, is not
/// redtail's to restrict.
fn close(path: &Path) -> Result<(), Error> {
    let wrong = |error| Error::Folder(path.to_owned(), error);
    let mode = fs::metadata(path).map_err(wrong)?.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let open = |fix| Error::Open(path.to_owned(), mode, fix);
    let names = names_in(path).map_err(wrong)?;
    if !names.iter().all(|name| is_own(name)) {
        return Err(open(OF_OTHERS));
    }
    match fs::set_permissions(path, fs::Permissions::from_mode(0o700)) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(open(
            "It belongs to another user, so redtail cannot change its mode: give redtail a directory of its own, such as one inside this one",
        )),
        Err(error) => Err(wrong(error)),
        Ok(()) => {
            tracing::warn!(
                path = %path.display(),
                mode = %format_args!("{mode:03o}"),
                "other users could access the state directory, which contains all the data: redtail has restricted it to its owner (chmod 700)"
            );
            Ok(())
        }
    }
}

/// Whether redtail uses that name for a file.
fn is_own(name: &str) -> bool {
    let number = |start, end| number_of(name.strip_prefix(start)?.strip_suffix(end)?);
    name == LOCK
        || name == TAIL_PLACE
        || number(SNAPSHOT, RDB).is_some()
        || number(LOG, "").is_some()
        || is_unfinished(name)
        || is_set_aside(name)
}

/// Opens a file that only its owner may read.
fn owned(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    options.read(true).write(true).mode(0o600).open(path)
}

/// Returns the number in a name, if it is formatted as redtail formats it: other files are not taken for redtail's.
/// Rejects a number that leaves no room for later ones.
fn number_of(text: &str) -> Option<u64> {
    text.parse()
        .ok()
        .filter(|number: &u64| number.to_string() == text && *number < u64::MAX / 2)
}

/// Whether that is the name of an unfinished file. The directory may contain files of other programs.
fn is_unfinished(name: &str) -> bool {
    let number = |start| number_of(name.strip_prefix(start)?.strip_suffix(TEMPORARY)?);
    [SNAPSHOT, LOG, PAYLOAD]
        .into_iter()
        .any(|start| number(start).is_some())
}

/// Whether that is the name of a file that was set aside.
fn is_set_aside(name: &str) -> bool {
    let whole = name.split_once(CORRUPT).map_or("", |(whole, _)| whole);
    let snapshot = whole
        .strip_prefix(SNAPSHOT)
        .and_then(|rest| rest.strip_suffix(RDB));
    let number = snapshot.or_else(|| whole.strip_prefix(LOG));
    number.and_then(number_of).is_some()
}

/// What to do about a directory that others may read and that holds files of others.
const OF_OTHERS: &str = "It contains files that are not redtail's, so redtail does not change its mode: give redtail a directory of its own \
                         (--state-dir), or chmod 700 this one";
const LOCK: &str = "lock";
/// Where `redtail tail` keeps how far it has printed.
pub const TAIL_PLACE: &str = "tail-place";
const SNAPSHOT: &str = "snapshot-";
const RDB: &str = ".rdb";
const LOG: &str = "log-";
/// Only used with [`TEMPORARY`].
const PAYLOAD: &str = "payload-";
const TEMPORARY: &str = ".tmp";
const CORRUPT: &str = ".corrupt-";

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn open_with(mode: u32, files: &[&str]) -> (tempfile::TempDir, Result<Folder, Error>) {
        let home = tempfile::tempdir().unwrap();
        for name in files {
            fs::write(home.path().join(name), "").unwrap();
        }
        fs::set_permissions(home.path(), fs::Permissions::from_mode(mode)).unwrap();
        let folder = Folder::open(home.path());
        (home, folder)
    }

    #[test]
    fn a_directory_of_its_own_that_others_may_read_is_closed() {
        for mode in [0o755, 0o750, 0o770, 0o711, 0o702] {
            let files = [
                "lock",
                TAIL_PLACE,
                "snapshot-1.rdb",
                "log-1",
                "log-2.tmp",
                "log-1.corrupt-5",
            ];
            let (home, folder) = open_with(mode, &files);
            folder.unwrap();
            let now = fs::metadata(home.path()).unwrap().permissions().mode();
            assert_eq!(now & 0o777, 0o700, "{mode:o}");
        }
    }

    #[test]
    fn a_directory_of_others_is_refused_and_left_as_it_is() {
        let (home, folder) = open_with(0o755, &["notes"]);
        let error = folder.unwrap_err();
        assert!(matches!(error, Error::Open(_, 0o755, _)), "{error}");
        assert!(
            !error.is_of_the_disk() && error.to_string().contains("mode 755"),
            "{error}"
        );
        let now = fs::metadata(home.path()).unwrap().permissions().mode();
        assert_eq!(now & 0o777, 0o755);
        assert!(open_with(0o700, &["notes"]).1.is_ok());
    }

    #[test]
    fn only_the_disks_own_faults_are_done_without() {
        let folder = |code| Error::Folder("/x".into(), io::Error::from_raw_os_error(code));
        for code in [libc::EROFS, libc::ENOSPC, libc::EDQUOT, libc::EIO] {
            assert!(folder(code).is_of_the_disk(), "{}", folder(code));
        }
        for code in [
            libc::EACCES,
            libc::EPERM,
            libc::ENOTDIR,
            libc::EEXIST,
            libc::ENOENT,
        ] {
            assert!(!folder(code).is_of_the_disk(), "{}", folder(code));
        }
        assert!(!Error::InUse("/x".into()).is_of_the_disk());
    }

    #[test]
    fn a_lock_that_is_a_directory_is_named() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("lock")).unwrap();
        let error = Folder::open(home.path()).unwrap_err().to_string();
        assert!(
            error.contains("/lock is a directory, but redtail needs a file there"),
            "{error}"
        );
    }

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
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
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
