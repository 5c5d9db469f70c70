//! Reads RDB bytes into typed values: snapshots, dump files and DUMP payloads, and the packed layouts inside them.
//!
//! A [`source::Source`] supplies chunks of bytes and a [`reader::Reader`] walks over them. [`decode::decode`] hands each key
//! and its [`object::Object`] to a [`decode::Sink`], in one pass and on one thread. Strings are borrowed from the reader.
//! Packed values are owned: they are walked once in full and are valid from then on.
//!
//! In the other direction, an [`encode::Writer`] writes values, and the frame of a whole snapshot, in the layouts of any
//! version.
//!
//! The only I/O done here is reading a file. This module knows no store, keeps no keys and trusts no length: memory grows with
//! the bytes received, never with a declared length. It does not check for duplicate keys, nor for duplicates in unpacked
//! collections: the receiver's hash tables find them.

pub mod array;
pub mod crc64;
pub mod decode;
pub mod dump;
mod duplicates;
pub mod encode;
pub mod error;
mod flaws;
pub mod intset;
mod kind;
pub(crate) mod length;
mod list;
pub mod listpack;
pub mod lzf;
pub mod module;
pub mod names;
pub mod object;
pub mod packed;
pub mod reader;
pub mod records;
pub mod source;
pub mod stream;
mod stream_read;
mod template;
#[cfg(test)]
mod testing;
mod value;
pub mod version;
mod ziplist;

pub(crate) use duplicates::has_twins;
pub use kind::{ValueType, type_name};
pub(crate) use value::FIELD_EXPIRY_MS_MAX;
