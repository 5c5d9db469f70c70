//! Streams.

/// A decoded stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamObject;
