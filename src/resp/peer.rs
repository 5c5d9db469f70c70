//! Whether the peer is still there to receive the replies being written.
//!
//! A long reply is written by one call that does not check the connection. For that time, the caller lends the thread a
//! [`Peer`], and a [`Reply`](super::Reply) that grows asks it.

/// The other side of a connection.
pub trait Peer {
    /// Checks whether the peer is still there. The check may send it a byte of `unsent`.
    fn look(&self, unsent: &[u8]) -> Presence;
}

/// What a check of a [`Peer`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It may still be there. The check has sent it this many bytes.
    There(usize),
    /// It receives no more replies.
    Gone,
}

scoped_tls_hkt::scoped_thread_local!(
    /// The peer whose requests this thread answers.
    static PEER: for<'p> &'p (dyn Peer + 'p)
);

/// Runs `work`, which answers requests of `peer`.
pub fn answering<T>(peer: &dyn Peer, work: impl FnOnce() -> T) -> T {
    PEER.set(peer, work)
}

/// Checks the peer whose requests this thread answers, if there is one.
pub(super) fn look(unsent: &[u8]) -> Presence {
    if PEER.is_set() {
        PEER.with(|peer| peer.look(unsent))
    } else {
        Presence::There(0)
    }
}
