//! The commands that MULTI has queued.

use std::sync::Arc;

use super::command::Command;
use crate::resp::{Account, ArgsBuf};

/// Bytes of queued commands that need no grant from the account, and the step in which more is requested. Most
/// transactions are smaller.
const QUEUED_BYTES_STEP: usize = 64 << 10;

/// A command that waits for EXEC.
pub(crate) type Queued = (&'static Command, ArgsBuf);

/// The commands that MULTI has queued.
#[derive(Debug)]
pub struct Transaction {
    pub(crate) queued: Vec<Queued>,
    pub(crate) bytes: usize,
    /// Bytes that it may hold without asking the account again.
    granted: usize,
    account: Arc<Account>,
    pub(crate) aborted: bool,
    /// The database that the last queued SELECT selects.
    pub(crate) db: Option<usize>,
}

impl Drop for Transaction {
    fn drop(&mut self) {
        self.account.shrink(self.granted - QUEUED_BYTES_STEP);
    }
}

impl Transaction {
    pub(crate) const fn new(account: Arc<Account>) -> Self {
        Self {
            queued: Vec::new(),
            bytes: 0,
            granted: QUEUED_BYTES_STEP,
            account,
            aborted: false,
            db: None,
        }
    }

    /// Counts `bytes` more. Returns whether there is room for them.
    pub(crate) fn takes(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        if self.bytes <= self.granted {
            return true;
        }
        let more = (self.bytes - self.granted).next_multiple_of(QUEUED_BYTES_STEP);
        let granted = self.account.grow(more);
        self.granted += if granted { more } else { 0 };
        granted
    }

    /// Discards the queued commands, and makes EXEC fail.
    pub(crate) fn give_up(&mut self) {
        self.queued = Vec::new();
        self.aborted = true;
        self.account.shrink(self.granted - QUEUED_BYTES_STEP);
        self.granted = QUEUED_BYTES_STEP;
    }

    /// Notes that a command was refused: EXEC will run nothing.
    pub const fn abort(&mut self) {
        self.aborted = true;
    }

    /// Returns the number of queued commands.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.queued.len()
    }

    /// Returns whether no command is queued.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.queued.is_empty()
    }
}
