//! Figures counted incrementally equal a count of everything.

use super::*;
use crate::replica::stream::tests::{Bench, stream};
use crate::store::{WriteToken, unix_ms};

/// Commands in which K stands for a key, N for a number, W for a word of any length, T for a time.
const LINES: &str = "SET K W|SET K N PXAT T|APPEND K W|SETRANGE K N W|INCRBY K N|GETDEL K|SETBIT K N 1|PFADD K W W
LPUSH K W N W|RPUSH K W|LINSERT K BEFORE N W|LSET K 0 W|LTRIM K 1 N|LREM K 0 N|LMOVE K K LEFT RIGHT|RPOP K|LPOP K 2
SADD K N N W|SREM K N|SMOVE K K N|SUNIONSTORE K K K|SPOP K|HSET K N W N W|HSET K W N|HDEL K N|HINCRBY K N N
HPEXPIREAT K T FIELDS 2 N N|HPERSIST K FIELDS 1 N|HPEXPIREAT K T FIELDS 1 N|ZADD K N W N N|ZINCRBY K N N|ZREM K N
ZREMRANGEBYRANK K 0 N|ZUNIONSTORE K 2 K K|XADD K * N W|XADD K MAXLEN = N * W N|XDEL K N|XTRIM K MAXLEN N
XGROUP CREATE K g 0 MKSTREAM|XGROUP CREATECONSUMER K g W|XCLAIM K g N 0 N-1 TIME 1 RETRYCOUNT 1 FORCE JUSTID
XADD K N-1 W N|XACK K g N-1|XGROUP DELCONSUMER K g N|XGROUP DESTROY K g|PEXPIREAT K T|PERSIST K|DEL K|UNLINK K K
RENAME K K|COPY K K REPLACE|COPY K K DB 1 REPLACE|MOVE K 1|SWAPDB 0 1|SELECT 0|SELECT 1|GEOADD K N N W
SINTERSTORE K K K|ZRANGESTORE K K 0 N|BITOP OR K K K|SORT K BY nosort STORE K|MSET K W K N";

fn word(random: &mut fastrand::Rng, kind: &str) -> String {
    let number = |random: &mut fastrand::Rng| random.u32(..60).to_string();
    match kind {
        "K" => format!("k{}", random.u8(..9)),
        "N" => number(random),
        "T" => ["1", "9999999999998", "9999999999999"][random.usize(..3)].to_owned(),
        "W" => "w".repeat([1, 30, 70, 5000][random.usize(..4)]) + &number(random),
        other => other.replace('N', &number(random)),
    }
}

fn command(random: &mut fastrand::Rng, line: &str) -> String {
    let (name, rest) = line.split_once(' ').unwrap();
    let words = rest.split(' ').map(|kind| match kind {
        // An option, or the end of an id.
        _ if kind.len() > 2 && !kind.ends_with("-1") => kind.to_owned(),
        _ => word(random, kind),
    });
    let words: Vec<_> = words.collect();
    format!("{name} {}", words.join(" "))
}

fn databases(bench: &Bench) -> impl Iterator<Item = &crate::store::Db> {
    (0..2).filter_map(|db| bench.generation.spaces.db(db))
}

#[test]
fn figures_are_what_a_count_of_all_entries_gives() {
    let lines: Vec<_> = LINES.lines().flat_map(|line| line.split('|')).collect();
    for seed in 0..8 {
        let mut random = fastrand::Rng::with_seed(seed);
        let bench = Bench::new();
        let mut applier = bench.applier(0);
        let mut sweeper = WriteToken::for_tests().sweeper();
        for round in 0..1500 {
            let line = lines[random.usize(..lines.len())];
            let line = command(&mut random, line);
            let failed = || bench.figures.failed.load(Ordering::Relaxed);
            let before = failed();
            applier.feed(&stream(&[&line])).unwrap();
            if failed() > before {
                // A key that is tainted or of another type would make the next command fail, too.
                let keys = line.split(' ').filter(|word| word.starts_with('k'));
                let gone = keys.fold("DEL".to_owned(), |line, key| line + " " + key);
                applier.feed(&stream(&[&gone])).unwrap();
            }
            if round % 7 == 0 {
                sweeper.step(&bench.generation.spaces, unix_ms());
            }
            let wrong = databases(&bench).position(|db| !db.figures_hold());
            assert_eq!(wrong, None, "seed {seed}, round {round}: {line}");
        }
        let done = bench.figures.commands.load(Ordering::Relaxed)
            - bench.figures.failed.load(Ordering::Relaxed);
        assert!(done > 750, "most do something: {done}");
    }
}
