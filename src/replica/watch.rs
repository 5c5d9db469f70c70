//! What happens to a replica, as events: for logs, health checks and progress displays of programs that embed one.
//!
//! A task looks at the replica's figures at a fixed interval and tells what differs from the look before. Syncs and loads are
//! counted where they happen, so one that begins and ends between two looks is told, too. A program that takes its events slowly
//! makes the task look later: it hears less often, and nothing of it waits in memory.

use std::pin::Pin;
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Replica;
use super::sources::Sources;
use crate::upstream::{LinkState, Phase};

/// How often the task looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Events that may wait for the program.
const WAITING_MAX: usize = 16;

/// What has happened to a replica.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Redtail applies what the primary sends: reads see it within moments.
    InSync,
    /// It does not. What has been loaded is still readable, unless the reason says otherwise.
    OutOfSync(OutOfSync),
    /// A full sync begins to load, or a snapshot of the state directory.
    LoadStarted {
        /// The bytes of the snapshot, if they are known.
        bytes_expected: Option<u64>,
    },
    /// The load goes on.
    LoadProgress {
        /// Bytes loaded so far.
        bytes: u64,
        /// The bytes of the snapshot, if they are known.
        bytes_expected: Option<u64>,
        /// Keys loaded so far.
        keys: u64,
    },
    /// The load is done.
    LoadFinished {
        /// The bytes of the snapshot.
        bytes: u64,
        /// Its keys.
        keys: u64,
    },
    /// The load has failed. What was served before still is, and redtail tries again.
    LoadFailed {
        /// What was wrong.
        why: String,
    },
}

/// Why a replica is not in sync.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutOfSync {
    /// There is no link to the primary.
    NoLink {
        /// Why the last one ended or could not be made; `None` before the first attempt has failed.
        why: Option<String>,
    },
    /// A full sync is under way.
    Loading,
    /// A full sync is loaded and waits to be accepted: [`ResyncPolicy`](super::ResyncPolicy).
    HeldBack,
    /// The data is not proven to be fresh, and reads are refused: [`Config::max_staleness`](super::Config::max_staleness).
    Stale,
}

/// The events of a replica: from [`Replica::watch`].
#[derive(Debug)]
pub struct Watch(mpsc::Receiver<Event>);

impl Watch {
    /// The next event, as soon as there is one; `None` once the replica has ended.
    pub async fn next(&mut self) -> Option<Event> {
        self.0.recv().await
    }
}

impl Stream for Watch {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.0.poll_recv(cx)
    }
}

impl Replica {
    /// What happens to the replica from now on, within 50 ms. Begins with how it stands: [`Event::InSync`] or
    /// [`Event::OutOfSync`].
    ///
    /// ```no_run
    /// use redtail::watch::{Event, OutOfSync};
    ///
    /// # async fn watch(replica: &redtail::Replica) {
    /// let mut events = replica.watch();
    /// while let Some(event) = events.next().await {
    ///     match event {
    ///         Event::InSync => println!("in sync"),
    ///         Event::OutOfSync(OutOfSync::NoLink { why: Some(why) }) => eprintln!("no link: {why}"),
    ///         Event::LoadProgress { bytes, keys, .. } => println!("{bytes} bytes, {keys} keys"),
    ///         other => println!("{other:?}"),
    ///     }
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn watch(&self) -> Watch {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let (sources, end) = (self.sources().clone(), self.end());
        self.runtime().spawn(tell(sources, end, sender));
        Watch(receiver)
    }
}

/// Looks and tells until the replica ends, or nobody listens any more.
async fn tell(sources: Sources, end: CancellationToken, listener: mpsc::Sender<Event>) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before = None;
    loop {
        tokio::select! {
            biased;
            () = end.cancelled() => return,
            () = listener.closed() => return,
            _ = ticks.tick() => {}
        }
        let now = Facts::of(&sources);
        for event in events(before.as_ref(), &now) {
            tokio::select! {
                biased;
                () = end.cancelled() => return,
                sent = listener.send(event) => if sent.is_err() { return },
            }
        }
        before = Some(now);
    }
}

/// What a look sees.
#[derive(Debug, Clone, Default)]
struct Facts {
    /// `None` if it is in sync.
    lacks: Option<OutOfSync>,
    /// The links that the primary has accepted so far.
    links: u64,
    /// Whether a load is under way.
    loads: bool,
    completed: u64,
    failed: u64,
    bytes: u64,
    bytes_expected: Option<u64>,
    keys: u64,
    /// What last went wrong.
    fault: Option<String>,
}

impl Facts {
    fn of(sources: &Sources) -> Self {
        let load = &sources.figures.load;
        // In this order, a load is never seen as ended before it is counted.
        let loads = load.running.load(Acquire);
        let (completed, failed) = (load.completed.load(Acquire), load.failed.load(Acquire));
        let expected = load.bytes_expected.load(Relaxed);
        let link = &sources.link;
        Self {
            lacks: lacks(sources),
            links: link.full_resyncs.load(Relaxed) + link.partial_resyncs.load(Relaxed),
            loads,
            completed,
            failed,
            bytes: load.bytes.load(Relaxed),
            bytes_expected: (expected > 0).then_some(expected),
            keys: load.keys.load(Relaxed),
            fault: sources.figures.last_fault(link).map(|fault| fault.what),
        }
    }
}

/// What keeps a replica from being in sync.
fn lacks(sources: &Sources) -> Option<OutOfSync> {
    let link = sources.link.snapshot();
    if sources.figures.held().is_some() {
        return Some(OutOfSync::HeldBack);
    }
    match link.state {
        LinkState::Sync => return Some(OutOfSync::Loading),
        LinkState::Connected => {}
        LinkState::Connect | LinkState::Connecting | LinkState::Handshake => {
            let why = link.last_error;
            return Some(OutOfSync::NoLink { why });
        }
    }
    if sources.served.peek().is_none() || sources.progress.phase() != Phase::Streaming {
        return Some(OutOfSync::Loading);
    }
    sources.served.is_stale().then_some(OutOfSync::Stale)
}

/// What has happened between two looks, in the order in which it happens.
fn events(before: Option<&Facts>, now: &Facts) -> Vec<Event> {
    let mut told = Vec::new();
    let is_new = before.is_none_or(|before| before.lacks != now.lacks);
    match &now.lacks {
        Some(lacks) if is_new => told.push(Event::OutOfSync(lacks.clone())),
        // It was lost and found.
        None if before
            .is_some_and(|before| before.lacks.is_none() && before.links != now.links) =>
        {
            let why = now.fault.clone();
            told.push(Event::OutOfSync(OutOfSync::NoLink { why }));
            told.extend(loads(before, now));
            told.push(Event::InSync);
            return told;
        }
        _ => {}
    }
    told.extend(loads(before, now));
    if now.lacks.is_none() && is_new {
        told.push(Event::InSync);
    }
    told
}

/// What has happened to loads between two looks.
fn loads(before: Option<&Facts>, now: &Facts) -> Vec<Event> {
    let started = Event::LoadStarted {
        bytes_expected: now.bytes_expected,
    };
    let mut told = Vec::new();
    let Some(before) = before else {
        told.extend(now.loads.then_some(started));
        return told;
    };
    let mut was_told = before.loads;
    let failed = (before.failed..now.failed).map(|_| Event::LoadFailed {
        why: now.fault.clone().unwrap_or_default(),
    });
    let finished = (before.completed..now.completed).map(|_| Event::LoadFinished {
        bytes: now.bytes,
        keys: now.keys,
    });
    for end in failed.chain(finished) {
        told.extend((!was_told).then(|| started.clone()));
        told.push(end);
        was_told = false;
    }
    match (now.loads, was_told) {
        (true, false) => told.push(started),
        (true, true) if before.bytes != now.bytes || before.keys != now.keys => {
            told.push(Event::LoadProgress {
                bytes: now.bytes,
                bytes_expected: now.bytes_expected,
                keys: now.keys,
            });
        }
        _ => {}
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    const STARTED: Event = Event::LoadStarted {
        bytes_expected: Some(9),
    };

    const FINISHED: Event = Event::LoadFinished { bytes: 9, keys: 2 };

    fn in_sync() -> Facts {
        Facts {
            links: 1,
            completed: 1,
            bytes: 9,
            bytes_expected: Some(9),
            keys: 2,
            fault: Some("reset".to_owned()),
            ..Facts::default()
        }
    }

    fn no_link() -> OutOfSync {
        let why = Some("reset".to_owned());
        OutOfSync::NoLink { why }
    }

    #[test]
    fn the_first_look_tells_how_it_stands() {
        assert_eq!(events(None, &in_sync()), [Event::InSync]);
        let loads = Facts {
            lacks: Some(OutOfSync::Loading),
            loads: true,
            ..in_sync()
        };
        let told = events(None, &loads);
        assert_eq!(told, [Event::OutOfSync(OutOfSync::Loading), STARTED]);
        assert_eq!(events(Some(&loads), &loads), []);
        assert_eq!(events(Some(&in_sync()), &in_sync()), []);
    }

    #[test]
    fn a_load_is_told_from_its_start_to_its_end() {
        let loads = Facts {
            lacks: Some(OutOfSync::Loading),
            loads: true,
            completed: 0,
            bytes: 4,
            keys: 1,
            ..in_sync()
        };
        let more = Facts {
            bytes: 6,
            ..loads.clone()
        };
        let progress = Event::LoadProgress {
            bytes: 6,
            bytes_expected: Some(9),
            keys: 1,
        };
        assert_eq!(events(Some(&loads), &more), [progress]);
        assert_eq!(events(Some(&more), &in_sync()), [FINISHED, Event::InSync]);
        let failed = Facts {
            loads: false,
            failed: 1,
            lacks: Some(no_link()),
            ..more.clone()
        };
        let why = "reset".to_owned();
        let told = events(Some(&more), &failed);
        let expected = [Event::OutOfSync(no_link()), Event::LoadFailed { why }];
        assert_eq!(told, expected);
    }

    #[test]
    fn what_began_and_ended_between_two_looks_is_told() {
        let other_link = Facts {
            links: 2,
            ..in_sync()
        };
        let told = events(Some(&in_sync()), &other_link);
        assert_eq!(told, [Event::OutOfSync(no_link()), Event::InSync]);
        let other_load = Facts {
            completed: 2,
            ..other_link
        };
        let told = events(Some(&in_sync()), &other_load);
        let expected = [
            Event::OutOfSync(no_link()),
            STARTED,
            FINISHED,
            Event::InSync,
        ];
        assert_eq!(told, expected);
    }
}
