//! What changes no data in the stream and is passed over: counted by name, and logged.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Commands that providers' servers send to their replicas and that touch no data.
/// [`Config::stream_ignore`](super::Config::stream_ignore) can name more.
///
/// * `opinfo`: Alibaba Cloud, beside each write. Source: RedisShake, `filters/aliyun.lua`, and its bug report #533.
///
/// AWS sends `REPLCONF TIMESTAMP …`, which needs no entry: every REPLCONF is known. Source: RedisShake's bug report #506.
pub const PROVIDER_COMMANDS: &[&str] = &["opinfo"];

/// How often each thing was passed over. The names come from the command table, from the settings and from this module,
/// so their number is limited, whatever a primary sends.
#[derive(Debug, Default)]
pub struct Passed(Mutex<BTreeMap<Box<str>, u64>>);

impl Passed {
    /// Counts one. Returns the new count.
    pub(super) fn note(&self, name: &str) -> u64 {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(name) {
            *count += 1;
            return *count;
        }
        counts.insert(name.into(), 1);
        1
    }

    /// The counts of everything that was passed over, by name.
    #[must_use]
    pub fn counts(&self) -> Vec<(Box<str>, u64)> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pairs = counts.iter();
        pairs.map(|(name, count)| (name.clone(), *count)).collect()
    }
}

/// Whether the `count`th of a kind deserves a log line: the first, the tenth, the hundredth.
pub(super) const fn is_logged(mut count: u64) -> bool {
    while count > 0 && count.is_multiple_of(10) {
        count /= 10;
    }
    count == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_each_name_and_logs_ever_more_seldom() {
        let passed = Passed::default();
        let logged = (0..1000).filter(|_| is_logged(passed.note("opinfo")));
        assert_eq!(logged.count(), 4);
        passed.note("ping");
        let counts = passed.counts();
        assert_eq!(counts, [("opinfo".into(), 1000), ("ping".into(), 1)]);
        assert!(!is_logged(0) && !is_logged(20) && is_logged(10_000));
    }
}
