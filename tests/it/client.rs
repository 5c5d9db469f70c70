//! A client that exposes the bytes of each reply. It does not use the crate's own codec, and the independent `redis-protocol`
//! crate checks every reply that it reads.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;
use redis_protocol::{resp2, resp3};

/// A connection that speaks RESP2 until [`Client::resp3`].
pub struct Client {
    stream: BufReader<TcpStream>,
    resp3: bool,
    /// Whether it sends nothing after a command that may block until that is answered.
    pauses: bool,
}

/// The number of commands whose requests fit into the socket buffers, so that neither side waits for the other to read.
pub const BATCH: usize = 100;

/// The depth of nested replies up to which `redis-protocol` checks them: it recurses at each level.
const CHECKED_DEPTH: usize = 100;

/// The bytes of one reply.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reply(pub Vec<u8>);

impl Client {
    /// Connects to a port of this machine.
    ///
    /// # Errors
    /// If nothing listens there.
    pub fn try_connect(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(stream),
            resp3: false,
            pauses: false,
        })
    }

    /// Waits for each reply no longer than this.
    #[must_use]
    pub fn patient(self, patience: Duration) -> Self {
        let set = self.stream.get_ref().set_read_timeout(Some(patience));
        set.expect("a timeout above zero");
        self
    }

    /// Sends nothing after a command that may block until that is answered.
    #[must_use]
    pub const fn pausing(mut self) -> Self {
        self.pauses = true;
        self
    }

    /// Switches to RESP3.
    #[must_use]
    pub fn resp3(mut self) -> Self {
        self.resp3 = true;
        let hello = self.command("HELLO 3");
        assert_eq!(hello.0.first(), Some(&b'%'), "{hello:?}");
        self
    }

    /// Sends a command given as words split at spaces, and reads the reply.
    pub fn command(&mut self, line: &str) -> Reply {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        self.words(&words)
    }

    /// Sends a command and reads the reply.
    pub fn words(&mut self, words: &[&[u8]]) -> Reply {
        self.try_command(words).expect("the server answers")
    }

    /// Sends a command and reads the reply.
    ///
    /// # Errors
    /// If the connection ends.
    pub fn try_command(&mut self, words: &[&[u8]]) -> io::Result<Reply> {
        self.send(&encode(words))?;
        self.read()
    }

    /// Sends all commands at once and reads a reply to each.
    pub fn pipeline(&mut self, commands: &[Vec<Vec<u8>>]) -> Vec<Reply> {
        let mut replies = Vec::with_capacity(commands.len());
        for batch in self.batches(commands) {
            self.send_all(batch);
            replies.extend(self.replies_to(batch));
        }
        replies
    }

    /// The parts in which commands are sent: at most [`BATCH`] each, and none after one that may block if this client
    /// [pauses](Self::pausing).
    pub fn batches<'a>(&self, commands: &'a [Vec<Vec<u8>>]) -> Vec<&'a [Vec<Vec<u8>>]> {
        let together = |before: &Vec<Vec<u8>>, _: &_| !self.pauses || !may_block(before);
        let parts = commands.chunk_by(together);
        parts.flat_map(|part| part.chunks(BATCH)).collect()
    }

    /// Sends at most [`BATCH`] commands, whose replies are read later.
    pub fn send_all(&mut self, commands: &[Vec<Vec<u8>>]) {
        let request: Vec<u8> = commands.iter().flat_map(|words| encode(words)).collect();
        self.send(&request).expect("the server reads");
    }

    /// Reads the replies to commands that were sent.
    pub fn replies_to(&mut self, commands: &[Vec<Vec<u8>>]) -> Vec<Reply> {
        let reply = |words: &Vec<Vec<u8>>| {
            self.read()
                .unwrap_or_else(|error| panic!("{error} instead of a reply to {}", show(words)))
        };
        commands.iter().map(reply).collect()
    }

    /// Sends raw bytes.
    ///
    /// # Errors
    /// If the connection has ended.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Reads one reply.
    ///
    /// # Errors
    /// If the connection ends or sends something other than RESP.
    pub fn read(&mut self) -> io::Result<Reply> {
        let mut raw = Vec::new();
        // The number of missing elements of each open reply, and the maximum depth.
        let mut missing = vec![1_usize];
        let mut depth = 0;
        while let Some(left) = missing.pop() {
            if left > 0 {
                missing.push(left - 1);
                missing.push(self.read_element(&mut raw)?);
                depth = depth.max(missing.len());
            }
        }
        if depth < CHECKED_DEPTH {
            self.check(&raw);
        }
        Ok(Reply(raw))
    }

    /// Reads one reply and the bytes `end` that follow it. If the reply is an error, it may contain line ends.
    ///
    /// # Errors
    /// If the connection ends, if it sends something other than RESP, or if something else follows a reply that is no error.
    pub fn read_before(&mut self, end: &[u8]) -> io::Result<Reply> {
        if self.stream.fill_buf()?.first() == Some(&b'-') {
            let mut raw = Vec::new();
            while !raw.ends_with(end) {
                if self.stream.read_until(b'\n', &mut raw)? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            raw.truncate(raw.len() - end.len());
            return Ok(Reply(raw));
        }
        let reply = self.read()?;
        let mut following = vec![0; end.len()];
        self.stream.read_exact(&mut following)?;
        if following == end {
            return Ok(reply);
        }
        Err(io::Error::other(format!("{reply:?} is not alone")))
    }

    /// Reads available bytes, at most `buffer.len()`.
    ///
    /// # Errors
    /// If the connection breaks.
    pub fn read_some(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }

    /// Reads one element onto `raw`. Returns the number of elements that it contains.
    fn read_element(&mut self, raw: &mut Vec<u8>) -> io::Result<usize> {
        let start = raw.len();
        // An error that quotes a script may contain a line feed alone.
        while !raw[start..].ends_with(b"\r\n") {
            if self.stream.read_until(b'\n', raw)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let line = String::from_utf8_lossy(&raw[start..]).into_owned();
        let (kind, rest) = line.split_at(1);
        let count = || {
            rest.trim_end()
                .parse::<i64>()
                .map_err(|_| io::Error::other(format!("not RESP: {line:?}")))
        };
        match kind {
            "$" | "=" | "!" => self.read_bulk(raw, count()?).map(|()| 0),
            "*" | "~" | ">" => Ok(usize::try_from(count()?).unwrap_or(0)),
            "%" => Ok(usize::try_from(count()?).unwrap_or(0) * 2),
            "|" => Ok(usize::try_from(count()?).unwrap_or(0) * 2 + 1),
            "+" | "-" | ":" | "," | "#" | "(" | "_" => Ok(0),
            _ => Err(io::Error::other(format!("not RESP: {line:?}"))),
        }
    }

    fn read_bulk(&mut self, raw: &mut Vec<u8>, length: i64) -> io::Result<()> {
        let Ok(length) = usize::try_from(length) else {
            return Ok(());
        };
        let start = raw.len();
        raw.resize(start + length + 2, 0);
        self.stream.read_exact(&mut raw[start..])
    }

    /// Checks against an independent codec: `redis-protocol` must parse the same bytes as one whole frame.
    fn check(&self, raw: &[u8]) {
        let bytes = Bytes::copy_from_slice(raw);
        let length = if self.resp3 {
            resp3::decode::complete::decode_bytes(&bytes)
                .map(|frame| frame.map(|(_, length)| length))
        } else {
            resp2::decode::decode_bytes(&bytes).map(|frame| frame.map(|(_, length)| length))
        };
        let agrees = match &length {
            Ok(length) => *length == Some(raw.len()),
            // The crate does not support sets of maps, which COMMAND returns, errors that quote bytes other than UTF-8, and
            // formats of verbatim strings other than its own.
            Err(error) => ["Invalid hash key", "invalid utf-8", "Invalid format"]
                .iter()
                .any(|known| error.details().contains(known)),
        };
        assert!(
            agrees,
            "redis-protocol reads {length:?} in {:.500?}",
            format!("{:?}", Reply(raw.to_vec()))
        );
    }

    /// The value of `field` in a section of INFO.
    pub fn info(&mut self, section: &str, field: &str) -> Option<String> {
        let reply = self.command(&format!("INFO {section}")).text();
        let value = reply
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
        Some(value.to_owned())
    }

    /// A number from INFO replication.
    pub fn offset(&mut self, field: &str) -> Option<i64> {
        self.info("replication", field)?.parse().ok()
    }
}

impl Reply {
    /// Whether this is an integer.
    pub fn is_integer(&self) -> bool {
        self.0.first() == Some(&b':')
    }

    /// Whether this is an error.
    pub fn is_error(&self) -> bool {
        matches!(self.0.first(), Some(b'-' | b'!'))
    }

    /// The text after the type byte or the length line. An aggregate's text is that of its elements, one per line.
    pub fn text(&self) -> String {
        let mut lines = Vec::new();
        // Not recursive: some replies are nested thousands of levels deep.
        let mut open = vec![self.clone()];
        while let Some(reply) = open.pop() {
            let elements = reply.elements();
            if elements.is_empty() {
                lines.push(reply.own_text());
            }
            open.extend(elements.into_iter().rev());
        }
        lines.join("\n")
    }

    /// The text of a reply without elements.
    fn own_text(&self) -> String {
        match self.0.first() {
            Some(b'$' | b'=' | b'!') => {
                let start = self.0.iter().position(|byte| *byte == b'\n');
                let start = start.map_or(0, |at| at + 1);
                String::from_utf8_lossy(&self.0[start..])
                    .trim_end_matches("\r\n")
                    .to_owned()
            }
            Some(b'*' | b'~' | b'%' | b'>') => String::new(),
            _ => String::from_utf8_lossy(self.0.get(1..).unwrap_or_default())
                .trim_end()
                .to_owned(),
        }
    }

    /// The bytes of a bulk string; `None` for anything else, including null.
    pub fn bulk(&self) -> Option<Vec<u8>> {
        if self.0.first() != Some(&b'$') || self.0.starts_with(b"$-1") {
            return None;
        }
        let start = self.0.iter().position(|byte| *byte == b'\n')? + 1;
        Some(self.0[start..self.0.len() - 2].to_vec())
    }

    /// The number of an integer reply.
    pub fn integer(&self) -> Option<i64> {
        if self.is_integer() {
            self.text().parse().ok()
        } else {
            None
        }
    }

    /// The elements of an aggregate, each as its bytes; empty for other replies.
    pub fn elements(&self) -> Vec<Reply> {
        if !matches!(self.0.first(), Some(b'*' | b'~' | b'%' | b'>')) {
            return Vec::new();
        }
        let mut rest = match self.0.iter().position(|byte| *byte == b'\n') {
            Some(end) => &self.0[end + 1..],
            None => return Vec::new(),
        };
        let mut elements = Vec::new();
        while !rest.is_empty() {
            let (element, behind) = rest.split_at(element_length(rest));
            elements.push(Reply(element.to_vec()));
            rest = behind;
        }
        elements
    }

    /// The same reply with the elements of its outer aggregate sorted by bytes, in groups of `width` neighbours.
    #[must_use]
    pub fn sorted(&self, width: usize) -> Self {
        let elements = self.elements();
        let mut groups: Vec<Vec<u8>> = elements
            .chunks(width)
            .map(|group| group.iter().flat_map(|e| e.0.clone()).collect())
            .collect();
        groups.sort();
        let head = self.0.len() - elements.iter().map(|e| e.0.len()).sum::<usize>();
        Self([&self.0[..head], &groups.concat()].concat())
    }
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

/// The length of the first whole element in bytes that were already read as a reply.
fn element_length(bytes: &[u8]) -> usize {
    let mut at = 0;
    let mut missing = 1_usize;
    while missing > 0 {
        let line = bytes[at..]
            .iter()
            .position(|byte| *byte == b'\n')
            .expect("a line end")
            + 1;
        let count = std::str::from_utf8(&bytes[at + 1..at + line - 2])
            .ok()
            .and_then(|text| text.parse().ok());
        let (text, elements): (usize, usize) = match (bytes[at], count) {
            (b'$' | b'=' | b'!', Some(length)) => (length + 2, 0),
            (b'*' | b'~' | b'>', Some(count)) => (0, count),
            (b'%', Some(count)) => (0, count * 2),
            _ => (0, 0),
        };
        at += line + text;
        missing = missing - 1 + elements;
    }
    at
}

/// Whether a server may answer the command later than at once.
fn may_block(words: &[Vec<u8>]) -> bool {
    const NAMES: [&str; 11] = [
        "blmove",
        "blmovem",
        "blmpop",
        "blpop",
        "brpop",
        "brpoplpush",
        "bzmpop",
        "bzpopmax",
        "bzpopmin",
        "wait",
        "waitaof",
    ];
    let is = |word: &[u8], name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    NAMES.iter().any(|name| is(&words[0], name)) || words.iter().any(|word| is(word, "block"))
}

/// A command as RESP.
pub fn encode(words: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut request = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        request.extend(format!("${}\r\n", word.as_ref().len()).bytes());
        request.extend(word.as_ref());
        request.extend(b"\r\n");
    }
    request
}

/// The words of a line split at spaces, for [`Client::pipeline`].
pub fn words(line: &str) -> Vec<Vec<u8>> {
    line.split(' ')
        .map(|word| word.as_bytes().to_vec())
        .collect()
}

/// A command as people read it.
pub fn show(words: &[impl AsRef<[u8]>]) -> String {
    let words: Vec<String> = words
        .iter()
        .map(|word| word.as_ref().escape_ascii().to_string())
        .collect();
    let line = words.join(" ");
    line.chars().take(200).collect()
}
