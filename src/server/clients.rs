//! The open connections.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::command::OutputLimits;
use crate::command::client::Client;
use crate::resp::{Account, Budget};

/// All connections by id, in order of arrival.
#[derive(Debug, Default)]
pub(super) struct Clients {
    last_id: AtomicU64,
    open: Mutex<BTreeMap<u64, Arc<Client>>>,
}

impl Clients {
    fn open(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Client>>> {
        // The map behind a poisoned lock is still whole: the lock covers only one insertion or removal.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a connection, unless `most` are already open.
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

    /// Returns the connection with that id.
    pub(super) fn find(&self, id: u64) -> Option<Arc<Client>> {
        self.open().get(&id).cloned()
    }

    /// Returns all connections, oldest first.
    pub(super) fn all(&self) -> Vec<Arc<Client>> {
        self.open().values().cloned().collect()
    }

    /// Closes the connections that have been silent for longer than `idle` (zero: never) or have taken none of their replies for
    /// longer than `stall`. Returns the number of the latter. Also closes those that exceed `limits`.
    pub(super) fn sweep(&self, idle: Duration, stall: Duration, limits: &OutputLimits) -> u64 {
        let mut stalled = 0;
        for client in self.all() {
            client.check_limits(limits);
            let (silent_for, waiting_for, waits) = {
                let shown = client.shown();
                (
                    shown.active.elapsed(),
                    shown.stalled.map(|since| since.elapsed()),
                    // Servers spare subscribers, too.
                    shown.blocked || client.is_subscriber(),
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
            } else if !idle.is_zero() && !waits && waiting_for.is_none() && silent_for > idle {
                client.close.cancel();
            }
        }
        stalled
    }

    /// Closes the connection that holds the most memory among those that hold more than `bytes` and whose peer has taken none of
    /// its replies for [`STALLED_FOR`]. Returns whether there was one. Before other clients are refused a smaller amount, the
    /// largest holder goes.
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
            tracing::warn!(client = client.id, address = %client.address, held, "disconnected the client that holds the most memory: it takes none of its replies, and others are refused theirs");
            client.close.cancel();
        }
        largest.is_some()
    }
}

/// A peer that has taken nothing for longer than this is not merely slow: its memory may be freed for other clients.
const STALLED_FOR: Duration = Duration::from_secs(1);
