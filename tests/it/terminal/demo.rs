//! `redtail demo`: what it prints is there.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Stdio};

use super::{printed, redtail, run};
use crate::client::Client;
use crate::servers::PATIENCE;

/// A demo, and what it printed up to the end of the invitation.
struct Demo {
    child: Child,
    said: String,
    /// Kept open: the demo goes on printing.
    _rest: BufReader<ChildStdout>,
}

impl Demo {
    fn start(arguments: &[&str]) -> Self {
        let mut command = redtail(&[&["demo"], arguments].concat());
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it runs");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut said = String::new();
        while !said.contains("Press Ctrl-C") {
            let count = lines.read_line(&mut said).expect("it prints text");
            assert!(count > 0, "it ended: {said}");
        }
        Self {
            child,
            said,
            _rest: lines,
        }
    }

    /// The port after these words.
    fn port(&self, words: &str) -> u16 {
        let rest = self.said.split(words).nth(1).unwrap_or_default();
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits
            .parse()
            .unwrap_or_else(|_| panic!("no {words} in {}", self.said))
    }

    /// Asserts that clients and browsers are answered where it says.
    fn answers(&self) -> (u16, u16) {
        let (clients, page) = (
            self.port("answered on 127.0.0.1:"),
            self.port("status page is at http://127.0.0.1:"),
        );
        let mut client = Client::try_connect(clients).expect("it listens");
        assert_eq!(client.command("GET greeting").text(), "hello from redtail");
        let mut stream = TcpStream::connect(("127.0.0.1", page)).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream
            .write_all(b"GET / HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
            .expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        assert!(
            answer.starts_with("HTTP/1.") && answer.contains(" 200 OK"),
            "{answer}"
        );
        (clients, page)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

#[test]
fn two_demos_run_side_by_side_and_each_prints_its_own_addresses() {
    let demos = [Demo::start(&[]), Demo::start(&[]), Demo::start(&[])];
    let mut ports: Vec<u16> = Vec::new();
    for demo in &demos {
        let (clients, page) = demo.answers();
        ports.extend([clients, page]);
        let status = format!("redtail status {clients} --watch");
        assert!(demo.said.contains(&status), "{}", demo.said);
        let checked = printed(&["status", &clients.to_string(), "--check"]);
        assert!(checked.starts_with("in sync: "), "{checked}");
        let by_page = printed(&["status", &format!("http://127.0.0.1:{page}"), "--check"]);
        assert_eq!(by_page, checked);
    }
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 6, "{ports:?}");
}

#[test]
fn the_page_and_the_listener_tell_the_same_facts() {
    let demo = Demo::start(&[]);
    let (clients, page) = demo.answers();
    let json = |address: &str| -> serde_json::Value {
        serde_json::from_str(&printed(&["status", address, "--json"])).expect("it is JSON")
    };
    let (info, http) = (
        json(&clients.to_string()),
        json(&format!("http://127.0.0.1:{page}")),
    );
    for path in [
        "/redtail/version",
        "/redtail/dialect",
        "/redtail/run_id",
        "/health/condition",
        "/health/title",
        "/health/why",
        "/health/answers_reads",
        "/link/upstream",
        "/link/state",
        "/link/up",
        "/link/replication_id",
    ] {
        assert_eq!(info.pointer(path), http.pointer(path), "{path}");
        assert!(
            info.pointer(path).is_some_and(|value| !value.is_null()),
            "{path}"
        );
    }
    for path in [
        "/sync/full",
        "/sync/partial",
        "/clients/max",
        "/stream/failed_writes",
    ] {
        let number =
            |json: &serde_json::Value| json.pointer(path).and_then(serde_json::Value::as_f64);
        assert!(number(&info).is_some(), "{path}");
        assert_eq!(number(&info), number(&http), "{path}");
    }
}

#[test]
fn an_address_that_was_asked_for_and_is_taken_is_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("an address").to_string();
    for flag in ["--listen", "--http"] {
        let output = run(&["demo", flag, &taken, "--seconds", "1"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        let fix = format!("choose another address with {flag}");
        assert!(said.contains(&taken) && said.contains(&fix), "{said}");
    }
}
