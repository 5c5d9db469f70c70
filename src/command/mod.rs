//! The command table, in three floors: `rows` is what a command is made of, `families` has a file or folder for each family of
//! commands with their rows and handlers, and `dispatch` finds a row, checks it, takes locks and runs it. Each floor uses only
//! those below it.
//!
//! A command is a row plus functions. The row's slots are permissions. `read` gets a shared [`View`](crate::store::View) and
//! cannot change the store. `apply` gets the writer's [`Tx`](crate::store::Tx), and only the replica calls it. `session` gets the
//! connection's state. A client that calls a row with only `apply` gets READONLY. A row marked as a write but without a handler
//! taints the keys it names when it arrives in the stream. COMMAND, the locks that a command takes and the reference page are all
//! derived from the rows; there is no other list of commands. Rows also say which servers have a command: to a client of a
//! dialect without it, the command is unknown.
//!
//! A handler meets a connection only through the trait [`Host`], which the server implements, and Lua only through
//! [`Scripting`]. So the server depends on commands, and not the other way round.

mod dispatch;
mod families;
mod rows;
#[cfg(test)]
pub(crate) mod testing;

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod random_tests;

pub use dispatch::account::ran_in_script;
pub use dispatch::ahead::{Ahead, point_read_key};
pub use dispatch::answer::{answer, run};
pub use dispatch::catalogue::flagged;
pub use dispatch::execute::{
    ReadCx, apply, apply_heard, changes, read, read_at, read_held, read_in, slots, wake,
};
pub use dispatch::permission::{check_options, check_script, permits, units_of};
pub use dispatch::registry::{all, lookup};
pub use dispatch::replay::{Replay, ReplayScripts, Unsure, script_call, slots as replay_slots};
pub use dispatch::resolve::{check_arity, resolve, resolve_for, unknown_command};
pub use dispatch::tracked::note_read;
pub use families::foreign::{Change as ForeignChange, change as foreign_change};
pub use families::generic::type_name;
pub use families::introspection::{info_text, resident};
pub use families::stream::answer_wait;
pub use rows::bus;
pub use rows::error::{OUT_OF_MEMORY, READONLY, TOO_LARGE};
pub use rows::inbox::{Inbox, Push};
pub use rows::latency_events::LatencyEvents;
pub use rows::logs::{Entry as LogEntry, Logs};
pub use rows::monitor::Monitors;
pub use rows::notifications::{Channels, Event, EventFlags, EventFlagsError};
pub use rows::output_limits::{Class as OutputClass, OutputLimits};
pub use rows::pubsub::{Kind, Message, Outbox, Pubsub, Subscriptions, Unfinished, Woken};
pub use rows::queue::Transaction;
pub use rows::scripting::{
    FunctionShown, LibraryShown, NoSuchShare, Script, ScriptCall, ScriptFigures, ScriptShare,
    Scripting,
};
pub use rows::traffic::{Counts, Rates, Traffic};
pub use rows::tunables::{SetLogLevel, Tunables};
pub use rows::{
    ApplyFn, Arity, Asked, AskedKey, Awaited, Blocked, CallFigures, Called, Calls, ClusterNode,
    ClusterState, Command, Condition, Data, Entries, Error, Face, Family, Flags, Form, Health,
    HeldBack, Histogram, Host, Importing, InCluster, KeptState, Keys, LastFault, LeastFn, Loading,
    Outcome, Part, ReadFn, Replication, Replies, Scope, Seen, Session, SessionCx, SessionFn,
    ShardMap, ShardState, Shards, Statistics, SyncNames, Synced, SyncsOf, Tally, Touch, TouchFn,
    Wait, WorkFn, acl, client, glob, long, nothing_served, tracking, vain_wait,
};

/// What values and the numbers in requests mean, for reads without a request.
pub(crate) mod values {
    pub(crate) use super::families::hash::Seen as SeenHash;
    pub(crate) use super::families::list::{elements, place};
    pub(crate) use super::families::stream::{after, before};
    pub(crate) use super::families::string::{text_range, with_text};
    pub(crate) use super::families::zset::{Bounds, Edge, by_rank};
}
