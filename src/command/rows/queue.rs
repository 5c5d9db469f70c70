//! What MULTI has queued.

use std::sync::Arc;

use super::command::Command;
use crate::resp::{Account, ArgsBuf};

/// Bytes of queued commands for which nobody is asked, and by which more is asked for: most transactions are smaller.
const QUEUED_BYTES_STEP: usize = 64 << 10;

/// A command that waits for EXEC.
pub(crate) type Queued = (&'static Command, ArgsBuf);

/// What MULTI has queued.
#[derive(Debug)]
pub struct Transaction {
    pub(crate) queued: Vec<Queued>,
    pub(crate) bytes: usize,
    /// Bytes that it may have without asking the account.
    granted: usize,
    account: Arc<Account>,
    pub(crate) aborted: bool,
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
        }
    }

    /// Makes room for `bytes` more; gives whether there is.
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

    /// Forgets what is queued, and that EXEC could run it.
    pub(crate) fn give_up(&mut self) {
        self.queued = Vec::new();
        self.aborted = true;
        self.account.shrink(self.granted - QUEUED_BYTES_STEP);
        self.granted = QUEUED_BYTES_STEP;
    }

    /// A command was refused: EXEC will run nothing.
    pub const fn abort(&mut self) {
        self.aborted = true;
    }

    /// How many commands wait.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.queued.len()
    }

    /// Whether none waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.queued.is_empty()
    }
}
