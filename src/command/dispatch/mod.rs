//! The path from a request's words to its answer: find the row, check it, take locks, run it.
//!
//! The list of families is in `registry`. This folder also has the few commands that call back into the table: MULTI
//! and EXEC, COMMAND and ACL, and the writes of a primary's script.

pub(crate) mod account;
mod after;
pub(crate) mod ahead;
pub(crate) mod answer;
pub(crate) mod catalogue;
mod describe;
pub(crate) mod execute;
pub(crate) mod permission;
pub(crate) mod registry;
pub(crate) mod replay;
pub(crate) mod resolve;
mod shards;
pub(crate) mod tracked;
mod transaction;
