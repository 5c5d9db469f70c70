//! What a user may do in one server version, and the check of one command.

use std::sync::Arc;

use super::account::Account;
use super::bits::Bits;
use super::selector::Selector;
use super::units::Units;
use crate::command::rows::glob::Glob;
use crate::dialect::Dialect;
use crate::resp::Args;

/// A user's permissions, compiled for one server version. A user who may do everything has none.
#[derive(Debug)]
pub struct Rights {
    /// The user's name.
    pub name: Arc<[u8]>,
    /// The commands of that version.
    pub units: Arc<Units>,
    dialect: Dialect,
    selectors: Vec<Compiled>,
}

#[derive(Debug)]
struct Compiled {
    rules: Selector,
    bits: Bits,
    all_channels: bool,
}

/// What a command does to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Need {
    /// It reads the value.
    pub reads: bool,
    /// It changes the value.
    pub writes: bool,
}

/// The databases that a command works in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Databases<'a> {
    /// None.
    None,
    /// The one with this number, the client's own.
    Own(usize),
    /// The client's own, and those that these words name.
    Named(Option<usize>, &'a [(usize, u32)]),
    /// All.
    All,
}

/// What a command asks for.
#[derive(Debug, Clone, Copy)]
pub struct Demand<'a> {
    /// The command's unit, `None` for one that this version does not have.
    pub unit: Option<usize>,
    /// The word that exceptions by first argument compare.
    pub first: Option<&'a [u8]>,
    /// Its words.
    pub args: Args<'a>,
    /// Its keys: word and need.
    pub keys: &'a [(usize, Need)],
    /// The words that are channels.
    pub channels: &'a [usize],
    /// Whether they are patterns, which must be allowed literally.
    pub is_pattern: bool,
    /// The databases.
    pub databases: Databases<'a>,
}

/// Why a command is denied: the word that is not allowed. A later kind counts more if selectors disagree. Source: redis 7.0
/// acl.c, `ACLCheckAllUserCommandPerm`; valkey 9.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Denied {
    /// A database.
    Database(usize),
    /// The command.
    Command,
    /// A key.
    Key(usize),
    /// A channel.
    Channel(usize),
}

impl Rights {
    /// Compiles an account; `None` if it allows everything.
    pub(super) fn of(
        name: &Arc<[u8]>,
        account: &Account,
        units: &Arc<Units>,
        dialect: Dialect,
    ) -> Option<Arc<Self>> {
        let compile = |rules: &Selector| Compiled {
            bits: Bits::of(rules, units, true),
            all_channels: rules.allows_all_channels(dialect),
            rules: rules.clone(),
        };
        let selectors: Vec<Compiled> = account.all().map(compile).collect();
        let is_everything = |selector: &Compiled| selector.allows_everything(units, dialect);
        if selectors.iter().any(is_everything) {
            return None;
        }
        Some(Arc::new(Self {
            name: Arc::clone(name),
            units: Arc::clone(units),
            dialect,
            selectors,
        }))
    }

    /// Returns the version that this was compiled for.
    #[must_use]
    pub const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Whether the keys of a command matter.
    #[must_use]
    pub fn looks_at_keys(&self) -> bool {
        self.selectors
            .iter()
            .any(|selector| !selector.rules.all_keys)
    }

    /// Checks a command.
    ///
    /// # Errors
    /// Why no selector allows it.
    pub fn check(&self, demand: &Demand<'_>) -> Result<(), Denied> {
        let mut worst = None;
        for selector in &self.selectors {
            match self.check_one(selector, demand) {
                Ok(()) => return Ok(()),
                Err(denied) => worst = worst.max(Some(denied)),
            }
        }
        worst.map_or(Ok(()), Err)
    }

    /// Whether a selector allows a command, and besides it reading any key. Source: redis 7.0 acl.c,
    /// `ACLUserCheckCmdWithUnrestrictedKeyAccess`.
    #[must_use]
    pub fn reads_any_key(&self, demand: &Demand<'_>) -> bool {
        let mut allowing = self
            .selectors
            .iter()
            .filter(|selector| self.check_one(selector, demand).is_ok());
        allowing.any(|selector| {
            let mut keys = selector.rules.keys.iter();
            selector.rules.all_keys || keys.any(|keys| keys.reads && &*keys.pattern == b"*")
        })
    }

    /// Source: redis 7.0 acl.c, `ACLSelectorCheckCmd`; the databases are valkey 9.1's.
    fn check_one(&self, selector: &Compiled, demand: &Demand<'_>) -> Result<(), Denied> {
        selector.check_databases(demand.databases)?;
        let unit = demand
            .unit
            .and_then(|number| Some((number, self.units.get(number)?)));
        let is_allowed = unit.map_or(selector.bits.future, |(number, unit)| {
            unit.is_open || selector.bits.allows(number, demand.first)
        });
        if !is_allowed {
            return Err(Denied::Command);
        }
        if !selector.rules.all_keys {
            for (word, need) in demand.keys {
                if !selector.allows_key(demand.args.at(*word), *need, self.dialect) {
                    return Err(Denied::Key(*word));
                }
            }
        }
        if !selector.all_channels {
            for word in demand.channels {
                let channel = demand.args.at(*word);
                if !selector.allows_channel(channel, demand.is_pattern, self.dialect) {
                    return Err(Denied::Channel(*word));
                }
            }
        }
        Ok(())
    }
}

impl Rights {
    /// Whether the user may subscribe to this channel or pattern.
    #[must_use]
    pub fn allows_channel(&self, channel: &[u8], is_pattern: bool) -> bool {
        let dialect = self.dialect;
        self.selectors.iter().any(|selector| {
            selector.all_channels
                || !dialect.has_channel_patterns()
                || selector.allows_channel(channel, is_pattern, dialect)
        })
    }
}

impl Compiled {
    fn allows_everything(&self, units: &Units, dialect: Dialect) -> bool {
        let rules = &self.rules;
        let databases = rules.all_databases || !dialect.has_database_permissions();
        rules.all_keys
            && (self.all_channels || !dialect.has_channel_patterns())
            && databases
            && self.bits.future
            && self.bits.is_everything(units)
    }

    fn check_databases(&self, databases: Databases<'_>) -> Result<(), Denied> {
        if self.rules.all_databases {
            return Ok(());
        }
        let allows = |db: u32| self.rules.databases.contains(&db);
        let allows_own = |db: usize| u32::try_from(db).is_ok_and(allows);
        let (own, named) = match databases {
            Databases::None => return Ok(()),
            Databases::All => return Err(Denied::Database(0)),
            Databases::Own(db) => (Some(db), &[][..]),
            Databases::Named(own, named) => (own, named),
        };
        if let Some((word, _)) = named.iter().find(|(_, db)| !allows(*db)) {
            return Err(Denied::Database(*word));
        }
        if own.is_some_and(|db| !allows_own(db)) {
            return Err(Denied::Database(0));
        }
        Ok(())
    }

    fn allows_key(&self, key: &[u8], need: Need, dialect: Dialect) -> bool {
        self.rules.keys.iter().any(|keys| {
            (keys.reads || !need.reads)
                && (keys.writes || !need.writes)
                && Glob::new(&keys.pattern, dialect).matches(key)
        })
    }

    fn allows_channel(&self, channel: &[u8], is_pattern: bool, dialect: Dialect) -> bool {
        self.rules.channels.iter().any(|pattern| {
            if is_pattern {
                **pattern == *channel
            } else {
                Glob::new(pattern, dialect).matches(channel)
            }
        })
    }
}
