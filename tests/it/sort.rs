//! SORT: random sorts must be answered and stored as on the primary.

use fastrand::Rng;

use crate::client::words;
use crate::servers::{ALL, Server};

const SORTS: usize = 400;
/// Keys whose elements have an order that does not come from a hash table.
const KEYS: [&str; 6] = ["numbers", "many", "names", "intset", "seven", "none"];
const PATTERNS: [&str; 8] = [
    "w_*", "h_*->f", "h_*->g", "none_*", "nosort", "#", "*", "h_*->",
];

fn pick<'a>(random: &mut Rng, words: &[&'a str]) -> &'a str {
    words[random.usize(..words.len())]
}

fn writes(random: &mut Rng) -> Vec<String> {
    let mut list = |key: &str, count: usize, pool: &[&str]| {
        let picked: Vec<&str> = (0..count).map(|_| pick(random, pool)).collect();
        format!("RPUSH {key} {}", picked.join(" "))
    };
    let numbers = ["1", "-3", "2.5", "1e2", "7", "12", "40", "-inf", "3", "05"];
    let names = ["a", "b", "B", "ab", "10", "9", "abc", "é"];
    let mut lines = vec![
        list("numbers", 20, &numbers),
        list("many", 300, &numbers),
        list("names", 45, &names),
        list("seven", 7, &names),
        "SADD intset 5 1 3 99 -4 12 40 7".to_owned(),
        "ZADD zset 1 a 1 b 2 ab 2.5 abc 0 9 7 10".to_owned(),
    ];
    for element in numbers.iter().chain(&names) {
        let weight = pick(random, &["1", "2", "2", "10", "-1.5", "x"]);
        lines.push(format!("SET w_{element} {weight}"));
        lines.push(format!(
            "HSET h_{element} f {} g {weight}",
            pick(random, &["1", "2", "3"])
        ));
    }
    lines
}

fn sort(random: &mut Rng) -> String {
    let mut line = pick(random, &KEYS).to_owned();
    if random.bool() {
        line.push_str(&format!(" BY {}", pick(random, &PATTERNS)));
    }
    for _ in 0..random.usize(..3) {
        line.push_str(&format!(" GET {}", pick(random, &PATTERNS)));
    }
    if random.bool() {
        let (offset, count) = (
            pick(random, &["0", "1", "4", "-2", "100"]),
            pick(random, &["0", "1", "3", "-1", "50"]),
        );
        line.push_str(&format!(" LIMIT {offset} {count}"));
    }
    for option in [" ALPHA", " DESC", " ASC"] {
        if random.bool() {
            line.push_str(option);
        }
    }
    line
}

fn sort_and_compare(name: &str, seed: u64) {
    let Some(primary) = Server::start(name, &[]) else {
        return;
    };
    let mut random = Rng::with_seed(seed);
    let split = |lines: Vec<String>| lines.iter().map(|line| words(line)).collect::<Vec<_>>();
    primary.client().pipeline(&split(writes(&mut random)));
    let redtail = Server::redtail(&primary);
    let stores = (0..60).map(|index| format!("SORT {} STORE d{index}", sort(&mut random)));
    primary.client().pipeline(&split(stores.collect()));
    redtail.wait_in_sync(&primary);
    let sorts: Vec<String> = (0..SORTS)
        .map(|_| format!("SORT_RO {}", sort(&mut random)))
        .collect();
    // Redis 6.0 has no SORT_RO.
    if name != "redis-6.0" {
        redtail.answers_as(&primary, name, &split(sorts), |_| false);
    }
    let stored = (0..60).flat_map(|index| {
        [
            format!("LRANGE d{index} 0 -1"),
            format!("OBJECT ENCODING d{index}"),
        ]
    });
    redtail.answers_as(&primary, name, &split(stored.collect()), |_| false);
}

#[test]
fn sorts_as_the_primary_does() {
    for (index, name) in ALL.iter().enumerate() {
        sort_and_compare(name, 700 + index as u64);
    }
}
