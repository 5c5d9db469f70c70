//! `redtail rdb pull`: a dump from a live primary.

use std::num::NonZeroU64;
use std::process::ExitCode;

use super::filter::{Output, write_dump};
use super::selection::{Selection, Selector};
use super::table::number;
use crate::cli::Failure;
use crate::cli::login::Login;
use crate::cli::serve::runtime;
use crate::replica;

/// Takes a dump from a live primary, as a replica takes it.
///
/// The primary forks and sends a snapshot; nothing is written on its side. The dump is checked while it arrives, and appears under
/// its name when it is complete.
#[derive(Clone, clap::Args)]
pub struct Pull {
    /// The primary, such as redis://host:port, as for serve --primary: rediss:// for TLS, unix:///path, or sentinel://…
    #[arg(
        env = "REDTAIL_PRIMARY",
        hide_env_values = true,
        value_name = "PRIMARY"
    )]
    primary: String,
    #[command(flatten)]
    login: Login,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    selection: Selection,
    /// Read at most this many bytes per second, such as 10mb
    #[arg(long, value_name = "BYTES", value_parser = super::selection::rate)]
    limit: Option<NonZeroU64>,
}

/// What follows the help.
pub const ENDS: &str = "Exit codes: 0 the dump is complete; 1 the primary cannot be reached, refuses, or the link broke; 2 wrong argument.";

/// Runs `redtail rdb pull`. Writes the dump.
#[must_use]
pub fn pull(args: &Pull) -> ExitCode {
    let selector = match args.selection.prepare() {
        Ok(selector) => selector,
        Err(error) => return super::misused(&error),
    };
    match run(args, &selector) {
        Ok((keys, point)) => {
            eprintln!(
                "redtail: wrote {} keys to {}, as of {point}",
                number(keys),
                args.output.shown()
            );
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("redtail: {failure}");
            failure.exit_code()
        }
    }
}

fn run(args: &Pull, selector: &Selector<'_>) -> Result<(u64, String), Failure> {
    let config = args.login.settings(Some(&args.primary)).replica()?;
    let runtime = runtime()?;
    let incoming = runtime
        .block_on(replica::pull(config.upstream, args.limit))
        .map_err(Failure::Runtime)?;
    let point = format!("{}:{}", incoming.point.replid, incoming.point.offset);
    let mut incoming = Some(incoming);
    let written = write_dump(&args.output, |copy| {
        // There is one snapshot.
        let Some(from) = incoming.take() else {
            return Ok(());
        };
        let read = copy.append(from, &mut |key| selector.takes(key));
        read.map(drop).map_err(|error| error.to_string())
    });
    match written {
        Ok((keys, None)) => Ok((keys, point)),
        Ok((_, Some(error))) => Err(Failure::Runtime(format!("the snapshot broke off: {error}"))),
        Err(error) => Err(Failure::Runtime(format!(
            "{}: cannot write the dump: {error}",
            args.output.shown()
        ))),
    }
}
