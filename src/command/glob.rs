//! Glob patterns of KEYS, SCAN MATCH and their like.
//!
//! Semantics of Redis's `stringmatchlen` (redis 7.0 util.c), byte by byte: `?`, `*`, `[abc]`, `[^a]`, `[a-z]`, `\x`. A
//! pattern with stars is matched by going back to the last star only, so time is at most pattern times text.

/// A pattern, looked at once for what makes it easy.
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
    /// Anything else.
    General(&'p [u8]),
}

impl<'p> Glob<'p> {
    /// Prepares a pattern.
    #[must_use]
    pub fn new(pattern: &'p [u8]) -> Self {
        let plain = |part: &[u8]| !part.iter().any(|byte| b"*?[\\".contains(byte));
        match pattern {
            [b'*'] => Self::Any,
            exact if plain(exact) => Self::Exact(exact),
            [prefix @ .., b'*'] if plain(prefix) => Self::Prefix(prefix),
            [b'*', suffix @ ..] if plain(suffix) => Self::Suffix(suffix),
            [b'*', part @ .., b'*'] if !part.is_empty() && plain(part) => Self::Contains(part),
            general => Self::General(general),
        }
    }

    /// Whether `text` matches.
    #[must_use]
    pub fn matches(&self, text: &[u8]) -> bool {
        match *self {
            Self::Any => true,
            Self::Exact(exact) => text == exact,
            Self::Prefix(prefix) => text.starts_with(prefix),
            Self::Suffix(suffix) => text.ends_with(suffix),
            Self::Contains(part) => memchr::memmem::find(text, part).is_some(),
            Self::General(pattern) => matches(pattern, text, false),
        }
    }
}

/// Whether `text` matches `pattern`; letter case counts unless `any_case`.
#[must_use]
pub fn matches(pattern: &[u8], text: &[u8], any_case: bool) -> bool {
    let (mut pattern, mut text) = (pattern, text);
    // Redis looks at no pattern, not even at stars, where there is no text.
    if text.is_empty() {
        return pattern.is_empty();
    }
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        if let [b'*', rest @ ..] = pattern {
            retry = Some((rest, text));
            pattern = rest;
            continue;
        }
        let step = match (pattern.is_empty(), text.split_first()) {
            (true, None) => return true,
            (true, Some(_)) => None,
            (false, None) => return only_stars(pattern),
            (false, Some((&byte, rest))) => {
                one(pattern, byte, any_case).map(|pattern| (pattern, rest))
            }
        };
        // On a mismatch the last star takes one byte more; none left means no match.
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

fn only_stars(pattern: &[u8]) -> bool {
    pattern.iter().all(|byte| *byte == b'*')
}

/// Matches one byte of text against the pattern's first element; gives the rest of the pattern.
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

/// Whether `byte` is in the class whose text starts `class` (behind the `[`); gives what follows the class. A class that
/// does not close takes the rest of the pattern.
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
                Glob::new(pattern.as_bytes()).matches(text.as_bytes()),
                *expected,
                "{pattern} {text}"
            );
        }
        assert!(Glob::new(b"*").matches(b""));
        assert!(matches(b"HeLLo", b"hEllO", true));
        assert!(matches(b"[A-C]x", b"bX", true));
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
