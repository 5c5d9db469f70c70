//! Commands: a file or folder for each family, with its rows and their handlers.
//!
//! A family uses the floor below and other families, never the floor above: it cannot ask which commands exist. One line
//! in `dispatch::registry` turns its rows into commands.

pub(crate) mod array;
pub(crate) mod bitmap;
pub(crate) mod client;
pub(crate) mod cluster;
pub(crate) mod cluster_face;
pub(crate) mod connection;
#[cfg(feature = "cli")]
pub(crate) mod debug;
pub(crate) mod foreign;
pub(crate) mod function;
pub(crate) mod generic;
pub(crate) mod geo;
pub(crate) mod hash;
pub(crate) mod hyperloglog;
pub(crate) mod introspection;
pub(crate) mod lcs;
pub(crate) mod list;
pub(crate) mod object;
pub(crate) mod offsets;
pub(crate) mod pubsub;
pub(crate) mod restore;
pub(crate) mod scripting;
pub(crate) mod set;
pub(crate) mod sort;
pub(crate) mod stream;
pub(crate) mod string;
mod tracking;
pub(crate) mod vector;
pub(crate) mod walk;
pub(crate) mod zset;
