//! BITOP.

use crate::command::families::string::with_text;
use crate::command::rows::Error;
use crate::feed::Class;
use crate::resp::Args;
use crate::store::{NewValue, Tx};

/// An operation on whole strings. The last four are Redis 8.2's.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    And,
    Or,
    Xor,
    Not,
    /// In the first, and in none of the others.
    Diff,
    /// In any of the others, and not in the first.
    Diff1,
    /// In the first, and in any of the others.
    AndOr,
    /// In exactly one.
    One,
}

impl Operation {
    fn parse(args: Args<'_>) -> Result<Self, Error> {
        let operations = [
            ("and", Self::And),
            ("or", Self::Or),
            ("xor", Self::Xor),
            ("not", Self::Not),
            ("diff", Self::Diff),
            ("diff1", Self::Diff1),
            ("andor", Self::AndOr),
            ("one", Self::One),
        ];
        let found = operations.into_iter().find(|(name, _)| args.is(1, name));
        found.map(|(_, operation)| operation).ok_or(Error::Syntax)
    }

    fn check_sources(self, sources: usize) -> Result<(), Error> {
        match self {
            Self::Not if sources != 1 => Err(Error::Text(
                "ERR BITOP NOT must be called with a single source key.",
            )),
            Self::Diff | Self::Diff1 | Self::AndOr if sources < 2 => Err(Error::Text(
                "ERR BITOP DIFF, DIFF1 and ANDOR must be called with at least two source keys.",
            )),
            _ => Ok(()),
        }
    }

    /// Merges a string after the second into those before it.
    fn add(self, others: &mut [u8], text: &[u8]) {
        match self {
            Self::And => merge(others, text, |all, byte| all & byte),
            Self::Xor => merge(others, text, |all, byte| all ^ byte),
            _ => merge(others, text, |all, byte| all | byte),
        }
    }

    /// Merges all the others into the first string.
    fn finish(self, first: &mut [u8], others: &[u8]) {
        match self {
            Self::And | Self::AndOr => merge(first, others, |first, others| first & others),
            Self::Xor => merge(first, others, |first, others| first ^ others),
            Self::Diff => merge(first, others, |first, others| first & !others),
            Self::Diff1 => merge(first, others, |first, others| !first & others),
            Self::Or | Self::One | Self::Not => {
                merge(first, others, |first, others| first | others)
            }
        }
    }
}

/// The result is a string as long as the longest source; if that length is 0, the destination is deleted.
/// Source: redis 8.0 bitops.c, `bitopCommand`.
pub(super) fn bitop(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let operation = Operation::parse(args)?;
    let sources = args.from(3);
    operation.check_sources(sources.len())?;
    let mut len = 0;
    for key in sources.iter() {
        tx.event_of_miss(key);
        len = len.max(with_text(tx.value(key), <[u8]>::len)?);
    }
    if len == 0 {
        if tx.remove(args.at(2)).is_some() {
            tx.event(Class::GENERIC, "del", args.at(2));
        }
        return Ok(());
    }
    let bytes = if operation == Operation::One {
        exactly_one(tx, sources, len)?
    } else {
        combined(tx, sources, len, operation)?
    };
    tx.overwrite(
        args.at(2),
        None,
        NewValue::Text {
            bytes: &bytes,
            raw: true,
        },
    );
    tx.event(Class::STRING, "set", args.at(2));
    Ok(())
}

fn combined(
    tx: &Tx<'_>,
    sources: Args<'_>,
    len: usize,
    operation: Operation,
) -> Result<Vec<u8>, Error> {
    let mut first = padded(tx, sources.at(0), len)?;
    let mut others = sources.from(1).iter();
    let Some(second) = others.next() else {
        if operation == Operation::Not {
            first.iter_mut().for_each(|byte| *byte = !*byte);
        }
        return Ok(first);
    };
    let mut rest = padded(tx, second, len)?;
    for key in others {
        with_text(tx.value(key), |text| operation.add(&mut rest, text))?;
    }
    operation.finish(&mut first, &rest);
    Ok(first)
}

/// The bits that exactly one source has.
fn exactly_one(tx: &Tx<'_>, sources: Args<'_>, len: usize) -> Result<Vec<u8>, Error> {
    let mut once = vec![0; len];
    let mut twice = vec![0; len];
    for key in sources.iter() {
        with_text(tx.value(key), |text| {
            for ((once, twice), byte) in once.iter_mut().zip(&mut twice).zip(text) {
                *twice |= *once & byte;
                *once |= byte;
            }
        })?;
    }
    merge(&mut once, &twice, |once, twice| once & !twice);
    Ok(once)
}

/// Returns the string at `key`, padded with zeros to `len` bytes.
fn padded(tx: &Tx<'_>, key: &[u8], len: usize) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::with_capacity(len);
    with_text(tx.value(key), |text| bytes.extend_from_slice(text))?;
    bytes.resize(len, 0);
    Ok(bytes)
}

/// Merges each byte of `text` into the byte of `bytes` at the same index. Past its end, `text` counts as zeros.
fn merge(bytes: &mut [u8], text: &[u8], put: impl Fn(u8, u8) -> u8) {
    let (covered, beyond) = bytes.split_at_mut(text.len().min(bytes.len()));
    for (byte, other) in covered.iter_mut().zip(text) {
        *byte = put(*byte, *other);
    }
    beyond.iter_mut().for_each(|byte| *byte = put(*byte, 0));
}
