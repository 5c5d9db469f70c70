//! `redtail rdb filter`: a new dump with some of the keys. Also what it shares with `pull`: where a new dump goes.

use std::fmt::Display;
use std::fs::{File, Permissions};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::input::{Broken, Input};
use super::output::WRITE_BYTES;
use super::selection::Selection;
use super::table::number;
use crate::dump::Copier;

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
    #[command(flatten)]
    output: Output,
}

/// Where a new dump goes.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Output {
    /// The new dump; - for standard output. A file appears, or is replaced, when it is complete
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

impl Output {
    pub(super) fn shown(&self) -> impl Display + '_ {
        self.output.display()
    }
}

/// A dump that is being written.
pub(super) type Writing<W> = Copier<BufWriter<W>>;

/// Runs `redtail rdb filter`. Writes the dump; returns 1 if a dump is broken or nothing could be written.
#[must_use]
pub fn filter(args: &Filter) -> ExitCode {
    let selector = match args.selection.prepare() {
        Ok(selector) => selector,
        Err(error) => return super::misused(&error),
    };
    let result = write_dump(&args.output, |copy| {
        let read = args
            .input
            .each(|from| copy.append(from, &mut |key| selector.takes(key)));
        read.map(drop)
    });
    match result {
        Ok((keys, broken)) => {
            eprintln!(
                "redtail: wrote {} keys to {}",
                number(keys),
                args.output.shown()
            );
            match broken {
                None => ExitCode::SUCCESS,
                Some(Broken) => ExitCode::FAILURE,
            }
        }
        Err(error) => {
            eprintln!(
                "redtail: {}: cannot write the new dump: {error}",
                args.output.shown()
            );
            ExitCode::FAILURE
        }
    }
}

/// Writes what `append` adds to a new dump. Returns the number of keys, and the error of `append`: the keys before it are written.
///
/// # Errors
/// If the dump cannot be written, or has no beginning.
pub(super) fn write_dump<E>(
    output: &Output,
    append: impl FnOnce(&mut Writing<Box<dyn io::Write>>) -> Result<(), E>,
) -> io::Result<(u64, Option<E>)> {
    if output.output == Path::new("-") {
        let (keys, error, _) = copy(Box::new(io::stdout().lock()), append)?;
        return Ok((keys, error));
    }
    let folder = output.output.parent();
    let folder = folder.filter(|folder| *folder != Path::new(""));
    let file = tempfile::Builder::new()
        .prefix(".redtail-")
        .suffix(".rdb")
        .tempfile_in(folder.unwrap_or(Path::new(".")))?;
    let (keys, error, _) = copy(Box::new(file.reopen()?), append)?;
    finish(file.as_file())?;
    file.persist(&output.output).map_err(|error| error.error)?;
    Ok((keys, error))
}

/// Makes a temporary file one like any other, whose contents survive a power failure.
fn finish(file: &File) -> io::Result<()> {
    file.sync_all()?;
    file.set_permissions(Permissions::from_mode(0o644))
}

fn copy<E>(
    out: Box<dyn io::Write>,
    append: impl FnOnce(&mut Writing<Box<dyn io::Write>>) -> Result<(), E>,
) -> io::Result<(u64, Option<E>, Box<dyn io::Write>)> {
    let mut copy = Copier::new(BufWriter::with_capacity(WRITE_BYTES, out));
    let error = append(&mut copy).err();
    let keys = copy.keys();
    let mut out = copy.finish()?;
    out.flush()?;
    let out = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    Ok((keys, error, out))
}
