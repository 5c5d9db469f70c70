//! Turns what the feed shows into lines, and keeps the place up to which they are printed.

use tokio_util::sync::CancellationToken;

use super::file::PlaceFile;
use super::line::{self, Number};
use super::out::{Flow, OutError, Output};
use super::place::{Place, Step, Tracker, Turn};
use super::resp::Writes;
use crate::command::glob::Glob;
use crate::dialect::Dialect;
use crate::feed::{Change, Fact, Interest, News};
use crate::history::Point;
use crate::replica::{REMARKS, TYPES_UNKNOWN};
use crate::resp::{RequestLimits, RequestParser};

/// Which changes are printed.
#[derive(Debug, Clone, Default)]
pub(super) struct Filter {
    pub(super) pattern: Option<Vec<u8>>,
    pub(super) kind: Option<String>,
    pub(super) db: Option<usize>,
}

impl Filter {
    fn has_key(&self, key: &[u8]) -> bool {
        let matches = |pattern: &Vec<u8>| Glob::new(pattern, Dialect::default()).matches(key);
        self.pattern.as_ref().is_none_or(matches)
    }

    fn has_db(&self, db: usize) -> bool {
        self.db.is_none_or(|wanted| wanted == db)
    }

    /// Whether a change is printed. What may concern any key is, and what may be of the type.
    pub(super) fn shows(&self, change: &Change<'_>) -> bool {
        let db = change.db;
        match change.fact {
            Fact::Event { kind, key, .. } => {
                let wanted = self.kind.as_deref();
                let is_of = TYPES_UNKNOWN.contains(&kind) || wanted.is_none_or(|own| own == kind);
                self.has_db(db) && is_of && self.has_key(key)
            }
            Fact::Doubt { key } => self.has_db(db) && self.has_key(key),
            Fact::Flushed => self.has_db(db),
            Fact::Swapped { other } => self.has_db(db) || self.has_db(other),
            // It changed no key.
            Fact::Command { .. } => {
                self.has_db(db) && self.pattern.is_none() && self.kind.is_none()
            }
            _ => true,
        }
    }
}

/// How changes are printed.
#[derive(Debug)]
pub(super) enum Form {
    Json {
        /// Whether each line has its write.
        commands: bool,
    },
    Resp(Writes),
}

impl Form {
    pub(super) const fn interest(&self) -> Interest {
        match self {
            Self::Json { commands: false } => Interest::EVENTS,
            _ => Interest::EVENTS.with(Interest::COMMANDS),
        }
    }
}

/// Why printing cannot go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum PrintError {
    #[error(transparent)]
    Out(#[from] OutError),
    #[error("cannot write {name} in the state directory: {0}", name = super::file::NAME)]
    Place(std::io::Error),
    /// The output cannot say what has happened.
    #[error("{0}")]
    Broken(&'static str),
}

pub(super) struct Printer {
    pub(super) form: Form,
    pub(super) filter: Filter,
    pub(super) tracker: Tracker,
    pub(super) out: Output,
    pub(super) file: Option<PlaceFile>,
    pub(super) stop: CancellationToken,
}

/// Whether a fact is a line of its own, or part of one.
const fn is_told(fact: &Fact<'_>) -> bool {
    match fact {
        Fact::Event { class, .. } => !class.meets(REMARKS),
        Fact::Touch { .. } | Fact::Message { .. } => false,
        _ => true,
    }
}

impl Printer {
    /// Prints what is new in `news`.
    pub(super) fn print(&mut self, news: &News) -> Result<Flow, PrintError> {
        if let Some(mark) = news.mark() {
            let was_placed = self.tracker.place().is_some();
            match self.tracker.mark(mark) {
                Turn::On => {}
                Turn::Lost(point, index) => self.lose(Number { point, index })?,
                Turn::Resynced => self.resync()?,
            }
            if let (false, Some(place)) = (was_placed, self.tracker.place()) {
                begin(place.point);
            }
            let flow = self.flush_all()?;
            if let Some(file) = &self.file {
                file.sync().map_err(PrintError::Place)?;
            }
            return Ok(flow);
        }
        let Some(replid) = news.replid() else {
            return Ok(Flow::On);
        };
        let at = |offset| Point { replid, offset };
        let flow = match &self.form {
            Form::Json { commands } => {
                let commands = *commands;
                self.json(news, &at, commands)?
            }
            Form::Resp(_) => self.resp(news, &at)?,
        };
        match flow {
            Flow::On => {
                self.tracker.close();
                self.flush_all()
            }
            flow => Ok(flow),
        }
    }

    fn json(
        &mut self,
        news: &News,
        at: &dyn Fn(u64) -> Point,
        commands: bool,
    ) -> Result<Flow, PrintError> {
        let mut open = false;
        // The changes of a command come before it.
        let mut waiting: Vec<Change<'_>> = Vec::new();
        for change in news.changes(self.form.interest()) {
            if !is_told(&change.fact) {
                continue;
            }
            open |= matches!(change.fact, Fact::Replaced { told: true });
            if waiting
                .first()
                .is_some_and(|first| first.offset != change.offset)
            {
                self.lines(&mut waiting, None, at, open)?;
            }
            match change.fact {
                Fact::Command { resp } => {
                    if waiting.is_empty() {
                        waiting.push(change);
                    }
                    self.lines(&mut waiting, Some(resp), at, open)?;
                }
                _ => waiting.push(change),
            }
            if !commands {
                self.lines(&mut waiting, None, at, open)?;
            }
            if self.out.is_full() {
                let flow = self.flush()?;
                if flow != Flow::On {
                    return Ok(flow);
                }
            }
        }
        self.lines(&mut waiting, None, at, open)?;
        Ok(Flow::On)
    }

    /// Puts lines into the output.
    fn lines(
        &mut self,
        changes: &mut Vec<Change<'_>>,
        command: Option<&[u8]>,
        at: &dyn Fn(u64) -> Point,
        open: bool,
    ) -> Result<(), PrintError> {
        let mut parser = RequestParser::new(ANY);
        let words = command.and_then(|resp| match parser.step(resp) {
            Ok(crate::resp::Step::Command(words, _)) => Some(words),
            _ => None,
        });
        for change in changes.drain(..) {
            let point = at(change.offset);
            let Step::New(index) = self.step(point) else {
                continue;
            };
            self.tracker.done(point, index, open);
            if self.filter.shows(&change) {
                line::change(self.out.buffer(), Number { point, index }, &change, words);
                self.end();
            }
        }
        Ok(())
    }

    pub(super) fn step(&mut self, point: Point) -> Step {
        let was_placed = self.tracker.place().is_some();
        let step = self.tracker.step(point);
        if !was_placed {
            begin(point);
        }
        step
    }

    fn resp(&mut self, news: &News, at: &dyn Fn(u64) -> Point) -> Result<Flow, PrintError> {
        let interest = self.form.interest();
        let changes: Vec<Change<'_>> = news
            .changes(interest)
            .filter(|change| is_told(&change.fact))
            .collect();
        for unit in changes.chunk_by(|one, next| one.offset == next.offset) {
            self.unit(unit, at)?;
            if self.out.is_full() {
                let flow = self.flush()?;
                if flow != Flow::On {
                    return Ok(flow);
                }
            }
        }
        Ok(Flow::On)
    }

    /// Puts the writes of one offset into the output.
    fn unit(&mut self, unit: &[Change<'_>], at: &dyn Fn(u64) -> Point) -> Result<(), PrintError> {
        let mut new = Vec::new();
        // Whether a change of the command that follows is to be printed.
        let (mut told, mut wanted) = (false, false);
        for change in unit {
            let point = at(change.offset);
            let Fact::Command { resp } = change.fact else {
                told = true;
                wanted |= self.filter.shows(change);
                if self.tracker.place().is_none() {
                    self.step(point);
                } else if matches!(change.fact, Fact::DoubtOfEverything)
                    && !self.tracker.has_printed(point)
                {
                    return Err(PrintError::Broken(UNKNOWN_WRITE));
                }
                continue;
            };
            if !told {
                wanted = self.filter.shows(change);
            }
            if let Step::New(index) = self.step(point) {
                if wanted {
                    new.push((change.db, resp));
                }
                self.tracker.done(point, index, false);
            }
            (told, wanted) = (false, false);
        }
        if let Form::Resp(writes) = &mut self.form
            && !new.is_empty()
        {
            writes.unit(self.out.buffer(), &new);
            self.tracker.select(writes.selected());
            self.end();
        }
        Ok(())
    }

    fn end(&mut self) {
        if let Some(place) = self.tracker.place() {
            self.out.end(place.clone());
        }
    }

    fn lose(&mut self, number: Number) -> Result<(), PrintError> {
        tracing::error!(
            replid = %number.point.replid, offset = number.point.offset,
            "changes are lost: the state directory does not have everything since the place up to which tail had printed"
        );
        if matches!(self.form, Form::Resp(_)) {
            return Err(PrintError::Broken(GAP));
        }
        self.out.forget_tail().map_err(OutError::from)?;
        line::lost(self.out.buffer(), number);
        self.tracker.done(number.point, number.index, false);
        self.end();
        Ok(())
    }

    fn resync(&mut self) -> Result<(), PrintError> {
        if matches!(self.form, Form::Resp(_)) {
            return Err(PrintError::Broken(RESYNCED));
        }
        Ok(self.out.forget_tail().map_err(OutError::from)?)
    }

    /// Writes everything, and keeps the place, too, if no line is waiting.
    fn flush_all(&mut self) -> Result<Flow, PrintError> {
        let flow = self.flush()?;
        if flow == Flow::On {
            let place = self.tracker.place().cloned();
            self.keep(place)?;
        }
        Ok(flow)
    }

    fn flush(&mut self) -> Result<Flow, PrintError> {
        let (flow, reached) = self.out.flush()?;
        self.keep(reached)?;
        Ok(flow)
    }

    fn keep(&mut self, place: Option<Place>) -> Result<(), PrintError> {
        let (Some(file), Some(place)) = (&mut self.file, place) else {
            return Ok(());
        };
        file.write(&self.out.kept(place)).map_err(PrintError::Place)
    }

    /// Whether tail is to end although nothing is left to print.
    pub(super) fn ends(&self) -> Option<Flow> {
        if self.stop.is_cancelled() {
            return Some(Flow::Stopped);
        }
        self.out.is_deserted().then_some(Flow::Deserted)
    }
}

fn begin(point: Point) {
    let Point { replid, offset } = point;
    tracing::info!(%replid, offset, "printing the changes after this point");
}

/// What the feed has was read from the primary's stream.
const ANY: RequestLimits = RequestLimits {
    words_max: usize::MAX,
    word_bytes_max: usize::MAX,
    inline: false,
};

const UNKNOWN_WRITE: &str = "the primary sent a write that redtail does not know, so the writes cannot be printed any further";
const RESYNCED: &str = "the primary could not continue the stream, and a full resync is no sequence of writes: copy the data anew, and begin again with an \
                        empty state directory";
const GAP: &str = "writes are missing: the state directory does not have everything since the last one that was printed. Copy the data anew, and begin \
                   again with an empty state directory";
