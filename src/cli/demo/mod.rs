//! `redtail demo`: a replica to try on a machine with nothing installed.
//!
//! A small primary inside the process (`DemoPrimary`) speaks real PSYNC over loopback. The replica follows and serves it with
//! the same code as `redtail serve`. This module holds only what the demo adds: that primary, and the output.

mod history;
mod primary;
mod shop;

use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};
use tokio_util::sync::CancellationToken;

use self::primary::DemoPrimary;
use super::config::{LogFormat, Settings, Switch, TcpAddress};
#[cfg(not(feature = "http"))]
use super::no_http as http;
use super::serve::{Doors, runtime, serve_behind, stop_on_signal};
use super::{Failure, log};
#[cfg(feature = "http")]
use crate::http;
use crate::replica::{Config, Replica};
use crate::server::{Listen, Listeners};
use crate::store::Served;
use crate::upstream::{Progress, Status};

/// Follows a small primary inside this process, to try redtail with nothing installed.
#[derive(Debug, Clone, clap::Args)]
pub struct Demo {
    /// Where to listen: address:port or unix:/path [default: 127.0.0.1:6380, or a free port if that is taken]
    ///
    /// To listen on several, separate them with commas or repeat the flag.
    #[arg(
        long,
        env = "REDTAIL_LISTEN",
        value_name = "ADDRESS",
        value_delimiter = ','
    )]
    pub listen: Vec<Listen>,
    /// Where the status page is [default: 127.0.0.1:9121, or a free port if that is taken]
    #[arg(long, env = "REDTAIL_HTTP", value_name = "ADDRESS")]
    pub http: Option<TcpAddress>,
    /// Seconds after which the demo ends by itself [default: never]
    #[arg(long, env = "REDTAIL_SECONDS", value_name = "COUNT")]
    pub seconds: Option<u64>,
}

/// Runs `redtail demo` until a signal, or until its time is up.
///
/// # Errors
/// [`Failure::Runtime`] if a listener cannot be opened.
pub fn demo(args: Demo) -> Result<(), Failure> {
    // The display shows everything that goes well.
    let events = Arc::default();
    log::start(
        Some("warn"),
        LogFormat::default(),
        Some(Arc::clone(&events)),
    )?;
    runtime()?.block_on(run(args, events))
}

async fn run(args: Demo, events: Arc<http::Events>) -> Result<(), Failure> {
    let (listeners, listen) = listeners(&args.listen).await?;
    let page = page(args.http).await?;
    let shop = CancellationToken::new();
    let primary = DemoPrimary::start(shop.clone()).await.map_err(|error| {
        Failure::Runtime(format!("cannot start the demo's own primary: {error}"))
    })?;
    let replica = Config::new(&format!("redis://{}", primary.address()))
        .map_err(|error| Failure::Runtime(error.to_string()))?;
    let replica = Replica::prepare(replica).map_err(|error| Failure::Runtime(error.to_string()))?;
    let invitation = invitation(&listen, page.as_ref().map(http::Listener::address));
    let server = settings(Some(listen), None).server();
    let beside = |replica: &Replica, stop: CancellationToken| {
        stop_on_signal(stop.clone())?;
        let display = Display::new(primary, replica);
        tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
            display.show(&invitation, args.seconds).await;
            stop.cancel();
        }));
        Ok(())
    };
    let http = page.map(|page| (page, events));
    let result = serve_behind(replica, server, Doors { listeners, http }, beside).await;
    shop.cancel();
    result
}

/// The settings of the demo. Made-up data needs no protection.
fn settings(listen: Option<Vec<Listen>>, http: Option<TcpAddress>) -> Settings {
    Settings {
        listen,
        http,
        protected_mode: Some(Switch::No),
        ..Settings::default()
    }
}

/// Opens the listeners that were asked for, or else one on the default port, or on a free one. Returns also their addresses.
async fn listeners(asked: &[Listen]) -> Result<(Listeners, Vec<Listen>), Failure> {
    let failed = |error: crate::server::Error| Failure::Runtime(error.to_string());
    if !asked.is_empty() {
        let open = Listeners::open(asked, None).await.map_err(failed)?;
        return Ok((open, asked.to_vec()));
    }
    let here = |port| Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], port)));
    if let Ok(open) = Listeners::open(&[here(PORT)], None).await {
        return Ok((open, vec![here(PORT)]));
    }
    let open = Listeners::open(&[here(ANY_PORT)], None)
        .await
        .map_err(failed)?;
    let port = open.port().unwrap_or(ANY_PORT);
    Ok((open, vec![here(port)]))
}

/// Opens the listener of the status page, likewise; `None` in a build without HTTP.
async fn page(asked: Option<TcpAddress>) -> Result<Option<http::Listener>, Failure> {
    let here = |port: u16| format!("127.0.0.1:{port}").parse::<TcpAddress>().ok();
    let tries = match asked {
        Some(address) => vec![Some(address)],
        None if cfg!(feature = "http") => vec![here(PAGE_PORT), here(ANY_PORT)],
        None => Vec::new(),
    };
    let mut failure = None;
    for address in tries {
        let Some(config) = settings(None, address).http()? else {
            continue;
        };
        match http::Listener::open(config).await {
            Ok(page) => return Ok(Some(page)),
            Err(error) => failure = Some(Failure::Runtime(error.to_string())),
        }
    }
    failure.map_or(Ok(None), Err)
}

/// The default ports.
const PORT: u16 = 6380;
const PAGE_PORT: u16 = 9121;

/// Asks the system for a free port.
const ANY_PORT: u16 = 0;

/// Prints the output. Holds the sources of its figures.
struct Display {
    primary: DemoPrimary,
    served: Arc<Served>,
    progress: Arc<Progress>,
    link: Arc<Status>,
}

impl Display {
    fn new(primary: DemoPrimary, replica: &Replica) -> Self {
        Self {
            primary,
            served: Arc::clone(replica.served()),
            progress: Arc::clone(replica.progress()),
            link: Arc::clone(replica.link()),
        }
    }

    /// Prints what to try once there is data to read, then one line on the replica's progress each second, until the
    /// time is up.
    async fn show(&self, invitation: &str, mut seconds_left: Option<u64>) {
        while self.served.peek().is_none() {
            sleep(A_MOMENT).await;
        }
        print(invitation);
        let mut ticks = interval_at(Instant::now() + SECOND, SECOND);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while seconds_left != Some(0) {
            ticks.tick().await;
            seconds_left = seconds_left.map(|seconds| seconds.saturating_sub(1));
            let line = self.line();
            if io::stdout().is_terminal() {
                print(&format!("\r\x1b[K{line}"));
            } else {
                print(&format!("{line}\n"));
            }
        }
    }

    fn line(&self) -> Line {
        let written = self.primary.offset();
        let offset = self.progress.applied();
        let generation = self.served.current();
        let databases = generation.map(|generation| generation.spaces.figures());
        Line {
            state: self.link.snapshot().state.word(),
            offset,
            keys: databases
                .iter()
                .flatten()
                .map(|database| database.keys)
                .sum(),
            lag_bytes: written.saturating_sub(offset),
        }
    }
}

/// The state of the replica at one moment.
struct Line {
    state: &'static str,
    offset: u64,
    keys: usize,
    lag_bytes: u64,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}  offset {}  keys {}  lag {} bytes",
            self.state, self.offset, self.keys, self.lag_bytes
        )
    }
}

fn invitation(listen: &[Listen], page: Option<SocketAddr>) -> String {
    let addresses: Vec<String> = listen.iter().map(ToString::to_string).collect();
    let first = listen.first();
    let cli = match first {
        Some(Listen::Unix(path)) => format!("redis-cli -s {}", path.display()),
        Some(Listen::Tcp(address)) => format!("redis-cli -p {}", address.port()),
        Some(Listen::Tls(address)) => format!("redis-cli --tls -p {}", address.port()),
        None => "redis-cli".to_owned(),
    };
    let mut text = format!(
        "Following a small primary inside this process. Reads are answered on {}.\n",
        addresses.join(" and ")
    );
    text.push_str(&match page {
        Some(address) => format!("The status page is at http://{}/\n", here(address)),
        None => "There is no status page: build redtail with the feature `http`.\n".to_owned(),
    });
    text.push_str("Try in another terminal:\n\n");
    for (command, what) in TRIALS {
        text.push_str(format!("  {cli} {command:<44} {what}").trim_end());
        text.push('\n');
    }
    let asked = match first {
        Some(Listen::Tcp(address)) => address.port().to_string(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let width = cli.len() + 45;
    let status = format!("redtail status {asked} --watch");
    text.push_str(&format!(
        "  {status:<width$} the page's facts in the terminal\n"
    ));
    text.push_str("\nPress Ctrl-C to stop. Next: redtail serve --primary redis://host:port, for your own data.\n\n");
    text
}

/// Returns the address as a browser on this machine reaches it.
fn here(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(four) if four.ip().is_unspecified() => {
            SocketAddr::from(([127, 0, 0, 1], four.port()))
        }
        SocketAddr::V6(six) if six.ip().is_unspecified() => {
            SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, six.port()))
        }
        address => address,
    }
}

/// Prints the text, and ignores an error: the demo keeps serving without a terminal.
fn print(text: &str) {
    let mut stdout = io::stdout();
    let _closed = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
}

const SECOND: Duration = Duration::from_secs(1);

/// The pause between two checks whether the first sync is complete.
const A_MOMENT: Duration = Duration::from_millis(10);

/// Commands to try, and what they show.
const TRIALS: &[(&str, &str)] = &[
    ("GET greeting", ""),
    ("GET counter:visits", "changes"),
    ("HGETALL user:1", ""),
    ("ZRANGE leaderboard:week 0 4 REV WITHSCORES", "changes"),
    ("LRANGE recent:searches 0 9", "changes"),
    ("XRANGE events:orders - + COUNT 3", ""),
    (
        "--scan --pattern 'session:live:*'",
        "sessions that last five seconds",
    ),
    ("-n 1 GET clock", "another database"),
    ("SET a 1", "refused: a replica is read-only"),
    ("INFO replication", ""),
];

#[cfg(test)]
mod tests;
