//! Where the primary is and how to talk to it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use url::{Host, Url};

use super::spool::SpoolLimits;

/// The port of an address without one.
const DEFAULT_PORT: u16 = 6379;

/// A password: never shown by `Debug` or `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a password.
    pub fn new(password: impl Into<String>) -> Self {
        Self(password.into())
    }

    /// The password itself, for the one place that sends or compares it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Where a primary listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A TCP port.
    Tcp {
        /// A name or an address, IPv6 without brackets. Names are looked up anew at every attempt.
        host: String,
        /// The port.
        port: u16,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Text that is not a primary's address. Never repeats the text, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// Not a URL.
    #[error("not an address; write redis://[user[:password]@]host:port ({0})")]
    Syntax(String),
    /// Another scheme.
    #[error("the scheme {0}:// is not supported; write redis://host:port or unix:///path")]
    Scheme(String),
    /// No host.
    #[error("the address names no host; write redis://host:port")]
    Host,
    /// A database, which a replica cannot choose.
    #[error("the address names a database; a replica follows all of them: leave the path out")]
    Database,
    /// A query or fragment, which would be ignored: more likely a password with `?` or `#` in it.
    #[error("the address has a ? or #; write them as %3F and %23 in a password")]
    Extra,
}

/// A primary: where it is and who we are there. Parses from `redis://[user[:password]@]host[:port]` and `unix:///path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Primary {
    /// Where it listens.
    pub address: Address,
    /// The ACL user; the default user if none.
    pub user: Option<String>,
    /// The password; no AUTH without one.
    pub password: Option<Secret>,
}

impl FromStr for Primary {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return Ok(Self {
                address: Address::Unix(PathBuf::from(path)),
                user: None,
                password: None,
            });
        }
        let text = if text.contains("://") {
            text.to_owned()
        } else {
            format!("redis://{text}")
        };
        let url = Url::parse(&text).map_err(|error| AddressError::Syntax(error.to_string()))?;
        if url.scheme() != "redis" {
            return Err(AddressError::Scheme(url.scheme().to_owned()));
        }
        let host = match url.host().ok_or(AddressError::Host)? {
            Host::Domain(name) => name.to_owned(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        if host.is_empty() {
            return Err(AddressError::Host);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(AddressError::Extra);
        }
        if !matches!(url.path().trim_matches('/'), "" | "0") {
            return Err(AddressError::Database);
        }
        Ok(Self {
            address: Address::Tcp {
                host,
                port: url.port().unwrap_or(DEFAULT_PORT),
            },
            user: Some(percent_decoded(url.username())).filter(|user| !user.is_empty()),
            password: url.password().map(percent_decoded).map(Secret),
        })
    }
}

/// Undoes `%41`; anything that is not two hex digits stays as it is.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let escaped = if byte == b'%' { hex_pair(tail) } else { None };
        bytes.push(escaped.unwrap_or(byte));
        rest = escaped.and_then(|_| tail.get(2..)).unwrap_or(tail);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The byte that the first two hex digits of `text` name.
fn hex_pair(text: &[u8]) -> Option<u8> {
    let digit = |at| u8::try_from(char::from(*text.get(at)?).to_digit(16)?).ok();
    Some(digit(0)? << 4 | digit(1)?)
}

/// How long the link waits for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// For a connection and for each line of the handshake. Redis's own replicas give it five seconds.
    pub handshake: Duration,
    /// For any byte at all once the handshake is done, counted from the last one: Redis's `repl-timeout`.
    pub silence: Duration,
    /// Between two acknowledgements.
    pub ack: Duration,
    /// Before the first retry; each further one waits twice as long.
    pub retry_first: Duration,
    /// Before any retry at most.
    pub retry_max: Duration,
    /// Before a retry where a person must change something first.
    pub retry_refused: Duration,
    /// From one full sync's begin to the next one's at least: each makes the primary fork and send all that it holds.
    pub resync_floor: Duration,
    /// A connection without traffic is probed this often; zero for never. Redis's `tcp-keepalive`.
    pub keepalive: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(5),
            silence: Duration::from_secs(60),
            ack: Duration::from_secs(1),
            retry_first: Duration::from_millis(100),
            retry_max: Duration::from_secs(5),
            retry_refused: Duration::from_secs(30),
            resync_floor: Duration::from_secs(10),
            keepalive: Duration::from_secs(300),
        }
    }
}

/// What the primary is told about how far we are. It decides whether we count as a replica that holds its data safely.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum AckPolicy {
    /// Honest below a replica, an observer below a primary.
    #[default]
    Auto,
    /// The applied offset: WAIT counts us, FAILOVER may pick us, SHUTDOWN need not wait.
    Honest,
    /// Always 0: WAIT and FAILOVER leave us out; SHUTDOWN of Redis 7.0 and later waits for `shutdown-timeout`, and lag looks
    /// like the whole history.
    Observer,
}

/// All that the link needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The primary.
    pub primary: Primary,
    /// The port to announce. None is announced by default: whoever discovers replicas through the primary must not come here.
    pub listening_port: Option<u16>,
    /// What acknowledgements say.
    pub acks: AckPolicy,
    /// How long to wait for what.
    pub timing: Timing,
    /// How much may wait for the writer, and where.
    pub spool: SpoolLimits,
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn tcp(host: &str, port: u16) -> Address {
        Address::Tcp {
            host: host.to_owned(),
            port,
        }
    }

    #[test]
    fn understands_addresses_with_and_without_everything() {
        let plain: Primary = "redis://example.com".parse().unwrap();
        assert_eq!(
            plain,
            Primary {
                address: tcp("example.com", 6379),
                user: None,
                password: None
            }
        );
        let full: Primary = "redis://app:p%40ss%3a@[::1]:7000/0".parse().unwrap();
        assert_eq!(full.address, tcp("::1", 7000));
        assert_eq!(
            (full.user.as_deref(), full.password.unwrap().expose()),
            (Some("app"), "p@ss:")
        );
        let only_password: Primary = "redis://:secret@127.0.0.1:6380".parse().unwrap();
        assert_eq!(
            (only_password.user, only_password.password),
            (None, Some(Secret::new("secret")))
        );
        assert_eq!(
            "10.0.0.1:7000".parse::<Primary>().unwrap().address,
            tcp("10.0.0.1", 7000)
        );
        assert_eq!(
            "unix:///run/redis.sock".parse::<Primary>().unwrap().address,
            Address::Unix("/run/redis.sock".into())
        );
    }

    #[test]
    fn decodes_only_whole_escapes() {
        assert_eq!(percent_decoded("%41%zz%+4%4"), "A%zz%+4%4");
    }

    #[test]
    fn says_what_is_wrong_with_an_address_and_never_shows_a_password() {
        for wrong in [
            "http://u:secret@h",
            "redis://u:secret@h:port",
            "redis://u:secret@h/3",
            "redis://u:12/secret@h",
            "redis://u:12?secret@h",
            "redis://h#secret",
            "rediss://u:secret@h",
            "redis://",
            "",
        ] {
            let error = wrong.parse::<Primary>().unwrap_err();
            assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
        }
        let config: Primary = "redis://:secret@h".parse().unwrap();
        assert!(!format!("{config:?}").contains("secret"));
    }
}
