//! The couriers: tasks that each listen to a replica's feed, and hand what happens there to the clients that asked for it. There is one
//! for each shard of a cluster, and otherwise a single one.
//!
//! A courier listens only while a client wants something. A client that subscribes is entered into the tables, then the courier listens
//! ([`Couriers::hear`]), then the client gets its reply: the writer adopts the interest with its next piece of the stream, so
//! everything that the primary sends after the reply arrives. What the courier shows has become visible before.
//!
//! It waits for no client: what a client does not read waits in its inbox, within the client's limits. If the courier itself is
//! so slow that the feed has dropped something ([`Lost`]), all who might have missed it are disconnected.
//!
//! A courier that panics begins again, without what it had in hand: all who might have missed that are disconnected, and all clients that
//! track forget what they have cached. Whoever cannot even be told so is disconnected, with all other clients.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::shared::Server;
use crate::command::tracking::Broadcast;
use crate::command::{
    Channels, Event, EventFlags, Host as _, InCluster, Message, Unfinished, Woken,
};
use crate::dialect::Dialect;
use crate::feed::{Change, Class, Dial, Fact, Feed, Interest, Listener, Lost, News};

/// How long the courier listens on once nobody wants anything: clients come and go.
const LINGER: Duration = Duration::from_secs(10);

/// Receptions after which other tasks get a turn, and those who got something may be woken.
const TURN_RECEPTIONS: usize = 1024;

/// Inboxes that get one message in one go. That takes some dozen microseconds, and a read may wait for it.
const RECEPTIONS_AT_ONCE: usize = 256;

/// Receptions of each connection, on average, after which all are woken: one write takes as long as some hundred receptions, so
/// messages that have come together are written together. But the first must not wait for long.
const WRITTEN_TOGETHER: usize = 16;

/// How many connections are woken before other tasks get a turn: a reader's request waits for the writes of this many, which take
/// some microseconds each. Fewer than the tasks that the runtime of `redtail serve` runs before it looks for new requests, because
/// the courier goes on only then: what it has woken by that time must have run.
const WOKEN_AT_ONCE: usize = 4;

/// What is handed out together.
#[derive(Default)]
struct Round {
    dialect: Dialect,
    /// The keyspace notifications to publish.
    events: EventFlags,
    channels: Channels,
    woken: Woken,
    /// What is still to be handed out before anything else.
    unfinished: Unfinished,
    /// Keys for the clients that want to know of all changes.
    broadcast: Broadcast,
    /// Receptions since other tasks had a turn.
    turn: usize,
    /// Receptions before that since the last wake.
    unwoken: usize,
}

/// All couriers.
#[derive(Debug, Default)]
pub(super) struct Couriers(Mutex<Vec<Arc<Courier>>>);

impl Couriers {
    /// One that listens to `feed`.
    pub(super) fn of(feed: &Arc<Feed>) -> Self {
        Self(Mutex::new(vec![Arc::new(Courier::new(feed))]))
    }

    /// The courier that listens to `feed`.
    fn find(&self, feed: &Arc<Feed>) -> Option<Arc<Courier>> {
        let all = self.all();
        let found = all.iter().find(|courier| courier.is_of(feed));
        found.map(Arc::clone)
    }

    /// Ends those whose feeds `stays` returns false for.
    fn retain(&self, stays: impl Fn(&Arc<Courier>) -> bool) {
        let mut all = self.all();
        let gone = all.extract_if(.., |courier| !stays(courier));
        gone.for_each(|courier| courier.end.cancel());
    }

    fn all(&self) -> MutexGuard<'_, Vec<Arc<Courier>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Also listens for what `wanted` returns.
    pub(super) fn hear(&self, wanted: impl Fn() -> Interest) {
        for courier in &*self.all() {
            courier.hear(&wanted);
        }
    }
}

/// What a courier listens with.
#[derive(Debug)]
struct Courier {
    feed: Arc<Feed>,
    /// Cancelled when its shard is gone.
    end: CancellationToken,
    dial: Dial,
    /// What it listens for.
    heard: Mutex<Interest>,
    /// Locked by the task.
    listener: tokio::sync::Mutex<Listener>,
}

impl Courier {
    /// Creates a courier that listens for nothing yet.
    fn new(feed: &Arc<Feed>) -> Self {
        let listener = feed.listen(Interest::NONE);
        Self {
            feed: Arc::clone(feed),
            end: CancellationToken::new(),
            dial: listener.dial(),
            heard: Mutex::default(),
            listener: tokio::sync::Mutex::new(listener),
        }
    }

    fn is_of(&self, feed: &Arc<Feed>) -> bool {
        Arc::ptr_eq(&self.feed, feed)
    }

    fn heard(&self) -> Interest {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Also listens for what `wanted` returns.
    fn hear(&self, wanted: impl Fn() -> Interest) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = wanted();
        if !heard.has(wanted) {
            *heard = heard.with(wanted);
            self.dial.set_interest(*heard);
        }
    }

    /// Listens for nothing but what `wanted` returns.
    fn hear_only(&self, wanted: impl FnOnce() -> Interest) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        // A client that wants more by now calls `hear` after this.
        let wanted = wanted();
        if *heard != wanted {
            *heard = wanted;
            self.dial.set_interest(wanted);
        }
    }
}

impl Server {
    /// What clients want to hear.
    pub(super) fn wanted(&self) -> Interest {
        let touches = match self.statistics.tracking.any() {
            true => Interest::TOUCHES,
            false => Interest::NONE,
        };
        if !self.pubsub.any() {
            return touches;
        }
        let flags = self.tunables.event_flags();
        let mut wanted = touches.with(Interest::MESSAGES);
        if flags.any() {
            wanted = wanted.with(Interest::EVENTS);
        }
        if flags.any() && flags.publishes(Class::KEY_MISS) {
            wanted = wanted.with(Interest::MISSES);
        }
        wanted
    }

    /// Hands out what happens until `stop` is cancelled.
    pub(super) async fn run_couriers(self: Arc<Self>, stop: CancellationToken) {
        if self.shards().is_some() {
            let follow = || Arc::clone(&self).follow_shards(stop.clone());
            return self.keep_running(follow).await;
        }
        if let Some(courier) = self.couriers.find(self.served().feed()) {
            self.run_courier(courier, stop).await;
        }
    }

    /// Keeps a courier for each shard of a cluster, until `stop` is cancelled.
    async fn follow_shards(self: Arc<Self>, stop: CancellationToken) {
        let Some(shards) = self.shards() else {
            return;
        };
        let mut changes = shards.changes();
        let lookout = shards.lookout().watch();
        loop {
            let moved = lookout.moved();
            tokio::pin!(moved);
            // From here on, no change is missed.
            moved.as_mut().enable();
            let map = shards.map();
            let feeds = || map.parts.iter().map(|part| part.served.feed());
            self.couriers
                .retain(|courier| feeds().any(|feed| courier.is_of(feed)));
            for feed in feeds() {
                if self.couriers.find(feed).is_none() {
                    self.add_courier(feed, &stop);
                }
            }
            let now = shards.changes();
            if std::mem::replace(&mut changes, now) != now {
                // What a client read in a slot's old shard may have changed in its new one by then.
                self.statistics.tracking.flush(&*self);
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = moved => {}
            }
        }
    }

    fn add_courier(self: &Arc<Self>, feed: &Arc<Feed>, stop: &CancellationToken) {
        let courier = Arc::new(Courier::new(feed));
        self.couriers.all().push(Arc::clone(&courier));
        courier.hear(|| self.wanted());
        let (server, stop) = (Arc::clone(self), stop.clone());
        tokio::spawn(server.run_courier(courier, stop));
    }

    /// Hands out what happens in one feed until `stop` or its own end is cancelled.
    async fn run_courier(self: Arc<Self>, courier: Arc<Courier>, stop: CancellationToken) {
        let server = Arc::downgrade(&self);
        courier.feed.on_miss(move |db, key| {
            if let Some(server) = server.upgrade() {
                server.hand_miss(db, key);
            }
        });
        self.keep_running(|| {
            let (server, courier, stop) = (Arc::clone(&self), Arc::clone(&courier), stop.clone());
            async move { server.carry(&courier, &stop).await }
        })
        .await;
    }

    /// Runs a task that hands something out. If it panics, it begins again without what it had in hand.
    pub(super) async fn keep_running<Task>(&self, begin: impl Fn() -> Task)
    where
        Task: Future<Output = ()> + Send + 'static,
    {
        while let Err(end) = tokio::spawn(begin()).await {
            if !end.is_panic() {
                // The runtime ends.
                return;
            }
            self.lose_all(FAILED);
        }
    }

    async fn carry(&self, courier: &Courier, stop: &CancellationToken) {
        let mut listener = courier.listener.lock().await;
        let (mut round, mut wanted_at) = (Round::default(), Instant::now());
        while !stop.is_cancelled() && !courier.end.is_cancelled() {
            self.rest(courier, &mut wanted_at);
            let news = match listener.try_next() {
                Ok(Some(news)) => Ok(news),
                // Whatever has come in the meantime is handed out together.
                Ok(None) => {
                    self.finish(&mut round).await;
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = courier.end.cancelled() => return,
                        news = listener.next() => news,
                        () = tokio::time::sleep(LINGER) => continue,
                    }
                }
                Err(Lost) => Err(Lost),
            };
            match news {
                Ok(news) => self.hand_out(courier, &news, &mut round).await,
                Err(Lost) => self.lose_all(TOO_SLOW),
            }
        }
        // The rest of the last round.
        self.finish(&mut round).await;
    }

    /// Stops listening for what nobody has wanted for a while.
    fn rest(&self, courier: &Courier, wanted_at: &mut Instant) {
        if self.wanted().has(courier.heard()) {
            *wanted_at = Instant::now();
        } else if wanted_at.elapsed() >= LINGER {
            courier.hear_only(|| self.wanted());
        }
    }

    async fn hand_out(&self, courier: &Courier, news: &News, round: &mut Round) {
        self.begin(round);
        for change in news.changes(courier.heard()) {
            round.turn += 1 + self.hand(change, round);
            while !round.unfinished.is_empty() {
                let Round {
                    unfinished, woken, ..
                } = round;
                round.turn += self.pubsub.go_on(unfinished, RECEPTIONS_AT_ONCE, woken);
                tokio::task::yield_now().await;
            }
            if round.turn >= TURN_RECEPTIONS {
                round.unwoken += std::mem::take(&mut round.turn);
                if round.unwoken >= round.woken.count() * WRITTEN_TOGETHER {
                    self.finish(round).await;
                }
                tokio::task::yield_now().await;
            }
        }
    }

    /// Lets those write who got something.
    async fn finish(&self, round: &mut Round) {
        self.statistics
            .tracking
            .broadcast(self, &mut round.broadcast);
        round.unwoken = 0;
        while round.woken.wake(WOKEN_AT_ONCE) {
            tokio::task::yield_now().await;
        }
    }

    /// Prepares `round` for what comes now: another generation may speak another dialect.
    fn begin(&self, round: &mut Round) {
        round.dialect = self.dialect_now();
        round.events = self.tunables.event_flags().known_to(round.dialect);
    }

    /// Hands out one change. Those who get something are woken later. Returns how many clients have received something.
    fn hand(&self, change: Change<'_>, round: &mut Round) -> usize {
        let tracking = &self.statistics.tracking;
        #[cfg(test)]
        tests::fail_if_asked(change.fact);
        match change.fact {
            Fact::Event {
                class, event, key, ..
            } if round.events.publishes(class) => {
                let event = Event {
                    db: change.db,
                    name: event,
                    key,
                };
                self.publish(event, round)
            }
            Fact::Message {
                sharded,
                channel,
                payload,
            } => {
                let message = Message {
                    channel,
                    payload,
                    sharded,
                };
                let Round {
                    dialect,
                    woken,
                    unfinished,
                    ..
                } = round;
                let most = RECEPTIONS_AT_ONCE;
                self.pubsub
                    .begin(message, *dialect, most, woken, unfinished)
            }
            Fact::Touch { key } | Fact::Doubt { key } => {
                tracking.touch(self, key, &mut round.broadcast);
                0
            }
            Fact::DoubtOfEverything
            | Fact::Flushed
            | Fact::Swapped { .. }
            | Fact::Replaced { told: false } => {
                tracking.flush(self);
                tracking.clients()
            }
            // Touches say the rest.
            Fact::Replaced { told: true } | Fact::Event { .. } | Fact::Command { .. } => 0,
        }
    }

    /// Publishes a keyspace notification. Returns how many clients have received something.
    fn publish(&self, event: Event<'_>, round: &mut Round) -> usize {
        let Round {
            dialect,
            events,
            channels,
            woken,
            unfinished,
            ..
        } = round;
        let mut received = 0;
        channels.each(*events, event, |channel, payload| {
            let message = Message {
                channel,
                payload,
                sharded: false,
            };
            let most = RECEPTIONS_AT_ONCE;
            received += self
                .pubsub
                .begin(message, *dialect, most, woken, unfinished);
        });
        received
    }

    /// Publishes that a client has read an absent key. That client is none of those who lose something if this panics.
    fn hand_miss(&self, db: usize, key: &[u8]) {
        let handed = catch_unwind(AssertUnwindSafe(|| {
            #[cfg(test)]
            tests::fail_if_asked(Fact::Touch { key });
            let mut round = Round::default();
            self.begin(&mut round);
            if round.events.publishes(Class::KEY_MISS) {
                let name = "keymiss";
                self.publish(Event { db, name, key }, &mut round);
            }
            let Round {
                unfinished, woken, ..
            } = &mut round;
            while !unfinished.is_empty() {
                self.pubsub.go_on(unfinished, usize::MAX, woken);
            }
        }));
        if handed.is_err() {
            self.lose_all(FAILED);
        }
    }

    fn dialect_now(&self) -> Dialect {
        let dialect = match self.shards() {
            Some(shards) => InCluster::new(shards).any().map(|held| held.dialect),
            None => self.served().peek().as_deref().map(|held| held.dialect),
        };
        dialect.or(self.config.dialect).unwrap_or_default()
    }

    /// Nothing is left out silently: those who might have missed something are disconnected, or forget what they have cached.
    #[cold]
    fn lose_all(&self, what: &'static str) {
        let told = catch_unwind(AssertUnwindSafe(|| self.tell_of_loss(what)));
        if told.is_err() {
            // Whoever was not told must not stay.
            let clients = self.clients.all();
            clients.iter().for_each(|client| client.close.cancel());
            tracing::error!(
                clients = clients.len(),
                "telling clients that they may have missed something failed, which is a bug of redtail: disconnected all clients"
            );
        }
    }

    fn tell_of_loss(&self, what: &'static str) {
        #[cfg(test)]
        tests::fail_to_tell(self);
        let clients = self.pubsub.disconnect_all();
        if clients > 0 {
            let losses = &self.statistics.feed_losses;
            let count = losses.fetch_add(1, Ordering::Relaxed) + 1;
            tracing::error!(clients, count, "{what}");
        }
        let tracking = &self.statistics.tracking;
        if tracking.any() {
            tracking.flush(self);
            tracing::warn!(
                clients = tracking.clients(),
                "changes may have been missed: all clients that track forget what they have cached"
            );
        }
    }
}

const TOO_SLOW: &str = "the primary sent messages faster than they could be handed out: disconnected all subscribers, because some messages are lost";

const FAILED: &str = "handing out messages failed, which is a bug of redtail: disconnected all subscribers, because some messages are lost";

/// Panics where a test asks for one.
#[cfg(test)]
mod tests {
    use super::{Fact, Server};
    use crate::command::Kind;

    /// Fails to hand out messages and touches of this name.
    pub(super) fn fail_if_asked(fact: Fact<'_>) {
        if let Fact::Message { channel: name, .. } | Fact::Touch { key: name } = fact {
            assert_ne!(name, b"fail", "a test asks for this panic");
        }
    }

    /// Fails while somebody has subscribed to this channel.
    pub(super) fn fail_to_tell(server: &Server) {
        let fails = server.pubsub.has(Kind::Channel, b"fail to tell");
        assert!(!fails, "a test asks for this panic");
    }
}
