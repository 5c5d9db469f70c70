//! The fuzz targets of the command stream and of the state directory (see [`crate::fuzzing`]), and the way into it for benches.

mod state;

pub use state::state;

use super::figures::StreamFigures;
use super::stream::{Applier, Position};
use crate::dialect::Dialect;
use crate::store::Generation;
use crate::upstream::Progress;
use std::sync::Arc;

/// A primary's command stream, from its start. It does the same in one piece and in small ones, what has been applied ends
/// inside it, and the figures that are counted as they change are what a count of all entries gives.
pub fn stream(bytes: &[u8]) {
    let whole = follow(bytes, bytes.len());
    let pieces = follow(bytes, 1 + bytes.len() % 97);
    assert_eq!(whole, pieces, "pieces make a difference");
}

/// Where the stream stands in the end, its database, the keys of each, and the error if there is one.
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
    let (progress, figures) = (Progress::default(), StreamFigures::default());
    let mut applier = Applier::new(position, &progress, &figures);
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

/// Gives `work` what applies bytes of a primary's command stream to `generation`, as the writer does.
///
/// # Panics
/// When the bytes are no commands.
pub fn applying<R>(
    generation: &Arc<Generation>,
    work: impl FnOnce(&mut dyn FnMut(&[u8])) -> R,
) -> R {
    let position = Position {
        offset: 0,
        db: 0,
        generation: Arc::clone(generation),
    };
    let (progress, figures) = (Progress::default(), StreamFigures::default());
    let mut applier = Applier::new(position, &progress, &figures);
    work(&mut |bytes| {
        if let Err(error) = applier.feed(bytes) {
            panic!("{error}");
        }
    })
}

const DATABASES: usize = 4;
