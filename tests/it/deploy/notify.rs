//! What redtail tells the service manager, over a socket as systemd's.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use redtail::internal::replica::{Config, Replica, STUCK_AFTER};
use tempfile::TempDir;

use crate::servers::{PATIENCE, Server, free_port};

/// The service manager's end.
struct Manager {
    socket: UnixDatagram,
    directory: TempDir,
    /// All lines received.
    lines: Vec<String>,
}

impl Manager {
    fn new() -> Self {
        let directory = TempDir::new().expect("a directory");
        let socket = UnixDatagram::bind(directory.path().join("notify")).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Self {
            socket,
            directory,
            lines: Vec::new(),
        }
    }

    /// Starts redtail under this manager, which expects a sign of life each second.
    fn start(&self, primary_port: u16) -> Server {
        let socket = self.directory.path().join("notify");
        let environment = [
            ("NOTIFY_SOCKET", socket.as_path()),
            ("WATCHDOG_USEC", Path::new("1000000")),
        ];
        let address = format!("redis://127.0.0.1:{primary_port}");
        Server::redtail_in(&environment, &address, &[])
    }

    /// Receives until a line begins with `start`, and returns what it says after that.
    fn wait_for(&mut self, start: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut datagram = [0; 4096];
        while Instant::now() < deadline {
            let length = self.socket.recv(&mut datagram).expect("a message");
            let text = String::from_utf8_lossy(&datagram[..length]).into_owned();
            let before = self.lines.len();
            self.lines.extend(text.lines().map(str::to_owned));
            let mut new = self.lines[before..].iter();
            if let Some(found) = new.find_map(|line| line.strip_prefix(start)) {
                return found.to_owned();
            }
        }
        panic!("no {start}: {:?}", self.lines);
    }

    fn count(&self, line: &str) -> usize {
        self.lines.iter().filter(|one| *one == line).count()
    }
}

#[test]
fn systemd_is_told_when_reads_are_answered_and_in_which_words() {
    let port = free_port();
    let mut manager = Manager::new();
    let mut redtail = manager.start(port);

    // A primary that is away is no reason to end the start.
    let status = manager.wait_for("STATUS=connecting: ");
    assert!(status.starts_with("there is no data yet"), "{status}");
    manager.wait_for("EXTEND_TIMEOUT_USEC=30000000");
    manager.wait_for("WATCHDOG=1");
    assert_eq!(manager.count("READY=1"), 0, "{:?}", manager.lines);

    let Some(mut primary) = Server::start_on("redis-7.0", Some(port), None, &[]) else {
        return;
    };
    manager.wait_for("READY=1");
    let dbsize = redtail.command("DBSIZE");
    assert!(dbsize.is_integer(), "ready, but {dbsize:?}");
    let reply = redtail.client().info("redtail", "redtail_health_why");
    let status = match manager
        .lines
        .iter()
        .rev()
        .find(|line| line.starts_with("STATUS=in sync: "))
    {
        Some(line) => line.trim_start_matches("STATUS=in sync: ").to_owned(),
        None => manager.wait_for("STATUS=in sync: "),
    };
    assert_eq!(Some(status), reply);

    // Once it is ready, only the watchdog counts.
    manager.lines.clear();
    manager.wait_for("WATCHDOG=1");
    manager.wait_for("WATCHDOG=1");
    primary.stop();
    manager.wait_for("STATUS=disconnected: reads are answered from the data as it was");
    manager.wait_for("WATCHDOG=1");
    let extended = manager.lines.iter().any(|line| line.starts_with("EXTEND"));
    assert!(!extended, "{:?}", manager.lines);
    assert_eq!(manager.count("READY=1"), 0, "{:?}", manager.lines);

    let pid = redtail.pid().to_string();
    let sent = Command::new("kill").args(["-TERM", &pid]).status();
    assert!(sent.expect("kill runs").success());
    manager.wait_for("STOPPING=1");
    assert_eq!(redtail.exit_code(), Some(0), "{}", redtail.log());
}

#[test]
fn a_state_directory_makes_it_ready_without_the_primary() {
    let Some(mut primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    let state = TempDir::new().expect("a directory");
    let arguments = [
        "--state-dir",
        &state.path().join("state").display().to_string(),
    ];
    let mut first = Server::redtail_with(&primary, &arguments);
    first.stop();
    primary.stop();
    let mut manager = Manager::new();
    let socket = manager.directory.path().join("notify");
    let environment = [("NOTIFY_SOCKET", socket.as_path())];
    let address = format!("redis://127.0.0.1:{}", primary.port);
    let _redtail = Server::redtail_in(&environment, &address, &arguments);
    manager.wait_for("READY=1");
    // Nobody asked for a watchdog.
    assert_eq!(manager.count("WATCHDOG=1"), 0, "{:?}", manager.lines);
}

/// Whether a watchdog that looks now, and again when it has waited for long enough, takes the writer for dead.
fn looks_dead(replica: &Replica) -> bool {
    let (mut pulse, now) = (replica.pulse(), Instant::now());
    pulse.beats(now) && !pulse.beats(now + STUCK_AFTER)
}

#[track_caller]
fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_writer_that_is_stuck_or_gone_has_no_pulse() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    primary.command("SET key value");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let replica = {
        let _inside = runtime.enter();
        let config = Config::new(&format!("redis://127.0.0.1:{}", primary.port));
        Replica::start(config.expect("a configuration")).expect("a replica")
    };
    runtime.block_on(replica.ready()).expect("a first sync");

    // A writer that has nothing to do may take any time over it.
    assert!(!looks_dead(&replica));

    let mut pulse = replica.pulse();
    std::thread::scope(|scope| {
        let (release, released) = mpsc::channel::<()>();
        let (hold, held) = mpsc::channel();
        let replica = &replica;
        scope.spawn(move || {
            replica.get_with("key", |_| {
                hold.send(()).expect("it waits");
                _ = released.recv_timeout(PATIENCE);
            })
        });
        held.recv().expect("the lock is held");
        // The writer waits for the lock. What arrives meanwhile waits for the writer.
        primary.command("SET key other");
        wait_until("bytes that wait", || {
            primary.command("SET another 1");
            replica.progress().waiting() > 0
        });
        wait_until("a watchdog that notices", || looks_dead(replica));
        pulse.beats(Instant::now());
        release.send(()).expect("it waits");
    });
    wait_until("work", || replica.progress().waiting() == 0);
    assert!(pulse.beats(Instant::now() + STUCK_AFTER));

    runtime.block_on(replica.stop());
    assert!(!replica.pulse().beats(Instant::now()));
}
