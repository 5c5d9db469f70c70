//! Clocks that change: redtail beside a real replica, which shares its clock, and a primary, which has a clock of its own.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::word;
use crate::client::{Reply, words};
use crate::preload;
use crate::servers::Server;

/// A wall clock shared by some processes.
struct Clock {
    library: PathBuf,
    shift: PathBuf,
}

impl Clock {
    /// A clock that is right, in a file in `folder`.
    fn new(folder: &Path, name: &str) -> Self {
        let clock = Self {
            library: preload::library(folder, "faults/clock.c"),
            shift: folder.join(name),
        };
        clock.set(0);
        clock
    }

    /// Makes the clock `seconds` fast.
    fn set(&self, seconds: i64) {
        // Written in place, because the processes that use the clock have mapped the file.
        let file = std::fs::File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&self.shift)
            .expect("the clock's file");
        std::os::unix::fs::FileExt::write_all_at(&file, &seconds.to_ne_bytes(), 0)
            .expect("the clock is set");
    }

    fn environment(&self) -> [(&'static str, &Path); 2] {
        [("LD_PRELOAD", &self.library), ("CLOCK_SHIFT", &self.shift)]
    }
}

const HOUR: i64 = 3600;

const WRITES: [&str; 6] = [
    "SET stays 1",
    "SET minute 2 EX 60",
    "SET hours 3 EX 10000",
    "RPUSH list a b c",
    "EXPIRE list 10000",
    "HSET hash f v",
];

const QUESTIONS: [&str; 10] = [
    "GET stays",
    "GET minute",
    "GET hours",
    "LRANGE list 0 -1",
    "EXISTS stays minute hours list hash",
    "TYPE list",
    "MGET stays minute hours",
    "DBSIZE",
    "SORT list ALPHA",
    "OBJECT ENCODING hours",
];

fn answers(server: &Server) -> Vec<Reply> {
    let mut answers = server.client().pipeline(&QUESTIONS.map(words));
    answers.push(server.command("KEYS *").sorted(1));
    answers
}

#[test]
fn a_moved_clock_hides_and_shows_what_it_does_on_a_real_replica() {
    for name in ["redis-6.0", "redis-8.0", "valkey-9.1"] {
        let folder = TempDir::new().expect("a folder");
        let theirs = Clock::new(folder.path(), "of-primary");
        let ours = Clock::new(folder.path(), "of-replicas");
        let Some(primary) = Server::start_in(&theirs.environment(), name, None, None, &[]) else {
            return;
        };
        WRITES.iter().for_each(|line| {
            primary.command(line);
        });
        let address = format!("127.0.0.1:{}", primary.port);
        let port = primary.port.to_string();
        let config = ["--replicaof", "127.0.0.1", &port];
        let real = Server::start_in(&ours.environment(), name, None, None, &config)
            .expect("it was there a moment ago");
        let follow =
            |arguments: &[&str]| Server::redtail_in(&ours.environment(), &address, arguments);
        let keeping = follow(&["--expired-grace", "0", "--enable-debug-command", "yes"]);
        // Frees the memory of values that expired long ago, and so lacks them when the clock goes back.
        let sweeping = follow(&["--expired-grace", "60"]);
        for server in [&real, &keeping, &sweeping] {
            server.wait_for("its link", |client| {
                client.info("replication", "master_link_status").as_deref() == Some("up")
            });
        }
        for fast in [0, HOUR, 5 * HOUR, -5 * HOUR, HOUR, 0] {
            ours.set(fast);
            primary.command("INCR moved");
            for server in [&real, &keeping, &sweeping] {
                server.wait_in_sync(&primary);
            }
            // A real replica checks its clock only now and then.
            keeping.wait_for(&format!("{name}: a clock {fast} s fast"), |_| {
                answers(&keeping) == answers(&real)
            });
            let expected = answers(&real);
            for ((reply, known), line) in answers(&sweeping).iter().zip(&expected).zip(QUESTIONS) {
                let gone = reply.text().starts_with("TAINTED");
                assert!(reply == known || gone, "{name}, {fast}: {line}: {reply:?}");
            }
        }
        // The primary deletes what has expired by its clock, and so do its followers.
        theirs.set(5 * HOUR);
        primary.wait_for("its own deletions", |client| {
            client.command("DBSIZE").integer() == Some(3)
        });
        for server in [&real, &keeping, &sweeping] {
            server.wait_in_sync(&primary);
            assert_eq!(server.command("DBSIZE").integer(), Some(3), "{name}");
        }
        if name != "redis-6.0" {
            assert_eq!(
                keeping.command("DEBUG DIGEST"),
                real.command("DEBUG DIGEST")
            );
        }
        assert_eq!(word(&primary, "stats", "sync_full"), "3", "{name}");
    }
}
