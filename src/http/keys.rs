//! `/keys.json`: one level of a database's keys by prefix, for a treemap that opens level by level.
//!
//! A level is counted from a walk over at most [`KEYS_MAX`] keys ([`Census`](crate::store::Census)), and only when somebody asks.
//! If the walk saw the whole database, the level is exact; otherwise it is an estimate from a fair sample, and says so. Bytes are
//! those of MEMORY USAGE.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::names::escape;
use crate::command::type_name;
use crate::store::{Entry, Generation, Keyspaces, unix_ms};

/// Maximum number of keys looked at for one level.
const KEYS_MAX: usize = 200_000;

/// Maximum number of buckets looked at: a database from which most keys were deleted has many empty ones.
const BUCKETS_MAX: usize = 20 * KEYS_MAX;

/// Maximum number of children of a level.
const CHILDREN_MAX: usize = 64;

/// Maximum number of groups that a walk tells apart. In a sample, the first of a large group comes early.
const GROUPS_MAX: usize = 10_000;

/// Longer names are counted, but not shown.
const NAME_BYTES_MAX: usize = 256;

/// How long a level is answered from memory.
const KEPT_FOR: Duration = Duration::from_secs(5);

/// Number of levels kept.
const LEVELS_KEPT: usize = 16;

/// How often a walk begins again because another generation is served now.
const RETRIES: usize = 3;

/// Which level is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) db: usize,
    pub(super) prefix: Vec<u8>,
    pub(super) separator: u8,
}

/// The levels that were counted last.
#[derive(Debug, Default)]
pub(super) struct Levels(Mutex<VecDeque<Kept>>);

#[derive(Debug)]
struct Kept {
    question: Question,
    data: Vec<Weak<Generation>>,
    at: Instant,
    answer: Vec<u8>,
}

impl Levels {
    /// Returns the level of the data that `current` returns, a generation for each shard of a cluster, as JSON; `None` if there is
    /// no data. Walks if no recent answer is kept; other callers wait in the meantime, and find it.
    pub(super) fn answer(
        &self,
        question: &Question,
        current: impl Fn() -> Vec<Arc<Generation>>,
    ) -> Option<Vec<u8>> {
        // A poisoned lock still holds whole answers.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut data = current();
        if data.is_empty() {
            return None;
        }
        if let Some(answer) = find(&mut kept, question, &data) {
            return Some(answer);
        }
        let mut level = Level::count(&spaces(&data), question);
        for _ in 0..RETRIES {
            let now = current();
            if now.is_empty() {
                return None;
            }
            if now.len() == data.len() && now.iter().zip(&data).all(|(a, b)| Arc::ptr_eq(a, b)) {
                break;
            }
            level = Level::count(&spaces(&now), question);
            data = now;
        }
        // Every key is a text and every number is whole, so this does not fail.
        let answer = serde_json::to_vec(&level).unwrap_or_default();
        if kept.len() == LEVELS_KEPT {
            kept.pop_front();
        }
        kept.push_back(Kept {
            question: question.clone(),
            data: data.iter().map(Arc::downgrade).collect(),
            at: Instant::now(),
            answer: answer.clone(),
        });
        Some(answer)
    }
}

fn spaces(data: &[Arc<Generation>]) -> Vec<&Keyspaces> {
    data.iter().map(|generation| &generation.spaces).collect()
}

fn find(
    kept: &mut VecDeque<Kept>,
    question: &Question,
    data: &[Arc<Generation>],
) -> Option<Vec<u8>> {
    let is_of_now = |kept: &Kept| {
        let is_same =
            |(one, now): (&Weak<Generation>, &Arc<_>)| std::ptr::eq(one.as_ptr(), Arc::as_ptr(now));
        kept.data.len() == data.len() && kept.data.iter().zip(data).all(is_same)
    };
    kept.retain(|kept| kept.at.elapsed() < KEPT_FOR && is_of_now(kept));
    let found = kept.iter().find(|kept| kept.question == *question);
    found.map(|kept| kept.answer.clone())
}

#[derive(Debug, Serialize)]
struct Level {
    db: usize,
    prefix: String,
    separator: char,
    exact: bool,
    looked_at: usize,
    keys: u64,
    bytes: u64,
    at_unix_ms: i64,
    children: Vec<Child>,
}

#[derive(Debug, Serialize)]
struct Child {
    name: Option<String>,
    keys: u64,
    bytes: u64,
    leaf: bool,
    types: BTreeMap<Cow<'static, str>, (u64, u64)>,
}

impl Level {
    /// Counts the level in one data set: that of each shard of a cluster, or one.
    fn count(data: &[&Keyspaces], question: &Question) -> Self {
        let len = |spaces: &Keyspaces| spaces.db(question.db).map_or(0, crate::store::Db::len);
        let there: usize = data.iter().map(|spaces| len(spaces)).sum();
        let mut tally = Tally::new(question);
        let mut walked = Walked {
            seen: 0,
            is_whole: true,
        };
        for spaces in data {
            let keys_max = part_of(KEYS_MAX, len(spaces), there);
            walked.walk(spaces, &mut tally, keys_max, BUCKETS_MAX / data.len());
        }
        let is_known = |spaces: &&Keyspaces| {
            let taints = spaces.taints();
            !taints.doubts_existence_in(question.db) && taints.hidden().slots().is_none()
        };
        let exact = walked.is_whole && data.iter().all(is_known);
        let scale = if walked.is_whole {
            Scale::EXACT
        } else {
            Scale {
                there: there as u64,
                seen: walked.seen as u64,
            }
        };
        let children = tally.children(scale);
        Self {
            db: question.db,
            prefix: escape(&question.prefix),
            separator: char::from(question.separator),
            exact,
            looked_at: walked.seen,
            keys: children.iter().map(|child| child.keys).sum(),
            bytes: children.iter().map(|child| child.bytes).sum(),
            at_unix_ms: unix_ms(),
            children,
        }
    }
}

/// What the walks have seen so far.
struct Walked {
    seen: usize,
    /// Whether they have met each key once.
    is_whole: bool,
}

impl Walked {
    /// Looks at so many keys and buckets, and counts the keys that are served.
    fn walk(
        &mut self,
        spaces: &Keyspaces,
        tally: &mut Tally<'_>,
        keys_max: usize,
        buckets_max: usize,
    ) {
        let unserved = spaces.unserved_slots();
        let is_served = |entry: &Entry| {
            let unserved = unserved.as_ref();
            !unserved.is_some_and(|slots| slots.hold(entry.key()))
        };
        let mut census = spaces.census(tally.question.db);
        while census.step(|entry| {
            if is_served(entry) {
                tally.add(entry);
            }
        }) {
            if census.keys() >= keys_max || census.buckets() >= buckets_max {
                break;
            }
        }
        self.seen += census.keys();
        self.is_whole &= census.is_whole();
    }
}

/// The part of `whole` that is to it as `one` is to `all`: each shard of a cluster is sampled as densely as the others.
fn part_of(whole: usize, one: usize, all: usize) -> usize {
    let part = (whole as u128 * one as u128).checked_div(all as u128);
    usize::try_from(part.unwrap_or(0)).unwrap_or(whole).max(1)
}

/// How many keys of the database each key that was seen stands for.
#[derive(Debug, Clone, Copy)]
struct Scale {
    there: u64,
    seen: u64,
}

impl Scale {
    const EXACT: Self = Self { there: 1, seen: 1 };

    fn of(self, figure: u64) -> u64 {
        let scaled = u128::from(figure) * u128::from(self.there);
        let rounded = scaled
            .saturating_add(u128::from(self.seen / 2))
            .checked_div(u128::from(self.seen));
        u64::try_from(rounded.unwrap_or(0)).unwrap_or(u64::MAX)
    }
}

/// Keys and bytes of each type.
#[derive(Debug, Clone, Default)]
struct Sum(Vec<(Cow<'static, str>, u64, u64)>);

impl Sum {
    fn add(&mut self, kind: Cow<'static, str>, keys: u64, bytes: u64) {
        match self.0.iter_mut().find(|(name, ..)| *name == kind) {
            Some((_, all_keys, all_bytes)) => {
                *all_keys += keys;
                *all_bytes += bytes;
            }
            None => self.0.push((kind, keys, bytes)),
        }
    }

    /// Leaves out what `other` has: a part of this.
    fn subtract(&mut self, other: &Self) {
        for (kind, keys, bytes) in &other.0 {
            if let Some((_, all_keys, all_bytes)) =
                self.0.iter_mut().find(|(name, ..)| name == kind)
            {
                *all_keys = all_keys.saturating_sub(*keys);
                *all_bytes = all_bytes.saturating_sub(*bytes);
            }
        }
    }

    fn scaled(mut self, scale: Scale) -> Self {
        for (_, keys, bytes) in &mut self.0 {
            (*keys, *bytes) = (scale.of(*keys), scale.of(*bytes));
        }
        self
    }

    fn keys(&self) -> u64 {
        self.0.iter().map(|(_, keys, _)| keys).sum()
    }

    fn bytes(&self) -> u64 {
        self.0.iter().map(|(.., bytes)| bytes).sum()
    }

    fn child(self, name: Option<&[u8]>, leaf: bool) -> Child {
        Child {
            name: name.map(escape),
            keys: self.keys(),
            bytes: self.bytes(),
            leaf,
            types: self
                .0
                .into_iter()
                .filter(|(_, keys, bytes)| (*keys, *bytes) != (0, 0))
                .map(|(kind, keys, bytes)| (kind, (keys, bytes)))
                .collect(),
        }
    }
}

/// A key that has no separator after the prefix.
type Leaf = (u64, Vec<u8>, Cow<'static, str>);

/// What a walk has found below a prefix.
struct Tally<'q> {
    question: &'q Question,
    all: Sum,
    groups: HashMap<Vec<u8>, Sum>,
    /// The largest leaves. Each is one key, so what drops out never has to come back.
    leaves: BinaryHeap<Reverse<Leaf>>,
}

impl<'q> Tally<'q> {
    fn new(question: &'q Question) -> Self {
        Self {
            question,
            all: Sum::default(),
            groups: HashMap::new(),
            leaves: BinaryHeap::new(),
        }
    }

    fn add(&mut self, entry: &Entry) {
        let key = entry.key();
        let prefix = &self.question.prefix;
        let Some(rest) = key.strip_prefix(&**prefix) else {
            return;
        };
        let kind = match type_name(entry.value()) {
            // The sweeper has discarded the value, and with it the type.
            Cow::Borrowed("none") => Cow::Borrowed("discarded"),
            kind => kind,
        };
        let bytes = entry.heap_bytes() as u64;
        self.all.add(kind.clone(), 1, bytes);
        match memchr::memchr(self.question.separator, rest) {
            Some(end) => {
                let name = key.get(..prefix.len() + end).unwrap_or_default();
                if let Some(sum) = self.group(name) {
                    sum.add(kind, 1, bytes);
                }
            }
            None => self.add_leaf(key, kind, bytes),
        }
    }

    /// The sum of a group, unless there are too many or its name is too long: then it is only in the sum of all.
    fn group(&mut self, name: &[u8]) -> Option<&mut Sum> {
        if !self.groups.contains_key(name) {
            if self.groups.len() >= GROUPS_MAX || name.len() > NAME_BYTES_MAX {
                return None;
            }
            self.groups.insert(name.to_vec(), Sum::default());
        }
        self.groups.get_mut(name)
    }

    fn add_leaf(&mut self, key: &[u8], kind: Cow<'static, str>, bytes: u64) {
        let is_full = self.leaves.len() >= CHILDREN_MAX;
        let least = self.leaves.peek().map_or(0, |Reverse((bytes, ..))| *bytes);
        if key.len() > NAME_BYTES_MAX || is_full && bytes <= least {
            return;
        }
        if is_full {
            self.leaves.pop();
        }
        self.leaves.push(Reverse((bytes, key.to_vec(), kind)));
    }

    /// Returns the largest children, with the rest as one more.
    ///
    /// A sampled leaf stands for itself alone: the keys that it would stand for are in the rest.
    fn children(self, scale: Scale) -> Vec<Child> {
        let groups = self.groups.into_iter();
        let groups = groups.map(|(name, sum)| (sum.clone().scaled(scale), sum, name, false));
        let leaves = self.leaves.into_iter().map(|Reverse((bytes, name, kind))| {
            let mut sum = Sum::default();
            sum.add(kind, 1, bytes);
            (sum.clone(), sum, name, true)
        });
        let mut children: Vec<(Sum, Sum, Vec<u8>, bool)> = groups.chain(leaves).collect();
        children.sort_by(|one, other| {
            let order = other.0.bytes().cmp(&one.0.bytes());
            order.then_with(|| one.2.cmp(&other.2))
        });
        let found: u64 = children.iter().map(|(_, sum, ..)| sum.keys()).sum();
        let room = if children.len() > CHILDREN_MAX || found < self.all.keys() {
            CHILDREN_MAX - 1
        } else {
            CHILDREN_MAX
        };
        children.truncate(room);
        let (shown_leaves, shown_groups): (Vec<_>, Vec<_>) =
            children.iter().partition(|(.., leaf)| *leaf);
        let mut rest = self.all;
        for (_, sum, ..) in shown_groups {
            rest.subtract(sum);
        }
        let mut rest = rest.scaled(scale);
        for (_, sum, ..) in shown_leaves {
            rest.subtract(sum);
        }
        let children = children.into_iter();
        let mut children: Vec<Child> = children
            .map(|(sum, _, name, leaf)| sum.child(Some(&name), leaf))
            .collect();
        if rest.keys() > 0 {
            children.push(rest.child(None, false));
        }
        children
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::indexing_slicing, reason = "a test may panic")]
    use super::*;
    use crate::store::NewValue;

    fn set(spaces: &Keyspaces, key: &[u8], bytes: usize) {
        let mut tx = spaces.write(0, [spaces.slot(0, key)]);
        tx.set(key, None, NewValue::text(&vec![b'v'; bytes]));
    }

    fn level(spaces: &Keyspaces, prefix: &[u8]) -> Level {
        let question = Question {
            db: 0,
            prefix: prefix.to_vec(),
            separator: b':',
        };
        Level::count(&[spaces], &question)
    }

    fn names(level: &Level) -> Vec<(Option<&str>, u64, bool)> {
        let children = level.children.iter();
        children
            .map(|child| (child.name.as_deref(), child.keys, child.leaf))
            .collect()
    }

    #[test]
    fn a_level_has_the_names_up_to_the_next_separator() {
        let spaces = Keyspaces::new(1);
        for (key, bytes) in [
            (&b"user:1:name"[..], 900),
            (b"user:1:mail", 900),
            (b"user:2:name", 500),
            (b"user:2", 100),
            (b"users", 50),
            (b"::odd", 10),
            (b"\xff\xfe", 9),
        ] {
            set(&spaces, key, bytes);
        }
        let top = level(&spaces, b"");
        assert!(top.exact);
        assert_eq!((top.keys, top.looked_at), (7, 7));
        assert_eq!(
            names(&top),
            [
                (Some("user"), 4, false),
                (Some("users"), 1, true),
                (Some(""), 1, false),
                (Some("\\xff\\xfe"), 1, true)
            ]
        );
        let below = level(&spaces, b"user:");
        assert_eq!(
            names(&below),
            [
                (Some("user:1"), 2, false),
                (Some("user:2"), 1, false),
                (Some("user:2"), 1, true)
            ]
        );
        assert_eq!(
            below.bytes,
            below.children.iter().map(|child| child.bytes).sum::<u64>()
        );
        assert_eq!(below.children[0].types["string"].0, 2);
        assert_eq!(names(&level(&spaces, b"none:")), []);
    }

    #[test]
    fn what_has_no_room_is_in_the_rest() {
        let spaces = Keyspaces::new(1);
        for number in 0..200_u32 {
            set(&spaces, format!("leaf{number}").as_bytes(), 10);
            set(&spaces, format!("group{number}:a").as_bytes(), 100);
        }
        set(&spaces, &[b'x'; NAME_BYTES_MAX + 1], 5000);
        let level = level(&spaces, b"");
        assert_eq!(level.children.len(), CHILDREN_MAX);
        assert_eq!(level.keys, 401);
        let sums: (u64, u64) = level.children.iter().fold((0, 0), |sums, child| {
            (sums.0 + child.keys, sums.1 + child.bytes)
        });
        assert_eq!(sums, (level.keys, level.bytes));
        let rest = level.children.last().map(|child| (&child.name, child.leaf));
        assert_eq!(rest, Some((&None, false)));
    }

    #[test]
    fn a_sample_is_scaled_and_says_so() {
        let spaces = Keyspaces::new(1);
        let keys = 2 * KEYS_MAX;
        for number in 0..keys {
            let kind = if number % 4 == 0 { "cart" } else { "user" };
            set(&spaces, format!("{kind}:{number}").as_bytes(), 8);
        }
        let top = level(&spaces, b"");
        assert!(!top.exact);
        assert!(
            (KEYS_MAX..KEYS_MAX + 512).contains(&top.looked_at),
            "{}",
            top.looked_at
        );
        assert!(top.keys.abs_diff(keys as u64) <= 2, "{}", top.keys);
        for (child, part) in [(&top.children[0], 0.75), (&top.children[1], 0.25)] {
            let share = child.keys as f64 / keys as f64;
            assert!((share - part).abs() < 0.01, "{child:?}");
        }
        let below = level(&spaces, b"cart:");
        assert_eq!(below.children.len(), CHILDREN_MAX);
        assert_eq!(below.children[0].keys, 1, "a leaf is one key");
        let of_all = below.keys as f64 / keys as f64;
        assert!((of_all - 0.25).abs() < 0.01, "{}", below.keys);
    }

    #[test]
    fn shards_are_one_level_and_are_sampled_alike() {
        let (small, large) = (Keyspaces::new(1), Keyspaces::new(1));
        for number in 0..KEYS_MAX / 2 {
            set(&small, format!("a:{number}").as_bytes(), 8);
        }
        for number in 0..2 * KEYS_MAX {
            set(&large, format!("b:{number}").as_bytes(), 8);
        }
        let question = Question {
            db: 0,
            prefix: Vec::new(),
            separator: b':',
        };
        let level = Level::count(&[&small, &large], &question);
        assert!(!level.exact);
        assert_eq!(names(&level).len(), 2);
        let all = (KEYS_MAX / 2 + 2 * KEYS_MAX) as u64;
        assert!(level.keys.abs_diff(all) <= 2, "{}", level.keys);
        let share = level.children[1].keys as f64 / all as f64;
        assert!((share - 0.2).abs() < 0.01, "{:?}", level.children);
        let both = Level::count(&[&small, &small], &question);
        assert!(both.exact);
        assert_eq!(both.keys, KEYS_MAX as u64);
    }

    #[test]
    fn a_level_is_kept_for_the_generation_that_it_was_counted_in() {
        use crate::dialect::Dialect;
        let generation = || Arc::new(Generation::new(1, Dialect::default(), Arc::default()));
        let (first, second) = (generation(), generation());
        set(&first.spaces, b"a", 1);
        let question = Question {
            db: 0,
            prefix: Vec::new(),
            separator: b':',
        };
        let levels = Levels::default();
        let of = |generation: &Arc<Generation>| {
            let current = vec![Arc::clone(generation)];
            let answer = levels
                .answer(&question, || current.clone())
                .unwrap_or_default();
            String::from_utf8_lossy(&answer).into_owned()
        };
        let counted = of(&first);
        assert!(counted.contains("\"name\":\"a\""), "{counted}");
        set(&first.spaces, b"b", 1);
        assert_eq!(of(&first), counted, "it is kept");
        assert!(of(&second).contains("\"children\":[]"));
        assert!(levels.answer(&question, Vec::new).is_none());
    }
}
