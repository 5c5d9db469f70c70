//! Work that may take long, or wait: other tasks of the runtime move to another thread meanwhile.

use crate::store::Keyspaces;

/// Runs what may walk a whole database or wait for the writer, letting the runtime's other tasks move to another thread meanwhile.
pub fn long<T>(work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current() {
        Ok(handle) if handle.runtime_flavor() == RuntimeFlavor::MultiThread => {
            tokio::task::block_in_place(work)
        }
        _ => work(),
    }
}

/// Takes views, which may have to wait for the writer.
#[inline]
pub(crate) fn entering<T>(spaces: &Keyspaces, enter: impl FnOnce() -> T) -> T {
    if spaces.keeps_waiting() {
        long(enter)
    } else {
        enter()
    }
}
