//! Vectors in a command's words.

use crate::command::rows::parse::float;
use crate::dialect::Dialect;
use crate::resp::{Args, parse_integer};

/// A vector from a command, and its number of words.
pub(super) struct Given {
    pub(super) vector: Vec<f32>,
    /// The number of components to reduce it to.
    pub(super) reduce: Option<u32>,
    pub(super) words: usize,
}

/// Reads `[REDUCE dim] FP32 blob` or `[REDUCE dim] VALUES count number…`, starting at word `first`. Returns `None` if
/// there is no such vector.
///
/// Source: redis 8.0 modules/vector-sets/vset.c, `parseVector`.
pub(super) fn reducible(args: Args<'_>, first: usize, dialect: Dialect) -> Option<Given> {
    if args.len() <= first + 2 || !args.is(first, "reduce") {
        return plain(args, first, dialect);
    }
    let dim = parse_integer(args.at(first + 1)).and_then(|dim| u32::try_from(dim).ok())?;
    let given = plain(args, first + 2, dialect)?;
    (dim > 0).then_some(Given {
        reduce: Some(dim),
        words: given.words + 2,
        ..given
    })
}

/// Same as [`reducible`], without REDUCE.
pub(super) fn plain(args: Args<'_>, first: usize, dialect: Dialect) -> Option<Given> {
    let word = args.get(first + 1)?;
    let (vector, words) = if args.is(first, "fp32") {
        (floats(word)?, 2)
    } else if args.is(first, "values") {
        let count = usize::try_from(parse_integer(word)?).ok()?;
        let values = args.from(first + 2);
        let is_there = count > 0 && count <= values.len();
        let numbers = values.iter().take(count).map(|word| number(word, dialect));
        let numbers: Option<Vec<f32>> = numbers.collect();
        (numbers.filter(|_| is_there)?, 2 + count)
    } else {
        return None;
    };
    Some(Given {
        vector,
        reduce: None,
        words,
    })
}

fn floats(blob: &[u8]) -> Option<Vec<f32>> {
    let (words, rest) = blob.as_chunks::<4>();
    let is_whole = rest.is_empty() && !words.is_empty();
    is_whole.then(|| words.iter().map(|word| f32::from_le_bytes(*word)).collect())
}

fn number(word: &[u8], dialect: Dialect) -> Option<f32> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "rounded as the server rounds"
    )]
    let number = float(word, dialect).ok()? as f32;
    Some(number)
}
