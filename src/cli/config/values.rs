//! What values of settings look like.

use std::str::FromStr;
use std::time::Duration;

use crate::dialect::Dialect;

/// A value of a setting of Redis: a number, or a number of bytes with a unit such as `1kb`.
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

/// A time: `5s`, `500ms`, `2m`, `1h`, or a number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "AmountInFile")]
pub struct Period(pub(super) Duration);

/// Text that is no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a time above zero; write 5s, 500ms, 2m, 1h or a number of seconds")]
pub struct NoTime;

impl FromStr for Period {
    type Err = NoTime;

    fn from_str(text: &str) -> Result<Self, NoTime> {
        let digits = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let milliseconds = match unit {
            "ms" => 1,
            "" | "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(NoTime),
        };
        let number: u64 = number.parse().map_err(|_| NoTime)?;
        let time = number.checked_mul(milliseconds).filter(|time| *time > 0);
        time.map(|time| Self(Duration::from_millis(time)))
            .ok_or(NoTime)
    }
}

impl TryFrom<AmountInFile> for Period {
    type Error = NoTime;

    fn try_from(amount: AmountInFile) -> Result<Self, NoTime> {
        let Amount(text) = amount.into();
        text.parse()
    }
}

/// Whose words replies are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(try_from = "String")]
pub enum DialectChoice {
    /// Those of the server that wrote the snapshot.
    #[default]
    Auto,
    /// Those of this one.
    Fixed(Dialect),
}

/// Text that names no dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such dialect; write auto, redis-7.0, valkey-9.1.2 or the like")]
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

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// With the room that speaks.
    #[default]
    Full,
    /// Shorter.
    Compact,
}
