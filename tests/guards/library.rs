//! Reads inside the process itself, the parser and the encoder.

use std::sync::Arc;

use redtail::internal::resp::{Protocol, Reply, RequestLimits, RequestParser, Step};
use redtail::internal::store::Generation;
use redtail::{Config, Replica};

use crate::counting::allocations;
use crate::data::{Asker, DIALECT, key, request, strings, value};

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
