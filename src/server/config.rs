//! The server's settings.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use super::tls::TlsFiles;
use crate::command::acl::Users;
use crate::command::{EventFlags, OutputLimits, ScriptShare};
use crate::dialect::Dialect;
use crate::secret::Secret;

/// An address to listen on.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub enum Listen {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A TCP address on which clients speak TLS.
    Tls(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

/// A text that is not an address to listen on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not an address to listen on: write an IP address with a port, such as 127.0.0.1:6380, 0.0.0.0:6380 or [::1]:6380, the same after rediss:// for TLS, or unix:/path"
)]
pub struct ListenError(String);

impl FromStr for Listen {
    type Err = ListenError;

    fn from_str(text: &str) -> Result<Self, ListenError> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() {
                Err(ListenError(text.to_owned()))
            } else {
                Ok(Self::Unix(PathBuf::from(path)))
            };
        }
        let (address, is_tls) = match text.strip_prefix("rediss://") {
            Some(address) => (address, true),
            None => (text.strip_prefix("redis://").unwrap_or(text), false),
        };
        let address = address.replace("localhost", "127.0.0.1").parse();
        let address = address.map_err(|_| ListenError(text.to_owned()))?;
        Ok(if is_tls {
            Self::Tls(address)
        } else {
            Self::Tcp(address)
        })
    }
}

impl TryFrom<String> for Listen {
    type Error = ListenError;

    fn try_from(text: String) -> Result<Self, ListenError> {
        text.parse()
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Tls(address) => write!(f, "rediss://{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Limits of output as `client-output-buffer-limit` takes them: `pubsub 32mb 8mb 60`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct OutputLimit(String);

/// A text that is not such limits, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not an output limit: write a class (normal, replica or pubsub), its hard limit, its soft limit and the seconds for the soft limit, such as \"pubsub 32mb 8mb 60\""
)]
pub struct OutputLimitError(String);

impl OutputLimit {
    /// Returns the limits in `now` with these among them.
    pub(super) fn within(&self, now: &str) -> String {
        let limits = OutputLimits::read(self.0.as_bytes(), now);
        limits.unwrap_or_else(|_| now.to_owned())
    }
}

impl FromStr for OutputLimit {
    type Err = OutputLimitError;

    fn from_str(text: &str) -> Result<Self, OutputLimitError> {
        let wrong = || OutputLimitError(text.to_owned());
        let none = OutputLimits::default().shown();
        match OutputLimits::read(text.as_bytes(), &none) {
            Ok(_) if !text.trim().is_empty() => Ok(Self(text.to_owned())),
            _ => Err(wrong()),
        }
    }
}

impl TryFrom<String> for OutputLimit {
    type Error = OutputLimitError;

    fn try_from(text: String) -> Result<Self, OutputLimitError> {
        text.parse()
    }
}

/// Who may use a restricted command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Nobody.
    #[default]
    No,
    /// Connections from this machine.
    Local,
    /// Everyone.
    Yes,
}

impl Access {
    /// Returns the word that CONFIG GET shows.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Local => "local",
            Self::Yes => "yes",
        }
    }
}

/// A text that is not an [`Access`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not one of no, local and yes")]
pub struct AccessError(String);

impl FromStr for Access {
    type Err = AccessError;

    fn from_str(text: &str) -> Result<Self, AccessError> {
        let known = [Self::No, Self::Local, Self::Yes].into_iter();
        let mut found = known.filter(|access| access.word() == text);
        found.next().ok_or_else(|| AccessError(text.to_owned()))
    }
}

/// A server's settings. Every limit has a default and its own error.
#[derive(Clone)]
pub struct Config {
    /// The addresses to listen on.
    pub listen: Vec<Listen>,
    /// The certificate of the TLS listeners.
    pub tls: Option<TlsFiles>,
    /// The default user's password, unless there is an ACL file; `None` lets everyone in.
    pub password: Option<Secret>,
    /// The users of an ACL file. Without it, there is only the default user, who may do everything.
    pub users: Option<Arc<Users>>,
    /// Whether to refuse clients from other machines while no password is set.
    pub protected: bool,
    /// Who may use DEBUG.
    pub debug: Access,
    /// The number of databases that SELECT accepts.
    pub databases: usize,
    /// The server version that replies imitate before the first snapshot; `None` for the default.
    pub dialect: Option<Dialect>,
    /// Maximum number of connections. Further ones get an error and are closed.
    pub clients_max: usize,
    /// Maximum bytes of an incomplete request. Redis's `client-query-buffer-limit`: 1 GiB.
    pub query_bytes_max: usize,
    /// Maximum number of words in one command; `None` for the maximum of the upstream's version.
    pub query_words_max: Option<usize>,
    /// Maximum bytes of one word. Redis's `proto-max-bulk-len`: 512 MiB.
    pub word_bytes_max: usize,
    /// Maximum bytes of replies that wait for one connection.
    pub reply_bytes_max: usize,
    /// How much output may wait for a connection of each class, in order. Redis's `client-output-buffer-limit`.
    pub output_limits: Vec<OutputLimit>,
    /// The share of time for which scripts may hold up the primary's stream.
    pub script_share: ScriptShare,
    /// The keyspace notifications to publish.
    pub events: EventFlags,
    /// Maximum bytes that the requests and replies of all connections take together, beyond what each has for free.
    pub clients_memory: usize,
    /// How long a connection may take none of the replies that wait for it.
    pub stall_timeout: Duration,
    /// How long a connection may send nothing; zero for no limit.
    pub idle_timeout: Duration,
    /// How long a connection may be silent before it is probed; zero never probes. Redis's `tcp-keepalive`.
    pub keepalive: Duration,
    /// Changes what is logged, for `CONFIG SET loglevel`; `None` if another program owns the log.
    pub log_level: Option<LogLevel>,
    /// More settings for CONFIG GET, under Redis's names.
    pub shown: Vec<(&'static str, String)>,
}

/// See [`Config::log_level`].
pub type LogLevel = Arc<dyn Fn(&str) + Send + Sync>;

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            tls: None,
            password: None,
            users: None,
            protected: true,
            debug: Access::No,
            databases: 16,
            dialect: None,
            clients_max: 10_000,
            query_bytes_max: 1 << 30,
            query_words_max: None,
            word_bytes_max: crate::limits::STRING_BYTES_MAX,
            reply_bytes_max: 1 << 30,
            output_limits: Vec::new(),
            script_share: ScriptShare::default(),
            events: EventFlags::default(),
            clients_memory: super::memory::share(),
            stall_timeout: Duration::from_secs(60),
            idle_timeout: Duration::ZERO,
            keepalive: Duration::from_secs(300),
            log_level: None,
            shown: Vec::new(),
        }
    }
}
