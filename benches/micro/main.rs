//! The micro benches, one program: a module for each question, and each asserts its answers.
//!
//! `benches/run` runs them, `benches/compare` compares two revisions, `docs/performance-guide.md` tells how to read them.
//! With `--ops`, `--op NAME TIMES` or `--allocs NAME` it does single operations instead, for profilers (`ops`).

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "a bench may panic; numbers are the bench's own"
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

/// Every question.
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
    // Short, since there are so many; the arguments may ask for longer.
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
