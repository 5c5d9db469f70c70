//! ARGREP: searches for texts and patterns.

use memchr::memmem::Finder;

use super::pattern::Pattern;
use super::{array, element_reply, index, limit, unsigned_reply};
use crate::command::rows::{Error, glob};
use crate::dialect::Dialect;
use crate::rdb::array::ElementText;
use crate::resp::{Args, Reply};
use crate::store::View;

/// Source: redis 8.8 t_array.c, like all errors here.
const PREDICATES_MAX: usize = 250;
const PATTERN_BYTES_MAX: usize = 2048;

/// What an element must be like.
enum Predicate<'a> {
    Exact(&'a [u8]),
    Contains(Finder<'a>),
    /// The same in any case: the text is in lower case.
    ContainsAnyCase(Finder<'static>),
    Glob(&'a [u8]),
    Regular(Pattern),
}

/// The words of a command.
struct Plan<'a> {
    predicates: Vec<Predicate<'a>>,
    /// Whether an element must match all predicates, or one.
    all: bool,
    any_case: bool,
    with_values: bool,
    limit: u64,
    dialect: Dialect,
}

/// A predicate's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Exact,
    Match,
    Glob,
    Regular,
}

fn kind(args: Args<'_>, at: usize) -> Option<Kind> {
    let kinds = [
        ("exact", Kind::Exact),
        ("match", Kind::Match),
        ("glob", Kind::Glob),
        ("re", Kind::Regular),
    ];
    let found = kinds.into_iter().find(|(name, _)| args.is(at, name));
    found.map(|(_, kind)| kind)
}

impl<'a> Plan<'a> {
    /// Reads all words, then makes the predicates: how they match may depend on a later word.
    fn parse(args: Args<'a>, dialect: Dialect) -> Result<Self, Error> {
        let mut plan = Self {
            predicates: Vec::new(),
            all: false,
            any_case: false,
            with_values: false,
            limit: u64::MAX,
            dialect,
        };
        let mut found = Vec::new();
        let mut at = 4;
        while at < args.len() {
            if let Some(kind) = kind(args, at) {
                let text = args.get(at + 1).ok_or(Error::Syntax)?;
                check_room(&found, kind, text)?;
                found.push((kind, text));
                at += 2;
            } else {
                at += plan.option(args, at)?;
            }
        }
        if found.is_empty() {
            return Err(Error::Syntax);
        }
        for (kind, text) in found {
            let predicate = plan.predicate(kind, text)?;
            plan.predicates.push(predicate);
        }
        Ok(plan)
    }

    /// Reads an option at `at`. Returns its number of words.
    fn option(&mut self, args: Args<'_>, at: usize) -> Result<usize, Error> {
        if args.is(at, "limit") {
            self.limit = limit(args.get(at + 1).ok_or(Error::Syntax)?)?;
            return Ok(2);
        }
        if args.is(at, "withvalues") {
            self.with_values = true;
        } else if args.is(at, "nocase") {
            self.any_case = true;
        } else if args.is(at, "and") || args.is(at, "or") {
            self.all = args.is(at, "and");
        } else {
            return Err(Error::Syntax);
        }
        Ok(1)
    }

    fn predicate(&self, kind: Kind, text: &'a [u8]) -> Result<Predicate<'a>, Error> {
        Ok(match kind {
            Kind::Exact => Predicate::Exact(text),
            Kind::Match if self.any_case => {
                let lower = Finder::new(&text.to_ascii_lowercase()).into_owned();
                Predicate::ContainsAnyCase(lower)
            }
            Kind::Match => Predicate::Contains(Finder::new(text)),
            Kind::Glob => Predicate::Glob(text),
            Kind::Regular => Predicate::Regular(Pattern::new(text, self.any_case)?),
        })
    }

    fn matches(&self, text: &[u8]) -> Result<bool, Error> {
        for predicate in &self.predicates {
            if self.matches_one(predicate, text)? != self.all {
                return Ok(!self.all);
            }
        }
        Ok(self.all)
    }

    fn matches_one(&self, predicate: &Predicate<'_>, text: &[u8]) -> Result<bool, Error> {
        Ok(match predicate {
            Predicate::Exact(exact) if self.any_case => exact.eq_ignore_ascii_case(text),
            Predicate::Exact(exact) => *exact == text,
            Predicate::Contains(part) => part.find(text).is_some(),
            Predicate::ContainsAnyCase(part) => part.find(&text.to_ascii_lowercase()).is_some(),
            Predicate::Glob(pattern) => {
                glob::matches_in(pattern, text, self.any_case, self.dialect)
            }
            Predicate::Regular(pattern) => return pattern.matches(text),
        })
    }
}

fn check_room(found: &[(Kind, &[u8])], kind: Kind, text: &[u8]) -> Result<(), Error> {
    if found.len() >= PREDICATES_MAX {
        Err(Error::Text("ERR too many predicates, maximum is 250"))
    } else if kind == Kind::Regular && text.len() > PATTERN_BYTES_MAX {
        Err(Error::Text(
            "ERR regular expression is too long, maximum is 2048 bytes",
        ))
    } else {
        Ok(())
    }
}

/// An end of the range: an index, or an end of the array.
enum End {
    First,
    Last,
    At(u64),
}

impl End {
    fn parse(text: &[u8]) -> Result<Self, Error> {
        match text {
            b"-" => Ok(Self::First),
            b"+" => Ok(Self::Last),
            text => index(text).map(Self::At),
        }
    }

    const fn index(&self, top: u64) -> u64 {
        match *self {
            Self::First => 0,
            Self::Last => top,
            Self::At(index) => index,
        }
    }
}

/// Every predicate looks at every element.
pub(super) fn work(args: Args<'_>, size: usize) -> usize {
    size.saturating_mul((args.len() / 2).max(1))
}

pub(super) fn argrep(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let (start, end) = (End::parse(args.at(2))?, End::parse(args.at(3))?);
    let plan = Plan::parse(args, reply.dialect())?;
    let Some(array) = array(view, args.at(1))? else {
        reply.array(0);
        return Ok(());
    };
    let top = array.span().saturating_sub(1);
    let mut room = ElementText::default();
    let mut failure = None;
    reply.array_of(|reply| {
        let mut count = 0;
        for (index, element) in array.between(start.index(top), end.index(top)) {
            if count as u64 >= plan.limit || reply.overflowed() {
                break;
            }
            match plan.matches(element.text(&mut room)) {
                Ok(false) => continue,
                Ok(true) => {}
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
            if plan.with_values {
                reply.array(2);
            }
            unsigned_reply(reply, index);
            if plan.with_values {
                element_reply(reply, Some(element));
            }
            count += 1;
        }
        count
    });
    failure.map_or(Ok(()), Err)
}
