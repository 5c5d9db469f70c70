//! A primary is replaced by one of a newer version while clients read: by failover, and by a restart on the same port. No reader
//! sees an error, a mix of two moments, or an older value than before.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;

use crate::client::Client;
use crate::servers::Server;

const OLD: &str = "redis-7.4";
const NEW: &str = "redis-8.2";

/// Writes one round: values of several types that all hold `round`, in one transaction.
fn write(primary: &Server, round: u64) {
    let mut client = primary.client();
    for line in [
        "MULTI".to_owned(),
        format!("MSET one {round} other {round}"),
        format!("HSET hash round {round}"),
        format!("ZADD zset {round} member"),
        format!("RPUSH list {round}"),
        "LTRIM list -1 -1".to_owned(),
        format!("XADD stream MAXLEN 1 {}-1 round {round}", round + 1),
        "EXEC".to_owned(),
    ] {
        assert!(!client.command(&line).is_error(), "{line}");
    }
}

/// Reads the round that each of the values holds, in one transaction.
fn rounds(client: &mut Client) -> Vec<String> {
    for line in [
        "MULTI",
        "MGET one other",
        "HGET hash round",
        "ZSCORE zset member",
        "LRANGE list 0 -1",
        "XRANGE stream - +",
    ] {
        assert!(!client.command(line).is_error(), "{line}");
    }
    let replies = client.command("EXEC");
    assert!(!replies.is_error(), "{}", replies.text());
    let replies = replies.elements();
    let mut found: Vec<String> = replies[0].elements().iter().map(|one| one.text()).collect();
    found.extend(replies[1..3].iter().map(|one| one.text()));
    found.push(replies[3].elements()[0].text());
    // The stream's only entry: its id, and a field with its value.
    let entry = replies[4].elements()[0].elements();
    found.push(entry[1].elements()[1].text());
    found
}

/// Clients that read all the time.
struct Readers {
    end: Arc<AtomicBool>,
    reads: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    fn of(redtail: &Server) -> Self {
        let (end, reads) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let start = |_| {
            let (mut client, end, reads) = (redtail.client(), Arc::clone(&end), Arc::clone(&reads));
            std::thread::spawn(move || read(&mut client, &end, &reads))
        };
        let threads = (0..2).map(start).collect();
        Self {
            end,
            reads,
            threads,
        }
    }

    /// Waits until each thing that goes on has been read several times more.
    fn go_on(&self, redtail: &Server) {
        let before = self.reads.load(Relaxed);
        redtail.wait_for("readers", |_| self.reads.load(Relaxed) > before + 50);
        self.assert_well();
    }

    fn assert_well(&self) {
        assert!(self.threads.iter().all(|thread| !thread.is_finished()));
    }

    fn stop(self) {
        self.assert_well();
        self.end.store(true, Relaxed);
        for thread in self.threads {
            thread.join().expect("no reader saw anything wrong");
        }
    }
}

fn read(client: &mut Client, end: &AtomicBool, reads: &AtomicU64) {
    let mut newest = 0;
    while !end.load(Relaxed) {
        let found = rounds(client);
        let round: u64 = found[0].parse().expect("a number");
        assert!(found.iter().all(|one| *one == found[0]), "{found:?}");
        assert!(round >= newest, "{round} after {newest}");
        newest = round;
        reads.fetch_add(1, Relaxed);
    }
}

/// The version that redtail answers as.
fn version(redtail: &Server) -> String {
    let version = redtail.client().info("server", "redis_version");
    version.expect("INFO names it")
}

/// Waits until redtail has applied round `round`, while it is read.
fn arrives(redtail: &Server, readers: &Readers, round: u64) {
    redtail.wait_for("the newest write", |client| {
        client.command("GET one").text() == round.to_string()
    });
    readers.go_on(redtail);
}

/// After the next full sync, redtail answers as the new version does.
fn becomes_new(redtail: &Server, primary: &Server, readers: &Readers) {
    let mut admin = primary.client();
    admin.command("DEBUG CHANGE-REPL-ID");
    admin.command("CLIENT KILL TYPE replica");
    redtail.wait_for("the new version", |client| {
        client
            .info("server", "redis_version")
            .is_some_and(|version| version.starts_with("8.2."))
    });
    readers.go_on(redtail);
    // A short string that shares its key's block only since that version.
    primary.command(&format!("SET text {}", "x".repeat(44)));
    redtail.wait_in_sync(primary);
    assert_eq!(redtail.command("OBJECT ENCODING text").text(), "raw");
}

/// Starts redtail for the servers at `ports`, after the old primary has written something.
fn follow(old: &Server, ports: &[u16]) -> (Server, Readers) {
    for round in 1..=20 {
        write(old, round);
    }
    let addresses: Vec<String> = ports
        .iter()
        .map(|port| format!("redis://127.0.0.1:{port}"))
        .collect();
    let redtail = Server::redtail_of(&addresses.join(","), &["--resync-floor", "0"]);
    redtail.wait_for("its first sync", |client| {
        client.command("DBSIZE").is_integer()
    });
    redtail.wait_in_sync(old);
    assert!(version(&redtail).starts_with("7.4."));
    let readers = Readers::of(&redtail);
    arrives(&redtail, &readers, 20);
    (redtail, readers)
}

#[test]
fn a_failover_to_a_newer_version_disturbs_no_reader() {
    let Some(mut old) = Server::start(OLD, &[]) else {
        return;
    };
    let Some(new) = Server::replica(NEW, &old) else {
        return;
    };
    let (redtail, readers) = follow(&old, &[old.port, new.port]);
    new.wait_in_sync(&old);
    new.command("REPLICAOF NO ONE");
    old.stop();
    readers.go_on(&redtail);
    for round in 21..=40 {
        write(&new, round);
    }
    arrives(&redtail, &readers, 40);
    becomes_new(&redtail, &new, &readers);
    write(&new, 41);
    arrives(&redtail, &readers, 41);
    readers.stop();
    assert_eq!(redtail.command("PING").text(), "PONG");
}

#[test]
fn a_restart_as_a_newer_version_disturbs_no_reader() {
    let Some(mut old) = Server::start(OLD, &[]) else {
        return;
    };
    let (redtail, readers) = follow(&old, &[old.port]);
    // The reply is the end of the connection.
    _ = old.client().try_command(&[b"SHUTDOWN", b"SAVE"]);
    assert_eq!(old.exit_code(), Some(0), "{}", old.log());
    readers.go_on(&redtail);
    let dump = old.directory().join("dump.rdb");
    let Some(new) = Server::start_on(NEW, Some(old.port), Some(&dump), &[]) else {
        return;
    };
    for round in 21..=40 {
        write(&new, round);
    }
    arrives(&redtail, &readers, 40);
    becomes_new(&redtail, &new, &readers);
    write(&new, 41);
    arrives(&redtail, &readers, 41);
    readers.stop();
}
