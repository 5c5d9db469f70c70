//! Results on standard output.

use std::io::{self, Write as _};
use std::process::ExitCode;

use serde::Serialize;

use super::text::Binary;

/// The room for what is written.
pub(super) const WRITE_BYTES: usize = 256 << 10;

/// Returns a value as one line of JSON.
pub(super) fn json(value: &impl Serialize, binary: Binary) -> String {
    let mut text = Vec::new();
    // Names are texts and numbers are finite, so this does not fail.
    let _infallible = write_json(&mut text, value, binary);
    String::from_utf8(text).unwrap_or_default()
}

/// Writes a value as one line of JSON, and the bytes in it as `binary` says.
///
/// # Errors
/// Those of `out`.
pub(super) fn write_json(
    out: &mut impl io::Write,
    value: &impl Serialize,
    binary: Binary,
) -> io::Result<()> {
    let mut serializer = serde_json::Serializer::with_formatter(&mut *out, binary);
    value.serialize(&mut serializer)?;
    out.write_all(b"\n")
}

/// Prints a result. Returns 0 if it is complete.
pub(super) fn print(text: &str, is_complete: bool) -> ExitCode {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    finish(written, is_complete)
}

/// Returns the exit code of a subcommand whose output ended like this.
pub(super) fn finish(written: io::Result<()>, is_complete: bool) -> ExitCode {
    match written {
        // A reader that closes the pipe (`| head`) is not a failure.
        Err(failure) if failure.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("redtail: cannot write to standard output: {failure}");
            ExitCode::FAILURE
        }
        Ok(()) if is_complete => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
    }
}
