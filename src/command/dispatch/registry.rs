//! The command table: all families, and the index of names.

use std::sync::OnceLock;

use super::{describe, transaction};
#[cfg(feature = "cli")]
use crate::command::families::debug;
use crate::command::families::{
    array, bitmap, cluster, connection, function, generic, geo, hash, hyperloglog, introspection,
    lcs, list, offsets, pubsub, scripting, set, sort, stream, string, vector, zset,
};
use crate::command::rows::{Command, Family};

/// All families.
const FAMILIES: &[Family] = &[
    connection::FAMILY,
    introspection::FAMILY,
    describe::FAMILY,
    pubsub::FAMILY,
    introspection::REFUSED,
    transaction::FAMILY,
    function::FAMILY,
    scripting::FAMILY,
    #[cfg(feature = "cli")]
    debug::FAMILY,
    generic::FAMILY,
    cluster::FAMILY,
    offsets::FAMILY,
    sort::FAMILY,
    string::FAMILY,
    lcs::FAMILY,
    bitmap::FAMILY,
    list::FAMILY,
    set::FAMILY,
    hash::FAMILY,
    zset::FAMILY,
    stream::FAMILY,
    hyperloglog::FAMILY,
    geo::FAMILY,
    array::FAMILY,
    vector::FAMILY,
];

/// Returns every command with its group, in table order.
pub fn all() -> impl Iterator<Item = (&'static str, &'static Command)> {
    FAMILIES.iter().flat_map(|family| {
        family
            .commands
            .iter()
            .map(move |command| (family.group, command))
    })
}

/// Number of places in the index: a power of two, several times the number of rows, so that nearly every name is at
/// its own place.
const PLACES: usize = 2048;

/// Returns the row of a name in any case.
#[must_use]
#[inline]
pub fn lookup(name: &[u8]) -> Option<&'static Command> {
    static INDEX: OnceLock<Box<[Option<&'static Command>]>> = OnceLock::new();
    let index = INDEX.get_or_init(index);
    let mut place = place(name);
    // There are far fewer rows than places, so one is empty.
    while let Some(Some(row)) = index.get(place) {
        if name.eq_ignore_ascii_case(row.name.as_bytes()) {
            return Some(row);
        }
        place = (place + 1) % PLACES;
    }
    None
}

#[cold]
fn index() -> Box<[Option<&'static Command>]> {
    let mut index = vec![None; PLACES].into_boxed_slice();
    for (_, command) in all() {
        let mut place = place(command.name.as_bytes());
        while let Some(Some(_)) = index.get(place) {
            place = (place + 1) % PLACES;
        }
        if let Some(free) = index.get_mut(place) {
            *free = Some(command);
        }
    }
    index
}

/// Returns the place where the search for a name starts. It depends on the name's length, its first four letters and
/// its last four.
#[inline]
fn place(name: &[u8]) -> usize {
    const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
    let letters = |four: [u8; 4]| u64::from(u32::from_le_bytes(four) | 0x2020_2020);
    let (first, last) = match (name.first_chunk(), name.last_chunk()) {
        (Some(first), Some(last)) => (letters(*first), letters(*last)),
        _ => {
            let mut short = [0; 4];
            short
                .iter_mut()
                .zip(name)
                .for_each(|(to, letter)| *to = *letter);
            (letters(short), 0)
        }
    };
    let mixed = (first << 32 | last).wrapping_add(name.len() as u64);
    let place = mixed.wrapping_mul(SPREAD) >> (u64::BITS - PLACES.trailing_zeros());
    usize::try_from(place).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::rows::{Arity, Keys};

    fn rows() -> impl Iterator<Item = &'static Command> {
        all().flat_map(|(_, command)| std::iter::once(command).chain(command.subcommands))
    }

    #[test]
    fn names_are_unique_lower_case_and_found() {
        let mut seen = std::collections::HashSet::new();
        for (_, command) in all() {
            assert!(seen.insert(command.name), "duplicate name {}", command.name);
            assert_eq!(
                lookup(command.name.to_uppercase().as_bytes()).map(|found| found.name),
                Some(command.name)
            );
        }
        assert!(rows().all(|row| row.name == row.name.to_lowercase()));
    }

    #[test]
    fn fixed_keys_lie_inside_the_arity() {
        for row in rows() {
            // Commands of modules count their words themselves.
            let is_counted = row.arity != Arity::at_least(1);
            if let (true, Keys::Range { first, last, .. }) = (is_counted, row.keys) {
                let needed = first.max(usize::try_from(last).unwrap_or(0)) + 1;
                assert!(
                    row.arity.number().unsigned_abs() as usize >= needed,
                    "{} names a key past its arity",
                    row.name
                );
            }
        }
    }

    #[test]
    fn every_row_does_something_or_is_a_write_and_says_what() {
        for row in rows() {
            let acts = row.read.is_some()
                || row.apply.is_some()
                || row.session.is_some()
                || !row.subcommands.is_empty();
            assert!(acts || row.is_write(), "{} has no handler", row.name);
            assert!(
                !row.summary.is_empty() || !row.subcommands.is_empty(),
                "{} has no summary",
                row.name
            );
        }
    }
}
