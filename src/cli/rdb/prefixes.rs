//! Sums by prefix, in bounded memory.
//!
//! Each key adds to each of its prefixes. When there are too many, those whose weight is at most that of half of them are
//! dropped: lossy counting, as of Manku and Motwani. A prefix that comes back starts from zero, so after each round its figures
//! may be too low by what the largest dropped one had. The sum of these bounds over all rounds is the error that is reported. A
//! parent has at least the weight of its children, so a prefix that stays has all its parents.

use std::collections::HashMap;

use serde::Serialize;

use super::prefix::Tree;
use super::stats::Amount;

/// Maximum number of prefixes that are kept: about 30 MB, so that all of `prefix` stays below 64.
const PREFIXES_MAX: usize = 100_000;

/// Longer prefixes are left out.
const PREFIX_BYTES_MAX: usize = 512;

/// The keys from which the separators are found.
const SAMPLED_KEYS: usize = 1000;

/// The separators that programs choose on purpose, and those that names have anyway.
const STRONG: &[u8] = b":/|#";
const WEAK: &[u8] = b".-_";

/// What makes a prefix big.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Measure {
    /// About how many bytes redtail takes for its keys in memory
    #[default]
    Memory,
    /// The bytes of its keys in the dump
    File,
    /// The number of its keys
    Keys,
}

/// What the keys below a prefix take.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Sum {
    #[serde(flatten)]
    pub(super) amount: Amount,
    /// Keys among them that do not expire.
    pub(super) without_expiry: u64,
}

impl Sum {
    pub(super) const fn of(amount: Amount, expires: bool) -> Self {
        Self {
            amount,
            without_expiry: !expires as u64,
        }
    }

    const fn add(&mut self, other: Self) {
        self.amount.add(other.amount);
        self.without_expiry += other.without_expiry;
    }

    fn max(&mut self, other: Self) {
        let most = |one: &mut u64, other: u64| *one = other.max(*one);
        most(&mut self.amount.keys, other.amount.keys);
        most(&mut self.amount.elements, other.amount.elements);
        most(&mut self.amount.file_bytes, other.amount.file_bytes);
        most(&mut self.amount.memory_bytes, other.amount.memory_bytes);
        most(&mut self.without_expiry, other.without_expiry);
    }

    const fn weight(&self, by: Measure) -> u64 {
        match by {
            Measure::Memory => self.amount.memory_bytes,
            Measure::File => self.amount.file_bytes,
            Measure::Keys => self.amount.keys,
        }
    }
}

/// The sums so far.
pub(super) struct Prefixes {
    separators: Vec<u8>,
    /// The first keys, until the separators are known.
    sample: Option<Vec<(Vec<u8>, Sum)>>,
    depth: usize,
    by: Measure,
    sums: HashMap<Box<[u8]>, Sum, ahash::RandomState>,
    total: Sum,
    error: Sum,
    max: usize,
}

impl Prefixes {
    /// No sums yet. Finds the separators in the first keys if none are given.
    pub(super) fn new(separators: Option<&[u8]>, depth: usize, by: Measure) -> Self {
        Self {
            separators: separators.unwrap_or_default().to_vec(),
            sample: separators.is_none().then(Vec::new),
            depth,
            by,
            sums: HashMap::default(),
            total: Sum::default(),
            error: Sum::default(),
            max: PREFIXES_MAX,
        }
    }

    /// Adds a key.
    pub(super) fn add(&mut self, key: &[u8], sum: Sum) {
        self.total.add(sum);
        let Some(sample) = &mut self.sample else {
            return self.count(key, sum);
        };
        let shown = key.get(..PREFIX_BYTES_MAX).unwrap_or(key);
        sample.push((shown.to_vec(), sum));
        if sample.len() >= SAMPLED_KEYS {
            self.settle();
        }
    }

    /// Chooses the separators, and counts the keys that waited for that.
    fn settle(&mut self) {
        let Some(sample) = self.sample.take() else {
            return;
        };
        self.separators = found(&sample, STRONG);
        if self.separators.is_empty() {
            self.separators = found(&sample, WEAK);
        }
        for (key, sum) in sample {
            self.count(&key, sum);
        }
    }

    fn count(&mut self, key: &[u8], sum: Sum) {
        let ends = key.iter().enumerate().take(PREFIX_BYTES_MAX);
        let ends = ends.filter(|(_, byte)| self.separators.contains(byte));
        for (end, _) in ends.take(self.depth) {
            let prefix = key.get(..=end).unwrap_or_default();
            match self.sums.get_mut(prefix) {
                Some(found) => found.add(sum),
                None => {
                    self.sums.insert(prefix.into(), sum);
                }
            }
        }
        if self.sums.len() > self.max {
            self.drop_half();
        }
    }

    #[cold]
    fn drop_half(&mut self) {
        let by = self.by;
        let mut weights: Vec<u64> = self.sums.values().map(|sum| sum.weight(by)).collect();
        let middle = weights.len() / 2;
        let (_, limit, _) = weights.select_nth_unstable(middle);
        let (limit, mut largest) = (*limit, Sum::default());
        self.sums.retain(|_, sum| {
            let stays = sum.weight(by) > limit;
            if !stays {
                largest.max(*sum);
            }
            stays
        });
        self.error.add(largest);
    }

    /// Returns the `top` biggest prefixes as a tree.
    pub(super) fn finish(mut self, top: usize) -> Tree {
        self.settle();
        let by = self.by;
        let mut all: Vec<(&[u8], &Sum)> =
            self.sums.iter().map(|(name, sum)| (&**name, sum)).collect();
        // Of equal weights, the shorter prefix first: a parent is shown before its only child.
        all.sort_unstable_by(|(one, one_sum), (other, other_sum)| {
            let order = other_sum.weight(by).cmp(&one_sum.weight(by));
            order.then(one.len().cmp(&other.len())).then(one.cmp(other))
        });
        let omitted = all.len().saturating_sub(top);
        all.truncate(top);
        let separators = self.separators;
        let mut children: HashMap<&[u8], Vec<usize>> = HashMap::new();
        for (index, (prefix, _)) in all.iter().enumerate() {
            children
                .entry(parent(prefix, &separators))
                .or_default()
                .push(index);
        }
        let mut prefixes = Vec::new();
        let mut stack: Vec<(usize, usize)> = Vec::new();
        let push = |stack: &mut Vec<_>, parent: &[u8], depth| {
            let below = children.get(parent).into_iter().flatten();
            stack.extend(below.rev().map(|index| (*index, depth)));
        };
        push(&mut stack, b"", 1);
        while let Some((index, depth)) = stack.pop() {
            if let Some((prefix, sum)) = all.get(index) {
                prefixes.push((prefix.to_vec(), depth, **sum));
                push(&mut stack, prefix, depth + 1);
            }
        }
        Tree {
            separators,
            total: self.total,
            prefixes,
            error: self.error,
            omitted,
        }
    }
}

/// The prefix that ends at the separator before the last.
fn parent<'p>(prefix: &'p [u8], separators: &[u8]) -> &'p [u8] {
    let inner = prefix.len().saturating_sub(1);
    let before = prefix
        .iter()
        .take(inner)
        .rposition(|byte| separators.contains(byte));
    before.map_or(&[][..], |end| prefix.get(..=end).unwrap_or_default())
}

/// Those of `candidates` that at least one key in twenty has.
fn found(sample: &[(Vec<u8>, Sum)], candidates: &[u8]) -> Vec<u8> {
    let is_used = |candidate: &&u8| {
        let having = sample.iter().filter(|(key, _)| key.contains(candidate));
        let having = having.count();
        having > 0 && having * 20 >= sample.len()
    };
    candidates.iter().filter(is_used).copied().collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn key(bytes: u64) -> Sum {
        let amount = Amount {
            keys: 1,
            elements: 1,
            file_bytes: bytes,
            memory_bytes: bytes,
        };
        Sum::of(amount, false)
    }

    fn names(tree: &Tree) -> Vec<(String, usize, u64)> {
        let prefixes = tree.prefixes.iter();
        prefixes
            .map(|(name, depth, sum)| {
                (
                    String::from_utf8(name.clone()).unwrap(),
                    *depth,
                    sum.amount.keys,
                )
            })
            .collect()
    }

    #[test]
    fn each_prefix_counts_the_keys_below_it_and_parents_come_first() {
        let mut prefixes = Prefixes::new(Some(b":"), 2, Measure::Memory);
        for (name, bytes) in [
            ("a:b:c:d", 5),
            ("a:b:e", 1),
            ("a:f", 1),
            ("g:", 9),
            ("h", 100),
        ] {
            prefixes.add(name.as_bytes(), key(bytes));
        }
        let tree = prefixes.finish(10);
        let expected = [("g:", 1, 1), ("a:", 1, 3), ("a:b:", 2, 2)];
        assert_eq!(
            names(&tree),
            expected.map(|(name, depth, keys)| (name.to_owned(), depth, keys))
        );
        assert_eq!(
            (tree.total.amount.keys, tree.error.amount.keys, tree.omitted),
            (5, 0, 0)
        );
    }

    #[test]
    fn separators_are_those_that_the_first_keys_have() {
        for (names, separators) in [
            (&["user:1", "user:2", "a.b"][..], ":"),
            (&["com.example.a", "com.example.b"], "."),
            (&["a/b:c", "d/e:f"], ":/"),
            (&["plain"], ""),
        ] {
            let mut prefixes = Prefixes::new(None, 3, Measure::Keys);
            names
                .iter()
                .for_each(|name| prefixes.add(name.as_bytes(), key(1)));
            assert_eq!(
                prefixes.finish(1).separators,
                separators.as_bytes(),
                "{names:?}"
            );
        }
    }

    #[test]
    fn what_is_dropped_is_within_the_error_that_is_reported() {
        let mut prefixes = Prefixes::new(Some(b":"), 1, Measure::Memory);
        prefixes.max = 100;
        let mut truth: HashMap<String, u64> = HashMap::new();
        for round in 0..20_000_u64 {
            // A few large prefixes among many small ones.
            let number = match round % 3 {
                0 => round % 5,
                _ => 10 + round.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 1000,
            };
            let name = format!("{number}:");
            *truth.entry(name.clone()).or_default() += 10;
            prefixes.add(format!("{name}x").as_bytes(), key(10));
        }
        let tree = prefixes.finish(1000);
        assert!(tree.prefixes.len() <= 100 && tree.error.amount.memory_bytes > 0);
        for (name, _, sum) in &tree.prefixes {
            let exact = *truth.get(std::str::from_utf8(name).unwrap()).unwrap();
            let shown = sum.amount.memory_bytes;
            assert!(
                shown <= exact && exact <= shown + tree.error.amount.memory_bytes,
                "{name:?}"
            );
        }
        let large = |number: u64| {
            names(&tree)
                .iter()
                .any(|(name, ..)| *name == format!("{number}:"))
        };
        assert!((0..5).all(large));
    }
}
