//! In a build without the feature `lua`, every script and function is refused with the reason.

use std::sync::Arc;

use bytes::Bytes;

use crate::command::{
    Error, LibraryShown, Script, ScriptCall, ScriptFigures, ScriptShare, Scripting, SessionCx,
};
use crate::dialect::Dialect;
use crate::store::Generation;

const NOT_BUILT: Error =
    Error::Text("ERR this build of redtail runs no scripts: build it with the feature `lua`");

/// Runs nothing.
#[derive(Debug)]
pub(super) struct Engine;

impl Engine {
    pub(super) const fn new(_share: ScriptShare) -> Self {
        Self
    }
}

impl Scripting for Engine {
    fn run(&self, _cx: &mut SessionCx<'_>, _call: &ScriptCall<'_>) -> Result<(), Error> {
        Err(NOT_BUILT)
    }

    fn writes(&self, _cx: &SessionCx<'_>, _script: Script<'_>) -> bool {
        false
    }

    fn load(&self, _code: &[u8], _dialect: Dialect) -> Result<String, Error> {
        Err(NOT_BUILT)
    }

    fn text(&self, _digest: &[u8]) -> Option<Bytes> {
        None
    }

    fn flush(&self) {}

    fn libraries(&self, _generation: &Generation) -> Result<Arc<Vec<LibraryShown>>, Error> {
        Err(NOT_BUILT)
    }

    fn check_library(&self, _code: &[u8], _dialect: Dialect) -> Result<(), Error> {
        Err(NOT_BUILT)
    }

    fn has_function(&self, _generation: &Generation, _name: &[u8]) -> Result<bool, Error> {
        Err(NOT_BUILT)
    }

    fn figures(&self) -> ScriptFigures {
        ScriptFigures::default()
    }

    fn kill(&self) -> bool {
        false
    }
}
