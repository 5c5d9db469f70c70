//! Takes a snapshot from a primary as a replica takes it, and nothing after it.

use std::io::{self, Read};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use bytes::{Buf as _, Bytes};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::load::{self, Framing};
use super::rate::Rate;
use crate::history::Point;
use crate::rdb::reader::Reader;
use crate::rdb::source::Source;
use crate::upstream::{self, Begin, Link, ProgressWriter, Receiver, Start, Status, SyncCause};

/// How often it is checked whether the primary has refused.
const LOOK: Duration = Duration::from_millis(20);

/// A snapshot that a primary sends. Reading it returns the bytes of the RDB, and then those of the stream after it: its reader
/// stops at the RDB's end. Dropping it closes the connection. Reading blocks.
#[derive(Debug)]
pub struct Incoming {
    /// Where in the primary's history the snapshot is.
    pub point: Point,
    /// The snapshot's length, if the primary has announced it.
    pub bytes: Option<u64>,
    rest: Bytes,
    source: LinkSource,
    _stop: tokio_util::sync::DropGuard,
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() {
            self.rest = self.source.next_chunk()?;
        }
        let count = self.rest.len().min(buffer.len());
        self.rest
            .copy_to_slice(buffer.get_mut(..count).unwrap_or_default());
        Ok(count)
    }
}

/// The bytes of the link, at a limited rate.
#[derive(Debug)]
struct LinkSource {
    bytes: Receiver,
    progress: ProgressWriter,
    rate: Option<Rate>,
}

impl Source for LinkSource {
    fn next_chunk(&mut self) -> io::Result<Bytes> {
        let chunk = self.bytes.recv()?;
        if let Some(rate) = &mut self.rate {
            std::thread::sleep(rate.delay(chunk.len(), Instant::now()));
        }
        self.progress.note_taken(chunk.len());
        Ok(chunk)
    }
}

/// Asks the primary for a full sync. `rate` limits the bytes per second: what waits is kept by the spool of `config`, and then by
/// the primary. Must be called inside a tokio runtime, which runs the link.
///
/// # Errors
/// Why the primary cannot be reached or refuses; it is tried once.
pub async fn pull(config: upstream::Config, rate: Option<NonZeroU64>) -> Result<Incoming, String> {
    let progress = ProgressWriter::default();
    let status = Arc::<Status>::default();
    let (sender, mut links) = mpsc::channel(1);
    let stop = CancellationToken::new();
    let guard = stop.clone().drop_guard();
    let begin = Begin {
        resume: None,
        cause: SyncCause::FirstStart,
    };
    let (shown, link_status) = (progress.shown(), Arc::clone(&status));
    tokio::spawn(upstream::run(
        config,
        begin,
        sender,
        shown,
        link_status,
        stop,
    ));
    let link = first(&mut links, &status).await?;
    let Start::Full(point) = link.start else {
        return Err("the primary offers no full sync".to_owned());
    };
    progress.start_transfer();
    let source = LinkSource {
        bytes: link.bytes,
        progress,
        rate: rate.map(Rate::new),
    };
    // The header comes when the primary has written its snapshot, which may take long.
    let begun = tokio::task::spawn_blocking(move || begin_payload(source)).await;
    let (framing, rest, source) = begun.map_err(|error| error.to_string())??;
    Ok(Incoming {
        point,
        bytes: framing.length(),
        rest,
        source,
        _stop: guard,
    })
}

/// Waits for the first link, or for the reason why there is none.
async fn first(links: &mut mpsc::Receiver<Link>, status: &Status) -> Result<Link, String> {
    loop {
        match tokio::time::timeout(LOOK, links.recv()).await {
            Ok(Some(link)) => return Ok(link),
            Ok(None) => return Err("the link has ended".to_owned()),
            Err(_) => {}
        }
        let failed = status.snapshot().last_error;
        if let Some(error) = failed.filter(|_| status.attempts.load(Relaxed) > 0) {
            return Err(error);
        }
    }
}

fn begin_payload(source: LinkSource) -> Result<(Framing, Bytes, LinkSource), String> {
    let mut reader = Reader::new(source);
    let framing = load::header(&mut reader).map_err(|error| error.to_string())?;
    let (rest, source) = reader.into_rest();
    Ok((framing, rest, source))
}
