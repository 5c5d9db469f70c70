//! The handle on a running replica: what a program that embeds redtail uses, and what the server is built on.

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::changes::{Changes, Scope};
use super::figures::Figures;
use super::pulse::Pulse;
use super::reply::{self, Reply};
use super::resync::{Confirmation, ResyncPolicy};
use super::sources::{Sources, Status};
use super::staleness::{self, Freshness};
use super::sweep;
use super::wait_for::Whereabouts;
use super::writer::Writer;
use crate::command::{self, glob::Glob};
use crate::dialect::Dialect;
use crate::feed::{Feed, Interest, Lost};
use crate::history::Point;
use crate::resp::{self, ArgsBuf, Protocol};
use crate::state::{self, Keeper};
use crate::store::{
    Cursor, Generation, Inflow, Names, NoSuchDatabase, Refusal, Served, Tainted, Tuning, Value,
    View, WriteToken, WrongType,
};
use crate::upstream::{
    self, AddressError, Arrivals, Begin, Brought, Link, Progress, ProgressWriter, SyncCause,
};
use crate::value::Choices;

/// Redis's default number of databases.
const DATABASES: usize = 16;

/// Far more than clocks differ, and far more than a primary lags with its deletions.
pub const EXPIRED_GRACE: Duration = Duration::from_secs(60);

/// How a replica follows its primary. What its fields are made of is in `redtail::config`.
///
/// ```
/// use redtail::Config;
/// use std::time::Duration;
///
/// let mut config = Config::new("rediss://replica:secret@primary.example:6380")?;
/// config.upstream.tls.ca_cert_file = Some("/etc/redtail/ca.pem".into());
/// config.max_staleness = Some(Duration::from_secs(5)); // rather an error than older data
/// # Ok::<(), redtail::config::AddressError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Config {
    /// The primary and the link to it.
    pub upstream: upstream::Config,
    /// How many databases there can be: the primary's `databases`, which is 16 by default.
    pub databases: usize,
    /// Where small encodings end, if not where the upstream's own defaults put the limits.
    pub encodings: Choices,
    /// How long after a key expires the memory of its value is freed. Zero keeps every value until the primary deletes
    /// its key.
    pub expired_grace: Duration,
    /// The dialect of replies; `None` for that of the server that wrote the snapshot.
    pub dialect: Option<Dialect>,
    /// Whether keys keep their time of last use, for OBJECT IDLETIME: four bytes per key, or eight, as the allocator
    /// rounds.
    pub track_access: bool,
    /// What a full sync may do to the served data.
    pub resync: ResyncPolicy,
    /// Maximum bytes of the primary's stream and snapshots that the writer processes per second; the rest waits in the
    /// spool. `None` for no limit.
    pub writer_rate: Option<NonZeroU64>,
    /// Maximum bytes of a primary's transaction to keep until its EXEC. A larger one ends the link, and a full sync
    /// brings its outcome.
    pub transaction_bytes_max: usize,
    /// What a restart resumes from; without it, a restart begins with a full sync.
    pub state: Option<state::Config>,
    /// The maximum age of the last proof that the served data lacks nothing. Reads are refused beyond it. `None` for no
    /// limit.
    pub max_staleness: Option<Duration>,
    /// Bytes of changes that are kept for [`Replica::changes_from`]. With 0, none are, and changes cost nothing while nobody
    /// listens.
    pub changes_window: usize,
    /// Names of commands to ignore: commands that the upstream sends and that touch no data. `opinfo`, which a provider's
    /// servers send, is always ignored. Any other unknown command taints everything.
    pub stream_ignore: Vec<String>,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Tainted(_) => Self::Tainted,
            Refusal::Migrating(_) => Self::Reply(refusal.to_string()),
            Refusal::Unheld => Self::Reply(refusal.to_string()),
        }
    }
}

impl Config {
    /// Follows the primary at `address`: `redis://[user[:password]@]host[:port]`, `rediss://…` over TLS, `unix:///path`,
    /// or several of these separated by commas, which are tried in turn; or the primary that sentinels name:
    /// `sentinel://host[:port],…/name`.
    ///
    /// # Errors
    /// [`AddressError`] says what is wrong with the address.
    pub fn new(address: &str) -> Result<Self, AddressError> {
        let upstream = upstream::Config::new(address.parse()?);
        Ok(Self {
            upstream,
            databases: DATABASES,
            encodings: Choices::default(),
            expired_grace: EXPIRED_GRACE,
            dialect: None,
            track_access: false,
            resync: ResyncPolicy::default(),
            writer_rate: None,
            transaction_bytes_max: crate::limits::TRANSACTION_BYTES_MAX,
            state: None,
            max_staleness: None,
            changes_window: 0,
            stream_ignore: Vec::new(),
        })
    }
}

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

/// Why a read has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is nothing to read from: the first sync has not finished yet, or a later one under
    /// [`OneCopy`](super::ResyncMemory::OneCopy).
    #[error("LOADING a full sync with the primary has not finished yet")]
    Loading,
    /// The last proof that the data is fresh is too old: [`Config::max_staleness`].
    #[error("MASTERDOWN the data is older than allowed, or not proven to be fresh")]
    Stale,
    /// The replica has ended: it was stopped, or the runtime in which it was started has ended.
    #[error("the replica has stopped")]
    Stopped,
    /// The key holds another type.
    #[error("{}", WrongType)]
    WrongType,
    /// A write from the primary could not be applied, so the value is not known until the next full sync.
    #[error("{}", Tainted)]
    Tainted,
    /// The command's own error reply, with its code: `ERR unknown command …`, `READONLY …`.
    #[error("{0}")]
    Reply(String),
}

/// A replica that holds its state directory but has not started: from [`Replica::prepare`].
#[derive(Debug)]
pub struct Prepared {
    config: Config,
    keeper: Option<Keeper>,
    state: Option<Arc<state::Figures>>,
    feed: Arc<Feed>,
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
        let state = Arc::new(state::Figures::default());
        let open = |config| Keeper::open_if_possible(config, &state);
        let keeper = config.state.clone().map(open).transpose();
        let keeper = keeper.map_err(std::io::Error::other)?.flatten();
        Ok(Prepared {
            state: config.state.is_some().then_some(state),
            feed: Arc::new(Feed::keeping(config.changes_window)),
            config,
            keeper,
        })
    }

    fn begin(prepared: Prepared) -> std::io::Result<Self> {
        let Prepared {
            config,
            keeper,
            state,
            feed,
        } = prepared;
        tokio::runtime::Handle::try_current().map_err(std::io::Error::other)?;
        let tuning = Tuning::new(config.encodings)
            .tracking_access(config.track_access)
            .ignoring(&config.stream_ignore);
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

    /// Whether nothing keeps the data fresh any more.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Accepts a full sync that the guard holds back ([`ResyncPolicy`]). Does nothing if nothing is held back.
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
            replica: self,
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

    fn listen(&self, scope: Scope) -> Changes {
        let listener = self.sources.served.feed().listen(Interest::EVENTS);
        Changes::new(listener, scope, self.end.clone(), None)
    }

    /// [`Database::get`] of database 0.
    ///
    /// # Errors
    /// [`Error`].
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, Error> {
        self.database(0).get(key)
    }

    /// [`Database::get_with`] of database 0.
    ///
    /// # Errors
    /// [`Error`].
    pub fn get_with<R>(
        &self,
        key: impl AsRef<[u8]>,
        read: impl FnOnce(Option<&[u8]>) -> R,
    ) -> Result<R, Error> {
        self.database(0).get_with(key, read)
    }

    /// [`Database::mget`] of database 0.
    ///
    /// # Errors
    /// [`Error`].
    pub fn mget<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        self.database(0).mget(keys)
    }

    /// [`Database::scan`] of database 0.
    #[must_use]
    pub fn scan(&self, pattern: impl Into<Vec<u8>>) -> Scan<'_> {
        self.database(0).scan(pattern)
    }

    /// [`Database::command`] of database 0.
    ///
    /// # Errors
    /// [`Error`].
    pub fn command<W: AsRef<[u8]>>(&self, words: &[W]) -> Result<Reply, Error> {
        self.database(0).command(words)
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// One database of a replica.
#[derive(Debug, Clone, Copy)]
pub struct Database<'r> {
    replica: &'r Replica,
    number: usize,
}

impl<'r> Database<'r> {
    /// The served generation, if it has this database.
    fn known<'g>(&self, served: Option<&'g Arc<Generation>>) -> Result<&'g Generation, Error> {
        if self.replica.has_ended() {
            return Err(Error::Stopped);
        }
        let generation = served.ok_or(Error::Loading)?;
        if self.replica.sources.served.is_stale() {
            return Err(Error::Stale);
        }
        if self.number < generation.spaces.databases() {
            Ok(generation)
        } else {
            Err(Error::Reply(NoSuchDatabase.to_string()))
        }
    }

    /// [`Replica::watch_prefix`], for the keys of this database.
    #[must_use]
    pub fn watch_prefix(&self, prefix: impl Into<Vec<u8>>) -> Changes {
        self.replica.listen(Scope {
            db: Some(self.number),
            prefix: prefix.into(),
        })
    }

    /// The string at `key`; `None` if the key does not exist.
    ///
    /// # Errors
    /// [`Error::Loading`], [`Error::Stale`] and [`Error::Stopped`] if there is nothing to read from; [`Error::WrongType`] and
    /// [`Error::Tainted`] because of the key; [`Error::Reply`] if the database does not exist.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, Error> {
        self.get_with(key, |text| text.map(<[u8]>::to_vec))
    }

    /// Passes the string at `key` to `read` in place, without a copy, and returns what `read` returns. The writer waits
    /// for `read` if it changes the same shard, so `read` should be short; it must not read from the replica itself.
    ///
    /// ```no_run
    /// # fn read(replica: &redtail::Replica) -> Result<(), redtail::Error> {
    /// let length = replica.get_with("page:1", |text| text.map(<[u8]>::len))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Like [`get`](Self::get); then `read` is not called.
    pub fn get_with<R>(
        &self,
        key: impl AsRef<[u8]>,
        read: impl FnOnce(Option<&[u8]>) -> R,
    ) -> Result<R, Error> {
        let key = key.as_ref();
        let served = self.replica.sources.served.peek();
        let generation = self.known(served.as_ref())?;
        let hold = generation.spaces.view_key(self.number, key);
        let value = hold.read(Names::Key(key), |view| Ok::<_, Error>(view.value(key)))?;
        with_text(value, read)
    }

    /// The strings at `keys`, all at one offset; `None` for a key that does not exist or holds no string.
    ///
    /// # Errors
    /// Like [`get`](Self::get), but never [`Error::WrongType`]; [`Error::Tainted`] if any of the keys is tainted.
    pub fn mget<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        let served = self.replica.sources.served.peek();
        let generation = self.known(served.as_ref())?;
        let names = || keys.iter().map(AsRef::as_ref);
        let hold = generation.spaces.view_keys(self.number, names());
        let each = |visit: &mut dyn FnMut(&[u8])| names().for_each(visit);
        hold.read(Names::Keys(&each), |view| {
            Ok(names().map(|key| text(view, key).unwrap_or(None)).collect())
        })
    }

    /// Walks over the keys that match the glob `pattern`, without holding the writer up. Returns a key that exists throughout
    /// at least once, possibly twice; a key that is added or removed meanwhile may be missing or not.
    ///
    /// An error, such as [`Error::Loading`], is the walk's last item.
    #[must_use]
    pub fn scan(&self, pattern: impl Into<Vec<u8>>) -> Scan<'r> {
        Scan {
            database: *self,
            pattern: pattern.into(),
            cursor: Some(Cursor::START),
            found: Vec::new(),
        }
    }

    /// Runs a read command by name, as a client would, and returns its RESP3 reply.
    ///
    /// ```no_run
    /// # use redtail::{Error, Replica, Reply};
    /// # fn read(replica: &Replica) -> Result<(), Error> {
    /// let users = replica.database(3);
    /// if let Reply::Map(fields) = users.command(&["HGETALL", "user:1"])? {
    ///     println!("{} fields", fields.len());
    /// }
    /// let score = users.command(&["ZSCORE", "board", "anna"])?; // Reply::Double or Reply::Null
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Loading`], [`Error::Stale`] and [`Error::Stopped`] if there is nothing to read from; [`Error::Reply`] with the
    /// error that a client would get, including for writes, for unknown commands and for tainted keys.
    pub fn command<W: AsRef<[u8]>>(&self, words: &[W]) -> Result<Reply, Error> {
        let owned = ArgsBuf::new(words);
        let args = owned.as_args();
        let reply_error = |error: command::Error| Error::Reply(error.to_string());
        let served = self.replica.sources.served.peek();
        let dialect = served
            .as_ref()
            .map_or_else(Dialect::default, |generation| generation.dialect);
        let row = command::resolve_for(args, dialect).map_err(reply_error)?;
        let Some(handler) = row.read else {
            let reason = if row.is_write() {
                "READONLY You can't write against a read only replica."
            } else {
                "ERR this command needs a connection, and the library has none"
            };
            return Err(Error::Reply(reason.to_owned()));
        };
        let generation = self.known(served.as_ref())?;
        let mut reply = resp::Reply::new(Protocol::Resp3, generation.dialect, usize::MAX);
        command::read(
            handler,
            row,
            &generation.spaces,
            self.number,
            args,
            &mut reply,
        )
        .map_err(reply_error)?;
        let parsed = reply::parse(reply.as_bytes());
        parsed.ok_or_else(|| Error::Reply("ERR the reply is not RESP3".to_owned()))
    }
}

fn text(view: &View<'_>, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    with_text(view.value(key), |text| text.map(<[u8]>::to_vec))
}

fn with_text<R>(
    value: Option<Value<'_>>,
    read: impl FnOnce(Option<&[u8]>) -> R,
) -> Result<R, Error> {
    match value {
        None => Ok(read(None)),
        Some(Value::Text(text)) => Ok(read(Some(text))),
        Some(Value::Integer(number)) => {
            Ok(read(Some(itoa::Buffer::new().format(number).as_bytes())))
        }
        Some(Value::Object(_)) => Err(Error::WrongType),
    }
}

/// How many keys [`Scan`] fetches at a time.
const SCAN_COUNT: usize = 256;

/// A walk over a database's keys, from [`Database::scan`].
#[derive(Debug)]
pub struct Scan<'r> {
    database: Database<'r>,
    pattern: Vec<u8>,
    cursor: Option<Cursor>,
    found: Vec<Vec<u8>>,
}

impl Iterator for Scan<'_> {
    type Item = Result<Vec<u8>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(key) = self.found.pop() {
                return Some(Ok(key));
            }
            let cursor = self.cursor.take()?;
            if let Err(error) = self.fetch(cursor) {
                return Some(Err(error));
            }
        }
    }
}

impl Scan<'_> {
    fn fetch(&mut self, cursor: Cursor) -> Result<(), Error> {
        let served = self.database.replica.sources.served.peek();
        let generation = self.database.known(served.as_ref())?;
        let pattern = Glob::new(&self.pattern, generation.dialect);
        let spaces = &generation.spaces;
        let (next, found) = spaces.survey(self.database.number, |hold| {
            hold.read(Names::Existence, |view| {
                let mut found = Vec::new();
                let next = view.scan(cursor, SCAN_COUNT, |entry| {
                    if view.lists(entry) && pattern.matches(entry.key()) {
                        found.push(entry.key().to_vec());
                    }
                });
                Ok::<_, Error>((next, found))
            })
        })?;
        self.found = found;
        self.cursor = (next != Cursor::START).then_some(next);
        Ok(())
    }
}
