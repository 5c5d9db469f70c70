//! Random choices are uniform, in every encoding of a value.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use std::collections::BTreeMap;

use crate::command::testing::Bench;
use crate::dialect::Dialect;

/// How often each choice is expected to occur.
const EXPECTED: usize = 400;

fn newest() -> Bench {
    Bench::new(Dialect::redis(8, 0, 2))
}

/// Applies a command with a word for each of `numbers` after `head`, 500 at a time.
fn with_words(
    bench: &Bench,
    head: &str,
    numbers: std::ops::Range<usize>,
    word: fn(usize) -> String,
) {
    let numbers: Vec<usize> = numbers.collect();
    for part in numbers.chunks(500) {
        let words: Vec<String> = part.iter().copied().map(word).collect();
        bench.apply(&format!("{head} {}", words.join(" ")));
    }
}

/// Returns the bulk strings of a reply.
fn bulks(reply: &str) -> Vec<&str> {
    let mut words = reply.split(' ').peekable();
    let mut found = Vec::new();
    while let Some(word) = words.next() {
        match word.as_bytes().first() {
            Some(b'$') => found.extend(words.next()),
            Some(b'*' | b'~') => {}
            _ => panic!("{reply}"),
        }
    }
    found
}

/// Panics if `counts` are too uneven for chance. There are `choices` choices, which should be equally frequent.
///
/// Even choices exceed the bound only once in e^30 times: a chi-square with `d` degrees of freedom exceeds `d + 2
/// sqrt(d x) + 2 x` with a probability of at most `e^-x` (Laurent and Massart, 2000, lemma 1).
fn assert_even(counts: &BTreeMap<String, usize>, choices: usize, about: &str) {
    let total: usize = counts.values().sum();
    let expected = total as f64 / choices as f64;
    assert!(counts.len() <= choices, "{about}: {counts:?}");
    let never = (choices - counts.len()) as f64;
    let square = |count: &usize| (*count as f64 - expected).powi(2) / expected;
    let chi_square = counts.values().map(square).sum::<f64>() + never * expected;
    let (degrees, rare) = ((choices - 1) as f64, 30.0);
    let bound = degrees + 2.0 * (degrees * rare).sqrt() + 2.0 * rare;
    assert!(
        chi_square <= bound,
        "{about}: {chi_square} > {bound}, {counts:?}"
    );
}

#[test]
#[should_panic(expected = "all: ")]
fn choices_that_come_too_often_or_never_are_found() {
    let mut counts: BTreeMap<_, _> = (0..130).map(|n| (n.to_string(), EXPECTED)).collect();
    counts.insert("0".to_owned(), EXPECTED / 2);
    counts.insert("1".to_owned(), EXPECTED * 3 / 2);
    counts.insert("2".to_owned(), 0);
    assert_even(&counts, 130, "all");
}

/// Repeats `line`, and counts every `step`th string of its replies until there are enough to judge `choices`.
fn assert_chosen_evenly(bench: &Bench, line: &str, step: usize, choices: usize) {
    fastrand::seed(7);
    let mut counts = BTreeMap::new();
    let mut left = choices * EXPECTED;
    while left > 0 {
        let reply = bench.read(line);
        let chosen = bulks(&reply);
        assert!(!chosen.is_empty(), "{line}: {reply}");
        left = left.saturating_sub(chosen.len() / step);
        for choice in chosen.into_iter().step_by(step) {
            *counts.entry(choice.to_owned()).or_default() += 1;
        }
    }
    assert_even(&counts, choices, line);
}

/// Asks for random elements of `key`, which has `len` elements, in every way: one, some with repetition, and a few and
/// most without.
fn assert_even_in_every_way(bench: &Bench, command: &str, key: &str, len: usize) {
    assert_chosen_evenly(bench, &format!("{command} {key}"), 1, len);
    assert_chosen_evenly(bench, &format!("{command} {key} -1000"), 1, len);
    let most = len * 9 / 10;
    for count in [1, len / 20, len / 3 - 1, len / 3 + 1, most] {
        assert_chosen_evenly(bench, &format!("{command} {key} {}", count.max(1)), 1, len);
    }
    let (pairs, option) = match command {
        "HRANDFIELD" => (2, " WITHVALUES"),
        "ZRANDMEMBER" => (2, " WITHSCORES"),
        _ => return,
    };
    assert_chosen_evenly(bench, &format!("{command} {key} -1000{option}"), pairs, len);
    assert_chosen_evenly(
        bench,
        &format!("{command} {key} {most}{option}"),
        pairs,
        len,
    );
}

fn assert_encoding(bench: &Bench, key: &str, encoding: &str) {
    let found = bench.read(&format!("OBJECT ENCODING {key}"));
    assert!(found.ends_with(&format!(" {encoding}")), "{key}: {found}");
}

#[test]
fn members_of_sets_are_chosen_evenly() {
    let bench = newest();
    with_words(&bench, "SADD ints", 0..50, |n| n.to_string());
    with_words(&bench, "SADD packed", 0..50, |n| format!("m{n}"));
    with_words(&bench, "SADD table", 0..130, |n| format!("m{n}"));
    with_words(&bench, "SADD sparse", 0..3000, |n| format!("m{n}"));
    with_words(&bench, "SREM sparse", 60..3000, |n| format!("m{n}"));
    for (key, encoding, len) in [
        ("ints", "intset", 50),
        ("packed", "listpack", 50),
        ("table", "hashtable", 130),
        ("sparse", "hashtable", 60),
    ] {
        assert_encoding(&bench, key, encoding);
        assert_even_in_every_way(&bench, "SRANDMEMBER", key, len);
    }
}

#[test]
fn fields_of_hashes_are_chosen_evenly() {
    let bench = newest();
    let pair = |n| format!("f{n} v{n}");
    with_words(&bench, "HSET packed", 0..50, pair);
    let long = |n| format!("f{n} {}", "v".repeat(65));
    with_words(&bench, "HSET table", 0..130, long);
    with_words(&bench, "HSET sparse", 0..3000, pair);
    with_words(&bench, "HDEL sparse", 60..3000, |n| format!("f{n}"));
    with_words(&bench, "HSET timed", 0..50, pair);
    with_words(&bench, "HSET timed-table", 0..130, long);
    for key in ["timed", "timed-table"] {
        bench.apply(&format!("HPEXPIREAT {key} 9000000000000 FIELDS 2 f1 f7"));
    }
    for (key, encoding, len) in [
        ("packed", "listpack", 50),
        ("table", "hashtable", 130),
        ("sparse", "hashtable", 60),
        ("timed", "listpackex", 50),
        ("timed-table", "hashtable", 130),
    ] {
        assert_encoding(&bench, key, encoding);
        assert_even_in_every_way(&bench, "HRANDFIELD", key, len);
    }
}

#[test]
fn valkey_chooses_evenly_among_the_fields_not_past_their_time() {
    let bench = Bench::new(Dialect::valkey(9, 1, 2));
    with_words(&bench, "HSET h", 0..60, |n| format!("f{n} v"));
    bench.apply("HPEXPIREAT h 9000000000000 FIELDS 2 f3 f4");
    with_words(&bench, "HPEXPIREAT h 1 FIELDS 10", 50..60, |n| {
        format!("f{n}")
    });
    assert_even_in_every_way(&bench, "HRANDFIELD", "h", 50);
}

#[test]
fn members_of_sorted_sets_are_chosen_evenly() {
    let bench = newest();
    // Scores repeat, so that some members are ordered by name.
    let pair = |n| format!("{} m{n}", n / 3);
    with_words(&bench, "ZADD packed", 0..50, pair);
    with_words(&bench, "ZADD table", 0..130, pair);
    with_words(&bench, "ZADD sparse", 0..3000, pair);
    with_words(&bench, "ZREM sparse", 60..3000, |n| format!("m{n}"));
    for (key, encoding, len) in [
        ("packed", "listpack", 50),
        ("table", "skiplist", 130),
        ("sparse", "skiplist", 60),
    ] {
        assert_encoding(&bench, key, encoding);
        assert_even_in_every_way(&bench, "ZRANDMEMBER", key, len);
    }
}

/// Counts each reply to a command as one choice: all its strings, sorted if `sorts` is set.
fn assert_selections_even(bench: &Bench, line: &str, sorts: bool, choices: usize) {
    fastrand::seed(11);
    let mut counts = BTreeMap::new();
    for _ in 0..choices * EXPECTED {
        let reply = bench.read(line);
        let mut chosen = bulks(&reply);
        if sorts {
            chosen.sort_unstable();
        }
        *counts.entry(chosen.join(" ")).or_default() += 1;
    }
    assert_even(&counts, choices, line);
}

#[test]
fn every_selection_is_as_likely_as_any_other() {
    let bench = newest();
    with_words(&bench, "SADD ints", 0..6, |n| n.to_string());
    with_words(&bench, "SADD packed", 0..6, |n| format!("m{n}"));
    with_words(&bench, "SADD table", 0..200, |n| format!("m{n}"));
    with_words(&bench, "SREM table", 6..200, |n| format!("m{n}"));
    with_words(&bench, "HSET h", 0..6, |n| format!("f{n} v"));
    with_words(&bench, "ZADD z", 0..6, |n| format!("{n} m{n}"));
    for (command, key) in [
        ("SRANDMEMBER", "ints"),
        ("SRANDMEMBER", "packed"),
        ("SRANDMEMBER", "table"),
        ("HRANDFIELD", "h"),
        ("ZRANDMEMBER", "z"),
    ] {
        // Two or four distinct elements of six: fifteen selections. Two that may repeat, in order: thirty-six.
        assert_selections_even(&bench, &format!("{command} {key} 2"), true, 15);
        assert_selections_even(&bench, &format!("{command} {key} 4"), true, 15);
        assert_selections_even(&bench, &format!("{command} {key} -2"), false, 36);
    }
}

#[test]
fn small_selections_of_large_values_are_as_likely_as_any_other() {
    let bench = newest();
    with_words(&bench, "SADD s", 0..40, |n| format!("m{n}"));
    bench.apply(&format!("SADD s {0}\nSREM s {0}", "x".repeat(100)));
    with_words(&bench, "ZADD z", 0..40, |n| format!("{n} m{n}"));
    assert_encoding(&bench, "s", "hashtable");
    for line in ["SRANDMEMBER s 2", "ZRANDMEMBER z 2"] {
        assert_selections_even(&bench, line, true, 40 * 39 / 2);
    }
}

#[test]
fn keys_are_chosen_evenly() {
    for keys in [1, 2, 5, 130] {
        let bench = newest();
        (0..keys).for_each(|n| bench.apply(&format!("SET k{n} v")));
        assert_chosen_evenly(&bench, "RANDOMKEY", 1, keys);
    }
}

#[test]
fn keys_that_remain_of_many_are_chosen_evenly() {
    let bench = newest();
    (0..20_000).for_each(|n| bench.apply(&format!("SET k{n} v")));
    (5..20_000).for_each(|n| bench.apply(&format!("DEL k{n}")));
    assert_chosen_evenly(&bench, "RANDOMKEY", 1, 5);
}

#[test]
fn keys_past_their_time_are_chosen_only_when_there_are_no_others() {
    let bench = newest();
    (0..40).for_each(|n| bench.apply(&format!("SET past{n} v PXAT 1")));
    assert_chosen_evenly(&bench, "RANDOMKEY", 1, 40);
    (0..4).for_each(|n| bench.apply(&format!("SET k{n} v")));
    assert_chosen_evenly(&bench, "RANDOMKEY", 1, 4);
}
