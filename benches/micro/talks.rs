//! What clients send on a connection, and the length of the replies.

use std::sync::Arc;

use redtail::internal::store::Generation;

use crate::data::{element, key, made_by, push, push_set, request, value, words};
use crate::loopback::Loopback;

const KEYS: usize = 1_000;
const VALUE_BYTES: usize = 32;

/// A request that is sent `times` times in one write.
pub(crate) struct Talk {
    pub(crate) name: &'static str,
    pub(crate) request: Vec<u8>,
    pub(crate) times: usize,
    /// The length of its reply in bytes.
    pub(crate) reply_bytes: usize,
}

/// Strings, and collections of 100 elements named after their types.
pub(crate) fn served() -> Arc<Generation> {
    let mut stream = Vec::new();
    (0..KEYS).for_each(|at| push_set(&mut stream, &key(at), &value(VALUE_BYTES), false));
    for at in 0..100 {
        let (element, at) = (element(at), at.to_string());
        for words in [
            &["RPUSH", "list", &element] as &[&str],
            &["SADD", "set", &element],
            &["ZADD", "zset", &at, &element],
            &["HSET", "hash", &element, "value"],
        ] {
            push(&mut stream, words);
        }
    }
    made_by(&stream)
}

/// The requests. The lengths of their replies follow from [`served`].
pub(crate) fn talks() -> Vec<Talk> {
    let get = || request(&[b"GET", &key(7)[..]]);
    let bulk = |bytes: usize| format!("${bytes}\r\n").len() + bytes + 2;
    let elements = "*100\r\n".len() + 100 * bulk(16);
    let mget = |keys: usize| {
        let mut words = vec![b"MGET".to_vec()];
        words.extend((0..keys).map(|at| key(at).to_vec()));
        request(&words)
    };
    let talk = |name, request, times, reply_bytes| Talk {
        name,
        request,
        times,
        reply_bytes,
    };
    let text = |line: &str| request(&words(line));
    vec![
        talk("get", get(), 1, bulk(VALUE_BYTES)),
        talk("get pipeline 16", get(), 16, bulk(VALUE_BYTES)),
        talk("get pipeline 64", get(), 64, bulk(VALUE_BYTES)),
        talk(
            "mget 10",
            mget(10),
            1,
            "*10\r\n".len() + 10 * bulk(VALUE_BYTES),
        ),
        talk(
            "mget 100",
            mget(100),
            1,
            "*100\r\n".len() + 100 * bulk(VALUE_BYTES),
        ),
        talk("hget", text("HGET hash element:00000042"), 1, bulk(5)),
        talk(
            "hgetall 100",
            text("HGETALL hash"),
            1,
            "*200\r\n".len() + 100 * (bulk(16) + bulk(5)),
        ),
        talk("lrange 100", text("LRANGE list 0 99"), 1, elements),
        talk("smembers 100", text("SMEMBERS set"), 1, elements),
        talk("zrange 100", text("ZRANGE zset 0 99"), 1, elements),
        talk("ping", text("PING"), 1, "+PONG\r\n".len()),
    ]
}

impl Talk {
    /// The bytes sent in one write.
    pub(crate) fn requests(&self) -> Vec<u8> {
        self.request.repeat(self.times)
    }

    /// Sends the requests `rounds` times.
    pub(crate) fn run(&self, loopback: &mut Loopback, rounds: u64) {
        loopback.ask(&self.requests(), self.reply_bytes * self.times, rounds);
    }

    /// Checks that the replies have the expected length: the reply to a PING must follow them directly.
    pub(crate) fn check(&self, loopback: &mut Loopback) {
        let mut requests = self.requests();
        push(&mut requests, &["PING"]);
        let reply_bytes = self.reply_bytes * self.times + 7;
        let replies = loopback.ask(&requests, reply_bytes, 1);
        assert!(replies.ends_with(b"\r\n+PONG\r\n"), "{}", self.name);
        assert!(!replies.starts_with(b"-"), "{}", self.name);
    }
}
