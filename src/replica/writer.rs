//! The writer thread's main loop.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use super::figures::Figures;
use super::load::{self, Kept, LoadError};
use super::stream::{Applier, Position};
use crate::dialect::Dialect;
use crate::rdb::reader::Reader;
use crate::rdb::source::Source;
use crate::store::Served;
use crate::upstream::{Fault, Link, LinkEnd, Progress, Receiver, ReplId, Resume, Start};

/// The bytes of a link; ends when the connection does.
struct LinkSource {
    bytes: Receiver,
    figures: Arc<Figures>,
    progress: Arc<Progress>,
}

impl Source for LinkSource {
    fn next_chunk(&mut self) -> io::Result<Bytes> {
        let chunk = self.bytes.recv()?;
        self.progress.note_taken(chunk.len());
        self.figures.load.note_bytes(chunk.len());
        Ok(chunk)
    }
}

/// Follows one link after the other. Owns the position between them.
pub(super) struct Writer {
    pub(super) served: Arc<Served>,
    pub(super) progress: Arc<Progress>,
    pub(super) figures: Arc<Figures>,
    pub(super) databases: usize,
    /// In place of the one that the snapshot names.
    pub(super) dialect: Option<Dialect>,
    /// Whether anything is served yet.
    pub(super) ready: watch::Sender<bool>,
    pub(super) lineage: Option<(ReplId, Position)>,
}

impl Writer {
    /// Works until the upstream gives no more links.
    pub(super) fn run(mut self, mut links: mpsc::Receiver<Link>) {
        while let Some(link) = links.blocking_recv() {
            let source = LinkSource {
                bytes: link.bytes,
                figures: Arc::clone(&self.figures),
                progress: Arc::clone(&self.progress),
            };
            let fault = self.follow(link.start, source).err();
            self.progress.set_idle();
            if let Some(fault) = &fault {
                self.figures.note_fault(fault.to_string());
            }
            let resume = self.lineage.as_ref().map(|(replid, position)| Resume {
                replid: *replid,
                offset: position.offset,
            });
            // Nobody waits for the answer when the upstream is being stopped.
            let _ = link.done.send(LinkEnd { resume, fault });
        }
    }

    fn follow(&mut self, start: Start, source: LinkSource) -> Result<(), Fault> {
        let (rest, source) = match start {
            Start::Full { replid, offset } => self.load(replid, offset, source)?,
            Start::Continue { replid } => {
                let Some((current, position)) = &mut self.lineage else {
                    return Err(Fault::new(
                        "the primary continues a stream that we do not hold",
                    ));
                };
                // After a failover the stream goes on under the new primary's id.
                *current = replid.unwrap_or(*current);
                self.figures.note_replid(*current);
                self.progress.start_stream(position.offset);
                (Bytes::new(), source)
            }
        };
        self.stream(rest, source)
    }

    /// Loads a snapshot beside what is served, then serves it. On a failure the old generation stays.
    fn load(
        &mut self,
        replid: ReplId,
        offset: u64,
        source: LinkSource,
    ) -> Result<(Bytes, LinkSource), Fault> {
        self.progress.start_transfer();
        let mut reader = Reader::new(source);
        let kept = Kept {
            databases: self.databases,
            dialect: self.dialect,
            tuning: self.served.tuning(),
        };
        let loaded = load::payload(&mut reader, kept, &self.figures.load)
            .map_err(|error| fault_of(&error))?;
        let old = self.served.swap_in(Arc::clone(&loaded.generation));
        if let Some(old) = &old {
            old.spaces.waiters().wake_all();
        }
        let position = Position {
            offset,
            db: loaded.stream_db,
            generation: loaded.generation,
        };
        self.lineage = Some((replid, position));
        self.figures.note_replid(replid);
        self.ready.send_replace(true);
        self.progress.start_stream(offset);
        drop_aside(old);
        Ok(reader.into_rest())
    }

    fn stream(&mut self, rest: Bytes, mut source: LinkSource) -> Result<(), Fault> {
        let Some((replid, position)) = self.lineage.take() else {
            return Ok(());
        };
        self.figures
            .stream
            .taken
            .store(position.offset, std::sync::atomic::Ordering::Relaxed);
        let mut applier = Applier::new(position, &self.progress, &self.figures.stream);
        let mut result = applier.feed(&rest);
        while result.is_ok() {
            match source.next_chunk() {
                Ok(chunk) if !chunk.is_empty() => result = applier.feed(&chunk),
                _ => break,
            }
        }
        match result {
            Ok(()) => {
                self.lineage = Some((replid, applier.into_position()));
                Ok(())
            }
            // The position is lost with the lineage: the next link is a full resync. What is held is still served.
            Err(error) => Err(Fault::new(error.to_string())),
        }
    }
}

fn fault_of(error: &LoadError) -> Fault {
    Fault::new(error.to_string())
}

/// Frees a replaced generation on a thread of its own: the stream must not wait for a million deallocations.
fn drop_aside<T: Send + 'static>(old: Option<T>) {
    if let Some(old) = old {
        // If no thread can be started the closure, and with it the generation, is dropped right here.
        let _ = std::thread::Builder::new()
            .name("redtail-free".to_owned())
            .spawn(move || drop(old));
    }
}
