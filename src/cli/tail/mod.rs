//! `redtail tail`: prints the changes of a primary as they happen.
//!
//! An embedded replica with one listener, which its writer waits for: nothing is lost because standard output is slow. The
//! printing has a thread of its own (`printer`), which knows how far the output has come (`place`), keeps that beside the state
//! (`file`), and writes lines (`line`) or writes (`resp`) to whatever standard output is (`out`). With `--from`, no data is
//! loaded (`stream`).
//!
//! # Exactly once
//! The state directory has every change before it is told. So after a restart the feed tells again what followed the state's
//! snapshot, the printer passes over what was printed, and no snapshot is begun before everything up to it is printed. What was
//! printed is known from the place that is kept after each write to standard output, and beyond it from the output itself if
//! that is a file.

mod file;
mod line;
mod out;
mod place;
mod printer;
mod resp;
mod stream;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use self::file::{Kept, PlaceFile};
use self::out::{Flow, Output};
use self::place::{Place, Tracker};
use self::printer::{Filter, Form, PrintError, Printer};
use self::resp::Writes;
use self::stream::Follower;
use super::config::{Amount, ConfigFile, Settings};
use super::login::Login;
use super::serve::{runtime, stop_on_signal};
use super::{Failure, fail, log, progress};
use crate::feed::{Feed, Listener};
use crate::history::Point;
use crate::replica::{Prepared, Replica};
use crate::upstream::{self, Begin, ProgressWriter, SyncCause};
use crate::words::Plain;

/// Prints the changes of a primary as they happen, one line each
///
/// It follows the primary as a replica and holds its data in memory, for the types of keys and for what a full resync changes.
/// It begins with the first change after its first sync, or where it stopped if it has a state directory.
#[derive(Clone, clap::Args)]
pub struct Tail {
    /// The server to follow, such as redis://host:port, as for serve --primary [default: the configuration file's]
    #[arg(
        env = "REDTAIL_PRIMARY",
        hide_env_values = true,
        value_name = "UPSTREAM"
    )]
    pub upstream: Option<String>,
    /// Prints the changes of keys that match this glob, as KEYS matches [default: all]
    #[arg(long = "match", value_name = "GLOB")]
    pub pattern: Option<String>,
    /// Prints the changes of keys of this type: string, list, set, hash, zset, stream and so on [default: all]
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: Option<String>,
    /// Prints the changes of this database [default: all]
    #[arg(long, value_name = "NUMBER")]
    pub db: Option<usize>,
    /// How to print: json (a line for each change) or resp (the writes, for redis-cli --pipe)
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Adds the write itself to each line of JSON
    #[arg(long)]
    pub commands: bool,
    /// Begins after this point, without loading any data: the types of keys are not known then, and events are named like the
    /// commands [default: after the first sync]
    ///
    /// The point is a line's replid and offset, and then its db if --db or --format resp need it. The primary must still have
    /// what followed it in its backlog.
    #[arg(long, value_name = "REPLID:OFFSET[:DB]", conflicts_with_all = ["state_dir", "kind"])]
    pub from: Option<After>,
    /// The directory to keep the state and the place in, so that a restart continues where this stopped [default: none]
    ///
    /// It holds all the data, and belongs to this tail alone: no other tail, and no serve.
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// A TOML file of settings for serve; those about the primary and the link to it apply
    #[arg(long, env = "REDTAIL_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The login at the primary
    #[command(flatten)]
    pub login: Login,
    /// Maximum bytes from the primary that wait in a file while standard output is slow [default: 16gb]
    #[arg(long, env = "REDTAIL_SPOOL_FILE", value_name = "BYTES")]
    pub spool_file: Option<Amount>,
    /// What to log on standard error: error, warn, info, debug, trace, or a filter [default: info]
    #[arg(long, env = "REDTAIL_LOG_LEVEL", value_name = "FILTER")]
    pub log_level: Option<String>,
}

/// A point to begin after, and the database that the stream works in there.
#[derive(Debug, Clone, Copy)]
pub struct After {
    point: Point,
    db: Option<usize>,
}

/// Text that is no such point.
#[derive(Debug, thiserror::Error)]
#[error(
    "write a replication id of 40 characters, a colon and an offset, such as a line's replid and offset; then, after another colon, its db"
)]
pub struct NoPoint;

impl std::str::FromStr for After {
    type Err = NoPoint;

    fn from_str(text: &str) -> Result<Self, NoPoint> {
        if let Some(point) = file::point(text) {
            return Ok(Self { point, db: None });
        }
        let (point, db) = text.rsplit_once(':').ok_or(NoPoint)?;
        Ok(Self {
            point: file::point(point).ok_or(NoPoint)?,
            db: Some(db.parse().map_err(|_| NoPoint)?),
        })
    }
}

/// How to print changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// A line for each change
    #[default]
    Json,
    /// The writes as the primary sent them, for redis-cli --pipe
    Resp,
}

/// What the exit codes mean, shown below the help.
pub(super) const EXIT_CODES: &str = "Exit codes: 0 ended by SIGTERM or SIGINT, or because nobody reads standard output; 1 failed while running; \
                              2 wrong argument, variable or configuration file; 3 the output cannot be continued without a gap: the primary no \
                              longer has what follows --from, or --format resp would have to print a full resync.";

/// The description of the output and the exit codes, shown below the long help.
pub(super) fn help() -> String {
    format!("{}\n\n{EXIT_CODES}", line::FORMAT)
}

/// How tail ends if not well.
enum Ended {
    Failed(Failure),
    Broken(String),
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<PrintError> for Ended {
    fn from(error: PrintError) -> Self {
        match error {
            PrintError::Broken(why) => Self::Broken(why.to_owned()),
            other => Self::Failed(Failure::Runtime(other.to_string())),
        }
    }
}

/// Runs `redtail tail`.
#[must_use]
pub fn tail(args: Tail) -> ExitCode {
    match follow(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Ended::Failed(failure)) => fail(&failure),
        Err(Ended::Broken(why)) => {
            eprintln!("redtail: {why}");
            ExitCode::from(3)
        }
    }
}

fn follow(args: Tail) -> Result<(), Ended> {
    if args.commands && args.format == Format::Resp {
        let what = "--commands is for --format json: --format resp prints nothing but the writes";
        return Err(Failure::Usage(what.to_owned()).into());
    }
    if let Some(After { db: None, .. }) = args.from
        && (args.db.is_some() || args.format == Format::Resp)
    {
        let what = "--from: add the database that the stream works in at the point, REPLID:OFFSET:DB: --db and --format resp need it";
        return Err(Failure::Usage(what.to_owned()).into());
    }
    let settings = args.settings()?;
    let replica = settings.replica()?;
    log::start(
        settings.log_level.as_deref(),
        settings.log_format.unwrap_or_default(),
        None,
    )?;
    let runtime = runtime()?;
    match args.from {
        Some(from) => runtime.block_on(run_from(args, replica, from)),
        None => runtime.block_on(run(args, replica)),
    }
}

impl Tail {
    /// The settings of the replica.
    fn settings(&self) -> Result<Settings, Failure> {
        let file = self.config.as_deref().map(ConfigFile::read).transpose()?;
        let file = file.map(|file| file.settings()).transpose()?;
        let flags = Settings {
            spool_file: self.spool_file.clone(),
            log_level: self.log_level.clone(),
            ..self.login.settings(self.upstream.as_ref())
        };
        let mut settings = flags.or(file.unwrap_or_default());
        if settings.primary.is_none() {
            return Err(Failure::Usage(
                "no server to follow: give it as redtail tail redis://host:port, or in the variable REDTAIL_PRIMARY".to_owned(),
            ));
        }
        // It is this tail's own, and every value is kept until the primary deletes its key: a restart must see the same.
        settings.state_dir = self.state_dir.clone();
        settings.expired_grace = Some(0);
        settings.resync_guard = None;
        settings.resync_memory = None;
        settings.max_staleness = None;
        Ok(settings)
    }
}

async fn run(args: Tail, config: crate::replica::Config) -> Result<(), Ended> {
    let prepared = Replica::prepare(config).map_err(|error| Failure::Runtime(error.to_string()))?;
    let (file, kept) = place_file(&args, &prepared)?;
    let stop = CancellationToken::new();
    let printer = printer(&args, file, kept, stop.clone())?;
    prepared.feed().wait_for_listeners();
    let listener = prepared.feed().listen(printer.form.interest());
    stop_on_signal(stop.clone())?;
    let replica = prepared
        .start()
        .map_err(|error| Failure::Runtime(format!("cannot start the writer: {}", Plain(&error))))?;
    let display = tokio::spawn(progress::show(
        Arc::clone(replica.figures()),
        stop.child_token(),
    ));
    let result = print(printer, listener, replica.end()).await;
    stop.cancel();
    replica.stop().await;
    // It returns nothing.
    let _ = display.await;
    result
}

/// Prints the stream after a point, without the data.
async fn run_from(args: Tail, config: crate::replica::Config, from: After) -> Result<(), Ended> {
    let stop = CancellationToken::new();
    let mut printer = printer(&args, None, None, stop.clone())?;
    printer.tracker = Tracker::new(Some(Place::at(from.point)));
    let feed = Arc::new(Feed::default());
    feed.wait_for_listeners();
    let listener = feed.listen(printer.form.interest());
    feed.begin_replay(from.point);
    stop_on_signal(stop.clone())?;
    let follower = Follower {
        feed,
        progress: ProgressWriter::default(),
        point: from.point,
        db: from.db.unwrap_or(line::UNKNOWN_DB),
        doubts: args.format == Format::Json,
    };
    let progress = follower.progress.shown();
    let (links, receiver) = tokio::sync::mpsc::channel(1);
    let end = CancellationToken::new();
    let (sender, refused) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new().name("redtail-writer".to_owned());
    let thread = thread.spawn({
        let end = end.clone().drop_guard();
        move || {
            let result = follower.run(receiver);
            // The receiver is gone if tail is being stopped.
            let _ = sender.send(result);
            drop(end);
        }
    });
    thread
        .map_err(|error| Failure::Runtime(format!("cannot start the writer: {}", Plain(&error))))?;
    let begin = Begin {
        resume: Some(from.point),
        cause: SyncCause::FirstStart,
    };
    let link = upstream::run(
        config.upstream,
        begin,
        links,
        progress,
        Arc::default(),
        stop.clone(),
    );
    let link = tokio::spawn(link);
    let result = print(printer, listener, end).await;
    stop.cancel();
    // It returns nothing.
    let _ = link.await;
    match refused.await {
        Ok(Err(why)) => Err(Ended::Broken(why.to_string())),
        _ => result,
    }
}

/// Opens the place that is kept, if there is a state directory.
fn place_file(
    args: &Tail,
    prepared: &Prepared,
) -> Result<(Option<PlaceFile>, Option<Kept>), Failure> {
    let Some(folder) = &args.state_dir else {
        return Ok((None, None));
    };
    if !prepared.keeps_state() {
        return Err(Failure::Runtime(format!(
            "cannot write to the state directory {}, which exactly one line for each change needs",
            folder.display()
        )));
    }
    let (file, kept) = PlaceFile::open(folder).map_err(|error| {
        let path = folder.join(file::NAME);
        Failure::Runtime(format!("cannot use {}: {}", path.display(), Plain(&error)))
    })?;
    Ok((Some(file), kept))
}

fn printer(
    args: &Tail,
    file: Option<PlaceFile>,
    kept: Option<Kept>,
    stop: CancellationToken,
) -> Result<Printer, Failure> {
    let out = Output::new(kept.as_ref(), stop.clone())
        .map_err(|error| Failure::Runtime(format!("standard output: {}", Plain(&error))))?;
    let place = kept.map(|kept| kept.place);
    // Another reader knows of no selected database.
    let selected = place.as_ref().and_then(|place| place.db);
    let selected = selected.filter(|_| out.continues());
    Ok(Printer {
        form: match args.format {
            Format::Json => Form::Json {
                commands: args.commands,
            },
            Format::Resp => Form::Resp(Writes::new(selected)),
        },
        filter: Filter {
            pattern: args.pattern.clone().map(String::into_bytes),
            kind: args.kind.clone(),
            db: args.db,
        },
        tracker: Tracker::new(place),
        out,
        file,
        stop,
    })
}

/// Prints until a stop, on a thread of its own: standard output blocks.
async fn print(
    printer: Printer,
    listener: Listener,
    writer_end: CancellationToken,
) -> Result<(), Ended> {
    let (sender, ended) = tokio::sync::oneshot::channel();
    let runtime = tokio::runtime::Handle::current();
    let thread = std::thread::Builder::new().name("redtail-print".to_owned());
    let thread = thread.spawn(move || {
        // The receiver waits for this.
        let _ = sender.send(print_all(printer, listener, &writer_end, &runtime));
    });
    thread.map_err(|error| {
        Failure::Runtime(format!("cannot start the printer: {}", Plain(&error)))
    })?;
    let panicked = || Failure::Runtime("the printer has failed".to_owned()).into();
    ended.await.unwrap_or_else(|_| Err(panicked()))
}

/// How often tail checks the output and the writer while nothing changes.
const LOOK_EVERY: Duration = Duration::from_millis(200);

fn print_all(
    mut printer: Printer,
    mut listener: Listener,
    writer_end: &CancellationToken,
    runtime: &tokio::runtime::Handle,
) -> Result<(), Ended> {
    let stop = printer.stop.clone();
    loop {
        let news = runtime.block_on(async {
            tokio::select! {
                biased;
                () = stop.cancelled() => None,
                news = listener.next() => Some(news),
                () = writer_end.cancelled() => None,
                () = tokio::time::sleep(LOOK_EVERY) => None,
            }
        });
        if news.is_none() && writer_end.is_cancelled() && !stop.is_cancelled() {
            return Err(Failure::Runtime("the writer has failed".to_owned()).into());
        }
        let flow = match news {
            Some(Ok(news)) => printer.print(&news)?,
            Some(Err(lost)) => return Err(Failure::Runtime(lost.to_string()).into()),
            None => printer.ends().unwrap_or(Flow::On),
        };
        if flow != Flow::On {
            return Ok(());
        }
    }
}
