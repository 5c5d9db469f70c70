//! A real browser without a window, over WebDriver (Source: W3C WebDriver).

use std::fs::{File, Permissions};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::servers::{PATIENCE, free_port};
use crate::tools;

/// The keys without a letter, as WebDriver names them.
pub const TAB: char = '\u{e004}';
pub const ENTER: char = '\u{e007}';

/// A browser with one page. Drop closes it.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    /// The browser's profile, and the driver's log.
    directory: TempDir,
}

impl Browser {
    /// Starts a browser. Returns `None` if it is not installed.
    pub fn start() -> Option<Self> {
        let (driver, browser) = (tools::path("chromedriver")?, tools::path("chromium")?);
        let directory = TempDir::new().expect("a temporary directory");
        let log = File::create(directory.path().join("log")).expect("a log file");
        let port = free_port();
        let driver = Command::new(driver)
            .arg(format!("--port={port}"))
            .env("TMPDIR", directory.path())
            .process_group(0)
            .stdin(Stdio::null())
            .stderr(log.try_clone().expect("a log file"))
            .stdout(log)
            .spawn()
            .expect("the driver starts");
        let mut started = Self {
            driver,
            port,
            session: String::new(),
            directory,
        };
        started.wait_until("the driver answers", |started| {
            started.ask("GET", "/status", &Json::Null).is_ok()
        });
        let profile = started.directory.path().join("profile");
        let browser = with_a_page(&browser, started.directory.path());
        let options = json!({
            "binary": browser,
            // Without a sandbox, because tests may run as root, where the sandbox does not start.
            "args": ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
                     "--hide-scrollbars", "--force-color-profile=srgb", format!("--user-data-dir={}", profile.display())],
        });
        let wanted =
            json!({"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}});
        let session = started.tell(
            "/session",
            &json!({"capabilities": {"alwaysMatch": wanted}}),
        );
        started.session = format!("/session/{}", text_of(&session["sessionId"]));
        Some(started)
    }

    /// Opens a page and waits until it is loaded.
    pub fn open(&self, address: &str) {
        self.tell("/url", &json!({"url": address}));
    }

    /// Runs a script in the page, the body of a function. Returns what it returns; a promise's value.
    pub fn run(&self, script: &str) -> Json {
        self.tell("/execute/sync", &json!({"script": script, "args": []}))
    }

    /// The same for a script that returns a text.
    pub fn text(&self, script: &str) -> String {
        text_of(&self.run(script))
    }

    /// Presses keys, one after the other.
    pub fn press(&self, keys: &[char]) {
        let strokes = keys.iter().flat_map(|key| {
            ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key.to_string()}))
        });
        let hand = json!({"type": "key", "id": "keyboard", "actions": strokes.collect::<Vec<_>>()});
        self.tell("/actions", &json!({"actions": [hand]}));
    }

    /// Sets the size of the page in pixels.
    pub fn resize(&self, width: u32, height: u32) {
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
    }

    /// Sets whether the system is "light" or "dark".
    pub fn prefer(&self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.devtools("Emulation.setEmulatedMedia", &json!({"features": features}));
    }

    /// Returns a picture of the window, as PNG.
    pub fn picture(&self) -> Vec<u8> {
        let path = format!("{}/screenshot", self.session);
        let picture = self.ask("GET", &path, &Json::Null).expect("a picture");
        BASE64_STANDARD
            .decode(text_of(&picture))
            .expect("it is base64")
    }

    /// Returns what the console says since the last call: errors of scripts, and what the page's policy has blocked.
    pub fn console(&self) -> Vec<String> {
        let entries = self.tell("/se/log", &json!({"type": "browser"}));
        let entries = entries.as_array().cloned().unwrap_or_default();
        entries
            .iter()
            .map(|entry| text_of(&entry["message"]))
            .collect()
    }

    /// Waits until the script returns true.
    ///
    /// # Panics
    /// If it takes longer than [`PATIENCE`]. The message contains the page's text.
    pub fn wait_for(&self, script: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.run(script) != json!(true) {
            assert!(
                Instant::now() < deadline,
                "timed out waiting for {script:?}; the console says {:?}, the page {:?}",
                self.console(),
                self.text("return document.body.innerText.slice(0, 2000)")
            );
            sleep(Duration::from_millis(20));
        }
    }

    fn wait_until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            let ended = self.driver.try_wait().expect("the child is ours");
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "{what}: {}",
                self.log()
            );
            sleep(Duration::from_millis(20));
        }
    }

    fn devtools(&self, command: &str, parameters: &Json) {
        self.tell(
            "/goog/cdp/execute",
            &json!({"cmd": command, "params": parameters}),
        );
    }

    /// Sends a command that succeeds.
    fn tell(&self, path: &str, body: &Json) -> Json {
        let path = format!("{}{path}", self.session);
        self.ask("POST", &path, body)
            .unwrap_or_else(|error| panic!("{path}: {error}: {}", self.log()))
    }

    /// Sends a command. Returns its value.
    ///
    /// # Errors
    /// If the driver does not answer, or answers that the command failed.
    fn ask(&self, method: &str, path: &str, body: &Json) -> io::Result<Json> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost:{}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.port,
            body.len()
        )?;
        let (head, body) = read_answer(stream)?;
        let value = serde_json::from_slice::<Json>(&body)?["value"].take();
        match head.starts_with("HTTP/1.1 200") {
            true => Ok(value),
            false => Err(io::Error::other(value.to_string())),
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            _ = self.ask("DELETE", &self.session, &Json::Null);
        }
        // A killed driver would leave a browser behind whose session has not begun: the two are one group.
        let group = Pid::from_raw(i32::try_from(self.driver.id()).expect("a process id"));
        _ = killpg(group, Signal::SIGKILL);
        _ = self.driver.wait();
    }
}

/// Returns a program that starts the browser with an empty page. The driver waits for one, and a browser that is built without
/// windows opens none by itself.
fn with_a_page(browser: &Path, directory: &Path) -> PathBuf {
    let program = directory.join("browser");
    let script = format!(
        "#!/bin/sh\nexec '{}' \"$@\" about:blank\n",
        browser.display()
    );
    std::fs::write(&program, script).expect("the directory is ours");
    std::fs::set_permissions(&program, Permissions::from_mode(0o755)).expect("the file is ours");
    program
}

/// Reads an HTTP answer whose length is stated. Returns its head and its body.
fn read_answer(stream: TcpStream) -> io::Result<(String, Vec<u8>)> {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let length = head
        .lines()
        .find_map(|line| {
            line.to_ascii_lowercase()
                .strip_prefix("content-length:")?
                .trim()
                .parse()
                .ok()
        })
        .ok_or_else(|| io::Error::other("no length"))?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok((head, body))
}

fn text_of(value: &Json) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
