//! How far a tail has come, and what to do with what it is shown.
//!
//! A change is known by its history, its offset, and its number among the changes of that offset. After a restart the feed shows
//! the changes that the state directory has, from its snapshot on: those that were printed are passed over, and if the
//! directory does not reach back to the place, that is said.

use crate::feed::Mark;
use crate::history::{Point, ReplId};

/// Names that the history had before, as far as they are remembered.
const PAST_MAX: usize = 8;

/// What was printed: everything before `point`, and the first `count` changes at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) point: Point,
    pub(super) count: u64,
    /// Whether more changes at `point` follow that the state directory does not have: a full resync's.
    pub(super) open: bool,
    /// The database that the printed writes have selected.
    pub(super) db: Option<usize>,
    /// The last points of the history under earlier ids, oldest first.
    pub(super) past: Vec<Point>,
}

impl Place {
    pub(super) const fn at(point: Point) -> Self {
        Self {
            point,
            count: 0,
            open: false,
            db: None,
            past: Vec::new(),
        }
    }

    /// Whether a history that is told from `begin` on has everything after this place.
    fn is_reached_from(&self, begin: Point) -> bool {
        let reaches = |end: Point| end.replid == begin.replid && begin.offset <= end.offset;
        let misses_some = self.open && begin == self.point;
        (reaches(self.point) && !misses_some) || self.past.iter().copied().any(reaches)
    }

    /// Whether the history had this id, or has it.
    fn knows(&self, replid: ReplId) -> bool {
        self.point.replid == replid || self.past.iter().any(|end| end.replid == replid)
    }
}

/// What is to be done about a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing.
    On,
    /// The changes between the place and this point are gone. The line that says so has this number there.
    Lost(Point, u64),
    /// A full resync.
    Resynced,
}

/// What is to be done about a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It was printed, or it came before the beginning.
    Pass,
    /// It is new, and has this number among the changes at its point.
    New(u64),
}

/// Follows the feed.
#[derive(Debug)]
pub(super) struct Tracker {
    /// `None` before the first sync of a tail that has never run.
    place: Option<Place>,
    /// Whether changes may be shown that were printed.
    repeats: bool,
    /// The point of the change that was passed over last, and the number of the next one there.
    passed: Option<(Point, u64)>,
}

impl Tracker {
    /// Continues after `place`, or begins with the first sync.
    pub(super) const fn new(place: Option<Place>) -> Self {
        Self {
            repeats: place.is_some(),
            place,
            passed: None,
        }
    }

    pub(super) const fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    pub(super) fn mark(&mut self, mark: Mark) -> Turn {
        match mark {
            Mark::Begins(begin) => self.begin(begin),
            Mark::Resynced(_) if self.place.is_none() => Turn::On,
            Mark::Resynced(_) => {
                self.repeats = false;
                Turn::Resynced
            }
            Mark::Renamed(now) => self.rename(now),
            Mark::Reached(now) => {
                self.reach(now);
                Turn::On
            }
        }
    }

    fn begin(&mut self, begin: Point) -> Turn {
        match &self.place {
            None => {
                self.place = Some(Place::at(begin));
                Turn::On
            }
            Some(place) if place.is_reached_from(begin) => {
                self.repeats = true;
                Turn::On
            }
            Some(_) => self.lose(begin),
        }
    }

    /// Continues at `point`, whose first line says what is missing.
    fn lose(&mut self, point: Point) -> Turn {
        let old = self.place.take();
        let number = match &old {
            Some(old) if old.point == point => old.count,
            _ => 0,
        };
        self.repeats = false;
        self.place = Some(Place {
            db: old.and_then(|place| place.db),
            count: number,
            ..Place::at(point)
        });
        Turn::Lost(point, number)
    }

    fn rename(&mut self, now: Point) -> Turn {
        let Some(place) = &mut self.place else {
            return Turn::On;
        };
        if place.knows(now.replid) {
            return Turn::On;
        }
        if now.offset < place.point.offset {
            // What was printed after that point belongs to a history that has ended.
            return self.lose(now);
        }
        let before = place.point.replid;
        place.past.push(Point {
            replid: before,
            offset: now.offset,
        });
        if place.past.len() > PAST_MAX {
            place.past.remove(0);
        }
        let is_later = now.offset > place.point.offset;
        place.point = now;
        if is_later {
            (place.count, place.open) = (0, false);
        }
        Turn::On
    }

    fn reach(&mut self, now: Point) {
        if let Some(place) = &mut self.place
            && place.point.replid == now.replid
            && now.offset > place.point.offset
        {
            (place.point, place.count, place.open) = (now, 0, false);
        }
    }

    /// Says what to do with a change at `point`.
    pub(super) fn step(&mut self, point: Point) -> Step {
        let Some(place) = &self.place else {
            // Only the first sync itself comes before there is a place.
            self.place = Some(Place {
                count: 1,
                ..Place::at(point)
            });
            return Step::Pass;
        };
        if self.repeats {
            let number = match self.passed {
                Some((last, next)) if last == point => next,
                _ => 0,
            };
            self.passed = Some((point, number + 1));
            if (point.offset, number) < (place.point.offset, place.count) {
                return Step::Pass;
            }
            self.repeats = false;
        }
        Step::New(if place.point == point { place.count } else { 0 })
    }

    /// Notes that the change with this number at `point` has been printed, or is not to be. `open` if the state directory does
    /// not have what else happened there.
    pub(super) fn done(&mut self, point: Point, number: u64, open: bool) {
        let Some(place) = &mut self.place else { return };
        if place.point.replid != point.replid {
            place.past.clear();
        }
        place.point = point;
        place.count = number + 1;
        place.open = open;
    }

    /// Whether what is shown of `point` was printed before.
    pub(super) fn has_printed(&self, point: Point) -> bool {
        let place = self.place.as_ref().filter(|_| self.repeats);
        place.is_some_and(|place| point.offset <= place.point.offset)
    }

    /// Notes that everything at the point has been told.
    pub(super) const fn close(&mut self) {
        if let Some(place) = &mut self.place {
            place.open = false;
        }
    }

    /// Notes the database that the printed writes have selected.
    pub(super) const fn select(&mut self, db: Option<usize>) {
        if let Some(place) = &mut self.place {
            place.db = db;
        }
    }
}

#[cfg(test)]
#[path = "place_tests.rs"]
mod tests;
