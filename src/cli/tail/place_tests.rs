#![expect(clippy::unwrap_used, reason = "a test may panic")]

use super::*;

fn at(history: &str, offset: u64) -> Point {
    Point {
        replid: history.repeat(40).parse().unwrap(),
        offset,
    }
}

/// Notes `count` changes at a point as printed. Returns their numbers.
fn print(tracker: &mut Tracker, point: Point, count: u64) -> Vec<u64> {
    let mut numbers = Vec::new();
    for _ in 0..count {
        if let Step::New(number) = tracker.step(point) {
            tracker.done(point, number, false);
            numbers.push(number);
        }
    }
    numbers
}

/// A tail that has printed two of three changes at `a9`.
fn stopped() -> Tracker {
    let mut tracker = Tracker::new(None);
    assert_eq!(tracker.mark(Mark::Resynced(at("a", 5))), Turn::On);
    assert_eq!(tracker.step(at("a", 5)), Step::Pass);
    assert_eq!(print(&mut tracker, at("a", 8), 1), [0]);
    assert_eq!(print(&mut tracker, at("a", 9), 2), [0, 1]);
    Tracker::new(tracker.place().cloned())
}

#[test]
fn a_restart_passes_over_what_was_printed() {
    for begin in [5, 8, 9] {
        let mut tracker = stopped();
        assert_eq!(tracker.mark(Mark::Begins(at("a", begin))), Turn::On);
        if begin < 8 {
            assert_eq!(print(&mut tracker, at("a", 8), 1), [0; 0]);
        }
        if begin < 9 {
            assert_eq!(print(&mut tracker, at("a", 9), 3), [2]);
        }
        assert_eq!(print(&mut tracker, at("a", 12), 2), [0, 1]);
    }
}

#[test]
fn a_state_that_begins_after_the_place_or_elsewhere_is_a_gap() {
    for begin in [at("a", 10), at("b", 5)] {
        let mut tracker = stopped();
        assert_eq!(tracker.mark(Mark::Begins(begin)), Turn::Lost(begin, 0));
        tracker.done(begin, 0, false);
        let next = Point {
            offset: 20,
            ..begin
        };
        assert_eq!(print(&mut tracker, next, 1), [0]);
        // Another restart has nothing to add.
        let mut again = Tracker::new(tracker.place().cloned());
        assert_eq!(again.mark(Mark::Begins(begin)), Turn::On);
        assert_eq!(print(&mut again, next, 1), [0; 0]);
    }
}

#[test]
fn a_full_resync_that_was_not_printed_to_its_end_is_a_gap() {
    let mut tracker = stopped();
    assert_eq!(tracker.mark(Mark::Resynced(at("b", 3))), Turn::Resynced);
    for open in [true, false] {
        let Step::New(number) = tracker.step(at("b", 3)) else {
            panic!("it is new");
        };
        tracker.done(at("b", 3), number, open);
        let mut again = Tracker::new(tracker.place().cloned());
        let lost = Turn::Lost(at("b", 3), number + 1);
        let expected = if open { lost } else { Turn::On };
        assert_eq!(again.mark(Mark::Begins(at("b", 3))), expected);
    }
}

#[test]
fn the_history_may_change_its_name_before_and_after_the_place() {
    let mut tracker = stopped();
    tracker.mark(Mark::Begins(at("a", 5)));
    print(&mut tracker, at("a", 9), 3);
    assert_eq!(tracker.mark(Mark::Renamed(at("b", 10))), Turn::On);
    assert_eq!(print(&mut tracker, at("b", 12), 1), [0]);
    assert_eq!(tracker.mark(Mark::Renamed(at("c", 14))), Turn::On);
    assert_eq!(print(&mut tracker, at("c", 15), 1), [0]);
    // The log has all three names.
    let mut again = Tracker::new(tracker.place().cloned());
    assert_eq!(again.mark(Mark::Begins(at("a", 8))), Turn::On);
    assert_eq!(print(&mut again, at("a", 9), 3), [0; 0]);
    assert_eq!(again.mark(Mark::Renamed(at("b", 10))), Turn::On);
    assert_eq!(print(&mut again, at("b", 12), 1), [0; 0]);
    assert_eq!(again.mark(Mark::Renamed(at("c", 14))), Turn::On);
    assert_eq!(print(&mut again, at("c", 15), 2), [1]);
    // It begins where the second name had ended already.
    let mut gap = Tracker::new(tracker.place().cloned());
    assert_eq!(
        gap.mark(Mark::Begins(at("b", 15))),
        Turn::Lost(at("b", 15), 0)
    );
}

#[test]
fn what_was_printed_of_a_history_that_has_ended_is_a_gap() {
    // The end of the log was lost with the power, and another server has taken over since.
    let mut tracker = stopped();
    assert_eq!(tracker.mark(Mark::Begins(at("a", 5))), Turn::On);
    assert_eq!(
        tracker.mark(Mark::Renamed(at("b", 7))),
        Turn::Lost(at("b", 7), 0)
    );
}

#[test]
fn a_place_moves_without_changes() {
    let mut tracker = stopped();
    tracker.mark(Mark::Begins(at("a", 5)));
    print(&mut tracker, at("a", 9), 3);
    assert_eq!(tracker.mark(Mark::Reached(at("a", 40))), Turn::On);
    let mut again = Tracker::new(tracker.place().cloned());
    assert_eq!(again.mark(Mark::Begins(at("a", 40))), Turn::On);
    // A state that ends before the place does not move it back.
    let mut behind = Tracker::new(tracker.place().cloned());
    assert_eq!(behind.mark(Mark::Begins(at("a", 5))), Turn::On);
    assert_eq!(behind.mark(Mark::Reached(at("a", 30))), Turn::On);
    assert_eq!(print(&mut behind, at("a", 35), 1), [0; 0]);
}
