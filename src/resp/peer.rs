//! Whether anybody is left to take the replies that are being written.
//!
//! A long reply is written by one call that does not look at the connection. Whoever answers lends the thread a [`Peer`] meanwhile, and
//! a [`Reply`](super::Reply) that grows asks it.

/// The other side of a connection.
pub trait Peer {
    /// Looks whether it is still there. To find out, a byte of `unsent` may be sent to it.
    fn look(&self, unsent: &[u8]) -> Presence;
}

/// What a look at a [`Peer`] has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It may still be there. So many bytes have been sent to find out.
    There(usize),
    /// It takes no more replies.
    Gone,
}

scoped_tls_hkt::scoped_thread_local!(
    /// The peer whose requests this thread answers.
    static PEER: for<'p> &'p (dyn Peer + 'p)
);

/// Does `work`, which answers requests of `peer`.
pub fn answering<T>(peer: &dyn Peer, work: impl FnOnce() -> T) -> T {
    PEER.set(peer, work)
}

/// Looks at the peer that this thread answers, if there is one.
pub(super) fn look(unsent: &[u8]) -> Presence {
    if PEER.is_set() {
        PEER.with(|peer| peer.look(unsent))
    } else {
        Presence::There(0)
    }
}
