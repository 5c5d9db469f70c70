//! The integration tests, in one binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "tests may panic, and their names say what they check"
)]

mod acl;
mod big_dumps;
mod blocking;
mod bounds;
mod browser;
mod builds;
mod by_hand;
mod catalogue;
mod certificates;
mod check_tool;
mod cli;
mod client;
mod clients;
mod cluster;
mod corpus;
mod cursors;
mod deploy;
mod dialect;
mod documents;
mod dump;
mod dump_input;
mod dump_memory;
mod dump_tools;
mod dump_writer;
mod encodings;
mod face;
mod faults;
mod field_expiry;
mod figures;
mod flaws;
mod fresh;
mod functions;
mod fuzz;
mod gate;
mod geo;
mod http;
mod idletime;
mod introspection;
mod large;
mod library;
/// The fuzz targets' counting allocator, for all of these tests.
#[path = "../fuzz/src/measured.rs"]
#[allow(unsafe_code, reason = "implementing an allocator needs unsafe code")]
mod measured;
mod memory;
mod metrics;
mod migration;
mod modules;
mod moments;
mod newest;
mod notifications;
mod offsets;
mod oracle;
mod page;
mod pictures;
mod preload;
mod psync;
mod pubsub;
mod reader;
mod reference;
mod report;
mod resync;
mod rooms;
mod script_bounds;
mod scripted;
mod scripts;
mod sentinel;
mod servers;
mod silence;
mod sort;
mod state;
mod statistics;
mod stream_forms;
mod stream_refusals;
mod sweep;
mod tail;
mod tails;
mod terminal;
mod tls_listeners;
mod tools;
mod tracking;
mod transfer;
mod traps;
mod turns;
mod upgrade;
mod upstreams;
mod vectors;
mod verbatim_scripts;
mod watch;
mod words;
