//! The library, embedded: it follows a real primary as the program does. No name here is from inside the crate.

mod building;
mod changes;
mod events;
mod failures;
mod lives;
mod moment;
mod typed;
mod use_of_the_face;
mod walks;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use redtail::{Config, Database, Error, Replica, Reply, Scan, Status};
use tokio::runtime::Runtime;

use crate::client::{Client, words};
use crate::servers::{PATIENCE, Server};

fn runtime() -> Runtime {
    Runtime::new().unwrap()
}

/// The settings to follow `primary`, ready for another full sync at any time.
fn config(primary: &Server) -> Config {
    let mut config = Config::new(&format!("redis://127.0.0.1:{}", primary.port)).unwrap();
    config.upstream.timing.resync_floor = Duration::ZERO;
    config
}

/// A replica of `primary` after its first sync.
fn follow(runtime: &Runtime, config: Config) -> Replica {
    let _inside = runtime.enter();
    let replica = Replica::start(config).unwrap();
    let ready = runtime.block_on(async { tokio::time::timeout(PATIENCE, replica.ready()).await });
    ready.expect("a first sync").unwrap();
    replica
}

/// Waits until `done` returns true.
#[track_caller]
fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until everything that `primary` has written so far is readable.
fn caught_up(replica: &Replica, primary: &Server) {
    let offset = primary.client().offset("master_repl_offset").unwrap();
    let offset = u64::try_from(offset).unwrap();
    wait_until("the primary's offset", || {
        replica.status().applied_offset >= offset
    });
}

fn bytes(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

fn is_reply(error: Result<impl std::fmt::Debug, Error>, start: &str) {
    let Err(Error::Reply(text)) = &error else {
        panic!("{error:?} instead of {start}");
    };
    assert!(text.starts_with(start), "{text}");
}

/// A reply as a client would see it printed.
fn show(reply: &Reply) -> String {
    let all = |replies: &[Reply]| replies.iter().map(show).collect::<Vec<_>>().join(" ");
    match reply {
        Reply::Null => "nil".to_owned(),
        Reply::Boolean(is_true) => format!("#{is_true}"),
        Reply::Integer(number) => format!(":{number}"),
        Reply::Double(number) => format!(",{number}"),
        Reply::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Reply::Error(text) => format!("-{text}"),
        Reply::Array(replies) => format!("[{}]", all(replies)),
        Reply::Set(replies) => format!("{{{}}}", all(replies)),
        Reply::Map(pairs) => {
            let pairs: Vec<Reply> = pairs
                .iter()
                .flat_map(|(key, value)| [key.clone(), value.clone()])
                .collect();
            format!("<{}>", all(&pairs))
        }
        _ => panic!("{reply:?}"),
    }
}

#[test]
fn follows_a_primary_and_answers_every_kind_of_read() {
    let Some(primary) = Server::start("redis-8.0", &[]) else {
        return;
    };
    for line in [
        "SET greeting hello",
        "SET number -5",
        "RPUSH list a b c",
        "SADD set m",
        "HSET hash f v",
        "ZADD zset 1.5 m",
        "VADD vectors VALUES 2 1 2 e",
    ] {
        primary.command(line);
    }
    let runtime = runtime();
    let replica = follow(&runtime, config(&primary));
    assert_eq!(replica.get("greeting"), Ok(Some(bytes("hello"))));
    assert_eq!(replica.get("number"), Ok(Some(bytes("-5"))));
    assert_eq!(
        replica.get_with("number", |text| text.map(<[u8]>::len)),
        Ok(Some(2))
    );
    assert_eq!(replica.get_with("none", |text| text.is_some()), Ok(false));

    primary.command("MSET one 1 two 2 greeting bye");
    primary.command("DEL number");
    caught_up(&replica, &primary);
    let values = replica.mget(&["one", "two", "three", "list", "greeting"]);
    assert_eq!(
        values,
        Ok(vec![
            Some(bytes("1")),
            Some(bytes("2")),
            None,
            None,
            Some(bytes("bye"))
        ])
    );
    for (line, expected) in [
        ("GET none", "nil"),
        ("STRLEN greeting", ":3"),
        ("LRANGE list 0 -1", "[a b c]"),
        ("SMEMBERS set", "{m}"),
        ("HGETALL hash", "<f v>"),
        ("ZSCORE zset m", ",1.5"),
        ("ZRANGE zset 0 -1 WITHSCORES", "[[m ,1.5]]"),
        ("VISMEMBER vectors e", "#true"),
        ("TYPE zset", "zset"),
    ] {
        let reply = replica.command(&words(line));
        assert_eq!(reply.as_ref().map(show), Ok(expected.to_owned()), "{line}");
    }

    primary
        .client()
        .pipeline(&[words("SELECT 9"), words("SET there 1")]);
    caught_up(&replica, &primary);
    let ninth: Database<'_> = replica.database(9);
    assert_eq!(ninth.get("there"), Ok(Some(bytes("1"))));
    assert_eq!(
        ninth.get_with("there", |text| text.map(<[u8]>::to_vec)),
        Ok(Some(bytes("1")))
    );
    assert_eq!(
        ninth.mget(&["there", "greeting"]),
        Ok(vec![Some(bytes("1")), None])
    );
    assert_eq!(ninth.command(&["DBSIZE"]), Ok(Reply::Integer(1)));
    assert_eq!(replica.database(1).get("greeting"), Ok(None));
    runtime.block_on(replica.stop());
}

#[test]
fn a_walk_finds_every_key_that_matches_and_no_other() {
    let Some(primary) = Server::start("valkey-9.1", &[]) else {
        return;
    };
    let names = (0..3000).map(|number| format!("user:{number}"));
    let mut expected: Vec<Vec<u8>> = names.map(String::into_bytes).collect();
    let write = |key: &Vec<u8>| vec![bytes("SET"), key.clone(), bytes("x")];
    primary
        .client()
        .pipeline(&expected.iter().map(write).collect::<Vec<_>>());
    primary.client().pipeline(&[
        words("SET other 1"),
        words("SELECT 3"),
        words("SET user:x 1"),
    ]);
    let runtime = runtime();
    let replica = follow(&runtime, config(&primary));
    let walk: Scan<'_> = replica.scan("user:*");
    let mut found: Vec<Vec<u8>> = walk.collect::<Result<_, _>>().unwrap();
    found.sort();
    found.dedup();
    expected.sort();
    assert_eq!(found, expected);
    let third: Result<Vec<_>, _> = replica.database(3).scan("*").collect();
    assert_eq!(third, Ok(vec![bytes("user:x")]));
    assert_eq!(replica.database(4).scan("*").count(), 0);
}

#[test]
fn status_says_what_is_served_and_how_far_it_is() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    primary.client().pipeline(&[
        words("SET a 1"),
        words("SET b 1 PX 100000"),
        words("SELECT 2"),
        words("SET c 1"),
    ]);
    let runtime = runtime();
    let replica = follow(&runtime, config(&primary));
    primary.command("SET d 1");
    caught_up(&replica, &primary);
    let status: Status = replica.status();
    let mut client = primary.client();
    let replid = client.info("replication", "master_replid").unwrap();
    assert_eq!(status.history.replid.unwrap().to_string(), replid);
    assert_eq!(status.dialect.unwrap().version, (7, 0, 15));
    let keys = status
        .databases
        .iter()
        .map(|keys| (keys.db, keys.keys, keys.expires));
    assert_eq!(keys.collect::<Vec<_>>(), [(0, 3, 1), (2, 1, 0)]);
    assert!(status.received_offset >= status.applied_offset);
    assert_eq!(
        (status.loads, status.failed_writes, status.tainted_keys),
        (1, 0, Some(0))
    );
    assert_eq!(
        (status.swept_keys, status.swept_bytes, status.stale),
        (0, 0, false)
    );
    assert!(status.held.is_none() && status.last_fault.is_none());
    wait_until("the first proof", || replica.status().proven_ago.is_some());
    assert!(status.link.was_up && !status.link.needs_a_person);
    assert_eq!(status.link.state.word(), "connected");
}

/// Tells the readers that the writer is done, even if it panicked.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Repeats `check` until the writer is done. Returns how often it did.
fn until(done: &AtomicBool, mut check: impl FnMut()) -> u32 {
    let mut checks = 0;
    while !done.load(Ordering::Acquire) || checks == 0 {
        check();
        checks += 1;
    }
    checks
}

/// Pairs of keys. Both keys of a pair always have the same value at the primary.
const PAIRS: usize = 8;

/// Writes all pairs, each by a transaction of its own.
fn write_pairs(client: &mut Client, round: u32) {
    let pair = |pair: usize| {
        [
            "MULTI".to_owned(),
            format!("SET left:{pair} {round}"),
            format!("SET right:{pair} {round}"),
            "EXEC".to_owned(),
        ]
    };
    let lines = (0..PAIRS).flat_map(pair);
    client.pipeline(&lines.map(|line| words(&line)).collect::<Vec<_>>());
}

/// Reads all pairs, the left keys first, by the method or by the command.
fn read_pairs(replica: &Replica, by_command: bool) -> Vec<u32> {
    let sides = ["left", "right"].into_iter();
    let names = sides.flat_map(|side| (0..PAIRS).map(move |pair| format!("{side}:{pair}")));
    let names: Vec<String> = names.collect();
    let texts: Vec<Option<Vec<u8>>> = if by_command {
        let words: Vec<String> = std::iter::once("MGET".to_owned()).chain(names).collect();
        let Reply::Array(replies) = replica.command(&words).unwrap() else {
            panic!("not an array");
        };
        let text = |reply| match reply {
            Reply::Bytes(text) => Some(text),
            _ => None,
        };
        replies.into_iter().map(text).collect()
    } else {
        replica.mget(&names).unwrap()
    };
    let number = |text: Option<Vec<u8>>| {
        let text = String::from_utf8(text.expect("it never goes")).unwrap();
        text.parse().unwrap()
    };
    texts.into_iter().map(number).collect()
}

/// Asserts that no read sees half of a transaction, and none an older value than the read before it.
fn reads_whole_moments(replica: &Replica, by_command: bool, done: &AtomicBool) {
    let mut before = vec![0; PAIRS];
    let (mut torn, mut back) = (0, 0);
    let checks = until(done, || {
        let mut left = read_pairs(replica, by_command);
        let right = left.split_off(PAIRS);
        torn += u32::from(left != right);
        back += u32::from(left.iter().zip(&before).any(|(now, before)| now < before));
        before = left;
    });
    assert_eq!((torn, back), (0, 0), "torn and older ones of {checks}");
}

#[test]
fn every_read_of_several_keys_is_of_one_moment_while_a_writer_writes() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    write_pairs(&mut primary.client(), 0);
    let runtime = runtime();
    let replica = follow(&runtime, config(&primary));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (replica, done) = (&replica, &done);
        for by_command in [false, false, true] {
            scope.spawn(move || reads_whole_moments(replica, by_command, done));
        }
        for _ in 0..2 {
            scope.spawn(|| {
                until(done, || {
                    let found: Result<Vec<_>, _> = replica.scan("*").collect();
                    assert_eq!(found.unwrap().len(), 2 * PAIRS);
                    let length = replica.get_with("left:0", |text| text.map(<[u8]>::len));
                    assert!(length.unwrap().is_some());
                })
            });
        }
        let _done = Done(done);
        let mut client = primary.client();
        (1..400).for_each(|round| write_pairs(&mut client, round));
        caught_up(replica, &primary);
    });
    let last = replica.mget(&["left:0", "right:0"]);
    assert_eq!(last, Ok(vec![Some(bytes("399")); 2]));
}
