//! Places in the feed between changes.

use crate::history::Point;

/// A place in the feed, for a listener that records how far it has come. Only a feed whose writer waits for its listeners shows
/// them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// A history that was kept is applied again from here on. What came before it is not told.
    Begins(Point),
    /// A full resync has replaced the data. What it changed follows.
    Resynced(Point),
    /// The history continues under this id.
    Renamed(Point),
    /// All changes up to here have been shown.
    Reached(Point),
}
