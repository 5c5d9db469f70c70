//! The micro benches, in one program: a module for each question. Each module checks its answers.
//!
//! `benches/run` runs them, `benches/compare` compares two revisions, and `docs/performance-guide.md` says how to read them. With
//! `--ops`, `--op NAME TIMES` or `--allocs NAME`, the program runs single operations instead, for profilers (`ops`).

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "a bench may panic; it chooses its own numbers"
)]

mod apply;
mod connection;
mod counting;
mod data;
mod expiry;
mod ingest;
mod kinds;
mod library;
mod loopback;
mod memory;
mod ops;
mod patterns;
mod resp;
mod shards;
mod store;
mod talks;
mod threads;
mod waits;

use std::time::Duration;

use criterion::Criterion;

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

/// All questions.
const QUESTIONS: &[fn(&mut Criterion)] = &[
    store::benches,
    threads::benches,
    waits::benches,
    shards::benches,
    ingest::benches,
    resp::benches,
    patterns::benches,
    expiry::benches,
    apply::benches,
    memory::benches,
    library::benches,
    connection::benches,
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if ops::serve(&args) {
        return;
    }
    // Short times, because there are many benches; arguments can ask for longer ones.
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args();
    QUESTIONS
        .iter()
        .for_each(|question| question(&mut criterion));
    criterion.final_summary();
}
