//! The set.

/// A set.
#[derive(Debug, Clone, Default)]
pub struct Set;

impl Set {
    /// Number of elements.
    #[must_use]
    pub const fn len(&self) -> usize {
        0
    }

    /// Bytes held on the heap.
    #[must_use]
    pub const fn heap_bytes(&self) -> usize {
        0
    }
}
