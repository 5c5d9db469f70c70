//! `redtail rdb filter`: a new dump with some of the keys.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::input::{Broken, Input};
use super::selection::Selection;
use super::table::number;
use crate::dump::Copy;

/// Writes a new dump with some of the keys of other dumps.
///
/// Keys are copied byte for byte, with their expiry. Facts about the dump, function libraries and the data of modules are copied,
/// too. Several dumps, such as those of a cluster, become one if they have the same version. Of a broken dump, the whole keys
/// before the damage are written.
#[derive(Debug, Clone, clap::Args)]
pub struct Filter {
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    selection: Selection,
    /// The new dump; - for standard output. A file appears, or is replaced, when it is complete
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

/// The room for what is written.
const WRITE_BYTES: usize = 256 << 10;

/// Runs `redtail rdb filter`. Writes the dump; returns 1 if a dump is broken or nothing could be written.
#[must_use]
pub fn filter(args: &Filter) -> ExitCode {
    let selector = match args.selection.prepare() {
        Ok(selector) => selector,
        Err(error) => return super::misused(&error),
    };
    let result = match args.output == Path::new("-") {
        true => copy(args, &selector, io::stdout().lock()).map(|(keys, broken, _)| (keys, broken)),
        false => into_file(args, &selector),
    };
    match result {
        Ok((keys, broken)) => {
            eprintln!(
                "redtail: wrote {} keys to {}",
                number(keys),
                args.output.display()
            );
            match broken {
                None => ExitCode::SUCCESS,
                Some(Broken) => ExitCode::FAILURE,
            }
        }
        Err(error) => {
            eprintln!(
                "redtail: {}: cannot write the new dump: {error}",
                args.output.display()
            );
            ExitCode::FAILURE
        }
    }
}

/// Writes a file beside the wanted one, then renames it.
fn into_file(
    args: &Filter,
    selector: &super::selection::Selector<'_>,
) -> io::Result<(u64, Option<Broken>)> {
    let folder = args
        .output
        .parent()
        .filter(|folder| *folder != Path::new(""));
    let file = tempfile::Builder::new()
        .prefix(".redtail-")
        .suffix(".rdb")
        .tempfile_in(folder.unwrap_or(Path::new(".")))?;
    let out = file.reopen()?;
    let (keys, broken, out) = copy(args, selector, out)?;
    out.sync_all()?;
    set_mode(&out)?;
    file.persist(&args.output).map_err(|error| error.error)?;
    Ok((keys, broken))
}

/// The mode of a file that a program makes, which a temporary file does not have.
fn set_mode(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

fn copy<W: io::Write>(
    args: &Filter,
    selector: &super::selection::Selector<'_>,
    out: W,
) -> io::Result<(u64, Option<Broken>, W)> {
    let mut copy = Copy::new(BufWriter::with_capacity(WRITE_BYTES, out));
    let broken = args
        .input
        .each(|from| copy.append(from, &mut |key| selector.takes(key)))
        .err();
    let keys = copy.keys();
    let mut out = copy.finish()?;
    out.flush()?;
    let out = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    Ok((keys, broken, out))
}
