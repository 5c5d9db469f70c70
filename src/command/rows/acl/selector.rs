//! One selector: which commands, keys, channels and databases go together.

use std::collections::BTreeSet;

use super::bits::Bits;
use super::rule::RuleError;
use super::syntax::Syntax;

/// A pattern of keys, and what may be done to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyPattern {
    pub(super) reads: bool,
    pub(super) writes: bool,
    pub(super) pattern: Box<[u8]>,
}

/// A rule for commands. `name` is `get`, `config|get`, `select|0` or `@read`, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CommandRule {
    pub(super) allows: bool,
    pub(super) name: String,
}

/// What one selector allows. It allows nothing at first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selector {
    pub(super) all_keys: bool,
    pub(super) keys: Vec<KeyPattern>,
    /// `None` until a rule says: then it depends on the version.
    pub(super) all_channels: Option<bool>,
    pub(super) channels: Vec<Box<[u8]>>,
    pub(super) all_databases: bool,
    pub(super) databases: BTreeSet<u32>,
    /// Whether the rules for commands begin with `+@all`.
    pub(super) all_commands_first: bool,
    /// The rules for commands after that. Like servers since Redis 7.2, only the last one for a name is kept.
    pub(super) commands: Vec<CommandRule>,
}

impl Default for Selector {
    fn default() -> Self {
        Self {
            all_keys: false,
            keys: Vec::new(),
            all_channels: None,
            channels: Vec::new(),
            all_databases: true,
            databases: BTreeSet::new(),
            all_commands_first: false,
            commands: Vec::new(),
        }
    }
}

impl Selector {
    /// Returns a selector that allows everything.
    pub(super) fn everything() -> Self {
        Self {
            all_keys: true,
            all_channels: Some(true),
            all_commands_first: true,
            ..Self::default()
        }
    }

    /// Parses the rules between parentheses.
    pub(super) fn parse(rules: &[u8], syntax: Syntax<'_>) -> Result<Self, RuleError> {
        let mut selector = Self::default();
        for rule in rules
            .split(u8::is_ascii_whitespace)
            .filter(|rule| !rule.is_empty())
        {
            selector.apply(rule, syntax)?;
        }
        Ok(selector)
    }

    /// Applies one rule. Source: redis 7.0 acl.c, `ACLSetSelector`.
    pub(super) fn apply(&mut self, rule: &[u8], syntax: Syntax<'_>) -> Result<(), RuleError> {
        let lower = rule.to_ascii_lowercase();
        match lower.as_slice() {
            b"allkeys" | b"~*" => self.set_all_keys(true),
            b"resetkeys" => self.set_all_keys(false),
            b"allchannels" | b"&*" if syntax.has_channels() => self.set_all_channels(true),
            b"resetchannels" if syntax.has_channels() => self.set_all_channels(false),
            b"alldbs" if syntax.has_databases() => self.set_all_databases(true),
            b"resetdbs" if syntax.has_databases() => self.set_all_databases(false),
            [b'd', b'b', b'=', list @ ..] if syntax.has_databases() => self.set_databases(list)?,
            b"allcommands" | b"+@all" => self.set_all_commands(true),
            b"nocommands" | b"-@all" => self.set_all_commands(false),
            [b'~', ..] => self.add_keys([true, true], rule.get(1..).unwrap_or_default())?,
            [b'%', ..] if syntax.has_selectors() => self.add_keys_for(rule)?,
            [b'&', ..] if syntax.has_channels() => {
                self.add_channels(rule.get(1..).unwrap_or_default(), syntax)?;
            }
            [b'+', name @ ..] => self.allow(text(name)?, syntax)?,
            [b'-', name @ ..] => self.deny(text(name)?, syntax)?,
            _ => return Err(RuleError::Syntax),
        }
        Ok(())
    }

    fn set_all_keys(&mut self, all: bool) {
        self.all_keys = all;
        self.keys.clear();
    }

    pub(super) fn set_all_channels(&mut self, all: bool) {
        self.all_channels = Some(all);
        self.channels.clear();
    }

    pub(super) fn set_all_databases(&mut self, all: bool) {
        self.all_databases = all;
        self.databases.clear();
    }

    pub(super) fn set_all_commands(&mut self, all: bool) {
        self.all_commands_first = all;
        self.commands.clear();
    }

    /// Replaces the databases by a list such as `0,3`.
    fn set_databases(&mut self, list: &[u8]) -> Result<(), RuleError> {
        let mut databases = BTreeSet::new();
        for number in list.split(|byte| *byte == b',') {
            let number = crate::resp::parse_integer(number).ok_or(RuleError::Syntax)?;
            let number = i32::try_from(number)
                .ok()
                .and_then(|number| u32::try_from(number).ok());
            databases.insert(number.ok_or(RuleError::Database)?);
        }
        self.set_all_databases(false);
        self.databases = databases;
        Ok(())
    }

    /// Adds `%R~pattern`, `%W~pattern` or `%RW~pattern`.
    fn add_keys_for(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        if self.all_keys {
            return Err(RuleError::AllKeys);
        }
        let end = rule.iter().position(|byte| *byte == b'~');
        let (granted, pattern) = rule.split_at(end.ok_or(RuleError::Syntax)?);
        let (mut reads, mut writes) = (false, false);
        for letter in granted.iter().skip(1) {
            match letter.to_ascii_uppercase() {
                b'R' if !reads => reads = true,
                b'W' if !writes => writes = true,
                _ => return Err(RuleError::Syntax),
            }
        }
        if !reads && !writes {
            return Err(RuleError::Syntax);
        }
        self.add_keys([reads, writes], pattern.get(1..).unwrap_or_default())
    }

    fn add_keys(&mut self, [reads, writes]: [bool; 2], pattern: &[u8]) -> Result<(), RuleError> {
        if self.all_keys {
            return Err(RuleError::AllKeys);
        }
        if has_blanks(pattern) {
            return Err(RuleError::Syntax);
        }
        let known = self
            .keys
            .iter_mut()
            .find(|known| &*known.pattern == pattern);
        if let Some(known) = known {
            known.reads |= reads;
            known.writes |= writes;
        } else {
            self.keys.push(KeyPattern {
                reads,
                writes,
                pattern: pattern.into(),
            });
        }
        Ok(())
    }

    fn add_channels(&mut self, pattern: &[u8], syntax: Syntax<'_>) -> Result<(), RuleError> {
        if self.all_channels.unwrap_or(syntax.allows_channels_first()) {
            return Err(RuleError::AllChannels);
        }
        if has_blanks(pattern) {
            return Err(RuleError::Syntax);
        }
        if !self.channels.iter().any(|known| &**known == pattern) {
            self.channels.push(pattern.into());
        }
        self.all_channels = Some(false);
        Ok(())
    }

    fn allow(&mut self, name: &str, syntax: Syntax<'_>) -> Result<(), RuleError> {
        if let Some(category) = name.strip_prefix('@') {
            return self.add_category(category, true);
        }
        // Servers without rows for subcommands take anything after the first bar for the first argument.
        let split = if syntax.names_first_words() {
            name.split_once('|')
        } else {
            name.rsplit_once('|')
        };
        let Some((container, word)) = split else {
            syntax.find(name).ok_or(RuleError::Unknown)?;
            self.add(name, true);
            return Ok(());
        };
        let known = syntax.find(container).ok_or(RuleError::Unknown)?;
        if known.is_subcommand {
            return Err(RuleError::FirstWordOfSubcommand);
        }
        if word.is_empty() {
            return Err(RuleError::Syntax);
        }
        if known.has_subcommands {
            syntax.find(name).ok_or(RuleError::Unknown)?;
        }
        if syntax.names_first_words() && self.allows_all_of(container, syntax) {
            return Err(RuleError::AllowedAnyhow);
        }
        self.add(name, true);
        Ok(())
    }

    /// Whether the rules so far allow a command with any arguments.
    fn allows_all_of(&self, command: &str, syntax: Syntax<'_>) -> bool {
        syntax.units.iter().any(|units| {
            let bits = Bits::of(self, units, true);
            units.find(command).is_some_and(|number| bits.has(number))
        })
    }

    fn deny(&mut self, name: &str, syntax: Syntax<'_>) -> Result<(), RuleError> {
        if let Some(category) = name.strip_prefix('@') {
            return self.add_category(category, false);
        }
        syntax.find(name).ok_or(RuleError::Unknown)?;
        self.add(name, false);
        Ok(())
    }

    fn add_category(&mut self, category: &str, allows: bool) -> Result<(), RuleError> {
        if !Syntax::has_category(category) {
            return Err(RuleError::Unknown);
        }
        self.add(&format!("@{category}"), allows);
        Ok(())
    }

    /// Adds a rule, and removes earlier ones for the same name or its subcommands. Source: redis 8.0 acl.c,
    /// `ACLSelectorRemoveCommandRule`.
    fn add(&mut self, name: &str, allows: bool) {
        self.commands.retain(|rule| {
            let rest = rule.name.strip_prefix(name);
            !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('|'))
        });
        self.commands.push(CommandRule {
            allows,
            name: name.to_owned(),
        });
    }
}

/// Names of commands and categories are text.
fn text(name: &[u8]) -> Result<&str, RuleError> {
    std::str::from_utf8(name).map_err(|_| RuleError::Unknown)
}

/// Returns whether a name or pattern contains what servers refuse in them. Source: redis 7.0 acl.c, `ACLStringHasSpaces`.
pub(crate) fn has_blanks(text: &[u8]) -> bool {
    text.iter().any(|byte| matches!(byte, 0 | b' ' | 9..=13))
}
