//! The commands that a selector allows in one server version.

use super::selector::{CommandRule, Selector};
use super::units::{Units, category};

/// One bit per command, and exceptions by first argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bits {
    bits: Vec<u64>,
    /// Whether commands are allowed that the version does not have yet: the rules begin with `+@all`.
    pub(super) future: bool,
    /// Commands whose first argument makes a difference: the command, the argument in lower case, and whether it is allowed.
    /// A later one counts more.
    words: Vec<(usize, String, bool)>,
}

impl Bits {
    /// Returns bits that are all `allowed`.
    pub(super) fn all(units: &Units, allowed: bool) -> Self {
        let word = if allowed { u64::MAX } else { 0 };
        Self {
            bits: vec![word; units.len().div_ceil(64)],
            future: allowed,
            words: Vec::new(),
        }
    }

    /// Compiles a selector's rules. `with_words` also compiles the exceptions by first argument.
    pub(super) fn of(selector: &Selector, units: &Units, with_words: bool) -> Self {
        let mut bits = Self::all(units, selector.all_commands_first);
        for rule in &selector.commands {
            bits.apply(rule, units, with_words);
        }
        bits
    }

    fn apply(&mut self, rule: &CommandRule, units: &Units, with_words: bool) {
        let name = rule.name.as_str();
        if let Some(name) = name.strip_prefix('@') {
            self.set_category(category(name), rule.allows, units);
        } else if let Some(number) = units.find(name) {
            self.set_with_subcommands(number, rule.allows, units);
        } else if with_words {
            let splits = [name.rsplit_once('|'), name.split_once('|')];
            let known = |(container, word)| Some((units.find(container)?, word));
            let found = splits.into_iter().flatten().find_map(known);
            if let Some((number, word)) =
                found.filter(|(number, _)| units.subcommands(*number).is_empty())
            {
                // A version that does not know the subcommand as a command of its own still keeps what is forbidden forbidden.
                self.words.push((number, str::to_owned(word), rule.allows));
            }
        }
        // Any other name is a command that this version does not have.
    }

    /// Source: redis 7.0 acl.c, `ACLSetSelectorCommandBitsForCategoryLogic`.
    pub(super) fn set_category(&mut self, category: u32, allowed: bool, units: &Units) {
        let inside = units
            .iter()
            .filter(|(_, unit)| unit.categories & category != 0);
        for (number, _) in inside {
            self.set_with_subcommands(number, allowed, units);
        }
    }

    /// Source: redis 7.0 acl.c, `ACLChangeSelectorPerm`.
    pub(super) fn set_with_subcommands(&mut self, number: usize, allowed: bool, units: &Units) {
        self.set(number, allowed);
        self.words.retain(|(command, ..)| *command != number);
        for subcommand in units.subcommands(number) {
            self.set(*subcommand, allowed);
        }
    }

    pub(super) fn set(&mut self, number: usize, allowed: bool) {
        if let Some(word) = self.bits.get_mut(number / 64) {
            let bit = 1 << (number % 64);
            *word = if allowed { *word | bit } else { *word & !bit };
        }
    }

    /// Whether a command is allowed with any arguments.
    pub(super) fn has(&self, number: usize) -> bool {
        let word = self.bits.get(number / 64).copied().unwrap_or(0);
        word >> (number % 64) & 1 == 1
    }

    /// Whether a command is allowed with that first argument. Source: redis 7.0 acl.c, `ACLSelectorCheckCmd`.
    pub(super) fn allows(&self, number: usize, first: Option<&[u8]>) -> bool {
        let said = self.words.iter().rev().find(|(command, word, _)| {
            *command == number
                && first.is_some_and(|first| word.as_bytes().eq_ignore_ascii_case(first))
        });
        said.map_or_else(|| self.has(number), |(.., allowed)| *allowed)
    }

    /// Whether everything is allowed.
    pub(super) fn is_everything(&self, units: &Units) -> bool {
        self.words.iter().all(|(.., allowed)| *allowed)
            && units.iter().all(|(number, _)| self.has(number))
    }

    /// Returns the first arguments with which a command is allowed, in the order of the rules.
    pub(super) fn allowed_words(&self, number: usize) -> impl Iterator<Item = &str> {
        let of = self
            .words
            .iter()
            .filter(move |(command, _, allowed)| *command == number && *allowed);
        of.map(|(_, word, _)| word.as_str())
    }

    /// Counts the commands of a category that are allowed and those that are not. Source: redis 7.0 acl.c,
    /// `ACLCountCategoryBitsForCommands`.
    pub(super) fn count(&self, category: u32, units: &Units) -> [usize; 2] {
        let (mut on, mut off) = (0, 0);
        for (number, _) in units
            .iter()
            .filter(|(_, unit)| unit.categories & category != 0)
        {
            if self.has(number) {
                on += 1;
            } else {
                off += 1;
            }
        }
        [on, off]
    }
}
