//! Tells the service manager about redtail, in the protocol of sd_notify(3).
//!
//! Without the variable `NOTIFY_SOCKET`, which systemd sets for a unit of `Type=notify`, none of this happens. Otherwise:
//!
//! - `READY=1` once reads are answered: after the first sync, or when the state directory has been read. `/readyz` says the
//!   same at that moment.
//! - `EXTEND_TIMEOUT_USEC` until then, while redtail is alive. A first load takes as long as it takes, and a primary that is down
//!   may come back: neither is a reason to start redtail again. Only a redtail that hangs runs into `TimeoutStartSec`.
//! - `STATUS=` with the words of its health, whenever they change.
//! - `WATCHDOG=1` while the runtime runs this task and the writer works. systemd restarts redtail when it stays away.
//! - `STOPPING=1` when a signal ends redtail.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sd_notify::NotifyState;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::serve::Works;
use crate::command::{Health, Host as _};
use crate::server::Server;
use crate::words::Plain;

/// Reports to the service manager until `stop` is cancelled. `works` says whether what keeps the data fresh works. Returns at once if there is no service manager to report to.
pub(super) async fn report(server: Arc<Server>, works: Works, stop: CancellationToken) {
    if std::env::var_os(SOCKET).is_none_or(|socket| socket.is_empty()) {
        return;
    }
    let mut reporter = Reporter::new(works, sd_notify::watchdog_enabled());
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let report = reporter.report(&server.health().health, Instant::now());
        reporter.note(send(report).await);
    }
    reporter.note(send(Report::stopping()).await);
}

/// Sends a report, if it says anything. A service manager that does not read its socket holds up no other task.
async fn send(report: Report) -> std::io::Result<()> {
    if report == Report::default() {
        return Ok(());
    }
    let sent = tokio::task::spawn_blocking(move || sd_notify::notify(&report.states())).await;
    sent.unwrap_or_else(|error| Err(std::io::Error::other(error)))
}

/// What the service manager should know now.
#[derive(Debug, Default, PartialEq, Eq)]
struct Report {
    is_ready: bool,
    is_stopping: bool,
    is_alive: bool,
    /// Microseconds from now in which redtail will be ready or ask for more.
    more_time: Option<u32>,
    status: Option<String>,
}

impl Report {
    fn stopping() -> Self {
        Self {
            is_stopping: true,
            status: Some("stopping".to_owned()),
            ..Self::default()
        }
    }

    fn states(&self) -> Vec<NotifyState<'_>> {
        let mut states = Vec::new();
        states.extend(self.is_ready.then_some(NotifyState::Ready));
        states.extend(self.is_stopping.then_some(NotifyState::Stopping));
        states.extend(self.is_alive.then_some(NotifyState::Watchdog));
        states.extend(self.more_time.map(NotifyState::ExtendTimeoutUsec));
        states.extend(self.status.as_deref().map(NotifyState::Status));
        states
    }
}

/// Decides what to report.
struct Reporter {
    works: Works,
    /// How often to report that redtail is alive.
    every: Duration,
    /// Whether the service manager restarts redtail if it does not do so.
    has_watchdog: bool,
    /// When it last did so.
    alive_at: Option<Instant>,
    was_ready: bool,
    status: String,
    /// Whether an error has been logged: of the writer, and of the socket.
    has_warned: [bool; 2],
}

impl Reporter {
    fn new(works: Works, watchdog: Option<Duration>) -> Self {
        Self {
            works,
            every: watchdog.map_or(ALIVE_EVERY, |watchdog| ALIVE_EVERY.min(watchdog / 4)),
            has_watchdog: watchdog.is_some(),
            alive_at: None,
            was_ready: false,
            status: String::new(),
            has_warned: [false; 2],
        }
    }

    fn report(&mut self, health: &Health, now: Instant) -> Report {
        let mut report = Report {
            status: self.new_status(health),
            is_ready: !self.was_ready && health.condition.answers_reads(),
            ..Report::default()
        };
        self.was_ready |= report.is_ready;
        let is_due = self.alive_at.is_none_or(|at| now >= at + self.every);
        if self.is_alive() && is_due {
            self.alive_at = Some(now);
            report.is_alive = self.has_watchdog;
            report.more_time = (!self.was_ready).then_some(MORE_TIME_MICROS);
        }
        report
    }

    /// Returns the status if it has changed. It is one line of text.
    fn new_status(&mut self, health: &Health) -> Option<String> {
        let sentences = std::iter::once(health.to_string()).chain(health.warnings.iter().cloned());
        let status = sentences.collect::<Vec<_>>().join(". ");
        let status = status.replace(|letter: char| letter.is_control(), " ");
        (self.status != status).then(|| {
            self.status.clone_from(&status);
            status
        })
    }

    fn is_alive(&mut self) -> bool {
        let is_alive = (self.works)();
        let [has_warned, _] = &mut self.has_warned;
        if !is_alive && !*has_warned {
            tracing::error!(
                "the writer does not work any more: it has ended, or has done nothing for minutes although bytes wait. redtail no \
                 longer answers the service manager's watchdog, which restarts it"
            );
        }
        *has_warned = !is_alive;
        is_alive
    }

    /// Logs the first of several failures to send.
    fn note(&mut self, sent: std::io::Result<()>) {
        let [_, has_warned] = &mut self.has_warned;
        match sent {
            Ok(()) => *has_warned = false,
            Err(error) if !*has_warned => {
                *has_warned = true;
                tracing::warn!(
                    error = %Plain(&error),
                    "could not tell the service manager how redtail is. It may restart redtail: check {SOCKET}, and that the unit has \
                     Type=notify"
                );
            }
            Err(_) => {}
        }
    }
}

/// The variable that names the service manager's socket.
const SOCKET: &str = "NOTIFY_SOCKET";

/// How often redtail checks whether there is anything to report, as often as its health is noted.
const TICK: Duration = Duration::from_millis(250);

/// How often redtail reports that it is alive, if the watchdog does not want it more often.
const ALIVE_EVERY: Duration = Duration::from_secs(5);

/// Microseconds that redtail asks for each time, until it is ready.
const MORE_TIME_MICROS: u32 = 30_000_000;
