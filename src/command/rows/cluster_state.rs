//! A cluster at one moment, as operators see it: each shard at a moment of its own, and who serves the slots.

use std::sync::{Arc, OnceLock};

use super::health::{Condition, Data, Health};
use super::session::Replication;
use super::shards::{Face, Part, SHARD_PATIENCE, ShardMap, Shards};
use crate::slots::ClusterSlots;
use crate::store::{Figures, Generation, Ownership};

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
            wanted: self.wanted.clone(),
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

    /// Whether every shard has data.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let has_data = |shard: &ShardState| shard.generation.is_some();
        !self.shards.is_empty() && self.shards.iter().all(has_data)
    }

    /// Keys that answer TAINTED; `None` if all keys of a shard do.
    #[must_use]
    pub fn tainted_keys(&self) -> Option<usize> {
        self.shards.iter().map(ShardState::tainted_keys).sum()
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
            (state.down_for.is_some(), health.condition, state.lag)
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

    /// The health of the whole: that of the shards that are worst off.
    #[must_use]
    pub fn health(&self) -> Health {
        let each: Vec<Health> = self.shards.iter().map(ShardState::health).collect();
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
            of_worst(&each, worst)
        };
        let others = each.iter().filter(|one| one.condition != health.condition);
        let others = others.filter(|one| one.condition >= Condition::PrimarySilent);
        let others = others.filter(|one| one.condition != Condition::Resyncing);
        health
            .warnings
            .extend(others.map(|one| format!("another shard is {one}")));
        health
            .warnings
            .extend(each.iter().flat_map(|one| one.warnings.clone()));
        let mut seen = std::collections::HashSet::new();
        health.warnings.retain(|one| seen.insert(one.clone()));
        let lost = self.slots_without_owner();
        if !lost.is_empty() {
            health.warnings.push(format!(
                "{} have no owner in the cluster itself, so nobody answers for their keys: see redis-cli --cluster check",
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
            .map(|node| format!("{}:{}", node.host, node.port))
            .collect();
        Health {
            condition: Condition::Unserved,
            why: format!(
                "{} are served by no shard here, so reads of their keys are refused; waiting for the proof of {} to have them",
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
        .take(RANGES_SHOWN)
        .map(|range| match (range.start(), range.end()) {
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first}-{last}"),
        });
    let shown: Vec<String> = shown.collect();
    let more = if ranges.len() > RANGES_SHOWN {
        ", …"
    } else {
        ""
    };
    format!("{} slots ({}{more})", slots.len(), shown.join(","))
}

/// How many ranges of slots a sentence names.
const RANGES_SHOWN: usize = 3;

/// The health of those that are worst off, with their number.
fn of_worst(each: &[Health], worst: Condition) -> Health {
    let shards = each.len();
    let mut those = each.iter().filter(|one| one.condition == worst);
    let first = those.next().cloned();
    let count = usize::from(first.is_some()) + those.count();
    let why = first.as_ref().map_or("", |first| &first.why);
    let why = match (worst, count) {
        (Condition::InSync, _) => format!(
            "follows {shards} {} of a cluster; everything received is visible",
            if shards == 1 { "shard" } else { "shards" }
        ),
        (_, 1) => format!("1 of {shards} shards: {why}"),
        _ => format!("{count} of {shards} shards, first of them: {why}"),
    };
    Health {
        condition: worst,
        why,
        advice: first.map(|first| first.advice).unwrap_or_default(),
        warnings: Vec::new(),
    }
}
