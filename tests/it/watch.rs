//! WATCH: EXEC returns null exactly when a real replica's does.

use std::thread::sleep;
use std::time::Duration;

use crate::client::{Client, Reply, words};
use crate::servers::{ALL, Server};

/// A primary, a real replica of it and redtail.
struct Trio {
    name: &'static str,
    primary: Server,
    replica: Server,
    redtail: Server,
}

impl Trio {
    fn start(name: &'static str) -> Option<Self> {
        let primary = Server::start(name, &[])?;
        // Expired keys stay until a command on the primary reads them.
        primary.command("DEBUG SET-ACTIVE-EXPIRE 0");
        let replica = Server::replica(name, &primary)?;
        let redtail = Server::redtail(&primary);
        Some(Self {
            name,
            primary,
            replica,
            redtail,
        })
    }

    fn wait_in_sync(&self) {
        self.replica.wait_in_sync(&self.primary);
        self.redtail.wait_in_sync(&self.primary);
    }

    /// Runs lines: `> …` on the primary, `~ …` as a wait in milliseconds, and all others on both followers, whose replies must
    /// agree.
    fn play(&self, scene: &str) {
        let (mut primary, mut replica) = (self.primary.client(), self.replica.client());
        let mut redtail = self.redtail.client();
        for line in ["SELECT 0", "FLUSHALL", "SET a 1", "SET b 2"] {
            primary.command(line);
        }
        self.wait_in_sync();
        for line in scene.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if let Some(write) = line.strip_prefix("> ") {
                primary.command(write);
                self.wait_in_sync();
            } else if let Some(wait) = line.strip_prefix("~ ") {
                sleep(Duration::from_millis(wait.parse().unwrap()));
            } else {
                let (expected, found) = (replica.command(line), redtail.command(line));
                assert_eq!(found, expected, "{}: {line} in {scene}", self.name);
            }
        }
    }
}

const SCENES: &[&str] = &[
    "WATCH a
     > SET a 2
     MULTI
     GET a
     EXEC
     MULTI
     GET a
     EXEC",
    "WATCH a b a
     > SET c 1
     MULTI
     EXEC",
    "WATCH a
     MULTI
     GET b
     > DEL a
     GET a
     EXEC",
    "WATCH a
     > SET a 2
     UNWATCH
     MULTI
     GET a
     EXEC",
    "WATCH a
     > SET a 2
     MULTI
     DISCARD
     MULTI
     GET a
     EXEC",
    "WATCH a
     > SET a 2
     RESET
     MULTI
     GET a
     EXEC",
    "WATCH a
     MULTI
     GET a
     EXEC
     > SET a 2
     MULTI
     GET a
     EXEC",
    "WATCH a
     > SET a 2
     WATCH b
     MULTI
     UNWATCH
     EXEC",
    "WATCH a
     > SET a 2
     MULTI
     NOSUCH
     EXEC
     MULTI
     EXEC",
    "MULTI
     WATCH a
     GET a
     EXEC
     WATCH
     UNWATCH a",
    "MULTI
     MULTI
     EXEC
     DISCARD",
    "MULTI
     CLIENT REPLY ON
     EXEC
     DISCARD",
    "SELECT 1
     WATCH a
     SELECT 0
     > SET a 2
     MULTI
     EXEC",
    "SELECT 1
     WATCH a
     SELECT 0
     > SELECT 1
     > SET a 2
     MULTI
     GET a
     EXEC",
    "WATCH a
     > FLUSHDB
     MULTI
     EXEC",
    "WATCH none
     > FLUSHALL
     MULTI
     EXEC",
    "WATCH a
     > SELECT 1
     > SET x 1
     > FLUSHDB
     MULTI
     EXEC
     WATCH a
     > FLUSHALL
     MULTI
     EXEC",
    "WATCH a
     > SWAPDB 0 1
     MULTI
     GET a
     EXEC",
    "WATCH none
     > SWAPDB 0 1
     MULTI
     EXEC",
    "SELECT 1
     WATCH a
     > SWAPDB 0 1
     MULTI
     GET a
     EXEC",
    "WATCH a
     > MULTI
     > SET b 1
     > SET a 1
     > EXEC
     MULTI
     EXEC",
    "WATCH a
     > PEXPIRE a 100
     MULTI
     EXEC
     WATCH a
     ~ 150
     MULTI
     EXEC",
    // The key is already expired when it is watched. Then nothing happens to it, it is deleted, or it is created again.
    "> PEXPIRE a 1
     ~ 20
     WATCH a
     MULTI
     EXEC
     WATCH a
     > GET a
     MULTI
     EXEC
     WATCH a
     > SET a 2
     MULTI
     EXEC",
    "> PEXPIRE a 1
     ~ 20
     WATCH a
     > GET a
     > SET a 2
     MULTI
     EXEC",
    "> PEXPIRE a 1
     ~ 20
     WATCH a
     > FLUSHALL
     MULTI
     EXEC",
    "> PEXPIRE a 1
     ~ 20
     WATCH a
     > SWAPDB 0 1
     MULTI
     EXEC",
    "> PEXPIRE a 1
     ~ 20
     SELECT 1
     WATCH a
     > SWAPDB 0 1
     MULTI
     EXEC",
];

#[test]
fn scenes_end_as_with_a_real_replica() {
    for trio in ALL.into_iter().filter_map(Trio::start) {
        SCENES.iter().for_each(|scene| trio.play(scene));
    }
}

/// Keys in the writes below. Each is watched by a connection of its own.
const KEYS: [&str; 12] = [
    "text", "number", "list", "list2", "set", "set2", "hash", "zset", "stream", "none", "hll",
    "volatile",
];

const MAKE: &str = "SET text abc
    SET number 5
    RPUSH list c a b
    RPUSH list2 x
    SADD set a b c
    SADD set2 c d
    HSET hash f 1 g 2
    ZADD zset 1 a 2 b
    XADD stream 1-1 f v
    XADD stream 2-1 f v
    XGROUP CREATE stream group 0
    PFADD hll a
    SET volatile 1 PX 1000000";

/// Writes of every kind. A write that a server does not support changes nothing there.
const WRITES: &str = "APPEND text x
    SETRANGE text 0 y
    SETBIT text 0 1
    SET text abc KEEPTTL
    GETSET text z
    INCR number
    INCRBYFLOAT number 1.5
    GETDEL number
    SET number 5
    MSET text a number 1
    MSETNX text a none 1
    LPUSH list z
    LPOP list
    LSET list 0 q
    LTRIM list 0 1
    LTRIM list 0 -1
    LREM list 0 nosuch
    RPOPLPUSH list list2
    LMOVE list2 list LEFT LEFT
    LINSERT list BEFORE nosuch x
    DEL list
    RPUSH list c a b
    SADD set d
    SADD set d
    SREM set nosuch
    SMOVE set set2 a
    SMOVE set set2 nosuch
    SPOP set
    SINTERSTORE none set2 nosuch
    SUNIONSTORE none set set2
    SDIFFSTORE none nosuch set
    HSET hash f 1
    HINCRBY hash f 1
    HDEL hash nosuch
    HPEXPIRE hash 100000 FIELDS 1 f
    HPERSIST hash FIELDS 1 f
    HDEL hash f g
    HSET hash f 1 g 2
    ZADD zset 1 a
    ZADD zset 3 a
    ZINCRBY zset 1 b
    ZREM zset nosuch
    ZRANGESTORE none zset 0 -1
    ZUNIONSTORE none 1 zset
    GEOADD zset 1 1 place
    XADD stream 3-1 f v
    XDEL stream 1-1
    XTRIM stream MAXLEN 2
    XGROUP CREATE stream other $
    XGROUP CREATECONSUMER stream other me
    XREADGROUP GROUP group me COUNT 1 STREAMS stream >
    XACK stream group 2-1
    XREADGROUP GROUP group me COUNT 1 STREAMS stream >
    XCLAIM stream group you 0 3-1
    XAUTOCLAIM stream group me 0 0
    XSETID stream 9-9
    XGROUP SETID stream group 0
    XGROUP DELCONSUMER stream group me
    XGROUP DESTROY stream group
    DEL none
    XGROUP CREATE none group $ MKSTREAM
    DEL none
    PFADD hll a
    PFADD hll b
    PFCOUNT hll
    PFMERGE none hll
    EXPIRE volatile 500
    EXPIRE volatile 500 NX
    PERSIST volatile
    PERSIST volatile
    GETEX volatile PX 900000
    COPY text none
    COPY text none REPLACE
    RENAME none volatile
    RENAME volatile none
    RENAMENX none text
    MOVE none 1
    SORT list ALPHA STORE none
    SORT nosuch STORE none
    BITOP NOT none text
    BITFIELD text SET u8 0 1
    EVAL return(redis.call('set','text','s')) 0
    UNLINK text number nosuch";

/// Connections that watch one key each.
struct Watchers(Vec<Client>);

impl Watchers {
    fn watch(server: &Server) -> Self {
        let watch = |key: &str| {
            let mut client = server.client();
            client.command(&format!("WATCH {key}"));
            client
        };
        Self(KEYS.into_iter().map(watch).collect())
    }

    /// Returns EXEC's reply for each key, and watches the key again.
    fn ask(&mut self) -> Vec<Reply> {
        let ask = |(client, key): (&mut Client, &str)| {
            let lines = [
                "MULTI".to_owned(),
                "EXEC".to_owned(),
                format!("WATCH {key}"),
            ];
            let replies = client.pipeline(&lines.map(|line| words(&line)));
            replies[1].clone()
        };
        self.0.iter_mut().zip(KEYS).map(ask).collect()
    }
}

#[test]
fn every_sort_of_write_breaks_the_watches_that_it_breaks_on_a_real_replica() {
    for trio in ALL.into_iter().filter_map(Trio::start) {
        let mut primary = trio.primary.client();
        MAKE.lines()
            .for_each(|line| drop(primary.command(line.trim())));
        trio.wait_in_sync();
        let (mut expected, mut found) = (
            Watchers::watch(&trio.replica),
            Watchers::watch(&trio.redtail),
        );
        for line in WRITES.lines().map(str::trim) {
            primary.command(line);
            trio.wait_in_sync();
            let replies = expected.ask().into_iter().zip(found.ask());
            for (key, (expected, found)) in KEYS.iter().zip(replies) {
                assert_eq!(found, expected, "{}: {key} after {line}", trio.name);
            }
        }
    }
}
