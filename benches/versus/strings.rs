//! Strings whose values follow from the key's number and a generation, so that every reply can be checked without a table of
//! values.

use crate::load::{Reply, Requests, expect, unexpected};

/// The length of a key.
pub(crate) const KEY_BYTES: usize = 20;
/// The length of a value.
pub(crate) const VALUE_BYTES: usize = 32;
/// The length of a value's reply.
const REPLY_BYTES: usize = VALUE_BYTES + 7;

/// The keys, and the generation of each key's value.
pub(crate) struct Strings {
    generations: Vec<u8>,
    newest: u8,
}

impl Strings {
    /// `keys` keys of generation 0.
    pub(crate) fn new(keys: u32) -> Self {
        Self {
            generations: vec![0; keys as usize],
            newest: 0,
        }
    }

    /// The number of keys.
    pub(crate) fn count(&self) -> u32 {
        self.generations.len() as u32
    }

    /// SETs of random keys to a new generation. [`Self::wrote`] records them.
    pub(crate) fn overwrites(&self) -> Set {
        Set {
            keys: Order::random(self.count()),
            generation: self.newest.wrapping_add(1),
            written: Vec::new(),
        }
    }

    /// SETs of all keys in turn.
    pub(crate) fn fill(&self) -> Set {
        Set::of(0, self.count())
    }

    /// Expects the values that `set` wrote from now on.
    pub(crate) fn wrote(&mut self, set: &Set) {
        self.newest = set.generation;
        for &key in &set.written {
            self.generations[key as usize] = set.generation;
        }
    }

    /// GETs of random keys.
    pub(crate) fn gets(&self) -> Get<'_> {
        Get {
            keys: Order::random(self.count()),
            strings: self,
            any_generation: false,
        }
    }

    /// GETs of random keys while values change: a value of any generation is right.
    pub(crate) fn gets_during_writes(&self) -> Get<'_> {
        Get {
            any_generation: true,
            ..self.gets()
        }
    }

    /// GETs of all keys in turn.
    pub(crate) fn gets_in_turn(&self) -> Get<'_> {
        Get {
            keys: Order::in_turn(self.count()),
            ..self.gets()
        }
    }

    /// GETs of one key.
    pub(crate) fn gets_of(&self, key: u32) -> Get<'_> {
        Get {
            keys: Order::Turn(key, 1),
            ..self.gets()
        }
    }

    /// MGETs of `count` random keys each.
    pub(crate) fn mgets(&self, count: usize) -> MGet<'_> {
        self.asks(&["MGET"], count, true)
    }

    /// Commands that consist of these words and `count` random keys each. They return the values as a list, or a single value by
    /// itself.
    pub(crate) fn asks(&self, words: &[&str], count: usize, gives_list: bool) -> MGet<'_> {
        let mut request = format!("*{}\r\n", words.len() + count);
        for word in words {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        MGet {
            gets: self.gets(),
            asked: Vec::new(),
            count,
            request: request.into_bytes(),
            header: if gives_list {
                format!("*{count}\r\n").into_bytes()
            } else {
                Vec::new()
            },
        }
    }

    fn reply(&self, key: u32) -> [u8; REPLY_BYTES] {
        reply(key, self.generations[key as usize])
    }
}

/// GETs of one key after another.
pub(crate) struct Get<'a> {
    keys: Order,
    strings: &'a Strings,
    any_generation: bool,
}

impl Requests for Get<'_> {
    fn request(&mut self, out: &mut Vec<u8>) -> u32 {
        let key = self.keys.next();
        let mut request = *b"*2\r\n$3\r\nGET\r\n$20\r\nkey:0000000000000000\r\n";
        request[22..38].copy_from_slice(&digits(key));
        out.extend_from_slice(&request);
        key
    }

    fn check(&self, key: u32, bytes: &[u8]) -> Reply {
        if bytes.len() < REPLY_BYTES {
            return unexpected_part(bytes);
        }
        if self.any_generation {
            return expect(&reply(key, bytes[5]), bytes);
        }
        expect(&self.strings.reply(key), bytes)
    }
}

/// Classifies bytes that are too short for a value's reply: an error may be shorter, anything else is incomplete.
fn unexpected_part(bytes: &[u8]) -> Reply {
    if bytes.first() == Some(&b'-') {
        return unexpected(bytes, b"");
    }
    Reply::Partial
}

/// Commands that return the values of random keys. Remembers the keys by request.
pub(crate) struct MGet<'a> {
    gets: Get<'a>,
    asked: Vec<u32>,
    count: usize,
    /// The beginning of a request, before its keys.
    request: Vec<u8>,
    /// The beginning of a reply, before its values.
    header: Vec<u8>,
}

impl Requests for MGet<'_> {
    fn request(&mut self, out: &mut Vec<u8>) -> u32 {
        let first = self.asked.len();
        out.extend_from_slice(&self.request);
        for _ in 0..self.count {
            let key = self.gets.keys.next();
            self.asked.push(key);
            push_key(out, key);
        }
        first as u32
    }

    fn check(&self, first: u32, bytes: &[u8]) -> Reply {
        let header = &self.header;
        let length = header.len() + self.count * REPLY_BYTES;
        if bytes.len() < length {
            return unexpected_part(bytes);
        }
        assert!(bytes.starts_with(header), "wrong reply");
        let keys = &self.asked[first as usize..];
        for (&key, reply) in keys
            .iter()
            .zip(bytes[header.len()..length].chunks(REPLY_BYTES))
        {
            assert_eq!(reply, self.gets.strings.reply(key), "wrong value");
        }
        Reply::Right(length)
    }
}

/// SETs of one key after another.
pub(crate) struct Set {
    keys: Order,
    generation: u8,
    written: Vec<u32>,
}

impl Set {
    /// SETs of the keys from `first` up to but not including `end`, in order.
    pub(crate) fn of(first: u32, end: u32) -> Self {
        Self {
            keys: Order::Turn(first, end),
            generation: 0,
            written: Vec::new(),
        }
    }
}

impl Requests for Set {
    fn request(&mut self, out: &mut Vec<u8>) -> u32 {
        let key = self.keys.next();
        out.extend_from_slice(b"*3\r\n$3\r\nSET\r\n");
        push_key(out, key);
        out.extend_from_slice(&reply(key, self.generation));
        self.written.push(key);
        key
    }

    fn check(&self, _: u32, bytes: &[u8]) -> Reply {
        expect(b"+OK\r\n", bytes)
    }
}

/// Selects the next key.
enum Order {
    /// The next key in order, and the number of keys.
    Turn(u32, u32),
    /// A random key, out of that number.
    Random(fastrand::Rng, u32),
}

impl Order {
    fn in_turn(count: u32) -> Self {
        Self::Turn(0, count)
    }

    fn random(count: u32) -> Self {
        Self::Random(fastrand::Rng::new(), count)
    }

    fn next(&mut self) -> u32 {
        match self {
            Self::Turn(key, 1) => *key,
            Self::Turn(next, count) => {
                let key = *next;
                *next = (key + 1) % *count;
                key
            }
            Self::Random(random, count) => random.u32(..*count),
        }
    }
}

fn push_key(out: &mut Vec<u8>, key: u32) {
    out.extend_from_slice(b"$20\r\nkey:");
    out.extend_from_slice(&digits(key));
    out.extend_from_slice(b"\r\n");
}

/// The value of `key` as a bulk string: a byte that holds the generation, and 31 incompressible bytes.
fn reply(key: u32, generation: u8) -> [u8; REPLY_BYTES] {
    let mut reply = [0; REPLY_BYTES];
    reply[..5].copy_from_slice(b"$32\r\n");
    let seed = u64::from(key) << 8 | u64::from(generation);
    for (number, word) in reply[5..37].chunks_exact_mut(8).enumerate() {
        word.copy_from_slice(&scattered(seed << 2 | number as u64).to_le_bytes());
    }
    reply[5] = generation;
    reply[37..].copy_from_slice(b"\r\n");
    reply
}

/// The last step of splitmix64: every bit of `seed` affects all bits of the result.
pub(crate) fn scattered(seed: u64) -> u64 {
    let mut mixed = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// Formats a number with sixteen decimal digits.
fn digits(number: u32) -> [u8; 16] {
    let mut digits = [b'0'; 16];
    digits[12..].copy_from_slice(&FOUR[(number % 10_000) as usize]);
    digits[8..12].copy_from_slice(&FOUR[(number / 10_000 % 10_000) as usize]);
    digits
}

/// The numbers below 10,000, with four digits each.
static FOUR: [[u8; 4]; 10_000] = four_digits();

const fn four_digits() -> [[u8; 4]; 10_000] {
    let mut table = [[0; 4]; 10_000];
    let mut number = 0;
    while number < 10_000 {
        table[number] = [
            b'0' + (number / 1000) as u8,
            b'0' + (number / 100 % 10) as u8,
            b'0' + (number / 10 % 10) as u8,
            b'0' + (number % 10) as u8,
        ];
        number += 1;
    }
    table
}
