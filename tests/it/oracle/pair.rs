//! Two servers that are asked the same questions: one is right, and the other must agree.

use std::collections::BTreeSet;

use redtail::internal::dialect::Dialect;

use super::exempt::{REFUSAL, differs};
use super::grammar::Words;
use super::pools::DATABASES;
use super::same::{Same, rule, same_but_times, same_settings};
use super::torn;
use crate::client::{Client, Reply, words};
use crate::servers::Server;

/// A read that was answered differently.
#[derive(Clone)]
pub struct Difference {
    pub protocol: u8,
    pub database: u32,
    /// Whether the stored data differs, rather than the reply to one way of asking for it.
    pub is_of_state: bool,
    /// The transaction that contained the read, from MULTI to EXEC; empty if there was none.
    pub transaction: Vec<Words>,
    pub read: Words,
    pub expected: Reply,
    pub found: Reply,
}

/// Connections to both servers, with the same protocol and database.
pub struct Pair {
    expected: Client,
    found: Client,
    /// A server of the same version to RESTORE on, if DUMP is compared.
    scratch: Option<Client>,
    /// The primary of both, to recognise an order that even real servers do not share.
    primary: Option<Client>,
    protocol: u8,
    database: u32,
    asks_for_state: bool,
    pub differences: Vec<Difference>,
}

impl Pair {
    /// Connects to both in RESP2 or RESP3.
    pub fn connect(expected: &Server, found: &Server, protocol: u8) -> Self {
        let connect = |server: &Server| match protocol {
            3 => server.client().resp3(),
            _ => server.client(),
        };
        Self {
            expected: connect(expected),
            found: connect(found),
            scratch: None,
            primary: None,
            protocol,
            database: 0,
            asks_for_state: false,
            differences: Vec::new(),
        }
    }

    /// Also compares DUMP, by restoring both payloads on `scratch`.
    pub fn with_scratch(mut self, scratch: &Server) -> Self {
        self.scratch = Some(scratch.client());
        self
    }

    /// Accepts any order where the primary's order differs from its real replica's.
    pub fn with_primary(mut self, primary: &Server) -> Self {
        let client = primary.client();
        self.primary = Some(match self.protocol {
            3 => client.resp3(),
            _ => client,
        });
        self
    }

    pub fn select(&mut self, database: u32) {
        self.database = database;
        for client in [&mut self.expected, &mut self.found]
            .into_iter()
            .chain(&mut self.primary)
        {
            client.command(&format!("SELECT {database}"));
        }
    }

    /// Returns to the database that one of `reads` may have left: the judge asks on, and must see what the reads before it saw.
    fn return_from(&mut self, reads: &[Words]) {
        if reads.iter().any(selects) {
            self.select(self.database);
        }
    }

    /// Asks both and records differences. Leaves out reads that would change the real replica or begin a transaction.
    pub fn ask_harmless(&mut self, reads: &[Words]) {
        let mut harmless = reads.to_vec();
        harmless.retain(|read| !self.converts(read) && !read[0].eq_ignore_ascii_case(b"multi"));
        self.ask(&harmless);
    }

    /// Asks both for some of the reads inside transactions.
    pub fn ask_transactions(&mut self, reads: &[Words]) {
        for part in reads.chunks(TRANSACTION).step_by(5) {
            let mut part = part.to_vec();
            part.retain(|read| !ends_transaction(read) && !self.converts(read));
            part.retain(|read| !self.is_torn(read));
            part.truncate(
                part.iter()
                    .position(selects)
                    .map_or(part.len(), |at| at + 1),
            );
            let transaction = [&[words("MULTI")], part.as_slice(), &[words("EXEC")]].concat();
            self.ask_as_one(&transaction);
        }
    }

    /// DIFFERENCE: a real replica permanently unpacks a sorted set when a client sorts it, and a short HyperLogLog when a client
    /// counts it.
    fn converts(&mut self, read: &Words) -> bool {
        let name = read[0].to_ascii_lowercase();
        let Some(key) = read.get(1) else {
            return false;
        };
        match name.as_slice() {
            b"sort" | b"sort_ro" => {
                let kind = self.expected.words(&[b"TYPE", key]).text();
                kind == "zset" && encoding(&mut self.expected, key) != "skiplist"
            }
            b"pfcount" => encoding(&mut self.expected, key) == "embstr",
            _ => false,
        }
    }

    /// Whether this is a script whose error the right server tears into several lines.
    fn is_torn(&mut self, read: &Words) -> bool {
        torn::is_script(read) && torn::is_torn(&torn::ask(&mut self.expected, read))
    }

    /// Asks both and records differences.
    pub fn ask(&mut self, reads: &[Words]) {
        for part in reads.chunk_by(|read, _| !selects(read)) {
            self.ask_here(part);
        }
    }

    /// Asks both, and returns to the database before it judges. At most the last read may leave it.
    fn ask_here(&mut self, reads: &[Words]) {
        let [expected, found] = self.replies(reads, torn::send, torn::replies);
        self.return_from(reads);
        for ((read, expected), found) in reads.iter().zip(expected).zip(found) {
            self.compare(read, torn::mended(expected), found, &[]);
        }
    }

    /// Runs a transaction, from MULTI to EXEC, on both, and records differences in how it is queued and in its replies.
    pub fn ask_as_one(&mut self, transaction: &[Words]) {
        let [mut expected, mut found] =
            self.replies(transaction, Client::send_all, Client::replies_to);
        self.return_from(transaction);
        let (Some(all_expected), Some(all_found)) = (expected.pop(), found.pop()) else {
            return;
        };
        let (parts_expected, parts_found) = (all_expected.elements(), all_found.elements());
        let queued: Vec<_> = transaction.iter().zip(&expected).collect();
        let is_queued = |reply: &Reply| reply.text() == "QUEUED";
        let parts = queued.iter().filter(|(_, reply)| is_queued(reply));
        let parts: Vec<Words> = parts.map(|(read, _)| (*read).clone()).collect();
        let count = parts.len();
        for ((read, expected), found) in transaction.iter().zip(expected).zip(found) {
            self.compare(read, expected, found, transaction);
        }
        if parts_expected.len() != count || parts_found.len() != count {
            self.compare(&words("EXEC"), all_expected, all_found, transaction);
            return;
        }
        let replies = parts_expected.into_iter().zip(parts_found);
        for (read, (expected, found)) in parts.iter().zip(replies) {
            self.compare(read, expected, found, transaction);
        }
    }

    /// Returns the replies of both, which work at the same time.
    fn replies(
        &mut self,
        reads: &[Words],
        send: fn(&mut Client, &[Words]),
        read: fn(&mut Client, &[Words]) -> Vec<Reply>,
    ) -> [Vec<Reply>; 2] {
        let mut replies = [Vec::new(), Vec::new()];
        for batch in self.expected.batches(reads) {
            let mut clients = [&mut self.expected, &mut self.found];
            clients.iter_mut().for_each(|client| send(client, batch));
            for (replies, client) in replies.iter_mut().zip(clients) {
                replies.extend(read(client, batch));
            }
        }
        replies
    }

    fn compare(&mut self, read: &Words, expected: Reply, found: Reply, transaction: &[Words]) {
        if expected != found && !self.is_same(read, &expected, &found) {
            self.differences.push(Difference {
                protocol: self.protocol,
                database: self.database,
                is_of_state: self.asks_for_state,
                transaction: transaction.to_vec(),
                read: read.clone(),
                expected,
                found,
            });
        }
    }

    /// Compares the whole contents of all databases.
    pub fn ask_for_everything(&mut self) {
        self.asks_for_state = true;
        for database in DATABASES {
            self.select(database);
            self.ask(&[words("DBSIZE"), words("KEYS *")]);
            let keys = self.expected.command("KEYS *").elements();
            let keys: Vec<_> = keys.iter().filter_map(Reply::bulk).collect();
            let types: Vec<_> = keys.iter().map(|key| of("TYPE {k}", key)).collect();
            let types = self.expected.pipeline(&types);
            let reads: Vec<_> = keys
                .iter()
                .zip(&types)
                .flat_map(|(key, kind)| whole(key, &kind.text()))
                .collect();
            self.ask(&reads);
        }
        self.asks_for_state = false;
    }

    fn is_same(&mut self, read: &Words, expected: &Reply, found: &Reply) -> bool {
        if found.0.starts_with(REFUSAL) && differs(read) {
            return true;
        }
        let same = rule(&read[0], read.get(1));
        if self.sees_expired(read) {
            return true;
        }
        if expected.is_error() || found.is_error() {
            return false;
        }
        match same {
            Same::Exactly => false,
            Same::Embedded => self.is_embedded_same(read, expected, found),
            Same::Kind => expected.0.first() == found.0.first(),
            Same::Named => read.len() == 2 && expected.0.first() == found.0.first(),
            Same::Settings => same_settings(read, expected, found),
            Same::AnyOrder(width) => expected.sorted(width) == found.sorted(width),
            Same::Untabled(width) => {
                let is_part = is_part(read) && expected.elements().len() == found.elements().len();
                (is_part || expected.sorted(width) == found.sorted(width))
                    && (self.reads_table(read) || self.is_own_order(read, expected))
            }
            Same::Clock(ticking, distance) => same_but_times(expected, found, ticking, distance),
            Same::ByLex => self.is_unspecified(read),
            Same::Scanned(width) => self.is_scan_same(read, expected, width),
            Same::Random => self.is_random_same(read, expected, found),
            Same::Restored => self.is_restored_same(expected, found),
        }
    }

    /// Whether this is a script on Redis 6.0 that sees an expired key: the DIFFERENCE of its row.
    fn sees_expired(&mut self, read: &Words) -> bool {
        let version = self.expected.info("server", "redis_version");
        let is_old = version.is_some_and(|version| version.starts_with("6."));
        let is_script = read[0].to_ascii_lowercase().starts_with(b"eval");
        let mut is_expired = |key: &Vec<u8>| {
            let is_there = !self.expected.words(&[b"DEBUG", b"OBJECT", key]).is_error();
            is_there && self.expected.words(&[b"EXISTS", key]).integer() == Some(0)
        };
        is_old && is_script && read.iter().skip(3).any(&mut is_expired)
    }

    /// Whether a Valkey counts a time to live that was removed, or, with libc's allocator, does not count one that was given.
    fn is_embedded_same(&mut self, read: &Words, expected: &Reply, found: &Reply) -> bool {
        let Some(version) = self.expected.info("server", "valkey_version") else {
            return false;
        };
        let expires = self.expected.words(&[b"TTL", &read[2]]).integer() != Some(-1);
        let length = self.expected.words(&[b"STRLEN", &read[2]]).integer();
        let fits_alone = length.and_then(|length| usize::try_from(length).ok());
        let fits_alone = fits_alone.is_some_and(|length| {
            Dialect::valkey(9, 0, 0).embeds_text(read[2].len(), length, false)
        });
        match [expected.text(), found.text()]
            .each_ref()
            .map(String::as_str)
        {
            ["raw", "embstr"] => !expires,
            ["embstr", "raw"] => version.starts_with("9.0") && expires && fits_alone,
            _ => false,
        }
    }

    /// Whether one of the keys is a hash table on either server.
    fn reads_table(&mut self, read: &Words) -> bool {
        let clients = [&mut self.expected, &mut self.found];
        clients.into_iter().any(|client| {
            let keys = read.iter().skip(1);
            keys.into_iter()
                .any(|key| encoding(client, key) == "hashtable")
        })
    }

    /// Whether the primary's order differs from its real replica's. A small set that was created from tables has the order of
    /// those tables.
    fn is_own_order(&mut self, read: &Words, expected: &Reply) -> bool {
        let primary = self.primary.as_mut();
        let primary = primary.map(|client| torn::ask(client, read));
        primary.is_some_and(|primary| primary != *expected)
    }

    /// Whether this is a lexical range of members with different scores in a skiplist.
    fn is_unspecified(&mut self, read: &Words) -> bool {
        let is_by_lex = !read[0].eq_ignore_ascii_case(b"zrange")
            || read.iter().any(|word| word.eq_ignore_ascii_case(b"bylex"));
        is_by_lex
            && encoding(&mut self.expected, &read[1]) == "skiplist"
            && !self.is_level(&read[1])
    }

    /// Whether all members of a sorted set have the same score.
    fn is_level(&mut self, key: &[u8]) -> bool {
        let [first, last] = [b"0".as_slice(), b"-1"].map(|end| {
            let reply = self
                .expected
                .words(&[b"ZRANGE", key, end, end, b"WITHSCORES"]);
            reply.text().lines().last().map(str::to_owned)
        });
        first == last
    }

    fn is_scan_same(&mut self, read: &Words, expected: &Reply, width: usize) -> bool {
        if !self.scans_table(read) && !self.is_own_order(read, expected) {
            return false;
        }
        let is_bare = read.iter().any(|word| {
            word.eq_ignore_ascii_case(b"novalues") || word.eq_ignore_ascii_case(b"noscores")
        });
        let width = if is_bare { 1 } else { width };
        if read[cursor_at(read)] != b"0" {
            return true;
        }
        let [expected, found] = [&mut self.expected, &mut self.found].map(|client| {
            scan(client, read, width)
                .into_iter()
                .collect::<BTreeSet<_>>()
        });
        expected == found
    }

    fn scans_table(&mut self, read: &Words) -> bool {
        cursor_at(read) == 1
            || ["hashtable", "skiplist"].contains(&encoding(&mut self.expected, &read[1]).as_str())
    }

    fn is_random_same(&mut self, read: &Words, expected: &Reply, found: &Reply) -> bool {
        let Some(key) = read.get(1) else {
            let keys = self.expected.command("KEYS *").elements();
            return keys.contains(found);
        };
        let more = read.iter().skip(3).map(Vec::as_slice);
        let all: Vec<&[u8]> = [read[0].as_slice(), key, b"1000000"]
            .into_iter()
            .chain(more)
            .collect();
        let all = self.expected.words(&all).elements();
        let Some(count) = read.get(2) else {
            return all.contains(found);
        };
        // In RESP2 a member's value or score follows it.
        let width = if read.len() > 3 && self.protocol == 2 {
            2
        } else {
            1
        };
        let is_there = |group: &[Reply]| all.chunks(width).any(|other| other == group);
        let elements = found.elements();
        let unique: BTreeSet<_> = elements.chunks(width).collect();
        elements.len() == expected.elements().len()
            && elements.chunks(width).all(is_there)
            && (count.starts_with(b"-") || unique.len() * width == elements.len())
    }

    /// Whether a real server restores both payloads to the same value, and both have the same format version.
    fn is_restored_same(&mut self, expected: &Reply, found: &Reply) -> bool {
        let (Some(expected), Some(found), Some(scratch)) =
            (expected.bulk(), found.bulk(), &mut self.scratch)
        else {
            return false;
        };
        let version = |payload: &[u8]| {
            payload
                .iter()
                .rev()
                .skip(8)
                .take(2)
                .copied()
                .collect::<Vec<_>>()
        };
        let digest = |payload: &[u8]| {
            scratch.words(&[b"RESTORE", b"key", b"0", payload, b"REPLACE"]);
            scratch.command("DEBUG DIGEST-VALUE key")
        };
        version(&expected) == version(&found)
            && [&expected, &found]
                .map(|payload| payload.as_slice())
                .map(digest)
                .windows(2)
                .all(|pair| pair[0] == pair[1])
    }
}

/// The number of reads in a transaction.
const TRANSACTION: usize = 6;

/// Whether the read is SELECT: some have a wrong argument, and some a right one.
fn selects(read: &Words) -> bool {
    read[0].eq_ignore_ascii_case(b"select")
}

/// Whether the read would end the transaction. Also DEBUG, whose row says why it may not be in one.
fn ends_transaction(read: &Words) -> bool {
    ["exec", "discard", "reset", "quit", "debug"]
        .iter()
        .any(|name| read[0].eq_ignore_ascii_case(name.as_bytes()))
}

/// The reads that show all of a key of that type.
fn whole(key: &[u8], kind: &str) -> Vec<Words> {
    const ALWAYS: &[&str] = &["OBJECT ENCODING {k}", "PTTL {k}", "EXISTS {k}", "TYPE {k}"];
    let value: &[&str] = match kind {
        "string" => &["GET {k}", "STRLEN {k}"],
        "list" => &["LRANGE {k} 0 -1", "LLEN {k}"],
        "set" => &["SMEMBERS {k}", "SCARD {k}"],
        "hash" => &["HGETALL {k}", "HLEN {k}"],
        "zset" => &["ZRANGE {k} 0 -1 WITHSCORES", "ZCARD {k}"],
        "stream" => &[
            "XRANGE {k} - +",
            "XINFO STREAM {k} FULL COUNT 0",
            "XINFO GROUPS {k}",
        ],
        _ => &[],
    };
    ALWAYS
        .iter()
        .chain(value)
        .map(|line| of(line, key))
        .collect()
}

/// The words of a line, with `key` in place of `{k}`.
pub fn of(line: &str, key: &[u8]) -> Words {
    let word = |word: &str| match word {
        "{k}" => key.to_vec(),
        word => word.as_bytes().to_vec(),
    };
    line.split(' ').map(word).collect()
}

pub fn encoding(client: &mut Client, key: &[u8]) -> String {
    client.words(&[b"OBJECT", b"ENCODING", key]).text()
}

/// Whether the read asks for a part of a result whose order is defined only where weights differ.
fn is_part(read: &Words) -> bool {
    let has = |name: &str| {
        let is_it = |word: &Vec<u8>| word.eq_ignore_ascii_case(name.as_bytes());
        read.iter().any(is_it)
    };
    has("limit") && has("by")
}

fn cursor_at(read: &Words) -> usize {
    if read[0].eq_ignore_ascii_case(b"SCAN") {
        1
    } else {
        2
    }
}

/// All elements of a whole iteration with SCAN, HSCAN and so on, in groups of `width`.
pub fn scan(client: &mut Client, command: &Words, width: usize) -> Vec<Vec<Reply>> {
    let at = cursor_at(command);
    let mut command = command.to_vec();
    let mut all = Vec::new();
    for _ in 0..1_000_000 {
        let words: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
        let reply = client.words(&words).elements();
        let [cursor, page] = reply.as_slice() else {
            panic!("unexpected reply to a scan: {reply:?}")
        };
        all.extend(page.elements().chunks(width).map(<[Reply]>::to_vec));
        command[at] = cursor.bulk().expect("a cursor is a bulk string");
        if command[at] == b"0" {
            return all;
        }
    }
    panic!("the scan does not end");
}
