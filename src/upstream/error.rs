//! What goes wrong on the link, and what to do about it.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::address::Address;
use super::config::Timing;
use super::link::Fault;
use super::tls::{self, TlsError};
use crate::words::{Period, Plain};

/// Why a connection could not be made, or why it ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The name does not resolve.
    #[error(
        "cannot resolve {0:?}: {error}. Check the name, and whether this machine's DNS resolves it: getent hosts {0}",
        error = lookup(.1)
    )]
    Lookup(String, #[source] io::Error),
    /// The connection could not be made.
    #[error("cannot connect to {0}: {error}{hint}", error = Plain(.1), hint = connect_hint(.1))]
    Connect(Address, #[source] io::Error),
    /// There is no server to follow.
    #[error("there is no server to follow")]
    Nobody,
    /// A file that is read for each connection is not readable.
    #[error("cannot read the {0} in {path}: {error}", path = .1.display(), error = Plain(.2))]
    File(&'static str, PathBuf, #[source] io::Error),
    /// A replica that has received less than redtail has: it would answer with a full sync of older data.
    #[error(
        "{0} is a replica that is {1} bytes behind what redtail serves, and it does not catch up"
    )]
    Behind(Address, u64),
    /// The TLS connection failed.
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    /// A sentinel did not answer, or refused.
    #[error("the sentinel at {0}: {1}")]
    Sentinel(Address, #[source] Box<Self>),
    /// The sentinel does not know the name.
    #[error(
        "it knows no primary named {0:?}. Check the name after the / in the address; SENTINEL masters lists the names that it knows"
    )]
    UnknownName(String),
    /// What listens at the address is not a server that redtail can follow.
    #[error("{0}")]
    NoServer(String),
    /// A server is not what a sentinel says it is. The two agree again after some seconds.
    #[error("{address} is {is}, but Sentinel says that it is {told}")]
    NotAsTold {
        /// The server.
        address: Address,
        /// What the server says it is.
        is: String,
        /// What Sentinel says it is.
        told: String,
    },
    /// A sentinel took this redtail for a replica to follow.
    #[error("{0} is this redtail itself")]
    Ourselves(Address),
    /// There is a better server to follow.
    #[error("{0}")]
    Moved(Why),
    /// The connection broke.
    #[error("the connection broke: {error}", error = Plain(.0))]
    Io(#[source] io::Error),
    /// The primary closed the connection.
    #[error("the server closed the connection while {0}")]
    Closed(&'static str),
    /// The server closed the connection on the first bytes, which were not TLS.
    #[error(
        "{0}. If the port expects TLS, write rediss:// instead of redis://. A proxy with no server behind it closes the connection like this, too"
    )]
    Speechless(#[source] Box<Self>),
    /// The server closed the connection on the first command that a proxy may not know.
    #[error(
        "{0}. A proxy does this on a command that it does not pass on: if you use one, give the address of the server behind it"
    )]
    Untold(#[source] Box<Self>),
    /// The server sent nothing for too long.
    #[error("the server sent nothing for {period} while {1}", period = Period(*.0))]
    Silence(Duration, &'static str),
    /// The primary cannot serve redtail now.
    #[error("the server is not ready: {why} ({reply})")]
    NotReady {
        /// The server's error reply.
        reply: String,
        /// What the reply means.
        why: &'static str,
    },
    /// An error reply that no server is known to send to this command.
    #[error(
        "the server answered {asked} with an error that redtail does not know: {reply}. The server's log may say more. If a proxy or another \
         program answers at that address, give the address of the Redis or Valkey server itself"
    )]
    Unexpected {
        /// The command that was sent.
        asked: &'static str,
        /// The server's error reply.
        reply: String,
    },
    /// The primary will not serve redtail until someone changes something.
    #[error("the server refuses: {reply}. {fix}")]
    Refused {
        /// The server's error reply.
        reply: String,
        /// What to change.
        fix: &'static str,
    },
    /// Bytes that are not a reply.
    #[error(
        "the server answered {0} with {1:?}, which no Redis or Valkey server sends. Check the host and the port: another program may \
         be listening there"
    )]
    Garbage(&'static str, String),
    /// The writer stopped reading the link's bytes.
    #[error("redtail no longer reads what the primary sends")]
    Abandoned,
    /// The writer ended the link.
    #[error("{0}")]
    Fault(#[from] Fault),
    /// The connection ended before the writer had all the bytes that it needs.
    #[error("{ended}; {fault}")]
    Unfinished {
        /// How the connection ended.
        ended: Box<Self>,
        /// What the writer says about the bytes that it got.
        fault: Fault,
    },
    /// The primary closes the connection during each full sync, or right after it.
    #[error(
        "{ended}; {times} full syncs in a row have ended like this: {reason}",
        reason = dropped_for(*.whole)
    )]
    Dropped {
        /// How many full syncs in a row.
        times: u32,
        /// Whether the whole snapshot had arrived.
        whole: bool,
        /// How the connection ended.
        ended: Box<Self>,
    },
}

/// Why redtail leaves one server for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Why {
    /// The server was followed as the primary, and another one is the primary now.
    #[error("Sentinel says that another server is the primary now")]
    NoPrimary,
    /// The server was followed as a replica, and is the primary now.
    #[error("Sentinel says that this replica is the primary now")]
    Promoted,
    /// The server is not, or no longer, the one of its shard to follow.
    #[error("the cluster says that another server of this shard is to be followed now")]
    NotOfShard,
    /// The replica is down, or has no link to its own primary.
    #[error("Sentinel says that this replica is down or has no link to the primary")]
    Unhealthy,
    /// The primary was followed because there was no healthy replica.
    #[error("Sentinel says that there is a healthy replica again")]
    ReplicaReady,
}

/// Why a primary closes the connection of a full sync, and what to do about it.
const fn dropped_for(whole: bool) -> &'static str {
    if whole {
        "raise client-output-buffer-limit replica (or slave) on the primary, or raise its memory limits"
    } else {
        "the primary's output buffer for redtail has reached its limit (raise client-output-buffer-limit replica, or slave, there), or \
         something kills its snapshot process (FLUSHALL, or the kernel when memory runs out). The primary's log says which"
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match tls::refusal(&error) {
            Some(refusal) => Self::Tls(refusal),
            // A server that shuts down may close without a TLS goodbye, which TLS reports in many ways.
            None if error.kind() == io::ErrorKind::UnexpectedEof => Self::Io(error.kind().into()),
            None => Self::Io(error),
        }
    }
}

impl Error {
    /// Whether a person must fix something: waiting alone does not help.
    #[must_use]
    pub fn needs_a_person(&self) -> bool {
        match self {
            Self::Sentinel(_, error) => error.needs_a_person(),
            Self::Refused { .. }
            | Self::Unexpected { .. }
            | Self::Garbage(..)
            | Self::NoServer(_)
            | Self::File(..)
            | Self::Tls(_)
            | Self::UnknownName(_) => true,
            _ => false,
        }
    }

    /// Whether the server was left for a better one, in which case nothing is wrong.
    pub(super) const fn is_a_move(&self) -> bool {
        matches!(self, Self::Moved(_))
    }

    /// Whether the primary's side closed the connection.
    pub(super) const fn is_closing(&self) -> bool {
        match self {
            Self::Io(_) | Self::Closed(_) => true,
            Self::Unfinished { ended, .. } => matches!(**ended, Self::Io(_) | Self::Closed(_)),
            _ => false,
        }
    }

    /// Combines how a connection ended and the writer's verdict on its bytes into one error.
    pub(super) fn of_end(ended: Self, fault: Option<Fault>) -> Self {
        match (ended, fault) {
            (ended, None) => ended,
            (Self::Abandoned, Some(fault)) => Self::Fault(fault),
            (ended, Some(fault)) => Self::Unfinished {
                ended: Box::new(ended),
                fault,
            },
        }
    }

    /// Returns how long to wait before attempt number `failures + 1`. The delay doubles up to a bound, with a jitter of
    /// half, so that the many followers of a restarted primary do not reconnect in step.
    pub(super) fn delay(&self, failures: u32, timing: &Timing) -> Duration {
        let doubled = timing.retry_first.saturating_mul(1 << failures.min(16));
        let base = match self {
            Self::Refused { .. } | Self::NoServer(_) | Self::Dropped { .. } => timing.retry_refused,
            // There is another server, but sentinels may disagree about it.
            Self::Moved(_) if failures <= 1 => Duration::ZERO,
            // The next attempt will likely make the primary fork and save again.
            Self::Fault(_) | Self::Unfinished { .. } => doubled.min(timing.retry_refused),
            _ => doubled.min(timing.retry_max),
        };
        base.mul_f64(0.5 + fastrand::f64())
    }
}

/// A resolver's reason, without the prefix that only says that the lookup failed.
fn lookup(error: &io::Error) -> String {
    let text = Plain(error).to_string();
    let reason = text.strip_prefix("failed to lookup address information: ");
    reason.unwrap_or(&text).to_owned()
}

/// What to check when a server does not accept a connection, with the separator before it.
fn connect_hint(error: &io::Error) -> &'static str {
    use io::ErrorKind as E;
    match error.kind() {
        E::ConnectionRefused => {
            ". Nothing accepts connections there: is the server running, is the port right, and does its bind setting allow this machine?"
        }
        E::TimedOut => {
            ". No answer came: check the address, and whether a firewall blocks this machine"
        }
        E::HostUnreachable | E::NetworkUnreachable => {
            ". This machine has no route to it: check the address and the network"
        }
        E::NotFound => {
            ". The socket does not exist: is the server running, and is its unixsocket set to this path?"
        }
        E::PermissionDenied => {
            ". redtail has no permission to open it: check the socket's owner and unixsocketperm, or the firewall's rules"
        }
        _ => "",
    }
}
