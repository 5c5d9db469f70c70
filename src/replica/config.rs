//! The settings of a replica, and the builder that collects them.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use super::Replica;
use super::resync::{ResyncMemory, ResyncPolicy};
use crate::dialect::Dialect;
use crate::state;
use crate::store::Tuning;
use crate::upstream::{self, AddressError, Login, Password, Secret, Upstream};
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

impl Config {
    /// What the data is told of these settings.
    pub(super) fn tuning(&self) -> Tuning {
        Tuning::new(self.encodings)
            .tracking_access(self.track_access)
            .ignoring(&self.stream_ignore)
    }

    /// Follows the primary at `address`: `redis://[user[:password]@]host[:port]`, `rediss://…` over TLS, `unix:///path`,
    /// or several of these separated by commas, which are tried in turn; or the primary that sentinels name:
    /// `sentinel://host[:port],…/name`.
    ///
    /// # Errors
    /// [`AddressError`] says what is wrong with the address.
    pub fn new(address: &str) -> Result<Self, AddressError> {
        Ok(Self::following(address.parse()?))
    }

    /// Follows `upstream`, with defaults for everything else.
    fn following(upstream: Upstream) -> Self {
        Self {
            upstream: upstream::Config::new(upstream),
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
        }
    }
}

/// Why a [`Builder`] starts no replica.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// No upstream was given.
    #[error("no upstream is given: call upstream(\"redis://host:port\") before you start")]
    NoUpstream,
    /// An address is wrong.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// There is no runtime, the writer's thread could not be started, or the state directory cannot be used.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The replica ended before its first sync was finished.
    #[error(transparent)]
    Ended(#[from] super::Error),
}

/// Collects the settings of a replica, and starts it: from [`Replica::builder`]. What is not set keeps the default of [`Config`].
///
/// ```no_run
/// use redtail::Replica;
/// use std::time::Duration;
///
/// # async fn start() -> Result<(), redtail::StartError> {
/// let replica = Replica::builder()
///     .upstreams(["rediss://one.example:6380", "rediss://two.example:6380"])
///     .password("secret")
///     .ca_cert_file("/etc/ssl/redis-ca.pem")
///     .state_dir("/var/lib/my-service/redtail")
///     .max_staleness(Duration::from_secs(5))
///     .start()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Builder {
    config: Config,
    login: Login,
    /// The first mistake in an address.
    mistake: Option<AddressError>,
}

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            config: Config::following(Upstream::List(Vec::new())),
            login: Login::default(),
            mistake: None,
        }
    }

    /// The primary's address, as [`Config::new`] takes it: one, several with commas between them, or a Sentinel address.
    pub fn upstream(self, address: &str) -> Self {
        self.upstreams([address])
    }

    /// Several addresses, which are tried in turn.
    pub fn upstreams<'t>(mut self, addresses: impl IntoIterator<Item = &'t str>) -> Self {
        match Upstream::of(addresses) {
            Ok(upstream) => self.config.upstream.upstream = upstream,
            Err(mistake) => self.mistake = self.mistake.or(Some(mistake)),
        }
        self
    }

    /// The ACL user at the primary, in place of one in the address.
    pub fn user(mut self, name: impl Into<String>) -> Self {
        self.login.user = Some(name.into());
        self
    }

    /// The password at the primary, in place of one in the address.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.login.password = Some(Password::Given(Secret::new(password)));
        self
    }

    /// The file that holds the password. It is read again for each connection.
    pub fn password_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.login.password = Some(Password::File(path.into()));
        self
    }

    /// The certificate authorities that may sign the primary's certificate, in place of the system's: a PEM file.
    pub fn ca_cert_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.config.upstream.tls.ca_cert_file = Some(path.into());
        self
    }

    /// The certificate and the key that redtail shows to the primary: PEM files.
    pub fn client_cert(mut self, cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.config.upstream.tls.cert_file = Some(cert.into());
        self.config.upstream.tls.key_file = Some(key.into());
        self
    }

    /// See [`Config::databases`].
    pub fn databases(mut self, number: usize) -> Self {
        self.config.databases = number;
        self
    }

    /// Keeps what a restart resumes from in this directory, with the defaults of [`State`](state::Config).
    pub fn state_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.config.state = Some(state::Config::new(folder));
        self
    }

    /// See [`Config::max_staleness`].
    pub fn max_staleness(mut self, age: Duration) -> Self {
        self.config.max_staleness = Some(age);
        self
    }

    /// How many copies of the data a full sync may need.
    pub fn resync_memory(mut self, memory: ResyncMemory) -> Self {
        self.config.resync.memory = memory;
        self
    }

    /// See [`Config::changes_window`].
    pub fn changes_window(mut self, bytes: usize) -> Self {
        self.config.changes_window = bytes;
        self
    }

    /// See [`Config::dialect`].
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.config.dialect = Some(dialect);
        self
    }

    /// Changes any setting of [`Config`]:
    ///
    /// ```
    /// # use redtail::Replica;
    /// # use std::time::Duration;
    /// let config = Replica::builder()
    ///     .upstream("redis://127.0.0.1:6379")
    ///     .with(|config| config.upstream.timing.handshake = Duration::from_secs(20))
    ///     .config()?;
    /// assert_eq!(config.upstream.timing.handshake, Duration::from_secs(20));
    /// # Ok::<(), redtail::StartError>(())
    /// ```
    pub fn with(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// Returns the settings.
    ///
    /// # Errors
    /// [`StartError::Address`] for the first mistake in an address, [`StartError::NoUpstream`] if there is none.
    pub fn config(self) -> Result<Config, StartError> {
        if let Some(mistake) = self.mistake {
            return Err(mistake.into());
        }
        let mut config = self.config;
        if matches!(&config.upstream.upstream, Upstream::List(nodes) if nodes.is_empty()) {
            return Err(StartError::NoUpstream);
        }
        config.upstream.upstream = config.upstream.upstream.with_login(&self.login);
        Ok(config)
    }

    /// Starts the replica and returns at once, as [`Replica::start`] does.
    ///
    /// # Errors
    /// [`StartError`], other than [`StartError::Ended`].
    pub fn build(self) -> Result<Replica, StartError> {
        Ok(Replica::start(self.config()?)?)
    }

    /// Starts the replica and waits until there is something to read, as [`Replica::ready`] does: for as long as that takes.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(self) -> Result<Replica, StartError> {
        let replica = self.build()?;
        replica.ready().await?;
        Ok(replica)
    }
}
