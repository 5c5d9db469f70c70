//! The minimal work, each in a process of its own: reading a snapshot without keeping anything, and answering every request with
//! a constant.

use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::TcpStream;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::load::{Reply, Requests, expect};

/// The constant server's reply.
const CONSTANT: &[u8] = b"$32\r\nvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv\r\n";

/// Any requests, sent to the constant server.
pub(crate) struct ToConstant<R>(pub(crate) R);

impl<R: Requests> Requests for ToConstant<R> {
    fn request(&mut self, out: &mut Vec<u8>) -> u32 {
        self.0.request(out)
    }

    fn check(&self, _: u32, bytes: &[u8]) -> Reply {
        expect(CONSTANT, bytes)
    }
}

/// Requests a full sync from the primary at `port`, reads it to the end and acknowledges it.
pub(crate) fn swallow(port: u16) {
    let mut primary = TcpStream::connect(("127.0.0.1", port)).expect("the primary");
    let mut reader = BufReader::with_capacity(256 * 1024, primary.try_clone().expect("a socket"));
    for question in [
        "REPLCONF listening-port 1",
        "REPLCONF capa eof capa psync2",
        "PSYNC ? -1",
    ] {
        primary
            .write_all(format!("{question}\r\n").as_bytes())
            .expect("the primary listens");
        let reply = line(&mut reader);
        assert!(reply.starts_with('+'), "{question}: {reply}");
    }
    let header = line(&mut reader);
    match header.strip_prefix("$EOF:") {
        Some(mark) => read_to_mark(&mut reader, mark.as_bytes()),
        None => read_length(&mut reader, header[1..].parse().expect("a length")),
    }
    primary
        .write_all(b"REPLCONF ACK 0\r\n")
        .expect("the primary listens");
}

/// Returns the next line that is not empty. Empty lines keep the link alive while the primary prepares.
fn line(reader: &mut impl BufRead) -> String {
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("the primary answers");
        assert!(!line.is_empty(), "the primary closed the connection");
        if line != "\n" {
            return line.trim_end().to_owned();
        }
    }
}

/// Reads a snapshot from disk, whose length is known.
fn read_length(reader: &mut impl Read, length: u64) {
    let read = std::io::copy(&mut reader.take(length), &mut std::io::sink());
    assert_eq!(read.expect("the primary sends"), length);
}

/// Reads a snapshot of unknown length, which ends with a mark of forty random characters.
fn read_to_mark(reader: &mut impl BufRead, mark: &[u8]) {
    let mut tail: Vec<u8> = Vec::new();
    while tail != mark {
        let read = reader.fill_buf().expect("the primary sends");
        assert!(!read.is_empty(), "the primary closed the connection");
        let length = read.len();
        tail.extend_from_slice(&read[length.saturating_sub(mark.len())..]);
        tail.drain(..tail.len().saturating_sub(mark.len()));
        reader.consume(length);
    }
}

/// Answers each request to `port` with the constant, on all cores, with the same I/O runtime as redtail's server.
pub(crate) fn answer_constant(port: u16) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port))
            .await
            .expect("a free port");
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            stream.set_nodelay(true).expect("a TCP socket");
            tokio::spawn(answer(stream));
        }
    });
}

/// Answers one connection. Counts requests by their `*`, which keys do not contain.
async fn answer(mut stream: tokio::net::TcpStream) {
    let mut buffer = vec![0; 16 * 1024];
    let replies = CONSTANT.repeat(buffer.len() / 8);
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        let requests = memchr::memchr_iter(b'*', &buffer[..count]).count();
        let replies = &replies[..requests * CONSTANT.len()];
        if stream.write_all(replies).await.is_err() {
            return;
        }
    }
}
