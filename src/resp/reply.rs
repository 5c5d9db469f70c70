//! Writing replies.

use std::sync::Arc;

use crate::dialect::Dialect;

use super::budget::Account;
use super::double;
use super::peer::{self, Presence};

/// The protocol version that a connection has chosen with HELLO.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// RESP2, every connection's first.
    #[default]
    Resp2,
    /// RESP3.
    Resp3,
}

/// The longest line with a length or an integer: its kind, 20 digits, a line end.
const HEADER_BYTES_MAX: usize = 23;

/// The size up to which a buffer needs no account: most connections never hold more.
pub const FREE_BYTES: usize = 64 << 10;

/// The number of bytes written between two checks of the peer.
const LOOK_BYTES: usize = 4 << 20;

/// The maximum size of a reply that does not depend on the data.
const AMPLE_BYTES: usize = 16 << 20;

/// Errors of up to this many bytes fit under every limit.
const ERROR_BYTES_FREE: usize = 512;

/// The replies of one connection that wait to be sent, in its protocol version and dialect.
///
/// There is one buffer for a whole pipeline: handlers append to it, and the session sends it in one go. Beyond `limit` bytes,
/// or if its [`Account`] is refused more, nothing more is appended and [`Reply::overflowed`] returns true. The session then
/// answers with an error.
#[derive(Debug)]
pub struct Reply {
    out: Vec<u8>,
    /// Number of bytes of `out` already sent.
    sent: usize,
    protocol: Protocol,
    dialect: Dialect,
    limit: usize,
    /// Number of bytes that `out` may reach before the account and the peer are checked again.
    granted: usize,
    /// Number of bytes that the account has granted, and for which there is capacity.
    reserved: usize,
    account: Option<Arc<Account>>,
    overflowed: bool,
    /// Whether it overflowed because the account was refused more, rather than because of the limit.
    refused: bool,
    /// Whether the peer receives no more replies.
    deserted: bool,
    /// Whether bytes already sent were taken back. The peer could not make sense of anything sent after that.
    severed: bool,
    /// Number of heads still to be inserted before what is written now. No byte after them may be sent yet.
    headless: usize,
    /// Buffer for the text of a double, whose length must precede it.
    number: Vec<u8>,
}

impl Reply {
    /// Creates an empty buffer that accepts at most `limit` bytes.
    #[must_use]
    pub const fn new(protocol: Protocol, dialect: Dialect, limit: usize) -> Self {
        Self {
            out: Vec::new(),
            sent: 0,
            protocol,
            dialect,
            limit,
            granted: limit,
            reserved: limit,
            account: None,
            overflowed: false,
            refused: false,
            deserted: false,
            severed: false,
            headless: 0,
            number: Vec::new(),
        }
    }

    /// Sets the account that must grant everything beyond [`FREE_BYTES`].
    #[must_use]
    pub fn with_account(mut self, account: Arc<Account>) -> Self {
        self.account = Some(account);
        self.granted = FREE_BYTES.min(self.limit);
        self.reserved = self.granted;
        self
    }

    /// Returns the protocol version in use.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Whether RESP3 is in use.
    #[must_use]
    pub const fn is_resp3(&self) -> bool {
        matches!(self.protocol, Protocol::Resp3)
    }

    /// Changes the protocol version of everything written from now on.
    pub const fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    /// Changes the maximum number of bytes.
    pub const fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
        if self.account.is_none() {
            self.granted = limit;
            self.reserved = limit;
        }
    }

    /// Returns the dialect in use.
    #[must_use]
    pub const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Changes the dialect of everything written from now on.
    pub const fn set_dialect(&mut self, dialect: Dialect) {
        self.dialect = dialect;
    }

    /// Returns everything written, sent or not.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.out
    }

    /// Number of bytes in the buffer, which is also a mark for [`Reply::truncate`].
    #[must_use]
    pub const fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether the buffer is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Returns the bytes that have not been sent yet.
    #[must_use]
    pub fn unsent(&self) -> &[u8] {
        match self.severed {
            true => &[],
            false => self.out.get(self.sent..).unwrap_or_default(),
        }
    }

    /// Whether bytes already sent were [taken back](Self::truncate). The connection must then be closed.
    #[must_use]
    pub const fn is_severed(&self) -> bool {
        self.severed
    }

    /// Number of bytes of the buffer that have been sent.
    #[must_use]
    pub const fn sent(&self) -> usize {
        self.sent
    }

    /// Notes that `bytes` more bytes have been sent. Drops the sent bytes once they are most of a long reply, or an eighth of
    /// the limit if the buffer is more than half full.
    pub fn note_sent(&mut self, bytes: usize) {
        self.sent += bytes;
        let least = if self.out.len() > self.limit / 2 {
            self.limit / 8
        } else {
            self.out.len() / 2
        };
        if self.sent > FREE_BYTES && self.sent > least {
            self.out.drain(..self.sent.min(self.out.len()));
            self.sent = 0;
        }
    }

    /// Whether the peer whose requests this thread answers receives no more replies. If so, nothing more is appended.
    pub fn is_deserted(&mut self) -> bool {
        if !self.deserted {
            let settled = match self.headless {
                0 => self.unsent(),
                _ => &[],
            };
            match peer::look(settled) {
                Presence::Gone => {
                    self.deserted = true;
                    self.overflowed = true;
                }
                Presence::There(sent) => self.sent += sent,
            }
        }
        self.deserted
    }

    /// Capacity of the buffer in bytes.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.out.capacity()
    }

    /// Whether a reply did not fit under the limit and was left out.
    #[must_use]
    pub const fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// Whether that was because all connections together hold too much, not this one alone.
    #[must_use]
    pub const fn was_refused(&self) -> bool {
        self.overflowed && self.refused
    }

    /// Takes back everything written after `mark`, and resets the overflow.
    pub fn truncate(&mut self, mark: usize) {
        self.severed |= mark < self.sent;
        self.out.truncate(mark);
        self.overflowed = false;
        self.refused = false;
    }

    /// Empties the buffer. Frees memory beyond `keep` bytes, and returns everything that the account granted.
    pub fn clear(&mut self, keep: usize) {
        self.out.clear();
        self.sent = 0;
        self.out.shrink_to(keep);
        if self.reserved > FREE_BYTES {
            self.give_back();
        }
    }

    #[cold]
    fn give_back(&mut self) {
        if let Some(account) = &self.account {
            self.out.shrink_to(FREE_BYTES);
            account.shrink(self.reserved);
            self.reserved = FREE_BYTES.min(self.limit);
            self.granted = self.reserved;
        }
    }

    /// Whether the next reply could exceed the limit only because of the replies waiting before it. Every reply can count on
    /// half of the limit, or on 16 MB if that is less.
    #[must_use]
    pub fn is_crowded(&self) -> bool {
        let room = self.limit.saturating_sub(self.out.len());
        !self.out.is_empty() && room < AMPLE_BYTES.min(self.limit / 2)
    }

    /// Whether `bytes` more would fit now.
    #[must_use]
    pub fn has_room(&self, bytes: usize) -> bool {
        let needed = self.out.len().saturating_add(bytes);
        let account = self.account.as_ref();
        let grows = |account: &Arc<Account>| needed <= self.limit && account.has_room(needed);
        needed <= self.reserved || account.is_some_and(grows)
    }

    /// Reserves `bytes` at once, so that a reply that grows to this size is not copied on the way. Returns whether they fit.
    pub fn reserve(&mut self, bytes: usize) -> bool {
        let needed = self.out.len().saturating_add(bytes);
        if needed > self.reserved {
            self.grow(needed);
        }
        !self.overflowed
    }

    /// Appends bytes that are already RESP.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) {
        if self.takes(bytes.len()) {
            self.out.extend_from_slice(bytes);
        }
    }

    /// Whether `bytes` more fit under the limit. For a line, callers pass the size of the longest one. If they do not fit,
    /// nothing is appended from now on.
    #[inline]
    fn takes(&mut self, bytes: usize) -> bool {
        if bytes > self.granted.saturating_sub(self.out.len()) {
            self.ask(bytes);
        }
        !self.overflowed
    }

    /// Gets room for `bytes` more, unless the peer is gone. While the buffer is reallocated, the old and the new block both
    /// exist, so the account must grant both.
    #[cold]
    fn ask(&mut self, bytes: usize) {
        if self.account.is_some() && self.is_deserted() {
            return;
        }
        let needed = self.out.len().saturating_add(bytes);
        if needed > self.reserved {
            self.grow(needed);
        }
        self.granted = needed.saturating_add(LOOK_BYTES).min(self.reserved);
    }

    /// Asks for `needed` bytes, and if possible for half more than is reserved, so that few steps lead to any size.
    fn grow(&mut self, needed: usize) {
        let Some(account) = self.account.as_ref().filter(|_| needed <= self.limit) else {
            self.overflowed = true;
            return;
        };
        let ample = needed.max(self.reserved / 2 * 3).min(self.limit);
        let Some(wanted) = [ample, needed].into_iter().find(|size| account.grow(*size)) else {
            self.overflowed = true;
            self.refused = true;
            return;
        };
        self.out.reserve_exact(wanted - self.out.len());
        if self.reserved > FREE_BYTES {
            account.shrink(self.reserved);
        }
        self.reserved = wanted;
    }

    fn header(&mut self, kind: u8, number: i64) {
        let mut digits = itoa::Buffer::new();
        self.raw(&[kind]);
        self.raw(digits.format(number).as_bytes());
        self.raw(b"\r\n");
    }

    /// Like [`header`](Self::header), for a length.
    #[inline]
    fn length(&mut self, kind: u8, length: usize) {
        if self.takes(HEADER_BYTES_MAX) {
            self.append_length(kind, length);
        }
    }

    /// Appends a line for which there is room. Most lengths have one or two digits.
    #[inline]
    fn append_length(&mut self, kind: u8, length: usize) {
        let digit = |number: usize| b'0' + u8::try_from(number).unwrap_or(0);
        match length {
            0..10 => self
                .out
                .extend_from_slice(&[kind, digit(length), b'\r', b'\n']),
            10..100 => {
                let line = [kind, digit(length / 10), digit(length % 10), b'\r', b'\n'];
                self.out.extend_from_slice(&line);
            }
            _ => {
                self.out.push(kind);
                let mut digits = itoa::Buffer::new();
                self.out.extend_from_slice(digits.format(length).as_bytes());
                self.out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// Appends a simple string: `+text`.
    pub fn simple(&mut self, text: &str) {
        self.raw(b"+");
        self.raw(text.as_bytes());
        self.raw(b"\r\n");
    }

    /// Appends `+OK`.
    pub fn ok(&mut self) {
        self.raw(b"+OK\r\n");
    }

    /// Appends an error line. `text` starts with its code (`ERR …`). Line ends inside become spaces, as in Redis. Short errors
    /// fit under every limit, because one must be able to report that nothing else fits.
    ///
    /// DIFFERENCE: Redis 7.4.1, Redis 8.2.3 and Valkey 9.0.0 leave the line ends of an error that a script raises as they are, which
    /// breaks the protocol: a client takes the rest of the error for the next reply.
    pub fn error(&mut self, text: impl AsRef<[u8]>) {
        let text = text.as_ref();
        let fits = !self.overflowed && text.len() <= ERROR_BYTES_FREE || self.takes(text.len() + 3);
        if !fits {
            return;
        }
        self.out.push(b'-');
        let is_end = |byte: &u8| b"\r\n".contains(byte);
        self.out.extend(
            text.iter()
                .map(|byte| if is_end(byte) { b' ' } else { *byte }),
        );
        self.out.extend_from_slice(b"\r\n");
    }

    /// Appends an integer.
    pub fn integer(&mut self, value: i64) {
        self.header(b':', value);
    }

    /// Appends a count, as an integer.
    pub fn count(&mut self, value: usize) {
        self.length(b':', value);
    }

    /// Appends a bulk string.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        let whole = bytes.len().saturating_add(HEADER_BYTES_MAX + 2);
        if self.takes(whole) {
            self.out.reserve(whole);
            self.append_length(b'$', bytes.len());
            self.out.extend_from_slice(bytes);
            self.out.extend_from_slice(b"\r\n");
        }
    }

    /// Appends an integer as a bulk string.
    pub fn bulk_integer(&mut self, value: i64) {
        let mut digits = itoa::Buffer::new();
        self.bulk(digits.format(value).as_bytes());
    }

    /// Appends a bulk string, or null.
    pub fn bulk_or_null(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => self.bulk(bytes),
            None => self.null(),
        }
    }

    /// Appends null: `$-1`, or `_` in RESP3.
    pub fn null(&mut self) {
        self.raw(if self.is_resp3() {
            b"_\r\n"
        } else {
            b"$-1\r\n"
        });
    }

    /// Appends null in place of an array: `*-1`, or `_` in RESP3.
    pub fn null_array(&mut self) {
        self.raw(if self.is_resp3() {
            b"_\r\n"
        } else {
            b"*-1\r\n"
        });
    }

    /// Appends the head of an array of `length` replies.
    pub fn array(&mut self, length: usize) {
        self.length(b'*', length);
    }

    /// Appends the head of a map of `pairs` pairs. In RESP2, it is an array of twice that length.
    pub fn map(&mut self, pairs: usize) {
        if self.is_resp3() {
            self.length(b'%', pairs)
        } else {
            self.array(pairs.saturating_mul(2))
        }
    }

    /// Appends the head of a set. In RESP2, it is an array.
    pub fn set(&mut self, length: usize) {
        if self.is_resp3() {
            self.length(b'~', length)
        } else {
            self.array(length)
        }
    }

    /// Appends the head of an out-of-band push. In RESP2, it is an array.
    pub fn push(&mut self, length: usize) {
        if self.is_resp3() {
            self.length(b'>', length)
        } else {
            self.array(length)
        }
    }

    /// Appends a boolean. In RESP2, it is the integer 1 or 0.
    pub fn boolean(&mut self, value: bool) {
        match (self.is_resp3(), value) {
            (true, true) => self.raw(b"#t\r\n"),
            (true, false) => self.raw(b"#f\r\n"),
            (false, value) => self.integer(i64::from(value)),
        }
    }

    /// Appends a double, formatted as in the dialect. In RESP2, it is a bulk string.
    pub fn double(&mut self, value: f64) {
        let shortest = self.dialect.has_shortest_doubles();
        self.number(|text| double::write(text, value, shortest));
    }

    /// Appends a finite double without an exponent, as servers write coordinates. In RESP2, it is a bulk string.
    pub fn decimal(&mut self, value: f64) {
        self.number(|text| double::write_decimal(text, value));
    }

    fn number(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut text = std::mem::take(&mut self.number);
        text.clear();
        write(&mut text);
        if self.is_resp3() {
            self.raw(b",");
            self.raw(&text);
            self.raw(b"\r\n");
        } else {
            self.bulk(&text);
        }
        self.number = text;
    }

    /// Appends a whole number of any size, as decimal text. In RESP2, it is a bulk string.
    pub fn big_number(&mut self, text: &str) {
        if !self.is_resp3() {
            return self.bulk(text.as_bytes());
        }
        self.raw(b"(");
        self.raw(text.as_bytes());
        self.raw(b"\r\n");
    }

    /// Appends human-readable text, with a three-letter format (`txt`, `mkd`). In RESP2, it is a bulk string.
    pub fn verbatim(&mut self, format: &str, text: &[u8]) {
        if !self.is_resp3() {
            return self.bulk(text);
        }
        self.length(b'=', text.len() + format.len() + 1);
        self.raw(format.as_bytes());
        self.raw(b":");
        self.raw(text);
        self.raw(b"\r\n");
    }

    /// Appends an array whose length is known only after its elements. `fill` appends them and returns their number.
    pub fn array_of(&mut self, fill: impl FnOnce(&mut Self) -> usize) {
        self.under(fill, Self::array);
    }

    /// Appends a head that is known only after its body. `body` appends the body; `head` gets its result, and what it appends
    /// goes first.
    pub fn under<R>(&mut self, body: impl FnOnce(&mut Self) -> R, head: impl FnOnce(&mut Self, R)) {
        let mark = self.out.len();
        self.headless += 1;
        let result = body(self);
        self.headless -= 1;
        let end = self.out.len();
        head(self, result);
        let header = self.out.len() - end;
        if let Some(tail) = self.out.get_mut(mark..) {
            tail.rotate_right(header);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A peer that is gone after a number of checks.
    struct Leaving(std::cell::Cell<usize>);

    impl peer::Peer for Leaving {
        fn look(&self, unsent: &[u8]) -> Presence {
            let left = self.0.get();
            self.0.set(left.saturating_sub(1));
            match left {
                0 => Presence::Gone,
                1 => Presence::There(unsent.len().min(1)),
                _ => Presence::There(0),
            }
        }
    }

    #[test]
    fn a_long_reply_ends_where_nobody_is_left_to_take_it_even_if_all_its_room_is_there() {
        let new = || {
            let account = Account::new(Arc::new(super::super::Budget::new(1 << 30)));
            Reply::new(Protocol::Resp2, Dialect::default(), 1 << 30).with_account(Arc::new(account))
        };
        let fill = |reply: &mut Reply| {
            assert!(reply.reserve(100 << 20));
            while reply.len() < 100 << 20 && !reply.overflowed() {
                reply.bulk(&[b'x'; 1000]);
            }
        };
        let mut reply = new();
        peer::answering(&Leaving(3.into()), || fill(&mut reply));
        assert!(reply.overflowed() && !reply.was_refused() && reply.is_deserted());
        assert!(reply.len() < 4 * LOOK_BYTES, "{}", reply.len());
        assert_eq!((reply.sent(), reply.unsent().len()), (1, reply.len() - 1));
        let mut reply = new();
        peer::answering(&Leaving(1.into()), || {
            reply.under(fill, |reply, ()| reply.array(1))
        });
        assert_eq!(
            reply.sent(),
            0,
            "nothing can be sent before the head is written"
        );
        reply.truncate(0);
        assert!(!reply.is_severed());
        let mut reply = new();
        peer::answering(&Leaving(1.into()), || fill(&mut reply));
        reply.truncate(0);
        reply.ok();
        assert!(reply.is_severed() && reply.unsent().is_empty());
        let mut reply = new();
        fill(&mut reply);
        assert!(
            !reply.overflowed(),
            "without a peer to check, the reply must be complete"
        );
    }

    #[test]
    fn a_limit_that_is_set_later_holds_from_then_on() {
        let mut reply = Reply::new(Protocol::Resp2, Dialect::default(), 0);
        for (limit, fits) in [(1 << 20, true), (10, false), (1 << 20, true)] {
            reply.truncate(0);
            reply.set_limit(limit);
            reply.bulk(&[b'x'; 1000]);
            assert_eq!(!reply.overflowed(), fits, "{limit}");
        }
    }
}
