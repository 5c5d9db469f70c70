//! Fewer wake-ups during a transfer: the kernel gathers bytes before it reports them.
//!
//! A primary sends its snapshot in pieces of a few kilobytes. Waking the task for each piece, and then the writer, costs a
//! tenth of the processor time of a full sync.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use super::options::set_low_water;
use crate::limits::READ_CHUNK_BYTES;

/// A second handle of the socket, to set its low-water mark: the number of unread bytes at which the kernel wakes the task.
pub(super) struct Gather {
    socket: OwnedFd,
    is_on: bool,
}

impl Gather {
    /// Creates one for this socket; `None` when the process has no descriptor left.
    pub(super) fn of(socket: &impl AsFd) -> Option<Self> {
        let socket = socket.as_fd().try_clone_to_owned().ok()?;
        let is_on = false;
        Some(Self { socket, is_on })
    }

    /// Whether the socket may contain bytes that the kernel has not reported.
    pub(super) const fn is_on(&self) -> bool {
        self.is_on
    }

    /// Adjusts to a read of `read` bytes, of a transfer or of anything else. Bytes that trickle in are reported at once.
    pub(super) fn after(&mut self, read: usize, transfer: bool) {
        if transfer && read >= TRICKLE_BYTES {
            self.set(true);
        } else if !transfer {
            self.set(false);
        }
    }

    /// Makes the kernel report every byte again, including those already in the socket.
    pub(super) fn stop(&mut self) {
        self.set(false);
    }

    fn set(&mut self, on: bool) {
        let bytes = if on { READ_CHUNK_BYTES } else { 1 };
        if on != self.is_on && set_low_water(&self.socket, bytes).is_ok() {
            self.is_on = on;
        }
    }
}

/// How long bytes may go unreported.
pub(super) const GATHER_TIME: Duration = Duration::from_millis(5);
/// A read of fewer bytes is not worth gathering.
const TRICKLE_BYTES: usize = 2 << 10;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::timeout;

    /// Returns both ends of a connection.
    async fn connected() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).await;
        let (theirs, _) = listener.accept().await.unwrap();
        (ours.unwrap(), theirs)
    }

    #[tokio::test]
    async fn few_bytes_wait_until_gathering_stops() {
        let (ours, mut theirs) = connected().await;
        let mut gather = Gather::of(&ours).unwrap();
        gather.after(TRICKLE_BYTES - 1, true);
        assert!(!gather.is_on());
        gather.after(TRICKLE_BYTES, true);
        assert!(gather.is_on());
        theirs.write_all(b"few").await.unwrap();
        let told = timeout(Duration::from_millis(50), ours.readable());
        assert!(told.await.is_err());
        gather.stop();
        ours.readable().await.unwrap();
        assert_eq!(ours.try_read(&mut [0; 10]).unwrap(), 3);
    }

    #[tokio::test]
    async fn many_bytes_and_the_end_are_told_of() {
        let (ours, mut theirs) = connected().await;
        let mut gather = Gather::of(&ours).unwrap();
        gather.after(READ_CHUNK_BYTES, true);
        theirs.write_all(&[0; READ_CHUNK_BYTES]).await.unwrap();
        let mut read = 0;
        while read < READ_CHUNK_BYTES {
            ours.readable().await.unwrap();
            read += ours.try_read(&mut [0; READ_CHUNK_BYTES]).unwrap_or(0);
        }
        drop(theirs);
        ours.readable().await.unwrap();
        assert_eq!(ours.try_read(&mut [0; 10]).unwrap(), 0);
    }
}
