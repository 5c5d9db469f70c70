//! RESP2 and RESP3: bytes ↔ typed values.
//!
//! Pure: no I/O, no store. [`RequestParser`] turns the bytes of a client or of a replication stream into [`Args`],
//! which borrow from the buffer they came in; [`Reply`] writes replies of either protocol version. "Need more bytes"
//! is `None`, never an error. Replies are not parsed here: where that is needed (library calls), the `redis-protocol`
//! crate does it.

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
