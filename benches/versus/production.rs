//! A production-like keyspace: sizes are log-normal, most keys are strings, and a third of the keys expire.

use redis::{Cmd, cmd};

use crate::control::Control;
use crate::mixed::{Kind, text};
use crate::process::Process;
use crate::strings::scattered;
use crate::systems::primary;

/// The number of keys.
pub(crate) const KEYS: u32 = 300_000;

/// Keys of one type: their percentage, and their size in bytes or elements.
struct Share {
    kind: Kind,
    name: &'static str,
    percent: u32,
    /// Half of the keys are smaller than this.
    median: f64,
    /// The standard deviation of the size's natural logarithm.
    spread: f64,
}

const SHARES: &[Share] = &[
    share(Kind::Text, "text", 60, 90.0, 1.2),
    share(Kind::Hash, "hash", 14, 9.0, 1.0),
    share(Kind::SortedSet, "zset", 8, 9.0, 1.0),
    share(Kind::Set, "set", 8, 9.0, 1.0),
    share(Kind::List, "list", 6, 9.0, 1.0),
    share(Kind::Stream, "stream", 4, 9.0, 1.0),
];

const fn share(kind: Kind, name: &'static str, percent: u32, median: f64, spread: f64) -> Share {
    Share {
        kind,
        name,
        percent,
        median,
        spread,
    }
}

/// The maximum size of a string in bytes, and of a collection in elements.
const SIZE_MAX: f64 = 20_000.0;

/// Every third key expires, no earlier than in a day.
const EXPIRES: u32 = 3;

/// Starts the server `name` with these keys.
pub(crate) fn start(name: &str) -> Process {
    let process = primary(name);
    let mut control = Control::of(&process);
    let mut batch = redis::pipe();
    for number in 0..KEYS {
        for command in commands(number) {
            batch.add_command(command).ignore();
        }
        if batch.len() >= 200 || number + 1 == KEYS {
            control.run(&batch);
            batch.clear();
        }
    }
    process
}

/// Describes these keys in one line.
pub(crate) fn describe() -> String {
    let shares = SHARES.iter().map(|share| {
        let Share {
            name,
            percent,
            median,
            spread,
            ..
        } = share;
        format!("{percent} % `{name}` (median {median}, σ {spread})")
    });
    shares.collect::<Vec<_>>().join(", ")
}

/// The commands that create the key `number`.
fn commands(number: u32) -> Vec<Cmd> {
    let share = share_of(number);
    let key = format!("{}:{number}", share.name);
    let size = share.size(number);
    let mut commands = match share.kind {
        Kind::Text => vec![cmd("SET").arg(&key).arg(long_text(number, size)).to_owned()],
        kind => kind.fill(&key, number, size),
    };
    if number.is_multiple_of(EXPIRES) {
        commands.push(cmd("EXPIRE").arg(&key).arg(86_400 + number).to_owned());
    }
    commands
}

/// The type of the key `number`. Types are spread evenly over the numbers.
fn share_of(number: u32) -> &'static Share {
    let mut rest = (scattered(u64::from(number)) % 100) as u32;
    for share in SHARES {
        if rest < share.percent {
            return share;
        }
        rest -= share.percent;
    }
    unreachable!("the shares add up to a hundred percent")
}

impl Share {
    /// The size of the key `number`, which is the same in each run.
    fn size(&self, number: u32) -> u32 {
        let normal = normal(number);
        (self.median * (self.spread * normal).exp())
            .clamp(1.0, SIZE_MAX)
            .round() as u32
    }
}

/// A number from the standard normal distribution, by the Box-Muller method.
fn normal(number: u32) -> f64 {
    let uniform = |salt: u64| {
        let bits = scattered(salt << 32 | u64::from(number)) >> 11;
        (bits as f64 + 1.0) / (1_u64 << 53) as f64
    };
    (-2.0 * uniform(1).ln()).sqrt() * (std::f64::consts::TAU * uniform(2)).cos()
}

/// A value of `bytes` characters.
fn long_text(number: u32, bytes: u32) -> String {
    let pieces = (0..=bytes / 16).map(|index| text(number, index));
    let mut value: String = pieces.collect();
    value.truncate(bytes as usize);
    value
}
