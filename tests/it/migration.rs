//! Slots that move between two primaries of a real cluster, as seen by a replica of the one that gets them and by redtail beside
//! it.

use crate::client::Reply;
use crate::servers::Server;

/// A cluster: the server that has all slots, the one that is to get some of them, and a replica of that one.
struct Cluster {
    source: Server,
    target: Server,
    replica: Server,
    redtail: Server,
}

const CONFIG: [&str; 8] = [
    "--cluster-enabled",
    "yes",
    "--cluster-require-full-coverage",
    "no",
    "--cluster-allow-replica-migration",
    "no",
    "--cluster-node-timeout",
    "30000",
];

/// As many as make every kind of walk skip something.
const KEYS: usize = 2000;

impl Cluster {
    fn start(name: &str, options: &[&str]) -> Option<Self> {
        let node = || Server::start(name, &CONFIG);
        let (source, target, replica) = (node()?, node()?, node()?);
        for other in [&target, &replica] {
            source.command(&format!("CLUSTER MEET 127.0.0.1 {}", other.port));
        }
        source.command("CLUSTER ADDSLOTSRANGE 0 16383");
        let id = node_id(&target);
        replica.wait_for("the target in the cluster", |client| {
            !client
                .command(&format!("CLUSTER REPLICATE {id}"))
                .is_error()
        });
        replica.wait_for("its primary", |client| {
            let status = client.info("replication", "master_link_status");
            status.is_some_and(|status| status == "up")
        });
        // The replica, too: one that does not know yet who serves a slot forgets the migration that its primary tells it of.
        for server in [&source, &target, &replica] {
            server.wait_for("the slots", |client| {
                let info = client.command("CLUSTER INFO").text();
                info.contains("cluster_slots_ok:16384") && info.contains("cluster_known_nodes:3")
            });
        }
        let redtail = Server::redtail_with(&target, options);
        Some(Self {
            source,
            target,
            replica,
            redtail,
        })
    }

    /// Fills the source, and makes it keep a migration from its end.
    fn fill(&self) {
        let mut client = self.source.client();
        for number in 0..KEYS {
            client.command(&format!("SET k{number} {number} PX 100000000"));
        }
        client.command("HSET h a 1 b 2");
        assert!(
            !client
                .command("DEBUG SLOTMIGRATION PREVENT-PAUSE 1")
                .is_error()
        );
    }

    /// Moves the lower half of all slots, up to the moment before the target serves them.
    fn begin(&self) {
        let begin = format!(
            "CLUSTER MIGRATESLOTS SLOTSRANGE 0 8191 NODE {}",
            node_id(&self.target)
        );
        let begun = self.source.command(&begin);
        assert!(!begun.is_error(), "{}", begun.text());
        // PREVENT-PAUSE keeps the source here, after everything has been sent.
        self.target.wait_for("the snapshot", |client| {
            let jobs = shown(&client.command("CLUSTER GETSLOTMIGRATIONS"));
            jobs.contains("waiting-for-paused")
        });
        self.wait();
    }

    fn wait(&self) {
        self.replica.wait_in_sync(&self.target);
        self.redtail.wait_in_sync(&self.target);
    }

    /// Waits until the replica's last migration has ended.
    fn wait_for(&self, state: &str) {
        self.replica.wait_for(state, |client| {
            let jobs = shown(&client.command("CLUSTER GETSLOTMIGRATIONS"));
            jobs.contains(state)
        });
        self.wait();
    }

    /// What a server says about which keys there are.
    fn walks(server: &Server) -> (String, Vec<String>, Vec<String>, String) {
        let mut client = server.client();
        let sorted = |reply: Reply| {
            let mut keys: Vec<String> = reply.elements().iter().map(Reply::text).collect();
            keys.sort();
            keys
        };
        let mut found = Vec::new();
        let mut cursor = "0".to_owned();
        loop {
            let reply = client.command(&format!("SCAN {cursor} COUNT 100"));
            let items = reply.elements();
            found.extend(sorted(items[1].clone()));
            cursor = items[0].text();
            if cursor == "0" {
                break;
            }
        }
        found.sort();
        found.dedup();
        let keyspace = client.info("keyspace", "db0").unwrap_or_default();
        let keyspace = keyspace
            .split(",avg_ttl")
            .next()
            .unwrap_or_default()
            .to_owned();
        let size = client.command("DBSIZE").text();
        (size, sorted(client.command("KEYS *")), found, keyspace)
    }

    fn walk_alike(&self, case: &str) {
        let (theirs, ours) = (Self::walks(&self.replica), Self::walks(&self.redtail));
        assert_eq!(ours, theirs, "{case}");
    }
}

/// All of a reply as text, for finding words in it.
fn shown(reply: &Reply) -> String {
    String::from_utf8_lossy(&reply.0).into_owned()
}

fn node_id(server: &Server) -> String {
    server.command("CLUSTER MYID").text()
}

/// Keys of the lower half, and what a replica of the server that gets them answers for the whole of it.
fn reads(server: &Server) -> Vec<String> {
    let mut client = server.client();
    client.command("READONLY");
    let keys = (0..KEYS).map(|number| format!("GET k{number}"));
    let asked = keys.chain(["HGETALL h".to_owned()]);
    asked.map(|line| shown(&client.command(&line))).collect()
}

#[test]
fn keys_that_a_cluster_imports_are_hidden_until_their_slots_are_served() {
    let Some(cluster) = Cluster::start("valkey-9.1.2", &[]) else {
        return;
    };
    cluster.fill();
    cluster.walk_alike("before");
    for ends_well in [false, true] {
        cluster.begin();
        cluster.walk_alike("while the slots are imported");
        let (theirs, ours) = (reads(&cluster.replica), reads(&cluster.redtail));
        let mut hidden = 0;
        for (theirs, ours) in theirs.iter().zip(&ours) {
            // The replica sends the client to the server that has the key; redtail knows no other server.
            assert!(theirs.contains("MOVED"), "{theirs}");
            hidden += usize::from(ours.contains("TAINTED the cluster is migrating"));
        }
        assert!((KEYS / 3..KEYS * 2 / 3).contains(&hidden), "{hidden}");
        assert!(cluster.redtail.log().contains("slots are being migrated"));
        if ends_well {
            cluster
                .source
                .command("DEBUG SLOTMIGRATION PREVENT-PAUSE 0");
            cluster.wait_for("success");
        } else {
            cluster.source.command("CLUSTER CANCELSLOTMIGRATIONS");
            cluster.wait_for("failed");
        }
        cluster.walk_alike("when the import has ended");
    }
    let (theirs, ours) = (reads(&cluster.replica), reads(&cluster.redtail));
    for (theirs, ours) in theirs.iter().zip(&ours) {
        assert!(
            theirs == ours || theirs.contains("MOVED"),
            "{theirs} {ours}"
        );
    }
    let syncs = cluster
        .redtail
        .client()
        .info("redtail", "redtail_full_syncs");
    assert_eq!(
        syncs.as_deref(),
        Some("1"),
        "no migration needs a full sync"
    );
}

#[test]
fn a_restart_in_the_middle_of_an_import_still_hides_its_keys() {
    let directory = tempfile::TempDir::new().unwrap();
    let state = directory.path().to_str().unwrap();
    let Some(mut cluster) = Cluster::start("valkey-9.1.2", &["--state-dir", state]) else {
        return;
    };
    cluster.fill();
    cluster.begin();
    cluster.redtail.stop();
    cluster.redtail = Server::redtail_with(&cluster.target, &["--state-dir", state]);
    cluster.wait();
    cluster.walk_alike("after a restart");
    cluster
        .source
        .command("DEBUG SLOTMIGRATION PREVENT-PAUSE 0");
    cluster.wait_for("success");
    cluster.walk_alike("when the import has ended");
}

#[test]
fn a_full_sync_in_the_middle_of_an_import_hides_its_keys() {
    let Some(mut cluster) = Cluster::start("valkey-9.1.2", &[]) else {
        return;
    };
    cluster.fill();
    cluster.begin();
    cluster.redtail.stop();
    cluster.redtail = Server::redtail_with(&cluster.target, &[]);
    cluster.wait();
    cluster.walk_alike("after a full sync");
    cluster
        .source
        .command("DEBUG SLOTMIGRATION PREVENT-PAUSE 0");
    cluster.wait_for("success");
    cluster.walk_alike("when the import has ended");
}
