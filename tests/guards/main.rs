//! Checks what hot paths allocate once their buffers are warm: reads allocate nothing, and writes a stated number.
//!
//! The hot paths run on one thread, and only that thread's allocations count.

#![allow(
    dead_code,
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "tests may panic; they use only part of the code that they share with the benches"
)]

#[path = "../../benches/micro/counting.rs"]
mod counting;
#[path = "../../benches/micro/data.rs"]
mod data;
#[path = "../../benches/micro/loopback.rs"]
mod loopback;
#[path = "../../benches/micro/talks.rs"]
mod talks;

mod connections;
mod library;
mod writes;

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

#[test]
fn an_allocation_is_counted() {
    let (allocations, held) = counting::allocations(|| {
        let (held, kept) = counting::bytes_held(|| Box::new([7_u64; 4]));
        std::hint::black_box(&kept);
        held
    });
    assert_eq!((allocations, held), (1, 32));
}

#[test]
fn another_threads_allocations_are_not() {
    let (go, come) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            go.wait();
            std::hint::black_box(vec![1_u8; 100]);
            come.wait();
        });
        let (allocations, ()) = counting::allocations(|| {
            go.wait();
            come.wait();
        });
        assert_eq!(allocations, 0);
    });
}
