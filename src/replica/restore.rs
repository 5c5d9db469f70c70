//! Loads a generation from the state directory: its snapshot, then its logs, with the same code as a full sync and a live
//! stream. The feed learns of the changes in the log, so that listeners can come back after a restart.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::figures::{LoadFigures, StreamFigures};
use super::load::{self, Kept, LoadError};
use super::stream::{Applier, Position, StreamError};
use crate::command::ReplayScripts;
use crate::history::{Point, ReplId, StreamPoint};
use crate::rdb::crc64;
use crate::rdb::decode::Checksum;
use crate::rdb::error::Cause;
use crate::rdb::source::{FileSource, Source};
use crate::state::{Begin, Chain, Damage, Head, Keeper, Kind, LogReader};
use crate::store::WriteToken;
use crate::upstream::ProgressWriter;
use crate::words::Plain;

/// What a state directory held.
pub(super) struct Restored {
    pub(super) position: Position,
    /// The history to resume; `None` if the stream cannot be followed any further.
    pub(super) replid: Option<ReplId>,
}

/// A chain that was read.
struct Read {
    restored: Restored,
    /// The log that the stream continues in, and where its whole records end.
    log: (u64, u64),
}

/// What reading a chain needs.
#[derive(Clone, Copy)]
struct Context<'a> {
    kept: Kept<'a>,
    figures: &'a LoadFigures,
    stopped: &'a dyn Fn() -> bool,
}

/// Restores the newest state that is whole, and sets damaged states aside. Returns `None` when no state is left, or when
/// `stopped` returns true.
pub(super) fn restore(
    keeper: &mut Keeper,
    kept: Kept<'_>,
    figures: &LoadFigures,
    stopped: &dyn Fn() -> bool,
) -> Option<Restored> {
    let cx = Context {
        kept,
        figures,
        stopped,
    };
    while let Some(chain) = keeper.newest() {
        match read(&chain, cx) {
            Ok(Read { restored, log }) => {
                note(&chain, &restored);
                // A history that has ended is not appended to; the next full sync replaces it.
                if restored.replid.is_some() {
                    keeper.resume(&chain, log.0, log.1);
                }
                return Some(restored);
            }
            Err(damage @ Damage::Corrupt { .. }) => {
                if let Err(error) = keeper.set_aside(&chain, &damage) {
                    tracing::error!(
                        error = %Plain(&error),
                        "cannot rename the damaged state: redtail leaves it in place and asks the primary for a full sync"
                    );
                    return None;
                }
            }
            Err(_) if stopped() => return None,
            Err(damage) => {
                tracing::error!(%damage, "cannot use the kept state: redtail leaves it in place and asks the primary for a full sync");
                return None;
            }
        }
    }
    None
}

fn note(chain: &Chain, restored: &Restored) {
    let (generation, offset) = (chain.number, restored.position.offset);
    match restored.replid {
        Some(replid) => {
            tracing::info!(generation, %replid, offset, "serving the kept state; redtail asks the primary for the stream that follows it")
        }
        None => tracing::warn!(
            generation,
            offset,
            "serving the kept state, but its stream cannot be followed any further: redtail asks the primary for a full sync"
        ),
    }
}

fn read(chain: &Chain, cx: Context<'_>) -> Result<Read, Damage> {
    let Some((number, path)) = chain.logs.first() else {
        return Err(corrupt(&chain.snapshot, 0, "its log is missing"));
    };
    let (begin, log) = LogReader::open(path)?;
    if begin.number != *number {
        return Err(log.corrupt(0, "it belongs to another generation"));
    }
    let position = snapshot(&chain.snapshot, begin, cx)?;
    cx.kept.feed.begin_replay(begin.at.point);
    let mut replay = Replay {
        token: cx.kept.token,
        place: Some(StreamPoint {
            point: begin.at.point,
            db: position.db,
        }),
        position,
        scripting: cx.kept.scripting.cloned(),
    };
    let mut end = (*number, replay.log(log, cx.stopped)?);
    for (number, path) in chain.logs.iter().skip(1) {
        match LogReader::open_later(path)? {
            Some((begin, log)) if replay.goes_on_at(begin) => {
                end = (*number, replay.log(log, cx.stopped)?);
            }
            _ => break,
        }
    }
    Ok(Read {
        restored: Restored {
            position: replay.position,
            replid: replay.place.map(|place| place.point.replid),
        },
        log: end,
    })
}

/// Loads the snapshot whose log begins at `begin`.
fn snapshot(path: &Path, begin: Begin, cx: Context<'_>) -> Result<Position, Damage> {
    let unusable = |what: String| Damage::Unusable {
        path: path.to_owned(),
        what,
    };
    let size = std::fs::metadata(path).map_err(|error| unusable(error.to_string()))?;
    let source = Stoppable {
        file: FileSource::open(path).map_err(|error| unusable(error.to_string()))?,
        stopped: cx.stopped,
    };
    let loaded = load::snapshot(source, size.len(), cx.kept, cx.figures)
        .map_err(|error| of_load(path, &error))?;
    if !matches!(loaded.checksum, Checksum::Verified(_)) {
        return Err(corrupt(path, loaded.bytes, "it has no checksum"));
    }
    let named = loaded.lineage;
    if named
        .is_some_and(|named| named != (begin.at.point.replid.to_string(), begin.at.point.offset))
    {
        return Err(corrupt(path, 0, "its log begins at another offset"));
    }
    let db = begin.at.db;
    if !cx.kept.token.grow_to(&loaded.generation.spaces, db) {
        return Err(unusable(format!(
            "its stream uses database {db}; allow it with --databases"
        )));
    }
    Ok(Position {
        offset: begin.at.point.offset,
        db,
        generation: loaded.generation,
    })
}

/// A file that ends with an error once it is no longer needed.
struct Stoppable<'a> {
    file: FileSource,
    stopped: &'a dyn Fn() -> bool,
}

impl Source for Stoppable<'_> {
    fn next_chunk(&mut self) -> io::Result<Bytes> {
        if (self.stopped)() {
            return Err(io::Error::other(STOPPED));
        }
        self.file.next_chunk()
    }
}

const STOPPED: &str = "the replica was stopped";

/// What our own limits refuse, or the system cannot read, is not damaged, unless a flipped bit caused the refusal, for
/// example by turning one key's name into another's.
fn of_load(path: &Path, error: &LoadError) -> Damage {
    let what = error.to_string();
    let LoadError::Rdb(rdb) = error else {
        return corrupt(path, 0, &what);
    };
    let is_damaged = match rdb.cause() {
        Cause::Io(_) => false,
        Cause::Sink(_) => FileSource::open(path)
            .and_then(is_whole)
            .is_ok_and(|whole| !whole),
        _ => true,
    };
    if is_damaged {
        return corrupt(path, rdb.offset(), &what);
    }
    Damage::Unusable {
        path: path.to_owned(),
        what,
    }
}

/// Whether the last eight bytes are the checksum of the bytes before them.
fn is_whole(mut source: impl Source) -> io::Result<bool> {
    let (mut sum, mut rest) = (0, Vec::new());
    loop {
        let chunk = source.next_chunk()?;
        if chunk.is_empty() {
            return Ok(rest == u64::to_le_bytes(sum));
        }
        rest.extend_from_slice(&chunk);
        let summed = rest.len().saturating_sub(size_of_val(&sum));
        sum = crc64::update(sum, rest.get(..summed).unwrap_or_default());
        rest.drain(..summed);
    }
}

fn corrupt(path: &Path, at: u64, what: &str) -> Damage {
    Damage::Corrupt {
        path: path.to_owned(),
        at,
        what: what.to_owned(),
    }
}

/// Logs being applied.
struct Replay<'a> {
    token: &'a WriteToken,
    position: Position,
    /// The current place; `None` once the stream cannot be followed any further.
    place: Option<StreamPoint>,
    scripting: Option<Arc<dyn ReplayScripts>>,
}

impl Replay<'_> {
    /// Whether a log that begins at `begin` continues where the last one ended.
    fn goes_on_at(&self, begin: Begin) -> bool {
        self.place == Some(begin.at)
    }

    /// Applies a log. Returns where its whole records end.
    fn log(&mut self, mut log: LogReader, stopped: &dyn Fn() -> bool) -> Result<u64, Damage> {
        // Use separate figures: this must not show as progress, nor count as the stream's.
        let (progress, figures) = (ProgressWriter::default(), StreamFigures::default());
        let (token, scripting) = (self.token, self.scripting.clone());
        let start = |position: &Position| {
            Applier::new(position.clone(), token, &progress, &figures)
                .with_scripting(scripting.clone())
        };
        let mut applier = start(&self.position);
        let mut payload = Vec::new();
        while let Some(place) = &mut self.place {
            if stopped() {
                return Err(log.unusable(STOPPED));
            }
            let begins = log.position();
            let Some(head) = log.next(&mut payload)? else {
                break;
            };
            if head.offset != applier.received() {
                applier = start(&applier.into_position());
            }
            if head.offset != applier.received() {
                return Err(log.corrupt(begins, "a record does not begin where the last one ended"));
            }
            match head.kind {
                Kind::Renamed => {
                    let (replid, offset) = (id_of(&log, begins, &payload)?, head.offset);
                    place.point.replid = replid;
                    let feed = self.position.generation.spaces.feed();
                    feed.rename(Point { replid, offset });
                }
                Kind::Stream => {
                    if let Err(error) = apply(&mut applier, head, &payload) {
                        tracing::warn!(%error, "redtail cannot follow the kept stream any further");
                        self.place = None;
                    }
                }
            }
        }
        if log.left() > 0 && self.place.is_some() {
            let (at, left) = (log.position(), log.left());
            tracing::warn!(
                at,
                left,
                "the kept log ends in the middle of a record, as after a crash: redtail cuts that record off"
            );
        }
        self.position = applier.into_position();
        if let Some(place) = &mut self.place {
            place.point.offset = self.position.offset;
            place.db = self.position.db;
        }
        Ok(log.position())
    }
}

fn apply(applier: &mut Applier<'_>, head: Head, payload: &[u8]) -> Result<(), StreamError> {
    applier.set_clock(head.at_ms);
    applier.feed(payload)
}

fn id_of(log: &LogReader, at: u64, payload: &[u8]) -> Result<ReplId, Damage> {
    let id = std::str::from_utf8(payload).ok();
    id.and_then(|id| id.parse().ok())
        .ok_or_else(|| log.corrupt(at, "not a replication id"))
}
