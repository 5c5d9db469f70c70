//! Random cuts under write load: in a command, in a transaction, in the handshake, after `+CONTINUE` and `+FULLRESYNC`, in a
//! payload and in its end mark.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cut::{End, Place};
use super::load::Load;
use super::node::{Node, config, wait};
use super::number;
use super::proof::Proof;
use super::proxy::{FREE, Pace, Plan, Proxy};
use super::reader::Readers;
use crate::client::Client;
use crate::servers::Server;

/// The kinds of cuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Command,
    Transaction,
    Acknowledgement,
    Handshake,
    Continue,
    FullResync,
    Payload,
    EndMark,
    Stalled,
}

/// Each kind appears in proportion to its frequency. Full syncs take longest.
const KINDS: [Kind; 14] = [
    Kind::Command,
    Kind::Command,
    Kind::Command,
    Kind::Transaction,
    Kind::Transaction,
    Kind::Transaction,
    Kind::Acknowledgement,
    Kind::Handshake,
    Kind::Continue,
    Kind::Continue,
    Kind::FullResync,
    Kind::Payload,
    Kind::EndMark,
    Kind::Stalled,
];

/// A primary under load, with redtail and its readers behind a proxy.
struct Scene {
    rng: fastrand::Rng,
    proxy: Proxy,
    admin: Client,
}

impl Scene {
    fn pace(&mut self) -> Pace {
        let pieces = [(1, 0), (7, 0), (500, 200), (FREE.piece, 0), (FREE.piece, 0)];
        let (piece, pause) = pieces[self.rng.usize(..pieces.len())];
        Pace {
            piece,
            pause: Duration::from_micros(pause),
        }
    }

    fn end(&mut self) -> End {
        if self.rng.bool() { End::Fin } else { End::Rst }
    }

    /// Makes one cut of that kind and waits until it is done.
    fn cut(&mut self, kind: Kind) {
        let cuts = self.proxy.cuts();
        let (end, pace) = (self.end(), self.pace());
        let some = self.rng.u64(0..3000);
        let few = self.rng.u64(0..120);
        match kind {
            Kind::Command => self.here(Place::Down(some), end, pace),
            Kind::Transaction => self.here(Place::Behind(b"MULTI\r\n", some), end, pace),
            Kind::Acknowledgement => self.here(Place::Up(few), end, pace),
            Kind::Handshake if self.rng.bool() => self.there(Place::Down(few.min(20)), end, pace),
            Kind::Handshake => self.there(Place::Up(few), end, pace),
            Kind::Continue => self.there(Place::Behind(b"+CONTINUE", few), end, pace),
            Kind::FullResync => self.in_full_sync(Place::Behind(b"+FULLRESYNC", few), end, pace),
            Kind::Payload => {
                let far = self.rng.u64(0..40_000);
                self.in_full_sync(Place::Behind(b"+FULLRESYNC", 60 + far), end, pace);
            }
            Kind::EndMark => self.in_full_sync(Place::EndMark(few.min(40)), end, pace),
            Kind::Stalled => {
                self.proxy.hold(true);
                std::thread::sleep(Duration::from_millis(self.rng.u64(20..150)));
                self.proxy.cut_now(end);
                self.proxy.hold(false);
            }
        }
        self.proxy.wait_for_cuts(cuts + 1);
    }

    /// Cuts the current connection.
    fn here(&mut self, place: Place, end: End, pace: Pace) {
        self.proxy.plan(Plan::cut(place, end, pace));
    }

    /// Cuts the current connection at once, and the next one at `place`.
    fn there(&mut self, place: Place, end: End, pace: Pace) {
        let cuts = self.proxy.cuts();
        self.proxy.plan_next(Plan::cut(place, end, pace));
        self.proxy.cut_now(end);
        self.proxy.wait_for_cuts(cuts + 2);
    }

    /// Does the same, and makes a partial resync impossible. A disk-based payload has no end mark.
    fn in_full_sync(&mut self, place: Place, end: End, pace: Pace) {
        let is_diskless = matches!(place, Place::EndMark(_)) || self.rng.bool();
        let diskless = if is_diskless { "yes" } else { "no" };
        self.admin
            .command(&format!("CONFIG SET repl-diskless-sync {diskless}"));
        let changed = self.admin.command("DEBUG CHANGE-REPL-ID");
        assert_eq!(changed.text(), "OK");
        self.there(place, end, pace);
    }
}

/// A primary with the settings that random writes need.
fn primary(name: &str) -> Option<Server> {
    let common = ["--repl-backlog-size", "8mb", "--hz", "100"];
    // Otherwise Redis 6.0 replicates scripts verbatim, which taints.
    let scripts = ["--lua-replicate-commands", "yes"];
    let is_old = name == "redis-6.0";
    Server::start(
        name,
        &[&common[..], if is_old { &scripts } else { &[] }].concat(),
    )
}

/// Cuts the connection to a server `name` at random, and compares after each cut.
fn cut_at_random(name: &str, default: u64) {
    let Some(primary) = primary(name) else {
        return;
    };
    let (cuts, seed) = (
        number("REDTAIL_CUTS", default),
        number("REDTAIL_FAULT_SEED", 1),
    );
    let witness = Server::replica(name, &primary).expect("the server was there a moment ago");
    let load = Load::start(primary.port, seed);
    let proxy = Proxy::start(primary.port);
    let node = Node::start(proxy.port);
    let readers = Readers::start(node.port);
    let mut scene = Scene {
        rng: fastrand::Rng::with_seed(seed),
        proxy,
        admin: primary.client(),
    };
    let mut proof = Proof::new(primary.client(), node.client());
    proof.witness = Some(witness.client());
    let started = Instant::now();
    let mut made = BTreeMap::new();
    for cut in 0..cuts {
        let kind = KINDS[scene.rng.usize(..KINDS.len())];
        scene.cut(kind);
        *made.entry(kind).or_insert(0_u32) += 1;
        proof.settle(
            &format!("{name}, seed {seed}, cut {cut}, {kind:?}"),
            &load,
            &readers,
        );
    }
    let (elapsed, written, seen) = (started.elapsed(), load.written(), readers.end());
    eprintln!("{name}, seed {seed}: {made:?} in {elapsed:.1?}; {written} commands written; {seen}");
    eprintln!(
        "changes that the primary did not replicate: {:?}",
        proof.kept
    );
}

#[test]
fn random_cuts_below_redis_6_0_lose_and_double_nothing() {
    cut_at_random("redis-6.0", 15);
}

#[test]
fn random_cuts_below_redis_7_0_lose_and_double_nothing() {
    cut_at_random("redis-7.0", 40);
}

#[test]
fn random_cuts_below_redis_8_0_lose_and_double_nothing() {
    cut_at_random("redis-8.0", 30);
}

#[test]
fn random_cuts_below_valkey_8_1_lose_and_double_nothing() {
    cut_at_random("valkey-8.1", 30);
}

#[test]
fn random_cuts_below_valkey_9_1_lose_and_double_nothing() {
    cut_at_random("valkey-9.1", 40);
}

#[test]
fn a_library_handle_reads_on_through_cuts() {
    let Some(primary) = primary("redis-7.0") else {
        return;
    };
    let load = Load::start(primary.port, number("REDTAIL_FAULT_SEED", 1));
    let proxy = Proxy::start(primary.port);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let replica = runtime.block_on(async {
        let replica = redtail::Replica::start(config(proxy.port)).unwrap();
        replica.ready().await.unwrap();
        Arc::new(replica)
    });
    let readers = Readers::of_library(&replica);
    let mut admin = primary.client();
    for cut in 0..20 {
        if cut % 5 == 4 {
            admin.command("DEBUG CHANGE-REPL-ID");
        }
        let cuts = proxy.cuts();
        proxy.plan(Plan::cut(Place::Down(cut * 97), End::Rst, FREE));
        proxy.wait_for_cuts(cuts + 1);
        let frozen = load.freeze();
        let offset = admin.offset("master_repl_offset").unwrap().unsigned_abs();
        wait("the offset", || replica.status().applied_offset >= offset);
        readers.check();
        drop(frozen);
    }
    assert!(replica.status().loads >= 5);
    eprintln!("by the library: {}", readers.end());
}
