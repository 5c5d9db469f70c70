//! The types of settings' values.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::dialect::Dialect;
use crate::replica::ResyncMemory;
use crate::server::{Access, Listen};
use crate::slots::ClusterSlots;
use crate::state::Fsync;
use crate::upstream::{AckPolicy, RdbCompression};

/// What a value of this type must be in the configuration file, for the message about a wrong one.
pub(super) trait Wanted {
    /// Completes "the key must be …".
    const WANTED: &'static str;

    /// Whether values of this type must never be shown.
    const IS_SECRET: bool = false;
}

impl Wanted for crate::secret::Secret {
    const WANTED: &'static str = "a string in double quotes";
    const IS_SECRET: bool = true;
}

/// Implements [`Wanted`] for types.
macro_rules! wanted {
    ($($type:ty = $words:literal;)+) => {
        $(impl Wanted for $type {
            const WANTED: &'static str = $words;
        })+
    };
}

wanted! {
    crate::command::ScriptShare = "a number from 1 to 100";
    crate::command::EventFlags = "letters that select keyspace events, such as \"KEA\", in double quotes";
    String = "a string in double quotes";
    PathBuf = "a path in double quotes";
    u8 = "a whole number from 0 to 100, without quotes";
    u16 = "a whole number from 0 to 65535, without quotes";
    u64 = "a whole number, without quotes";
    usize = "a whole number, without quotes";
    Amount = "a whole number, or a number with a unit in double quotes, such as \"64mb\"";
    Period = "a time with a unit, in double quotes, such as \"5s\" or \"500ms\"";
    Switch = "\"yes\" or \"no\", in double quotes";
    crate::server::ClientAuth = "\"no\", \"optional\" or \"required\", in double quotes";
    Access = "\"no\", \"local\" or \"yes\", in double quotes";
    AckPolicy = "\"auto\", \"honest\" or \"observer\", in double quotes";
    RdbCompression = "\"auto\", \"yes\" or \"no\", in double quotes";
    ResyncMemory = "\"two-copies\" or \"one-copy\", in double quotes";
    Fsync = "\"always\", \"everysec\" or \"no\", in double quotes";
    LogFormat = "\"full\" or \"compact\", in double quotes";
    DialectChoice = "\"auto\", or a server with its version such as \"redis-7.0\" or \"valkey-9.1.2\", in double quotes";
    TcpAddress = "an address such as \"127.0.0.1:9121\", in double quotes";
    Vec<String> = "a string in double quotes, or a list of strings: [\"…\", \"…\"]";
    Vec<crate::server::OutputLimit> = "limits such as \"pubsub 32mb 8mb 60\", or a list of them: [\"…\", \"…\"]";
    crate::command::Face = "\"one\" or \"cluster\", in double quotes";
    Vec<SlotRange> = "ranges of slots such as \"0-5460\", or a list of them: [\"…\", \"…\"]";
    Vec<Listen> = "an address such as \"127.0.0.1:6380\", \"[::1]:6380\" or \"unix:/path\", or a list of addresses: [\"…\", \"…\"]";
}

/// The value of a Redis setting: a number, or a number of bytes with a unit such as `1kb`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(from = "AmountInFile")]
pub struct Amount(pub(super) String);

#[derive(serde::Deserialize)]
#[serde(untagged)]
enum AmountInFile {
    Number(i64),
    Text(String),
}

impl From<AmountInFile> for Amount {
    fn from(amount: AmountInFile) -> Self {
        match amount {
            AmountInFile::Number(number) => Self(number.to_string()),
            AmountInFile::Text(text) => Self(text),
        }
    }
}

impl std::str::FromStr for Amount {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

/// A time with a unit: `5s`, `500ms`, `2m`, `1h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "AmountInFile")]
pub struct Period(pub(in crate::cli) Duration);

/// A text that is not a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoTime {
    /// A number without a unit.
    #[error(
        "the unit is missing: write {0}s for seconds, {0}ms for milliseconds, {0}m for minutes"
    )]
    Unit(u64),
    /// Anything else.
    #[error("write a number above zero with a unit: 5s, 500ms, 2m or 1h")]
    Time,
}

impl FromStr for Period {
    type Err = NoTime;

    fn from_str(text: &str) -> Result<Self, NoTime> {
        let digits = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let milliseconds = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "" => return Err(number.parse().map_or(NoTime::Time, NoTime::Unit)),
            _ => return Err(NoTime::Time),
        };
        let number: u64 = number.parse().map_err(|_| NoTime::Time)?;
        let time = number.checked_mul(milliseconds).filter(|time| *time > 0);
        time.map(|time| Self(Duration::from_millis(time)))
            .ok_or(NoTime::Time)
    }
}

impl TryFrom<AmountInFile> for Period {
    type Error = NoTime;

    fn try_from(amount: AmountInFile) -> Result<Self, NoTime> {
        let Amount(text) = amount.into();
        text.parse()
    }
}

/// The server version that replies imitate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(try_from = "String")]
pub enum DialectChoice {
    /// The version that wrote the snapshot.
    #[default]
    Auto,
    /// This version.
    Fixed(Dialect),
}

/// A text that does not name a dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown dialect: write auto, or a server with its version such as redis-7.0 or valkey-9.1.2"
)]
pub struct NoSuchDialect;

impl FromStr for DialectChoice {
    type Err = NoSuchDialect;

    fn from_str(text: &str) -> Result<Self, NoSuchDialect> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        Dialect::named(text).map(Self::Fixed).ok_or(NoSuchDialect)
    }
}

impl TryFrom<String> for DialectChoice {
    type Error = NoSuchDialect;

    fn try_from(text: String) -> Result<Self, NoSuchDialect> {
        text.parse()
    }
}

/// Some slots of a cluster: `5` or `5-9`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct SlotRange(pub(super) ClusterSlots);

/// A text that is not some slots.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} names no slots: write one from 0 to 16383, such as 10000, or a range such as 0-5460"
)]
pub struct NoSlots(String);

impl FromStr for SlotRange {
    type Err = NoSlots;

    fn from_str(text: &str) -> Result<Self, NoSlots> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let mut slots = ClusterSlots::default();
        match slots.add_text(first.trim().as_bytes(), last.trim().as_bytes()) {
            true => Ok(Self(slots)),
            false => Err(NoSlots(text.to_owned())),
        }
    }
}

impl TryFrom<String> for SlotRange {
    type Error = NoSlots;

    fn try_from(text: String) -> Result<Self, NoSlots> {
        text.parse()
    }
}

/// A TCP address to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct TcpAddress(pub(super) SocketAddr);

/// A text that is not a TCP address to listen on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not an address to listen on: write an IP address with a port, such as 127.0.0.1:9121, 0.0.0.0:9121 or [::1]:9121"
)]
pub struct NoTcpAddress(String);

impl FromStr for TcpAddress {
    type Err = NoTcpAddress;

    fn from_str(text: &str) -> Result<Self, NoTcpAddress> {
        match text.parse() {
            Ok(Listen::Tcp(address)) => Ok(Self(address)),
            _ => Err(NoTcpAddress(text.to_owned())),
        }
    }
}

impl TryFrom<String> for TcpAddress {
    type Error = NoTcpAddress;

    fn try_from(text: String) -> Result<Self, NoTcpAddress> {
        text.parse()
    }
}

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Switch {
    /// No.
    #[default]
    No,
    /// Yes.
    Yes,
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// The full format.
    #[default]
    Full,
    /// A shorter format.
    Compact,
}
