//! A bench for the tests of handlers, with commands and replies as text.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use crate::command::dispatch::execute::{apply, read, slots};
use crate::command::dispatch::registry::all;
use crate::command::dispatch::resolve::{check_arity, resolve};
use crate::command::rows::{Command, Error, Keys};
use crate::dialect::Dialect;
use crate::resp::{Args, ArgsBuf, Protocol, Reply};
use crate::store::Keyspaces;
use crate::value::Thresholds;

/// A store with one database and one dialect.
pub(super) struct Bench {
    pub(super) spaces: Keyspaces,
    dialect: Dialect,
}

impl Bench {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self {
            spaces: Keyspaces::new(1),
            dialect,
        }
    }

    /// Applies a command whose words are separated by blanks.
    pub(super) fn try_apply(&self, line: &str) -> Result<(), Error> {
        self.apply_words(ArgsBuf::new(line.split(' ')).as_args())
    }

    /// Applies a command of any words.
    pub(super) fn apply_words(&self, args: Args<'_>) -> Result<(), Error> {
        let command = resolve(args).unwrap();
        let mut needed = smallvec::SmallVec::new();
        slots(command, &self.spaces, 0, args, &mut needed);
        let mut tx = self
            .spaces
            .write(0, needed)
            .with_thresholds(Thresholds::of(self.dialect))
            .with_dialect(self.dialect);
        apply(&mut tx, &self.spaces, command, args)
    }

    /// Applies commands, one per line. Panics if one fails.
    pub(super) fn apply(&self, lines: &str) {
        for line in lines.lines().map(str::trim) {
            self.try_apply(line)
                .unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }

    /// Returns the RESP2 reply to a command, with each line end replaced by a blank.
    pub(super) fn read(&self, line: &str) -> String {
        self.reply(line, Protocol::Resp2)
    }

    /// Like `read`, in RESP3.
    pub(super) fn read3(&self, line: &str) -> String {
        self.reply(line, Protocol::Resp3)
    }

    fn reply(&self, line: &str, protocol: Protocol) -> String {
        let words = ArgsBuf::new(line.split(' '));
        let args = words.as_args();
        let mut reply = Reply::new(protocol, self.dialect, 1 << 20);
        let result = resolve(args).and_then(|command| {
            check_arity(command, args)?;
            read(
                command.read.unwrap(),
                command,
                &self.spaces,
                0,
                args,
                &mut reply,
            )
        });
        if let Err(error) = result {
            reply.error(error.text());
        }
        let text = String::from_utf8_lossy(reply.as_bytes()).replace("\r\n", " ");
        text.trim_end().to_owned()
    }
}

/// The keys that [`one_key_of_each_kind`] creates, separated by blanks (the last one is empty), and one that it does
/// not create.
pub(crate) const KEYS: &str = "text number long-text list long-list numbers names many-names hash large-hash zset large-zset stream \
    vectors array volatile expired missing ";

/// Returns commands of the stream that create keys of every type, small and large.
pub(crate) fn one_key_of_each_kind() -> Vec<String> {
    let many = |word: fn(i32) -> String| (0..150).map(word).collect::<String>();
    let mut lines = vec![
        "SET text abc".to_owned(),
        "SET number -12".to_owned(),
        format!("SET long-text {}", "x".repeat(300)),
        "RPUSH list a 1 b a".to_owned(),
        format!(
            "RPUSH long-list {}{}",
            "y".repeat(9000),
            many(|i| format!(" {i}"))
        ),
        "SADD numbers 1 -2 70000 5000000000".to_owned(),
        "SADD names a b 3".to_owned(),
        format!("SADD many-names{}", many(|i| format!(" n{i}"))),
        "HSET hash a 1 b x".to_owned(),
        format!(
            "HSET large-hash long {}{}",
            "z".repeat(100),
            many(|i| format!(" f{i} {i}"))
        ),
        "ZADD zset -inf a 1.5 b inf c".to_owned(),
        format!(
            "ZADD large-zset -inf a inf b{}",
            many(|i| format!(" {i} n{i}"))
        ),
    ];
    lines.extend((1..=120).map(|i| format!("XADD stream {i}-1 a {i} b x")));
    lines.extend(
        [
            "XGROUP CREATE stream g 3-1 ENTRIESREAD 3",
            "XCLAIM stream g c 0 2-1 TIME 5 RETRYCOUNT 9223372036854775807 FORCE JUSTID LASTID 4-1",
            "XDEL stream 3-1",
            "VADD vectors VALUES 2 1 0 a SETATTR {}",
            "VADD vectors VALUES 2 1 1 b",
            "ARINSERT array a 1 1.5 b",
            "ARSET array 18446744073709551614 z",
            "SET volatile 1 PXAT 9223372036854775807",
            "SET expired 1 PXAT 1",
            "SET  empty",
        ]
        .map(str::to_owned),
    );
    lines
}

/// Numbers, bounds, ids and patterns at the limits of what handlers accept. Offsets between these limits are missing,
/// because Redis would accept them and allocate memory.
const EDGES: &str = "-9223372036854775809 -9223372036854775808 -9223372036854775807 -4611686018427387905 -2147483649 \
    -4294967296 -3 -1 -0 0 1 2 3 120 536870912 2147483648 4294967296 4611686018427387904 \
    9223372036854775807 9223372036854775808 18446744073709551615 18446744073709551616 inf +inf -inf nan \
    -nan 1e308 -1e308 1e400 1e-400 0x10 1.5 (1 (inf (nan [a (b [ ( - + (0-0 \
    (18446744073709551615-18446744073709551615 18446744073709551615-18446744073709551615 3-1 0-0 $ > * \
    **a*[^ \\ [a- \r\n \0 é";

/// The option words of all commands.
const OPTIONS: &str = "count match type novalues withscores withscore withvalues rank maxlen minid limit byscore bylex rev \
    weights aggregate sum max store fields fnx keepttl nx xx gt lt ch incr ex px pxat exat get persist \
    full streams block idle ~ = nomkstream mkstream entriesread entriesadded maxdeletedid force justid \
    lastid time retrycount db replace absttl left right before after g c a b n7 f7";

/// Returns every row that is not a container, with the words that name it.
pub(crate) fn rows() -> Vec<(Vec<&'static str>, &'static Command)> {
    let of = |command: &'static Command| {
        let inner = command.subcommands.iter();
        let mut rows: Vec<_> = inner
            .map(|row| (vec![command.name, row.name], row))
            .collect();
        if rows.is_empty() {
            rows.push((vec![command.name], command));
        }
        rows
    };
    all().flat_map(|(_, command)| of(command)).collect()
}

/// Returns a command for a row, with a random number of words that fits its arity: mostly keys where keys belong, and
/// edge values and options anywhere.
pub(crate) fn hostile(random: &mut fastrand::Rng, name: &[&str], row: &Command) -> ArgsBuf {
    let least = row.arity.number().unsigned_abs() as usize;
    let more = if row.arity.number() < 0 { 6 } else { 0 };
    let len = random.usize(least..=least + more);
    let count_at = match row.keys {
        Keys::Counted { count, .. } => count,
        _ => usize::MAX,
    };
    let mut words = ArgsBuf::new(name);
    for index in name.len()..len {
        let pool = match random.u8(..8) {
            0..6 if index == name.len() && index != count_at => KEYS,
            0..5 if index == count_at => "1 2 3",
            0..3 => EDGES,
            3..5 => KEYS,
            _ => OPTIONS,
        };
        let pool: Vec<&str> = pool.split(' ').collect();
        words.push(random.choice(pool).unwrap_or_default().as_bytes());
    }
    words
}
