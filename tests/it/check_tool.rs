//! `redtail rdb check` and the servers' own `redis-check-rdb` get the same damaged dumps, and must accept or refuse the same.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::client::words;
use crate::servers::{Server, program};

/// One key of each type, small enough to damage every byte.
const MADE: [&str; 9] = [
    "SET text abc",
    "SET number 77",
    "RPUSH list a 1",
    "SADD ints 1 300",
    "SADD set a 1",
    "HSET hash f 1",
    "ZADD zset 1.5 a",
    "XADD stream 5-1 f v",
    "XGROUP CREATE stream g 5-1",
];

/// Deliberate differences: whether the tool accepts the dump, a part of the other program's error, and the reason.
const DIFFERENCES: [(bool, &str, &str); 9] = [
    (
        true,
        "invalid score",
        "the tool accepts any text as a score; servers read 0, or a part of it",
    ),
    (
        true,
        "an entry's id is greater than the stream's last id",
        "the tool does not compare a stream's IDs with the stream's own metadata",
    ),
    (
        true,
        "the stream's length does not match its number of entries",
        "as above, but Valkey 9.1 does compare",
    ),
    (
        true,
        "the count field says",
        "Redis does not count the elements of a stream's listpacks; Valkey 9.1 does",
    ),
    (
        true,
        "a group's number of entries read is below -1",
        "the tool does not check how much a group has read",
    ),
    (
        true,
        "expected a length, found a string encoding",
        "the tool accepts the encoding as a length",
    ),
    (
        true,
        "the back-length does not match the entry",
        "with its high bit set it continues into the entry before it, where a zero adds nothing",
    ),
    (
        true,
        "it does not start with REDIS or VALKEY and a version number",
        "the tool reads digits up to the first other character; `001:` is version 1",
    ),
    (
        false,
        "Can't handle RDB format version",
        "redtail reads any version if it knows the records",
    ),
];

/// A dump of [`MADE`] by server `name`. It is built from DUMP payloads, which contain no times, unlike the result of SAVE.
fn dump(name: &str) -> Option<Vec<u8>> {
    let server = Server::start(name, &[])?;
    let mut client = server.client();
    client.pipeline(&MADE.map(words));
    let (mut version, mut keys) = (0, b"\xfe\x00".to_vec());
    for key in [
        "text", "number", "list", "ints", "set", "hash", "zset", "stream",
    ] {
        let dumped = client.command(&format!("DUMP {key}")).bulk();
        let dumped = dumped.expect("a payload");
        let (value, footer) = dumped.split_at(dumped.len() - 10);
        version = footer[0];
        keys.push(value[0]);
        keys.push(u8::try_from(key.len()).expect("short"));
        keys.extend_from_slice(key.as_bytes());
        keys.extend_from_slice(&value[1..]);
    }
    let header = match version {
        80.. => format!("VALKEY{version:03}"),
        _ => format!("REDIS{version:04}"),
    };
    let aux = b"\xfa\x03abc\xc1\x00\x01";
    Some([header.as_bytes(), aux, &keys, b"\xff", &[0; 8]].concat())
}

/// Damaged copies of `dump`, each with a description. The dump has no checksum, so the damage itself must be found. One byte of
/// every two is changed; `turn` selects which one.
fn damaged(dump: &[u8], turn: usize) -> Vec<(String, Vec<u8>)> {
    let content = dump.len() - 8;
    let replaced = |at: usize, byte: u8| {
        let mut bad = dump.to_vec();
        bad[at] = byte;
        (format!("byte {at} is {byte:#04x}"), bad)
    };
    let cut = |at: usize| (format!("cut at {at}"), dump[..at].to_vec());
    let cuts = (turn..dump.len()).step_by(9).map(cut);
    let flips = (turn..content)
        .step_by(2)
        .map(|at| replaced(at, dump[at] ^ (1 << (at / 2 % 8))));
    let unknown = (9 + turn..content).step_by(7).map(|at| replaced(at, 0x50));
    let of_version = [replaced(8, b':'), replaced(8, dump[8] + 1)];
    let all = cuts.chain(flips).chain(unknown).chain(of_version);
    std::iter::once(("whole".to_owned(), dump.to_vec()))
        .chain(all)
        .collect()
}

/// Runs the tool of server `name` in the same way as the server.
fn tool(name: &str, file: &Path) -> Option<(bool, String)> {
    let server = program(name, "redis-server")?;
    let script = std::fs::read_to_string(&server).expect("a script");
    let family = name.split('-').next().expect("a family");
    let own = format!("/usr/bin/{family}-check-rdb\"");
    let script = ["redis", "valkey"]
        .map(|family| format!("/usr/bin/{family}-server\""))
        .iter()
        .fold(script, |script, server| script.replace(server, &own));
    assert!(script.contains(&own), "{script}");
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).arg(server).arg(file);
    Some(outcome(&mut command))
}

/// Returns whether a command accepts its input, and its whole output.
fn outcome(command: &mut Command) -> (bool, String) {
    let output = command.stdin(Stdio::null()).output().expect("it runs");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

/// Returns the listed reasons for disagreements, and a description of each disagreement that is not listed.
fn differences(name: &str, turn: usize) -> Vec<Result<&'static str, String>> {
    let Some(dump) = dump(name) else {
        return Vec::new();
    };
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("x.rdb");
    let one = |(what, bytes): (String, Vec<u8>)| {
        std::fs::write(&file, &bytes).expect("written");
        let (accepts, its) = tool(name, &file)?;
        let mut own = Command::new(env!("CARGO_BIN_EXE_redtail"));
        let (accepted, ours) = outcome(own.args(["rdb", "check"]).arg(&file));
        assert!(
            what != "whole" || (accepts && accepted),
            "{name}: {its} {ours}"
        );
        if accepts == accepted {
            return None;
        }
        let refusal = if accepts { &ours } else { &its };
        let mut rows = DIFFERENCES.iter();
        let row = rows.find(|row| row.0 == accepts && refusal.contains(row.1));
        Some(row.map(|row| row.2).ok_or_else(|| {
            format!("{name}: {what}: the tool accepts: {accepts}: {its}; redtail: {ours}")
        }))
    };
    damaged(&dump, turn).into_iter().filter_map(one).collect()
}

#[test]
fn accepts_and_refuses_what_the_tool_of_the_servers_does() {
    let names = [("redis-7.0", 0), ("redis-8.0", 1), ("valkey-9.1", 0)];
    if names
        .iter()
        .any(|(name, _)| program(name, "redis-server").is_none())
    {
        return;
    }
    let found: Vec<_> = std::thread::scope(|scope| {
        let threads = names.map(|(name, turn)| scope.spawn(move || differences(name, turn)));
        let found = threads.map(|thread| thread.join().expect("no panic"));
        found.into_iter().flatten().collect()
    });
    let unlisted: Vec<_> = found
        .iter()
        .filter_map(|found| found.as_ref().err())
        .collect();
    assert!(unlisted.is_empty(), "{unlisted:#?}");
    for (_, part, reason) in DIFFERENCES {
        assert!(
            found.contains(&Ok(reason)),
            "this difference no longer occurs: {part}"
        );
    }
}
