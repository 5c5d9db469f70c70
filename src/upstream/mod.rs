//! The link to the primary: PSYNC from the follower's side.
//!
//! Async: connects, shakes hands, pumps bytes in and acknowledgements out, and reconnects after any failure. It knows
//! neither the store nor the RDB format: each connection that the primary accepts becomes a [`Link`], and the replica's
//! writer thread reads the link's bytes at its own pace. When the connection ends, the writer says where to resume
//! ([`LinkEnd`]).

mod address;
mod arrivals;
mod choose;
mod config;
mod connect;
mod error;
mod gather;
mod handshake;
mod holder;
mod kind;
mod line;
mod link;
mod pacing;
mod proof;
mod pump;
mod refusal;
mod role;
mod run;
mod secret;
mod sentinel;
mod spool;
mod status;
mod tls;
mod wire;

pub use address::{Address, AddressError, Node, Upstream};
pub use arrivals::Arrivals;
pub use config::{AckPolicy, Config, Timing};
pub use error::{Error, Why};
pub use kind::Mode;
pub use link::{
    Fault, Link, LinkEnd, NotReplId, Phase, Progress, ProgressWriter, ReplId, Resume, Start,
};
pub use proof::Proof;
pub use run::run;
pub use secret::{Login, Password, Secret};
pub use sentinel::{Prefer, Sentinels};
pub use spool::{Piece, Receiver, SpoolLimits};
pub use status::{Snapshot, State, Status};
pub use tls::{Tls, TlsError};
