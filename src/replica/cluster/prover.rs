//! What a shard's primary has said about its slots, and what that proves.
//!
//! The primary is asked for its offset, and *then* for its slots. If it says twice in a row, under the same configuration epoch, that it
//! owns a slot and moves none of its keys, then the slot is *settled*: what was removed from it up to the offset of the second answer was
//! deleted. Once is not enough: before that, keys may have been away and come back. They came back before the second question, so
//! whoever has applied everything up to its offset has them. A new epoch begins all this anew: a slot that comes back brings one.

use std::sync::Arc;

use crate::history::ReplId;
use crate::slots::ClusterSlots;

/// What the primary said once.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    /// The node that spoke.
    pub(super) node: Arc<str>,
    /// Its configuration epoch.
    pub(super) epoch: u64,
    /// Its history.
    pub(super) replid: ReplId,
    /// The offset that it named first.
    pub(super) offset: u64,
    /// The slots that it owned, and of which it moved no key away.
    pub(super) stable: ClusterSlots,
}

/// What is proven of one shard.
#[derive(Debug, Default)]
pub(super) struct Prover {
    last: Option<Statement>,
    /// Whether `settled` is of the same epoch as `last`.
    is_continued: bool,
    settled: ClusterSlots,
    proven: u64,
    /// Slots that will be settled once everything up to an offset is applied.
    waiting: Option<(ClusterSlots, u64)>,
}

impl Prover {
    /// Takes what the primary says now. Returns whether something new is proven.
    pub(super) fn take(&mut self, said: Statement) -> bool {
        let follows = self.last.as_ref().is_some_and(|last| {
            (&last.node, last.epoch, last.replid) == (&said.node, said.epoch, said.replid)
        });
        let stable = self.last.replace(said.clone()).map(|last| last.stable);
        let Some(mut stable) = stable.filter(|_| follows) else {
            self.is_continued = false;
            self.waiting = None;
            return false;
        };
        stable.keep_all(&said.stable);
        if self.is_continued {
            self.settled.keep_all(&stable);
            self.proven = said.offset;
        }
        match &mut self.waiting {
            Some((slots, _)) => slots.keep_all(&stable),
            None => {
                let mut new = stable;
                if self.is_continued {
                    new.remove_all(&self.settled);
                }
                self.waiting = (!new.is_empty()).then_some((new, said.offset));
            }
        }
        self.is_continued
    }

    /// Notes how far the shard's data has come. Returns whether something new is proven.
    pub(super) fn advance(&mut self, applied: u64) -> bool {
        let Some((slots, _)) = self.waiting.take_if(|(_, offset)| *offset <= applied) else {
            return false;
        };
        if !self.is_continued {
            self.settled = ClusterSlots::default();
            self.is_continued = true;
        }
        self.settled.add_all(&slots);
        self.proven = self.last.as_ref().map_or(0, |last| last.offset);
        true
    }

    /// Forgets these slots: they have been away.
    pub(super) fn lose(&mut self, slots: &ClusterSlots) {
        self.settled.remove_all(slots);
        if let Some((waiting, _)) = &mut self.waiting {
            waiting.remove_all(slots);
        }
        if let Some(last) = &mut self.last {
            last.stable.remove_all(slots);
        }
    }

    /// The settled slots, and the offset up to which they are.
    pub(super) const fn proof(&self) -> (&ClusterSlots, u64) {
        (&self.settled, self.proven)
    }

    /// The history that the proof is about.
    pub(super) fn history(&self) -> Option<ReplId> {
        self.last.as_ref().map(|last| last.replid)
    }

    /// Whether slots wait until more is applied.
    pub(super) const fn waits(&self) -> bool {
        self.waiting.is_some()
    }

    /// Whether slots could be settled if the primary spoke once more.
    pub(super) const fn needs_more(&self) -> bool {
        self.waiting.is_none() && !self.is_continued
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn said(epoch: u64, offset: u64, slots: &str) -> Statement {
        let stable = match slots {
            "" => ClusterSlots::default(),
            slots => ClusterSlots::from_text(slots.as_bytes()).unwrap(),
        };
        Statement {
            node: "a".into(),
            epoch,
            replid: "0".repeat(40).parse().unwrap(),
            offset,
            stable,
        }
    }

    fn shown(prover: &Prover) -> String {
        let (settled, proven) = prover.proof();
        format!("{settled} until {proven}")
    }

    #[test]
    fn twice_the_same_and_applied_is_settled() {
        let mut prover = Prover::default();
        assert!(!prover.take(said(1, 10, "0-9")) && !prover.advance(100) && prover.needs_more());
        assert!(!prover.take(said(1, 20, "0-9")));
        assert!(!prover.advance(19) && prover.waits() && !prover.needs_more());
        assert!(prover.advance(20));
        assert_eq!(shown(&prover), "0-9 until 20");
        assert!(prover.take(said(1, 30, "0-9")) && !prover.waits() && !prover.needs_more());
        assert_eq!(shown(&prover), "0-9 until 30");
    }

    #[test]
    fn a_slot_that_moves_is_settled_no_longer() {
        let mut prover = Prover::default();
        prover.take(said(1, 10, "0-9"));
        prover.take(said(1, 20, "0-9"));
        prover.advance(20);
        prover.take(said(1, 30, "0-4"));
        assert_eq!(shown(&prover), "0-4 until 30");
        // Back again: twice, and applied.
        assert!(prover.take(said(1, 40, "0-9")));
        assert_eq!(shown(&prover), "0-4 until 40");
        prover.take(said(1, 50, "0-9"));
        assert!(!prover.advance(49));
        prover.take(said(1, 60, "0-9"));
        assert!(prover.advance(50));
        assert_eq!(shown(&prover), "0-9 until 60");
    }

    #[test]
    fn a_new_epoch_begins_anew_and_what_was_proven_stays() {
        let mut prover = Prover::default();
        prover.take(said(1, 10, "0-9"));
        prover.take(said(1, 20, "0-9"));
        prover.advance(20);
        assert!(!prover.take(said(2, 30, "0-19")));
        assert_eq!(shown(&prover), "0-9 until 20");
        assert!(!prover.take(said(2, 40, "0-19")));
        assert_eq!(shown(&prover), "0-9 until 20");
        assert!(!prover.advance(39) && prover.advance(40));
        assert_eq!(shown(&prover), "0-19 until 40");
    }

    #[test]
    fn another_node_begins_anew() {
        let mut prover = Prover::default();
        prover.take(said(1, 10, "0-9"));
        let mut other = said(1, 20, "0-9");
        other.node = "b".into();
        prover.take(other.clone());
        assert!(!prover.advance(100));
        prover.take(other);
        assert!(prover.advance(100));
    }
}
