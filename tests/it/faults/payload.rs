//! A real server's snapshot, cut after each of its bytes: redtail keeps serving its data, its status says why, and it loads the
//! next snapshot.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use super::node::{config, wait};
use crate::client::encode;
use crate::scripted::{Scripted, dump, full_resync, with_length};
use crate::servers::{ALL, PATIENCE, Server};

/// A little of each kind.
const DATA: [&str; 7] = [
    "SET string value",
    "SET number 12345 PX 100000000",
    "RPUSH list a b 3",
    "SADD set 1 2 3",
    "HSET hash f v",
    "ZADD zset 1.5 m",
    "XADD stream 1-1 f v",
];

/// The payload of a full sync, from header to end, as a replica receives it.
fn recorded(server: &Server, capabilities: &[&str]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut replies = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    for words in [capabilities, &["PSYNC", "?", "-1"]] {
        stream.write_all(&encode(words)).unwrap();
        line.clear();
        // A primary that waits for its child process sends empty lines.
        while line.trim().is_empty() {
            line.clear();
            replies.read_line(&mut line).unwrap();
        }
    }
    assert!(line.starts_with("+FULLRESYNC"), "{line}");
    let mut header = Vec::new();
    while header.trim_ascii().is_empty() {
        header.clear();
        replies.read_until(b'\n', &mut header).unwrap();
    }
    let rest = body(&mut replies, header.trim_ascii());
    [header, rest].concat()
}

/// Reads what follows a header: the number of bytes that it states, or everything up to its mark.
fn body(replies: &mut impl Read, header: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let is_whole = |bytes: &[u8]| match header.strip_prefix(b"$EOF:") {
        Some(mark) => bytes.ends_with(mark),
        None => std::str::from_utf8(&header[1..]).unwrap().parse() == Ok(bytes.len()),
    };
    while !is_whole(&bytes) {
        let mut byte = [0];
        replies.read_exact(&mut byte).unwrap();
        bytes.push(byte[0]);
    }
    bytes
}

/// Cuts the payload after each byte, while the replica serves other data.
fn cut_everywhere(what: &str, payload: &[u8]) {
    let primary = Scripted::start();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let replica = runtime.block_on(async {
        let port = primary
            .address()
            .rsplit_once(':')
            .unwrap()
            .1
            .parse()
            .unwrap();
        let mut config = config(port);
        config.upstream.timing.retry_refused = Duration::from_millis(1);
        Arc::new(redtail::Replica::start(config).unwrap())
    });
    let (mut connection, _) = primary.accept_psync();
    connection.send(full_resync(1));
    connection.send(with_length(&dump(&[("string", "old")])));
    connection.wait_for_command("REPLCONF ACK 0");
    for cut in 0..payload.len() {
        drop(connection);
        connection = primary.accept_psync().0;
        assert_eq!(
            replica.get("string"),
            Ok(Some(b"old".to_vec())),
            "{what}, cut at {cut}"
        );
        let status = replica.status();
        assert_eq!(
            (status.loads, status.applied_offset),
            (1, 1),
            "{what}, cut at {cut}"
        );
        let is_explained = status
            .last_fault
            .is_some_and(|fault| fault.what.contains("snapshot"));
        assert!(
            is_explained || cut == 0,
            "{what}, cut at {cut}: {:?}",
            status.link.last_error
        );
        connection.send(full_resync(500));
        connection.send(&payload[..cut]);
    }
    drop(connection);
    connection = primary.accept_psync().0;
    connection.send(full_resync(600));
    connection.send(payload);
    wait("the whole snapshot", || {
        replica.get("string") == Ok(Some(b"value".to_vec()))
    });
    assert_eq!(replica.status().loads, 2, "{what}");
}

fn cut_everywhere_in_that_of(name: &str) {
    let Some(server) = Server::start(name, &[]) else {
        return;
    };
    server.client().pipeline(&DATA.map(crate::client::words));
    for (diskless, start) in [("yes", "$EOF:"), ("no", "$")] {
        server.command(&format!("CONFIG SET repl-diskless-sync {diskless}"));
        let payload = recorded(&server, &["REPLCONF", "capa", "eof", "capa", "psync2"]);
        assert!(payload.starts_with(start.as_bytes()), "{name}: {payload:?}");
        cut_everywhere(&format!("{name}, {start}"), &payload);
    }
}

#[test]
fn a_snapshot_of_any_server_broken_off_at_any_byte_changes_nothing() {
    std::thread::scope(|scope| {
        for name in ALL {
            scope.spawn(move || cut_everywhere_in_that_of(name));
        }
    });
}
