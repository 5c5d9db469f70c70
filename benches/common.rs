//! What the benches share: an allocation counter and dumps made in memory.

#![allow(
    dead_code,
    missing_docs,
    clippy::cast_possible_truncation,
    reason = "each bench uses a part; numbers are the bench's own"
)]

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicU64, Ordering};

use redtail::rdb::crc64;

/// Counts allocations on their way to mimalloc, which the program uses too.
pub(crate) struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

#[allow(
    unsafe_code,
    reason = "an allocator is made of unsafe functions; each passes on to mimalloc's"
)]
// SAFETY: every method forwards its arguments unchanged to mimalloc, which upholds the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's layout, unchanged.
        unsafe { mimalloc::MiMalloc.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's block and layout, unchanged.
        unsafe { mimalloc::MiMalloc.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's block, layout and size, unchanged.
        unsafe { mimalloc::MiMalloc.realloc(block, layout, size) }
    }
}

/// How many allocations `work` makes.
pub(crate) fn allocations<R>(work: impl FnOnce() -> R) -> (u64, R) {
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    let result = work();
    (ALLOCATIONS.load(Ordering::Relaxed) - before, result)
}

fn push_length(out: &mut Vec<u8>, length: usize) {
    match length {
        0..=63 => out.push(length as u8),
        64..=16383 => out.extend_from_slice(&[0x40 | (length >> 8) as u8, length as u8]),
        _ => {
            out.push(0x80);
            out.extend_from_slice(&(length as u32).to_be_bytes());
        }
    }
}

/// The key number `number`, 20 bytes long.
pub(crate) fn key(number: usize) -> [u8; 20] {
    let mut key = *b"key:0000000000000000";
    let mut rest = number;
    for digit in key.iter_mut().rev().take(16) {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    key
}

/// A version 11 dump of `keys` strings of `value_bytes` bytes each, checksum and all.
pub(crate) fn dump(keys: usize, value_bytes: usize) -> Vec<u8> {
    let mut out = b"REDIS0011\xfe\x00\xfb".to_vec();
    push_length(&mut out, keys);
    push_length(&mut out, 0);
    let value = vec![b'v'; value_bytes];
    for number in 0..keys {
        out.push(0);
        push_length(&mut out, 20);
        out.extend_from_slice(&key(number));
        push_length(&mut out, value_bytes);
        out.extend_from_slice(&value);
    }
    out.push(0xff);
    let checksum = crc64::update(0, &out);
    out.extend_from_slice(&checksum.to_le_bytes());
    out
}
