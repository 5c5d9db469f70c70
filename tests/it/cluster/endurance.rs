//! Anything at any time, for as long as `REDTAIL_CLUSTER_MINUTES` says; without it, three times.

use std::time::{Duration, Instant};

use super::acts::{ACTS, Act, Servers};
use super::nodes::SWIFT;
use super::stage::{BOTH, Stage, number, servers};

#[test]
fn anything_at_any_time() {
    let minutes = number("REDTAIL_CLUSTER_MINUTES", 0);
    for name in servers() {
        endure(name, Duration::from_secs(60 * minutes) / 2);
    }
}

fn endure(name: &'static str, time: Duration) {
    let Some(mut stage) = Stage::with(name, &BOTH, SWIFT) else {
        return;
    };
    let is_known = |(_, servers, _): &&(&str, Servers, Act)| servers.include(name);
    let acts: Vec<_> = ACTS.iter().filter(is_known).collect();
    let mut rng = fastrand::Rng::with_seed(number("REDTAIL_CLUSTER_SEED", 1));
    let started = Instant::now();
    let mut done = 0;
    while done < ACTS_MIN || started.elapsed() < time {
        let (what, _, act) = acts[rng.usize(..acts.len())];
        done += 1;
        stage.during(&format!("{what} ({name}, act {done})"), act);
    }
    stage.end();
}

const ACTS_MIN: usize = 3;
