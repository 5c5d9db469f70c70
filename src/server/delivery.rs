//! Writes what waits in a connection's inbox: messages, invalidations, the lines of MONITOR.

use tokio::io::AsyncReadExt as _;

use super::peer::Link;
use super::session::{Connection, FLUSH_BYTES};
use crate::command::{Counts, Host as _, Inbox, Replies};

/// Maximum memory of each buffer that is kept after messages were written. To get one again takes far less than a write.
const KEPT_DELIVERY_BYTES: usize = 1 << 10;

impl Connection {
    /// Like a read, but writes what comes into the inbox in the meantime. Returns `None` once the connection must be closed.
    pub(super) async fn read_beside(
        &mut self,
        stream: &mut impl Link,
        inbox: &Inbox,
    ) -> std::io::Result<Option<usize>> {
        let close = self.session.client.close.clone();
        loop {
            tokio::select! {
                biased;
                () = close.cancelled() => return Ok(None),
                read = stream.read_buf(&mut self.input) => {
                    return read.map(|read| Some(read).filter(|read| *read > 0));
                }
                () = inbox.wake.notified() => {}
            }
            self.deliver(stream, inbox).await?;
            if self.ended || self.session.closing {
                return Ok(None);
            }
            if self.read_meanwhile > 0 {
                return Ok(Some(std::mem::take(&mut self.read_meanwhile)));
            }
        }
    }

    /// Adopts changes of users. A subscriber that lost a channel closes, before it gets another message.
    pub(super) fn follow_users(&mut self) {
        let dialect = self.reply.dialect();
        self.session.follow_users(self.server.users(), dialect);
    }

    /// Writes what waits in the inbox by now. Reads in the meantime, but answers nothing: a reply must not end up inside a
    /// message.
    pub(super) async fn deliver(
        &mut self,
        stream: &mut impl Link,
        inbox: &Inbox,
    ) -> std::io::Result<()> {
        self.follow_users();
        if self.session.closing {
            return Ok(());
        }
        self.delivers = true;
        let mut left = self.begin_taking(inbox);
        while left > 0 {
            let taken = self.take_from(inbox, left);
            if taken == 0 {
                // The client exceeded its limits: what waited is gone, and the connection ends.
                self.session.closing = true;
                break;
            }
            left -= taken;
            let mut more = true;
            let written = self.write(stream, &mut more).await?;
            self.settle(Counts::default(), 0, written);
            if self.session.closing {
                break;
            }
        }
        // There may be very many subscribers, each with little to do.
        self.reply.clear(KEPT_DELIVERY_BYTES);
        self.delivers = false;
        Ok(())
    }

    /// Begins to take what waits in the inbox: returns the number of bytes. There is nothing for a client that is to be closed:
    /// something may be missing before what comes now.
    fn begin_taking(&mut self, inbox: &Inbox) -> usize {
        let waiting = inbox.begin_taking();
        // After the inbox: what was put there before the token was cancelled has no gap.
        if self.session.client.close.is_cancelled() {
            self.session.closing = true;
            return 0;
        }
        waiting
    }

    /// Takes some of the `left` bytes in the inbox into the reply, which must be empty. Returns their number.
    fn take_from(&mut self, inbox: &Inbox, left: usize) -> usize {
        let mut bytes = std::mem::take(&mut self.delivery);
        bytes.clear();
        let most = FLUSH_BYTES.min(self.server.reply_bytes_max());
        inbox.take_some(&mut bytes, left.min(most));
        let taken = bytes.len();
        if self.hears() {
            self.reply.raw(&bytes);
        }
        if bytes.capacity() <= KEPT_DELIVERY_BYTES {
            self.delivery = bytes;
        }
        taken
    }

    /// Whether messages are sent: on old servers, CLIENT REPLY suppresses them, too.
    fn hears(&self) -> bool {
        self.session.replies == Replies::On || self.reply.dialect().pushes_in_silence()
    }

    /// Puts what came before the requests in front of their answers.
    pub(super) async fn deliver_first(&mut self, stream: &mut impl Link) -> std::io::Result<()> {
        let Some(inbox) = self.session.inbox.clone() else {
            return Ok(());
        };
        self.follow_users();
        match self.begin_taking(&inbox) {
            0 => Ok(()),
            _ if self.session.closing => Ok(()),
            few if few <= FLUSH_BYTES.min(self.server.reply_bytes_max()) => {
                self.take_from(&inbox, few);
                Ok(())
            }
            _ => self.deliver(stream, &inbox).await,
        }
    }

    /// Whether messages wait. No more requests are answered before they are written: a client that always has requests on the way
    /// would never get its messages.
    pub(super) fn has_messages(&self) -> bool {
        let inbox = self.session.inbox.as_ref();
        inbox.is_some_and(|inbox| inbox.holds())
    }
}
