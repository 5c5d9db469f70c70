//! Following a primary named by Sentinel: three sentinels, a primary, two replicas, and real failovers.
//!
//! `REDTAIL_SENTINEL_SERVERS` lists other servers than the default two, separated by commas, or is `all`.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use redtail::internal::replica::{Config, Replica};

use crate::certificates::{Authority, Pair};
use crate::client::Client;
use crate::scripted::Scripted;
use crate::servers::{ALL, PATIENCE, Server, free_port};

/// A primary with its replicas, and the sentinels that watch them.
struct Group {
    primary: Server,
    replicas: Vec<Server>,
    sentinels: Vec<Server>,
}

fn servers() -> Vec<String> {
    let chosen = std::env::var("REDTAIL_SENTINEL_SERVERS").unwrap_or_default();
    let names: Vec<&str> = match chosen.as_str() {
        "" => vec!["redis-7.0", "valkey-9.1"],
        "all" => ALL.to_vec(),
        names => names.split(',').collect(),
    };
    names.into_iter().map(str::to_owned).collect()
}

/// Creates the file in which a sentinel keeps its state, with its initial contents.
fn configuration(primary: &Server) -> PathBuf {
    let folder = primary
        .directory()
        .join(format!("sentinel-{}", fastrand::u64(..)));
    std::fs::create_dir(&folder).expect("a folder");
    let file = folder.join("sentinel.conf");
    let text = format!(
        "sentinel monitor group 127.0.0.1 {} 2\n\
         sentinel down-after-milliseconds group 700\n\
         sentinel failover-timeout group 6000\n",
        primary.port
    );
    std::fs::write(&file, text).expect("a file");
    file
}

fn sentinel(name: &str, primary: &Server) -> Server {
    let file = configuration(primary).display().to_string();
    Server::sentinel(name, &file).expect("the server was there a moment ago")
}

impl Group {
    fn start(name: &str, replicas: usize) -> Option<Self> {
        let primary = Server::start(name, &[])?;
        primary.command("DEBUG POPULATE 1000");
        let replica =
            |_| Server::replica(name, &primary).expect("the server was there a moment ago");
        let replicas: Vec<Server> = (0..replicas).map(replica).collect();
        let sentinels = (0..3).map(|_| sentinel(name, &primary)).collect();
        let group = Self {
            primary,
            replicas,
            sentinels,
        };
        group.settle();
        Some(group)
    }

    /// Waits until every sentinel knows all servers and sentinels, and considers them healthy.
    fn settle(&self) {
        for sentinel in &self.sentinels {
            let replicas = self.replicas.len();
            sentinel.wait_for("its view of the group", |client| {
                let healthy = client.command("SENTINEL REPLICAS group").text();
                let others = client.command("SENTINEL SENTINELS group").elements().len();
                healthy.matches("\nok\n").count() == replicas && others == 2
            });
        }
    }

    /// An address with the first `count` sentinels.
    fn address(&self, count: usize, options: &str) -> String {
        let first = self.sentinels.iter().take(count);
        let hosts: Vec<String> = first.map(|one| format!("127.0.0.1:{}", one.port)).collect();
        format!("sentinel://{}/group{options}", hosts.join(","))
    }

    /// Waits until the sentinels agree on a primary other than `before`. Returns its port.
    fn primary_after(&self, before: u16) -> u16 {
        let mut port = before;
        for sentinel in &self.sentinels {
            sentinel.wait_for("another primary", |client| {
                let address = client.command("SENTINEL GET-MASTER-ADDR-BY-NAME group");
                let found = address
                    .text()
                    .lines()
                    .last()
                    .and_then(|text| text.parse().ok());
                port = found.unwrap_or(before);
                port != before
            });
        }
        port
    }

    fn replica_at(&self, port: u16) -> &Server {
        let found = self.replicas.iter().find(|one| one.port == port);
        found.expect("it is a replica of the group")
    }
}

fn redtail(address: &str) -> Server {
    redtail_with(address, &[])
}

fn redtail_with(address: &str, arguments: &[&str]) -> Server {
    let all = [&["--enable-debug-command", "yes"], arguments].concat();
    let redtail = Server::redtail_of(address, &all);
    redtail.wait_for("its first sync", |client| {
        client.command("DBSIZE").is_integer()
    });
    redtail
}

fn followed(redtail: &Server) -> u16 {
    let port = redtail.client().info("replication", "master_port");
    port.and_then(|text| text.parse().ok()).expect("a port")
}

fn assert_equal(redtail: &Server, primary: &Server) {
    redtail.wait_in_sync(primary);
    let digest = |server: &Server| server.command("DEBUG DIGEST");
    assert_eq!(digest(redtail), digest(primary));
}

/// The number of redtail's full resyncs.
fn full_syncs(redtail: &Server) -> usize {
    redtail.log().matches("full resync").count()
}

fn up_with(redtail: &Server, port: u16) {
    redtail.wait_for(&format!("a link to {port}"), |client| {
        client.info("replication", "master_link_status").as_deref() == Some("up")
            && client.info("replication", "master_port") == Some(port.to_string())
    });
}

#[test]
fn a_failover_is_followed_by_partial_resync() {
    for name in servers() {
        let Some(mut group) = Group::start(&name, 2) else {
            continue;
        };
        // This one knows only one sentinel, and learns of the others from it.
        let of_primary = redtail(&group.address(1, "?prefer=primary"));
        let of_replica = redtail(&group.address(3, ""));
        assert_eq!(followed(&of_primary), group.primary.port, "{name}");
        let before = followed(&of_replica);
        group.replica_at(before);
        group.primary.command("SET last words");
        assert_equal(&of_primary, &group.primary);
        assert_equal(&of_replica, &group.primary);
        for replica in &group.replicas {
            replica.wait_in_sync(&group.primary);
        }

        // The primary dies, and with it the only sentinel that one redtail was configured with.
        let old = group.primary.port;
        group.primary.stop();
        group.sentinels.remove(0).stop();
        let new = group.primary_after(old);
        let promoted = group.replica_at(new);
        promoted.wait_for("its promotion", |client| {
            client.info("replication", "role").as_deref() == Some("master")
        });
        promoted.command("SET first word");
        up_with(&of_primary, new);
        for redtail in [&of_primary, &of_replica] {
            assert_equal(redtail, promoted);
            assert_eq!(full_syncs(redtail), 1, "{name}: {}", redtail.log());
        }
    }
}

#[test]
fn a_failover_on_demand_leaves_the_old_primary_at_once() {
    let Some(group) = Group::start("valkey-9.1", 1) else {
        return;
    };
    let redtail = redtail(&group.address(3, "?prefer=primary"));
    assert_equal(&redtail, &group.primary);
    let old = group.primary.port;
    let told = group.sentinels[0].command("SENTINEL FAILOVER group");
    assert_eq!(told.text(), "OK");
    let new = group.primary_after(old);
    up_with(&redtail, new);
    let promoted = group.replica_at(new);
    promoted.command("SET by the-new-one");
    // Whether by a partial resync depends on what the sentinels published through the old primary after the promotion.
    assert_equal(&redtail, promoted);
}

/// Reads on its own connection until told to stop: a key that always exists, and a number that only grows.
fn reader(port: u16, stop: &Arc<AtomicBool>) -> JoinHandle<u64> {
    let stop = Arc::clone(stop);
    std::thread::spawn(move || {
        let mut client = Client::try_connect(port).expect("it listens");
        let (mut reads, mut newest) = (0, -1);
        while !stop.load(Relaxed) {
            let always = client.command("GET key:7");
            assert_eq!(always.text(), "value:7", "{always:?}");
            let counter = client
                .command("GET counter")
                .text()
                .parse()
                .expect("a number");
            assert!(counter >= newest, "{counter} after {newest}");
            (reads, newest) = (reads + 1, counter);
        }
        reads
    })
}

/// Writes for that time. No write is in flight when it returns.
fn write_for(primary: &Server, period: Duration) {
    let deadline = Instant::now() + period;
    let mut client = primary.client();
    while Instant::now() < deadline {
        assert!(client.command("INCR counter").is_integer());
        client.command("APPEND growing 0123456789");
    }
}

#[test]
fn readers_notice_nothing_of_a_failover() {
    let Some(group) = Group::start("valkey-9.1", 2) else {
        return;
    };
    group.primary.command("SET counter 0");
    let followers = ["?prefer=primary", ""].map(|options| redtail(&group.address(3, options)));
    for redtail in &followers {
        assert_equal(redtail, &group.primary);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let readers = followers
        .each_ref()
        .map(|redtail| reader(redtail.port, &stop));
    let old = &group.primary;
    write_for(old, Duration::from_millis(500));
    for follower in group.replicas.iter().chain(&followers) {
        follower.wait_in_sync(old);
    }
    group.sentinels[0].wait_for("its consent to a failover", |client| {
        client.command("SENTINEL FAILOVER group").text() == "OK"
    });
    let new = group.replica_at(group.primary_after(old.port));
    write_for(new, Duration::from_millis(500));
    for redtail in &followers {
        assert_equal(redtail, new);
    }
    stop.store(true, Relaxed);
    for reader in readers {
        assert!(reader.join().expect("it saw nothing wrong") > 100);
    }
}

#[test]
fn the_replica_that_is_lost_is_replaced_and_without_any_the_primary_serves() {
    let Some(mut group) = Group::start("redis-8.0", 2) else {
        return;
    };
    let redtail = redtail(&group.address(3, ""));
    for _ in 0..2 {
        let port = followed(&redtail);
        let at = group.replicas.iter().position(|one| one.port == port);
        group.replicas.remove(at.expect("a replica")).stop();
        group.primary.command("INCR counter");
        redtail.wait_for("another server", |client| {
            client.info("replication", "master_link_status").as_deref() == Some("up")
                && client.info("replication", "master_port") != Some(port.to_string())
        });
        assert_equal(&redtail, &group.primary);
    }
    assert_eq!(followed(&redtail), group.primary.port);
    assert_eq!(full_syncs(&redtail), 1, "{}", redtail.log());
}

#[test]
fn goes_back_to_a_replica_that_has_been_healthy_for_a_while() {
    let Some(mut group) = Group::start("valkey-9.1", 0) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let _inside = runtime.enter();
    let mut config = Config::new(&group.address(3, "")).expect("an address");
    config.upstream.timing.sentinel_look = Duration::from_millis(200);
    let replica = Replica::start(config).expect("it starts");
    runtime.block_on(replica.ready()).expect("a first sync");
    let address = |replica: &Replica| {
        let address = replica.status().link.address;
        address.map_or(0, |address| address.host_and_port().1)
    };
    assert_eq!(address(&replica), group.primary.port);
    let real =
        Server::replica("valkey-9.1", &group.primary).expect("the server was there a moment ago");
    group.replicas.push(real);
    let deadline = Instant::now() + PATIENCE;
    while address(&replica) != group.replicas[0].port {
        assert!(Instant::now() < deadline, "{:?}", replica.status().link);
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(replica.status().loads, 1);
}

#[test]
fn what_sentinel_says_of_a_server_is_checked_there() {
    let Some(group) = Group::start("redis-7.0", 1) else {
        return;
    };
    // A server outside the group, which a wrong sentinel reports as a replica of the primary.
    let stranger = Server::start("redis-7.0", &[]).expect("the server was there a moment ago");
    let liar = Scripted::start();
    let address = format!("sentinel://{}/group", liar.address());
    let redtail = Server::redtail_of(&address, &[]);
    let strings = |words: &[&str]| {
        let words: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        crate::client::encode(&words)
    };
    let (primary, port) = (group.primary.port.to_string(), stranger.port.to_string());
    let mut connection = liar.accept();
    assert_eq!(
        connection.command(),
        "SENTINEL get-master-addr-by-name group"
    );
    connection.send(strings(&["127.0.0.1", &primary]));
    assert_eq!(connection.command(), "SENTINEL master group");
    connection.send(strings(&["flags", "master"]));
    assert_eq!(connection.command(), "SENTINEL replicas group");
    connection.send("-ERR Unknown sentinel subcommand 'replicas'\r\n");
    assert_eq!(connection.command(), "SENTINEL slaves group");
    let replica = [
        ["ip", "127.0.0.1", "port", &port, "flags", "slave"],
        [
            "master-link-status",
            "ok",
            "master-host",
            "127.0.0.1",
            "master-port",
            &primary,
        ],
    ];
    connection.send("*1\r\n");
    connection.send(strings(&replica.concat()));
    assert_eq!(connection.command(), "SENTINEL sentinels group");
    connection.send("*0\r\n");
    redtail.wait_for_log("is a primary, but Sentinel says that it is a replica of 127.0.0.1:");
    assert_eq!(
        stranger.client().info("stats", "sync_full").as_deref(),
        Some("0")
    );
}

#[test]
fn says_what_is_wrong_with_the_sentinels() {
    let Some(group) = Group::start("valkey-9.1", 0) else {
        return;
    };
    let port = group.sentinels[0].port;
    let run = |address: &str| Server::redtail_of(address, &[]);
    run(&format!("sentinel://127.0.0.1:{port}/other")).wait_for_log("it knows no primary named");
    run(&format!("sentinel://127.0.0.1:{}/group", free_port())).wait_for_log("the sentinel at 127");
    // A server is not a sentinel.
    run(&format!(
        "sentinel://127.0.0.1:{}/group",
        group.primary.port
    ))
    .wait_for_log("This server is not a sentinel: give the port of a sentinel");
}

#[test]
fn sentinels_and_servers_may_want_tls_and_passwords_of_their_own() {
    let authority = Authority::new("authority");
    let Pair { cert, key } = authority.sign("server", &["127.0.0.1"]);
    let ca = authority.file();
    let name = "valkey-9.1";
    let port = free_port().to_string();
    let tls = |port: &str| {
        [
            "--tls-port",
            port,
            "--tls-cert-file",
            &cert,
            "--tls-key-file",
            &key,
            "--tls-ca-cert-file",
            &ca,
        ]
        .map(str::to_owned)
    };
    let words = tls(&port);
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    words.extend(["--tls-auth-clients", "no"]);
    let Some(primary) = Server::start(name, &words) else {
        return;
    };
    let mut admin = primary.client();
    admin.command("CONFIG SET requirepass for-servers");

    let file = configuration(&primary);
    let sentinel_tls = free_port();
    let monitored = format!(
        "sentinel monitor group 127.0.0.1 {port} 1\n\
         tls-port {sentinel_tls}\ntls-replication yes\ntls-auth-clients no\n\
         tls-cert-file {cert}\ntls-key-file {key}\ntls-ca-cert-file {ca}\n\
         sentinel auth-pass group for-servers\n"
    );
    std::fs::write(&file, monitored).expect("a file");
    let sentinel = Server::sentinel(name, &file.display().to_string())
        .expect("the server was there a moment ago");
    sentinel.command("CONFIG SET requirepass for-sentinels");
    sentinel.command("ACL SETUSER default resetpass >for-sentinels");

    let folder = tempfile::tempdir().expect("a temporary directory");
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "for-sentinels\n").expect("a file");
    let address = format!("sentinels://127.0.0.1:{sentinel_tls}/group");
    let redtail = redtail_with(
        &address,
        &[
            "--tls-ca-cert-file",
            &ca,
            "--primary-password",
            "for-servers",
            "--sentinel-password-file",
            &secret.display().to_string(),
        ],
    );
    assert_eq!(followed(&redtail).to_string(), port);
    assert!(!redtail.log().contains("for-se"), "{}", redtail.log());
    let without = Server::redtail_of(&address, &["--tls-ca-cert-file", &ca]);
    without.wait_for_log("--sentinel-password");
}

#[test]
fn pull_logs_in_at_sentinels_with_a_password_of_their_own() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    primary.command("SET behind a-sentinel");
    primary.command("CONFIG SET requirepass for-servers");
    let file = configuration(&primary);
    let monitored = format!(
        "sentinel monitor group 127.0.0.1 {} 1\nsentinel auth-pass group for-servers\n",
        primary.port
    );
    std::fs::write(&file, monitored).expect("a file");
    let sentinel = Server::sentinel("redis-7.0", &file.display().to_string())
        .expect("the server was there a moment ago");
    sentinel.command("ACL SETUSER reader on >for-a-reader ~* &* +@all");
    sentinel.command("ACL SETUSER default resetpass >for-sentinels");

    let folder = tempfile::tempdir().expect("a temporary directory");
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "for-sentinels\n").expect("a file");
    let (secret, out) = (secret.display().to_string(), folder.path().join("out.rdb"));
    let pulled = |arguments: &[&str], variables: &[(&str, &str)]| {
        let output = Command::new(env!("CARGO_BIN_EXE_redtail"))
            .args(["rdb", "pull", "-o"])
            .arg(&out)
            .arg(format!("sentinel://127.0.0.1:{}/group", sentinel.port))
            .args(["--primary-password", "for-servers"])
            .args(arguments)
            .envs(variables.iter().copied())
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!said.contains("for-se"), "{said}");
        let dump = std::fs::read(&out).ok();
        _ = std::fs::remove_file(&out);
        (dump, said)
    };
    let file = ["--sentinel-password-file", &secret[..]];
    let named = [
        "--sentinel-user",
        "reader",
        "--sentinel-password",
        "for-a-reader",
    ];
    let in_variable = [("REDTAIL_SENTINEL_PASSWORD", "for-sentinels")];
    for (arguments, variables) in [(&file[..], &[][..]), (&named, &[]), (&[], &in_variable)] {
        let (dump, said) = pulled(arguments, variables);
        let dump = dump.unwrap_or_else(|| panic!("{said}"));
        assert!(dump.windows(10).any(|text| text == b"a-sentinel"));
    }
    let (dump, said) = pulled(&[], &[]);
    assert!(
        dump.is_none() && said.contains("--sentinel-password"),
        "{said}"
    );
}

/// What a sentinel that constantly checks its servers knows about replicas: their number, and the text of their list.
fn listed(sentinel: &Server) -> (String, String) {
    let fields = sentinel.command("SENTINEL MASTER group").text();
    let mut lines = fields.lines().skip_while(|line| *line != "num-slaves");
    let count = lines.nth(1).unwrap_or_default().to_owned();
    (count, sentinel.command("SENTINEL REPLICAS group").text())
}

#[test]
fn sentinel_lists_an_unannounced_redtail_as_down_and_keeps_an_announced_one_to_itself() {
    for name in servers() {
        let Some(group) = Group::start(&name, 1) else {
            return;
        };
        let [sentinel, ..] = &group.sentinels[..] else {
            unreachable!("a group has three sentinels")
        };
        sentinel.command("SENTINEL DEBUG INFO-PERIOD 100");
        // The sentinel sends no pings on a connection whose SUBSCRIBE was refused, and reconnects once per second.
        sentinel.command("SENTINEL SET group down-after-milliseconds 5000");
        let primary = format!("redis://127.0.0.1:{}", group.primary.port);
        let port = free_port().to_string();
        let listen = format!("127.0.0.1:{port}");
        let announced = redtail_with(&primary, &["--listen", &listen, "--announce-port", &port]);
        sentinel.wait_for_log(&format!("+slave slave 127.0.0.1:{port}"));
        // Only redtail's own INFO can say that it must not be listed.
        sentinel.wait_for("two replicas, of which one is listed", |_| {
            let (count, list) = listed(sentinel);
            count == "2" && !list.contains(&port)
        });
        let unannounced = redtail(&primary);
        sentinel.wait_for_log("+sdown slave 127.0.0.1:0");
        let (count, list) = listed(sentinel);
        assert!(
            count == "3" && list.contains("127.0.0.1:0"),
            "{name}: {list}"
        );
        let down = format!("+sdown slave 127.0.0.1:{port}");
        assert!(!sentinel.log().contains(&down), "{name}");
        drop((announced, unannounced));
    }
}
