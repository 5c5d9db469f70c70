//! The stream without the data: what `--from` prints.
//!
//! Asks the primary for the stream after a point, and notes its writes. Without the data the types of keys are not known, nor
//! what a command did: the events are named like the commands.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::line::UNKNOWN_DB;
use crate::command::{self, Command};
use crate::feed::{Class, Feed};
use crate::history::Point;
use crate::limits::{STREAM_WORD_BYTES_MAX, TRANSACTION_BYTES_MAX};
use crate::resp::{Args, RequestLimits, RequestParser, Step, parse_integer};
use crate::upstream::{Link, LinkEnd, ProgressWriter, Receiver, Start};

/// Why the stream cannot be followed any further.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamError {
    #[error(
        "the primary cannot continue after {replid}:{offset}: its backlog does not reach back to there (repl-backlog-size), or its history is another",
        replid = .0.replid,
        offset = .0.offset
    )]
    Refused(Point),
    #[error("the stream at offset {0} is not a command")]
    NoCommand(u64),
    #[error("the transaction at offset {0} is larger than 1 GiB")]
    Transaction(u64),
}

/// Follows the links.
pub(super) struct Follower {
    pub(super) feed: Arc<Feed>,
    pub(super) progress: ProgressWriter,
    /// The end of the last whole unit.
    pub(super) point: Point,
    /// The database selected there; [`UNKNOWN_DB`] if it is not known.
    pub(super) db: usize,
    /// Whether a write of unknown effect is noted as such, and not just as a write.
    pub(super) doubts: bool,
}

/// A place inside the stream, which may be inside a transaction.
struct Reading {
    offset: u64,
    db: usize,
    in_multi: bool,
}

const LIMITS: RequestLimits = RequestLimits {
    words_max: i32::MAX as usize,
    word_bytes_max: STREAM_WORD_BYTES_MAX,
    inline: false,
};

impl Follower {
    /// Works until there are no more links.
    pub(super) fn run(mut self, mut links: mpsc::Receiver<Link>) -> Result<(), StreamError> {
        while let Some(link) = links.blocking_recv() {
            match link.start {
                Start::Full(_) => return Err(StreamError::Refused(self.point)),
                Start::Continue { replid } => {
                    if let Some(replid) = replid.filter(|replid| *replid != self.point.replid) {
                        self.point.replid = replid;
                        self.feed.rename(self.point);
                    }
                }
            }
            self.progress.start_stream(self.point.offset);
            self.follow(link.bytes)?;
            // The link asks for an unfinished transaction again.
            self.feed.discard();
            self.progress.set_idle();
            let end = LinkEnd {
                resume: Some(self.point),
                fault: None,
            };
            // The receiver is gone if tail is being stopped.
            let _ = link.done.send(end);
        }
        Ok(())
    }

    fn follow(&mut self, mut bytes: Receiver) -> Result<(), StreamError> {
        let mut parser = RequestParser::new(LIMITS);
        let mut buffer: Vec<u8> = Vec::new();
        let mut reading = Reading {
            offset: self.point.offset,
            db: self.db,
            in_multi: false,
        };
        // A spool that cannot be read ends the link like a lost connection.
        while let Ok(piece) = bytes.recv_stream() {
            if piece.is_empty() {
                break;
            }
            if let crate::upstream::Piece::Spooled(chunk, _) = &piece {
                self.progress.note_taken(chunk.len());
            }
            buffer.extend_from_slice(&piece);
            self.feed.begin_turn(self.point.offset);
            let used = self.commands(&mut parser, &buffer, &mut reading)?;
            buffer.drain(..used);
            self.feed.publish(self.point.offset);
        }
        Ok(())
    }

    /// Notes all whole commands of the buffer. Returns how many bytes they take.
    fn commands(
        &mut self,
        parser: &mut RequestParser,
        buffer: &[u8],
        reading: &mut Reading,
    ) -> Result<usize, StreamError> {
        let mut used = 0;
        loop {
            let rest = buffer.get(used..).unwrap_or_default();
            let (args, taken) = match parser.step(rest) {
                Ok(Step::NeedMore) => return Ok(used),
                Ok(Step::Command(args, taken)) => (args, taken),
                Err(_) => return Err(StreamError::NoCommand(reading.offset)),
            };
            self.command(args, reading);
            used += taken;
            reading.offset += taken as u64;
            if !reading.in_multi {
                self.point.offset = reading.offset;
                self.db = reading.db;
                self.feed.commit(reading.offset);
                self.progress.set_applied(reading.offset);
            } else if self.feed.pending_bytes() > TRANSACTION_BYTES_MAX {
                return Err(StreamError::Transaction(self.point.offset));
            }
        }
    }

    fn command(&self, args: Args<'_>, reading: &mut Reading) {
        let name = args.get(0).unwrap_or_default().to_ascii_lowercase();
        match name.as_slice() {
            b"select" => {
                let number = args.get(1).and_then(parse_integer);
                let number = number.and_then(|number| usize::try_from(number).ok());
                reading.db = number.unwrap_or(reading.db);
            }
            b"multi" => reading.in_multi = true,
            b"exec" => reading.in_multi = false,
            b"discard" => {
                reading.in_multi = false;
                self.feed.discard();
            }
            b"replconf"
                if args
                    .get(1)
                    .is_some_and(|word| word.eq_ignore_ascii_case(b"getack")) =>
            {
                self.progress.request_ack();
            }
            b"" | b"ping" | b"replconf" | b"publish" | b"spublish" | b"script" | b"cluster" => {}
            _ => self.write(args, reading.db),
        }
    }

    fn write(&self, args: Args<'_>, db: usize) {
        let row = command::resolve(args).ok();
        match row.map(|row| (row, row.name)) {
            Some((_, "flushdb")) => self.feed.note_flush(db),
            Some((_, "flushall")) => self.feed.note_flush(UNKNOWN_DB),
            Some((_, "swapdb")) => {
                let number = |index| {
                    let number = args.get(index).and_then(parse_integer);
                    number.and_then(|number| usize::try_from(number).ok())
                };
                let (one, other) = (number(1), number(2));
                self.feed
                    .note_swap(one.unwrap_or(UNKNOWN_DB), other.unwrap_or(UNKNOWN_DB));
            }
            Some((row, _)) if row.is_write() || row.apply.is_some() => self.keys(row, args, db),
            // It changes nothing, so no primary sends it.
            Some((row, _)) if row.read.is_some() => return,
            _ if self.doubts => self.feed.note_doubt_of_everything(),
            _ => {}
        }
        self.feed.note_command(db, args.iter());
    }

    fn keys(&self, row: &Command, args: Args<'_>, db: usize) {
        command::changes(row, db, args, &mut |db, key| {
            self.feed.note_event(db, Class::NONE, row.name, key, "");
        });
    }
}
