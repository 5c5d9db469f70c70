//! Moves bytes from the socket to the writer, and acknowledgements back.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until};

use super::config::Timing;
use super::error::Error;
use super::gather::{GATHER_TIME, Gather};
use super::handshake::Acks;
use super::line::{Incoming, Line, Outgoing};
use super::link::{Phase, Progress};
use super::spool::{Gone, Sender};
use super::status::{LinkState, Status};
use super::wire::command;
use crate::limits::READ_CHUNK_BYTES;

/// Moves bytes from the socket to the writer, and acknowledgements back.
pub(super) struct Pump<'u> {
    pub(super) timing: Timing,
    pub(super) progress: &'u Progress,
    pub(super) status: &'u Status,
    /// What the acknowledgements say.
    pub(super) acks: Acks,
    pub(super) bytes: Sender,
}

/// Read buffers, used in turn. As long as the writer keeps up, the same few are reused and stay in the processor's cache.
struct Buffers {
    current: BytesMut,
    /// Full buffers, oldest first.
    resting: VecDeque<BytesMut>,
}

impl Buffers {
    fn new() -> Self {
        Self {
            current: BytesMut::with_capacity(READ_CHUNK_BYTES),
            resting: VecDeque::new(),
        }
    }

    /// Returns a buffer with room for the next read.
    fn current(&mut self) -> &mut BytesMut {
        // Small reads share a buffer: a buffer for each would cost more than the read.
        if self.current.capacity() < READ_CHUNK_BYTES / 8 {
            self.resting.push_back(std::mem::take(&mut self.current));
            self.current = self
                .oldest()
                .unwrap_or_else(|| BytesMut::with_capacity(READ_CHUNK_BYTES));
        }
        &mut self.current
    }

    /// Returns the oldest buffer, if the writer is done with everything in it.
    fn oldest(&mut self) -> Option<BytesMut> {
        let is_free = self.resting.front_mut()?.try_reclaim(READ_CHUNK_BYTES);
        let oldest = if is_free || self.resting.len() > BUFFERS_KEPT {
            self.resting.pop_front()
        } else {
            None
        };
        oldest.filter(|_| is_free)
    }
}

/// Number of buffers kept for reuse: together small enough to stay in L2.
const BUFFERS_KEPT: usize = 8;

impl Pump<'_> {
    /// Pumps until the connection ends or the writer stops reading. Returns the reason.
    pub(super) async fn run(self, line: Line, first: Bytes) -> Error {
        let gather = line.gather();
        let (mut incoming, mut outgoing) = line.split();
        if !first.is_empty() {
            let now = self.status.received(first.len());
            if self.pass(first, now).await.is_err() {
                return Error::Abandoned;
            }
        }
        tokio::select! {
            error = self.read(&mut incoming, gather) => error,
            error = self.acknowledge(&mut outgoing) => error,
        }
    }

    /// Passes on what arrived at `at`.
    async fn pass(&self, chunk: Bytes, at: std::time::Instant) -> Result<(), Gone> {
        self.progress.note_waiting(chunk.len());
        self.bytes.send(chunk, at).await
    }

    async fn read(&self, incoming: &mut Incoming, mut gather: Option<Gather>) -> Error {
        let mut buffers = Buffers::new();
        loop {
            let buffer = buffers.current();
            let read = match self.next(incoming, buffer, gather.as_mut()).await {
                Ok(read) => read,
                Err(error) => return error,
            };
            let now = self.status.received(read);
            if let Some(gather) = &mut gather {
                gather.after(read, self.progress.phase() == Phase::Transfer);
            }
            if self.pass(buffer.split().freeze(), now).await.is_err() {
                return Error::Abandoned;
            }
        }
    }

    /// Waits for bytes. Returns how many arrived.
    async fn next(
        &self,
        incoming: &mut Incoming,
        buffer: &mut BytesMut,
        mut gather: Option<&mut Gather>,
    ) -> Result<usize, Error> {
        // The deadline counts from the last byte, never from the start of the transfer: a primary that sends a long snapshot
        // is not silent.
        let mut deadline = Instant::now() + self.timing.silence;
        loop {
            let gathering = gather.as_deref_mut().filter(|gather| gather.is_on());
            tokio::select! {
                read = incoming.read(buffer, &self.bytes, gathering.is_none()) => return match read? {
                    0 => Err(Error::Closed("sending to us")),
                    read => Ok(read),
                },
                () = sleep(GATHER_TIME), if gathering.is_some() => gathering.into_iter().for_each(Gather::stop),
                () = sleep_until(deadline) => match self.heard_until() {
                    Some(later) if later > deadline => deadline = later,
                    _ => return Err(Error::Silence(self.timing.silence, "following its stream")),
                },
                () = self.bytes.closed() => return Err(Error::Abandoned),
            }
        }
    }

    /// Returns when the silence is too long, based on what the writer has read itself.
    fn heard_until(&self) -> Option<Instant> {
        let last = self.status.last_received()?;
        Some(Instant::from_std(last) + self.timing.silence)
    }

    /// Sends an acknowledgement every [`Timing::ack`], and at once when asked. It keeps sending as long as the link lasts:
    /// an acknowledgement that reaches a diskless primary before it has reaped its child is lost, and the stream then waits
    /// for the next one.
    async fn acknowledge(&self, outgoing: &mut Outgoing) -> Error {
        let mut ticks = interval_at(Instant::now() + self.timing.ack, self.timing.ack);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.progress.ack_wanted() => {}
            }
            let message = self.sign_of_life();
            if let Err(error) = outgoing.send(&message).await {
                return error.into();
            }
        }
    }

    /// Returns an acknowledgement once the snapshot is loaded. Before that, returns a newline, which shows that redtail is
    /// alive and acknowledges nothing.
    fn sign_of_life(&self) -> Vec<u8> {
        match self.progress.phase() {
            Phase::Streaming => {
                self.status.enter(LinkState::Connected);
                self.acknowledgement()
            }
            Phase::Held => {
                self.status.enter(LinkState::Sync);
                self.acknowledgement()
            }
            Phase::Transfer | Phase::Idle => b"\n".to_vec(),
        }
    }

    fn acknowledgement(&self) -> Vec<u8> {
        let offset = match self.acks {
            Acks::Honest => self.progress.taken_in(),
            Acks::Observer => self.progress.vouched(),
        };
        command(&["REPLCONF", "ACK", &offset.to_string()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fills the current buffer and returns the bytes.
    fn fill(buffers: &mut Buffers) -> Bytes {
        let buffer = buffers.current();
        let room = buffer.capacity();
        buffer.resize(room, 0);
        buffer.split().freeze()
    }

    #[test]
    fn buffers_that_the_writer_is_done_with_are_used_again() {
        let mut buffers = Buffers::new();
        let places: std::collections::HashSet<*const u8> =
            (0..100).map(|_| fill(&mut buffers).as_ptr()).collect();
        assert!(places.len() <= 2, "{}", places.len());
    }

    #[test]
    fn what_the_writer_still_reads_is_left_alone_and_not_kept_for_ever() {
        let mut buffers = Buffers::new();
        let held: Vec<Bytes> = (0..50).map(|_| fill(&mut buffers)).collect();
        let places: std::collections::HashSet<*const u8> =
            held.iter().map(|chunk| chunk.as_ptr()).collect();
        assert_eq!(places.len(), held.len());
        assert!(buffers.resting.len() <= BUFFERS_KEPT);
    }
}
