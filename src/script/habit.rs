//! How much a script held lately, so that it does not run twice every time.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use super::reach::Level;

/// After this many runs, a script that had to start over is tried with only its declared keys again, because what it reads
/// depends on its arguments. The runs lost this way cost one percent.
const RUNS_REMEMBERED: u32 = 100;

/// What is remembered about one script.
#[derive(Debug, Default)]
pub(super) struct Habit {
    level: AtomicU8,
    /// How many more runs start at this level.
    runs: AtomicU32,
}

impl Habit {
    /// Returns the level for the next run to start at.
    pub(super) fn first(&self) -> Level {
        let left = self.runs.load(Ordering::Relaxed);
        if left == 0 {
            return Level::Keys;
        }
        self.runs.store(left - 1, Ordering::Relaxed);
        self.last()
    }

    /// Returns the level that was needed last.
    pub(super) fn last(&self) -> Level {
        match self.level.load(Ordering::Relaxed) {
            0 => Level::Keys,
            1 => Level::Database,
            _ => Level::Everything,
        }
    }

    /// Records that the script needed `level`.
    pub(super) fn note(&self, level: Level) {
        let number = match level {
            Level::Keys => 0,
            Level::Database => 1,
            Level::Everything | Level::Lent => 2,
        };
        self.level.store(number, Ordering::Relaxed);
        self.runs.store(RUNS_REMEMBERED, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_that_gave_up_begins_where_it_ended_for_a_while() {
        let habit = Habit::default();
        assert_eq!(habit.first(), Level::Keys);
        habit.note(Level::Everything);
        assert!((0..RUNS_REMEMBERED).all(|_| habit.first() == Level::Everything));
        assert_eq!(
            (habit.first(), habit.last()),
            (Level::Keys, Level::Everything)
        );
        habit.note(Level::Database);
        assert_eq!(habit.first(), Level::Database);
    }
}
