//! A connection whose command waits.
//!
//! The connection's own task waits, for whichever comes first: the writer's word that a key may have changed, the time's end,
//! CLIENT UNBLOCK, CLIENT KILL, or the peer's going away. What the peer sends meanwhile is kept for later.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::session::Connection;
use crate::command::client::Unblock;
use crate::command::{Blocked, Error, Host as _, OUT_OF_MEMORY, TOO_LARGE, Wait};
use crate::store::Generation;

/// How the waiting ended.
enum End {
    /// The reply is written.
    Answered,
    /// The time was up, or CLIENT UNBLOCK said so.
    TimedOut,
    Failed(Error),
}

const UNBLOCKED: Error = Error::Text("UNBLOCKED client unblocked via CLIENT UNBLOCK");

impl Connection<'_> {
    /// Waits until the blocked command has its reply.
    ///
    /// # Errors
    /// The peer has gone, or the connection was closed.
    pub(super) async fn wait(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        blocked: Blocked,
    ) -> io::Result<()> {
        self.show_blocked(true);
        let mark = self.reply.len();
        let end = self.wait_for(stream, &blocked.wait).await;
        self.show_blocked(false);
        match end? {
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

    async fn wait_for(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        wait: &Wait,
    ) -> io::Result<End> {
        let wake = Arc::clone(&self.session.client.wake);
        let close = self.session.client.close.clone();
        let time_is_up = async {
            match wait.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(time_is_up);
        while let Some(generation) = self.server.served().current() {
            // First the place among those who wait, then the look: what changes after the look is told.
            let _waiting = generation.spaces.wait_for(wait.db, &wait.keys, &wake);
            while self.is_served(&generation) {
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

    /// Whether this is still what readers see. Whoever waits for one that is replaced is told so after it was.
    fn is_served(&self, generation: &Arc<Generation>) -> bool {
        let current = self.server.served().current();
        current.is_some_and(|current| Arc::ptr_eq(&current, generation))
    }

    /// Looks whether the waiting has an end.
    fn look(&mut self, generation: &Generation, wait: &Wait) -> Option<End> {
        match self.session.client.shown().unblock.take() {
            Some(Unblock::TimedOut) => return Some(End::TimedOut),
            Some(Unblock::Failed) => return Some(End::Failed(UNBLOCKED)),
            None => {}
        }
        self.reply.set_dialect(generation.dialect);
        match crate::command::answer_wait(wait, &generation.spaces, &mut self.reply) {
            Ok(true) => Some(End::Answered),
            Ok(false) => None,
            Err(error) => Some(End::Failed(error)),
        }
    }

    /// Takes note of bytes that came while the command waits.
    fn keep(&mut self, read: usize) -> io::Result<()> {
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.settle(read, 0, [0, 0]);
        self.check_query_limit();
        Ok(())
    }

    fn show_blocked(&self, blocked: bool) {
        let mut shown = self.session.client.shown();
        shown.blocked = blocked;
        shown.unblock = None;
        // Waiting is no silence.
        shown.active = Instant::now();
    }
}
