//! The value room.
