//! Subscribes at one node, and passes on what comes.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::limits::PUSH_BYTES_MAX;
use crate::upstream::address::Node;
use crate::upstream::config::Config;
use crate::upstream::connect::{Connection, connect};
use crate::upstream::error::Error;
use crate::upstream::wire::Wire;

/// Channels, patterns and shard channels: in this order in all arrays of three here.
pub type Names = [HashSet<Arc<[u8]>>; 3];

/// The commands that begin and end subscriptions, and the words with which servers confirm them and send messages.
const WORDS: [[&str; 3]; 3] = [
    ["subscribe", "unsubscribe", "message"],
    ["psubscribe", "punsubscribe", "pmessage"],
    ["ssubscribe", "sunsubscribe", "smessage"],
];

/// Maximum names in one command.
const NAMES_AT_ONCE: usize = 1000;

/// What a node sends.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// The subscription has begun.
    Begun(usize, Bytes),
    /// The subscription has ended, whoever ended it.
    Ended(usize, Bytes),
    /// The server refuses some subscription, for this reason.
    Refused(String),
    /// A message.
    Message {
        /// The kind of the subscription.
        kind: usize,
        /// The channel or pattern that was subscribed to.
        name: Bytes,
        /// The channel.
        channel: Bytes,
        /// What is said.
        payload: Bytes,
    },
    /// The connection is gone, and with it all subscriptions, for this reason.
    Gone(String),
}

/// Subscribes at `node` to what is `wanted`, and sends what comes to `listener`, until `stop` is cancelled or the connection ends.
pub async fn subscribe(
    node: Node,
    config: Config,
    wanted: watch::Receiver<Arc<Names>>,
    listener: mpsc::Sender<Heard>,
    stop: CancellationToken,
) {
    let listen = async {
        let patience = config.timing.handshake;
        let stream = connect(&node.address, node.tls, &config).await?;
        let mut wire = Wire::new(stream, patience);
        wire.auth(&node.login).await?;
        let (stream, rest) = wire.into_parts();
        let subscriber = Subscriber {
            stream,
            buffer: BytesMut::from(&*rest),
            patience,
            asked_for: Names::default(),
        };
        subscriber.run(wanted, &listener).await
    };
    let error: Error = tokio::select! {
        ended = listen => match ended {
            Ok(never) => match never {},
            Err(error) => error,
        },
        () = stop.cancelled() => return,
    };
    let reason = format!("{}: {error}", node.address);
    // If nobody listens any more, nobody wants to know.
    let _ = listener.send(Heard::Gone(reason)).await;
}

struct Subscriber {
    stream: Box<dyn Connection>,
    buffer: BytesMut,
    patience: Duration,
    asked_for: Names,
}

impl Subscriber {
    async fn run(
        mut self,
        mut wanted: watch::Receiver<Arc<Names>>,
        listener: &mpsc::Sender<Heard>,
    ) -> Result<std::convert::Infallible, Error> {
        let mut heard_at = Instant::now();
        let mut is_asked = false;
        wanted.mark_changed();
        loop {
            while let Some(push) = take(&mut self.buffer)? {
                if let Some(heard) = push.meaning()
                    && listener.send(heard).await.is_err()
                {
                    return std::future::pending().await;
                }
            }
            let quiet = heard_at
                + if is_asked {
                    self.patience
                } else {
                    self.patience / 2
                };
            tokio::select! {
                read = self.stream.read_buf(&mut self.buffer) => {
                    if read? == 0 {
                        return Err(Error::Closed("sending messages"));
                    }
                    (heard_at, is_asked) = (Instant::now(), false);
                }
                changed = wanted.changed() => match changed {
                    Ok(()) => {
                        let wanted = Arc::clone(&wanted.borrow_and_update());
                        self.ask_for(&wanted).await?;
                    }
                    Err(_) => return std::future::pending().await,
                },
                () = sleep_until(quiet) => {
                    if is_asked {
                        return Err(Error::Silence(self.patience, "sending messages"));
                    }
                    is_asked = true;
                    self.write(b"*1\r\n$4\r\nPING\r\n").await?;
                }
            }
        }
    }

    /// Subscribes to what is new, and ends what is wanted no longer.
    async fn ask_for(&mut self, wanted: &Names) -> Result<(), Error> {
        let mut bytes = Vec::new();
        let kinds = self.asked_for.iter().zip(wanted).zip(WORDS);
        for ((before, now), [begin, end, _]) in kinds {
            for (word, names) in [
                (begin, now.difference(before)),
                (end, before.difference(now)),
            ] {
                let names: Vec<&Arc<[u8]>> = names.collect();
                // Shard channels in one command must have the same slot.
                let at_once = if word.starts_with('s') && !word.starts_with("sub") {
                    1
                } else {
                    NAMES_AT_ONCE
                };
                let some = names.chunks(at_once);
                some.for_each(|some| encode(&mut bytes, word, some));
            }
        }
        self.asked_for = wanted.clone();
        self.write(&bytes).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let writing = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        let written = timeout(self.patience, writing).await;
        let silence = |_| Error::Silence(self.patience, "taking subscriptions");
        Ok(written.map_err(silence)??)
    }
}

fn encode(bytes: &mut Vec<u8>, word: &str, names: &[&Arc<[u8]>]) {
    bytes.extend_from_slice(format!("*{}\r\n", 1 + names.len()).as_bytes());
    let names = names.iter().map(|name| &***name);
    for word in std::iter::once(word.as_bytes()).chain(names) {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
}

/// What a server sends at once.
enum Sent {
    Words(Vec<Bytes>),
    Error(String),
}

impl Sent {
    /// What it says; `None` for answers to PING.
    fn meaning(self) -> Option<Heard> {
        let mut words = match self {
            Self::Error(text) => return Some(Heard::Refused(text)),
            Self::Words(words) => words.into_iter(),
        };
        let (word, name) = (words.next()?, words.next()?);
        let kind_of = |[begin, end, message]: &[&str; 3]| {
            [begin, end, message]
                .iter()
                .position(|known| known.as_bytes() == word)
        };
        let (kind, what) = WORDS
            .iter()
            .enumerate()
            .find_map(|(kind, known)| Some((kind, kind_of(known)?)))?;
        match what {
            0 => return Some(Heard::Begun(kind, name)),
            1 => return Some(Heard::Ended(kind, name)),
            _ => {}
        }
        let second = words.next()?;
        let (channel, payload) = match words.next() {
            Some(payload) => (second, payload),
            None => (name.clone(), second),
        };
        Some(Heard::Message {
            kind,
            name,
            channel,
            payload,
        })
    }
}

/// Takes what is next off the buffer, once it is whole: an array of texts and numbers, or an error.
fn take(buffer: &mut BytesMut) -> Result<Option<Sent>, Error> {
    let mut at = 0;
    let Some(header) = line(buffer, &mut at)? else {
        return Ok(None);
    };
    if header.first() == Some(&b'-') {
        let text = shown(header);
        buffer.advance(at);
        return Ok(Some(Sent::Error(text)));
    }
    let count = match header.split_first() {
        Some((b'*', count)) => number(count).filter(|count| *count <= WORDS_MAX),
        // What answers PING while there is no subscription.
        Some((b'+', _)) => Some(0),
        _ => None,
    };
    let count = count.ok_or_else(|| garbage(header))?;
    let mut spans = Vec::new();
    for _ in 0..count {
        let Some(header) = line(buffer, &mut at)? else {
            return Ok(None);
        };
        match header.split_first() {
            Some((b'$', b"-1") | (b':', _)) => spans.push(at..at),
            Some((b'$', length)) => {
                let length = number(length).filter(|length| *length <= PUSH_BYTES_MAX);
                let length = length.ok_or_else(|| garbage(header))?;
                spans.push(at..at + length);
                at += length + 2;
            }
            _ => return Err(garbage(header)),
        }
    }
    if buffer.len() < at {
        return Ok(None);
    }
    let push = buffer.split_to(at).freeze();
    let words = spans.into_iter().map(|span| push.slice(span)).collect();
    Ok(Some(Sent::Words(words)))
}

/// The most words in a push: those of a message for a pattern.
const WORDS_MAX: usize = 4;

/// The longest line before or between texts.
const LINE_BYTES_MAX: usize = 512;

/// The line at `at`, without its end, which `at` is moved past.
fn line<'b>(buffer: &'b BytesMut, at: &mut usize) -> Result<Option<&'b [u8]>, Error> {
    let rest = buffer.get(*at..).unwrap_or_default();
    match memchr::memchr(b'\n', rest.get(..LINE_BYTES_MAX).unwrap_or(rest)) {
        Some(end) => {
            *at += end + 1;
            Ok(rest.get(..end).map(<[u8]>::trim_ascii_end))
        }
        None if rest.len() >= LINE_BYTES_MAX => Err(garbage(rest)),
        None => Ok(None),
    }
}

fn number(text: &[u8]) -> Option<usize> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn garbage(line: &[u8]) -> Error {
    Error::Garbage("SUBSCRIBE", shown(line))
}

/// A line as it may be shown: short, and without control characters.
fn shown(line: &[u8]) -> String {
    let printable = |sign: char| if sign.is_control() { '\u{fffd}' } else { sign };
    let line = String::from_utf8_lossy(line.get(..200).unwrap_or(line));
    line.trim_start_matches('-')
        .chars()
        .map(printable)
        .collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn all(bytes: &[u8]) -> Result<Vec<Heard>, Error> {
        let mut heard = Vec::new();
        // One byte at a time: no cut may matter.
        let mut buffer = BytesMut::new();
        for byte in bytes {
            buffer.extend_from_slice(&[*byte]);
            while let Some(push) = take(&mut buffer)? {
                heard.extend(push.meaning());
            }
        }
        Ok(heard)
    }

    fn bulks(words: &[&str]) -> Vec<u8> {
        let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
        }
        bytes
    }

    #[test]
    fn understands_what_servers_send() {
        let bytes = [
            b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n".to_vec(),
            b"*3\r\n$12\r\nsunsubscribe\r\n$1\r\ns\r\n:0\r\n".to_vec(),
            bulks(&["pong", ""]),
            b"+PONG\r\n".to_vec(),
            b"-MOVED 5 h:1\r\n".to_vec(),
            bulks(&["message", "a", "x\r\ny"]),
            bulks(&["pmessage", "a*", "ab", ""]),
        ];
        let message = |kind, name: &str, channel: &str, payload: &str| Heard::Message {
            kind,
            name: Bytes::copy_from_slice(name.as_bytes()),
            channel: Bytes::copy_from_slice(channel.as_bytes()),
            payload: Bytes::copy_from_slice(payload.as_bytes()),
        };
        assert_eq!(
            all(&bytes.concat()).unwrap(),
            [
                Heard::Begun(0, Bytes::from_static(b"a")),
                Heard::Ended(2, Bytes::from_static(b"s")),
                Heard::Refused("MOVED 5 h:1".to_owned()),
                message(0, "a", "a", "x\r\ny"),
                message(1, "a*", "ab", ""),
            ]
        );
    }

    #[test]
    fn refuses_what_no_server_sends() {
        for bytes in [
            b"*5\r\n".to_vec(),
            b"*-1\r\n".to_vec(),
            b"*1\r\n*1\r\n".to_vec(),
            b"*1\r\n$99999999999\r\n".to_vec(),
            b"$1\r\na\r\n".to_vec(),
            vec![b'*'; LINE_BYTES_MAX],
        ] {
            assert!(all(&bytes).is_err(), "{}", bytes.escape_ascii());
        }
    }
}
