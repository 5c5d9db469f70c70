//! Standard output.

use std::io::{self, Write as _};

use super::Failure;
use crate::words::Plain;

/// Writes `text` to standard output. A reader that has gone (`| head`) is no failure.
///
/// # Errors
/// [`Failure::Runtime`] if the text cannot be written.
pub(super) fn print(text: impl AsRef<[u8]>) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_ref()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Runtime(format!(
            "cannot write to standard output: {}",
            Plain(&error)
        ))),
        _ => Ok(()),
    }
}
