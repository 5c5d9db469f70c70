//! Tests of the server over loopback, in raw bytes.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::{Config, Error, Listen, Listeners, Server};
use crate::command::{self, Replication};
use crate::dialect::Dialect;
use crate::resp::ArgsBuf;
use crate::store::{Generation, Served};

/// How long a reply may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server in its own runtime, stopped on drop.
struct Running {
    server: Arc<Server>,
    served: Arc<Served>,
    stop: CancellationToken,
    runtime: Option<tokio::runtime::Runtime>,
    port: u16,
}

impl Running {
    fn start(config: Config) -> Self {
        let served = Arc::new(Served::default());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let stop = CancellationToken::new();
        let listeners = runtime
            .block_on(Listeners::open(&["127.0.0.1:0".parse().unwrap()], None))
            .unwrap();
        let port = listeners.port().unwrap();
        let server = Server::new(config, Arc::clone(&served), Replication::default);
        runtime.spawn(Arc::clone(&server).run(listeners, stop.clone()));
        Self {
            server,
            served,
            stop,
            runtime: Some(runtime),
            port,
        }
    }

    /// Serves the strings `a` = `1` and `b` = `hello` in database 0.
    fn with_data(self) -> Self {
        self.serve(&[&["SET", "a", "1"], &["SET", "b", "hello"]]);
        self
    }

    fn serve(&self, writes: &[&[&str]]) {
        let dialect = self.server.config.dialect.unwrap_or_default();
        let generation = Generation::new(16, dialect, Arc::clone(self.served.tuning()));
        let spaces = &generation.spaces;
        for words in writes {
            let owned = ArgsBuf::new(*words);
            let row = command::lookup(words[0].as_bytes()).unwrap();
            let mut slots = smallvec::SmallVec::new();
            command::slots(row, spaces, 0, owned.as_args(), &mut slots);
            let mut tx = spaces.write(0, slots);
            command::apply(&mut tx, spaces, row, owned.as_args()).unwrap();
        }
        self.served.swap_in(Arc::new(generation));
    }

    /// Waits until a client's command is blocked.
    fn wait_for_blocked(&self) {
        let blocked = || {
            let clients = self.server.clients.all();
            clients.iter().any(|client| client.shown().blocked)
        };
        let deadline = Instant::now() + PATIENCE;
        while !blocked() {
            assert!(Instant::now() < deadline, "no client waits");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn client(&self) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client(stream)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(PATIENCE);
        }
    }
}

struct Client(TcpStream);

impl Client {
    fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.0.write_all(bytes.as_ref()).unwrap();
        self
    }

    /// Sends requests as inline lines and checks the bytes of the replies.
    fn says(&mut self, requests: &str, replies: &str) -> &mut Self {
        self.send(requests).expects(replies)
    }

    fn expects(&mut self, replies: &str) -> &mut Self {
        let mut bytes = vec![0; replies.len()];
        self.0.read_exact(&mut bytes).unwrap();
        assert_eq!(String::from_utf8_lossy(&bytes), replies);
        self
    }

    /// Returns everything until the server closes the connection.
    fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        // A reset is an end too: the server closes with requests unread.
        let _ = self.0.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn closes_after(&mut self, requests: &str, replies: &str) {
        self.send(requests);
        assert_eq!(self.rest(), replies);
    }
}

fn plain() -> Running {
    Running::start(Config::default()).with_data()
}

fn with_password() -> Running {
    Running::start(Config {
        password: Some(crate::secret::Secret::new("secret")),
        ..Config::default()
    })
    .with_data()
}

#[test]
fn a_pipeline_is_answered_in_order() {
    plain().client().says(
        "GET a\r\nGET nothing\r\n*2\r\n$3\r\nGET\r\n$1\r\nb\r\nPING\r\nECHO \"x y\"\r\n",
        "$1\r\n1\r\n$-1\r\n$5\r\nhello\r\n+PONG\r\n$3\r\nx y\r\n",
    );
}

/// Returns a request as an array of bulk strings.
fn array(words: &[&str]) -> String {
    let bulks: String = words
        .iter()
        .map(|word| format!("${}\r\n{word}\r\n", word.len()))
        .collect();
    format!("*{}\r\n{bulks}", words.len())
}

/// Sends requests of all kinds in any order, in pipelines about as long as a group, and in reads that end anywhere. The inline
/// form, which is never grouped, supplies the expected replies.
#[test]
fn reads_that_are_taken_together_say_what_they_say_alone() {
    let running = Running::start(Config::default());
    let large = "x".repeat(30_000);
    running.serve(&[
        &["SET", "a", "1"],
        &["SET", "b", "hello"],
        &["SET", "large", &large],
        &["SET", "gone", "x", "PXAT", "1"],
        &["SET", "timed", "y", "PXAT", "99999999999999"],
        &["HSET", "hash", "field", "value"],
        &["ZADD", "zset", "1.5", "member"],
    ]);
    let kinds: &[&[&str]] = &[
        &["GET", "a"],
        &["get", "b"],
        &["GET", "nothing"],
        &["GET", "hash"],
        &["GET", "gone"],
        &["GET", "timed"],
        &["STRLEN", "b"],
        &["GET"],
        &["HGET", "hash", "field"],
        &["ZSCORE", "zset", "member"],
        &["GET", "large"],
        &["MGET", "a", "b"],
        &["SET", "a", "2"],
        &["NONSENSE", "a"],
        &["MULTI"],
        &["EXEC"],
        &["SELECT", "1"],
        &["SELECT", "0"],
        &["HELLO", "3"],
        &["CLIENT", "REPLY", "SKIP"],
    ];
    let mut rng = fastrand::Rng::with_seed(1);
    for _ in 0..100 {
        // Mostly reads of one key.
        let requests: Vec<&[&str]> = (0..rng.usize(1..150))
            .map(|_| match rng.u8(..8) {
                0 => kinds[rng.usize(..kinds.len())],
                _ => kinds[rng.usize(..10)],
            })
            .chain([&["QUIT"][..]])
            .collect();
        let lines: String = requests
            .iter()
            .map(|words| words.join(" ") + "\r\n")
            .collect();
        let expected = running.client().send(lines).rest();
        let arrays: String = requests.iter().map(|words| array(words)).collect();
        let mut client = running.client();
        client.0.set_nodelay(true).unwrap();
        let mut rest = arrays.as_str();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rng.usize(1..=rest.len()));
            client.send(now);
            rest = later;
        }
        assert_eq!(
            without_ids(&client.rest()),
            without_ids(&expected),
            "{requests:?}"
        );
    }
}

/// Removes the connection's id from HELLO's replies: it differs for each connection.
fn without_ids(replies: &str) -> String {
    let parts = replies.split("$2\r\nid\r\n:");
    let after_digits = |part: &str| {
        part.trim_start_matches(|c: char| c.is_ascii_digit())
            .to_owned()
    };
    parts.map(after_digits).collect()
}

#[test]
fn single_bytes_make_a_request() {
    let running = plain();
    let mut client = running.client();
    client.0.set_nodelay(true).unwrap();
    for byte in b"*2\r\n$3\r\nGET\r\n$1\r\nb\r\n" {
        client.send([*byte]);
        std::thread::yield_now();
    }
    client.expects("$5\r\nhello\r\n");
}

#[test]
fn empty_requests_are_ignored() {
    plain().client().says("\r\n*0\r\n\r\nPING\r\n", "+PONG\r\n");
}

#[test]
fn a_protocol_error_is_answered_and_closes() {
    let running = plain();
    for (request, error) in [
        ("*x\r\n", "invalid multibulk length"),
        ("*2147483648\r\n", "invalid multibulk length"),
        ("*1\r\nPING\r\n", "expected '$', got 'P'"),
        ("*1\r\n$-1\r\n", "invalid bulk length"),
        ("*1\r\n$999999999999\r\n", "invalid bulk length"),
        ("GET \"a\r\n", "unbalanced quotes in request"),
    ] {
        running.client().closes_after(
            &format!("PING\r\n{request}"),
            &format!("+PONG\r\n-ERR Protocol error: {error}\r\n"),
        );
    }
}

#[test]
fn requests_larger_than_the_limit_are_refused() {
    let running = Running::start(Config {
        query_bytes_max: 1000,
        ..Config::default()
    });
    let head = "*2\r\n$4\r\nECHO\r\n$5000\r\n".to_owned() + &"x".repeat(2000);
    running.client().closes_after(
        &head,
        "-ERR Protocol error: the request is larger than query-bytes-max\r\n",
    );
    assert_eq!(
        running
            .server
            .statistics
            .query_limit_closes
            .load(Ordering::Relaxed),
        1
    );
}

#[test]
fn replies_larger_than_the_limit_are_refused_whole() {
    let running = Running::start(Config {
        reply_bytes_max: 1000,
        ..Config::default()
    });
    let long = "x".repeat(2000);
    running.serve(&[&["SET", "long", &long], &["SET", "a", "1"]]);
    running.client().closes_after(
        "GET a\r\nGET long\r\nGET a\r\n",
        "$1\r\n1\r\n-ERR the reply is larger than reply-bytes-max; closing the connection\r\n",
    );
}

#[test]
fn a_client_too_many_is_told_so() {
    let running = Running::start(Config {
        clients_max: 1,
        ..Config::default()
    })
    .with_data();
    let mut first = running.client();
    first.says("PING\r\n", "+PONG\r\n");
    assert_eq!(
        running.client().rest(),
        "-ERR max number of clients reached\r\n"
    );
    first.says("PING\r\n", "+PONG\r\n");
}

#[test]
fn a_reader_that_stalls_is_disconnected() {
    let running = Running::start(Config {
        stall_timeout: Duration::from_millis(300),
        ..Config::default()
    });
    let long = "x".repeat(32 << 20);
    running.serve(&[&["SET", "long", &long]]);
    let mut client = running.client();
    client.send("GET long\r\n");
    while running.server.connections() == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    while running.server.connections() > 0 {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(client.rest().len() < long.len());
}

#[test]
fn a_silent_client_is_disconnected_when_asked_for() {
    let running = Running::start(Config {
        idle_timeout: Duration::from_millis(100),
        ..Config::default()
    });
    assert_eq!(running.client().rest(), "");
}

#[test]
fn before_the_first_sync_reads_are_loading_and_writes_are_readonly() {
    let running = Running::start(Config::default());
    let mut client = running.client();
    client.says(
        "GET a\r\n",
        "-LOADING Redis is loading the dataset in memory\r\n",
    );
    client.says(
        "SET a 1\r\n",
        "-READONLY You can't write against a read only replica.\r\n",
    );
    client.says("SELECT 1\r\n", "+OK\r\n");
    running.serve(&[]);
    client.says("GET a\r\n", "$-1\r\n");
}

#[test]
fn a_password_is_asked_for() {
    let running = with_password();
    let mut client = running.client();
    client.says("GET a\r\n", "-NOAUTH Authentication required.\r\n");
    client.says("PING\r\n", "-NOAUTH Authentication required.\r\n");
    client.says(
        "AUTH wrong\r\n",
        "-WRONGPASS invalid username-password pair or user is disabled.\r\n",
    );
    client.says(
        "AUTH nobody secret\r\n",
        "-WRONGPASS invalid username-password pair or user is disabled.\r\n",
    );
    client.says("AUTH secret\r\nGET a\r\n", "+OK\r\n$1\r\n1\r\n");
    client.says(
        "RESET\r\nGET a\r\n",
        "+RESET\r\n-NOAUTH Authentication required.\r\n",
    );
    client.says("HELLO 3 AUTH default secret\r\n", "%7\r\n");
}

/// Starts a server with a password and this dialect.
fn speaking(dialect: Dialect) -> Running {
    Running::start(Config {
        password: Some(crate::secret::Secret::new("secret")),
        dialect: Some(dialect),
        ..Config::default()
    })
    .with_data()
}

const NO_AUTH: &str = "-NOAUTH Authentication required.\r\n";

#[test]
fn servers_log_in_before_or_after_hello_has_been_read() {
    let wrong = "-ERR Syntax error in HELLO option 'FOO'\r\n";
    for (dialect, then) in [
        (Dialect::redis(6, 0, 16), "+PONG\r\n"),
        (Dialect::redis(7, 0, 15), "+PONG\r\n"),
        (Dialect::redis(8, 0, 2), NO_AUTH),
        (Dialect::valkey(8, 1, 1), NO_AUTH),
    ] {
        speaking(dialect).client().says(
            "HELLO 3 AUTH default secret FOO\r\nPING\r\n",
            &format!("{wrong}{then}"),
        );
    }
    let running = speaking(Dialect::redis(8, 0, 2));
    running
        .client()
        .says("HELLO 3 AUTH default wrong FOO\r\n", wrong);
}

#[test]
fn the_password_is_asked_for_before_or_after_other_mistakes() {
    let sent = "NOSUCH\r\nGET\r\nCLIENT FOO\r\nEXEC x\r\n";
    let aborted = "-EXECABORT Transaction discarded because of: ";
    let replies = [
        (
            Dialect::redis(6, 0, 16),
            format!(
                "-ERR unknown command `NOSUCH`, with args beginning with: \r\n\
                 -ERR wrong number of arguments for 'get' command\r\n{NO_AUTH}\
                 {aborted}wrong number of arguments for 'exec' command\r\n"
            ),
        ),
        (
            Dialect::valkey(8, 1, 1),
            format!(
                "-ERR unknown command 'NOSUCH', with args beginning with: \r\n\
                 -ERR wrong number of arguments for 'get' command\r\n\
                 -ERR unknown subcommand 'FOO'. Try CLIENT HELP.\r\n\
                 {aborted}wrong number of arguments for 'exec' command\r\n"
            ),
        ),
        (
            Dialect::valkey(9, 1, 2),
            format!("{NO_AUTH}{NO_AUTH}{NO_AUTH}{aborted}{}", &NO_AUTH[1..]),
        ),
    ];
    for (dialect, replies) in replies {
        speaking(dialect).client().says(sent, &replies);
    }
}

#[test]
fn before_authentication_requests_are_small() {
    let running = with_password();
    running.client().closes_after(
        "*11\r\n",
        "-ERR Protocol error: unauthenticated multibulk length\r\n",
    );
    running.client().closes_after(
        "*2\r\n$4\r\nAUTH\r\n$20000\r\n",
        "-ERR Protocol error: unauthenticated bulk length\r\n",
    );
    let eleven = "*11\r\n$6\r\nEXISTS\r\n".to_owned() + &"$1\r\na\r\n".repeat(10);
    running
        .client()
        .says(&format!("AUTH secret\r\n{eleven}"), "+OK\r\n:10\r\n");
}

#[test]
fn hello_switches_the_protocol() {
    let running = plain();
    let mut client = running.client();
    client.says("GET nothing\r\n", "$-1\r\n");
    client.says(
        "HELLO 3 SETNAME me\r\n",
        "%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.0.0\r\n$5\r\nproto\r\n:3\r\n$2\r\nid\r\n:1\r\n$4\r\nmode\r\n\
         $10\r\nstandalone\r\n$4\r\nrole\r\n$7\r\nreplica\r\n$7\r\nmodules\r\n*0\r\n",
    );
    client.says("GET nothing\r\nCLIENT GETNAME\r\n", "_\r\n$2\r\nme\r\n");
    client.says("HELLO 4\r\n", "-NOPROTO unsupported protocol version\r\n");
    client.says(
        "HELLO x\r\n",
        "-ERR Protocol version is not an integer or out of range\r\n",
    );
    client.says("RESET\r\nGET nothing\r\n", "+RESET\r\n$-1\r\n");
}

#[test]
fn databases_are_selected_within_bounds() {
    plain().client().says(
        "SELECT 1\r\nGET a\r\nSELECT 16\r\nSELECT x\r\nSELECT 0\r\nGET a\r\n",
        "+OK\r\n$-1\r\n-ERR DB index is out of range\r\n-ERR value is not an integer or out of range\r\n+OK\r\n$1\r\n1\r\n",
    );
}

#[test]
fn client_reply_holds_replies_back() {
    plain().client().says(
        "CLIENT REPLY SKIP\r\nGET a\r\nGET b\r\nCLIENT REPLY OFF\r\nGET a\r\nNONSENSE\r\nCLIENT REPLY SKIP\r\nGET a\r\n\
         CLIENT REPLY ON\r\nGET a\r\n",
        "$5\r\nhello\r\n+OK\r\n$1\r\n1\r\n",
    );
}

#[test]
fn quit_answers_and_closes() {
    plain()
        .client()
        .closes_after("GET a\r\nQUIT\r\nGET a\r\n", "$1\r\n1\r\n+OK\r\n");
}

#[test]
fn transactions_queue_and_answer_together() {
    let running = plain();
    let mut client = running.client();
    client.says(
        "MULTI\r\nGET a\r\nSELECT 1\r\nGET a\r\nLPUSH\r\nDISCARD\r\n",
        "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n-ERR wrong number of arguments for 'lpush' command\r\n+OK\r\n",
    );
    client.says(
        "MULTI\r\nMGET a b\r\nSELECT 1\r\nGET a\r\nSELECT 0\r\nDBSIZE\r\nKEYS a\r\nLLEN a\r\nEXEC\r\n",
        "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*7\r\n*2\r\n$1\r\n1\r\n$5\r\nhello\r\n\
         +OK\r\n$-1\r\n+OK\r\n:2\r\n*1\r\n$1\r\na\r\n-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
    );
}

#[test]
fn the_clock_stands_still_during_a_transaction() {
    const READS: usize = 20_000;
    let running = Running::start(Config::default());
    running.serve(&[&["SET", "k", "v", "PXAT", "99999999999999"]]);
    let mut client = running.client();
    client.send("MULTI\r\n").expects("+OK\r\n");
    for _ in 0..READS / 100 {
        client.send("PTTL k\r\n".repeat(100));
        client.expects(&"+QUEUED\r\n".repeat(100));
    }
    let replies = client.send("EXEC\r\nQUIT\r\n").rest();
    let times: std::collections::BTreeSet<&str> = replies
        .lines()
        .filter(|line| line.starts_with(':'))
        .collect();
    assert_eq!(times.len(), 1, "{times:?}");
    assert_eq!(replies.lines().count(), READS + 2);
}

#[test]
fn refused_commands_abort_a_transaction() {
    let running = plain();
    let mut client = running.client();
    client.says(
        "EXEC\r\nDISCARD\r\n",
        "-ERR EXEC without MULTI\r\n-ERR DISCARD without MULTI\r\n",
    );
    client.says(
        "MULTI\r\nMULTI\r\nSET a 1\r\nEXEC\r\nGET a\r\n",
        "+OK\r\n-ERR MULTI calls can not be nested\r\n-READONLY You can't write against a read only replica.\r\n\
         -EXECABORT Transaction discarded because of previous errors.\r\n$1\r\n1\r\n",
    );
}

/// A command that the server allows inside MULTI is queued, and refused when it runs.
#[test]
fn multi_refuses_what_its_server_refuses() {
    let replies = |dialect, line: &str| {
        let running = speaking(dialect);
        let mut client = running.client();
        client.send(format!(
            "AUTH secret\r\nMULTI\r\n{line}\r\nEXEC\r\nQUIT\r\n"
        ));
        let rest = client.rest();
        let start = rest.strip_prefix("+OK\r\n+OK\r\n").unwrap().to_owned();
        start.strip_suffix("+OK\r\n").unwrap().to_owned()
    };
    let refused = |error: &str| {
        format!("-ERR {error}\r\n-EXECABORT Transaction discarded because of previous errors.\r\n")
    };
    let queued = |error: &str| format!("+QUEUED\r\n*1\r\n-{error}\r\n");
    let (six, seven) = (Dialect::redis(6, 0, 16), Dialect::redis(7, 0, 15));
    let (eight, nine) = (Dialect::valkey(8, 1, 1), Dialect::valkey(9, 1, 2));
    let not_allowed = refused("Command not allowed inside a transaction");
    let disk = queued("ERR not supported: redtail does not save on command (see --state-dir)");
    for (dialect, line, expected) in [
        (six, "SAVE", disk.clone()),
        (seven, "BGSAVE", disk),
        (seven, "SAVE", not_allowed.clone()),
        (
            seven,
            "MULTI",
            "-ERR MULTI calls can not be nested\r\n*0\r\n".to_owned(),
        ),
        (eight, "MULTI", not_allowed.clone()),
        (seven, "DEBUG SLEEP 0", not_allowed),
        (
            nine,
            "SAVE",
            refused("Command 'save' not allowed inside a transaction"),
        ),
        (
            nine,
            "CLIENT REPLY OFF",
            refused("Command 'client|reply' not allowed inside a transaction"),
        ),
        (
            six,
            "CLIENT FOO",
            queued(
                "ERR Unknown subcommand or wrong number of arguments for 'FOO'. Try CLIENT HELP",
            ),
        ),
        (
            seven,
            "CLIENT FOO",
            refused("unknown subcommand 'FOO'. Try CLIENT HELP."),
        ),
    ] {
        assert_eq!(replies(dialect, line), expected, "{dialect:?} {line}");
    }
}

#[test]
fn a_waiting_client_is_shown_as_it_is() {
    let running = plain();
    let mut client = running.client();
    client.send("HELLO 3\r\nWATCH a b a\r\nSELECT 2\r\nXREAD BLOCK 0 STREAMS s $\r\n");
    running.wait_for_blocked();
    let line = running.server.clients.all()[0].line(Dialect::valkey(9, 1, 0));
    for field in [
        " flags=b ",
        " db=2 ",
        " resp=3 ",
        " cmd=xread ",
        " watch=2 ",
        " tot-cmds=4",
    ] {
        assert!(line.contains(field), "{field} in {line}");
    }
    let commands = running.server.statistics.traffic.totals().commands;
    assert_eq!(commands, 4);
}

#[test]
fn reads_of_a_pipeline_are_answered_in_groups() {
    let running = plain();
    let mut client = running.client();
    let get = "*2\r\n$3\r\nGET\r\n$1\r\na\r\n";
    let grouped = || running.server.statistics.traffic.totals().grouped_reads;
    for _ in 0..64 {
        client.says(get, "$1\r\n1\r\n");
    }
    // A request is counted before the connection's next one is read.
    client.says("PING\r\n", "+PONG\r\n");
    assert_eq!(grouped(), 0, "one at a time");
    client.says(&get.repeat(64), &"$1\r\n1\r\n".repeat(64));
    client.says("PING\r\n", "+PONG\r\n");
    // The system may deliver them in pieces; a read that is alone in a piece is not a group.
    assert!(grouped() > 32, "{}", grouped());
}

#[test]
fn what_comes_behind_a_waiting_command_is_answered_behind_it() {
    let running = plain();
    let mut client = running.client();
    let waits = "XREAD BLOCK 20 STREAMS s $\r\n";
    client.says(&format!("{waits}PING\r\n"), "*-1\r\n+PONG\r\n");
    client.says(
        &format!("CLIENT REPLY SKIP\r\n{waits}PING\r\n"),
        "+PONG\r\n",
    );
}

#[test]
fn a_waiting_command_goes_on_in_another_generation() {
    let running = plain();
    let mut client = running.client();
    client.send("XREAD BLOCK 0 STREAMS s $\r\n");
    running.wait_for_blocked();
    let old = running.served.current().unwrap();
    running.serve(&[&["XADD", "s", "1-1", "a", "b"]]);
    old.spaces.waiters().wake_all();
    client.expects("*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n");
}

#[test]
fn what_comes_behind_a_waiting_command_is_bounded_too() {
    let running = Running::start(Config {
        query_bytes_max: 1000,
        ..Config::default()
    })
    .with_data();
    let mut client = running.client();
    client.send("XREAD BLOCK 0 STREAMS s $\r\n");
    running.wait_for_blocked();
    client.closes_after(
        &"PING\r\n".repeat(200),
        "-ERR Protocol error: the request is larger than query-bytes-max\r\n",
    );
}

#[test]
fn unknown_commands_and_wrong_counts_are_told_apart() {
    plain().client().says(
        "NONSENSE x\r\nGET\r\nCLIENT NONSENSE\r\nCLIENT\r\nCLIENT ID x\r\n",
        "-ERR unknown command 'NONSENSE', with args beginning with: 'x' \r\n\
         -ERR wrong number of arguments for 'get' command\r\n-ERR unknown subcommand 'NONSENSE'. Try CLIENT HELP.\r\n\
         -ERR wrong number of arguments for 'client' command\r\n-ERR wrong number of arguments for 'client|id' command\r\n",
    );
}

#[test]
fn clients_are_listed_and_closed_by_number() {
    let running = plain();
    let mut first = running.client();
    first.says("CLIENT ID\r\nCLIENT SETNAME one\r\n", ":1\r\n+OK\r\n");
    let mut second = running.client();
    second.says("CLIENT ID\r\nCLIENT SETNAME a\\x20b\r\n", ":2\r\n+OK\r\n");
    second.says(
        "CLIENT SETNAME \"a b\"\r\n",
        "-ERR Client names cannot contain spaces, newlines or special characters.\r\n",
    );
    // Servers before Redis 7.2 also check the part of a name after a zero byte.
    let zero = "*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$3\r\na\0 \r\n";
    second.says(
        zero,
        "-ERR Client names cannot contain spaces, newlines or special characters.\r\n",
    );
    second.says("CLIENT KILL ID 1\r\n", ":1\r\n");
    assert_eq!(first.rest(), "");
    second.closes_after("CLIENT KILL ID 2 SKIPME no\r\n", ":1\r\n");
}

#[test]
fn stopping_closes_every_connection() {
    let running = plain();
    let mut client = running.client();
    client.says("PING\r\n", "+PONG\r\n");
    running.stop.cancel();
    assert_eq!(client.rest(), "");
    while TcpStream::connect(("127.0.0.1", running.port)).is_ok() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_stale_socket_file_is_replaced_and_another_file_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let addresses = [Listen::Unix(path.clone())];
    let open = || runtime.block_on(Listeners::open(&addresses, None));
    let listeners = open().unwrap();
    assert!(matches!(open(), Err(Error::Bind(..))));
    assert!(std::os::unix::net::UnixStream::connect(&path).is_ok());
    drop(listeners);
    assert!(!path.exists());
    std::fs::write(&path, "precious").unwrap();
    assert!(matches!(open(), Err(Error::NotSocket(_))));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn the_redis_crate_understands_what_the_server_says_of_itself() {
    let running = plain();
    let client = redis::Client::open(format!("redis://127.0.0.1:{}", running.port)).unwrap();
    let mut connection = client.get_connection().unwrap();
    let info: redis::InfoDict = redis::cmd("INFO").query(&mut connection).unwrap();
    assert_eq!(info.get::<String>("role").as_deref(), Some("slave"));
    let rows: Vec<redis::Value> = redis::cmd("COMMAND").query(&mut connection).unwrap();
    let count: usize = redis::cmd("COMMAND")
        .arg("COUNT")
        .query(&mut connection)
        .unwrap();
    assert_eq!(rows.len(), count);
    let list: String = redis::cmd("CLIENT")
        .arg("LIST")
        .query(&mut connection)
        .unwrap();
    assert!(
        list.contains("cmd=client|list") && list.ends_with('\n'),
        "{list}"
    );
    let config: std::collections::HashMap<String, String> = redis::cmd("CONFIG")
        .arg("GET")
        .arg("databases")
        .query(&mut connection)
        .unwrap();
    assert_eq!(config["databases"], "16");
    let values: (i64, String) = redis::pipe()
        .atomic()
        .get("a")
        .get("b")
        .query(&mut connection)
        .unwrap();
    assert_eq!(values, (1, "hello".to_owned()));
}

#[path = "pressure_tests.rs"]
mod pressure;

#[path = "audience_tests.rs"]
mod audience;

#[path = "courier_tests.rs"]
mod courier;
