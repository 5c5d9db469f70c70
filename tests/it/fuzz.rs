//! Runs the bodies of the fuzz targets on seeded mutations of everything in `fixtures/`, and on inputs that once broke something.
//! The guided runs are in `tests/fuzz`.

use std::path::Path;

use redtail::internal::fuzzing;

use crate::client::encode;
use crate::measured::run;
use crate::servers::fixture;

/// The body of a target.
type Body = fn(&[u8]);

/// All targets by name.
const TARGETS: [(&str, Body); 6] = [
    ("dump", fuzzing::dump),
    ("packed", fuzzing::packed),
    ("payload", fuzzing::payload),
    ("request", fuzzing::request),
    ("state", fuzzing::state),
    ("stream", fuzzing::stream),
];

/// Building blocks of dumps and streams, and numbers at which something changes.
const PIECES: [&[u8]; 20] = [
    b"\x80\x00\x00\x00\x00",
    b"\x80\xff\xff\xff\xff",
    b"\x81\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff",
    b"\xc3\x05\x07\x01ab\x60\x01",
    b"\xc3\x03\x41\x08\x00a\xe0",
    b"\xc0\xff",
    b"\xfe\xff\xff\xff\xff",
    b"\xff",
    b"\x00",
    b"\x07\x00\x00\x00\x00\x00\xff",
    b"\x0b\x00\x00\x00\x0a\x00\x00\x00\x00\x00\xff",
    b"\xf0\xff\xff\xff\x7f",
    b"\xf4\x00\x00\x00\x00\x00\x00\x00\x80",
    b"\xfa\x01a\x01b",
    b"\xfe\x01",
    b"*2147483647\r\n",
    b"$4294967296\r\n",
    b"*1\r\n$5\r\nMULTI\r\n",
    b"\r\n",
];

/// Reads the files in a directory and its subdirectories.
fn files(directory: &Path) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for entry in directory.read_dir().into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_none_or(|extension| extension == "rdb") {
            found.push(std::fs::read(path).expect("a file"));
        }
    }
    found
}

fn mutate(random: &mut fastrand::Rng, bytes: &mut Vec<u8>) {
    let at = random.usize(..=bytes.len());
    let end = (at + random.usize(..24)).min(bytes.len());
    let piece = PIECES[random.usize(..PIECES.len())];
    match random.u8(..6) {
        0 => bytes.truncate(at),
        1 => drop(bytes.drain(at..end)),
        2 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
        3 => drop(bytes.splice(at..at, piece.iter().copied())),
        4 => drop(bytes.splice(
            at..(at + piece.len()).min(bytes.len()),
            piece.iter().copied(),
        )),
        _ => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = byte.wrapping_add(random.u8(..));
            }
        }
    }
}

/// Runs `body` on mutations of `seed`. Some have an additional first byte, with which a target chooses what to do.
fn fuzz(body: Body, seed: &[u8], rounds: u64) {
    let mut random = fastrand::Rng::with_seed(seed.len() as u64);
    for round in 0..rounds {
        let mut bytes = seed.to_vec();
        (0..=random.usize(..3)).for_each(|_| mutate(&mut random, &mut bytes));
        if round % 2 == 1 {
            bytes.insert(0, random.u8(..));
        }
        run(body, &bytes);
    }
}

#[test]
fn mutated_dumps_keep_every_promise() {
    for dump in files(&fixture("")) {
        run(fuzzing::dump, &dump);
        // Large dumps take long, and contain little that small ones do not.
        let rounds = 200_000 / (dump.len() as u64 + 1000);
        fuzz(fuzzing::dump, &dump, rounds);
    }
}

#[test]
fn mutated_pieces_of_dumps_keep_every_promise() {
    for dump in files(&fixture("corpus")) {
        for at in (9..dump.len()).step_by(701) {
            let piece = &dump[at..dump.len().min(at + 300)];
            fuzz(fuzzing::packed, piece, 16);
            fuzz(fuzzing::payload, piece, 8);
        }
    }
}

/// A stream with an entry, a group of two pending entries, one of which was released, and two producers, as Redis 8.8 writes it,
/// after two bytes: what chooses the version, and the type.
pub const STREAM: &[u8] = b"\x02\x1b\x01\x10\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\x01\
    \x1d\x1d\0\0\0\x0a\0\x01\x01\0\x01\x01\x01\x81f\x02\0\x01\x02\x01\0\x01\0\x01\x81v\x02\x04\x01\xff\
    \x01\x05\x01\x05\x01\x05\0\x02\
    \x01\x01G\x05\x01\x02\x02\
    \0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\
    \0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\x01\x01\0\0\0\0\0\0\0\x03\
    \x01\x01C\x02\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\x01\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\x01\
    \x01\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\0\
    \x41\x2c\x07\x02\x01P\x02\x01i\x05\x01\x01j\x05\x01\x01Q\x01\x01i\x05\x01\x05\x02";

#[test]
fn mutated_streams_keep_every_promise() {
    fuzz(fuzzing::payload, STREAM, 4000);
    // After the node and the counters of the stream.
    let groups = STREAM.windows(3).position(|bytes| bytes == b"\x01\x01G");
    let groups = &STREAM[groups.expect("there is a group")..];
    fuzz(fuzzing::packed, &[b"\x0f", groups].concat(), 4000);
}

const LINES: [&str; 10] = [
    "SET a 1",
    "MULTI",
    "RPUSH l 1 2",
    "EXEC",
    "HSET h f v",
    "SELECT 1",
    "XADD x 1-1 f v",
    "ZADD z 1 m",
    "DEL a",
    "PING",
];

/// All lines as a primary or a client sends them.
fn commands() -> Vec<u8> {
    let words = |line: &str| encode(&line.split(' ').map(str::as_bytes).collect::<Vec<_>>());
    LINES.iter().flat_map(|line| words(line)).collect()
}

#[test]
fn mutated_commands_keep_every_promise() {
    let whole = commands();
    fuzz(fuzzing::request, &whole, 3000);
    fuzz(
        fuzzing::request,
        b"SET a \"b \\x00\" 'c'\r\nPING\n\r\n*0\r\n",
        3000,
    );
    fuzz(fuzzing::stream, &whole, 1000);
}

#[test]
fn damaged_states_keep_every_promise() {
    for what in 0..9 {
        for (at, byte) in [(5_u16, 1), (90, 8), (130, 100), (300, 255)] {
            let [low, high] = at.to_le_bytes();
            let start = [what, low, high, byte];
            let whole = [&start[..], &commands()].concat();
            run(fuzzing::state, &whole);
            fuzz(fuzzing::state, &whole, 20);
        }
    }
}

#[test]
fn what_once_broke_something_no_longer_does() {
    for (name, body) in TARGETS {
        for input in files(&fixture("crashes").join(name)) {
            run(body, &input);
        }
    }
}
