//! The commands that rules can name, in one server version.

use std::collections::HashMap;

/// The categories, in Redis's order. Source: redis 7.0 acl.c, `ACLCommandCategories`.
pub const CATEGORIES: &[&str] = &[
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "array",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
];

/// Returns the bit of a category in [`Unit::categories`]; 0 for an unknown name.
#[must_use]
pub fn category(name: &str) -> u32 {
    let place = CATEGORIES
        .iter()
        .position(|known| known.eq_ignore_ascii_case(name));
    place.map_or(0, |place| 1 << place)
}

/// A command or subcommand that rules can name.
#[derive(Debug, Clone)]
pub struct Unit {
    /// Its name: `get`, `config|get`.
    pub name: String,
    /// Its categories, one bit each, in the order of [`CATEGORIES`].
    pub categories: u32,
    /// The unit of its container.
    pub parent: Option<usize>,
    /// Whether anyone may run it, because it logs in or hangs up.
    pub is_open: bool,
}

/// All commands of one server version, containers before their subcommands.
#[derive(Debug, Default)]
pub struct Units {
    all: Vec<Unit>,
    by_name: HashMap<String, usize>,
    subcommands: Vec<Vec<usize>>,
}

impl Units {
    /// Adds a unit, and returns its number. A container comes before its subcommands.
    pub fn add(&mut self, unit: Unit) -> usize {
        let number = self.all.len();
        if let Some(parent) = unit.parent
            && let Some(inside) = self.subcommands.get_mut(parent)
        {
            inside.push(number);
        }
        self.by_name.insert(unit.name.to_ascii_lowercase(), number);
        self.subcommands.push(Vec::new());
        self.all.push(unit);
        number
    }

    /// Returns the number of a command; `name` is in lower case.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// Returns a unit.
    #[must_use]
    pub fn get(&self, number: usize) -> Option<&Unit> {
        self.all.get(number)
    }

    /// Returns all units with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Unit)> {
        self.all.iter().enumerate()
    }

    /// Returns the number of units.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Returns whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Returns the subcommands of a container that rules can name.
    #[must_use]
    pub fn subcommands(&self, container: usize) -> &[usize] {
        self.subcommands.get(container).map_or(&[], Vec::as_slice)
    }
}
