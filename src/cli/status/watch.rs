//! `redtail status --watch`: the status again each second, until somebody ends it.

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::facts::Facts;
use super::format::{bytes, clock, count, cut, seconds, wrap};
use super::history::{History, Rates};
use super::screen::Shown;
use super::source::{NoStatus, Source};
use super::terminal::{self, Screen};
use crate::cli::Failure;
use crate::words::Plain;

/// How often the status is asked for.
const EVERY: Duration = Duration::from_secs(1);

/// What is known at the moment.
#[derive(Default)]
struct View {
    facts: Option<(Facts, Rates, Instant)>,
    /// Why the last question had no answer, and since when there has been none.
    trouble: Option<(NoStatus, Instant)>,
    history: History,
}

impl View {
    fn take(&mut self, answer: Result<Facts, NoStatus>) {
        let now = Instant::now();
        match answer {
            Ok(facts) => {
                let rates = self.history.add(now, &facts);
                self.facts = Some((facts, rates, now));
                self.trouble = None;
            }
            Err(trouble) => {
                let since = self.trouble.as_ref().map_or(now, |(_, since)| *since);
                self.trouble = Some((trouble, since));
            }
        }
    }

    /// Returns the lines of a screen of this size, painted.
    fn lines(&self, address: &str, (columns, rows): (usize, usize)) -> Vec<String> {
        let in_colour = terminal::in_colour();
        let mut lines = Vec::new();
        if let Some((trouble, since)) = &self.trouble {
            let headline = format!("no answer for {}", seconds(since.elapsed().as_secs_f64()));
            lines.push(if in_colour {
                format!("\x1b[1;31m{headline}\x1b[0m")
            } else {
                headline
            });
            lines.extend(wrap(&trouble.0, columns));
            let seen = self
                .facts
                .as_ref()
                .map(|(.., at)| at.elapsed().as_secs_f64());
            lines.extend(seen.map(|ago| format!("This is what it said {} ago:", seconds(ago))));
            lines.push(String::new());
        }
        match &self.facts {
            Some((facts, rates, _)) => {
                let shown = Shown {
                    address,
                    facts,
                    rates: *rates,
                    history: Some(&self.history),
                    width: Some(columns),
                };
                lines.extend(shown.lines().iter().map(|line| line.painted(in_colour)));
            }
            None if self.trouble.is_none() => lines.push(format!("asking {address}")),
            None => {}
        }
        lines.truncate(rows.saturating_sub(1));
        lines.resize(rows.saturating_sub(1), String::new());
        lines.push(cut(&format!("{}  q quits", clock()), columns));
        lines
    }

    /// Returns what is known in one line.
    fn line(&self) -> String {
        let said = match (&self.trouble, &self.facts) {
            (Some((trouble, _)), _) => format!("no answer: {trouble}"),
            (None, Some((facts, ..))) if !facts.is_redtail() => facts.stranger(),
            (None, Some((facts, rates, _))) => {
                let lag = facts
                    .number("/link/lag_bytes")
                    .map(|lag| format!("{} behind", bytes(lag)));
                let stream = rates
                    .stream_bytes
                    .map(|rate| format!("stream {}/s", bytes(rate)));
                let reads = rates.reads.map(|rate| format!("reads {}/s", count(rate)));
                let figures: Vec<String> = [lag, stream, reads].into_iter().flatten().collect();
                format!("{} [{}]", facts.sentence(), figures.join(", "))
            }
            (None, None) => String::new(),
        };
        format!("{} {said}", clock())
    }
}

/// How the answers are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A screen.
    Screen,
    /// A line each second.
    Lines,
    /// An object of JSON each second.
    Json,
}

/// Asks and shows until a signal, the key q, or the end of standard output.
///
/// # Errors
/// [`Failure::Runtime`] if signals cannot be handled or standard output breaks.
pub(super) async fn watch(source: Source, form: Form) -> Result<(), Failure> {
    let address = source.target.to_string();
    let (sender, mut answers) = mpsc::channel(1);
    let asking = tokio::spawn(ask(source, sender));
    let mut ends = Ends::new()?;
    let mut view = View::default();
    let screen = match form {
        Form::Screen => Some(Screen::open().map_err(|error| broken(&error))?),
        Form::Lines | Form::Json => None,
    };
    let mut keys = screen.as_ref().map(|_| terminal::keys());
    let result = loop {
        let written = match (&screen, form) {
            (Some(screen), _) => screen.draw(&view.lines(&address, terminal::size())),
            (None, Form::Json) => print_json(&view),
            (None, _) if view.facts.is_none() && view.trouble.is_none() => Ok(()),
            (None, _) => print_line(&view.line()),
        };
        if let Err(error) = written {
            // Whoever read has gone: that is one of the ways to end it.
            let is_gone = matches!(error.kind(), io::ErrorKind::BrokenPipe) || screen.is_some();
            break if is_gone { Ok(()) } else { Err(broken(&error)) };
        }
        if !next(
            &mut view,
            &mut answers,
            &mut keys,
            &mut ends,
            screen.is_some(),
        )
        .await
        {
            break Ok(());
        }
    };
    asking.abort();
    result
}

/// Waits for something new to show. Returns false if this is the end.
async fn next(
    view: &mut View,
    answers: &mut mpsc::Receiver<Result<Facts, NoStatus>>,
    keys: &mut Option<mpsc::Receiver<u8>>,
    ends: &mut Ends,
    is_screen: bool,
) -> bool {
    loop {
        tokio::select! {
            answer = answers.recv() => match answer {
                Some(answer) => {
                    view.take(answer);
                    return true;
                }
                None => return false,
            },
            signal = ends.next() => match signal {
                Told::End => return false,
                Told::Resized if is_screen => return true,
                Told::Resized => {}
            },
            key = key(keys) => match key {
                Some(b'q' | b'Q' | END_OF_TEXT | END_OF_INPUT) => return false,
                Some(_) => {}
                None => *keys = None,
            },
        }
    }
}

/// Ctrl-C, where the terminal sends it as a key.
const END_OF_TEXT: u8 = 3;

/// Ctrl-D.
const END_OF_INPUT: u8 = 4;

/// Returns the next key; `None` at the end of standard input. Without keys it never returns.
async fn key(keys: &mut Option<mpsc::Receiver<u8>>) -> Option<u8> {
    match keys {
        Some(keys) => keys.recv().await,
        None => std::future::pending().await,
    }
}

async fn ask(source: Source, answers: mpsc::Sender<Result<Facts, NoStatus>>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if answers.send(source.ask().await).await.is_err() {
            return;
        }
    }
}

/// The signals that end the watch or change what it shows.
struct Ends {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    resized: Signal,
}

impl Ends {
    fn new() -> Result<Self, Failure> {
        let on = |kind| {
            signal(kind).map_err(|error| {
                Failure::Runtime(format!("cannot listen for signals: {}", Plain(&error)))
            })
        };
        Ok(Self {
            interrupt: on(SignalKind::interrupt())?,
            terminate: on(SignalKind::terminate())?,
            hangup: on(SignalKind::hangup())?,
            resized: on(SignalKind::window_change())?,
        })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.interrupt.recv() => Told::End,
            _ = self.terminate.recv() => Told::End,
            _ = self.hangup.recv() => Told::End,
            _ = self.resized.recv() => Told::Resized,
        }
    }
}

/// What a signal says.
enum Told {
    End,
    Resized,
}

fn print_line(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Prints the status on a line of its own; why there is none goes to standard error.
fn print_json(view: &View) -> io::Result<()> {
    match (&view.trouble, &view.facts) {
        (Some((trouble, _)), _) => writeln!(io::stderr(), "redtail: no answer: {trouble}"),
        (None, Some((facts, ..))) => print_line(&facts.json().to_string()),
        (None, None) => Ok(()),
    }
}

fn broken(error: &io::Error) -> Failure {
    Failure::Runtime(format!("cannot write to standard output: {}", Plain(error)))
}
