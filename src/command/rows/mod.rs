//! The parts of a command: its row, and what handlers share.
//!
//! This layer knows no command by name. Families build rows from it; dispatch finds, checks and runs them.

pub mod acl;
mod asked;
pub mod bus;
mod calls;
pub mod client;
mod cluster_state;
pub(crate) mod command;
pub(crate) mod error;
mod error_codes;
pub mod glob;
mod health;
mod help;
mod hexadecimal;
pub(crate) mod inbox;
pub(crate) mod keys;
mod latency;
pub(crate) mod latency_events;
pub(crate) mod least;
pub(crate) mod logs;
pub(crate) mod monitor;
pub(crate) mod notifications;
pub(crate) mod output_limits;
mod pace;
pub(crate) mod parse;
pub(crate) mod partial_sort;
pub(crate) mod pubsub;
pub(crate) mod queue;
pub(crate) mod scan;
pub(crate) mod scripting;
pub(crate) mod session;
mod shards;
mod timing;
mod together;
pub mod tracking;
pub(crate) mod traffic;
pub(crate) mod tunables;
pub(crate) mod wait;
pub(crate) mod work;

pub use asked::{Asked, AskedKey};
pub use calls::{CallFigures, Called, Calls};
pub use cluster_state::{ClusterState, ShardState};
pub(crate) use command::ALWAYS;
pub use command::{
    ApplyFn, Arity, Command, Family, Flags, Form, LeastFn, Outcome, ReadFn, Scope, SessionFn,
    TouchFn, WorkFn,
};
pub use error::Error;
pub use health::{Condition, Data, Health, Seen};
pub(crate) use help::help;
pub use keys::{Keys, Touch};
pub use latency::Histogram;
pub(crate) use pace::entering;
pub use pace::long;
pub use session::{
    Blocked, HeldBack, Host, KeptState, LastFault, Loading, Replication, Replies, Session,
    SessionCx, Statistics, SyncNames, Synced, SyncsOf, Tally, nothing_served,
};
pub(crate) use shards::{CROSS_SLOT, SHARD_PATIENCE, ShardWait};
pub use shards::{ClusterNode, Face, Importing, InCluster, Part, ShardMap, Shards};
pub(crate) use wait::Limits;
pub use wait::{Awaited, Entries, Wait, vain_wait};
