//! A cluster under load with its followers and their readers.

use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::alike::alike;
use super::calm::{Calm, Disturbance};
use super::nodes::{CALM, Cluster, Failover, Setup};
use super::reader::{Focus, Readers, Report, Target};
use super::writer::Writers;
use crate::servers::{ALL, Server};

/// What readers read from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Face {
    /// redtail as a server with a single keyspace.
    One,
    /// redtail as a replica of every shard.
    Cluster,
    /// The cluster's primaries: they show whether the readers themselves are right.
    Primaries,
    /// The cluster's own replicas, which are behind when slots move: they show that the readers see faults.
    Replicas,
}

/// Both faces of redtail.
pub const BOTH: [Face; 2] = [Face::One, Face::Cluster];

/// Everything that runs. The fields are dropped in this order.
pub struct Stage {
    readers: Vec<Readers>,
    pub writers: Writers,
    followers: Vec<Follower>,
    pub cluster: Cluster,
    calm: Calm,
    focus: Focus,
    rng: fastrand::Rng,
}

/// A redtail with its state directory.
pub struct Follower {
    pub server: Server,
    face: Face,
    arguments: Vec<String>,
    /// Deleted when this is dropped.
    _state: TempDir,
}

impl Stage {
    /// Starts everything around three primaries with a replica each. Returns `None` if the server is not installed.
    pub fn start(name: &'static str, faces: &[Face]) -> Option<Self> {
        Self::with(name, faces, CALM)
    }

    /// The same around another cluster.
    pub fn with(name: &'static str, faces: &[Face], setup: Setup) -> Option<Self> {
        Cluster::start(name, setup).map(|cluster| Self::on(cluster, faces))
    }

    /// Writes to a cluster, follows it, and reads.
    pub fn on(cluster: Cluster, faces: &[Face]) -> Self {
        let writers = Writers::start(&cluster);
        let ours = faces.iter().filter(|face| BOTH.contains(face));
        let followers: Vec<Follower> = ours.map(|face| Follower::start(&cluster, *face)).collect();
        let calm = Calm::default();
        let mut stage = Self {
            readers: Vec::new(),
            writers,
            followers,
            cluster,
            calm,
            focus: Focus::default(),
            rng: fastrand::Rng::with_seed(number("REDTAIL_CLUSTER_SEED", 1)),
        };
        stage.rest("the first sync");
        stage.readers = faces.iter().map(|face| stage.read(*face)).collect();
        stage.go_on();
        stage
    }

    fn read(&self, face: Face) -> Readers {
        let ours = self.followers.iter().find(|one| one.face == face);
        let target = match (face, ours) {
            (Face::One, Some(one)) => Target::One(one.server.port),
            (Face::Cluster, Some(one)) => Target::Replicas(vec![one.server.port]),
            (Face::Replicas, _) => {
                self.cluster.wait_until_replicas_are_named();
                Target::Replicas(self.cluster.ports())
            }
            _ => Target::Primaries(self.cluster.ports()),
        };
        Readers::start(&target, &self.writers.written, &self.calm, &self.focus)
    }

    /// From now on, until the result is dropped, readers may meet errors.
    pub fn disturb(&self, what: &str) -> Disturbance {
        self.calm.disturb(what)
    }

    /// From now on, half of all reads are of a slot's keys.
    pub fn look_at(&self, slot: u16) {
        self.focus.store(slot, Ordering::SeqCst);
    }

    /// Waits until all readers have read some more, so that what is now is seen, however busy the machine is.
    pub fn look(&self) {
        for readers in &self.readers {
            readers.wait_for_reads(LOOK);
        }
    }

    /// Lets writers and readers go on for a while, and checks what readers saw.
    pub fn go_on(&self) {
        self.writers.wait_for_writes(WHILE);
        for readers in &self.readers {
            readers.wait_for_reads(WHILE);
        }
        self.check();
    }

    /// # Panics
    /// If a reader has seen something wrong.
    pub fn check(&self) {
        if self.readers.iter().any(|one| one.report().violations > 0) {
            // Whether the cluster itself has what a reader missed.
            let slot = self.focus.load(Ordering::SeqCst);
            eprintln!("{}", self.cluster.shown(slot));
        }
        self.readers.iter().for_each(Readers::check);
        for follower in &self.followers {
            let log = follower.server.log();
            assert!(!log.contains("panicked"), "{log}");
        }
    }

    /// Stops writing, and compares all followers with the primaries.
    pub fn rest(&self, what: &str) {
        let _pause = self.writers.pause();
        self.cluster.settle();
        for follower in &self.followers {
            eprintln!("comparing face {:?} after {what}", follower.face);
            alike(&self.cluster, follower.server.port);
        }
        self.check();
    }

    /// Does something to the cluster, waits until it has settled, lets all go on, and compares.
    pub fn during(&mut self, what: &str, act: impl FnOnce(&mut Self)) {
        let started = Instant::now();
        let disturbance = self.disturb(what);
        act(self);
        self.cluster.settle();
        drop(disturbance);
        self.go_on();
        self.rest(what);
        eprintln!("{what}: {:.1?}", started.elapsed());
    }

    /// Kills every redtail and starts it again on its port, with its state directory.
    pub fn restart_followers(&mut self) {
        let _disturbance = self.disturb("a restart of redtail");
        self.kill_followers();
        self.start_followers();
        self.wait_for_followers();
    }

    /// Kills every redtail.
    pub fn kill_followers(&mut self) {
        self.followers.iter_mut().for_each(|one| one.server.stop());
    }

    /// Stops every redtail for a while, or lets it go on.
    pub fn freeze_followers(&self, frozen: bool) {
        self.followers
            .iter()
            .for_each(|one| one.server.freeze(frozen));
    }

    /// Starts every redtail again.
    pub fn start_followers(&mut self) {
        let cluster = &self.cluster;
        let followers = self.followers.iter_mut();
        followers.for_each(|one| one.start_again(cluster));
    }

    /// Waits until every redtail answers.
    pub fn wait_for_followers(&self) {
        self.followers.iter().for_each(Follower::wait);
    }

    /// Fails over without losing what has been written.
    pub fn fail_over(&self, place: usize, how: Failover) -> usize {
        // If the primary agrees, it waits for the replica itself.
        let _pause = (how != Failover::Agreed).then(|| self.writers.pause());
        if how != Failover::Agreed {
            self.cluster.wait_for_replicas(place);
        }
        self.cluster.fail_over(place, how)
    }

    /// Kills a primary when its replicas have all it wrote, does something while nobody has its slots, and starts it again when
    /// a replica has succeeded it.
    pub fn kill_primary(&mut self, place: usize, meanwhile: impl FnOnce(&mut Self)) -> usize {
        let replicas = self.cluster.replicas(place);
        let pause = self.writers.pause();
        self.cluster.wait_for_replicas(place);
        self.cluster.kill(place);
        drop(pause);
        meanwhile(self);
        let successor = self.cluster.wait_for_successor(&replicas, place);
        self.cluster.restart(place);
        successor
    }

    /// Separates a primary from everybody until one of its replicas has succeeded it and some more has been written.
    pub fn partition(&self, place: usize) -> usize {
        let replicas = self.cluster.replicas(place);
        // What is written to a primary that nobody else hears is lost.
        let pause = self.writers.pause();
        self.cluster.wait_for_replicas(place);
        self.cluster.freeze(place, true);
        let successor = self.cluster.wait_for_successor(&replicas, place);
        drop(pause);
        self.writers.wait_for_writes(WHILE);
        self.cluster.freeze(place, false);
        successor
    }

    /// Slots with keys, chosen at random.
    pub fn some_slots(&mut self, count: usize) -> Vec<u16> {
        let keys = self.writers.written.keys.iter();
        let mut slots: Vec<u16> = keys.map(|key| key.slot).collect();
        slots.dedup();
        self.rng.shuffle(&mut slots);
        slots.truncate(count);
        slots
    }

    /// The place of a primary, chosen at random.
    pub fn any_primary(&mut self) -> usize {
        let places = self.cluster.primaries();
        places[self.rng.usize(..places.len())]
    }

    /// A figure from the INFO of each follower.
    pub fn figures(&self, name: &str) -> Vec<Option<String>> {
        let figure = |one: &Follower| one.server.client().info("redtail", name);
        self.followers.iter().map(figure).collect()
    }

    /// What the readers of each face saw.
    pub fn reports(&self) -> Vec<Report> {
        self.readers.iter().map(Readers::report).collect()
    }

    /// Waits until all errors must have ended, compares once more, and ends everything.
    pub fn end(self) {
        sleep(CALM_AGAIN);
        self.go_on();
        self.rest("everything");
        for report in self.reports() {
            assert!(report.reads > 0);
            eprintln!("{report:?}");
        }
        eprintln!("{} writes", self.writers.written.total());
    }
}

impl Follower {
    /// Follows a cluster, and waits for its data.
    pub fn start(cluster: &Cluster, face: Face) -> Self {
        Self::with(&cluster.address(), face, &[])
    }

    /// The same with an address and more arguments.
    pub fn with(address: &str, face: Face, more: &[&str]) -> Self {
        let state = TempDir::new().expect("a temporary directory");
        let named = if face == Face::Cluster {
            "cluster"
        } else {
            "one"
        };
        let folder = state.path().display().to_string();
        let own = ["--cluster-face", named, "--state-dir", &folder];
        let arguments: Vec<String> = own.iter().chain(more).map(ToString::to_string).collect();
        let follower = Self {
            server: spawn(None, address, &arguments),
            face,
            arguments,
            _state: state,
        };
        follower.wait();
        follower
    }

    /// Starts it again on its port, with its state directory, and with the addresses of the nodes that run now.
    fn start_again(&mut self, cluster: &Cluster) {
        self.server = spawn(Some(self.server.port), &cluster.address(), &self.arguments);
    }

    fn wait(&self) {
        let mut last = String::new();
        self.server.wait_for("its data", |client| {
            let reply = client.command("DBSIZE");
            if reply.text() != last {
                last = reply.text();
                eprintln!("port {} answers {last}", self.server.port);
            }
            // While a slot is half moved, the number of keys may be unknown.
            reply.is_integer() || last.starts_with("TRYAGAIN")
        });
    }
}

fn spawn(port: Option<u16>, address: &str, arguments: &[String]) -> Server {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    Server::redtail_at(port, address, &words)
}

/// The servers that clusters are made of. `REDTAIL_CLUSTER_SERVERS` names others of those that the tests know.
pub fn servers() -> Vec<&'static str> {
    let chosen = std::env::var("REDTAIL_CLUSTER_SERVERS").unwrap_or_default();
    if chosen.is_empty() {
        return vec!["redis-8.0", "valkey-9.1.2"];
    }
    let known = ALL.into_iter().chain(["valkey-9.1.2", "redis-8.6"]);
    known
        .filter(|name| chosen.split(',').any(|one| one == *name))
        .collect()
}

/// A number from the environment.
pub fn number(variable: &str, default: u64) -> u64 {
    let value = std::env::var(variable).ok();
    value
        .and_then(|value| value.parse().ok())
        .unwrap_or(default)
}

/// The number of writes, and of reads, after which something else is done.
const WHILE: u64 = 300;

/// The number of reads that are likely to see each key of a slot.
const LOOK: u64 = 20;

/// A little longer than errors may go on.
const CALM_AGAIN: Duration = Duration::from_millis(5500);
