//! Vector sets compared with a real replica's: every read of random sets, whether they come from a payload, the stream or a
//! snapshot.
//!
//! A set restored from one payload has the same graph on every server. It stays the same while elements are removed and
//! attributes change. A set that the stream added to has a different graph on each server, so only reads that do not show the
//! graph are compared.

use crate::client::{Client, Reply};
use crate::servers::Server;

/// Redis 8.2 writes vector sets in another layout than 8.0.
const NAMES: [&str; 2] = ["redis-8.0", "redis-8.2"];

/// The numbers of rounds and reads.
const ROUNDS: u64 = 12;
const READS: usize = 120;

type Words = Vec<Vec<u8>>;

struct Writer(fastrand::Rng);

/// The properties that the vectors of one set share.
struct Kind {
    dim: usize,
    given_dim: usize,
    options: Vec<&'static str>,
}

impl Writer {
    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.0.usize(..of.len())]
    }

    fn kind(&mut self) -> Kind {
        let dim = [1, 2, 3, 8, 13, 33, 70][self.0.usize(..7)];
        let mut options = vec![self.pick(&["NOQUANT", "Q8", "BIN"])];
        if self.0.bool() {
            options.extend(["M", self.pick(&["4", "6", "16", "32"])]);
        }
        let given_dim = if self.0.u8(..4) == 0 { dim + 9 } else { dim };
        Kind {
            dim,
            given_dim,
            options,
        }
    }

    fn vector(&mut self, dim: usize) -> Words {
        let numbers: Vec<f32> = match self.0.u8(..12) {
            0 => vec![0.0; dim],
            1 => vec![1.0; dim],
            2 => (0..dim)
                .map(|at| if at == 0 { -3.0 } else { 0.0 })
                .collect(),
            _ => (0..dim).map(|_| self.0.f32() * 20.0 - 10.0).collect(),
        };
        if self.0.bool() {
            let blob = numbers.iter().flat_map(|number| number.to_le_bytes());
            return vec![b"FP32".to_vec(), blob.collect()];
        }
        let mut words = vec![b"VALUES".to_vec(), dim.to_string().into_bytes()];
        words.extend(numbers.iter().map(|number| number.to_string().into_bytes()));
        words
    }

    fn element(&mut self, of: usize) -> Vec<u8> {
        format!("e{}", self.0.usize(..of)).into_bytes()
    }

    fn attributes(&mut self) -> Vec<u8> {
        let year = self.0.u16(1970..2030);
        let text = match self.0.u8(..7) {
            0 => String::new(),
            1 => "no json".to_owned(),
            2 => format!("{{\"year\":\"{year}\",\"tags\":[\"a\",{year}]}}"),
            3 => format!("{{\"other\":{{\"year\":1}},\"year\":{year}.5}}"),
            _ => format!(
                "{{\"year\":{year},\"genre\":\"{}\"}}",
                self.pick(&["a", "b", "c\\n"])
            ),
        };
        text.into_bytes()
    }

    fn add(&mut self, key: &str, kind: &Kind, of: usize) -> Words {
        let mut words = vec![b"VADD".to_vec(), key.into()];
        if kind.given_dim != kind.dim {
            words.extend([b"REDUCE".to_vec(), kind.dim.to_string().into_bytes()]);
        }
        words.extend(self.vector(kind.given_dim));
        words.push(self.element(of));
        words.extend(kind.options.iter().map(|word| word.as_bytes().to_vec()));
        if self.0.bool() {
            words.extend([b"SETATTR".to_vec(), self.attributes()]);
        }
        if self.0.u8(..4) == 0 {
            words.extend([b"EF".to_vec(), b"30".to_vec()]);
        }
        words
    }

    fn change(&mut self, key: &str, of: usize) -> Words {
        let element = self.element(of);
        if self.0.bool() {
            vec![b"VREM".to_vec(), key.into(), element]
        } else {
            vec![b"VSETATTR".to_vec(), key.into(), element, self.attributes()]
        }
    }

    fn filter(&mut self) -> &'static str {
        self.pick(&[
            ".year > 2000",
            ".year >= 1990 and .year < 2010",
            ".genre in ['a', 'b'] or .year == 1999",
            "not (.genre == \"c\")",
            "'a' in .tags",
            ".year % 2 == 0",
            "1",
            ".missing",
            "syntax error",
            ".year #",
            "(.year",
            ".year == null",
            "(null)",
            "null or .year",
            "'e' in .genre",
            ".genre in 'abc'",
        ])
    }

    fn search(&mut self, key: &str, kind: &Kind, of: usize, is_exact: bool) -> Words {
        let mut words = vec![b"VSIM".to_vec(), key.into()];
        match self.0.u8(..4) {
            0 => words.extend(self.vector(kind.dim)),
            1 => words.extend(self.vector(kind.given_dim)),
            _ => words.extend([b"ELE".to_vec(), self.element(of)]),
        }
        let mut options = Vec::new();
        if is_exact {
            options.push("TRUTH");
        }
        if self.0.u8(..3) > 0 {
            options.push("WITHSCORES");
        }
        if self.0.u8(..3) == 0 {
            options.push("WITHATTRIBS");
        }
        for (option, values) in [
            ("COUNT", ["1", "5", "40", "0"]),
            ("EF", ["1", "10", "300", "x"]),
            ("EPSILON", ["0.2", "0.9", "1e1", "-1"]),
            ("FILTER-EF", ["1", "20", "1000", "0"]),
        ] {
            if self.0.u8(..4) == 0 {
                let good = usize::from(self.0.u8(..8) == 0) + 3;
                options.extend([option, values[self.0.usize(..good)]]);
            }
        }
        if self.0.u8(..3) == 0 {
            options.extend(["FILTER", self.filter()]);
        }
        words.extend(options.iter().map(|word| word.as_bytes().to_vec()));
        words
    }

    /// A read whose reply does not depend on the graph.
    fn plain_read(&mut self, key: &str, kind: &Kind, of: usize) -> Words {
        let name = self.pick(&[
            "VCARD",
            "VDIM",
            "VEMB",
            "VEMB",
            "VGETATTR",
            "VISMEMBER",
            "TYPE",
            "DEBUG",
            "VSIM",
        ]);
        if name == "VSIM" {
            return self.search(key, kind, of, true);
        }
        let mut words = vec![name.into(), key.into()];
        match name {
            "DEBUG" => words.insert(1, b"DIGEST-VALUE".to_vec()),
            "VCARD" | "VDIM" | "TYPE" => {}
            _ => words.push(self.element(of)),
        }
        if name == "VEMB" && self.0.bool() {
            words.push(b"RAW".to_vec());
        }
        words
    }

    fn any_read(&mut self, key: &str, kind: &Kind, of: usize) -> Words {
        match self.0.u8(..8) {
            0 => vec![b"DUMP".to_vec(), key.into()],
            1 => vec![b"VINFO".to_vec(), key.into()],
            2 => vec![b"VLINKS".to_vec(), key.into(), self.element(of)],
            3 => vec![
                b"VLINKS".to_vec(),
                key.into(),
                self.element(of),
                b"WITHSCORES".to_vec(),
            ],
            4..6 => self.search(key, kind, of, false),
            _ => self.plain_read(key, kind, of),
        }
    }
}

/// A primary, a real replica and redtail.
struct Trio {
    primary: Server,
    replica: Server,
    redtail: Server,
}

impl Trio {
    fn start(name: &str) -> Option<Self> {
        let primary = Server::start(name, &[])?;
        let replica = Server::replica(name, &primary)?;
        let redtail = Server::redtail_with(&primary, &["--enable-debug-command", "yes"]);
        Some(Self {
            primary,
            replica,
            redtail,
        })
    }

    fn settle(&self) {
        self.replica.wait_in_sync(&self.primary);
        self.redtail.wait_in_sync(&self.primary);
    }

    /// Sends the reads to both followers, in both protocols.
    fn compare(&self, round: u64, reads: &[Words]) {
        self.settle();
        for resp3 in [false, true] {
            let [mut real, mut ours] = [&self.replica, &self.redtail].map(|server| {
                let client = server.client();
                if resp3 { client.resp3() } else { client }
            });
            for read in reads {
                let (expected, found) = (real.command_of(read), ours.command_of(read));
                assert_eq!(
                    shown(read, &found),
                    shown(read, &expected),
                    "round {round}: {}",
                    crate::client::show(read)
                );
            }
        }
    }
}

trait CommandOf {
    fn command_of(&mut self, words: &[Vec<u8>]) -> Reply;
}

impl CommandOf for Client {
    fn command_of(&mut self, words: &[Vec<u8>]) -> Reply {
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        self.words(&words)
    }
}

/// A reply without the field that differs between processes: the number of sets created so far.
fn shown(read: &[Vec<u8>], reply: &Reply) -> Reply {
    if read[0] != b"VINFO" || reply.elements().len() < 18 {
        return reply.clone();
    }
    let mut elements = reply.elements();
    elements.remove(15);
    Reply(elements.into_iter().flat_map(|element| element.0).collect())
}

#[test]
fn a_restored_set_is_answered_from_as_a_replica_does_even_when_elements_have_gone() {
    NAMES.into_iter().for_each(compare_restored);
}

fn compare_restored(name: &str) {
    let Some(trio) = Trio::start(name) else {
        return;
    };
    for round in 0..ROUNDS {
        let mut writer = Writer(fastrand::Rng::with_seed(round));
        let kind = writer.kind();
        let of = [3, 30, 150][writer.0.usize(..3)];
        let mut primary = trio.primary.client();
        for _ in 0..of * 2 {
            drop(primary.command_of(&writer.add("made", &kind, of)));
        }
        let payload = primary.command("DUMP made").bulk().unwrap();
        drop(primary.words(&[b"RESTORE", b"kept", b"0", &payload, b"REPLACE"]));
        for _ in 0..3 {
            let reads: Vec<_> = (0..READS)
                .map(|_| writer.any_read("kept", &kind, of))
                .collect();
            trio.compare(round, &reads);
            for _ in 0..of / 4 {
                drop(primary.command_of(&writer.change("kept", of)));
            }
        }
        drop(primary.command("DEL made kept"));
    }
}

#[test]
fn a_set_that_the_stream_makes_has_a_replicas_elements_and_vectors() {
    NAMES.into_iter().for_each(compare_made);
}

fn compare_made(name: &str) {
    let Some(trio) = Trio::start(name) else {
        return;
    };
    for round in 0..ROUNDS {
        let mut writer = Writer(fastrand::Rng::with_seed(1000 + round));
        let kind = writer.kind();
        let of = [3, 30, 150][writer.0.usize(..3)];
        let mut primary = trio.primary.client();
        for _ in 0..3 {
            for _ in 0..of {
                drop(primary.command_of(&writer.add("set", &kind, of)));
                if writer.0.u8(..4) == 0 {
                    drop(primary.command_of(&writer.change("set", of)));
                }
            }
            let reads: Vec<_> = (0..READS)
                .map(|_| writer.plain_read("set", &kind, of))
                .collect();
            trio.compare(round, &reads);
        }
        drop(primary.command("DEL set"));
    }
}

#[test]
fn a_loaded_set_is_answered_from_as_a_replica_that_loaded_it_does() {
    NAMES.into_iter().for_each(compare_loaded);
}

fn compare_loaded(name: &str) {
    let Some(primary) = Server::start(name, &[]) else {
        return;
    };
    let mut kinds = Vec::new();
    for seed in 0..ROUNDS {
        let mut writer = Writer(fastrand::Rng::with_seed(2000 + seed));
        let kind = writer.kind();
        for _ in 0..200 {
            let add = writer.add(&format!("k{seed}"), &kind, 120);
            drop(primary.client().command_of(&add));
        }
        kinds.push(kind);
    }
    let trio = Trio {
        replica: Server::replica(name, &primary).unwrap(),
        redtail: Server::redtail_with(&primary, &["--enable-debug-command", "yes"]),
        primary,
    };
    for (seed, kind) in (0..).zip(&kinds) {
        let mut writer = Writer(fastrand::Rng::with_seed(3000 + seed));
        let key = format!("k{seed}");
        let reads: Vec<_> = (0..READS)
            .map(|_| writer.any_read(&key, kind, 120))
            .collect();
        trio.compare(seed, &reads);
    }
}

#[test]
fn a_payload_of_redis_8_0_restored_on_8_2_is_that_of_8_2() {
    let (Some(old), Some(trio)) = (Server::start("redis-8.0", &[]), Trio::start("redis-8.2"))
    else {
        return;
    };
    for round in 0..ROUNDS {
        let mut writer = Writer(fastrand::Rng::with_seed(4000 + round));
        let kind = writer.kind();
        for _ in 0..100 {
            drop(old.client().command_of(&writer.add("made", &kind, 60)));
        }
        let payload = old.client().command("DUMP made").bulk().unwrap();
        let mut primary = trio.primary.client();
        drop(primary.words(&[b"RESTORE", b"kept", b"0", &payload, b"REPLACE"]));
        for _ in 0..20 {
            drop(primary.command_of(&writer.change("kept", 60)));
        }
        let reads: Vec<_> = (0..READS)
            .map(|_| writer.any_read("kept", &kind, 60))
            .collect();
        trio.compare(round, &reads);
        drop(old.client().command("DEL made"));
    }
}
