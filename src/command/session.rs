//! What a connection's own commands work on.

use super::Error;
use crate::resp::{Args, Reply};

/// What a session handler may use.
pub struct SessionCx<'a> {
    /// Where the reply goes.
    pub reply: &'a mut Reply,
}

/// A handler that works on the connection.
pub type SessionFn = fn(&mut SessionCx<'_>, Args<'_>) -> Result<(), Error>;
