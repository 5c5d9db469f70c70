//! What does it cost to apply the primary's commands, by family? Once one by one, and once with ten in each MULTI.

use std::sync::Arc;

use criterion::{Criterion, Throughput};
use redtail::internal::replica::fuzzing::applying;
use redtail::internal::store::Generation;

use crate::data::{Asker, assert_sound, empty, push, words};

/// The number of commands in a batch.
const BATCH: usize = 100;

/// The number of commands in one MULTI.
const MULTI: usize = 10;

/// Commands that can be applied repeatedly: they leave the same data each time.
pub(crate) struct Family {
    pub(crate) name: &'static str,
    /// The command number `at` of the batch.
    command: fn(usize) -> String,
    /// A read, and its RESP3 reply after any number of batches.
    answer: (&'static str, &'static str),
}

const fn family(
    name: &'static str,
    command: fn(usize) -> String,
    read: &'static str,
    reply: &'static str,
) -> Family {
    Family {
        name,
        command,
        answer: (read, reply),
    }
}

/// Returns the even or the odd command; an odd one undoes the even one before it.
fn in_turn(at: usize, even: String, odd: String) -> String {
    if at.is_multiple_of(2) { even } else { odd }
}

pub(crate) const FAMILIES: &[Family] = &[
    family(
        "string set",
        |at| format!("SET key:{at} value:{at}"),
        "GET key:42",
        "$8\r\nvalue:42\r\n",
    ),
    family(
        "string set one key",
        |_| "SET key the-same-value".to_owned(),
        "GET key",
        "$14\r\nthe-same-value\r\n",
    ),
    family(
        "string incrby",
        |at| in_turn(at, "INCRBY n 5".to_owned(), "DECRBY n 5".to_owned()),
        "GET n",
        "$1\r\n0\r\n",
    ),
    family(
        "string setrange",
        |at| format!("SETRANGE text {at} x"),
        "STRLEN text",
        ":100\r\n",
    ),
    family(
        "bitmap setbit",
        |at| format!("SETBIT bits {at} 1"),
        "BITCOUNT bits",
        ":100\r\n",
    ),
    family(
        "hyperloglog pfadd",
        |at| format!("PFADD hll member:{at}"),
        "PFCOUNT hll",
        ":100\r\n",
    ),
    family(
        "hash hset small",
        |at| format!("HSET hash{} field value:{at}", at % 10),
        "HLEN hash3",
        ":1\r\n",
    ),
    family(
        "hash hset of 100",
        |at| format!("HSET hash field:{at} value"),
        "HLEN hash",
        ":100\r\n",
    ),
    family(
        "list rpush lpop",
        |at| {
            in_turn(
                at,
                format!("RPUSH list element:{at}"),
                "LPOP list".to_owned(),
            )
        },
        "LLEN list",
        ":0\r\n",
    ),
    family(
        "set sadd",
        |at| format!("SADD set member:{at}"),
        "SCARD set",
        ":100\r\n",
    ),
    family(
        "set sadd srem",
        |at| {
            in_turn(
                at,
                format!("SADD set {at}"),
                format!("SREM set {}", at.saturating_sub(1)),
            )
        },
        "SCARD set",
        ":0\r\n",
    ),
    family(
        "zset zadd",
        |at| format!("ZADD zset {} member:{at}", at * 7),
        "ZCARD zset",
        ":100\r\n",
    ),
    family(
        "zset zincrby",
        |at| {
            in_turn(
                at,
                "ZADD zset 3.5 a".to_owned(),
                "ZADD zset 4.5 a".to_owned(),
            )
        },
        "ZSCORE zset a",
        ",4.5\r\n",
    ),
    family(
        "geo geoadd",
        |at| format!("GEOADD geo 13.{at} 52.5 place:{at}"),
        "ZCARD geo",
        ":100\r\n",
    ),
    family(
        "stream xadd",
        |at| match at {
            0 => "DEL stream".to_owned(),
            at => format!("XADD stream {at}-1 field value"),
        },
        "XLEN stream",
        ":99\r\n",
    ),
    family(
        "generic pexpireat",
        |at| {
            in_turn(
                at,
                format!("SET key:{at} value"),
                format!("PEXPIREAT key:{} 4102444800000", at - at % 2),
            )
        },
        "PEXPIRETIME key:1",
        ":-2\r\n",
    ),
    family(
        "generic del",
        |at| {
            in_turn(
                at,
                format!("SET key:{at} value"),
                format!("DEL key:{}", at.saturating_sub(1)),
            )
        },
        "DBSIZE",
        ":0\r\n",
    ),
    family(
        "generic rename",
        |at| {
            in_turn(
                at,
                "SET one value".to_owned(),
                "RENAME one other".to_owned(),
            )
        },
        "EXISTS one other",
        ":1\r\n",
    ),
    family(
        "vector vadd",
        |at| format!("VADD vectors VALUES 3 1.0 0.{at} 0.5 element:{}", at % 10),
        "VCARD vectors",
        ":10\r\n",
    ),
];

impl Family {
    /// A batch as the primary sends it, in MULTIs if `multi`.
    pub(crate) fn stream(&self, multi: bool) -> Vec<u8> {
        let mut out = Vec::new();
        for at in 0..BATCH {
            if multi && at.is_multiple_of(MULTI) {
                push(&mut out, &["MULTI"]);
            }
            push(&mut out, &words(&(self.command)(at)));
            if multi && at % MULTI == MULTI - 1 {
                push(&mut out, &["EXEC"]);
            }
        }
        out
    }

    fn check(&self, generation: &Arc<Generation>) {
        assert_sound(generation);
        let (read, reply) = self.answer;
        let mut asker = Asker::new(generation, &words(read));
        assert_eq!(String::from_utf8_lossy(asker.ask()), reply, "{}", self.name);
    }
}

pub(crate) fn benches(criterion: &mut Criterion) {
    for (name, multi) in [("apply", false), ("apply in multi", true)] {
        let mut group = criterion.benchmark_group(name);
        for family in FAMILIES {
            let stream = family.stream(multi);
            group.throughput(Throughput::Elements(BATCH as u64));
            group.bench_function(family.name, |bencher| {
                let generation = empty();
                applying(&generation, |apply| {
                    apply(&stream);
                    bencher.iter(|| apply(&stream));
                });
                family.check(&generation);
            });
        }
        group.finish();
    }
}
