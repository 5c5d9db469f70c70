//! The regular expressions of ARGREP: those of the TRE library, in POSIX's extended syntax, on bytes.
//!
//! They are translated for the `regex-automata` crate, which matches in linear time. A search only asks whether there is a match, so
//! groups and greed do not matter. Where TRE does not do what its syntax says, or a translation is not certain, the answer is an
//! error:
//!
//! - An empty text has several ways through a union or a repetition; TRE takes one, and demands the assertions on it.
//! - TRE takes a zero byte for the end where it looks for one.
//! - In a negated bracket, TRE loses what a range adds to an overlapping one.
//!
//! Source: redis 8.8 deps/tre, tre-parse.c and tre-compile.c.

use regex_automata::meta::Regex;
use regex_automata::util::syntax;

use super::bracket;
use crate::command::rows::Error;

/// Deeper groups are not translated: parsing takes stack for each.
const DEPTH_MAX: usize = 60;
/// The most memory of a compiled expression, in bytes.
const COMPILED_BYTES_MAX: usize = 2 << 20;
/// Source: tre.h, `RE_DUP_MAX`.
const REPEATS_MAX: u32 = 255;

/// Why an expression cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// Servers refuse it with these words.
    Invalid(&'static str),
    /// Servers accept it, and redtail does not.
    Unsupported(&'static str),
}

impl From<Flaw> for Error {
    fn from(flaw: Flaw) -> Self {
        match flaw {
            Flaw::Invalid(why) => Self::Owned(format!("ERR invalid regular expression: {why}")),
            Flaw::Unsupported(what) => Self::Owned(format!(
                "ERR not supported: a regular expression with {what}"
            )),
        }
    }
}

pub(super) const BAD_PATTERN: Flaw = Flaw::Invalid("Invalid regexp");
pub(super) const COLLATING: Flaw = Flaw::Invalid("Unknown collating element");
pub(super) const CLASS: Flaw = Flaw::Invalid("Unknown character class name");
pub(super) const BRACKET: Flaw = Flaw::Invalid("Missing ']'");
pub(super) const RANGE: Flaw = Flaw::Invalid("Invalid character range");
const ESCAPE: Flaw = Flaw::Invalid("Trailing backslash");
const BACK_REFERENCE: Flaw = Flaw::Invalid("Invalid back reference");
const PARENTHESIS: Flaw = Flaw::Invalid("Missing ')'");
const BRACE: Flaw = Flaw::Invalid("Missing '}'");
const BOUND: Flaw = Flaw::Invalid("Invalid contents of {}");
const REPETITION: Flaw = Flaw::Invalid("Invalid use of repetition operators");
const TOO_MANY: Flaw = Flaw::Invalid("Maximum repetition in {} larger than 255");

/// A compiled expression.
#[derive(Debug)]
pub(super) struct Pattern {
    regex: Regex,
    /// Whether TRE looks for the end of the text, and might take a zero byte for it.
    finds_the_end: bool,
}

impl Pattern {
    /// Compiles an expression.
    ///
    /// # Errors
    /// The server's error, or one that says what is not supported.
    pub(super) fn new(text: &[u8], any_case: bool) -> Result<Self, Error> {
        if text.is_empty() {
            return Err(Error::Text("ERR regular expression is empty"));
        }
        let mut parser = Parser {
            text,
            at: 0,
            any_case,
            depth: 0,
            groups: 0,
            back_reference: None,
            finds_the_end: false,
        };
        let piece = parser.whole()?;
        match parser.back_reference {
            Some(number) if number > parser.groups => return Err(BACK_REFERENCE.into()),
            Some(_) => {
                return Err(Error::Text(
                    "ERR regular expression backreferences are not supported",
                ));
            }
            None => {}
        }
        Ok(Self {
            regex: compiled(&piece.text)?,
            finds_the_end: parser.finds_the_end,
        })
    }

    /// Whether the expression matches somewhere in a text.
    ///
    /// # Errors
    /// If the text has a zero byte that TRE might take for its end.
    pub(super) fn matches(&self, text: &[u8]) -> Result<bool, Error> {
        if self.finds_the_end && memchr::memchr(0, text).is_some() {
            return Err(Flaw::Unsupported("$ or \\b for an element with a zero byte").into());
        }
        Ok(self.regex.is_match(text))
    }
}

/// Compiles a translation.
///
/// Without prefilters: with them and a whole automaton, version 0.4.18 of `regex-automata` finds `._1.*1` in `a_1`.
fn compiled(translation: &str) -> Result<Regex, Flaw> {
    let config = Regex::config()
        .auto_prefilter(false)
        .dfa(false)
        .nfa_size_limit(Some(COMPILED_BYTES_MAX));
    let compiled = Regex::builder()
        .configure(config.utf8_empty(false))
        .syntax(syntax::Config::new().unicode(false).utf8(false))
        .build(translation);
    compiled.map_err(|_| Flaw::Unsupported("so many repetitions"))
}

/// How an expression can match an empty text, if it can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Empty {
    Never,
    Always,
    /// Where an assertion holds.
    Asserted,
}

/// A part of an expression, translated.
#[derive(Debug)]
struct Piece {
    text: String,
    empty: Empty,
}

impl Piece {
    fn nothing() -> Self {
        Self {
            text: String::new(),
            empty: Empty::Always,
        }
    }

    fn assertion(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            empty: Empty::Asserted,
        }
    }

    /// Any of these bytes.
    fn any_of(set: &[bool; 256]) -> Self {
        Self {
            text: bracket::translated(set),
            empty: Empty::Never,
        }
    }

    fn byte(byte: u8) -> Self {
        Self {
            text: format!("\\x{byte:02x}"),
            empty: Empty::Never,
        }
    }

    fn then(self, next: Self) -> Self {
        let empty = match (self.empty, next.empty) {
            (Empty::Never, _) | (_, Empty::Never) => Empty::Never,
            (Empty::Always, Empty::Always) => Empty::Always,
            _ => Empty::Asserted,
        };
        Self {
            text: self.text + &next.text,
            empty,
        }
    }

    /// TRE takes the left way through a union where it can.
    fn or(self, other: Self) -> Result<Self, Flaw> {
        let empty = match (self.empty, other.empty) {
            (Empty::Never, other) => other,
            (Empty::Asserted, Empty::Never) => Empty::Asserted,
            (Empty::Asserted, _) => return Err(AMBIGUOUS),
            (Empty::Always, _) => Empty::Always,
        };
        Ok(Self {
            text: format!("{}|{}", self.text, other.text),
            empty,
        })
    }

    fn grouped(self) -> Self {
        Self {
            text: format!("(?:{})", self.text),
            empty: self.empty,
        }
    }

    /// TRE goes through what it repeats, even if no repetition is needed.
    fn repeated(self, least: u32, most: Option<u32>) -> Result<Self, Flaw> {
        if most == Some(0) {
            return Ok(Self::nothing());
        }
        let is_needed = least > 0 && (most == Some(least) || (least == 1 && most.is_none()));
        let empty = match self.empty {
            Empty::Asserted if !is_needed => return Err(AMBIGUOUS),
            Empty::Never if least == 0 => Empty::Always,
            empty => empty,
        };
        let most = most.map_or(String::new(), |most| most.to_string());
        Ok(Self {
            text: format!("(?:{}){{{least},{most}}}", self.text),
            empty,
        })
    }
}

const AMBIGUOUS: Flaw = Flaw::Unsupported("an assertion inside of what may be empty");

/// Parses as TRE does, and reports the first error that it would.
struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    any_case: bool,
    /// The number of open groups.
    depth: usize,
    /// The number of capturing groups so far.
    groups: usize,
    /// The highest number that is referred to.
    back_reference: Option<usize>,
    finds_the_end: bool,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn peek_at(&self, offset: usize) -> Option<u8> {
        self.text.get(self.at + offset).copied()
    }

    fn whole(&mut self) -> Result<Piece, Flaw> {
        let piece = self.union()?;
        debug_assert!(self.at >= self.text.len(), "outside of groups, all is read");
        Ok(piece)
    }

    fn union(&mut self) -> Result<Piece, Flaw> {
        let mut piece = self.branch()?;
        while self.peek() == Some(b'|') {
            self.at += 1;
            piece = piece.or(self.branch()?)?;
        }
        Ok(piece)
    }

    /// At least one atom, even if it is empty.
    fn branch(&mut self) -> Result<Piece, Flaw> {
        let mut piece = self.postfixed()?;
        loop {
            match self.peek() {
                None | Some(b'|') => return Ok(piece),
                Some(b')') if self.depth > 0 => return Ok(piece),
                Some(_) => piece = piece.then(self.postfixed()?),
            }
        }
    }

    fn postfixed(&mut self) -> Result<Piece, Flaw> {
        let mut piece = self.atom()?;
        loop {
            let (least, most) = match self.peek() {
                Some(b'*') => (0, None),
                Some(b'+') => (1, None),
                Some(b'?') => (0, Some(1)),
                Some(b'{') => {
                    self.at += 1;
                    let (least, most) = self.bound()?;
                    piece = piece.repeated(least, most)?;
                    continue;
                }
                _ => return Ok(piece),
            };
            self.at += 1;
            self.lazy()?;
            piece = piece.repeated(least, most)?;
        }
    }

    /// Passes over the mark of a repetition that takes as little as it can.
    fn lazy(&mut self) -> Result<(), Flaw> {
        match self.peek() {
            Some(b'?') => self.at += 1,
            Some(b'*' | b'+') => return Err(REPETITION),
            _ => {}
        }
        Ok(())
    }

    /// Parses `least,most}`.
    fn bound(&mut self) -> Result<(u32, Option<u32>), Flaw> {
        let start = self.at;
        let least = self.number();
        let (mut low, mut most) = (least, least);
        if self.peek() == Some(b',') {
            self.at += 1;
            low = Some(least.unwrap_or(0));
            most = self.number();
        }
        if let (Some(low), Some(most)) = (low, most)
            && low > most
        {
            return Err(BOUND);
        }
        if low.max(most).is_some_and(|number| number > REPEATS_MAX) {
            return Err(TOO_MANY);
        }
        match self.peek() {
            Some(b'+' | b'-' | b'#' | b'~' | b'<' | b',' | b' ' | b'0'..=b'9') => {
                return Err(Flaw::Unsupported("approximate matching"));
            }
            None => return Err(BRACE),
            Some(b'}') if self.at > start => self.at += 1,
            Some(_) => return Err(BOUND),
        }
        self.lazy()?;
        Ok((low.unwrap_or(1), most))
    }

    /// Parses digits. A large number counts as more than is allowed.
    fn number(&mut self) -> Option<u32> {
        let mut number = None;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            self.at += 1;
            let sofar = number.unwrap_or(0_u32);
            number = Some((sofar * 10 + u32::from(digit - b'0')).min(REPEATS_MAX + 1));
        }
        number
    }

    fn atom(&mut self) -> Result<Piece, Flaw> {
        let Some(byte) = self.peek() else {
            return Ok(Piece::nothing());
        };
        match byte {
            b'*' | b'|' | b'{' | b'+' | b'?' => return Ok(Piece::nothing()),
            b')' if self.depth > 0 => return Ok(Piece::nothing()),
            b'(' => return self.group(),
            b'\\' => return self.escape(),
            _ => self.at += 1,
        }
        Ok(match byte {
            b'[' => Piece::any_of(&bracket::parse(self.text, &mut self.at, self.any_case)?),
            b'.' => Piece::any_of(&[true; 256]),
            b'^' => Piece::assertion("\\A"),
            b'$' => {
                self.finds_the_end = true;
                Piece::assertion("\\z")
            }
            letter if self.any_case && letter.is_ascii_alphabetic() => {
                let [one, other] = [letter.to_ascii_lowercase(), letter.to_ascii_uppercase()];
                Piece {
                    text: format!("[\\x{one:02x}\\x{other:02x}]"),
                    empty: Empty::Never,
                }
            }
            byte => Piece::byte(byte),
        })
    }

    fn group(&mut self) -> Result<Piece, Flaw> {
        self.at += 1;
        if self.peek() == Some(b'?') {
            match self.peek_at(1) {
                Some(b':') => self.at += 2,
                Some(b'i' | b'n' | b'r' | b'U' | b'-' | b'#' | b')') => {
                    return Err(Flaw::Unsupported("options inside"));
                }
                _ => return Err(BAD_PATTERN),
            }
        } else {
            self.groups += 1;
        }
        if self.depth >= DEPTH_MAX {
            return Err(Flaw::Unsupported("so many nested groups"));
        }
        self.depth += 1;
        let inside = self.union()?;
        if self.peek() != Some(b')') {
            return Err(PARENTHESIS);
        }
        self.at += 1;
        self.depth -= 1;
        Ok(inside.grouped())
    }

    fn escape(&mut self) -> Result<Piece, Flaw> {
        let byte = self.peek_at(1).ok_or(ESCAPE)?;
        self.at += 2;
        if let Some(class) = bracket::class_of_escape(byte) {
            return Ok(Piece::any_of(&class));
        }
        Ok(match byte {
            b't' => Piece::byte(b'\t'),
            b'n' => Piece::byte(b'\n'),
            b'r' => Piece::byte(b'\r'),
            b'f' => Piece::byte(0x0c),
            b'a' => Piece::byte(0x07),
            b'e' => Piece::byte(0x1b),
            b'Q' => return Err(Flaw::Unsupported("\\Q")),
            b'B' => return Err(Flaw::Unsupported("\\B")),
            b'b' => {
                self.finds_the_end = true;
                Piece::assertion("(?:\\A|\\z|\\b)")
            }
            b'<' => Piece::assertion("\\b{start}"),
            b'>' => Piece::assertion("\\b{end}"),
            b'x' => {
                let byte = self.hexadecimal()?;
                self.as_it_is(byte)?
            }
            b'0'..=b'9' => {
                let number = usize::from(byte - b'0');
                self.back_reference = self.back_reference.max(Some(number));
                Piece::byte(byte)
            }
            byte => self.as_it_is(byte)?,
        })
    }

    /// A byte whose case TRE does not change. Whether its shortcuts do is another question.
    fn as_it_is(&self, byte: u8) -> Result<Piece, Flaw> {
        if self.any_case && byte.is_ascii_alphabetic() {
            return Err(Flaw::Unsupported("an escaped letter in any case"));
        }
        Ok(Piece::byte(byte))
    }

    /// Parses up to two digits, or any number in braces.
    fn hexadecimal(&mut self) -> Result<u8, Flaw> {
        let in_braces = self.peek() == Some(b'{');
        let most = if in_braces { 8 } else { 2 };
        self.at += usize::from(in_braces);
        let (mut value, mut digits) = (0_u32, 0);
        while digits < most
            && let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(16))
        {
            value = value << 4 | digit;
            digits += 1;
            self.at += 1;
        }
        if in_braces {
            if self.peek() != Some(b'}') {
                return Err(BRACE);
            }
            self.at += 1;
        }
        u8::try_from(value).map_err(|_| Flaw::Unsupported("a character above \\xff"))
    }
}
