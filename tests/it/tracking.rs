//! Client-side caching: redtail invalidates what a real replica invalidates, and no cached value stays stale.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use crate::client::{Client, Reply, encode, words};
use crate::faults::cut::End;
use crate::faults::proxy::Proxy;
use crate::oracle;
use crate::servers::{PATIENCE, Server};
use crate::tools;

/// The servers that are compared.
const SERVERS: [&str; 5] = [
    "redis-6.0",
    "redis-7.0",
    "redis-8.0",
    "valkey-8.1",
    "valkey-9.1",
];

/// What the keys begin with whose invalidation ends a collection.
const LAST: &[u8] = b"{last}";

/// A client that tracks.
struct Tracker {
    client: Client,
    /// The keys that were invalidated, `None` for all.
    told: Vec<Option<Vec<u8>>>,
    opts_in: bool,
}

impl Tracker {
    fn new(server: &Server, tracking: &str) -> Self {
        let mut tracker = Self {
            client: server.client().resp3(),
            told: Vec::new(),
            opts_in: tracking.ends_with("OPTIN"),
        };
        let reply = tracker.ask(&words(tracking));
        assert_eq!(reply.text(), "OK", "{tracking}");
        tracker
    }

    fn ask<W: AsRef<[u8]>>(&mut self, words: &[W]) -> Reply {
        let words: Vec<&[u8]> = words.iter().map(AsRef::as_ref).collect();
        self.client.send(&encode(&words)).unwrap();
        loop {
            let reply = self.client.read().unwrap();
            if !self.takes(&reply) {
                return reply;
            }
        }
    }

    /// Takes a push.
    fn takes(&mut self, reply: &Reply) -> bool {
        if reply.0.first() != Some(&b'>') {
            return false;
        }
        let parts = reply.elements();
        assert_eq!(parts[0].text(), "invalidate", "{reply:?}");
        match parts[1].0.as_slice() {
            b"_\r\n" => self.told.push(None),
            _ => self
                .told
                .extend(parts[1].elements().iter().map(Reply::bulk)),
        }
        true
    }

    /// Returns what was invalidated by all writes so far, once a last write is.
    fn collect(&mut self, primary: &mut Client) -> BTreeSet<Option<Vec<u8>>> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let last = format!("{{last}}{}", COUNT.fetch_add(1, Ordering::Relaxed)).into_bytes();
        while self.told.last() != Some(&Some(last.clone())) {
            if self.opts_in {
                self.ask(&words("CLIENT CACHING YES"));
            }
            self.ask(&[b"GET", last.as_slice()]);
            primary.words(&[b"SET", &last, b"x"]);
            let before = self.told.len();
            // If everything is invalidated, the last key must be read again.
            while !self.told[before..]
                .iter()
                .any(|key| key.is_none() || *key == Some(last.clone()))
            {
                let reply = self.client.read().unwrap();
                assert!(self.takes(&reply), "{reply:?}");
            }
        }
        let told = std::mem::take(&mut self.told);
        let is_last = |key: &Option<Vec<u8>>| key.as_ref().is_some_and(|key| key.starts_with(LAST));
        told.into_iter().filter(|key| !is_last(key)).collect()
    }
}

/// A primary, a real replica and redtail.
struct Trio {
    primary: Server,
    real: Server,
    redtail: Server,
    proxies: [Proxy; 2],
}

impl Trio {
    fn start(name: &str) -> Option<Self> {
        let primary = Server::start(name, &[])?;
        let proxies = [Proxy::start(primary.port), Proxy::start(primary.port)];
        let port = proxies[0].port.to_string();
        let real = Server::start(name, &["--replicaof", "127.0.0.1", &port])?;
        let address = format!("redis://127.0.0.1:{}", proxies[1].port);
        let redtail = Server::redtail_of(&address, &["--resync-floor", "0"]);
        let trio = Self {
            primary,
            real,
            redtail,
            proxies,
        };
        redtail_and_real(&trio, |server| {
            server.wait_for("its first sync", |client| {
                client.command("DBSIZE").is_integer()
            });
            server.wait_for("its link", |client| {
                client.info("replication", "master_link_status").as_deref() == Some("up")
            });
        });
        Some(trio)
    }

    fn settle(&self) {
        redtail_and_real(self, |server| server.wait_in_sync(&self.primary));
    }

    fn cut(&self) {
        self.proxies
            .iter()
            .for_each(|proxy| proxy.cut_now(End::Fin));
    }
}

fn redtail_and_real(trio: &Trio, work: impl Fn(&Server)) {
    [&trio.real, &trio.redtail].into_iter().for_each(work);
}

/// The keys that commands name, according to the server.
fn keys_of(server: &mut Client, commands: &[Vec<Vec<u8>>]) -> BTreeSet<Vec<u8>> {
    let ask = |command: &Vec<Vec<u8>>| {
        let mut ask = words("COMMAND GETKEYS")
            .iter()
            .map(|word| word.to_vec())
            .collect::<Vec<_>>();
        ask.extend(command.iter().cloned());
        ask
    };
    let asked: Vec<_> = commands.iter().map(ask).collect();
    let replies = server.pipeline(&asked);
    let keys = replies.iter().flat_map(Reply::elements);
    keys.filter_map(|key| key.bulk()).collect()
}

/// Whether a command's effect depends on the time, or is on all keys at once.
fn is_left_out(command: &[Vec<u8>]) -> bool {
    let name = command[0].to_ascii_uppercase();
    let name = String::from_utf8_lossy(&name).into_owned();
    let has_time = command.iter().any(|word| {
        let word = word.to_ascii_uppercase();
        [&b"EX"[..], b"PX", b"EXAT", b"PXAT"].contains(&word.as_slice())
    });
    has_time
        || name.contains("EXPIRE")
        || name.contains("EX") && (name.contains("SET") || name.contains("GET"))
        || [
            "RESTORE",
            "RESTORE-ASKING",
            "FLUSHALL",
            "FLUSHDB",
            "SWAPDB",
            "SELECT",
        ]
        .contains(&&*name)
        || [
            "MULTI", "EXEC", "DISCARD", "EVAL", "EVALSHA", "FCALL", "FUNCTION", "SCRIPT",
        ]
        .contains(&&*name)
}

fn names(keys: &BTreeSet<Option<Vec<u8>>>) -> Vec<String> {
    let name = |key: &Option<Vec<u8>>| match key {
        None => "everything".to_owned(),
        Some(key) => key.escape_ascii().to_string(),
    };
    keys.iter().map(name).collect()
}

#[test]
fn the_same_writes_invalidate_the_same_keys() {
    for (seed, name) in (1..).zip(SERVERS) {
        let Some(trio) = Trio::start(name) else {
            return;
        };
        let mut primary = trio.primary.client();
        let mut invalidated = 0;
        for tracking in [
            "CLIENT TRACKING on",
            "CLIENT TRACKING on BCAST PREFIX str PREFIX h PREFIX {l",
            "CLIENT TRACKING on OPTIN",
        ] {
            let mut both = [&trio.real, &trio.redtail].map(|server| Tracker::new(server, tracking));
            for round in 0..3 {
                let commands = oracle::writes(seed * 100 + round, 300);
                let commands: Vec<_> = commands.into_iter().filter(|it| !is_left_out(it)).collect();
                let keys: Vec<_> = keys_of(&mut primary, &commands).into_iter().collect();
                trio.settle();
                for tracker in &mut both {
                    for keys in keys.chunks(50) {
                        if tracking.ends_with("OPTIN") {
                            tracker.ask(&[b"CLIENT", &b"CACHING"[..], b"YES"]);
                        }
                        let ask: Vec<_> = [b"EXISTS".to_vec()]
                            .into_iter()
                            .chain(keys.iter().cloned())
                            .collect();
                        tracker.ask(&ask);
                        if tracking.ends_with("OPTIN") {
                            // Not tracked.
                            tracker.ask(&[&b"GET"[..], b"unasked"]);
                        }
                    }
                }
                primary.pipeline(&commands);
                primary.command("SET unasked x");
                let [real, redtail] = both.each_mut().map(|tracker| tracker.collect(&mut primary));
                assert_eq!(names(&redtail), names(&real), "{name}, {tracking}, {round}");
                invalidated += real.len();
            }
        }
        assert!(invalidated > 300, "{name}: only {invalidated}");
    }
}

/// Reads whose keys are tracked, or are not.
const READS: &str = "GET a1
MGET a2 a3 a4
EXISTS a5 a6
TYPE a7
TTL a8
STRLEN a9
GETRANGE a10 0 1
HGETALL b1
HLEN b2
HRANDFIELD b3
LRANGE b4 0 -1
LPOS b5 x
SMEMBERS c1
SINTER c2 c3
SISMEMBER c4 x
ZRANGE d1 0 -1
ZSCORE d2 x
ZUNION 2 d3 d4
XRANGE e1 - +
XREAD COUNT 1 STREAMS e2 e3 0 0
XINFO STREAM e4
OBJECT ENCODING f1
DUMP f2
BITCOUNT f3
BITFIELD_RO f4 GET u8 0
PFCOUNT f5
GEORADIUS_RO f6 0 0 1 km
SORT_RO f7
LCS f8 f9
MEMORY USAGE g1
TOUCH g2
RANDOMKEY
SCAN 0
KEYS a*
DBSIZE
WATCH g3
EVAL return{redis.call('GET',KEYS[1]),redis.call('STRLEN',KEYS[2])} 2 h1 h2";

#[test]
fn the_same_reads_are_tracked() {
    for name in SERVERS {
        let Some(trio) = Trio::start(name) else {
            return;
        };
        let mut both =
            [&trio.real, &trio.redtail].map(|server| Tracker::new(server, "CLIENT TRACKING on"));
        for tracker in &mut both {
            for line in READS.lines() {
                tracker.ask(&words(line));
            }
            for line in [
                "UNWATCH", "MULTI", "GET i1", "LLEN i2", "EXEC", "SELECT 3", "GET j1", "SELECT 0",
            ] {
                tracker.ask(&words(line));
            }
        }
        let all = "abcdefghij"
            .chars()
            .flat_map(|letter| (1..=10).map(move |n| format!("SET {letter}{n} 1")));
        let all: Vec<Vec<Vec<u8>>> = all
            .map(|line| words(&line).iter().map(|word| word.to_vec()).collect())
            .collect();
        let mut primary = trio.primary.client();
        primary.pipeline(&all);
        let [real, redtail] = both.each_mut().map(|tracker| tracker.collect(&mut primary));
        assert_eq!(names(&redtail), names(&real), "{name}");
        assert!(real.len() > 30, "{name}");
    }
}

#[test]
fn cuts_flushes_swaps_and_full_syncs_leave_nothing_stale() {
    for name in SERVERS {
        let Some(trio) = Trio::start(name) else {
            return;
        };
        let mut primary = trio.primary.client();
        for line in ["SET kept 1", "SET changed 1"] {
            primary.command(line);
        }
        trio.settle();
        let mut both =
            [&trio.real, &trio.redtail].map(|server| Tracker::new(server, "CLIENT TRACKING on"));
        let read = |both: &mut [Tracker; 2]| {
            for tracker in both {
                tracker.ask(&words("MGET kept changed gone"));
            }
        };
        // What is written while the link is down.
        read(&mut both);
        trio.proxies.iter().for_each(|proxy| proxy.close(true));
        trio.cut();
        primary.command("SET changed 2");
        trio.proxies.iter().for_each(|proxy| proxy.close(false));
        trio.settle();
        let told = both.each_mut().map(|tracker| tracker.collect(&mut primary));
        assert_eq!(names(&told[1]), names(&told[0]), "{name}, a cut");
        assert_eq!(names(&told[1]), ["changed"]);
        for flush in ["FLUSHALL", "FLUSHDB"] {
            read(&mut both);
            primary.command(flush);
            let told = both.each_mut().map(|tracker| tracker.collect(&mut primary));
            assert_eq!(names(&told[1]), names(&told[0]), "{name}, {flush}");
            assert_eq!(names(&told[1]), ["everything"]);
        }
        // Servers say nothing of this, and leave caches stale.
        read(&mut both);
        primary.command("SWAPDB 0 1");
        let told = both.each_mut().map(|tracker| tracker.collect(&mut primary));
        assert_eq!(names(&told[1]), ["everything"], "{name}");
        assert!(told[0].is_empty(), "{name}");
        primary.command("MSET kept 1 changed 1 gone 1");
        trio.settle();
        // A full sync: servers invalidate everything, redtail what is different.
        both.iter_mut().for_each(|tracker| tracker.told.clear());
        let mut both =
            [&trio.real, &trio.redtail].map(|server| Tracker::new(server, "CLIENT TRACKING on"));
        read(&mut both);
        trio.proxies.iter().for_each(|proxy| proxy.close(true));
        trio.cut();
        primary.command("SET changed 3");
        primary.command("DEL gone");
        let reply = primary.command("DEBUG CHANGE-REPL-ID");
        assert_eq!(reply.text(), "OK", "{name}");
        trio.proxies.iter().for_each(|proxy| proxy.close(false));
        redtail_and_real(&trio, |server| {
            server.wait_for("the full sync", |client| {
                client.command("GET changed").text() == "3"
            });
        });
        trio.settle();
        let told = both.each_mut().map(|tracker| tracker.collect(&mut primary));
        assert_eq!(names(&told[0]), ["everything"], "{name}");
        assert_eq!(names(&told[1]), ["changed", "gone"], "{name}");
    }
}

/// Requests whose replies must be those of a real replica.
const QUESTIONS: &str = "CLIENT TRACKING on
CLIENT TRACKING maybe
CLIENT TRACKING on foo
CLIENT TRACKING off foo
CLIENT TRACKING on REDIRECT 99999999
CLIENT TRACKING on REDIRECT 0
CLIENT TRACKING on REDIRECT -1
CLIENT TRACKING on REDIRECT x
CLIENT TRACKING on REDIRECT
CLIENT TRACKING on PREFIX
CLIENT TRACKING on PREFIX a
CLIENT TRACKINGINFO
CLIENT GETREDIR
CLIENT TRACKING on BCAST
CLIENT TRACKING off
CLIENT GETREDIR
CLIENT TRACKING on BCAST OPTIN
CLIENT TRACKING on BCAST OPTOUT
CLIENT TRACKING on OPTIN OPTOUT
CLIENT TRACKING on OPTIN
CLIENT TRACKING on OPTOUT
CLIENT TRACKING on
CLIENT TRACKINGINFO
CLIENT TRACKING off
CLIENT CACHING YES
CLIENT CACHING foo
CLIENT TRACKING on OPTIN NOLOOP
CLIENT CACHING NO
CLIENT CACHING foo
CLIENT CACHING YES
CLIENT TRACKINGINFO
GET a
CLIENT TRACKINGINFO
CLIENT CACHING YES
MULTI
CLIENT TRACKINGINFO
GET a
CLIENT TRACKINGINFO
EXEC
CLIENT TRACKINGINFO
CLIENT CACHING YES
NOSUCH
CLIENT TRACKINGINFO
CLIENT TRACKING off
CLIENT TRACKING on OPTOUT
CLIENT CACHING YES
CLIENT CACHING NO
CLIENT TRACKINGINFO
CLIENT TRACKING off
CLIENT TRACKING on BCAST PREFIX a PREFIX b
CLIENT TRACKINGINFO
CLIENT TRACKING on BCAST PREFIX c
CLIENT TRACKINGINFO
CLIENT TRACKING on BCAST PREFIX ab
CLIENT TRACKING on BCAST PREFIX x PREFIX xy
CLIENT TRACKINGINFO
CLIENT TRACKING off
CLIENT TRACKINGINFO
CLIENT TRACKING on BCAST PREFIX b PREFIX a
CLIENT TRACKING on BCAST NOLOOP
CLIENT TRACKINGINFO
RESET
CLIENT TRACKINGINFO
CONFIG GET tracking-table-max-keys
CONFIG SET tracking-table-max-keys -1
CONFIG SET tracking-table-max-keys x
CONFIG SET tracking-table-max-keys 0
CONFIG GET tracking-table-max-keys
CLIENT CACHING
CLIENT GETREDIR x";

#[test]
fn the_commands_answer_like_servers() {
    for name in SERVERS {
        let Some(trio) = Trio::start(name) else {
            return;
        };
        let (mut real, mut redtail) = (trio.real.client(), trio.redtail.client());
        for line in QUESTIONS.lines() {
            let (theirs, ours) = (real.command(line), redtail.command(line));
            assert_eq!(ours, theirs, "{name}: {line}");
        }
    }
}

#[test]
fn other_clients_see_what_a_client_tracks() {
    for name in SERVERS {
        let Some(trio) = Trio::start(name) else {
            return;
        };
        // What others see.
        let mut both = [&trio.real, &trio.redtail].map(|server| {
            let mut other = server.client();
            let id = other.command("CLIENT ID").text();
            // As long as it tracks, the table stays.
            other.command("CLIENT TRACKING on");
            other.command("MGET a d");
            let mut client = server.client();
            let mut lines = Vec::new();
            for options in ["", " BCAST PREFIX x PREFIX y", &format!(" REDIRECT {id}")] {
                let begun = client.command(&format!("CLIENT TRACKING on{options}"));
                assert_eq!(begun.text(), "OK");
                client.command("MGET a b c");
                let own = client.command("CLIENT ID").text();
                let list = server.command("CLIENT LIST").text();
                let line = list
                    .lines()
                    .find(|line| line.starts_with(&format!("id={own} ")))
                    .unwrap();
                let fields = line.split(' ').filter(|field| field.starts_with("flags="));
                lines.extend(fields.map(str::to_owned));
                let redirect = line.split(' ').find(|field| field.starts_with("redir="));
                lines.push((redirect == Some(&format!("redir={id}"))).to_string());
                for (section, field) in [
                    ("clients", "tracking_clients"),
                    ("stats", "tracking_total_keys"),
                    ("stats", "tracking_total_items"),
                    ("stats", "tracking_total_prefixes"),
                ] {
                    lines.push(format!("{:?}", server.client().info(section, field)));
                }
                client.command("CLIENT TRACKING off");
            }
            lines
        });
        let ours = std::mem::take(&mut both[1]);
        assert_eq!(ours, both[0], "{name}");
    }
}

#[test]
fn another_connection_gets_the_invalidations_until_it_is_gone() {
    for name in SERVERS {
        let Some(trio) = Trio::start(name) else {
            return;
        };
        let mut primary = trio.primary.client();
        let mut seen = [&trio.real, &trio.redtail].map(|server| {
            let mut target = server.client();
            let id = target.command("CLIENT ID").text();
            target.command("SUBSCRIBE __redis__:invalidate");
            let mut client = server.client().resp3();
            client.command(&format!("CLIENT TRACKING on REDIRECT {id}"));
            client.command("GET k");
            primary.command("SET k 1");
            let mut seen = vec![target.read().unwrap()];
            client.command("GET k");
            drop(target);
            server.wait_for("the end of the other", |client| {
                !client
                    .command("CLIENT LIST")
                    .text()
                    .contains(&format!("id={id} "))
            });
            primary.command("SET k 2");
            let broken = client.read().unwrap();
            assert_eq!(
                broken.elements()[0].text(),
                "tracking-redir-broken",
                "{name}"
            );
            seen.push(Reply(broken.elements()[0].0.clone()));
            let flags = server.command("CLIENT LIST").text();
            seen.push(Reply(vec![u8::from(flags.contains("flags=tR"))]));
            seen
        });
        let ours = std::mem::take(&mut seen[1]);
        assert_eq!(ours, seen[0], "{name}");
    }
}

#[test]
fn a_resp3_connection_without_subscriptions_gets_the_invalidations_of_another() {
    let Some(trio) = Trio::start("valkey-9.1") else {
        return;
    };
    let mut target = trio.redtail.client().resp3();
    let id = target.command("CLIENT ID").text();
    // It waits for requests by now.
    sleep(Duration::from_millis(50));
    let mut client = trio.redtail.client();
    client.command(&format!("CLIENT TRACKING on REDIRECT {id}"));
    client.command("GET k");
    trio.primary.command("SET k 1");
    let push = target.read().unwrap();
    assert_eq!(push.0, b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n");
    assert_eq!(target.command("PING").text(), "PONG");
}

#[test]
fn a_table_that_is_too_large_forgets_keys_and_says_so() {
    let Some(trio) = Trio::start("redis-8.0") else {
        return;
    };
    let mut admin = trio.redtail.client();
    admin.command("CONFIG SET tracking-table-max-keys 100");
    let mut tracker = Tracker::new(&trio.redtail, "CLIENT TRACKING on");
    let all: BTreeSet<_> = (0..1000)
        .map(|number| format!("k{number}").into_bytes())
        .collect();
    for key in &all {
        tracker.ask(&[b"GET", key.as_slice()]);
    }
    let total = admin.info("stats", "tracking_total_keys").unwrap();
    assert_eq!(total, "100");
    tracker.ask(&[b"PING"]);
    let told: BTreeSet<_> = tracker.told.iter().flatten().cloned().collect();
    assert_eq!(told.len(), 900);
    assert!(told.is_subset(&all));
    admin.command("CONFIG SET tracking-table-max-keys 10");
    tracker.ask(&[b"PING"]);
    assert_eq!(tracker.told.len(), 990);
    drop(tracker);
    trio.redtail.wait_for("an empty table", |client| {
        client.info("stats", "tracking_total_keys").as_deref() == Some("0")
    });
}

/// A cache that a client keeps.
#[derive(Default)]
struct Cache {
    /// `None` while the value is asked for.
    values: HashMap<Vec<u8>, Option<Vec<u8>>>,
    hits: usize,
    invalidations: usize,
    /// Whether it ignores what is invalidated.
    is_deaf: bool,
}

impl Cache {
    fn invalidate(&mut self, key: Option<Vec<u8>>) {
        self.invalidations += 1;
        match key {
            _ if self.is_deaf => {}
            Some(key) => drop(self.values.remove(&key)),
            None => self.values.clear(),
        }
    }
}

/// How a client reads and caches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Alone,
    OptIn,
    Transaction,
    Script,
    Broadcast,
    Redirect,
    /// Ignores what is invalidated: proof that this test finds what is stale.
    Deaf,
}

/// The words of a read in this way, and where in its last reply the value is.
fn read_in(way: Way, key: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let get = vec![b"GET".to_vec(), key.to_vec()];
    let line = |line: &str| {
        words(line)
            .iter()
            .map(|word| word.to_vec())
            .collect::<Vec<_>>()
    };
    match way {
        Way::Alone | Way::Broadcast | Way::Redirect | Way::Deaf => vec![get],
        Way::OptIn => vec![line("CLIENT CACHING YES"), get],
        Way::Transaction => vec![line("MULTI"), get, line("EXEC")],
        Way::Script => {
            let code = b"return redis.call('GET',KEYS[1])".to_vec();
            vec![vec![b"EVAL".to_vec(), code, b"1".to_vec(), key.to_vec()]]
        }
    }
}

const KEYS: usize = 300;

fn key(number: usize) -> Vec<u8> {
    format!("key:{number}").into_bytes()
}

/// Reads at random, through a cache, until `stop`. Then waits for what has been written, and returns the cache.
fn cached(
    server: &Server,
    primary: &Server,
    way: Way,
    stop: &AtomicBool,
    count: &AtomicUsize,
) -> Cache {
    let cache = Mutex::new(Cache {
        is_deaf: way == Way::Deaf,
        ..Cache::default()
    });
    let (mut client, target) = match way {
        Way::Redirect => {
            let mut target = server.client();
            let id = target.command("CLIENT ID").text();
            target.command("SUBSCRIBE __redis__:invalidate");
            let mut client = server.client();
            client.command(&format!("CLIENT TRACKING on REDIRECT {id}"));
            (client, Some(target))
        }
        _ => {
            let mut client = server.client().resp3();
            client.command(match way {
                Way::OptIn => "CLIENT TRACKING on OPTIN",
                Way::Broadcast => "CLIENT TRACKING on BCAST PREFIX key: PREFIX {last",
                _ => "CLIENT TRACKING on",
            });
            (client, None)
        }
    };
    let is_last = |keys: &[Option<Vec<u8>>]| keys.contains(&Some(LAST.to_vec()));
    let done = AtomicBool::new(false);
    // Takes an invalidation out of a push or message.
    let take = |reply: &Reply| {
        let parts = reply.elements();
        let told = parts.last().unwrap();
        let keys: Vec<Option<Vec<u8>>> = match told.elements() {
            none if none.is_empty() => vec![None],
            keys => keys.iter().map(Reply::bulk).collect(),
        };
        let mut cache = cache.lock().unwrap();
        keys.iter().for_each(|key| cache.invalidate(key.clone()));
        count.store(cache.invalidations, Ordering::Relaxed);
        done.fetch_or(is_last(&keys), Ordering::SeqCst);
    };
    let ask = |client: &mut Client, commands: &[Vec<Vec<u8>>]| {
        let all: Vec<u8> = commands.iter().flat_map(|words| encode(words)).collect();
        client.send(&all).unwrap();
        let mut last = None;
        for _ in commands {
            last = loop {
                let reply = client.read().unwrap();
                if reply.0.first() != Some(&b'>') {
                    break Some(reply);
                }
                take(&reply);
            };
        }
        last.unwrap()
    };
    let read = |client: &mut Client, key: &[u8]| {
        cache.lock().unwrap().values.insert(key.to_vec(), None);
        let reply = ask(client, &read_in(way, key));
        let value = match way {
            Way::Transaction => reply.elements().first().cloned(),
            _ => Some(reply),
        };
        let Some(value) = value.filter(|value| !value.is_error()) else {
            cache.lock().unwrap().values.remove(key);
            return;
        };
        // Unless the key was invalidated while it was asked for.
        if let Some(place) = cache.lock().unwrap().values.get_mut(key) {
            let text = if value.0.starts_with(b"_") || value.0.starts_with(b"$-1") {
                b"(nil)".to_vec()
            } else {
                value.text().into_bytes()
            };
            *place = Some(text);
        }
    };
    scope(|scope| {
        if let Some(mut target) = target {
            let (done, take) = (&done, &take);
            scope.spawn(move || {
                while let Ok(reply) = target.read() {
                    take(&reply);
                    if done.load(Ordering::SeqCst) {
                        return;
                    }
                }
            });
        }
        while !stop.load(Ordering::Relaxed) {
            let key = key(fastrand::usize(..KEYS));
            let is_cached = cache.lock().unwrap().values.contains_key(&key);
            if is_cached {
                cache.lock().unwrap().hits += 1;
                // Leaves the processors to those who have work.
                sleep(Duration::from_micros(50));
            } else {
                read(&mut client, &key);
            }
            if fastrand::usize(..50) == 0 {
                ask(&mut client, &[vec![b"PING".to_vec()]]);
            }
        }
        server.wait_in_sync(primary);
        let deadline = Instant::now() + PATIENCE;
        while !done.load(Ordering::SeqCst) {
            assert!(
                Instant::now() < deadline,
                "{way:?}: the last write is not told: {}",
                server.log()
            );
            read(&mut client, LAST);
            primary.command(&format!(
                "SET {} {}",
                String::from_utf8_lossy(LAST),
                fastrand::u64(..)
            ));
            for _ in 0..20 {
                ask(&mut client, &[vec![b"PING".to_vec()]]);
                if done.load(Ordering::SeqCst) {
                    break;
                }
                sleep(Duration::from_millis(10));
            }
        }
    });
    cache.into_inner().unwrap()
}

/// A random write.
fn write() -> Vec<Vec<u8>> {
    let (one, other) = (key(fastrand::usize(..KEYS)), key(fastrand::usize(..KEYS)));
    let number = fastrand::u32(..1_000_000).to_string().into_bytes();
    let name = |name: &str| name.as_bytes().to_vec();
    match fastrand::usize(..40_000) {
        0 => vec![name("FLUSHALL")],
        1 => vec![name("FLUSHDB")],
        2 | 3 => vec![name("SWAPDB"), name("0"), name("1")],
        4..2000 => vec![name("DEL"), one, other],
        2000..3000 => vec![name("RENAME"), one, other],
        3000..6000 => vec![name("APPEND"), one, name("x")],
        6000..7000 => vec![name("COPY"), one, other, name("REPLACE")],
        7000..8000 => vec![name("SETRANGE"), one, name("3"), number],
        8000..9000 => {
            let code = "redis.call('SET',KEYS[1],ARGV[1]) redis.call('SET',KEYS[2],ARGV[1])";
            vec![name("EVAL"), name(code), name("2"), one, other, number]
        }
        9000..12_000 => vec![name("MSET"), one, number.clone(), other, number],
        _ => vec![name("SET"), one, number],
    }
}

/// Batches of 100 writes before each cut, and after it.
const BATCHES: usize = 50;

/// Cuts at least, and at most.
const ROUNDS: usize = 9;
const ROUNDS_MAX: usize = 40;

/// Invalidations that each reader gets at least.
const TOLD: usize = 500;

#[test]
fn no_cached_value_is_stale_after_many_writes_cuts_and_full_syncs() {
    let Some(primary) = Server::start("valkey-9.1", &[]) else {
        return;
    };
    let proxy = Proxy::start(primary.port);
    let address = format!("redis://127.0.0.1:{}", proxy.port);
    let redtail = Server::redtail_of(&address, &["--resync-floor", "0"]);
    redtail.wait_for("its first sync", |client| {
        client.command("DBSIZE").is_integer()
    });
    let ways = [
        Way::Alone,
        Way::OptIn,
        Way::Transaction,
        Way::Script,
        Way::Broadcast,
        Way::Redirect,
        Way::Deaf,
    ];
    let stop = AtomicBool::new(false);
    let told: [AtomicUsize; 7] = Default::default();
    let caches = scope(|scope| {
        let (stop, redtail, primary, told) = (&stop, &redtail, &primary, &told);
        let readers = ways.map(|way| {
            let told = &told[way as usize];
            scope.spawn(move || cached(redtail, primary, way, stop, told))
        });
        let mut writes = primary.client();
        let mut write_many = || {
            for _ in 0..BATCHES {
                let commands: Vec<_> = (0..100).map(|_| write()).collect();
                writes.pipeline(&commands);
            }
        };
        // Until each reader has been told of many.
        let is_enough = || told.iter().all(|told| told.load(Ordering::Relaxed) > TOLD);
        for round in (0..ROUNDS_MAX).take_while(|round| *round < ROUNDS || !is_enough()) {
            write_many();
            redtail.wait_in_sync(primary);
            if round % 3 == 2 {
                primary.command("DEBUG CHANGE-REPL-ID");
            }
            proxy.cut_now(if round % 2 == 0 { End::Fin } else { End::Rst });
            write_many();
            redtail.wait_in_sync(primary);
        }
        redtail.wait_in_sync(primary);
        stop.store(true, Ordering::Relaxed);
        readers.map(|reader| reader.join().unwrap())
    });
    let mut truth = primary.client();
    for (way, cache) in ways.iter().zip(&caches) {
        let mut stale = Vec::new();
        let mut held = 0;
        for (key, value) in &cache.values {
            let Some(value) = value else { continue };
            if key == LAST {
                continue;
            }
            held += 1;
            let reply = truth.words(&[b"GET", key]);
            let now = reply.bulk().unwrap_or_else(|| b"(nil)".to_vec());
            if now != *value {
                stale.push(String::from_utf8_lossy(key).into_owned());
            }
        }
        println!(
            "{way:?}: {held} cached, {} hits, {} invalidations",
            cache.hits, cache.invalidations
        );
        if *way == Way::Deaf {
            assert!(stale.len() > 100, "only {} are stale", stale.len());
            continue;
        }
        assert!(
            stale.is_empty(),
            "{way:?}: {} of {held} are stale: {stale:?}",
            stale.len()
        );
        assert!(
            cache.hits > 100 && cache.invalidations > TOLD,
            "{way:?}: the cache was hardly used"
        );
    }
    let loads = redtail.client().info("redtail", "redtail_full_syncs");
    println!("full syncs: {loads:?}, cuts: {}", proxy.cuts());
    assert!(proxy.cuts() > 5 && loads.is_none_or(|loads| loads != "1"));
}

#[test]
fn libraries_cache_with_redtail_as_with_a_replica() {
    let Some(trio) = Trio::start("redis-8.0") else {
        return;
    };
    let Some(python) = tools::path("python") else {
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/caching.py");
    for server in [&trio.real, &trio.redtail] {
        let output = Command::new(&python)
            .arg(&script)
            .args([server.port.to_string(), trio.primary.port.to_string()])
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{text}{errors}");
        assert_eq!(text.trim_end(), "cache: ok\nlistener: ok", "{errors}");
    }
}
