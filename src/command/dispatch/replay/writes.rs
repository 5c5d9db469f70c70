//! The replies of writes.

use std::collections::BTreeSet;

use super::{NO_REPLY, Replay, Stop};
use crate::command::rows::{Command, Error};
use crate::resp::{Args, Reply, parse_integer};

/// Writes that reply with the resulting number of elements. Each has the read that returns it, and the word that holds
/// its key.
const SIZES: [(&str, &str, usize); 12] = [
    ("lpush", "LLEN", 1),
    ("rpush", "LLEN", 1),
    ("lpushx", "LLEN", 1),
    ("rpushx", "LLEN", 1),
    ("append", "STRLEN", 1),
    ("setrange", "STRLEN", 1),
    ("sinterstore", "SCARD", 1),
    ("sunionstore", "SCARD", 1),
    ("sdiffstore", "SCARD", 1),
    ("zunionstore", "ZCARD", 1),
    ("zinterstore", "ZCARD", 1),
    ("bitop", "STRLEN", 2),
];

/// Writes that reply with the number of elements added or removed. Each has the read that returns how many there are.
const CHANGES: [(&str, &str); 13] = [
    ("sadd", "SCARD"),
    ("srem", "SCARD"),
    ("zadd", "ZCARD"),
    ("geoadd", "ZCARD"),
    ("zrem", "ZCARD"),
    ("zremrangebyscore", "ZCARD"),
    ("zremrangebyrank", "ZCARD"),
    ("zremrangebylex", "ZCARD"),
    ("hset", "HLEN"),
    ("hdel", "HLEN"),
    ("lrem", "LLEN"),
    ("xdel", "XLEN"),
    ("xtrim", "XLEN"),
];

/// Writes that reply with what a read returns before them. Each has the read, and its words after the key.
const BEFORE: [(&str, &str, &[&str]); 4] = [
    ("lpop", "LINDEX", &["0"]),
    ("rpop", "LINDEX", &["-1"]),
    ("rpoplpush", "LINDEX", &["-1"]),
    ("getset", "GET", &[]),
];

/// Writes that reply OK whatever they find. Each has the read that fails when they do.
const SILENT: [(&str, &str); 7] = [
    ("setex", "EXISTS"),
    ("psetex", "EXISTS"),
    ("mset", "EXISTS"),
    ("hmset", "HLEN"),
    ("ltrim", "LLEN"),
    ("pfmerge", "PFCOUNT"),
    ("flushdb", "EXISTS"),
];

impl Replay<'_, '_> {
    /// Runs a write. Any write that is not handled here ends the script: its reply depends on what only the primary
    /// knows.
    pub(super) fn write(
        &mut self,
        row: &Command,
        args: Args<'_>,
        reply: &mut Reply,
    ) -> Result<(), Stop> {
        let key = args.at(1);
        if let Some((_, read, at)) = SIZES.iter().find(|(name, ..)| *name == row.name) {
            // On another type, the read fails as the write does. A write that stores its result replaces any type.
            if !row.name.ends_with("store") && row.name != "bitop" {
                self.count(&[read.as_bytes(), args.at(*at)])?;
            }
            self.apply(row, args)?;
            reply.integer(self.count(&[read.as_bytes(), args.at(*at)])?);
        } else if let Some((_, read)) = CHANGES.iter().find(|(name, _)| *name == row.name) {
            self.change(row, args, read, reply)?;
        } else if let Some((_, read, rest)) = BEFORE.iter().find(|(name, ..)| *name == row.name) {
            let words: Vec<&[u8]> = [read.as_bytes(), key]
                .into_iter()
                .chain(rest.iter().map(|word| word.as_bytes()))
                .collect();
            let before = self.ask(&words)?;
            reply.raw(before.as_bytes());
            self.apply(row, args)?;
        } else if let Some((_, read)) = SILENT.iter().find(|(name, _)| *name == row.name) {
            self.count(&[read.as_bytes(), key])?;
            self.apply(row, args)?;
            reply.ok();
        } else {
            self.special(row, args, reply)?;
        }
        Ok(())
    }

    fn change(
        &mut self,
        row: &Command,
        args: Args<'_>,
        read: &str,
        reply: &mut Reply,
    ) -> Result<(), Stop> {
        let counts =
            |word: &[u8]| word.eq_ignore_ascii_case(b"ch") || word.eq_ignore_ascii_case(b"incr");
        if row.name == "zadd" && args.from(2).iter().take(4).any(counts) {
            return Err(NO_REPLY);
        }
        let words = [read.as_bytes(), args.at(1)];
        let before = self.count(&words)?;
        self.apply(row, args)?;
        reply.integer((self.count(&words)? - before).abs());
        Ok(())
    }

    fn special(&mut self, row: &Command, args: Args<'_>, reply: &mut Reply) -> Result<(), Stop> {
        match row.name {
            "set" => self.set(row, args, reply),
            "incr" => self.add(row, args, Some(1), reply),
            "decr" => self.add(row, args, Some(-1), reply),
            "incrby" => self.add(row, args, parse_integer(args.at(2)), reply),
            "decrby" => {
                let by = parse_integer(args.at(2)).ok_or(Error::NotInteger)?;
                self.add(row, args, Some(by.checked_neg().ok_or(NO_REPLY)?), reply)
            }
            "hincrby" => self.add_to_field(row, args, reply),
            "zincrby" => {
                self.count(&[b"ZCARD", args.at(1)])?;
                self.apply(row, args)?;
                let after = self.ask(&[b"ZSCORE", args.at(1), args.at(3)])?;
                reply.raw(after.as_bytes());
                Ok(())
            }
            "expire" => self.expire(args, 1000, true, reply),
            "pexpire" => self.expire(args, 1, true, reply),
            "expireat" => self.expire(args, 1000, false, reply),
            "pexpireat" => self.expire(args, 1, false, reply),
            "persist" => {
                let entry = self.tx.entry(args.at(1));
                let has = entry.is_some_and(|entry| entry.expire_at_ms().is_some());
                self.if_so(has, row, args, reply)
            }
            _ => self.conditional(row, args, reply),
        }
    }

    /// Runs writes that may or may not happen, and reply 1 or 0.
    fn conditional(
        &mut self,
        row: &Command,
        args: Args<'_>,
        reply: &mut Reply,
    ) -> Result<(), Stop> {
        let key = args.at(1);
        match row.name {
            "setnx" => {
                let is_free = self.count(&[b"EXISTS", key])? == 0;
                self.if_so(is_free, row, args, reply)
            }
            "msetnx" if args.len() % 2 == 1 => {
                let keys = (1..args.len()).step_by(2).map(|at| args.at(at));
                let keys: Vec<&[u8]> = [&b"EXISTS"[..]].into_iter().chain(keys).collect();
                let is_free = self.count(&keys)? == 0;
                self.if_so(is_free, row, args, reply)
            }
            "hsetnx" => {
                let is_free = self.count(&[b"HEXISTS", key, args.at(2)])? == 0;
                self.if_so(is_free, row, args, reply)
            }
            "smove" => {
                let is_there = self.count(&[b"SISMEMBER", key, args.at(3)])? == 1;
                self.if_so(is_there, row, args, reply)
            }
            "renamenx" => {
                self.must_exist(key)?;
                let is_free = self.count(&[b"EXISTS", args.at(2)])? == 0;
                self.if_so(is_free, row, args, reply)
            }
            "rename" => {
                self.must_exist(key)?;
                self.apply(row, args)?;
                reply.ok();
                Ok(())
            }
            "setbit" if args.is(3, "0") || args.is(3, "1") => {
                let before = self.count(&[b"GETBIT", key, args.at(2)])?;
                self.apply(row, args)?;
                reply.integer(before);
                Ok(())
            }
            "del" | "unlink" => self.delete(row, args, reply),
            "pfadd" => {
                let before = self.ask(&[b"GET", key])?;
                self.apply(row, args)?;
                let after = self.ask(&[b"GET", key])?;
                reply.integer(i64::from(before.as_bytes() != after.as_bytes()));
                Ok(())
            }
            _ => self.lists_and_ranks(row, args, reply),
        }
    }

    fn lists_and_ranks(
        &mut self,
        row: &Command,
        args: Args<'_>,
        reply: &mut Reply,
    ) -> Result<(), Stop> {
        let key = args.at(1);
        match row.name {
            "lset" => {
                self.must_exist(key)?;
                let before = self.ask(&[b"LINDEX", key, args.at(2)])?;
                if before.as_bytes() == b"$-1\r\n" {
                    return Err(Error::IndexOutOfRange.into());
                }
                self.apply(row, args)?;
                reply.ok();
                Ok(())
            }
            "linsert" => {
                let before = self.count(&[b"LLEN", key])?;
                self.apply(row, args)?;
                let after = self.count(&[b"LLEN", key])?;
                let unchanged = if before == 0 { 0 } else { -1 };
                reply.integer(if after == before { unchanged } else { after });
                Ok(())
            }
            "zpopmin" | "zpopmax" => {
                let count = args.get(2).map_or(Some(1), parse_integer);
                let last = count.filter(|count| *count > 0).ok_or(NO_REPLY)? - 1;
                let last = last.to_string();
                let read: &[u8] = if row.name == "zpopmin" {
                    b"ZRANGE"
                } else {
                    b"ZREVRANGE"
                };
                let before = self.ask(&[read, key, b"0", last.as_bytes(), b"WITHSCORES"])?;
                reply.raw(before.as_bytes());
                self.apply(row, args)
            }
            "xadd" => {
                // Only without options, and with an explicit id from the script.
                let id = args.at(2);
                if !id.first().is_some_and(u8::is_ascii_digit) || !id.contains(&b'-') {
                    return Err(NO_REPLY);
                }
                self.apply(row, args)?;
                reply.bulk(id);
                Ok(())
            }
            _ => Err(NO_REPLY),
        }
    }

    fn if_so(
        &mut self,
        so: bool,
        row: &Command,
        args: Args<'_>,
        reply: &mut Reply,
    ) -> Result<(), Stop> {
        if so {
            self.apply(row, args)?;
        }
        reply.integer(i64::from(so));
        Ok(())
    }

    fn must_exist(&mut self, key: &[u8]) -> Result<(), Stop> {
        match self.count(&[b"EXISTS", key])? {
            0 => Err(Error::NoSuchKey.into()),
            _ => Ok(()),
        }
    }

    /// `SET key value` with the options of Redis 6.
    fn set(&mut self, row: &Command, args: Args<'_>, reply: &mut Reply) -> Result<(), Stop> {
        let (mut at, mut wanted) = (3, None);
        while at < args.len() {
            if args.is(at, "nx") || args.is(at, "xx") {
                wanted = Some(args.is(at, "xx"));
            } else if args.is(at, "ex") || args.is(at, "px") {
                at += 1;
                let time = args.get(at).and_then(parse_integer);
                time.filter(|time| (1..1 << 50).contains(time))
                    .ok_or(NO_REPLY)?;
            } else if !args.is(at, "keepttl") {
                return Err(NO_REPLY);
            }
            at += 1;
        }
        let exists = self.count(&[b"EXISTS", args.at(1)])? > 0;
        if wanted.is_some_and(|wanted| wanted != exists) {
            reply.null();
            return Ok(());
        }
        self.apply(row, args)?;
        reply.ok();
        Ok(())
    }

    fn add(
        &mut self,
        row: &Command,
        args: Args<'_>,
        by: Option<i64>,
        reply: &mut Reply,
    ) -> Result<(), Stop> {
        let old = self.ask(&[b"GET", args.at(1)])?;
        let old = integer(&old, Error::NotInteger)?;
        let by = by.ok_or(Error::NotInteger)?;
        let new = old.checked_add(by).ok_or(Error::Overflow)?;
        self.apply(row, args)?;
        reply.integer(new);
        Ok(())
    }

    fn add_to_field(
        &mut self,
        row: &Command,
        args: Args<'_>,
        reply: &mut Reply,
    ) -> Result<(), Stop> {
        let by = parse_integer(args.at(3)).ok_or(Error::NotInteger)?;
        let old = self.ask(&[b"HGET", args.at(1), args.at(2)])?;
        let old = integer(&old, Error::Text("ERR hash value is not an integer"))?;
        let new = old.checked_add(by).ok_or(Error::Overflow)?;
        self.apply(row, args)?;
        reply.integer(new);
        Ok(())
    }

    /// Sets an expiry. A time in the past deletes the key on the primary, without a DEL in the stream: the replicas
    /// receive only the script.
    fn expire(
        &mut self,
        args: Args<'_>,
        unit_ms: i64,
        is_relative: bool,
        reply: &mut Reply,
    ) -> Result<(), Stop> {
        let key = args.at(1);
        let given = parse_integer(args.at(2)).ok_or(Error::NotInteger)?;
        let exists = self.count(&[b"EXISTS", key])? == 1;
        let now = self.tx.now_ms();
        let base = if is_relative { now } else { 0 };
        let at = given
            .checked_mul(unit_ms)
            .and_then(|given| given.checked_add(base));
        let at = at.ok_or(NO_REPLY)?;
        if exists && at <= now {
            self.tx.remove(key);
        } else if exists {
            self.tx.set_expiry(key, Some(at));
        }
        reply.integer(i64::from(exists));
        Ok(())
    }

    fn delete(&mut self, row: &Command, args: Args<'_>, reply: &mut Reply) -> Result<(), Stop> {
        let keys: BTreeSet<&[u8]> = args.from(1).iter().collect();
        let words: Vec<&[u8]> = [&b"EXISTS"[..]].into_iter().chain(keys).collect();
        let there = self.count(&words)?;
        self.apply(row, args)?;
        reply.integer(there);
        Ok(())
    }
}

/// Returns the integer in a bulk reply, 0 for null.
fn integer(reply: &Reply, otherwise: Error) -> Result<i64, Stop> {
    if reply.as_bytes() == b"$-1\r\n" {
        return Ok(0);
    }
    let mut lines = reply.as_bytes().splitn(2, |byte| *byte == b'\n');
    let text = lines.nth(1).unwrap_or_default();
    let text = text.strip_suffix(b"\r\n").unwrap_or(text);
    parse_integer(text).ok_or_else(|| otherwise.into())
}
