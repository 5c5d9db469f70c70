//! What replicas do with input that no primary should send: a scripted primary sends the same bytes to a real replica of each
//! version and to redtail. Where the real replica continues, redtail must continue with the same data at the same offset. Where
//! it ends the link, redtail must end it too.

use crate::scripted::{Connection, Scripted, full_resync, with_length};
use crate::servers::{ALL, Server};

fn lines(lines: &[&str]) -> Vec<u8> {
    crate::scripted::stream(lines)
}

/// A dump from server `name` with one key.
pub fn dump(name: &str) -> Vec<u8> {
    dump_with(name, &[])
}

/// The same, with more auxiliary fields before the key.
pub fn dump_with(name: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let (family, version) = name.split_once('-').expect("a family and a version");
    let mut rdb = b"REDIS0009".to_vec();
    let version = (&*format!("{family}-ver"), &*format!("{version}.0"));
    for (field, value) in [version].iter().chain(fields) {
        rdb.push(0xfa);
        for text in [field, value] {
            rdb.push(u8::try_from(text.len()).expect("short"));
            rdb.extend_from_slice(text.as_bytes());
        }
    }
    rdb.extend_from_slice(b"\xfe\x00\x00\x01k\x01v\xff");
    rdb.extend_from_slice(&[0; 8]);
    rdb
}

/// A replica of a scripted primary.
pub struct Follower {
    _primary: Scripted,
    pub server: Server,
    connection: Connection,
    /// The offset after everything sent so far.
    sent: i64,
}

impl Follower {
    fn new(payload: &[u8], start: impl FnOnce(&str) -> Option<Server>) -> Option<Self> {
        let primary = Scripted::start();
        let address = primary.address();
        let port = address.rsplit(':').next().expect("a port");
        let server = start(port)?;
        let connection = sync(&primary, payload);
        let synced = Self {
            _primary: primary,
            server,
            connection,
            sent: 0,
        };
        synced.server.wait_for("the first sync", |client| {
            let status = client.info("replication", "master_link_status");
            status.is_some_and(|status| status == "up")
        });
        Some(synced)
    }

    pub fn real(name: &str) -> Option<Self> {
        Self::real_of(name, &with_length(&dump(name)))
    }

    /// Starts a server and syncs it with `payload`, which is sent as it is.
    pub fn real_of(name: &str, payload: &[u8]) -> Option<Self> {
        Self::new(payload, |port| {
            Server::start(name, &["--replicaof", "127.0.0.1", port])
        })
    }

    pub fn redtail(name: &str) -> Option<Self> {
        Self::redtail_of(&with_length(&dump(name)))
    }

    pub fn redtail_of(payload: &[u8]) -> Option<Self> {
        Self::new(payload, |port| {
            let own = [
                "--resync-floor",
                "0",
                "--enable-debug-command",
                "yes",
                "--stream-ignore",
                "my.audit",
            ];
            let address = format!("redis://127.0.0.1:{port}");
            Some(Server::redtail_of(&address, &own))
        })
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.connection.send(bytes);
        self.sent += i64::try_from(bytes.len()).expect("few bytes");
    }

    /// Waits until everything sent has been applied.
    pub fn settle(&self, case: &str) {
        self.server.wait_for(case, |client| {
            client
                .offset("slave_repl_offset")
                .is_some_and(|offset| offset == self.sent)
        });
    }

    pub fn ask(&self, line: &str) -> String {
        format!("{:?}", self.server.command(line))
    }
}

fn sync(primary: &Scripted, payload: &[u8]) -> Connection {
    let (mut connection, _) = primary.accept_psync();
    connection.send(full_resync(0));
    connection.send(payload);
    connection
}

/// Input after which replicas continue.
fn tolerated() -> Vec<(&'static str, Vec<u8>)> {
    let set = |key: &str| lines(&[&format!("SET {key} 1")]);
    let in_multi = |between: Vec<u8>| {
        let parts = [
            lines(&["MULTI"]),
            set("a"),
            between,
            set("b"),
            lines(&["EXEC"]),
            set("c"),
        ];
        parts.concat()
    };
    let alone = [
        "EXEC",
        "DISCARD",
        "MULTI x",
        "EXEC x",
        "PING",
        "ping",
        "PING x",
        "PING x y",
        "SELECT",
        "SELECT 1 2",
        "SELECT -1",
        "SELECT x",
        "SELECT 01",
        "GET k",
        "GET",
        "KEYS *",
        "INFO",
        "LASTSAVE",
        "COMMAND COUNT",
        "CLIENT SETNAME x",
        "CONFIG SET timeout 5",
        "AUTH x",
        "HELLO 3",
        "READONLY",
        "READWRITE",
        "ASKING",
        "WAIT 0 0",
        "RESET",
        "UNWATCH",
        "REPLCONF",
        "REPLCONF GETACK",
        "REPLCONF GETACK *",
        "REPLCONF ACK 5",
        "REPLCONF TIMESTAMP 1664341989666",
        "REPLCONF listening-port 1",
        "PUBLISH a b",
        "SCRIPT FLUSH",
        "OPINFO a b",
        "My.Audit x",
        "CLUSTER SETSLOT 1 STABLE",
        "sEt a 1",
    ];
    let mut cases: Vec<_> = alone
        .map(|line| (line, [lines(&[line]), set("b")].concat()))
        .to_vec();
    let raw: [(&str, &[u8]); 7] = [
        ("CR LF", b"\r\n"),
        ("LF", b"\n\n\n"),
        ("*0", b"*0\r\n"),
        ("*-1", b"*-1\r\n*-5\r\n"),
        ("*-9223372036854775808", b"*-9223372036854775808\r\n"),
        ("an empty name", b"*1\r\n$0\r\n\r\n"),
        (
            "an empty name with words",
            b"*3\r\n$0\r\n\r\n$1\r\na\r\n$1\r\n1\r\n",
        ),
    ];
    for (name, bytes) in raw {
        cases.push((name, [bytes, &set("b")].concat()));
        cases.push(("the same inside MULTI", in_multi(bytes.to_vec())));
    }
    for line in [
        "MULTI",
        "MULTI x",
        "EXEC x",
        "DISCARD",
        "DISCARD x",
        "SELECT -1",
        "SELECT x",
        "SELECT 1 2",
        "PING",
        "PUBLISH x y",
        "REPLCONF GETACK *",
        "RESET",
        "GET k",
        "CLIENT SETNAME x",
        "GET",
        "PING x y",
        "PUBLISH x",
        "SET a",
        "XGROUP NOSUCH k g",
        "OBJECT NOSUCH k",
        "CLIENT NOSUCH",
        "EVAL",
    ] {
        cases.push((line, in_multi(lines(&[line]))));
    }
    cases.push(("EXEC twice", in_multi(lines(&["MULTI", "SET b 2", "EXEC"]))));
    cases.push(("SELECT inside MULTI", in_multi(lines(&["SELECT 1"]))));
    cases.push((
        "the same, discarded",
        in_multi(lines(&["SELECT 1", "DISCARD"])),
    ));
    cases
}

/// Input after which replicas end the link.
const ENDING: [(&str, &[u8]); 15] = [
    ("a blank", b"  \r\n"),
    ("a stray byte", b"x\r\n"),
    ("inline", b"SET inl 1\r\n"),
    ("inline with quotes", b"SET inl \"a b\"\r\n"),
    ("open quotes", b"SET inl \"abc\r\n"),
    ("inline PING", b"PING\r\n"),
    ("*+1", b"*+1\r\n$4\r\nPING\r\n"),
    ("*01", b"*01\r\n$4\r\nPING\r\n"),
    ("no count", b"*\r\n"),
    ("*2147483648", b"*2147483648\r\n"),
    ("fewer words", b"*2\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n"),
    ("no length", b"*1\r\n$x\r\nPING\r\n"),
    ("$-1", b"*2\r\n$4\r\nPING\r\n$-1\r\n"),
    ("a number", b"*1\r\n:4\r\nPING\r\n"),
    ("HTTP", b"POST / HTTP/1.1\r\n"),
];

/// Input after which only some servers continue.
const ENDS_OF_LINES: [(&str, &[u8]); 4] = [
    (
        "a word too long",
        b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$3\r\nabcde\r\n",
    ),
    (
        "a word too short",
        b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$4\r\nabc\r\n\r\n",
    ),
    ("another end of a count", b"*1\rX$4\r\nPING\r\n"),
    ("another end of a length", b"*1\r\n$4\rXPING\r\n"),
];

/// Sends both `bytes`, after which they must continue, and compares their data.
fn go_on(name: &str, both: &mut [Follower; 2], case: &str, bytes: &[u8]) {
    let fresh = lines(&["SELECT 1", "DEL a b c", "SELECT 0", "DEL a b c", "SET k v"]);
    let bytes = [&*fresh, bytes].concat();
    for follower in &mut *both {
        follower.send(&bytes);
        follower.settle(&format!("{name}: {case}"));
    }
    for question in ["MGET a b c k", "INFO keyspace", "DEBUG DIGEST"] {
        let [real, redtail] = both.each_ref().map(|follower| follower.ask(question));
        let plain = |text: String| {
            text.replace(",subexpiry=0", "")
                .replace(",keys_with_volatile_items=0", "")
        };
        assert_eq!(plain(redtail), plain(real), "{name}: {case}: {question}");
    }
}

/// Sends `bytes`, which must end the link, to a new pair.
fn end(name: &str, case: &str, bytes: &[u8]) {
    let (Some(mut real), Some(mut redtail)) = (Follower::real(name), Follower::redtail(name))
    else {
        return;
    };
    // Valkey does not close the link, but ignores everything after these bytes.
    real.send(&[bytes, &*lines(&["SET after 1"])].concat());
    real.server.wait_for_log("rotocol error");
    assert_eq!(
        real.server.command("EXISTS after").text(),
        "0",
        "{name}: {case}"
    );
    redtail.send(bytes);
    redtail.connection.wait_for_close();
}

fn compare(name: &str) {
    let (Some(real), Some(redtail)) = (Follower::real(name), Follower::redtail(name)) else {
        return;
    };
    let mut both = [real, redtail];
    for (case, bytes) in tolerated() {
        go_on(name, &mut both, case, &bytes);
    }
    let strict = name == "valkey-9.1";
    let ends = if strict { &ENDS_OF_LINES[..] } else { &[] };
    for (case, bytes) in ENDING.iter().chain(ends) {
        end(name, case, bytes);
    }
    if !strict {
        for (case, bytes) in ENDS_OF_LINES {
            // Servers add the bytes of an empty line to the next command.
            go_on(name, &mut both, case, &[bytes, &*lines(&["PING"])].concat());
        }
    }
    let log = both[1].server.log();
    for kind in [
        "an empty request",
        "an empty name",
        "multi inside multi",
        "exec without multi",
        "opinfo",
        "my.audit",
    ] {
        let line = format!("what=\"{kind}\" count=1 ");
        assert_eq!(log.matches(&line).count(), 1, "{name}: {kind}: {log}");
    }
    let figure = both[1]
        .server
        .client()
        .info("redtail", "redtail_passed_over_names");
    assert!(
        figure.is_some_and(|names| names.contains("opinfo=1,")),
        "{name}"
    );
}

#[test]
fn goes_on_where_a_replica_of_redis_6_0_does() {
    compare(ALL[0]);
}

#[test]
fn goes_on_where_a_replica_of_redis_7_0_does() {
    compare(ALL[1]);
}

#[test]
fn goes_on_where_a_replica_of_redis_8_0_does() {
    compare(ALL[2]);
}

#[test]
fn goes_on_where_a_replica_of_valkey_8_1_does() {
    compare(ALL[3]);
}

#[test]
fn goes_on_where_a_replica_of_valkey_9_1_does() {
    compare(ALL[4]);
}

#[test]
fn a_library_that_cannot_be_loaded_leaves_a_line() {
    let Some(mut redtail) = Follower::redtail("redis-7.0") else {
        return;
    };
    for body in ["error('x')", "foo bar", "local x = 1"] {
        let name = body.replace(|letter: char| !letter.is_ascii_alphabetic(), "");
        let code = format!("#!lua name={name}\n{body}");
        let words: [&[u8]; 3] = [b"FUNCTION", b"LOAD", code.as_bytes()];
        redtail.send(&crate::client::encode(&words));
    }
    redtail.settle("three libraries");
    let line = "a function library from the primary cannot be loaded";
    assert_eq!(redtail.server.log().matches(line).count(), 1);
    let names = redtail
        .server
        .client()
        .info("redtail", "redtail_passed_over_names");
    assert_eq!(names.as_deref(), Some("a library that cannot be loaded=3"));
}

#[test]
fn what_is_known_here_cannot_be_passed_over() {
    for name in ["SET", "multi", "EVAL", ""] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_redtail"));
        let output = command
            .args([
                "serve",
                "--primary",
                "redis://127.0.0.1:1",
                "--stream-ignore",
            ])
            .arg(format!("opinfo2,{name}"))
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && said.contains("skip only commands that it does not know"),
            "{said}"
        );
    }
}
