//! Listeners, connections and limits: everything between a socket and [`crate::command`].
//!
//! Each connection has one tokio task. It reads the bytes received, finds the requests in them ([`crate::resp::RequestParser`]),
//! answers each ([`crate::command::answer`]) into one reply buffer, and writes that buffer in one go. While the peer has no room
//! for replies, the task continues to read and answer requests, up to a limit: a client may write a whole pipeline before it
//! reads. A connection that only listens to messages changes to threads of its own (`audience`). The memory of all connections together is limited too ([`crate::resp::Budget`]). The offset that a connection sees
//! never goes back.
//!
//! This module knows nothing of replicas. The caller that creates a [`Server`] says what to serve and how to get the replica's
//! state.

mod audience;
mod blocked;
mod clients;
mod config;
mod courier;
mod delivery;
mod health;
mod listen;
mod memory;
mod messages;
#[cfg(not(feature = "lua"))]
mod no_scripts;
mod peer;
mod point;
mod protected;
mod refusals;
mod session;
mod shared;
mod tls;

pub use config::{
    Access, AccessError, Config, Listen, ListenError, LogLevel, OutputLimit, OutputLimitError,
};
pub use listen::{Error, Listeners};
pub use shared::Server;
pub use tls::{ClientAuth, ClientAuthError, TlsError, TlsFiles};

#[cfg(test)]
mod tests;
