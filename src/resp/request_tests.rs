//! Tests of request parsing; `redis-protocol` is the oracle.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use proptest::prelude::*;
use redis_protocol::resp2::decode::decode;
use redis_protocol::resp2::types::OwnedFrame;

use super::*;

const LIMITS: RequestLimits = RequestLimits {
    words_max: 1 << 20,
    word_bytes_max: 512 << 20,
    inline: true,
};

type Words = Vec<Vec<u8>>;

fn encode(words: &Words) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
    out
}

fn words(args: Args<'_>) -> Words {
    args.iter().map(<[u8]>::to_vec).collect()
}

/// Feeds `bytes` in pieces of the given sizes, as a connection does. Returns all commands found.
fn parse(bytes: &[u8], sizes: &[usize]) -> Result<Vec<Words>, ProtocolError> {
    let mut parser = RequestParser::new(LIMITS);
    let (mut buffer, mut found) = (Vec::new(), Vec::new());
    let mut rest = bytes;
    for size in sizes.iter().copied().cycle() {
        let (piece, after) = rest.split_at(size.clamp(1, rest.len().max(1)).min(rest.len()));
        buffer.extend_from_slice(piece);
        rest = after;
        loop {
            // Peeking returns what the next step will return, or nothing.
            let lone: Option<Words> = parser.peek_lone(&buffer).map(words);
            let Step::Command(args, taken) = parser.step(&buffer)? else {
                assert_eq!(lone, None);
                break;
            };
            let args = words(args);
            assert!(lone.is_none_or(|lone| lone == args && taken == buffer.len()));
            found.push(args);
            buffer.drain(..taken);
        }
        if rest.is_empty() {
            break;
        }
    }
    Ok(found)
}

fn oracle(mut bytes: &[u8]) -> Vec<Words> {
    let mut found = Vec::new();
    while let Ok(Some((OwnedFrame::Array(words), taken))) = decode(bytes) {
        let word = |frame| {
            if let OwnedFrame::BulkString(word) = frame {
                word
            } else {
                unreachable!("bulk strings only")
            }
        };
        found.push(words.into_iter().map(word).collect());
        bytes = &bytes[taken..];
    }
    found
}

proptest! {
    #[test]
    fn finds_what_redis_protocol_finds_however_the_bytes_come(
        commands in prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..6), 1..6),
        sizes in prop::collection::vec(1usize..50, 1..8),
    ) {
        let bytes: Vec<u8> = commands.iter().flat_map(encode).collect();
        prop_assert_eq!(parse(&bytes, &sizes).unwrap(), oracle(&bytes));
        prop_assert_eq!(parse(&bytes, &[1]).unwrap(), commands);
    }

    #[test]
    fn survives_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300), sizes in prop::collection::vec(1usize..50, 1..4)) {
        let _ = parse(&bytes, &sizes);
    }

    #[test]
    fn survives_a_changed_byte(at in 0usize..46, byte in any::<u8>()) {
        let mut bytes = b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$12\r\nhello, world\r\n".to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = parse(&bytes, &[7]);
    }
}

#[test]
fn every_truncation_needs_more() {
    let bytes = encode(&vec![b"GET".to_vec(), b"key".to_vec()]);
    for len in 0..bytes.len() {
        let mut parser = RequestParser::new(LIMITS);
        assert!(
            matches!(parser.step(&bytes[..len]), Ok(Step::NeedMore)),
            "{len}"
        );
    }
}

#[test]
fn says_what_is_wrong_in_redis_words() {
    let cases: &[(&[u8], &str)] = &[
        (b"*x\r\n", "invalid multibulk length"),
        (b"*99999999999\r\n", "invalid multibulk length"),
        (b"*-99999999999999999999\r\n", "invalid multibulk length"),
        (b"*1\r\n:1\r\n", "expected '$', got ':'"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$x\r\n", "invalid bulk length"),
        (b"*1\r\n$18446744073709551615\r\n", "invalid bulk length"),
        (b"*1\r\n$99999999999\r\n", "invalid bulk length"),
        (b"get 'x\r\n", "unbalanced quotes in request"),
        (b"get \"x\"y\r\n", "unbalanced quotes in request"),
    ];
    for (bytes, text) in cases {
        let error = RequestParser::new(LIMITS)
            .step(bytes)
            .map(|_| ())
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            *text,
            "{}",
            String::from_utf8_lossy(bytes)
        );
    }
    for start in [&b"*"[..], b"*1\r\n$", b"get "] {
        let endless = [start, &[b'1'; 70_000]].concat();
        assert!(
            RequestParser::new(LIMITS).step(&endless).is_err(),
            "{}",
            String::from_utf8_lossy(start)
        );
    }
}

#[test]
fn reads_the_inline_form_with_its_quotes() {
    let cases: &[(&str, &[&str])] = &[
        ("PING\r\n", &["PING"]),
        ("  get   key \n", &["get", "key"]),
        ("set k \"a b\\n\\x41\\\"\" \r\n", &["set", "k", "a b\nA\""]),
        ("set k 'a \\' b'\r\n", &["set", "k", "a ' b"]),
        ("get\x0bkey\x0b\r\n", &["get", "key"]),
        ("get key\0rest\r\n", &["get", "key"]),
        ("\0\r\n", &[]),
        ("\r\n", &[]),
        ("*0\r\n", &[]),
        ("*-1\r\n", &[]),
    ];
    for (line, words) in cases {
        let words: Words = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        assert_eq!(parse(line.as_bytes(), &[3]).unwrap(), [words], "{line:?}");
    }
}

#[test]
fn a_stream_has_no_inline_form() {
    let mut parser = RequestParser::new(RequestLimits {
        inline: false,
        ..LIMITS
    });
    assert_eq!(
        parser.step(b"PING\r\n").map(|_| ()).unwrap_err(),
        ProtocolError::ExpectedArray(b'P')
    );
}
