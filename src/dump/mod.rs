//! Dumps, key by key, without their layouts, read and written: what `redtail::rdb` exports and `redtail rdb …` uses.
//!
//! [`read`] decodes a dump with `rdb` and passes each part to a [`Visitor`] (`read`). A [`Key`] borrows its value from the
//! decoder. A [`Value`] shows the elements of each type alike, whatever layout they are written in (`collections`, `stream`,
//! `module`); a string or an element is an [`Item`]. `encoding` names the form of a value. [`Error`] says where and why a dump
//! is broken.
//!
//! A [`Writer`] writes a dump from plain values or from keys that were read, in the layouts of any version (`write`); a
//! [`Copier`] copies keys byte for byte. Both use `rdb::encode`, which writes the bytes.
//!
//! This room refuses a value that a load would refuse, so it also builds streams and arrays, and compares the members of large
//! collections. It keeps no keys: it does not notice a duplicate key in a database.

mod array;
mod collections;
mod copy;
mod encoding;
mod error;
mod estimate;
mod item;
mod keys;
mod module;
mod push;
mod read;
mod sizes;
mod stream;
mod value;
mod write;

pub use crate::rdb::{
    decode::{Checksum, Summary},
    module::ModuleItem,
    stream::StreamId,
    version::{Magic, Version},
};
pub use array::Array;
pub use collections::{Field, Hash, List, Set, SortedSet};
pub use copy::Copier;
pub use error::{Error, ErrorKind};
pub use estimate::ServerKind;
pub use item::Item;
pub use keys::Keys;
pub use module::Module;
pub use push::{Push, PushEnded};
pub use read::{BoxError, Visitor, read, read_file};
pub use stream::{Consumer, Entry, Group, Idempotence, Pending, Producer, Stream};
pub use value::{Key, Value};
pub use write::{NewConsumer, NewGroup, NewKey, NewPending, NewStream, WriteError, Writer};
