//! Parsing requests: arrays of bulk strings, and the inline form that people type in a terminal.

use super::args::{Args, ArgsBuf, Span};

/// The longest line that is read before its end is found: Redis's `PROTO_INLINE_MAX_SIZE`.
const LINE_BYTES_MAX: usize = 64 << 10;

/// The longest line that is accepted if its end is already in the buffer. Servers search for the end in steps of 16 KiB, so
/// they accept a line of more than [`LINE_BYTES_MAX`] if the step that crosses this limit contains the end.
const WHOLE_LINE_BYTES_MAX: usize = LINE_BYTES_MAX + (16 << 10);

/// Limits on what a peer can make redtail hold.
#[derive(Debug, Clone, Copy)]
pub struct RequestLimits {
    /// Maximum number of words in one command.
    pub words_max: usize,
    /// Maximum number of bytes in one word.
    pub word_bytes_max: usize,
    /// Whether inline requests are accepted. If not, as in the replication stream, a blank line is a command without words.
    pub inline: bool,
}

/// A request that cannot be parsed. The connection gets an error reply and is closed.
/// The texts are Redis's. Source: redis 7.0 networking.c, `processMultibulkBuffer` and `processInlineBuffer`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// The count after `*` is not a number.
    #[error("invalid multibulk length")]
    MultibulkLength,
    /// This number of words exceeds the limit.
    #[error("invalid multibulk length")]
    TooManyWords(usize),
    /// The length after `$` is not a number.
    #[error("invalid bulk length")]
    BulkLength,
    /// A word of this many bytes exceeds the limit.
    #[error("invalid bulk length")]
    WordTooLong(usize),
    /// A word must start here, but the byte is not `$`.
    #[error("expected '$', got '{}'", char::from(*.0))]
    ExpectedBulk(u8),
    /// The count has no line end.
    #[error("too big mbulk count string")]
    MultibulkLine,
    /// The length has no line end.
    #[error("too big bulk count string")]
    BulkLine,
    /// An inline request has no line end.
    #[error("too big inline request")]
    InlineLine,
    /// An inline request has unbalanced quotes.
    #[error("unbalanced quotes in request")]
    Quotes,
    /// A line does not end with CR and LF.
    #[error("invalid CRLF in request")]
    LineEnd,
    /// An inline request where only arrays are accepted.
    #[error("expected '*', got '{}'", char::from(*.0))]
    ExpectedArray(u8),
}

/// The result of [`RequestParser::step`].
#[derive(Debug)]
pub enum Step<'a> {
    /// A whole command, and how many bytes of the buffer it took. It may have no words at all (an empty line, `*0`).
    Command(Args<'a>, usize),
    /// The buffer ends inside a command.
    NeedMore,
}

/// Finds commands in a buffer that grows at its end.
///
/// It remembers how far it got in an incomplete command, so it reads each byte once, however small the reads are. Between
/// calls, the caller must keep the incomplete command's first byte at the start of the buffer.
#[derive(Debug)]
pub struct RequestParser {
    limits: RequestLimits,
    /// Whether line ends are checked.
    strict: bool,
    spans: Vec<Span>,
    missing: usize,
    position: usize,
    inline: Vec<u8>,
}

impl RequestParser {
    /// Creates a parser at the start of a command.
    #[must_use]
    pub const fn new(limits: RequestLimits) -> Self {
        Self {
            limits,
            strict: false,
            spans: Vec::new(),
            missing: 0,
            position: 0,
            inline: Vec::new(),
        }
    }

    /// Sets whether to check that lines end with CR and LF. Most servers just skip two bytes.
    #[must_use]
    pub const fn checking_line_ends(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    /// Changes the limits, from the next length on.
    pub const fn set_limits(&mut self, limits: RequestLimits) {
        self.limits = limits;
    }

    /// Discards an incomplete command.
    pub fn reset(&mut self) {
        self.spans.clear();
        self.missing = 0;
        self.position = 0;
    }

    /// Parses one command at the start of `buffer`.
    ///
    /// # Errors
    /// [`ProtocolError`]; the parser must then be [`reset`](Self::reset) or dropped.
    #[inline]
    pub fn step<'a>(&'a mut self, buffer: &'a [u8]) -> Result<Step<'a>, ProtocolError> {
        if self.position == 0 {
            if let Some(taken) = self.whole(buffer) {
                return Ok(Step::Command(Args::new(buffer, &self.spans), taken));
            }
            match buffer.first() {
                None => return Ok(Step::NeedMore),
                Some(b'*') => {}
                Some(_) if self.limits.inline => return self.inline(buffer),
                Some(_) => return self.blank(buffer),
            }
            self.spans.clear();
            let Some((count, next)) = self.count(buffer)? else {
                return Ok(Step::NeedMore);
            };
            self.missing = count;
            self.position = next;
        }
        while self.missing > 0 {
            let Some(span) = self.word(buffer)? else {
                return Ok(Step::NeedMore);
            };
            self.spans.push(span);
            self.missing -= 1;
            self.position = span.start + span.len + 2;
        }
        let taken = std::mem::take(&mut self.position);
        Ok(Step::Command(Args::new(buffer, &self.spans), taken))
    }

    /// Returns the one command that `buffer` consists of, if a quick check can tell. Does not advance the parser.
    #[inline]
    pub fn peek_lone<'a>(&'a mut self, buffer: &'a [u8]) -> Option<Args<'a>> {
        let is_lone = self.position == 0 && self.whole(buffer) == Some(buffer.len());
        is_lone.then(|| Args::new(buffer, &self.spans))
    }

    /// Finds a complete command in which no length has more than two digits, as in almost every command. Returns the number of
    /// bytes, or `None` if the command needs a closer look.
    #[inline]
    fn whole(&mut self, buffer: &[u8]) -> Option<usize> {
        let (words, mut position) = short_line(b'*', buffer)?;
        if words > self.limits.words_max {
            return None;
        }
        self.spans.clear();
        for _ in 0..words {
            let (len, taken) = short_line(b'$', buffer.get(position..)?)?;
            let start = position + taken;
            position = start + len + 2;
            if position > buffer.len() || len > self.limits.word_bytes_max {
                return None;
            }
            self.spans.push(Span { start, len });
        }
        (!self.strict || self.ends_well(buffer)).then_some(position)
    }

    /// Whether all lines of a complete command end with CR and LF.
    #[cold]
    fn ends_well(&self, buffer: &[u8]) -> bool {
        let first = memchr::memchr(b'\r', buffer).and_then(|end| buffer.get(end + 1));
        first == Some(&b'\n')
            && self.spans.iter().all(|span| {
                let end = span.start + span.len;
                buffer.get(span.start - 1) == Some(&b'\n')
                    && buffer.get(end..end + 2) == Some(b"\r\n")
            })
    }

    /// Handles anything but an array where only arrays are accepted. Skips an empty line, as servers do.
    #[cold]
    fn blank<'a>(&'a mut self, buffer: &'a [u8]) -> Result<Step<'a>, ProtocolError> {
        self.spans.clear();
        let taken = match *buffer {
            [b'\n', ..] => 1,
            [b'\r', b'\n', ..] => 2,
            [b'\r'] => return Ok(Step::NeedMore),
            [byte, ..] => return Err(ProtocolError::ExpectedArray(byte)),
            [] => return Ok(Step::NeedMore),
        };
        Ok(Step::Command(Args::new(buffer, &self.spans), taken))
    }

    /// Checks a line end, if the parser is strict. `end` is where the next line starts.
    fn check_end(&self, buffer: &[u8], end: usize) -> Result<(), ProtocolError> {
        let is_right = !self.strict || buffer.get(end - 2..end) == Some(b"\r\n");
        is_right.then_some(()).ok_or(ProtocolError::LineEnd)
    }

    fn count(&self, buffer: &[u8]) -> Result<Option<(usize, usize)>, ProtocolError> {
        let Some((number, next)) = number_line(buffer, 1, ProtocolError::MultibulkLine)? else {
            return Ok(None);
        };
        self.check_end(buffer, next)?;
        let number = number.ok_or(ProtocolError::MultibulkLength)?;
        let count = usize::try_from(number.max(0)).map_err(|_| ProtocolError::MultibulkLength)?;
        if count > self.limits.words_max {
            return Err(ProtocolError::TooManyWords(count));
        }
        Ok(Some((count, next)))
    }

    fn word(&self, buffer: &[u8]) -> Result<Option<Span>, ProtocolError> {
        match buffer.get(self.position) {
            None => return Ok(None),
            Some(b'$') => {}
            Some(&byte) => return Err(ProtocolError::ExpectedBulk(byte)),
        }
        let Some((number, start)) =
            number_line(buffer, self.position + 1, ProtocolError::BulkLine)?
        else {
            return Ok(None);
        };
        let len = number
            .and_then(|number| usize::try_from(number).ok())
            .ok_or(ProtocolError::BulkLength)?;
        if len > self.limits.word_bytes_max {
            return Err(ProtocolError::WordTooLong(len));
        }
        self.check_end(buffer, start)?;
        if buffer.len() < start + len + 2 {
            return Ok(None);
        }
        self.check_end(buffer, start + len + 2)?;
        Ok(Some(Span { start, len }))
    }

    fn inline<'a>(&'a mut self, buffer: &'a [u8]) -> Result<Step<'a>, ProtocolError> {
        let Some(end) = memchr::memchr(b'\n', buffer) else {
            if buffer.len() > LINE_BYTES_MAX {
                return Err(ProtocolError::InlineLine);
            }
            return Ok(Step::NeedMore);
        };
        if end > WHOLE_LINE_BYTES_MAX {
            return Err(ProtocolError::InlineLine);
        }
        let line = buffer.get(..end).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        self.spans.clear();
        self.inline.clear();
        split_words(line, &mut self.inline, &mut self.spans).ok_or(ProtocolError::Quotes)?;
        Ok(Step::Command(Args::new(&self.inline, &self.spans), end + 1))
    }
}

/// Reads a line of `kind` with one or two digits. Returns the number, and the length of the line in bytes.
#[inline]
fn short_line(kind: u8, line: &[u8]) -> Option<(usize, usize)> {
    let digit = |byte: u8| usize::from(byte - b'0');
    match *line {
        [first, ones @ b'0'..=b'9', b'\r', _, ..] if first == kind => Some((digit(ones), 4)),
        [first, tens @ b'1'..=b'9', ones @ b'0'..=b'9', b'\r', _, ..] if first == kind => {
            Some((digit(tens) * 10 + digit(ones), 5))
        }
        _ => None,
    }
}

/// Reads `digits\r\n` at `start`. Returns the number (`None` if it is not one) and where the line ends.
#[inline]
fn number_line(
    buffer: &[u8],
    start: usize,
    too_long: ProtocolError,
) -> Result<Option<(Option<i64>, usize)>, ProtocolError> {
    let line = buffer.get(start..).unwrap_or_default();
    let mut value = 0usize;
    for (index, byte) in line.iter().enumerate().take(10) {
        match byte {
            b'0'..=b'9' => value = value * 10 + usize::from(byte - b'0'),
            b'\r' if index > 0 && line.first() != Some(&b'0') || index == 1 => {
                let number = i64::try_from(value).ok();
                return Ok((line.len() > index + 1).then_some((number, start + index + 2)));
            }
            _ => break,
        }
    }
    slow_number_line(line, start, too_long)
}

/// Handles what [`number_line`] rarely sees: signs, long numbers, garbage, incomplete lines.
#[cold]
fn slow_number_line(
    line: &[u8],
    start: usize,
    too_long: ProtocolError,
) -> Result<Option<(Option<i64>, usize)>, ProtocolError> {
    let window = line
        .get(..line.len().min(LINE_BYTES_MAX + 1))
        .unwrap_or_default();
    let Some(end) = memchr::memchr(b'\r', window) else {
        return if line.len() > LINE_BYTES_MAX {
            Err(too_long)
        } else {
            Ok(None)
        };
    };
    let number = line.get(..end).and_then(crate::resp::parse_integer);
    Ok((line.len() > end + 1).then_some((number, start + end + 2)))
}

impl ArgsBuf {
    /// Splits a line into words like an inline request. Returns `None` if quotes are unbalanced.
    #[must_use]
    pub fn split(line: &[u8]) -> Option<Self> {
        let (mut buffer, mut spans) = (Vec::new(), Vec::new());
        split_words(line, &mut buffer, &mut spans)?;
        Some(Self::from_parts(buffer, spans))
    }
}

/// Splits an inline request as Redis does: blanks separate words, and a word may be quoted as `"…"` with escapes, or as `'…'`.
/// Returns `None` if quotes are unbalanced. Source: redis 7.0 sds.c, `sdssplitargs`.
fn split_words(line: &[u8], out: &mut Vec<u8>, spans: &mut Vec<Span>) -> Option<()> {
    // The line ends at its first zero byte, like a C string.
    let end = memchr::memchr(0, line).unwrap_or(line.len());
    let mut rest = line.get(..end).unwrap_or_default();
    loop {
        while let Some((_, tail)) = rest.split_first().filter(|(byte, _)| is_blank(**byte)) {
            rest = tail;
        }
        if rest.is_empty() {
            return Some(());
        }
        let start = out.len();
        rest = split_word(rest, out)?;
        spans.push(Span {
            start,
            len: out.len() - start,
        });
    }
}

/// Whether C's `isspace` accepts the byte.
const fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

fn split_word<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    while let Some((&byte, tail)) = rest.split_first() {
        match byte {
            byte if is_blank(byte) => break,
            b'"' => return double_quoted(tail, out).and_then(ends_word),
            b'\'' => return single_quoted(tail, out).and_then(ends_word),
            byte => {
                out.push(byte);
                rest = tail;
            }
        }
    }
    Some(rest)
}

/// Checks that a blank or nothing follows a closing quote.
fn ends_word(rest: &[u8]) -> Option<&[u8]> {
    rest.first()
        .is_none_or(u8::is_ascii_whitespace)
        .then_some(rest)
}

fn double_quoted<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        rest = match rest {
            [b'"', tail @ ..] => return Some(tail),
            [b'\\', b'x', high, low, tail @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                out.push(hex_digit(*high) << 4 | hex_digit(*low));
                tail
            }
            [b'\\', escaped, tail @ ..] => {
                out.push(unescape(*escaped));
                tail
            }
            [byte, tail @ ..] => {
                out.push(*byte);
                tail
            }
            [] => return None,
        };
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        rest = match rest {
            [b'\'', tail @ ..] => return Some(tail),
            [b'\\', b'\'', tail @ ..] => {
                out.push(b'\'');
                tail
            }
            [byte, tail @ ..] => {
                out.push(*byte);
                tail
            }
            [] => return None,
        };
    }
}

const fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        other => other,
    }
}

const fn hex_digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        _ => byte.wrapping_sub(b'A').wrapping_add(10),
    }
}
