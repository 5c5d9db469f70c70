//! What goes wrong on the link, and what is done about it.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::address::Address;
use super::config::Timing;
use super::link::Fault;
use super::tls::{self, TlsError};
use crate::words::{Period, Plain};

/// Why a connection could not be made or came to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The name has no address.
    #[error(
        "cannot find the address of {0:?}: {error}. Check the name, and whether this machine's DNS knows it: getent hosts {0}",
        error = lookup(.1)
    )]
    Lookup(String, #[source] io::Error),
    /// No connection.
    #[error("cannot connect to {0}: {error}{hint}", error = Plain(.1), hint = connect_hint(.1))]
    Connect(Address, #[source] io::Error),
    /// There is no server that could be followed.
    #[error("there is no server to follow")]
    Nobody,
    /// A file that is read for each connection.
    #[error("cannot read the {0} in {path}: {error}", path = .1.display(), error = Plain(.2))]
    File(&'static str, PathBuf, #[source] io::Error),
    /// A replica that has received less than we have: it would answer with a full sync of older data.
    #[error(
        "{0} is a replica that still lacks {1} bytes of what redtail serves, and does not catch up"
    )]
    Behind(Address, u64),
    /// There is no TLS connection.
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    /// A sentinel does not tell.
    #[error("the sentinel at {0}: {1}")]
    Sentinel(Address, #[source] Box<Self>),
    /// A sentinel knows other names.
    #[error(
        "it knows no primary by the name of {0:?}. Check the name behind the / of the address; SENTINEL masters lists those that it knows"
    )]
    UnknownName(String),
    /// What listens there is no server that could be followed.
    #[error("{0}")]
    NoServer(String),
    /// A server is something else than a sentinel says. They agree again after some seconds.
    #[error("{address} is {is}, but Sentinel says that it is {told}")]
    NotAsTold {
        /// The server.
        address: Address,
        /// What it says of itself.
        is: String,
        /// What Sentinel says of it.
        told: String,
    },
    /// A sentinel took us for a replica that may be followed.
    #[error("{0} is this redtail itself")]
    Ourselves(Address),
    /// There is a better server.
    #[error("{0}")]
    Moved(Why),
    /// The connection broke.
    #[error("the connection broke: {error}", error = Plain(.0))]
    Io(#[source] io::Error),
    /// The primary closed it.
    #[error("the server closed the connection while {0}")]
    Closed(&'static str),
    /// The server went away at the first words that were not TLS.
    #[error(
        "{0}. If it expects TLS on this port, write rediss:// instead of redis://; a proxy without a server behind it closes like this, too"
    )]
    Speechless(#[source] Box<Self>),
    /// The server went away at the first command that a proxy does not know.
    #[error(
        "{0}. A proxy does that at a command which it does not pass on: if there is one, give the address of the server behind it"
    )]
    Untold(#[source] Box<Self>),
    /// Nothing came in time.
    #[error("the server sent nothing for {period} while {1}", period = Period(*.0))]
    Silence(Duration, &'static str),
    /// The primary cannot serve us now.
    #[error("the server is not ready: {why} ({reply})")]
    NotReady {
        /// Its own words.
        reply: String,
        /// What they mean.
        why: &'static str,
    },
    /// An error reply that no server is known to give there.
    #[error(
        "the server answered {asked} with an error that redtail does not know: {reply}. Its own log may say more; if a proxy or another \
         program answers there, give the address of the Redis or Valkey server itself"
    )]
    Unexpected {
        /// The command.
        asked: &'static str,
        /// Its own words.
        reply: String,
    },
    /// The primary will not serve us until someone changes something.
    #[error("the server refuses: {reply}. {fix}")]
    Refused {
        /// Its own words.
        reply: String,
        /// What to change.
        fix: &'static str,
    },
    /// Bytes that are no reply.
    #[error(
        "the server answered {0} with {1:?}, which no Redis or Valkey does. Check the host and the port: another program may listen there"
    )]
    Garbage(&'static str, String),
    /// The writer wants no more of its bytes.
    #[error("redtail no longer reads what the primary sends")]
    Abandoned,
    /// The writer gave the link up.
    #[error("{0}")]
    Fault(#[from] Fault),
    /// The connection ended, and that left the writer with less than it needs.
    #[error("{ended}; {fault}")]
    Unfinished {
        /// How the connection ended.
        ended: Box<Self>,
        /// What the writer says about what it got.
        fault: Fault,
    },
    /// The primary closes the connection during or right after each full sync.
    #[error(
        "{ended}; a full sync has ended so {times} times in a row: {reason}",
        reason = dropped_for(*.whole)
    )]
    Dropped {
        /// How many times.
        times: u32,
        /// Whether the snapshot had come to its end.
        whole: bool,
        /// How the connection ended.
        ended: Box<Self>,
    },
}

/// Why a server is left for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Why {
    /// It was followed as the primary.
    #[error("Sentinel says that another server is the primary now")]
    NoPrimary,
    /// It was followed as a replica.
    #[error("Sentinel says that this replica is the primary now")]
    Promoted,
    /// A replica without a link of its own.
    #[error("Sentinel says that this replica is down or has no link to the primary")]
    Unhealthy,
    /// The primary was followed for want of a replica.
    #[error("Sentinel says that there is a healthy replica again")]
    ReplicaReady,
}

/// Why a primary closes the connection of a full sync, and what to do.
const fn dropped_for(whole: bool) -> &'static str {
    if whole {
        "raise client-output-buffer-limit replica (or slave) at the primary, or its memory limits"
    } else {
        "the primary's output buffer for us has reached its limit (raise client-output-buffer-limit replica, or slave, there), or          something ends its snapshot process (FLUSHALL, or the system for want of memory); its log says which"
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match tls::refusal(&error) {
            Some(refusal) => Self::Tls(refusal),
            // A server that goes down takes no leave, and TLS has many words for that.
            None if error.kind() == io::ErrorKind::UnexpectedEof => Self::Io(error.kind().into()),
            None => Self::Io(error),
        }
    }
}

impl Error {
    /// Whether waiting alone does not help.
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

    /// Whether the server was left for a better one: nothing is wrong then.
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

    /// How a connection's end and the writer's verdict on its bytes make one error.
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

    /// How long to wait before attempt number `failures + 1`: doubling up to a bound, and jittered by half, so that many
    /// followers of a restarted primary do not come back in step.
    pub(super) fn delay(&self, failures: u32, timing: &Timing) -> Duration {
        let doubled = timing.retry_first.saturating_mul(1 << failures.min(16));
        let base = match self {
            Self::Refused { .. } | Self::NoServer(_) | Self::Dropped { .. } => timing.retry_refused,
            // There is another server; but sentinels may differ about it.
            Self::Moved(_) if failures <= 1 => Duration::ZERO,
            // The next try will likely make the primary fork and save once more.
            Self::Fault(_) | Self::Unfinished { .. } => doubled.min(timing.retry_refused),
            _ => doubled.min(timing.retry_max),
        };
        base.mul_f64(0.5 + fastrand::f64())
    }
}

/// A resolver's reason: of what it says before, that it is one, nobody needs to be told.
fn lookup(error: &io::Error) -> String {
    let text = Plain(error).to_string();
    let reason = text.strip_prefix("failed to lookup address information: ");
    reason.unwrap_or(&text).to_owned()
}

/// What to look at when a server does not accept a connection, with what stands between.
fn connect_hint(error: &io::Error) -> &'static str {
    use io::ErrorKind as E;
    match error.kind() {
        E::ConnectionRefused => {
            ". Nothing listens there for this machine: is the server running, is the port right, and does its bind setting let others in?"
        }
        E::TimedOut => {
            ". No answer came: check the address, and whether a firewall lets this machine through"
        }
        E::HostUnreachable | E::NetworkUnreachable => {
            ". There is no way to it from here: check the address and the network"
        }
        E::NotFound => {
            ". There is no such socket: is the server running, and is unixsocket set to this path?"
        }
        E::PermissionDenied => {
            ". This process may not open it: check the socket's owner and its unixsocketperm, or the firewall's rules"
        }
        _ => "",
    }
}
