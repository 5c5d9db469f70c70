//! The longest common subsequence: LCS, and Redis 6's STRALGO LCS.

use crate::command::rows::parse::integer;
use crate::command::rows::work::product;
use crate::command::rows::{Arity, Command, Error, Family, Keys, long};
use crate::dialect::Dialect;
use crate::limits::STRING_BYTES_MAX;
use crate::resp::{Args, Reply};
use crate::store::{Value, View};

/// This file's rows.
pub(crate) const FAMILY: Family = Family {
    group: "string",
    commands: &[
        Command::new("lcs", Arity::at_least(3), Keys::leading(2))
            .read(lcs)
            .work(product)
            .about("7.0.0", "Finds the longest common subsequence of two strings."),
        Command::new("stralgo", Arity::at_least(2), ALGORITHM_KEYS)
            .read(stralgo)
            .work(product)
            .difference("Two strings whose lengths multiply to more than 2^29 are refused; Redis 6 allocates the memory or crashes.")
            .about("6.0.0", "Runs an algorithm on strings; the only one is LCS.")
            .until("7.0.0"),
    ],
};

/// The two words after KEYS.
const ALGORITHM_KEYS: Keys = Keys::Found {
    first: 0,
    find: |args, visit| {
        if let Some((Source::Keys, first)) = Words::parse(args).strings {
            visit(first);
            visit(first + 1);
        }
    },
};

/// The options of either command.
#[derive(Default, Clone, Copy)]
struct Options {
    len: bool,
    idx: bool,
    with_match_len: bool,
    match_len_min: i64,
}

impl Options {
    /// Takes the option at `index`. Returns its number of words, or `None` if it is no option.
    fn take(&mut self, args: Args<'_>, index: usize) -> Result<Option<usize>, Error> {
        if args.is(index, "idx") {
            self.idx = true;
        } else if args.is(index, "len") {
            self.len = true;
        } else if args.is(index, "withmatchlen") {
            self.with_match_len = true;
        } else if args.is(index, "minmatchlen") && args.len() > index + 1 {
            self.match_len_min = integer(args.at(index + 1))?;
            return Ok(Some(2));
        } else {
            return Ok(None);
        }
        Ok(Some(1))
    }
}

/// Source: redis 7.0 t_string.c, `lcsCommand`.
fn lcs(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let mut digits = [itoa::Buffer::new(), itoa::Buffer::new()];
    let [first, second] = &mut digits;
    let a = text(view.value(args.at(1)), first)?;
    let b = text(view.value(args.at(2)), second)?;
    let mut options = Options::default();
    let mut index = 3;
    while index < args.len() {
        index += options.take(args, index)?.ok_or(Error::Syntax)?;
    }
    answer(a, b, options, reply)
}

/// Where STRALGO's strings come from: the words after STRINGS, or the keys after KEYS.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Strings,
    Keys,
}

/// STRALGO's words, up to the first mistake.
struct Words {
    options: Options,
    /// The source of the two strings, and the index of the first.
    strings: Option<(Source, usize)>,
    mistake: Option<Error>,
}

impl Words {
    fn parse(args: Args<'_>) -> Self {
        let mut words = Self {
            options: Options::default(),
            strings: None,
            mistake: None,
        };
        let mut index = 2;
        while index < args.len() && words.mistake.is_none() {
            match words.take(args, index) {
                Ok(taken) => index += taken,
                Err(mistake) => words.mistake = Some(mistake),
            }
        }
        words
    }

    fn take(&mut self, args: Args<'_>, index: usize) -> Result<usize, Error> {
        if let Some(taken) = self.options.take(args, index)? {
            return Ok(taken);
        }
        let source = if args.is(index, "strings") {
            Source::Strings
        } else if args.is(index, "keys") {
            Source::Keys
        } else {
            return Err(Error::Syntax);
        };
        if args.len() <= index + 2 {
            return Err(Error::Syntax);
        }
        if self.strings.is_some() {
            return Err(Error::Text("ERR Either use STRINGS or KEYS"));
        }
        self.strings = Some((source, index + 1));
        Ok(3)
    }
}

/// Source: redis 6.0 t_string.c, `stralgoLCS`.
fn stralgo(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    if !args.is(1, "lcs") {
        return Err(Error::Syntax);
    }
    let words = Words::parse(args);
    let mut digits = [itoa::Buffer::new(), itoa::Buffer::new()];
    let [first, second] = &mut digits;
    let strings = match words.strings {
        None => None,
        Some((Source::Strings, at)) => Some((args.at(at), args.at(at + 1))),
        Some((Source::Keys, at)) => Some((
            text(view.value(args.at(at)), first)?,
            text(view.value(args.at(at + 1)), second)?,
        )),
    };
    if let Some(mistake) = words.mistake {
        return Err(mistake);
    }
    let (a, b) = strings.ok_or(Error::Text(
        "ERR Please specify two strings: STRINGS or KEYS options are mandatory",
    ))?;
    answer(a, b, words.options, reply)
}

/// Returns a value's text, or the empty string if there is no value.
fn text<'a>(value: Option<Value<'a>>, digits: &'a mut itoa::Buffer) -> Result<&'a [u8], Error> {
    match value {
        None => Ok(&[]),
        Some(Value::Text(text)) => Ok(text),
        Some(Value::Integer(number)) => Ok(digits.format(number).as_bytes()),
        Some(Value::Object(_)) => Err(Error::Text(
            "ERR The specified keys must contain string values",
        )),
    }
}

fn answer(a: &[u8], b: &[u8], options: Options, reply: &mut Reply) -> Result<(), Error> {
    if options.len && options.idx {
        return Err(Error::Text(
            "ERR If you want both the length and indexes, please just use IDX.",
        ));
    }
    let cells = (a.len() + 1).saturating_mul(b.len() + 1);
    check_size(cells, reply.dialect())?;
    let mut work = || write(a, b, options, reply);
    if cells > CELLS_AT_ONCE_MAX {
        long(work);
    } else {
        work();
    }
    Ok(())
}

/// Redis's table has four bytes per cell, and Redis limits their sum; redtail's has one bit per cell.
fn check_size(cells: usize, dialect: Dialect) -> Result<(), Error> {
    if dialect.limits_lcs_tables() && cells.saturating_mul(4) > STRING_BYTES_MAX {
        return Err(Error::Text(
            "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
        ));
    }
    if cells > CELLS_MAX {
        return Err(Error::Text("ERR Insufficient memory"));
    }
    Ok(())
}

/// The largest table: 64 MB, and about a second of the reader's time, during which its keys cannot be written.
const CELLS_MAX: usize = 1 << 29;

/// Larger tables take more than about a millisecond.
const CELLS_AT_ONCE_MAX: usize = 1 << 20;

fn write(a: &[u8], b: &[u8], options: Options, reply: &mut Reply) {
    if options.len {
        return reply.integer(fill(a, b, |_| {}).into());
    }
    let (matches, common) = common(a, b);
    if options.idx {
        write_matches(&matches, common.len(), options, reply);
    } else {
        reply.bulk(&common);
    }
}

/// Returns the runs of the subsequence, from the last to the first, and the subsequence itself.
fn common(a: &[u8], b: &[u8]) -> (Vec<Match>, Vec<u8>) {
    let mut ways = vec![0u8; (a.len() * b.len()).div_ceil(8)];
    fill(a, b, |cell| {
        if let Some(byte) = ways.get_mut(cell / 8) {
            *byte |= 1 << (cell % 8);
        }
    });
    walk_back(a, b, |cell| {
        ways.get(cell / 8)
            .is_some_and(|byte| byte >> (cell % 8) & 1 == 1)
    })
}

/// Returns the length of the subsequence. Calls `drops_a` with the number of each cell, `i × b.len() + j`, where byte `i`
/// of `a` and byte `j` of `b` differ and the better subsequence is the one without `a`'s byte.
fn fill(a: &[u8], b: &[u8], mut drops_a: impl FnMut(usize)) -> u32 {
    let mut row = vec![0u32; b.len()];
    let mut cell = 0;
    for x in a {
        let (mut diagonal, mut left) = (0, 0);
        for (y, above) in b.iter().zip(&mut row) {
            let best = if x == y {
                diagonal + 1
            } else if *above > left {
                drops_a(cell);
                *above
            } else {
                left
            };
            diagonal = *above;
            *above = best;
            left = best;
            cell += 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

/// A run of common bytes: where it starts in both strings, and how long it is.
struct Match {
    a: usize,
    b: usize,
    len: usize,
}

fn walk_back(a: &[u8], b: &[u8], drops_a: impl Fn(usize) -> bool) -> (Vec<Match>, Vec<u8>) {
    let (mut i, mut j) = (a.len(), b.len());
    let (mut matches, mut common) = (Vec::<Match>::new(), Vec::new());
    while let (Some(x), Some(y)) = (byte_before(a, i), byte_before(b, j)) {
        if x == y {
            common.push(x);
            match matches.last_mut() {
                Some(run) if run.a == i && run.b == j => {
                    (run.a, run.b, run.len) = (i - 1, j - 1, run.len + 1);
                }
                _ => matches.push(Match {
                    a: i - 1,
                    b: j - 1,
                    len: 1,
                }),
            }
            (i, j) = (i - 1, j - 1);
        } else if drops_a((i - 1) * b.len() + j - 1) {
            i -= 1;
        } else {
            j -= 1;
        }
    }
    common.reverse();
    (matches, common)
}

fn byte_before(text: &[u8], index: usize) -> Option<u8> {
    text.get(index.checked_sub(1)?).copied()
}

fn write_matches(matches: &[Match], len: usize, options: Options, reply: &mut Reply) {
    let is_shown =
        |run: &&Match| options.match_len_min <= i64::try_from(run.len).unwrap_or(i64::MAX);
    reply.map(2);
    reply.bulk(b"matches");
    reply.array(matches.iter().filter(is_shown).count());
    for run in matches.iter().filter(is_shown) {
        reply.array(if options.with_match_len { 3 } else { 2 });
        for start in [run.a, run.b] {
            reply.array(2);
            reply.count(start);
            reply.count(start + run.len - 1);
        }
        if options.with_match_len {
            reply.count(run.len);
        }
    }
    reply.bulk(b"len");
    reply.count(len);
}

#[cfg(test)]
#[path = "lcs_tests.rs"]
mod tests;
