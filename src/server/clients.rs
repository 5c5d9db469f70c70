//! The connections there are.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::command::client::Client;
use crate::resp::{Account, Budget};

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
        budget: &Arc<Budget>,
        most: usize,
    ) -> Option<Arc<Client>> {
        let mut open = self.open();
        if open.len() >= most {
            return None;
        }
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let account = Arc::new(Account::new(Arc::clone(budget)));
        let client = Client::new(id, address, local_address, is_unix, close, account);
        let client = Arc::new(client);
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

    /// Closes the connection that holds most, if that is more than `bytes` and its peer has not taken its replies for a while;
    /// gives whether there was one. Where others are refused what is less, the largest goes first.
    pub(super) fn end_largest(&self, bytes: usize) -> bool {
        let is_stalled = |client: &Arc<Client>| {
            let since = client.shown().stalled;
            since.is_some_and(|since| since.elapsed() > STALLED_FOR)
        };
        let all = self.all().into_iter();
        let largest = all
            .filter(|client| client.account.held() > bytes && !client.close.is_cancelled())
            .filter(is_stalled)
            .max_by_key(|client| client.account.held());
        if let Some(client) = &largest {
            let held = client.account.held();
            tracing::warn!(client = client.id, address = %client.address, held, "closed: it holds the most memory and does not take its replies, while others are refused theirs");
            client.close.cancel();
        }
        largest.is_some()
    }
}

/// A peer that has taken nothing for so long is not merely slow: what it holds may be taken from it for others.
const STALLED_FOR: Duration = Duration::from_secs(1);
