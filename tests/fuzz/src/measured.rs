//! Runs a fuzz body under an allocator that counts, and holds it to a bound.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// What a body may hold at once beside what follows its input: buffers of fixed sizes, empty tables of databases.
const CONSTANT_BYTES: usize = 8 << 20;

/// What a body may hold at once for each byte of its input. An element of a byte or two becomes an entry of a table.
const FACTOR: usize = 200;

/// What one byte of LZF can stand for.
const EXPANSION: usize = 88;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, counting for each thread what it holds and the most that it held.
pub struct Counting;

impl Counting {
    fn took(bytes: usize) {
        let held = HELD.get().wrapping_add(bytes);
        HELD.set(held);
        // What was taken elsewhere and freed here leaves a "negative" count.
        if held.cast_signed() > PEAK.get().cast_signed() {
            PEAK.set(held);
        }
    }

    fn gave(bytes: usize) {
        HELD.set(HELD.get().wrapping_sub(bytes));
    }
}

// SAFETY: every call is handed to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::took(layout.size());
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::took(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        Self::gave(layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::took(size);
        Self::gave(layout.size());
        // SAFETY: as above.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Runs `body` on `input`.
///
/// # Panics
/// When the body does, or when it held more memory at once than the input accounts for.
pub fn run(body: impl Fn(&[u8]), input: &[u8]) {
    let before = HELD.get();
    PEAK.set(before);
    body(input);
    let most = PEAK.get().wrapping_sub(before);
    let is_compressed = input.contains(&0xc3);
    let expansion = if is_compressed { EXPANSION } else { 1 };
    let allowed = CONSTANT_BYTES + input.len() * FACTOR * expansion;
    assert!(
        most <= allowed,
        "{most} bytes held at once for an input of {}",
        input.len()
    );
}
