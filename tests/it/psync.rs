//! The link with a scripted primary: the test plays both the primary and the writer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use redtail::internal::history::{Point, ReplId};
use redtail::internal::upstream::{
    self, AckPolicy, Begin, Config, Fault, Link, LinkEnd, LinkState, ProgressWriter, Start, Status,
    SyncCause, Timing,
};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::scripted::{Connection, ID, OTHER_ID, PREAMBLE, Scripted, full_resync};
use crate::servers::PATIENCE;

/// Long enough for a follower to do something wrong.
const A_MOMENT: Duration = Duration::from_millis(50);

/// The link's task, with the test as its writer.
struct Follower {
    links: mpsc::Receiver<Link>,
    progress: ProgressWriter,
    status: Arc<Status>,
    stop: CancellationToken,
    // The last field, so that the task is told to stop before its runtime waits for it.
    _runtime: Runtime,
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Retries soon; no other timer fires during a test.
fn timing() -> Timing {
    Timing {
        handshake: PATIENCE,
        silence: PATIENCE,
        ack: PATIENCE,
        retry_first: Duration::from_millis(1),
        retry_max: Duration::from_millis(2),
        retry_refused: Duration::from_millis(2),
        resync_floor: Duration::ZERO,
        sentinel_look: PATIENCE,
        keepalive: Duration::ZERO,
    }
}

fn config(address: &str, timing: Timing, acks: AckPolicy) -> Config {
    Config {
        acks,
        timing,
        watch: false,
        ..Config::new(address.parse().unwrap())
    }
}

impl Follower {
    fn of(primary: &Scripted) -> Self {
        Self::with(&primary.address(), timing())
    }

    fn with(address: &str, timing: Timing) -> Self {
        Self::start(config(address, timing, AckPolicy::Honest))
    }

    fn with_acks(primary: &Scripted, acks: AckPolicy) -> Self {
        Self::start(config(&primary.address(), timing(), acks))
    }

    fn start(config: Config) -> Self {
        let runtime = Runtime::new().unwrap();
        let (sender, links) = mpsc::channel(1);
        let (progress, status) = (ProgressWriter::default(), Arc::new(Status::default()));
        let stop = CancellationToken::new();
        let begin = Begin {
            resume: None,
            cause: SyncCause::FirstStart,
        };
        runtime.spawn(upstream::run(
            config,
            begin,
            sender,
            progress.shown(),
            Arc::clone(&status),
            stop.clone(),
        ));
        Self {
            links,
            progress,
            status,
            stop,
            _runtime: runtime,
        }
    }

    fn link(&mut self) -> Link {
        self.links.blocking_recv().unwrap()
    }

    fn error(&self) -> String {
        self.status.snapshot().last_error.unwrap_or_default()
    }

    fn wait_for(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition(self) {
            assert!(Instant::now() < deadline, "timed out waiting for {what}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Returns everything that a link delivers until it ends.
fn drain(link: &mut Link) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let chunk = link.bytes.recv().unwrap();
        if chunk.is_empty() {
            return all;
        }
        all.extend_from_slice(&chunk);
    }
}

fn id(text: &str) -> ReplId {
    text.parse().unwrap()
}

fn resume_at(offset: u64) -> LinkEnd {
    let replid = id(ID);
    LinkEnd {
        resume: Some(Point { replid, offset }),
        fault: None,
    }
}

/// Brings a follower to the point where its next PSYNC asks for offset 101.
fn follower_at_100(primary: &Scripted) -> Follower {
    let mut follower = Follower::of(primary);
    let (mut connection, _) = primary.accept_psync();
    connection.send(full_resync(40));
    let link = follower.link();
    drop(connection);
    link.done.send(resume_at(100)).unwrap();
    follower
}

#[test]
fn shakes_hands_as_a_replica_does_and_never_ahead_of_a_reply() {
    let primary = Scripted::start();
    let _follower = Follower::of(&primary);
    let mut connection = primary.accept();
    for line in PREAMBLE {
        assert_eq!(connection.command(), line);
        assert!(connection.is_silent_for(A_MOMENT), "pipelined after {line}");
        connection.send("+OK\r\n");
    }
    assert_eq!(connection.command(), "PSYNC ? -1");
    assert!(connection.is_silent_for(A_MOMENT));
}

#[test]
fn signs_in_with_and_without_a_user() {
    for (login, auth) in [(":s%40x", "AUTH s@x"), ("app:s%40x", "AUTH app s@x")] {
        let primary = Scripted::start();
        let address = format!("redis://{login}@{}", primary.address());
        let _follower = Follower::with(&address, timing());
        let mut connection = primary.accept();
        assert_eq!(connection.command(), "PING");
        // A primary with a password answers this to an unauthenticated PING. It is no reason to stop before AUTH.
        connection.send("-NOAUTH Authentication required.\r\n");
        assert_eq!(connection.command(), auth);
        connection.send("+OK\r\n");
        assert_eq!(connection.command(), PREAMBLE[1]);
    }
}

#[test]
fn shows_no_password_even_when_the_primary_repeats_it() {
    let primary = Scripted::start();
    let address = format!("redis://app:hunter2@{}", primary.address());
    let follower = Follower::with(&address, timing());
    for reply in [
        "-ERR unknown command `AUTH`, with args beginning with: `app`, `hunter2`,",
        "-ERR you said hunter2",
        "hunter2",
    ] {
        let mut connection = primary.accept();
        connection.command();
        connection.send("+PONG\r\n");
        connection.command();
        connection.send(format!("{reply}\r\n"));
        connection.wait_for_close();
        let wrong = ["unknown command", "you said ***", "\"***\""];
        follower.wait_for("the error", |follower| {
            wrong.iter().any(|text| follower.error().contains(text))
        });
        assert!(
            !follower.error().contains("hunter2"),
            "{}",
            follower.error()
        );
    }
}

#[test]
fn older_servers_may_refuse_replconf() {
    let primary = Scripted::start();
    let mut follower = Follower::of(&primary);
    let mut connection = primary.accept();
    connection.command();
    connection.send("+PONG\r\n");
    for _ in 1..PREAMBLE.len() {
        connection.command();
        connection.send("-ERR Unrecognized REPLCONF option: version\r\n");
    }
    assert_eq!(connection.command(), "PSYNC ? -1");
    connection.send(full_resync(7));
    let start = Start::Full(Point {
        replid: id(ID),
        offset: 7,
    });
    assert_eq!(follower.link().start, start);
}

#[test]
fn loses_no_byte_whatever_the_sizes_of_writes() {
    let payload = "\n\n$5\r\nREDIS*1\r\n$4\r\nping\r\n";
    let whole = format!("{}{payload}", full_resync(0));
    for bytewise in [true, false] {
        let primary = Scripted::start();
        let mut follower = Follower::of(&primary);
        let mut connection = primary.accept();
        for _ in PREAMBLE {
            connection.command();
            connection.send_bytewise("\n\r\n+OK\r\n");
        }
        connection.command();
        // A diskless primary that waits for more replicas sends this.
        connection.send("\n\n");
        if bytewise {
            connection.send_bytewise(&whole);
        } else {
            connection.send(&whole);
        }
        drop(connection);
        assert_eq!(drain(&mut follower.link()), payload.as_bytes());
    }
}

#[test]
fn resumes_at_the_byte_behind_the_applied_ones() {
    for (reply, replid) in [
        ("+CONTINUE\r\n".to_owned(), None),
        (format!("+CONTINUE {OTHER_ID}\r\n"), Some(id(OTHER_ID))),
    ] {
        let primary = Scripted::start();
        let mut follower = follower_at_100(&primary);
        let (mut connection, psync) = primary.accept_psync();
        assert_eq!(psync, format!("PSYNC {ID} 101"));
        connection.send(format!("{reply}*1\r\n$4\r\nPING\r\n"));
        drop(connection);
        let mut link = follower.link();
        assert_eq!(link.start, Start::Continue { replid });
        assert_eq!(drain(&mut link), b"*1\r\n$4\r\nPING\r\n");
        assert_eq!(follower.status.partial_resyncs.load(Ordering::Relaxed), 1);
    }
}

#[test]
fn counts_a_refused_resume_and_takes_the_full_resync() {
    let primary = Scripted::start();
    let mut follower = follower_at_100(&primary);
    let (mut connection, _) = primary.accept_psync();
    connection.send(full_resync(500));
    assert!(matches!(
        follower.link().start,
        Start::Full(Point { offset: 500, .. })
    ));
    assert_eq!(follower.status.partial_refused.load(Ordering::Relaxed), 1);
    assert_eq!(follower.status.full_resyncs.load(Ordering::Relaxed), 2);
}

#[test]
fn asks_for_everything_when_the_writer_has_lost_its_place() {
    let primary = Scripted::start();
    let mut follower = follower_at_100(&primary);
    let (mut connection, _) = primary.accept_psync();
    connection.send("+CONTINUE\r\nrubbish");
    let mut link = follower.link();
    link.bytes.recv().unwrap();
    drop(link.bytes);
    let end = LinkEnd {
        resume: None,
        fault: Some(Fault::new("rubbish in the stream")),
    };
    link.done.send(end).unwrap();
    connection.wait_for_close();
    let (_connection, psync) = primary.accept_psync();
    assert_eq!(psync, "PSYNC ? -1");
    assert_eq!(follower.error(), "rubbish in the stream");
}

#[test]
fn retries_when_the_primary_is_not_ready() {
    let primary = Scripted::start();
    let follower = follower_at_100(&primary);
    for reply in [
        "-LOADING Redis is loading the dataset in memory",
        "-NOMASTERLINK Can't SYNC while not connected with my master",
        "-MASTERDOWN Link with MASTER is down",
        "-BUSY Redis is busy running a script.",
        "-ERR BGSAVE failed, replication can't continue",
    ] {
        let (mut connection, psync) = primary.accept_psync();
        assert_eq!(psync, format!("PSYNC {ID} 101"), "before {reply}");
        connection.send(format!("{reply}\r\n"));
        connection.wait_for_close();
        follower.wait_for(reply, |follower| {
            follower.error().starts_with("the server is not ready: it ")
                && follower.error().ends_with(&format!(" ({})", &reply[1..]))
        });
    }
}

#[test]
fn says_what_to_fix_when_the_primary_refuses() {
    let primary = Scripted::start();
    let follower = Follower::of(&primary);
    for (reply, fix) in [
        ("-NOAUTH Authentication required.", "password"),
        (
            "-NOPERM this user has no permissions",
            "+ping +psync +replconf",
        ),
        (
            "-DENIED Redis is running in protected mode",
            "protected mode off",
        ),
        ("-ERR unknown command 'PSYNC'", "usual names"),
        (
            "-ERR wrong number of arguments for 'psync' command",
            "most likely a proxy",
        ),
        ("-MOVED 3999 127.0.0.1:6381", "the cluster's own servers"),
        ("-invalid request", "the server behind it"),
        (
            "-ERR not supported: redtail has no replicas of its own",
            "the primary that it follows",
        ),
        ("-ERR nobody knows this", "The server's log may say more"),
    ] {
        let (mut connection, _) = primary.accept_psync();
        connection.send(format!("{reply}\r\n"));
        connection.wait_for_close();
        follower.wait_for(reply, |follower| {
            follower.error().contains(&reply[1..]) && follower.error().contains(fix)
        });
    }
}

#[test]
fn a_refusal_is_retried_slowly() {
    let slow = Timing {
        retry_refused: PATIENCE,
        ..timing()
    };
    let primary = Scripted::start();
    let _follower = Follower::with(&primary.address(), slow);
    let (mut connection, _) = primary.accept_psync();
    connection.send("-NOPERM this user has no permissions\r\n");
    connection.wait_for_close();
    assert!(primary.accept_within(Duration::from_millis(300)).is_none());
}

#[test]
fn names_bytes_that_are_no_reply() {
    let primary = Scripted::start();
    let follower = Follower::of(&primary);
    for garbage in [
        "HTTP/1.1 400 Bad Request\r\n".to_owned(),
        "x".repeat(20_000),
    ] {
        let mut connection = primary.accept();
        connection.command();
        connection.send(&garbage);
        connection.wait_for_close();
        follower.wait_for("the error", |follower| {
            follower.error().contains(&garbage[..8])
        });
        assert!(follower.error().len() < 400);
    }
}

#[test]
fn comes_back_when_the_primary_closes_at_any_step() {
    let primary = Scripted::start();
    let mut follower = Follower::of(&primary);
    for answered in 0..=PREAMBLE.len() {
        let mut connection = primary.accept();
        for _ in 0..answered {
            connection.command();
            connection.send("+OK\r\n");
        }
        connection.command();
    }
    let (mut connection, _) = primary.accept_psync();
    connection.send(full_resync(0));
    let _link = follower.link();
    let error = follower.error();
    assert!(
        error.contains("closed the connection while answering"),
        "{error}"
    );
}

/// A follower that closes the link after a second of silence, in the middle of a transfer.
fn impatient(primary: &Scripted) -> (Follower, Connection, Link) {
    let impatient = Timing {
        silence: Duration::from_secs(1),
        ..timing()
    };
    let mut follower = Follower::with(&primary.address(), impatient);
    let (mut connection, _) = primary.accept_psync();
    connection.send(full_resync(0));
    let link = follower.link();
    (follower, connection, link)
}

#[test]
fn a_long_transfer_is_no_silence() {
    let primary = Scripted::start();
    let (follower, mut connection, mut link) = impatient(&primary);
    for _ in 0..25 {
        std::thread::sleep(Duration::from_millis(100));
        connection.send("\n");
    }
    let mut received = 0;
    while received < 25 {
        received += link.bytes.recv().unwrap().len();
    }
    assert_eq!(follower.error(), "");
}

#[test]
fn a_silent_primary_is_given_up() {
    let primary = Scripted::start();
    let (follower, mut connection, mut link) = impatient(&primary);
    connection.send("$100\r\n");
    assert_eq!(drain(&mut link), b"$100\r\n");
    connection.wait_for_close();
    link.done.send(resume_at(0)).unwrap();
    // Kept open, because closing it would be the next error.
    let _next = primary.accept();
    let error = follower.error();
    assert!(error.contains("the server sent nothing for 1s"), "{error}");
}

/// A follower that constantly sends signs of life.
fn lively(primary: &Scripted) -> (Follower, Connection, Link) {
    let lively = Timing {
        ack: Duration::from_millis(10),
        ..timing()
    };
    let mut follower = Follower::with(&primary.address(), lively);
    let (mut connection, _) = primary.accept_psync();
    connection.send(full_resync(40));
    let link = follower.link();
    (follower, connection, link)
}

#[test]
fn acknowledges_nothing_before_the_snapshot_is_loaded() {
    let primary = Scripted::start();
    let (follower, mut connection, _link) = lively(&primary);
    follower.progress.start_transfer();
    for _ in 0..5 {
        assert_eq!(connection.line(), "");
    }
    assert_eq!(follower.status.snapshot().state, LinkState::Sync);
    follower.progress.start_stream(40);
    connection.wait_for_command("REPLCONF ACK 40");
    follower.wait_for("the state", |follower| {
        follower.status.snapshot().state == LinkState::Connected
    });
}

#[test]
fn acknowledges_again_and_again_until_the_stream_starts_and_after() {
    let primary = Scripted::start();
    let (follower, mut connection, _link) = lively(&primary);
    follower.progress.start_stream(40);
    // An acknowledgement that arrives before the primary has reaped its child is lost, so sending only one would hang the link.
    for _ in 0..5 {
        connection.wait_for_command("REPLCONF ACK 40");
    }
    follower.progress.set_applied(90);
    connection.wait_for_command("REPLCONF ACK 90");
    for _ in 0..5 {
        assert_eq!(connection.command(), "REPLCONF ACK 90");
    }
}

/// The first acknowledgement at offset 40 from a follower that gets this answer when it asks for the role.
fn first_ack(policy: AckPolicy, info: &str) -> String {
    let primary = Scripted::start();
    let mut follower = Follower::with_acks(&primary, policy);
    let mut connection = primary.accept();
    loop {
        let command = connection.command();
        match command.as_str() {
            "INFO replication" => connection.send(info),
            psync if psync.starts_with("PSYNC") => break,
            _ => connection.send("+OK\r\n"),
        }
    }
    connection.send(full_resync(40));
    let _link = follower.link();
    follower.progress.start_stream(40);
    connection.command()
}

#[test]
fn is_an_observer_below_a_primary_and_honest_below_a_replica() {
    let info = |role: &str| {
        let text = format!("# Replication\r\nrole:{role}\r\nconnected_slaves:0\r\n");
        format!("${}\r\n{text}\r\n", text.len())
    };
    let (master, slave) = (info("master"), info("slave"));
    let (none, given) = ("REPLCONF ACK 0", "REPLCONF ACK 40");
    for (policy, answer, ack) in [
        (AckPolicy::Auto, master.as_str(), none),
        (AckPolicy::Auto, slave.as_str(), given),
        (
            AckPolicy::Auto,
            "-NOPERM this user has no permissions to run info\r\n",
            none,
        ),
        (AckPolicy::Honest, "", given),
        (AckPolicy::Observer, "", none),
    ] {
        assert_eq!(first_ack(policy, answer), ack, "{policy:?} {answer}");
    }
}

#[test]
fn an_endless_answer_about_the_role_is_no_reply() {
    let primary = Scripted::start();
    let follower = Follower::with_acks(&primary, AckPolicy::Auto);
    let mut connection = primary.accept();
    while connection.command() != "INFO replication" {
        connection.send("+OK\r\n");
    }
    connection.send("$999999999999\r\n");
    connection.wait_for_close();
    follower.wait_for("the error", |follower| follower.error().contains("INFO"));
}

#[test]
fn a_replica_that_is_behind_is_not_asked_for_what_it_does_not_have_yet() {
    let primary = Scripted::start();
    let _follower = follower_at_100(&primary);
    let mut connection = primary.accept();
    for offset in [98, 99, 100] {
        while connection.command() != "INFO replication" {
            connection.send("+OK\r\n");
        }
        let info = format!(
            "role:slave\r\nmaster_link_status:up\r\nmaster_replid:{ID}\r\nmaster_repl_offset:{offset}\r\n"
        );
        connection.send(format!("${}\r\n{info}\r\n", info.len()));
    }
    assert_eq!(connection.greet(), format!("PSYNC {ID} 101"));
}

#[test]
fn acknowledges_at_once_when_asked() {
    let primary = Scripted::start();
    // Its own acknowledgements are a minute apart.
    let mut follower = Follower::of(&primary);
    let (mut connection, _) = primary.accept_psync();
    connection.send(full_resync(40));
    let _link = follower.link();
    follower.progress.start_stream(40);
    assert_eq!(connection.command(), "REPLCONF ACK 40");
    assert!(connection.is_silent_for(A_MOMENT));
    follower.progress.set_applied(77);
    assert!(connection.is_silent_for(A_MOMENT));
    follower.progress.request_ack();
    assert_eq!(connection.command(), "REPLCONF ACK 77");
}

#[test]
fn stops_when_told_and_closes_the_connection() {
    let primary = Scripted::start();
    let (follower, mut connection, mut link) = lively(&primary);
    follower.stop.cancel();
    connection.wait_for_close();
    assert_eq!(drain(&mut link), b"");
}
