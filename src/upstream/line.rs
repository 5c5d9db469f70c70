//! An accepted connection in two halves: bytes in, acknowledgements out.
//!
//! A socket without TLS can be read by the writer, too, while it keeps up: one thread is woken for a command in place of two,
//! one after the other. What TLS brings passes through its layer here, and then through the spool.

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
use super::spool::Sender;

/// A handle of a socket that the writer may read.
#[derive(Debug)]
pub(super) struct Socket(socket2::Socket);

impl Socket {
    /// Another handle of that socket, which must not block.
    pub(super) fn of(socket: &impl AsFd) -> io::Result<Self> {
        let socket = socket.as_fd().try_clone_to_owned()?;
        Ok(Self(socket.into()))
    }

    /// Waits until there is something to read, the end included. Gives false after `at_most`, and when a signal comes.
    pub(super) fn wait(&self, at_most: Duration) -> io::Result<bool> {
        let mut watched = [PollFd::new(&self.0, PollFlags::IN)];
        let at_most = Timespec::try_from(at_most).ok();
        match poll(&mut watched, at_most.as_ref()) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether bytes are there that have not been read.
    pub(super) fn has_more(&self) -> bool {
        rustix::io::ioctl_fionread(&self.0).is_ok_and(|bytes| bytes > 0)
    }

    /// Reads what is there; 0 at the end. Never blocks.
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.0).read(buffer)
    }

    /// Ends the connection, whoever has handles of it; who waits in it is woken.
    pub(super) fn shut(&self) {
        // It may have ended by itself.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

/// A connection, whatever it runs over.
pub(super) enum Line {
    /// Without TLS.
    Plain(PlainReader, Arc<Socket>),
    /// One whose bytes are not those of the socket, or that there is no second handle for.
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

    /// What the writer may read in place of the task.
    pub(super) fn socket(&self) -> Option<Arc<Socket>> {
        match self {
            Self::Plain(_, socket) => Some(Arc::clone(socket)),
            Self::Wrapped(_) => None,
        }
    }

    /// Lets the kernel gather what comes, where it can.
    pub(super) fn gather(&self) -> Option<Gather> {
        match self {
            Self::Plain(reader, _) => reader.gather(),
            Self::Wrapped(stream) => stream.gather(),
        }
    }

    /// Both halves.
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

/// What comes in.
pub(super) enum Incoming {
    Plain(PlainReader),
    Wrapped(ReadHalf<Box<dyn Connection>>),
}

impl Incoming {
    /// Reads into `buffer`; gives how many bytes came, 0 at the end. While this waits the writer may read in its place, if
    /// `offers`. May be dropped at any time and called again.
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

/// A socket that nobody watches here: the writer reads it, and the runtime must not be woken for each of its bytes.
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

/// The task's side of a socket that the writer may read. One of both is there, except after a failure.
pub(super) struct PlainReader {
    awake: Option<Awake>,
    resting: Option<Resting>,
    /// The writer fell short of what came: until a read finds less than it has room for, the task goes on.
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

/// What goes out.
pub(super) enum Outgoing {
    /// The runtime does not watch it: it would be woken for each of the bytes that come, which the writer reads.
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
                // TLS may keep what it has taken until it is told to send it.
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
            // Acknowledgements of many minutes that the server does not read.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(FULL_LOOK).await,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// How often a socket without room is tried again.
const FULL_LOOK: Duration = Duration::from_millis(100);

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
