//! redtail: local reads of a production Redis.
//!
//! A read-only in-memory replica of a Redis or Valkey primary: it asks for PSYNC, loads the snapshot, applies the command
//! stream, and answers reads. As a program it serves ordinary Redis clients (`redtail serve`); as this library it answers
//! inside your own process:
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
//! let fields = replica.command(&["HGETALL", "user:1"])?; // any read, as its RESP3 reply
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
//! # The rooms
//!
//! Data flows one way:
//!
//! ```text
//! primary → upstream (async: handshake, bytes in, acknowledgements out)
//!             → replica (one writer thread: load snapshots, apply the stream)
//!                 → store (sharded, many readers) ← server (async: sessions, pipelines, replies) ← clients
//! ```
//!
//! `rdb` and `resp` are pure codecs, `value` the in-memory types, `command` the one table of commands; `dialect` holds the
//! differences between server versions and `limits` every bound with its reason; `state` keeps what a restart resumes from. What
//! redtail does not do: it does not write, vote in a failover or feed other replicas.

pub mod command;
pub mod dialect;
pub mod limits;
pub mod rdb;
pub mod replica;
pub mod resp;
pub mod script;
pub mod server;
pub mod state;
pub mod store;
pub mod upstream;
pub mod value;

#[doc(hidden)]
pub mod cli;
#[doc(hidden)]
pub mod fuzzing;
mod words;

pub use redis_protocol;
pub use replica::{Config, Database, Error, Replica, Scan, Status};
