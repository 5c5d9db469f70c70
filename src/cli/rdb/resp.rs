//! `redtail rdb resp`: the commands that create the keys of a dump again.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use super::input::Input;
use super::output::{WRITE_BYTES, finish};
use super::selection::{Selection, Selector};
use crate::dump::{Array, BoxError, Hash, Item, Key, SortedSet, Value, Visitor};
use crate::resp::double;

/// Prints the commands that create the keys of dumps again, for redis-cli --pipe.
///
/// A key is one command, or several for a large collection. Values of modules and what a stream keeps about producers cannot be
/// expressed by commands: redtail says how many keys it left out, and ends with code 1.
#[derive(Debug, Clone, clap::Args)]
pub struct Resp {
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    selection: Selection,
    /// Delete each key before it is created
    #[arg(long)]
    replace: bool,
}

/// Maximum elements of one command.
const ELEMENTS_MAX: usize = 512;

/// Runs `redtail rdb resp`. Prints the commands; returns 1 if a dump is broken or keys were left out.
#[must_use]
pub fn resp(args: &Resp) -> ExitCode {
    let selector = match args.selection.prepare() {
        Ok(selector) => selector,
        Err(error) => return super::misused(&error),
    };
    let mut writing = Writing {
        selector,
        out: Commands::new(BufWriter::with_capacity(WRITE_BYTES, io::stdout().lock())),
        replace: args.replace,
        failure: None,
        left_out: 0,
    };
    let read = args.input.read(&mut writing);
    let flushed = writing.out.out.flush();
    let written = writing.failure.map_or(flushed, Err);
    if writing.left_out > 0 {
        eprintln!(
            "redtail: {} keys are left out, because no command creates them: values of modules",
            writing.left_out
        );
    }
    finish(written, read.is_ok() && writing.left_out == 0)
}

struct Writing<'s, W> {
    selector: Selector<'s>,
    out: Commands<W>,
    replace: bool,
    /// The error that stopped the output.
    failure: Option<io::Error>,
    left_out: u64,
}

impl<W: Write> Visitor for Writing<'_, W> {
    fn key(&mut self, key: Key<'_>) -> Result<(), BoxError> {
        if !self.selector.takes(&key) {
            return Ok(());
        }
        if matches!(key.value, Value::Module(_)) {
            self.left_out += 1;
            return Ok(());
        }
        self.out.key(&key, self.replace).map_err(|failure| {
            let kind = failure.kind();
            self.failure = Some(failure);
            io::Error::from(kind).into()
        })
    }

    fn library(&mut self, code: &[u8]) -> Result<(), BoxError> {
        let words = [&b"FUNCTION"[..], b"LOAD", b"REPLACE", code];
        self.out.command(&words).map_err(Into::into)
    }
}

/// Writes commands.
pub(super) struct Commands<W> {
    out: W,
    /// The selected database.
    db: u64,
}

impl<W: Write> Commands<W> {
    const fn new(out: W) -> Self {
        Self { out, db: 0 }
    }

    pub(super) fn head(&mut self, words: usize) -> io::Result<()> {
        write!(self.out, "*{words}\r\n")
    }

    pub(super) fn word(&mut self, word: &[u8]) -> io::Result<()> {
        write!(self.out, "${}\r\n", word.len())?;
        self.out.write_all(word)?;
        self.out.write_all(b"\r\n")
    }

    pub(super) fn command(&mut self, words: &[&[u8]]) -> io::Result<()> {
        self.head(words.len())?;
        words.iter().try_for_each(|word| self.word(word))
    }

    fn key(&mut self, key: &Key<'_>, replace: bool) -> io::Result<()> {
        if key.db != self.db {
            self.command(&[b"SELECT", key.db.to_string().as_bytes()])?;
            self.db = key.db;
        }
        if replace {
            self.command(&[b"DEL", key.name])?;
        }
        self.value(key)?;
        match key.expire_at_ms {
            None => Ok(()),
            Some(at) => self.command(&[b"PEXPIREAT", key.name, at.to_string().as_bytes()]),
        }
    }

    fn value(&mut self, key: &Key<'_>) -> io::Result<()> {
        let name = key.name;
        match &key.value {
            Value::String(text) => self.string(name, *text),
            Value::List(list) => self.each(b"RPUSH", name, list.iter().map(|item| [item])),
            Value::Set(set) => self.each(b"SADD", name, set.iter().map(|item| [item])),
            Value::Hash(hash) => {
                let pairs = hash.iter().map(|field| [field.name, field.value]);
                self.each(b"HSET", name, pairs)?;
                self.field_expiries(name, hash)
            }
            Value::SortedSet(set) => self.sorted(name, set),
            Value::Stream(stream) => super::resp_stream::write(self, name, stream),
            Value::Array(array) => self.array(name, array),
            Value::Module(_) => Ok(()),
        }
    }

    /// Writes an element.
    pub(super) fn item(&mut self, item: Item<'_>) -> io::Result<()> {
        match item {
            Item::Bytes(text) => self.word(text),
            Item::Integer(number) => self.word(itoa::Buffer::new().format(number).as_bytes()),
        }
    }

    fn string(&mut self, name: &[u8], text: Item<'_>) -> io::Result<()> {
        self.head(3)?;
        self.word(b"SET")?;
        self.word(name)?;
        self.item(text)
    }

    /// Writes as many commands as the elements need.
    fn each<'a, const N: usize>(
        &mut self,
        command: &[u8],
        name: &[u8],
        elements: impl Iterator<Item = [Item<'a>; N]>,
    ) -> io::Result<()> {
        let mut some = Vec::with_capacity(ELEMENTS_MAX);
        for element in elements {
            some.push(element);
            if some.len() == ELEMENTS_MAX {
                self.with_elements(command, name, &some)?;
                some.clear();
            }
        }
        match some.is_empty() {
            true => Ok(()),
            false => self.with_elements(command, name, &some),
        }
    }

    fn with_elements<const N: usize>(
        &mut self,
        command: &[u8],
        name: &[u8],
        elements: &[[Item<'_>; N]],
    ) -> io::Result<()> {
        self.head(2 + N * elements.len())?;
        self.word(command)?;
        self.word(name)?;
        elements
            .iter()
            .flatten()
            .try_for_each(|item| self.item(*item))
    }

    fn sorted(&mut self, name: &[u8], set: &SortedSet<'_>) -> io::Result<()> {
        let mut members = set.iter().peekable();
        let mut score_text = Vec::new();
        while members.peek().is_some() {
            let some: Vec<_> = members.by_ref().take(ELEMENTS_MAX).collect();
            self.head(2 + 2 * some.len())?;
            self.word(b"ZADD")?;
            self.word(name)?;
            for (member, score) in some {
                score_text.clear();
                double::write(&mut score_text, score, true);
                self.word(&score_text)?;
                self.item(member)?;
            }
        }
        Ok(())
    }

    /// Fields that expire together in one command.
    fn field_expiries(&mut self, name: &[u8], hash: &Hash<'_>) -> io::Result<()> {
        let timed = hash
            .iter()
            .filter_map(|field| Some((field.expire_at_ms?, field.name)));
        let mut timed: Vec<_> = timed.collect();
        timed.sort_by_key(|(at, _)| *at);
        for together in timed.chunk_by(|(one, _), (other, _)| one == other) {
            for some in together.chunks(ELEMENTS_MAX) {
                let at = some.first().map_or(0, |(at, _)| *at);
                self.head(5 + some.len())?;
                self.word(b"HPEXPIREAT")?;
                self.word(name)?;
                self.word(at.to_string().as_bytes())?;
                self.word(b"FIELDS")?;
                self.word(some.len().to_string().as_bytes())?;
                some.iter().try_for_each(|(_, field)| self.item(*field))?;
            }
        }
        Ok(())
    }

    fn array(&mut self, name: &[u8], array: &Array<'_>) -> io::Result<()> {
        let mut elements = array.iter().peekable();
        while elements.peek().is_some() {
            let some: Vec<_> = elements.by_ref().take(ELEMENTS_MAX).collect();
            self.head(2 + 2 * some.len())?;
            self.word(b"ARMSET")?;
            self.word(name)?;
            for (index, text) in some {
                self.word(index.to_string().as_bytes())?;
                self.word(&text)?;
            }
        }
        match array.insert_index().and_then(|index| index.checked_add(1)) {
            None => Ok(()),
            Some(next) => self.command(&[b"ARSEEK", name, next.to_string().as_bytes()]),
        }
    }
}
