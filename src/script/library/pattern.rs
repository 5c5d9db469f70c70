//! Lua patterns, matched without recursion and with a clock. Source: Lua 5.1 lstrlib.c.
//!
//! A pattern ends at its first zero byte, as in C.

/// The maximum number of captures in a pattern. Source: `LUA_MAXCAPTURES`.
const CAPTURES_MAX: usize = 32;

/// Why a pattern cannot be matched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum PatternError<F> {
    /// The pattern is malformed. Holds Lua's message.
    #[error("{0}")]
    Malformed(&'static str),
    /// The script must end.
    #[error("the script must end")]
    Fatal(F),
}

/// What a pair of parentheses has captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Capture {
    /// The opening parenthesis matched at this index; the closing one has not matched yet.
    Open(usize),
    /// A part of the text, from the first index to before the second.
    Span(usize, usize),
    /// A position in the text.
    Position(usize),
}

/// An alternative to try, or a change to undo, when the match fails.
#[derive(Debug, Clone, Copy)]
enum Choice {
    /// The item before the pattern's index `rest` matched `count` times from `start`. Fewer may be enough.
    Fewer {
        start: usize,
        count: usize,
        least: usize,
        rest: usize,
    },
    /// One more match of the item at `item` may be enough.
    More { at: usize, item: usize, end: usize },
    /// Skip the item.
    Without { at: usize, rest: usize },
    /// Undo the opening of a capture.
    Opened,
    /// Undo the closing of a capture: the one with this index, opened at this place.
    Closed(usize, usize),
}

/// Matches a pattern against a text. Calls `spend` for every step; an error from it ends the match.
pub(super) struct Matcher<'m, F, S: FnMut(usize) -> Result<(), F>> {
    text: &'m [u8],
    pattern: &'m [u8],
    captures: Vec<Capture>,
    choices: Vec<Choice>,
    spend: S,
}

type Outcome<T, F> = Result<T, PatternError<F>>;

/// The outcome of one step.
enum Step {
    /// Continue at these indexes of the text and the pattern.
    On(usize, usize),
    /// The pattern is complete, and the match ends at this index.
    Done(usize),
    Failed,
}

impl<'m, F, S: FnMut(usize) -> Result<(), F>> Matcher<'m, F, S> {
    pub(super) fn new(text: &'m [u8], pattern: &'m [u8], spend: S) -> Self {
        let end = memchr::memchr(0, pattern).unwrap_or(pattern.len());
        Self {
            text,
            pattern: pattern.get(..end).unwrap_or_default(),
            captures: Vec::new(),
            choices: Vec::new(),
            spend,
        }
    }

    /// Matches at `start`, with the pattern from its index `from` on. Returns where the match ends.
    pub(super) fn match_at(&mut self, start: usize, from: usize) -> Outcome<Option<usize>, F> {
        self.captures.clear();
        self.choices.clear();
        let (mut at, mut item) = (start, from);
        loop {
            self.spend(1)?;
            match self.step(at, item)? {
                Step::On(next, rest) => (at, item) = (next, rest),
                Step::Done(end) => return Ok(Some(end)),
                Step::Failed => match self.retry()? {
                    Some(next) => (at, item) = next,
                    None => return Ok(None),
                },
            }
        }
    }

    /// Returns the captures of the last match. The caller must treat a capture that is still open as an error.
    pub(super) fn captures(&self) -> &[Capture] {
        &self.captures
    }

    fn spend(&mut self, steps: usize) -> Outcome<(), F> {
        (self.spend)(steps).map_err(PatternError::Fatal)
    }

    /// Returns a byte of the pattern, or zero past its end.
    fn byte(&self, index: usize) -> u8 {
        self.pattern.get(index).copied().unwrap_or(0)
    }

    fn step(&mut self, at: usize, item: usize) -> Outcome<Step, F> {
        match (self.byte(item), self.byte(item + 1)) {
            (0, _) => Ok(Step::Done(at)),
            (b'(', b')') => self.open(Capture::Position(at), at, item + 2),
            (b'(', _) => self.open(Capture::Open(at), at, item + 1),
            (b')', _) => self.close(at, item + 1),
            (b'%', b'b') => self.balance(at, item + 2),
            (b'%', b'f') => self.frontier(at, item + 2),
            (b'%', digit) if digit.is_ascii_digit() => self.reference(at, digit, item + 2),
            (b'$', 0) if item + 1 >= self.pattern.len() => Ok(if at == self.text.len() {
                Step::Done(at)
            } else {
                Step::Failed
            }),
            _ => self.single(at, item),
        }
    }

    fn open(&mut self, capture: Capture, at: usize, rest: usize) -> Outcome<Step, F> {
        if self.captures.len() >= CAPTURES_MAX {
            return Err(PatternError::Malformed("too many captures"));
        }
        self.captures.push(capture);
        self.choices.push(Choice::Opened);
        Ok(Step::On(at, rest))
    }

    fn close(&mut self, at: usize, rest: usize) -> Outcome<Step, F> {
        let mut all = self.captures.iter_mut().enumerate().rev();
        let open = all.find_map(|(index, capture)| match *capture {
            Capture::Open(start) => Some((index, start, capture)),
            _ => None,
        });
        let Some((index, start, capture)) = open else {
            return Err(PatternError::Malformed("invalid pattern capture"));
        };
        *capture = Capture::Span(start, at);
        self.choices.push(Choice::Closed(index, start));
        Ok(Step::On(at, rest))
    }

    fn balance(&mut self, at: usize, item: usize) -> Outcome<Step, F> {
        let (open, close) = (self.byte(item), self.byte(item + 1));
        if open == 0 || close == 0 {
            return Err(PatternError::Malformed("unbalanced pattern"));
        }
        if self.text.get(at) != Some(&open) {
            return Ok(Step::Failed);
        }
        let mut depth = 1_usize;
        let rest = self.text.get(at + 1..).unwrap_or_default();
        for (offset, byte) in rest.iter().enumerate() {
            if *byte == close {
                depth -= 1;
            } else if *byte == open {
                depth += 1;
            }
            if depth == 0 {
                self.spend(offset)?;
                return Ok(Step::On(at + offset + 2, item + 2));
            }
        }
        self.spend(rest.len())?;
        Ok(Step::Failed)
    }

    fn frontier(&mut self, at: usize, item: usize) -> Outcome<Step, F> {
        if self.byte(item) != b'[' {
            return Err(PatternError::Malformed("missing '[' after '%f' in pattern"));
        }
        let end = self.item_end(item)?;
        self.spend(end - item)?;
        let before = at.checked_sub(1).and_then(|before| self.text.get(before));
        let before = before.copied().unwrap_or(0);
        let here = self.text.get(at).copied().unwrap_or(0);
        let set = (item, end - 1);
        if self.in_set(before, set) || !self.in_set(here, set) {
            return Ok(Step::Failed);
        }
        Ok(Step::On(at, end))
    }

    fn reference(&mut self, at: usize, digit: u8, rest: usize) -> Outcome<Step, F> {
        let index = usize::from(digit).checked_sub(usize::from(b'1'));
        let capture = index.and_then(|index| self.captures.get(index)).copied();
        let span = match capture {
            Some(Capture::Span(start, end)) => start..end,
            // C compares with a negative length, which becomes a huge one: nothing can match.
            Some(Capture::Position(_)) => return Ok(Step::Failed),
            Some(Capture::Open(_)) | None => {
                return Err(PatternError::Malformed("invalid capture index"));
            }
        };
        self.spend(span.len())?;
        let end = at + span.len();
        let is_same = self.text.get(span) == self.text.get(at..end);
        Ok(if is_same && end <= self.text.len() {
            Step::On(end, rest)
        } else {
            Step::Failed
        })
    }

    /// Matches an item that takes a single byte, together with its repetition.
    fn single(&mut self, at: usize, item: usize) -> Outcome<Step, F> {
        let end = self.item_end(item)?;
        let takes = self.takes(at, item, end)?;
        Ok(match self.byte(end) {
            b'?' if takes => {
                let rest = end + 1;
                self.choices.push(Choice::Without { at, rest });
                Step::On(at + 1, rest)
            }
            b'?' => Step::On(at, end + 1),
            b'*' => self.most(at, item, end, 0)?,
            b'+' if takes => self.most(at, item, end, 1)?,
            b'-' => {
                self.choices.push(Choice::More { at, item, end });
                Step::On(at, end + 1)
            }
            b'+' => Step::Failed,
            _ if takes => Step::On(at + 1, end),
            _ => Step::Failed,
        })
    }

    /// Matches an item as often as possible.
    fn most(&mut self, start: usize, item: usize, end: usize, least: usize) -> Outcome<Step, F> {
        let mut count = 0;
        while self.takes(start + count, item, end)? {
            count += 1;
        }
        let rest = end + 1;
        self.choices.push(Choice::Fewer {
            start,
            count,
            least,
            rest,
        });
        Ok(Step::On(start + count, rest))
    }

    /// Goes back to the last alternative that can still be tried.
    fn retry(&mut self) -> Outcome<Option<(usize, usize)>, F> {
        while let Some(choice) = self.choices.pop() {
            self.spend(1)?;
            match choice {
                Choice::Opened => _ = self.captures.pop(),
                Choice::Closed(index, start) => {
                    if let Some(capture) = self.captures.get_mut(index) {
                        *capture = Capture::Open(start);
                    }
                }
                Choice::Without { at, rest } => return Ok(Some((at, rest))),
                Choice::More { at, item, end } => {
                    if self.takes(at, item, end)? {
                        let at = at + 1;
                        self.choices.push(Choice::More { at, item, end });
                        return Ok(Some((at, end + 1)));
                    }
                }
                Choice::Fewer {
                    start,
                    count,
                    least,
                    rest,
                } => {
                    if count > least {
                        let count = count - 1;
                        self.choices.push(Choice::Fewer {
                            start,
                            count,
                            least,
                            rest,
                        });
                        return Ok(Some((start + count, rest)));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Returns where an item that takes a single byte ends. Source: `classend`.
    fn item_end(&mut self, item: usize) -> Outcome<usize, F> {
        match self.byte(item) {
            b'%' if self.byte(item + 1) == 0 => {
                Err(PatternError::Malformed("malformed pattern (ends with '%')"))
            }
            b'%' => Ok(item + 2),
            b'[' => self.set_end(item + 1),
            _ => Ok(item + 1),
        }
    }

    fn set_end(&mut self, start: usize) -> Outcome<usize, F> {
        let mut index = start + usize::from(self.byte(start) == b'^');
        loop {
            let byte = self.byte(index);
            if byte == 0 {
                let text = "malformed pattern (missing ']')";
                return Err(PatternError::Malformed(text));
            }
            index += 1;
            if byte == b'%' && self.byte(index) != 0 {
                index += 1;
            }
            if self.byte(index) == b']' {
                self.spend(index - start)?;
                return Ok(index + 1);
            }
        }
    }

    /// Whether the item matches the byte at `at`. Source: `singlematch`.
    fn takes(&mut self, at: usize, item: usize, end: usize) -> Outcome<bool, F> {
        self.spend(end - item)?;
        let Some(byte) = self.text.get(at).copied() else {
            return Ok(false);
        };
        Ok(match self.byte(item) {
            b'.' => true,
            b'%' => in_class(byte, self.byte(item + 1)),
            b'[' => self.in_set(byte, (item, end - 1)),
            own => own == byte,
        })
    }

    /// Whether a byte is in the set between the brackets at these indexes. Source: `matchbracketclass`.
    fn in_set(&self, byte: u8, (open, close): (usize, usize)) -> bool {
        let is_negated = self.byte(open + 1) == b'^';
        let mut index = open + 1 + usize::from(is_negated);
        while index < close {
            let own = self.byte(index);
            let is_in = if own == b'%' {
                index += 1;
                in_class(byte, self.byte(index))
            } else if self.byte(index + 1) == b'-' && index + 2 < close {
                index += 2;
                (own..=self.byte(index)).contains(&byte)
            } else {
                own == byte
            };
            if is_in {
                return !is_negated;
            }
            index += 1;
        }
        is_negated
    }
}

/// Whether a byte belongs to the character class of that letter. Source: `match_class`.
fn in_class(byte: u8, class: u8) -> bool {
    let is_in = match class.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        b's' => byte.is_ascii_whitespace() || byte == 0x0B,
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        b'z' => byte == 0,
        _ => return class == byte,
    };
    is_in != class.is_ascii_uppercase()
}
