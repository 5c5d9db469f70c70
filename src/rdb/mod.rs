//! RDB bytes to typed values: snapshots, dump files and DUMP payloads, and the packed layouts that they hold.
//!
//! It does no I/O but through a source, knows no store, keeps no value, and never trusts a length: memory follows
//! the bytes that have arrived, and every packed blob is walked once before it is handed on.

pub mod intset;
pub mod listpack;
pub mod object;
pub mod packed;
pub mod stream;
