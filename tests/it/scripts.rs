//! Scripts must answer as on a real replica. `fixtures/scripts.txt` holds one script per line. In scripts that begin with `#!`,
//! `\n` ends the first line.

use std::time::{Duration, Instant};

use crate::builds::{BREAKS_ITS_LINE, other_build};
use crate::client::{Client, Reply};
use crate::servers::{ALL, PATIENCE, Server};

const SCRIPTS: &str = include_str!("../../fixtures/scripts.txt");

struct Pair {
    _primary: Server,
    replica: Server,
    redtail: Server,
}

const DATA: [&str; 12] = [
    "SET str value",
    "SET num 42",
    "HSET hash f v",
    "HSET h2 a 1 b 2 c 3 d 4",
    "ZADD zset 1.5 a 2 b 1e30 c",
    "SADD set a",
    "SADD s2 a b c d",
    "RPUSH list a b c",
    "XADD stream 1-1 f v",
    "XADD stream 2-1 f v g w",
    "PFADD hll a b c",
    "GEOADD geo 13.36 38.11 p 15.08 37.5 c",
];

fn pair(name: &str) -> Option<Pair> {
    let primary = Server::start(name, &[])?;
    for line in DATA {
        primary.command(line);
    }
    let replica = Server::replica(name, &primary)?;
    let redtail = Server::redtail(&primary);
    replica.wait_in_sync(&primary);
    redtail.wait_in_sync(&primary);
    Some(Pair {
        _primary: primary,
        replica,
        redtail,
    })
}

fn ask(client: &mut Client, command: &str, script: &str) -> Reply {
    let words = [command, script, "2", "str", "hash", "arg", "x"];
    client.words(&words.map(str::as_bytes))
}

/// Runs all scripts on both. Skips `cjson` scripts on servers built without it, and flushes what scripts leave behind on the
/// replica.
///
/// # Panics
/// If there are differences, with all of them.
fn assert_same(name: &str, command: &str, connect: impl Fn(&Server) -> Client, pair: &Pair) {
    let (mut replica, mut redtail) = (connect(&pair.replica), connect(&pair.redtail));
    let mut differences = Vec::new();
    for line in SCRIPTS.lines() {
        let script = match line.strip_prefix("#!") {
            Some(_) => line.replacen("\\n", "\n", 1),
            None => line.to_owned(),
        };
        replica.command("SCRIPT FLUSH");
        let expected = ask(&mut replica, command, &script);
        if BREAKS_ITS_LINE.contains(&line) {
            // The rest of its reply would be mistaken for the next reply.
            replica = connect(&pair.replica);
        }
        if expected.text().contains("global variable 'cjson'") {
            continue;
        }
        let found = ask(&mut redtail, command, &script);
        if found != expected && !other_build(line, &found, &expected) {
            differences.push(format!(
                "{line}\n  expected {expected:.300?}\n  found {found:.300?}"
            ));
        }
    }
    let count = differences.len();
    let shown = differences.join("\n");
    assert!(
        differences.is_empty(),
        "{name}: {command}: {count} differences\n{shown}"
    );
}

#[test]
fn scripts_answer_as_on_a_replica() {
    for name in ALL {
        let Some(pair) = pair(name) else {
            return;
        };
        assert_same(name, "EVAL", Server::client, &pair);
        let command = if name == "redis-6.0" {
            "EVAL"
        } else {
            "EVAL_RO"
        };
        assert_same(name, command, |server| server.client().resp3(), &pair);
    }
}

/// Scripts that would use up all memory.
const HUNGRY: &[&str] = &[
    "local s='x' while true do s=s..s end",
    "local t={} for i=1,1e9 do t[i]={} end",
    "return string.rep('x',2e9)",
    "collectgarbage('stop') while true do local t={} end",
];

#[test]
fn a_script_that_needs_too_much_memory_is_ended_and_the_next_one_runs() {
    let Some(pair) = pair("redis-8.0") else {
        return;
    };
    let mut client = pair.redtail.client();
    for script in HUNGRY {
        let reply = ask(&mut client, "EVAL", script);
        assert!(reply.text().contains("memory"), "{script}: {reply:?}");
        let next = ask(&mut client, "EVAL", "return 'next'");
        assert_eq!(next.bulk().as_deref(), Some(&b"next"[..]));
    }
}

#[test]
fn others_are_served_while_a_script_runs_and_can_end_it() {
    let Some(pair) = pair("valkey-9.1") else {
        return;
    };
    let mut running = pair.redtail.client();
    let endless = ["EVAL", "while true do end", "0"].map(|word| word.as_bytes().to_vec());
    running.send_all(&[endless.to_vec()]);
    let mut other = pair.redtail.client();
    let end = Instant::now() + PATIENCE;
    while other.command("SCRIPT KILL").0 != b"+OK\r\n" {
        assert!(Instant::now() < end, "no script runs");
        assert_eq!(other.command("GET str").text(), "value");
    }
    let reply = running.read().unwrap();
    assert!(reply.text().contains("killed by user"), "{reply:?}");
}

/// Scripts that never end, or that try to catch the error that ends them.
const ENDLESS: &[&str] = &[
    "while true do end",
    "while true do pcall(function() while true do end end) end",
    "coroutine.wrap(function() while true do end end)()",
    "return string.find(string.rep('a',100),string.rep('a*',50)..'b')",
];

#[test]
fn an_endless_script_is_ended_and_the_next_one_runs() {
    let Some(pair) = pair("valkey-8.1") else {
        return;
    };
    let mut client = pair.redtail.client();
    for script in ENDLESS {
        let reply = ask(&mut client, "EVAL", script);
        assert!(reply.is_error(), "{script}: {reply:?}");
        let next = ask(&mut client, "EVAL", "return 'next'");
        assert_eq!(next.bulk().as_deref(), Some(&b"next"[..]));
    }
}

/// Scripts that read undeclared keys, in ways that need more and more locks, and scripts that may fail halfway.
const UNDECLARED: &[&str] = &[
    "return {redis.call('GET','num'),redis.call('LRANGE','list',0,-1),redis.call('GET',KEYS[1])}",
    "return {redis.call('DBSIZE'),redis.call('GET','num'),#redis.call('KEYS','*')}",
    "local a=redis.call('GET','str') redis.call('SELECT',3) local b=redis.call('GET','str') return {a,b or 'none'}",
    "redis.call('SELECT',9) redis.call('SELECT',0) return redis.call('GET','num')",
    "local n=0 for i=1,100000 do n=n+i end return {n,redis.call('GET','num')}",
    "local t={} for i=1,300 do t[i]=redis.call('GET','str') end return {#t,t[300]}",
    "return {pcall(function() local n=0 for i=1,100000 do n=n+1 end redis.call('SELECT',5) return redis.call('DBSIZE') end)}",
    "local f=coroutine.wrap(function() for i=1,100000 do end coroutine.yield(redis.call('GET','num')) end) return f()",
    "local t={} for k,v in ipairs(redis.call('SORT','list','BY','nosort','GET','str')) do t[k]=v end return t",
    "math.randomseed(7) local a=math.random(1000000) for i=1,100000 do end redis.call('DBSIZE') return {a,math.random(1000000)}",
    "return redis.call('INFO','keyspace')~=nil",
    "for i=1,100000 do end error('late')",
    "for i=1,100000 do end return redis.pcall('SET','x',1)",
];

#[test]
fn scripts_that_need_more_than_their_keys_answer_as_on_a_replica() {
    for name in ALL {
        let Some(Pair {
            _primary,
            replica,
            redtail,
        }) = pair(name)
        else {
            return;
        };
        let (mut replica, mut redtail) = (replica.client(), redtail.client());
        // Repeated, because redtail remembers what a script needed.
        for script in UNDECLARED.iter().cycle().take(3 * UNDECLARED.len()) {
            let expected = ask(&mut replica, "EVAL", script);
            assert_eq!(
                ask(&mut redtail, "EVAL", script),
                expected,
                "{name}: {script}"
            );
        }
    }
}

/// Functions that count their calls, and need more than they declare in different ways.
const COUNTER: &str = "#!lua name=counter
local calls, seen = 0, {}
redis.register_function{function_name='count', flags={'no-writes'}, callback=function(keys, args)
  calls = calls + 1
  local key = args[1]
  seen[key] = (seen[key] or 0) + 1
  if key == 'slow' then for i = 1, 100000 do end end
  if key == 'all' then redis.call('DBSIZE') end
  local found = redis.call('GET', key)
  return {calls, seen[key], found or 'none'}
end}
redis.register_function{function_name='far', flags={'no-writes'}, callback=function(keys, args)
  calls = calls + 1
  redis.call('SELECT', 4)
  return {redis.call('GET', args[1]) or 'none', redis.call('DBSIZE')}
end}
redis.register_function{function_name='plain', flags={'no-writes'}, callback=function(keys, args)
  for i = 1, 100000 do end
  return {redis.call('GET', 'num'), redis.call('DBSIZE'), args[1]}
end}";

#[test]
fn a_function_that_keeps_variables_runs_once_for_each_call() {
    for name in ALL.iter().filter(|name| **name != "redis-6.0") {
        let Some(pair) = pair(name) else {
            return;
        };
        let loaded = pair
            ._primary
            .client()
            .words(&[b"FUNCTION", b"LOAD", COUNTER.as_bytes()]);
        assert!(!loaded.is_error(), "{name}: {loaded:?}");
        pair.replica.wait_in_sync(&pair._primary);
        pair.redtail.wait_in_sync(&pair._primary);
        let (mut replica, mut redtail) = (pair.replica.client(), pair.redtail.client());
        for _ in 0..5 {
            for key in ["str", "slow", "all", "num"] {
                for words in [
                    ["FCALL_RO", "count", "0", key],
                    ["FCALL", "plain", "0", key],
                ] {
                    let words = words.map(str::as_bytes);
                    let expected = replica.words(&words);
                    assert_eq!(redtail.words(&words), expected, "{name}: {key}");
                }
            }
        }
    }
}

#[test]
fn a_function_that_keeps_variables_and_leaves_its_database_is_right_or_to_be_called_again_once() {
    let Some(pair) = pair("valkey-9.1") else {
        return;
    };
    let load: [&[u8]; 3] = [b"FUNCTION", b"LOAD", COUNTER.as_bytes()];
    assert!(!pair._primary.client().words(&load).is_error());
    pair.replica.wait_in_sync(&pair._primary);
    pair.redtail.wait_in_sync(&pair._primary);
    let call: [&[u8]; 4] = [b"FCALL_RO", b"far", b"0", b"str"];
    let expected = pair.replica.client().words(&call);
    let mut client = pair.redtail.client();
    let mut errors = 0;
    for _ in 0..20 {
        let found = client.words(&call);
        if found.is_error() {
            assert!(found.text().contains("run it again"), "{found:?}");
            errors += 1;
        } else {
            assert_eq!(found, expected);
        }
    }
    assert!(
        errors <= 1,
        "from the second call on, redtail locks all databases"
    );
}

/// Scripts that change KEYS and ARGV, and scripts that would notice such changes.
const CHANGING: &[&str] = &[
    "KEYS[1]='other' KEYS[2]=nil ARGV.name='x' return {KEYS[1],ARGV.name}",
    "local n=0 for k,v in pairs(KEYS) do n=n+1 end for k,v in pairs(ARGV) do n=n+1 end return {n,#KEYS,#ARGV,KEYS[1],ARGV[2]}",
    "setmetatable(KEYS,{__index=function(t,k) return 'made '..k end}) return {KEYS[7],KEYS[1]}",
    "return {KEYS[7] or 'none',tostring(getmetatable(KEYS)),ARGV.name or 'none'}",
    "table.insert(KEYS,'third') table.remove(ARGV,1) ARGV[1.5]='x' return {#KEYS,#ARGV,KEYS[3],ARGV[1.5]}",
    "return {#KEYS,#ARGV,KEYS[3] or 'none',ARGV[1.5] or 'none'}",
    "for i=1,100 do ARGV[i]=i end for i=3,100 do ARGV[i]=nil end return #ARGV",
    "ARGV[1],ARGV[2]=nil,nil KEYS[KEYS]=KEYS return {#ARGV,#KEYS}",
    "local f=coroutine.wrap(function() KEYS.x=1 coroutine.yield(redis.call('GET',KEYS[1])) error('y') end) return {f(),KEYS.x}",
    "local ok,e=pcall(redis.call,'LPUSH',KEYS[1],'x') return {ok,type(e)}",
    "local ok,e=pcall(function() return redis.call('HGET',KEYS[1],'x') end) return {ok,type(e),type(KEYS.x)}",
    "return redis.call('HGET',KEYS[1],'x')",
    "return {redis.pcall('HGET',KEYS[1],'x').err,#KEYS}",
    "return redis.call('MGET',KEYS[1],'num','none')",
    "return {1,2.9,true,false,'x'}",
    "return {[1]='a',[2]='b',[4]='d'}",
    "return {'a','b',x='y'}",
    "local t={} t[2]='b' t[1]='a' t[3]={'c'} return t",
    "return {'a',{err='MY error'},'b'}",
];

#[test]
fn what_a_script_does_to_its_lists_is_gone_in_the_next() {
    for name in ALL {
        let Some(pair) = pair(name) else {
            return;
        };
        let (mut replica, mut redtail) = (pair.replica.client(), pair.redtail.client());
        for script in CHANGING.iter().cycle().take(3 * CHANGING.len()) {
            for words in [
                &["EVAL", *script, "2", "str", "hash", "arg", "x"][..],
                &["EVAL", *script, "1", "str", "arg"],
                &["EVAL", *script, "0"],
            ] {
                let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
                let expected = replica.words(&words);
                assert_eq!(
                    redtail.words(&words),
                    expected,
                    "{name}: {script} {words:?}"
                );
            }
        }
    }
}

/// A function that keeps the lists it gets, and returns what was in those of the previous call.
const KEEPER: &str = "#!lua name=keeper
local kept, given
redis.register_function{function_name='keep', flags={'no-writes'}, callback=function(keys, args)
  local before = {kept and kept[1] or 'none', given and given[1] or 'none'}
  kept, given = keys, args
  return before
end}
redis.register_function{function_name='change', flags={'no-writes'}, callback=function(keys, args)
  local before = {#keys, #args, keys.x or 'none', keys[1] or 'none'}
  keys.x, args[1] = 'changed', nil
  return before
end}";

#[test]
fn a_function_may_keep_its_lists() {
    for name in ALL.iter().filter(|name| **name != "redis-6.0") {
        let Some(pair) = pair(name) else {
            return;
        };
        let load: [&[u8]; 3] = [b"FUNCTION", b"LOAD", KEEPER.as_bytes()];
        assert!(!pair._primary.client().words(&load).is_error());
        pair.replica.wait_in_sync(&pair._primary);
        pair.redtail.wait_in_sync(&pair._primary);
        let (mut replica, mut redtail) = (pair.replica.client(), pair.redtail.client());
        for function in ["keep", "change"] {
            for (key, argument) in [("a", "1"), ("b", "2"), ("c", "3"), ("c", "3")] {
                let words = ["FCALL_RO", function, "1", key, argument].map(str::as_bytes);
                let expected = replica.words(&words);
                assert_eq!(redtail.words(&words), expected, "{name}: {function} {key}");
            }
        }
    }
}

#[test]
fn scripts_and_reads_of_a_pipeline_are_answered_in_order() {
    let Some(pair) = pair("valkey-9.1") else {
        return;
    };
    let script = "return {redis.call('GET',KEYS[1]),ARGV[1]}";
    let (mut replica, mut redtail) = (pair.replica.client(), pair.redtail.client());
    let digests = [&mut replica, &mut redtail]
        .map(|client| client.words(&[b"SCRIPT", b"LOAD", script.as_bytes()]));
    assert_eq!(digests[0], digests[1]);
    let digest = digests[0].text();
    let kinds: [&[&str]; 9] = [
        &["GET", "str"],
        &["EVALSHA", &digest, "1", "str", "x"],
        &["EVAL", script, "1", "num", "y"],
        &["EVALSHA", &digest, "1", "list", "wrong type"],
        &["EVALSHA", &digest, "2", "num", "str", "two keys"],
        &[
            "EVALSHA",
            "ffffffffffffffffffffffffffffffffffffffff",
            "1",
            "str",
        ],
        &["MGET", "str", "num"],
        &["EVALSHA", &digest, "none", "str"],
        &["EVALSHA", &digest],
    ];
    // Each kind before and after each other kind, alone and twice in a row.
    let mut requests = Vec::new();
    for first in kinds {
        for second in kinds {
            for words in [first, second, second] {
                requests.push(words.iter().map(|word| word.as_bytes().to_vec()).collect());
            }
        }
    }
    let (expected, found) = (replica.pipeline(&requests), redtail.pipeline(&requests));
    for ((expected, found), request) in expected.iter().zip(&found).zip(&requests) {
        assert_eq!(found, expected, "{}", crate::client::show(request));
    }
}

/// Reads keys that are written together: a declared one, two undeclared ones, and one in another database.
const TOGETHER: &str = "local a=redis.call('GET',KEYS[1]) for i=1,tonumber(ARGV[1]) do end \
    local b,c=redis.call('GET','together:b'),redis.call('GET','together:c') redis.call('SELECT',1) \
    return {a,b,c,redis.call('GET','together:d')}";

#[test]
fn a_script_sees_one_moment_of_keys_that_it_does_not_declare() {
    let Some(pair) = pair("redis-7.0") else {
        return;
    };
    let writes = |number: u32| {
        let set = |key: &str| vec![b"SET".to_vec(), key.into(), number.to_string().into()];
        let word = |word: &str| vec![word.as_bytes().to_vec()];
        let select = |db: &str| vec![b"SELECT".to_vec(), db.into()];
        let (a, b, c) = (set("together:a"), set("together:b"), set("together:c"));
        let d = set("together:d");
        [
            word("MULTI"),
            a,
            b,
            c,
            select("1"),
            d,
            select("0"),
            word("EXEC"),
        ]
    };
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut client = pair._primary.client();
            for number in 0..3000 {
                client.send_all(&writes(number));
                for _ in 0..8 {
                    assert!(!client.read().unwrap().is_error());
                }
            }
        });
        let mut client = pair.redtail.client();
        while !writer.is_finished() {
            for steps in ["0", "1000", "100000"] {
                let words = ["EVAL", TOGETHER, "1", "together:a", steps].map(str::as_bytes);
                let found = client.words(&words);
                let values = found.elements();
                let first = values.first().map(Reply::text);
                let is_one = values.iter().all(|value| Some(value.text()) == first);
                assert!(is_one && !found.is_error(), "{found:?}");
            }
        }
    });
}

#[test]
fn scripts_that_hold_the_stream_up_for_too_long_are_refused_and_short_ones_are_not() {
    let Some(primary) = Server::start("valkey-8.1", &[]) else {
        return;
    };
    primary.command("SET str value");
    let redtail = Server::redtail_with(&primary, &["--script-share", "1"]);
    let mut running = redtail.client();
    let endless = ["EVAL", "while true do end", "0"].map(|word| word.as_bytes().to_vec());
    running.send_all(&[endless.to_vec()]);
    let figure = |name| -> u64 {
        let found = redtail.client().info("redtail", name);
        found.unwrap().parse().unwrap()
    };
    let end = Instant::now() + PATIENCE;
    let mut number = 0;
    // The script locks all shards, so any key will do.
    while figure("redtail_scripts_held_up_ms") == 0 {
        number += 1;
        primary.command(&format!("SET key:{number} x"));
        assert!(Instant::now() < end, "the script did not delay the stream");
        // The figure is updated when a script begins or ends.
        let _ = redtail.command("EVAL return(redis.call('DBSIZE')) 0");
        std::thread::sleep(Duration::from_millis(100));
        if number == 20 {
            assert_eq!(redtail.command("SCRIPT KILL").0, b"+OK\r\n");
            assert!(running.read().unwrap().text().contains("killed by user"));
        }
    }
    let long = "for i=1,1000000 do end return 1";
    let mut client = redtail.client();
    let refused = client.words(&["EVAL", long, "0"].map(str::as_bytes));
    let text = refused.text();
    assert!(
        text.starts_with("BUSY") && text.contains("--script-share"),
        "{text}"
    );
    let short = ["EVAL", "return redis.call('GET',KEYS[1])", "1", "str"].map(str::as_bytes);
    assert_eq!(client.words(&short).text(), "value");
    assert!(figure("redtail_scripts_refused") > 0);
}
