//! redtail: local reads of a production Redis.
#![doc = "A read-only in-memory replica of Redis or Valkey."]

pub mod command;
pub mod dialect;
pub mod limits;
pub mod rdb;
pub mod replica;
pub mod resp;
pub mod server;
pub mod store;
pub mod upstream;
pub mod value;

#[doc(hidden)]
pub mod cli;
