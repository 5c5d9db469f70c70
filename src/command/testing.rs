//! A bench for the tests of handlers: commands and replies as text.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::{Error, apply, check_arity, read, resolve, slots};
use crate::dialect::Dialect;
use crate::resp::{ArgsBuf, Protocol, Reply};
use crate::store::Keyspaces;
use crate::value::Thresholds;

/// A store of one database that speaks one dialect.
pub(super) struct Bench {
    pub(super) spaces: Keyspaces,
    dialect: Dialect,
}

impl Bench {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self {
            spaces: Keyspaces::new(1),
            dialect,
        }
    }

    /// Applies a command whose words are set apart by blanks.
    pub(super) fn try_apply(&self, line: &str) -> Result<(), Error> {
        let words = ArgsBuf::new(line.split(' '));
        let command = resolve(words.as_args()).unwrap();
        let mut needed = smallvec::SmallVec::new();
        slots(command, &self.spaces, 0, words.as_args(), &mut needed);
        let mut tx = self
            .spaces
            .write(0, needed)
            .with_thresholds(Thresholds::of(self.dialect));
        apply(&mut tx, &self.spaces, command, words.as_args())
    }

    /// Applies commands, one a line; they must succeed.
    pub(super) fn apply(&self, lines: &str) {
        for line in lines.lines().map(str::trim) {
            self.try_apply(line)
                .unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }

    /// The RESP2 reply to a command, each line end written as a blank.
    pub(super) fn read(&self, line: &str) -> String {
        self.reply(line, Protocol::Resp2)
    }

    /// As `read`, in RESP3.
    pub(super) fn read3(&self, line: &str) -> String {
        self.reply(line, Protocol::Resp3)
    }

    fn reply(&self, line: &str, protocol: Protocol) -> String {
        let words = ArgsBuf::new(line.split(' '));
        let args = words.as_args();
        let mut reply = Reply::new(protocol, self.dialect, 1 << 20);
        let result = resolve(args).and_then(|command| {
            check_arity(command, args)?;
            read(
                command.read.unwrap(),
                command,
                &self.spaces,
                0,
                args,
                &mut reply,
            )
        });
        if let Err(error) = result {
            reply.error(&error.to_string());
        }
        let text = String::from_utf8_lossy(reply.as_bytes()).replace("\r\n", " ");
        text.trim_end().to_owned()
    }
}
