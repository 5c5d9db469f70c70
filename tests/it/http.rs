//! HTTP: a real redtail's answers in every state, who gets them, and what hostile callers get.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use serde_json::Value;

use crate::servers::{PATIENCE, Server, free_port};

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn of(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no head: {}", String::from_utf8_lossy(bytes)));
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        Self {
            status: status.unwrap_or_else(|| panic!("no status: {head}")),
            head,
            body: bytes[end + 4..].to_vec(),
        }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1);
        lines.find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// The HTTP side of a redtail.
pub struct Http(SocketAddr);

impl Http {
    pub const fn address(&self) -> SocketAddr {
        self.0
    }

    /// Sends `bytes`, ends our side, and reads all that comes back.
    fn raw(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.0).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        // It may refuse before everything is sent.
        _ = stream.write_all(bytes);
        _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        _ = stream.read_to_end(&mut answer);
        answer
    }

    fn ask(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = format!("GET {path} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| *name == "Host") {
            request += &format!("Host: {}\r\n", self.0);
        }
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        Answer::of(&self.raw(format!("{request}\r\n").as_bytes()))
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask(path, &[])
    }

    pub fn status(&self) -> Value {
        let answer = self.get("/status.json");
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// The condition of the replica, in every place that HTTP shows it.
    fn condition(&self) -> String {
        let status = self.status();
        status["health"]["condition"]
            .as_str()
            .expect("a word")
            .to_owned()
    }
}

/// The port that the log names.
pub fn http_of(redtail: &Server) -> Http {
    redtail.wait_for_log("status page are at http://");
    let log = redtail.log();
    let (_, rest) = log.split_once("are at http://").expect("it is there");
    let (address, _) = rest.split_once('/').expect("it ends");
    let mut address: SocketAddr = address.parse().expect("an address");
    if address.ip().is_unspecified() {
        address.set_ip([127, 0, 0, 1].into());
    }
    Http(address)
}

/// Starts a redtail of `primary` with HTTP, and waits until it is in sync.
pub fn start(primary: &Server, arguments: &[&str]) -> (Server, Http) {
    let arguments = [&["--http", "127.0.0.1:0"], arguments].concat();
    let redtail = Server::redtail_with(primary, &arguments);
    let http = http_of(&redtail);
    (redtail, http)
}

/// Starts a redtail without a primary.
fn alone(arguments: &[&str]) -> (Server, Http) {
    let arguments = [&["--http", "127.0.0.1:0"], arguments].concat();
    let redtail = Server::redtail_of(&format!("redis://127.0.0.1:{}", free_port()), &arguments);
    let http = http_of(&redtail);
    (redtail, http)
}

/// The keys of the answer, and what each holds: `?` before what may be null, `[…]` around what is repeated.
const SHAPE: &str = r#"{
 "redtail": {"version": "s", "dialect": "?s", "started_unix_ms": "n", "uptime_seconds": "n", "process_id": "n", "run_id": "s"},
 "health": {"condition": "s", "title": "s", "for_seconds": "n", "why": "s", "advice": "s", "warnings": ["s"], "answers_reads": "b"},
 "link": {"upstream": "s", "state": "s", "up": "b", "last_byte_seconds_ago": "?n", "down_seconds": "?n", "silent_seconds": "?n", "last_error": "?s",
          "received_bytes": "n", "replication_id": "s", "received_offset": "n", "applied_offset": "n", "lag_bytes": "?n",
          "lag_seconds": "?n", "spool_file_bytes": "n"},
 "sync": {"full": "n", "partial": "n", "partial_refused": "n", "loads_completed": "n", "loads_failed": "n",
          "loading": {"?": "", "bytes": "n", "bytes_expected": "?n", "keys": "n", "percent": "?n", "for_seconds": "?n", "seconds_left": "?n"},
          "held_back": {"?": "", "keys": "n", "served_keys": "n", "for_seconds": "n"},
          "last": [{"kind": "s", "at_unix_ms": "n", "seconds": "?n", "bytes": "n", "keys": "n", "cause": "s", "failed": "b"}]},
 "data": {"keys": "n", "expires": "n", "bytes": "n", "tainted_keys": "?n",
          "databases": [{"db": "n", "keys": "n", "expires": "n", "bytes": "n"}], "types": "?"},
 "reads": {"per_second": "n", "total": "n", "hits": "n", "misses": "n", "p50_seconds": "?n", "p99_seconds": "?n",
           "families": [{"name": "s", "calls": "n", "p99_seconds": "?n"}],
           "slowest": [{"id": "n", "at_unix_ms": "n", "seconds": "n", "command": "s", "client": "s", "name": "s"}],
           "most_asked": [{"db": "n", "key": "s", "share": "n"}]},
 "stream": {"bytes_per_second": "n", "commands_per_second": "n", "commands": "n", "failed_writes": "n"},
 "memory": {"resident_bytes": "n", "peak_bytes": "n", "data_bytes": "n", "clients_bytes": "n", "clients_max_bytes": "n",
            "purposes": [{"name": "s", "bytes": "n"}]},
 "clients": {"connected": "n", "max": "n", "rejected": "n",
             "list": [{"id": "n", "address": "s", "name": "s", "library": "s", "age_seconds": "n", "idle_seconds": "n", "db": "n",
                       "command": "s", "commands": "n", "input_bytes": "n", "output_bytes": "n"}]},
 "state": {"?": "", "keeps": "b", "snapshot_bytes": "n", "log_bytes": "n", "failures": "n", "last_error": "?s"},
 "cluster": {"?": "", "face": "s", "nodes": "n", "slots_followed": "n", "slots_served": "n", "slots_without_owner": "n", "settled": "b",
             "handovers": "n", "shards": [{"name": "s", "primary_id": "s", "condition": "s", "title": "s", "link": "?", "state_seconds": "n",
             "slots": "n", "slots_settled": "n", "keys": "n", "bytes": "n", "tainted_keys": "?n", "sync": "?"}]},
 "history": {"every_seconds": "n", "points": ["?"]},
 "events": [{"at_unix_ms": "n", "level": "s", "text": "s"}]
}"#;

/// Adds to `wrong` where `value` does not have `shape`, below the path `at`.
fn compare(at: &str, shape: &Value, value: &Value, wrong: &mut Vec<String>) {
    match shape {
        Value::String(kind) => {
            let fits = match kind.trim_start_matches('?') {
                "s" => value.is_string(),
                "n" => value.is_number(),
                "b" => value.is_boolean(),
                _ => true,
            };
            if !(fits || value.is_null() && kind.starts_with('?')) {
                wrong.push(format!("{at} is {value}, not {kind}"));
            }
        }
        Value::Array(of) => match value.as_array() {
            Some(values) => {
                for value in values {
                    compare(&format!("{at}[]"), &of[0], value, wrong);
                }
            }
            None => wrong.push(format!("{at} is {value}, not a list")),
        },
        Value::Object(keys) => {
            if value.is_null() && keys.contains_key("?") {
                return;
            }
            let Some(found) = value.as_object() else {
                return wrong.push(format!("{at} is {value}, not an object"));
            };
            for (key, shape) in keys.iter().filter(|(key, _)| *key != "?") {
                match found.get(key) {
                    Some(value) => compare(&format!("{at}.{key}"), shape, value, wrong),
                    None => wrong.push(format!("{at}.{key} is missing")),
                }
            }
            let unknown = found.keys().filter(|key| !keys.contains_key(*key));
            wrong.extend(unknown.map(|key| format!("{at}.{key} is not in the shape")));
        }
        _ => panic!("the shape is made of texts"),
    }
}

pub fn has_its_shape(status: &Value) {
    let shape = serde_json::from_str(SHAPE).expect("the shape is JSON");
    let mut wrong = Vec::new();
    compare("", &shape, status, &mut wrong);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn before_the_first_sync_it_lives_and_is_not_ready() {
    let (redtail, http) = alone(&[]);
    let live = http.get("/livez");
    assert_eq!((live.status, &*live.text()), (200, "ok\n"));
    redtail.wait_for_log("Connection refused");
    let ready = http.get("/readyz");
    assert_eq!(ready.status, 503, "{ready:?}");
    let text = ready.text();
    assert!(
        text.starts_with("connecting: there is no data yet"),
        "{text}"
    );
    let status = http.status();
    has_its_shape(&status);
    assert_eq!(status["health"]["condition"], "connecting");
    assert_eq!(status["health"]["answers_reads"], false);
    assert_eq!(status["redtail"]["dialect"], Value::Null);
    assert_eq!(status["link"]["up"], false);
    assert_eq!(status["data"]["keys"], 0);
}

#[test]
fn in_sync_it_says_what_info_says() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    primary.command("MSET a 1 b 2 c 3");
    primary.command("EXPIRE a 1000");
    let (redtail, http) = start(&primary, &[]);
    redtail.wait_in_sync(&primary);
    assert_eq!(http.get("/livez").status, 200);
    let ready = http.get("/readyz");
    assert_eq!(ready.status, 200);
    assert!(
        ready.text().starts_with("in sync: follows 127.0.0.1:"),
        "{ready:?}"
    );
    let status = http.status();
    has_its_shape(&status);
    assert_eq!(status["health"]["condition"], "in_sync");
    assert_eq!(status["health"]["title"], "in sync");
    assert_eq!(status["redtail"]["dialect"], "redis 7.0.15");
    assert_eq!(status["data"]["keys"], 3);
    assert_eq!(status["data"]["expires"], 1);
    assert_eq!(status["data"]["databases"][0]["keys"], 3);
    let replid = primary.client().info("replication", "master_replid");
    assert_eq!(status["link"]["replication_id"].as_str(), replid.as_deref());
    assert_eq!(
        status["link"]["upstream"],
        format!("127.0.0.1:{}", primary.port)
    );
    let mut client = redtail.client();
    let run_id = client.info("server", "run_id");
    assert_eq!(status["redtail"]["run_id"].as_str(), run_id.as_deref());
    assert_eq!(status["redtail"]["process_id"], redtail.pid());
    client.command("CLIENT SETNAME the-page");
    client.command("GET a");
    let listed = http.status()["clients"]["list"].clone();
    let listed = listed.as_array().expect("a list");
    let own = listed.iter().find(|client| client["name"] == "the-page");
    assert_eq!(own.expect("it is listed")["command"], "get");
}

#[test]
fn a_killed_primary_shows_in_every_answer_with_the_same_words() {
    let Some(mut primary) = Server::start("valkey-9.1", &[]) else {
        return;
    };
    let (redtail, http) = start(&primary, &["--max-staleness", "2s"]);
    primary.stop();
    redtail.wait_for("the broken link", |_| http.condition() == "disconnected");
    let ready = http.get("/readyz");
    let status = http.status();
    has_its_shape(&status);
    if ready.status == 200 {
        let why = status["health"]["why"].as_str().expect("words");
        assert!(ready.text().contains(why), "{ready:?} {why}");
    }
    redtail.wait_for("stale data", |_| http.condition() == "stale");
    let ready = http.get("/readyz");
    assert_eq!(ready.status, 503);
    assert!(
        ready
            .text()
            .starts_with("stale: the data is older than --max-staleness")
    );
    assert_eq!(http.get("/livez").status, 200);
    assert_eq!(http.status()["health"]["answers_reads"], false);
    assert!(redtail.command("GET a").text().starts_with("MASTERDOWN"));
}

#[test]
fn events_are_the_lines_of_the_log() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    let (redtail, http) = start(&primary, &[]);
    primary.command("CLIENT KILL TYPE replica");
    redtail.wait_for_log("partial resync");
    let events = http.status()["events"].clone();
    let events = events.as_array().expect("a list");
    assert!(events.len() >= 4, "{events:?}");
    let log = redtail.log();
    for event in events {
        let text = event["text"].as_str().expect("words");
        let level = event["level"].as_str().expect("a word").to_uppercase();
        let mut lines = log.lines().filter(|line| line.ends_with(text));
        assert!(lines.any(|line| line.contains(&level)), "{event}: {log}");
    }
    let last = events.last().expect("one")["at_unix_ms"]
        .as_i64()
        .expect("a time");
    let since = http.get(&format!("/status.json?since={}", last + 1)).json();
    let is_newer = |event: &Value| event["at_unix_ms"].as_i64() > Some(last);
    let events = since["events"].as_array().expect("a list");
    assert!(events.iter().all(is_newer), "{events:?}");
    let points = since["history"]["points"].as_array().expect("a list").len();
    assert!(points < 60, "{points}");
}

#[test]
fn a_token_is_required_for_all_but_the_probes() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("token");
    std::fs::write(&file, "first-token\n").expect("a file");
    let path = file.display().to_string();
    let by_file = alone(&["--http-token-file", &path]);
    let given = alone(&["--http-token", "first-token"]);
    for (redtail, http) in [&by_file, &given] {
        assert_eq!(http.get("/livez").status, 200);
        assert_eq!(http.get("/readyz").status, 503);
        for path in ["/", "/status.json", "/metrics", "/script.js", "/nothing"] {
            let refused = http.get(path);
            assert_eq!(refused.status, 401, "{path}");
            assert!(refused.head.contains("Basic realm="), "{refused:?}");
            assert!(!refused.text().contains("first-token"));
            let wrong = http.ask(path, &[("Authorization", "Bearer first-toke")]);
            assert_eq!(wrong.status, 401, "{path}");
        }
        let right = http.ask("/status.json", &[("Authorization", "Bearer first-token")]);
        assert_eq!(right.status, 200);
        // "page:first-token"
        let basic = [("Authorization", "Basic cGFnZTpmaXJzdC10b2tlbg==")];
        assert_eq!(http.ask("/", &basic).status, 200);
        // With a token, a name of this machine's is no danger.
        let named = [basic[0], ("Host", "status.example.com")];
        assert_eq!(http.ask("/", &named).status, 200);
        assert!(!redtail.log().contains("first-token"));
    }
    let (redtail, http) = &by_file;
    std::fs::write(&file, "second-token\n").expect("a file");
    redtail.wait_for("the new token", |_| {
        let with = |token: &str| {
            let bearer = format!("Bearer {token}");
            http.ask("/metrics", &[("Authorization", &bearer)]).status
        };
        (with("first-token"), with("second-token")) == (401, 200)
    });
    std::fs::remove_file(&file).expect("it is there");
    redtail.wait_for("the warning", |_| {
        _ = http.ask("/metrics", &[("Authorization", "Bearer second-token")]);
        redtail.log().contains("cannot read the HTTP token")
    });
    let gone = http.ask("/metrics", &[("Authorization", "Bearer second-token")]);
    assert_eq!(gone.status, 401);
}

#[test]
fn wrong_settings_end_it_with_the_reason() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = listener.local_addr().expect("an address").to_string();
    let run = |arguments: &[&str]| {
        let primary = ["serve", "--primary", "redis://127.0.0.1:1", "--listen"];
        let listen = format!("127.0.0.1:{}", free_port());
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_redtail"))
            .args(primary)
            .arg(listen)
            .args(arguments)
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), said)
    };
    let (code, said) = run(&["--http", &taken]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains(&format!("cannot listen on {taken} for HTTP")),
        "{said}"
    );
    assert!(
        said.contains("choose another address with --http"),
        "{said}"
    );
    for (arguments, words) in [
        (&["--http-token", "x"][..], "--http-token needs --http"),
        (
            &[
                "--http",
                "127.0.0.1:0",
                "--http-token",
                "x",
                "--http-token-file",
                "/x",
            ],
            "leave one out",
        ),
        (
            &["--http", "127.0.0.1:0", "--http-token-file", "/nowhere"],
            "No such file",
        ),
        (&["--http", "unix:/x"], "such as 127.0.0.1:9121"),
        (&["--http", "nonsense"], "such as 127.0.0.1:9121"),
    ] {
        let (code, said) = run(arguments);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn every_answer_has_its_headers_and_the_page_loads_nothing_from_elsewhere() {
    let (_redtail, http) = alone(&[]);
    for path in [
        "/",
        "/style.css",
        "/script.js",
        "/status.json",
        "/metrics",
        "/livez",
        "/readyz",
        "/nothing",
    ] {
        let answer = http.get(path);
        let policy = answer.header("content-security-policy").unwrap_or_default();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'; "),
            "{path}: {policy}"
        );
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    assert_eq!(http.get("/nothing").status, 404);
    let media_type = |path| http.get(path).header("content-type").map(str::to_owned);
    assert_eq!(media_type("/").as_deref(), Some("text/html; charset=utf-8"));
    assert_eq!(
        media_type("/script.js").as_deref(),
        Some("text/javascript; charset=utf-8")
    );
    assert_eq!(
        media_type("/status.json").as_deref(),
        Some("application/json")
    );
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/page");
    for file in std::fs::read_dir(page).expect("it is there") {
        let text = std::fs::read_to_string(file.expect("a file").path()).expect("text");
        let text = text.replace("http://www.w3.org/2000/svg", "");
        assert!(!text.contains("http://") && !text.contains("https://"));
    }
}

/// The status of an answer, 0 if the connection was closed without one.
fn code(answer: &[u8]) -> u16 {
    if answer.is_empty() {
        0
    } else {
        Answer::of(answer).status
    }
}

#[test]
fn what_is_no_plain_question_is_refused() {
    let (_redtail, http) = alone(&[]);
    let host = format!("Host: {}\r\nConnection: close\r\n", http.0);
    let sent = |text: String| code(&http.raw(text.as_bytes()));
    for method in [
        "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "CONNECT", "PURGE",
    ] {
        let target = if method == "CONNECT" { "h:1" } else { "/livez" };
        assert_eq!(
            sent(format!("{method} {target} HTTP/1.1\r\n{host}\r\n")),
            405,
            "{method}"
        );
    }
    let head = http.raw(format!("HEAD /status.json HTTP/1.1\r\n{host}\r\n").as_bytes());
    let head = Answer::of(&head);
    assert_eq!((head.status, head.body.len()), (200, 0));
    for body in [
        "Content-Length: 3\r\n\r\nabc",
        "Content-Length: 99999999999\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ] {
        assert_eq!(
            sent(format!("GET /livez HTTP/1.1\r\n{host}{body}")),
            413,
            "{body}"
        );
    }
    for path in [
        "/status.json?since=abc",
        "/status.json?since=99999999999999999999",
    ] {
        assert_eq!(http.get(path).status, 400, "{path}");
    }
}

#[test]
fn a_name_that_is_not_this_machines_is_refused_without_a_token() {
    let (_redtail, http) = alone(&[]);
    let port = http.0.port();
    let host = |host: &str| http.ask("/status.json", &[("Host", host)]).status;
    for good in [
        format!("127.0.0.1:{port}"),
        format!("localhost:{port}"),
        "localhost".to_owned(),
        format!("[::1]:{port}"),
    ] {
        assert_eq!(host(&good), 200, "{good}");
    }
    for bad in [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example:9121",
        "",
        "\u{e9}",
    ] {
        assert_eq!(host(bad), 421, "{bad}");
    }
    let sent = |text: &str| code(&http.raw(text.as_bytes()));
    assert_eq!(sent("GET /status.json HTTP/1.1\r\n\r\n"), 421);
    assert_eq!(sent("GET /status.json HTTP/1.0\r\n\r\n"), 200);
    assert_eq!(
        sent("GET /status.json HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n"),
        421
    );
    assert_eq!(
        sent("GET http://evil.example/status.json HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        421
    );
}

#[test]
fn hostile_bytes_get_an_error_or_nothing_and_harm_nobody() {
    let (redtail, http) = alone(&[]);
    let long = "x".repeat(20 << 10);
    let host = "Host: localhost\r\n";
    let many: String = (0..200)
        .map(|number| format!("X-{number}: y\r\n"))
        .collect();
    for (bytes, codes) in [
        (
            format!("GET /{long} HTTP/1.1\r\n{host}\r\n"),
            &[414, 431][..],
        ),
        (
            format!("GET /livez HTTP/1.1\r\n{host}X: {long}\r\n\r\n"),
            &[431],
        ),
        (format!("GET /livez HTTP/1.1\r\n{host}{many}\r\n"), &[431]),
        (long.clone(), &[400, 414, 431]),
        ("\r\n\r\n\r\n".to_owned(), &[0, 400]),
        ("GET\r\n\r\n".to_owned(), &[400]),
        ("GET /livez HTTP/9.9\r\n\r\n".to_owned(), &[400]),
        ("*1\r\n$4\r\nPING\r\n".to_owned(), &[400]),
        (
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
            &[0, 400, 405, 505],
        ),
        (format!("GET /livez\0 HTTP/1.1\r\n{host}\r\n"), &[400]),
        (
            format!("GET /../../etc/passwd HTTP/1.1\r\n{host}\r\n"),
            &[404],
        ),
        (format!("GET /%2e%2e/%00 HTTP/1.1\r\n{host}\r\n"), &[404]),
        (
            format!("GET //evil.example/%0d%0aX:y HTTP/1.1\r\n{host}\r\n"),
            &[400, 404, 421],
        ),
    ] {
        let answer = code(&http.raw(bytes.as_bytes()));
        assert!(codes.contains(&answer), "{answer} to {:.60}", bytes);
    }
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..200 {
        let length = random.usize(..600);
        let mut bytes: Vec<u8> = std::iter::repeat_with(|| random.u8(..))
            .take(length)
            .collect();
        if random.bool() {
            bytes.splice(0..0, *b"GET / HTTP/1.1\r\nHost: ");
        }
        http.raw(&bytes);
    }
    assert_eq!(http.get("/livez").status, 200);
    assert!(!redtail.log().contains("panic"), "{}", redtail.log());
}

/// The number at a path such as `keys` of a child.
fn number(value: &Value) -> i64 {
    value
        .as_i64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn the_levels_of_keys_are_what_dbsize_and_memory_usage_say() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    let mut client = primary.client();
    for number in 0..300 {
        client.command(&format!("SET session:{number}:token {number}"));
        client.command(&format!("HSET user:{number} name n{number} mail m{number}"));
    }
    client.command("RPUSH queue a b c");
    client.command("SET session:5:name x PX 100000");
    let names = ["SELECT 3", "SADD tags:x 1 2 3"];
    client
        .try_command(&[b"SET", b"\xffraw:b", b"1"])
        .expect("it answers");
    for line in names {
        client.command(line);
    }
    let (redtail, http) = start(&primary, &[]);
    redtail.wait_in_sync(&primary);
    let ask = |query: &str| {
        let answer = http.get(&format!("/keys.json{query}"));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    };
    let top = ask("");
    let mut client = redtail.client();
    let keys = client.command("DBSIZE").integer();
    assert_eq!(top["exact"], true);
    assert_eq!(
        (Some(number(&top["keys"])), Some(number(&top["looked_at"]))),
        (keys, keys)
    );
    assert_eq!(top["separator"], ":");
    let child = |level: &Value, name: &str| {
        let children = level["children"].as_array().expect("a list").clone();
        let found = children.into_iter().find(|child| child["name"] == name);
        found.unwrap_or_else(|| panic!("no {name} in {level}"))
    };
    let mut usage = |key: &[u8]| {
        let reply = client.try_command(&[b"MEMORY", b"USAGE", key]);
        reply.expect("it answers").integer().expect("a number")
    };
    let users: i64 = (0..300)
        .map(|number| usage(format!("user:{number}").as_bytes()))
        .sum();
    let user = child(&top, "user");
    assert_eq!(
        (number(&user["keys"]), number(&user["bytes"])),
        (300, users)
    );
    assert_eq!(user["types"]["hash"], serde_json::json!([300, users]));
    assert_eq!(child(&top, "queue")["leaf"], true);
    assert_eq!(number(&child(&top, "queue")["bytes"]), usage(b"queue"));
    let raw = child(&top, "\\xffraw");
    assert_eq!(raw["leaf"], false);
    let below = ask("?prefix=%5Cxffraw%3A");
    assert_eq!(child(&below, "\\xffraw:b")["leaf"], true);
    assert_eq!(below["prefix"], "\\xffraw:");
    let five = ask("?db=0&prefix=session%3A5%3A");
    assert_eq!(number(&five["keys"]), 2);
    assert_eq!(
        number(&child(&five, "session:5:token")["bytes"]),
        usage(b"session:5:token")
    );
    let sessions = ask("?prefix=session%3A");
    let children = sessions["children"].as_array().expect("a list");
    assert_eq!(children.len(), 64);
    let sum: i64 = children.iter().map(|child| number(&child["keys"])).sum();
    assert_eq!((sum, children[63]["name"].clone()), (301, Value::Null));
    assert_eq!(child(&ask("?db=3"), "tags")["types"]["set"][0], 1);
    assert_eq!(ask("?db=4")["children"], serde_json::json!([]));
    assert_eq!(child(&ask("?separator=r"), "use")["keys"], 300);
    // It is kept for a while, so a page that asks again costs nothing.
    primary.command("SET new:1 1");
    redtail.wait_in_sync(&primary);
    assert_eq!(ask("")["at_unix_ms"], top["at_unix_ms"]);
    for wrong in [
        "?db=99",
        "?db=x",
        "?db=-1",
        "?separator=",
        "?separator=ab",
        "?separator=%C3%B6",
    ] {
        assert_eq!(
            http.get(&format!("/keys.json{wrong}")).status,
            400,
            "{wrong}"
        );
    }
}

#[test]
fn keys_are_refused_while_there_is_no_data() {
    let (_redtail, http) = alone(&[]);
    assert_eq!(http.get("/keys.json").status, 503);
    assert_eq!(http.get("/livez").status, 200);
}

#[test]
fn during_a_full_resync_everything_is_of_the_old_data_and_says_so() {
    let Some(mut primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    for number in 0..20 {
        primary.command(&format!("SET old{number} value"));
    }
    let (redtail, http) = start(&primary, &["--resync-floor", "0"]);
    redtail.wait_in_sync(&primary);
    let before = http.status();
    // Another history, whose snapshot takes seconds.
    let port = primary.port;
    primary.stop();
    let second = Server::start_on("redis-7.0", Some(port), None, &[]).expect("it was there");
    for number in 0..100 {
        second.command(&format!("SET new{number} value"));
    }
    second.command("CONFIG SET rdb-key-save-delay 30000");
    redtail.wait_for("the resync", |_| http.condition() == "resyncing");
    let mut seen = 0;
    let mut last = http.status();
    while last["health"]["condition"] == "resyncing" {
        has_its_shape(&last);
        seen += 1;
        assert_eq!(last["data"]["keys"], 20, "{last}");
        for key in ["replication_id", "applied_offset"] {
            assert_eq!(last["link"][key], before["link"][key], "{key}");
        }
        assert_eq!(last["health"]["answers_reads"], true);
        let why = last["health"]["why"].as_str().expect("words");
        assert!(
            why.contains("reads are answered from the old data"),
            "{why}"
        );
        assert_eq!(last["link"]["up"], false);
        let ready = http.get("/readyz");
        assert!(ready.status == 200, "{ready:?}");
        last = http.status();
    }
    assert!(seen > 1, "the resync was too quick to see");
    redtail.wait_for("the new data", |_| http.condition() == "in_sync");
    let after = http.status();
    assert_eq!(after["data"]["keys"], 100);
    assert_ne!(
        after["link"]["replication_id"],
        before["link"]["replication_id"]
    );
    assert_eq!(after["sync"]["loads_completed"], 2);
}

#[test]
fn a_load_shows_its_progress_and_no_data() {
    let Some(primary) = Server::start("redis-7.0", &["--rdbcompression", "no"]) else {
        return;
    };
    primary.command("SETRANGE filler 300000 x");
    let address = format!("redis://127.0.0.1:{}", primary.port);
    // At this rate the load leaves time for the checks.
    let arguments = ["--http", "127.0.0.1:0", "--writer-rate", "64kb"];
    let redtail = Server::redtail_of(&address, &arguments);
    let http = http_of(&redtail);
    redtail.wait_for("the load", |_| !http.status()["sync"]["loading"].is_null());
    let status = http.status();
    has_its_shape(&status);
    if status["health"]["condition"] == "loading" {
        assert_eq!(status["data"]["keys"], 0);
        assert_eq!(status["health"]["answers_reads"], false);
        let ready = http.get("/readyz");
        assert!(
            ready.status == 503 && ready.text().starts_with("loading: a snapshot from"),
            "{ready:?}"
        );
        assert_eq!(http.get("/keys.json").status, 503);
    } else {
        panic!("the load was too quick to see: {status}");
    }
    redtail.wait_for("the data", |_| http.condition() == "in_sync");
    assert_eq!(http.get("/readyz").status, 200);
}

#[test]
fn a_snapshot_that_is_held_back_shows_both_sizes() {
    let Some(mut primary) = Server::start("valkey-9.1", &[]) else {
        return;
    };
    for number in 0..100 {
        primary.command(&format!("SET key{number} old"));
    }
    let arguments = ["--resync-guard", "50", "--resync-floor", "0"];
    let (redtail, http) = start(&primary, &arguments);
    let port = primary.port;
    primary.stop();
    let emptied = Server::start_on("valkey-9.1", Some(port), None, &[]).expect("it was there");
    emptied.command("SET key1 new");
    redtail.wait_for("the guard", |_| http.condition() == "held_back");
    let status = http.status();
    has_its_shape(&status);
    let held = &status["sync"]["held_back"];
    assert_eq!(
        (&held["keys"], &held["served_keys"]),
        (&1.into(), &100.into())
    );
    assert_eq!(status["data"]["keys"], 100);
    let advice = status["health"]["advice"].as_str().expect("words");
    assert!(advice.contains("SIGUSR1"), "{advice}");
    let ready = http.get("/readyz");
    assert_eq!(ready.status, 200);
    assert!(ready.text().starts_with("held back: "), "{ready:?}");
}

/// A connection that stays open.
fn open(http: &Http) -> TcpStream {
    let stream = TcpStream::connect(http.0).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream
}

#[test]
fn connections_are_bounded_and_silent_ones_are_closed() {
    let (redtail, http) = alone(&[]);
    let mut open: Vec<TcpStream> = (0..64).map(|_| open(&http)).collect();
    // Half a request is as good as none.
    for stream in &mut open {
        _ = stream.write_all(b"GET /livez HTTP/1.1\r\n");
    }
    let refused = http.get("/livez");
    assert_eq!(
        (refused.status, &*refused.text()),
        (503, "too many connections\n")
    );
    for stream in &mut open {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).expect("it is closed in time");
        assert!(rest.is_empty() || code(&rest) == 408, "{rest:?}");
    }
    redtail.wait_for("free seats", |_| http.get("/livez").status == 200);
}

#[test]
fn a_connection_answers_several_requests_and_is_closed_when_it_idles() {
    let (_redtail, http) = alone(&[]);
    let mut stream = open(&http);
    let request = format!("GET /livez HTTP/1.1\r\nHost: {}\r\n\r\n", http.0);
    stream
        .write_all(request.repeat(3).as_bytes())
        .expect("a socket");
    let mut all = Vec::new();
    stream.read_to_end(&mut all).expect("it is closed in time");
    let text = String::from_utf8_lossy(&all).into_owned();
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 3, "{text}");
}

#[test]
fn a_peer_that_reads_nothing_is_closed() {
    let (redtail, http) = alone(&[]);
    let mut stream = open(&http);
    stream.set_write_timeout(Some(PATIENCE)).expect("a socket");
    let request = format!("GET /status.json HTTP/1.1\r\nHost: {}\r\n\r\n", http.0);
    // Until the answers fill all buffers, and then until redtail has had enough.
    let batch = request.repeat(100);
    let ended = std::iter::repeat_with(|| stream.write_all(batch.as_bytes()))
        .find_map(Result::err)
        .expect("it ends");
    let is_closed = matches!(
        ended.kind(),
        std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe
    );
    assert!(is_closed, "{ended}");
    assert_eq!(http.get("/livez").status, 200, "{}", redtail.log());
}

#[test]
fn other_machines_get_only_the_probes_without_a_token() {
    // The address that this machine uses towards others: a connection from it is not from loopback.
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").expect("a socket");
    let outer = socket
        .connect("192.0.2.1:9")
        .and_then(|()| socket.local_addr())
        .map(|address| address.ip());
    let Some(outer) = outer.ok().filter(|ip| !ip.is_loopback()) else {
        eprintln!("SKIPPED: this machine has no address but loopback");
        return;
    };
    let primary = format!("redis://127.0.0.1:{}", free_port());
    let start = |arguments: &[&str]| {
        let arguments = [&["--http", "0.0.0.0:0"], arguments].concat();
        let redtail = Server::redtail_of(&primary, &arguments);
        let here = http_of(&redtail);
        let there = Http(SocketAddr::new(outer, here.0.port()));
        (redtail, here, there)
    };
    let (redtail, here, there) = start(&[]);
    redtail.wait_for_log("protected mode: no HTTP token is set");
    assert_eq!(
        (there.get("/livez").status, there.get("/readyz").status),
        (200, 503)
    );
    for path in ["/", "/metrics", "/status.json", "/keys.json", "/nothing"] {
        let refused = there.get(path);
        assert_eq!(refused.status, 403, "{path}");
        assert!(refused.text().contains("--http-token"), "{refused:?}");
    }
    assert_eq!(here.get("/status.json").status, 200);
    let (redtail, _, there) = start(&["--protected-mode", "no"]);
    // A name that other machines use for this one.
    let named = there.ask("/status.json", &[("Host", "redtail.example.com")]);
    assert_eq!(named.status, 200);
    assert!(!redtail.log().contains("HTTP token"), "{}", redtail.log());
    let (_redtail, _, there) = start(&["--http-token", "word"]);
    assert_eq!(there.get("/metrics").status, 401);
    let right = there.ask("/metrics", &[("Authorization", "Bearer word")]);
    assert_eq!(right.status, 200);
}

#[test]
fn metrics_end_as_openmetrics_does_and_use_the_same_words() {
    let (_redtail, http) = alone(&[]);
    let metrics = http.ask("/metrics", &[("Accept", "application/openmetrics-text")]);
    assert_eq!(metrics.status, 200);
    let media_type = metrics.header("content-type").unwrap_or_default();
    assert!(
        media_type.starts_with("application/openmetrics-text"),
        "{media_type}"
    );
    let text = metrics.text();
    assert!(text.ends_with("# EOF\n"), "{text}");
    let holds = format!("redtail_health{{condition=\"{}\"}} 1", http.condition());
    assert!(text.contains(&holds), "{text}");
}

#[test]
fn reads_are_counted_by_family_and_the_slow_and_most_asked_are_named() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    primary.command("MSET a 1 b 2");
    primary.command("HSET h f v");
    let (redtail, http) = start(&primary, &[]);
    redtail.wait_in_sync(&primary);
    let mut client = redtail.client();
    client.command("CONFIG RESETSTAT");
    // Every command is slow from now on.
    client.command("CONFIG SET slowlog-log-slower-than 0");
    client.command("CLIENT SETNAME reader");
    let word = |text: &str| text.as_bytes().to_vec();
    let gets = vec![vec![word("GET"), word("a")]; 5000];
    client.pipeline(&gets);
    client.command("GET none");
    client.command("HGETALL h");
    client.command("PING");
    let mut reads = http.status()["reads"].clone();
    redtail.wait_for("a sample of the last seconds", |_| {
        reads = http.status()["reads"].clone();
        !reads["p99_seconds"].is_null()
    });
    assert_eq!(
        (&reads["hits"], &reads["misses"]),
        (&5001.into(), &1.into())
    );
    assert_eq!(reads["total"], 5002);
    let families = reads["families"].as_array().expect("a list");
    let of = |name: &str| families.iter().find(|family| family["name"] == name);
    assert_eq!(of("string").expect("it is there")["calls"], 5001);
    assert_eq!(of("hash").expect("it is there")["calls"], 1);
    assert_eq!(families.len(), 2, "{families:?}");
    let p99 = reads["p99_seconds"].as_f64().expect("a number");
    assert!(p99 > 0.0 && p99 < 1.0, "{p99}");
    let asked = &reads["most_asked"][0];
    assert_eq!((&asked["db"], &asked["key"]), (&0.into(), &"a".into()));
    assert!(asked["share"].as_f64() > Some(0.9), "{asked}");
    let slowest = reads["slowest"].as_array().expect("a list");
    let is_named = |slow: &Value| {
        slow["command"]
            .as_str()
            .is_some_and(|words| !words.is_empty())
    };
    assert!(
        !slowest.is_empty() && slowest.iter().all(is_named),
        "{slowest:?}"
    );
    let times: Vec<f64> = slowest
        .iter()
        .filter_map(|slow| slow["seconds"].as_f64())
        .collect();
    assert!(times.is_sorted_by(|one, next| one >= next) && times.len() <= 20);
    let points = http.status()["history"]["points"].clone();
    let points = points.as_array().expect("a list").clone();
    let most = points
        .iter()
        .filter_map(|point| point[4].as_f64())
        .fold(0.0, f64::max);
    assert!(most > 100.0, "reads a second: {points:?}");
}

#[test]
fn data_that_was_discarded_for_a_resync_is_not_shown() {
    let Some(primary) = Server::start("redis-7.0", &["--rdbcompression", "no"]) else {
        return;
    };
    // At this rate the load leaves time for the checks.
    primary.command("SETRANGE filler 300000 x");
    let arguments = [
        ["--resync-memory", "one-copy"],
        ["--resync-floor", "0"],
        ["--writer-rate", "128kb"],
    ];
    let (redtail, http) = start(&primary, arguments.as_flattened());
    assert_eq!(http.status()["link"]["lag_bytes"], 0);
    primary.command("DEBUG CHANGE-REPL-ID");
    primary.command("CLIENT KILL TYPE replica");
    redtail.wait_for("the load", |_| http.condition() == "loading");
    let status = http.status();
    assert_eq!(status["health"]["condition"], "loading", "too quick to see");
    has_its_shape(&status);
    assert_eq!(status["data"]["keys"], 0);
    assert_eq!(status["data"]["databases"], serde_json::json!([]));
    assert_eq!(status["link"]["applied_offset"], 0);
    // Nothing is behind where there is nothing.
    assert_eq!(status["link"]["lag_bytes"], Value::Null);
    assert_eq!(http.get("/keys.json").status, 503);
    assert_eq!(http.get("/readyz").status, 503);
    redtail.wait_for("the new data", |_| http.condition() == "in_sync");
    assert_eq!(http.status()["data"]["keys"], 1);
}
