//! A grammar with a line for each way to write a command. It contains choices, which are made at random.
//!
//! | notation | meaning |
//! |---|---|
//! | `WORD`, `"two words\n"` | itself |
//! | `{pool}` | a word of that pool, see [`super::pools`] |
//! | `[A B]` | nothing, or what is inside |
//! | `(A\|B C)` | one of these |
//! | `{pool}+`, `(A B)+` | one to four times |
//! | `{pool}%`, `(A B)%` | hundreds of times, past every threshold |
//! | `#{pool}+` | a number, then that number of repetitions |

use super::pools::Pools;

/// A command as its words.
pub type Words = Vec<Vec<u8>>;

/// One way to write a command.
pub struct Form {
    /// Its fixed first words: `get`, `xgroup create`.
    pub name: String,
    parts: Vec<Part>,
}

enum Part {
    Word(String),
    Pool(String),
    Optional(Vec<Part>),
    Either(Vec<Vec<Part>>),
    Some(Box<Part>),
    Hundreds(Box<Part>),
    Counted(Box<Part>),
}

/// The forms in a text, one per line.
pub fn forms(text: &str) -> Vec<Form> {
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty())
        .map(Form::parse)
        .collect()
}

impl Form {
    fn parse(line: &str) -> Self {
        let mut parser = Parser { rest: line };
        let parts = parser.sequence();
        assert!(
            parser.rest.is_empty(),
            "{:?} is left over from {line:?}",
            parser.rest
        );
        let words = line.split(' ').take(2);
        let words = words.take_while(|word| word.starts_with(|c: char| c.is_ascii_uppercase()));
        let name = words.collect::<Vec<_>>().join(" ").to_lowercase();
        Self { name, parts }
    }

    /// A command of this form.
    pub fn expand(&self, pools: &mut Pools) -> Words {
        let mut words = Vec::new();
        let lower = pools.one_in(10);
        expand_all(&self.parts, pools, lower, &mut words);
        words
    }
}

fn expand_all(parts: &[Part], pools: &mut Pools, lower: bool, words: &mut Words) {
    for part in parts {
        part.expand(pools, lower, words);
    }
}

impl Part {
    fn expand(&self, pools: &mut Pools, lower: bool, words: &mut Words) {
        match self {
            Self::Word(word) if lower && !word.contains(' ') => {
                words.push(word.to_lowercase().into_bytes())
            }
            Self::Word(word) => words.push(word.clone().into_bytes()),
            Self::Pool(name) => words.push(pools.word(name)),
            Self::Optional(parts) if pools.one_in(2) => expand_all(parts, pools, lower, words),
            Self::Optional(_) => {}
            Self::Either(ways) => {
                expand_all(&ways[pools.below(ways.len())], pools, lower, words);
            }
            Self::Some(part) => {
                let times = pools.below(4) + 1;
                part.repeat(times, pools, lower, words);
            }
            Self::Hundreds(part) => {
                let times = pools.below(600) + 100;
                part.repeat(times, pools, lower, words);
            }
            Self::Counted(part) => {
                let times = pools.below(4) + 1;
                words.push(times.to_string().into_bytes());
                part.repeat(times, pools, lower, words);
            }
        }
    }

    fn repeat(&self, times: usize, pools: &mut Pools, lower: bool, words: &mut Words) {
        for _ in 0..times {
            self.expand(pools, lower, words);
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    /// Parses parts up to a closing character.
    fn sequence(&mut self) -> Vec<Part> {
        let mut parts = Vec::new();
        loop {
            self.rest = self.rest.trim_start();
            if self.rest.is_empty() || self.rest.starts_with(['|', ')', ']']) {
                return parts;
            }
            parts.push(self.part());
        }
    }

    fn part(&mut self) -> Part {
        if self.rest.starts_with("#{") || self.rest.starts_with("#(") {
            self.takes('#');
            let Part::Some(part) = self.part() else {
                panic!("# must precede a repetition: {:?}", self.rest)
            };
            return Part::Counted(part);
        }
        let part = self.single();
        if self.takes('+') {
            Part::Some(Box::new(part))
        } else if self.takes('%') {
            Part::Hundreds(Box::new(part))
        } else {
            part
        }
    }

    fn single(&mut self) -> Part {
        if self.takes('[') {
            let inner = self.sequence();
            assert!(self.takes(']'), "] is missing at {:?}", self.rest);
            Part::Optional(inner)
        } else if self.takes('(') {
            self.either()
        } else if self.takes('{') {
            Part::Pool(self.until("}"))
        } else if self.takes('"') {
            Part::Word(self.until("\"").replace("\\n", "\n"))
        } else {
            let end = self
                .rest
                .find([' ', '[', ']', '(', ')', '|', '{'])
                .unwrap_or(self.rest.len());
            let (word, rest) = self.rest.split_at(end);
            self.rest = rest;
            Part::Word(word.to_owned())
        }
    }

    fn either(&mut self) -> Part {
        let mut ways = vec![self.sequence()];
        while self.takes('|') {
            ways.push(self.sequence());
        }
        assert!(self.takes(')'), ") is missing at {:?}", self.rest);
        Part::Either(ways)
    }

    fn takes(&mut self, character: char) -> bool {
        let rest = self.rest.strip_prefix(character);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn until(&mut self, end: &str) -> String {
        let (inner, rest) = self
            .rest
            .split_once(end)
            .expect("an opening character needs a closing one");
        self.rest = rest;
        inner.to_owned()
    }
}
