//! The fuzz targets of the command stream and of the state directory (see [`crate::fuzzing`]), and access to the stream
//! for benches.

mod state;

pub use state::state;

use super::figures::StreamFigures;
use super::stream::{Applier, Position};
use crate::dialect::Dialect;
use crate::store::{Generation, WriteToken};
use crate::upstream::ProgressWriter;
use std::sync::Arc;

/// A primary's command stream, from its start. The result is the same in one piece and in small pieces, the applied
/// offset lies inside the stream, and the incrementally counted figures equal a count of all entries.
pub fn stream(bytes: &[u8]) {
    let whole = follow(bytes, bytes.len());
    let pieces = follow(bytes, 1 + bytes.len() % 97);
    assert_eq!(whole, pieces, "pieces make a difference");
}

/// The final offset, its database, the number of keys in each database, and the error if there is one.
fn follow(bytes: &[u8], step: usize) -> (u64, usize, Vec<(usize, usize)>, Option<String>) {
    let generation = Arc::new(Generation::new(
        DATABASES,
        Dialect::default(),
        Arc::default(),
    ));
    let position = Position {
        offset: 0,
        db: 0,
        generation: Arc::clone(&generation),
    };
    let (progress, figures) = (ProgressWriter::default(), StreamFigures::default());
    let mut applier = Applier::new(position, WriteToken::for_tests(), &progress, &figures);
    let error = bytes
        .chunks(step.max(1))
        .find_map(|piece| applier.feed(piece).err());
    let position = applier.into_position();
    assert!(position.offset <= bytes.len() as u64);
    assert_eq!(progress.applied(), position.offset);
    assert!(position.db < generation.spaces.databases());
    let databases = (0..generation.spaces.databases()).filter_map(|db| generation.spaces.db(db));
    databases.for_each(|db| assert!(db.figures_hold()));
    let figures = generation.spaces.figures();
    let keys = figures.iter().map(|figures| (figures.db, figures.keys));
    (
        position.offset,
        position.db,
        keys.collect(),
        error.map(|error| error.to_string()),
    )
}

/// Passes to `work` a function that applies bytes of a primary's command stream to `generation`, as the writer does.
///
/// # Panics
/// If the bytes are not commands.
pub fn applying<R>(
    generation: &Arc<Generation>,
    work: impl FnOnce(&mut dyn FnMut(&[u8])) -> R,
) -> R {
    let position = Position {
        offset: 0,
        db: 0,
        generation: Arc::clone(generation),
    };
    let (progress, figures) = (ProgressWriter::default(), StreamFigures::default());
    let mut applier = Applier::new(position, WriteToken::for_tests(), &progress, &figures);
    work(&mut |bytes| {
        if let Err(error) = applier.feed(bytes) {
            panic!("{error}");
        }
    })
}

const DATABASES: usize = 4;
