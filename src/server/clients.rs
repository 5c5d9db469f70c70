//! The connections there are.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::command::client::Client;

/// All connections by number: their order of arrival.
#[derive(Debug, Default)]
pub(super) struct Clients {
    last_id: AtomicU64,
    open: Mutex<BTreeMap<u64, Arc<Client>>>,
}

impl Clients {
    fn open(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Client>>> {
        // A poisoned lock still holds a whole map: an insertion or a removal is all that happens under it.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a connection unless there are `most` already.
    pub(super) fn admit(
        &self,
        address: String,
        local_address: String,
        is_unix: bool,
        close: CancellationToken,
        most: usize,
    ) -> Option<Arc<Client>> {
        let mut open = self.open();
        if open.len() >= most {
            return None;
        }
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let client = Arc::new(Client::new(id, address, local_address, is_unix, close));
        open.insert(id, Arc::clone(&client));
        Some(client)
    }

    pub(super) fn remove(&self, client: &Client) {
        self.open().remove(&client.id);
    }

    pub(super) fn len(&self) -> usize {
        self.open().len()
    }

    /// All of them, oldest first.
    pub(super) fn all(&self) -> Vec<Arc<Client>> {
        self.open().values().cloned().collect()
    }

    /// Closes the connections that have been silent for `idle` (zero: never) or have taken nothing for `stall`; gives how
    /// many of the latter.
    pub(super) fn sweep(&self, idle: Duration, stall: Duration) -> u64 {
        let mut stalled = 0;
        for client in self.all() {
            let (silent_for, waiting_for, blocked) = {
                let shown = client.shown();
                (
                    shown.active.elapsed(),
                    shown.stalled.map(|since| since.elapsed()),
                    shown.blocked,
                )
            };
            if waiting_for.is_some_and(|waited| waited > stall) {
                tracing::warn!(
                    client = client.id,
                    address = %client.address,
                    "disconnected a client that takes none of its replies (--stall-timeout)"
                );
                client.close.cancel();
                stalled += 1;
            } else if !idle.is_zero() && !blocked && waiting_for.is_none() && silent_for > idle {
                client.close.cancel();
            }
        }
        stalled
    }
}
