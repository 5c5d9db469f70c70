//! Listpacks.

/// A valid listpack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listpack;
