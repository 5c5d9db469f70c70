//! Glob patterns of KEYS, SCAN MATCH and similar commands.
//!
//! The semantics are those of Redis's `stringmatchlen` (redis 7.0 util.c), byte by byte: `?`, `*`, `[abc]`, `[^a]`,
//! `[a-z]`, `\x`. The search backtracks only to the last star, so the time is at most the length of the pattern times
//! the length of the text.

use crate::dialect::Dialect;

/// A pattern, classified once so that simple ones match fast.
#[derive(Debug, Clone, Copy)]
pub enum Glob<'p> {
    /// `*`: everything.
    Any,
    /// No special character: equality.
    Exact(&'p [u8]),
    /// `text*`.
    Prefix(&'p [u8]),
    /// `*text`.
    Suffix(&'p [u8]),
    /// `*text*`.
    Contains(&'p [u8]),
    /// Anything else, with the number of runs of stars that the search enters before it stops.
    General(&'p [u8], usize),
}

impl<'p> Glob<'p> {
    /// Prepares a pattern for matching as a server of `dialect` does.
    #[must_use]
    pub fn new(pattern: &'p [u8], dialect: Dialect) -> Self {
        let plain = |part: &[u8]| !part.iter().any(|byte| b"*?[\\".contains(byte));
        match pattern {
            [b'*'] => Self::Any,
            exact if plain(exact) => Self::Exact(exact),
            [prefix @ .., b'*'] if plain(prefix) => Self::Prefix(prefix),
            [b'*', suffix @ ..] if plain(suffix) => Self::Suffix(suffix),
            [b'*', part @ .., b'*'] if !part.is_empty() && plain(part) => Self::Contains(part),
            general => Self::General(general, dialect.stars_max()),
        }
    }

    /// Returns whether `text` matches.
    #[must_use]
    pub fn matches(&self, text: &[u8]) -> bool {
        match *self {
            Self::Any => true,
            Self::Exact(exact) => text == exact,
            Self::Prefix(prefix) => text.starts_with(prefix),
            Self::Suffix(suffix) => text.ends_with(suffix),
            Self::Contains(part) => memchr::memmem::find(text, part).is_some(),
            Self::General(pattern, stars_max) => search(pattern, text, false, stars_max),
        }
    }
}

/// Returns whether `text` matches `pattern`; case matters unless `any_case` is set.
#[must_use]
pub fn matches(pattern: &[u8], text: &[u8], any_case: bool) -> bool {
    search(pattern, text, any_case, usize::MAX)
}

/// Like [`matches`], but as a server of `dialect` does: nothing matches too many stars, and an empty text matches no star.
#[must_use]
pub fn matches_in(pattern: &[u8], text: &[u8], any_case: bool, dialect: Dialect) -> bool {
    search(pattern, text, any_case, dialect.stars_max())
}

/// Like [`matches`], but nothing matches once more than `stars_max` runs of stars have text before them and pattern
/// after them.
fn search(pattern: &[u8], text: &[u8], any_case: bool, stars_max: usize) -> bool {
    let (mut pattern, mut text) = (pattern, text);
    let mut stars = 0;
    // Against an empty text, Redis does not evaluate the pattern, not even stars.
    if text.is_empty() {
        return pattern.is_empty();
    }
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        if let [b'*', ..] = pattern {
            pattern = behind_stars(pattern);
            if pattern.is_empty() {
                return true;
            }
            stars += usize::from(!text.is_empty());
            if stars > stars_max {
                return false;
            }
            retry = Some((pattern, text));
        }
        let step = match (pattern.is_empty(), text.split_first()) {
            (true, None) => return true,
            (true, Some(_)) => None,
            (false, None) => return behind_stars(pattern).is_empty(),
            (false, Some((&byte, rest))) => {
                one(pattern, byte, any_case).map(|pattern| (pattern, rest))
            }
        };
        // On a mismatch the last star takes one more byte. Without one, there is no match.
        let Some((next_pattern, next_text)) = step.or_else(|| {
            let (after_star, from) = retry?;
            let (_, from) = from.split_first()?;
            retry = Some((after_star, from));
            Some((after_star, from))
        }) else {
            return false;
        };
        (pattern, text) = (next_pattern, next_text);
    }
}

/// Returns what follows the stars at the start of a pattern.
fn behind_stars(pattern: &[u8]) -> &[u8] {
    let stars = pattern.iter().take_while(|byte| **byte == b'*').count();
    pattern.get(stars..).unwrap_or_default()
}

/// Matches one byte of text against the pattern's first element. Returns the rest of the pattern.
fn one(pattern: &[u8], byte: u8, any_case: bool) -> Option<&[u8]> {
    let fold = |byte: u8| {
        if any_case {
            byte.to_ascii_lowercase()
        } else {
            byte
        }
    };
    match pattern {
        [b'?', rest @ ..] => Some(rest),
        [b'[', class @ ..] => {
            let (found, rest) = in_class(class, fold(byte), fold);
            found.then_some(rest)
        }
        [b'\\', escaped, rest @ ..] => (fold(*escaped) == fold(byte)).then_some(rest),
        [literal, rest @ ..] => (fold(*literal) == fold(byte)).then_some(rest),
        [] => None,
    }
}

/// Returns whether `byte` is in the class whose text (after the `[`) is at the start of `class`, and what follows the
/// class. A class that is not closed takes the rest of the pattern.
fn in_class(class: &[u8], byte: u8, fold: impl Fn(u8) -> u8) -> (bool, &[u8]) {
    let (negated, mut class) = match class {
        [b'^', class @ ..] => (true, class),
        class => (false, class),
    };
    let mut found = false;
    loop {
        class = match class {
            [] => return (found != negated, class),
            [b']', rest @ ..] => return (found != negated, rest),
            [b'\\', escaped, rest @ ..] => {
                found |= fold(*escaped) == byte;
                rest
            }
            [low, b'-', high, rest @ ..] => {
                let (low, high) = (fold(*low), fold(*high));
                found |= (low.min(high)..=low.max(high)).contains(&byte);
                rest
            }
            [literal, rest @ ..] => {
                found |= fold(*literal) == byte;
                rest
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_as_redis_does() {
        let cases: &[(&str, &str, bool)] = &[
            ("", "", true),
            ("**", "", false),
            ("***", "a", true),
            ("", "a", false),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*c", "abbc", true),
            ("h?llo", "hello", true),
            ("h[ae]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-b]llo", "hbllo", true),
            ("h[b-a]llo", "hallo", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "axb", false),
            ("[\\]]", "]", true),
            ("[a", "a", true),
            ("a**b", "ab", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*bc*", "abcd", true),
            ("*bc*", "bc", true),
            ("*bc*", "bdc", false),
            ("[z-a]", "m", true),
            ("[a-]", "]", true),
            ("[a-]", "-", false),
            ("[a-]x", "-x", false),
            ("[]a", "", false),
            ("[]a", "a", false),
            ("[^]a", "ba", true),
            ("[^", "a", true),
            ("[\\", "\\", true),
            ("a\\", "a\\", true),
            ("?", "", false),
            ("a", "A", false),
            ("\\", "\\", true),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes(), false),
                *expected,
                "{pattern} {text}"
            );
            assert_eq!(
                Glob::new(pattern.as_bytes(), Dialect::default()).matches(text.as_bytes()),
                *expected,
                "{pattern} {text}"
            );
        }
        assert!(Glob::new(b"*", Dialect::default()).matches(b""));
        assert!(matches(b"HeLLo", b"hEllO", true));
        assert!(matches(b"[A-C]x", b"bX", true));
    }

    /// The answers are those of KEYS on five servers.
    #[test]
    fn gives_up_at_the_thousand_and_first_run_of_stars() {
        let (six, seven) = (Dialect::redis(6, 0, 16), Dialect::redis(7, 0, 15));
        let cases = [
            (b"*?".repeat(1000), 3000, true),
            (b"*?".repeat(1001), 3000, false),
            (b"*a".repeat(1001), 3000, false),
            ([b"*?".repeat(1000), b"*".to_vec()].concat(), 3000, true),
            ([b"*a".repeat(1000), b"**".to_vec()].concat(), 1001, true),
            ([b"*a".repeat(1000), b"**a".to_vec()].concat(), 1001, false),
            (b"*a".repeat(1001), 1001, false),
            ([b"*a".repeat(1000), b"a".to_vec()].concat(), 1001, true),
            ([b"*a".repeat(1000), b"**".to_vec()].concat(), 1000, true),
        ];
        for (pattern, len, expected) in cases {
            let text = b"a".repeat(len);
            let shown = (pattern.len(), len);
            assert_eq!(
                Glob::new(&pattern, seven).matches(&text),
                expected,
                "{shown:?}"
            );
            assert!(Glob::new(&pattern, six).matches(&text), "{shown:?}");
        }
    }

    #[test]
    fn a_hostile_pattern_takes_no_exponential_time() {
        let pattern = b"a*".repeat(5_000);
        assert!(!matches(
            &[&pattern[..], b"b"].concat(),
            &b"a".repeat(10_000),
            false
        ));
    }
}
