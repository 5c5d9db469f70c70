//! Who has subscribed to what: channels, patterns and shard channels.
//!
//! A message is encoded once and put into the inbox of each subscriber. The publisher waits only for
//! connections that subscribe or unsubscribe at that moment.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use ahash::RandomState;
use smallvec::SmallVec;

use super::client::Client;
use super::glob::Glob;
use super::inbox::{Inbox, Push};
use crate::dialect::Dialect;

/// What a client subscribes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A channel.
    Channel,
    /// All channels that match a pattern.
    Pattern,
    /// A shard channel.
    Shard,
}

impl Kind {
    /// All kinds, in the order in which [`Client`](super::client::Client) counts them.
    pub const ALL: [Self; 3] = [Self::Channel, Self::Pattern, Self::Shard];

    /// Returns its element of three.
    pub const fn of<T>(self, [channel, pattern, shard]: &[T; 3]) -> &T {
        match self {
            Self::Channel => channel,
            Self::Pattern => pattern,
            Self::Shard => shard,
        }
    }

    pub(crate) const fn of_mut<T>(self, [channel, pattern, shard]: &mut [T; 3]) -> &mut T {
        match self {
            Self::Channel => channel,
            Self::Pattern => pattern,
            Self::Shard => shard,
        }
    }
}

/// A message.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// The channel.
    pub channel: &'a [u8],
    /// What is said.
    pub payload: &'a [u8],
    /// Whether the channel is a shard's.
    pub sharded: bool,
}

/// Messages that a script has published.
#[derive(Debug, Default)]
pub struct Outbox {
    messages: Vec<Posted>,
    bytes: usize,
}

#[derive(Debug)]
struct Posted {
    channel: Box<[u8]>,
    payload: Box<[u8]>,
    sharded: bool,
}

/// Maximum bytes that a script may publish.
const OUTBOX_BYTES_MAX: usize = 64 << 20;

/// Bytes that a message takes in an outbox in addition to its own.
const OUTBOX_OVERHEAD_BYTES: usize = 64;

impl Outbox {
    /// Adds a message. Returns false if there is no room for it.
    #[must_use]
    pub fn add(&mut self, message: Message<'_>) -> bool {
        let Message {
            channel, payload, ..
        } = message;
        self.bytes += channel.len() + payload.len() + OUTBOX_OVERHEAD_BYTES;
        let fits = self.bytes <= OUTBOX_BYTES_MAX;
        if fits {
            self.messages.push(Posted {
                channel: channel.into(),
                payload: payload.into(),
                sharded: message.sharded,
            });
        }
        fits
    }

    /// The messages in order.
    pub fn messages(&self) -> impl Iterator<Item = Message<'_>> {
        self.messages.iter().map(|posted| Message {
            channel: &posted.channel,
            payload: &posted.payload,
            sharded: posted.sharded,
        })
    }
}

/// A channel or a pattern.
pub(crate) type Name = Arc<[u8]>;
type Map<K, V> = HashMap<K, V, RandomState>;

/// The inboxes of one channel's subscribers, by the client's id.
#[derive(Debug, Default)]
struct Subscribers(SmallVec<[(u64, Arc<Inbox>); 1]>);

impl Subscribers {
    fn add(&mut self, inbox: &Arc<Inbox>) {
        let id = inbox.client().id;
        // Newer clients have higher ids, so most go to the end.
        if let Err(place) = self.0.binary_search_by_key(&id, |(id, _)| *id) {
            self.0.insert(place, (id, Arc::clone(inbox)));
        }
    }

    fn remove(&mut self, id: u64) {
        if let Ok(place) = self.0.binary_search_by_key(&id, |(id, _)| *id) {
            self.0.remove(place);
        }
    }

    /// Disconnects them. Returns their number.
    fn disconnect(&self) -> usize {
        let mut count = 0;
        for (_, inbox) in &self.0 {
            let close = &inbox.client().close;
            count += usize::from(!close.is_cancelled());
            close.cancel();
        }
        count
    }

    /// Puts a message into all inboxes. Returns their number.
    fn put(&self, push: &Push, woken: &mut Woken) -> usize {
        self.put_some(0, usize::MAX, push, woken).len()
    }

    /// Puts a message into at most `most` inboxes, of clients from the id `from` on. Returns whose they are.
    fn put_some(
        &self,
        from: u64,
        most: usize,
        push: &Push,
        woken: &mut Woken,
    ) -> &[(u64, Arc<Inbox>)] {
        let start = self.0.partition_point(|(id, _)| *id < from);
        let rest = self.0.get(start..).unwrap_or_default();
        let some = rest.get(..most).unwrap_or(rest);
        for (_, inbox) in some {
            if inbox.put_push(push) {
                woken.0.push_back(Arc::clone(inbox));
            }
        }
        some
    }
}

/// Maximum bytes of a pattern's literal start that it is found by.
const START_BYTES_MAX: usize = 32;

/// The patterns, by their literal starts: a channel is compared only with patterns that start like it.
#[derive(Debug)]
struct Patterns {
    by_start: Map<Box<[u8]>, Map<Name, Subscribers>>,
    /// How many starts there are of each length.
    lengths: [usize; START_BYTES_MAX + 1],
    count: usize,
}

impl Default for Patterns {
    fn default() -> Self {
        Self {
            by_start: Map::default(),
            lengths: [0; START_BYTES_MAX + 1],
            count: 0,
        }
    }
}

impl Patterns {
    /// Returns the pattern's literal start.
    fn start(pattern: &[u8]) -> &[u8] {
        let special = pattern.iter().position(|byte| b"*?[\\".contains(byte));
        let end = special.unwrap_or(pattern.len()).min(START_BYTES_MAX);
        pattern.get(..end).unwrap_or_default()
    }

    fn count_start(&mut self, start: &[u8], by: isize) {
        if let Some(count) = self.lengths.get_mut(start.len()) {
            *count = count.saturating_add_signed(by);
        }
    }

    fn add(&mut self, pattern: &Name, inbox: &Arc<Inbox>) {
        let start = Self::start(pattern);
        if !self.by_start.contains_key(start) {
            self.count_start(start, 1);
            self.by_start.insert(start.into(), Map::default());
        }
        let Some(found) = self.by_start.get_mut(start) else {
            return;
        };
        let before = found.len();
        found.entry(Arc::clone(pattern)).or_default().add(inbox);
        self.count += found.len() - before;
    }

    fn remove(&mut self, pattern: &[u8], id: u64) {
        let start = Self::start(pattern);
        let Some(found) = self.by_start.get_mut(start) else {
            return;
        };
        self.count -= usize::from(remove(found, pattern, id));
        if found.is_empty() {
            self.by_start.remove(start);
            self.count_start(start, -1);
        }
    }

    /// Passes on the patterns that match.
    fn matching<'s>(
        &'s self,
        channel: &[u8],
        dialect: Dialect,
        mut found: impl FnMut(&'s Name, &'s Subscribers),
    ) {
        let lengths = self
            .lengths
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0);
        let starts = lengths.filter_map(|(length, _)| channel.get(..length));
        for patterns in starts.filter_map(|start| self.by_start.get(start)) {
            for (pattern, subscribers) in patterns {
                if Glob::new(pattern, dialect).matches(channel) {
                    found(pattern, subscribers);
                }
            }
        }
    }
}

/// Removes a client from a channel. Returns whether it was the last one, and the channel is gone.
fn remove(map: &mut Map<Name, Subscribers>, name: &[u8], id: u64) -> bool {
    let Some(subscribers) = map.get_mut(name) else {
        return false;
    };
    subscribers.remove(id);
    let is_last = subscribers.0.is_empty();
    if is_last {
        map.remove(name);
        // A table that was large once must not stay large.
        if map.capacity() > 64 && map.len() < map.capacity() / 8 {
            map.shrink_to_fit();
        }
    }
    is_last
}

#[derive(Debug, Default)]
struct Tables {
    channels: Map<Name, Subscribers>,
    shards: Map<Name, Subscribers>,
    patterns: Patterns,
}

impl Tables {
    /// The channels of a kind that is not patterns.
    const fn named(&self, is_shard: bool) -> &Map<Name, Subscribers> {
        match is_shard {
            true => &self.shards,
            false => &self.channels,
        }
    }

    /// Those who have subscribed to `name`.
    fn of(&self, kind: Kind, name: &[u8]) -> Option<&Subscribers> {
        match kind {
            Kind::Channel => self.channels.get(name),
            Kind::Shard => self.shards.get(name),
            Kind::Pattern => self.patterns.by_start.get(Patterns::start(name))?.get(name),
        }
    }

    /// Each subscription, and whose it is.
    fn all(&self) -> impl Iterator<Item = (Kind, &Name, &Arc<Client>)> {
        let channels = self.channels.iter().map(|one| (Kind::Channel, one));
        let shards = self.shards.iter().map(|one| (Kind::Shard, one));
        let patterns = self.patterns.by_start.values().flatten();
        let patterns = patterns.map(|one| (Kind::Pattern, one));
        let all = channels.chain(shards).chain(patterns);
        all.flat_map(|(kind, (name, subscribers))| {
            let inboxes = subscribers.0.iter();
            inboxes.map(move |(_, inbox)| (kind, name, inbox.client()))
        })
    }

    /// Passes on each name through which clients get a message, with what encodes it for them.
    fn each_part<'s>(
        &'s self,
        message: Message<'_>,
        dialect: Dialect,
        mut found: impl FnMut(Kind, &'s Name, &'s Subscribers, &dyn Fn() -> Push),
    ) {
        let Message {
            channel,
            payload,
            sharded,
        } = message;
        let (kind, word): (_, &[u8]) = match sharded {
            true => (Kind::Shard, b"smessage"),
            false => (Kind::Channel, b"message"),
        };
        if let Some((name, subscribers)) = self.named(sharded).get_key_value(channel) {
            let push = || Push::of(&[word, channel, payload]);
            found(kind, name, subscribers, &push);
        }
        if !sharded && self.patterns.count > 0 {
            self.patterns
                .matching(channel, dialect, |pattern, subscribers| {
                    let push = || Push::of(&[b"pmessage", pattern, channel, payload]);
                    found(Kind::Pattern, pattern, subscribers, &push);
                });
        }
    }

    fn add(&mut self, kind: Kind, name: &Name, inbox: &Arc<Inbox>) {
        match kind {
            Kind::Channel => self
                .channels
                .entry(Arc::clone(name))
                .or_default()
                .add(inbox),
            Kind::Shard => self.shards.entry(Arc::clone(name)).or_default().add(inbox),
            Kind::Pattern => self.patterns.add(name, inbox),
        }
    }

    fn remove(&mut self, kind: Kind, name: &[u8], id: u64) {
        match kind {
            Kind::Channel => drop(remove(&mut self.channels, name, id)),
            Kind::Shard => drop(remove(&mut self.shards, name, id)),
            Kind::Pattern => self.patterns.remove(name, id),
        }
    }
}

/// Connections that have got something and must be woken. Dropping it wakes them.
#[derive(Debug, Default)]
pub struct Woken(VecDeque<Arc<Inbox>>);

impl Woken {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Wakes some of them, at most `most`. Returns whether there are more.
    pub fn wake(&mut self, most: usize) -> bool {
        for inbox in self.0.drain(..most.min(self.0.len())) {
            inbox.wake.notify_one();
        }
        !self.0.is_empty()
    }
}

impl Drop for Woken {
    fn drop(&mut self) {
        self.wake(usize::MAX);
    }
}

/// Messages that many clients get, not all at once.
#[derive(Debug, Default)]
pub struct Unfinished(VecDeque<Part>);

/// A message for those who have subscribed to one name.
#[derive(Debug)]
struct Part {
    kind: Kind,
    name: Name,
    push: Push,
    /// The clients before this id have got it.
    from: u64,
}

impl Unfinished {
    /// Whether everybody has got everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// All subscriptions.
#[derive(Debug, Default)]
pub struct Pubsub(RwLock<Tables>);

impl Pubsub {
    fn tables(&self) -> RwLockReadGuard<'_, Tables> {
        // A poisoned lock may lack a subscriber of a connection that has panicked.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, Tables> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is a subscription of any kind.
    #[must_use]
    pub fn any(&self) -> bool {
        let tables = self.tables();
        tables.patterns.count > 0 || !tables.channels.is_empty() || !tables.shards.is_empty()
    }

    /// Number of channels with a subscriber, patterns, and shard channels.
    #[must_use]
    pub fn counts(&self) -> [usize; 3] {
        let tables = self.tables();
        [
            tables.channels.len(),
            tables.patterns.count,
            tables.shards.len(),
        ]
    }

    /// Number of subscribers of a channel, not counting patterns.
    #[must_use]
    pub fn subscribers(&self, channel: &[u8], is_shard: bool) -> usize {
        let tables = self.tables();
        let found = tables.named(is_shard).get(channel);
        found.map_or(0, |subscribers| subscribers.0.len())
    }

    /// The channels with a subscriber that match a pattern, or all.
    #[must_use]
    pub fn channels(
        &self,
        pattern: Option<&[u8]>,
        is_shard: bool,
        dialect: Dialect,
    ) -> Vec<Arc<[u8]>> {
        let glob = pattern.map(|pattern| Glob::new(pattern, dialect));
        let tables = self.tables();
        let names = tables.named(is_shard).keys();
        let found = names.filter(|name| glob.is_none_or(|glob| glob.matches(name)));
        found.cloned().collect()
    }

    /// How many times a message would be received now.
    #[must_use]
    pub fn receivers(&self, message: Message<'_>, dialect: Dialect) -> usize {
        let tables = self.tables();
        let named = tables.named(message.sharded).get(message.channel);
        let mut count = named.map_or(0, |subscribers| subscribers.0.len());
        if !message.sharded {
            let found = |_: &Name, subscribers: &Subscribers| count += subscribers.0.len();
            tables.patterns.matching(message.channel, dialect, found);
        }
        count
    }

    /// Publishes a message. Returns how many times it was received: a client that has also subscribed to patterns that match
    /// gets it for each.
    pub fn publish(&self, message: Message<'_>, dialect: Dialect) -> usize {
        self.deliver(message, dialect, &mut Woken::default())
    }

    /// Like [`publish`](Self::publish), but leaves it to the caller when to wake those who got it.
    pub fn deliver(&self, message: Message<'_>, dialect: Dialect, woken: &mut Woken) -> usize {
        let mut received = 0;
        self.tables()
            .each_part(message, dialect, |_, _, subscribers, push| {
                received += subscribers.put(&push(), woken);
            });
        received
    }

    /// Like [`deliver`](Self::deliver) for a message that at most `most` get. For others it only notes the message: see
    /// [`go_on`](Self::go_on).
    pub fn begin(
        &self,
        message: Message<'_>,
        dialect: Dialect,
        most: usize,
        woken: &mut Woken,
        unfinished: &mut Unfinished,
    ) -> usize {
        let tables = self.tables();
        let mut parts: SmallVec<[_; 2]> = SmallVec::new();
        let mut receivers = 0;
        tables.each_part(message, dialect, |kind, name, subscribers, push| {
            receivers += subscribers.0.len();
            parts.push((kind, name, subscribers, push()));
        });
        // What is for the same client stays in order.
        if receivers <= most && unfinished.is_empty() {
            let put = |(_, _, subscribers, push): (_, _, &Subscribers, Push)| {
                subscribers.put(&push, woken)
            };
            return parts.into_iter().map(put).sum();
        }
        let parts = parts.into_iter().map(|(kind, name, _, push)| Part {
            kind,
            name: Arc::clone(name),
            push,
            from: 0,
        });
        unfinished.0.extend(parts);
        0
    }

    /// Delivers a message that was begun to at most `most` more subscribers. Returns how many have received it.
    pub fn go_on(&self, unfinished: &mut Unfinished, most: usize, woken: &mut Woken) -> usize {
        let Some(part) = unfinished.0.front_mut() else {
            return 0;
        };
        let tables = self.tables();
        let subscribers = tables.of(part.kind, &part.name);
        let put = subscribers.map(|all| all.put_some(part.from, most, &part.push, woken));
        let put = put.unwrap_or_default();
        match put.last() {
            Some((id, _)) if put.len() == most => part.from = id + 1,
            _ => drop(unfinished.0.pop_front()),
        }
        put.len()
    }

    /// Delivers a message to those who have subscribed to `name` alone.
    pub fn deliver_for(
        &self,
        kind: Kind,
        name: &[u8],
        message: Message<'_>,
        woken: &mut Woken,
    ) -> usize {
        let Message {
            channel, payload, ..
        } = message;
        let tables = self.tables();
        let subscribers = tables.of(kind, name);
        let push = match kind {
            Kind::Channel => Push::of(&[b"message", channel, payload]),
            Kind::Pattern => Push::of(&[b"pmessage", name, channel, payload]),
            Kind::Shard => Push::of(&[b"smessage", channel, payload]),
        };
        subscribers.map_or(0, |subscribers| subscribers.put(&push, woken))
    }

    /// Whether anybody has subscribed to `name`.
    #[must_use]
    pub fn has(&self, kind: Kind, name: &[u8]) -> bool {
        self.tables().of(kind, name).is_some()
    }

    /// Disconnects those who have subscribed to `name`. Returns their number.
    pub fn disconnect(&self, kind: Kind, name: &[u8]) -> usize {
        let tables = self.tables();
        let found = tables.of(kind, name).into_iter();
        found.map(Subscribers::disconnect).sum()
    }

    /// The clients that have a subscription for which `is_so` returns true.
    #[must_use]
    pub fn clients_where(
        &self,
        mut is_so: impl FnMut(Kind, &[u8], &Client) -> bool,
    ) -> Vec<Arc<Client>> {
        let tables = self.tables();
        let mut clients = BTreeMap::new();
        for (kind, name, client) in tables.all() {
            if !clients.contains_key(&client.id) && is_so(kind, name, client) {
                clients.insert(client.id, Arc::clone(client));
            }
        }
        clients.into_values().collect()
    }

    /// Ends all subscriptions of some clients: messages do not count them as receivers any longer.
    pub fn forget(&self, clients: &[Arc<Client>]) {
        let ids: BTreeSet<u64> = clients.iter().map(|client| client.id).collect();
        let mut tables = self.change();
        let all = tables.all();
        let of_them = all.filter(|(.., client)| ids.contains(&client.id));
        let ended = of_them.map(|(kind, name, client)| (kind, Arc::clone(name), client.id));
        let ended: Vec<_> = ended.collect();
        for (kind, name, id) in ended {
            tables.remove(kind, &name, id);
        }
    }

    /// Disconnects all subscribers. Returns their number.
    pub fn disconnect_all(&self) -> usize {
        let tables = self.tables();
        let named = tables.channels.values().chain(tables.shards.values());
        let patterns = tables.patterns.by_start.values().flat_map(Map::values);
        named.chain(patterns).map(Subscribers::disconnect).sum()
    }
}

/// What one client has subscribed to. Dropping it ends all of it.
#[derive(Debug)]
pub struct Subscriptions {
    pubsub: Arc<Pubsub>,
    inbox: Arc<Inbox>,
    names: [std::collections::HashSet<Name, RandomState>; 3],
    /// Bytes that the client's account has granted.
    granted: usize,
}

/// Maximum subscriptions that begin or end under one lock: others must not wait for a client with very many.
const AT_ONCE: usize = 1000;

/// Bytes that one subscription takes in addition to its name.
const OVERHEAD_BYTES: usize = 160;

impl Subscriptions {
    /// Creates the subscriptions of a client that has none yet.
    #[must_use]
    pub fn new(pubsub: Arc<Pubsub>, inbox: Arc<Inbox>) -> Self {
        Self {
            pubsub,
            inbox,
            names: Default::default(),
            granted: 0,
        }
    }

    fn cost(name: &[u8]) -> usize {
        name.len() + OVERHEAD_BYTES
    }

    /// Gets room for subscriptions to all of `names` from the client's account. Returns whether there is.
    #[must_use]
    pub fn reserve<'n>(&mut self, names: impl Iterator<Item = &'n [u8]>) -> bool {
        let bytes = names.map(Self::cost).sum();
        let granted = self.inbox.client().account.grow(bytes);
        if granted {
            self.granted += bytes;
        }
        granted
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.iter().all(std::collections::HashSet::is_empty)
    }

    /// Number of subscriptions of a kind.
    #[must_use]
    pub fn count(&self, kind: Kind) -> usize {
        kind.of(&self.names).len()
    }

    /// Whether there is one to this name.
    #[must_use]
    pub fn has(&self, kind: Kind, name: &[u8]) -> bool {
        kind.of(&self.names).contains(name)
    }

    /// The names of a kind.
    pub fn names(&self, kind: Kind) -> impl Iterator<Item = &Name> {
        kind.of(&self.names).iter()
    }

    /// Subscribes to names for which there is [room](Self::reserve). Calls `done` with the number of each.
    pub fn add<'n>(
        &mut self,
        kind: Kind,
        names: impl Iterator<Item = &'n [u8]>,
        mut done: impl FnMut(&Self, &[u8]),
    ) {
        let pubsub = Arc::clone(&self.pubsub);
        let mut tables = pubsub.change();
        for (index, name) in names.enumerate() {
            if index % AT_ONCE == AT_ONCE - 1 {
                drop(tables);
                tables = pubsub.change();
            }
            let own = kind.of_mut(&mut self.names);
            if own.contains(name) {
                self.give_back(Self::cost(name));
            } else {
                let shared = Name::from(name);
                tables.add(kind, &shared, &self.inbox);
                own.insert(shared);
            }
            self.show(kind);
            done(self, name);
        }
    }

    /// Ends a subscription. Returns whether there was one.
    pub fn remove(&mut self, kind: Kind, name: &[u8]) -> bool {
        let found = kind.of_mut(&mut self.names).remove(name);
        if found {
            let id = self.inbox.client().id;
            self.pubsub.change().remove(kind, name, id);
            self.give_back(Self::cost(name));
            self.show(kind);
        }
        found
    }

    fn give_back(&mut self, bytes: usize) {
        self.granted = self.granted.saturating_sub(bytes);
        self.inbox.client().account.shrink(bytes);
    }

    /// Shows the number of subscriptions to others.
    fn show(&self, kind: Kind) {
        let shown = kind.of(&self.inbox.client().subscribed);
        shown.store(self.count(kind), Ordering::Relaxed);
    }
}

impl Drop for Subscriptions {
    fn drop(&mut self) {
        let client = Arc::clone(self.inbox.client());
        for kind in Kind::ALL {
            let names = std::mem::take(kind.of_mut(&mut self.names));
            let names: Vec<Name> = names.into_iter().collect();
            for some in names.chunks(AT_ONCE) {
                let mut tables = self.pubsub.change();
                for name in some {
                    tables.remove(kind, name, client.id);
                }
            }
            self.show(kind);
        }
        client.account.shrink(self.granted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::rows::client::Client;
    use crate::resp::{Account, Protocol};
    use tokio_util::sync::CancellationToken;

    fn inbox(id: u64) -> Arc<Inbox> {
        let (close, account) = (CancellationToken::new(), Arc::new(Account::default()));
        let client = Client::new(id, String::new(), String::new(), false, close, account);
        Inbox::new(client.into(), Arc::default(), Protocol::Resp2).into()
    }

    fn word(length: usize) -> Vec<u8> {
        let letter = |_| *fastrand::choice(b"ab*?[]\\").unwrap_or(&b'a');
        (0..length).map(letter).collect()
    }

    #[test]
    fn a_message_reaches_the_patterns_that_match_and_no_others() {
        let (pubsub, dialect) = (Arc::new(Pubsub::default()), Dialect::default());
        let mut all = Vec::new();
        for id in 0..300 {
            let mut held = Subscriptions::new(Arc::clone(&pubsub), inbox(id));
            let long = if id % 10 == 0 { 40 } else { 0 };
            let pattern = [vec![b'a'; long], word(fastrand::usize(..5))].concat();
            assert!(held.reserve(std::iter::once(&*pattern)));
            held.add(Kind::Pattern, std::iter::once(&*pattern), |_, _| ());
            all.push((pattern, held));
        }
        for length in (0..6).chain([40, 41, 42, 43]).cycle().take(500) {
            let channel: Vec<u8> = match length {
                0..6 => (0..length)
                    .map(|_| *fastrand::choice(b"ab*").unwrap_or(&b'a'))
                    .collect(),
                length => [vec![b'a'; 40], vec![b'b'; length - 40]].concat(),
            };
            let expected = all
                .iter()
                .filter(|(pattern, _)| Glob::new(pattern, dialect).matches(&channel));
            let message = Message {
                channel: &channel,
                payload: b"",
                sharded: false,
            };
            assert_eq!(
                pubsub.receivers(message, dialect),
                expected.count(),
                "{channel:?}"
            );
        }
        all.clear();
        assert!(!pubsub.any());
        assert_eq!(pubsub.counts(), [0; 3]);
        assert_eq!(pubsub.tables().patterns.lengths, [0; START_BYTES_MAX + 1]);
    }

    fn subscribe(pubsub: &Arc<Pubsub>, id: u64, names: &[(Kind, &str)]) -> Subscriptions {
        let mut held = Subscriptions::new(Arc::clone(pubsub), inbox(id));
        for (kind, name) in names {
            assert!(held.reserve(std::iter::once(name.as_bytes())));
            held.add(*kind, std::iter::once(name.as_bytes()), |_, _| ());
        }
        held
    }

    const NEWS: Message<'static> = Message {
        channel: b"news",
        payload: b"one",
        sharded: false,
    };

    #[test]
    fn a_message_in_parts_is_what_it_is_at_once() {
        let (pubsub, dialect) = (Arc::new(Pubsub::default()), Dialect::default());
        let names = [
            (Kind::Channel, "news"),
            (Kind::Pattern, "n*"),
            (Kind::Pattern, "ne?s"),
            (Kind::Channel, "other"),
            (Kind::Shard, "news"),
        ];
        let all: Vec<_> = (0..100)
            .map(|id| {
                let some = names.into_iter().filter(|_| fastrand::bool());
                subscribe(&pubsub, id, &some.collect::<Vec<_>>())
            })
            .collect();
        let taken = || -> Vec<_> { all.iter().map(|held| held.inbox.take()).collect() };
        let other = Message {
            channel: b"other",
            ..NEWS
        };
        for message in [
            NEWS,
            Message {
                sharded: true,
                ..NEWS
            },
        ] {
            let mut woken = Woken::default();
            let count = pubsub.deliver(message, dialect, &mut woken)
                + pubsub.deliver(other, dialect, &mut woken);
            let at_once = taken();
            for most in [1, 7, 1000] {
                let mut unfinished = Unfinished::default();
                let mut received = 0;
                for message in [message, other] {
                    received += pubsub.begin(message, dialect, most, &mut woken, &mut unfinished);
                }
                assert_eq!(unfinished.is_empty(), most == 1000);
                while !unfinished.is_empty() {
                    let some = pubsub.go_on(&mut unfinished, most, &mut woken);
                    assert!(some <= most);
                    received += some;
                }
                assert_eq!(received, count, "{most}");
                assert_eq!(taken(), at_once, "{most}");
            }
        }
    }

    #[test]
    fn whoever_stays_gets_a_message_in_parts_once_though_others_come_and_go() {
        let (pubsub, dialect) = (Arc::new(Pubsub::default()), Dialect::default());
        let names = [(Kind::Channel, "news")];
        let of = |id| subscribe(&pubsub, id, &names);
        let (stay, mut leave): (Vec<_>, Vec<_>) =
            (0..100).map(|id| (of(2 * id), of(2 * id + 1))).unzip();
        let mut come = Vec::new();
        let (mut woken, mut unfinished) = (Woken::default(), Unfinished::default());
        pubsub.begin(NEWS, dialect, 10, &mut woken, &mut unfinished);
        while !unfinished.is_empty() {
            pubsub.go_on(&mut unfinished, 10, &mut woken);
            for _ in 0..3 {
                leave.swap_remove(fastrand::usize(..leave.len()));
            }
            if come.len() < 20 {
                come.push(of(1000 + come.len() as u64));
            }
        }
        let once = "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$3\r\none\r\n";
        for held in &stay {
            assert_eq!(String::from_utf8_lossy(&held.inbox.take()), once);
        }
        for held in leave.iter().chain(&come) {
            let got = held.inbox.take();
            assert!(got.is_empty() || got == once.as_bytes());
        }
        // Everybody has left.
        pubsub.begin(NEWS, dialect, 10, &mut woken, &mut unfinished);
        drop((stay, leave, come));
        assert_eq!(pubsub.go_on(&mut unfinished, 10, &mut woken), 0);
        assert!(unfinished.is_empty());
    }

    #[test]
    fn the_end_of_a_client_leaves_no_trace_and_its_account_is_empty() {
        let pubsub = Arc::new(Pubsub::default());
        let (one, other) = (inbox(1), inbox(2));
        let mut kept = Subscriptions::new(Arc::clone(&pubsub), Arc::clone(&other));
        let names: Vec<Vec<u8>> = (0..3000)
            .map(|number: u32| number.to_string().into())
            .collect();
        let names = || names.iter().map(|name| &**name);
        assert!(kept.reserve(std::iter::once(&b"7"[..])));
        kept.add(Kind::Channel, std::iter::once(&b"7"[..]), |_, _| ());
        let mut held = Subscriptions::new(Arc::clone(&pubsub), Arc::clone(&one));
        for kind in Kind::ALL {
            // The second time, nothing is added.
            for _ in 0..2 {
                assert!(held.reserve(names()));
                held.add(kind, names(), |_, _| ());
            }
        }
        assert_eq!(pubsub.counts(), [3000; 3]);
        assert_eq!(pubsub.subscribers(b"7", false), 2);
        assert!(held.remove(Kind::Shard, b"7") && !held.remove(Kind::Shard, b"7"));
        drop(held);
        assert_eq!(pubsub.counts(), [1, 0, 0]);
        assert_eq!(one.client().account.held(), 0);
        assert!(!one.client().is_subscriber() && other.client().is_subscriber());
    }
}
