//! The share of time for which all scripts together may hold up the stream.
//!
//! What counts is the time that the writer waits while a script holds more than its declared keys. It is measured at the gate
//! of the store. So nothing counts while the primary writes nothing that is held, and waits too short to notice do not count
//! either. Short scripts, which hold only their keys, do not count: the writer gets its turn between them, as it does between
//! other reads.
//!
//! The account has some credit. Waiting uses it up, and time restores it at the rate of the share. Without credit, no script
//! may start that holds more than its keys. A running script is not ended for lack of credit: it has a time limit of its own.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::state::lock;
use crate::command::{ScriptFigures, ScriptShare};
use crate::store::Generation;

/// The full credit: how much waiting is allowed before anything is refused, if there was none for a while.
const CREDIT_MAX: Duration = Duration::from_secs(1);

/// The share and its account.
#[derive(Debug)]
pub(super) struct Share {
    percent: u32,
    began: Instant,
    account: Mutex<Account>,
}

#[derive(Debug)]
struct Account {
    /// The remaining waiting time, in nanoseconds; below zero if too much was used.
    credit_ns: i64,
    /// The time up to which the account is current, since `began`.
    counted: Duration,
    /// How many scripts hold more than their keys.
    running: usize,
    /// The generation that they hold, and how long its writer had waited in total when last checked.
    waited: (usize, Duration),
    figures: ScriptFigures,
}

/// How long the writer of a generation has waited so far.
#[derive(Debug, Clone, Copy)]
struct Waited {
    generation: usize,
    time: Duration,
}

impl Waited {
    fn of(generation: &Generation) -> Self {
        Self {
            generation: std::ptr::from_ref(generation).addr(),
            time: generation.spaces.writer_waited(),
        }
    }
}

/// Counts a script that holds more than its keys, until it is dropped.
#[derive(Debug)]
pub(super) struct Holding<'s> {
    share: &'s Share,
    generation: &'s Generation,
}

impl Drop for Holding<'_> {
    fn drop(&mut self) {
        let waited = Waited::of(self.generation);
        lock(&self.share.account).end(self.share.percent, self.share.began.elapsed(), waited);
    }
}

impl Share {
    pub(super) fn new(share: ScriptShare) -> Self {
        Self {
            percent: u32::from(share.percent()),
            began: Instant::now(),
            account: Mutex::new(Account {
                credit_ns: nanoseconds(CREDIT_MAX),
                counted: Duration::ZERO,
                running: 0,
                waited: (0, Duration::ZERO),
                figures: ScriptFigures::default(),
            }),
        }
    }

    /// Counts a script that starts and holds more than its keys.
    ///
    /// # Errors
    /// The error for the client, if scripts have held up the stream for too long.
    pub(super) fn begin<'s>(&'s self, generation: &'s Generation) -> Result<Holding<'s>, String> {
        let (now, waited) = (self.began.elapsed(), Waited::of(generation));
        let begun = lock(&self.account).begin(self.percent, now, waited);
        begun.map_err(|after| {
            let (percent, seconds) = (self.percent, after.as_secs_f64());
            format!(
                "BUSY scripts have held up what the primary sends for more than {percent} % of the time (--script-share); \
                 run this one again in {seconds:.1} s"
            )
        })?;
        Ok(Holding {
            share: self,
            generation,
        })
    }

    /// Counts a script that starts over.
    pub(super) fn note_again(&self) {
        lock(&self.account).figures.begun_again += 1;
    }

    pub(super) fn figures(&self) -> ScriptFigures {
        lock(&self.account).figures
    }
}

impl Account {
    fn begin(&mut self, percent: u32, now: Duration, waited: Waited) -> Result<(), Duration> {
        self.count(percent, now, waited);
        if self.credit_ns <= 0 && percent < 100 {
            self.figures.refused += 1;
            let missing = Duration::from_nanos(self.credit_ns.unsigned_abs());
            return Err((missing * 100 / percent.max(1)).max(Duration::from_millis(100)));
        }
        self.running += 1;
        Ok(())
    }

    fn end(&mut self, percent: u32, now: Duration, waited: Waited) {
        self.count(percent, now, waited);
        self.running = self.running.saturating_sub(1);
    }

    /// Brings the account up to date.
    fn count(&mut self, percent: u32, now: Duration, waited: Waited) {
        let time = now.saturating_sub(self.counted);
        self.counted = self.counted.max(now);
        let gained = nanoseconds(time / 100 * percent);
        self.credit_ns = self
            .credit_ns
            .saturating_add(gained)
            .min(nanoseconds(CREDIT_MAX));
        let (generation, before) = self.waited;
        if self.running > 0 && generation == waited.generation {
            let held_up = waited.time.saturating_sub(before);
            self.credit_ns = self.credit_ns.saturating_sub(nanoseconds(held_up));
            self.figures.held_up += held_up;
        }
        // It may seem less for a moment, when a wait is just ending.
        let same = generation == waited.generation;
        let time = if same {
            before.max(waited.time)
        } else {
            waited.time
        };
        self.waited = (waited.generation, time);
    }
}

fn nanoseconds(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn account() -> Account {
        let share = Share::new(ScriptShare::default());
        share
            .account
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn waited(seconds: u32) -> Waited {
        let time = SECOND * seconds;
        Waited {
            generation: 1,
            time,
        }
    }

    #[test]
    fn scripts_are_refused_until_time_has_brought_back_what_they_used_up() {
        let mut account = account();
        assert_eq!(account.begin(25, SECOND * 10, waited(0)), Ok(()));
        // It held up the writer for 5 of 5 seconds. With a credit of 1, a little less than 4 are missing.
        account.end(25, SECOND * 15, waited(5));
        let after = account.begin(25, SECOND * 15, waited(5));
        assert!(
            after.is_err_and(|after| after > SECOND * 10 && after <= SECOND * 16),
            "{after:?}"
        );
        assert!(account.begin(25, SECOND * 24, waited(5)).is_err());
        assert_eq!(account.begin(25, SECOND * 32, waited(5)), Ok(()));
        assert_eq!(
            (account.figures.refused, account.figures.held_up),
            (2, SECOND * 5)
        );
    }

    #[test]
    fn what_two_scripts_hold_up_at_once_counts_once() {
        let mut account = account();
        assert_eq!(account.begin(25, SECOND, waited(0)), Ok(()));
        assert_eq!(account.begin(25, SECOND, waited(0)), Ok(()));
        account.end(25, SECOND * 3, waited(2));
        account.end(25, SECOND * 3, waited(2));
        assert_eq!(account.figures.held_up, SECOND * 2);
    }

    #[test]
    fn what_a_running_script_holds_up_keeps_others_from_beginning() {
        let mut account = account();
        assert_eq!(account.begin(25, SECOND, waited(0)), Ok(()));
        assert!(account.begin(25, SECOND * 4, waited(3)).is_err());
    }

    #[test]
    fn time_counts_only_while_the_writer_waits_and_a_script_runs() {
        let mut account = account();
        for round in 0..100 {
            assert_eq!(account.begin(1, SECOND * round * 2, waited(0)), Ok(()));
            account.end(1, SECOND * (round * 2 + 1), waited(0));
        }
        // Other reads kept the writer waiting, or the writer of another generation waited.
        assert_eq!(account.begin(1, SECOND * 200, waited(50)), Ok(()));
        let other = Waited {
            generation: 2,
            ..waited(90)
        };
        account.end(1, SECOND * 201, other);
        assert_eq!(account.figures.held_up, Duration::ZERO);
    }

    #[test]
    fn a_share_of_all_the_time_refuses_nothing() {
        let mut account = account();
        for round in 0..10 {
            assert_eq!(
                account.begin(100, SECOND * round * 5, waited(round * 5)),
                Ok(())
            );
            account.end(100, SECOND * (round + 1) * 5, waited((round + 1) * 5));
        }
    }
}
