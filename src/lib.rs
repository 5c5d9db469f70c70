//! redtail: local reads of a production Redis.
//!
//! redtail is a read-only, in-memory replica of a Redis or Valkey primary. It asks the primary for PSYNC, loads the snapshot,
//! applies the command stream after it, and answers reads. The program `redtail serve` answers ordinary Redis clients. This
//! library answers inside your own process:
//!
//! ```no_run
//! use redtail::Replica;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let replica = Replica::builder().upstream("redis://127.0.0.1:6379").start().await?;
//!
//! let greeting: Option<Vec<u8>> = replica.get("greeting")?;
//! let name = replica.hget("user:1", "name")?;
//! let best = replica.zrange("board", -10, -1)?; // members with their scores
//! let several = replica.mget(&["one", "two"])?; // both at one replication offset
//! for key in replica.scan("user:*") {
//!     println!("{}", String::from_utf8_lossy(&key?));
//! }
//! let any_read = replica.command(&["GEOSEARCH", "shops", "FROMMEMBER", "a", "BYRADIUS", "1", "km"])?; // its RESP3 reply
//! println!("{greeting:?} {name:?} {best:?} {several:?} {any_read:?}, at offset {}", replica.status().applied_offset);
//! replica.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Where is what
//!
//! | to | use |
//! |---|---|
//! | start | [`Replica::builder`], or [`Config`] and [`Replica::start`] |
//! | read values of each type | the methods of [`Replica`] for database 0, and of [`Database`] for any: named like the commands |
//! | read in place, without a copy | [`get_with`](Database::get_with) and all names that end in `_with` |
//! | read several keys at one moment | [`Replica::at_one_moment`] |
//! | walk over keys and large values | [`scan`](Database::scan), [`hscan`](Database::hscan) and their relatives; [`Scan::stream`] |
//! | run any other read | [`command`](Database::command) |
//! | read own writes | [`Replica::wait_for`] |
//! | hear of changes of the data | [`Replica::changes`], in [`changes`] |
//! | know how the replica stands, and what happens to it | [`Replica::status`], in [`status`]; [`Replica::watch`], in [`watch`] |
//! | read and write dumps | [`rdb`] |
//!
//! `docs/library.md` in the repository is a guide through these, with examples.
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
//! - `http`: the program's health, metrics and status page over HTTP.

/// The rooms, for redtail's own program, tests, benches and fuzz targets. Nothing in here is stable.
#[doc(hidden)]
#[path = ""]
pub mod internal {
    #[cfg(feature = "cli")]
    pub mod cli;
    pub mod command;
    pub mod dialect;
    pub mod dump;
    pub mod feed;
    #[cfg(feature = "testing")]
    pub mod fuzzing;
    pub mod history;
    #[cfg(feature = "http")]
    pub mod http;
    pub mod limits;
    #[cfg(feature = "tls")]
    pub(crate) mod pem;
    pub mod rdb;
    pub mod replica;
    pub mod resp;
    #[cfg(feature = "lua")]
    pub mod script;
    pub(crate) mod secret;
    #[cfg(feature = "cli")]
    pub mod server;
    pub mod slots;
    pub mod spread;
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

pub use internal::replica::{
    Builder, Config, Database, Error, Expiry, Moment, Pair, Place, Replica, Reply, Scan,
    ScanStream, StartError, Status, StreamEntry, WaitError,
};

/// The guide's examples are compiled.
#[cfg(doctest)]
#[doc = include_str!("../docs/library.md")]
pub struct Guide;

/// What changes in the data, as it happens: for caches, indexes and triggers.
///
/// [`Replica::changes`] is the stream of all changes, [`Replica::watch_prefix`] that of some keys, and
/// [`Replica::changes_from`] continues where a program stopped.
pub mod changes {
    pub use crate::replica::{Change, Changes, Lost, What};
}

/// What the fields of [`Config`] are made of.
pub mod config {
    pub use crate::dialect::{Dialect, Family};
    pub use crate::replica::{ResyncMemory, ResyncPolicy};
    pub use crate::state::{Config as State, Fsync};
    pub use crate::upstream::{
        AckPolicy, Address, AddressError, Cluster, Config as Link, Login, Node, Password, Prefer,
        RdbCompression, Relief, Secret, Sentinels, SpoolLimits, Timing, Tls, Upstream,
    };
    pub use crate::value::{Choices as Encodings, SettingError};
}

/// What the fields of [`Status`] are made of.
pub mod status {
    pub use crate::history::{Point, ReplId};
    pub use crate::replica::{Fault, Held, History};
    pub use crate::store::{Figures as Keys, KindFigures as Kind};
    pub use crate::upstream::{
        Brought, LinkState, Mode, Snapshot as Link, SyncCause, SyncDone as Sync, SyncKind,
    };
}

/// What happens to a replica: [`Replica::watch`].
pub mod watch {
    pub use crate::replica::{Event, OutOfSync, Watch};
}

/// Dumps, key by key: for programs that read or write RDB files and need no replica.
///
/// [`read`](rdb::read()) decodes a dump of any Redis or Valkey that redtail follows, and of older ones back to Redis 2.4, and
/// passes each key to a [`Visitor`](rdb::Visitor). A closure is a visitor that only wants the keys:
///
/// ```
/// use redtail::rdb::{self, Key, Value};
///
/// let dump = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/redis-7.0.rdb");
/// let (mut bytes, mut fields) = (0, 0);
/// let summary = rdb::read_file(dump, &mut |key: Key<'_>| {
///     match key.value {
///         Value::String(text) => bytes += text.len(),
///         Value::List(list) => bytes += list.iter().map(|element| element.len()).sum::<usize>(),
///         Value::Hash(hash) => {
///             for field in hash.iter() {
///                 println!("{}: {}", field.name, field.value);
///                 fields += 1;
///             }
///         }
///         Value::SortedSet(set) => {
///             for (member, score) in set.iter() {
///                 println!("{member} has {score}");
///             }
///         }
///         // Sets, streams and modules; and what later versions add.
///         _ => println!("{:?}: a {} of {}", key.name, key.value.kind(), key.encoding()),
///     }
///     Ok(())
/// })?;
/// assert!(summary.keys > 50 && bytes > 0 && fields > 0);
/// # Ok::<(), rdb::Error>(())
/// ```
///
/// # Which reader, and which writer
///
/// | you have | use |
/// |---|---|
/// | a file, or anything that implements `Read`, and want all keys | [`read_file`](rdb::read_file), [`read`](rdb::read()) with a closure or a [`Visitor`](rdb::Visitor) |
/// | the same, and want to stop, to wait or to read several dumps side by side | [`Keys`](rdb::Keys) |
/// | bytes that arrive in an async program | [`Push`](rdb::Push) |
/// | a dump to be copied without some of its keys | [`Copier`](rdb::Copier) |
/// | values of your own to be loaded by a server, or keys of a dump to be changed | [`Writer`](rdb::Writer) |
///
/// [`Keys`](rdb::Keys) reads at your pace. A key that you do not want is passed over without being decompressed or decoded, which
/// takes a fraction of the time:
///
/// ```
/// use redtail::rdb::{Keys, Value};
///
/// let dump = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/redis-7.0.rdb");
/// let mut keys = Keys::open(dump)?;
/// let mut elements = 0;
/// while let Some(key) = keys.next_key_of(|db, name| db == 0 && name.starts_with(b"list"))? {
///     if let Value::List(list) = key.value {
///         elements += list.len();
///     }
/// }
/// assert_eq!(keys.aux("redis-ver"), Some(&b"7.0.15"[..]));
/// assert!(keys.summary().is_some_and(|whole| whole.keys_unwanted > 0) && elements > 0);
/// # Ok::<(), redtail::rdb::Error>(())
/// ```
///
/// [`Push`](rdb::Push) takes the bytes as they arrive:
///
/// ```
/// use redtail::rdb::{BoxError, Key, Push, Visitor};
///
/// #[derive(Default)]
/// struct Count(u64);
///
/// impl Visitor for Count {
///     fn key(&mut self, _: Key<'_>) -> Result<(), BoxError> {
///         self.0 += 1;
///         Ok(())
///     }
/// }
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// # let dump = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/redis-7.0.rdb"))?;
/// let mut push = Push::start(Count::default())?;
/// for piece in dump.chunks(1000) {
///     if push.feed(piece.to_vec()).await.is_err() {
///         break; // finish() says why
///     }
/// }
/// let (count, summary) = push.finish().await;
/// assert_eq!(summary?.keys, count.0);
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(run()).unwrap();
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Visitors
///
/// A type of your own can receive the rest of a dump too, and can stop the reading with an error of its own:
///
/// ```
/// use redtail::rdb::{self, BoxError, ErrorKind, Key, Visitor};
///
/// #[derive(Default)]
/// struct Expiring {
///     version: String,
///     names: Vec<Vec<u8>>,
/// }
///
/// impl Visitor for Expiring {
///     fn key(&mut self, key: Key<'_>) -> Result<(), BoxError> {
///         if key.expire_at_ms.is_some() {
///             self.names.push(key.name.to_vec());
///         }
///         if self.names.len() < 2 { Ok(()) } else { Err("enough".into()) }
///     }
///
///     fn aux(&mut self, name: &[u8], value: &[u8]) -> Result<(), BoxError> {
///         if name == b"redis-ver" {
///             self.version = String::from_utf8_lossy(value).into_owned();
///         }
///         Ok(())
///     }
/// }
///
/// let dump = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/redis-7.0.rdb"))?;
/// let mut expiring = Expiring::default();
/// let error = rdb::read(dump.as_slice(), &mut expiring).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Visitor);
/// assert_eq!(error.key(), Some(&expiring.names[1][..]));
/// assert_eq!(expiring.version, "7.0.15");
///
/// // What is broken is named with its place.
/// let cut = &dump[..100];
/// let error = rdb::read(cut, &mut |_: Key<'_>| Ok(())).unwrap_err();
/// assert!(error.is_truncated() && error.offset() <= 100);
/// println!("{error}"); // "byte 98, reading …: unexpected end of input"
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// A [`Copier`](rdb::Copier) writes a dump with some of the keys of others, byte for byte:
///
/// ```
/// use redtail::rdb::Copier;
///
/// let dump = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/redis-7.0.rdb"))?;
/// let mut copier = Copier::new(Vec::new());
/// copier.append(dump.as_slice(), &mut |key| key.file_bytes < 100).unwrap();
/// let keys = copier.keys();
/// let smaller = copier.finish()?;
/// assert!(keys > 20 && smaller.len() < dump.len());
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Writing
///
/// A [`Writer`](rdb::Writer) writes a dump from plain values. Without a version of your choice, it is one that Redis 5.0 and later and
/// every Valkey load. Collections come from iterators, and large ones are written without their whole in memory:
///
/// ```
/// use redtail::rdb::{NewStream, StreamId, Writer};
///
/// let mut writer = Writer::new(Vec::new()); // or a File, or a socket
/// writer.key("greeting").string("hello")?;
/// writer.key("session:1").db(3).expire_at_ms(1_900_000_000_000).string("Anna")?;
/// writer.key("news").list(["first", "second"])?;
/// writer.key("user:1").hash([("name", "Anna"), ("town", "Rome")])?;
/// writer.key("squares").sorted_set((1..=1000).zip(1..).map(|(n, m)| (n.to_string(), f64::from(n * m))).collect::<Vec<_>>())?;
/// let entries = [(StreamId::new(1, 0), [("temperature", "21")]), (StreamId::new(2, 0), [("temperature", "22")])];
/// writer.key("sensor").stream(entries, &NewStream::default())?;
/// let dump = writer.finish()?;
/// assert!(dump.starts_with(b"REDIS0009"));
/// # assert_eq!(redtail::rdb::read(dump.as_slice(), &mut |_: redtail::rdb::Key<'_>| Ok(())).unwrap().keys, 6);
/// # Ok::<(), redtail::rdb::WriteError>(())
/// ```
///
/// [`Writer::copy`](rdb::Writer::copy) writes a key that a reader handed out, perhaps with another name, database or expiry, and in
/// another version.
///
/// # Memory
///
/// Everything that a visitor gets is borrowed and gone after the call: copy what you keep. A dump is read in one pass, and
/// memory holds only the value being read. What is read is what a load would accept; damage is an error, never a guess.
pub mod rdb {
    pub use crate::dump::{
        Array, BoxError, Checksum, Consumer, Copier, Entry, Error, ErrorKind, Field, Group, Hash,
        Idempotence, Item, Key, Keys, List, Magic, Module, ModuleItem, NewConsumer, NewGroup,
        NewKey, NewPending, NewStream, Pending, Producer, Push, PushEnded, ServerKind, Set,
        SortedSet, Stream, StreamId, Summary, Value, Version, Visitor, WriteError, Writer, read,
        read_file,
    };
    // The rooms name the codec by the same path.
    pub(crate) use crate::internal::rdb::*;
}
