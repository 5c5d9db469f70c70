//! A connection that waits for a point of the primary's history: REDTAIL.WAITOFFSET, and reads after REDTAIL.READAFTER.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use tokio::io::AsyncReadExt as _;

use super::blocked::{End, UNBLOCKED, arrives};
use super::peer::Link;
use super::session::Connection;
use crate::command::client::Unblock;
use crate::command::{Host as _, nothing_served, vain_wait};
use crate::history::{Point, Reach};

impl Connection {
    /// Waits until readers see everything up to `point`. The reply is then the applied offset, if `replies`.
    pub(super) async fn wait_for_point(
        &mut self,
        stream: &mut impl Link,
        point: Point,
        deadline: Option<Instant>,
        replies: bool,
    ) -> io::Result<End> {
        let server = Arc::clone(&self.server);
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
        let part = server
            .shards()
            .map(|shards| shards.map().part_of(point).cloned());
        let served = match part {
            Some(Some(part)) => part.served,
            Some(None) => {
                let unknown = vain_wait(Reach::Unknown, point);
                return Ok(unknown.map_or(End::TimedOut, End::Failed));
            }
            None => Arc::clone(server.whole()),
        };
        let Some(course) = served.course() else {
            return Ok(End::TimedOut);
        };
        let lookout = course.lookout().watch();
        let mut is_late = false;
        loop {
            let moved = lookout.moved();
            tokio::pin!(moved);
            // From here on, no change is missed.
            moved.as_mut().enable();
            let unblock = self.session.client.shown().unblock.take();
            if unblock == Some(Unblock::Failed) {
                return Ok(End::Failed(UNBLOCKED));
            }
            is_late |= unblock == Some(Unblock::TimedOut);
            let Some(generation) = served.current() else {
                return Ok(End::Failed(nothing_served(&served)));
            };
            let reach = served.reach(&generation, point);
            match reach {
                Reach::Reached(applied) => {
                    if replies {
                        self.reply
                            .integer(i64::try_from(applied).unwrap_or(i64::MAX));
                    }
                    return Ok(End::Answered);
                }
                Reach::NotYet(_) if !is_late => {}
                reach => return Ok(vain_wait(reach, point).map_or(End::TimedOut, End::Failed)),
            }
            drop(generation);
            self.make_room();
            if self.session.closing {
                return Ok(End::Answered);
            }
            tokio::select! {
                biased;
                () = close.cancelled() => return Err(io::ErrorKind::ConnectionAborted.into()),
                () = wake.notified() => {}
                () = moved => {}
                () = arrives(inbox.as_deref()) => self.deliver_now(stream, inbox.as_deref()).await?,
                () = &mut time_is_up => is_late = true,
                read = stream.read_buf(&mut self.input) => self.keep(read?)?,
            }
            if self.session.closing {
                return Ok(End::Answered);
            }
        }
    }
}
