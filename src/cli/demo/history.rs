//! What the demo primary has written since its snapshot.

/// Maximum bytes of the stream that are kept: hours of a demo.
const BACKLOG_BYTES_MAX: usize = 16 << 20;

/// Hex digits in a replication id.
const REPLID_CHARS: usize = 40;

/// One history of writes: its id and the latest part of its stream. It starts at offset 0 with the embedded snapshot.
#[derive(Debug)]
pub(super) struct History {
    replid: String,
    /// The offset just before the first byte that is kept.
    start: u64,
    bytes: Vec<u8>,
}

impl History {
    /// Creates a history that starts at the snapshot.
    pub(super) fn new() -> Self {
        let digit = |_| char::from_digit(fastrand::u32(..16), 16).unwrap_or('0');
        Self {
            replid: (0..REPLID_CHARS).map(digit).collect(),
            start: 0,
            bytes: Vec::new(),
        }
    }

    pub(super) fn replid(&self) -> &str {
        &self.replid
    }

    /// Returns the offset of the last byte written.
    pub(super) const fn offset(&self) -> u64 {
        self.start.saturating_add(self.bytes.len() as u64)
    }

    /// Adds commands to the stream, and drops the oldest half if the stream exceeds [`BACKLOG_BYTES_MAX`].
    pub(super) fn append(&mut self, commands: &[u8]) {
        self.bytes.extend_from_slice(commands);
        if self.bytes.len() > BACKLOG_BYTES_MAX {
            let half = self.bytes.len() / 2;
            self.bytes.drain(..half);
            self.start = self.start.saturating_add(half as u64);
        }
    }

    /// Returns the bytes after `offset`; `None` if they are no longer there or not yet written.
    pub(super) fn after(&self, offset: u64) -> Option<&[u8]> {
        let at = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        self.bytes.get(at..)
    }

    /// Returns the offset to continue from for `PSYNC replid next`; `None` if this history cannot resume there.
    pub(super) fn resume(&self, replid: &[u8], next: &[u8]) -> Option<u64> {
        let next = u64::try_from(crate::resp::parse_integer(next)?).ok()?;
        let offset = next.checked_sub(1)?;
        let known = replid.eq_ignore_ascii_case(self.replid.as_bytes());
        self.after(offset).filter(|_| known).map(|_| offset)
    }
}

/// Appends `words` to `stream` as a command.
pub(super) fn write_command<W: AsRef<[u8]>>(stream: &mut Vec<u8>, words: &[W]) {
    stream.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        let word = word.as_ref();
        stream.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        stream.extend_from_slice(word);
        stream.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn resumes_exactly_where_asked_and_nowhere_else() {
        let mut history = History::new();
        history.append(b"abcdef");
        let id = history.replid().to_owned();
        assert_eq!(history.resume(id.as_bytes(), b"1"), Some(0));
        assert_eq!(history.after(0).unwrap(), b"abcdef");
        assert_eq!(history.resume(id.as_bytes(), b"7"), Some(6));
        assert_eq!(history.after(4).unwrap(), b"ef");
        for next in ["8", "0", "-1", "x"] {
            assert_eq!(
                history.resume(id.as_bytes(), next.as_bytes()),
                None,
                "{next}"
            );
        }
        assert_eq!(history.resume(b"?", b"1"), None);
    }

    #[test]
    fn forgets_the_oldest_and_keeps_its_offsets() {
        let mut history = History::new();
        let chunk = vec![b'x'; BACKLOG_BYTES_MAX / 2];
        for _ in 0..5 {
            history.append(&chunk);
        }
        assert_eq!(history.offset(), 5 * chunk.len() as u64);
        assert_eq!(history.after(0), None);
        assert_eq!(history.after(history.offset()), Some(b"".as_slice()));
    }
}
