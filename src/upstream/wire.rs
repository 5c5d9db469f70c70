//! Commands and replies on a connection to a server, before it becomes the upstream.
//!
//! Replies are parsed line by line and never as a tree: no nesting in a reply makes the parser recurse, and no length that
//! the peer announces makes it allocate.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::connect::Connection;
use super::error::Error;
use super::refusal;
use super::secret::{Login, Secret};
use crate::limits::{BULK_BYTES_MAX, HANDSHAKE_LINE_BYTES_MAX, REPLY_BYTES_MAX, REPLY_WORDS_MAX};

/// Maximum number of characters of a reply that an error shows. Real replies are shorter.
const SHOWN_CHARS_MAX: usize = 200;

/// A connection on which each command waits for its reply.
pub(super) struct Wire {
    stream: Box<dyn Connection>,
    buffer: BytesMut,
    patience: Duration,
    /// The password, which must never be shown.
    password: Option<Secret>,
}

impl Wire {
    pub(super) fn new(stream: Box<dyn Connection>, patience: Duration) -> Self {
        Self {
            stream,
            buffer: BytesMut::new(),
            patience,
            password: None,
        }
    }

    /// Sets how long each line may take from now on.
    pub(super) const fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Returns the connection, and the bytes that have been read beyond the last reply.
    pub(super) fn into_parts(self) -> (Box<dyn Connection>, Bytes) {
        (self.stream, self.buffer.freeze())
    }

    /// Authenticates, if there is a password.
    ///
    /// # Errors
    /// [`Error`].
    pub(super) async fn auth(&mut self, login: &Login) -> Result<(), Error> {
        match self.log_in(login).await? {
            None => Ok(()),
            Some(reply) if reply.starts_with('+') => Ok(()),
            Some(reply) => Err(self.error_of(&reply, "AUTH")),
        }
    }

    /// Sends AUTH, if there is a password, and returns the reply.
    ///
    /// # Errors
    /// [`Error`].
    pub(super) async fn log_in(&mut self, login: &Login) -> Result<Option<String>, Error> {
        self.password = login.password(self.patience).await?;
        let Some(password) = self.password.clone() else {
            return Ok(None);
        };
        let words: Vec<&str> = ["AUTH"]
            .into_iter()
            .chain(login.user.as_deref())
            .chain([password.expose()])
            .collect();
        Ok(Some(self.ask(&words, "answering AUTH").await?))
    }

    /// Sends a command and reads the line that answers it.
    pub(super) async fn ask(
        &mut self,
        words: &[&str],
        doing: &'static str,
    ) -> Result<String, Error> {
        self.send(words).await?;
        self.line(doing).await
    }

    /// Sends several commands at once. None of them contains a password.
    pub(super) async fn send_all(&mut self, commands: &[&[&str]]) -> Result<(), Error> {
        let bytes: Vec<u8> = commands.iter().flat_map(|words| command(words)).collect();
        self.stream.write_all(&bytes).await?;
        Ok(self.stream.flush().await?)
    }

    pub(super) async fn send(&mut self, words: &[&str]) -> Result<(), Error> {
        // The words may contain the password.
        let bytes = Zeroizing::new(command(words));
        self.stream.write_all(&bytes).await?;
        Ok(self.stream.flush().await?)
    }

    /// Returns the next line that is not empty. Empty lines only show that the server is alive.
    pub(super) async fn line(&mut self, doing: &'static str) -> Result<String, Error> {
        loop {
            while let Some(end) = memchr::memchr(b'\n', &self.buffer) {
                let line = self.buffer.split_to(end + 1);
                let line = line.trim_ascii_end();
                if !line.is_empty() {
                    return Ok(String::from_utf8_lossy(line).into_owned());
                }
            }
            if self.buffer.len() > HANDSHAKE_LINE_BYTES_MAX {
                let endless = String::from_utf8_lossy(&self.buffer);
                return Err(Error::Garbage(asked(doing), self.shown(&endless)));
            }
            self.fill(doing).await?;
        }
    }

    /// Returns the bytes of a bulk reply whose `header` was read; `None` when it is another reply.
    pub(super) async fn bulk(
        &mut self,
        header: &str,
        doing: &'static str,
    ) -> Result<Option<Bytes>, Error> {
        let Some(length) = header.strip_prefix('$') else {
            return Ok(None);
        };
        let length = length.parse().ok().filter(|n| *n <= BULK_BYTES_MAX);
        let length: usize = length.ok_or_else(|| self.error_of(header, doing))?;
        while self.buffer.len() < length + 2 {
            self.fill(doing).await?;
        }
        let bulk = self.buffer.split_to(length).freeze();
        self.buffer.advance(2);
        Ok(Some(bulk))
    }

    /// Returns the strings of the next array; `None` for a null.
    pub(super) async fn words(
        &mut self,
        doing: &'static str,
    ) -> Result<Option<Vec<String>>, Error> {
        let mut left = REPLY_BYTES_MAX;
        self.array(doing, &mut left).await
    }

    /// Returns the strings of the arrays in the next array.
    pub(super) async fn tables(&mut self, doing: &'static str) -> Result<Vec<Vec<String>>, Error> {
        let (mut tables, mut left) = (Vec::new(), REPLY_BYTES_MAX);
        for _ in 0..self.count(doing).await?.unwrap_or(0) {
            tables.extend(self.array(doing, &mut left).await?);
        }
        Ok(tables)
    }

    /// Returns the strings of the next array, whose reply may still have `left` bytes.
    async fn array(
        &mut self,
        doing: &'static str,
        left: &mut usize,
    ) -> Result<Option<Vec<String>>, Error> {
        let Some(count) = self.count(doing).await? else {
            return Ok(None);
        };
        let mut words = Vec::new();
        for _ in 0..count {
            let header = self.line(doing).await?;
            let word = match header.as_str() {
                "$-1" => Bytes::new(),
                _ => {
                    let bulk = self.bulk(&header, doing).await?;
                    bulk.ok_or_else(|| self.error_of(&header, doing))?
                }
            };
            let rest = left.checked_sub(header.len() + word.len());
            *left = rest.ok_or_else(|| Error::Garbage(asked(doing), "too much".to_owned()))?;
            words.push(String::from_utf8_lossy(&word).into_owned());
        }
        Ok(Some(words))
    }

    /// Returns the number of elements in the next array; `None` for a null.
    async fn count(&mut self, doing: &'static str) -> Result<Option<usize>, Error> {
        let header = self.line(doing).await?;
        if matches!(header.as_str(), "*-1" | "$-1" | "_") {
            return Ok(None);
        }
        let count = header.strip_prefix('*').and_then(|text| text.parse().ok());
        match count.filter(|count| *count <= REPLY_WORDS_MAX) {
            Some(count) => Ok(Some(count)),
            None => Err(self.error_of(&header, doing)),
        }
    }

    /// Waits for any bytes and discards them, unless they are an error.
    pub(super) async fn hear(&mut self) -> Result<(), Error> {
        self.buffer.clear();
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            return Err(Error::Closed("sending messages"));
        }
        if self.buffer.first() == Some(&b'-') {
            let reply = String::from_utf8_lossy(&self.buffer);
            return Err(self.error_of(&reply, "SUBSCRIBE"));
        }
        self.buffer.clear();
        Ok(())
    }

    /// Reads the next bytes.
    async fn fill(&mut self, doing: &'static str) -> Result<(), Error> {
        let read = timeout(self.patience, self.stream.read_buf(&mut self.buffer)).await;
        if read.map_err(|_| Error::Silence(self.patience, doing))?? == 0 {
            return Err(Error::Closed(doing));
        }
        Ok(())
    }

    /// Returns what an unexpected `reply` means: the answer to a command, or what the server sent while it was `doing`
    /// something.
    pub(super) fn error_of(&self, reply: &str, doing: &'static str) -> Error {
        let asked = asked(doing);
        match reply.strip_prefix('-') {
            Some(message) => refusal::meaning(&self.shown(message), asked),
            None => Error::Garbage(asked, self.shown(reply)),
        }
    }

    /// Returns a reply as it may be shown: short, on one line, and without the password. A server that does not know AUTH
    /// repeats the arguments that it was sent.
    pub(super) fn shown(&self, reply: &str) -> String {
        let (message, _repeated) = reply
            .split_once(", with args beginning with")
            .unwrap_or((reply, ""));
        let hidden = match self.password.as_ref().map(Secret::expose) {
            Some(password) if !password.is_empty() => message.replace(password, "***"),
            _ => message.to_owned(),
        };
        let printable = |c: char| if c.is_control() { '\u{fffd}' } else { c };
        hidden
            .chars()
            .take(SHOWN_CHARS_MAX)
            .map(printable)
            .collect()
    }
}

/// Returns the command that a server is answering.
fn asked(doing: &'static str) -> &'static str {
    doing.strip_prefix("answering ").unwrap_or(doing)
}

/// Encodes a command, in one allocation: growing would leave a copy of the password behind.
pub(super) fn command(words: &[&str]) -> Vec<u8> {
    let texts: usize = words.iter().map(|word| word.len() + FRAME_BYTES_MAX).sum();
    let mut bytes = Vec::with_capacity(FRAME_BYTES_MAX + texts);
    bytes.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// The most bytes around a word: `$`, a length of up to twenty digits, and two line ends.
const FRAME_BYTES_MAX: usize = 25;

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    /// Returns a wire on which exactly `bytes` arrive, one by one.
    fn wire(bytes: &[u8]) -> Wire {
        let (ours, mut theirs) = tokio::io::duplex(1);
        let bytes = bytes.to_vec();
        tokio::spawn(async move { theirs.write_all(&bytes).await });
        Wire::new(Box::new(ours), Duration::from_secs(10))
    }

    #[tokio::test]
    async fn reads_arrays_of_arrays_of_strings() {
        let mut wire = wire(b"*2\r\n*2\r\n$1\r\na\r\n$4\r\n*1\r\n\r\n*1\r\n$-1\r\n*-1\r\n*0\r\n");
        let tables = wire.tables("x").await.unwrap();
        assert_eq!(tables, [vec!["a", "*1\r\n"], vec![""]]);
        assert_eq!(wire.words("x").await.unwrap(), None);
        assert_eq!(wire.tables("x").await.unwrap(), [[""; 0]; 0]);
    }

    #[tokio::test]
    async fn a_reply_that_is_cut_anywhere_is_an_error() {
        let whole = b"*2\r\n*2\r\n$2\r\nip\r\n$1\r\nh\r\n*1\r\n$0\r\n\r\n";
        assert!(wire(whole).tables("x").await.is_ok());
        for length in 0..whole.len() {
            let cut = whole.get(..length).unwrap_or_default();
            let error = wire(cut).tables("x").await.unwrap_err();
            assert!(matches!(error, Error::Closed(_)), "{length}: {error}");
        }
    }

    #[tokio::test]
    async fn takes_no_more_of_a_hostile_reply_than_its_bounds() {
        for hostile in [
            b"*1025\r\n".to_vec(),
            b"*-5\r\n".to_vec(),
            b"*99999999999999999999\r\n".to_vec(),
            b"*1\r\n*1\r\n*1\r\n".to_vec(),
            b"*1\r\n*1\r\n$1048577\r\n".to_vec(),
            b"*1\r\n*1\r\n:5\r\n".to_vec(),
            b"*1\r\n$1\r\na\r\n".to_vec(),
            b"+OK\r\n".to_vec(),
            b"-ERR no\r\n".to_vec(),
            b"*1\r\n*2\r\n$1\r\na\r\n".to_vec(),
            vec![b'*'; HANDSHAKE_LINE_BYTES_MAX + 2],
        ] {
            assert!(wire(&hostile).tables("x").await.is_err());
        }
    }

    #[tokio::test]
    async fn takes_no_more_of_a_long_reply_than_its_bound() {
        let word = [b"$65536\r\n".to_vec(), vec![b'x'; 65_536], b"\r\n".to_vec()].concat();
        let (ours, mut theirs) = tokio::io::duplex(1 << 20);
        tokio::spawn(async move {
            theirs.write_all(b"*1\r\n*1024\r\n").await?;
            for _ in 0..1024 {
                theirs.write_all(&word).await?;
            }
            Ok::<_, std::io::Error>(())
        });
        let mut wire = Wire::new(Box::new(ours), Duration::from_secs(10));
        let error = wire.tables("x").await.unwrap_err();
        assert!(error.to_string().contains("too much"), "{error}");
    }
}
