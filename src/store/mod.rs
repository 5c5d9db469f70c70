//! The keyspaces: shards, entries, expiry, SCAN cursors, memory accounting.
//!
//! One writer, many readers. [`Keyspaces`] is one generation of all databases; a full resync builds a new one beside the
//! old. Readers come through a [`View`], which holds the read locks of all shards that its command names; the writer
//! through a [`Tx`], which holds their write locks until the whole command (or MULTI/EXEC block) is done. Locks are taken
//! in one order, so a reader sees whole units only and nothing deadlocks; guards cannot cross an await. Where they are in each
//! other's way, the writer and the readers come by turns: `gate` says how, and why that does not deadlock either.
//!
//! This room knows no protocol and no command. It alone may use `unsafe`: for the entries' one-block layout and for
//! walking a table by bucket position.
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
