//! Requests at the bounds of what servers take, and beyond: redtail has its bounds where a replica of that version has them.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::servers::{ALL, Server};

/// What a server answers to bytes after which it closes the connection or goes on: the first line, of a reply in bulk only its
/// length, or nothing.
///
/// A PING behind them makes a server speak that takes them.
fn answer(server: &Server, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).expect("it listens");
    let patience = Some(Duration::from_secs(30));
    stream.set_read_timeout(patience).expect("a socket option");
    // A server that refuses may close before it has read everything.
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

/// A PING with so many words that its arity is wrong, if so many are taken at all.
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

/// What Redis 6.0 fills all memory with a reply to.
const FATAL_BEFORE_7: &str = "SRANDMEMBER s -9223372036854775808";

/// Numbers at their bounds, none of which makes a server build a long reply. The keys are there.
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
    for name in ALL {
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
        let replica = Server::replica(name, &primary).expect("the server is there");
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
