use crate::command::testing::Bench;
use crate::dialect::Dialect;
use proptest::prelude::*;

fn bench() -> Bench {
    let bench = Bench::new(Dialect::redis(7, 0, 0));
    bench.apply("SET a ohmytext\nSET b mynewtext\nSET n 12345\nSET m 2451\nRPUSH l x");
    bench
}

/// The answers of Redis 6.0 (STRALGO) and 7.0 (LCS).
#[test]
fn subsequences_lengths_and_places_are_redis_own() {
    let bench = bench();
    let mut found =
        String::from("*4 $7 matches *2 *2 *2 :4 :7 *2 :5 :8 *2 *2 :2 :3 *2 :0 :1 $3 len :6");
    for (line, reply) in [
        ("a b", "$6 mytext"),
        ("a b LEN", ":6"),
        ("a b IDX", &*found.clone()),
        (
            "a b idx minmatchlen 4",
            "*4 $7 matches *1 *2 *2 :4 :7 *2 :5 :8 $3 len :6",
        ),
        (
            "a b IDX MINMATCHLEN 4 WITHMATCHLEN",
            "*4 $7 matches *1 *3 *2 :4 :7 *2 :5 :8 :4 $3 len :6",
        ),
        ("n m", "$3 245"),
        ("a none", "$0 "),
        ("none none IDX", "*4 $7 matches *0 $3 len :0"),
        ("none none LEN", ":0"),
    ] {
        let words = line.to_uppercase().replace(" NONE", " none");
        let (keys, options) = words.split_at(
            words
                .match_indices(' ')
                .nth(1)
                .map_or(words.len(), |(at, _)| at),
        );
        let line6 = format!("STRALGO LCS KEYS {}{options}", keys.to_lowercase());
        assert_eq!(
            bench.read(&format!("LCS {line}")).trim_end(),
            reply.trim_end(),
            "{line}"
        );
        assert_eq!(bench.read(&line6).trim_end(), reply.trim_end(), "{line6}");
    }
    found.replace_range(..2, "%2");
    assert_eq!(bench.read3("LCS a b IDX"), found);
    assert_eq!(bench.read("STRALGO LCS LEN STRINGS abc xbz"), ":1");
}

#[test]
fn each_mistake_is_told_in_its_turn() {
    let bench = bench();
    let not_strings = "-ERR The specified keys must contain string values";
    for (line, reply) in [
        ("LCS a l FOO", not_strings),
        ("LCS a b FOO", "-ERR syntax error"),
        ("LCS a b MINMATCHLEN", "-ERR syntax error"),
        (
            "LCS a b MINMATCHLEN x",
            "-ERR value is not an integer or out of range",
        ),
        (
            "LCS a b LEN IDX",
            "-ERR If you want both the length and indexes, please just use IDX.",
        ),
        ("STRALGO FOO", "-ERR syntax error"),
        ("STRALGO LCS FOO KEYS a l", "-ERR syntax error"),
        ("STRALGO LCS KEYS a l FOO", not_strings),
        ("STRALGO LCS KEYS a", "-ERR syntax error"),
        (
            "STRALGO LCS STRINGS a b KEYS a l",
            "-ERR Either use STRINGS or KEYS",
        ),
        (
            "STRALGO LCS LEN",
            "-ERR Please specify two strings: STRINGS or KEYS options are mandatory",
        ),
    ] {
        assert_eq!(bench.read(line), reply, "{line}");
    }
}

#[test]
fn a_table_past_the_limit_of_strings_is_refused() {
    for (dialect, size, line, reply) in [
        (
            Dialect::redis(7, 0, 0),
            12_000,
            "LCS big big LEN",
            "-ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
        ),
        (
            Dialect::redis(6, 0, 16),
            12_000,
            "STRALGO LCS LEN KEYS big none",
            ":0",
        ),
        (
            Dialect::redis(6, 0, 16),
            24_000,
            "STRALGO LCS LEN KEYS big big",
            "-ERR Insufficient memory",
        ),
    ] {
        let bench = Bench::new(dialect);
        bench.apply(&format!("SETRANGE big {} x", size - 1));
        assert_eq!(bench.read(line), reply, "{line}");
    }
}

proptest! {
    #[test]
    fn the_length_is_that_of_the_subsequence_and_of_its_runs(a in "[abc]{0,40}", b in "[abc]{0,40}") {
        let (runs, common) = super::common(a.as_bytes(), b.as_bytes());
        let len = super::fill(a.as_bytes(), b.as_bytes(), |_| {});
        prop_assert_eq!(common.len(), len as usize);
        prop_assert_eq!(runs.iter().map(|run| run.len).sum::<usize>(), common.len());
        let joined = |start: fn(&super::Match) -> usize, text: &str| -> String {
            let parts = runs.iter().rev();
            parts.map(|run| &text[start(run)..start(run) + run.len]).collect()
        };
        let (from_a, from_b) = (joined(|run| run.a, &a), joined(|run| run.b, &b));
        prop_assert_eq!(from_a.as_bytes(), &*common);
        prop_assert_eq!(from_b.as_bytes(), &*common);
    }
}
