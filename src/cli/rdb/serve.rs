//! `redtail rdb serve`: answers reads from a dump.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::input::Input;
use crate::cli::config::LogFormat;
use crate::cli::serve::{runtime, stop_on_signal};
use crate::cli::{Failure, log};
use crate::command::Replication;
use crate::replica::serve_dumps;
use crate::server::{Listen, Listeners, Server};

/// Answers reads from dumps, with no server behind them.
///
/// Clients see what a replica would show that has just loaded the dump: keys that have expired by now are absent, and writes are
/// refused. Several dumps, such as those of a cluster's primaries, are one data set; they must have the same version, and no key
/// in common. All of it is in memory.
#[derive(Debug, Clone, clap::Args)]
pub struct Serve {
    #[command(flatten)]
    input: Input,
    /// Where to listen: address:port or unix:/path; several separated by commas
    #[arg(
        long,
        env = "REDTAIL_LISTEN",
        value_name = "ADDRESS",
        value_delimiter = ',',
        default_value = "127.0.0.1:6380"
    )]
    listen: Vec<Listen>,
    /// How many databases there are, at least
    #[arg(long, value_name = "COUNT", default_value_t = 16)]
    databases: usize,
}

/// What follows the help.
pub const ENDS: &str = "\
A file compressed by gzip, zstd or lz4 is read directly.
Exit codes: 0 ended by SIGTERM or SIGINT; 1 a dump is broken, dumps cannot be served together, or a listener could not be opened; 2 wrong argument.";

/// Runs `redtail rdb serve` until a signal.
///
/// # Errors
/// [`Failure::Runtime`] if a dump is broken, dumps cannot be served together, or a listener cannot be opened.
pub fn serve(args: Serve) -> Result<(), Failure> {
    log::start(Some("warn"), LogFormat::default(), None)?;
    let served = serve_dumps(args.databases, |load| args.input.load(load))?;
    let files: Vec<_> = args
        .input
        .files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    let files = files.join(", ");
    let keys: usize = served.current().map_or(0, |data| {
        data.spaces.figures().iter().map(|db| db.keys).sum()
    });
    runtime()?.block_on(async {
        let stop = CancellationToken::new();
        stop_on_signal(stop.clone())?;
        let listeners = Listeners::open(&args.listen, None).await;
        let listeners = listeners.map_err(|error| Failure::Runtime(error.to_string()))?;
        let config = crate::server::Config {
            listen: args.listen.clone(),
            databases: args.databases,
            ..crate::cli::config::Settings::default().server()
        };
        let host = files.clone();
        let replication = move || Replication {
            host: host.clone(),
            state: "connected",
            was_up: true,
            ..Replication::default()
        };
        let server = Server::new(config, Arc::new(served), replication);
        let places: Vec<_> = args.listen.iter().map(ToString::to_string).collect();
        eprintln!(
            "redtail: serving {keys} keys of {files} on {}",
            places.join(", ")
        );
        server.run(listeners, stop).await;
        Ok(())
    })
}
