//! What does it cost to parse a request and to encode a reply, by form and by type?

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use redtail::internal::resp::{Protocol, Reply, RequestLimits, RequestParser, Step};

use crate::counting;
use crate::data::{DIALECT, key, request, value};

pub(crate) const LIMITS: RequestLimits = RequestLimits {
    words_max: 1 << 20,
    word_bytes_max: 512 << 20,
    inline: true,
};

pub(crate) fn benches(criterion: &mut Criterion) {
    parses(criterion);
    for (name, protocol) in [("resp2", Protocol::Resp2), ("resp3", Protocol::Resp3)] {
        encodes(criterion, name, protocol);
    }
}

/// Parses everything in `input`. Returns the number of words.
pub(crate) fn parse(parser: &mut RequestParser, input: &[u8]) -> usize {
    let (mut used, mut words) = (0, 0);
    while let Step::Command(args, taken) = parser.step(&input[used..]).unwrap() {
        used += taken;
        words += args.len();
    }
    words
}

fn parses(criterion: &mut Criterion) {
    let get = request(&[b"GET", &key(1)[..]]);
    let set = |bytes| request(&[b"SET", &key(1)[..], &value(bytes)]);
    let cases = [
        ("get", get.clone(), 2),
        ("set 32 B", set(32), 3),
        ("set 64 KiB", set(64 << 10), 3),
        ("inline get", [b"GET ", &key(1)[..], b"\r\n"].concat(), 2),
        (
            "inline quoted",
            br#"SET "a key" 'a value'"#.iter().chain(b"\r\n").copied().collect(),
            3,
        ),
        ("mget 100", request(&vec![key(1); 101]), 101),
        ("pipeline of 100 get", get.repeat(100), 200),
        // No command is complete here. This is what parsing costs again when a read ends within a pipeline's command.
        ("half a get", get[..get.len() - 9].to_vec(), 0),
    ];
    let mut group = criterion.benchmark_group("parse");
    for (name, input, words) in cases {
        let mut parser = RequestParser::new(LIMITS);
        assert_eq!(parse(&mut parser, &input), words, "{name}");
        let (allocations, _) = counting::allocations(|| parse(&mut parser, &input));
        assert!(
            allocations == 0 || name == "inline quoted",
            "{name} allocates"
        );
        group.throughput(Throughput::Bytes(input.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| parse(&mut parser, black_box(&input)));
        });
    }
    group.finish();
}

/// A reply, and its encoding in RESP2 and in RESP3.
struct Case {
    name: &'static str,
    write: fn(&mut Reply),
    resp2: &'static str,
    resp3: &'static str,
}

const fn case(
    name: &'static str,
    write: fn(&mut Reply),
    resp2: &'static str,
    resp3: &'static str,
) -> Case {
    Case {
        name,
        write,
        resp2,
        resp3,
    }
}

const ONES: fn(&mut Reply) = |reply| (0..100).for_each(|_| reply.integer(1));

const CASES: &[Case] = &[
    case(
        "simple",
        |reply| reply.simple("PONG"),
        "+PONG\r\n",
        "+PONG\r\n",
    ),
    case(
        "error",
        |reply| reply.error("ERR no"),
        "-ERR no\r\n",
        "-ERR no\r\n",
    ),
    case(
        "integer",
        |reply| reply.integer(-12345),
        ":-12345\r\n",
        ":-12345\r\n",
    ),
    case(
        "bulk 32 B",
        |reply| reply.bulk(b"0123456789012345678901234567890x"),
        "$32\r\n0123456789012345678901234567890x\r\n",
        "$32\r\n0123456789012345678901234567890x\r\n",
    ),
    case(
        "bulk integer",
        |reply| reply.bulk_integer(1234),
        "$4\r\n1234\r\n",
        "$4\r\n1234\r\n",
    ),
    case("null", Reply::null, "$-1\r\n", "_\r\n"),
    case("null array", Reply::null_array, "*-1\r\n", "_\r\n"),
    case("boolean", |reply| reply.boolean(true), ":1\r\n", "#t\r\n"),
    case(
        "double",
        |reply| reply.double(51011.213),
        "$9\r\n51011.213\r\n",
        ",51011.213\r\n",
    ),
    case(
        "double whole",
        |reply| reply.double(3.0),
        "$1\r\n3\r\n",
        ",3\r\n",
    ),
    case(
        "verbatim",
        |reply| reply.verbatim("txt", b"hi"),
        "$2\r\nhi\r\n",
        "=6\r\ntxt:hi\r\n",
    ),
    case(
        "push",
        |reply| {
            reply.push(1);
            reply.bulk(b"x");
        },
        "*1\r\n$1\r\nx\r\n",
        ">1\r\n$1\r\nx\r\n",
    ),
    case(
        "array of 100",
        |reply| {
            reply.array(100);
            ONES(reply);
        },
        "*100\r\n:1\r\n",
        "*100\r\n:1\r\n",
    ),
    case(
        "set of 100",
        |reply| {
            reply.set(100);
            ONES(reply);
        },
        "*100\r\n:1\r\n",
        "~100\r\n:1\r\n",
    ),
    case(
        "map of 50",
        |reply| {
            reply.map(50);
            ONES(reply);
        },
        "*100\r\n:1\r\n",
        "%50\r\n:1\r\n",
    ),
];

fn encodes(criterion: &mut Criterion, name: &str, protocol: Protocol) {
    let mut group = criterion.benchmark_group(format!("encode {name}"));
    for case in CASES {
        let mut reply = Reply::new(protocol, DIALECT, usize::MAX);
        check(case, &mut reply);
        group.bench_function(case.name, |bencher| {
            bencher.iter(|| {
                reply.clear(usize::MAX);
                (case.write)(black_box(&mut reply));
            });
        });
    }
    group.finish();
}

/// Checks that the reply is right and that the second one allocates nothing.
fn check(case: &Case, reply: &mut Reply) {
    let expected = if reply.is_resp3() {
        case.resp3
    } else {
        case.resp2
    };
    (case.write)(reply);
    let written = String::from_utf8_lossy(reply.as_bytes());
    // For aggregates this is only the beginning. The rest repeats one element.
    assert!(written.starts_with(expected), "{}: {written:?}", case.name);
    let repeated = written.len() - expected.len();
    assert!(
        repeated == 0 || repeated == 99 * 4,
        "{}: {written:?}",
        case.name
    );
    reply.clear(usize::MAX);
    let (allocations, ()) = counting::allocations(|| (case.write)(reply));
    assert_eq!(allocations, 0, "{} allocates", case.name);
}
