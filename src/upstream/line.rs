//! An accepted connection in two halves: bytes in, acknowledgements out.
//!
//! While the writer keeps up, it can read a socket without TLS itself: a command then wakes one thread, and not two in turn.
//! Bytes over TLS pass through the TLS layer here, and then through the spool.

use std::io::{self, Read as _};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::sleep;

use super::connect::Connection;
use super::gather::Gather;
use super::route::Route;
use super::spool::Sender;

/// A handle of a socket that the writer may read.
#[derive(Debug)]
pub(super) struct Socket(socket2::Socket);

impl Socket {
    /// Creates another handle of that socket, which must be non-blocking.
    pub(super) fn of(socket: &impl AsFd) -> io::Result<Self> {
        let socket = socket.as_fd().try_clone_to_owned()?;
        Ok(Self(socket.into()))
    }

    /// Waits until there is something to read, which includes the end of the connection. Returns false after `at_most`, and
    /// when a signal arrives.
    pub(super) fn wait(&self, at_most: Duration) -> io::Result<bool> {
        let mut watched = [PollFd::new(&self.0, PollFlags::IN)];
        let at_most = Timespec::try_from(at_most).ok();
        match poll(&mut watched, at_most.as_ref()) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the socket has unread bytes.
    pub(super) fn has_more(&self) -> bool {
        rustix::io::ioctl_fionread(&self.0).is_ok_and(|bytes| bytes > 0)
    }

    /// Reads the available bytes; 0 at the end. Never blocks.
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.0).read(buffer)
    }

    /// Ends the connection for all handles and wakes any thread that waits in it.
    pub(super) fn shut(&self) {
        // It may have ended already.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

/// A connection over any transport.
pub(super) enum Line {
    /// A socket without TLS.
    Plain(PlainReader, Arc<Socket>),
    /// A connection whose bytes differ from the socket's bytes, or one without a second handle.
    Wrapped(Box<dyn Connection>),
}

impl Line {
    pub(super) fn tcp(stream: TcpStream) -> Self {
        match Socket::of(&stream) {
            Ok(socket) => Self::Plain(PlainReader::new(Awake::Tcp(stream)), Arc::new(socket)),
            Err(_) => Self::Wrapped(Box::new(stream)),
        }
    }

    pub(super) fn unix(stream: UnixStream) -> Self {
        match Socket::of(&stream) {
            Ok(socket) => Self::Plain(PlainReader::new(Awake::Unix(stream)), Arc::new(socket)),
            Err(_) => Self::Wrapped(Box::new(stream)),
        }
    }

    /// Returns the socket that the writer may read in place of the task.
    pub(super) fn socket(&self) -> Option<Arc<Socket>> {
        match self {
            Self::Plain(_, socket) => Some(Arc::clone(socket)),
            Self::Wrapped(_) => None,
        }
    }

    /// Lets the kernel gather incoming bytes, if the transport supports it.
    pub(super) fn gather(&self) -> Option<Gather> {
        match self {
            Self::Plain(reader, _) => reader.gather(),
            Self::Wrapped(stream) => stream.gather(),
        }
    }

    /// Returns a handle that says whether what is sent arrives, if the transport knows.
    pub(super) fn route(&self) -> Option<Route> {
        match self {
            Self::Plain(reader, _) => reader.route(),
            Self::Wrapped(stream) => stream.route(),
        }
    }

    /// Splits the connection into both halves.
    pub(super) fn split(self) -> (Incoming, Outgoing) {
        match self {
            Self::Plain(reader, socket) => (Incoming::Plain(reader), Outgoing::Plain(socket)),
            Self::Wrapped(stream) => {
                let (reader, writer) = split(stream);
                (Incoming::Wrapped(reader), Outgoing::Wrapped(writer))
            }
        }
    }
}

/// The receiving half.
pub(super) enum Incoming {
    Plain(PlainReader),
    Wrapped(ReadHalf<Box<dyn Connection>>),
}

impl Incoming {
    /// Reads into `buffer`. Returns the number of bytes read, 0 at the end. If `offers`, the writer may read in place of
    /// this call while it waits. The call may be dropped at any time and made again.
    pub(super) async fn read(
        &mut self,
        buffer: &mut BytesMut,
        bytes: &Sender,
        offers: bool,
    ) -> io::Result<usize> {
        match self {
            Self::Plain(reader) => reader.read(buffer, bytes, offers).await,
            Self::Wrapped(reader) => reader.read_buf(buffer).await,
        }
    }
}

/// A socket that the runtime watches.
enum Awake {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A socket that the runtime does not watch: the writer reads it, and its bytes must not wake the runtime.
enum Resting {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

impl Awake {
    async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.readable().await,
            Self::Unix(stream) => stream.readable().await,
        }
    }

    fn try_read(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_read_buf(buffer),
            Self::Unix(stream) => stream.try_read_buf(buffer),
        }
    }

    fn rest(self) -> io::Result<Resting> {
        Ok(match self {
            Self::Tcp(stream) => Resting::Tcp(stream.into_std()?),
            Self::Unix(stream) => Resting::Unix(stream.into_std()?),
        })
    }
}

impl Resting {
    fn wake(self) -> io::Result<Awake> {
        Ok(match self {
            Self::Tcp(stream) => Awake::Tcp(TcpStream::from_std(stream)?),
            Self::Unix(stream) => Awake::Unix(UnixStream::from_std(stream)?),
        })
    }
}

/// The task's side of a socket that the writer may read. Exactly one of `awake` and `resting` is set, except after a
/// failure.
pub(super) struct PlainReader {
    awake: Option<Awake>,
    resting: Option<Resting>,
    /// The writer did not keep up: the task reads until a read does not fill its buffer.
    catching_up: bool,
}

impl PlainReader {
    const fn new(stream: Awake) -> Self {
        Self {
            awake: Some(stream),
            resting: None,
            catching_up: false,
        }
    }

    fn gather(&self) -> Option<Gather> {
        match &self.awake {
            Some(Awake::Tcp(stream)) => stream.gather(),
            _ => None,
        }
    }

    fn route(&self) -> Option<Route> {
        match &self.awake {
            Some(Awake::Tcp(stream)) => stream.route(),
            _ => None,
        }
    }

    async fn read(
        &mut self,
        buffer: &mut BytesMut,
        bytes: &Sender,
        offers: bool,
    ) -> io::Result<usize> {
        loop {
            let Some(stream) = &self.awake else {
                bytes.turn().await;
                self.wake()?;
                continue;
            };
            if offers && !self.catching_up {
                bytes.offer();
            }
            stream.readable().await?;
            if !bytes.claim()? {
                self.rest()?;
                continue;
            }
            let room = buffer.capacity() - buffer.len();
            match stream.try_read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.catching_up = false;
                }
                read => {
                    self.catching_up &= read.as_ref().is_ok_and(|read| *read == room);
                    return read;
                }
            }
        }
    }

    fn rest(&mut self) -> io::Result<()> {
        self.resting = self.awake.take().map(Awake::rest).transpose()?;
        Ok(())
    }

    fn wake(&mut self) -> io::Result<()> {
        let resting = self.resting.take().ok_or(io::ErrorKind::NotConnected)?;
        self.awake = Some(resting.wake()?);
        self.catching_up = true;
        Ok(())
    }
}

/// The sending half.
pub(super) enum Outgoing {
    /// The runtime does not watch it: otherwise each of the received bytes, which the writer reads, would wake the runtime.
    Plain(Arc<Socket>),
    Wrapped(WriteHalf<Box<dyn Connection>>),
}

impl Outgoing {
    /// Sends all of `message`.
    pub(super) async fn send(&mut self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(socket) => send_all(socket, message).await,
            Self::Wrapped(writer) => {
                writer.write_all(message).await?;
                // TLS may hold back written bytes until a flush.
                writer.flush().await
            }
        }
    }
}

async fn send_all(socket: &Socket, mut message: &[u8]) -> io::Result<()> {
    while !message.is_empty() {
        match socket.0.send_with_flags(message, libc::MSG_NOSIGNAL) {
            Ok(sent) => message = message.get(sent..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // The server has not read acknowledgements for many minutes.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(FULL_LOOK).await,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// How often to retry a socket whose send buffer is full.
const FULL_LOOK: Duration = Duration::from_millis(100);

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
