//! Which rules a server version accepts.

use super::units::{Units, category};
use crate::dialect::Dialect;

/// The grammar of rules, and the commands that they may name.
#[derive(Clone, Copy)]
pub struct Syntax<'u> {
    /// The server version; `None` for everything that any version accepts.
    pub dialect: Option<Dialect>,
    /// The commands of that version, or of all versions.
    pub units: &'u [&'u Units],
}

/// A command that a rule names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) has_subcommands: bool,
    pub(super) is_subcommand: bool,
}

impl Syntax<'_> {
    fn has(self, has: impl Fn(Dialect) -> bool) -> bool {
        self.dialect.is_none_or(has)
    }

    /// Whether rules know selectors and permissions to only read or only write keys (since Redis 7.0).
    pub(super) fn has_selectors(self) -> bool {
        self.has(Dialect::has_subcommand_rows)
    }

    /// Whether rules know channels (since Redis 6.2).
    pub(super) fn has_channels(self) -> bool {
        self.has(Dialect::has_channel_patterns)
    }

    /// Whether rules know databases (since Valkey 9.1).
    pub(super) fn has_databases(self) -> bool {
        self.has(Dialect::has_database_permissions)
    }

    /// Whether what follows the first bar in `+config|get` is any first argument, and not a subcommand (before Redis 7.0).
    pub(super) fn names_first_words(self) -> bool {
        self.dialect
            .is_some_and(|dialect| !dialect.has_subcommand_rows())
    }

    /// Whether all channels are allowed until a rule says otherwise (Redis 6.2).
    pub(super) fn allows_channels_first(self) -> bool {
        self.dialect.is_some_and(Dialect::allows_channels_first)
    }

    /// Returns what is known about a command; `name` is in lower case.
    pub(super) fn find(self, name: &str) -> Option<Named> {
        let mut found = None;
        for units in self.units {
            let Some((number, unit)) = units.find(name).and_then(|n| Some((n, units.get(n)?)))
            else {
                continue;
            };
            let named = found.get_or_insert(Named {
                has_subcommands: false,
                is_subcommand: false,
            });
            named.has_subcommands |= !units.subcommands(number).is_empty();
            named.is_subcommand |= unit.parent.is_some();
        }
        found
    }

    /// Returns whether there is a category of that name.
    pub(super) fn has_category(name: &str) -> bool {
        category(name) != 0
    }
}
