//! How much output may wait for a client: `client-output-buffer-limit`.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::client::Client;
use crate::resp::parse_integer;
use crate::value::memory;

/// The classes of clients that have limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Clients that ask and get replies.
    Normal,
    /// Replicas. redtail has none; the limits are shown, and nothing else.
    Replica,
    /// Clients with a subscription.
    Pubsub,
}

impl Class {
    /// All classes, in the order in which CONFIG GET shows them, with the names that it uses.
    pub const ALL: [(Self, &'static str); 3] = [
        (Self::Normal, "normal"),
        (Self::Replica, "slave"),
        (Self::Pubsub, "pubsub"),
    ];
}

/// The limits of one class; 0 means none.
#[derive(Debug, Default)]
pub struct Limit {
    /// With this many bytes waiting, a client is disconnected.
    pub hard: AtomicUsize,
    /// With this many bytes waiting for longer than `seconds`, too.
    pub soft: AtomicUsize,
    /// See `soft`.
    pub seconds: AtomicU64,
}

/// The limits of all classes, and what became of clients that exceeded theirs.
#[derive(Debug, Default)]
pub struct OutputLimits {
    limits: [Limit; 3],
    /// Clients that were disconnected.
    pub disconnections: AtomicU64,
    logged: Mutex<Option<Instant>>,
}

/// The buffer that every client of a server has. Source: redis 7.0 server.h, `PROTO_REPLY_CHUNK_BYTES`.
const UNCOUNTED_BYTES: usize = 16 << 10;

/// Hard limit, soft limit, seconds.
fn bounds_of(words: &[&str]) -> Option<[i128; 3]> {
    let [hard, soft, seconds] = words else {
        return None;
    };
    let seconds = parse_integer(seconds.as_bytes()).filter(|seconds| *seconds >= 0)?;
    Some([
        memory(hard.as_bytes())?,
        memory(soft.as_bytes())?,
        i128::from(seconds),
    ])
}

/// At most one disconnection in this time is logged: clients that come back would fill the log.
const LOG_EVERY: Duration = Duration::from_secs(10);

impl OutputLimits {
    /// The limits of a class.
    #[must_use]
    pub const fn of(&self, class: Class) -> &Limit {
        let [normal, replica, pubsub] = &self.limits;
        match class {
            Class::Normal => normal,
            Class::Replica => replica,
            Class::Pubsub => pubsub,
        }
    }

    /// The limits as CONFIG GET shows them: four words for each class.
    #[must_use]
    pub fn shown(&self) -> String {
        let words = Class::ALL.map(|(class, name)| {
            let limit = self.of(class);
            let hard = limit.hard.load(Ordering::Relaxed);
            let soft = limit.soft.load(Ordering::Relaxed);
            format!(
                "{name} {hard} {soft} {}",
                limit.seconds.load(Ordering::Relaxed)
            )
        });
        words.join(" ")
    }

    /// Reads limits, four words for each class that changes, and returns them all as [`shown`](Self::shown) does. `now` is what
    /// that returned before.
    ///
    /// # Errors
    /// The reason, in the words of servers. Source: redis 7.0 config.c, `updateClientOutputBufferLimit`.
    pub fn read(text: &[u8], now: &str) -> Result<String, &'static str> {
        let text = String::from_utf8_lossy(text);
        let words: Vec<&str> = text.split_whitespace().collect();
        if !words.len().is_multiple_of(4) {
            return Err("Wrong number of arguments in buffer limit configuration.");
        }
        let mut limits: Vec<String> = now.split(' ').map(str::to_owned).collect();
        for given in words.chunks_exact(4) {
            let [class, bounds @ ..] = given else {
                continue;
            };
            let is = |name: &str| class.eq_ignore_ascii_case(name);
            let mut names = Class::ALL.iter().map(|(_, name)| name);
            let place = names.position(|name| is(name) || (*name == "slave" && is("replica")));
            let place =
                place.ok_or("Invalid client class specified in buffer limit configuration.")?;
            let bounds = bounds_of(bounds).ok_or(
                "Error in hard, soft or soft_seconds setting in buffer limit configuration.",
            )?;
            // Without a limit for normal clients, redtail's own limit holds and is shown.
            if let (0, [0, 0, _]) = (place, bounds) {
                continue;
            }
            for (slot, bound) in limits.iter_mut().skip(place * 4 + 1).zip(bounds) {
                *slot = bound.to_string();
            }
        }
        Ok(limits.join(" "))
    }

    /// The most bytes of replies that may wait for a normal client; `own` if it has no hard limit.
    #[must_use]
    pub fn reply_bytes_max(&self, own: usize) -> usize {
        match self.of(Class::Normal).hard.load(Ordering::Relaxed) {
            0 => own,
            hard if hard == own => own,
            // Servers do not count this much either.
            hard => hard.max(UNCOUNTED_BYTES),
        }
    }

    /// Adopts limits as [`shown`](Self::shown) returns them. Ignores what it does not understand.
    pub fn adopt(&self, shown: &str) {
        let words: Vec<&str> = shown.split_whitespace().collect();
        for given in words.chunks_exact(4) {
            let [name, hard, soft, seconds] = given else {
                continue;
            };
            let found = Class::ALL.iter().find(|(_, known)| known == name);
            let numbers = (hard.parse(), soft.parse(), seconds.parse());
            if let (Some((class, _)), (Ok(hard), Ok(soft), Ok(seconds))) = (found, numbers) {
                let limit = self.of(*class);
                limit.hard.store(hard, Ordering::Relaxed);
                limit.soft.store(soft, Ordering::Relaxed);
                limit.seconds.store(seconds, Ordering::Relaxed);
            }
        }
    }

    /// Whether a client for which `bytes` wait exceeds its limits. `since` is when it exceeded the soft limit, and is kept up to
    /// date.
    ///
    /// Source: redis 7.0 networking.c, `checkClientOutputBufferLimits`.
    pub fn exceeds(&self, class: Class, bytes: usize, since: &mut Option<Instant>) -> bool {
        let limit = self.of(class);
        let hard = limit.hard.load(Ordering::Relaxed);
        if hard > 0 && bytes >= hard {
            return true;
        }
        let soft = limit.soft.load(Ordering::Relaxed);
        if soft == 0 || bytes < soft {
            *since = None;
            return false;
        }
        let since = *since.get_or_insert_with(Instant::now);
        // Servers count whole seconds.
        since.elapsed().as_secs() > limit.seconds.load(Ordering::Relaxed)
    }

    /// Disconnects a client for which `bytes` would wait, because of its limits or because all clients together hold too much
    /// (`for_memory`).
    #[cold]
    pub fn disconnect(&self, client: &Client, class: Class, bytes: usize, for_memory: bool) {
        client.close.cancel();
        let count = self.disconnections.fetch_add(1, Ordering::Relaxed) + 1;
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.is_some_and(|at| at.elapsed() < LOG_EVERY) {
            return;
        }
        *logged = Some(Instant::now());
        let setting = match for_memory {
            true => "clients-memory",
            false => "client-output-buffer-limit",
        };
        tracing::warn!(
            client = client.id,
            address = %client.address,
            ?class,
            bytes,
            count,
            setting,
            "disconnected a client that takes its output too slowly"
        );
    }
}
