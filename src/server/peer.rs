//! Checks during a long answer whether the client is still there.

use std::cell::Cell;
use std::os::fd::{AsFd as _, BorrowedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, write};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::resp::{Peer, Presence};

/// A client's connection.
pub(super) trait Link: AsyncRead + AsyncWrite + Unpin + Send + Sync {
    /// Returns the socket.
    fn socket(&self) -> BorrowedFd<'_>;

    /// Whether bytes written to the socket itself reach the client as they are.
    fn takes_raw_bytes(&self) -> bool;
}

impl Link for TcpStream {
    fn socket(&self) -> BorrowedFd<'_> {
        self.as_fd()
    }

    fn takes_raw_bytes(&self) -> bool {
        true
    }
}

impl Link for UnixStream {
    fn socket(&self) -> BorrowedFd<'_> {
        self.as_fd()
    }

    fn takes_raw_bytes(&self) -> bool {
        true
    }
}

/// A client's socket, while some of its requests are answered.
///
/// A peer that has shut down only its own side still reads, as `nc -N` does. It looks like a peer that has closed: from both,
/// only the end of the stream arrives. The first byte sent shows the difference, because a closed socket answers it with a reset.
pub(super) struct Socket<'s> {
    socket: BorrowedFd<'s>,
    /// Whether the one byte has been sent, or none may be.
    has_sent: Cell<bool>,
}

impl<'s> Socket<'s> {
    pub(super) fn of(link: &'s impl Link) -> Self {
        Self {
            socket: link.socket(),
            has_sent: Cell::new(!link.takes_raw_bytes()),
        }
    }

    /// Sends one byte, once.
    fn try_byte(&self, unsent: &[u8]) -> Presence {
        let byte = unsent.get(..1).filter(|_| !self.has_sent.get());
        let Some(byte) = byte else {
            return Presence::There(0);
        };
        self.has_sent.set(true);
        match write(self.socket, byte) {
            Ok(sent) => Presence::There(sent),
            Err(Errno::AGAIN | Errno::INTR) => Presence::There(0),
            Err(_) => Presence::Gone,
        }
    }
}

impl Peer for Socket<'_> {
    fn look(&self, unsent: &[u8]) -> Presence {
        let mut watched = [PollFd::from_borrowed_fd(self.socket, PollFlags::RDHUP)];
        if poll(&mut watched, Some(&Timespec::default())).is_err() {
            return Presence::There(0);
        }
        let [watched] = watched;
        let seen = watched.revents();
        if seen.intersects(PollFlags::HUP | PollFlags::ERR) {
            Presence::Gone
        } else if seen.contains(PollFlags::RDHUP) {
            self.try_byte(unsent)
        } else {
            Presence::There(0)
        }
    }
}
