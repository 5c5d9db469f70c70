//! The words of random commands: small pools, so that words recur, of values close to some limit.

use std::time::{SystemTime, UNIX_EPOCH};

use super::grammar::Words;

/// The databases that hold keys.
pub const DATABASES: [u32; 3] = [0, 1, 5];

/// The prefixes of keys. A key of one kind sometimes gets a write meant for another.
const KINDS: [&str; 11] = [
    "str", "num", "bits", "list", "set", "hash", "zset", "geo", "stream", "auto", "pf",
];

/// The number of keys of each kind.
const KEYS: usize = 8;

/// Integers at and beyond the limits of their encodings.
const INTEGERS: &[&str] = &[
    "0",
    "-1",
    "1",
    "12",
    "13",
    "127",
    "128",
    "-128",
    "-129",
    "255",
    "256",
    "4095",
    "4096",
    "-4096",
    "-4097",
    "9999",
    "10000",
    "32767",
    "32768",
    "-32768",
    "-32769",
    "8388607",
    "8388608",
    "-8388608",
    "-8388609",
    "2147483647",
    "2147483648",
    "-2147483648",
    "-2147483649",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "18446744073709551615",
];

/// Texts that are not plain words.
const TEXTS: &[&str] = &[
    "",
    " ",
    "007",
    "-0",
    "+1",
    "1.0",
    "nan",
    "inf",
    "1e5",
    "0x10",
    " 1",
    "1 ",
    "a\0b",
    "\u{7f}",
    "Příliš žluťoučký",
    "𝒳",
    "\r\n",
    "*",
    "h?llo",
    "[a-c]x",
    "\\",
    "\"quoted\"",
    "A",
    "m1\0",
];

/// Numbers with a fraction, or hard to print.
const FLOATS: &[&str] = &[
    "0",
    "-0",
    "1",
    "-1",
    "0.5",
    "3.25",
    "-2.75",
    "0.1",
    "1.1",
    "51011.213",
    "3.0e3",
    "1e15",
    "1e16",
    "1e17",
    "123456789012345678",
    "-1e-5",
    "1e-7",
    "5e-324",
    "1.7976931348623157e308",
    "2.2250738585072014e-308",
    "9007199254740993",
    "0.30000000000000004",
    "100",
    "4503599627370496.5",
    "inf",
    "-inf",
    "+inf",
    "1e21",
    "1e22",
    "17",
    "-17.5",
    "299792458",
    "1234.5678",
];

/// Patterns for KEYS, SCAN and PUBSUB.
const PATTERNS: &[&str] = &[
    "*",
    "str:*",
    "*:3",
    "*t*",
    "h?sh:*",
    "[hs]*",
    "[^l]*",
    "[a-m]*:[0-4]",
    "\\*",
    "zset:1",
    "",
    "[",
    "**",
    "*e*:*",
    "m*",
    "*1*",
    "[z-a]*",
    "?",
    "M*",
    "\\m1",
    "*\0*",
    "[\\]]*",
    "a",
    "-*",
];

/// Words that are wrong in most places of most commands.
const JUNK: &[&str] = &[
    "",
    "x",
    "-1",
    "0",
    "1",
    "nan",
    "-",
    "+",
    "(",
    "[a",
    "(1",
    "3.5",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "99999999999999999999",
    "1e400",
    "GET",
    "LIMIT",
    "COUNT",
    "WITHSCORES",
    "NX",
    "XX",
    "STORE",
    "FIELDS",
    "*",
    "$",
    "5-5",
    " 1",
];

/// A source of words, which is the same for the same seed.
pub struct Pools {
    rng: fastrand::Rng,
    /// The newest stream ID so far.
    newest: u64,
    /// A counter for words that do not recur.
    serial: u64,
    /// Payloads from DUMP, for RESTORE.
    pub payloads: Vec<Vec<u8>>,
}

impl Pools {
    pub fn new(seed: u64) -> Self {
        Self {
            rng: fastrand::Rng::with_seed(seed),
            newest: 1,
            serial: 0,
            payloads: Vec::new(),
        }
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.rng.usize(0..end)
    }

    pub fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    /// Any element of `all`.
    pub fn any<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    fn text(&mut self, all: &[&str]) -> Vec<u8> {
        self.any(all).as_bytes().to_vec()
    }

    fn number(&mut self, from: i64, to: i64) -> Vec<u8> {
        self.rng.i64(from..=to).to_string().into_bytes()
    }

    /// A word from the pool `name`.
    pub fn word(&mut self, name: &str) -> Vec<u8> {
        match name {
            "any" => self.any_key(),
            "none" => b"not:there".to_vec(),
            "lex" => self.key_of("lex"),
            kind if KINDS.contains(&kind) => self.key(kind),
            _ => self.argument(name),
        }
    }

    /// Usually a key of that kind.
    fn key(&mut self, kind: &str) -> Vec<u8> {
        if self.one_in(25) {
            self.any_key()
        } else {
            self.key_of(kind)
        }
    }

    fn any_key(&mut self) -> Vec<u8> {
        let kind = self.any(&KINDS);
        self.key_of(kind)
    }

    fn key_of(&mut self, kind: &str) -> Vec<u8> {
        format!("{kind}:{}", self.below(KEYS)).into_bytes()
    }

    fn argument(&mut self, name: &str) -> Vec<u8> {
        match name {
            "value" => self.value(),
            "m" => self.element(),
            "serial" => self.serial(),
            "long" => self.long(),
            "int" if self.one_in(3) => self.text(INTEGERS),
            "int" => self.number(-200, 200),
            "index" => self.number(-9, 20),
            "count" => self.number(0, 9),
            "bit" => self.number(0, 1),
            "offset" => self.number(-1, 300),
            "float" | "score" if self.one_in(3) => self.text(FLOATS),
            "float" | "score" => self.number(-9, 12),
            "limit" => self.number(-1, 12),
            "db" => self.any(&DATABASES).to_string().into_bytes(),
            "pattern" => self.text(PATTERNS),
            "junk" => self.text(JUNK),
            "channel" => self.text(&["news", "sport", "weather"]),
            "library" => self.text(&["one", "two", "three", "four"]),
            "group" => self.text(&["g", "h", "workers"]),
            "consumer" => self.text(&["alice", "bob", "c3"]),
            "dump" => self.payload(),
            _ => self.range_or_time(name),
        }
    }

    fn range_or_time(&mut self, name: &str) -> Vec<u8> {
        match name {
            "min" => self.bound(),
            "lexmin" => self.lex_bound(),
            "id" => self.id(),
            "newid" => self.new_id(),
            "idmin" => self.id_bound(),
            "ttl" => self.ttl(1),
            "pttl" => self.ttl(1000),
            "at" => self.moment(1),
            "pat" => self.moment(1000),
            "lon" => self.number(-181, 181),
            "lat" => self.number(-86, 86),
            "near" => format!("13.{}", self.below(999)).into_bytes(),
            "radius" => self.text(&["1", "50", "200.5", "3000", "20000", "0", "-1"]),
            "unit" => self.text(&["m", "km", "mi", "ft", "KM", "parsec"]),
            "width" => self.text(&[
                "u1", "u8", "i5", "i16", "u63", "i64", "u64", "i0", "u31", "I8",
            ]),
            "bitoffset" => self.text(&["0", "1", "7", "#1", "#3", "63", "100", "-1", "#x", "300"]),
            _ => panic!("unknown pool {name}"),
        }
    }

    /// A value of a string.
    fn value(&mut self) -> Vec<u8> {
        match self.below(8) {
            0 => self.text(INTEGERS),
            1 => self.text(TEXTS),
            2 => self.text(FLOATS),
            3 => self.long(),
            4 => self.number(-20, 200),
            _ => format!("v{}", self.below(1000)).into_bytes(),
        }
    }

    /// An element or field of a collection.
    fn element(&mut self) -> Vec<u8> {
        match self.below(24) {
            0 => self.long(),
            1 => self.text(INTEGERS),
            2 => self.text(TEXTS),
            3..11 => self.number(-3, 25),
            _ => format!("m{}", self.below(40)).into_bytes(),
        }
    }

    fn serial(&mut self) -> Vec<u8> {
        self.serial += 1;
        format!("s{}", self.serial).into_bytes()
    }

    /// Text with a length close to one at which something changes: embedded strings, LZF, packed elements, list nodes.
    fn long(&mut self) -> Vec<u8> {
        let lengths = [
            20, 21, 31, 32, 39, 43, 44, 45, 63, 64, 65, 66, 90, 127, 128, 254, 300, 600,
        ];
        let length = match self.below(40) {
            0 => 3900 + self.below(300),
            _ => *self.any(&lengths),
        };
        match self.below(3) {
            0 => vec![b'x'; length],
            1 => b"yz".repeat(length / 2),
            _ => (0..length).map(|_| self.rng.u8(..)).collect(),
        }
    }

    fn payload(&mut self) -> Vec<u8> {
        let mut payload = match self.payloads.len() {
            0 => Vec::new(),
            count => self.payloads[self.rng.usize(0..count)].clone(),
        };
        if self.one_in(10) && !payload.is_empty() {
            let at = self.below(payload.len());
            payload[at] ^= 1;
        }
        payload
    }

    /// One end of a range of scores.
    fn bound(&mut self) -> Vec<u8> {
        let bound = self.word("score");
        match self.below(6) {
            0 => [b"(".as_slice(), &bound].concat(),
            1 => self.text(&["-inf", "+inf", "(inf", "(-inf", "x", "(", "", "nan"]),
            _ => bound,
        }
    }

    /// One end of a lexical range.
    fn lex_bound(&mut self) -> Vec<u8> {
        match self.below(4) {
            0 => self.text(&["-", "+", "[", "(", "m", ""]),
            1 => [b"(".as_slice(), &self.element()].concat(),
            _ => [b"[".as_slice(), &self.element()].concat(),
        }
    }

    /// A recent ID, which probably exists.
    fn id(&mut self) -> Vec<u8> {
        let back = self.rng.u64(0..40).min(self.newest - 1);
        let sequence = if self.one_in(8) { "2" } else { "1" };
        format!("{}-{sequence}", self.newest - back).into_bytes()
    }

    fn new_id(&mut self) -> Vec<u8> {
        self.newest += self.rng.u64(0..3);
        let sequence = if self.one_in(8) { "2" } else { "1" };
        format!("{}-{sequence}", self.newest).into_bytes()
    }

    /// One end of a range of IDs.
    fn id_bound(&mut self) -> Vec<u8> {
        match self.below(6) {
            0 => self.text(&[
                "-",
                "+",
                "0",
                "0-0",
                "5",
                "(-",
                "x",
                "1-x",
                "18446744073709551615-18446744073709551615",
            ]),
            1 => [b"(".as_slice(), &self.id()].concat(),
            _ => self.id(),
        }
    }

    /// A time to live in seconds, or in milliseconds if `per_second` is 1000: either long, or so short that it ends soon.
    fn ttl(&mut self, per_second: i64) -> Vec<u8> {
        match self.below(6) {
            0 => self.text(&[
                "0",
                "-1",
                "9223372036854775807",
                "x",
                "-9223372036854775808",
            ]),
            1 | 2 if per_second == 1000 => self.number(1, 12),
            _ => self.number(9000 * per_second, 30_000 * per_second),
        }
    }

    /// A moment: far in the future, in the past, or just ahead.
    fn moment(&mut self, per_second: i64) -> Vec<u8> {
        match self.below(6) {
            0 => self.text(&["1", "0", "-1", "9223372036854775807", "x"]),
            1 if per_second == 1000 => (now_ms() + self.rng.i64(0..12)).to_string().into_bytes(),
            _ => self.number(4_102_444_800 * per_second, 4_102_444_900 * per_second),
        }
    }

    /// Occasionally makes a command wrong in some way.
    pub fn spoil(&mut self, words: &mut Words) {
        if words.len() > 40 || !self.one_in(20) || may_wait(words) {
            return;
        }
        let at = self.below(words.len());
        match self.below(5) {
            0 if at > 0 => drop(words.remove(at)),
            1 if at > 0 => words[at] = self.text(JUNK),
            2 => words.insert(at + 1, self.text(JUNK)),
            3 => words.push(self.text(JUNK)),
            4 if at + 2 < words.len() => words.swap(at + 1, at + 2),
            _ => words.truncate(at + 1),
        }
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.expect("it is after 1970").as_millis()).expect("it is before 292 million")
}

/// Whether a changed number in the command could make a server wait.
fn may_wait(words: &Words) -> bool {
    words[0].to_ascii_lowercase().starts_with(b"b")
        || words.iter().any(|word| word.eq_ignore_ascii_case(b"block"))
}

/// Commands in which a number above a few thousand makes a real server allocate that amount, and the range of digits for which it
/// does. Longer numbers are refused. Redis 6.0 crashes on the first three.
const ALLOCATING: &[(&str, std::ops::Range<usize>)] = &[
    ("srandmember", 6..99),
    ("hrandfield", 6..99),
    ("zrandmember", 6..99),
    ("spop", 6..99),
    ("xautoclaim", 6..99),
    ("setrange", 6..11),
    ("setbit", 6..11),
    ("bitfield", 6..11),
];

/// Whether a time to live overflows when the clock is added to it. Valkey 8.1 then fails an assertion, and replicas of other
/// servers refuse what their primary accepted.
fn overflows_time(name: &str, words: &Words) -> bool {
    let time = words.get(2).map(Vec::as_slice);
    matches!(name, "restore" | "psetex") && time == Some(b"9223372036854775807")
}

/// Whether the command could harm a real server, or take seconds.
pub fn is_dangerous(words: &Words) -> bool {
    let name = String::from_utf8_lossy(&words[0]).to_lowercase();
    if overflows_time(&name, words) || (name == "pfselftest" && words.len() == 1) {
        return true;
    }
    let Some((_, digits)) = ALLOCATING.iter().find(|(row, _)| *row == name) else {
        return false;
    };
    let count = |word: &Vec<u8>| word.iter().filter(|byte| byte.is_ascii_digit()).count();
    words
        .iter()
        .skip(2)
        .any(|word| digits.contains(&count(word)))
}
