//! What goes wrong on the link, and what is done about it.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::address::Address;
use super::config::Timing;
use super::link::Fault;
use super::tls::{self, TlsError};

/// Why a connection could not be made or came to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No connection.
    #[error("cannot connect to {0}: {1}")]
    Connect(Address, #[source] io::Error),
    /// There is no server that could be followed.
    #[error("there is no server to follow")]
    Nobody,
    /// A file that is read for each connection.
    #[error("cannot read the {0} in {path}: {2}", path = .1.display())]
    File(&'static str, PathBuf, #[source] io::Error),
    /// A replica that has received less than we have: it would answer with a full sync of older data.
    #[error("{0} is a replica that lacks {1} bytes of what is served here, and does not catch up")]
    Behind(Address, u64),
    /// There is no TLS connection.
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    /// A sentinel does not tell.
    #[error("the sentinel at {0}: {1}")]
    Sentinel(Address, #[source] Box<Self>),
    /// A sentinel knows other names.
    #[error("it knows no primary by the name of {0:?}")]
    UnknownName(String),
    /// A server is something else than a sentinel says. They agree again after some seconds.
    #[error("{address} is {is}, and not {told}, as Sentinel says")]
    NotAsTold {
        /// The server.
        address: Address,
        /// What it says of itself.
        is: String,
        /// What Sentinel says of it.
        told: String,
    },
    /// A sentinel took us for a replica that may be followed.
    #[error("{0} is redtail itself")]
    Ourselves(Address),
    /// There is a better server.
    #[error("{0}")]
    Moved(Why),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Io(#[source] io::Error),
    /// The primary closed it.
    #[error("the server closed the connection while {0}")]
    Closed(&'static str),
    /// The server went away at the first words that were not TLS.
    #[error("{0}; if its port is one for TLS, write rediss:// instead of redis://")]
    Speechless(#[source] Box<Self>),
    /// Nothing came in time.
    #[error("nothing came from the server for {0:?} while {1}")]
    Silence(Duration, &'static str),
    /// The primary cannot serve us now.
    #[error("the server is not ready: {0}")]
    NotReady(String),
    /// The primary will not serve us until someone changes something.
    #[error("the server refuses: {reply}. {fix}")]
    Refused {
        /// Its own words.
        reply: String,
        /// What to change.
        fix: &'static str,
    },
    /// Bytes that are no reply.
    #[error("the server answered {0} with {1:?}, which is no reply that a Redis or Valkey gives")]
    Garbage(&'static str, String),
    /// The writer wants no more of its bytes.
    #[error("the replica stopped reading from the primary")]
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
        "{ended}; it is the {times}th time in a row that this happens during or right after a full sync: raise client-output-buffer-limit replica (or slave) at the primary, or its memory limits"
    )]
    Dropped {
        /// How many times.
        times: u32,
        /// How the connection ended.
        ended: Box<Self>,
    },
}

/// Why a server is left for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Why {
    /// It was followed as the primary.
    #[error("another server is the primary now, says Sentinel")]
    NoPrimary,
    /// It was followed as a replica.
    #[error("the replica is the primary now, says Sentinel")]
    Promoted,
    /// A replica without a link of its own.
    #[error("the replica is down or has no link to the primary, says Sentinel")]
    Unhealthy,
    /// The primary was followed for want of a replica.
    #[error("there is a healthy replica again, says Sentinel")]
    ReplicaReady,
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
            Self::Refused { .. } | Self::File(..) | Self::Tls(_) | Self::UnknownName(_) => true,
            _ => false,
        }
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

    /// What an error reply of the primary means. Source: redis 7.0 replication.c, `slaveTryPartialResynchronization`.
    pub(super) fn of_reply(reply: &str) -> Self {
        const FIXES: &[(&str, &str)] = &[
            (
                "NOAUTH",
                "Give its password: --primary-password (a sentinel's: --sentinel-password), its variable or the configuration file",
            ),
            ("WRONGPASS", "Give the right user and password"),
            ("NOPERM", "Let its ACL user run +ping +psync +replconf"),
            (
                "DENIED",
                "Turn its protected mode off or set a password there",
            ),
            ("ERR invalid password", "Give the right password"),
            (
                "ERR Client sent AUTH, but no password is set",
                "Leave the password out",
            ),
            ("ERR AUTH", "Leave the password out, or give the user too"),
            (
                "ERR unknown command",
                "Point redtail at a Redis (2.8 or later) or Valkey where AUTH, REPLCONF and PSYNC have their usual names",
            ),
        ];
        let fix = FIXES.iter().find(|(start, _)| {
            reply
                .get(..start.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(start))
        });
        match fix {
            Some((_, fix)) => Self::Refused {
                reply: reply.to_owned(),
                fix,
            },
            None => Self::NotReady(reply.to_owned()),
        }
    }

    /// How long to wait before attempt number `failures + 1`: doubling up to a bound, and jittered by half, so that many
    /// followers of a restarted primary do not come back in step.
    pub(super) fn delay(&self, failures: u32, timing: &Timing) -> Duration {
        let doubled = timing.retry_first.saturating_mul(1 << failures.min(16));
        let base = match self {
            Self::Refused { .. } | Self::Dropped { .. } => timing.retry_refused,
            // There is another server; but sentinels may differ about it.
            Self::Moved(_) if failures <= 1 => Duration::ZERO,
            // The next try will likely make the primary fork and save once more.
            Self::Fault(_) | Self::Unfinished { .. } => doubled.min(timing.retry_refused),
            _ => doubled.min(timing.retry_max),
        };
        base.mul_f64(0.5 + fastrand::f64())
    }
}
