//! The keyspaces: shards, entries, expiry, SCAN cursors, memory accounting.
//!
//! One writer, many readers. [`Keyspaces`] is one generation of all databases; a full resync builds a new generation
//! alongside the old one. Readers use a [`View`], which holds the read locks of all shards that its command names. The
//! writer uses a [`Tx`], which holds their write locks until the whole command (or MULTI/EXEC block) is done. Locks are
//! taken in one order, so a reader sees only whole units and nothing deadlocks; guards cannot cross an await. Where the
//! writer and readers compete for a shard, they take turns: `gate` says how, and why that does not deadlock either.
//!
//! This module knows neither the protocol nor any command. It is the only module that may use `unsafe`: for the one-block
//! layout of entries and for walking a table by bucket position.
#![expect(
    unsafe_code,
    reason = "one-block entries and bucket positions; each use says why it is sound"
)]

mod db;
mod entry;
mod fetch;
mod from_rdb;
mod gate;
mod generation;
mod group;
mod growing;
mod keyspaces;
mod libraries;
mod loader;
mod locks;
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
mod watches;
mod write;

pub use db::Db;
pub use entry::{Entry, INLINE_TEXT_BYTES_MAX, NewValue, Value};
pub use fetch::{Fetch, KeyHash};
pub use gate::Turn;
pub use generation::{Generation, Inflow, Served};
pub use group::{GROUP_MAX, Group};
pub use growing::Growing;
pub use keyspaces::{DATABASES_GROWN_MAX, Figures, Keyspaces};
pub use libraries::{Libraries, Library, LibraryError};
pub use loader::{DuplicateKey, Loader};
pub use locks::Slot;
pub use scan::Cursor;
pub use scripts::Scripts;
pub use sweep::{LOCKED_BUCKETS_MAX, Sweeper, Swept};
pub use taint::{Doubt, Tainted, Taints};
pub use tuning::Tuning;
pub use tx::{NoSuchDatabase, Tx};
pub use view::{View, WrongType, unix_ms};
pub use waiters::{Waiters, Waiting};
pub use watches::{Rules, TooManyWatched, Watches, Watching};
pub use write::WriteToken;
