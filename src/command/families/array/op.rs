//! AROP: sums, bounds, bitwise results and counts.

use super::wide::{Arm, Number, X86};
use super::{array, index};
use crate::command::rows::Error;
use crate::rdb::array::{Element, ElementText};
use crate::resp::{Args, Reply, parse_integer};
use crate::store::View;
use crate::value::Array;

/// What AROP computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op<'a> {
    Sum,
    Min,
    Max,
    And,
    Or,
    Xor,
    Used,
    Match(&'a [u8]),
}

impl<'a> Op<'a> {
    fn parse(args: Args<'a>) -> Result<Self, Error> {
        let plain = match args.at(4).to_ascii_lowercase().as_slice() {
            b"sum" => Self::Sum,
            b"min" => Self::Min,
            b"max" => Self::Max,
            b"and" => Self::And,
            b"or" => Self::Or,
            b"xor" => Self::Xor,
            b"used" => Self::Used,
            b"match" if args.len() == 6 => return Ok(Self::Match(args.at(5))),
            b"match" => return Err(Error::Text("ERR MATCH requires a value argument")),
            _ => return Err(Error::Text("ERR unknown operation")),
        };
        if args.len() == 5 {
            Ok(plain)
        } else {
            Err(Error::Arity("arop".to_owned()))
        }
    }
}

/// An element of text may take as long as twenty of integers.
pub(super) fn work(_args: Args<'_>, size: usize) -> usize {
    size.saturating_mul(4)
}

pub(super) fn arop(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let (start, end) = (index(args.at(2))?, index(args.at(3))?);
    let op = Op::parse(args)?;
    let array = array(view, args.at(1))?;
    let count = |count: Option<usize>| count.unwrap_or(0);
    match op {
        Op::Used => {
            let (low, high) = (start.min(end), start.max(end));
            reply.count(count(array.map(|array| array.count(low, high))));
        }
        Op::Match(text) => {
            reply.count(count(array.map(|array| equal(array, start, end, text))));
        }
        Op::And | Op::Or | Op::Xor => bits(array, start, end, op, reply)?,
        Op::Sum | Op::Min | Op::Max => number(array, start, end, op, reply)?,
    }
    Ok(())
}

fn equal(array: &Array, start: u64, end: u64, text: &[u8]) -> usize {
    let mut room = ElementText::default();
    let elements = array.between(start, end);
    elements
        .filter(|(_, element)| element.text(&mut room) == text)
        .count()
}

/// What an element counts as, if it is a number.
///
/// # Errors
/// If it is not-a-number, as which only a snapshot's can be: servers compute with that.
fn value(element: Element<'_>) -> Result<Option<Value>, Error> {
    Ok(match element {
        Element::Int(number) => Some(Value::Int(number)),
        Element::Double(number) => {
            let number = Number::of_double(number).ok_or(Error::Text(
                "ERR not supported: the array holds what is not a number",
            ))?;
            Some(Value::Wide(number))
        }
        Element::Text(text) => match parse_integer(text) {
            Some(number) => Some(Value::Int(number)),
            None => Number::parse(text).map(Value::Wide),
        },
    })
}

enum Value {
    Int(i64),
    Wide(Number),
}

/// Computes on the whole part of every number that fits into an integer.
fn bits(
    array: Option<&Array>,
    start: u64,
    end: u64,
    op: Op<'_>,
    reply: &mut Reply,
) -> Result<(), Error> {
    let mut result: Option<i64> = None;
    let elements = array
        .into_iter()
        .flat_map(|array| array.between(start, end));
    for (_, element) in elements {
        let number = match value(element)? {
            Some(Value::Int(number)) => Some(number),
            Some(Value::Wide(number)) => number.whole().map_err(|_| DIFFERS)?,
            None => None,
        };
        let Some(number) = number else { continue };
        result = Some(match (result, op) {
            (None, _) => number,
            (Some(result), Op::And) => result & number,
            (Some(result), Op::Or) => result | number,
            (Some(result), _) => result ^ number,
        });
    }
    match result {
        Some(result) => reply.integer(result),
        None => reply.null(),
    }
    Ok(())
}

const DIFFERS: Error = Error::Text(
    "ERR not supported: this result depends on the processor of the primary, because its last digits do",
);

/// The result so far, as both kinds of processors compute it.
#[derive(Clone, Copy)]
struct Totals {
    x86: X86,
    arm: Arm,
}

fn number(
    array: Option<&Array>,
    start: u64,
    end: u64,
    op: Op<'_>,
    reply: &mut Reply,
) -> Result<(), Error> {
    let mut totals: Option<Totals> = None;
    let elements = array
        .into_iter()
        .flat_map(|array| array.between(start, end));
    for (_, element) in elements {
        let number = match value(element)? {
            Some(Value::Int(number)) => Number::of_integer(number),
            Some(Value::Wide(number)) => number,
            None => continue,
        };
        let (x86, arm) = number.both();
        totals = Some(match totals {
            None => Totals { x86, arm },
            Some(so_far) => Totals {
                x86: combined(op, so_far.x86, x86),
                arm: combined(op, so_far.arm, arm),
            },
        });
    }
    let Some(totals) = totals else {
        reply.null();
        return Ok(());
    };
    let text = totals.x86.text();
    if totals.arm.text() != text {
        return Err(DIFFERS);
    }
    reply.bulk(text.as_bytes());
    Ok(())
}

fn combined<const BITS: u32>(
    op: Op<'_>,
    so_far: super::wide::Wide<BITS>,
    next: super::wide::Wide<BITS>,
) -> super::wide::Wide<BITS> {
    match op {
        Op::Min if next.is_less(so_far) => next,
        Op::Max if so_far.is_less(next) => next,
        Op::Min | Op::Max => so_far,
        _ => so_far.plus(next),
    }
}
