//! Full syncs one at a time on each host: a host that saves several snapshots at once needs the memory for all of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use crate::upstream::address::Address;
use crate::upstream::status::{LinkState, Status};

/// How long a shard waits for its turn. A host that hangs must not hold up all its others for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often to look whether a snapshot is loaded.
const LOOK: Duration = Duration::from_millis(20);

/// Whose turn it is, on each host.
#[derive(Debug, Default)]
pub(in super::super) struct Turns(Mutex<HashMap<String, Arc<Semaphore>>>);

/// The right to be sent a snapshot.
#[derive(Debug)]
pub(in super::super) struct Turn(Option<OwnedSemaphorePermit>);

impl Turns {
    /// Waits until no other shard is being sent a snapshot from the host of `address`.
    pub(in super::super) async fn take(&self, address: &Address) -> Turn {
        let (host, _) = address.host_and_port();
        let semaphore = {
            let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(
                hosts
                    .entry(host)
                    .or_insert_with(|| Arc::new(Semaphore::new(1))),
            )
        };
        let permit = timeout(PATIENCE, semaphore.acquire_owned()).await;
        Turn(permit.ok().and_then(Result::ok))
    }
}

impl Turn {
    /// A link that resumes needs no turn.
    pub(in super::super) const fn none() -> Self {
        Self(None)
    }

    /// Gives the turn back once the snapshot is loaded.
    pub(in super::super) async fn end_when_loaded(
        mut self,
        status: &Status,
    ) -> std::convert::Infallible {
        while self.0.is_some() {
            if status.snapshot().state == LinkState::Connected {
                self.0 = None;
            }
            sleep(LOOK).await;
        }
        std::future::pending().await
    }
}
