use crate::command::testing::Bench;
use crate::dialect::Dialect;

/// A command, and a real server's reply with each line end written as a blank.
type Told = (&'static str, &'static str);

const PLACES: &str = "\
GEOADD s 13.361389 38.115556 Palermo 15.087269 37.502669 Catania\n\
GEOADD s NX -180 -85.05112878 edge 0 0 zero\n\
ZADD s -1.5 odd";

fn bench(dialect: Dialect, writes: &str) -> Bench {
    let bench = Bench::new(dialect);
    bench.apply(PLACES);
    bench.apply(writes);
    bench
}

fn check(dialect: Dialect, told: &[Told]) {
    let bench = bench(dialect, "SET text x");
    for (command, reply) in told {
        assert_eq!(bench.read(command), *reply, "{command}");
    }
}

const REDIS_6_0: &[Told] = &[
    ("GEODIST s Palermo Catania", "$11 166274.1516"),
    (
        "GEODIST s Palermo Catania MI",
        "-ERR unsupported unit provided. please use m, km, ft, mi",
    ),
    ("GEODIST s Palermo none", "$-1"),
    (
        "GEOHASH s Palermo edge odd none",
        "*4 $11 sqc8b49rny0 $11 00bh0hbj200 $11 bp05b5048p0 $-1",
    ),
    (
        "GEOPOS s zero odd none",
        "*3 *2 $19 0.00000268220901489 $19 0.00000126736058093 *2 $3 180 $19 85.0511287799999991 *-1",
    ),
    (
        "GEORADIUS_RO s 15 37 200 km WITHDIST WITHHASH WITHCOORD DESC",
        "*2 *4 $7 Palermo $8 190.4424 :3479099956230698 *2 $20 13.36138933897018433 $20 38.11555639549629859 \
         *4 $7 Catania $7 56.4413 :3479447370796909 *2 $20 15.08726745843887329 $20 37.50266842333162032",
    ),
    ("GEORADIUS_RO none x y z w", "*0"),
    (
        "GEORADIUSBYMEMBER_RO s none 1 km",
        "-ERR could not decode requested zset member",
    ),
    (
        "GEORADIUSBYMEMBER_RO s Palermo 1 km COUNT 1 ANY",
        "-ERR syntax error",
    ),
    (
        "GEOPOS text a",
        "-WRONGTYPE Operation against a key holding the wrong kind of value",
    ),
];

const REDIS_8_0: &[Told] = &[
    ("GEODIST s Palermo Catania MI", "$8 103.3182"),
    (
        "GEOPOS s Palermo zero odd",
        "*3 *2 $18 13.361389338970184 $16 38.1155563954963 *2 $20 2.682209014892578e-6 $21 1.2673605809254695e-6 \
         *2 $3 180 $11 85.05112878",
    ),
    (
        "GEORADIUS_RO none x y z w",
        "-ERR value is not a valid float",
    ),
    (
        "GEOSEARCH s FROMMEMBER Palermo BYBOX 400 400 km COUNT 1 ANY",
        "*1 $7 Palermo",
    ),
    (
        "GEOSEARCH s BYPOLYGON 3 10 30 20 30 15 50 WITHDIST",
        "-ERR syntax error",
    ),
    (
        "geosearch s FROMMEMBER Palermo ASC ASC ASC",
        "-ERR exactly one of BYRADIUS and BYBOX can be specified for geosearch",
    ),
];

const VALKEY_9_1: &[Told] = &[
    (
        "GEORADIUSBYMEMBER_RO s none 1 km",
        "-ERR member none does not exist",
    ),
    (
        "GEOSEARCH s BYPOLYGON 3 10 30 20 30 15 50 WITHDIST",
        "*2 *2 $7 Palermo $11 212847.3607 *2 $7 Catania $10 88221.9747",
    ),
    (
        "geosearch s FROMMEMBER Palermo ASC ASC ASC",
        "-ERR exactly one of BYRADIUS, BYBOX and BYPOLYGON can be specified for geosearch",
    ),
    (
        "GEOSEARCH s BYPOLYGON 3 0 85 120 85 -120 85",
        "-ERR the middle of the polygon lies where nothing can be indexed",
    ),
];

#[test]
fn answers_as_redis_6_0_does() {
    check(Dialect::redis(6, 0, 16), REDIS_6_0);
}

#[test]
fn answers_as_redis_8_0_does() {
    check(Dialect::redis(8, 0, 2), REDIS_8_0);
}

#[test]
fn answers_as_valkey_9_1_does() {
    check(Dialect::valkey(9, 1, 2), VALKEY_9_1);
}

#[test]
fn coordinates_are_doubles_in_resp3_and_distances_are_text() {
    let bench = bench(Dialect::redis(7, 0, 15), "");
    assert_eq!(
        bench.read3("GEORADIUS_RO s 15 37 100 km WITHDIST WITHCOORD"),
        "*1 *3 $7 Catania $7 56.4413 *2 ,15.08726745843887329 ,37.50266842333162032"
    );
}

#[test]
fn stored_searches_keep_hashes_or_distances() {
    let bench = bench(
        Dialect::redis(7, 0, 15),
        "GEORADIUS s 15 37 200 km COUNT 1 STORE hashes\n\
         GEORADIUSBYMEMBER s Palermo 200 km STOREDIST distances\n\
         SET replaced x\n\
         GEOSEARCHSTORE replaced s FROMLONLAT 15 37 BYBOX 400 400 km ASC COUNT 1 STOREDIST\n\
         SET emptied x\n\
         GEOSEARCHSTORE emptied none FROMLONLAT 15 37 BYBOX 400 400 km",
    );
    for (command, reply) in [
        (
            "ZRANGE hashes 0 -1 WITHSCORES",
            "*2 $7 Catania $16 3479447370796909",
        ),
        (
            "ZRANGE distances 0 -1 WITHSCORES",
            "*4 $7 Palermo $1 0 $7 Catania $18 166.27415156960032",
        ),
        ("ZRANGE replaced 0 -1", "*1 $7 Catania"),
        ("EXISTS emptied", ":0"),
    ] {
        assert_eq!(bench.read(command), reply, "{command}");
    }
}

/// Redis sorts only the part that COUNT asks for, so equal distances do not keep the order in which they were found.
#[test]
fn equal_distances_come_as_redis_sorts_them() {
    let bench = Bench::new(Dialect::redis(7, 0, 15));
    for place in 0..50 {
        bench.apply(&format!("GEOADD p 10 20 {place:02}"));
    }
    assert_eq!(
        bench.read("GEOSEARCH p FROMLONLAT 10 20 BYRADIUS 1 km COUNT 3"),
        "*3 $2 49 $2 01 $2 02"
    );
}

#[test]
fn a_stored_search_names_both_keys() {
    let keys = |line: &str| {
        let words = crate::resp::ArgsBuf::new(line.split(' '));
        let mut found = Vec::new();
        super::SOURCE_AND_STORE.visit(words.as_args(), |index| found.push(index));
        found
    };
    assert_eq!(keys("georadius k 1 2 3 km"), [1]);
    assert_eq!(keys("georadius k 1 2 3 km STOREDIST d"), [1, 7]);
    assert_eq!(
        keys("georadius k 1 2 3 km store a withdist store b"),
        [1, 10]
    );
    assert_eq!(keys("georadius k 1 2 3 km store"), [1]);
}
