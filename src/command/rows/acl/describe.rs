//! A user's rules as text: ACL LIST, ACL GETUSER and ACL SAVE.

use super::account::{Account, Sanitize};
use super::bits::Bits;
use super::selector::{KeyPattern, Selector};
use super::units::{CATEGORIES, Units, category};
use crate::dialect::Dialect;

impl Account {
    /// Returns the flags, in the version's order. Source: acl.c, `ACLUserFlags`, of Redis 6.0 to 8.0 and Valkey 8.1.
    pub(crate) fn flags(&self, dialect: Dialect, units: &Units) -> Vec<&'static str> {
        let mut flags = vec![if self.is_on { "on" } else { "off" }];
        if !dialect.has_subcommand_rows() {
            let root = &self.root;
            flags.extend(root.all_keys.then_some("allkeys"));
            let all = root.allows_all_channels(dialect) && dialect.has_channel_patterns();
            flags.extend(all.then_some("allchannels"));
            flags.extend(
                Bits::of(root, units, true)
                    .is_everything(units)
                    .then_some("allcommands"),
            );
        }
        flags.extend(self.no_password.then_some("nopass"));
        flags.extend(self.sanitize.flag(dialect));
        flags
    }

    /// Returns the line of ACL LIST and of the file, after `user NAME `.
    pub(crate) fn line(&self, dialect: Dialect, units: &Units) -> Vec<u8> {
        let mut words: Vec<Vec<u8>> = Vec::new();
        let flags = self.flags(dialect, units).into_iter();
        let shown = flags.filter(|flag| !flag.starts_with("all"));
        words.extend(shown.map(|flag| flag.as_bytes().to_vec()));
        let hashes = self
            .passwords
            .iter()
            .map(|hash| format!("#{}", hash.text()).into_bytes());
        words.extend(hashes);
        self.root.describe(dialect, units, &mut words);
        for selector in &self.selectors {
            let mut inner = Vec::new();
            selector.describe(dialect, units, &mut inner);
            words.push([b"(", inner.join(&b' ').as_slice(), b")"].concat());
        }
        words.join(&b' ')
    }
}

impl Sanitize {
    fn flag(self, dialect: Dialect) -> Option<&'static str> {
        match self {
            Self::Unset if dialect.shows_sanitize_payload() => Some("sanitize-payload"),
            Self::Yes if dialect.has_sanitize_payload() => Some("sanitize-payload"),
            Self::No if dialect.has_sanitize_payload() => Some("skip-sanitize-payload"),
            _ => None,
        }
    }
}

impl KeyPattern {
    fn text(&self) -> Vec<u8> {
        let prefix: &[u8] = match (self.reads, self.writes) {
            (true, false) => b"%R~",
            (false, true) => b"%W~",
            _ => b"~",
        };
        [prefix, &self.pattern].concat()
    }
}

impl Selector {
    /// Whether all channels are allowed.
    pub(super) fn allows_all_channels(&self, dialect: Dialect) -> bool {
        self.all_channels.unwrap_or(dialect.allows_channels_first())
    }

    /// Returns the key patterns as the version writes them: `~*`, `%R~a`.
    pub(crate) fn key_patterns(&self) -> Vec<Vec<u8>> {
        if self.all_keys {
            return vec![b"~*".to_vec()];
        }
        self.keys.iter().map(KeyPattern::text).collect()
    }

    /// Returns the channel patterns: `&*`, `&a`.
    pub(crate) fn channel_patterns(&self, dialect: Dialect) -> Vec<Vec<u8>> {
        if self.allows_all_channels(dialect) {
            return vec![b"&*".to_vec()];
        }
        let patterns = self.channels.iter();
        patterns
            .map(|pattern| [b"&", &**pattern].concat())
            .collect()
    }

    /// Returns the databases: `alldbs`, `resetdbs` or `db=0,3`.
    pub(crate) fn database_rule(&self) -> String {
        if self.all_databases {
            return "alldbs".to_owned();
        }
        if self.databases.is_empty() {
            return "resetdbs".to_owned();
        }
        let numbers: Vec<String> = self.databases.iter().map(u32::to_string).collect();
        format!("db={}", numbers.join(","))
    }

    /// Adds the rules as words. Source: redis 7.0 acl.c, `ACLDescribeSelector`; valkey 9.1.
    fn describe(&self, dialect: Dialect, units: &Units, words: &mut Vec<Vec<u8>>) {
        words.extend(self.key_patterns());
        if dialect.has_channel_patterns() {
            if !self.allows_all_channels(dialect) {
                words.push(b"resetchannels".to_vec());
            }
            words.extend(self.channel_patterns(dialect));
        }
        if dialect.has_database_permissions() && !self.all_databases {
            words.push(self.database_rule().into_bytes());
        }
        words.push(self.command_rules(dialect, units).into_bytes());
    }

    /// Returns the rules for commands: those that were given, or before Redis 7.2 an equivalent list.
    pub(crate) fn command_rules(&self, dialect: Dialect, units: &Units) -> String {
        if !dialect.keeps_command_rules() {
            return self.derived_rules(units);
        }
        let mut words = vec![self.first_rule().to_owned()];
        let rules = self.commands.iter();
        words.extend(
            rules.map(|rule| format!("{}{}", if rule.allows { '+' } else { '-' }, rule.name)),
        );
        words.join(" ")
    }

    const fn first_rule(&self) -> &'static str {
        if self.all_commands_first {
            "+@all"
        } else {
            "-@all"
        }
    }

    /// Finds the categories that fit best, then the commands that differ. Source: redis 7.0 acl.c,
    /// `ACLDescribeSelectorCommandRules`.
    ///
    /// DIFFERENCE: single commands come in the catalogue's order; servers use the order of a hash table.
    fn derived_rules(&self, units: &Units) -> String {
        let adds = !self.all_commands_first;
        let wanted = Bits::of(self, units, true);
        let mut reached = Bits::all(units, !adds);
        let mut words = vec![self.first_rule().to_owned()];
        for best in best_categories(&wanted, adds, units) {
            reached.set_category(category(best), adds, units);
            words.push(format!("{}@{best}", if adds { '+' } else { '-' }));
        }
        for (number, unit) in units.iter() {
            let is_wanted = wanted.has(number);
            if is_wanted != reached.has(number) {
                words.push(format!(
                    "{}{}",
                    if is_wanted { '+' } else { '-' },
                    unit.name
                ));
                reached.set_with_subcommands(number, is_wanted, units);
            }
            if !is_wanted {
                let allowed = wanted.allowed_words(number);
                words.extend(allowed.map(|word| format!("+{}|{word}", unit.name)));
            }
        }
        words.join(" ")
    }
}

/// Returns the categories that fit best, the best first.
fn best_categories(wanted: &Bits, adds: bool, units: &Units) -> Vec<&'static str> {
    let mut left = wanted.clone();
    let mut chosen: Vec<&'static str> = Vec::new();
    loop {
        let mut best: Option<(&'static str, usize, usize)> = None;
        for name in CATEGORIES.iter().filter(|name| !chosen.contains(name)) {
            let [on, off] = left.count(category(name), units);
            let (different, same) = if adds { (off, on) } else { (on, off) };
            let is_better = best.is_none_or(|(_, least, most)| {
                different < least || (different == least && same > most)
            });
            if same > different && is_better {
                best = Some((name, different, same));
            }
        }
        let Some((name, ..)) = best else {
            return chosen;
        };
        left.set_category(category(name), !adds, units);
        chosen.push(name);
    }
}
