//! The keyspaces: shards, entries, expiry, SCAN cursors, memory accounting.
//!
//! One writer, many readers. [`Keyspaces`] is one generation of all databases; a full resync builds a new generation
//! alongside the old one. Readers get a [`Hold`] of the read locks of all shards that their command names, and see a
//! [`View`] only through it (`door`). The writer gets a [`Tx`] from its [`WriteToken`]; it holds the write locks until the
//! whole command (or MULTI/EXEC block) is done. Locks are taken in one order, so a reader sees only whole units and nothing
//! deadlocks; guards cannot cross an await. Where the writer and readers compete for a shard, they take turns: `gate` says
//! how, and why that does not deadlock either.
//!
//! This module knows neither the protocol nor any command. It holds unsafe code in a few files (`tests/it/rooms.rs` lists
//! them): for the one-block layout of entries, for walking a table by bucket position, and for prefetching.
//!
//! # Databases
//! A database is 1,024 shards (`db`), each a hash table of entries behind its own lock. The number is the same everywhere, so
//! that SWAPDB exchanges tables shard by shard. A database is created when the upstream first uses it, and costs nothing
//! before its first key. An entry is one heap block and its own key in the table (`entry`), so a slot is eight bytes.
//!
//! # What is locked
//! KEYS, and SORT with patterns that lead to other keys, hold their whole database. SCAN, RANDOMKEY and DBSIZE hold nothing in
//! advance: `scan` locks as it walks, and a count is one number. [`Keyspaces::survey`] runs them again under the database's
//! locks if taints changed in the meantime. The figures of a database are published before a [`Tx`] releases its locks, so a
//! reader that sees a new value sees the new counts.
//!
//! # Expiry
//! An expired key is hidden from readers; only the primary's own DEL removes it, and the stream's commands still see it, as on a
//! real replica. The commands of one EXEC share one reading of the clock. The same holds for the fields of hashes that have
//! expiries of their own. `sweep` frees the memory of values that expired long ago.
#![expect(
    unsafe_code,
    reason = "one-block entries and bucket positions; each use says why it is sound"
)]

mod aside;
mod attached;
mod census;
mod db;
mod difference;
mod door;
mod entry;
mod fate;
mod fetch;
mod from_rdb;
mod gate;
mod generation;
mod group;
mod growing;
mod keyspaces;
mod kinds;
mod libraries;
mod loader;
mod locks;
mod migrating;
mod ownership;
mod reading;
mod scan;
mod scripts;
mod sweep;
mod taint;
#[cfg(test)]
mod tests;
mod to_rdb;
mod tuning;
mod tx;
mod view;
mod waiters;
mod walk;
mod watches;
mod watching;
mod whole;
mod write;

pub use crate::slots::{CLUSTER_SLOTS, ClusterSlots, cluster_slot};
pub use aside::drop_aside;
pub use attached::{Attached, AttachedKeys};
pub use census::Census;
pub use db::Db;
pub use difference::Difference;
pub use door::{EachKey, Hold, Names, Share};
pub use entry::{Entry, INLINE_TEXT_BYTES_MAX, NewValue, Value};
pub use fate::Refusal;
pub use fetch::{Fetch, GROUP_MAX, KeyHash};
pub use gate::Turn;
pub use generation::{Course, Generation, Inflow, Served};
pub use group::Group;
pub use growing::Growing;
pub use keyspaces::{DATABASES_GROWN_MAX, Figures, Keyspaces};
pub use kinds::{Kind, KindFigures};
pub use libraries::{Libraries, Library, LibraryError};
pub use loader::{Loader, LoaderError};
pub use locks::Slot;
pub use migrating::{Hidden, Migrating};
pub use ownership::{Imported, Moving, Owned, Ownership};
pub use scan::{Cursor, PART_CURSOR_BITS};
pub use scripts::Scripts;
pub use sweep::{LOCKED_BUCKETS_MAX, Sweeper, Swept};
pub use taint::{Doubt, Tainted, Taints};
pub use tuning::Tuning;
pub use tx::{NoSuchDatabase, Tx};
pub use view::{Lookups, View, WrongType, unix_ms};
pub use waiters::{Waiters, Waiting};
pub use watches::{Rules, Watches};
pub use watching::{TooManyWatched, Watching};
pub use whole::Whole;
pub use write::WriteToken;
