//! The messages of a cluster.
//!
//! A cluster's servers do not send messages to their replicas: a published message goes over the cluster's bus, of which redtail is no
//! part. So redtail subscribes at servers of the cluster to what its own clients subscribe to, and hands on what comes, each message
//! once. Here both sides meet: the server asks for names and takes what is heard; `replica::cluster` asks the cluster.
//!
//! Messages that may have been lost are not lost silently: the subscription is said to have ended, and its subscribers are
//! disconnected. As at a server of the cluster, messages are not ordered against writes.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::pubsub::{Kind, Name};
use crate::limits::{BUS_BYTES_MAX, BUS_NAMES_BYTES_MAX};

/// How long a name stays that nobody has subscribed to: whoever asked may be about to.
const UNUSED: Duration = Duration::from_secs(10);

/// What was heard.
#[derive(Debug)]
pub enum Heard {
    /// A message.
    Message {
        /// What was subscribed to.
        kind: Kind,
        /// The channel or pattern.
        name: bytes::Bytes,
        /// The channel of the message.
        channel: bytes::Bytes,
        /// What is said.
        payload: bytes::Bytes,
    },
    /// Messages for these subscribers may be lost.
    Ended(Kind, Name),
}

impl Heard {
    fn bytes(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Message {
                    name,
                    channel,
                    payload,
                    ..
                } => name.len() + channel.len() + payload.len(),
                Self::Ended(_, name) => name.len(),
            }
    }
}

/// What a name takes here and on its way to the cluster.
const fn cost(name: &[u8]) -> usize {
    NAME_OVERHEAD_BYTES + name.len()
}

/// What a name takes in addition to its bytes.
const NAME_OVERHEAD_BYTES: usize = 200;

#[derive(Debug)]
struct Wish {
    asked: Instant,
    is_heard: bool,
}

#[derive(Debug, Default)]
struct State {
    wishes: [HashMap<Name, Wish>; 3],
    /// What these names take.
    wished_bytes: usize,
    queue: VecDeque<Heard>,
    queued_bytes: usize,
    /// Why the cluster's messages cannot be heard.
    fault: Option<String>,
}

/// What clients want to hear of a cluster's messages, and what has come.
#[derive(Debug, Default)]
pub struct Bus {
    state: Mutex<State>,
    asked: Notify,
    came: Notify,
}

impl Bus {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for names. Returns whether all of them are heard.
    pub(crate) fn ask<'n>(&self, kind: Kind, names: impl Iterator<Item = &'n [u8]>) -> bool {
        let (mut all, mut is_new) = (true, false);
        let mut state = self.state();
        let State {
            wishes,
            wished_bytes,
            fault,
            ..
        } = &mut *state;
        let wishes = kind.of_mut(wishes);
        for name in names {
            let asked = Instant::now();
            if let Some(wish) = wishes.get_mut(name) {
                wish.asked = asked;
                all &= wish.is_heard;
                continue;
            }
            all = false;
            if *wished_bytes + cost(name) > BUS_NAMES_BYTES_MAX {
                *fault = Some("too many channels are subscribed to".to_owned());
                break;
            }
            *wished_bytes += cost(name);
            is_new = true;
            let is_heard = false;
            wishes.insert(Name::from(name), Wish { asked, is_heard });
        }
        drop(state);
        if is_new {
            self.asked.notify_one();
        }
        all
    }

    /// Why the cluster's messages cannot be heard, if that is known.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        self.state().fault.clone()
    }

    /// Forgets the names that nobody has subscribed to for a while.
    pub fn forget(&self, is_used: impl Fn(Kind, &[u8]) -> bool) {
        let mut freed = 0;
        let mut state = self.state();
        for kind in Kind::ALL {
            kind.of_mut(&mut state.wishes).retain(|name, wish| {
                let stays = is_used(kind, name) || wish.asked.elapsed() < UNUSED;
                freed += if stays { 0 } else { cost(name) };
                stays
            });
        }
        state.wished_bytes -= freed;
        drop(state);
        if freed > 0 {
            self.asked.notify_one();
        }
    }

    /// Whether a name is heard.
    #[must_use]
    pub fn is_heard(&self, kind: Kind, name: &[u8]) -> bool {
        let state = self.state();
        let wish = kind.of(&state.wishes).get(name);
        wish.is_some_and(|wish| wish.is_heard)
    }

    /// What is wanted: channels, patterns and shard channels.
    #[must_use]
    pub fn wanted(&self) -> [HashSet<Name>; 3] {
        let state = self.state();
        Kind::ALL.map(|kind| kind.of(&state.wishes).keys().cloned().collect())
    }

    /// Waits until something else is wanted.
    pub async fn asked(&self) {
        self.asked.notified().await;
    }

    /// Notes that a name is heard from now on.
    pub fn begin(&self, kind: Kind, name: &[u8]) {
        let mut state = self.state();
        state.fault = None;
        if let Some(wish) = kind.of_mut(&mut state.wishes).get_mut(name) {
            wish.is_heard = true;
        }
    }

    /// Notes that names are heard no longer.
    pub fn end<'n>(&self, names: impl Iterator<Item = (Kind, &'n Name)>, fault: Option<String>) {
        let mut state = self.state();
        state.fault = fault.or_else(|| state.fault.take());
        for (kind, name) in names {
            let wish = kind.of_mut(&mut state.wishes).get_mut(&**name);
            if wish.is_some_and(|wish| std::mem::take(&mut wish.is_heard)) {
                state.queue.push_back(Heard::Ended(kind, Arc::clone(name)));
            }
        }
        drop(state);
        self.came.notify_one();
    }

    /// Notes that no name is heard any longer.
    pub fn end_all(&self, fault: &str) {
        let wanted = self.wanted();
        let names = Kind::ALL.iter().zip(&wanted);
        let names = names.flat_map(|(kind, names)| names.iter().map(|name| (*kind, name)));
        self.end(names, Some(fault.to_owned()));
    }

    /// Passes on what was heard. If the server does not keep up, everything counts as lost.
    pub fn tell(&self, heard: Heard) {
        let mut state = self.state();
        state.queued_bytes += heard.bytes();
        state.queue.push_back(heard);
        if state.queued_bytes > BUS_BYTES_MAX {
            state.queued_bytes = 0;
            let State { wishes, queue, .. } = &mut *state;
            queue.clear();
            for kind in Kind::ALL {
                let names = kind.of(wishes).keys();
                queue.extend(names.map(|name| Heard::Ended(kind, Arc::clone(name))));
            }
        }
        drop(state);
        self.came.notify_one();
    }

    /// Waits for what is heard.
    pub async fn next(&self) -> VecDeque<Heard> {
        loop {
            {
                let mut state = self.state();
                if !state.queue.is_empty() {
                    state.queued_bytes = 0;
                    return std::mem::take(&mut state.queue);
                }
            }
            self.came.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(bus: &Bus, name: &str) -> bool {
        bus.ask(Kind::Channel, std::iter::once(name.as_bytes()))
    }

    #[tokio::test]
    async fn a_name_is_heard_from_its_beginning_to_its_end() {
        let bus = Bus::default();
        assert!(!ask(&bus, "a"));
        bus.asked().await;
        bus.begin(Kind::Channel, b"a");
        assert!(ask(&bus, "a") && !ask(&bus, "b"));
        let (heard, unheard) = (Name::from(&b"a"[..]), Name::from(&b"b"[..]));
        let both = [(Kind::Channel, &heard), (Kind::Channel, &unheard)];
        bus.end(both.into_iter(), Some("gone".to_owned()));
        let ended = bus.next().await;
        assert_eq!(ended.len(), 1, "nobody relied on the other: {ended:?}");
        assert!(!ask(&bus, "a"));
        assert_eq!(bus.fault().as_deref(), Some("gone"));
        bus.begin(Kind::Channel, b"a");
        assert_eq!(bus.fault(), None);
    }

    #[tokio::test]
    async fn what_is_not_handed_out_in_time_ends_all_subscriptions() {
        let bus = Bus::default();
        ask(&bus, "a");
        let payload = bytes::Bytes::from(vec![b'x'; BUS_BYTES_MAX / 4]);
        let message = || Heard::Message {
            kind: Kind::Channel,
            name: "a".into(),
            channel: "a".into(),
            payload: payload.clone(),
        };
        (0..3).for_each(|_| bus.tell(message()));
        assert_eq!(bus.next().await.len(), 3);
        (0..4).for_each(|_| bus.tell(message()));
        let heard = bus.next().await;
        assert!(matches!(heard.front(), Some(Heard::Ended(..))) && heard.len() == 1);
    }

    #[test]
    fn names_are_bounded_and_forgotten() {
        let bus = Bus::default();
        let long = "n".repeat(BUS_NAMES_BYTES_MAX / 2);
        ask(&bus, &long);
        ask(&bus, &format!("{long}2"));
        assert_eq!(bus.wanted()[0].len(), 1);
        assert_eq!(
            bus.fault().as_deref(),
            Some("too many channels are subscribed to")
        );
        bus.forget(|_, _| false);
        assert_eq!(
            bus.wanted()[0].len(),
            1,
            "whoever asked may be about to subscribe"
        );
        bus.state().wishes[0]
            .values_mut()
            .for_each(|wish| wish.asked = Instant::now().checked_sub(UNUSED).unwrap_or(wish.asked));
        bus.forget(|_, _| false);
        assert_eq!(bus.state().wished_bytes, 0);
        assert!(bus.wanted()[0].is_empty());
    }
}
