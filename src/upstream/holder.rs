//! Which side reads a link's socket: the link's task or the writer.
//!
//! ```text
//!              offer                      take
//!   Task ────────────────► Offered ─────────────────► Writer
//!    ▲ ▲       claim          │                        │  ▲
//!    │ └──────────────────────┘                  leave │  │ take
//!    │                                                 ▼  │
//!    └─────────────── give_back, claim_back ───────── Away
//! ```
//! Two rules keep the bytes in order. First, the task offers the socket only while it waits for bytes: everything that it
//! has read is in the spool by then, and the writer takes the socket only once the spool is empty. Second, the task reads
//! nothing while the writer has the socket. It claims the socket back only from a writer that is processing what it has
//! read, and such a writer returns to the spool first.

use std::time::{Duration, Instant};

/// Which side reads the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Holder {
    /// The task: it reads, or puts what it has read into the spool.
    #[default]
    Task,
    /// The task waits for bytes, and the writer may do so in its place.
    Offered,
    /// The writer: it waits for bytes, or reads them.
    Writer,
    /// Neither: the writer has been processing what it has read since then.
    Away(Instant),
}

impl Holder {
    /// Notes that the task waits for bytes.
    pub(super) const fn offer(&mut self) {
        if matches!(self, Self::Task) {
            *self = Self::Offered;
        }
    }

    /// Claims the socket for the task. Returns whether the task may read it.
    pub(super) const fn claim(&mut self) -> bool {
        if matches!(self, Self::Offered) {
            *self = Self::Task;
        }
        matches!(self, Self::Task)
    }

    /// Claims the socket back from the writer. Returns whether the task may read it: the writer has returned it, or has not
    /// asked for it within `patience`.
    pub(super) fn claim_back(&mut self, now: Instant, patience: Duration) -> bool {
        if let Self::Away(since) = self
            && now.saturating_duration_since(*since) >= patience
        {
            *self = Self::Task;
        }
        self.claim()
    }

    /// Takes the socket for the writer, which has processed everything that was read. Returns whether the writer may read
    /// it.
    pub(super) const fn take(&mut self) -> bool {
        if !matches!(self, Self::Task) {
            *self = Self::Writer;
        }
        matches!(self, Self::Writer)
    }

    /// Notes that the writer starts to process what it has read.
    pub(super) const fn leave(&mut self, now: Instant) {
        if matches!(self, Self::Writer) {
            *self = Self::Away(now);
        }
    }

    /// Returns the socket to the task. Returns whether that changes anything.
    pub(super) const fn give_back(&mut self) -> bool {
        let held = matches!(self, Self::Writer | Self::Away(_));
        if held {
            *self = Self::Task;
        }
        held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(1);

    #[test]
    fn the_writer_takes_only_what_is_offered_and_the_task_claims_only_what_is_left_alone() {
        let (now, mut holder) = (Instant::now(), Holder::default());
        assert!(
            !holder.take(),
            "the task may be between a read and the spool"
        );
        holder.offer();
        assert!(holder.claim() && !holder.take());
        holder.offer();
        assert!(holder.take());
        assert!(!holder.claim() && !holder.claim_back(now + PATIENCE, PATIENCE));
        holder.offer();
        assert_eq!(
            holder,
            Holder::Writer,
            "the task cannot offer what it does not have"
        );
        holder.leave(now);
        assert!(!holder.claim() && !holder.claim_back(now + PATIENCE / 2, PATIENCE));
        assert!(holder.take());
        holder.leave(now);
        assert!(holder.claim_back(now + PATIENCE, PATIENCE));
        assert!(!holder.take());
        holder.leave(now);
        assert!(!holder.give_back() && holder == Holder::Task);
    }

    #[test]
    fn what_is_given_back_is_the_tasks_at_once() {
        let now = Instant::now();
        for away in [false, true] {
            let mut holder = Holder::Writer;
            if away {
                holder.leave(now);
            }
            assert!(
                holder.give_back() && holder.claim_back(now, PATIENCE),
                "{away}"
            );
        }
    }
}
