//! Requests at and beyond the limits of what servers accept. redtail must have the same limits as a replica of that version.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::builds::{closes_before_the_password, gives_up_on_stars};
use crate::servers::{ALL, Server, free_port};

/// Returns the first line of a server's answer to bytes after which it may close the connection; empty if there is none. Of a
/// bulk string that is only the length.
///
/// A PING at the end makes a server answer if it accepts the bytes before it.
fn answer(server: &Server, bytes: &[u8]) -> String {
    answer_at(server.port, bytes)
}

fn answer_at(port: u16, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    let patience = Some(Duration::from_secs(30));
    stream.set_read_timeout(patience).expect("a socket option");
    // A server may refuse and close before it has read everything.
    _ = stream.write_all(bytes);
    let mut line = Vec::new();
    let mut byte = [0];
    while let Ok(1) = stream.read(&mut byte) {
        line.push(byte[0]);
        if byte[0] == b'\n' {
            break;
        }
    }
    line.escape_ascii().to_string()
}

/// An inline PING whose argument makes the line `length` bytes long.
fn inline(length: usize) -> Vec<u8> {
    let mut line = b"PING ".to_vec();
    line.resize(length - 1, b'x');
    line.push(b'\n');
    line
}

/// A PING with `count` words. Its arity is wrong, if the server accepts that number of words at all.
fn many_words(count: usize) -> Vec<u8> {
    let mut request = format!("*{count}\r\n").into_bytes();
    for _ in 0..count {
        request.extend(b"$4\r\nPING\r\n");
    }
    request
}

fn requests() -> Vec<(&'static str, Vec<u8>)> {
    let text = |text: &str| text.as_bytes().to_vec();
    vec![
        ("more words than an int", text("*2147483648\r\nPING\r\n")),
        ("no words", text("*0\r\nPING\r\n")),
        ("fewer words", text("*-5\r\nPING\r\n")),
        ("no count", text("*\r\nPING\r\n")),
        ("a count with a sign", text("*+1\r\n$4\r\nPING\r\n")),
        ("a count with a zero", text("*01\r\n$4\r\nPING\r\n")),
        (
            "a long count",
            format!("*{}", "1".repeat(70_000)).into_bytes(),
        ),
        ("a million words", many_words(1 << 20)),
        ("more than a million words", many_words((1 << 20) + 1)),
        ("a word of more than 512 MB", text("*1\r\n$536870913\r\n")),
        ("a word of less than nothing", text("*1\r\n$-1\r\n")),
        ("a word without length", text("*1\r\n$\r\n")),
        (
            "a long length",
            format!("*1\r\n${}", "1".repeat(70_000)).into_bytes(),
        ),
        ("a line of 64 KiB", inline(64 << 10)),
        ("a line of 100,000 bytes", inline(100_000)),
        ("a line of a million bytes", inline(1_000_000)),
        ("a line without end", vec![b'x'; 100_000]),
        ("an open quote", text("PING \"a\n")),
    ]
}

/// A command whose reply fills all of Redis 6.0's memory.
const FATAL_BEFORE_7: &str = "SRANDMEMBER s -9223372036854775808";

/// Numbers at their limits, none of which makes a server build a long reply. The keys exist.
const COMMANDS: &[&str] = &[
    "SELECT 15",
    "SELECT 16",
    "SELECT -1",
    "SELECT 2147483648",
    "SELECT x",
    "SELECT 0",
    FATAL_BEFORE_7,
    "HRANDFIELD h -9223372036854775808",
    "HRANDFIELD h 4611686018427387904 WITHVALUES",
    "HRANDFIELD h -4611686018427387904 WITHVALUES",
    "ZRANDMEMBER z -9223372036854775808",
    "ZRANDMEMBER z 4611686018427387904 WITHSCORES",
    "SCAN 18446744073709551616",
    "SCAN 0 COUNT 0",
    "SCAN 0 COUNT 9223372036854775808",
    "SINTERCARD 9223372036854775807 s",
    "SINTERCARD 1 s LIMIT 9223372036854775807",
    "SINTERCARD 1 s LIMIT -1",
    "ZUNION 9223372036854775807 z",
    "ZUNION 2147483648 z",
    "ZINTERCARD 9223372036854775807 z",
    "ZDIFF 0 z",
    "EVAL return 9223372036854775807",
    "XREAD COUNT 9223372036854775807 STREAMS x 0",
    "XREAD COUNT -1 STREAMS x 0",
    "XREAD BLOCK -1 STREAMS x $",
    "XRANGE x - + COUNT 9223372036854775807",
    "XRANGE x - + COUNT -1",
    "XRANGE x - + COUNT 0",
    "XREVRANGE x + - COUNT -2",
    "LPOS l a RANK 9223372036854775807",
    "LPOS l a RANK -9223372036854775807",
    "LPOS l a COUNT 9223372036854775807",
    "LPOS l a COUNT -1",
    "LPOS l a MAXLEN 9223372036854775807",
    "LRANGE l -9223372036854775808 9223372036854775807",
    "GETRANGE a -9223372036854775808 9223372036854775807",
    "GETRANGE a 9223372036854775807 9223372036854775807",
    "BITCOUNT a -9223372036854775808 9223372036854775807",
    "BITPOS a 1 -9223372036854775808 9223372036854775807",
    "BITFIELD_RO a GET u64 0",
    "BITFIELD_RO a GET i64 0",
    "BITFIELD_RO a GET u8 4294967288",
    "BITFIELD_RO a GET u8 4294967289",
    "BITFIELD_RO a GET u8 #536870911",
    "BITFIELD_RO a GET u8 #536870912",
    "BITFIELD_RO a GET u63 9223372036854775807",
    "GETBIT a 4294967295",
    "GETBIT a 4294967296",
    "SORT_RO l ALPHA LIMIT 0 9223372036854775807",
    "SORT_RO l ALPHA LIMIT -9223372036854775808 9223372036854775807",
    "GEOSEARCH g FROMLONLAT 0 0 BYRADIUS 1 m COUNT 0",
    "ZRANGEBYSCORE z -inf +inf LIMIT 0 -5",
    "ZRANGEBYSCORE z -inf +inf LIMIT 9223372036854775807 9223372036854775807",
    "ZRANGE z -9223372036854775808 9223372036854775807",
    "MEMORY USAGE a SAMPLES -1",
    "XPENDING x g - + 9223372036854775807",
    "XPENDING x g - + -1",
    "LCS a b IDX MINMATCHLEN 9223372036854775807",
    "HELLO 9223372036854775807",
    "HELLO 4",
    "HELLO 1",
];

#[test]
fn requests_end_where_the_version_ends_them() {
    // After a request without words, Valkey 9.0.0 leaves what follows until more arrives.
    for name in ALL.into_iter().filter(|name| *name != "valkey-9.0") {
        let Some(primary) = Server::start(name, &[]) else {
            continue;
        };
        let redtail = Server::redtail(&primary);
        for (what, bytes) in requests() {
            let [theirs, ours] = [&primary, &redtail].map(|server| answer(server, &bytes));
            assert_eq!(ours, theirs, "{name}: {what}");
        }
    }
}

#[test]
fn numbers_end_where_the_version_ends_them() {
    for name in ALL {
        let Some(primary) = Server::start(name, &[]) else {
            continue;
        };
        for line in [
            "SET a hello",
            "SET b hallo",
            "SADD s a b c",
            "HSET h f v g w",
            "ZADD z 1 a 2 b",
            "RPUSH l a b a",
            "XADD x 1-1 a 1",
            "XGROUP CREATE x g 0",
            "GEOADD g 1 1 p",
        ] {
            assert!(!primary.command(line).is_error(), "{line}");
        }
        let replica = Server::replica(name, &primary).expect("the server was there a moment ago");
        replica.wait_in_sync(&primary);
        let redtail = Server::redtail(&primary);
        let (mut theirs, mut ours) = (replica.client(), redtail.client());
        for line in COMMANDS {
            if name == "redis-6.0" && *line == FATAL_BEFORE_7 {
                continue;
            }
            assert_eq!(ours.command(line), theirs.command(line), "{name}: {line}");
        }
    }
}

/// Names that a connection may give itself and its library.
fn names() -> Vec<Vec<Vec<u8>>> {
    let long = "x".repeat(100_000);
    let names = [
        "",
        "x",
        &long,
        "a b",
        "a\nb",
        "a\x7f",
        "~",
        "!",
        " ",
        "\t",
        "w\u{f6}rld",
        "a\0b",
    ];
    let forms = [
        "CLIENT SETNAME",
        "CLIENT SETINFO LIB-NAME",
        "CLIENT SETINFO lib-ver",
        "CLIENT SETINFO NOSUCH",
        "HELLO 2 SETNAME",
    ];
    let words = |form: &&str, name: &&str| {
        let words = form.split(' ').chain([*name]);
        words.map(|word| word.as_bytes().to_vec()).collect()
    };
    let of_form = |form| names.iter().map(move |name| words(form, name));
    forms.iter().flat_map(of_form).collect()
}

#[test]
fn names_of_connections_are_those_that_the_version_takes() {
    for name in ALL {
        let Some(primary) = Server::start(name, &[]) else {
            continue;
        };
        let redtail = Server::redtail(&primary);
        let (mut theirs, mut ours) = (primary.client(), redtail.client());
        for words in names() {
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            let [own, real] = [ours.words(&words), theirs.words(&words)];
            // HELLO returns numbers that differ between connections.
            if !real.is_error() && words[0] == b"HELLO" {
                assert!(!own.is_error(), "{name}: {words:?}: {own:?}");
            } else {
                assert_eq!(own, real, "{name}: {words:?}");
            }
            let own = ours.command("CLIENT GETNAME");
            assert_eq!(own, theirs.command("CLIENT GETNAME"), "{name}: {words:?}");
        }
    }
}

#[test]
fn who_has_not_given_a_password_is_bounded_as_the_version_bounds() {
    let word = |length: usize| format!("*1\r\n${length}\r\n{}\r\nPING\r\n", "x".repeat(length));
    let requests = [
        ("ten words", many_words(10)),
        ("eleven words", many_words(11)),
        ("16 KiB", word(16 << 10).into_bytes()),
        ("more than 16 KiB", word((16 << 10) + 1).into_bytes()),
        ("more than 512 MiB", b"*1\r\n$536870913\r\n".to_vec()),
        ("2^31 words", b"*2147483648\r\n".to_vec()),
        ("a line", inline(60_000)),
        ("a line of 64 KiB", inline(64 << 10)),
    ];
    for name in ALL {
        let Some(primary) = Server::start(name, &[]) else {
            continue;
        };
        let redtail = Closed::follow(&primary, name);
        primary.command("CONFIG SET requirepass secret");
        for (what, bytes) in &requests {
            let [theirs, ours] = [primary.port, redtail.0].map(|port| answer_at(port, bytes));
            if !closes_before_the_password(name, &theirs) {
                assert_eq!(ours, theirs, "{name}: {what}");
            }
        }
    }
}

/// A redtail that requires a password, with its port.
struct Closed(u16, Child);

impl Closed {
    fn follow(primary: &Server, dialect: &str) -> Self {
        let port = free_port();
        let [from, to] = [primary.port, port].map(|port| format!("127.0.0.1:{port}"));
        let child = Command::new(env!("CARGO_BIN_EXE_redtail"))
            .args(["serve", "--requirepass", "secret", "--listen", &to])
            .args([
                "--primary",
                &format!("redis://{from}"),
                "--dialect",
                dialect,
            ])
            .stderr(Stdio::null())
            .spawn();
        let started = Self(port, child.expect("it starts"));
        for _ in 0..3000 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        started
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        self.1.kill().expect("it is running");
        self.1.wait().expect("it ends");
    }
}

/// Before Redis 7.2 the sum of the current time and the timeout overflows, and the client waits for ever. Later versions refuse.
#[test]
fn a_timeout_beyond_all_times_is_refused_or_waits_as_in_the_version() {
    for name in ALL {
        let Some(primary) = Server::start(name, &[]) else {
            continue;
        };
        let replica = Server::replica(name, &primary).expect("the server was there a moment ago");
        replica.wait_in_sync(&primary);
        let redtail = Server::redtail(&primary);
        for timeout in [
            "9223372036854775807",
            "9223370000000000000",
            "9223372036854775808",
            "-1",
            "1e3",
            "1.5",
            "01",
            "0x10",
            "",
        ] {
            let words: [&[u8]; 6] = [
                b"XREAD",
                b"BLOCK",
                timeout.as_bytes(),
                b"STREAMS",
                b"x",
                b"$",
            ];
            let begin = |server: &Server| {
                let mut client = server.client();
                client
                    .send(&crate::client::encode(&words))
                    .expect("it reads");
                client
            };
            let waits = name < "redis-7.4" || timeout == "9223370000000000000";
            let waits = waits && timeout.starts_with('9') && !timeout.ends_with("808");
            let mut both = [&replica, &redtail].map(begin);
            if waits {
                for server in [&replica, &redtail] {
                    server.wait_for("the client to wait", |client| {
                        let blocked = client.info("clients", "blocked_clients");
                        blocked.as_deref() == Some("1")
                    });
                }
                primary.command("XADD x * a 1");
            }
            let [theirs, ours] = both
                .each_mut()
                .map(|client| client.read().expect("a reply"));
            assert_eq!(ours, theirs, "{name}: {timeout:?}");
            assert_eq!(ours.is_error(), !waits, "{name}: {timeout:?}");
        }
    }
}

#[test]
fn transactions_watch_and_queue_as_much_as_those_of_servers() {
    for name in ALL {
        let Some(primary) = Server::start(name, &[]) else {
            continue;
        };
        let redtail = Server::redtail(&primary);
        // Servers compare each new key with all keys that the client already watches.
        let keys = (0..10_000).map(|number| format!("{number}{}", "x".repeat(3000)));
        let keys: Vec<_> = keys.collect();
        let (mut theirs, mut ours) = (primary.client(), redtail.client());
        for keys in keys.chunks(1000) {
            let words = ["WATCH"].into_iter().chain(keys.iter().map(String::as_str));
            let words: Vec<&[u8]> = words.map(str::as_bytes).collect();
            assert_eq!(ours.words(&words), theirs.words(&words), "{name}");
        }
        let queued = std::iter::once("MULTI".to_owned());
        let queued = queued.chain((0..50_000).map(|_| "GET a".to_owned()));
        let queued: Vec<_> = queued.map(|line| crate::client::words(&line)).collect();
        assert!(ours.pipeline(&queued) == theirs.pipeline(&queued), "{name}");
        assert_eq!(ours.command("EXEC"), theirs.command("EXEC"), "{name}");
    }
}

/// Patterns with many stars, which each version follows to its own depth.
#[test]
fn patterns_match_to_the_depth_of_the_version() {
    for name in ALL {
        let Some(primary) = Server::start(name, &[]) else {
            continue;
        };
        let key = "a".repeat(3000);
        primary.command(&format!("SET {key} 1"));
        let redtail = Server::redtail(&primary);
        redtail.wait_in_sync(&primary);
        for stars in [998, 999, 1000, 1001, 1002, 2000, 3000] {
            for pattern in [
                "*a".repeat(stars),
                "a*".repeat(stars),
                "*a*".repeat(stars),
                "[a]*".repeat(stars),
                "*?".repeat(stars),
                format!("{}a", "*".repeat(stars)),
            ] {
                for line in [
                    format!("KEYS {pattern}"),
                    format!("SCAN 0 COUNT 100 MATCH {pattern}"),
                ] {
                    let [ours, theirs] = [&redtail, &primary].map(|server| server.command(&line));
                    if !gives_up_on_stars(name, &pattern, &theirs) {
                        assert_eq!(ours, theirs, "{name}: {stars}: {}", &pattern[..4]);
                    }
                }
            }
        }
    }
}
