//! Fast readers throughout five full resyncs, two failovers and twenty cuts.

use super::cut::End;
use super::stage::{Stage, fail_over, pair};

/// The minimum rate of replies per second.
const RATE: f64 = 10_000.0;

#[test]
fn ten_thousand_reads_a_second_notice_neither_resyncs_nor_failovers_nor_cuts() {
    for name in ["redis-7.0", "valkey-9.1"] {
        endure(name);
    }
}

fn endure(name: &str) {
    let Some(mut servers) = pair(name) else {
        return;
    };
    let stage = Stage::start(&servers[0], servers[0].port);
    for round in 0..20 {
        let end = if round % 2 == 0 { End::Fin } else { End::Rst };
        // The other server would not know the new replication id, so it takes over before that.
        if round > 7 && round % 2 == 0 && round < 18 {
            servers[0].command("DEBUG CHANGE-REPL-ID");
        }
        stage.cut(round * 211, end);
        stage.prove(&format!("cut {round}"), &servers[0]);
        if matches!(round, 2 | 5) {
            let frozen = stage.load.freeze();
            fail_over(&servers[0], &servers[1]);
            servers.swap(0, 1);
            stage.load.aim(servers[0].port);
            stage.proxy.aim(servers[0].port);
            stage.proxy.cut_now(end);
            drop(frozen);
            stage.prove(&format!("failover in round {round}"), &servers[0]);
        }
    }
    let (full, partial) = stage.syncs();
    // One full sync for each new replication id, plus the first. A cut in the middle of one makes it start again. A cut in the
    // middle of a handshake ends no sync, so there may be fewer syncs than cuts.
    assert!(
        full >= 6 && full + partial >= 20,
        "{full} full syncs, {partial} partial ones"
    );
    let seen = stage.end();
    eprintln!("{name}: {full} full syncs, {partial} partial ones; {seen}");
    assert!(seen.rate() >= RATE, "{seen}");
}
