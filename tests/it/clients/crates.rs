//! Rust's clients: the crates `redis` and `fred`.

use std::collections::BTreeSet;
use std::fmt::Debug;

use fred::clients::Client as Fred;
use fred::prelude::{
    Builder, ClientLike as _, Config, FredResult, KeysInterface as _, LuaInterface as _,
    ReconnectPolicy, TransactionInterface as _, Value,
};
use fred::types::{ClusterHash, CustomCommand, RespVersion};
use redis::{Commands as _, RedisResult, Value as Reply};
use tokio_stream::StreamExt as _;

use super::{Follower, Kind, Primary, STRINGS, assert_alike, data};

/// The reads of each type. The key takes the place of `KEY`.
const READS: &[(&str, &[&str])] = &[
    (
        "string",
        &["GET KEY", "STRLEN KEY", "GETRANGE KEY 1 4", "MGET KEY none"],
    ),
    (
        "list",
        &["LRANGE KEY 0 -1", "LLEN KEY", "LINDEX KEY -1", "LPOS KEY a"],
    ),
    ("set", &["SCARD KEY", "SMISMEMBER KEY a 1"]),
    (
        "hash",
        &["HLEN KEY", "HMGET KEY a field:1", "HEXISTS KEY a"],
    ),
    (
        "zset",
        &[
            "ZRANGE KEY 0 -1 WITHSCORES",
            "ZCARD KEY",
            "ZMSCORE KEY a member:8",
            "ZRANGEBYSCORE KEY -inf +inf LIMIT 0 3",
        ],
    ),
    (
        "stream",
        &["XRANGE KEY - +", "XLEN KEY", "XREAD COUNT 1 STREAMS KEY 0"],
    ),
];

/// What a client may not do, and how servers refuse it.
const REFUSED: &[&str] = &[
    "SET a 1",
    "DEL n:1",
    "FLUSHALL",
    "XADD a * b 1",
    "BLPOP a 1",
    "LRANGE n:1 0 1",
    "NOSUCH a",
    "EVALSHA ffffffffffffffffffffffffffffffffffffffff 0",
    "WAIT 0 1",
    "CLUSTER INFO",
];

/// Replaces `KEY` in a command.
fn words<'a>(form: &'a str, key: &'a [u8]) -> Vec<&'a [u8]> {
    let word = |word: &'a str| {
        if word == "KEY" { key } else { word.as_bytes() }
    };
    form.split(' ').map(word).collect()
}

/// Shows a reply, shortened to a checksum if it is long.
fn short(reply: impl Debug) -> String {
    let text = format!("{reply:?}");
    if text.len() <= 200 {
        return text;
    }
    let sum = text.bytes().fold(0_u64, |sum, byte| {
        sum.wrapping_mul(0x100_0000_01b3) ^ u64::from(byte)
    });
    let start: String = text.chars().take(120).collect();
    format!("{start}… {} {sum:x}", text.len())
}

/// Shows a scan's elements: how many came, and how many twice.
fn once(what: &str, found: Vec<Vec<u8>>) -> String {
    let all = found.len();
    let distinct: BTreeSet<_> = found.into_iter().collect();
    format!(
        "data scan {what}: {all} elements, {} twice",
        all - distinct.len()
    )
}

/// Asserts that a client sees the same of both kinds of follower.
fn see_alike(name: &'static str, facts: impl Fn(&mut Follower<'_>) -> Vec<String>) {
    let Some(primary) = Primary::start(name) else {
        return;
    };
    let [theirs, ours] =
        [Kind::RealReplica, Kind::Redtail].map(|kind| facts(&mut primary.follower(kind)));
    assert_alike(name, &theirs, &ours);
    assert!(data(&ours).len() > 50, "{name}: {ours:#?}");
}

fn redis_connection(port: u16, protocol: u8, db: u8) -> redis::Connection {
    let address = format!("redis://127.0.0.1:{port}/{db}?protocol=resp{protocol}");
    let client = redis::Client::open(address).expect("an address");
    client.get_connection().expect("it accepts connections")
}

fn ask(connection: &mut redis::Connection, words: &[&[u8]]) -> RedisResult<Reply> {
    let mut command = redis::Cmd::new();
    for word in words {
        command.arg(*word);
    }
    command.query(connection)
}

fn redis_types(facts: &mut Vec<String>, port: u16, protocol: u8) {
    for db in [0, 1, 9, 15] {
        let mut connection = redis_connection(port, protocol, db);
        let keys: RedisResult<BTreeSet<Vec<u8>>> = connection.scan().expect("a scan").collect();
        for key in keys.expect("keys") {
            if key.starts_with(b"n:") || key.starts_with(b"tmp:") {
                continue;
            }
            let kind: String = redis::cmd("TYPE")
                .arg(&key)
                .query(&mut connection)
                .expect("a type");
            let forms = READS.iter().filter(|(name, _)| *name == kind);
            for form in forms.flat_map(|(_, forms)| *forms) {
                let reply = ask(&mut connection, &words(form, &key));
                let name = key.escape_ascii();
                facts.push(format!(
                    "data {protocol} {db} {form} {name} {}",
                    short(reply)
                ));
            }
        }
    }
    let mut connection = redis_connection(port, protocol, 0);
    let set: BTreeSet<String> = connection.smembers("scan:set").expect("a set");
    let hash: std::collections::BTreeMap<String, i64> =
        connection.hgetall("scan:hash").expect("a hash");
    facts.push(format!("data typed {}", short((set, hash))));
}

fn redis_scans(facts: &mut Vec<String>, port: u16) {
    let mut connection = redis_connection(port, 3, 0);
    let keys: RedisResult<Vec<Vec<u8>>> = connection.scan_match("n:*").expect("a scan").collect();
    facts.push(once("keys", keys.expect("keys")));
    let members: RedisResult<Vec<Vec<u8>>> =
        connection.sscan("scan:set").expect("a scan").collect();
    facts.push(once("members", members.expect("members")));
    let fields: RedisResult<Vec<(Vec<u8>, Vec<u8>)>> =
        connection.hscan("scan:hash").expect("a scan").collect();
    let fields = fields.expect("fields").into_iter().map(|(field, _)| field);
    facts.push(once("fields", fields.collect()));
    let scores: RedisResult<Vec<(Vec<u8>, f64)>> =
        connection.zscan("scan:zset").expect("a scan").collect();
    let scored = scores
        .expect("members")
        .into_iter()
        .map(|(member, _)| member);
    facts.push(once("scored", scored.collect()));
}

/// Counts the replies to GET n:0, GET n:1, … that are right.
fn right(values: &[usize]) -> usize {
    let numbered = values.iter().enumerate();
    numbered.filter(|(i, value)| **value == i % STRINGS).count()
}

fn redis_pipeline(facts: &mut Vec<String>, port: u16, length: usize) {
    let mut connection = redis_connection(port, 3, 0);
    let mut pipeline = redis::pipe();
    for i in 0..length {
        pipeline.get(format!("n:{}", i % STRINGS));
    }
    let values: Vec<usize> = pipeline.query(&mut connection).expect("values");
    facts.push(format!("pipeline {} {}", values.len(), right(&values)));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let values = runtime.block_on(async {
        let client = redis::Client::open(format!("redis://127.0.0.1:{port}")).expect("an address");
        // Its own half a second is too short for a long pipeline on a busy machine.
        let patient = redis::AsyncConnectionConfig::new().set_response_timeout(None);
        let mut connection = client
            .get_multiplexed_async_connection_with_config(&patient)
            .await
            .expect("it accepts connections");
        pipeline
            .query_async::<Vec<usize>>(&mut connection)
            .await
            .expect("values")
    });
    facts.push(format!(
        "async pipeline {} {}",
        values.len(),
        right(&values)
    ));
}

fn redis_refusals(facts: &mut Vec<String>, port: u16, protocol: u8) {
    let mut connection = redis_connection(port, protocol, 0);
    for form in REFUSED {
        let error = ask(&mut connection, &words(form, b"")).expect_err("a refusal");
        facts.push(format!("{form}: {:?} {error}", error.kind()));
    }
    let mixed: RedisResult<(i64, Reply, i64)> = redis::pipe()
        .get("n:1")
        .set("a", 1)
        .get("n:2")
        .query(&mut connection);
    facts.push(format!("pipeline with an error: {mixed:?}"));
    let queued: RedisResult<(i64, Reply)> = redis::pipe()
        .atomic()
        .get("n:1")
        .set("a", 1)
        .query(&mut connection);
    facts.push(format!("transaction with an error: {queued:?}"));
}

fn redis_transactions(facts: &mut Vec<String>, port: u16) {
    let mut connection = redis_connection(port, 3, 0);
    let both: RedisResult<(i64, i64)> =
        redis::transaction(&mut connection, &["tmp:watched"], |connection, pipe| {
            pipe.get("n:1").hlen("scan:hash").query(connection)
        });
    facts.push(format!("transaction {both:?}"));
    let script = redis::Script::new("return {redis.call('GET', KEYS[1]), ARGV[1]}");
    let reply: RedisResult<(i64, String)> = script.key("n:5").arg("word").invoke(&mut connection);
    facts.push(format!("script {reply:?}"));
}

#[test]
fn the_redis_crate_sees_a_replica() {
    see_alike("redis-7.0", |follower| {
        let mut facts = Vec::new();
        let port = follower.server.port;
        for protocol in [2, 3] {
            redis_types(&mut facts, port, protocol);
            redis_refusals(&mut facts, port, protocol);
        }
        redis_scans(&mut facts, port);
        redis_pipeline(&mut facts, port, 200_000);
        redis_transactions(&mut facts, port);
        // The connection ends with the server; a new one works.
        let mut connection = redis_connection(port, 2, 0);
        follower.restart();
        let lost = ask(&mut connection, &[b"GET", b"n:9"]).expect_err("it is gone");
        facts.push(format!(
            "lost {}",
            lost.is_connection_dropped() || lost.is_io_error()
        ));
        let value: RedisResult<i64> = redis_connection(port, 2, 0).get("n:9");
        facts.push(format!("after the restart {value:?}"));
        facts
    });
}

async fn fred(port: u16, version: RespVersion, db: u8) -> Fred {
    let mut config = Config::from_url(&format!("redis://127.0.0.1:{port}/{db}")).expect("a URL");
    config.version = version;
    let client = Builder::from_config(config)
        .with_connection_config(|config| config.reconnect_on_auth_error = true)
        .set_policy(ReconnectPolicy::new_constant(0, 20))
        .build()
        .expect("a configuration");
    client.init().await.expect("it accepts connections");
    client
}

async fn fred_asks(client: &Fred, words: &[&[u8]]) -> FredResult<Value> {
    let name = String::from_utf8_lossy(words[0]).into_owned();
    let command = CustomCommand::new(name, ClusterHash::FirstKey, false);
    client
        .custom(
            command,
            words[1..]
                .iter()
                .map(|word| word.to_vec())
                .collect::<Vec<_>>(),
        )
        .await
}

async fn fred_types(facts: &mut Vec<String>, port: u16, version: RespVersion) {
    for db in [0, 1, 9, 15] {
        let client = fred(port, version.clone(), db).await;
        let mut keys = BTreeSet::new();
        let mut scan = Box::pin(client.scan_buffered("*", Some(5000), None));
        while let Some(key) = scan.next().await {
            keys.insert(key.expect("a key").as_bytes().to_vec());
        }
        for key in keys {
            if key.starts_with(b"n:") || key.starts_with(b"tmp:") {
                continue;
            }
            let kind = fred_asks(&client, &[b"TYPE", &key]).await.expect("a type");
            let kind = kind.as_string().expect("a name");
            let forms = READS.iter().filter(|(name, _)| *name == kind);
            for form in forms.flat_map(|(_, forms)| *forms) {
                let reply = fred_asks(&client, &words(form, &key)).await;
                let name = key.escape_ascii();
                facts.push(format!(
                    "data {version:?} {db} {form} {name} {}",
                    short(reply)
                ));
            }
        }
        client.quit().await.expect("it says goodbye");
    }
}

async fn fred_scans(facts: &mut Vec<String>, client: &Fred) {
    let mut found = Vec::new();
    let mut keys = Box::pin(client.scan_buffered("n:*", Some(500), None));
    while let Some(key) = keys.next().await {
        found.push(key.expect("a key").as_bytes().to_vec());
    }
    facts.push(once("keys", found));
    let mut found = Vec::new();
    let mut pages = Box::pin(client.hscan("scan:hash", "*", Some(300)));
    while let Some(page) = pages.next().await {
        let mut page = page.expect("a page");
        let fields = fred::types::scan::Scanner::take_results(&mut page).expect("fields");
        found.extend(
            fields
                .inner()
                .into_keys()
                .map(|field| field.as_bytes().to_vec()),
        );
        fred::types::scan::Scanner::next(page);
    }
    facts.push(once("fields", found));
}

async fn fred_pipeline(facts: &mut Vec<String>, client: &Fred, length: usize) {
    let pipeline = client.pipeline();
    for i in 0..length {
        let _: () = pipeline
            .get(format!("n:{}", i % STRINGS))
            .await
            .expect("queued");
    }
    let values: Vec<usize> = pipeline.all().await.expect("values");
    facts.push(format!("pipeline {} {}", values.len(), right(&values)));
    let transaction = client.multi();
    let _: () = transaction.get("n:1").await.expect("queued");
    let _: () = transaction.get("n:2").await.expect("queued");
    let both: FredResult<(i64, i64)> = transaction.exec(true).await;
    facts.push(format!("transaction {both:?}"));
    let read: FredResult<Vec<String>> = client
        .eval(
            "return {redis.call('GET', KEYS[1]), ARGV[1]}",
            vec!["n:5"],
            vec!["word"],
        )
        .await;
    facts.push(format!("script {read:?}"));
    let written: FredResult<()> = client.set("a", 1, None, None, false).await;
    facts.push(format!("write {written:?}"));
    for form in REFUSED {
        let refused = fred_asks(client, &words(form, b"")).await;
        facts.push(format!("{form}: {refused:?}"));
    }
}

async fn fred_facts(follower: &mut Follower<'_>) -> Vec<String> {
    let mut facts = Vec::new();
    let port = follower.server.port;
    for version in [RespVersion::RESP2, RespVersion::RESP3] {
        fred_types(&mut facts, port, version.clone()).await;
        let client = fred(port, version, 0).await;
        fred_scans(&mut facts, &client).await;
        fred_pipeline(&mut facts, &client, 100_000).await;
    }
    let client = fred(port, RespVersion::RESP3, 0).await;
    follower.restart();
    // It reconnects by itself.
    let value: FredResult<i64> = client.get("n:9").await;
    facts.push(format!("after the restart {value:?}"));
    facts
}

#[test]
fn fred_sees_a_replica() {
    see_alike("valkey-8.1", |follower| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(fred_facts(follower))
    });
}
