//! `redtail demo`: a replica to try on a machine with nothing installed.
//!
//! A small primary inside the process (`DemoPrimary`) speaks real PSYNC over loopback. The replica follows and serves it with
//! the same code as `redtail serve`. This module holds only what the demo adds: that primary, and the output.

mod history;
mod primary;
mod shop;

use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};
use tokio_util::sync::CancellationToken;

use self::primary::DemoPrimary;
use super::config::{LogFormat, Settings, Switch};
use super::serve::{follow_and_serve, runtime, stop_on_signal};
use super::{Failure, log};
use crate::replica::{Config, Replica};
use crate::server::Listen;
use crate::store::Served;
use crate::upstream::{Progress, Status};

/// Follows a small primary inside this process, to try redtail with nothing installed.
#[derive(Debug, Clone, clap::Args)]
pub struct Demo {
    /// Where to listen: address:port or unix:/path; separate several with commas, or repeat the flag
    #[arg(
        long,
        env = "REDTAIL_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:6380",
        value_delimiter = ','
    )]
    pub listen: Vec<Listen>,
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
    log::start(Some("warn"), LogFormat::default(), None)?;
    runtime()?.block_on(run(args))
}

async fn run(args: Demo) -> Result<(), Failure> {
    let shop = CancellationToken::new();
    let primary = DemoPrimary::start(shop.clone()).await.map_err(|error| {
        Failure::Runtime(format!("cannot start the demo's own primary: {error}"))
    })?;
    let replica = Config::new(&format!("redis://{}", primary.address()))
        .map_err(|error| Failure::Runtime(error.to_string()))?;
    let settings = Settings {
        listen: Some(args.listen.clone()),
        // Made-up data needs no protection.
        protected_mode: Some(Switch::No),
        ..Settings::default()
    };
    let beside = |replica: &Replica, stop: CancellationToken| {
        stop_on_signal(stop.clone())?;
        let display = Display::new(primary, replica);
        tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
            display.show(&args).await;
            stop.cancel();
        }));
        Ok(())
    };
    let result = follow_and_serve(replica, settings.server(), None, beside).await;
    shop.cancel();
    result
}

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

    /// Prints what to try once there is data to read, then one line on the replica's progress each second, until `args.seconds`
    /// have passed.
    async fn show(&self, args: &Demo) {
        while self.served.peek().is_none() {
            sleep(A_MOMENT).await;
        }
        print(&invitation(&args.listen));
        let mut ticks = interval_at(Instant::now() + SECOND, SECOND);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seconds_left = args.seconds;
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

fn invitation(listen: &[Listen]) -> String {
    let addresses: Vec<String> = listen.iter().map(ToString::to_string).collect();
    let first = addresses.first().map_or("", String::as_str);
    let cli = match (first.strip_prefix("unix:"), first.rsplit_once(':')) {
        (Some(path), _) => format!("redis-cli -s {path}"),
        (None, Some((_, port))) => format!("redis-cli -p {port}"),
        (None, None) => "redis-cli".to_owned(),
    };
    let mut text = format!(
        "Following a small primary inside this process. Reads are answered on {}.\nTry in another terminal:\n\n",
        addresses.join(" and ")
    );
    for (command, what) in TRIALS {
        text.push_str(format!("  {cli} {command:<44} {what}").trim_end());
        text.push('\n');
    }
    text.push_str("\nPress Ctrl-C to stop.\n\n");
    text
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
