//! The link to the primary: PSYNC from the follower's side.
//!
//! Async: connects, shakes hands, pumps bytes in and acknowledgements out, and reconnects after any failure. It knows
//! neither the store nor the RDB format: each connection that the primary accepts becomes a [`Link`], and the replica's
//! writer thread reads the link's bytes at its own pace. When the connection ends, the writer says where to resume
//! ([`LinkEnd`]).
//!
//! # The life of a link
//! 1. `choose` says which server comes next: the next of a list, or one that the sentinels name now. `connect` resolves its
//!    name and reads certificates again.
//! 2. `handshake` asks questions through `wire` until PSYNC is answered. `kind` first asks what listens there: a Sentinel or another
//!    redtail is named as such. `refusal` is the one table of what error replies mean and what to do about them.
//! 3. A server that sentinels named must be what they say (`role`). redtail waits for a replica that lacks some of what it
//!    has itself, because that replica would answer PSYNC with a full sync.
//! 4. An accepted connection becomes a [`Link`]: how it starts, a spool of its bytes, and a place for the writer to say that
//!    it is done. `pump` moves the bytes, and sends an acknowledgement once a second and at once on GETACK: the applied offset,
//!    or 0 below a primary ([`AckPolicy`]). While the writer keeps up, it reads the socket itself (`holder`).
//! 5. Beside the link, `side` asks the server on a second connection whether it still answers, and for its offset if a limit on
//!    staleness needs that (`proof`). `sentinel` listens to one sentinel. Whatever a sentinel says only makes redtail ask again.
//!    When the server should be left, the link ends like any other.
//! 6. The bytes end with the connection. If the writer finds them wrong, it drops the receiving end, which closes the
//!    connection. Only when it has applied everything received does it answer with the offset to resume at. So nothing is asked
//!    for twice, and nothing is skipped.
//! 7. `pacing` says when to come back.

mod address;
mod arrivals;
mod choose;
pub mod cluster;
mod config;
mod connect;
mod error;
mod gather;
mod handshake;
mod holder;
mod kind;
mod line;
mod link;
mod marks;
mod options;
mod pacing;
mod proof;
mod pump;
mod refusal;
mod role;
mod route;
mod run;
mod secret;
mod sentinel;
mod side;
mod spool;
mod status;
mod syncs;
mod tls;
#[cfg(feature = "cli")]
mod visit;
mod wire;

pub use address::{Address, AddressError, Node, Upstream};
pub use arrivals::Arrivals;
pub use cluster::{Cluster, ShardServers};
pub use config::{AckPolicy, Config, RdbCompression, Relief, Timing};
pub use error::{Error, Why};
pub use kind::Mode;
pub use link::{Fault, Link, LinkEnd, Phase, Progress, ProgressWriter, Start};
pub use marks::Moment;
pub use proof::Proof;
pub use run::{Begin, run};
pub use secret::{Login, Password, Secret, in_file as password_in_file};
pub use sentinel::{Prefer, Sentinels};
pub use spool::{Piece, Receiver, SpoolLimits};
pub use status::{LinkState, Snapshot, Status};
pub use syncs::{Brought, SyncCause, SyncDone, SyncKind, Syncs, SyncsOf};
pub use tls::{Tls, TlsError};
#[cfg(feature = "cli")]
pub use visit::{Answer, Visit};
