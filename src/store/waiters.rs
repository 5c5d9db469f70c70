//! Which clients wait for which keys.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::RwLock;
use tokio::sync::Notify;

/// The clients that wait for keys of a generation. The writer checks this once what it has applied is visible.
#[derive(Debug, Default)]
pub struct Waiters {
    /// How many clients wait.
    count: AtomicUsize,
    keys: RwLock<HashMap<Box<[u8]>, Vec<Entry>>>,
}

#[derive(Debug)]
struct Entry {
    db: usize,
    notify: Arc<Notify>,
}

impl Waiters {
    /// Whether any client waits; costs one load. If a client began to wait before it read a key, the writer that changes
    /// the key afterwards sees the client: both hold the key's lock in between.
    #[must_use]
    #[inline]
    pub fn any(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }

    /// Wakes the clients that wait for a key.
    pub fn wake(&self, db: usize, key: &[u8]) {
        let keys = self.keys.read();
        let waiting = keys.get(key).into_iter().flatten();
        waiting
            .filter(|entry| entry.db == db)
            .for_each(|entry| entry.notify.notify_one());
    }

    /// Wakes all clients.
    pub fn wake_all(&self) {
        let keys = self.keys.read();
        keys.values()
            .flatten()
            .for_each(|entry| entry.notify.notify_one());
    }
}

/// One client's wait; dropping it ends the wait.
#[derive(Debug)]
pub struct Waiting<'a> {
    waiters: &'a Waiters,
    keys: Vec<Box<[u8]>>,
    notify: Arc<Notify>,
}

impl Waiters {
    /// Starts to wait for `keys` of database `db`: `notify` is notified when one of them may have changed.
    pub(super) fn wait_for(
        &self,
        db: usize,
        keys: &[Box<[u8]>],
        notify: &Arc<Notify>,
    ) -> Waiting<'_> {
        self.count.fetch_add(1, Ordering::SeqCst);
        let mut keys = keys.to_vec();
        // A command can name a key many times.
        keys.sort_unstable();
        keys.dedup();
        let mut waiting = self.keys.write();
        for key in &keys {
            waiting.entry(key.clone()).or_default().push(Entry {
                db,
                notify: Arc::clone(notify),
            });
        }
        drop(waiting);
        Waiting {
            waiters: self,
            keys,
            notify: Arc::clone(notify),
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut waiting = self.waiters.keys.write();
        for key in &self.keys {
            if let Some(entries) = waiting.get_mut(key) {
                entries.retain(|entry| !Arc::ptr_eq(&entry.notify, &self.notify));
                if entries.is_empty() {
                    waiting.remove(key);
                }
            }
        }
        drop(waiting);
        self.waiters.count.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Keyspaces;

    fn is_told(notify: &Arc<Notify>) -> bool {
        use std::future::Future as _;
        let mut told = std::pin::pin!(notify.notified());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        told.as_mut().poll(&mut context).is_ready()
    }

    #[test]
    fn a_key_named_many_times_is_waited_for_once() {
        let spaces = Keyspaces::new(1);
        let notify = Arc::new(Notify::new());
        let _waiting = spaces.wait_for(0, &vec![Box::from(*b"a"); 1000], &notify);
        let keys = spaces.waiters().keys.read();
        assert_eq!(keys.get(&b"a"[..]).map(Vec::len), Some(1));
    }

    #[test]
    fn only_those_who_wait_for_the_key_are_woken() {
        let spaces = Keyspaces::new(2);
        let notify = Arc::new(Notify::new());
        let keys = [Box::from(*b"a"), Box::from(*b"b")];
        let waiting = spaces.wait_for(1, &keys, &notify);
        assert!(spaces.waiters().any());
        spaces.waiters().wake(0, b"a");
        spaces.waiters().wake(1, b"c");
        assert!(!is_told(&notify));
        spaces.waiters().wake(1, b"b");
        assert!(is_told(&notify));
        drop(waiting);
        assert!(!spaces.waiters().any() && spaces.waiters().keys.read().is_empty());
        spaces.waiters().wake_all();
        assert!(!is_told(&notify));
    }
}
