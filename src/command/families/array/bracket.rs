//! Brackets and character classes of regular expressions, as sets of bytes.
//!
//! Source: redis 8.8 deps/tre, tre-parse.c, `tre_parse_bracket_items` and `tre_parse_bracket`.

use std::fmt::Write as _;

use super::pattern::{BRACKET, CLASS, COLLATING, Flaw, RANGE};

/// A set of bytes.
pub(super) type Set = [bool; 256];

/// More ranges than this are not counted as TRE counts them.
const ITEMS_MAX: usize = 1000;

/// Parses what follows a `[`, up to and with its `]`. `at` moves after that.
pub(super) fn parse(text: &[u8], at: &mut usize, any_case: bool) -> Result<Set, Flaw> {
    let negated = text.get(*at) == Some(&b'^');
    *at += usize::from(negated);
    let mut items = Items {
        text,
        at: *at,
        start: *at,
        any_case,
        ranges: Vec::new(),
    };
    items.parse()?;
    *at = items.at;
    let mut set = [false; 256];
    for (low, high) in &items.ranges {
        add(&mut set, *low, *high);
    }
    if negated {
        check_negation(items.ranges)?;
        set = set.map(|is_in| !is_in);
    }
    if set.contains(&true) {
        Ok(set)
    } else {
        Err(Flaw::Unsupported("a bracket without any character"))
    }
}

fn add(set: &mut Set, low: u8, high: u8) {
    for byte in low..=high {
        if let Some(is_in) = set.get_mut(usize::from(byte)) {
            *is_in = true;
        }
    }
}

/// Refuses ranges of which TRE negates only a part: those that overlap and go on after the first.
fn check_negation(mut ranges: Vec<(u8, u8)>) -> Result<(), Flaw> {
    ranges.sort_unstable();
    let mut highest: Option<u8> = None;
    for (low, high) in ranges {
        match highest {
            Some(highest) if low <= highest && high > highest => {
                return Err(Flaw::Unsupported("overlapping ranges in a negated bracket"));
            }
            _ => highest = highest.max(Some(high)),
        }
    }
    Ok(())
}

/// The items between the brackets.
struct Items<'a> {
    text: &'a [u8],
    at: usize,
    /// Where the first item begins: a `]` or a `-` there is an ordinary character.
    start: usize,
    any_case: bool,
    ranges: Vec<(u8, u8)>,
}

impl Items<'_> {
    fn parse(&mut self) -> Result<(), Flaw> {
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            match *rest {
                [] => return Err(BRACKET),
                [b']', ..] if self.at > self.start => {
                    self.at += 1;
                    return Ok(());
                }
                [low, b'-', high, ..] if high != b']' => {
                    self.at += 3;
                    if low > high {
                        return Err(RANGE);
                    }
                    self.push(low, high)?;
                }
                [b'[', b'.' | b'=', ..] => return Err(COLLATING),
                [b'[', b':', ..] => self.class()?,
                [b'-', next, ..] if next != b']' && self.at > self.start => return Err(RANGE),
                [byte, ..] => {
                    self.at += 1;
                    self.push(byte, byte)?;
                }
            }
        }
    }

    fn push(&mut self, low: u8, high: u8) -> Result<(), Flaw> {
        self.ranges.push((low, high));
        if self.any_case {
            let other_case = |from: u8, to: u8| {
                let (low, high) = (low.max(from), high.min(to));
                (low <= high).then_some((low ^ 0x20, high ^ 0x20))
            };
            let others = [other_case(b'a', b'z'), other_case(b'A', b'Z')];
            self.ranges.extend(others.into_iter().flatten());
        }
        if self.ranges.len() > ITEMS_MAX {
            return Err(Flaw::Unsupported("so many ranges"));
        }
        Ok(())
    }

    /// Parses `[:name:]`.
    fn class(&mut self) -> Result<(), Flaw> {
        let rest = self.text.get(self.at + 2..).unwrap_or_default();
        let end = memchr::memchr(b':', rest).ok_or(CLASS)?;
        let name = rest.get(..end).unwrap_or_default();
        let is_in = named(name).ok_or(CLASS)?;
        if rest.get(end + 1) != Some(&b']') {
            return Err(Flaw::Unsupported("a class that does not end with :]"));
        }
        self.at += 2 + end + 2;
        let mut set = [false; 256];
        for (is_member, byte) in set.iter_mut().zip(0..=u8::MAX) {
            let cases = [byte.to_ascii_lowercase(), byte.to_ascii_uppercase()];
            *is_member = is_in(byte) || (self.any_case && cases.into_iter().any(is_in));
        }
        self.ranges.extend(ranges(&set));
        Ok(())
    }
}

/// Returns the test for a class, as in the C locale.
fn named(name: &[u8]) -> Option<fn(u8) -> bool> {
    Some(match name {
        b"alnum" => |byte| byte.is_ascii_alphanumeric(),
        b"alpha" => |byte| byte.is_ascii_alphabetic(),
        b"cntrl" => |byte| byte.is_ascii_control(),
        b"digit" => |byte| byte.is_ascii_digit(),
        b"graph" => |byte| byte.is_ascii_graphic(),
        b"lower" => |byte| byte.is_ascii_lowercase(),
        b"print" => |byte| byte.is_ascii_graphic() || byte == b' ',
        b"punct" => |byte| byte.is_ascii_punctuation(),
        b"space" => super::is_blank,
        b"upper" => |byte| byte.is_ascii_uppercase(),
        b"xdigit" => |byte| byte.is_ascii_hexdigit(),
        _ => return None,
    })
}

/// Returns the class of `\w` and similar.
pub(super) fn class_of_escape(byte: u8) -> Option<Set> {
    let is_in: fn(u8) -> bool = match byte.to_ascii_lowercase() {
        b'w' => |byte| byte.is_ascii_alphanumeric() || byte == b'_',
        b's' => super::is_blank,
        b'd' => |byte| byte.is_ascii_digit(),
        _ => return None,
    };
    let negated = byte.is_ascii_uppercase();
    let mut set = [false; 256];
    for (is_member, byte) in set.iter_mut().zip(0..=u8::MAX) {
        *is_member = is_in(byte) != negated;
    }
    Some(set)
}

/// Returns the runs of members.
fn ranges(set: &Set) -> Vec<(u8, u8)> {
    let mut runs: Vec<(u8, u8)> = Vec::new();
    for (is_in, byte) in set.iter().zip(0..=u8::MAX) {
        match runs.last_mut() {
            _ if !is_in => {}
            Some((_, high)) if high.checked_add(1) == Some(byte) => *high = byte,
            _ => runs.push((byte, byte)),
        }
    }
    runs
}

/// Returns a set as the `regex-automata` crate writes it.
pub(super) fn translated(set: &Set) -> String {
    let mut text = "[".to_owned();
    for (low, high) in ranges(set) {
        // Writing into a string cannot fail.
        let _ = write!(text, "\\x{low:02x}-\\x{high:02x}");
    }
    text.push(']');
    text
}
