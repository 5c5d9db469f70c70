//! Commands: one table, one file per family, read and apply handlers.
//!
//! A command is a row and a function. The row's slots are permissions: `read` gets a shared [`View`] and cannot change
//! the store; `apply` gets the writer's [`Tx`] and is called by the replica alone; `session` gets the connection's state.
//! A client that names a row with nothing but `apply` is answered READONLY; a row that is marked as a write but has no
//! handler taints the keys it names when it arrives in the stream. COMMAND, the locks a command takes and the reference
//! page are derived from the rows; nothing else lists commands.

mod ahead;
mod catalogue;
pub mod client;
mod error;
mod execute;
pub mod glob;
mod hexadecimal;
mod keys;
mod parse;
mod partial_sort;
mod resolve;
mod session;
mod table;
#[cfg(test)]
pub(crate) mod testing;
mod traffic;
mod transaction;
mod tunables;
mod work;

mod bitmap;
mod client_commands;
mod cluster;
mod connection;
mod debug;
mod function;
mod generic;
mod geo;
mod hash;
mod hyperloglog;
mod introspection;
mod lcs;
mod least;
mod list;
mod object;
mod replay;
mod restore;
mod scripting;
mod set;
mod sort;
mod stream;
mod string;
mod vector;
mod zset;

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod random_tests;

pub use ahead::{Ahead, point_read_key};
pub use catalogue::flagged;
pub use error::Error;
pub use execute::{Place, apply, changes, read, read_at, read_held, slots, wake};
pub use keys::{Keys, Touch};
pub use least::LeastFn;
pub use replay::{Replay, Unsure, slots as replay_slots};
pub use resolve::{check_arity, resolve, resolve_for, unknown_command};
pub use scripting::{
    FunctionShown, LibraryShown, NoSuchShare, Script, ScriptCall, ScriptFigures, ScriptShare,
    Scripting,
};
pub use session::{
    Blocked, Host, KeptState, OUT_OF_MEMORY, READONLY, Replication, Replies, Session, SessionCx,
    SessionFn, Statistics, TOO_LARGE, answer, long, run,
};
pub use stream::Wait;
pub use table::{Arity, Command, Family, Flags, Outcome, Scope, TouchFn, all, lookup};
pub use traffic::{Rates, Traffic};
pub use transaction::Transaction;
pub use tunables::{SetLogLevel, Tunables};
pub use work::WorkFn;

use crate::resp::{Args, Reply};
use crate::store::{Tx, View};

/// A handler that reads: view, arguments (the name is argument 0), where the reply goes. On an error nothing that it has
/// written is kept.
pub type ReadFn = fn(&View<'_>, Args<'_>, &mut Reply) -> Result<(), Error>;

/// A handler that changes the store as the replication stream says.
pub type ApplyFn = fn(&mut Tx<'_>, Args<'_>) -> Result<(), Error>;
