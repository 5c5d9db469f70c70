//! Connections to the nodes that break, stall and are refused, while the cluster itself is whole.

use std::thread::sleep;
use std::time::Duration;

use super::acts::Act;
use super::nodes::{CALM, Setup};
use super::stage::{BOTH, Stage, servers};
use crate::faults::cut::End;
use crate::faults::proxy::Proxy;

pub const PROXIED: Setup = Setup {
    is_proxied: true,
    ..CALM
};

/// What is done to links.
pub const ACTS: [(&str, Act); 3] = [("cuts", cut), ("a stall", stall), ("refusals", refuse)];

fn proxy(stage: &Stage, place: usize) -> &Proxy {
    let proxy = &stage.cluster.node(place).proxy;
    proxy.as_ref().expect("the cluster is proxied")
}

/// Ends all connections to each primary in turn.
fn cut(stage: &mut Stage) {
    for end in [End::Fin, End::Rst] {
        for place in stage.cluster.primaries() {
            proxy(stage, place).cut_now(end);
            sleep(Duration::from_millis(300));
        }
    }
}

/// Lets nothing pass to or from a primary.
fn stall(stage: &mut Stage) {
    let place = stage.any_primary();
    proxy(stage, place).hold(true);
    sleep(OUTAGE);
    proxy(stage, place).hold(false);
}

/// Refuses all connections to a primary.
fn refuse(stage: &mut Stage) {
    let place = stage.any_primary();
    proxy(stage, place).close(true);
    proxy(stage, place).cut_now(End::Rst);
    sleep(OUTAGE);
    proxy(stage, place).close(false);
}

/// The same, with redtail restarted meanwhile. It must wait for that primary.
fn refuse_and_restart(stage: &mut Stage) {
    let place = stage.any_primary();
    proxy(stage, place).close(true);
    proxy(stage, place).cut_now(End::Rst);
    stage.kill_followers();
    stage.start_followers();
    sleep(OUTAGE);
    proxy(stage, place).close(false);
    stage.wait_for_followers();
}

#[test]
fn links_that_end_or_stall_or_are_refused() {
    for name in servers() {
        let Some(mut stage) = Stage::with(name, &BOTH, PROXIED) else {
            return;
        };
        for (what, act) in ACTS {
            stage.during(what, act);
        }
        stage.during("refusals and a restart", refuse_and_restart);
        stage.end();
    }
}

/// Shorter than a client's patience.
const OUTAGE: Duration = Duration::from_secs(2);
