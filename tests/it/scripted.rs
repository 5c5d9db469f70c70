//! A primary that follows the test's instructions, byte by byte, for what a real primary cannot be made to do.
//!
//! The test itself is the script: it accepts a connection, reads the commands that it expects, and writes what it likes, while
//! the follower under test runs elsewhere.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::servers::{PATIENCE, leave_primaries_unwatched};

/// A replication id.
pub const ID: &str = "0123456789abcdef0123456789abcdef01234567";

/// Another replication id.
pub const OTHER_ID: &str = "ffffffffffffffffffffffffffffffffffffffff";

/// The end mark of diskless payloads.
pub const MARK: &str = "markmarkmarkmarkmarkmarkmarkmarkmarkmark";

/// The commands of a follower without a password before PSYNC.
pub const PREAMBLE: [&str; 5] = [
    "PING",
    "INFO server",
    "REPLCONF rdb-no-compress 1",
    "REPLCONF capa eof capa psync2",
    "REPLCONF version 9.1.0",
];

/// A listening primary.
pub struct Scripted {
    listener: TcpListener,
}

impl Scripted {
    pub fn start() -> Self {
        leave_primaries_unwatched();
        Self {
            listener: TcpListener::bind("127.0.0.1:0").expect("a free port"),
        }
    }

    /// The address, as `127.0.0.1:port`.
    pub fn address(&self) -> String {
        self.listener.local_addr().expect("bound").to_string()
    }

    /// The follower's next connection.
    pub fn accept(&self) -> Connection {
        self.accept_within(PATIENCE).expect("it connects")
    }

    /// The follower's next connection, if it arrives in time.
    pub fn accept_within(&self, patience: Duration) -> Option<Connection> {
        self.listener.set_nonblocking(true).expect("a socket");
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            match self.listener.accept() {
                Ok((stream, _)) => return Some(Connection::new(stream)),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        None
    }

    /// The next connection, after its PSYNC, and that command.
    pub fn accept_psync(&self) -> (Connection, String) {
        let mut connection = self.accept();
        let psync = connection.greet();
        (connection, psync)
    }
}

/// One connection of the follower. Dropping it closes it.
pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    fn new(stream: TcpStream) -> Self {
        stream.set_nonblocking(false).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        Self {
            stream,
            received: Vec::new(),
        }
    }

    /// Answers everything before PSYNC with `+OK`. Returns the PSYNC.
    pub fn greet(&mut self) -> String {
        loop {
            let command = self.command();
            if command.starts_with("PSYNC") {
                return command;
            }
            self.send("+OK\r\n");
        }
    }

    /// Writes once. The follower may have closed the connection, which other checks notice.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        _ = self.stream.write_all(bytes.as_ref());
    }

    /// Writes each byte separately.
    pub fn send_bytewise(&mut self, bytes: impl AsRef<[u8]>) {
        for byte in bytes.as_ref() {
            self.send([*byte]);
        }
    }

    /// Reads the next command, skipping bare newlines. Returns its words with spaces between them.
    pub fn command(&mut self) -> String {
        loop {
            let line = self.line();
            if line.is_empty() {
                continue;
            }
            let words = line.strip_prefix('*').expect("an array").parse::<usize>();
            let word = |_| {
                let length = self.line();
                let word = self.line();
                assert_eq!(length, format!("${}", word.len()), "a bulk string");
                word
            };
            return (0..words.expect("a count"))
                .map(word)
                .collect::<Vec<_>>()
                .join(" ");
        }
    }

    /// Reads commands and newlines until the `wanted` command.
    pub fn wait_for_command(&mut self, wanted: &str) {
        while self.command() != wanted {}
    }

    /// Reads the next line. Returns it without the line end.
    pub fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.received.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.received.drain(..=end).collect();
                return String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
            }
            assert_ne!(self.read(), 0, "the follower closed the connection");
        }
    }

    /// Whether the follower sends nothing for that long.
    pub fn is_silent_for(&mut self, period: Duration) -> bool {
        assert!(self.received.is_empty(), "unread: {:?}", self.received);
        self.stream
            .set_read_timeout(Some(period))
            .expect("a socket");
        let mut byte = [0];
        let silent = self.stream.peek(&mut byte).is_err();
        self.stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a socket");
        silent
    }

    /// Waits until the follower has closed the connection. Discards what it still sends.
    pub fn wait_for_close(&mut self) {
        while self.read() > 0 {}
    }

    fn read(&mut self) -> usize {
        let mut chunk = [0; 4096];
        let read = match self.stream.read(&mut chunk) {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            Err(error) => panic!("the follower sent nothing: {error}"),
        };
        self.received.extend_from_slice(&chunk[..read]);
        read
    }
}

/// `+FULLRESYNC` at `offset`.
pub fn full_resync(offset: u64) -> String {
    format!("+FULLRESYNC {ID} {offset}\r\n")
}

/// `rdb` as a disk-based primary sends it.
pub fn with_length(rdb: &[u8]) -> Vec<u8> {
    [format!("${}\r\n", rdb.len()).as_bytes(), rdb].concat()
}

/// `rdb` as a diskless primary sends it.
pub fn with_mark(rdb: &[u8]) -> Vec<u8> {
    [format!("$EOF:{MARK}\r\n").as_bytes(), rdb, MARK.as_bytes()].concat()
}

/// A dump of Redis 7.0 with these strings in database 0, all shorter than 64 bytes. It has no checksum.
pub fn dump(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut rdb = b"REDIS0010\xfe\x00".to_vec();
    for (key, value) in pairs {
        rdb.push(0);
        for text in [key, value] {
            rdb.push(u8::try_from(text.len()).expect("a short text"));
            rdb.extend_from_slice(text.as_bytes());
        }
    }
    rdb.push(0xff);
    rdb.extend_from_slice(&[0; 8]);
    rdb
}

/// Commands, one per line, encoded as in the stream.
pub fn stream(lines: &[&str]) -> Vec<u8> {
    let encoded = lines
        .iter()
        .map(|line| crate::client::encode(&crate::client::words(line)));
    encoded.collect::<Vec<_>>().concat()
}
