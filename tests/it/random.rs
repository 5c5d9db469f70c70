//! Random writes of every kind, the same for the same seed.

use crate::client::words;

/// The databases that the writes go to.
pub const DATABASES: [u32; 3] = [0, 1, 5];

/// Makes commands. Many of them fail on the server (a wrong type, a missing key, a command it is too old for): that is
/// wanted, since a failed write must not reach a replica.
pub struct Writer {
    rng: fastrand::Rng,
    database: u32,
    everything: bool,
}

impl Writer {
    pub fn new(seed: u64) -> Self {
        Self {
            rng: fastrand::Rng::with_seed(seed + variation()),
            database: 0,
            everything: false,
        }
    }

    /// Also makes the rarer writes, which a follower may not be able to apply.
    pub fn of_everything(seed: u64) -> Self {
        Self {
            everything: true,
            ..Self::new(seed)
        }
    }

    /// `count` commands on their own and in transactions, in several databases. The first selects one, so any fresh
    /// connection may send them.
    pub fn commands(&mut self, count: usize) -> Vec<Vec<Vec<u8>>> {
        let mut lines = vec![self.select()];
        while lines.len() < count {
            match self.rng.u32(0..100) {
                0..4 => lines.push(self.select()),
                4..8 => self.transaction(&mut lines),
                8 => lines.push(self.bulk()),
                9 => lines.push(self.whole_database()),
                10..20 if self.everything => lines.push(self.rare()),
                _ => lines.push(self.write()),
            }
        }
        lines
            .iter()
            .map(|line| words(line).into_iter().map(binary).collect())
            .collect()
    }

    fn select(&mut self) -> String {
        self.database = DATABASES[self.rng.usize(0..DATABASES.len())];
        format!("SELECT {}", self.database)
    }

    fn transaction(&mut self, lines: &mut Vec<String>) {
        lines.push("MULTI".to_owned());
        for _ in 0..self.rng.u32(0..6) {
            let line = if self.rng.u32(0..8) == 0 {
                self.select()
            } else {
                self.string()
            };
            lines.push(line);
            lines.push(self.collection());
        }
        lines.push(
            if self.rng.u32(0..8) == 0 {
                "DISCARD"
            } else {
                "EXEC"
            }
            .to_owned(),
        );
        // After DISCARD the connection is in the database before MULTI, which is not tracked here.
        lines.push(self.select());
    }

    fn whole_database(&mut self) -> String {
        match self.rng.u32(0..20) {
            0 => "FLUSHDB".to_owned(),
            1 => "FLUSHDB ASYNC".to_owned(),
            2..8 => "SWAPDB 0 1".to_owned(),
            8..12 => "SWAPDB 5 1".to_owned(),
            _ => self.keyspace(),
        }
    }

    /// One write of any kind.
    fn write(&mut self) -> String {
        match self.rng.u32(0..10) {
            0..2 => self.keyspace(),
            2..5 => self.string(),
            _ => self.collection(),
        }
    }

    fn collection(&mut self) -> String {
        match self.rng.u32(0..9) {
            0..2 => self.list(),
            2..4 => self.set(),
            4..6 => self.hash(),
            6..8 => self.sorted_set(),
            _ => self.stream(),
        }
    }

    /// Mostly a key of the kind, sometimes of another, so that types clash.
    fn key(&mut self, kind: &str) -> String {
        const KINDS: [&str; 6] = ["str", "list", "set", "hash", "zset", "stream"];
        let kind = if self.rng.u32(0..30) == 0 {
            KINDS[self.rng.usize(0..KINDS.len())]
        } else {
            kind
        };
        format!("{kind}:{}", self.rng.u32(0..12))
    }

    fn any_key(&mut self) -> String {
        const KINDS: [&str; 6] = ["str", "list", "set", "hash", "zset", "stream"];
        let kind = KINDS[self.rng.usize(0..KINDS.len())];
        self.key(kind)
    }

    /// A value: numbers at the edges of their encodings, short and long text, binary.
    fn value(&mut self) -> String {
        match self.rng.u32(0..12) {
            0..3 => self.rng.i32(-20..200).to_string(),
            3 => [
                "127",
                "-128",
                "4096",
                "-32769",
                "8388608",
                "2147483648",
                "-9223372036854775808",
                "9223372036854775808",
            ][self.rng.usize(0..8)]
            .to_owned(),
            4 => "x".repeat(self.rng.usize(40..70)),
            5 => "yz".repeat(self.rng.usize(1..300)),
            6 => format!("~{}", self.rng.u32(0..9)),
            7 => ["", "007", "-0", "+1", "1.0", "nan", "1e5"][self.rng.usize(0..7)].to_owned(),
            _ => format!("v{}", self.rng.u32(0..1000)),
        }
    }

    /// An element of a collection: from a small pool, so that they meet again.
    fn member(&mut self) -> String {
        match self.rng.u32(0..20) {
            0 => "m".repeat(self.rng.usize(60..70)),
            1 => self.value(),
            2..10 => self.rng.i32(-3..25).to_string(),
            _ => format!("m{}", self.rng.u32(0..40)),
        }
    }

    fn members(&mut self) -> String {
        let count = self.rng.usize(1..5);
        (0..count)
            .map(|_| self.member())
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn keyspace(&mut self) -> String {
        let (a, b) = (self.any_key(), self.any_key());
        let number = self.rng.i32(0..20_000);
        match self.rng.u32(0..20) {
            0 => format!("DEL {a} {b}"),
            1 => format!("UNLINK {a}"),
            2 => format!("RENAME {a} {b}"),
            3 => format!("RENAMENX {a} {b}"),
            4 => format!("COPY {a} {b}"),
            5 => format!("COPY {a} {b} REPLACE"),
            6 => format!(
                "COPY {a} {b} DB {} REPLACE",
                DATABASES[self.rng.usize(0..3)]
            ),
            7 | 8 => format!("MOVE {a} {}", DATABASES[self.rng.usize(0..3)]),
            9 => format!("PEXPIRE {a} {}", number % 40),
            10 => format!("EXPIRE {a} {}", number + 9000),
            11 => format!(
                "PEXPIREAT {a} {}",
                4_102_444_800_000_i64 + i64::from(number)
            ),
            12 => format!("EXPIREAT {a} 4102444800"),
            13 => format!(
                "EXPIRE {a} {} {}",
                number + 9000,
                ["NX", "XX", "GT", "LT"][self.rng.usize(0..4)]
            ),
            14 => format!("EXPIREAT {a} 1"),
            15..18 => format!("PERSIST {a}"),
            18 => format!(
                "EVAL return{{redis.call('INCR',KEYS[1]),redis.call('RPUSH',KEYS[2],1)}} 2 {a} {b}"
            ),
            _ => format!("GETDEL {a}"),
        }
    }

    fn string(&mut self) -> String {
        let (k, v) = (self.key("str"), self.value());
        let number = self.rng.i32(-1000..1000);
        match self.rng.u32(0..24) {
            0..4 => format!("SET {k} {v}"),
            4 => format!("SET {k} {v} EX {}", 9000 + number.abs()),
            5 => format!("SET {k} {v} PX {}", 1 + number.abs() % 30),
            6 => format!("SET {k} {v} KEEPTTL"),
            7 => format!(
                "SET {k} {v} {}",
                ["NX", "XX", "GET", "XX GET", "NX PX 500000000"][self.rng.usize(0..5)]
            ),
            8 => format!("SETEX {k} 5000 {v}"),
            9 => format!("PSETEX {k} 5000000 {v}"),
            10 => format!("SETNX {k} {v}"),
            11 => format!("GETSET {k} {v}"),
            12 => format!("MSET {k} {v} {} {number}", self.key("str")),
            13 => format!("MSETNX {k} {v} {} {number}", self.key("str")),
            14 => format!("APPEND {k} {v}"),
            15 => format!("SETRANGE {k} {} {v}", number.abs() % 100),
            16 => format!("INCR {k}"),
            17 => format!("DECR {k}"),
            18 => format!("INCRBY {k} {number}"),
            19 => format!("DECRBY {k} {number}"),
            20 => format!("INCRBYFLOAT {k} {}.25", number),
            21 => format!("GETEX {k} EX 9000"),
            22 => format!("GETEX {k} PERSIST"),
            _ => format!("SET {k} {number}"),
        }
    }

    fn list(&mut self) -> String {
        let (k, m, other) = (self.key("list"), self.member(), self.key("list"));
        let (a, b) = (self.rng.i32(-6..6), self.rng.i32(-4..30));
        match self.rng.u32(0..18) {
            0..4 => format!("RPUSH {k} {}", self.members()),
            4..7 => format!("LPUSH {k} {}", self.members()),
            7 => format!("RPUSHX {k} {m}"),
            8 => format!("LPUSHX {k} {m}"),
            9 => format!("LPOP {k}"),
            10 => format!("RPOP {k} {}", a.abs()),
            11 => format!("LSET {k} {a} {m}"),
            12 => format!("LREM {k} {a} {m}"),
            13 => format!("LTRIM {k} {a} {b}"),
            14 => format!("LINSERT {k} BEFORE {m} {}", self.value()),
            15 => format!("LINSERT {k} AFTER {m} {}", self.value()),
            16 => format!("RPOPLPUSH {k} {other}"),
            _ => format!("LMOVE {k} {other} LEFT RIGHT"),
        }
    }

    fn set(&mut self) -> String {
        let (k, m) = (self.key("set"), self.member());
        match self.rng.u32(0..9) {
            0..4 => format!("SADD {k} {}", self.members()),
            4 => format!(
                "SADD {k} {} {}",
                self.rng.i16(..),
                self.rng.i32(-70_000..70_000)
            ),
            5 => format!("SREM {k} {}", self.members()),
            6 => format!("SMOVE {k} {} {m}", self.key("set")),
            7 => format!("SPOP {k}"),
            _ => format!("SPOP {k} {}", self.rng.u32(0..4)),
        }
    }

    fn hash(&mut self) -> String {
        let (k, f, v) = (self.key("hash"), self.member(), self.value());
        let number = self.rng.i32(-100..100);
        match self.rng.u32(0..9) {
            0..3 => format!("HSET {k} {f} {v} {} {number}", self.member()),
            3 => format!("HMSET {k} {f} {v}"),
            4 => format!("HSETNX {k} {f} {v}"),
            5 => format!("HDEL {k} {}", self.members()),
            6 => format!("HINCRBY {k} {f} {number}"),
            7 => format!("HINCRBYFLOAT {k} {f} {number}.5"),
            _ => format!("HSET {k} {f} {number}"),
        }
    }

    fn sorted_set(&mut self) -> String {
        let (k, m) = (self.key("zset"), self.member());
        let (a, b) = (self.rng.i32(-8..8), self.rng.i32(-4..12));
        let score = match self.rng.u32(0..8) {
            0 => "inf".to_owned(),
            1 => "-inf".to_owned(),
            2 => format!("{a}.1"),
            3 => format!("{a}e{}", self.rng.u32(0..40)),
            _ => a.to_string(),
        };
        match self.rng.u32(0..14) {
            0..4 => format!("ZADD {k} {score} {m} {b} {}", self.member()),
            4 => format!(
                "ZADD {k} {} {score} {m}",
                ["NX", "XX", "CH", "GT", "LT", "XX CH"][self.rng.usize(0..6)]
            ),
            5 => format!("ZADD {k} INCR {a} {m}"),
            6 | 7 => format!("ZINCRBY {k} {a}.5 {m}"),
            8 => format!("ZREM {k} {}", self.members()),
            9 if a < 0 => format!("ZREMRANGEBYRANK {k} {a} {}", a + 1),
            9 => format!("ZREMRANGEBYSCORE {k} ({a} {}", a + 1),
            // Only among equal scores: the result is unspecified otherwise, and replicas may differ.
            10 => format!("ZREMRANGEBYLEX lex:{} [m1 (m12", self.rng.u32(0..3)),
            11 => format!("ZADD lex:{} 0 {m} 0 {}", self.rng.u32(0..3), self.member()),
            12 => format!("ZPOPMIN {k}"),
            _ => format!("ZPOPMAX {k} 2"),
        }
    }

    fn stream(&mut self) -> String {
        let (k, v) = (self.key("stream"), self.value());
        let number = self.rng.u32(1..200);
        match self.rng.u32(0..10) {
            0..3 => format!("XADD {k} * f {v} g {number}"),
            3 => format!("XADD {k} * f {v}"),
            4 => format!("XADD {k} MAXLEN ~ {number} * a {v}"),
            5 => format!("XADD {k} MAXLEN {number} * b {v} c {number} d x"),
            6 => format!("XADD {k} {number}-{number} f {v}"),
            7 => format!("XDEL {k} {number}-{number}"),
            8 => format!("XTRIM {k} MAXLEN {number}"),
            _ => format!("XADD {k} NOMKSTREAM * h {v}"),
        }
    }

    /// A write that few applications make, or that few servers know.
    fn rare(&mut self) -> String {
        let (a, b, n) = (self.any_key(), self.any_key(), self.rng.u32(1..200));
        match self.rng.u32(0..5) {
            0 => self.rare_string(),
            1 => self.rare_collection(),
            2 => self.store(),
            3 => self.group(),
            _ => match n % 6 {
                0 => format!("PUBLISH channel {n}"),
                1 => format!("SORT {a} ALPHA STORE {b}"),
                2 => format!("SORT {a} BY nosort GET # STORE {b}"),
                3 => format!(
                    "EVAL return{{redis.call('SET',KEYS[1],{n}),redis.call('SADD',KEYS[2],{n})}} 2 {a} {b}"
                ),
                4 => format!(
                    "FUNCTION LOAD REPLACE #!lua~name=f{}\nredis.register_function('g{n}',function()end)",
                    n % 3
                ),
                _ => "FUNCTION FLUSH".to_owned(),
            },
        }
    }

    fn rare_string(&mut self) -> String {
        let (k, other, n) = (self.key("str"), self.key("str"), self.rng.u32(0..100));
        match n % 8 {
            0 => format!("SETBIT {k} {n} {}", n % 2),
            1 => format!("BITOP XOR {k} {other} {k}"),
            2 => format!("BITFIELD {k} INCRBY u5 {n} 7 SET i8 0 {n}"),
            3 => format!("PFADD pf:{} {n} a b", n % 3),
            4 => format!("PFMERGE pf:{} pf:1 pf:2", n % 3),
            5 => format!("PFCOUNT pf:{}", n % 3),
            6 => format!("DELIFEQ {k} {n}"),
            _ => format!("MSETEX 2 {k} {n} {other} x EX 90000"),
        }
    }

    fn rare_collection(&mut self) -> String {
        let (list, zset, n) = (self.key("list"), self.key("zset"), self.rng.u32(0..100));
        match n % 8 {
            0 => format!("LMPOP 2 none {list} LEFT COUNT 2"),
            1 => format!("ZMPOP 1 {zset} MIN COUNT 2"),
            2 => format!("BLPOP {list} 0.01"),
            3 => format!("BZPOPMIN {zset} 0.01"),
            4 => format!("BLMOVE {list} {} LEFT LEFT 0.01", self.key("list")),
            5 => format!("GEOADD geo:{} 13.{n} 38.{n} place{n}", n % 3),
            6 => format!("GEOSEARCHSTORE {zset} geo:1 FROMLONLAT 13 38 BYRADIUS 500 km"),
            _ => format!("GEORADIUS geo:1 13 38 500 km STORE {zset}"),
        }
    }

    fn store(&mut self) -> String {
        let (set, zset) = (self.key("set"), self.key("zset"));
        let (sets, zsets) = (
            format!("{} {}", self.key("set"), self.key("set")),
            format!("{} {}", self.key("zset"), self.key("zset")),
        );
        match self.rng.u32(0..8) {
            0 => format!("SUNIONSTORE {set} {sets}"),
            1 => format!("SINTERSTORE {set} {sets}"),
            2 => format!("SDIFFSTORE {set} {sets}"),
            3 => format!("ZUNIONSTORE {zset} 2 {zsets} WEIGHTS 2 0.5 AGGREGATE MAX"),
            4 => format!("ZINTERSTORE {zset} 2 {zsets}"),
            5 => format!("ZDIFFSTORE {zset} 2 {zsets}"),
            6 => format!("ZUNIONSTORE {zset} 2 {sets}"),
            _ => format!("ZRANGESTORE {zset} {} 0 5", self.key("zset")),
        }
    }

    fn group(&mut self) -> String {
        let (k, n) = (self.key("stream"), self.rng.u32(0..10));
        match n {
            0..2 => format!("XGROUP CREATE {k} g 0 MKSTREAM"),
            2..5 => format!("XREADGROUP GROUP g c{} COUNT 3 STREAMS {k} >", n % 2),
            5 => format!("XACK {k} g 1-1 50-50"),
            6 => format!("XAUTOCLAIM {k} g c1 0 0 COUNT 2"),
            7 => format!("XGROUP SETID {k} g 5-5"),
            8 => format!("XGROUP DELCONSUMER {k} g c1"),
            _ => format!("XSETID {k} 9999999999999-{n}"),
        }
    }

    /// A write that takes a collection past its small encoding.
    fn bulk(&mut self) -> String {
        let count = self.rng.u32(100..700);
        let many =
            |make: &dyn Fn(u32) -> String| (0..count).map(make).collect::<Vec<_>>().join(" ");
        match self.rng.u32(0..7) {
            0 => format!(
                "RPUSH {} {}",
                self.key("list"),
                many(&|i| format!("element-{i}-{}", "e".repeat(i as usize % 40)))
            ),
            1 => format!(
                "SADD {} {}",
                self.key("set"),
                many(&|i| (i * 3).to_string())
            ),
            2 => format!("SADD {} {}", self.key("set"), many(&|i| format!("s{i}"))),
            3 => format!(
                "HSET {} {}",
                self.key("hash"),
                many(&|i| format!("f{i} v{i}"))
            ),
            4 => format!(
                "ZADD {} {}",
                self.key("zset"),
                many(&|i| format!("{} z{i}", i % 50))
            ),
            5 => format!(
                "LPUSH {} {} {}",
                self.key("list"),
                "p".repeat(9000),
                "q".repeat(5000)
            ),
            _ => format!("SET {} {}", self.key("str"), "long-".repeat(2000)),
        }
    }
}

/// REDTAIL_TESTS_SEED makes other data, for longer searches.
fn variation() -> u64 {
    std::env::var("REDTAIL_TESTS_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(0)
}

/// `~N` stands for a value that is no text, and `#!lua~` for what has a space in it.
fn binary(word: Vec<u8>) -> Vec<u8> {
    match word.as_slice() {
        [b'#', b'!', ..] => word
            .iter()
            .map(|byte| if *byte == b'~' { b' ' } else { *byte })
            .collect(),
        [b'~', digit] => vec![0, 0xff, b'\r', b'\n', *digit, 0x80],
        _ => word,
    }
}
