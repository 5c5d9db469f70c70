//! Listeners, connections, limits: what stands between a socket and [`crate::command`].
//!
//! One tokio task per connection. It reads what has come, finds the requests in it ([`crate::resp::RequestParser`]), has
//! each answered ([`crate::command::answer`]) into one reply buffer and writes that in one go. While the peer has no room for
//! replies, requests are read and answered on, up to a bound: a client may write a whole pipeline before it reads. What all connections
//! hold is bounded, too ([`crate::resp::Budget`]). Offsets seen on a connection never go back.
//!
//! This room knows no replica: whoever starts a [`Server`] tells it what to serve and how to ask for the replica's state.

mod blocked;
mod clients;
mod config;
mod listen;
mod memory;
mod peer;
mod protected;
mod refusals;
mod session;
mod shared;

pub use config::{Access, AccessError, Config, Listen, ListenError, LogLevel};
pub use listen::{Error, Listeners};
pub use shared::{Server, scripting};

#[cfg(test)]
mod tests;
