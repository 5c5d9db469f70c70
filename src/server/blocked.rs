//! A connection with a blocked command.
//!
//! The connection's own task waits for the first of these: the writer's signal that a key may have changed, the timeout, CLIENT
//! UNBLOCK, CLIENT KILL, or the end of the connection. Bytes that the peer sends in the meantime are kept for later, and what
//! comes into its inbox is written.
//!
//! The command takes its place among the generation's [`Waiters`](crate::store::Waiters) before it reads its keys, so no change
//! can be missed. Once a change is visible, the writer checks whether anyone waits for the keys that it named. A full resync
//! wakes all, and they continue to wait in the new generation.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use tokio::io::AsyncReadExt as _;

use super::peer::Link;
use super::session::Connection;
use crate::command::client::Unblock;
use crate::command::{
    Awaited, Blocked, Counts, Entries, Error, Host as _, Inbox, OUT_OF_MEMORY, TOO_LARGE, Wait,
};
use crate::slots::cluster_slot;
use crate::store::{Generation, Served};

/// How the wait ended.
pub(super) enum End {
    /// The reply is written.
    Answered,
    /// The timeout passed, or CLIENT UNBLOCK asked for one.
    TimedOut,
    Failed(Error),
}

pub(super) const UNBLOCKED: Error = Error::Text("UNBLOCKED client unblocked via CLIENT UNBLOCK");

/// Whether readers still see this generation. When a generation is replaced, its waiters are woken afterwards.
fn is_served(served: &Served, generation: &Arc<Generation>) -> bool {
    let current = served.current();
    current.is_some_and(|current| Arc::ptr_eq(&current, generation))
}

/// Waits until something has come into the inbox.
pub(super) async fn arrives(inbox: Option<&Inbox>) {
    match inbox {
        Some(inbox) => inbox.wake.notified().await,
        None => std::future::pending().await,
    }
}

impl Connection {
    /// Waits until the blocked command has its reply.
    ///
    /// # Errors
    /// If the peer is gone, or the connection was closed.
    pub(super) async fn wait(
        &mut self,
        stream: &mut impl Link,
        blocked: Blocked,
    ) -> io::Result<()> {
        self.show_blocked(true);
        let mark = self.reply.len();
        let end = self.wait_for(stream, &blocked.wait).await;
        self.show_blocked(false);
        let end = end?;
        if let Awaited::Shards = blocked.wait.awaited {
            // The request that was put off is answered next, whatever is known by now.
            if let End::Failed(error) = end {
                self.session.failed_wait = Some(error);
            }
            return Ok(());
        }
        if let Awaited::PointToRead(_) = blocked.wait.awaited {
            // The request that was put off is answered next: with the error, if there is one.
            if let (Some(after), End::Failed(error)) = (&mut self.session.read_after, end) {
                after.failed = Some(error);
            }
            return Ok(());
        }
        let statistics = &self.server.statistics;
        let failed = matches!(end, End::Failed(_));
        statistics
            .calls
            .waited(blocked.called, blocked.nanos, failed);
        match end {
            End::Answered => {}
            End::TimedOut => self.reply.null_array(),
            End::Failed(error) => self.reply.error(error.text()),
        }
        if self.reply.overflowed() {
            let is_refused = self.reply.was_refused();
            self.reply.truncate(mark);
            self.reply
                .error(if is_refused { OUT_OF_MEMORY } else { TOO_LARGE }.text());
            self.session.closing |= !is_refused;
        }
        if blocked.silent {
            self.reply.truncate(mark);
        }
        Ok(())
    }

    async fn wait_for(&mut self, stream: &mut impl Link, wait: &Wait) -> io::Result<End> {
        let deadline = wait.deadline;
        match &wait.awaited {
            Awaited::Entries(entries) => self.wait_for_entries(stream, entries, deadline).await,
            Awaited::Point(point) => self.wait_for_point(stream, *point, deadline, true).await,
            Awaited::Shards => self.wait_for_shards(stream, deadline).await,
            Awaited::PointToRead(point) => {
                self.wait_for_point(stream, *point, deadline, false).await
            }
        }
    }

    async fn wait_for_entries(
        &mut self,
        stream: &mut impl Link,
        wait: &Entries,
        deadline: Option<Instant>,
    ) -> io::Result<End> {
        let wake = Arc::clone(&self.session.client.wake);
        let close = self.session.client.close.clone();
        let inbox = self.session.inbox.clone();
        let time_is_up = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(time_is_up);
        let served = self.served_with(&wait.keys);
        while let Some(generation) = served.current() {
            // Register as a waiter before the check, so that every change after the check wakes this task.
            let _waiting = generation.spaces.wait_for(wait.db, &wait.keys, &wake);
            while is_served(&served, &generation) {
                if let Some(end) = self.look(&generation, wait) {
                    return Ok(end);
                }
                self.make_room();
                if self.session.closing {
                    return Ok(End::Answered);
                }
                tokio::select! {
                    biased;
                    () = close.cancelled() => return Err(io::ErrorKind::ConnectionAborted.into()),
                    () = wake.notified() => {}
                    () = arrives(inbox.as_deref()) => self.deliver_now(stream, inbox.as_deref()).await?,
                    () = &mut time_is_up => return Ok(End::TimedOut),
                    read = stream.read_buf(&mut self.input) => self.keep(read?)?,
                }
                if self.session.closing {
                    return Ok(End::Answered);
                }
            }
        }
        Ok(End::TimedOut)
    }

    /// Writes what has come into the inbox. The reply is empty so far.
    pub(super) async fn deliver_now(
        &mut self,
        stream: &mut impl Link,
        inbox: Option<&Inbox>,
    ) -> io::Result<()> {
        match inbox {
            Some(inbox) => self.deliver(stream, inbox).await,
            None => Ok(()),
        }
    }

    /// What has these keys: all of them are in one shard, if a cluster is followed.
    fn served_with(&self, keys: &[Box<[u8]>]) -> Arc<Served> {
        let part = self
            .server
            .shards()
            .zip(keys.first())
            .and_then(|(shards, key)| {
                let map = shards.map();
                let owner = map.owner(cluster_slot(key))?;
                map.parts.get(owner).map(|part| Arc::clone(&part.served))
            });
        part.unwrap_or_else(|| Arc::clone(self.server.whole()))
    }

    /// Waits until more is known of the shards of a cluster.
    async fn wait_for_shards(
        &mut self,
        stream: &mut impl Link,
        deadline: Option<Instant>,
    ) -> io::Result<End> {
        let server = Arc::clone(&self.server);
        let Some(shards) = server.shards() else {
            return Ok(End::TimedOut);
        };
        let close = self.session.client.close.clone();
        let wake = Arc::clone(&self.session.client.wake);
        let until = deadline.unwrap_or_else(Instant::now);
        let lookout = shards.lookout().watch();
        let moved = lookout.moved();
        tokio::pin!(moved);
        moved.as_mut().enable();
        shards.want_proof();
        loop {
            if self.session.client.shown().unblock.take().is_some() {
                return Ok(End::Failed(UNBLOCKED));
            }
            self.make_room();
            if self.session.closing {
                return Ok(End::Answered);
            }
            tokio::select! {
                biased;
                () = close.cancelled() => return Err(io::ErrorKind::ConnectionAborted.into()),
                () = &mut moved => return Ok(End::Answered),
                () = wake.notified() => {}
                () = tokio::time::sleep_until(until.into()) => return Ok(End::TimedOut),
                read = stream.read_buf(&mut self.input) => self.keep(read?)?,
            }
        }
    }

    /// Checks whether the wait is over.
    fn look(&mut self, generation: &Generation, wait: &Entries) -> Option<End> {
        match self.session.client.shown().unblock.take() {
            Some(Unblock::TimedOut) => return Some(End::TimedOut),
            Some(Unblock::Failed) => return Some(End::Failed(UNBLOCKED)),
            None => {}
        }
        self.reply.set_dialect(generation.dialect);
        if let Some(tracked) = &self.session.tracking {
            let keys = wait.keys.iter().map(|key| &**key);
            tracked.note_read(&*self.server, Some(generation), keys, true);
        }
        match crate::command::answer_wait(wait, &generation.spaces, &mut self.reply) {
            Ok(true) => Some(End::Answered),
            Ok(false) => None,
            Err(error) => Some(End::Failed(error)),
        }
    }

    /// Accounts for bytes that arrived while the command waits.
    pub(super) fn keep(&mut self, read: usize) -> io::Result<()> {
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.settle(Counts::default(), read, 0);
        self.check_query_limit();
        Ok(())
    }

    fn show_blocked(&self, blocked: bool) {
        let mut shown = self.session.client.shown();
        shown.blocked = blocked;
        shown.unblock = None;
        // A client that waits is not idle.
        shown.active = Instant::now();
    }
}
