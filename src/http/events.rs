//! The last log lines, for the page: what happened, and when.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::{Event as Logged, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::FormatFields as _;
use tracing_subscriber::fmt::format::{DefaultFields, Writer};
use tracing_subscriber::layer::{Context, Layer};

use crate::store::unix_ms;

/// Number of events kept.
const KEPT: usize = 200;

/// Maximum bytes of an event's text. Longer texts are cut.
const TEXT_BYTES_MAX: usize = 1024;

/// A log line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When it was logged, in Unix milliseconds.
    pub at_unix_ms: i64,
    /// `info`, `warn` or `error`.
    pub level: &'static str,
    /// The line without its time, level and module.
    pub text: String,
}

/// The last events.
#[derive(Debug, Default)]
pub struct Events(Mutex<VecDeque<Event>>);

impl Events {
    fn kept(&self) -> MutexGuard<'_, VecDeque<Event>> {
        // A poisoned lock still holds whole events.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, event: Event) {
        let mut kept = self.kept();
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(event);
    }

    /// Returns the events that are not older than `since` (Unix milliseconds), oldest first.
    #[must_use]
    pub fn since(&self, since: i64) -> Vec<Event> {
        let kept = self.kept();
        let recent = kept.iter().filter(|event| event.at_unix_ms >= since);
        recent.cloned().collect()
    }
}

/// Passes redtail's own log lines of level `info` and above to [`Events`], whatever the log itself lets through.
#[derive(Debug)]
pub struct Recorder(Arc<Events>);

impl Recorder {
    /// Creates the layer that fills `events`.
    pub fn of<S>(events: Arc<Events>) -> impl Layer<S>
    where
        S: Subscriber + for<'l> tracing_subscriber::registry::LookupSpan<'l>,
    {
        let own = Targets::new().with_target(env!("CARGO_PKG_NAME"), Level::INFO);
        Self(events).with_filter(own)
    }
}

impl<S: Subscriber> Layer<S> for Recorder {
    fn on_event(&self, event: &Logged<'_>, _context: Context<'_, S>) {
        let mut text = Bounded::default();
        // The formatter of the log's own lines. It fails only where the text is full.
        let _ = DefaultFields::new().format_fields(Writer::new(&mut text), event);
        self.0.note(Event {
            at_unix_ms: unix_ms(),
            level: word(*event.metadata().level()),
            text: text.0,
        });
    }
}

const fn word(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        _ => "info",
    }
}

/// A text that takes no more than [`TEXT_BYTES_MAX`] bytes, then an ellipsis.
#[derive(Default)]
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let room = TEXT_BYTES_MAX.saturating_sub(self.0.len());
        if more.len() <= room {
            self.0.push_str(more);
            return Ok(());
        }
        let cut = (0..=room).rev().find_map(|end| more.get(..end));
        self.0.push_str(cut.unwrap_or_default());
        self.0.push('…');
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt as _;

    fn recorded(log: impl FnOnce()) -> Vec<Event> {
        let events = Arc::<Events>::default();
        let subscriber = tracing_subscriber::registry().with(Recorder::of(Arc::clone(&events)));
        tracing::subscriber::with_default(subscriber, log);
        events.since(0)
    }

    #[test]
    fn keeps_the_last_lines_with_their_fields() {
        let events = recorded(|| {
            for number in 0..KEPT + 5 {
                tracing::warn!(number, name = "a b", "something happened");
            }
            tracing::debug!("not kept");
            tracing::info!(target: "another", "of another library");
        });
        assert_eq!(events.len(), KEPT);
        let last = events.last().map(|event| (event.level, &*event.text));
        assert_eq!(
            last,
            Some(("warn", "something happened number=204 name=\"a b\""))
        );
    }

    #[test]
    fn a_long_line_is_cut_at_a_character() {
        let long = "ö".repeat(TEXT_BYTES_MAX);
        let events = recorded(|| tracing::info!("x{long}"));
        let text = events.first().map(|event| &*event.text).unwrap_or_default();
        assert!(text.len() <= TEXT_BYTES_MAX + "…".len(), "{}", text.len());
        assert!(text.starts_with("xöö") && text.ends_with("ö…"));
    }

    #[test]
    fn what_is_older_is_left_out() {
        let events = Events::default();
        for at_unix_ms in [1, 2, 3] {
            events.note(Event {
                at_unix_ms,
                level: "info",
                text: String::new(),
            });
        }
        let times = |since| -> Vec<i64> {
            let recent = events.since(since);
            recent.iter().map(|event| event.at_unix_ms).collect()
        };
        assert_eq!(
            (times(0), times(2), times(9)),
            (vec![1, 2, 3], vec![2, 3], vec![])
        );
    }
}
