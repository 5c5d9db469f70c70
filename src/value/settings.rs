//! The settings that change [`Thresholds`], under the names that servers use.

use std::ops::RangeInclusive;

use super::Thresholds;
use crate::dialect::Dialect;

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Its name; the one since Redis 7.0 if it was renamed.
    pub name: &'static str,
    /// Its name before Redis 7.0. Later servers still accept it.
    pub old_name: Option<&'static str>,
    /// Whether it is a number of bytes and accepts units.
    memory: bool,
    /// Whether servers hold it in an unsigned type.
    is_unsigned: bool,
    range: RangeInclusive<i64>,
    read: fn(&Thresholds) -> i64,
    write: fn(&mut Thresholds, i64),
}

/// Why a text is not a valid value of a setting. The messages are those of the servers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingError {
    /// No setting has that name.
    #[error("there is no such setting")]
    Unknown,
    /// The text is not an `i64`.
    #[error("argument couldn't be parsed into an integer")]
    NotInteger,
    /// The text is not a number of bytes with an optional unit.
    #[error("argument must be a memory value")]
    NotMemory,
    /// The value is outside the setting's range.
    #[error("argument must be between {0} and {1} inclusive")]
    Range(i64, i64),
    /// The value is negative, or so great that an unsigned setting takes it for negative.
    #[error("argument must be greater or equal to 0")]
    Negative,
}

impl SettingError {
    /// Returns the error that a server of `dialect` has instead for this value of an unsigned setting.
    #[doc(hidden)]
    #[must_use]
    pub fn of_unsigned(self, text: &[u8], dialect: Dialect) -> Self {
        let is_negative = text.starts_with(b"-")
            || memory(text).is_some_and(|value| value > i128::from(i64::MAX));
        match self {
            Self::Range(..) if is_negative && dialect.names_negative_settings() => Self::Negative,
            other => other,
        }
    }
}

/// The read and write functions of a field that holds a size.
macro_rules! size {
    ($field:ident) => {
        (
            |thresholds| i64::try_from(thresholds.$field).unwrap_or(i64::MAX),
            |thresholds, value| thresholds.$field = usize::try_from(value).unwrap_or(0),
        )
    };
}

/// The read and write functions of a field that holds a C `int`.
macro_rules! int {
    ($field:ident) => {
        (
            |thresholds| i64::from(thresholds.$field),
            |thresholds, value| thresholds.$field = i32::try_from(value).unwrap_or(0),
        )
    };
}

type Access = (fn(&Thresholds) -> i64, fn(&mut Thresholds, i64));

/// All settings, by name. Source: redis 7.2 config.c, `static_configs`.
pub static SETTINGS: [Setting; 12] = [
    renamed(
        "hash-max-listpack-entries",
        "hash-max-ziplist-entries",
        size!(hash_max_listpack_entries),
    ),
    renamed(
        "hash-max-listpack-value",
        "hash-max-ziplist-value",
        size!(hash_max_listpack_value),
    )
    .bytes(),
    size("hll-sparse-max-bytes", size!(hll_sparse_max_bytes)).bytes(),
    size("list-compress-depth", int!(list_compress_depth)).within(0, i32::MAX),
    renamed(
        "list-max-listpack-size",
        "list-max-ziplist-size",
        int!(list_max_listpack_size),
    )
    .within(i32::MIN, i32::MAX),
    size("set-max-intset-entries", size!(set_max_intset_entries)),
    size("set-max-listpack-entries", size!(set_max_listpack_entries)),
    size("set-max-listpack-value", size!(set_max_listpack_value)),
    size("stream-node-max-bytes", size!(stream_node_max_bytes)).bytes(),
    size("stream-node-max-entries", size!(stream_node_max_entries)).signed(),
    renamed(
        "zset-max-listpack-entries",
        "zset-max-ziplist-entries",
        size!(zset_max_listpack_entries),
    ),
    renamed(
        "zset-max-listpack-value",
        "zset-max-ziplist-value",
        size!(zset_max_listpack_value),
    )
    .bytes(),
];

const fn size(name: &'static str, (read, write): Access) -> Setting {
    Setting {
        name,
        old_name: None,
        memory: false,
        is_unsigned: true,
        range: 0..=i64::MAX,
        read,
        write,
    }
}

const fn renamed(name: &'static str, old_name: &'static str, access: Access) -> Setting {
    let mut setting = size(name, access);
    setting.old_name = Some(old_name);
    setting
}

impl Setting {
    const fn bytes(mut self) -> Self {
        self.memory = true;
        self
    }

    const fn signed(mut self) -> Self {
        self.is_unsigned = false;
        self
    }

    const fn within(mut self, least: i32, most: i32) -> Self {
        self.is_unsigned = false;
        self.range = least as i64..=most as i64;
        self
    }

    /// Whether a server of `dialect` has this setting.
    #[must_use]
    pub fn is_known_to(&self, dialect: Dialect) -> bool {
        !self.name.starts_with("set-max-listpack") || dialect.has_small_listpack_lists_and_sets()
    }

    /// Returns the names by which a server of `dialect` knows it.
    pub fn names(&self, dialect: Dialect) -> impl Iterator<Item = &'static str> + use<> {
        let has_new_name = self.old_name.is_none() || dialect.has_listpacks();
        let new = Some(self.name).filter(|_| self.is_known_to(dialect) && has_new_name);
        new.into_iter().chain(self.old_name)
    }

    /// Returns the setting's value in `thresholds`.
    #[must_use]
    pub fn value(&self, thresholds: &Thresholds) -> i64 {
        (self.read)(thresholds)
    }

    /// Parses a value like a server of `dialect`.
    ///
    /// # Errors
    /// Returns a [`SettingError`] if the text is not a valid value.
    pub fn parse(&self, text: &[u8], dialect: Dialect) -> Result<i64, SettingError> {
        let value = if self.memory {
            parse_bytes(text, &self.range, dialect)
        } else {
            let value = crate::resp::parse_integer(text).ok_or(SettingError::NotInteger)?;
            within(i128::from(value), &self.range)
        };
        value.map_err(|error| match self.is_unsigned {
            true => error.of_unsigned(text, dialect),
            false => error,
        })
    }
}

/// Parses a number of bytes like a server of `dialect`. An empty text is 0.
///
/// # Errors
/// [`SettingError::NotMemory`], [`SettingError::Range`].
pub fn parse_bytes(
    text: &[u8],
    range: &RangeInclusive<i64>,
    dialect: Dialect,
) -> Result<i64, SettingError> {
    let value = if text.is_empty() {
        0
    } else {
        memory(text).ok_or(SettingError::NotMemory)?
    };
    if value > i128::from(u64::MAX) && dialect.refuses_overflowing_bytes() {
        return Err(SettingError::NotMemory);
    }
    if dialect.clamps_bytes() {
        return Ok(i64::try_from(value).unwrap_or(i64::MAX));
    }
    within(value, range)
}

fn within(value: i128, range: &RangeInclusive<i64>) -> Result<i64, SettingError> {
    let out_of_range = SettingError::Range(*range.start(), *range.end());
    let value = i64::try_from(value).ok();
    value
        .filter(|value| range.contains(value))
        .ok_or(out_of_range)
}

/// Parses a number of bytes with a unit: `512`, `1k` (1000), `1kb` (1024), in upper or lower case. Source: redis 7.0 util.c,
/// memtoull.
#[must_use]
pub fn memory(text: &[u8]) -> Option<i128> {
    const UNITS: &[(&str, i128)] = &[
        ("", 1),
        ("b", 1),
        ("k", 1000),
        ("kb", 1 << 10),
        ("m", 1_000_000),
        ("mb", 1 << 20),
        ("g", 1_000_000_000),
        ("gb", 1 << 30),
    ];
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let unit = UNITS
        .iter()
        .find(|(name, _)| unit.eq_ignore_ascii_case(name.as_bytes()))?;
    let number: i128 = std::str::from_utf8(number).ok()?.parse().ok()?;
    number.checked_mul(unit.1)
}

/// Returns the setting with this name, old or new, in upper or lower case, in any dialect.
#[must_use]
pub fn setting(name: &[u8]) -> Option<&'static Setting> {
    let is = |own: &str| name.eq_ignore_ascii_case(own.as_bytes());
    SETTINGS
        .iter()
        .find(|setting| is(setting.name) || setting.old_name.is_some_and(is))
}

/// The values that an operator chose. All other settings have the upstream's defaults.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Choices([Option<i64>; SETTINGS.len()]);

impl Choices {
    /// Chooses the value of a setting.
    #[doc(hidden)]
    pub fn choose(&mut self, setting: &Setting, value: i64) {
        let place = SETTINGS.iter().position(|one| std::ptr::eq(one, setting));
        if let Some(slot) = place.and_then(|place| self.0.get_mut(place)) {
            *slot = Some(value);
        }
    }

    /// Chooses the value of the setting with this name, old or new. Parses the value like the newest servers.
    ///
    /// # Errors
    /// Returns a [`SettingError`] if the name or the value is invalid.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), SettingError> {
        let setting = setting(name.as_bytes()).ok_or(SettingError::Unknown)?;
        let value = setting.parse(value.as_bytes(), Dialect::valkey(9, 1, 0))?;
        self.choose(setting, value);
        Ok(())
    }

    /// Returns the thresholds of a server of `dialect` with these choices.
    #[doc(hidden)]
    #[must_use]
    pub fn thresholds(&self, dialect: Dialect) -> Thresholds {
        let mut thresholds = Thresholds::of(dialect);
        for (setting, choice) in SETTINGS.iter().zip(self.0) {
            if let Some(value) = choice.filter(|_| setting.is_known_to(dialect)) {
                (setting.write)(&mut thresholds, value);
            }
        }
        thresholds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Dialect = Dialect::redis(6, 0, 16);
    const NEW: Dialect = Dialect::redis(8, 0, 2);

    fn read(name: &str, text: &str, dialect: Dialect) -> Result<i64, String> {
        let setting = setting(name.as_bytes()).ok_or("no such setting")?;
        let value = setting.parse(text.as_bytes(), dialect);
        value.map_err(|error| error.to_string())
    }

    #[test]
    fn values_are_read_as_servers_read_them() {
        assert_eq!(read("HASH-max-ziplist-value", "1kb", NEW), Ok(1024));
        assert_eq!(read("hash-max-listpack-value", "2K", NEW), Ok(2000));
        assert_eq!(read("list-max-listpack-size", "-9", NEW), Ok(-9));
        assert_eq!(read("hash-max-listpack-value", "", NEW), Ok(0));
        let wrong = [
            (
                "hash-max-listpack-entries",
                "1kb",
                "argument couldn't be parsed into an integer",
            ),
            (
                "hash-max-listpack-value",
                "-5",
                "argument must be a memory value",
            ),
            (
                "hash-max-listpack-value",
                "1q",
                "argument must be a memory value",
            ),
            (
                "set-max-intset-entries",
                "-1",
                "argument must be between 0 and 9223372036854775807 inclusive",
            ),
            (
                "list-compress-depth",
                "2147483648",
                "argument must be between 0 and 2147483647 inclusive",
            ),
            (
                "stream-node-max-bytes",
                "9223372036854775808",
                "argument must be between 0 and 9223372036854775807 inclusive",
            ),
        ];
        for (name, text, error) in wrong {
            assert_eq!(
                read(name, text, NEW),
                Err(error.to_owned()),
                "{name} {text}"
            );
        }
    }

    #[test]
    fn a_choice_holds_where_the_server_knows_it() {
        let mut choices = Choices::default();
        for name in ["set-max-listpack-entries", "zset-max-ziplist-entries"] {
            if let Some(setting) = setting(name.as_bytes()) {
                choices.choose(setting, 3);
            }
        }
        let (old, new) = (choices.thresholds(OLD), choices.thresholds(NEW));
        assert_eq!(
            (old.set_max_listpack_entries, new.set_max_listpack_entries),
            (0, 3)
        );
        assert_eq!(
            (old.zset_max_listpack_entries, new.zset_max_listpack_entries),
            (3, 3)
        );
    }

    #[test]
    fn names_are_those_of_the_version() {
        let names = |dialect| -> Vec<_> {
            let all = SETTINGS.iter().flat_map(|setting| setting.names(dialect));
            all.filter(|name| name.contains("set-max-") || name.contains("list-max-"))
                .collect()
        };
        assert_eq!(
            names(OLD),
            [
                "list-max-ziplist-size",
                "set-max-intset-entries",
                "zset-max-ziplist-entries",
                "zset-max-ziplist-value"
            ]
        );
        assert_eq!(names(NEW).len(), 9);
    }
}
