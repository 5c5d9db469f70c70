//! redtail: local reads of a production Redis.
//!
//! redtail is a read-only, in-memory replica of a Redis or Valkey primary. It asks the primary for PSYNC, loads the snapshot,
//! applies the command stream after it, and answers reads. The program `redtail serve` answers ordinary Redis clients. This
//! library answers inside your own process:
//!
//! ```no_run
//! use redtail::{Config, Replica};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let replica = Replica::start(Config::new("redis://127.0.0.1:6379")?)?;
//! replica.ready().await?;
//!
//! let greeting: Option<Vec<u8>> = replica.get("greeting")?;
//! let several = replica.mget(&["one", "two"])?; // both at one replication offset
//! for key in replica.scan("user:*") {
//!     println!("{}", String::from_utf8_lossy(&key?));
//! }
//! let fields = replica.command(&["HGETALL", "user:1"])?; // any read, with its RESP3 reply
//! println!("{greeting:?} {several:?} {fields:?}, at offset {}", replica.status().applied_offset);
//! replica.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! # The promise
//!
//! A reply is exactly what the upstream would have said at one stated replication offset, or it is an explicit error.
//! Never silently wrong, never a mix of two moments, never an unexplained nil.
//!
//! redtail does not write, vote in a failover, or feed other replicas.
//!
//! # Features
//!
//! All features are on by default, because the program needs them. A program that embeds a replica needs few of them:
//!
//! ```toml
//! redtail = { version = "0.1", default-features = false, features = ["tls"] }
//! ```
//!
//! - `tls`: `rediss://` upstreams.
//! - `lua`: runs the scripts that a primary before Redis 7.0 may send as their text. Without it, such a script taints all keys.
//! - `cli`: the program, and the server of Redis clients in it.

/// The rooms, for redtail's own program, tests, benches and fuzz targets. Nothing in here is stable.
#[doc(hidden)]
#[path = ""]
pub mod internal {
    #[cfg(feature = "cli")]
    pub mod cli;
    pub mod command;
    pub mod dialect;
    #[cfg(feature = "testing")]
    pub mod fuzzing;
    pub mod limits;
    pub mod rdb;
    pub mod replica;
    pub mod resp;
    #[cfg(feature = "lua")]
    pub mod script;
    #[cfg(feature = "cli")]
    pub mod server;
    pub mod state;
    pub mod store;
    pub mod upstream;
    pub mod value;
    pub(crate) mod words;
}

#[allow(
    clippy::wildcard_imports,
    reason = "rooms name each other as `crate::room`"
)]
use internal::*;

pub use internal::replica::{Config, Database, Error, Replica, Reply, Scan, Status};

/// What the fields of [`Config`] are made of.
pub mod config {
    pub use crate::dialect::{Dialect, Family};
    pub use crate::replica::{ResyncMemory, ResyncPolicy};
    pub use crate::state::{Config as State, Fsync};
    pub use crate::upstream::{
        AckPolicy, Address, AddressError, Config as Link, Login, Node, Password, Prefer, Secret,
        Sentinels, SpoolLimits, Timing, Tls, Upstream,
    };
    pub use crate::value::{Choices as Encodings, SettingError};
}

/// What the fields of [`Status`] are made of.
pub mod status {
    pub use crate::replica::{Fault, Held, History};
    pub use crate::store::Figures as Keys;
    pub use crate::upstream::{Mode, ReplId, Snapshot as Link, State};
}
