//! `redtail rdb stats|keys|prefix|resp|filter` on every dump of `fixtures/`, and their results in real servers.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::servers::{PATIENCE, Server, fixture};

/// A server, and the dumps that it wrote.
const WRITTEN: [(&str, &[&str]); 7] = [
    ("redis-6.0", &["redis-6.0.rdb", "redis-6.0-lru.rdb"]),
    (
        "redis-7.0",
        &[
            "redis-7.0.rdb",
            "redis-7.0-plain.rdb",
            "redis-7.0-empty.rdb",
            "redis-7.0-lfu.rdb",
        ],
    ),
    (
        "redis-7.4",
        &["redis-7.4.rdb", "redis-7.4-field-expiries.rdb"],
    ),
    (
        "redis-8.0",
        &[
            "redis-8.0.rdb",
            "redis-8.0-field-expiries.rdb",
            "redis-8.0-lru.rdb",
        ],
    ),
    (
        "redis-8.2",
        &["redis-8.2.rdb", "redis-8.2-field-expiries.rdb"],
    ),
    ("valkey-8.1", &["valkey-8.1.rdb", "valkey-8.1-lfu.rdb"]),
    (
        "valkey-9.1",
        &["valkey-9.1.rdb", "valkey-9.1-field-expiries.rdb"],
    ),
];

fn rdb(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_redtail"));
    let command = command.arg("rdb").args(arguments).stdin(Stdio::null());
    command.output().expect("it runs")
}

fn text(arguments: &[&str]) -> String {
    let output = rdb(arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).expect("text")
}

fn json(arguments: &[&str]) -> Vec<Value> {
    let text = text(arguments);
    let lines = text.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().expect("JSON")
}

fn path(name: &str) -> String {
    fixture(name).display().to_string()
}

/// Every dump of the fixtures.
fn dumps() -> Vec<String> {
    let folder = fixture("redis-7.0.rdb");
    let folder = folder.parent().expect("a folder");
    let files = std::fs::read_dir(folder).expect("the fixtures").flatten();
    let dumps = files.filter(|file| file.path().extension().is_some_and(|end| end == "rdb"));
    let mut dumps: Vec<_> = dumps
        .map(|file| file.path().display().to_string())
        .collect();
    dumps.sort();
    assert!(dumps.len() > 20, "{dumps:?}");
    dumps
}

fn sum(of: &Value, field: &str) -> u64 {
    let parts = of.as_object().expect("an object").values();
    parts
        .map(|part| part[field].as_u64().expect("a number"))
        .sum()
}

#[test]
fn the_parts_of_every_dumps_statistics_add_up_to_what_its_keys_are() {
    for dump in dumps() {
        let keys = json(&["json", &dump]);
        let stats = &json(&["stats", "--json", &dump])[0];
        assert_eq!(stats["total"]["keys"], keys.len(), "{dump}");
        for part in ["types", "encodings", "databases", "expiry", "sizes"] {
            for field in ["keys", "elements", "file_bytes", "memory_bytes"] {
                assert_eq!(
                    sum(&stats[part], field),
                    stats["total"][field].as_u64().unwrap_or(0),
                    "{dump}: {part}"
                );
            }
        }
        let mut types: BTreeMap<&str, u64> = BTreeMap::new();
        for key in &keys {
            *types
                .entry(key["type"].as_str().expect("a type"))
                .or_default() += 1;
        }
        for (name, count) in types {
            assert_eq!(stats["types"][name]["keys"], count, "{dump}: {name}");
        }
        // All keys, one by one, take less than the file by its header, facts, libraries and checksum.
        let size = std::fs::metadata(&dump).expect("a file").len();
        let file_bytes = stats["total"]["file_bytes"].as_u64().expect("bytes");
        assert!(
            file_bytes < size && file_bytes + 4000 > size,
            "{dump}: {file_bytes} of {size}"
        );
        text(&["stats", &dump]);
    }
}

#[test]
fn the_biggest_keys_are_those_of_all_keys_in_order() {
    for dump in dumps() {
        for by in ["memory", "file", "elements"] {
            let field = match by {
                "elements" => "elements".to_owned(),
                by => format!("{by}_bytes"),
            };
            let of = |keys: &[Value]| -> Vec<u64> {
                keys.iter()
                    .map(|key| key[&field].as_u64().expect("a number"))
                    .collect()
            };
            let all = of(&json(&[
                "keys", "--json", "--by", by, "-n", "100000", &dump,
            ]));
            assert!(all.is_sorted_by(|one, other| one >= other), "{dump}");
            assert_eq!(all.len(), json(&["json", &dump]).len(), "{dump}");
            let top = of(&json(&["keys", "--json", "--by", by, "-n", "3", &dump]));
            assert_eq!(top, all[..all.len().min(3)], "{dump}");
        }
        text(&["keys", &dump]);
    }
}

#[test]
fn prefixes_count_the_keys_below_them() {
    for dump in dumps() {
        let keys = json(&["json", &dump]);
        let report = &json(&[
            "prefix",
            "--json",
            "--separators",
            ":",
            "-n",
            "100000",
            &dump,
        ])[0];
        assert_eq!(report["total"]["keys"], keys.len(), "{dump}");
        for line in report["prefixes"].as_array().expect("a list") {
            let prefix = line["prefix"].as_str().expect("a text");
            let below = keys.iter().filter(|key| {
                key["key"]
                    .as_str()
                    .is_some_and(|key| key.starts_with(prefix))
            });
            assert_eq!(line["keys"], below.count(), "{dump}: {prefix}");
        }
        text(&["prefix", &dump]);
    }
}

fn digest(server: &Server) -> String {
    server.command("DEBUG DIGEST").text()
}

/// Starts a server with the dump at `path`.
fn with_dump(name: &str, path: &Path) -> Option<Server> {
    Server::start_on(name, None, Some(path), &[])
}

#[test]
fn what_filter_writes_is_loaded_by_the_server_with_the_same_digest() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, dumps) in WRITTEN {
        for dump in dumps {
            let out = folder.path().join("filtered.rdb");
            let out_text = out.display().to_string();
            text(&["filter", "-o", &out_text, &path(dump)]);
            text(&["check", &out_text]);
            let (Some(original), Some(copy)) =
                (with_dump(name, &fixture(dump)), with_dump(name, &out))
            else {
                return;
            };
            assert_eq!(digest(&copy), digest(&original), "{dump}");
            if name != "redis-6.0" {
                let libraries =
                    |server: &Server| server.command("FUNCTION LIST WITHCODE").sorted(1);
                assert_eq!(libraries(&copy), libraries(&original), "{dump}");
            }
            // What is left after the others are deleted.
            text(&[
                "filter",
                "--type",
                "hash",
                "--type",
                "stream",
                "--db",
                "0",
                "-o",
                &out_text,
                &path(dump),
            ]);
            let some = with_dump(name, &out).expect("it starts");
            for key in original.command("KEYS *").elements() {
                let key = key.bulk().expect("a key");
                let mut client = original.client();
                let kind = client.words(&[b"TYPE", &key]).text();
                if !kind.contains("hash") && !kind.contains("stream") {
                    client.words(&[b"DEL", &key]);
                }
            }
            for db in 1..16 {
                let mut client = original.client();
                client.command(&format!("SELECT {db}"));
                client.command("FLUSHDB");
            }
            assert_eq!(digest(&some), digest(&original), "{dump}");
        }
    }
}

/// Sends bytes to a server and returns its replies, up to that of a marker after them.
fn piped(server: &Server, mut bytes: Vec<u8>) -> String {
    bytes.extend_from_slice(b"*2\r\n$4\r\nECHO\r\n$8\r\nthat-all\r\n");
    let port = server.port;
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    let mut to = stream.try_clone().expect("a copy");
    let writing = std::thread::spawn(move || to.write_all(&bytes));
    let (mut replies, mut room) = (Vec::new(), [0; 4096]);
    while !replies.ends_with(b"that-all\r\n") {
        let read = stream.read(&mut room).expect("replies");
        assert!(read > 0, "the server closed the connection");
        replies.extend_from_slice(&room[..read]);
    }
    writing.join().expect("it ends").expect("it writes");
    String::from_utf8_lossy(&replies).into_owned()
}

#[test]
fn the_commands_of_resp_create_the_same_data() {
    for (name, dumps) in WRITTEN {
        for dump in dumps {
            let output = rdb(&["resp", &path(dump)]);
            assert!(
                output.status.success(),
                "{dump}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            let Some(original) = with_dump(name, &fixture(dump)) else {
                return;
            };
            let empty = Server::start(name, &[]).expect("it starts");
            let replies = piped(&empty, output.stdout);
            let errors: Vec<_> = replies
                .lines()
                .filter(|line| line.starts_with('-'))
                .collect();
            assert!(errors.is_empty(), "{dump}: {errors:?}");
            assert_eq!(digest(&empty), digest(&original), "{dump}");
            let groups = |server: &Server| -> Vec<_> {
                let mut client = server.client();
                let keys = json(&["json", &path(dump)]).into_iter();
                let streams = keys.filter(|key| key["type"] == "stream" && key["db"] == 0);
                streams
                    .map(|key| {
                        let key = key["key"].as_str().expect("a name").to_owned();
                        let full = client.command(&format!("XINFO STREAM {key} FULL")).text();
                        // Servers count differently how long consumers have been idle, and how the entries are packed.
                        let lines = full.lines().filter(|line| !line.contains("radix"));
                        (key, lines.count())
                    })
                    .collect()
            };
            assert_eq!(groups(&empty), groups(&original), "{dump}");
        }
    }
}

#[test]
fn a_cut_dump_gives_its_whole_keys_then_the_error_and_code_1() {
    let folder = tempfile::tempdir().expect("a folder");
    let whole = std::fs::read(fixture("redis-7.0.rdb")).expect("a dump");
    let cut = folder.path().join("cut.rdb");
    std::fs::write(&cut, &whole[..whole.len() / 2]).expect("it is written");
    let (cut, out) = (cut.display().to_string(), folder.path().join("out.rdb"));
    let keys = rdb(&["json", &cut]).stdout;
    let count = String::from_utf8_lossy(&keys).lines().count();
    assert!(count > 10);
    for arguments in [
        &["stats", "--json", &cut][..],
        &["keys", "--json", "-n", "100000", &cut],
        &["prefix", "--json", &cut],
        &["resp", &cut],
        &["filter", "-o", &out.display().to_string(), &cut],
    ] {
        let output = rdb(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            said.contains("byte ") && said.contains("cut short"),
            "{arguments:?}: {said}"
        );
    }
    let stats: Value =
        serde_json::from_slice(&rdb(&["stats", "--json", &cut]).stdout).expect("JSON");
    assert_eq!(stats["total"]["keys"], count);
    assert_eq!(json(&["json", &out.display().to_string()]).len(), count);
}

#[test]
fn several_dumps_and_standard_input_are_read_as_one() {
    let one = path("redis-7.0.rdb");
    let twice = &json(&["stats", "--json", &one, &one])[0];
    let once = &json(&["stats", "--json", &one])[0];
    assert_eq!(
        twice["total"]["keys"].as_u64(),
        once["total"]["keys"].as_u64().map(|keys| 2 * keys)
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_redtail"));
    let file = std::fs::File::open(&one).expect("a dump");
    let output = command
        .args(["rdb", "stats", "--json", "-"])
        .stdin(file)
        .output()
        .expect("it runs");
    let piped: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(piped, *once);
}

#[test]
fn a_wrong_argument_is_code_2_and_says_what_to_give() {
    let dump = path("redis-7.0.rdb");
    for (arguments, said) in [
        (&["keys", "--slots", "20000", &dump][..], "from 0 to 16383"),
        (&["keys", "--regex", "(", &dump], "--regex"),
        (&["keys", "--min-bytes", "many", &dump], "such as 1024"),
        (&["stats"], "FILE"),
    ] {
        let output = rdb(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains(said), "{arguments:?}: {error}");
    }
}

#[test]
fn a_filtered_dump_takes_the_place_of_a_file_only_when_it_is_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let out: PathBuf = folder.path().join("out.rdb");
    std::fs::write(&out, b"earlier").expect("it is written");
    let text = out.display().to_string();
    let output = rdb(&["filter", "-o", &text, "/nowhere/dump.rdb"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(std::fs::read(&out).expect("a file"), b"earlier");
    assert_eq!(
        std::fs::read_dir(folder.path()).expect("a folder").count(),
        1
    );
}

/// Lines of `rdb diff`, sorted, and its exit code.
fn diff(arguments: &[&str]) -> (Vec<String>, Option<i32>) {
    let output = rdb(&[&["diff"], arguments].concat());
    let text = String::from_utf8(output.stdout).expect("text");
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines.sort();
    (lines, output.status.code())
}

#[test]
fn diff_names_what_one_dump_lacks_and_finds_nothing_where_only_the_layout_differs() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out.rdb").display().to_string();
    for (_, dumps) in WRITTEN {
        let dump = path(dumps[0]);
        assert_eq!(diff(&[&dump, &dump]), (Vec::new(), Some(0)), "{dump}");
        text(&["filter", "--except", "*s*", "--db", "0", "-o", &out, &dump]);
        let (lost, code) = diff(&[&dump, &out, "--db", "0"]);
        assert_eq!(code, Some(3), "{dump}");
        let keys = json(&["json", &dump]).into_iter();
        let names = keys
            .filter(|key| key["db"] == 0)
            .map(|key| key["key"].as_str().expect("a name").to_owned());
        let mut expected: Vec<_> = names
            .filter(|name| name.contains('s'))
            .map(|name| format!("- 0 {name}"))
            .collect();
        expected.sort();
        assert_eq!(lost, expected, "{dump}");
        let (gained, _) = diff(&[&out, &dump, "--db", "0"]);
        let expected: Vec<_> = expected
            .iter()
            .map(|line| line.replacen('-', "+", 1))
            .collect();
        assert_eq!(gained, expected, "{dump}");
    }
    // The same data, once with every collection in its large form.
    let (one, other) = (path("redis-7.0.rdb"), path("redis-7.0-plain.rdb"));
    assert_ne!(
        std::fs::read(&one).expect("a dump"),
        std::fs::read(&other).expect("a dump")
    );
    let unequal = diff(&[
        &one,
        &other,
        "--ignore-expiry",
        "--except",
        "*expir*",
        "--except",
        "ttl*",
    ])
    .0;
    assert!(
        unequal
            .iter()
            .all(|line| line.starts_with('+') || line.starts_with('-')),
        "{unequal:?}"
    );
}

#[test]
fn diff_names_the_fields_that_changed() {
    let Some(server) = Server::start("redis-8.0", &[]) else {
        return;
    };
    let mut client = server.client();
    let folder = tempfile::tempdir().expect("a folder");
    let save = |client: &mut crate::client::Client, name: &str| {
        assert_eq!(client.command("SAVE").text(), "OK");
        let to = folder.path().join(name);
        std::fs::copy(server.directory().join("dump.rdb"), &to).expect("a copy");
        to.display().to_string()
    };
    for line in [
        "SET same v",
        "SET text one",
        "SET timed v",
        "HSET hash a 1 b 2 c 3",
        "RPUSH list x y z",
        "SADD set m n",
        "ZADD zset 1 m 2 n",
        "XADD stream 1-1 f v",
        "SET kind v",
    ] {
        client.command(line);
    }
    let first = save(&mut client, "first.rdb");
    for line in [
        "SET text two",
        "PEXPIREAT timed 99999999999999",
        "HDEL hash a",
        "HSET hash b 5 d 4",
        "LSET list 1 w",
        "SREM set m",
        "ZINCRBY zset 1.5 m",
        "XADD stream 2-1 f w",
        "DEL kind",
        "SADD kind v",
    ] {
        client.command(line);
    }
    let second = save(&mut client, "second.rdb");
    let (lines, code) = diff(&["--fields", &first, &second]);
    assert_eq!(code, Some(3));
    let expected = [
        "~ 0 hash  a: \"1\" -> (none)",
        "~ 0 hash  b: \"2\" -> \"5\"",
        "~ 0 hash  d: (none) -> \"4\"",
        "~ 0 kind  type: \"string\" -> \"set\"",
        "~ 0 kind  v: (none) -> \"\"",
        "~ 0 kind  value: \"v\" -> (none)",
        "~ 0 list  1: \"y\" -> \"w\"",
        "~ 0 set  m: \"\" -> (none)",
        "~ 0 stream  2-1: (none) -> \"f w\"",
        "~ 0 stream  entries added: \"1\" -> \"2\"",
        "~ 0 stream  last id: \"1-1\" -> \"2-1\"",
        "~ 0 text  value: \"one\" -> \"two\"",
        "~ 0 timed  expiry: \"\" -> \"99999999999999\"",
        "~ 0 zset  m: \"1\" -> \"2.5\"",
    ];
    assert_eq!(lines, expected);
    let (lines, _) = diff(&["--ignore-expiry", "--match", "t*", &first, &second]);
    assert_eq!(lines, ["~ 0 text"]);
    assert_eq!(
        diff(&["--match", "same", &first, &second]),
        (Vec::new(), Some(0))
    );
    let lines = json_diff(&["--json", "--match", "text", &first, &second]);
    assert_eq!(lines[0]["key"], "text");
}

fn json_diff(arguments: &[&str]) -> Vec<Value> {
    let (lines, _) = diff(arguments);
    lines
        .iter()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

#[test]
fn serve_answers_from_a_dump_as_the_server_that_loads_it() {
    for (name, dumps) in WRITTEN {
        let Some(real) = with_dump(name, &fixture(dumps[0])) else {
            return;
        };
        let served = Server::spawn(None, |port, _| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_redtail"));
            command.args(["rdb", "serve", &path(dumps[0]), "--listen"]);
            command.arg(format!("127.0.0.1:{port}"));
            command
        });
        let mut questions = vec!["DBSIZE".to_owned()];
        for key in json(&["json", &path(dumps[0])]) {
            let key = key["key"].as_str().expect("a name");
            if key.contains(['\\', ' ']) || key.is_empty() {
                continue;
            }
            questions.extend(
                [
                    "TYPE",
                    "OBJECT ENCODING",
                    "GET",
                    "HGETALL",
                    "ZRANGE_ALL",
                    "LLEN",
                    "XLEN",
                ]
                .map(|word| match word {
                    "ZRANGE_ALL" => format!("ZRANGE {key} 0 -1 WITHSCORES"),
                    word => format!("{word} {key}"),
                }),
            );
        }
        let (mut real, mut served) = (real.client(), served.client());
        for question in questions {
            let width = if question.starts_with("HGETALL") {
                2
            } else {
                1
            };
            let (expected, found) = (real.command(&question), served.command(&question));
            assert_eq!(
                found.sorted(width),
                expected.sorted(width),
                "{name}: {question}"
            );
        }
        let refused = served.command("SET k v").text();
        assert!(refused.contains("READONLY"), "{name}: {refused}");
    }
}

#[test]
fn pull_writes_a_dump_of_the_primary_that_a_server_loads_with_the_same_digest() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("pulled.rdb");
    for (name, dumps) in WRITTEN {
        let Some(primary) = with_dump(name, &fixture(dumps[0])) else {
            return;
        };
        let address = format!("redis://127.0.0.1:{}", primary.port);
        let started = std::time::Instant::now();
        text(&[
            "pull",
            &address,
            "-o",
            &out.display().to_string(),
            "--limit",
            "1mb",
        ]);
        assert!(started.elapsed() < PATIENCE);
        text(&["check", &out.display().to_string()]);
        let copy = with_dump(name, &out).expect("it starts");
        assert_eq!(digest(&copy), digest(&primary), "{name}");
        assert!(
            !primary
                .command("INFO replication")
                .text()
                .contains("connected_slaves:1"),
            "{name}"
        );
        std::fs::remove_file(&out).expect("a file");
    }
    let port = crate::servers::free_port();
    let refused = rdb(&[
        "pull",
        &format!("redis://127.0.0.1:{port}"),
        "-o",
        &out.display().to_string(),
    ]);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("refused") && !out.exists(), "{said}");
}

/// A server, and its column in `rdb memory`.
const ESTIMATED: [(&str, &str, &str); 3] = [
    ("redis-7.0", "redis-7.0.rdb", "redis_7_bytes"),
    ("redis-8.0", "redis-8.0.rdb", "redis_8_bytes"),
    ("valkey-9.1", "valkey-9.1.rdb", "valkey_9_bytes"),
];

#[test]
fn estimates_are_near_what_memory_usage_replies() {
    for (name, dump, column) in ESTIMATED {
        let Some(server) = with_dump(name, &fixture(dump)) else {
            return;
        };
        let mut client = server.client();
        let (mut estimated, mut real, mut far) = (0, 0, Vec::new());
        for row in json(&[
            "memory",
            "--json",
            "--db",
            "0",
            "--type",
            "string",
            "--type",
            "list",
            "--type",
            "set",
            "--type",
            "hash",
            "--type",
            "zset",
            "--type",
            "stream",
            &path(dump),
        ]) {
            let key = row["key"].as_str().expect("a name");
            if key.contains('\\') {
                continue;
            }
            let said = client.words(&[b"MEMORY", b"USAGE", key.as_bytes(), b"SAMPLES", b"0"]);
            let Some(said) = said.integer() else { continue };
            let guess = row[column].as_i64().expect("a number");
            (estimated, real) = (estimated + guess, real + said);
            // The nodes of a stream's radix trees depend on how near its ids are to each other.
            let tenths = if row["type"] == "stream" { 3 } else { 1 };
            let apart = (guess - said).abs();
            if apart * 10 > said * tenths && apart > 64 {
                far.push(format!("{key} ({}): {guess} for {said}", row["encoding"]));
            }
        }
        assert!(far.is_empty(), "{name}: {far:#?}");
        assert!(
            (estimated - real).abs() * 20 < real,
            "{name}: {estimated} for {real}"
        );
    }
}

#[test]
fn memory_rows_have_the_columns_of_rdbtools_and_one_row_for_each_key() {
    for dump in dumps() {
        let csv = text(&["memory", &dump]);
        let mut lines = csv.lines();
        let headings = lines.next().expect("headings");
        assert!(
            headings.starts_with(
                "database,type,key,size_in_bytes,encoding,num_elements,len_largest_element,expiry"
            ),
            "{headings}"
        );
        assert_eq!(
            json(&["memory", "--json", &dump]).len(),
            json(&["json", &dump]).len(),
            "{dump}"
        );
    }
}
