//! Client-side caching: which client may have cached which keys, and who wants to know of all changes below a prefix.
//!
//! A client in the default mode is remembered for each key that it reads. The first change of the key tells it, and forgets the
//! key. A client that broadcasts learns of every changed key below its prefixes. The courier calls [`Tracking::touch`] and
//! [`Tracking::flush`] with what the feed shows, after the change is visible.
//!
//! # Why no cached value stays stale
//! Take a client that reads a key on a connection and gets invalidations on the same one.
//! 1. The key is remembered before it is read. So a change that the read does not see is noted, shown and delivered after the
//!    client is remembered, and finds it; or another change has found it in between. Either way an invalidation is put into the
//!    client's inbox after the read's request arrived.
//! 2. The connection's own task makes the replies and takes from the inbox, never in the middle of a request. So what is put
//!    there after a request was begun reaches the client after the reply. The client drops what it has just cached: at worst
//!    too soon, if the change that found it was one that the read has seen.
//! 3. All this needs a writer that notes touches. It begins to do so between two of its turns. A key that is read earlier is
//!    followed by an invalidation at once (`dispatch::tracked`). So is a key of a generation that is not served any more,
//!    because its replacement may have been shown already.
//! 4. When slots of a cluster have changed hands, everything is to be forgotten: a key may have changed in its new shard before a client
//!    read it in the old one.
//! 5. Whatever the courier cannot tell key by key, it tells as "forget everything": the end of a database, two that change
//!    places, a snapshot in place of the data, and a lost place in the feed.
//!
//! With REDIRECT, invalidations take another connection, and may overtake the reply, as on any server. Clients must note what
//! they have asked for before they ask, and not cache a reply if the key is invalidated in between. By 1, the
//! invalidation is never sent before the request has arrived.
//!
//! Source: redis 7.0 tracking.c. DIFFERENCE: SWAPDB makes all clients forget everything. Servers say nothing, and leave what
//! clients have cached stale.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use ahash::RandomState;
use smallvec::SmallVec;

use super::inbox::Inbox;
use super::session::Host;
use super::tunables::Tunables;
use crate::feed::Interest;
use crate::limits::TRACKED_BYTES_MAX;
use crate::store::{Generation, Served};

/// The channel on which a RESP2 client gets the invalidations of another.
pub(super) const CHANNEL: &[u8] = b"__redis__:invalidate";

/// The parts of the table, each under its own lock.
const PARTS: usize = 64;

/// Bytes that a remembered key takes beside its name.
const KEY_BYTES: usize = 96;

/// How many keys are forgotten at once at most, where there are too many.
const FORGOTTEN_AT_ONCE: usize = 64;

/// What a client has asked for with CLIENT TRACKING.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether it learns of all changes below its prefixes.
    pub broadcasts: bool,
    /// Whether only reads after CLIENT CACHING YES count.
    pub opt_in: bool,
    /// Whether reads after CLIENT CACHING NO do not count.
    pub opt_out: bool,
    /// Whether its own writes do not count. It cannot write here.
    pub no_loop: bool,
    /// The client that gets the invalidations; 0 for itself.
    pub redirect: u64,
}

/// A client that tracks, as those see it who invalidate.
#[derive(Debug)]
pub struct Tracker {
    inbox: Arc<Inbox>,
    options: Options,
    /// Whether the client that should get its invalidations is gone.
    is_broken: AtomicBool,
}

impl Tracker {
    /// What it has asked for.
    #[must_use]
    pub const fn options(&self) -> Options {
        self.options
    }

    /// Whether the client that should get its invalidations is gone.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.is_broken.load(Ordering::Relaxed)
    }
}

/// Clients by id.
type Ids = SmallVec<[u64; 2]>;

/// What changed keys are made known by: the keys, or that everything is to be forgotten.
#[derive(Debug, Clone, Copy)]
enum Told<'k> {
    /// An array of keys, encoded.
    Keys(&'k [u8]),
    Everything,
}

/// The keys that clients may have cached.
#[derive(Debug, Default)]
struct Part(HashMap<Box<[u8]>, Ids, RandomState>);

/// Who tracks, and below which prefixes.
#[derive(Debug, Default)]
struct Trackers {
    by_id: HashMap<u64, Arc<Tracker>, RandomState>,
    prefixes: HashMap<Box<[u8]>, Ids, RandomState>,
    /// How many prefixes there are of each length.
    lengths: BTreeMap<usize, usize>,
}

/// All tracking clients, and what they may have cached.
#[derive(Debug)]
pub struct Tracking {
    hasher: RandomState,
    parts: Box<[Mutex<Part>; PARTS]>,
    keys: AtomicUsize,
    items: AtomicUsize,
    bytes: AtomicUsize,
    trackers: RwLock<Trackers>,
    clients: AtomicUsize,
    prefixes: AtomicUsize,
}

impl Default for Tracking {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            parts: Box::new(std::array::from_fn(|_| Mutex::default())),
            keys: AtomicUsize::new(0),
            items: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            trackers: RwLock::default(),
            clients: AtomicUsize::new(0),
            prefixes: AtomicUsize::new(0),
        }
    }
}

/// Keys that changed, by the prefix below which someone wants to know of them.
#[derive(Debug, Default)]
pub struct Broadcast(BTreeMap<Box<[u8]>, BTreeSet<Arc<[u8]>>>);

fn lock(part: &Mutex<Part>) -> MutexGuard<'_, Part> {
    // A poisoned lock still holds a whole map: under it, values are only inserted or removed.
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tracking {
    fn trackers(&self) -> RwLockReadGuard<'_, Trackers> {
        self.trackers.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, Trackers> {
        self.trackers
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether any client tracks.
    #[must_use]
    pub fn any(&self) -> bool {
        self.clients() > 0
    }

    /// Number of clients that track.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.clients.load(Ordering::Relaxed)
    }

    /// Number of remembered keys, of pairs of key and client, and of prefixes.
    #[must_use]
    pub fn totals(&self) -> [usize; 3] {
        [&self.keys, &self.items, &self.prefixes].map(|total| total.load(Ordering::Relaxed))
    }

    fn part(&self, key: &[u8]) -> &Mutex<Part> {
        let at = usize::try_from(self.hasher.hash_one(key)).unwrap_or(0) % PARTS;
        let [first, ..] = &*self.parts;
        self.parts.get(at).unwrap_or(first)
    }

    /// Remembers that client `id` may cache `key`. Call this before the key is read.
    fn remember(&self, key: &[u8], id: u64) {
        let mut part = lock(self.part(key));
        if let Some(ids) = part.0.get_mut(key) {
            // Newer clients have higher ids, so most go to the end.
            if let Err(place) = ids.binary_search(&id) {
                ids.insert(place, id);
                self.items.fetch_add(1, Ordering::Relaxed);
                self.bytes.fetch_add(size_of::<u64>(), Ordering::Relaxed);
            }
            return;
        }
        part.0.insert(key.into(), SmallVec::from_slice(&[id]));
        self.keys.fetch_add(1, Ordering::Relaxed);
        self.items.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(cost(key, 1), Ordering::Relaxed);
    }

    fn note_forgotten(&self, key: &[u8], ids: &Ids) {
        self.keys.fetch_sub(1, Ordering::Relaxed);
        self.items.fetch_sub(ids.len(), Ordering::Relaxed);
        self.bytes
            .fetch_sub(cost(key, ids.len()), Ordering::Relaxed);
    }

    /// Forgets a key. Returns the clients that may have cached it.
    fn forget(&self, key: &[u8]) -> Option<Ids> {
        if self.keys.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let ids = lock(self.part(key)).0.remove(key)?;
        self.note_forgotten(key, &ids);
        Some(ids)
    }

    /// Forgets some key.
    fn forget_any(&self) -> Option<(Box<[u8]>, Ids)> {
        let first = fastrand::usize(..PARTS);
        let parts = self.parts.iter().cycle().skip(first).take(PARTS);
        parts.into_iter().find_map(|part| {
            let mut part = lock(part);
            // The order is that of a hash with a random seed.
            let key = part.0.keys().next()?.clone();
            let ids = part.0.remove(&key)?;
            self.note_forgotten(&key, &ids);
            Some((key, ids))
        })
    }

    /// Forgets all keys.
    fn forget_all(&self) {
        for part in &*self.parts {
            let keys = std::mem::take(&mut lock(part).0);
            keys.iter()
                .for_each(|(key, ids)| self.note_forgotten(key, ids));
        }
    }

    /// Invalidates and forgets some keys if there are too many: more than `keys_max`, unless that is 0, or more bytes than
    /// there is room for.
    pub fn trim(&self, host: &dyn Host, keys_max: usize) {
        let is_over = || {
            let keys = self.keys.load(Ordering::Relaxed);
            keys_max > 0 && keys > keys_max
                || self.bytes.load(Ordering::Relaxed) > TRACKED_BYTES_MAX
        };
        for _ in 0..FORGOTTEN_AT_ONCE {
            if !is_over() {
                return;
            }
            let Some((key, ids)) = self.forget_any() else {
                return;
            };
            self.tell_of_key(host, &key, &ids);
        }
    }

    /// Like [`trim`](Self::trim), until there are no longer too many keys.
    pub fn trim_all(&self, host: &dyn Host, keys_max: usize) {
        while keys_max > 0 && self.keys.load(Ordering::Relaxed) > keys_max {
            self.trim(host, keys_max);
        }
    }

    /// Tells the clients that may have cached `key` that it has changed, and adds it to `broadcast` for those that want to know
    /// of every change.
    pub fn touch(&self, host: &dyn Host, key: &[u8], broadcast: &mut Broadcast) {
        if let Some(ids) = self.forget(key) {
            self.tell_of_key(host, key, &ids);
        }
        if self.prefixes.load(Ordering::Relaxed) > 0 {
            self.trackers().add_to(broadcast, key);
        }
    }

    fn tell_of_key(&self, host: &dyn Host, key: &[u8], ids: &Ids) {
        let told = encoded(std::iter::once(key));
        for id in ids {
            let tracker = self.trackers().by_id.get(id).cloned();
            // A client that broadcasts by now has told so its library, which has dropped what it had cached.
            if let Some(tracker) = tracker.filter(|tracker| !tracker.options.broadcasts) {
                tracker.tell(host, Told::Keys(&told));
            }
        }
    }

    /// Tells the clients that broadcast of the keys in `broadcast`: each all keys of one prefix at once.
    pub fn broadcast(&self, host: &dyn Host, broadcast: &mut Broadcast) {
        for (prefix, keys) in std::mem::take(&mut broadcast.0) {
            let told = encoded(keys.iter().map(|key| &**key));
            let of_prefix = |trackers: &Trackers| -> Vec<Arc<Tracker>> {
                let ids = trackers.prefixes.get(&prefix);
                let found = ids.into_iter().flatten();
                found
                    .filter_map(|id| trackers.by_id.get(id).cloned())
                    .collect()
            };
            let of_prefix = of_prefix(&self.trackers());
            for tracker in of_prefix {
                tracker.tell(host, Told::Keys(&told));
            }
        }
    }

    /// Tells all clients to forget everything, and forgets what they may have cached.
    pub fn flush(&self, host: &dyn Host) {
        // A client that is remembered from here on is told all the same.
        self.forget_all();
        let all: Vec<Arc<Tracker>> = self.trackers().by_id.values().cloned().collect();
        for tracker in all {
            tracker.tell(host, Told::Everything);
        }
    }
}

const fn cost(key: &[u8], ids: usize) -> usize {
    KEY_BYTES + key.len() + ids * size_of::<u64>()
}

impl Trackers {
    fn add_to(&self, broadcast: &mut Broadcast, key: &[u8]) {
        let mut shared: Option<Arc<[u8]>> = None;
        for length in self
            .lengths
            .keys()
            .take_while(|length| **length <= key.len())
        {
            let prefix = key.get(..*length).unwrap_or_default();
            if self.prefixes.contains_key(prefix) {
                let key = shared.get_or_insert_with(|| Arc::from(key));
                let keys = broadcast.0.entry(prefix.into()).or_default();
                keys.insert(Arc::clone(key));
            }
        }
    }

    /// Returns whether the prefix is a new one.
    fn add_prefix(&mut self, prefix: &[u8], id: u64) -> bool {
        let is_new = !self.prefixes.contains_key(prefix);
        let ids = self.prefixes.entry(prefix.into()).or_default();
        if let Err(place) = ids.binary_search(&id) {
            ids.insert(place, id);
        }
        if is_new {
            *self.lengths.entry(prefix.len()).or_default() += 1;
        }
        is_new
    }

    /// Returns whether it was the prefix's last client.
    fn remove_prefix(&mut self, prefix: &[u8], id: u64) -> bool {
        let Some(ids) = self.prefixes.get_mut(prefix) else {
            return false;
        };
        ids.retain(|other| *other != id);
        if !ids.is_empty() {
            return false;
        }
        self.prefixes.remove(prefix);
        if let Some(count) = self.lengths.get_mut(&prefix.len()) {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&prefix.len());
            }
        }
        true
    }
}

/// Encodes keys as an array.
fn encoded<'k>(keys: impl ExactSizeIterator<Item = &'k [u8]>) -> Vec<u8> {
    let mut number = itoa::Buffer::new();
    let mut told = vec![b'*'];
    told.extend_from_slice(number.format(keys.len()).as_bytes());
    told.extend_from_slice(b"\r\n");
    for key in keys {
        push_bulk(&mut told, key);
    }
    told
}

fn push_bulk(bytes: &mut Vec<u8>, word: &[u8]) {
    bytes.push(b'$');
    bytes.extend_from_slice(itoa::Buffer::new().format(word.len()).as_bytes());
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(word);
    bytes.extend_from_slice(b"\r\n");
}

impl Tracker {
    /// Sends an invalidation, as RESP3's push, or as RESP2's message to another client that has subscribed to something. A
    /// client that has neither gets nothing, as on servers.
    fn tell(&self, host: &dyn Host, told: Told<'_>) {
        let redirect = self.options.redirect;
        if redirect == 0 {
            if self.inbox.is_resp3() {
                self.inbox.put_if(true, &push(told));
            }
            return;
        }
        let Some(client) = host.client(redirect) else {
            return self.tell_broken();
        };
        let inbox = client.shown().inbox.upgrade();
        match inbox {
            Some(inbox) if inbox.is_resp3() => inbox.put_if(true, &push(told)),
            Some(inbox) if client.is_subscriber() => inbox.put_if(false, &message(told)),
            Some(_) | None => {}
        }
    }

    /// Tells the client that nobody gets its invalidations.
    #[cold]
    fn tell_broken(&self) {
        self.is_broken.store(true, Ordering::Relaxed);
        if self.inbox.is_resp3() {
            let mut bytes = b">2\r\n".to_vec();
            push_bulk(&mut bytes, b"tracking-redir-broken");
            bytes.push(b':');
            bytes.extend_from_slice(itoa::Buffer::new().format(self.options.redirect).as_bytes());
            bytes.extend_from_slice(b"\r\n");
            self.inbox.put_if(true, &bytes);
        }
    }
}

fn push(told: Told<'_>) -> Vec<u8> {
    let mut bytes = b">2\r\n".to_vec();
    push_bulk(&mut bytes, b"invalidate");
    match told {
        Told::Keys(keys) => bytes.extend_from_slice(keys),
        Told::Everything => bytes.extend_from_slice(b"_\r\n"),
    }
    bytes
}

/// DIFFERENCE: null is always that of RESP2. Servers use that of the tracking client's protocol, and break the stream of a
/// RESP2 client that gets the invalidations of a RESP3 client.
fn message(told: Told<'_>) -> Vec<u8> {
    let mut bytes = b"*3\r\n".to_vec();
    push_bulk(&mut bytes, b"message");
    push_bulk(&mut bytes, CHANNEL);
    match told {
        Told::Keys(keys) => bytes.extend_from_slice(keys),
        Told::Everything => bytes.extend_from_slice(b"$-1\r\n"),
    }
    bytes
}

/// A connection's tracking, shared with the scripts that it runs. The last one to drop it ends it.
#[derive(Debug)]
pub struct Tracked {
    table: Arc<Tracking>,
    tracker: Mutex<Arc<Tracker>>,
    id: u64,
    /// Whether CLIENT CACHING was given for the next command or transaction.
    caching: AtomicBool,
    /// Below which it wants to know of every change.
    prefixes: Mutex<BTreeSet<Box<[u8]>>>,
}

impl Tracked {
    /// Begins to track for the client of `inbox`.
    #[must_use]
    pub fn begin(table: &Arc<Tracking>, inbox: Arc<Inbox>, options: Options) -> Arc<Self> {
        let id = inbox.client().id;
        let tracker = Arc::new(Tracker {
            inbox,
            options,
            is_broken: AtomicBool::new(false),
        });
        let tracked = Self {
            table: Arc::clone(table),
            tracker: Mutex::new(Arc::clone(&tracker)),
            id,
            caching: AtomicBool::new(false),
            prefixes: Mutex::default(),
        };
        table.clients.fetch_add(1, Ordering::Relaxed);
        tracked.show(tracker);
        Arc::new(tracked)
    }

    /// Tracks with other options from now on.
    pub fn renew(&self, options: Options) {
        let tracker = Arc::new(Tracker {
            inbox: Arc::clone(&self.tracker().inbox),
            options,
            is_broken: AtomicBool::new(false),
        });
        *self.tracker.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&tracker);
        self.show(tracker);
    }

    fn show(&self, tracker: Arc<Tracker>) {
        tracker.inbox.client().shown().tracker = Arc::downgrade(&tracker);
        self.table.change().by_id.insert(self.id, tracker);
    }

    /// The client as those see it who invalidate.
    #[must_use]
    pub fn tracker(&self) -> Arc<Tracker> {
        let tracker = self.tracker.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&tracker)
    }

    /// Its prefixes, in order.
    #[must_use]
    pub fn prefixes(&self) -> BTreeSet<Box<[u8]>> {
        let prefixes = self.prefixes.lock();
        prefixes.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Wants to know of every change below `prefix`, too.
    pub fn add_prefix(&self, prefix: &[u8]) {
        let prefixes = self.prefixes.lock();
        let mut prefixes = prefixes.unwrap_or_else(PoisonError::into_inner);
        if prefixes.insert(prefix.into()) && self.table.change().add_prefix(prefix, self.id) {
            self.table.prefixes.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether CLIENT CACHING was given.
    #[must_use]
    pub fn caching(&self) -> bool {
        self.caching.load(Ordering::Relaxed)
    }

    /// Notes that CLIENT CACHING was given, or that what it was given for is done.
    pub fn set_caching(&self, caching: bool) {
        self.caching.store(caching, Ordering::Relaxed);
    }

    /// Whether the next reads count. If `may_opt_in`, CLIENT CACHING may be given before they run.
    #[must_use]
    pub fn counts(&self, may_opt_in: bool) -> bool {
        let Options {
            opt_in, opt_out, ..
        } = self.tracker().options;
        match self.caching() {
            true => !opt_out || may_opt_in,
            false => !opt_in || may_opt_in,
        }
    }

    /// Notes a read of `keys` in `generation` before it takes place: remembers the keys. If a change of them could go unnoticed,
    /// the client is told to forget everything as soon as it has the reply. For `may_opt_in` see [`counts`](Self::counts).
    pub fn note_read<'k>(
        &self,
        host: &dyn Host,
        generation: Option<&Generation>,
        keys: impl Iterator<Item = &'k [u8]>,
        may_opt_in: bool,
    ) {
        let tracker = self.tracker();
        if !tracker.options.broadcasts {
            if !self.counts(may_opt_in) {
                return;
            }
            keys.for_each(|key| self.table.remember(key, self.id));
            let keys_max = Tunables::size(&host.tunables().tracking_keys_max);
            self.table.trim(host, keys_max);
        }
        if !is_watched(host, generation) {
            tracker.tell(host, Told::Everything);
        }
    }
}

/// Whether every change of what is read in `generation` will be shown from now on.
fn is_watched(host: &dyn Host, generation: Option<&Generation>) -> bool {
    let is_shown = |served: &Served| {
        let current = served.peek();
        let is_current = match (current.as_deref(), generation) {
            (Some(current), Some(generation)) => std::ptr::eq(current, generation),
            _ => false,
        };
        is_current && served.feed().interest().has(Interest::TOUCHES)
    };
    match host.shards() {
        None => is_shown(host.served()),
        Some(shards) => shards.map().parts.iter().any(|part| is_shown(&part.served)),
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        let mut trackers = self.table.change();
        for prefix in &self.prefixes() {
            if trackers.remove_prefix(prefix, self.id) {
                self.table.prefixes.fetch_sub(1, Ordering::Relaxed);
            }
        }
        trackers.by_id.remove(&self.id);
        let is_last = trackers.by_id.is_empty();
        drop(trackers);
        self.table.clients.fetch_sub(1, Ordering::Relaxed);
        if is_last {
            // Nobody may have cached anything any more.
            self.table.forget_all();
        }
    }
}
