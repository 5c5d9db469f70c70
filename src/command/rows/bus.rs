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
use crate::limits::BUS_BYTES_MAX;

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

#[derive(Debug)]
struct Wish {
    asked: Instant,
    is_heard: bool,
}

#[derive(Debug, Default)]
struct State {
    wishes: [HashMap<Name, Wish>; 3],
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
        let wishes = kind.of_mut(&mut state.wishes);
        for name in names {
            let wish = wishes.entry(Name::from(name)).or_insert_with(|| {
                is_new = true;
                Wish {
                    asked: Instant::now(),
                    is_heard: false,
                }
            });
            wish.asked = Instant::now();
            all &= wish.is_heard;
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
        let mut forgotten = false;
        let mut state = self.state();
        for kind in Kind::ALL {
            kind.of_mut(&mut state.wishes).retain(|name, wish| {
                let stays = is_used(kind, name) || wish.asked.elapsed() < UNUSED;
                forgotten |= !stays;
                stays
            });
        }
        drop(state);
        if forgotten {
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
