//! From a fresh connection to the primary's answer to PSYNC.
//!
//! ```text
//! PING → [AUTH] → [INFO replication] → [REPLCONF listening-port] → REPLCONF capa → REPLCONF version → PSYNC
//! ```
//! Each command waits for its reply: PSYNC in particular is refused behind unread replies.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::config::{AckPolicy, Config, Secret};
use super::error::Error;
use super::link::{ReplId, Resume, Start};
use crate::limits::HANDSHAKE_LINE_BYTES_MAX;

/// The version that we claim: the newest whose snapshots we decode. A Valkey 9 sends older followers the RDB of Redis 7.2,
/// and no snapshot at all of a hash whose fields expire. Source: valkey 9.1 rdb.c, `rdbSaveKeyValuePair`.
const ANNOUNCED_VERSION: &str = "9.1.0";

/// How much of a reply goes into an error. Real ones are shorter.
const SHOWN_CHARS_MAX: usize = 200;

/// What an acknowledgement says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Acks {
    /// The applied offset.
    Honest,
    /// Nothing: 0.
    Observer,
}

/// What the primary has accepted.
pub(super) struct Accepted {
    pub(super) start: Start,
    /// The bytes that came right behind its answer.
    pub(super) first: Bytes,
    pub(super) acks: Acks,
}

/// The longest INFO reply that is read. Real ones are below 10 KB, but for primaries of thousands of replicas.
const INFO_BYTES_MAX: usize = 1 << 20;

/// A connection in its handshake: reply lines in, commands out.
pub(super) struct Handshake<'s, S> {
    stream: &'s mut S,
    buffer: BytesMut,
    patience: Duration,
    config: &'s Config,
}

impl<'s, S: AsyncRead + AsyncWrite + Unpin> Handshake<'s, S> {
    pub(super) fn new(stream: &'s mut S, config: &'s Config) -> Self {
        Self {
            stream,
            buffer: BytesMut::new(),
            patience: config.timing.handshake,
            config,
        }
    }

    /// Shakes hands and asks to resume, or for everything.
    ///
    /// # Errors
    /// [`Error`].
    pub(super) async fn run(mut self, resume: Option<Resume>) -> Result<Accepted, Error> {
        self.ping().await?;
        self.auth().await?;
        let acks = self.acks().await?;
        if let Some(port) = self.config.listening_port {
            self.replconf(&["listening-port", &port.to_string()])
                .await?;
        }
        self.replconf(&["capa", "eof", "capa", "psync2"]).await?;
        // By itself: servers that do not know it refuse the whole command.
        self.replconf(&["version", ANNOUNCED_VERSION]).await?;
        let start = self.psync(resume).await?;
        let first = self.buffer.freeze();
        Ok(Accepted { start, first, acks })
    }

    async fn ping(&mut self) -> Result<(), Error> {
        let reply = self.ask(&["PING"], "answering PING").await?;
        let proceeds = ["-NOAUTH", "-NOPERM", "-ERR operation not permitted"];
        if reply.starts_with('+') || proceeds.iter().any(|start| reply.starts_with(start)) {
            return Ok(());
        }
        Err(self.error_of(&reply, "PING"))
    }

    async fn auth(&mut self) -> Result<(), Error> {
        let primary = &self.config.primary;
        let Some(password) = &primary.password else {
            return Ok(());
        };
        let user = primary.user.as_deref();
        let words: Vec<&str> = ["AUTH"]
            .into_iter()
            .chain(user)
            .chain([password.expose()])
            .collect();
        let reply = self.ask(&words, "answering AUTH").await?;
        if reply.starts_with('+') {
            Ok(())
        } else {
            Err(self.error_of(&reply, "AUTH"))
        }
    }

    /// What acknowledgements will say: without a choice, that depends on whom they go to.
    async fn acks(&mut self) -> Result<Acks, Error> {
        match self.config.acks {
            AckPolicy::Honest => return Ok(Acks::Honest),
            AckPolicy::Observer => return Ok(Acks::Observer),
            AckPolicy::Auto => {}
        }
        self.send(&["INFO", "replication"]).await?;
        let header = self.line("answering INFO").await?;
        let Some(length) = header.strip_prefix('$') else {
            // Most likely a user who may not run it. Below a primary nothing is lost by being an observer.
            tracing::info!(reply = %self.shown(&header), "the upstream does not tell its role: it is taken for a primary (see --ack)");
            return Ok(Acks::Observer);
        };
        let length = length
            .parse()
            .ok()
            .filter(|length| *length <= INFO_BYTES_MAX);
        let length = length.ok_or_else(|| self.error_of(&header, "INFO"))?;
        let info = self.bulk(length).await?;
        let is_replica = memchr::memmem::find(&info, b"role:slave").is_some();
        Ok(if is_replica {
            Acks::Honest
        } else {
            Acks::Observer
        })
    }

    /// The `length` bytes of a bulk reply whose header was read, and the line end behind them.
    async fn bulk(&mut self, length: usize) -> Result<Bytes, Error> {
        while self.buffer.len() < length + 2 {
            self.fill("answering INFO").await?;
        }
        let bulk = self.buffer.split_to(length).freeze();
        self.buffer.advance(2);
        Ok(bulk)
    }

    /// Errors to these do not matter: the server does without.
    async fn replconf(&mut self, options: &[&str]) -> Result<(), Error> {
        let words: Vec<&str> = ["REPLCONF"]
            .into_iter()
            .chain(options.iter().copied())
            .collect();
        let reply = self.ask(&words, "answering REPLCONF").await?;
        if reply.starts_with(['+', '-']) {
            Ok(())
        } else {
            Err(self.error_of(&reply, "REPLCONF"))
        }
    }

    async fn psync(&mut self, resume: Option<Resume>) -> Result<Start, Error> {
        let (replid, next) = match resume {
            Some(resume) => (
                resume.replid.to_string(),
                resume.offset.saturating_add(1).to_string(),
            ),
            None => ("?".to_owned(), "-1".to_owned()),
        };
        self.send(&["PSYNC", &replid, &next]).await?;
        // A diskless primary may wait for more replicas before it answers, and sends newlines meanwhile.
        self.patience = self.config.timing.silence;
        let reply = self.line("answering PSYNC").await?;
        start_of(&reply).ok_or_else(|| self.error_of(&reply, "PSYNC"))
    }

    async fn ask(&mut self, words: &[&str], doing: &'static str) -> Result<String, Error> {
        self.send(words).await?;
        self.line(doing).await
    }

    async fn send(&mut self, words: &[&str]) -> Result<(), Error> {
        self.stream.write_all(&command(words)).await?;
        Ok(self.stream.flush().await?)
    }

    /// The next line that is not empty: empty ones only say that the primary is alive.
    async fn line(&mut self, doing: &'static str) -> Result<String, Error> {
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
                return Err(Error::Garbage("a line without end", self.shown(&endless)));
            }
            self.fill(doing).await?;
        }
    }

    /// Reads what comes next.
    async fn fill(&mut self, doing: &'static str) -> Result<(), Error> {
        let read = timeout(self.patience, self.stream.read_buf(&mut self.buffer)).await;
        if read.map_err(|_| Error::Silence(self.patience, doing))?? == 0 {
            return Err(Error::Closed(doing));
        }
        Ok(())
    }

    fn error_of(&self, reply: &str, asked: &'static str) -> Error {
        match reply.strip_prefix('-') {
            Some(message) => Error::of_reply(&self.shown(message)),
            None => Error::Garbage(asked, self.shown(reply)),
        }
    }

    /// A reply as it may be shown: short, on one line, and without the password. A server without AUTH repeats the words
    /// that it was sent.
    fn shown(&self, reply: &str) -> String {
        let (message, _repeated) = reply
            .split_once(", with args beginning with")
            .unwrap_or((reply, ""));
        let password = self.config.primary.password.as_ref();
        let hidden = match password.map(Secret::expose) {
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

/// A command as the primary reads it.
pub(super) fn command(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    bytes
}

fn start_of(reply: &str) -> Option<Start> {
    let mut words = reply.split_ascii_whitespace();
    match words.next()? {
        "+FULLRESYNC" => Some(Start::Full {
            replid: words.next()?.parse().ok()?,
            // An offset is signed on the primary's side: a larger one could never be asked for again.
            offset: words.next()?.parse::<i64>().ok()?.try_into().ok()?,
        }),
        "+CONTINUE" => match words.next() {
            None => Some(Start::Continue { replid: None }),
            Some(replid) => Some(Start::Continue {
                replid: Some(replid.parse::<ReplId>().ok()?),
            }),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_answers_to_psync_apart() {
        let id = "0123456789abcdef0123456789abcdef01234567";
        let replid: ReplId = id.parse().unwrap_or_else(|_| unreachable!("40 hex digits"));
        assert_eq!(
            start_of(&format!("+FULLRESYNC {id} 17")),
            Some(Start::Full { replid, offset: 17 })
        );
        assert_eq!(
            start_of("+CONTINUE"),
            Some(Start::Continue { replid: None })
        );
        assert_eq!(
            start_of(&format!("+CONTINUE {id}")),
            Some(Start::Continue {
                replid: Some(replid)
            })
        );
        for wrong in [
            "+OK",
            "+FULLRESYNC",
            "+FULLRESYNC x 1",
            "+FULLRESYNC 0123456789abcdef0123456789abcdef01234567 -1",
            "+FULLRESYNC 0123456789abcdef0123456789abcdef01234567 9223372036854775808",
            "+CONTINUE short",
            "-ERR",
            "",
        ] {
            assert_eq!(start_of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn knows_which_refusals_need_a_person() {
        for reply in [
            "NOAUTH Authentication required.",
            "NOPERM this user",
            "ERR unknown command `PSYNC`",
            "WRONGPASS x",
            "DENIED Redis",
        ] {
            assert!(Error::of_reply(reply).needs_a_person(), "{reply}");
        }
        for reply in [
            "LOADING Redis is loading",
            "NOMASTERLINK Can't SYNC",
            "BUSY script",
            "MASTERDOWN Link",
            "ERR max number of clients reached",
        ] {
            assert!(!Error::of_reply(reply).needs_a_person(), "{reply}");
        }
    }
}
