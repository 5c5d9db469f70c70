//! Whether what is sent on a TCP connection arrives: a pulled cable and a dead machine end no connection.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use super::options::{Sent, sent};

/// Time without any acknowledgement, while bytes wait for one, after which nothing seems to arrive. redtail sends something once
/// a second, so a route that works is acknowledged at least as often.
const SILENCE: Duration = Duration::from_millis(1500);

/// A second handle of a connection's socket. The connection stays open until this is dropped.
#[derive(Debug)]
pub(super) struct Route(OwnedFd);

impl Route {
    /// Creates one for this socket; `None` when the process has no descriptor left.
    pub(super) fn of(socket: &impl AsFd) -> Option<Self> {
        socket.as_fd().try_clone_to_owned().ok().map(Self)
    }

    /// Whether the other host has acknowledged nothing for a while although the kernel keeps sending. False if the system does
    /// not say.
    pub(super) fn is_stalled(&self) -> bool {
        sent(&self.0).is_ok_and(is_stalled)
    }

    /// Whether anything that was sent is not acknowledged yet. False if the system does not say.
    pub(super) fn is_waiting(&self) -> bool {
        sent(&self.0).is_ok_and(|sent| sent.unacknowledged > 0)
    }
}

/// One retry can be a lost packet.
fn is_stalled(sent: Sent) -> bool {
    sent.unacknowledged > 0 && sent.retries >= 2 && sent.last_acknowledgement >= SILENCE
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};

    fn after(unacknowledged: u32, retries: u8, millis: u64) -> Sent {
        Sent {
            unacknowledged,
            retries,
            last_acknowledgement: Duration::from_millis(millis),
        }
    }

    #[test]
    fn only_bytes_that_are_sent_in_vain_for_a_while_stall_a_route() {
        assert!(is_stalled(after(1, 3, 1500)));
        for fine in [
            // An idle connection.
            after(0, 0, 60_000),
            // Sent just now, after a long pause.
            after(1, 0, 60_000),
            // A lost packet.
            after(1, 1, 1600),
            // Lost packets among others that arrive.
            after(5, 3, 20),
        ] {
            assert!(!is_stalled(fine), "{fine:?}");
        }
    }

    #[test]
    fn a_peer_that_does_not_read_acknowledges_all_the_same() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let _theirs = listener.accept().unwrap();
        ours.write_all(b"PING\r\n").unwrap();
        let route = Route::of(&ours).unwrap();
        // On loopback, at once.
        while route.is_waiting() {
            std::thread::yield_now();
        }
        assert!(!route.is_stalled());
        let pair = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(!Route::of(&pair.0).unwrap().is_stalled());
    }
}
