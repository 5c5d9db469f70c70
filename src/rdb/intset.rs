//! Intsets.

/// A valid intset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intset;
