//! `redtail serve`: follows a primary and answers clients until a signal.

use std::num::NonZero;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::config::{self, Settings};
#[cfg(not(feature = "http"))]
use super::no_http as http;
use super::output::print;
use super::{Failure, log, notify, progress};
#[cfg(feature = "http")]
use crate::http;
use crate::replica::{ClusterReplica, Prepared, Replica};
use crate::server::{Listeners, Server};
use crate::state::Root;
use crate::words::Plain;

/// Follows a primary and answers clients.
#[derive(Clone, clap::Args)]
pub struct Serve {
    /// A TOML file of settings; its keys are the flags without their dashes
    #[arg(long, env = "REDTAIL_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Prints the settings that apply as a configuration file, each with where it comes from, and ends
    #[arg(long)]
    pub print_config: bool,
    /// The settings.
    #[command(flatten)]
    pub settings: Settings,
}

/// What is said about a listener that only this machine can use.
pub(super) const DENIED: &str = "protected mode: no password is set, so clients from other machines are refused. Set one (--requirepass), or let \
                                 everyone in (--protected-mode no)";

/// Runs `redtail serve`. `matches` are those of the command.
///
/// # Errors
/// [`Failure`] if a setting is wrong, a listener cannot be opened, or the state directory cannot be used.
pub fn serve(args: Serve, matches: &clap::ArgMatches) -> Result<(), Failure> {
    let loaded = config::load(args.settings, args.config.as_ref(), matches)?;
    let (settings, origins) = (loaded.settings, loaded.origins);
    // Find every wrong setting before anything starts.
    settings
        .check()
        .map_err(|failure| origins.located(failure))?;
    if args.print_config {
        return print(config::printed(&origins, loaded.file.as_ref()));
    }
    let replica = settings.replica()?;
    let mut server = settings.server();
    let events = Arc::default();
    server.log_level = log::start(
        settings.log_level.as_deref(),
        settings.log_format.unwrap_or_default(),
        settings.http.is_some().then(|| Arc::clone(&events)),
    )?;
    let http = settings.http()?.map(|config| Http { config, events });
    // This may log a warning.
    server.users = settings.users()?;
    let names = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
    for unknown in config::unknown_variables(names) {
        tracing::warn!("{unknown}");
    }
    for warning in settings
        .warnings()
        .into_iter()
        .chain(settings.unusable_spool())
    {
        tracing::warn!("{warning}");
    }
    if let Some((face, part)) = settings.cluster()? {
        // Lock the state directory first, as `follow_and_serve` does.
        let state = replica.state.as_ref();
        let root = state.map(|state| Root::lock(&state.folder)).transpose();
        let root = root.map_err(|error| Failure::Runtime(error.to_string()))?;
        let cluster = move || ClusterReplica::start(replica, face, part, root.flatten());
        return runtime()?.block_on(serve_cluster(cluster, server, http));
    }
    runtime()?.block_on(follow_and_serve(replica, server, http, |replica, stop| {
        accept_on_signal(replica.resync_acceptor())?;
        stop_on_signal(stop)
    }))
}

/// How many tasks a worker runs before it looks for new requests: writing to thousands of subscribers must not hold up a reader.
/// A GET costs the same with tokio's own 61.
const EVENT_INTERVAL: u32 = 8;

/// Returns the runtime of all sockets. Its number of workers is that of tokio's own variable, or one less than the number of
/// processors: the writer needs a processor too, and so do the clients, which mostly run on the same machine.
///
/// # Errors
/// [`Failure::Runtime`] if the system cannot start the threads.
pub fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if std::env::var_os("TOKIO_WORKER_THREADS").is_none() {
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        builder.worker_threads(processors.saturating_sub(1).max(1));
    }
    builder.event_interval(EVENT_INTERVAL);
    builder.enable_all().build().map_err(|error| {
        Failure::Runtime(format!("cannot start redtail's threads: {}", Plain(&error)))
    })
}

/// HTTP beside the server.
pub struct Http {
    /// Where it listens, and who gets answers.
    pub config: http::Config,
    /// The log lines that it shows.
    pub events: Arc<http::Events>,
}

/// Follows and serves until the token is cancelled. `beside` receives the replica and the token, and starts everything else
/// that runs.
///
/// # Errors
/// [`Failure::Runtime`] if a listener cannot be opened or the state directory cannot be used.
pub async fn follow_and_serve(
    replica: crate::replica::Config,
    server: crate::server::Config,
    http: Option<Http>,
    beside: impl FnOnce(&Replica, CancellationToken) -> Result<(), Failure>,
) -> Result<(), Failure> {
    // Lock the state directory first. A process that does not get it must not open a listener and look as if it served.
    let replica = Replica::prepare(replica).map_err(|error| Failure::Runtime(error.to_string()))?;
    // Open the listeners before asking the primary for a snapshot: without them no client could read the data.
    let listeners = Listeners::open(&server.listen, server.tls.as_ref())
        .await
        .map_err(|error| Failure::Runtime(error.to_string()))?;
    let http = open_http(http).await?;
    let doors = Doors { listeners, http };
    serve_behind(replica, server, doors, beside).await
}

async fn open_http(
    http: Option<Http>,
) -> Result<Option<(http::Listener, Arc<http::Events>)>, Failure> {
    let Some(Http { config, events }) = http else {
        return Ok(None);
    };
    let listener = http::Listener::open(config).await;
    let listener = listener.map_err(|error| Failure::Runtime(error.to_string()))?;
    Ok(Some((listener, events)))
}

/// Follows a cluster and serves it until a signal.
async fn serve_cluster(
    cluster: impl FnOnce() -> std::io::Result<ClusterReplica>,
    server: crate::server::Config,
    http: Option<Http>,
) -> Result<(), Failure> {
    let listeners = Listeners::open(&server.listen, server.tls.as_ref())
        .await
        .map_err(|error| Failure::Runtime(error.to_string()))?;
    let http = open_http(http).await?;
    for listen in server.denied_listeners() {
        tracing::warn!(%listen, "{DENIED}");
    }
    let token = CancellationToken::new();
    stop_on_signal(token.clone())?;
    let cluster = cluster().map_err(|error| {
        Failure::Runtime(format!("cannot follow the cluster: {}", Plain(&error)))
    })?;
    accept_on_signal(cluster.resync_acceptor())?;
    let (settings, shards) = (cluster.settings(), cluster.shards());
    let server = Server::of_cluster(server, Arc::clone(settings), Arc::clone(shards));
    let works: Works = Arc::new(cluster.works());
    run(server, listeners, http, &works, &token).await;
    cluster.stop().await;
    tracing::info!("stopped");
    Ok(())
}

/// Returns whether what keeps the data fresh works. Call it often.
pub(super) type Works = Arc<dyn Fn() -> bool + Send + Sync>;

/// Answers clients, HTTP and the service manager until the token is cancelled.
async fn run(
    server: Arc<Server>,
    listeners: Listeners,
    http: Option<(http::Listener, Arc<http::Events>)>,
    works: &Works,
    token: &CancellationToken,
) {
    let manager = tokio::spawn(notify::report(
        Arc::clone(&server),
        Arc::clone(works),
        token.child_token(),
    ));
    let http = http.map(|(listener, events)| {
        let works = Arc::clone(works);
        let running = listener.run(Arc::clone(&server), events, move || works(), token.clone());
        tokio::spawn(running)
    });
    server.run(listeners, token.clone()).await;
    if let Some(http) = http {
        // A listener that panicked has ended too.
        let _ = http.await;
    }
    // It returns nothing.
    let _ = manager.await;
}

/// Open listeners, in which connections wait.
pub(super) struct Doors {
    pub(super) listeners: Listeners,
    /// The listener for HTTP, and the log lines that it shows.
    pub(super) http: Option<(http::Listener, Arc<http::Events>)>,
}

/// Follows and serves, as [`follow_and_serve`] does, behind listeners that are open.
///
/// # Errors
/// [`Failure::Runtime`] if a thread cannot be started.
pub(super) async fn serve_behind(
    replica: Prepared,
    server: crate::server::Config,
    doors: Doors,
    beside: impl FnOnce(&Replica, CancellationToken) -> Result<(), Failure>,
) -> Result<(), Failure> {
    for listen in server.denied_listeners() {
        tracing::warn!(%listen, "{DENIED}");
    }
    let Doors { listeners, http } = doors;
    let token = CancellationToken::new();
    let replica = replica
        .start()
        .map_err(|error| Failure::Runtime(format!("cannot start the writer: {}", Plain(&error))))?;
    beside(&replica, token.clone())?;
    let (sources, served) = (replica.sources().clone(), Arc::clone(replica.served()));
    let server = Server::new(server, served, move || sources.replication());
    let pulse = Mutex::new(replica.pulse());
    let works: Works = Arc::new(move || {
        // A poisoned lock still holds whole signs.
        let mut pulse = pulse.lock().unwrap_or_else(PoisonError::into_inner);
        pulse.beats(Instant::now())
    });
    let display = tokio::spawn(progress::show(
        Arc::clone(replica.figures()),
        token.child_token(),
    ));
    run(server, listeners, http, &works, &token).await;
    replica.stop().await;
    // It returns nothing.
    let _ = display.await;
    tracing::info!("stopped");
    Ok(())
}

/// Cancels `stop` at the first SIGTERM or SIGINT.
///
/// # Errors
/// [`Failure::Runtime`] if the signals cannot be handled.
pub fn stop_on_signal(stop: CancellationToken) -> Result<(), Failure> {
    let (mut terminate, mut interrupt) =
        (on(SignalKind::terminate())?, on(SignalKind::interrupt())?);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.cancel();
    });
    Ok(())
}

/// On each SIGUSR1, accepts a full resync that is held back.
fn accept_on_signal(accept: impl Fn() + Send + Sync + 'static) -> Result<(), Failure> {
    let mut asked = on(SignalKind::user_defined1())?;
    tokio::spawn(async move {
        while asked.recv().await.is_some() {
            accept();
        }
    });
    Ok(())
}

fn on(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind)
        .map_err(|error| Failure::Runtime(format!("cannot listen for signals: {}", Plain(&error))))
}
