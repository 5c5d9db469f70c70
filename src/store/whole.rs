//! Everything at one moment: for a reader that does not know beforehand which keys it needs.

use super::door::Hold;
use super::growing::Growing;
use super::keyspaces::Keyspaces;
use super::view::View;

/// All shards of all databases, held for reading. While it lives, the writer waits.
pub struct Whole<'a> {
    spaces: &'a Keyspaces,
    held: Growing<'a>,
    /// The databases that exist, in ascending order. All others are empty at this moment.
    dbs: Vec<usize>,
}

impl Keyspaces {
    /// Holds everything. Calls `place` with the offset of the last change, once or more, while everything is held; returns its
    /// last result, which belongs to what is held.
    pub fn hold_everything<T>(&self, place: impl Fn(u64) -> T) -> (Whole<'_>, T) {
        let mut dbs = self.existing();
        loop {
            let held = self.growing_dbs(dbs.iter().copied());
            let place = place(self.shown());
            // A database that comes into being meanwhile is not held, and `place` may count its first key.
            let now = self.existing();
            if now == dbs {
                let spaces = self;
                return (Whole { spaces, held, dbs }, place);
            }
            dbs = now;
        }
    }

    fn existing(&self) -> Vec<usize> {
        (0..self.databases())
            .filter(|db| self.db(*db).is_some())
            .collect()
    }
}

impl<'a> Whole<'a> {
    /// What is held.
    #[must_use]
    pub const fn spaces(&self) -> &'a Keyspaces {
        self.spaces
    }

    /// A view of database `db`.
    #[must_use]
    pub fn view(&self, db: usize) -> Hold<'_> {
        if self.dbs.binary_search(&db).is_ok() {
            self.held.view(db)
        } else {
            Hold(View::nowhere(self.spaces, db))
        }
    }
}

impl std::fmt::Debug for Whole<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Whole")
            .field("dbs", &self.dbs)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;
    use crate::store::{Names, NewValue, Refusal, WriteToken};

    /// Long enough for a writer to do what it must not do.
    const A_MOMENT: Duration = Duration::from_millis(20);

    fn write(spaces: &Keyspaces, db: usize, key: &[u8], offset: u64) {
        WriteToken::for_tests().announce(spaces, offset);
        let mut tx = spaces.write(db, [spaces.slot(db, key)]);
        tx.set(key, None, NewValue::text(b"x"));
    }

    fn has(whole: &Whole<'_>, db: usize, key: &[u8]) -> Result<bool, Refusal> {
        let hold = whole.view(db);
        hold.read(Names::Key(key), |view| Ok(view.value(key).is_some()))
    }

    #[test]
    fn the_offset_is_that_of_the_last_change() {
        let spaces = Keyspaces::new(4);
        assert_eq!(spaces.hold_everything(|shown| shown).1, 0);
        write(&spaces, 0, b"a", 10);
        write(&spaces, 2, b"a", 20);
        WriteToken::for_tests().announce(&spaces, 30);
        let (whole, shown) = spaces.hold_everything(|shown| shown);
        assert_eq!(shown, 20, "nothing has changed at 30 yet");
        let found = [0, 1, 2, 3].map(|db| has(&whole, db, b"a"));
        assert_eq!(found, [Ok(true), Ok(false), Ok(true), Ok(false)]);
    }

    #[test]
    fn nothing_changes_while_everything_is_held() {
        let spaces = Keyspaces::new(4);
        write(&spaces, 0, b"a", 10);
        let (whole, _) = spaces.hold_everything(|shown| shown);
        std::thread::scope(|scope| {
            let (sender, done) = mpsc::channel();
            let spaces = &spaces;
            scope.spawn(move || {
                write(spaces, 0, b"b", 20);
                // The receiver is gone by then.
                _ = sender.send(());
            });
            assert!(done.recv_timeout(A_MOMENT).is_err());
            assert_eq!(has(&whole, 0, b"b"), Ok(false));
            drop(whole);
        });
        let (whole, shown) = spaces.hold_everything(|shown| shown);
        assert_eq!((has(&whole, 0, b"b"), shown), (Ok(true), 20));
    }

    #[test]
    fn a_database_that_comes_into_being_later_stays_empty() {
        let spaces = Keyspaces::new(4);
        write(&spaces, 0, b"a", 10);
        let (whole, _) = spaces.hold_everything(|shown| shown);
        write(&spaces, 3, b"a", 20);
        assert_eq!(has(&whole, 3, b"a"), Ok(false));
        let hold = whole.view(3);
        let count = hold.read(Names::Existence, |view| Ok::<_, Refusal>(view.count_keys()));
        assert_eq!(count, Ok(0));
    }

    #[test]
    fn a_database_that_comes_into_being_meanwhile_is_held_too() {
        let spaces = Keyspaces::new(4);
        write(&spaces, 0, b"a", 10);
        let (whole, shown) = spaces.hold_everything(|shown| {
            if shown == 10 {
                write(&spaces, 3, b"a", 20);
            }
            shown
        });
        assert_eq!((has(&whole, 3, b"a"), shown), (Ok(true), 20));
    }
}
