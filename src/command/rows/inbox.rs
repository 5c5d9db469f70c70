//! What waits for one client besides the replies to its own commands: messages, invalidations, the lines of MONITOR.
//!
//! A sender puts encoded bytes here and never waits. The client's connection takes them when it may write: while it waits for
//! requests or for a blocked command, and before it answers. A client that reads too slowly for its limits ([`OutputLimits`]) is
//! disconnected: the waiting bytes must not fill the memory, and nothing is left out silently.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::Notify;

use super::client::Client;
use super::output_limits::OutputLimits;
use crate::resp::Protocol;

/// Bytes that may wait without asking the client's account.
const FREE_BYTES: usize = 16 << 10;

/// Room that is kept while nothing waits.
const KEPT_BYTES: usize = 1 << 10;

/// Room for pieces that is kept while nothing waits.
const KEPT_PIECES: usize = 4;

/// The account is asked for at least this much at once.
const STEP_BYTES: usize = 64 << 10;

/// From this size on, the bytes of a message are shared by all who get it. Smaller ones are copied, which costs less.
const SHARED_BYTES: usize = 1 << 10;

/// What waits for a client besides the replies to its own commands.
#[derive(Debug)]
pub struct Inbox {
    client: Arc<Client>,
    limits: Arc<OutputLimits>,
    resp3: AtomicBool,
    waiting: Mutex<Waiting>,
    /// Notified when something has come.
    pub wake: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    /// The oldest bytes.
    pieces: VecDeque<Bytes>,
    /// The newest bytes.
    tail: Vec<u8>,
    /// The bytes of both.
    bytes: usize,
    /// Bytes that the account has granted.
    granted: usize,
    /// Since when more than the soft limit has waited.
    soft_since: Option<Instant>,
    /// Whether the connection has been woken since it last took something.
    is_woken: bool,
    /// Whether the client is being disconnected: nothing more is kept for it.
    is_over: bool,
}

/// An array of bulk strings, encoded once for all who get it: as an array in RESP2, as a push in RESP3.
#[derive(Debug)]
pub struct Push {
    /// Without the first byte.
    rest: Bytes,
}

impl Push {
    /// Encodes `words`.
    #[must_use]
    pub fn of(words: &[&[u8]]) -> Self {
        let length: usize = words.iter().map(|word| word.len() + 25).sum();
        let mut rest = Vec::with_capacity(length + 4);
        let mut number = itoa::Buffer::new();
        rest.extend_from_slice(number.format(words.len()).as_bytes());
        rest.extend_from_slice(b"\r\n");
        for word in words {
            rest.push(b'$');
            rest.extend_from_slice(number.format(word.len()).as_bytes());
            rest.extend_from_slice(b"\r\n");
            rest.extend_from_slice(word);
            rest.extend_from_slice(b"\r\n");
        }
        Self { rest: rest.into() }
    }
}

impl Inbox {
    /// Creates the inbox of a client.
    #[must_use]
    pub fn new(client: Arc<Client>, limits: Arc<OutputLimits>, protocol: Protocol) -> Self {
        Self {
            client,
            limits,
            resp3: AtomicBool::new(protocol == Protocol::Resp3),
            waiting: Mutex::default(),
            wake: Notify::new(),
        }
    }

    /// The client's record.
    #[must_use]
    pub const fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// Whether the client speaks RESP3. What is put here must be encoded for that.
    #[must_use]
    pub fn is_resp3(&self) -> bool {
        self.resp3.load(Ordering::Relaxed)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // A poisoned lock still holds whole pieces.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts bytes that are encoded for this client, and wakes its connection.
    pub fn put(&self, bytes: &[u8]) {
        self.put_within(bytes, usize::MAX);
    }

    /// Puts bytes that are encoded for RESP3 or RESP2, unless the client speaks the other by now.
    pub fn put_if(&self, is_resp3: bool, bytes: &[u8]) {
        let waiting = self.waiting();
        if self.is_resp3() == is_resp3 {
            self.put_into(waiting, bytes, usize::MAX);
        }
    }

    /// Like [`put`](Self::put), but disconnects the client if more than `most` bytes would wait.
    pub fn put_within(&self, bytes: &[u8], most: usize) {
        self.put_into(self.waiting(), bytes, most);
    }

    fn put_into(&self, mut waiting: MutexGuard<'_, Waiting>, bytes: &[u8], most: usize) {
        if !self.admit(&mut waiting, bytes.len(), most) {
            return;
        }
        waiting.tail.extend_from_slice(bytes);
        waiting.seal(STEP_BYTES);
        let wakes = !std::mem::replace(&mut waiting.is_woken, true);
        drop(waiting);
        if wakes {
            self.wake.notify_one();
        }
    }

    /// Puts a message. Returns whether the caller must wake the connection, which may be done once for several messages.
    #[must_use]
    pub fn put_push(&self, push: &Push) -> bool {
        let mut waiting = self.waiting();
        if !self.admit(&mut waiting, push.rest.len() + 1, usize::MAX) {
            return false;
        }
        waiting.tail.push(if self.is_resp3() { b'>' } else { b'*' });
        if push.rest.len() < SHARED_BYTES {
            waiting.tail.extend_from_slice(&push.rest);
            waiting.seal(STEP_BYTES);
        } else {
            waiting.seal(0);
            waiting.pieces.push_back(push.rest.clone());
        }
        !std::mem::replace(&mut waiting.is_woken, true)
    }

    /// Whether `more` bytes may wait. If not, the client is disconnected.
    fn admit(&self, waiting: &mut Waiting, more: usize, most: usize) -> bool {
        if waiting.is_over {
            return false;
        }
        let bytes = waiting.bytes.saturating_add(more);
        let class = self.client.class();
        let refusal = if bytes > most || self.limits.exceeds(class, bytes, &mut waiting.soft_since)
        {
            Some(false)
        } else if waiting.grow(bytes, &self.client) {
            None
        } else {
            Some(true)
        };
        if let Some(is_for_memory) = refusal {
            waiting.end(&self.client);
            self.limits
                .disconnect(&self.client, class, bytes, is_for_memory);
            return false;
        }
        waiting.bytes = bytes;
        self.client.inbox_bytes.store(bytes, Ordering::Relaxed);
        true
    }

    /// Drops everything that waits, and keeps nothing more: the client is being disconnected.
    pub fn shut(&self) {
        self.waiting().end(&self.client);
    }

    /// Begins to take what waits: the number of bytes, which end where a message does. Whatever comes later wakes the
    /// connection.
    #[must_use]
    pub fn begin_taking(&self) -> usize {
        let mut waiting = self.waiting();
        waiting.is_woken = false;
        waiting.bytes
    }

    /// Whether anything waits.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.waiting().bytes > 0
    }

    /// Takes everything that waits.
    #[must_use]
    pub fn take(&self) -> Vec<u8> {
        let mut all = Vec::new();
        while self.take_some(&mut all, usize::MAX) {}
        all
    }

    /// Appends the oldest bytes that wait to `out`, at most `most` of them. Returns whether more wait. What is taken may end
    /// inside a message.
    pub fn take_some(&self, out: &mut Vec<u8>, most: usize) -> bool {
        let mut waiting = self.waiting();
        let mut room = most;
        while room > 0
            && let Some(first) = waiting.pieces.front_mut()
        {
            let part = first.split_to(first.len().min(room));
            if first.is_empty() {
                waiting.pieces.pop_front();
            }
            out.extend_from_slice(&part);
            room -= part.len();
        }
        if room > 0 && waiting.tail.len() <= room && out.is_empty() {
            room -= waiting.tail.len();
            std::mem::swap(out, &mut waiting.tail);
        } else if room > 0 {
            let taken = waiting.tail.len().min(room);
            out.extend(waiting.tail.drain(..taken));
            room -= taken;
        }
        waiting.bytes -= most - room;
        self.note_taken(&mut waiting)
    }

    fn note_taken(&self, waiting: &mut Waiting) -> bool {
        self.client
            .inbox_bytes
            .store(waiting.bytes, Ordering::Relaxed);
        if waiting.bytes > 0 {
            return true;
        }
        waiting.soft_since = None;
        waiting.is_woken = false;
        if waiting.tail.capacity() > KEPT_BYTES {
            waiting.tail = Vec::new();
        }
        if waiting.pieces.capacity() > KEPT_PIECES {
            waiting.pieces = VecDeque::new();
        }
        let granted = std::mem::take(&mut waiting.granted);
        if granted > 0 {
            self.client.account.shrink(granted);
        }
        false
    }

    /// Makes the client's protocol another one. Returns what waited in the one before.
    #[must_use]
    pub fn switch(&self, protocol: Protocol) -> Vec<u8> {
        let mut waiting = self.waiting();
        let mut all = Vec::with_capacity(waiting.bytes);
        for piece in std::mem::take(&mut waiting.pieces) {
            all.extend_from_slice(&piece);
        }
        all.append(&mut waiting.tail);
        waiting.bytes = 0;
        self.note_taken(&mut waiting);
        self.resp3
            .store(protocol == Protocol::Resp3, Ordering::Relaxed);
        all
    }
}

impl Waiting {
    /// Ends the tail if it has at least `bytes`: taking a part of a long one would move the rest.
    fn seal(&mut self, bytes: usize) {
        if self.tail.len() >= bytes {
            let tail = std::mem::take(&mut self.tail);
            self.pieces.push_back(tail.into());
        }
    }

    /// Gets room for `bytes`. Returns whether the account granted it.
    fn grow(&mut self, bytes: usize, client: &Client) -> bool {
        let needed = bytes.saturating_sub(FREE_BYTES + self.granted);
        if needed == 0 {
            return true;
        }
        let sizes = [needed.max(STEP_BYTES), needed];
        let granted = sizes.into_iter().find(|size| client.account.grow(*size));
        self.granted += granted.unwrap_or(0);
        granted.is_some()
    }

    /// Drops everything, and keeps nothing more.
    fn end(&mut self, client: &Client) {
        client.account.shrink(self.granted);
        client.inbox_bytes.store(0, Ordering::Relaxed);
        *self = Self {
            is_over: true,
            ..Self::default()
        };
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        let waiting = self.waiting();
        self.client.account.shrink(waiting.granted);
        self.client.inbox_bytes.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::{Account, Budget};
    use tokio_util::sync::CancellationToken;

    fn inbox(limits: &str, protocol: Protocol, budget: usize) -> Inbox {
        let account = Account::new(Arc::new(Budget::new(budget)));
        let close = CancellationToken::new();
        let client = Client::new(
            1,
            String::new(),
            String::new(),
            false,
            close,
            account.into(),
        );
        client.subscribed[0].store(1, Ordering::Relaxed);
        let all = OutputLimits::default();
        all.adopt(limits);
        Inbox::new(client.into(), all.into(), protocol)
    }

    #[test]
    fn what_is_taken_in_parts_is_what_was_put() {
        for (protocol, head) in [(Protocol::Resp2, '*'), (Protocol::Resp3, '>')] {
            let inbox = inbox("", protocol, usize::MAX);
            let mut expected = String::new();
            for length in [0, 1, 900, 1100, 5, 70_000, 1100, 2000, 3] {
                let payload = "x".repeat(length);
                let wakes = inbox.put_push(&Push::of(&[b"message", payload.as_bytes()]));
                assert_eq!(wakes, expected.is_empty(), "one wake is enough");
                expected += &format!("{head}2\r\n$7\r\nmessage\r\n${length}\r\n{payload}\r\n");
            }
            inbox.put(b"raw");
            expected += "raw";
            assert_eq!(inbox.begin_taking(), expected.len());
            assert_eq!(
                inbox.client.inbox_bytes.load(Ordering::Relaxed),
                expected.len()
            );
            let (mut all, mut size) = (Vec::new(), 1);
            loop {
                let mut part = Vec::new();
                let more = inbox.take_some(&mut part, size);
                assert!(part.len() <= size);
                all.extend(part);
                size = size * 3 % 5000 + 1;
                if !more {
                    break;
                }
            }
            assert!(all == expected.as_bytes());
            assert_eq!(inbox.client.account.held(), 0);
            assert!(inbox.put_push(&Push::of(&[b"again"])), "it wakes again");
        }
    }

    #[test]
    fn whoever_exceeds_a_limit_is_disconnected_and_holds_nothing() {
        let push = Push::of(&[&[b'x'; 30_000]]);
        for (limits, budget) in [("pubsub 100000 0 0", usize::MAX), ("", 200_000)] {
            let inbox = inbox(limits, Protocol::Resp2, budget);
            let puts = (0..10).take_while(|_| {
                let _ = inbox.put_push(&push);
                !inbox.client.close.is_cancelled()
            });
            assert_eq!(puts.count(), 3, "{limits} {budget}");
            assert!(!inbox.put_push(&push) && inbox.take().is_empty());
            assert_eq!(inbox.client.account.held(), 0);
            assert_eq!(inbox.limits.disconnections.load(Ordering::Relaxed), 1);
        }
    }

    #[test]
    fn what_waits_when_the_protocol_changes_stays_in_the_old_one() {
        let inbox = inbox("", Protocol::Resp2, usize::MAX);
        let _ = inbox.put_push(&Push::of(&[b"a"]));
        assert_eq!(inbox.switch(Protocol::Resp3), b"*1\r\n$1\r\na\r\n");
        assert!(inbox.put_push(&Push::of(&[b"a"])));
        assert_eq!(inbox.take(), b">1\r\n$1\r\na\r\n");
    }
}
