//! The interface between commands and the script engine.
//!
//! Lua itself is in a layer above this one. The server passes it in as [`Scripting`].

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::error::Error;
use super::session::SessionCx;
use crate::dialect::Dialect;
use crate::resp::Args;
use crate::store::Generation;

/// What to run, as the client names it.
#[derive(Debug, Clone, Copy)]
pub enum Script<'a> {
    /// A script, by its text.
    Text(&'a [u8]),
    /// A script, by its digest: forty hexadecimal digits in either case.
    Digest(&'a [u8]),
    /// A library's function, by its name.
    Function(&'a [u8]),
}

/// A script with its keys and arguments.
#[derive(Debug, Clone, Copy)]
pub struct ScriptCall<'a> {
    /// What to run.
    pub script: Script<'a>,
    /// Whether the client declares that it writes nothing.
    pub is_read_only: bool,
    pub(crate) words: Args<'a>,
    pub(crate) keys: usize,
}

impl<'a> ScriptCall<'a> {
    /// Returns the script's keys.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        self.words.iter().take(self.keys)
    }

    /// Returns the script's arguments other than keys.
    pub fn arguments(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        self.words.iter().skip(self.keys)
    }

    /// Returns the size of its keys and arguments as RESP, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.words.iter().map(|word| word.len() + WORD_BYTES).sum()
    }
}

/// Minimum number of bytes that RESP adds to a word.
const WORD_BYTES: usize = 5;

/// A library of functions.
#[derive(Debug, Clone)]
pub struct LibraryShown {
    /// Its name.
    pub name: Box<[u8]>,
    /// Its source, including the first line.
    pub code: Bytes,
    /// The functions that it registers, in order.
    pub functions: Vec<FunctionShown>,
}

/// A function that a library registers.
#[derive(Debug, Clone)]
pub struct FunctionShown {
    /// Its name.
    pub name: Vec<u8>,
    /// Its description.
    pub description: Option<Vec<u8>>,
    /// Its flags, in the servers' order.
    pub flags: Vec<&'static str>,
}

impl FunctionShown {
    /// Returns whether it may write, as far as its flags say.
    #[must_use]
    pub fn writes(&self) -> bool {
        !self.flags.contains(&"no-writes")
    }
}

/// How scripts have affected the stream, and what they take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScriptFigures {
    /// How long the writer has waited for scripts.
    pub held_up: Duration,
    /// Scripts that were refused because others had held the writer up for too long.
    pub refused: u64,
    /// Scripts that started over in order to hold more than their keys.
    pub begun_again: u64,
    /// Scripts whose texts are remembered.
    pub cached: usize,
    /// The bytes of these texts.
    pub cached_bytes: usize,
    /// Bytes of the interpreters that wait for the next script or function.
    pub resting_bytes: usize,
}

/// The share of time for which scripts may hold up the stream: 1 to 100 percent, where 100 means no limit.
///
/// The default is 25 percent. The writer then has three quarters of the time, and applies some hundred thousand
/// commands a second in it, so it catches up with any primary. A script may hold up the stream for its full five
/// seconds, but two such scripts are fifteen seconds apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(serde::Deserialize), serde(try_from = "u8"))]
pub struct ScriptShare(u8);

/// A number that is not a valid share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a percentage from 1 to 100")]
pub struct NoSuchShare;

impl ScriptShare {
    /// Returns the percentage.
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

/// Runs scripts.
pub trait Scripting: Send + Sync {
    /// Runs a script and writes its reply.
    ///
    /// # Errors
    /// The error that the client gets. Anything already in the reply is then void.
    fn run(&self, cx: &mut SessionCx<'_>, call: &ScriptCall<'_>) -> Result<(), Error>;

    /// Returns whether the script declares that it may write. A read-only replica does not start such a script.
    fn writes(&self, cx: &SessionCx<'_>, script: Script<'_>) -> bool;

    /// Caches a script, and returns its digest.
    ///
    /// # Errors
    /// If it does not compile.
    fn load(&self, code: &[u8], dialect: Dialect) -> Result<String, Error>;

    /// Returns the text of a cached script, given its digest in either case.
    fn text(&self, digest: &[u8]) -> Option<Bytes>;

    /// Discards all cached scripts.
    fn flush(&self);

    /// Returns a generation's function libraries and the functions that they register.
    ///
    /// # Errors
    /// If it is unknown which libraries there are, or if they cannot be loaded.
    fn libraries(&self, generation: &Generation) -> Result<Arc<Vec<LibraryShown>>, Error>;

    /// Checks that a library's code can be loaded.
    ///
    /// # Errors
    /// Why it cannot.
    fn check_library(&self, code: &[u8], dialect: Dialect) -> Result<(), Error>;

    /// Returns whether a library registers a function of that name.
    ///
    /// # Errors
    /// Like [`libraries`](Self::libraries).
    fn has_function(&self, generation: &Generation, name: &[u8]) -> Result<bool, Error>;

    /// Returns how scripts have affected the stream so far.
    fn figures(&self) -> ScriptFigures;

    /// Ends all running scripts and functions. Returns false if there are none.
    fn kill(&self) -> bool;
}
