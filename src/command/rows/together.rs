//! The states of several replicas as one: what is counted is the sum, and the link is that of the one that is worst off.

use super::session::{KeptState, Loading, Replication, Synced, SyncsOf};

/// How many syncs are listed at most.
const SYNCS_MAX: usize = 16;

impl Replication {
    /// Adds what another replica has counted, and what may be wrong with it. The link stays that of this one.
    #[must_use]
    pub fn with(mut self, other: Self) -> Self {
        self.add_counts(&other);
        self.visibility.add(&other.visibility);
        add_names(&mut self.passed, other.passed);
        for name in other.unknown_names {
            if !self.unknown_names.contains(&name) {
                self.unknown_names.push(name);
            }
        }
        // Without the figure of one, the whole is unknown.
        self.expired_keys = self
            .expired_keys
            .zip(other.expired_keys)
            .map(|((keys, ago), (more, other_ago))| (keys + more, ago.max(other_ago)));
        self.needs_a_person |= other.needs_a_person;
        self.stale |= other.stale;
        self.silent_for = self.silent_for.max(other.silent_for);
        self.is_unacknowledged |= other.is_unacknowledged;
        self.held = self.held.or(other.held);
        self.loading = both(self.loading, other.loading, Loading::with);
        self.syncing = both(self.syncing, other.syncing, |one, two| {
            if two.1 > one.1 { two } else { one }
        });
        self.syncs = newest(self.syncs, other.syncs);
        add_syncs(&mut self.syncs_by_cause, other.syncs_by_cause);
        self.last_fault = both(self.last_fault, other.last_fault, |one, two| {
            if two.ago < one.ago { two } else { one }
        });
        self.kept = both(self.kept, other.kept, KeptState::with);
        self
    }

    fn add_counts(&mut self, other: &Self) {
        let counts = [
            (&mut self.attempts, other.attempts),
            (&mut self.input_bytes, other.input_bytes),
            (&mut self.spooled_bytes, other.spooled_bytes),
            (&mut self.spool_memory_bytes, other.spool_memory_bytes),
            (&mut self.spool_file_bytes, other.spool_file_bytes),
            (&mut self.direct_reads, other.direct_reads),
            (&mut self.reads_that_waited, other.reads_that_waited),
            (
                &mut self.reads_that_waited_in_vain,
                other.reads_that_waited_in_vain,
            ),
            (&mut self.applied_commands, other.applied_commands),
            (&mut self.failed_writes, other.failed_writes),
            (&mut self.unknown_commands, other.unknown_commands),
            (&mut self.scripts, other.scripts),
            (&mut self.published, other.published),
            (&mut self.swept_keys, other.swept_keys),
            (&mut self.swept_bytes, other.swept_bytes),
            (&mut self.full_syncs, other.full_syncs),
            (&mut self.partial_syncs, other.partial_syncs),
            (&mut self.partial_syncs_refused, other.partial_syncs_refused),
            (&mut self.loads_completed, other.loads_completed),
            (&mut self.loads_failed, other.loads_failed),
        ];
        for (own, more) in counts {
            *own += more;
        }
    }
}

impl Loading {
    /// Both loads as one. Its size is known if both sizes are.
    const fn with(self, other: Self) -> Self {
        let is_known = self.bytes_expected > 0 && other.bytes_expected > 0;
        Self {
            bytes: self.bytes + other.bytes,
            keys: self.keys + other.keys,
            bytes_expected: if is_known {
                self.bytes_expected + other.bytes_expected
            } else {
                0
            },
        }
    }
}

impl KeptState {
    /// Both states as one, which is kept if both are.
    fn with(self, other: Self) -> Self {
        Self {
            keeps: self.keeps && other.keeps,
            saves: self.saves || other.saves,
            snapshots: self.snapshots + other.snapshots,
            snapshot_bytes: self.snapshot_bytes + other.snapshot_bytes,
            log_bytes: self.log_bytes + other.log_bytes,
            failures: self.failures + other.failures,
            set_aside: self.set_aside + other.set_aside,
            last_error: self.last_error.or(other.last_error),
        }
    }
}

/// What there is of two, joined if there are both.
fn both<T>(one: Option<T>, other: Option<T>, join: impl FnOnce(T, T) -> T) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(join(one, other)),
        (one, other) => one.or(other),
    }
}

fn add_names(counts: &mut Vec<(Box<str>, u64)>, more: Vec<(Box<str>, u64)>) {
    for (name, count) in more {
        match counts.iter_mut().find(|(own, _)| *own == name) {
            Some((_, own)) => *own += count,
            None => counts.push((name, count)),
        }
    }
}

fn add_syncs(syncs: &mut Vec<SyncsOf>, more: Vec<SyncsOf>) {
    for one in more {
        match syncs.iter_mut().find(|own| own.names == one.names) {
            Some(own) => {
                own.took.add(&one.took);
                own.failed += one.failed;
            }
            None => syncs.push(one),
        }
    }
}

/// The newest of both, oldest first.
fn newest(mut syncs: Vec<Synced>, more: Vec<Synced>) -> Vec<Synced> {
    syncs.extend(more);
    syncs.sort_by_key(|sync| sync.at_ms);
    let old = syncs.len().saturating_sub(SYNCS_MAX);
    syncs.split_off(old)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn one(number: u64) -> Replication {
        Replication {
            host: format!("host{number}"),
            input_bytes: number,
            full_syncs: 10 * number,
            passed: vec![("ping".into(), number), (format!("x{number}").into(), 1)],
            expired_keys: Some((number, Duration::from_secs(number))),
            syncs: (0..10)
                .map(|index| Synced {
                    at_ms: index * 10 + number,
                    ..Synced::default()
                })
                .collect(),
            loading: Some(Loading {
                bytes: number,
                keys: 1,
                bytes_expected: 100 * number,
            }),
            kept: Some(KeptState {
                keeps: number == 1,
                snapshots: number,
                ..KeptState::default()
            }),
            ..Replication::default()
        }
    }

    #[test]
    fn counts_are_added_and_the_link_is_the_first_ones() {
        let both = one(1).with(one(2));
        assert_eq!(both.host, "host1");
        assert_eq!((both.input_bytes, both.full_syncs), (3, 30));
        let passed = [("ping", 3), ("x1", 1), ("x2", 1)];
        let passed = passed.map(|(name, count)| (name.into(), count));
        assert_eq!(both.passed, passed);
        assert_eq!(both.expired_keys, Some((3, Duration::from_secs(2))));
        let loading = both.loading.unwrap_or_default();
        assert_eq!((loading.bytes, loading.bytes_expected), (3, 300));
        let kept = both.kept.unwrap_or_default();
        assert_eq!((kept.keeps, kept.snapshots), (false, 3));
    }

    #[test]
    fn the_newest_syncs_are_kept_in_their_order() {
        let both = one(1).with(one(2));
        let times: Vec<u64> = both.syncs.iter().map(|sync| sync.at_ms).collect();
        assert_eq!(times.len(), SYNCS_MAX);
        assert!(times.is_sorted());
        assert_eq!(times.last(), Some(&92));
    }

    #[test]
    fn what_is_not_known_of_one_is_not_known_of_the_whole() {
        let without = Replication {
            expired_keys: None,
            loading: Some(Loading::default()),
            ..one(2)
        };
        let both = one(1).with(without);
        assert_eq!(both.expired_keys, None);
        assert_eq!(both.loading.map(|loading| loading.bytes_expected), Some(0));
    }
}
