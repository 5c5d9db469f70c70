//! Every item of the face is used by a test here or by an example of the documentation, as a program outside the crate uses it.

use super::*;
use redtail::WaitError;
use redtail::config::{
    AckPolicy, Address, AddressError, Dialect, Encodings, Family, Fsync, Link, Login, Node,
    Password, Prefer, RdbCompression, Relief, ResyncMemory, ResyncPolicy, Secret, Sentinels,
    SettingError, SpoolLimits, State, Timing, Tls, Upstream,
};
use redtail::status::{self, Mode, Point, ReplId};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const FACE: &str = include_str!("../face.txt");

/// The files whose tests use the face.
const TESTS: [&str; 14] = [
    include_str!("mod.rs"),
    include_str!("building.rs"),
    include_str!("changes.rs"),
    include_str!("events.rs"),
    include_str!("failures.rs"),
    include_str!("lives.rs"),
    include_str!("moment.rs"),
    include_str!("typed.rs"),
    include_str!("use_of_the_face.rs"),
    include_str!("walks.rs"),
    include_str!("../dump_writer/mod.rs"),
    include_str!("../dump_writer/servers.rs"),
    include_str!("../offsets.rs"),
    include_str!("../reader.rs"),
];

/// The code inside the documentation of a source file.
fn examples(text: &str) -> String {
    let docs = text.lines().filter_map(|line| {
        let line = line.trim_start();
        line.strip_prefix("///")
            .or_else(|| line.strip_prefix("//!"))
    });
    let (mut code, mut is_code) = (String::new(), false);
    for line in docs {
        if line.trim_start().starts_with("```") {
            is_code = !is_code && !line.contains("toml") && !line.contains("text");
        } else if is_code {
            code.push_str(line);
            code.push('\n');
        }
    }
    code
}

fn identifiers(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
        .collect()
}

/// The items of the face and their members, each by its own name, with how it is listed.
fn names() -> Vec<(&'static str, String)> {
    let mut item = "";
    let own = |path: &'static str| path.rsplit(['.', ':']).next().unwrap_or(path);
    let name = |line: &'static str| {
        let Some(member) = line.strip_prefix("    ") else {
            item = line.split(' ').nth(1).unwrap_or(line);
            return (own(item), item.to_owned());
        };
        (own(member), format!("{item} {member}"))
    };
    // The list of a variant's fields is no name.
    FACE.lines()
        .filter(|line| !line.ends_with(".fields"))
        .map(name)
        .collect()
}

#[test]
fn every_item_of_the_face_is_used() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = ["lib.rs", "replica/handle.rs", "replica/config.rs"];
    let sources = files.map(|name| fs::read_to_string(source.join(name)).unwrap());
    let examples = sources.map(|text| examples(&text));
    let used: BTreeSet<&str> = TESTS
        .into_iter()
        .chain(examples.iter().map(String::as_str))
        .flat_map(identifiers)
        .collect();
    let unused: Vec<String> = names()
        .into_iter()
        .filter(|(name, _)| !used.contains(name))
        .map(|(_, listed)| listed)
        .collect();
    assert_eq!(unused, [""; 0]);
}

#[test]
fn examples_are_read_out_of_the_documentation() {
    let text = "/// Says.\n/// ```\n/// let a = b;\n/// ```\n/// no\n//! ```toml\n//! c = 1\n//! ```\nfn d() {}\n";
    assert_eq!(examples(text), " let a = b;\n");
    let names = names();
    for listed in [
        "Replica",
        "Replica method.get_with",
        "config::Tls structfield.any_name",
    ] {
        assert!(names.iter().any(|(_, name)| name == listed), "{listed}");
    }
}

#[test]
fn addresses_say_what_they_are_and_what_is_wrong() {
    let one = |text: &str| match Config::new(text).unwrap().upstream.upstream {
        Upstream::List(nodes) => nodes[0].clone(),
        Upstream::Sentinel(sentinels) => sentinels.nodes[0].clone(),
        other => panic!("{other:?}"),
    };
    let node = one("rediss://anna:secret@[::1]:6380");
    assert!(node.tls && node.address.host_and_port() == ("::1".to_owned(), 6380));
    assert_eq!(node.login.user.as_deref(), Some("anna"));
    assert!(
        matches!(&node.login.password, Some(Password::Given(secret)) if secret.expose() == "secret")
    );
    assert!(!format!("{node:?}").contains("secret"));
    assert!(
        matches!(one("unix:///tmp/x.sock").address, Address::Unix(path) if path.ends_with("x.sock"))
    );

    let cluster = Config::new("cluster://ann:x@a:1,b?prefer=replica").unwrap();
    let Upstream::Cluster(cluster) = cluster.upstream.upstream else {
        panic!("{cluster:?}");
    };
    assert_eq!((cluster.nodes.len(), cluster.prefer), (2, Prefer::Replica));
    let another = cluster.node(node.address.clone());
    assert!(another.login.user.as_deref() == Some("ann") && !another.tls);
    let wrong = |text: &str| Config::new(text).unwrap_err();
    assert_eq!(wrong("cluster://a/1"), AddressError::Cluster);
    assert_eq!(
        wrong("cluster://a?prefer=none"),
        AddressError::ClusterOption
    );
    assert_eq!(
        Upstream::of(["cluster://a", "redis://b"]),
        Err(AddressError::ClusterAlone)
    );
    let refused = redtail::Replica::start(Config::new("cluster://a").unwrap());
    assert!(refused.unwrap_err().to_string().contains("redtail serve"));

    let sentinel = Config::new("sentinel://a,b:1/group?prefer=primary").unwrap();
    let Upstream::Sentinel(sentinels) = sentinel.upstream.upstream else {
        panic!("{sentinel:?}");
    };
    assert_eq!(
        (
            sentinels.nodes.len(),
            sentinels.name.as_str(),
            sentinels.prefer
        ),
        (2, "group", Prefer::Primary)
    );
    assert!(!sentinels.servers_tls && sentinels.servers_login == Login::default());

    let wrong = |text: &str| Config::new(text).unwrap_err();
    assert!(matches!(wrong("redis://a:b:c"), AddressError::Syntax(_)));
    assert_eq!(wrong("http://a"), AddressError::Scheme("http".to_owned()));
    assert_eq!(wrong("redis://"), AddressError::Host);
    assert_eq!(wrong("redis://a/1"), AddressError::Database);
    assert_eq!(wrong("redis://a?b=1"), AddressError::Extra);
    assert_eq!(wrong("redis://:p,w@a:1"), AddressError::Comma);
    assert_eq!(wrong("sentinel://a"), AddressError::Sentinel);
    assert_eq!(
        wrong("sentinel://a/group?x=1"),
        AddressError::SentinelOption
    );
    assert_eq!(
        Upstream::of(["redis://a", "sentinel://b/group"]),
        Err(AddressError::Alone)
    );
    assert!(
        AddressError::NoTls.to_string().contains("tls"),
        "only a build without TLS says so"
    );
}

#[test]
fn logins_fill_in_what_an_address_leaves_out() {
    let login = Login {
        user: Some("u".to_owned()),
        password: Some(Password::File("/run/secret".into())),
    };
    let mut own = Login {
        user: None,
        password: Some(Password::Given(Secret::new("p"))),
    };
    own.replace_by(&login);
    assert_eq!(own, login);
    let node = Node {
        address: Address::Tcp {
            host: "a".to_owned(),
            port: 6379,
        },
        tls: false,
        login: Login::default(),
    };
    let list = Upstream::List(vec![node.clone()]);
    assert!(!list.has_password() && !list.uses_tls());
    assert!(list.with_login(&login).has_password());
    let sentinels = Sentinels {
        nodes: vec![node],
        name: "group".to_owned(),
        prefer: Prefer::Replica,
        servers_tls: true,
        servers_login: Login::default(),
    };
    // A sentinel's login is not that of the servers.
    let named = Upstream::Sentinel(sentinels).with_sentinel_login(&login);
    assert!(named.uses_tls() && !named.has_password());
    assert!(named.clone().with_login(&login).has_password());
    assert!(matches!(named, Upstream::Sentinel(sentinels) if sentinels.nodes[0].login == login));
}

/// The settings, each with another value than its default.
fn every_setting(primary: &Server, folder: &Path) -> Config {
    let mut encodings = Encodings::default();
    encodings.set("hash-max-listpack-entries", "3").unwrap();
    assert_eq!(encodings.set("nothing", "3"), Err(SettingError::Unknown));
    assert_eq!(
        encodings.set("hash-max-listpack-entries", "x"),
        Err(SettingError::NotInteger)
    );
    assert_eq!(
        encodings.set("hash-max-listpack-value", "x"),
        Err(SettingError::NotMemory)
    );
    assert_ne!(SettingError::Negative, SettingError::NotMemory);
    let out_of_range = encodings.set("hash-max-listpack-entries", "-1");
    assert!(
        matches!(out_of_range, Err(SettingError::Range(0, _))),
        "{out_of_range:?}"
    );
    let address = config(primary).upstream.upstream;
    Config {
        upstream: Link {
            upstream: address,
            tls: Tls {
                ca_cert_file: None,
                ca_cert_dir: None,
                cert_file: None,
                key_file: None,
                server_name: Some("primary".to_owned()),
                any_name: false,
            },
            listening_port: Some(7777),
            watch: false,
            acks: AckPolicy::Observer,
            timing: Timing {
                handshake: Duration::from_secs(20),
                silence: Duration::from_secs(30),
                ack: Duration::from_millis(300),
                retry_first: Duration::from_millis(20),
                retry_max: Duration::from_millis(200),
                retry_refused: Duration::from_secs(3),
                resync_floor: Duration::ZERO,
                sentinel_look: Duration::from_secs(3),
                keepalive: Duration::from_secs(30),
            },
            spool: SpoolLimits {
                memory_bytes: 1 << 20,
                file_bytes: 1 << 20,
                folder: Some(folder.into()),
            },
            proof_every: None,
            relief: Relief {
                compression: RdbCompression::Yes,
                checksum: true,
            },
        },
        databases: 20,
        encodings,
        expired_grace: Duration::ZERO,
        dialect: Dialect::named("redis-7.2.4"),
        track_access: true,
        resync: ResyncPolicy {
            memory: ResyncMemory::TwoCopies,
            guard_percent: 10,
            guard_patience: Duration::from_secs(1),
        },
        writer_rate: (64 << 20).try_into().ok(),
        transaction_bytes_max: 1 << 20,
        state: Some(State {
            folder: folder.join("state"),
            fsync: Fsync::Always,
            log_bytes_max: Some(1 << 20),
            retry: Duration::from_secs(1),
        }),
        max_staleness: Some(Duration::from_secs(20)),
        changes_window: 1 << 20,
        stream_ignore: vec!["odd.command".to_owned()],
    }
}

#[test]
fn every_setting_is_taken() {
    let Some(primary) = Server::start("redis-8.0", &[]) else {
        return;
    };
    primary.client().pipeline(&[
        words("SELECT 15"),
        words("HSET h a 1 b 2 c 3 d 4"),
        words("SELECT 0"),
        words("SET k 1"),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let runtime = runtime();
    let replica = follow(&runtime, every_setting(&primary, folder.path()));
    wait_until("the first proof", || {
        replica.get("k") == Ok(Some(bytes("1")))
    });
    let read = |db: usize, line: &str| {
        replica
            .database(db)
            .command(&words(line))
            .map(|reply| show(&reply))
    };
    assert_eq!(
        read(15, "OBJECT ENCODING h"),
        Ok("hashtable".to_owned()),
        "three fields are the most"
    );
    assert!(
        read(19, "DBSIZE").is_ok() && read(20, "DBSIZE").is_err(),
        "twenty databases"
    );
    // Redis 7.2 has no such command; the primary does.
    is_reply(
        replica.command(&["HPTTL", "h", "FIELDS", "1", "a"]),
        "ERR unknown command",
    );
    assert!(
        replica.command(&["OBJECT", "IDLETIME", "k"]).is_ok(),
        "access is tracked"
    );
    let status = replica.status();
    assert_eq!(
        status.dialect.map(|dialect| dialect.version),
        Some((7, 2, 4))
    );
    assert_ne!(Dialect::redis(7, 2, 4), Dialect::valkey(7, 2, 4));
    assert_eq!(status.dialect.unwrap().family, Family::Redis);
    assert!(folder.path().join("state").read_dir().unwrap().count() > 0);
    let replicas = primary.client().info("replication", "slave0").unwrap();
    assert!(
        replicas.contains("port=7777") && replicas.contains("offset=0"),
        "{replicas}"
    );
    runtime.block_on(replica.stop());
    assert_ne!(Fsync::EverySecond, Fsync::No);
    assert_ne!(AckPolicy::Auto, AckPolicy::Honest);
}

#[test]
fn the_link_is_described_while_it_is_up_and_when_it_is_down() {
    let Some(primary) = Server::start("redis-7.0", &["--cluster-enabled", "no"]) else {
        return;
    };
    primary.command("HSET h f 1");
    let runtime = runtime();
    let replica = follow(&runtime, config(&primary));
    wait_until("the link", || {
        replica.status().link.state == status::LinkState::Connected
    });
    let up: status::Link = replica.status().link;
    assert!(
        up.was_up && up.down_for.is_none() && up.failed_at.is_none() && up.last_error.is_none()
    );
    assert!(up.up_for.is_some() && up.disconnected_for == Duration::ZERO);
    assert!(up.silent_for.is_none() && !up.is_unacknowledged);
    assert!(up.attempts_since_lost > 0);
    assert!(up.last_io.is_some() && !up.needs_a_person);
    assert_eq!((up.mode, up.mode.word()), (Mode::Standalone, "standalone"));
    assert_ne!(Mode::Cluster, Mode::Unknown);
    assert_eq!(up.address.unwrap().host_and_port().1, primary.port);
    let history: status::History = replica.status().history;
    let id: ReplId = history.replid.unwrap();
    assert!(history.knows(id) && history.before.is_none());
    let keys: Vec<status::Keys> = replica.status().databases;
    assert_eq!(
        (
            keys[0].db,
            keys[0].keys,
            keys[0].expires,
            keys[0].timed_hashes
        ),
        (0, 1, 0, 0)
    );
    assert!(keys[0].memory_bytes > 0);
    drop(primary);
    wait_until("the loss", || replica.status().link.down_for.is_some());
    wait_until("a failed attempt", || {
        replica.status().link.failed_at.is_some()
    });
    let down = replica.status();
    assert!(down.link.last_error.is_some() && down.last_fault.is_some());
    let words = [
        status::LinkState::Connect,
        status::LinkState::Connecting,
        status::LinkState::Handshake,
        status::LinkState::Sync,
    ];
    assert_eq!(
        words.map(|state| state.word()),
        ["connect", "connecting", "handshake", "sync"]
    );
    // Without a limit, old data is readable, and its age is known.
    assert_eq!(
        replica.command(&["HGET", "h", "f"]),
        Ok(Reply::Bytes(bytes("1")))
    );
    assert!(!down.stale);
}

#[test]
fn syncs_and_kinds_of_values_are_told() {
    use status::{SyncCause, SyncKind};
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    primary.command("HSET h f 1");
    primary.command("SET s 1");
    let runtime = runtime();
    let replica = follow(&runtime, config(&primary));
    wait_until("the link", || {
        replica.status().link.state == status::LinkState::Connected
    });
    let told = replica.status();
    let last: &status::Sync = told.syncs.last().unwrap();
    assert_eq!(
        (last.cause, last.cause.kind()),
        (SyncCause::FirstStart, SyncKind::Full)
    );
    let brought: status::Brought = last.brought.unwrap();
    assert!(brought.keys == 2 && brought.bytes > 0);
    assert!(last.began <= std::time::SystemTime::now());
    assert!(last.took < std::time::Duration::from_secs(60));
    assert!(told.link.in_state_for < std::time::Duration::from_secs(60));
    assert!(
        told.lag
            .is_none_or(|lag| lag < std::time::Duration::from_secs(60))
    );
    let kinds: &[status::Kind] = &told.databases[0].kinds;
    let hashes = kinds.iter().find(|kind| kind.kind == "hash").unwrap();
    assert!(hashes.keys == 1 && hashes.bytes > 0);
    assert!(told.databases[0].table_bytes > 0);
    let causes = [
        SyncCause::FirstStart,
        SyncCause::Restart,
        SyncCause::StateUnusable,
        SyncCause::LinkLost,
        SyncCause::Failover,
        SyncCause::OtherHistory,
        SyncCause::PartialRefused,
        SyncCause::StreamUnusable,
        SyncCause::SyncFailed,
    ];
    assert!(SyncCause::ALL.iter().all(|cause| causes.contains(cause)));
    assert_eq!(SyncCause::LinkLost.kind(), SyncKind::Partial);
    assert_eq!(SyncKind::Partial.word(), "partial");
}

#[test]
fn a_failover_keeps_the_history_before_it() {
    let Some(top) = Server::start("valkey-8.1", &[]) else {
        return;
    };
    let middle = Server::replica("valkey-8.1", &top).unwrap();
    top.command("SET a 1");
    middle.wait_in_sync(&top);
    let runtime = runtime();
    let replica = follow(&runtime, config(&middle));
    let old = replica.status().history.replid.unwrap();
    middle.command("REPLICAOF NO ONE");
    middle.command("SET a 2");
    wait_until("the new value", || replica.get("a") == Ok(Some(bytes("2"))));
    let status = replica.status();
    let before: Point = status.history.before.unwrap();
    assert_eq!(before.replid, old);
    assert!(before.offset <= status.applied_offset + 1);
    assert!(status.history.knows(old) && status.history.replid != Some(old));
    assert_eq!(status.loads, 1, "it is no other data");
    // What the old history wrote after that offset may be lost; what it wrote up to there is not.
    let wait = |offset| {
        let point = Point {
            replid: old,
            offset,
        };
        runtime.block_on(replica.wait_for(point, PATIENCE))
    };
    assert!(wait(before.offset).unwrap() >= before.offset);
    let lost = wait(before.offset + 1);
    assert!(
        matches!(lost, Err(WaitError::Abandoned { switch }) if switch == before.offset),
        "{lost:?}"
    );
}
