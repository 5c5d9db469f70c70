//! Listeners, connections, limits: what stands between a socket and [`crate::command`].
//!
//! One tokio task per connection. It reads what has come, finds the requests in it ([`crate::resp::RequestParser`]), has
//! each answered ([`crate::command::answer`]) into one reply buffer and writes that in one go. No request is parsed while
//! replies wait to be taken, so a slow reader holds up only itself and what it may have queued is bounded. A pipeline is
//! answered from one generation; offsets seen on a connection never go back.
//!
//! This room knows no replica: whoever starts a [`Server`] tells it what to serve and how to ask for the replica's state.

mod blocked;
mod clients;
mod config;
mod listen;
mod protected;
mod session;
mod shared;

pub use config::{Access, AccessError, Config, Listen, ListenError};
pub use listen::{Error, Listeners};
pub use shared::{Server, scripting};

#[cfg(test)]
mod tests;
