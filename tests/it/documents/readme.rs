//! What the README tells a new user to type works as it is written, and so do the command lines of all documents.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use redtail::internal::cli::definition;
use tempfile::TempDir;

use super::markdown::{files, home, text};
use crate::client::Client;
use crate::servers::{PATIENCE, Server, free_port};

/// How the documents start the program from a checkout.
const FROM_SOURCE: &[&str] = &["cargo run -- ", "cargo run --release -- "];

/// The command lines of redtail in the blocks of a document, with lines that end in a backslash joined.
fn command_lines(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_shell = false;
    for line in page.replace("\\\n", " ").lines() {
        let line = line.trim();
        if let Some(language) = line.strip_prefix("```") {
            is_shell = !is_shell && ["sh", "console", "bash"].contains(&language);
            continue;
        }
        let line = line.strip_prefix("$ ").unwrap_or(line);
        let line = line.split("  #").next().unwrap_or_default().trim();
        let rest = FROM_SOURCE
            .iter()
            .find_map(|start| line.strip_prefix(start));
        let rest = rest.map(|rest| format!("redtail {rest}"));
        let own = rest.or_else(|| line.starts_with("redtail ").then(|| line.to_owned()));
        found.extend(own.filter(|_| is_shell));
    }
    found
}

/// Splits a line into words: quotes hold words together, and what follows `|`, `>`, `&` or `;` is not redtail's.
fn split(line: &str) -> Vec<String> {
    let own = line.split([';', '|', '&', '>']).next().unwrap_or_default();
    let mut words = vec![String::new()];
    let mut quote = None;
    for character in own.chars() {
        match (character, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('\'' | '"', None) => quote = Some(character),
            (' ', None) => words.push(String::new()),
            (c, _) => words.last_mut().expect("a word").push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn every_command_line_of_the_documents_is_one_that_redtail_takes() {
    let mut count = 0;
    for file in files() {
        let page = fs::read_to_string(&file).expect("a file");
        for line in command_lines(&page) {
            // Words in capitals, `…` and `<…>` stand for a value.
            let words = split(&line.replace(['<', '$'], ""));
            let taken = definition().try_get_matches_from(&words);
            let is_help = taken.as_ref().is_err_and(|error| !error.use_stderr());
            let shown = file.strip_prefix(home()).expect("inside").display();
            assert!(
                taken.is_ok() || is_help,
                "{shown}: {line}\n{}",
                taken.unwrap_err()
            );
            count += 1;
        }
    }
    assert!(count >= 3, "only {count} command lines");
}

/// The words of the README's command line that begins like this, without the program.
fn line_of_the_readme(start: &str) -> Vec<String> {
    let lines = command_lines(&text("README.md"));
    let line = lines.into_iter().find(|line| line.starts_with(start));
    let line = line.unwrap_or_else(|| panic!("the README has no {start}"));
    split(&line).split_off(1)
}

/// A running redtail, ended on drop.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// Runs redtail with these words in `directory`.
fn run(words: &[String], directory: &Path) -> Running {
    let mut command = Command::new(env!("CARGO_BIN_EXE_redtail"));
    command.args(words).current_dir(directory);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    Running(command.spawn().expect("redtail starts"))
}

/// Replaces addresses, each written in the README with its usual port.
fn on_ports(words: &[String], ports: &[(&str, u16)]) -> Vec<String> {
    let replaced = |word: &String| {
        ports.iter().fold(word.clone(), |word, (usual, port)| {
            word.replace(usual, &format!("127.0.0.1:{port}"))
        })
    };
    words.iter().map(replaced).collect()
}

/// Asks a server of HTTP until it answers with 200, and returns the body.
fn page(port: u16, path: &str) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = ask(port, path).unwrap_or_default();
        if let Some((head, body)) = answer.split_once("\r\n\r\n")
            && head.starts_with("HTTP/1.1 200")
        {
            return body.to_owned();
        }
        assert!(Instant::now() < deadline, "{path}: {answer}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn ask(port: u16, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Asks redtail until it answers without an error.
fn answer(port: u16, line: &str) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Ok(mut client) = Client::try_connect(port) {
            let reply = client.command(line);
            if !reply.is_error() {
                return reply.text();
            }
        }
        assert!(Instant::now() < deadline, "{line}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The README's demo, on free ports.
pub(super) struct Demo {
    _process: Running,
    /// What it prints. Kept, because a program whose output nobody takes may end.
    output: BufReader<ChildStdout>,
    _directory: TempDir,
    http: u16,
    own: u16,
}

impl Demo {
    /// Starts it as the README says, and waits until it has data.
    pub(super) fn start() -> Self {
        let (http, own) = (free_port(), free_port());
        // The ports that the README names may be taken here.
        let mut words = line_of_the_readme("redtail demo");
        words.extend(["--listen".to_owned(), format!("127.0.0.1:{own}")]);
        words.extend(["--http".to_owned(), format!("127.0.0.1:{http}")]);
        let directory = TempDir::new().expect("a directory");
        let mut process = run(&words, directory.path());
        let output = BufReader::new(process.0.stdout.take().expect("its output"));
        page(http, "/readyz");
        Self {
            _process: process,
            output,
            _directory: directory,
            http,
            own,
        }
    }

    /// The body of an answer.
    pub(super) fn page(&self, path: &str) -> String {
        page(self.http, path)
    }

    /// Whether it prints a line that contains this.
    fn prints(&mut self, words: &str) -> bool {
        let mut lines = (&mut self.output).lines().map_while(Result::ok);
        lines.any(|line| line.contains(words))
    }
}

#[test]
fn the_quick_start_leads_to_a_live_page() {
    let mut demo = Demo::start();
    let address = format!("http://127.0.0.1:{}/", demo.http);
    assert!(demo.prints(&address), "the demo prints {address}");
    let found = demo.page("/");
    let is_the_page = found.contains("<html") && found.contains("redtail");
    assert!(is_the_page, "{found}");
    assert!(demo.page("/status.json").contains("\"in_sync\""));
    assert!(demo.page("/metrics").contains("redtail_"));
    let readme = text("README.md");
    let reads = readme
        .lines()
        .filter_map(|line| line.strip_prefix("redis-cli -p 6380 "));
    let reads: Vec<&str> = reads.collect();
    assert!(reads.len() >= 2, "{reads:?}");
    for read in reads {
        assert_ne!(answer(demo.own, read), "", "{read}");
    }
}

#[test]
fn the_way_to_an_own_primary_is_as_the_readme_says() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    let readme = text("README.md");
    let rules = readme
        .lines()
        .find_map(|line| line.strip_prefix("redis-cli ACL SETUSER "));
    let rules = rules.expect("the user").replace('\'', "");
    assert_eq!(
        primary.command(&format!("ACL SETUSER {rules}")).text(),
        "OK"
    );
    primary.command("ACL SETUSER default nopass");
    primary.command("SET greeting hello");
    let (http, own) = (free_port(), free_port());
    let ports = [("127.0.0.1:6379", primary.port), ("127.0.0.1:9121", http)];
    let mut words = on_ports(&line_of_the_readme("redtail serve"), &ports);
    words.extend(["--listen".to_owned(), format!("127.0.0.1:{own}")]);
    let directory = TempDir::new().expect("a directory");
    assert!(readme.contains("echo a-password > redtail.password"));
    fs::write(directory.path().join("redtail.password"), "a-password\n").expect("a file");
    let _redtail = run(&words, directory.path());
    assert_eq!(answer(own, "GET greeting"), "hello");
    page(http, "/readyz");
    assert!(page(http, "/").contains("<html"));
}

/// The README's example, as a compiler sees it.
#[expect(dead_code, reason = "it must only compile")]
async fn example() -> Result<(), Box<dyn std::error::Error>> {
    // The example begins.
    use redtail::Replica;

    let replica = Replica::builder()
        .upstream("redis://127.0.0.1:6379")
        .start()
        .await?;
    let greeting: Option<Vec<u8>> = replica.get("greeting")?;
    let name = replica.hget("user:1", "name")?;
    // The example ends.
    drop((greeting, name));
    Ok(())
}

#[test]
fn the_example_in_rust_is_the_one_that_compiles() {
    let readme = text("README.md");
    let shown = readme
        .split("```rust\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    let source = include_str!("readme.rs");
    let compiled = source.split("// The example begins.\n").nth(1);
    let compiled = compiled.and_then(|rest| rest.split("    // The example ends.").next());
    let lines = |text: &str| {
        text.lines()
            .map(|line| line.trim().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        lines(shown.expect("an example")),
        lines(compiled.expect("a copy"))
    );
}
