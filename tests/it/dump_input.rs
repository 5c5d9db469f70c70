//! What `redtail rdb …` reads: several dumps as one, standard input, compressed dumps, and what is left of damaged ones; and dumps
//! from primaries that want TLS and a password.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use lz4_flex::frame::{BlockSize, FrameEncoder, FrameInfo};
use serde_json::Value;
use tempfile::TempDir;

use crate::big_dumps::{Content, make};
use crate::certificates::Authority;
use crate::servers::{Server, fixture};
use crate::upstreams::{HERE, TlsServer};

const DUMP: &str = "redis-7.0.rdb";

fn redtail(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_redtail"));
    command.arg("rdb").args(arguments).stdin(Stdio::null());
    command
}

fn rdb(arguments: &[&str]) -> Output {
    redtail(arguments).output().expect("it runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn text(arguments: &[&str]) -> String {
    let output = rdb(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    String::from_utf8(output.stdout).expect("text")
}

fn json_lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = text.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().expect("JSON")
}

fn path(name: &str) -> String {
    fixture(name).display().to_string()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(bytes).expect("memory");
    gzip.finish().expect("memory")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).expect("memory")
}

/// In blocks of 64 KiB.
fn lz4(bytes: &[u8]) -> Vec<u8> {
    let blocks = FrameInfo::new().block_size(BlockSize::Max64KB);
    let mut lz4 = FrameEncoder::with_frame_info(blocks, Vec::new());
    lz4.write_all(bytes).expect("memory");
    lz4.finish().expect("memory")
}

type Compress = fn(&[u8]) -> Vec<u8>;

const COMPRESSIONS: [(&str, Compress); 3] = [("gz", gzip), ("zst", zstd), ("lz4", lz4)];

/// A folder of files.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("it is written");
        path
    }
}

#[test]
fn check_and_json_read_compressed_dumps_and_standard_input() {
    let files = Files::new();
    let plain = std::fs::read(fixture(DUMP)).expect("a dump");
    for tool in ["check", "json"] {
        let expected = text(&[tool, &path(DUMP)]);
        for (end, compress) in COMPRESSIONS {
            let file = files.file(&format!("dump.{end}"), &compress(&plain));
            assert_eq!(text(&[tool, &file]), expected, "{tool} {end}");
            let piped = redtail(&[tool, "-"])
                .stdin(File::open(&file).expect("a file"))
                .output()
                .expect("it runs");
            assert!(piped.status.success(), "{tool} {end}: {}", said(&piped));
            let piped = String::from_utf8_lossy(&piped.stdout).into_owned();
            assert_eq!(piped, expected, "{tool} - of {end}");
        }
    }
}

#[test]
fn several_dumps_are_printed_one_after_the_other_and_checked_each() {
    let (one, other) = (path(DUMP), path("redis-8.0.rdb"));
    let both = text(&["json", &one, &other]);
    assert_eq!(
        both,
        text(&["json", &one]) + &text(&["json", &other]),
        "json"
    );
    let report = text(&["check", &one, &other]);
    let parts: Vec<_> = [&one, &other]
        .iter()
        .map(|file| format!("dump       {file}\n{}", text(&["check", file])))
        .collect();
    let keys = both.lines().count();
    assert_eq!(
        report,
        parts.concat() + &format!("all        2 of 2 dumps are sound: {keys} keys\n")
    );
    // A broken one does not keep the others from being checked.
    let files = Files::new();
    let bytes = std::fs::read(fixture(DUMP)).expect("a dump");
    let cut = files.file("cut.rdb", &bytes[..bytes.len() / 2]);
    let checked = rdb(&["check", &cut, &one]);
    assert_eq!(checked.status.code(), Some(1));
    let (report, error) = (
        String::from_utf8_lossy(&checked.stdout).into_owned(),
        said(&checked),
    );
    assert!(report.contains(&parts[0]), "{report}");
    assert!(report.contains("1 of 2 dumps are sound"), "{report}");
    assert!(
        error.contains(&cut) && error.lines().count() == 1,
        "{error}"
    );
}

#[test]
fn json_prints_the_keys_that_are_asked_for() {
    let all = json_lines(&rdb(&["json", &path(DUMP)]));
    for (arguments, takes) in [
        (
            &["--type", "hash", "--type", "zset"][..],
            (|key| key["type"] == "hash" || key["type"] == "zset") as fn(&Value) -> bool,
        ),
        (&["--db", "9"], |key| key["db"] == 9),
        (&["--match", "*s*"], |key| {
            key["key"].as_str().expect("a name").contains('s')
        }),
        (&["--expires", "yes"], |key| !key["expiry"].is_null()),
    ] {
        let found = json_lines(&rdb(&[&["json", &path(DUMP)], arguments].concat()));
        let expected: Vec<_> = all.iter().filter(|key| takes(key)).cloned().collect();
        assert!(!expected.is_empty() && expected.len() < all.len());
        assert_eq!(found, expected, "{arguments:?}");
    }
    let wrong = rdb(&["json", "--regex", "(", &path(DUMP)]);
    assert_eq!(wrong.status.code(), Some(2), "{}", said(&wrong));
}

#[test]
fn check_says_the_same_as_json() {
    let dump = path(DUMP);
    let sound = &json_lines(&rdb(&["check", "--json", &dump]))[0];
    let keys = text(&["json", &dump]).lines().count();
    assert_eq!(sound["sound"], true);
    assert_eq!(sound["keys"], keys);
    assert_eq!(sound["version"], "REDIS0010");
    assert_eq!(sound["checksum"], "verified");
    let size = std::fs::metadata(&dump).expect("a file").len();
    assert_eq!(sound["bytes"], size);
    assert_eq!(sound["error"], Value::Null);
    let files = Files::new();
    let bytes = std::fs::read(&dump).expect("a dump");
    let cut = files.file("cut.rdb", &bytes[..20_000]);
    let output = rdb(&["check", "--json", &cut, &dump]);
    assert_eq!(output.status.code(), Some(1));
    let lines = json_lines(&output);
    assert_eq!(lines[1]["sound"], true);
    let broken = &lines[0];
    assert_eq!(
        (&broken["sound"], &broken["file"]),
        (&false.into(), &cut.clone().into())
    );
    let before = String::from_utf8_lossy(&rdb(&["json", &cut]).stdout)
        .lines()
        .count();
    assert_eq!(broken["keys"], before);
    let error = &broken["error"];
    let line = said(&output);
    for part in [
        format!(
            "byte {}, reading {}",
            error["offset"],
            error["reading"].as_str().expect("words")
        ),
        error["cause"].as_str().expect("words").to_owned(),
        error["hint"].as_str().expect("words").to_owned(),
    ] {
        assert!(line.contains(&part), "{part:?} in {line}");
    }
}

/// The offset that the error of a broken dump names.
fn offset(error: &str) -> usize {
    let after = error.split(": byte ").nth(1).expect("an offset");
    let digits = after.split(',').next().expect("a comma");
    digits.parse().expect("a number")
}

#[test]
fn of_a_cut_compressed_dump_come_the_whole_keys_and_then_the_offset_in_the_dump() {
    let files = Files::new();
    // Large enough for many blocks of each compression.
    let dump = files.path("dump.rdb");
    make(Path::new(&dump), 2 << 20, Content::Small, 11).expect("it is written");
    let plain = std::fs::read(&dump).expect("a dump");
    let whole = text(&["json", &dump]);
    for (end, compress) in COMPRESSIONS {
        let compressed = compress(&plain);
        for eighths in [3, 6] {
            let cut = &compressed[..compressed.len() * eighths / 8];
            let cut = files.file(&format!("cut.{end}"), cut);
            let keys = rdb(&["json", &cut]);
            let (printed, error) = (String::from_utf8_lossy(&keys.stdout), said(&keys));
            assert_eq!(keys.status.code(), Some(1), "{end} {eighths}: {error}");
            assert!(whole.starts_with(&*printed) && printed.len() < whole.len());
            let keys = printed.lines().count();
            assert!(
                keys > 1000 && printed.ends_with("}\n"),
                "{end} {eighths}: {keys}"
            );
            assert!(error.contains("cut short"), "{end} {eighths}: {error}");
            // Keys compress alike, so the dump is cut at about the same share.
            let share = offset(&error) * 8 / plain.len();
            assert!(
                (eighths - 1..=eighths).contains(&share),
                "{end} {eighths}: {error}"
            );
            assert_eq!(error, said(&rdb(&["check", &cut])), "{end} {eighths}");
        }
    }
}

#[test]
fn a_damaged_compressed_dump_is_called_that() {
    let files = Files::new();
    let plain = std::fs::read(fixture(DUMP)).expect("a dump");
    // The length of the first block, after the header of the frame.
    let mut compressed = lz4(&plain);
    compressed[7..11].copy_from_slice(&[0xff, 0xff, 0xff, 0x7f]);
    let file = files.file("bad.lz4", &compressed);
    for tool in ["check", "json", "stats"] {
        let output = rdb(&[tool, &file]);
        let error = said(&output);
        assert_eq!(output.status.code(), Some(1), "{error}");
        let says = "the compressed file is damaged at or before this point";
        assert!(
            error.contains(says) && error.lines().count() == 1,
            "{error}"
        );
        assert_eq!(offset(&error), 0);
    }
    // The dump is whole, but the checksum of gzip after it is missing.
    let compressed = gzip(&plain);
    let file = files.file("short.gz", &compressed[..compressed.len() - 4]);
    assert_eq!(text(&["json", &file]), text(&["json", &path(DUMP)]));
    let output = rdb(&["check", &file]);
    let error = said(&output);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("the compressed file is damaged after it"));
    let line = &json_lines(&rdb(&["check", "--json", &file]))[0];
    assert_eq!(line["sound"], false);
    assert!(line["damage_after"].is_string(), "{line}");
}

#[test]
fn a_long_value_that_ends_too_early_is_named_with_its_place() {
    let files = Files::new();
    let mut dump = b"REDIS0011\xfe\x00\x00\x04tiny\x01x\x00\x05large\x80\x00\x30\x00\x00".to_vec();
    let start = dump.len();
    dump.resize(start + (2 << 20), b'v');
    let file = files.file("long.rdb", &dump);
    for name in [file.clone(), files.file("long.gz", &gzip(&dump))] {
        let output = rdb(&["json", &name]);
        assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 1);
        let error = said(&output);
        assert!(error.contains("key \"large\""), "{error}");
        assert!(
            error.contains("the length is 3145728 bytes, but the input has only 2097152 left"),
            "{error}"
        );
    }
}

/// Questions about a key, and the width of the groups in their replies that may come in any order.
const QUESTIONS: [(&str, usize); 8] = [
    ("TYPE KEY", 1),
    ("OBJECT ENCODING KEY", 1),
    ("GET KEY", 1),
    ("LRANGE KEY 0 -1", 1),
    ("SMEMBERS KEY", 1),
    ("HGETALL KEY", 2),
    ("ZRANGE KEY 0 -1 WITHSCORES", 2),
    ("XRANGE KEY - +", 1),
];

/// What a server answers to questions about keys of its first database.
fn answers(server: &Server, keys: &[String]) -> Vec<String> {
    let mut client = server.client();
    let mut answers = vec![
        client.command("DBSIZE").text(),
        client.command("FUNCTION LIST WITHCODE").sorted(1).text(),
    ];
    for key in keys {
        for (question, width) in QUESTIONS {
            let words = question.split(' ').map(|word| match word {
                "KEY" => key.as_bytes(),
                word => word.as_bytes(),
            });
            let words: Vec<_> = words.collect();
            let answer = client.words(&words).sorted(width).text();
            answers.push(format!("{question} {key}: {answer}"));
        }
    }
    answers
}

#[test]
fn serve_joins_the_dumps_of_a_cluster_also_compressed() {
    let Some(real) = Server::with_dump("redis-7.0", DUMP, &[]) else {
        return;
    };
    let files = Files::new();
    let (low, high) = (files.path("low.rdb"), files.path("high.rdb"));
    for (slots, out) in [("0-8191", &low), ("8192-16383", &high)] {
        text(&["filter", "--slots", slots, "-o", out, &path(DUMP)]);
    }
    let high = files.file("high.zst", &zstd(&std::fs::read(high).expect("a dump")));
    let served = Server::spawn(None, |port, _| {
        let mut command = redtail(&["serve", &low, &high, "--listen"]);
        command.arg(format!("127.0.0.1:{port}"));
        command
    });
    let keys = json_lines(&rdb(&["json", "--db", "0", "--not-expired", &path(DUMP)]));
    let keys: Vec<_> = keys
        .iter()
        .map(|key| key["key"].as_str().expect("a name").to_owned())
        .filter(|key| !key.contains('\\'))
        .collect();
    assert!(keys.len() > 50);
    assert_eq!(answers(&served, &keys), answers(&real, &keys));
}

/// Asserts that `serve` refuses these dumps with code 1 and a message that contains `part`.
fn assert_not_served(dumps: &[&str], part: &str) {
    let listen = ["--listen", "127.0.0.1:1"];
    let output = rdb(&[&["serve"], dumps, &listen].concat());
    assert_eq!(output.status.code(), Some(1), "{dumps:?}");
    let error = said(&output);
    assert!(error.contains(part), "{error}");
}

#[test]
fn serve_refuses_dumps_that_are_no_data_set_together() {
    let dump = path(DUMP);
    assert_not_served(&[&dump, &dump], "duplicate key");
    assert_not_served(
        &[&dump, &path("redis-8.0.rdb")],
        "a dump of version REDIS0012 cannot be served with one of version REDIS0010",
    );
    assert_not_served(&[&dump, "/nowhere/dump.rdb"], "/nowhere/dump.rdb: ");
}

#[test]
fn serve_reads_standard_input() {
    let files = Files::new();
    let port = crate::servers::free_port().to_string();
    let compressed = files.file(
        "dump.gz",
        &gzip(&std::fs::read(fixture(DUMP)).expect("a dump")),
    );
    let mut child = redtail(&["serve", "-", "--listen", &format!("127.0.0.1:{port}")])
        .stdin(File::open(compressed).expect("a file"))
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut said = String::new();
    let stderr = child.stderr.take().expect("a pipe");
    let read = std::io::BufRead::read_line(&mut std::io::BufReader::new(stderr), &mut said);
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    read.expect("a line");
    let keys = text(&["json", &path(DUMP)]).lines().count();
    assert!(
        said.contains(&format!("serving {keys} keys of - on ")),
        "{said}"
    );
}

/// Asserts that `pull` fails with this code and a message that contains `part`.
fn assert_not_pulled(arguments: &[&str], code: i32, part: &str) {
    let output = rdb(&[&["pull", "-o", "/nowhere/out.rdb"], arguments].concat());
    let error = said(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
    assert!(error.contains(part), "{arguments:?}: {error}");
}

#[test]
fn pull_logs_in_over_tls() {
    let (authority, stranger) = (Authority::new("authority"), Authority::new("stranger"));
    let (pair, client) = (
        authority.sign("server", HERE),
        authority.sign("client", &["client"]),
    );
    let words = ["--tls-auth-clients", "yes"];
    let Some(primary) = TlsServer::start("redis-7.0", &authority, &pair, &words) else {
        return;
    };
    let mut own = primary.server.client();
    own.command("SET over tls");
    own.words(&[b"CONFIG", b"SET", b"requirepass", b"a secret"]);
    let files = Files::new();
    let (out, secret) = (files.path("out.rdb"), files.file("secret", b"a secret\n"));
    let (address, ca, other) = (primary.address(), authority.file(), stranger.file());
    let tls = [
        "--tls-ca-cert-file",
        &ca,
        "--tls-cert-file",
        &client.cert,
        "--tls-key-file",
        &client.key,
    ];
    let login = ["--primary-password-file", &secret];
    let pulled = |arguments: &[&str], variables: &[(&str, &str)]| {
        let words = [&["pull", "-o", &out], arguments].concat();
        let mut command = redtail(&words);
        let output = command
            .envs(variables.iter().copied())
            .output()
            .expect("it runs");
        assert!(output.status.success(), "{words:?}: {}", said(&output));
        let keys = json_lines(&rdb(&["json", &out]));
        assert_eq!(
            (&keys[0]["key"], &keys[0]["value"]),
            (&"over".into(), &"tls".into())
        );
        std::fs::remove_file(&out).expect("a dump");
    };
    pulled(&[&[address.as_str()], &tls[..], &login].concat(), &[]);
    // The address and the password in variables.
    let variables = [
        ("REDTAIL_PRIMARY", address.as_str()),
        ("REDTAIL_PRIMARY_PASSWORD", "a secret"),
    ];
    pulled(&tls, &variables);
    let named =
        |name: &'static str| [&[address.as_str(), "--tls-sni", name], &tls[..], &login].concat();
    pulled(&named("localhost"), &[]);
    let any_name = [&named("db.example")[..], &["--tls-verify-name", "no"]].concat();
    pulled(&any_name, &[]);
    assert_not_pulled(&named("db.example"), 1, "--tls-sni");
    let folder = authority.folder();
    let by_folder = [&["--tls-ca-cert-dir", &folder], &tls[2..]].concat();
    pulled(&[&[address.as_str()], &by_folder[..], &login].concat(), &[]);

    for (more, part) in [
        (
            [&tls[..], &["--primary-password", "wrong"]].concat(),
            "password",
        ),
        (
            [&["--tls-ca-cert-file", &other], &tls[2..], &login].concat(),
            "--tls-ca-cert-file",
        ),
        ([&tls[..2], &login].concat(), "--tls-cert-file"),
    ] {
        assert_not_pulled(&[&[address.as_str()], &more[..]].concat(), 1, part);
    }
    let plain = format!("redis://127.0.0.1:{}", primary.server.port);
    assert_not_pulled(&[&[plain.as_str()], &tls[..]].concat(), 2, "rediss://");
    assert_not_pulled(
        &[&address, "--tls-key-file", &client.key],
        2,
        "--tls-cert-file",
    );
    assert!(!Path::new(&out).exists());
}
