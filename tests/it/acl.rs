//! ACL rules: redtail and a real replica with the same ACL file allow and deny the same, in the same words.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::client::{Client, Reply, show, words};
use crate::servers::{ALL, Server};

/// The users of every version.
const USERS: &[&str] = &[
    "user default on nopass ~* +@all",
    "user admin on >secret ~* +@all",
    "user reader on >one >two ~app:* +@read -@dangerous",
    "user hashed on #2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b ~* +get +mget -mget",
    "user some on nopass ~app:* ~other:?[ab]* +@all -@admin -@string +get +strlen -@hash",
    "user nothing on nopass",
    "user keyless on nopass +@all",
    "user off off nopass ~* +@all",
    "user one on nopass ~* -@all +config|get +client|id +client|setname +select|0 +object|encoding +ping",
    "user twisted on nopass ~* +@all -@all +@keyspace +@fast -get +@read -@slow +scan +eval",
    "user case on nopass ~APP:* +@ALL -GET +Set",
];

/// Where HELLO's reply has the connection's id.
const HELLO_ID: usize = 7;

/// Users that only versions since Redis 7.0 know.
const MODERN: &[&str] = &[
    "user split on nopass %R~app:* %W~other:* &news:* +@all",
    "user selector on nopass +@all ~app:* (~other:* +get -@string +strlen) (%RW~third:* +@write &news:*)",
    "user subs on nopass ~* +@all -config|set -client|kill -client +client|list -object|help -xinfo",
    "user spread on nopass ( ~app:*   +get ) (+set ~x)",
    "user cleared on nopass ~* +get (+set ~*) clearselectors resetkeys ~app:*",
    "user reset on nopass ~* +@all reset on nopass ~app:* +get",
    "user sanitized on nopass sanitize-payload ~* +@all -@scripting",
    "user channels on nopass ~* &news:* &news:* +@pubsub +@transaction",
];

/// Users that only Valkey 9.1 knows.
const DATABASES: &[&str] = &[
    "user db0 on nopass ~* &* +@all db=0",
    "user nodb on nopass ~* &* +@all resetdbs",
    "user dbs on nopass ~* +@all db=1,0 (db=2 ~* +get +select)",
];

fn users(name: &str) -> Vec<&'static str> {
    let mut users = USERS.to_vec();
    if name != "redis-6.0" {
        users.extend(MODERN);
    }
    if name == "valkey-9.1" {
        users.extend(DATABASES);
    }
    users
}

fn names(users: &[&str]) -> Vec<String> {
    users
        .iter()
        .map(|line| line.split(' ').nth(1).unwrap().to_owned())
        .collect()
}

/// A primary, a real replica of it and redtail; the latter two with the same ACL file.
struct Three {
    _folder: TempDir,
    primary: Server,
    replica: Server,
    redtail: Server,
    file: PathBuf,
    own_file: PathBuf,
}

impl Three {
    fn start(name: &str, lines: &[&str]) -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let (file, own_file) = (
            folder.path().join("users.acl"),
            folder.path().join("own.acl"),
        );
        write(&file, lines);
        write(&own_file, lines);
        let primary = Server::start(name, &[])?;
        for line in DATA {
            primary
                .client()
                .words(&words(line).iter().map(Vec::as_slice).collect::<Vec<_>>());
        }
        let port = primary.port.to_string();
        let path = file.display().to_string();
        let replica = Server::start(
            name,
            &["--replicaof", "127.0.0.1", &port, "--aclfile", &path],
        )?;
        replica.wait_for("its primary", |client| {
            client
                .info("replication", "master_link_status")
                .is_some_and(|status| status == "up")
        });
        let redtail =
            Server::redtail_with(&primary, &["--aclfile", &own_file.display().to_string()]);
        Some(Self {
            _folder: folder,
            primary,
            replica,
            redtail,
            file,
            own_file,
        })
    }

    /// Asks both, on the given connections, and requires the same reply.
    fn same(&self, clients: &mut [Client; 2], line: &str) -> Reply {
        let line = words(line);
        let line: Vec<&[u8]> = line.iter().map(Vec::as_slice).collect();
        let [expected, found] = clients.each_mut().map(|client| client.words(&line));
        let is_hello = line
            .first()
            .is_some_and(|word| word.eq_ignore_ascii_case(b"hello"));
        if is_hello && !expected.is_error() && !found.is_error() {
            // Each server counts its own connections.
            let [theirs, ours] = [&expected, &found].map(|reply| {
                let mut parts = reply.elements();
                parts.remove(HELLO_ID);
                parts
            });
            assert_eq!(ours, theirs, "{}", show(&line));
        } else {
            assert_eq!(found, expected, "{}", show(&line));
        }
        found
    }

    fn clients(&self) -> [Client; 2] {
        [self.replica.client(), self.redtail.client()]
    }

    fn clients_as(&self, user: &str) -> [Client; 2] {
        let mut clients = self.clients();
        let password = if ["admin", "hashed"].contains(&user) {
            "secret"
        } else {
            "two"
        };
        self.same(&mut clients, &format!("AUTH {user} {password}"));
        clients
    }
}

fn write(file: &Path, lines: &[&str]) {
    fs::write(file, lines.join("\n") + "\n").unwrap();
}

/// What the primary holds.
const DATA: &[&str] = &[
    "SET app:a 1",
    "SET other:1a 2",
    "RPUSH app:list b a c",
    "SADD app:set 1 2 3",
    "SET third:x 3",
    "HSET app:hash f v",
];

/// Returns all commands of a server with their arity, subcommands too.
fn commands(client: &mut Client) -> Vec<(String, i64)> {
    fn add(all: &mut Vec<(String, i64)>, shown: &Reply) {
        let parts = shown.elements();
        let name = String::from_utf8(parts[0].bulk().unwrap()).unwrap();
        all.push((name, parts[1].integer().unwrap()));
        if let Some(inner) = parts.get(9) {
            inner.elements().iter().for_each(|sub| add(all, sub));
        }
    }
    let mut all = Vec::new();
    let shown = client.command("COMMAND");
    shown
        .elements()
        .iter()
        .for_each(|shown| add(&mut all, shown));
    all.sort();
    all
}

/// Returns requests for every command, with arguments of several kinds.
fn requests(client: &mut Client) -> Vec<Vec<Vec<u8>>> {
    let mut all = Vec::new();
    for (name, arity) in commands(client) {
        let own: Vec<&str> = name.split('|').collect();
        for pool in POOLS {
            for more in [0, 3] {
                let least = usize::try_from(arity.unsigned_abs()).unwrap();
                let most = if arity < 0 { least + more } else { least };
                let mut line = own.clone();
                line.extend(
                    pool.iter()
                        .copied()
                        .cycle()
                        .take(most.saturating_sub(own.len())),
                );
                all.push(
                    line.into_iter()
                        .map(|word| word.as_bytes().to_vec())
                        .collect(),
                );
            }
        }
    }
    all.sort();
    all.dedup();
    all
}

/// Arguments: keys that some users may read, numbers of keys, options.
const POOLS: &[&[&str]] = &[
    &["app:a", "other:1a", "1", "x"],
    &["other:1a", "app:a", "0"],
    &["third:x", "app:a"],
    &["1", "app:a", "other:1a"],
    &["2", "app:a", "x", "1"],
    &["0", "1", "2"],
    &["news:a", "app:a"],
    &["app:a", "BY", "n*"],
    &["app:a", "1", "db", "1"],
    &["redis", "app:a", "id", "get"],
];

/// These close the connection, take part in transactions themselves, or read everything that follows.
const NEVER_ASKED: &[&str] = &[
    "monitor",
    "quit",
    "reset",
    "shutdown",
    "sync",
    "psync",
    "replconf",
    "multi",
    "exec",
    "discard",
    "auth",
    "hello",
    "host:",
    "post",
    "client|reply",
    "watch",
    "subscribe",
    "psubscribe",
    "ssubscribe",
    "debug",
    "client",
    // Servers refuse these for another reason first, unless they are told to allow them.
    "module",
];

fn is_asked(line: &[Vec<u8>]) -> bool {
    let name = String::from_utf8_lossy(&line[0]).to_lowercase();
    let second = line
        .get(1)
        .map(|word| String::from_utf8_lossy(word).to_lowercase())
        .unwrap_or_default();
    !NEVER_ASKED.contains(&&*name) && !NEVER_ASKED.contains(&&*format!("{name}|{second}"))
}

/// Whether redtail counts the words of a request otherwise: Valkey 9.1 lets SCRIPT DEBUG itself refuse more than three.
fn is_counted_otherwise(name: &str, line: &[Vec<u8>]) -> bool {
    let starts = |at: usize, word: &[u8]| {
        let found = line.get(at);
        found.is_some_and(|found| found.eq_ignore_ascii_case(word))
    };
    name == "valkey-9.1" && starts(0, b"script") && starts(1, b"debug") && line.len() > 3
}

fn is_denial(reply: &Reply) -> bool {
    reply.0.starts_with(b"-NOPERM")
}

#[test]
fn every_command_is_allowed_and_denied_as_by_a_real_replica() {
    for name in ALL {
        let lines = users(name);
        let Some(three) = Three::start(name, &lines) else {
            return;
        };
        let requests: Vec<_> = requests(&mut three.replica.client())
            .into_iter()
            .filter(|line| is_asked(line) && !is_counted_otherwise(name, line))
            .collect();
        let (mut asked, mut denied, mut wrong) = (0, 0, Vec::new());
        for user in names(&lines) {
            if user == "off" {
                continue;
            }
            // A connection that is refused a hundred times has to wait, so each asks only a few.
            for requests in requests.chunks(30) {
                let mut script = Vec::new();
                for request in requests {
                    script.extend([words("MULTI"), request.clone(), words("DISCARD")]);
                }
                let mut clients = three.clients_as(&user);
                let [expected, found] = clients.each_mut().map(|client| client.pipeline(&script));
                for (index, request) in requests.iter().enumerate() {
                    let (expected, found) = (&expected[index * 3 + 1], &found[index * 3 + 1]);
                    asked += 1;
                    if is_denial(expected) || is_denial(found) {
                        denied += 1;
                        if found != expected {
                            wrong.push(format!(
                                "{user}: {}: {found:?}, not {expected:?}",
                                show(request)
                            ));
                        }
                    }
                }
            }
        }
        assert!(wrong.is_empty(), "{name}: {wrong:#?}");
        assert!(
            denied > 500 && asked - denied > 500,
            "{name}: {asked} asked, {denied} denied"
        );
    }
}

#[test]
fn dry_runs_are_those_of_a_real_replica() {
    for name in ALL.into_iter().filter(|name| *name != "redis-6.0") {
        let lines = users(name);
        let Some(three) = Three::start(name, &lines) else {
            return;
        };
        let requests = requests(&mut three.replica.client());
        let [mut real, mut own] = three.clients_as("admin");
        for (index, user) in names(&lines).into_iter().enumerate() {
            let start = words(&format!("ACL DRYRUN {user}"));
            let asked: Vec<Vec<Vec<u8>>> = requests
                .iter()
                .skip(index % 5)
                .step_by(5)
                .map(|line| [start.clone(), line.clone()].concat())
                .collect();
            let (expected, found) = (real.pipeline(&asked), own.pipeline(&asked));
            for ((expected, found), asked) in expected.iter().zip(&found).zip(&asked) {
                // redtail refuses this with any number of words.
                if asked[3..].starts_with(&words("script debug")) {
                    continue;
                }
                assert_eq!(found, expected, "{name}: {}", show(asked));
            }
        }
    }
}

/// Returns a line's words after the first ones, which come in an order of their own where a server walks a hash table.
fn in_any_order(reply: &Reply) -> Vec<BTreeSet<String>> {
    let line = |line: &Reply| line.text().split([' ', '\n']).map(str::to_owned).collect();
    reply.elements().iter().map(line).collect()
}

#[test]
fn users_are_shown_as_by_a_real_replica() {
    for name in ALL {
        let lines = users(name);
        let Some(three) = Three::start(name, &lines) else {
            return;
        };
        let mut clients = three.clients_as("admin");
        three.same(&mut clients, "ACL USERS");
        three.same(&mut clients, "ACL WHOAMI");
        let [expected, found] = clients.each_mut().map(|client| client.command("ACL LIST"));
        let keeps_rules = !["redis-6.0", "redis-7.0"].contains(&name);
        if keeps_rules {
            assert_eq!(found, expected, "{name}");
        } else {
            assert_eq!(in_any_order(&found), in_any_order(&expected), "{name}");
        }
        for resp3 in [false, true] {
            if resp3 {
                clients = clients.map(Client::resp3);
            }
            for user in names(&lines).iter().chain([&"missing".to_owned()]) {
                let line = format!("ACL GETUSER {user}");
                if keeps_rules {
                    three.same(&mut clients, &line);
                } else {
                    let [expected, found] = clients.each_mut().map(|client| client.command(&line));
                    assert_eq!(
                        in_any_order(&found),
                        in_any_order(&expected),
                        "{name}: {line}"
                    );
                    assert_eq!(found.0.len(), expected.0.len(), "{name}: {line}");
                }
            }
        }
    }
}

/// Replies to what changes users and shows denials, for one user.
const TALK: &[&str] = &[
    "AUTH reader wrong",
    "AUTH missing two",
    "AUTH off two",
    "AUTH reader two",
    "ACL WHOAMI",
    "GET app:a",
    "GET other:1a",
    "MGET app:a other:1a",
    "SET app:a 1",
    "OBJECT ENCODING app:a",
    "OBJECT ENCODING other:1a",
    "CONFIG GET maxclients",
    "CONFIG SET maxclients 1",
    "NOSUCH app:a",
    "MULTI",
    "AUTH some two",
    "MULTI",
    "GET app:a",
    "STRLEN app:a",
    "STRLEN third:x",
    "EXEC",
    "MULTI",
    "STRLEN app:a",
    "STRLEN other:1a",
    "EXEC",
    "SORT app:list BY n*",
    "SORT app:list BY nosort ALPHA",
    "SORT app:list GET x* ALPHA",
    "SORT app:list LIMIT x 1 GET x*",
    "SORT app:list ALPHA",
    "DBSIZE",
    "EXISTS app:a app:list",
    "EXISTS app:a third:x",
    "AUTH twisted two",
    "GET app:a",
    "SCAN 0 COUNT 100 TYPE list",
    "AUTH one two",
    "SELECT 0",
    "SELECT 1",
    "CONFIG GET port0",
    "CONFIG SET port 1",
    "PING",
    "GET app:a",
    "AUTH nothing two",
    "PING",
    "AUTH keyless two",
    "DBSIZE",
    "GET app:a",
    "AUTH case two",
    "GET APP:a",
    "TYPE APP:a",
    "TYPE app:a",
    "AUTH hashed secret",
    "GET app:a",
    "MGET app:a",
    "AUTH hashed two",
    "ACL WHOAMI",
    "ACL GETUSER admin",
    "AUTH default two",
    "AUTH two",
    "ACL SETUSER",
    "ACL SETUSER new",
    "ACL SETUSER new on >pw ~a* +get +foo",
    "ACL SETUSER new on >pw ~a* +@foo",
    "ACL SETUSER new on >pw ~* ~x",
    "ACL SETUSER new <none",
    "ACL SETUSER new #12",
    "ACL SETUSER new !12",
    "ACL SETUSER new wrong",
    "ACL SETUSER new +select|",
    "ACL SETUSER new -select|0",
    "ACL SETUSER new +client|id|x",
    "ACL SETUSER new (+get",
    "ACL SETUSER new (+get)",
    "ACL SETUSER new ( +get ~k ) (%R~q)",
    "ACL SETUSER new %~x",
    "ACL SETUSER new %RR~x",
    "ACL SETUSER new &a &a",
    "ACL SETUSER new &* &a",
    "ACL SETUSER new db=1",
    "ACL SETUSER new db=99999999999",
    "ACL SETUSER new db=x",
    "ACL SETUSER new skip-sanitize-payload",
    "ACL SETUSER new on >pw ~app:* +get",
    "ACL GETUSER new",
    "AUTH new pw",
    "GET app:a",
    "AUTH default x",
    "ACL SETUSER new reset",
    "ACL GETUSER new",
    "ACL DELUSER default",
    "ACL DELUSER new missing",
    "ACL DELUSER new",
    "ACL GETUSER new",
    "CLIENT KILL USER missing",
    "ACL CAT nosuch",
    "ACL DRYRUN missing get a",
    "ACL DRYRUN admin nosuch a",
    "ACL DRYRUN admin get",
    "ACL LOG x",
    "ACL LOG 0",
    "ACL LOG -1",
    "ACL LOG 1 2",
    "ACL LOAD",
    "ACL GENPASS 0",
    "RESET",
    "ACL WHOAMI",
    "HELLO 2 AUTH reader wrong",
    "HELLO 2 AUTH reader one",
    "ACL WHOAMI",
];

/// Scripts, and who runs them.
const SCRIPTS: &[(&str, &[&str])] = &[
    (
        "some",
        &["EVAL", "return redis.call('strlen','app:a')", "0"],
    ),
    (
        "some",
        &["EVAL", "return redis.call('strlen','third:x')", "0"],
    ),
    (
        "some",
        &["EVAL", "return redis.call('get','app:a')", "1", "app:a"],
    ),
    (
        "some",
        &["EVAL", "return redis.pcall('get','app:a')", "1", "app:a"],
    ),
    (
        "some",
        &[
            "EVAL",
            "return redis.call('sort','app:list','get','x*')",
            "1",
            "app:list",
        ],
    ),
    (
        "some",
        &["EVAL", "return redis.call('set','app:a','1')", "1", "app:a"],
    ),
    ("some", &["EVAL", "return 1", "1", "third:x"]),
    ("reader", &["EVAL", "return 1", "0"]),
    ("twisted", &["EVAL", "return redis.call('ping')", "0"]),
    ("one", &["EVAL", "return redis.call('ping')", "0"]),
];

/// Returns ACL LOG without what differs between any two servers: times, and where the client is.
fn log_of(client: &mut Client) -> Vec<Vec<String>> {
    let log = client.command("ACL LOG 100");
    let text = |entry: &Reply| {
        let mut parts: Vec<String> = entry.elements().iter().map(Reply::text).collect();
        for index in 0..parts.len() {
            let name = parts[index].clone();
            match name.as_str() {
                "client-info" => {
                    let fields = parts[index + 1]
                        .split(' ')
                        .filter_map(|field| field.split_once('='));
                    let kept =
                        fields.filter(|(name, _)| ["name", "db", "cmd", "user"].contains(name));
                    parts[index + 1] = kept
                        .map(|(name, value)| format!("{name}={value} "))
                        .collect();
                }
                "age-seconds" | "timestamp-created" | "timestamp-last-updated" => {
                    assert!(parts[index + 1].parse::<f64>().is_ok(), "{parts:?}");
                    parts[index + 1] = "a time".to_owned();
                }
                _ => {}
            }
        }
        parts
    };
    log.elements().iter().map(text).collect()
}

#[test]
fn a_long_talk_gets_the_replies_of_a_real_replica() {
    for name in ALL {
        let Some(three) = Three::start(name, &users(name)) else {
            return;
        };
        let mut clients = three.clients();
        for line in TALK {
            if line.starts_with("ACL GETUSER") {
                let [expected, found] = clients.each_mut().map(|client| client.command(line));
                assert_eq!(
                    in_any_order(&found),
                    in_any_order(&expected),
                    "{name}: {line}"
                );
                continue;
            }
            three.same(&mut clients, line);
        }
        let mut admins = three.clients_as("admin");
        for (user, words) in SCRIPTS {
            let mut clients = three.clients_as(user);
            let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
            let [expected, found] = clients.each_mut().map(|client| client.words(&words));
            assert_eq!(found, expected, "{name}: {user}: {}", show(&words));
        }
        let [expected, found] = admins.each_mut().map(log_of);
        assert_eq!(found, expected, "{name}");
        assert!(found.len() > 10, "{name}: {found:?}");
        for field in ["auth", "cmd", "key", "channel", "db"] {
            let field = format!("acl_access_denied_{field}");
            let [expected, found] = admins.each_mut().map(|client| client.info("stats", &field));
            assert_eq!(found, expected, "{name}: {field}");
        }
        three.same(&mut admins, "ACL LOG RESET");
        three.same(&mut admins, "ACL LOG");
    }
}

#[test]
fn a_file_with_mistakes_changes_nothing() {
    let wrong = [
        "user bad on nopass +nosuch",
        "user bad on nopass (+get",
        "user bad on nopass ~* ~x",
        "usr bad on",
        "user",
        "user admin on >secret ~* +@all\nuser admin off",
        "# a comment",
    ];
    for name in ["redis-7.0", "valkey-9.1"] {
        let good = &users(name)[..3];
        let Some(three) = Three::start(name, good) else {
            return;
        };
        let mut admins = three.clients_as("admin");
        for line in wrong {
            let lines = [good[0], "", line];
            write(&three.file, &lines);
            write(&three.own_file, &lines);
            if line.contains('(') {
                // Real servers end themselves over this line.
                let found = admins[1].command("ACL LOAD").text();
                assert!(
                    found.contains("own.acl:3: Unmatched parenthesis in selector"),
                    "{found}"
                );
                continue;
            }
            let [expected, found] = admins
                .each_mut()
                .map(|client| client.command("ACL LOAD").text());
            let named = found.replace(
                &three.own_file.display().to_string(),
                &three.file.display().to_string(),
            );
            assert_eq!(named, expected, "{line}");
            three.same(&mut admins, "ACL USERS");
        }
        // The same files are refused at the start, with the number of the line.
        let address = format!("redis://127.0.0.1:{}", three.primary.port);
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_redtail"))
            .args([
                "serve",
                "--primary",
                &address,
                "--listen",
                "127.0.0.1:0",
                "--aclfile",
            ])
            .arg(&three.own_file)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && said.contains("own.acl:3"),
            "{said}"
        );
    }
}

/// Whether a connection still answers.
fn is_open(client: &mut Client) -> bool {
    client.try_command(&[b"PING"]).is_ok()
}

#[test]
fn loading_the_file_closes_the_connections_that_a_real_replica_closes() {
    for name in ALL {
        let lines = [
            "user admin on nopass ~* +@all",
            "user kept on nopass ~* +ping",
            "user gone on nopass ~* +ping",
        ];
        let Some(three) = Three::start(name, &lines) else {
            return;
        };
        let mut admins = three.clients_as("admin");
        let mut kept = three.clients_as("kept");
        let mut gone = three.clients_as("gone");
        let mut others = three.clients();
        let fewer = [
            "user admin on nopass ~* +@all",
            "user kept on nopass ~* +echo +ping",
        ];
        write(&three.file, &fewer);
        write(&three.own_file, &fewer);
        three.same(&mut admins, "ACL LOAD");
        for clients in [&mut admins, &mut kept, &mut gone, &mut others] {
            let [expected, found] = clients.each_mut().map(is_open);
            assert_eq!(found, expected, "{name}");
        }
        assert!(!is_open(&mut gone[1]), "{name}");
    }
}

#[test]
fn a_change_takes_effect_at_the_next_command_and_in_exec() {
    for name in ALL {
        let lines = ["user admin on nopass ~* +@all", "user u on nopass ~* +@all"];
        let Some(three) = Three::start(name, &lines) else {
            return;
        };
        let mut admins = three.clients_as("admin");
        let mut clients = three.clients_as("u");
        for line in ["MULTI", "SELECT 1", "GET app:a", "STRLEN app:a"] {
            three.same(&mut clients, line);
        }
        three.same(&mut admins, "ACL SETUSER u -get -select");
        three.same(&mut clients, "EXEC");
        three.same(&mut clients, "GET app:a");
        three.same(&mut clients, "STRLEN app:a");
        let [expected, found] = clients.each_mut().map(|client| {
            let line = client.command("CLIENT LIST").text();
            line.lines()
                .filter(|line| line.contains("user=u ") || line.ends_with("user=u"))
                .count()
        });
        assert_eq!((expected, found), (1, 1), "{name}");
        three.same(&mut admins, "ACL DELUSER u");
        let [expected, found] = clients.each_mut().map(is_open);
        assert_eq!((expected, found), (false, false), "{name}");
    }
}

#[test]
fn the_users_are_saved_in_the_file() {
    let Some(three) = Three::start("redis-8.0", &users("redis-8.0")) else {
        return;
    };
    let mut admins = three.clients_as("admin");
    for line in [
        "ACL SETUSER later on >pw ~a* (%R~b* +get) +@read -get",
        "ACL DELUSER reader",
        "ACL SAVE",
    ] {
        three.same(&mut admins, line);
    }
    let read = |file: &Path| fs::read_to_string(file).unwrap();
    assert_eq!(read(&three.own_file), read(&three.file));
    three.same(&mut admins, "ACL LOAD");
    three.same(&mut admins, "ACL LIST");
}

#[test]
fn a_password_setting_opens_no_door_that_the_file_leaves_open() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("users.acl");
    let path = file.display().to_string();
    let start = |lines: &[&str]| {
        write(&file, lines);
        let address = format!("redis://127.0.0.1:{}", primary.port);
        Server::redtail_of(&address, &["--aclfile", &path, "--requirepass", "word"])
    };
    let redtail = start(&["user u on nopass +@all"]);
    assert_eq!(
        redtail.command("PING").text(),
        "NOAUTH Authentication required."
    );
    let mut client = redtail.client();
    assert_eq!(client.command("AUTH word").text(), "OK");
    assert_eq!(client.command("ACL LOAD").text(), "OK");
    assert_eq!(
        redtail.command("PING").text(),
        "NOAUTH Authentication required."
    );
    let redtail = start(&["user default on >other ~* +@all"]);
    assert!(
        redtail.log().contains("--requirepass is not used"),
        "{}",
        redtail.log()
    );
    let mut client = redtail.client();
    assert!(client.command("AUTH word").is_error());
    assert_eq!(client.command("AUTH other").text(), "OK");
}

#[test]
fn whoever_guesses_passwords_waits_and_a_right_one_still_gets_in() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("password");
    write(&file, &["right"]);
    let address = format!("redis://127.0.0.1:{}", primary.port);
    let redtail = Server::redtail_of(
        &address,
        &["--requirepass-file", &file.display().to_string()],
    );
    let mut admin = redtail.client();
    assert_eq!(admin.command("AUTH right").text(), "OK");
    // A hundred are free. Each guess that waits is answered in its turn.
    let guesses: Vec<Vec<Vec<u8>>> = (0..300)
        .map(|number| words(&format!("AUTH {number}")))
        .collect();
    let mut guesser = redtail.client();
    let mut replies = Vec::new();
    for guesses in guesses.chunks(100) {
        replies.extend(guesser.pipeline(guesses));
    }
    assert!(
        replies
            .iter()
            .all(|reply| reply.text().starts_with("WRONGPASS")),
        "{replies:?}"
    );
    let mut count = |name: &str| admin.info("redtail", name).unwrap().parse::<u64>().unwrap();
    assert_eq!(count("redtail_auth_failures"), 300);
    assert!(count("redtail_auth_delayed") > 0);
    assert_eq!(count("redtail_auth_refused"), 0);
    let mut another = redtail.client();
    assert_eq!(another.command("AUTH right").text(), "OK");
}

/// A subscriber, and what happens to its user. Lines of `u` are the subscriber's own; the others an admin's.
const NARROWED: &[&[&str]] = &[
    // Taken away and given back at once.
    &[
        "u SUBSCRIBE a:1",
        "MULTI",
        "ACL SETUSER u resetchannels",
        "ACL SETUSER u &a:*",
        "EXEC",
    ],
    &[
        "u SUBSCRIBE a:1",
        "MULTI",
        "ACL SETUSER u resetchannels",
        "PUBLISH a:1 m",
        "ACL SETUSER u &a:*",
        "EXEC",
    ],
    &[
        "u SUBSCRIBE a:1",
        "MULTI",
        "ACL SETUSER u reset",
        "ACL SETUSER u on nopass ~* &a:* +@all",
        "EXEC",
    ],
    &[
        "u SSUBSCRIBE a:1",
        "MULTI",
        "ACL SETUSER u resetchannels &b:*",
        "ACL SETUSER u &a:*",
        "EXEC",
    ],
    &[
        "u PSUBSCRIBE a:*",
        "MULTI",
        "ACL SETUSER u resetchannels &*:1",
        "ACL SETUSER u resetchannels &a:*",
        "EXEC",
    ],
    &[
        "u SUBSCRIBE a:1",
        "MULTI",
        "ACL DELUSER u",
        "ACL SETUSER u on nopass ~* &a:* +@all",
        "EXEC",
    ],
    // What is left covers the subscription, or does not, or nothing is taken away.
    &["u SUBSCRIBE a:1", "ACL SETUSER u resetchannels &a:1"],
    &["u PSUBSCRIBE a:*", "ACL SETUSER u resetchannels &a:* &c:*"],
    &["u PSUBSCRIBE a:*", "ACL SETUSER u resetchannels &*"],
    &["u PSUBSCRIBE a:*", "ACL SETUSER u resetchannels &a:?"],
    &[
        "u SUBSCRIBE a:1",
        "ACL SETUSER u resetchannels &b:* (&a:* +@all)",
    ],
    &["u SUBSCRIBE a:1", "ACL SETUSER u -@all resetkeys off"],
    &[
        "u SUBSCRIBE a:1",
        "u UNSUBSCRIBE a:1",
        "ACL SETUSER u resetchannels",
    ],
    // A subscription that another user made before AUTH.
    &[
        "u AUTH default x",
        "u SUBSCRIBE x:1",
        "u AUTH u x",
        "ACL SETUSER u &c:*",
    ],
    &[
        "u AUTH default x",
        "u SUBSCRIBE x:1",
        "u AUTH u x",
        "ACL SETUSER u resetchannels &a:*",
    ],
    &[
        "u SUBSCRIBE a:1",
        "u AUTH default x",
        "ACL SETUSER u resetchannels",
    ],
    // Other users are not meant.
    &["u SUBSCRIBE a:1", "ACL SETUSER other resetchannels"],
    &[
        "u AUTH default x",
        "u SUBSCRIBE x:1",
        "MULTI",
        "ACL SETUSER default resetchannels",
        "ACL SETUSER default allchannels",
        "EXEC",
    ],
    // The subscriber's own change.
    &["u SUBSCRIBE a:1", "u ACL SETUSER u &c:*"],
];

#[test]
fn subscribers_without_right_are_disconnected_though_it_is_given_back_at_once() {
    for name in ALL.iter().filter(|name| **name != "redis-6.0") {
        let lines = [
            "user admin on >secret ~* &* +@all",
            "user other on nopass ~* &a:* +@all",
        ];
        let Some(three) = Three::start(name, &lines) else {
            return;
        };
        for story in NARROWED {
            let mut admins = three.clients_as("admin");
            three.same(
                &mut admins,
                "ACL SETUSER u reset on nopass ~* &a:* &b:* +@all",
            );
            three.same(
                &mut admins,
                "ACL SETUSER default reset on nopass ~* &* +@all",
            );
            let mut subscribers = three.clients_as("u").map(Client::resp3);
            for line in *story {
                match line.strip_prefix("u ") {
                    Some(line) => three.same(&mut subscribers, line),
                    None => three.same(&mut admins, line),
                };
            }
            let [expected, found] = subscribers.each_mut().map(is_open);
            assert_eq!(found, expected, "{name}: {story:?}");
        }
    }
}
