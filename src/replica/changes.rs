//! The changes of the data, as a stream for programs that embed a replica.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use tokio_util::sync::CancellationToken;

use crate::feed::{self, Class, Fact, Interest, Listener, Lost, News};
use crate::history::Point;

/// One change of the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where in the history the change is visible. Changes at the same point became visible together.
    pub point: Point,
    /// The database; 0 where [`what`](Self::what) is about all of them.
    pub db: usize,
    /// What changed.
    pub what: What,
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// Something happened to a key.
    Key {
        /// The key.
        key: Vec<u8>,
        /// What happened: the event of the server's keyspace notification, such as `set`, `del`, `expire` or `rpush`. If servers
        /// publish none, the name of the command.
        event: &'static str,
        /// The word of TYPE for the value after the change, or for the one that is gone; `None` if it is not known.
        kind: Option<&'static str>,
    },
    /// The database was emptied.
    Flushed,
    /// The database and this one changed places.
    Swapped {
        /// The other database.
        with: usize,
    },
    /// A full resync has replaced the data, or keys that a migration had hidden have appeared.
    Replaced {
        /// Whether the keys that differ follow as changes at the same point: `restore` and `del`. If not, anything may have
        /// changed.
        differences_follow: bool,
    },
    /// A write to this key could not be applied: its value is not known, and reads of it fail.
    Tainted {
        /// The key.
        key: Vec<u8>,
    },
    /// A write could not be applied, and it is not known to which keys: all reads fail.
    AllTainted,
}

/// Which keys are of interest.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    /// `None` for all databases.
    pub(super) db: Option<usize>,
    pub(super) prefix: Vec<u8>,
}

/// The changes of a replica's data, in order, each exactly once: from [`Replica::changes`](super::Replica::changes).
///
/// Each item is a [`Change`], or [`Lost`] if this program took the changes too slowly: the changes until then are gone, and the
/// stream continues with what changes from now on. Reads that follow an item see at least that change.
///
/// The stream ends when the replica does. Dropping it ends listening. While nobody listens, changes cost nothing.
pub struct Changes {
    source: Source,
    scope: Scope,
    ended: CancellationToken,
    /// Changes to return, oldest first.
    ready: VecDeque<Change>,
    /// The end of what `ready` came from.
    end: Option<Point>,
    seen: Option<Point>,
}

/// Where the next changes come from.
enum Source {
    Idle(Listener),
    Waiting(Pin<Box<dyn Future<Output = Taken> + Send>>),
    Over,
}

type Taken = (Listener, Option<Result<News, Lost>>);

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Changes");
        debug.field("scope", &self.scope).field("seen", &self.seen);
        debug.finish_non_exhaustive()
    }
}

impl Changes {
    pub(super) fn new(
        listener: Listener,
        scope: Scope,
        ended: CancellationToken,
        seen: Option<Point>,
    ) -> Self {
        Self {
            source: Source::Idle(listener),
            scope,
            ended,
            ready: VecDeque::new(),
            end: None,
            seen,
        }
    }

    /// The next change, as soon as there is one; `None` once the replica has ended. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<Change, Lost>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// The point up to which all changes have been returned, to be kept for
    /// [`Replica::changes_from`](super::Replica::changes_from). Changes at one point belong together: the point counts once the
    /// last of them has been returned. `None` before the first change, and after [`Lost`] until the next one.
    #[must_use]
    pub const fn seen(&self) -> Option<Point> {
        self.seen
    }

    fn give(&mut self) -> Option<Change> {
        let change = self.ready.pop_front()?;
        match self.ready.front() {
            None => self.seen = self.end,
            Some(next) if next.point != change.point => self.seen = Some(change.point),
            Some(_) => {}
        }
        Some(change)
    }

    fn take(&mut self, news: &News) -> Result<(), Lost> {
        // Nothing is noted before a history has begun.
        let replid = news.replid().ok_or(Lost)?;
        for change in news.changes(Interest::EVENTS) {
            let point = Point {
                replid,
                offset: change.offset,
            };
            self.end = Some(point);
            let what = self.scope.what(&change);
            self.ready.extend(what.map(|what| Change {
                point,
                db: change.db,
                what,
            }));
        }
        if self.ready.is_empty() {
            self.seen = self.end;
        }
        Ok(())
    }
}

impl Stream for Changes {
    type Item = Result<Change, Lost>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(change) = self.give() {
                return Poll::Ready(Some(Ok(change)));
            }
            let mut waiting = match std::mem::replace(&mut self.source, Source::Over) {
                Source::Idle(listener) => Box::pin(taken(listener, self.ended.clone())),
                Source::Waiting(waiting) => waiting,
                Source::Over => return Poll::Ready(None),
            };
            let Poll::Ready((listener, news)) = waiting.as_mut().poll(cx) else {
                self.source = Source::Waiting(waiting);
                return Poll::Pending;
            };
            let Some(news) = news else {
                return Poll::Ready(None);
            };
            self.source = Source::Idle(listener);
            if let Err(lost) = news.and_then(|news| self.take(&news)) {
                (self.seen, self.end) = (None, None);
                return Poll::Ready(Some(Err(lost)));
            }
        }
    }
}

/// The next batch; `None` once the writer has ended and everything has been taken.
async fn taken(mut listener: Listener, ended: CancellationToken) -> Taken {
    let news = tokio::select! {
        biased;
        news = listener.next() => Some(news),
        () = ended.cancelled() => listener.try_next().transpose(),
    };
    (listener, news)
}

/// Events that say more about a change that another event tells.
pub(crate) const REMARKS: Class = Class::NEW
    .with(Class::OVERWRITTEN)
    .with(Class::TYPE_CHANGED)
    .with(Class::KEY_MISS);

impl Scope {
    fn has(&self, db: usize, key: &[u8]) -> bool {
        self.has_db(db) && key.starts_with(&self.prefix)
    }

    fn has_db(&self, db: usize) -> bool {
        self.db.is_none_or(|own| own == db)
    }

    /// What a change says, if it is of interest.
    fn what(&self, change: &feed::Change<'_>) -> Option<What> {
        let db = change.db;
        match change.fact {
            Fact::Event {
                class,
                event,
                kind,
                key,
            } if self.has(db, key) && !class.meets(REMARKS) => Some(What::Key {
                key: key.to_vec(),
                event,
                kind: Some(kind).filter(|kind| !UNKNOWN.contains(kind)),
            }),
            Fact::Doubt { key } if self.has(db, key) => Some(What::Tainted { key: key.to_vec() }),
            Fact::DoubtOfEverything => Some(What::AllTainted),
            Fact::Flushed if self.has_db(db) => Some(What::Flushed),
            Fact::Swapped { other } if self.has_db(db) || self.has_db(other) => {
                Some(What::Swapped { with: other })
            }
            Fact::Replaced { told } => Some(What::Replaced {
                differences_follow: told,
            }),
            _ => None,
        }
    }
}

/// Words for kinds that are not known: none, and that of a value that expired and was discarded.
pub(crate) const UNKNOWN: [&str; 2] = ["", "discarded"];
