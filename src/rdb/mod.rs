//! RDB bytes to typed values: snapshots, dump files and DUMP payloads, and the packed layouts that they hold.
//!
//! A [`source::Source`] gives chunks of bytes, a [`reader::Reader`] walks over them, [`decode::decode`] gives each key
//! and its [`object::Object`] to a [`decode::Sink`], in one pass and on one thread. Strings are borrowed from the
//! reader; packed values are owned, walked once whole, and valid from then on.
//!
//! The other way, an [`encode::Writer`] writes values, and the frame of a whole snapshot, in the layouts of any version.
//!
//! It does no I/O of its own but reading a file, knows no store, keeps no key, and trusts no length: memory follows
//! the bytes that have arrived. It does not look for duplicate keys, nor for duplicates in unpacked collections: the
//! receiver's hash tables find them.

pub mod crc64;
pub mod decode;
pub mod dump;
mod duplicates;
pub mod encode;
pub mod error;
mod flaws;
pub mod intset;
mod kind;
mod length;
mod list;
pub mod listpack;
pub mod lzf;
pub mod module;
pub mod object;
pub mod packed;
pub mod reader;
pub mod records;
pub mod source;
pub mod stream;
mod stream_read;
#[cfg(test)]
mod testing;
mod value;
mod ziplist;

pub use kind::{ValueType, type_name};
