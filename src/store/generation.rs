//! What redtail serves: one generation, swapped as a whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;

use super::keyspaces::Keyspaces;
use super::tuning::Tuning;
use super::write::WriteToken;
use crate::dialect::Dialect;
use crate::feed::Feed;
use crate::history::{Lookout, Point, Reach};
use crate::rdb::module::ModuleAux;
use crate::value::Thresholds;

/// How long a reader waits for the end of a [`Change`], which takes microseconds unless the system is overloaded.
const CHANGE_PATIENCE: Duration = Duration::from_millis(200);

/// How long it waits before it looks again.
const CHANGE_PAUSE: Duration = Duration::from_micros(100);

/// Everything that one full sync brought, with the stream's changes since then.
#[derive(Debug)]
pub struct Generation {
    /// The databases.
    pub spaces: Keyspaces,
    /// The dialect of replies: by default, that of the server that wrote the snapshot.
    pub dialect: Dialect,
    /// The dialect of the server that wrote the snapshot.
    pub written_by: Dialect,
    /// The operator's settings that apply to it.
    pub tuning: Arc<Tuning>,
    /// What modules store beside the keys, in the snapshot's order.
    pub module_aux: Vec<ModuleAux>,
}

impl Generation {
    /// An empty generation.
    #[must_use]
    pub fn new(databases: usize, dialect: Dialect, tuning: Arc<Tuning>) -> Self {
        Self {
            spaces: Keyspaces::new(databases),
            dialect,
            written_by: dialect,
            tuning,
            module_aux: Vec::new(),
        }
    }

    /// The current thresholds of the small encodings.
    #[must_use]
    pub fn thresholds(&self) -> Thresholds {
        self.tuning.choices().thresholds(self.dialect)
    }
}

/// Where changes come from, for readers that want to see everything that has arrived.
pub trait Inflow: std::fmt::Debug + Send + Sync {
    /// Waits until everything that has arrived is visible, if that is likely to be soon.
    fn catch_up(&self);
}

/// How far the served data has come, for readers that wait for a point.
pub trait Course: std::fmt::Debug + Send + Sync {
    /// Whether the served data has everything up to `point`.
    fn reach(&self, point: Point) -> Reach;

    /// Where to wait until the answer may be another.
    fn lookout(&self) -> &Lookout;
}

/// The generation that readers see, none before the first sync, and the settings that all generations share.
#[derive(Debug, Default)]
pub struct Served {
    current: ArcSwapOption<Generation>,
    /// Counts the beginnings and ends of [`Change`]s: it is odd during one.
    changes: AtomicU64,
    /// Whether a generation was served before and was discarded to make room.
    cleared: AtomicBool,
    /// Whether the last proof that the served data lacks nothing is too old.
    stale: AtomicBool,
    tuning: Arc<Tuning>,
    feed: Arc<Feed>,
    inflow: Option<Arc<dyn Inflow>>,
    course: Option<Arc<dyn Course>>,
}

impl Served {
    /// Serves nothing yet; `tuning` applies to later generations. Comes with the only token to change what is served.
    #[must_use]
    pub fn new(tuning: Arc<Tuning>) -> (Self, WriteToken) {
        let served = Self {
            current: ArcSwapOption::default(),
            changes: AtomicU64::new(0),
            cleared: AtomicBool::new(false),
            stale: AtomicBool::new(false),
            tuning,
            feed: Arc::default(),
            inflow: None,
            course: None,
        };
        (served, WriteToken::new())
    }

    /// Sets where changes are noted.
    #[must_use]
    pub fn with_feed(mut self, feed: Arc<Feed>) -> Self {
        self.feed = feed;
        self
    }

    /// Where changes are noted.
    #[must_use]
    pub const fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }

    /// Sets where changes come from.
    #[must_use]
    pub fn with_inflow(mut self, inflow: Arc<dyn Inflow>) -> Self {
        self.inflow = Some(inflow);
        self
    }

    /// Sets what knows how far the data has come.
    #[must_use]
    pub fn with_course(mut self, course: Arc<dyn Course>) -> Self {
        self.course = Some(course);
        self
    }

    /// What knows how far the data has come; `None` if it follows no primary.
    #[must_use]
    pub fn course(&self) -> Option<&dyn Course> {
        self.course.as_deref()
    }

    /// Whether readers of `generation` see everything up to `point`. It takes the generation because another may have
    /// replaced it.
    #[must_use]
    pub fn reach(&self, generation: &Generation, point: Point) -> Reach {
        let reach = self
            .course()
            .map_or(Reach::Unknown, |course| course.reach(point));
        let is_current = || {
            let current = self.peek();
            current
                .as_deref()
                .is_some_and(|current| std::ptr::eq(current, generation))
        };
        match reach {
            // The new history becomes known after its data is served. So data that is still served has what its history has.
            Reach::Reached(applied) if !is_current() => Reach::NotYet(applied),
            reach => reach,
        }
    }

    /// Waits until everything that has arrived is visible, if that is likely to be soon. Call this for a request that may
    /// have been sent after a write whose effect its client expects to see.
    #[inline]
    pub fn catch_up(&self) {
        if let Some(inflow) = &self.inflow {
            inflow.catch_up();
        }
    }

    /// The operator's settings.
    #[must_use]
    pub const fn tuning(&self) -> &Arc<Tuning> {
        &self.tuning
    }

    /// The generation to answer from; `None` while the first one loads, and after [`WriteToken::clear`].
    #[must_use]
    pub fn current(&self) -> Option<Arc<Generation>> {
        self.current.load_full()
    }

    /// Like [`current`](Self::current), but cheaper, to be held for the length of one pipeline.
    #[must_use]
    pub fn peek(&self) -> arc_swap::Guard<Option<Arc<Generation>>> {
        self.current.load()
    }

    /// Begins to change what is served, and what is said of it. Drop the result when both are new.
    #[must_use]
    pub fn change(&self, _: &WriteToken) -> Change<'_> {
        self.changes.fetch_add(1, Ordering::SeqCst);
        Change(&self.changes)
    }

    /// Returns what `read` returns of a time without a [`Change`], so that the data and what is said of it belong together. Waits
    /// while one is under way, at most [`CHANGE_PATIENCE`] in all.
    pub fn steadily<T>(&self, mut read: impl FnMut() -> T) -> T {
        self.try_steadily(&mut read).unwrap_or_else(read)
    }

    /// Like [`steadily`](Self::steadily), but returns `None` if the wait was too short.
    pub fn try_steadily<T>(&self, mut read: impl FnMut() -> T) -> Option<T> {
        for _ in 0..CHANGE_PATIENCE.as_micros() / CHANGE_PAUSE.as_micros() {
            let before = self.changes.load(Ordering::SeqCst);
            if before.is_multiple_of(2) {
                let value = read();
                if self.changes.load(Ordering::SeqCst) == before {
                    return Some(value);
                }
            }
            std::thread::sleep(CHANGE_PAUSE);
        }
        None
    }

    /// Serves `next`, or nothing. Returns the old generation.
    pub(super) fn exchange(&self, next: Option<Arc<Generation>>) -> Option<Arc<Generation>> {
        let is_cleared = next.is_none();
        let old = self.current.swap(next);
        self.changes.fetch_add(2, Ordering::SeqCst);
        self.cleared
            .fetch_or(is_cleared && old.is_some(), Ordering::Relaxed);
        old
    }

    /// Sets whether reads must be refused because the served data may lack too much. Returns the previous setting.
    pub fn set_stale(&self, stale: bool) -> bool {
        self.stale.swap(stale, Ordering::Relaxed)
    }

    /// Whether reads must be refused for that reason.
    #[must_use]
    #[inline]
    pub fn is_stale(&self) -> bool {
        self.stale.load(Ordering::Relaxed)
    }

    /// Whether [`WriteToken::clear`] has ever discarded a served generation.
    #[must_use]
    pub fn was_cleared(&self) -> bool {
        self.cleared.load(Ordering::Relaxed)
    }
}

/// A change of what is served and of what is said of it. It ends when it is dropped.
#[derive(Debug)]
pub struct Change<'a>(&'a AtomicU64);

impl Drop for Change<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
