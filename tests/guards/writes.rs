//! Commands from the primary's stream, applied to existing keys.

use redtail::internal::replica::fuzzing::applying;

use crate::counting::allocations;
use crate::data::{assert_sound, made_by, push, words};

/// How many times each command is applied.
const TIMES: usize = 50;

/// Returns the number of allocations per `command`, applied to the data that `before` creates.
fn cost(before: &[&str], command: &str) -> u64 {
    let (mut stream, mut one) = (Vec::new(), Vec::new());
    before
        .iter()
        .for_each(|line| push(&mut stream, &words(line)));
    push(&mut one, &words(command));
    let generation = made_by(&stream);
    let counted = applying(&generation, |apply| {
        (0..TIMES).for_each(|_| apply(&one));
        allocations(|| (0..TIMES).for_each(|_| apply(&one))).0
    });
    assert_sound(&generation);
    assert!(counted.is_multiple_of(TIMES as u64), "{command}: {counted}");
    counted / TIMES as u64
}

#[test]
fn a_set_over_a_value_of_the_same_size_allocates_nothing() {
    assert_eq!(cost(&["SET key one-value"], "SET key two-value"), 0);
    assert_eq!(cost(&["SET key 1234"], "SET key 4321"), 0);
}

#[test]
fn a_counter_allocates_nothing() {
    assert_eq!(cost(&["SET n 1"], "INCRBY n 1"), 0);
}

#[test]
fn changes_of_elements_allocate_no_more_than_stated() {
    for (before, command, most) in [
        ("HSET hash field one", "HSET hash field two", 0),
        ("SADD set member", "SADD set member", 0),
        ("ZADD zset 1 member", "ZADD zset 2 member", 2),
        ("RPUSH list element", "LSET list 0 another", 0),
        ("SETBIT bits 7 1", "SETBIT bits 3 1", 1),
    ] {
        let cost = cost(&[before], command);
        assert!(cost <= most, "{command}: {cost}");
    }
}
