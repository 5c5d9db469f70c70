//! A cluster at one moment, as operators see it: each shard at a moment of its own, and who serves the slots.

use std::sync::{Arc, OnceLock};

use super::health::{Condition, Data, Health};
use super::session::Replication;
#[cfg(test)]
use super::shards::ClusterNode;
use super::shards::{Face, Part, SHARD_PATIENCE, ShardMap, Shards};
use crate::slots::ClusterSlots;
use crate::store::{Figures, Generation, Libraries, Ownership};

/// A cluster at one moment.
#[derive(Debug, Clone)]
pub struct ClusterState {
    /// How clients see it.
    pub face: Face,
    /// The slots that are followed.
    pub wanted: ClusterSlots,
    /// Whether each of them has a shard that is certain to have all its keys.
    pub is_settled: bool,
    /// How often slots have changed hands.
    pub changes: u64,
    /// Its shards.
    pub shards: Vec<ShardState>,
    /// Who has what.
    pub map: Arc<ShardMap>,
    /// Why no node of it can be asked.
    fault: Option<String>,
}

/// A shard at one moment: its data, and what is said of it, belong together.
#[derive(Debug, Clone)]
pub struct ShardState {
    /// Its name: the id of the node that was its primary when it was first seen.
    pub name: Arc<str>,
    /// The id of its primary.
    pub primary: Arc<str>,
    /// How its replica stands.
    pub replication: Replication,
    /// Its data, `None` before its first sync.
    pub generation: Option<Arc<Generation>>,
    /// The number of slots that it serves.
    pub slots: u32,
    /// The number of those that are certain to have all their keys here.
    pub settled: u32,
    databases: OnceLock<Vec<Figures>>,
}

impl Shards {
    /// Returns the state of all shards.
    #[must_use]
    pub fn state(&self) -> ClusterState {
        let map = self.map();
        let shards = map.parts.iter();
        let shards = shards.map(|part| part.served.steadily(|| ShardState::of(part)));
        ClusterState {
            face: self.face,
            wanted: ClusterSlots::clone(&self.wanted()),
            is_settled: self.is_settled(),
            changes: self.changes(),
            shards: shards.collect(),
            map,
            fault: self.fault(),
        }
    }
}

impl ShardState {
    fn of(part: &Part) -> Self {
        let (slots, settled) = slots(&part.ownership);
        Self {
            name: Arc::clone(&part.name),
            primary: Arc::clone(&part.primary),
            generation: part.served.current(),
            replication: (part.replication)(),
            slots,
            settled,
            databases: OnceLock::new(),
        }
    }

    /// What of its data readers see: the databases that hold keys of the slots that it serves. May wait for locks of the store, the
    /// first time.
    pub fn databases(&self) -> &[Figures] {
        self.databases.get_or_init(|| {
            let generation = self.generation.as_ref();
            generation.map_or_else(Vec::new, |held| held.spaces.shown_figures())
        })
    }

    /// The number of keys that readers see, expired ones included.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.databases().iter().map(|db| db.keys).sum()
    }

    /// The bytes of these keys, with what holds them.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.databases().iter().map(|db| db.memory_bytes).sum()
    }

    /// Keys that answer TAINTED; `None` if all do.
    #[must_use]
    pub fn tainted_keys(&self) -> Option<usize> {
        let Some(generation) = &self.generation else {
            return Some(0);
        };
        let taints = generation.spaces.taints();
        (!taints.everything()).then(|| taints.count())
    }

    /// The health of the shard.
    #[must_use]
    pub fn health(&self) -> Health {
        self.replication.health(Data {
            is_there: self.generation.is_some(),
            tainted_keys: self.tainted_keys(),
            is_part: true,
        })
    }

    /// Bytes that are received and not visible yet; `None` while there is no data, which could be behind.
    #[must_use]
    pub fn lag_bytes(&self) -> Option<u64> {
        let generation = self.generation.as_ref();
        generation.map(|_| self.replication.lag_bytes())
    }
}

/// The numbers of slots that are served, and of those among them that are certain.
fn slots(ownership: &Ownership) -> (u32, u32) {
    let now = ownership.now();
    let mut settled = now.settled.clone();
    settled.keep_all(&now.served);
    (now.served.len(), settled.len())
}

impl ClusterState {
    /// The data of all shards that have any.
    pub fn generations(&self) -> impl Iterator<Item = &Generation> {
        let all = self.shards.iter();
        all.filter_map(|shard| shard.generation.as_deref())
    }

    /// The names of the function libraries that are not the same in all shards. A function runs as its keys' shard has it.
    #[must_use]
    pub fn differing_functions(&self) -> Vec<String> {
        let sets: Vec<_> = self
            .generations()
            .map(|held| held.spaces.libraries())
            .collect();
        let names = Libraries::differing(&sets).into_iter();
        names
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .collect()
    }

    /// Whether every shard has data.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let has_data = |shard: &ShardState| shard.generation.is_some();
        !self.shards.is_empty() && self.shards.iter().all(has_data)
    }

    /// Keys that answer TAINTED; `None` if all do.
    #[must_use]
    pub fn tainted_keys(&self) -> Option<usize> {
        let each: Vec<Option<usize>> = self.shards.iter().map(ShardState::tainted_keys).collect();
        let all_do = !each.is_empty() && each.iter().all(Option::is_none);
        let both = each.iter().zip(&self.shards);
        let keys = both.map(|(tainted, shard)| tainted.unwrap_or_else(|| shard.keys()));
        (!all_do).then(|| keys.sum())
    }

    /// The databases of all shards together.
    #[must_use]
    pub fn databases(&self) -> Vec<Figures> {
        Figures::by_database(self.shards.iter().flat_map(ShardState::databases).copied())
    }

    /// How it stands: the counts of all shards, and the link of the one that is worst off.
    #[must_use]
    pub fn replication(&self) -> Replication {
        let mut states: Vec<&ShardState> = self.shards.iter().collect();
        let badness = |shard: &ShardState| {
            let (state, health) = (&shard.replication, shard.health());
            let matters = self.matters(shard);
            (
                matters,
                state.down_for.is_some(),
                health.condition,
                state.lag,
            )
        };
        states.sort_by_cached_key(|shard| std::cmp::Reverse(badness(shard)));
        let states = states.into_iter().map(|shard| shard.replication.clone());
        states
            .reduce(Replication::with)
            .unwrap_or_else(|| Replication {
                state: "connect",
                down_for: Some(std::time::Duration::ZERO),
                last_error: self.fault.clone(),
                upstream_mode: "cluster",
                ..Replication::default()
            })
    }

    /// The number of slots that are followed and served.
    #[must_use]
    pub fn slots_served(&self) -> u32 {
        self.wanted.len().saturating_sub(self.map.open.len())
    }

    /// The slots that are followed and that no shard serves, and that the cluster itself has: redtail has yet to find them.
    fn to_be_found(&self) -> ClusterSlots {
        let mut owned = self.owned();
        owned.keep_all(&self.map.open);
        owned
    }

    /// The slots that a node of the cluster has.
    fn owned(&self) -> ClusterSlots {
        let mut owned = ClusterSlots::default();
        let nodes = self.map.nodes.iter();
        nodes.for_each(|node| owned.add_all(&node.slots));
        owned
    }

    /// The slots that are followed and that no node of the cluster has.
    #[must_use]
    pub fn slots_without_owner(&self) -> ClusterSlots {
        let mut lost = self.wanted.clone();
        if self.map.nodes.is_empty() {
            return ClusterSlots::default();
        }
        lost.remove_all(&self.owned());
        lost
    }

    /// Whether a shard has, or should have, slots. One that has lost them all is followed on for a while, and nobody needs it.
    fn matters(&self, shard: &ShardState) -> bool {
        let mut nodes = self.map.nodes.iter();
        shard.slots > 0
            || nodes.any(|node| *node.id == *shard.primary && node.slots.shares(&self.wanted))
    }

    /// The health of the whole: that of the shards that are worst off.
    #[must_use]
    pub fn health(&self) -> Health {
        let shards = self.shards.iter().filter(|shard| self.matters(shard));
        let each: Vec<Health> = shards.map(ShardState::health).collect();
        let Some(worst) = each.iter().map(|one| one.condition).max() else {
            return self.unknown();
        };
        let open = self.to_be_found();
        let lasts = self
            .map
            .open_since
            .is_some_and(|since| since.elapsed() > SHARD_PATIENCE);
        let mut health = if lasts && !open.is_empty() && worst < Condition::Unserved {
            self.unserved(&open)
        } else {
            of_those(&each, worst)
        };
        let others = Condition::ALL.into_iter().filter(|other| {
            *other != health.condition
                && NOTED.contains(other)
                && each.iter().any(|one| one.condition == *other)
        });
        let others = others.map(|other| of_those(&each, other).to_string());
        health.warnings.extend(others);
        health.warnings.extend(warnings_of(&each));
        let differing = self.differing_functions();
        if !differing.is_empty() {
            let names = differing.join(", ");
            health.warnings.push(format!(
                "these function libraries are not the same on all shards of the cluster: {names}. Load them on every primary"
            ));
        }
        let lost = self.slots_without_owner();
        if !lost.is_empty() {
            health.warnings.push(format!(
                "no node of the cluster has {}, so nobody answers for the keys there: see redis-cli --cluster check",
                slots_of(&lost)
            ));
        }
        health
    }

    /// The health before the first shard is known.
    fn unknown(&self) -> Health {
        let (why, advice) = match &self.fault {
            Some(fault) => (
                format!(
                    "there is no data yet, so reads are refused; no node of the cluster answers: {fault}"
                ),
                "Check that the nodes run and can be reached from here. redtail keeps trying",
            ),
            None => (
                "there is no data yet, so reads are refused; asking the nodes of the cluster"
                    .to_owned(),
                "",
            ),
        };
        Health {
            condition: Condition::Connecting,
            why,
            advice: advice.to_owned(),
            warnings: Vec::new(),
        }
    }

    /// The health while slots are served by nobody here although the cluster has them.
    fn unserved(&self, open: &ClusterSlots) -> Health {
        let owners = self.map.nodes.iter();
        let owners = owners.filter(|node| node.slots.shares(open));
        let owners: Vec<String> = owners
            .take(SHOWN_MAX)
            .map(|node| format!("{}:{}", node.host, node.port))
            .collect();
        Health {
            condition: Condition::Unserved,
            why: format!(
                "no shard here serves {}, so reads of the keys there are refused; waiting for proof from {}",
                slots_of(open),
                owners.join(", ")
            ),
            advice: "If this lasts, check that redtail can ask these primaries INFO and CLUSTER NODES, and that they see \
                     cluster_state:ok"
                .to_owned(),
            warnings: Vec::new(),
        }
    }
}

/// The slots in words: their number, and the first of them.
fn slots_of(slots: &ClusterSlots) -> String {
    let ranges = slots.ranges();
    let shown = ranges
        .iter()
        .take(SHOWN_MAX)
        .map(|range| match (range.start(), range.end()) {
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first}-{last}"),
        });
    let shown: Vec<String> = shown.collect();
    let more = if ranges.len() > SHOWN_MAX {
        ", …"
    } else {
        ""
    };
    match (slots.len(), shown.join(",")) {
        (1, slot) => format!("slot {slot}"),
        (count, shown) => format!("{count} slots ({shown}{more})"),
    }
}

/// How many ranges of slots, or nodes, a sentence names.
const SHOWN_MAX: usize = 3;

/// The warnings of all shards, each with the number of shards that have it.
fn warnings_of(each: &[Health]) -> Vec<String> {
    let mut all: Vec<(&String, usize)> = Vec::new();
    for warning in each.iter().flat_map(|one| &one.warnings) {
        match all.iter_mut().find(|(known, _)| *known == warning) {
            Some((_, count)) => *count += 1,
            None => all.push((warning, 1)),
        }
    }
    let shards = each.len();
    all.into_iter()
        .map(|(warning, count)| format!("{count} of {shards} shards: {warning}"))
        .collect()
}

/// The conditions of shards that somebody should know of although others are worse off.
const NOTED: [Condition; 4] = [
    Condition::PrimarySilent,
    Condition::Disconnected,
    Condition::HeldBack,
    Condition::Stale,
];

/// The health of the shards that are in this condition, with their number.
fn of_those(each: &[Health], condition: Condition) -> Health {
    let shards = each.len();
    let mut those = each.iter().filter(|one| one.condition == condition);
    let first = those.next();
    let count = usize::from(first.is_some()) + those.count();
    let why = first.map_or("", |first| &first.why);
    let why = match (condition, count) {
        (Condition::InSync, _) => format!(
            "follows {shards} {} of a cluster; everything received is visible",
            if shards == 1 { "shard" } else { "shards" }
        ),
        (_, 1) => format!("1 of {shards} shards: {why}"),
        _ => format!("{count} of {shards} shards, first of them: {why}"),
    };
    Health {
        condition,
        why,
        advice: first.map_or(String::new(), |first| first.advice.clone()),
        warnings: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::indexing_slicing, reason = "a test may panic")]
    use std::time::Instant;

    use super::*;
    use crate::dialect::Dialect;
    use crate::store::Served;

    fn one(condition: Condition, why: &str) -> Health {
        Health {
            condition,
            why: why.to_owned(),
            advice: "Do".to_owned(),
            warnings: Vec::new(),
        }
    }

    #[test]
    fn the_words_say_how_many_shards_are_concerned() {
        let each = [
            one(Condition::InSync, "a"),
            one(Condition::Disconnected, "b"),
            one(Condition::Disconnected, "c"),
            one(Condition::Stale, "d"),
        ];
        let said = |condition| of_those(&each, condition).to_string();
        assert_eq!(said(Condition::Stale), "stale: 1 of 4 shards: d. Do");
        let two = "disconnected: 2 of 4 shards, first of them: b. Do";
        assert_eq!(said(Condition::Disconnected), two);
        let well = of_those(&each[..1], Condition::InSync);
        assert_eq!(
            well.why,
            "follows 1 shard of a cluster; everything received is visible"
        );
    }

    fn slots(text: &str) -> ClusterSlots {
        ClusterSlots::from_text(text.as_bytes()).unwrap_or_default()
    }

    fn node(owned: &str) -> ClusterNode {
        ClusterNode {
            id: "a".to_owned(),
            host: "h".to_owned(),
            port: 7,
            is_primary: true,
            primary: None,
            is_down: false,
            epoch: 1,
            offset: None,
            slots: slots(owned),
        }
    }

    /// A cluster that has these slots, of which none is served here.
    fn state(owned: &str) -> ClusterState {
        let shards = Shards::new(Face::One);
        shards.want(slots("0-9"));
        shards.publish(ShardMap::new(Vec::new(), vec![node(owned)]), false);
        shards.state()
    }

    /// A shard whose link is up.
    fn shard() -> ShardState {
        let generation = Generation::new(1, Dialect::default(), Arc::default());
        ShardState {
            name: "a".into(),
            primary: "a".into(),
            replication: Replication::default(),
            generation: Some(Arc::new(generation)),
            slots: 1,
            settled: 1,
            databases: OnceLock::new(),
        }
    }

    #[test]
    fn slots_that_stay_open_make_it_unserved_and_those_that_change_hands_do_not() {
        let mut state = state("0-3");
        state.shards = vec![shard()];
        assert_eq!(state.health().condition, Condition::InSync);
        let mut map = ShardMap::new(Vec::new(), vec![node("0-3")]);
        map.open = slots("2-2");
        map.open_since = Instant::now().checked_sub(2 * SHARD_PATIENCE);
        state.map = Arc::new(map);
        let health = state.health();
        assert_eq!(health.condition, Condition::Unserved);
        assert!(!health.condition.answers_reads());
        assert!(
            health.why.starts_with("no shard here serves slot 2, "),
            "{health}"
        );
        assert!(
            health.warnings[0].starts_with("no node of the cluster has 6 slots (4-9), "),
            "{health:?}"
        );
        // A shard without data is the reason that matters.
        state.shards.push(ShardState {
            generation: None,
            ..shard()
        });
        let health = state.health();
        assert_eq!(health.condition, Condition::Connecting);
        assert!(health.why.starts_with("1 of 2 shards: "), "{health}");
    }

    #[test]
    fn a_shard_that_has_lost_all_its_slots_is_nobodys_trouble() {
        let mut state = state("0-3");
        let leaving = ShardState {
            name: "b".into(),
            primary: "b".into(),
            slots: 0,
            replication: Replication {
                down_for: Some(SHARD_PATIENCE),
                host: "gone".to_owned(),
                ..Replication::default()
            },
            ..shard()
        };
        state.shards = vec![leaving, shard()];
        assert_eq!(state.health().condition, Condition::InSync);
        assert_eq!(state.replication().host, "");
    }

    #[test]
    fn all_keys_are_in_doubt_only_if_those_of_every_shard_are() {
        let mut state = state("0-3");
        state.shards = vec![shard(), shard()];
        assert_eq!(state.tainted_keys(), Some(0));
        let (_, token) = Served::new(Arc::default());
        let taint = |shard: &ShardState| {
            if let Some(held) = &shard.generation {
                token.taint_everything(&held.spaces);
            }
        };
        taint(&state.shards[0]);
        assert_eq!(state.tainted_keys(), Some(0), "it holds no keys");
        taint(&state.shards[1]);
        assert_eq!(state.tainted_keys(), None);
        let warnings = state.health().warnings;
        assert!(
            warnings[0].starts_with("2 of 2 shards: all keys answer TAINTED"),
            "{warnings:?}"
        );
    }

    #[test]
    fn slots_that_the_cluster_has_are_told_apart_from_those_that_it_lacks() {
        let state = state("0-3 6-6");
        assert_eq!(state.slots_served(), 0);
        assert_eq!(slots_of(&state.to_be_found()), "5 slots (0-3,6)");
        assert_eq!(slots_of(&state.slots_without_owner()), "5 slots (4-5,7-9)");
        let words = state.unserved(&state.to_be_found()).why;
        assert!(words.ends_with("waiting for proof from h:7"), "{words}");
    }

    #[test]
    fn before_a_node_has_answered_nothing_is_known_of_slots_and_the_reason_is_said() {
        let shards = Shards::new(Face::One);
        shards.want(ClusterSlots::all());
        assert!(shards.state().slots_without_owner().is_empty());
        assert!(shards.set_fault(Some("refused".to_owned())));
        let state = shards.state();
        let health = state.health();
        assert_eq!(health.condition, Condition::Connecting);
        assert!(
            health
                .why
                .ends_with("no node of the cluster answers: refused"),
            "{health}"
        );
        let link = state.replication();
        assert_eq!((link.state, link.down_for.is_some()), ("connect", true));
    }
}
