//! Every type in every encoding.

use std::sync::Arc;

use redtail::internal::store::Generation;

use crate::data::{Asker, FAR_MS, element, key, made_by, push, value};

/// The number of elements of all keys of one kind together.
const ELEMENTS: usize = 20_000;

/// A type in an encoding.
pub(crate) struct Kind {
    /// Type and encoding.
    pub(crate) name: &'static str,
    /// What OBJECT ENCODING returns.
    encoding: &'static str,
    /// The number of elements of one key.
    pub(crate) elements: usize,
    /// Appends the commands that create a key with that number of elements.
    write: fn(&mut Vec<u8>, &[u8], usize),
}

impl Kind {
    /// The number of keys in [`make`](Self::make).
    pub(crate) const fn keys(&self) -> usize {
        ELEMENTS / self.elements
    }

    /// The commands that create these keys.
    pub(crate) fn stream(&self) -> Vec<u8> {
        let mut out = Vec::new();
        (0..self.keys()).for_each(|number| (self.write)(&mut out, &key(number), self.elements));
        out
    }

    /// Keyspaces with keys of this kind only.
    pub(crate) fn make(&self) -> Arc<Generation> {
        let generation = made_by(&self.stream());
        self.check(&generation);
        generation
    }

    /// Asserts that the keys exist and have this encoding.
    pub(crate) fn check(&self, generation: &Arc<Generation>) {
        assert_eq!(crate::data::len(generation), self.keys(), "{}", self.name);
        let last = key(self.keys() - 1);
        let mut asker = Asker::new(generation, &[b"OBJECT" as &[u8], b"ENCODING", &last]);
        let said = String::from_utf8_lossy(asker.ask()).into_owned();
        assert!(
            said.contains(&format!("\r\n{}\r\n", self.encoding)),
            "{}: {said}",
            self.name
        );
    }
}

const fn kind(
    name: &'static str,
    encoding: &'static str,
    elements: usize,
    write: fn(&mut Vec<u8>, &[u8], usize),
) -> Kind {
    Kind {
        name,
        encoding,
        elements,
        write,
    }
}

/// All kinds.
pub(crate) const KINDS: &[Kind] = &[
    kind("string int", "int", 1, |out, key, _| {
        push(out, &[b"SET", key, b"1234567"]);
    }),
    kind("string embstr", "embstr", 1, |out, key, _| {
        push(out, &[b"SET", key, &value(32)]);
    }),
    kind("string raw", "raw", 1, |out, key, _| {
        push(out, &[b"SET", key, &value(1000)]);
    }),
    kind("list listpack", "listpack", 20, |out, key, elements| {
        fill(out, "RPUSH", key, elements, |at, _| vec![element(at)]);
    }),
    kind("list quicklist", "quicklist", 1000, |out, key, elements| {
        fill(out, "RPUSH", key, elements, |at, _| vec![element(at)]);
    }),
    kind("set intset", "intset", 100, |out, key, elements| {
        fill(out, "SADD", key, elements, |at, _| vec![at.to_string()]);
    }),
    kind("set listpack", "listpack", 20, |out, key, elements| {
        fill(out, "SADD", key, elements, |at, _| vec![element(at)]);
    }),
    kind("set hashtable", "hashtable", 1000, |out, key, elements| {
        fill(out, "SADD", key, elements, |at, _| vec![element(at)]);
    }),
    kind("hash listpack", "listpack", 20, hash),
    kind("hash hashtable", "hashtable", 1000, hash),
    kind("hash listpackex", "listpackex", 20, timed_hash),
    kind("hash hashtable timed", "hashtable", 1000, timed_hash),
    kind("zset listpack", "listpack", 20, zset),
    kind("zset skiplist", "skiplist", 1000, zset),
    kind("stream", "stream", 100, |out, key, elements| {
        for at in 1..=elements {
            let id = format!("{at}-1");
            push(
                out,
                &[
                    b"XADD",
                    key,
                    id.as_bytes(),
                    b"field",
                    element(at).as_bytes(),
                ],
            );
        }
    }),
];

fn hash(out: &mut Vec<u8>, key: &[u8], elements: usize) {
    fill(out, "HSET", key, elements, |at, _| {
        vec![element(at), format!("value:{at}")]
    });
}

fn timed_hash(out: &mut Vec<u8>, key: &[u8], elements: usize) {
    hash(out, key, elements);
    let mut words: Vec<Vec<u8>> = vec![b"HPEXPIREAT".to_vec(), key.to_vec(), FAR_MS.into()];
    words.extend([b"FIELDS".to_vec(), elements.to_string().into_bytes()]);
    words.extend((0..elements).map(|at| element(at).into_bytes()));
    push(out, &words);
}

fn zset(out: &mut Vec<u8>, key: &[u8], elements: usize) {
    fill(out, "ZADD", key, elements, |at, score| {
        vec![score.to_string(), element(at)]
    });
}

/// Appends one command with the words of each element. The second argument of `element` is a number with a fraction.
fn fill(
    out: &mut Vec<u8>,
    command: &str,
    key: &[u8],
    elements: usize,
    element: fn(usize, f64) -> Vec<String>,
) {
    let mut words = vec![command.as_bytes().to_vec(), key.to_vec()];
    for at in 0..elements {
        words.extend(
            element(at, at as f64 * 1.5)
                .into_iter()
                .map(String::into_bytes),
        );
    }
    push(out, &words);
}
