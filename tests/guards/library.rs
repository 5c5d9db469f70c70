//! Reads inside the process itself, the parser and the encoder.

use std::sync::Arc;

use redtail::internal::resp::{Protocol, Reply, RequestLimits, RequestParser, Step};
use redtail::internal::store::Generation;
use redtail::{Config, Expiry, Replica};

use crate::counting::allocations;
use crate::data::{Asker, DIALECT, key, made_by, push, request, strings, value, words};

/// Runs `work` with a replica that serves `generation` and has no primary.
fn embedded(generation: Arc<Generation>, work: impl FnOnce(&Replica)) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let _entered = runtime.enter();
    let replica = Replica::start(Config::new("unix:///nonexistent/redtail.sock").unwrap()).unwrap();
    replica.served().swap_in(generation);
    work(&replica);
}

#[test]
fn a_string_read_in_place_costs_nothing_and_a_copy_one() {
    embedded(strings(10, 32, false), |replica| {
        let bytes = |key: &[u8]| replica.get_with(key, |text| text.map_or(0, <[u8]>::len));
        assert_eq!(allocations(|| bytes(&key(3))), (0, Ok(32)));
        assert_eq!(allocations(|| bytes(b"nothing")), (0, Ok(0)));
        let copied = allocations(|| replica.get(key(3)));
        assert_eq!(copied, (1, Ok(Some(value(32)))));
    });
}

/// A generation with a value of each type.
fn one_of_each() -> Arc<Generation> {
    let mut stream = Vec::new();
    for line in [
        "HSET h f 1 g two",
        "RPUSH l a 2",
        "SADD s a b",
        "ZADD z 1 a 2 b",
        "XADD x 1-0 f v",
        "SET e 1 PXAT 4102444800000",
    ] {
        push(&mut stream, &words(line));
    }
    made_by(&stream)
}

#[test]
fn typed_reads_in_place_cost_nothing() {
    embedded(one_of_each(), |replica| {
        let field = || replica.hget_with("h", "g", |value| value.map_or(0, <[u8]>::len));
        assert_eq!(allocations(field), (0, Ok(3)));
        let sum = |read: &dyn Fn(&mut usize) -> Result<(), redtail::Error>| {
            let mut sum = 0;
            let (allocations, read) = allocations(|| read(&mut sum));
            (allocations, read.map(|()| sum))
        };
        let fields = |sum: &mut usize| {
            replica.hgetall_with("h", |name, value| *sum += name.len() + value.len())
        };
        assert_eq!(sum(&fields), (0, Ok(6)));
        let elements = |sum: &mut usize| replica.lrange_with("l", 0, -1, |text| *sum += text.len());
        assert_eq!(sum(&elements), (0, Ok(2)));
        let members = |sum: &mut usize| replica.smembers_with("s", |text| *sum += text.len());
        assert_eq!(sum(&members), (0, Ok(2)));
        let scores =
            |sum: &mut usize| replica.zrange_with("z", 0, -1, |_, score| *sum += score as usize);
        assert_eq!(sum(&scores), (0, Ok(3)));
        let score = || replica.zscore("z", "b");
        assert_eq!(allocations(score), (0, Ok(Some(2.0))));
        assert_eq!(allocations(|| replica.zrank("z", "b")), (0, Ok(Some(1))));
        assert_eq!(allocations(|| replica.sismember("s", "b")), (0, Ok(true)));
        assert_eq!(allocations(|| replica.exists("x")), (0, Ok(true)));
        assert_eq!(allocations(|| replica.xlen("x")), (0, Ok(1)));
        assert!(matches!(
            allocations(|| replica.ttl("e")),
            (0, Ok(Expiry::At(_)))
        ));
        let kind = allocations(|| replica.type_of("z").unwrap().unwrap().len());
        assert_eq!(kind, (0, 4));
    });
}

#[test]
fn strings_at_several_keys_in_place_cost_nothing_once_warm() {
    embedded(strings(100, 32, false), |replica| {
        let keys: Vec<_> = (0..20).map(key).collect();
        let read = || {
            let mut bytes = 0;
            let each = |_, text: Option<&[u8]>| bytes += text.map_or(0, <[u8]>::len);
            replica.mget_with(&keys, each).map(|()| bytes)
        };
        assert_eq!(read(), Ok(20 * 32));
        assert_eq!(allocations(read), (0, Ok(20 * 32)));
    });
}

#[test]
fn a_command_without_a_connection_allocates_nothing() {
    let generation = strings(10, 32, false);
    for words in [
        &[b"GET", &key(3)[..]] as &[&[u8]],
        &[b"EXISTS", &key(1)],
        &[b"TTL", &key(1)],
        &[b"STRLEN", &key(1)],
    ] {
        let mut asker = Asker::new(&generation, words);
        let bytes = asker.ask().len();
        assert_eq!(allocations(|| asker.ask().len()), (0, bytes));
    }
}

#[test]
fn parsing_a_get_allocates_nothing() {
    let mut parser = RequestParser::new(RequestLimits {
        words_max: 1 << 20,
        word_bytes_max: 512 << 20,
        inline: true,
    });
    let get = request(&[b"GET", &key(7)[..]]);
    let mut words = || match parser.step(&get) {
        Ok(Step::Command(args, _)) => args.len(),
        other => panic!("{other:?}"),
    };
    words();
    assert_eq!(allocations(words), (0, 2));
}

#[test]
fn encoding_into_a_warm_buffer_allocates_nothing() {
    let mut reply = Reply::new(Protocol::Resp3, DIALECT, usize::MAX);
    let mut write = || {
        reply.clear(usize::MAX);
        reply.map(1);
        reply.bulk(&[b'v'; 100]);
        reply.double(1.5);
        reply.len()
    };
    let bytes = write();
    assert_eq!(allocations(write), (0, bytes));
}
