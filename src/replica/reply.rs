//! The reply to a read, as a value.

/// A reply to a read, with the types of RESP3.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Reply {
    /// No value: the key, field or member does not exist.
    Null,
    /// True or false.
    Boolean(bool),
    /// An integer.
    Integer(i64),
    /// A double, such as a score.
    Double(f64),
    /// Text or any other bytes.
    Bytes(Vec<u8>),
    /// An error inside an array.
    Error(String),
    /// Replies in order.
    Array(Vec<Self>),
    /// Replies in no particular order.
    Set(Vec<Self>),
    /// Pairs, such as a hash's fields and values.
    Map(Vec<(Self, Self)>),
}

/// Parses one whole reply in RESP3. Returns `None` for any other bytes.
///
/// The bytes are redtail's own. Nesting is as deep as the deepest reply of a command, so the recursion is bounded.
pub(super) fn parse(bytes: &[u8]) -> Option<Reply> {
    let mut rest = bytes;
    let reply = next(&mut rest)?;
    rest.is_empty().then_some(reply)
}

fn next(rest: &mut &[u8]) -> Option<Reply> {
    let (&kind, line) = line(rest)?.split_first()?;
    Some(match kind {
        b'_' => Reply::Null,
        b'#' => Reply::Boolean(line == b"t"),
        b':' => Reply::Integer(number(line)?),
        b',' => Reply::Double(number(line)?),
        b'+' => Reply::Bytes(line.to_vec()),
        b'-' => Reply::Error(String::from_utf8_lossy(line).into_owned()),
        b'$' if line == b"-1" => Reply::Null,
        b'$' => Reply::Bytes(text(rest, number(line)?)?.to_vec()),
        // The format and its colon are not part of the text.
        b'=' => Reply::Bytes(text(rest, number(line)?)?.get(4..)?.to_vec()),
        b'*' if line == b"-1" => Reply::Null,
        b'*' | b'>' => Reply::Array(several(rest, number(line)?)?),
        b'~' => Reply::Set(several(rest, number(line)?)?),
        b'%' => Reply::Map(pairs(rest, number(line)?)?),
        _ => return None,
    })
}

fn several(rest: &mut &[u8], count: usize) -> Option<Vec<Reply>> {
    (0..count).map(|_| next(rest)).collect()
}

fn pairs(rest: &mut &[u8], count: usize) -> Option<Vec<(Reply, Reply)>> {
    (0..count)
        .map(|_| Some((next(rest)?, next(rest)?)))
        .collect()
}

/// Takes a line without its end.
fn line<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    let end = memchr::memchr(b'\r', rest)?;
    text(rest, end)
}

/// Takes `len` bytes and the line end after them.
fn text<'b>(rest: &mut &'b [u8], len: usize) -> Option<&'b [u8]> {
    let (text, after) = rest.split_at_checked(len)?;
    *rest = after.strip_prefix(b"\r\n")?;
    Some(text)
}

fn number<N: std::str::FromStr>(line: &[u8]) -> Option<N> {
    std::str::from_utf8(line).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use crate::dialect::Dialect;
    use crate::resp::{self, Protocol};

    fn bytes(text: &str) -> Reply {
        Reply::Bytes(text.as_bytes().to_vec())
    }

    #[test]
    fn every_type_comes_back_as_it_was_written() {
        let mut reply = resp::Reply::new(Protocol::Resp3, Dialect::default(), usize::MAX);
        reply.array(10);
        reply.null();
        reply.boolean(true);
        reply.integer(-7);
        reply.double(f64::NEG_INFINITY);
        reply.bulk(b"a\r\nb");
        reply.verbatim("txt", b"words");
        reply.simple("OK");
        reply.error("ERR no");
        reply.set(1);
        reply.double(1.5);
        reply.map(1);
        reply.bulk(b"field");
        reply.array(0);
        let expected = Reply::Array(vec![
            Reply::Null,
            Reply::Boolean(true),
            Reply::Integer(-7),
            Reply::Double(f64::NEG_INFINITY),
            bytes("a\r\nb"),
            bytes("words"),
            bytes("OK"),
            Reply::Error("ERR no".to_owned()),
            Reply::Set(vec![Reply::Double(1.5)]),
            Reply::Map(vec![(bytes("field"), Reply::Array(Vec::new()))]),
        ]);
        assert_eq!(parse(reply.as_bytes()), Some(expected));
    }

    #[test]
    fn a_cut_reply_is_none() {
        let whole = b"%1\r\n$1\r\na\r\n*2\r\n:1\r\n,2.5\r\n";
        assert!(parse(whole).is_some());
        for end in 0..whole.len() {
            assert_eq!(parse(whole.get(..end).unwrap()), None, "{end}");
        }
        assert_eq!(parse(b":1\r\n:2\r\n"), None);
    }
}
