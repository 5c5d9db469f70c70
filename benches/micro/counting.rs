//! An allocator that counts per thread, so that other tests' threads or a runtime's do not change a count.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
    static HELD: Cell<i64> = const { Cell::new(0) };
    static OBSERVER: Cell<Option<fn(usize)>> = const { Cell::new(None) };
}

/// Counts allocations and passes them on to mimalloc, which redtail itself uses.
pub(crate) struct Counting;

impl Counting {
    fn took(bytes: usize) {
        COUNT.set(COUNT.get() + 1);
        HELD.set(HELD.get() + bytes as i64);
        // Taken for the time of the call, because an observer may allocate.
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
    reason = "an allocator consists of unsafe functions; each calls mimalloc's"
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

/// Returns the number of allocations that `work` makes on this thread.
pub(crate) fn allocations<R>(work: impl FnOnce() -> R) -> (u64, R) {
    let before = COUNT.get();
    let result = work();
    (COUNT.get() - before, result)
}

/// Returns how many more bytes this thread holds after `work` than before, as requested from the allocator.
pub(crate) fn bytes_held<R>(work: impl FnOnce() -> R) -> (i64, R) {
    let before = HELD.get();
    let result = work();
    (HELD.get() - before, result)
}

/// Calls `observer` with the size of each allocation that `work` makes on this thread. The observer's own allocations are not
/// observed.
pub(crate) fn observed<R>(observer: fn(usize), work: impl FnOnce() -> R) -> R {
    OBSERVER.set(Some(observer));
    let result = work();
    OBSERVER.set(None);
    result
}
