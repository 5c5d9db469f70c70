//! The handle on a running replica: what a program that embeds redtail uses, and what the server is built on.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::changes::{Changes, Scope};
use super::config::{Builder, Config};
use super::database::Database;
use super::error::Error;
use super::figures::Figures;
use super::pulse::Pulse;
use super::resync::Confirmation;
use super::scan::Scan;
use super::sources::{Sources, Status};
use super::staleness::{self, Freshness};
use super::sweep;
use super::wait_for::Whereabouts;
use super::writer::Writer;
use crate::command;
use crate::feed::{Feed, Interest, Lost};
use crate::history::Point;
use crate::state::{self, Keeper};
use crate::store::{Inflow, Ownership, Served, WriteToken};
use crate::upstream::{
    self, Arrivals, Begin, Brought, Link, Progress, ProgressWriter, SyncCause, Upstream,
};

/// Runs the scripts that primaries before Redis 7.0 may send as their text.
#[cfg(feature = "lua")]
fn scripting() -> Option<Arc<dyn command::ReplayScripts>> {
    // No client runs scripts here, so there is no time to share.
    let share = command::ScriptShare::default();
    Some(Arc::new(crate::script::Engine::new(share)))
}

/// Without Lua, such a script taints everything.
#[cfg(not(feature = "lua"))]
fn scripting() -> Option<Arc<dyn command::ReplayScripts>> {
    None
}

/// A replica that holds its state directory but has not started: from [`Replica::prepare`].
#[derive(Debug)]
pub struct Prepared {
    config: Config,
    keeper: Option<Keeper>,
    state: Option<Arc<state::Figures>>,
    feed: Arc<Feed>,
    ownership: Option<Arc<Ownership>>,
}

impl Prepared {
    /// Whether the state directory can be written.
    #[must_use]
    pub const fn keeps_state(&self) -> bool {
        self.keeper.is_some()
    }

    /// Where the replica's changes will be noted: who listens before the start misses nothing.
    #[must_use]
    pub const fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }

    /// Starts following, as [`Replica::start`] does.
    ///
    /// # Errors
    /// If the writer thread cannot be started.
    pub fn start(self) -> std::io::Result<Replica> {
        Replica::begin(self)
    }
}

/// A running replica. Shared by reference or in an [`Arc`], it answers any number of threads at once; reads do not wait for each
/// other, nor for the network. Dropping it stops it, without waiting.
///
/// A read never blocks for long, but it is not async: it takes as long as its command takes.
///
/// ```no_run
/// # use redtail::{Config, Replica};
/// # use std::sync::Arc;
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let replica = Arc::new(Replica::start(Config::new("redis://127.0.0.1:6379")?)?);
/// let reader = Arc::clone(&replica);
/// std::thread::spawn(move || println!("{:?}", reader.get("greeting")));
/// replica.stop().await; // every read answers Error::Stopped from now on
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Replica {
    sources: Sources,
    ready: watch::Receiver<bool>,
    stop: CancellationToken,
    writer: tokio::sync::Mutex<Option<JoinHandle<()>>>,
    /// Whether the writer has ended, for any reason: nothing keeps the data fresh any more.
    ended: Arc<AtomicBool>,
    /// Cancelled when the writer has ended.
    end: CancellationToken,
    confirmation: Arc<Confirmation>,
    /// Runs the link's task.
    runtime: Handle,
    /// The sweeper works until this is dropped.
    _sweeper: std::sync::mpsc::Sender<()>,
}

impl Inflow for Arrivals {
    #[inline]
    fn catch_up(&self) {
        Self::catch_up(self);
    }
}

/// Notes that the writer has ended when it is dropped, even by a panic.
struct EndNote(Arc<AtomicBool>, CancellationToken);

impl Drop for EndNote {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
        self.1.cancel();
    }
}

impl Replica {
    /// Collects settings, and starts a replica with them.
    ///
    /// ```no_run
    /// # async fn start() -> Result<(), redtail::StartError> {
    /// let replica = redtail::Replica::builder().upstream("redis://127.0.0.1:6379").start().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Starts following. Must be called inside a tokio runtime of any flavor with I/O and time enabled. The runtime runs the
    /// link's task for as long as the replica lives: if it ends, so does the replica. The writer has a thread of its own.
    /// Returns at once: [`ready`](Self::ready) waits for the first sync.
    ///
    /// Serves what the state directory holds before asking the primary for anything. A primary that is unreachable is no
    /// error: the link tries again until it is there, and [`status`](Self::status) says what is wrong.
    ///
    /// # Errors
    /// If there is no runtime, the writer thread cannot be started, or the state directory cannot be used.
    pub fn start(config: Config) -> std::io::Result<Self> {
        Self::prepare(config)?.start()
    }

    /// Takes the state directory, if there is one, but starts nothing yet: for a program that has more to open before it
    /// starts. If the disk does not allow writing to the directory, logs this and continues without it.
    ///
    /// # Errors
    /// If another process holds the state directory, or the setting must not name it.
    #[doc(hidden)]
    pub fn prepare(config: Config) -> std::io::Result<Prepared> {
        Self::prepare_owned(config, None)
    }

    /// Like [`prepare`](Self::prepare), for a replica of one shard of a cluster.
    pub(super) fn prepare_owned(
        config: Config,
        ownership: Option<Arc<Ownership>>,
    ) -> std::io::Result<Prepared> {
        if let Upstream::Cluster(_) = config.upstream.upstream {
            return Err(std::io::Error::other(
                "a replica in a program follows one server; redtail serve follows a whole cluster",
            ));
        }
        let state = Arc::new(state::Figures::default());
        let open = |config| Keeper::open_if_possible(config, &state);
        let keeper = config.state.clone().map(open).transpose();
        let keeper = keeper.map_err(std::io::Error::other)?.flatten();
        Ok(Prepared {
            state: config.state.is_some().then_some(state),
            feed: Arc::new(Feed::keeping(config.changes_window)),
            config,
            keeper,
            ownership,
        })
    }

    fn begin(prepared: Prepared) -> std::io::Result<Self> {
        let Prepared {
            config,
            keeper,
            state,
            feed,
            ownership,
        } = prepared;
        let runtime = Handle::try_current().map_err(std::io::Error::other)?;
        let tuning = config.tuning().owning(ownership);
        let link = Arc::<upstream::Status>::default();
        let inflow = Arc::clone(&link.arrivals);
        let (served, token) = Served::new(Arc::new(tuning));
        let progress = ProgressWriter::default();
        let figures = Arc::<Figures>::default();
        let course = Whereabouts::new(&progress, &figures);
        let served = served.with_inflow(inflow).with_feed(feed);
        let served = Arc::new(served.with_course(Arc::new(course)));
        let sweeper = sweep::start(&served, &token, &figures, config.expired_grace)?;
        let (ready_sender, ready) = watch::channel(false);
        let (links_sender, links) = mpsc::channel(1);
        let mut replica = Self {
            sources: Sources {
                served,
                progress: progress.shown(),
                link,
                figures,
                state,
            },
            ready,
            stop: CancellationToken::new(),
            writer: tokio::sync::Mutex::default(),
            ended: Arc::default(),
            end: CancellationToken::new(),
            confirmation: Arc::default(),
            runtime,
            _sweeper: sweeper,
        };
        let writer = replica.new_writer(token, progress, &config, keeper, ready_sender);
        let restored = replica.spawn_writer(writer, config.max_staleness.is_some(), links)?;
        replica.spawn_freshness(config.max_staleness);
        replica.spawn_link(config, restored, links_sender);
        Ok(replica)
    }

    fn new_writer(
        &self,
        token: WriteToken,
        progress: ProgressWriter,
        config: &Config,
        keeper: Option<Keeper>,
        ready: watch::Sender<bool>,
    ) -> Writer {
        Writer {
            served: Arc::clone(&self.sources.served),
            token,
            progress,
            figures: Arc::clone(&self.sources.figures),
            databases: config.databases,
            dialect: config.dialect,
            rate: config.writer_rate,
            transaction_max: config.transaction_bytes_max,
            resync: config.resync,
            confirmation: Arc::clone(&self.confirmation),
            ready,
            lineage: None,
            keeper,
            saving: None,
            scripting: scripting(),
            stop: self.stop.clone(),
            loaded: None,
            brought: Brought::default(),
            link: Arc::clone(&self.sources.link),
        }
    }

    /// Starts the writer's thread. The receiver gets where the first link starts once the state directory has been read.
    fn spawn_writer(
        &mut self,
        mut writer: Writer,
        age_matters: bool,
        links: mpsc::Receiver<Link>,
    ) -> std::io::Result<oneshot::Receiver<Begin>> {
        let (sender, restored) = oneshot::channel();
        let thread = std::thread::Builder::new().name("redtail-writer".to_owned());
        let end = EndNote(Arc::clone(&self.ended), self.end.clone());
        let thread = thread.spawn(move || {
            let _end = end;
            // The receiver is gone if the replica was stopped in the meantime.
            let _ = sender.send(writer.restore(age_matters));
            writer.run(links);
        })?;
        self.writer = Some(thread).into();
        Ok(restored)
    }

    fn spawn_freshness(&self, limit: Option<Duration>) {
        let freshness = Freshness {
            served: Arc::clone(&self.sources.served),
            progress: Arc::clone(&self.sources.progress),
            figures: Arc::clone(&self.sources.figures),
            link: Arc::clone(&self.sources.link),
            limit,
            pending: VecDeque::new(),
        };
        tokio::spawn(freshness.watch(self.stop.clone()));
    }

    fn spawn_link(
        &self,
        config: Config,
        restored: oneshot::Receiver<Begin>,
        links: mpsc::Sender<Link>,
    ) {
        let upstream = upstream::Config {
            proof_every: config.max_staleness.map(staleness::proof_period),
            ..config.upstream
        };
        let (progress, status) = (
            Arc::clone(&self.sources.progress),
            Arc::clone(&self.sources.link),
        );
        let stop = self.stop.clone();
        let state = self.sources.state.clone();
        tokio::spawn(async move {
            // A writer that panicked takes no links either: the first link reveals that.
            let mut begin = restored.await.unwrap_or(Begin {
                resume: None,
                cause: SyncCause::FirstStart,
            });
            // A directory that could not be opened says why.
            if state.is_some_and(|state| state.last_error().is_some()) {
                begin.cause = SyncCause::StateUnusable;
            }
            upstream::run(upstream, begin, links, progress, status, stop).await;
        });
    }

    /// Waits until there is something to read: until the first sync has finished, or the state directory has been read.
    /// Waits for as long as that takes: an unreachable primary may come back.
    ///
    /// # Errors
    /// [`Error::Stopped`] if the replica has ended, now or while this waits.
    pub async fn ready(&self) -> Result<(), Error> {
        if self.has_ended() {
            return Err(Error::Stopped);
        }
        let mut ready = self.ready.clone();
        ready
            .wait_for(|ready| *ready)
            .await
            .map(drop)
            .map_err(|_| Error::Stopped)
    }

    /// Whether there is anything to read. Its sender goes with the writer.
    pub(super) fn readiness(&self) -> watch::Receiver<bool> {
        self.ready.clone()
    }

    /// The runtime that the replica was started in.
    pub(super) const fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Whether nothing keeps the data fresh any more.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Accepts a full sync that the guard holds back ([`ResyncPolicy`](super::ResyncPolicy)). Does nothing if nothing is held back.
    pub fn accept_resync(&self) {
        self.confirmation.give();
    }

    /// Returns a function that does what [`accept_resync`](Self::accept_resync) does, for use elsewhere.
    #[doc(hidden)]
    pub fn resync_acceptor(&self) -> impl Fn() + Send + Sync + 'static {
        let confirmation = Arc::clone(&self.confirmation);
        move || confirmation.give()
    }

    /// Stops following and waits until the writer has ended. From then on every read answers [`Error::Stopped`], because nothing
    /// keeps the data fresh any more. [`status`](Self::status) still says how far the replica came.
    pub async fn stop(&self) {
        self.stop.cancel();
        let mut writer = self.writer.lock().await;
        if let Some(writer) = writer.take() {
            // A writer that panicked has nothing more to report; its thread has ended all the same.
            let _ = tokio::task::spawn_blocking(move || writer.join()).await;
        }
    }

    /// The generation being served.
    #[doc(hidden)]
    #[must_use]
    pub const fn served(&self) -> &Arc<Served> {
        &self.sources.served
    }

    /// The applied offset.
    #[doc(hidden)]
    #[must_use]
    pub const fn progress(&self) -> &Arc<Progress> {
        &self.sources.progress
    }

    /// The link's state and counters.
    #[doc(hidden)]
    #[must_use]
    pub const fn link(&self) -> &Arc<upstream::Status> {
        &self.sources.link
    }

    /// The writer's counters.
    #[doc(hidden)]
    #[must_use]
    pub const fn figures(&self) -> &Arc<Figures> {
        &self.sources.figures
    }

    /// Is cancelled when the writer has ended, for whatever reason.
    #[doc(hidden)]
    #[must_use]
    pub fn end(&self) -> CancellationToken {
        self.end.clone()
    }

    /// Watches whether the writer works.
    #[doc(hidden)]
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        let (progress, figures) = (&self.sources.progress, &self.sources.figures);
        Pulse::new(
            Arc::clone(&self.ended),
            Arc::clone(progress),
            Arc::clone(figures),
        )
    }

    /// Everything that says how the replica stands.
    #[doc(hidden)]
    #[must_use]
    pub const fn sources(&self) -> &Sources {
        &self.sources
    }

    /// The state of the replica.
    #[must_use]
    pub fn status(&self) -> Status {
        self.sources.status()
    }

    /// Database `number`, for reading.
    #[must_use]
    pub const fn database(&self, number: usize) -> Database<'_> {
        Database {
            place: self,
            number,
        }
    }

    /// The changes of the data from now on, in order, each exactly once. Before the first sync, the stream begins with it:
    /// [`What::Replaced`](super::What::Replaced).
    ///
    /// ```no_run
    /// use redtail::changes::What;
    ///
    /// # async fn follow(replica: &redtail::Replica) -> Result<(), redtail::Error> {
    /// let mut changes = replica.changes();
    /// while let Some(change) = changes.next().await {
    ///     match change {
    ///         Ok(change) => match change.what {
    ///             What::Key { key, event: "set", .. } => {
    ///                 // Sees this change, or a later one.
    ///                 let value = replica.database(change.db).get(&key)?;
    ///                 println!("{} is {value:?}", String::from_utf8_lossy(&key));
    ///             }
    ///             what => println!("offset {}: {what:?}", change.point.offset),
    ///         },
    ///         Err(lost) => println!("{lost}: read again what matters"),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A program that takes changes slower than they happen for long (64 MiB of them) gets [`Lost`] and continues from then on:
    /// the replica never waits for it.
    #[must_use]
    pub fn changes(&self) -> Changes {
        self.listen(Scope::default())
    }

    /// The changes after `point`, which an earlier [`Changes::seen`] returned, in this process or before a restart. The replica
    /// keeps the newest [`Config::changes_window`] bytes of changes, and reads them from the state directory when it starts; they
    /// are there once [`ready`](Self::ready) has returned. If the primary has failed over since, the changes continue under the
    /// new id.
    ///
    /// ```no_run
    /// # use redtail::{Config, Replica, changes::Lost, status::Point};
    /// # async fn resume(kept: Option<Point>) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut config = Config::new("redis://127.0.0.1:6379")?;
    /// config.changes_window = 64 << 20;
    /// let replica = Replica::start(config)?;
    /// replica.ready().await?;
    /// let mut changes = match kept.map(|point| replica.changes_from(point)) {
    ///     Some(Ok(changes)) => changes,
    ///     Some(Err(Lost)) | None => replica.changes(), // and read again what matters
    /// };
    /// while let Some(change) = changes.next().await {
    ///     println!("{change:?}");
    ///     let _keep: Option<Point> = changes.seen();
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Lost`] if the replica does not have all changes since then.
    pub fn changes_from(&self, point: Point) -> Result<Changes, Lost> {
        let feed = self.sources.served.feed();
        let listener = feed.listen_from(Interest::EVENTS, point)?;
        let end = self.end.clone();
        Ok(Changes::new(listener, Scope::default(), end, Some(point)))
    }

    /// The changes of keys that begin with `prefix`, in any database. Also has the changes that may concern any key: emptied,
    /// swapped and replaced databases, and taints of everything. A change of another key costs one comparison.
    ///
    /// ```no_run
    /// # use redtail::changes::What;
    /// # async fn watch(replica: &redtail::Replica) {
    /// let mut sessions = replica.watch_prefix("session:");
    /// while let Some(Ok(change)) = sessions.next().await {
    ///     match change.what {
    ///         What::Key { key, event: "del" | "expired", .. } => println!("{key:?} is gone"),
    ///         _ => {}
    ///     }
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn watch_prefix(&self, prefix: impl Into<Vec<u8>>) -> Changes {
        self.listen(Scope {
            db: None,
            prefix: prefix.into(),
        })
    }

    /// Walks over the keys of database 0: [`Database::scan`].
    #[must_use]
    pub fn scan(&self, pattern: impl Into<Vec<u8>>) -> Scan<'_> {
        self.database(0).scan(pattern)
    }

    pub(super) fn listen(&self, scope: Scope) -> Changes {
        let listener = self.sources.served.feed().listen(Interest::EVENTS);
        Changes::new(listener, scope, self.end.clone(), None)
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
