//! The replica: one writer thread that turns links into served generations.
//!
//! Plain synchronous code over a blocking byte source. For every link that `upstream` hands over, the writer reads the
//! snapshot into a new generation (`load`), swaps that in as a whole, then applies the command stream (`stream`). After a
//! partial resync it continues where it stopped. Only the writer changes the store. The applied offset moves when a
//! command is visible, and only outside MULTI; the selected database belongs to it.
//!
//! Beside the writer, a sweeper (`sweep`) frees the memory of keys that expired long ago.
//!
//! [`Replica`] is the handle that programs use: it starts the writer and the link, and answers reads.
//!
//! # A full resync
//! The payload is loaded into a new [`Generation`](crate::store::Generation) beside the one being served, and swapped in whole.
//! A load that fails, breaks off or is refused leaves the old generation serving. It takes two steps of the writer: `load` makes
//! a position (generation, offset, database), and `publish` serves it. Between the two, the guard of [`ResyncPolicy`] may hold
//! the position back: the link is acknowledged, its bytes wait in the spool, and all figures stay those of the served data. If
//! the link is lost in the meantime, the next one resumes at the position that is held back. With
//! [`OneCopy`](ResyncMemory::OneCopy), the old generation goes before the load.

mod ahead;
mod changes;
mod cluster;
mod config;
mod database;
mod error;
mod figures;
#[doc(hidden)]
#[cfg(feature = "testing")]
pub mod fuzzing;
mod handle;
mod load;
mod moment;
mod passed;
mod pull;
mod pulse;
mod rate;
mod reply;
mod restore;
mod resync;
mod scan;
mod sources;
mod staleness;
mod stream;
mod sweep;
mod wait_for;
mod watch;
mod writer;

pub use crate::feed::Lost;
pub use changes::{Change, Changes, What};
#[cfg(feature = "cli")]
pub(crate) use changes::{REMARKS, UNKNOWN as TYPES_UNKNOWN};
pub use cluster::{ClusterPart, ClusterReplica};
pub use config::{Builder, Config, EXPIRED_GRACE, StartError};
pub use database::{Database, Expiry, Pair, Place, StreamEntry};
pub use error::Error;
pub use figures::{Fault, Figures, Held, History, LoadFigures, StreamFigures, SweepFigures};
pub use handle::{Prepared, Replica};
#[cfg(any(test, feature = "testing"))]
pub use load::load_dump;
pub use load::{LoadError, serve_dumps};
pub use moment::Moment;
pub use passed::{PROVIDER_COMMANDS, Passed};
pub use pull::{Incoming, pull};
pub use pulse::{Pulse, STUCK_AFTER};
pub use reply::Reply;
pub use resync::{ResyncMemory, ResyncPolicy};
pub use scan::{Scan, ScanStream};
pub use sources::{Sources, Status};
pub use wait_for::WaitError;
pub use watch::{Event, OutOfSync, Watch};
