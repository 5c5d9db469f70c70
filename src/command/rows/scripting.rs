//! What commands need of whoever runs scripts.
//!
//! Lua itself is a room above this one; the server lends it as [`Scripting`].

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::error::Error;
use super::session::SessionCx;
use crate::dialect::Dialect;
use crate::resp::Args;
use crate::store::Generation;

/// What is run, as the client names it.
#[derive(Debug, Clone, Copy)]
pub enum Script<'a> {
    /// By its text.
    Text(&'a [u8]),
    /// By its digest: forty digits, in any letters.
    Digest(&'a [u8]),
    /// A function of a library, by its name.
    Function(&'a [u8]),
}

/// A script with all it is given.
#[derive(Debug, Clone, Copy)]
pub struct ScriptCall<'a> {
    /// What is run.
    pub script: Script<'a>,
    /// Whether the client says that it writes nothing.
    pub is_read_only: bool,
    pub(crate) words: Args<'a>,
    pub(crate) keys: usize,
}

impl<'a> ScriptCall<'a> {
    /// The keys that it is given.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        self.words.iter().take(self.keys)
    }

    /// What it is given besides.
    pub fn arguments(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        self.words.iter().skip(self.keys)
    }

    /// How many bytes it is given, as RESP.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.words.iter().map(|word| word.len() + WORD_BYTES).sum()
    }
}

/// What RESP puts around a word, at least.
const WORD_BYTES: usize = 5;

/// A library of functions.
#[derive(Debug, Clone)]
pub struct LibraryShown {
    /// What it is called.
    pub name: Box<[u8]>,
    /// Its source, first line included.
    pub code: Bytes,
    /// What it registers, in this order.
    pub functions: Vec<FunctionShown>,
}

/// A function that a library registers.
#[derive(Debug, Clone)]
pub struct FunctionShown {
    /// What it is called.
    pub name: Vec<u8>,
    /// What it is for.
    pub description: Option<Vec<u8>>,
    /// Its flags, in the servers' order.
    pub flags: Vec<&'static str>,
}

impl FunctionShown {
    /// Whether it may write, for all that it says.
    #[must_use]
    pub fn writes(&self) -> bool {
        !self.flags.contains(&"no-writes")
    }
}

/// What scripts have done to the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScriptFigures {
    /// For how long the writer waited for them.
    pub held_up: Duration,
    /// Scripts that were not begun for that.
    pub refused: u64,
    /// Scripts that began again, to hold more than their keys.
    pub begun_again: u64,
}

/// The share of time for which scripts may hold the stream up, in percent: 1 to 100, which is no limit.
///
/// A quarter, unless told otherwise. The writer then has three quarters of the time, in which it applies some hundred thousand
/// commands a second, so it catches up with any primary; and the stream is held up for a script's five seconds at a time, with
/// fifteen between two such scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "u8")]
pub struct ScriptShare(u8);

/// A number that is no such share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a percentage from 1 to 100")]
pub struct NoSuchShare;

impl ScriptShare {
    /// The percentage.
    #[must_use]
    pub const fn percent(self) -> u8 {
        self.0
    }
}

impl Default for ScriptShare {
    fn default() -> Self {
        Self(25)
    }
}

impl TryFrom<u8> for ScriptShare {
    type Error = NoSuchShare;

    fn try_from(percent: u8) -> Result<Self, NoSuchShare> {
        match percent {
            1..=100 => Ok(Self(percent)),
            _ => Err(NoSuchShare),
        }
    }
}

impl FromStr for ScriptShare {
    type Err = NoSuchShare;

    fn from_str(text: &str) -> Result<Self, NoSuchShare> {
        let percent: u8 = text.parse().map_err(|_| NoSuchShare)?;
        percent.try_into()
    }
}

/// Who runs scripts.
pub trait Scripting: Send + Sync {
    /// Runs a script and writes its reply.
    ///
    /// # Errors
    /// What the client is told instead; nothing of the reply counts then.
    fn run(&self, cx: &mut SessionCx<'_>, call: &ScriptCall<'_>) -> Result<(), Error>;

    /// Whether the script says of itself that it may write: a read-only replica does not begin it.
    fn writes(&self, cx: &SessionCx<'_>, script: Script<'_>) -> bool;

    /// Keeps a script, and gives its digest.
    ///
    /// # Errors
    /// When it does not compile.
    fn load(&self, code: &[u8], dialect: Dialect) -> Result<String, Error>;

    /// The text of a script that is kept, by its digest in any letters.
    fn text(&self, digest: &[u8]) -> Option<Bytes>;

    /// Forgets all scripts.
    fn flush(&self);

    /// The libraries of functions in a generation, and what they register.
    ///
    /// # Errors
    /// When it is not known which there are, or they cannot be loaded.
    fn libraries(&self, generation: &Generation) -> Result<Arc<Vec<LibraryShown>>, Error>;

    /// Whether a library's code can be loaded.
    ///
    /// # Errors
    /// Why not.
    fn check_library(&self, code: &[u8], dialect: Dialect) -> Result<(), Error>;

    /// Whether a library registers a function of that name.
    ///
    /// # Errors
    /// As for [`libraries`](Self::libraries).
    fn has_function(&self, generation: &Generation, name: &[u8]) -> Result<bool, Error>;

    /// What scripts have done to the stream so far.
    fn figures(&self) -> ScriptFigures;

    /// Ends all scripts and functions that run now; false when there is none.
    fn kill(&self) -> bool;
}
