//! The progress of a load: a bar on a terminal, log lines elsewhere.

use std::io::{self, IsTerminal as _, Write};
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio_util::sync::CancellationToken;

use crate::replica::{Figures, LoadFigures};
use crate::words::Period;

/// How often the figures are read.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How often a line is logged if there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// The bar, once it has been shown. It must not overwrite log lines.
static BAR: OnceLock<ProgressBar> = OnceLock::new();

/// Shows each load of `figures` until `stop`.
pub async fn show(figures: Arc<Figures>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    let mut display = Display::default();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = ticks.tick() => display.look(&figures.load),
        }
    }
    display.end();
}

#[derive(Default)]
struct Display {
    started: Option<Instant>,
    last_line: Option<Instant>,
    completed: u64,
}

impl Display {
    fn look(&mut self, load: &LoadFigures) {
        if load.running.load(Acquire) {
            self.started.get_or_insert_with(Instant::now);
            return self.running(load);
        }
        let completed = load.completed.load(Relaxed);
        if completed > self.completed {
            self.report(load);
        }
        self.completed = completed;
        self.end();
    }

    fn running(&mut self, load: &LoadFigures) {
        if io::stderr().is_terminal() {
            draw(load);
        } else if self
            .last_line
            .is_none_or(|last| last.elapsed() >= LINE_EVERY)
        {
            self.last_line = Some(Instant::now());
            let (keys, bytes) = (load.keys.load(Relaxed), load.bytes.load(Relaxed));
            // A diskless primary does not announce the size.
            let of_bytes = load.bytes_expected.load(Relaxed);
            let of_bytes = (of_bytes > 0).then_some(of_bytes);
            tracing::info!(keys, bytes, of_bytes, "loading");
        }
    }

    fn report(&self, load: &LoadFigures) {
        let (keys, bytes) = (load.keys.load(Relaxed), load.bytes.load(Relaxed));
        match self.started {
            Some(started) => {
                let took = Period(started.elapsed());
                tracing::info!(keys, bytes, %took, "the full sync is loaded");
            }
            // The load ended before the first tick.
            None => tracing::info!(keys, bytes, "the full sync is loaded"),
        }
    }

    fn end(&mut self) {
        (self.started, self.last_line) = (None, None);
        if let Some(bar) = BAR.get() {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
    }
}

fn draw(load: &LoadFigures) {
    let bar = BAR.get_or_init(ProgressBar::hidden);
    if bar.is_hidden() {
        bar.reset();
        bar.set_draw_target(ProgressDrawTarget::stderr());
    }
    let expected = load.bytes_expected.load(Relaxed);
    bar.set_style(style(expected > 0));
    bar.set_length(expected);
    bar.set_message(format!("{} keys", load.keys.load(Relaxed)));
    bar.set_position(load.bytes.load(Relaxed));
}

fn style(length_known: bool) -> ProgressStyle {
    let template = if length_known {
        "loading {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {msg}"
    } else {
        "loading {spinner} {bytes} {bytes_per_sec} {msg}"
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Returns a writer to standard error that hides the bar while it writes.
#[must_use]
pub fn writer() -> impl Write {
    AroundBar
}

struct AroundBar;

impl Write for AroundBar {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match BAR.get().filter(|bar| !bar.is_hidden()) {
            Some(bar) => bar.suspend(|| io::stderr().write(bytes)),
            None => io::stderr().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
