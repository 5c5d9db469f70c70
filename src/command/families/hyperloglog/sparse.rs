//! The sparse form: runs of equal registers.
//!
//! ```text
//! ZERO  00llllll           l + 1 registers are 0
//! XZERO 01hhhhhh llllllll  hl + 1 registers are 0
//! VAL   1vvvvvll           l + 1 registers are v + 1
//! ```
//!
//! Source: redis 7.0 hyperloglog.c, `hllSparseSet` and its neighbours.

use smallvec::SmallVec;

use super::sketch::{Corrupted, HEADER_BYTES, NEW_HEADER, REGISTERS};

/// The highest value that a VAL holds.
const VALUE_MAX: u8 = 32;
/// The longest run of a VAL.
const VALUE_RUN_MAX: usize = 4;
/// The longest run of a ZERO.
const ZERO_RUN_MAX: usize = 64;
/// How many opcodes after a change are checked for neighbours to join.
const JOINED_MAX: usize = 5;

/// The result of raising a register.
pub(super) enum Raised {
    /// It was raised, or was already high enough.
    Done(bool),
    /// Only the dense form can hold it.
    NeedsDense,
}

/// One opcode: `run` registers hold `value`.
#[derive(Clone, Copy)]
struct Opcode {
    value: u8,
    run: usize,
    bytes: usize,
}

type Written = SmallVec<[u8; 5]>;

/// Returns a new HyperLogLog, with all registers zero.
pub(super) fn empty() -> Vec<u8> {
    let mut text = NEW_HEADER.to_vec();
    let mut zeros = Written::new();
    write(&mut zeros, 0, REGISTERS);
    text.extend_from_slice(&zeros);
    text
}

/// Reads the opcode at the start of `bytes`. An XZERO that is cut short is corrupted.
fn opcode(bytes: &[u8]) -> Result<Opcode, Corrupted> {
    let (value, run, taken) = match *bytes {
        [first @ 0x80..=0xff, ..] => ((first >> 2 & 0x1f) + 1, usize::from(first & 3), 1),
        [high @ 0x40..=0x7f, low, ..] => (0, usize::from(high & 0x3f) << 8 | usize::from(low), 2),
        [zero @ 0..=0x3f, ..] => (0, usize::from(zero), 1),
        _ => return Err(Corrupted),
    };
    Ok(Opcode {
        value,
        run: run + 1,
        bytes: taken,
    })
}

/// Appends the opcode for `run` registers of `value`.
fn write(to: &mut Written, value: u8, run: usize) {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "at most REGISTERS, 14 bits"
    )]
    let (high, low) = (((run - 1) >> 8) as u8, (run - 1) as u8);
    if value > 0 {
        to.push(0x80 | (value - 1) << 2 | low);
    } else if run > ZERO_RUN_MAX {
        to.extend([0x40 | high, low]);
    } else {
        to.push(low);
    }
}

/// Calls `visit` with the first register, the value and the length of each run.
///
/// DIFFERENCE: servers from before July 2025 take a VAL after the last register for the end.
///
/// # Errors
/// [`Corrupted`] if the runs are not exactly all registers. The runs visited before that are then worthless.
pub(super) fn runs(
    mut body: &[u8],
    mut visit: impl FnMut(usize, u8, u32),
) -> Result<(), Corrupted> {
    let mut first = 0;
    while !body.is_empty() {
        let opcode = opcode(body)?;
        if first + opcode.run > REGISTERS {
            return Err(Corrupted);
        }
        visit(first, opcode.value, u32::try_from(opcode.run).unwrap_or(0));
        first += opcode.run;
        body = body.get(opcode.bytes..).unwrap_or_default();
    }
    if first == REGISTERS {
        Ok(())
    } else {
        Err(Corrupted)
    }
}

/// The position of a register's run.
struct Run {
    opcode: Opcode,
    /// Offset of the opcode in the string.
    at: usize,
    /// Offset of the opcode before it, or its own if it is the first.
    before: usize,
    /// The run's first register.
    first: usize,
}

fn find(text: &[u8], index: usize) -> Result<Run, Corrupted> {
    let (mut at, mut before, mut first) = (HEADER_BYTES, HEADER_BYTES, 0);
    loop {
        let opcode = opcode(text.get(at..).unwrap_or_default())?;
        if index < first + opcode.run {
            return Ok(Run {
                opcode,
                at,
                before,
                first,
            });
        }
        before = at;
        at += opcode.bytes;
        first += opcode.run;
    }
}

/// Raises a register to `run`. The string never grows past `bytes_max` bytes.
pub(super) fn raise(
    text: &mut Vec<u8>,
    index: usize,
    run: u8,
    bytes_max: usize,
) -> Result<Raised, Corrupted> {
    if run > VALUE_MAX {
        return Ok(Raised::NeedsDense);
    }
    let place = find(text, index)?;
    if place.opcode.value >= run {
        return Ok(Raised::Done(false));
    }
    let split = split(&place, index, run);
    let grown = split.len().saturating_sub(place.opcode.bytes);
    if grown > 0 && text.len() + grown > bytes_max {
        return Ok(Raised::NeedsDense);
    }
    text.splice(place.at..place.at + place.opcode.bytes, split);
    join(text, place.before);
    Ok(Raised::Done(true))
}

/// Returns the opcodes that replace a run once one of its registers holds `value`.
fn split(place: &Run, index: usize, value: u8) -> Written {
    let mut written = Written::new();
    let (before, after) = (
        index - place.first,
        place.first + place.opcode.run - 1 - index,
    );
    if before > 0 {
        write(&mut written, place.opcode.value, before);
    }
    write(&mut written, value, 1);
    if after > 0 {
        write(&mut written, place.opcode.value, after);
    }
    written
}

/// Joins neighbours of the same value, starting with the opcode at `at`, as far as Redis looks.
fn join(text: &mut Vec<u8>, mut at: usize) {
    for _ in 0..JOINED_MAX {
        let Ok(left) = opcode(text.get(at..).unwrap_or_default()) else {
            return;
        };
        let right = opcode(text.get(at + left.bytes..).unwrap_or_default());
        match right {
            Ok(right)
                if left.value > 0
                    && left.value == right.value
                    && left.run + right.run <= VALUE_RUN_MAX =>
            {
                let mut joined = Written::new();
                write(&mut joined, left.value, left.run + right.run);
                text.splice(at..at + 2, joined);
            }
            _ => at += left.bytes,
        }
    }
}
