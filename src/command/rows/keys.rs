//! Which keys a command names.

use crate::resp::Args;

/// What a command touches, for locks and for taints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touch<'a> {
    /// A key of a database.
    Key(usize, &'a [u8]),
    /// A whole database.
    Db(usize),
    /// All databases.
    Everything,
    /// The function libraries, and no key.
    Libraries,
}

/// Where the keys are among a command's words (the name is word 0).
#[derive(Debug, Clone, Copy)]
pub enum Keys {
    /// No key.
    None,
    /// From word `first` to word `last` (negative: counted from the end, −1 is the last word), every `step` words.
    Range {
        /// The first key's word.
        first: usize,
        /// The last key's word; negative values count from the end.
        last: i32,
        /// The distance between keys.
        step: usize,
    },
    /// Word `count` says how many keys follow it. Word `also` is a key too (a destination).
    Counted {
        /// The word that holds the count.
        count: usize,
        /// The destination's word, if there is one.
        also: Option<usize>,
    },
    /// Keys that only this function finds. `first` is what COMMAND shows as the first key.
    Found {
        /// The first key's word as COMMAND reports it, 0 for none.
        first: usize,
        /// Calls back with the word index of every key.
        find: fn(Args<'_>, &mut dyn FnMut(usize)),
    },
}

impl Keys {
    /// One key, the first argument.
    #[must_use]
    pub const fn first() -> Self {
        Self::Range {
            first: 1,
            last: 1,
            step: 1,
        }
    }

    /// One key, at word `word`.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "constants of the command table, below ten"
    )]
    pub const fn at(word: usize) -> Self {
        Self::Range {
            first: word,
            last: word as i32,
            step: 1,
        }
    }

    /// All arguments are keys.
    #[must_use]
    pub const fn all() -> Self {
        Self::Range {
            first: 1,
            last: -1,
            step: 1,
        }
    }

    /// The first `count` arguments are keys.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "constants of the command table, below ten"
    )]
    pub const fn leading(count: usize) -> Self {
        Self::Range {
            first: 1,
            last: count as i32,
            step: 1,
        }
    }

    /// Word `count` says how many keys follow it.
    #[must_use]
    pub const fn counted(count: usize) -> Self {
        Self::Counted { count, also: None }
    }

    /// Calls `visit` with the word index of every key in `args`.
    pub fn visit(&self, args: Args<'_>, mut visit: impl FnMut(usize)) {
        match *self {
            Self::None => {}
            Self::Range { first, last, step } => {
                let end = last_word(last, args.len());
                (first..end).step_by(step.max(1)).for_each(visit);
            }
            Self::Counted { count, also } => {
                also.into_iter().for_each(&mut visit);
                let keys = args.get(count).and_then(leading_count);
                let end = (count + 1)
                    .saturating_add(keys.unwrap_or(0))
                    .min(args.len());
                (count + 1..end).for_each(visit);
            }
            Self::Found { find, .. } => find(args, &mut visit),
        }
    }

    /// Returns whether there is exactly one key, at a fixed place.
    #[must_use]
    #[inline]
    pub fn is_single(&self) -> bool {
        matches!(*self, Self::Range { first, last, .. } if i32::try_from(first) == Ok(last))
    }

    /// Returns the only key, if the command has exactly one at a fixed place: the common case, found without a walk.
    #[must_use]
    #[inline]
    pub fn single<'a>(&self, args: Args<'a>) -> Option<&'a [u8]> {
        match *self {
            Self::Range { first, .. } if self.is_single() => args.get(first),
            _ => None,
        }
    }
}

/// Reads the number at the start of a text as C's `atoi` does: what follows the digits is ignored. Returns `None` for
/// a negative number. Source: redis 7.0 db.c, `genericGetKeys`.
pub(crate) fn leading_count(text: &[u8]) -> Option<usize> {
    let text = text.trim_ascii_start();
    let digits = text.strip_prefix(b"+").unwrap_or(text);
    let end = digits.iter().position(|byte| !byte.is_ascii_digit());
    let digits = digits.get(..end.unwrap_or(digits.len()))?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Returns the index after the word that `last` names among `words` words.
fn last_word(last: i32, words: usize) -> usize {
    match usize::try_from(last) {
        Ok(last) => (last + 1).min(words),
        Err(_) => {
            (words + 1).saturating_sub(usize::try_from(last.unsigned_abs()).unwrap_or(usize::MAX))
        }
    }
}

#[test]
fn counts_are_read_as_far_as_they_are_digits() {
    assert_eq!(leading_count(b"5-5"), Some(5));
    assert_eq!(leading_count(b" +2x"), Some(2));
    assert_eq!(leading_count(b"-1"), None);
    assert_eq!(leading_count(b"x"), None);
}
