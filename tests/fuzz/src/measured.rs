//! Runs a fuzz body under a counting allocator, and checks that its memory is bounded.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The bytes that a body may hold at once, regardless of its input: buffers of fixed sizes, empty tables of databases.
const CONSTANT_BYTES: usize = 8 << 20;

/// The bytes that a body may hold at once per byte of its input. An element of a byte or two becomes a table entry.
const FACTOR: usize = 200;

/// The number of bytes that one byte of LZF can expand to.
const EXPANSION: usize = 88;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator. It counts per thread the bytes held and their peak.
pub struct Counting;

impl Counting {
    fn took(bytes: usize) {
        let held = HELD.get().wrapping_add(bytes);
        HELD.set(held);
        // Memory that another thread allocated and this one freed makes the count "negative".
        if held.cast_signed() > PEAK.get().cast_signed() {
            PEAK.set(held);
        }
    }

    fn gave(bytes: usize) {
        HELD.set(HELD.get().wrapping_sub(bytes));
    }
}

// SAFETY: every call is forwarded unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::took(layout.size());
        // SAFETY: the caller's promises are those that the system's allocator requires.
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

/// Runs `body`, and returns how many bytes this thread held at once, at most, in addition to what it held before.
pub fn peak(body: impl FnOnce()) -> usize {
    let before = HELD.get();
    PEAK.set(before);
    body();
    PEAK.get().wrapping_sub(before)
}

/// Runs `body` on `input`.
///
/// # Panics
/// If the body panics, or if it holds more memory at once than the input allows.
pub fn run(body: impl Fn(&[u8]), input: &[u8]) {
    let most = peak(|| body(input));
    let is_compressed = input.contains(&0xc3);
    let expansion = if is_compressed { EXPANSION } else { 1 };
    let allowed = CONSTANT_BYTES + input.len() * FACTOR * expansion;
    assert!(
        most <= allowed,
        "{most} bytes held at once for an input of {}",
        input.len()
    );
}
