//! `--dialect`: redtail answers like the named server, whatever its primary is. Without it redtail answers like its primary.

use crate::client::Client;
use crate::servers::{ALL, Server};

/// Writes that every server accepts, with the same result on all.
fn writes() -> Vec<String> {
    let mut lines = vec![
        format!("SET short {}", "s".repeat(44)),
        format!("SET longer {}", "s".repeat(60)),
    ];
    lines.extend(
        [
            "SET number 100",
            "HSET hash f v",
            "SADD names a b",
            "SADD ints 1 2",
            "ZADD zset 51011.213 m 0.1 k 3 l",
            "RPUSH list a b a",
            "XADD stream 1-1 a 1",
            "XADD stream 2-1 a 1",
            "GEOADD geo 13.361389 38.115556 palermo 15.087269 37.502669 catania",
            "PEXPIREAT hash 9000000000000",
        ]
        .map(str::to_owned),
    );
    lines
}

/// Reads whose replies differ between the servers: in the format of numbers, errors, encodings, or because a command does not
/// exist.
const READS: &[&str] = &[
    "ZSCORE zset m",
    "ZRANGE zset 0 -1 WITHSCORES",
    "ZRANGE zset 0 1 REV",
    "ZRANK zset m WITHSCORE",
    "ZSCAN zset 0 NOSCORES",
    "ZMSCORE zset m none",
    "GEOPOS geo palermo",
    "GEODIST geo palermo catania",
    "GEOSEARCH geo FROMMEMBER palermo BYRADIUS 200 km ASC",
    "OBJECT ENCODING short",
    "OBJECT ENCODING longer",
    "OBJECT ENCODING number",
    "OBJECT ENCODING hash",
    "OBJECT ENCODING names",
    "OBJECT ENCODING ints",
    "OBJECT ENCODING zset",
    "OBJECT ENCODING list",
    "OBJECT REFCOUNT number",
    "OBJECT FREQ short",
    "OBJECT NOSUCH short",
    "DUMP short",
    "DUMP hash",
    "DUMP list",
    "XINFO STREAM stream",
    "XINFO STREAM stream FULL",
    "XREAD STREAMS stream +",
    "XREAD COUNT 1 STREAMS stream",
    "EXPIRETIME hash",
    "HTTL hash FIELDS 1 f",
    "HPEXPIRETIME hash FIELDS 1 g",
    "HSCAN hash 0 NOVALUES",
    "HRANDFIELD hash 1 WITHVALUES",
    "LCS short longer LEN",
    "STRALGO LCS KEYS short longer LEN",
    "SINTERCARD 1 names",
    "SMISMEMBER names a c",
    "SRANDMEMBER none 3",
    "LPOS list a RANK 0",
    "LPOS list a RANK -9223372036854775808",
    "BITCOUNT short 0",
    "BITCOUNT short 0 7 BIT",
    "SCAN x",
    "SCAN 0 COUNT 100000 TYPE nosuch",
    "GETDEL short",
    "GETEX short",
    "DELIFEQ short x",
    "NOSUCH a b",
    "GET",
    "CONFIG NOSUCH",
    "SET short x",
    "AUTH a b c d",
    "READONLY",
    "CLIENT NO-TOUCH ON",
    "CLIENT LIST ID 0",
    "CLIENT LIST ID -5",
    "CLIENT LIST ID abc",
    "CLIENT KILL ID -1",
    "CLIENT KILL ID abc",
    "CLIENT KILL ID 9223372036854775808",
    "CLIENT KILL TYPE nosuch",
    "CLIENT KILL LADDR 127.0.0.1:1",
    "CLIENT UNBLOCK -1",
    "CLIENT FOO",
    "SELECT 4294967296",
    "COMMAND COUNT",
    "COMMAND GETKEYS SORT a STORE b",
    "COMMAND LIST FILTERBY PATTERN g*ex",
    "RESET",
];

/// The fields in which INFO and HELLO name the server.
const NAMES: &[&str] = &["redis_version", "valkey_version", "server_name"];

/// A server after the writes, with its name for `--dialect`.
struct Primary {
    name: &'static str,
    server: Server,
}

impl Primary {
    fn all() -> Vec<Self> {
        let start = |name| {
            let server = Server::start(name, &[])?;
            writes().iter().for_each(|line| {
                assert!(!server.command(line).is_error(), "{line}");
            });
            Some(Self { name, server })
        };
        ALL.into_iter().filter_map(start).collect()
    }

    /// A name such as `redis-7.0.15`.
    fn dialect(&self) -> String {
        let (family, _) = self.name.split_once('-').unwrap();
        let mut client = self.server.client();
        let version = client.info("server", &format!("{family}_version")).unwrap();
        format!("{family}-{version}")
    }
}

/// Returns the answer to one question as text.
fn answers(mut client: Client, line: &str) -> String {
    if let Some(field) = line.strip_prefix("INFO ") {
        return format!("{:?}", client.info("server", field));
    }
    format!("{:?}", client.command(line))
}

/// HELLO's reply without the connection's id, and without modules, of which redtail lists none.
fn hello(client: Client) -> Vec<String> {
    let fields = client.resp3().command("HELLO 3").elements();
    let kept = fields
        .chunks(2)
        .filter(|pair| !["id", "modules"].contains(&pair[0].text().as_str()));
    kept.flatten().map(|field| field.text()).collect()
}

/// Returns the answers of redtail that differ from the replica's.
fn differences(redtail: &Server, replica: &Server, what: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut compare = |line: &str, found: &str, expected: &str| {
        if found != expected {
            wrong.push(format!("{what}: {line}: {found} instead of {expected}"));
        }
    };
    let greetings = [redtail, replica].map(|server| hello(server.client()).join(" "));
    compare("HELLO 3", &greetings[0], &greetings[1]);
    let names = NAMES.iter().map(|name| format!("INFO {name}"));
    for line in READS.iter().map(|line| (*line).to_owned()).chain(names) {
        let resp2 = [redtail, replica].map(|server| answers(server.client(), &line));
        compare(&line, &resp2[0], &resp2[1]);
        let resp3 = [redtail, replica].map(|server| answers(server.client().resp3(), &line));
        compare(&format!("{line} in RESP3"), &resp3[0], &resp3[1]);
    }
    wrong
}

#[test]
fn redtail_speaks_as_its_primary_or_as_it_is_told() {
    let primaries = Primary::all();
    let mut wrong = Vec::new();
    for (at, spoken) in primaries.iter().enumerate() {
        let replica = Server::replica(spoken.name, &spoken.server).unwrap();
        replica.wait_in_sync(&spoken.server);
        let redtail = Server::redtail(&spoken.server);
        wrong.extend(differences(&redtail, &replica, spoken.name));
        for step in [1, 2] {
            let primary = &primaries[(at + step) % primaries.len()];
            let dialect = spoken.dialect();
            let redtail = Server::redtail_with(&primary.server, &["--dialect", &dialect]);
            let what = format!("{dialect} on {}", primary.name);
            wrong.extend(differences(&redtail, &replica, &what));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_stream_is_kept_in_the_encodings_of_the_server_that_is_spoken_as() {
    let primaries = Primary::all();
    for (at, spoken) in primaries.iter().enumerate() {
        let primary = Server::start(primaries[(at + 3) % primaries.len()].name, &[]).unwrap();
        let redtail = Server::redtail_with(&primary, &["--dialect", &spoken.dialect()]);
        for line in writes() {
            primary.command(&line);
        }
        redtail.wait_in_sync(&primary);
        let encodings = READS.iter().filter(|line| line.starts_with("OBJECT ENC"));
        for line in encodings {
            let (found, expected) = (redtail.command(line), spoken.server.command(line));
            assert_eq!(found, expected, "{} on the stream: {line}", spoken.name);
        }
    }
}
