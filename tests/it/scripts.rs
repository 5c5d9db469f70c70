//! Scripts and functions, answered as a real replica answers them.

use crate::client::{Client, Reply};
use crate::servers::{ALL, Server};

/// Scripts whose replies are the same bytes on a replica, in both protocols.
const SCRIPTS: &[&str] = &[
    // Values.
    "return {1,2,{3,'a'},nil,4}",
    "return 3.99",
    "return -3.99",
    "return 1e30",
    "return nil",
    "return true",
    "return false",
    "return {ok='fine'}",
    "return {err='MY x'}",
    "return {double=1.5}",
    "return {map={a=1}}",
    "return {set={a=true}}",
    "return {big_number='123'}",
    "return {verbatim_string={format='txt',string='x'}}",
    "return {KEYS[1],ARGV[1],#KEYS,#ARGV}",
    "local t={} t[1]=t return t",
    "return unpack({},1,7000)",
    // Commands.
    "return redis.call('get',KEYS[1])",
    "return redis.call('hgetall','hash')",
    "redis.setresp(3) return redis.call('hgetall','hash')",
    "redis.setresp(3) return redis.call('zscore','zset','a')",
    "redis.setresp(3) return redis.call('smembers','set')",
    "redis.call('select',3) return redis.call('ping')",
    "return redis.call('lrange','str',0,-1)",
    "return redis.pcall('lrange','str',0,-1)",
    "return redis.call('echo',3.3)",
    "return redis.call('echo',1e20)",
    // What replicas and scripts may not.
    "return redis.call('set','a',1)",
    "return redis.pcall('set','a',1)",
    "return redis.call('blpop','a',0)",
    "return redis.call('subscribe','a')",
    "return redis.call('foo')",
    "return redis.pcall('foo')",
    "return redis.call('get')",
    "return redis.call()",
    "return redis.call({})",
    "return redis.call('object','foo')",
    "return redis.call('pfcount','none')",
    // Errors.
    "return foo",
    "error('x')",
    "error('x',0)",
    "error({err='MY x'})",
    "error()",
    "return {pcall(redis.call,'foo')}",
    "local ok,e=pcall(error,{err='a'}) return type(e)",
    "return redis.error_reply('x')",
    "return redis.error_reply('-x y')",
    "return redis.error_reply()",
    "return redis.status_reply('x')",
    "return redis.sha1hex('x')",
    "return redis.sha1hex()",
    "return redis.setresp(4)",
    "return redis.log(9,'b')",
    "return redis.set_repl()",
    "syntax error here",
    "return (",
    "local x; return x.y",
    "return 1 < 'a'",
    "return pairs(nil)",
    "return string.rep()",
    "return ('x'):rep({})",
    "return math.random(0)",
    "return unpack({},1,8000)",
    "math.randomseed(7) return tostring(math.random())",
    // First lines.
    "#!lua\nreturn 1",
    "#!lua flags=no-writes\nreturn 1",
    "#!lua flags=no-writes\nreturn redis.call('set','a',1)",
    "#!lua flags=foo\nreturn 1",
    "#!lua",
    "#!lua name=x\nreturn 1",
];

/// Scripts that work with what is built into Lua.
const LIBRARIES: &[&str] = &[
    "return {bit.band(0xff,0x0f),bit.bor(1,2),bit.lshift(1,31),bit.tohex(255,4),bit.arshift(-1,3)}",
    "return cmsgpack.pack({1,2,{a='b'}},'x',1.5,-1,true,nil)",
    "local t=cmsgpack.unpack(cmsgpack.pack({1,2,3})) return t",
    "return {struct.unpack('>I2<i4s',struct.pack('>I2<i4s',513,-2,'abc'))}",
    "return {struct.size('!8bd'),struct.pack('!4bi',1,2)}",
    "return {string.find('hello world','o w'),string.match('key=val','(%w+)=(%w+)')}",
    "return {string.gsub('hello','l','L'),(string.gsub('abc','%w','%0%0'))}",
    "local t={} for w in string.gmatch('one two','%a+') do t[#t+1]=w end return t",
    "local t={3,1,2} table.sort(t) return t",
    "return string.find('a','[')",
];

/// Those of `cjson`, which the oldest server here was built without.
const JSON: &[&str] = &[
    "return cjson.encode({1,2,{a='b/\"'},1.5,true,cjson.null})",
    "return cjson.encode({})",
    "return cjson.decode('[1,2,{\"a\":[null,true]}]')",
    "return cjson.decode('{\"a\":}')",
    "return cjson.decode('[1,2')",
    "return cjson.encode({[1]=1,[1000]=2})",
];

struct Pair {
    _primary: Server,
    replica: Server,
    redtail: Server,
}

fn pair(name: &str) -> Option<Pair> {
    let primary = Server::start(name, &[])?;
    for line in [
        "SET str value",
        "HSET hash f v",
        "ZADD zset 1.5 a",
        "SADD set a",
    ] {
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
    let words = [command, script, "1", "str", "arg"];
    client.words(&words.map(str::as_bytes))
}

fn assert_same(name: &str, pair: &Pair, scripts: &[&str]) {
    let clients = |server: &Server| [server.client(), server.client().resp3()];
    let both = clients(&pair.replica)
        .into_iter()
        .zip(clients(&pair.redtail));
    for (mut replica, mut redtail) in both {
        for script in scripts {
            for command in ["EVAL", "EVAL_RO"] {
                let expected = ask(&mut replica, command, script);
                let found = ask(&mut redtail, command, script);
                if expected != found { eprintln!("DIFF {name}: {command} {script}\n  want {:.300}\n  got  {:.300}", format!("{expected:?}"), format!("{found:?}")); }
            }
        }
    }
}

/// What the reply of a table that holds itself takes to be read: it is thousands of arrays deep.
const STACK_BYTES: usize = 256 << 20;

#[test]
fn scripts_answer_as_on_a_replica() {
    let asking = std::thread::Builder::new().stack_size(STACK_BYTES);
    let done = asking.spawn(|| ALL.iter().for_each(|name| ask_all(name)));
    done.unwrap().join().unwrap();
}

fn ask_all(name: &str) {
    let Some(pair) = pair(name) else {
        return;
    };
    assert_same(name, &pair, SCRIPTS);
    assert_same(name, &pair, LIBRARIES);
    if name != "redis-6.0" {
        assert_same(name, &pair, JSON);
    }
}

/// What would run for ever, and what would hide its end.
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
