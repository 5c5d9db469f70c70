//! RESP2 and RESP3: bytes ↔ typed values.
//!
//! Pure: no I/O and no store. [`RequestParser`] turns the bytes of a client or of a replication stream into [`Args`], which
//! borrow from the buffer in which they arrived. [`Reply`] writes replies in either protocol version. "Need more bytes" is
//! [`Step::NeedMore`], never an error. Replies are not parsed here: library calls, which need that, use the `redis-protocol`
//! crate.

mod args;
mod batch;
mod budget;
pub mod double;
mod number;
mod peer;
mod reply;
mod request;
#[cfg(test)]
mod request_tests;

pub use args::{Args, ArgsBuf, Span};
pub use batch::Batch;
pub use budget::{Account, Budget};
pub use number::parse_integer;
pub use peer::{Peer, Presence, answering};
pub use reply::{FREE_BYTES, Protocol, Reply};
pub use request::{ProtocolError, RequestLimits, RequestParser, Step};
