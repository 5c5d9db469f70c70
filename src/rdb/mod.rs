//! The rdb room.

pub mod intset;
pub mod listpack;
pub mod object;
pub mod stream;
