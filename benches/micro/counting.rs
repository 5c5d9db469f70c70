//! An allocator that counts, for each thread apart: threads of other tests or of a runtime change nothing.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
    static HELD: Cell<i64> = const { Cell::new(0) };
    static OBSERVER: Cell<Option<fn(usize)>> = const { Cell::new(None) };
}

/// Counts allocations on their way to mimalloc, which the program uses too.
pub(crate) struct Counting;

impl Counting {
    fn took(bytes: usize) {
        COUNT.set(COUNT.get() + 1);
        HELD.set(HELD.get() + bytes as i64);
        // Taken away for the time of the call: an observer may allocate.
        if let Some(observer) = OBSERVER.take() {
            observer(bytes);
            OBSERVER.set(Some(observer));
        }
    }

    fn gave(bytes: usize) {
        HELD.set(HELD.get() - bytes as i64);
    }
}

#[allow(
    unsafe_code,
    reason = "an allocator is made of unsafe functions; each passes on to mimalloc's"
)]
// SAFETY: every method forwards its arguments unchanged to mimalloc, which upholds the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::took(layout.size());
        // SAFETY: the caller's layout, unchanged.
        unsafe { mimalloc::MiMalloc.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::took(layout.size());
        // SAFETY: the caller's layout, unchanged.
        unsafe { mimalloc::MiMalloc.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        Self::gave(layout.size());
        // SAFETY: the caller's block and layout, unchanged.
        unsafe { mimalloc::MiMalloc.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::gave(layout.size());
        Self::took(size);
        // SAFETY: the caller's block, layout and size, unchanged.
        unsafe { mimalloc::MiMalloc.realloc(block, layout, size) }
    }
}

/// How many allocations `work` makes on this thread.
pub(crate) fn allocations<R>(work: impl FnOnce() -> R) -> (u64, R) {
    let before = COUNT.get();
    let result = work();
    (COUNT.get() - before, result)
}

/// How many bytes more this thread holds after `work` than before, as they were asked for.
pub(crate) fn bytes_held<R>(work: impl FnOnce() -> R) -> (i64, R) {
    let before = HELD.get();
    let result = work();
    (HELD.get() - before, result)
}

/// Calls `observer` with the size of each allocation that `work` makes on this thread. Those of the observer do not count
/// for it.
pub(crate) fn observed<R>(observer: fn(usize), work: impl FnOnce() -> R) -> R {
    OBSERVER.set(Some(observer));
    let result = work();
    OBSERVER.set(None);
    result
}
