//! Fields that expire by themselves: every read is compared with a real replica's, including reads of fields past their expiry
//! time.
//!
//! The primary deletes nothing by itself in these tests. Expiry times are in the year 2100, long past, or so near that each round
//! waits until they have passed. So no reply depends on when the read was sent.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::client::{Client, Reply, words};
use crate::servers::Server;

/// The servers that support such fields.
const SERVERS: [&str; 2] = ["redis-8.0", "valkey-9.1"];
/// The year 2100, in Unix milliseconds.
const FAR_MS: i64 = 4_102_444_800_000;
/// The keys of small hashes, and of one too large to be packed.
const KEYS: [&str; 6] = ["h0", "h1", "h2", "h3", "copy", "large"];
const FIELDS: [&str; 8] = ["a", "b", "7", "-12", "a-longer-field", "", "g", "h"];
/// How far in the future a round's near expiry times are when they are written.
const NEAR_MS: i64 = 400;

struct Writer {
    random: fastrand::Rng,
    client: Client,
}

impl Writer {
    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.random.usize(..of.len())]
    }

    fn fields(&mut self) -> Vec<&'static str> {
        let count = self.random.usize(1..4);
        let mut fields = FIELDS.to_vec();
        self.random.shuffle(&mut fields);
        fields.truncate(count);
        fields
    }

    fn value(&mut self) -> &'static str {
        self.pick(&[
            "1",
            "-5",
            "v",
            "1.5",
            "",
            "a longer value that stays packed",
            LONG,
        ])
    }

    /// An option that sets an expiry time, and its value.
    fn time(&mut self) -> (&'static str, i64) {
        let far = FAR_MS + self.random.i64(0..20) * 1000;
        let left = far - now_ms();
        match self.random.u8(..8) {
            0 => ("PXAT", self.random.i64(0..1000)),
            1 => ("EX", left / 1000),
            2 => ("PX", left),
            3 => ("EXAT", far / 1000),
            _ => ("PXAT", far),
        }
    }

    fn named(&mut self, values: bool) -> Vec<String> {
        let fields = self.fields();
        let mut words = vec!["FIELDS".to_owned(), fields.len().to_string()];
        for field in fields {
            words.push(field.to_owned());
            if values {
                words.push(self.value().to_owned());
            }
        }
        words
    }

    fn plain(&mut self, key: &str) -> Vec<String> {
        let (field, value) = (self.pick(&FIELDS), self.value());
        let line = match self.random.u8(..10) {
            0..=3 => vec!["HSET", key, field, value],
            4 => vec!["HMSET", key, field, value, "g", "1"],
            5 => vec!["HSETNX", key, field, value],
            6 => vec!["HINCRBY", key, field, "3"],
            7 => vec!["HINCRBYFLOAT", key, field, "0.25"],
            8 => vec!["HDEL", key, field, "g"],
            _ => vec!["HDEL", key, field],
        };
        line.into_iter().map(str::to_owned).collect()
    }

    fn timed(&mut self, key: &str) -> Vec<String> {
        let (option, time) = self.time();
        let time = time.to_string();
        let far = (FAR_MS + self.random.i64(0..20_000)).to_string();
        let mut line = match self.random.u8(..10) {
            0..=2 => {
                let name = match option {
                    "PXAT" => "HPEXPIREAT",
                    "EXAT" => "HEXPIREAT",
                    "PX" => "HPEXPIRE",
                    _ => "HEXPIRE",
                };
                vec![name, key, &time]
            }
            3 | 4 => vec![
                "HPEXPIREAT",
                key,
                &far,
                self.pick(&["NX", "XX", "GT", "LT"]),
            ],
            5 => vec!["HPERSIST", key],
            6 => vec!["HGETEX", key, option, &time],
            7 => vec![self.pick(&["HGETEX", "HGETDEL"]), key],
            _ => vec![],
        };
        if line.is_empty() {
            return self.hsetex(key, option, &time);
        }
        if line[0] == "HGETEX" && line.len() == 2 && self.random.bool() {
            line.push("PERSIST");
        }
        let mut line: Vec<String> = line.into_iter().map(str::to_owned).collect();
        line.extend(self.named(false));
        line
    }

    fn hsetex(&mut self, key: &str, option: &str, time: &str) -> Vec<String> {
        let mut line = vec!["HSETEX", key];
        line.extend(self.pick(&[None, None, Some("FNX"), Some("FXX")]));
        match self.random.u8(..4) {
            0 => {}
            1 => line.push("KEEPTTL"),
            _ => line.extend([option, time]),
        }
        let mut line: Vec<String> = line.into_iter().map(str::to_owned).collect();
        line.extend(self.named(true));
        line
    }

    fn whole(&mut self, key: &str) -> Vec<String> {
        let other = self.pick(&["h0", "h1", "copy"]);
        let line = match self.random.u8(..6) {
            0 | 1 => vec!["COPY", key, other, "REPLACE"],
            2 => vec!["RENAME", key, other],
            3 => vec!["DEL", key],
            4 => vec!["PEXPIREAT", key, "4102444800000"],
            _ => vec!["PERSIST", key],
        };
        line.into_iter().map(str::to_owned).collect()
    }

    fn write(&mut self) {
        let key = self.pick(&KEYS);
        let line = match self.random.u8(..20) {
            0 => self.whole(key),
            1 => return self.restore(key),
            2..=8 => self.plain(key),
            _ => self.timed(key),
        };
        let words: Vec<&[u8]> = line.iter().map(String::as_bytes).collect();
        self.client.words(&words);
    }

    /// Restores a key's own DUMP under another name.
    fn restore(&mut self, key: &str) {
        if let Some(payload) = self.client.words(&[b"DUMP", key.as_bytes()]).bulk() {
            let reply = self
                .client
                .words(&[b"RESTORE", b"h3", b"0", &payload, b"REPLACE"]);
            assert_eq!(reply.text(), "OK");
        }
    }

    /// Gives fields expiry times in the near future, and waits until they have passed.
    fn let_fields_expire(&mut self) {
        let at = now_ms() + NEAR_MS;
        for key in KEYS {
            let mut line = vec!["HPEXPIREAT".to_owned(), key.to_owned(), at.to_string()];
            line.extend(self.named(false));
            let words: Vec<&[u8]> = line.iter().map(String::as_bytes).collect();
            self.client.words(&words);
        }
        while now_ms() <= at {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

const LONG: &str =
    "a value of more than sixty-four bytes, which unpacks the hash that it is put into";

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

/// All reads of one hash.
fn reads(key: &str) -> Vec<Vec<Vec<u8>>> {
    let all = FIELDS.join(" ");
    let count = FIELDS.len();
    let mut reads: Vec<_> = [
        "HLEN", "HGETALL", "HKEYS", "HVALS", "TYPE", "EXISTS", "DUMP",
    ]
    .map(|name| words(&format!("{name} {key}")))
    .into();
    for line in [
        format!("OBJECT ENCODING {key}"),
        format!("HSCAN {key} 0 COUNT 10000"),
        format!("HSCAN {key} 0 COUNT 10000 MATCH *a* NOVALUES"),
        format!("HMGET {key} {all} none"),
        format!("HPEXPIRETIME {key} FIELDS {count} {all}"),
        format!("HEXPIRETIME {key} FIELDS {count} {all}"),
        format!("HRANDFIELD {key} 10000"),
        format!("HRANDFIELD {key} 10000 WITHVALUES"),
    ] {
        reads.push(words(&line));
    }
    for name in ["HGET", "HEXISTS", "HSTRLEN"] {
        reads.extend(FIELDS.map(|field| words(&format!("{name} {key} {field}"))));
    }
    reads
}

/// A reply without the order of a table's elements.
fn normal(words: &[Vec<u8>], reply: &Reply, is_table: bool) -> Reply {
    let pairs = reply.0.first() == Some(&b'%');
    match words[0].as_slice() {
        _ if !is_table => reply.clone(),
        b"HGETALL" => reply.sorted(2),
        b"HKEYS" | b"HVALS" => reply.sorted(1),
        b"HRANDFIELD" if words.len() == 4 && !pairs && !nested(reply) => reply.sorted(2),
        b"HRANDFIELD" => reply.sorted(1),
        b"HSCAN" => {
            let width = if words.last().is_some_and(|word| word == b"NOVALUES") {
                1
            } else {
                2
            };
            let parts = reply.elements();
            Reply([&parts[0].0[..], &parts[1].sorted(width).0].concat())
        }
        // The bytes depend on the order; only their number is compared.
        b"DUMP" => Reply(
            reply
                .0
                .iter()
                .copied()
                .take_while(|byte| *byte != b'\r')
                .collect(),
        ),
        _ => reply.clone(),
    }
}

fn nested(reply: &Reply) -> bool {
    let elements = reply.elements();
    elements.first().is_some_and(|first| first.0[0] == b'*')
}

/// The number of hashes with expiring fields, according to INFO.
fn tracked(server: &Server) -> String {
    let text = server.command("INFO keyspace").text();
    let line = text.lines().find(|line| line.starts_with("db0:"));
    let count = line.and_then(|line| line.split(',').nth(3));
    count.unwrap_or_default().to_owned()
}

fn assert_same(case: &str, replica: &Server, redtail: &Server) {
    for resp3 in [false, true] {
        let client = |server: &Server| {
            let client = server.client();
            if resp3 { client.resp3() } else { client }
        };
        let (mut theirs, mut ours) = (client(replica), client(redtail));
        for key in KEYS {
            let is_table = theirs.command(&format!("OBJECT ENCODING {key}")).text() == "hashtable";
            let reads = reads(key);
            let replies = theirs.pipeline(&reads);
            for ((words, expected), found) in reads.iter().zip(replies).zip(ours.pipeline(&reads)) {
                assert_eq!(
                    normal(words, &found, is_table),
                    normal(words, &expected, is_table),
                    "{case}, RESP3 {resp3}: {}",
                    crate::client::show(words)
                );
            }
        }
        assert_eq!(ours.command("DBSIZE"), theirs.command("DBSIZE"), "{case}");
    }
    assert_eq!(tracked(redtail), tracked(replica), "{case}");
}

#[test]
fn every_read_of_fields_that_expire_is_that_of_a_real_replica() {
    for name in SERVERS {
        let Some(primary) = Server::start(name, &[]) else {
            return;
        };
        primary.command("DEBUG SET-ACTIVE-EXPIRE 0");
        let replica = Server::replica(name, &primary).expect("the server was there a moment ago");
        let redtail = Server::redtail(&primary);
        let mut writer = Writer {
            random: fastrand::Rng::with_seed(7),
            client: primary.client(),
        };
        let many: String = (0..600)
            .map(|number| format!(" f{number} {number}"))
            .collect();
        writer.client.command(&format!("HSET large{many}"));
        for round in 0..8 {
            for _ in 0..60 {
                writer.write();
            }
            writer.let_fields_expire();
            replica.wait_in_sync(&primary);
            redtail.wait_in_sync(&primary);
            assert_same(
                &format!("{name}, stream, round {round}"),
                &replica,
                &redtail,
            );
        }
        let fresh = Server::replica(name, &primary).expect("the server was there a moment ago");
        assert_same(
            &format!("{name}, snapshot"),
            &fresh,
            &Server::redtail(&primary),
        );
    }
}
