//! Scripts that Redis 6 with `lua-replicate-commands no` replicates as text. redtail runs them, and must end up with the
//! primary's data.

use crate::client::Client;
use crate::scripted::{Scripted, full_resync, stream, with_length};
use crate::servers::Server;

const NAME: &str = "redis-6.0";
const OLD_HABITS: [&str; 2] = ["--lua-replicate-commands", "no"];

/// Scripts with the number of keys, followed by `KEYS` and `ARGV`.
const SCRIPTS: &[(&str, &str)] = &[
    ("return redis.call('set', KEYS[1], ARGV[1])", "1 a 1"),
    (
        "local n = redis.call('incr', KEYS[1]) redis.call('set', KEYS[2], n * 2) return n",
        "2 count twice",
    ),
    (
        "local n = redis.call('incrby', 'count', 40) redis.call('rpush', 'log', n, redis.call('decr', 'count'))",
        "0",
    ),
    (
        "for i = 1, 100 do redis.call('sadd', 's', 'm' .. i) end redis.call('rpush', 'log', redis.call('scard', 's'))",
        "0",
    ),
    // The order is that of the bytes, wherever the members are stored.
    (
        "for _, m in ipairs(redis.call('smembers', 's')) do redis.call('rpush', 'members', m) end",
        "0",
    ),
    (
        "redis.call('hmset', 'h', 'x', 1, 'b', 2, 'a', 3) for _, f in ipairs(redis.call('hkeys', 'h')) do redis.call('rpush', 'fields', f) end",
        "0",
    ),
    (
        "for _, v in ipairs(redis.call('hvals', 'h')) do redis.call('rpush', 'fields', v) end",
        "0",
    ),
    (
        "for i, k in ipairs(redis.call('keys', '*')) do redis.call('hset', 'all', k, i) end",
        "0",
    ),
    (
        "redis.call('sadd', 't', 'm1', 'm5', 'zz') for _, m in ipairs(redis.call('sunion', 's', 't')) do redis.call('rpush', 'union', m) end",
        "0",
    ),
    // The random numbers are the same everywhere.
    (
        "for i = 1, 20 do redis.call('zadd', 'z', math.random(1000), 'm' .. i) end",
        "0",
    ),
    (
        "math.randomseed(42) redis.call('zadd', 'z', math.random(), 'seeded')",
        "0",
    ),
    (
        "redis.call('rpush', 'log', redis.call('zadd', 'z', 1, 'm1', 2, 'new'), redis.call('zincrby', 'z', 2.5, 'm1'), redis.call('zrem', 'z', 'm2', 'none'))",
        "0",
    ),
    (
        "local p = redis.call('zpopmin', 'z') redis.call('rpush', 'log', p[1], p[2], unpack(redis.call('zpopmax', 'z', 2)))",
        "0",
    ),
    (
        "redis.call('rpush', 'log', redis.call('hset', 'h', 'x', 2, 'y', 1), redis.call('hincrby', 'h', 'x', 5), redis.call('hdel', 'h', 'b', 'q'), redis.call('hsetnx', 'h', 'x', 1), redis.call('hsetnx', 'h', 'w', 1))",
        "0",
    ),
    (
        "redis.call('rpush', 'l', 'a', 'b', 'c', 'b') redis.call('rpush', 'log', redis.call('lrem', 'l', 0, 'b'), redis.call('linsert', 'l', 'before', 'c', 'n'), redis.call('linsert', 'l', 'after', 'q', 'n'), redis.call('lpop', 'l'), redis.call('rpop', 'l'))",
        "0",
    ),
    (
        "redis.call('rpush', 'src', 1, 2, 3) redis.call('rpush', 'log', redis.call('rpoplpush', 'src', 'dst'), redis.call('llen', 'dst')) redis.call('lset', 'src', 0, 'first') redis.call('ltrim', 'src', 0, 0)",
        "0",
    ),
    (
        "redis.call('rpush', 'log', redis.call('append', 'text', 'abc'), redis.call('setrange', 'text', 5, 'x'), redis.call('strlen', 'text'), redis.call('setbit', 'bits', 7, 1), redis.call('setbit', 'bits', 7, 0))",
        "0",
    ),
    (
        "redis.call('rpush', 'log', redis.call('setnx', 'text', 1), redis.call('setnx', 'fresh', 1), redis.call('del', 'fresh', 'fresh', 'none'), redis.call('exists', 'fresh'))",
        "0",
    ),
    (
        "if redis.call('set', 'lock', ARGV[1], 'NX', 'PX', 100000) then redis.call('rpush', 'log', 'got') else redis.call('rpush', 'log', 'held') end",
        "0 me",
    ),
    (
        "if redis.call('set', 'lock', ARGV[1], 'NX', 'PX', 100000) then redis.call('rpush', 'log', 'got') else redis.call('rpush', 'log', 'held') end",
        "0 you",
    ),
    (
        "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end",
        "1 lock me",
    ),
    (
        "redis.call('rpush', 'log', redis.call('getset', 'text', 'new'), redis.call('msetnx', 'p', 1, 'q', 2), redis.call('msetnx', 'p', 1, 'r', 2), redis.call('renamenx', 'p', 'q'), redis.call('smove', 's', 't', 'm7'))",
        "0",
    ),
    (
        "redis.call('rename', 'q', 'moved') redis.call('mset', 'u', 1, 'v', 2) redis.call('rpush', 'log', redis.call('unlink', 'u', 'w'))",
        "0",
    ),
    (
        "redis.call('rpush', 'log', redis.call('sinterstore', 'both', 's', 't'), redis.call('sdiffstore', 'rest', 's', 't'), redis.call('zunionstore', 'zz', 1, 'z'), redis.call('pfadd', 'hll', 'a', 'b'), redis.call('pfadd', 'hll', 'a'), redis.call('pfcount', 'hll'))",
        "0",
    ),
    ("redis.call('xadd', 'stream', '5-1', 'a', 1)", "0"),
    // Errors: caught ones, ones that end the script after a write, and ones of the command itself.
    (
        "local e = redis.pcall('lpush', 'text', 1) redis.call('rpush', 'log', e.err) e = redis.pcall('incr', 'text') redis.call('rpush', 'log', e.err)",
        "0",
    ),
    ("redis.call('set', 'before', 1) error('the end')", "0"),
    (
        "redis.call('set', 'before2', 1) redis.call('lpush', 'before2', 1) redis.call('set', 'after', 1)",
        "0",
    ),
    (
        "redis.call('set', 'before3', 1) redis.call('nosuchcommand')",
        "0",
    ),
    (
        "local e = redis.pcall('nosuchcommand') redis.call('set', 'told', e.err)",
        "0",
    ),
    (
        "local e = redis.pcall('get') redis.call('set', 'told2', e.err)",
        "0",
    ),
    (
        "local e = redis.pcall('subscribe', 'x') redis.call('set', 'told3', e.err)",
        "0",
    ),
    // No write may follow a command whose reply differs between servers.
    (
        "redis.call('set', 'dirty', 1) redis.call('time') local e = redis.pcall('set', 'dirty', 2) return e",
        "0",
    ),
    (
        "redis.call('set', 'dirty2', tostring(redis.replicate_commands == nil)) redis.call('set', 'dirty3', tostring((function() return redis.call('set', 'x', 1).ok end)()))",
        "0",
    ),
    (
        "redis.call('set', 'late', 1) redis.call('set', 'switched', tostring(redis.replicate_commands()))",
        "0",
    ),
    // Other databases, expiry times, messages, Lua libraries.
    (
        "redis.call('select', 3) redis.call('set', 'there', 1) redis.call('select', 0) redis.call('set', 'here', 1)",
        "0",
    ),
    (
        "redis.call('set', 'brief', 1) redis.call('rpush', 'log', redis.call('expire', 'brief', 100000), redis.call('expire', 'none', 1), redis.call('persist', 'brief'), redis.call('persist', 'brief'))",
        "0",
    ),
    (
        "redis.call('set', 'over', 1) redis.call('expire', 'over', -1) redis.call('set', 'exists', redis.call('exists', 'over'))",
        "0",
    ),
    (
        "redis.call('publish', 'c', 'm') redis.call('set', 'packed', cmsgpack.pack({1, 'x'})) redis.call('set', 'sha', redis.sha1hex('x'))",
        "0",
    ),
    (
        "local t = {} for i = 1, 50 do t[#t + 1] = string.format('%05d', i * 7919 % 101) end table.sort(t) redis.call('set', 'sorted', table.concat(t, ','))",
        "0",
    ),
    (
        "return redis.status_reply(redis.call('set', KEYS[1], ARGV[1]).ok)",
        "1 status x",
    ),
];

fn in_words(script: &str, rest: &str) -> Vec<Vec<u8>> {
    let words = ["EVAL", script].into_iter().chain(rest.split(' '));
    words.map(|word| word.as_bytes().to_vec()).collect()
}

fn digest(client: &mut Client) -> String {
    client.command("DEBUG DIGEST").text()
}

/// Waits until redtail has applied everything, and compares.
fn same(primary: &Server, redtail: &Server, what: &str) {
    redtail.wait_in_sync(primary);
    let own = digest(&mut redtail.client());
    assert_eq!(
        own,
        digest(&mut primary.client()),
        "{what}: {}",
        redtail.log()
    );
}

fn start() -> Option<(Server, Server)> {
    let primary = Server::start(NAME, &OLD_HABITS)?;
    let redtail = Server::redtail_with(&primary, &["--enable-debug-command", "yes"]);
    Some((primary, redtail))
}

#[test]
fn scripts_that_come_as_their_text_do_what_they_did_at_the_primary() {
    let Some((primary, redtail)) = start() else {
        return;
    };
    let mut client = primary.client();
    for (script, rest) in SCRIPTS {
        client.pipeline(&[in_words(script, rest)]);
        same(&primary, &redtail, script);
    }
    let figure = redtail.client().info("redtail", "redtail_scripts_run");
    let figure: usize = figure.and_then(|text| text.parse().ok()).expect("a figure");
    assert!(
        figure > SCRIPTS.len() / 2,
        "the primary sent texts: {figure}"
    );
}

#[test]
fn scripts_by_their_digest_and_within_transactions_are_run_as_one() {
    let Some((primary, redtail)) = start() else {
        return;
    };
    let mut client = primary.client();
    let loaded = client.words(&[
        b"SCRIPT",
        b"LOAD",
        b"return redis.call('incrby', KEYS[1], ARGV[1])",
    ]);
    let evalsha = format!("EVALSHA {} 1 n 5", loaded.text());
    client.command(&evalsha);
    client.command(&evalsha);
    for line in [
        "MULTI", "SET m 1", &evalsha, "SELECT 2", &evalsha, "EXEC", "SELECT 0",
    ] {
        client.command(line);
    }
    same(&primary, &redtail, "within MULTI");
    assert_eq!(redtail.command("GET n").text(), "15");
    // On redtail, a script sees expired keys until the primary deletes them.
    client.command("SET gone 1 PX 1");
    std::thread::sleep(std::time::Duration::from_millis(20));
    client.pipeline(&[in_words(
        "if redis.call('exists', 'gone') == 0 then redis.call('set', 'seen', 'gone') end",
        "0",
    )]);
    same(&primary, &redtail, "an expired key");
    assert_eq!(redtail.command("GET seen").text(), "gone");
}

#[test]
fn readers_see_all_of_a_script_or_nothing() {
    let Some((primary, redtail)) = start() else {
        return;
    };
    let script = "for i = 1, 200 do redis.call('set', 'k' .. i, ARGV[1]) end";
    let writer = std::thread::spawn({
        let mut client = primary.client();
        move || {
            for round in 0..100 {
                client.pipeline(&[in_words(script, &format!("0 {round}"))]);
            }
        }
    });
    let mut reader = redtail.client();
    let keys: Vec<_> = (1..=200).map(|at| format!("k{at}")).collect();
    let question = format!("MGET {}", keys.join(" "));
    while !writer.is_finished() {
        let values = reader.command(&question).text();
        let mut values = values.lines();
        let first = values.next();
        assert!(values.all(|value| Some(value) == first), "{question}");
    }
    writer.join().expect("the writer ends");
    same(&primary, &redtail, "after all");
}

#[test]
fn a_script_whose_effects_are_not_surely_known_taints_everything() {
    for (script, reason) in [
        (
            "redis.call('sadd', 's', 1, 2, 3) redis.call('spop', 's')",
            "whose reply only the primary knows",
        ),
        (
            "redis.call('xadd', 'x', '*', 'a', 1)",
            "whose reply only the primary knows",
        ),
        (
            "redis.call('set', 'a', 1) redis.call('scan', 0)",
            "in an order that only the primary knows",
        ),
        (
            "redis.call('set', 'a', 1) redis.setresp(3) redis.call('get', 'a')",
            "RESP3",
        ),
    ] {
        let Some((primary, redtail)) = start() else {
            return;
        };
        primary.client().pipeline(&[in_words(script, "0")]);
        redtail.wait_for("the taint", |client| client.command("GET a").is_error());
        assert!(redtail.command("GET a").text().contains("TAINTED"));
        assert!(redtail.log().contains(reason), "{}", redtail.log());
    }
}

/// Before 7.0, Redis writes the scripts that it knows into its snapshots.
#[test]
fn scripts_of_the_snapshot_are_known_by_their_digests() {
    let script = "return redis.call('set', KEYS[1], 'by digest')";
    let mut rdb = b"REDIS0009".to_vec();
    for (name, value) in [("redis-ver", "6.0.16"), ("lua", script)] {
        rdb.push(0xfa);
        for text in [name, value] {
            rdb.push(u8::try_from(text.len()).expect("short"));
            rdb.extend_from_slice(text.as_bytes());
        }
    }
    rdb.push(0xff);
    rdb.extend_from_slice(&[0; 8]);
    let primary = Scripted::start();
    let redtail = Server::redtail_of(&format!("redis://{}", primary.address()), &[]);
    let (mut connection, _) = primary.accept_psync();
    connection.send(full_resync(0));
    connection.send(with_length(&rdb));
    connection.send(stream(&[
        "EVALSHA b6f1900fe8d9b0085327002414081cc08c0a746f 1 k",
    ]));
    redtail.wait_for("the script", |client| {
        client.command("GET k").text() == "by digest"
    });
    connection.send(stream(&[
        "EVALSHA ffffffffffffffffffffffffffffffffffffffff 1 k",
    ]));
    redtail.wait_for("the taint", |client| client.command("GET k").is_error());
    redtail.wait_for_log("its text is neither in the snapshot nor in the stream since then");
}

/// Script texts are part of the data: they survive a restart, whether they are in the log or in a snapshot of redtail's own.
#[test]
fn scripts_are_known_by_their_digests_after_a_restart() {
    let Some(primary) = Server::start(NAME, &OLD_HABITS) else {
        return;
    };
    let folder = tempfile::tempdir().expect("a directory");
    let state = folder.path().join("state");
    let state = state.to_str().expect("its name is text").to_owned();
    let own = [
        "--state-dir",
        &state,
        "--state-log-max",
        "20kb",
        "--enable-debug-command",
        "yes",
    ];
    let mut redtail = Server::redtail_with(&primary, &own);
    redtail.wait_in_sync(&primary);
    let mut client = primary.client();
    // Loaded after the first sync, so that it is in none of the primary's snapshots.
    let loaded = client.words(&[
        b"SCRIPT",
        b"LOAD",
        b"return redis.call('incrby', KEYS[1], ARGV[1])",
    ]);
    let evalsha = format!("EVALSHA {} 1 n 5", loaded.text());
    client.command(&evalsha);
    let snapshots = |client: &mut Client| client.info("redtail", "redtail_state_snapshots");
    for round in ["the log", "a snapshot"] {
        if round == "a snapshot" {
            for number in 0..1000 {
                client.command(&format!("SET k{number} {}", "v".repeat(100)));
            }
            let more_than_the_first = |count: String| count.parse::<u32>().is_ok_and(|n| n > 0);
            redtail.wait_for("a snapshot", |client| {
                snapshots(client).is_some_and(more_than_the_first)
            });
        }
        same(&primary, &redtail, round);
        redtail.stop();
        client.command(&evalsha);
        redtail = Server::redtail_with(&primary, &own);
        client.command(&evalsha);
        same(&primary, &redtail, round);
        let syncs = primary.client().info("stats", "sync_full");
        assert_eq!(syncs.as_deref(), Some("1"), "{round}");
        let run = redtail.client().info("redtail", "redtail_scripts_run");
        assert_ne!(run.as_deref(), Some("0"), "{round}");
    }
}
