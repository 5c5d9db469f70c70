//! A dump that arrives piece by piece, in an async program.

use super::{
    error::Error,
    read::{Parts, Visitor},
};
use crate::rdb::{
    decode::{Summary, decode},
    reader::Reader,
    source::Source,
};
use bytes::Bytes;
use std::{fmt, io, thread::JoinHandle};
use tokio::sync::{mpsc, oneshot};

/// Pieces that wait for the decoder. One is enough for it to work while the next arrives.
const PIECES_MAX: usize = 4;

/// Reads a dump whose bytes the program feeds in as they arrive, from a socket or an object store. A thread decodes them and calls
/// the visitor; if that is slower than the bytes, [`feed`](Self::feed) waits, so memory holds a few pieces and one value.
///
/// Dropping it ends the reading.
pub struct Push<V> {
    pieces: mpsc::Sender<Bytes>,
    result: oneshot::Receiver<(V, Result<Summary, Error>)>,
    thread: JoinHandle<()>,
}

impl<V> fmt::Debug for Push<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Push").finish_non_exhaustive()
    }
}

/// No more bytes are wanted: the dump is complete, or cannot be read. [`Push::finish`] returns which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the dump is complete, or cannot be read: call finish() to learn which")]
pub struct PushEnded;

impl<V: Visitor + Send + 'static> Push<V> {
    /// Starts to read.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn start(mut visitor: V) -> io::Result<Self> {
        let (pieces, arriving) = mpsc::channel(PIECES_MAX);
        let (sender, result) = oneshot::channel();
        let thread = std::thread::Builder::new().name("redtail-dump".to_owned());
        let thread = thread.spawn(move || {
            let mut reader = Reader::new(Arriving(arriving));
            let read = decode(&mut reader, &mut Parts::new(&mut visitor));
            // Nobody waits for the result any more if it was dropped.
            _ = sender.send((visitor, read.map_err(Error::new)));
        })?;
        Ok(Self {
            pieces,
            result,
            thread,
        })
    }

    /// Takes the next bytes of the dump, of any number. Waits while the decoder has enough.
    ///
    /// # Errors
    /// [`PushEnded`] if no more are wanted.
    pub async fn feed(&mut self, bytes: impl Into<Bytes>) -> Result<(), PushEnded> {
        let bytes = bytes.into();
        // An empty piece would be the end.
        if bytes.is_empty() {
            return Ok(());
        }
        self.pieces.send(bytes).await.map_err(|_| PushEnded)
    }

    /// Ends the dump. Returns the visitor, and what [`read`](super::read()) would return.
    ///
    /// # Panics
    /// If the visitor has panicked, with its panic.
    pub async fn finish(self) -> (V, Result<Summary, Error>) {
        drop(self.pieces);
        match self.result.await {
            Ok(result) => result,
            Err(_) => match self.thread.join() {
                Err(panic) => std::panic::resume_unwind(panic),
                Ok(()) => unreachable!("the thread sends its result before it ends"),
            },
        }
    }
}

/// The pieces, in their order.
struct Arriving(mpsc::Receiver<Bytes>);

impl Source for Arriving {
    fn next_chunk(&mut self) -> io::Result<Bytes> {
        Ok(self.0.blocking_recv().unwrap_or_default())
    }
}
