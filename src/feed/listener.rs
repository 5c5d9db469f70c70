//! One listener's place in the feed.

use std::sync::Arc;

use super::Feed;
use super::batch::{Batch, Change};
use super::interest::Interest;
use super::mark::Mark;
use crate::history::ReplId;

/// The listener was too slow, or came back too late: changes that it has not seen are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the feed no longer has all changes since this place")]
pub struct Lost;

/// A batch of changes that are new to a listener.
#[derive(Debug, Clone)]
pub struct News {
    pub(super) batch: Arc<Batch>,
    /// The offset up to which the listener knows them.
    pub(super) known: Option<u64>,
}

impl News {
    /// The changes that a listener with this interest learns of, in order.
    pub fn changes(&self, interest: Interest) -> impl Iterator<Item = Change<'_>> {
        let changes = self.batch.changes(interest);
        changes.filter(|change| self.known.is_none_or(|known| change.offset > known))
    }

    /// The history that their offsets belong to; `None` before the first one.
    #[must_use]
    pub fn replid(&self) -> Option<ReplId> {
        self.batch.replid()
    }

    /// The place that this is, if it is a place and has no changes.
    #[must_use]
    pub fn mark(&self) -> Option<Mark> {
        self.batch.mark()
    }
}

/// A place in the feed. Dropping it ends listening.
#[derive(Debug)]
pub struct Listener {
    feed: Arc<Feed>,
    number: u64,
}

impl Listener {
    pub(super) const fn new(feed: Arc<Feed>, number: u64) -> Self {
        Self { feed, number }
    }

    /// Returns what changes this listener's interest from elsewhere.
    #[must_use]
    pub fn dial(&self) -> Dial {
        Dial {
            feed: Arc::clone(&self.feed),
            number: self.number,
        }
    }

    /// Listens for something else from now on.
    pub fn set_interest(&self, interest: Interest) {
        self.feed.ring().set_interest(self.number, interest);
        self.feed.count_wanted();
    }

    /// The next batch, if there is one already. Calling this says that the batches before it have been dealt with.
    ///
    /// # Errors
    /// [`Lost`] if changes are gone; the next call continues with what is shown from now on.
    pub fn try_next(&mut self) -> Result<Option<News>, Lost> {
        let news = self.feed.ring().take(self.number);
        self.feed.taken.notify_all();
        news
    }

    /// The next batch, as soon as there is one.
    ///
    /// # Errors
    /// Like [`try_next`](Self::try_next).
    pub async fn next(&mut self) -> Result<News, Lost> {
        let feed = Arc::clone(&self.feed);
        loop {
            let mut shown = std::pin::pin!(feed.shown.notified());
            // From here on, no notification is missed.
            shown.as_mut().enable();
            if let Some(news) = self.try_next()? {
                return Ok(news);
            }
            shown.await;
        }
    }
}

/// Changes what a listener listens for, while another task waits for its next batch.
#[derive(Debug)]
pub struct Dial {
    feed: Arc<Feed>,
    number: u64,
}

impl Dial {
    /// Listens for something else from the writer's next turn on. Does nothing once the listener is gone.
    pub fn set_interest(&self, interest: Interest) {
        self.feed.ring().set_interest(self.number, interest);
        self.feed.count_wanted();
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.feed.ring().leave(self.number);
        self.feed.taken.notify_all();
        self.feed.count_wanted();
    }
}
