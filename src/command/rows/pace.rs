//! Work that may take long or wait. The runtime moves its other tasks to another thread in the meantime.

use crate::store::Keyspaces;

/// Runs work that may walk a whole database or wait for the writer. The runtime moves its other tasks to another
/// thread in the meantime.
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
