//! A failing disk, and the loss of power: names and bytes that were not synced are gone.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use super::{Load, address, nowhere, number, primary, ready, shown, state, syncs, watch, write};
use crate::client::words;
use crate::preload;
use crate::servers::Server;

/// The operations that can fail; see `disk.c`.
const WRITE: i32 = 1;
const SYNC: i32 = 2;
const READ: i32 = 4;
const RENAME: i32 = 8;

/// A state directory on a disk that can fail.
struct Disk {
    home: TempDir,
    library: PathBuf,
}

/// What remains after a loss of power.
#[derive(Debug, Clone, Copy)]
enum Loss {
    /// The synced names and bytes, and nothing else.
    Unforced,
    /// All names, with the synced bytes.
    Bytes,
    /// All names, with the synced bytes and some of the others, with holes.
    SomeBytes,
}

impl Disk {
    fn new() -> Self {
        let home = TempDir::new().expect("a folder");
        let library = preload::library(home.path(), "state/disk.c");
        fs::create_dir(home.path().join("synced")).expect("a folder");
        let disk = Self { home, library };
        fs::write(disk.control(), [0; 64]).expect("a file");
        disk
    }

    fn folder(&self) -> PathBuf {
        self.home.path().join("state")
    }

    fn synced(&self) -> PathBuf {
        self.home.path().join("synced")
    }

    fn control(&self) -> PathBuf {
        self.home.path().join("control")
    }

    /// Makes `operations` fail from now on for files whose names begin with `prefix`.
    fn fail(&self, operations: i32, prefix: &str) {
        let file = fs::File::options().write(true).open(self.control());
        let file = file.expect("the disk's file");
        let mut name = [0; 60];
        name[..prefix.len()].copy_from_slice(prefix.as_bytes());
        // Written in place, because it is mapped. While the name changes, nothing fails.
        let parts: [(u64, &[u8]); 3] = [(0, &[0; 4]), (4, &name), (0, &operations.to_ne_bytes())];
        for (at, bytes) in parts {
            file.write_all_at(bytes, at)
                .expect("write to the control file");
        }
    }

    fn redtail(&self, address: &str, more: &[&str]) -> Server {
        let (folder, synced, control) = (self.folder(), self.synced(), self.control());
        let environment: [(&str, &Path); 4] = [
            ("LD_PRELOAD", &self.library),
            ("DISK_FOLDER", &folder),
            ("DISK_SYNCED", &synced),
            ("DISK_CONTROL", &control),
        ];
        let own = folder.to_str().expect("a plain path");
        let own = format!("--state-dir {own} --enable-debug-command yes --expired-grace 0");
        let arguments: Vec<&str> = own.split(' ').chain(more.iter().copied()).collect();
        Server::redtail_in(&environment, address, &arguments)
    }

    /// The files by name, with inode number and bytes.
    fn files(&self) -> HashMap<String, (u64, Vec<u8>)> {
        let entries = fs::read_dir(self.folder()).expect("the folder");
        let file = |entry: fs::DirEntry| {
            let name = entry.file_name().into_string().expect("a plain name");
            let inode = entry.metadata().expect("its figures").ino();
            (name, (inode, fs::read(entry.path()).expect("its bytes")))
        };
        entries.map(|entry| file(entry.expect("a file"))).collect()
    }

    /// The synced bytes of a file.
    fn forced(&self, inode: u64) -> Vec<u8> {
        fs::read(self.synced().join(inode.to_string())).unwrap_or_default()
    }

    /// The synced names, with their inode numbers.
    fn names(&self) -> Vec<(String, u64)> {
        let text = fs::read_to_string(self.synced().join("names")).unwrap_or_default();
        let entry = |line: &str| {
            let (inode, name) = line.split_once(' ')?;
            Some((name.to_owned(), inode.parse().ok()?))
        };
        text.lines().filter_map(entry).collect()
    }

    /// Simulates that power is lost and comes back. No process may be using the folder.
    fn lose_power(&self, loss: Loss, random: &mut fastrand::Rng) {
        let now = self.files();
        let left: Vec<(String, Vec<u8>)> = if matches!(loss, Loss::Unforced) {
            let names = self.names().into_iter();
            names
                .map(|(name, inode)| (name, self.forced(inode)))
                .collect()
        } else {
            let left = |(inode, bytes): &(u64, Vec<u8>)| match loss {
                Loss::SomeBytes => some_bytes(self.forced(*inode), bytes, random),
                _ => self.forced(*inode),
            };
            let bytes: Vec<_> = now.values().map(left).collect();
            now.keys().cloned().zip(bytes).collect()
        };
        for folder in [self.folder(), self.synced()] {
            fs::remove_dir_all(&folder).expect("remove the folder");
            fs::create_dir(&folder).expect("a folder");
        }
        for (name, bytes) in left {
            fs::write(self.folder().join(name), bytes).expect("a file");
        }
        self.force_all();
    }

    /// Marks all current names and bytes as synced.
    fn force_all(&self) {
        let mut names = String::new();
        for (name, (inode, bytes)) in self.files() {
            names += &format!("{inode} {name}\n");
            fs::write(self.synced().join(inode.to_string()), bytes).expect("a file");
        }
        fs::write(self.synced().join("names"), names).expect("a file");
    }
}

/// Adds some of the bytes after the synced ones. Some sectors of them were never written, and read as zeros.
fn some_bytes(mut forced: Vec<u8>, now: &[u8], random: &mut fastrand::Rng) -> Vec<u8> {
    let from = forced.len().min(now.len());
    let end = random.usize(from..=now.len());
    forced.truncate(from.max(forced.len()));
    for sector in now[from..end].chunks(512) {
        match random.u8(..4) {
            0 => forced.resize(forced.len() + sector.len(), 0),
            _ => forced.extend_from_slice(sector),
        }
    }
    forced
}

fn snapshots(redtail: &Server) -> u32 {
    let written = state(&mut redtail.client(), "_snapshots");
    written.parse().unwrap_or(0)
}

/// Waits for a snapshot on the disk.
fn settled(redtail: &Server) {
    redtail.wait_for("a snapshot on the disk", |client| {
        state(client, "_snapshots") != "0" && state(client, "") == "kept"
    });
}

/// Starts a new history, which needs a full sync.
fn turn(primary: &Server) {
    primary.command("DEBUG CHANGE-REPL-ID");
    primary.command("CLIENT KILL TYPE replica");
}

/// Makes `operation` fail for a while on files whose names begin with `prefix`.
fn breaks(operation: i32, prefix: &str, fsync: &str) {
    let Some(primary) = primary("redis-7.0") else {
        return;
    };
    let disk = Disk::new();
    write(&primary, 1, 300);
    let arguments = ["--state-fsync", fsync, "--resync-floor", "0"];
    let mut redtail = disk.redtail(&address(&primary), &arguments);
    ready(&redtail);
    settled(&redtail);
    disk.fail(operation, prefix);
    if operation == RENAME {
        turn(&primary);
    }
    redtail.wait_for("an error", |client| {
        primary.command("INCR counted");
        state(client, "") == "not-kept"
    });
    write(&primary, 2, 300);
    redtail.wait_in_sync(&primary);
    assert_eq!(
        redtail.command("DEBUG DIGEST"),
        primary.command("DEBUG DIGEST")
    );
    let said = "cannot write the state, and redtail has removed the old one";
    assert!(redtail.log().contains(said), "{}", redtail.log());
    let error = state(&mut redtail.client(), "_last_error");
    assert!(error.contains("Input/output error"), "{error}");
    let is_state = |name: &String| name.starts_with("snapshot-") || name.starts_with("log-");
    let left: Vec<String> = disk.files().into_keys().filter(is_state).collect();
    assert!(left.is_empty() || operation == WRITE, "{left:?}");

    disk.fail(0, "");
    let before = snapshots(&redtail);
    redtail.wait_for("a new snapshot", |client| {
        state(client, "") == "kept" && snapshots(&redtail) > before
    });
    redtail.stop();
    let [full, partial] = syncs(&primary);
    let again = disk.redtail(&address(&primary), &arguments);
    // It has the primary's offset from the start.
    again.wait_for("a link", |_| syncs(&primary) != [full, partial]);
    assert_eq!(syncs(&primary), [full, partial + 1]);
    again.wait_in_sync(&primary);
    assert_eq!(
        again.command("DEBUG DIGEST"),
        primary.command("DEBUG DIGEST")
    );
}

#[test]
fn a_log_that_cannot_be_written_ends_the_keeping_and_nothing_else() {
    breaks(WRITE, "log-", "everysec");
}

#[test]
fn a_disk_that_nothing_can_be_forced_to_ends_the_keeping_and_nothing_else() {
    breaks(SYNC, "", "everysec");
}

#[test]
fn a_chunk_that_cannot_be_forced_to_the_disk_ends_the_keeping_and_nothing_else() {
    breaks(SYNC, "log-", "always");
}

#[test]
fn a_snapshot_that_cannot_get_its_name_ends_the_keeping_and_nothing_else() {
    breaks(RENAME, "payload-", "everysec");
}

#[test]
fn a_payload_that_cannot_be_written_is_served_and_its_state_is_written_later() {
    let Some(primary) = primary("redis-7.0") else {
        return;
    };
    let disk = Disk::new();
    write(&primary, 1, 300);
    // No ping may move the offset.
    primary.command("CONFIG SET repl-ping-replica-period 3600");
    disk.fail(WRITE, "payload-");
    let mut redtail = disk.redtail(&address(&primary), &[]);
    ready(&redtail);
    redtail.wait_in_sync(&primary);
    assert_eq!(state(&mut redtail.client(), ""), "not-kept");
    let digest = primary.command("DEBUG DIGEST");
    assert_eq!(redtail.command("DEBUG DIGEST"), digest);
    disk.fail(0, "");
    redtail.wait_for("a snapshot of its own", |client| {
        primary.command("INCR counted");
        state(client, "_snapshots") == "1"
    });
    redtail.wait_in_sync(&primary);
    let before = shown(&redtail);
    redtail.stop();
    let again = disk.redtail(&nowhere(), &[]);
    ready(&again);
    assert_eq!(shown(&again), before);
}

#[test]
fn a_state_that_cannot_be_read_is_left_for_a_start_that_can() {
    let Some(primary) = primary("redis-7.0") else {
        return;
    };
    let disk = Disk::new();
    primary.command("CONFIG SET repl-ping-replica-period 3600");
    write(&primary, 1, 300);
    let mut first = disk.redtail(&address(&primary), &[]);
    ready(&first);
    write(&primary, 2, 300);
    first.wait_in_sync(&primary);
    let mut before = shown(&first);
    first.stop();
    for prefix in ["snapshot-", "log-"] {
        disk.fail(READ, prefix);
        let mut broken = disk.redtail(&nowhere(), &[]);
        broken.wait_for_log("cannot use the kept state: redtail leaves it");
        let log = broken.log();
        assert!(log.contains("Input/output error"), "{log}");
        let reply = broken.command("DBSIZE").text();
        assert!(reply.starts_with("LOADING"), "{prefix}: {reply}");
        broken.stop();
        disk.fail(0, "");
        let mut whole = disk.redtail(&nowhere(), &[]);
        ready(&whole);
        assert_eq!(shown(&whole), before, "{prefix}");
        whole.stop();

        // With a primary, redtail does a full sync, and its new state replaces the other.
        disk.fail(READ, prefix);
        let [full, _] = syncs(&primary);
        let mut synced = disk.redtail(&address(&primary), &[]);
        ready(&synced);
        settled(&synced);
        assert_eq!(syncs(&primary)[0], full + 1, "{prefix}");
        // The order of libraries changes.
        before = shown(&synced);
        assert_eq!(before.digest, primary.command("DEBUG DIGEST"), "{prefix}");
        synced.stop();
        disk.fail(0, "");
        let mut again = disk.redtail(&nowhere(), &[]);
        ready(&again);
        assert_eq!(shown(&again), before, "{prefix}");
        again.stop();
    }
}

/// The offset at which a log begins; see `record.rs`.
fn begin_of(log: &[u8]) -> i64 {
    i64::from_le_bytes(log[24..32].try_into().expect("eight bytes"))
}

#[test]
fn a_log_is_on_the_disk_before_the_one_that_goes_on_from_it() {
    let Some(primary) = primary("redis-7.0") else {
        return;
    };
    let disk = Disk::new();
    // More than redtail collects before it writes.
    primary.command("DEBUG POPULATE 20000 key 200");
    let mut redtail = disk.redtail(&address(&primary), &["--state-log-max", "100kb"]);
    ready(&redtail);
    settled(&redtail);
    // A failing snapshot leaves a second log after the first.
    disk.fail(WRITE, "snapshot-");
    let value = "v".repeat(1000);
    let lines: Vec<_> = (0..300)
        .map(|number| words(&format!("SET key {value}{number}")))
        .collect();
    drop(primary.client().pipeline(&lines));
    redtail.wait_for("a snapshot that fails", |client| {
        state(client, "_failures") != "0"
    });
    let second = || disk.files().remove("log-2").map_or(0, |(inode, _)| inode);
    redtail.wait_for("the second log on the disk", |_| {
        primary.command("INCR counted");
        disk.forced(second()).len() > 80
    });
    redtail.stop();
    disk.lose_power(Loss::Unforced, &mut fastrand::Rng::with_seed(1));
    let (_, log) = disk.files().remove("log-2").expect("its name is there");
    let mut alone = disk.redtail(&nowhere(), &[]);
    ready(&alone);
    let offset = alone.client().offset("slave_repl_offset");
    assert!(offset > Some(begin_of(&log)), "{offset:?}, {}", alone.log());
    alone.stop();
    let [full, _] = syncs(&primary);
    let again = disk.redtail(&address(&primary), &[]);
    again.wait_in_sync(&primary);
    assert_eq!(syncs(&primary)[0], full);
    assert_eq!(
        again.command("DEBUG DIGEST"),
        primary.command("DEBUG DIGEST")
    );
}

/// Loses power `REDTAIL_POWER_CUTS` times at random moments under load. `REDTAIL_KILLS_SEED` is the seed.
fn power(name: &str, fsync: &str, losses: &[Loss]) {
    let Some(primary) = Server::start(name, &["--repl-backlog-size", "256mb"]) else {
        return;
    };
    primary.command("DEBUG SET-ACTIVE-EXPIRE 0");
    primary.command("MSET a 0 b 0");
    let (count, seed) = (
        number("REDTAIL_POWER_CUTS", 6),
        number("REDTAIL_KILLS_SEED", 1),
    );
    let mut random = fastrand::Rng::with_seed(seed);
    let disk = Disk::new();
    let more = ["--state-log-max", "100kb", "--resync-floor", "0"];
    let more = [&more[..], &["--state-fsync", fsync]].concat();
    let load = Load::start(&primary, seed);
    let mut last = (0, 0);
    let mut written = 0;
    for cut in 0..count {
        let mut redtail = disk.redtail(&address(&primary), &more);
        if cut == 0 {
            ready(&redtail);
            settled(&redtail);
        }
        let port = redtail.port;
        let reader = thread::spawn(move || watch(port, last));
        thread::sleep(Duration::from_millis(random.u64(1..1500)));
        written += snapshots(&redtail);
        redtail.stop();
        let seen = reader
            .join()
            .unwrap_or_else(|_| panic!("{name}, seed {seed}, cut {cut}: {}", redtail.log()));
        // Only what is synced before it is applied is never lost.
        last = if fsync == "always" { seen } else { (0, 0) };
        let loss = losses[random.usize(..losses.len())];
        disk.lose_power(loss, &mut random);
    }
    drop(load);
    let again = disk.redtail(&address(&primary), &more);
    again.wait_in_sync(&primary);
    eprintln!(
        "{name}, {fsync}, seed {seed}: {count} times, {written} snapshots, syncs {:?}",
        syncs(&primary)
    );
    let may_resync = fsync != "always" && losses.iter().any(|loss| matches!(loss, Loss::SomeBytes));
    if !may_resync {
        assert_eq!(syncs(&primary)[0], 1, "{name}, {fsync}, seed {seed}");
    }
    assert_eq!(
        again.command("DEBUG DIGEST"),
        primary.command("DEBUG DIGEST"),
        "{name}, {fsync}, seed {seed}"
    );
}

#[test]
fn no_loss_of_power_takes_what_a_reader_saw_if_chunks_are_forced_to_the_disk() {
    let losses = [Loss::Unforced, Loss::Bytes, Loss::SomeBytes];
    power("redis-7.0", "always", &losses);
}

#[test]
fn a_loss_of_power_leaves_a_state_that_resumes() {
    power("valkey-9.1", "everysec", &[Loss::Unforced, Loss::Bytes]);
}

#[test]
fn pieces_that_reached_the_disk_out_of_order_are_never_served() {
    power("redis-8.0", "everysec", &[Loss::SomeBytes]);
}

#[test]
fn snapshots_alone_are_forced_to_the_disk_where_logs_are_not() {
    power("redis-7.0", "no", &[Loss::Unforced, Loss::Bytes]);
}
