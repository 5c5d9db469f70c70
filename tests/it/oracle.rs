//! The oracle: whatever a real server answers, `redtail` must answer, byte for byte.

use std::collections::{BTreeMap, BTreeSet};

use crate::client::{Client, Reply, show, words};
use crate::random::{DATABASES, Writer};
use crate::servers::Server;

/// How two replies are compared.
#[derive(Clone, Copy, PartialEq)]
enum Same {
    /// Byte for byte.
    Exactly,
    /// Byte for byte where the encoding is packed; in any order of groups of this many elements otherwise.
    InOrderIfPacked(usize),
    /// The same elements.
    InAnyOrder,
    /// Integers this far apart at most: the clock moves between the two commands.
    Nearly(i64),
    /// Byte for byte when packed or when all scores are equal: a skiplist's answer is unspecified otherwise.
    ByLex,
    /// All that a whole cursor iteration gives, in groups of this many elements.
    Scanned(usize),
}
use Same::{ByLex, Exactly, InAnyOrder, InOrderIfPacked, Nearly, Scanned};

/// Every read, for a key `{k}` of any type.
const PROBES: &[(&str, Same)] = &[
    ("EXISTS {k} {k} none", Exactly),
    ("TYPE {k}", Exactly),
    ("TTL {k}", Nearly(1)),
    ("PTTL {k}", Nearly(3000)),
    ("EXPIRETIME {k}", Exactly),
    ("PEXPIRETIME {k}", Exactly),
    ("TOUCH {k} none", Exactly),
    ("GET {k}", Exactly),
    ("MGET {k} none {k}", Exactly),
    ("STRLEN {k}", Exactly),
    ("GETRANGE {k} 0 -1", Exactly),
    ("GETRANGE {k} -3 -2", Exactly),
    ("GETRANGE {k} 2 1000", Exactly),
    ("GETRANGE {k} 5 2", Exactly),
    ("SUBSTR {k} 1 3", Exactly),
    ("GETBIT {k} 3", Exactly),
    ("BITCOUNT {k}", Exactly),
    ("BITPOS {k} 1", Exactly),
    ("BITFIELD_RO {k} GET u8 0", Exactly),
    ("LLEN {k}", Exactly),
    ("LRANGE {k} 0 -1", Exactly),
    ("LRANGE {k} -3 2", Exactly),
    ("LRANGE {k} 1 3", Exactly),
    ("LINDEX {k} 0", Exactly),
    ("LINDEX {k} -2", Exactly),
    ("LINDEX {k} 300", Exactly),
    ("LPOS {k} m1", Exactly),
    ("LPOS {k} 5 RANK -1 COUNT 0", Exactly),
    ("SCARD {k}", Exactly),
    ("SMEMBERS {k}", InOrderIfPacked(1)),
    ("SISMEMBER {k} 7", Exactly),
    ("SISMEMBER {k} m3", Exactly),
    ("SMISMEMBER {k} 7 m3 007", Exactly),
    ("SRANDMEMBER {k} 1000000", InAnyOrder),
    ("SSCAN {k} 0 COUNT 7", Scanned(1)),
    ("SINTERCARD 1 {k}", Exactly),
    ("SUNION {k} none", InAnyOrder),
    ("SINTER {k} {k}", InOrderIfPacked(1)),
    ("SDIFF {k} none", InAnyOrder),
    ("HLEN {k}", Exactly),
    ("HGET {k} 7", Exactly),
    ("HGET {k} m3", Exactly),
    ("HMGET {k} 7 m3 none f5", Exactly),
    ("HEXISTS {k} m3", Exactly),
    ("HSTRLEN {k} 7", Exactly),
    ("HGETALL {k}", InOrderIfPacked(2)),
    ("HKEYS {k}", InOrderIfPacked(1)),
    ("HVALS {k}", InOrderIfPacked(1)),
    ("HRANDFIELD {k} 1000000", InAnyOrder),
    ("HSCAN {k} 0 COUNT 7", Scanned(2)),
    ("HTTL {k} FIELDS 2 m3 none", Exactly),
    ("HPTTL {k} FIELDS 1 7", Exactly),
    ("HEXPIRETIME {k} FIELDS 1 7", Exactly),
    ("HPEXPIRETIME {k} FIELDS 3 m3 none 7", Exactly),
    ("HTTL {k} FIELDS 2 m3", Exactly),
    ("ZCARD {k}", Exactly),
    ("ZSCORE {k} m3", Exactly),
    ("ZMSCORE {k} m3 7 none", Exactly),
    ("ZRANK {k} 7", Exactly),
    ("ZREVRANK {k} m3", Exactly),
    ("ZRANK {k} m3 WITHSCORE", Exactly),
    ("ZCOUNT {k} -3 (5", Exactly),
    ("ZLEXCOUNT {k} - +", ByLex),
    ("ZRANGE {k} 0 -1", Exactly),
    ("ZRANGE {k} 0 -1 WITHSCORES", Exactly),
    ("ZRANGE {k} -4 -2 REV WITHSCORES", Exactly),
    ("ZRANGE {k} (1 +inf BYSCORE LIMIT 1 5 WITHSCORES", Exactly),
    ("ZRANGE {k} 9 -inf BYSCORE REV LIMIT 0 -1", Exactly),
    ("ZRANGE {k} [m1 (m3 BYLEX", ByLex),
    ("ZRANGE {k} + - BYLEX REV LIMIT 2 3", ByLex),
    ("ZREVRANGE {k} 0 3 WITHSCORES", Exactly),
    ("ZRANGEBYSCORE {k} -inf (4 WITHSCORES LIMIT 1 3", Exactly),
    ("ZREVRANGEBYSCORE {k} 5 -5", Exactly),
    ("ZRANGEBYLEX {k} - [m2", ByLex),
    ("ZREVRANGEBYLEX {k} + (m2 LIMIT 0 3", ByLex),
    ("ZSCAN {k} 0 COUNT 7", Scanned(2)),
    ("ZRANDMEMBER {k} 1000000", InAnyOrder),
    ("ZUNION 2 {k} none WITHSCORES", Exactly),
    (
        "ZINTER 2 {k} {k} WEIGHTS 1 2 AGGREGATE MAX WITHSCORES",
        Exactly,
    ),
    ("ZDIFF 2 {k} none", Exactly),
    ("ZINTERCARD 2 {k} {k} LIMIT 3", Exactly),
    ("GEODIST {k} m3 7 km", Exactly),
    ("GEOHASH {k} m3 none", Exactly),
    ("GEOPOS {k} 7 none", Exactly),
    ("GEORADIUS_RO {k} 1 2 3000 km WITHDIST ASC", Exactly),
    ("GEORADIUSBYMEMBER_RO {k} m3 30000 km WITHHASH", Exactly),
    ("GEOSEARCH {k} FROMLONLAT 1 2 BYBOX 9 9 km", Exactly),
    ("XLEN {k}", Exactly),
    ("XPENDING {k} workers", Exactly),
    ("XRANGE {k} - +", Exactly),
    ("XRANGE {k} 50 (9999999999999 COUNT 3", Exactly),
    ("XREVRANGE {k} + - COUNT 4", Exactly),
    ("XREAD COUNT 2 STREAMS {k} 100-1", Exactly),
    // What is asked wrongly gets the same words, too.
    ("GET {k} {k}", Exactly),
    ("GETRANGE {k} a 1", Exactly),
    ("LRANGE {k} 0", Exactly),
    ("LINDEX {k} x", Exactly),
    ("ZRANGE {k} a b BYSCORE", Exactly),
    ("ZRANGE {k} a b BYLEX", Exactly),
    ("ZRANGE {k} 0 1 LIMIT 0 1", Exactly),
    ("ZCOUNT {k} x 1", Exactly),
    ("XRANGE {k} x +", Exactly),
    ("HSCAN {k} x", Exactly),
    ("HGETALL", Exactly),
    ("OBJECT ENCODING none", Exactly),
    ("EXISTS", Exactly),
    ("NOSUCHCOMMAND {k} x", Exactly),
];

/// Forms that Redis 6.0 does not know yet, where `redtail` has them whatever the primary's version; and an error whose
/// quotes are other ones there.
const NEWER_THAN_6_0: &[&str] = &[
    "ZRANGE {k} -4 -2 REV WITHSCORES",
    "ZRANGE {k} (1 +inf BYSCORE LIMIT 1 5 WITHSCORES",
    "ZRANGE {k} 9 -inf BYSCORE REV LIMIT 0 -1",
    "ZRANGE {k} [m1 (m3 BYLEX",
    "ZRANGE {k} + - BYLEX REV LIMIT 2 3",
    "ZRANGE {k} a b BYSCORE",
    "ZRANGE {k} a b BYLEX",
    "ZRANGE {k} 0 1 LIMIT 0 1",
    "XRANGE {k} 50 (9999999999999 COUNT 3",
    "GEOSEARCH {k} FROMLONLAT 1 2 BYBOX 9 9 km",
    "NOSUCHCOMMAND {k} x",
];

/// Reads that `redtail` may not leave out; the other probes are asked when its COMMAND lists them.
const REQUIRED: &str = "get mget strlen getrange exists type ttl pttl expiretime pexpiretime keys scan randomkey object \
    lrange llen lindex smembers sismember scard sscan hget hmget hgetall hlen hexists hkeys hvals hscan zrange zscore \
    zcard zrank zcount zscan xrange xlen nosuchcommand";

/// Reads that no probe covers, and why.
const UNPROBED: &[(&str, &str)] = &[
    ("keys", "compared whole for each database"),
    ("scan", "compared whole for each database"),
    ("dbsize", "compared for each database"),
    ("randomkey", "random: tested for membership"),
    (
        "object",
        "compared with a real replica: encodings depend on the way the data came",
    ),
    (
        "dump",
        "its bytes depend on the order of tables: tested by RESTORE",
    ),
    ("memory", "the figures are our own"),
    ("lcs", "needs two keys"),
    ("stralgo", "needs two keys"),
    (
        "pfcount",
        "the primary's own count changes its value: tested beside the handler",
    ),
    ("lolwut", "art"),
    ("command", "our own list"),
];

/// Compares every reply of `follower` with those of `primary`, which must not change meanwhile.
///
/// # Panics
/// With the first differences.
pub fn compare(primary: &Server, follower: &Server) {
    compare_but(primary, follower, false);
}

/// The same, where a reply may be `-TAINTED …` instead; never a wrong one.
fn compare_unless_tainted(primary: &Server, follower: &Server) {
    compare_but(primary, follower, true);
}

fn compare_but(primary: &Server, follower: &Server, may_be_tainted: bool) {
    settle(primary, follower);
    let mut differences = Vec::new();
    for protocol in [2, 3] {
        let connect = |server: &Server| {
            if protocol == 3 {
                server.client().resp3()
            } else {
                server.client()
            }
        };
        let mut pair = Pair {
            primary: connect(primary),
            follower: connect(follower),
            may_be_tainted,
            is_6_0: version(primary).starts_with("6.0"),
            differences: Vec::new(),
        };
        pair.compare_everything();
        differences.extend(
            pair.differences
                .into_iter()
                .map(|line| format!("RESP{protocol} {line}")),
        );
    }
    let log = tail(&follower.log());
    assert!(
        differences.is_empty(),
        "{} differences:\n{}\n{log}",
        differences.len(),
        some(&differences)
    );
}

/// The first differences of each command.
fn some(differences: &[String]) -> String {
    let mut shown = BTreeMap::<&str, usize>::new();
    let first_of_each = differences.iter().filter(|line| {
        let count = shown
            .entry(line.split(' ').nth(1).unwrap_or_default())
            .or_default();
        *count += 1;
        *count <= 2
    });
    first_of_each
        .take(40)
        .cloned()
        .collect::<Vec<_>>()
        .join("\n")
}

/// Waits until no key of the primary is about to expire, the expired ones are deleted, and the follower knows it.
fn settle(primary: &Server, follower: &Server) {
    primary.wait_for("short expiries to pass", |client| {
        let databases = databases(client);
        databases.into_iter().all(|database| {
            client.command(&format!("SELECT {database}"));
            let keys = client.command("KEYS *").elements();
            let commands: Vec<_> = keys
                .iter()
                .filter_map(Reply::bulk)
                .map(|key| for_key("PTTL {k}", &key))
                .collect();
            let ttls = client.pipeline(&commands);
            let expiring = ttls
                .iter()
                .any(|ttl| ttl.integer().is_some_and(|ms| (0..500_000).contains(&ms)));
            // DBSIZE counts what has expired until it is deleted; KEYS does not show it.
            !expiring && client.command("DBSIZE").integer() == i64::try_from(keys.len()).ok()
        })
    });
    follower.wait_in_sync(primary);
}

/// The databases that hold keys, and those that the random writes use.
fn databases(client: &mut Client) -> BTreeSet<u32> {
    let keyspace = client.command("INFO keyspace").text();
    let filled = keyspace
        .lines()
        .filter_map(|line| line.strip_prefix("db")?.split(':').next()?.parse().ok());
    filled.chain(DATABASES).collect()
}

fn version(server: &Server) -> String {
    server
        .client()
        .info("server", "redis_version")
        .unwrap_or_default()
}

/// Connections to both, in the same protocol.
struct Pair {
    primary: Client,
    follower: Client,
    may_be_tainted: bool,
    is_6_0: bool,
    differences: Vec<String>,
}

impl Pair {
    fn compare_everything(&mut self) {
        let known = known_commands(&mut self.follower);
        for database in databases(&mut self.primary) {
            self.same(&format!("SELECT {database}"));
            self.same("DBSIZE");
            let keys = self.keys(database);
            for key in &keys {
                self.compare_key(key, &known);
            }
        }
    }

    /// The keys of the selected database, the same by KEYS and SCAN on both sides, and one that is not there.
    fn keys(&mut self, database: u32) -> Vec<Vec<u8>> {
        let expected = self.primary.command("KEYS *").sorted(1);
        let keys: Vec<_> = expected.elements().iter().filter_map(Reply::bulk).collect();
        let found = self.follower.command("KEYS *").sorted(1);
        self.check(&format!("KEYS * in {database}"), &expected, &found);
        if found.is_error() {
            return keys;
        }
        let scanned: BTreeSet<_> = scan(&mut self.follower, &words("SCAN 0 COUNT 7"), 1)
            .into_iter()
            .collect();
        let bulks: BTreeSet<_> = expected
            .elements()
            .into_iter()
            .map(|key| vec![key])
            .collect();
        if scanned != bulks {
            self.differences.push(format!(
                "SCAN in {database}: {} of {} keys",
                scanned.len(),
                bulks.len()
            ));
        }
        keys.into_iter().chain([b"not:there".to_vec()]).collect()
    }

    fn compare_key(&mut self, key: &[u8], known: &BTreeSet<String>) {
        let packed = is_packed(&mut self.primary, key) && is_packed(&mut self.follower, key);
        let probes = PROBES.iter().filter(|(line, _)| {
            is_known(line, known) && !(self.is_6_0 && NEWER_THAN_6_0.contains(line))
        });
        let probes: Vec<_> = probes
            .map(|(line, same)| (for_key(line, key), *same))
            .collect();
        let commands: Vec<_> = probes.iter().map(|(command, _)| command.clone()).collect();
        let expected = self.primary.pipeline(&commands);
        let found = self.follower.pipeline(&commands);
        for (((command, same), expected), found) in probes.iter().zip(expected).zip(found) {
            if is_unknown_to(&expected) && command[0] != b"NOSUCHCOMMAND" {
                continue;
            }
            match same {
                ByLex if !packed && !self.is_level(key) => {}
                Exactly | ByLex => self.check(&show(command), &expected, &found),
                InAnyOrder => self.check(&show(command), &expected.sorted(1), &found.sorted(1)),
                InOrderIfPacked(_) if packed => self.check(&show(command), &expected, &found),
                InOrderIfPacked(width) => self.check(
                    &show(command),
                    &expected.sorted(*width),
                    &found.sorted(*width),
                ),
                Nearly(distance) => self.check_near(&show(command), &expected, &found, *distance),
                Scanned(_) if expected.is_error() || found.is_error() => {
                    self.check(&show(command), &expected, &found)
                }
                Scanned(width) => self.compare_scan(command, *width, packed),
            }
        }
    }

    /// Whether this is no sorted set, or one whose members all have the same score.
    fn is_level(&mut self, key: &[u8]) -> bool {
        let ends = [b"0".as_slice(), b"-1"].map(|end| {
            let reply = self
                .primary
                .words(&[b"ZRANGE", key, end, end, b"WITHSCORES"]);
            if reply.is_error() {
                None
            } else {
                reply.elements().pop().map(|last| last.text())
            }
        });
        ends[0] == ends[1]
    }

    fn compare_scan(&mut self, command: &[Vec<u8>], width: usize, packed: bool) {
        let unique = |client: &mut Client| {
            let groups = scan(client, command, width).into_iter();
            if packed {
                groups.collect::<BTreeSet<_>>()
            } else {
                groups.map(with_plain_score).collect()
            }
        };
        let (expected, found) = (unique(&mut self.primary), unique(&mut self.follower));
        if expected != found {
            self.differences
                .push(format!("{}: {expected:?} but {found:?}", show(command)));
        }
    }

    fn check_near(&mut self, what: &str, expected: &Reply, found: &Reply, distance: i64) {
        let near = match (expected.integer(), found.integer()) {
            (Some(a), Some(b)) if a >= 0 && b >= 0 => (a - b).abs() <= distance,
            _ => expected == found,
        };
        if !near && !self.is_excused(found) {
            self.differences
                .push(format!("{what}: {expected:?} but {found:?}"));
        }
    }

    fn is_excused(&self, found: &Reply) -> bool {
        self.may_be_tainted && found.0.starts_with(b"-TAINTED ")
    }

    fn same(&mut self, line: &str) {
        let (expected, found) = (self.primary.command(line), self.follower.command(line));
        self.check(line, &expected, &found);
    }

    fn check(&mut self, what: &str, expected: &Reply, found: &Reply) {
        if expected != found && !self.is_excused(found) {
            self.differences
                .push(format!("{what}: {} but {}", short(expected), short(found)));
        }
    }
}

/// Whether the elements stand in the order in which they were written.
fn is_packed(client: &mut Client, key: &[u8]) -> bool {
    ["intset", "listpack", "ziplist"].contains(&encoding(client, key).as_str())
}

/// A member with its score written one way: scans word it by the encoding, which may be another on a replica.
fn with_plain_score(mut group: Vec<Reply>) -> Vec<Reply> {
    if let [_, score] = group.as_mut_slice()
        && let Ok(number) = score.text().parse::<f64>()
    {
        *score = Reply(number.to_string().into_bytes());
    }
    group
}

fn short(reply: &Reply) -> String {
    let text = format!("{reply:?}");
    if text.len() < 300 {
        text
    } else {
        format!(
            "{}… ({} bytes)",
            text.chars().take(300).collect::<String>(),
            reply.0.len()
        )
    }
}

fn tail(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}

fn is_unknown_to(reply: &Reply) -> bool {
    reply.0.starts_with(b"-ERR unknown command") || reply.0.starts_with(b"-ERR Unknown subcommand")
}

fn is_known(line: &str, known: &BTreeSet<String>) -> bool {
    let name = line.split(' ').next().unwrap_or_default().to_lowercase();
    known.contains(&name) || REQUIRED.split_whitespace().any(|required| required == name)
}

/// The names in a server's COMMAND.
fn known_commands(client: &mut Client) -> BTreeSet<String> {
    let rows = client.command("COMMAND").elements();
    rows.iter()
        .filter_map(|row| Some(row.elements().first()?.text().to_lowercase()))
        .collect()
}

fn for_key(line: &str, key: &[u8]) -> Vec<Vec<u8>> {
    line.split(' ')
        .map(|word| {
            if word == "{k}" {
                key.to_vec()
            } else {
                word.as_bytes().to_vec()
            }
        })
        .collect()
}

/// All elements of a whole SCAN, HSCAN, … iteration, `width` at a time. `command` has its cursor "0" as the first word
/// that says so.
pub fn scan(client: &mut Client, command: &[Vec<u8>], width: usize) -> Vec<Vec<Reply>> {
    let at = if command[0].eq_ignore_ascii_case(b"SCAN") {
        1
    } else {
        2
    };
    let mut command = command.to_vec();
    let mut all = Vec::new();
    for _ in 0..1_000_000 {
        let words: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
        let reply = client.words(&words).elements();
        let [cursor, page] = reply.as_slice() else {
            panic!("{} answered {reply:?}", show(&command))
        };
        all.extend(page.elements().chunks(width).map(<[Reply]>::to_vec));
        command[at] = cursor.bulk().expect("a cursor is a bulk string");
        if command[at] == b"0" {
            return all;
        }
    }
    panic!("{} never ends", show(&command));
}

/// Compares OBJECT ENCODING of every key with that of a real replica which had the same data at the same time.
pub fn compare_encodings(replica: &Server, follower: &Server) {
    let (mut replica, mut follower) = (replica.client(), follower.client());
    let is_valkey = replica.info("server", "valkey_version").is_some();
    let mut differences = Vec::new();
    for database in databases(&mut replica) {
        for client in [&mut replica, &mut follower] {
            client.command(&format!("SELECT {database}"));
        }
        let keys = replica.command("KEYS *").elements();
        for key in keys.iter().filter_map(Reply::bulk) {
            let [expected, found] =
                [&mut replica, &mut follower].map(|client| encoding(client, &key));
            let mut has_no_expiry =
                || is_valkey && replica.words(&[b"TTL", &key]).integer() == Some(-1);
            // Valkey goes on counting a time to live that was taken away from a string.
            let excused = [expected.as_str(), &found] == ["raw", "embstr"] && has_no_expiry();
            if expected != found && !excused {
                differences.push(format!(
                    "db{database} {}: {expected} but {found}",
                    key.escape_ascii()
                ));
            }
        }
    }
    assert!(
        differences.is_empty(),
        "encodings unlike a real replica's:\n{}",
        differences.join("\n")
    );
}

fn encoding(client: &mut Client, key: &[u8]) -> String {
    client.words(&[b"OBJECT", b"ENCODING", key]).text()
}

/// The name of a follower for [`follow_and_compare`].
#[derive(Clone, Copy)]
pub enum Follower {
    Redtail,
    RealReplica,
}

/// The whole comparison: fixture and random data, full sync, live writes of all kinds.
fn follow_and_compare(name: &str, seed: u64, kind: Follower) {
    let Some(primary) = Server::with_dump(name, &format!("{name}.rdb"), &[]) else {
        return;
    };
    let mut writer = Writer::new(seed);
    primary.client().pipeline(&writer.commands(2000));

    let Some(replica) = Server::replica(name, &primary) else {
        return;
    };
    let follower = match kind {
        Follower::Redtail => Server::redtail(&primary),
        Follower::RealReplica => Server::replica(name, &primary).expect("there a moment ago"),
    };
    compare(&primary, &follower);
    replica.wait_in_sync(&primary);
    compare_encodings(&replica, &follower);

    for _ in 0..3 {
        primary.client().pipeline(&writer.commands(2000));
        compare(&primary, &follower);
        replica.wait_in_sync(&primary);
        compare_encodings(&replica, &follower);
    }
    assert_eq!(
        primary.client().info("stats", "sync_full").as_deref(),
        Some("2"),
        "one full sync each was enough"
    );
}

#[test]
fn answers_as_redis_6_0_does() {
    follow_and_compare("redis-6.0", 60, Follower::Redtail);
}

#[test]
fn answers_as_redis_7_0_does() {
    follow_and_compare("redis-7.0", 70, Follower::Redtail);
}

#[test]
fn answers_as_redis_8_0_does() {
    follow_and_compare("redis-8.0", 80, Follower::Redtail);
}

#[test]
fn answers_as_valkey_8_1_does() {
    follow_and_compare("valkey-8.1", 81, Follower::Redtail);
}

#[test]
fn answers_as_valkey_9_1_does() {
    follow_and_compare("valkey-9.1", 91, Follower::Redtail);
}

/// Writes of every kind that a server of the name has; those that cannot be applied taint, and nothing is ever wrong.
fn follow_every_write(name: &str, seed: u64) {
    let Some(primary) = Server::with_dump(name, &format!("{name}.rdb"), &[]) else {
        return;
    };
    let mut writer = Writer::of_everything(seed);
    primary.client().pipeline(&writer.commands(500));
    for _ in 0..8 {
        let redtail = Server::redtail(&primary);
        for _ in 0..3 {
            primary.client().pipeline(&writer.commands(60));
            compare_unless_tainted(&primary, &redtail);
        }
    }
}

#[test]
fn no_write_of_redis_6_0_makes_a_wrong_reply() {
    follow_every_write("redis-6.0", 160);
}

#[test]
fn no_write_of_redis_7_0_makes_a_wrong_reply() {
    follow_every_write("redis-7.0", 170);
}

#[test]
fn no_write_of_redis_8_0_makes_a_wrong_reply() {
    follow_every_write("redis-8.0", 180);
}

#[test]
fn no_write_of_valkey_9_1_makes_a_wrong_reply() {
    follow_every_write("valkey-9.1", 191);
}

/// A time to live of a field cannot be kept: its hash answers TAINTED, and nothing else suffers.
#[test]
fn a_field_with_a_time_to_live_taints_its_hash_alone() {
    for name in ["redis-8.0", "valkey-9.1"] {
        let Some(primary) = Server::start(name, &[]) else {
            return;
        };
        primary.command("HSET touched a 1 b 2");
        primary.command("HSET other a 1 b 2");
        let redtail = Server::redtail(&primary);
        primary.command("HPEXPIREAT touched 4102444800000 FIELDS 1 a");
        primary.command("HSET other c 3");
        redtail.wait_in_sync(&primary);
        assert!(
            redtail
                .command("HGETALL touched")
                .0
                .starts_with(b"-TAINTED "),
            "{name}"
        );
        assert_eq!(
            redtail.command("HGETALL other"),
            primary.command("HGETALL other"),
            "{name}"
        );
    }
}

/// The comparison asks nothing that a replica cannot answer.
#[test]
fn a_real_replica_passes_the_same_comparison() {
    follow_and_compare("redis-7.0", 71, Follower::RealReplica);
    follow_and_compare("valkey-9.1", 92, Follower::RealReplica);
}

#[test]
fn every_read_command_is_compared() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    let redtail = Server::redtail(&primary);
    let rows = redtail.command("COMMAND").elements();
    let reads = rows.iter().filter(|row| {
        row.elements()[2]
            .text()
            .lines()
            .any(|flag| flag == "readonly")
    });
    let names = reads.map(|row| row.elements()[0].text().to_lowercase());
    let probed = |name: &str| {
        PROBES
            .iter()
            .any(|(line, _)| line.split(' ').next().unwrap().eq_ignore_ascii_case(name))
    };
    let missed: Vec<_> = names
        .filter(|name| !probed(name) && !UNPROBED.iter().any(|(unprobed, _)| unprobed == name))
        .collect();
    assert!(missed.is_empty(), "no probe for {missed:?}");
}

#[test]
fn randomkey_gives_a_key_that_is_there() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    primary.command("MSET a 1 b 2 c 3");
    let redtail = Server::redtail(&primary);
    let mut client = redtail.client();
    for _ in 0..50 {
        let key = client.command("RANDOMKEY").text();
        assert!(["a", "b", "c"].contains(&key.as_str()), "{key}");
    }
    client.command("SELECT 3");
    assert_eq!(client.command("RANDOMKEY").0, b"$-1\r\n");
}
