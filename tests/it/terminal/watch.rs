//! `redtail status --watch` in a terminal of its own, and without one.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};
use rustix::termios::{self, Termios};

use super::redtail;
use crate::servers::{PATIENCE, Server};

/// A program in a terminal.
struct Terminal {
    child: Child,
    keys: File,
    /// The program's side, kept open so that its settings can be looked at after the program has ended.
    inside: OwnedFd,
    before: String,
    output: Arc<Mutex<Vec<u8>>>,
}

/// The terminal's settings, comparable.
fn settings(termios: &Termios) -> String {
    format!(
        "{:?} {:?} {:?}",
        termios.input_modes, termios.output_modes, termios.local_modes
    )
}

impl Terminal {
    /// Runs `redtail status ADDRESS --watch` in a terminal of that size.
    fn watch(server: &Server, (columns, rows): (u16, u16), environment: &[(&str, &str)]) -> Self {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pair = openpty(Some(&size), None).expect("a terminal");
        let before = settings(&termios::tcgetattr(&pair.slave).expect("a terminal"));
        let side = || Stdio::from(pair.slave.try_clone().expect("a descriptor"));
        // setsid makes the terminal the program's own, so that it learns of keys and of a new size.
        let mut command = std::process::Command::new("setsid");
        command
            .args(["--ctty", env!("CARGO_BIN_EXE_redtail"), "status", "--watch"])
            .arg(format!("127.0.0.1:{}", server.port))
            .env("TERM", "xterm-256color")
            .env_remove("NO_COLOR")
            .envs(environment.iter().copied())
            .stdin(side())
            .stdout(side())
            .stderr(side());
        let child = command.spawn().expect("setsid is there");
        let output = Arc::default();
        let mut screen = File::from(pair.master.try_clone().expect("a descriptor"));
        let written: Arc<Mutex<Vec<u8>>> = Arc::clone(&output);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = screen.read(&mut buffer) {
                let mut written = written.lock().unwrap_or_else(PoisonError::into_inner);
                written.extend(&buffer[..count]);
            }
        });
        Self {
            child,
            keys: File::from(pair.master),
            inside: pair.slave,
            before,
            output,
        }
    }

    fn output(&self) -> String {
        let output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&output).into_owned()
    }

    /// The lines of the last whole frame, without colours.
    fn frame(&self) -> Vec<String> {
        let output = self.output();
        let ended = output
            .rsplit_once("\x1b[?2026l")
            .map_or("", |(ended, _)| ended);
        let frame = ended
            .rsplit_once("\x1b[?2026h\x1b[H")
            .map_or("", |(_, frame)| frame);
        // The terminal turns a line feed into both characters, so there are two carriage returns.
        frame
            .split("\r\n")
            .map(|line| plain(line.trim_end_matches('\r')))
            .collect()
    }

    /// Waits for a frame, and returns it.
    fn wait_for(&self, what: &str, is_it: impl Fn(&[String]) -> bool) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let frame = self.frame();
            if is_it(&frame) {
                return frame;
            }
            assert!(
                Instant::now() < deadline,
                "no {what} in\n{}",
                frame.join("\n")
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn wait_for_text(&self, text: &str) -> Vec<String> {
        self.wait_for(text, |frame| frame.iter().any(|line| line.contains(text)))
    }

    fn resize(&self, columns: u16, rows: u16) {
        let size = termios::Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        termios::tcsetwinsize(&self.keys, size).expect("a terminal");
    }

    fn press(&mut self, key: &[u8]) {
        self.keys.write_all(key).expect("it reads keys");
    }

    /// Waits for the end, which must be a good one that leaves the terminal as it was.
    fn ends_well(mut self) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            match self.child.try_wait().expect("the child is ours") {
                Some(status) => break status,
                None => assert!(Instant::now() < deadline, "it does not end"),
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        assert_eq!(status.code(), Some(0), "{}", self.output());
        let after = settings(&termios::tcgetattr(&self.inside).expect("a terminal"));
        assert_eq!(after, self.before);
        let end = "\x1b[?7h\x1b[?25h\x1b[?1049l";
        while !self.output().ends_with(end) {
            assert!(Instant::now() < deadline, "{:?}", self.output());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// A line without what colours it and clears behind it.
fn plain(line: &str) -> String {
    let mut parts = line.split("\x1b[");
    let first = parts.next().unwrap_or_default().to_owned();
    let rest = parts.map(|part| {
        part.split_once(|c: char| c.is_ascii_alphabetic())
            .map_or("", |(_, text)| text)
    });
    first + &rest.collect::<String>()
}

fn fits(frame: &[String], columns: usize, rows: usize) -> bool {
    frame.len() <= rows && frame.iter().all(|line| line.chars().count() <= columns)
}

#[test]
fn the_screen_follows_the_primary_and_the_size_of_the_terminal_and_ends_with_a_key() {
    let Some(mut primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    primary.command("SET greeting hello");
    let redtail = Server::redtail(&primary);
    let mut terminal = Terminal::watch(&redtail, (80, 24), &[]);
    let frame = terminal.wait_for_text("in sync for ");
    assert!(fits(&frame, 80, 24), "{frame:?}");
    // From the second look on there are rates, and then small charts.
    terminal.wait_for("rates", |frame| {
        frame
            .iter()
            .any(|line| line.starts_with("Stream") && line.contains("/s"))
    });
    let is_chart = |line: &String| line.starts_with("Lag") && line.ends_with("▁▁");
    terminal.wait_for("a chart", |frame| frame.iter().any(is_chart));
    assert!(terminal.output().contains("\x1b[1;32min sync\x1b[0m"));

    terminal.resize(40, 12);
    let frame = terminal.wait_for("a small frame", |frame| fits(frame, 40, 12));
    let all = frame.join("\n");
    assert!(
        all.contains("in sync for ") && all.contains("q quits"),
        "{all}"
    );
    terminal.resize(100, 40);
    terminal.wait_for("a large frame", |frame| frame.len() == 40);

    primary.stop();
    let frame = terminal.wait_for_text("disconnected for ");
    let why = redtail
        .client()
        .info("redtail", "redtail_health_why")
        .unwrap_or_default();
    let start: String = why.chars().take(60).collect();
    assert!(
        frame.iter().any(|line| line.starts_with(&start)),
        "{start}: {frame:?}"
    );
    assert!(terminal.output().contains("\x1b[1;33mdisconnected\x1b[0m"));
    terminal.press(b"x");
    terminal.press(b"q");
    terminal.ends_well();
}

#[test]
fn the_screen_says_when_redtail_answers_no_more_and_ctrl_c_ends_it() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    let mut redtail = Server::redtail(&primary);
    let mut terminal = Terminal::watch(&redtail, (80, 24), &[("NO_COLOR", "1")]);
    terminal.wait_for_text("in sync for ");
    redtail.stop();
    let frame = terminal.wait_for_text("no answer for ");
    let all = frame.join(" ");
    assert!(
        all.contains("Nothing listens there") && all.contains("This is what it said "),
        "{all}"
    );
    assert!(all.contains("in sync for "), "{all}");
    let output = terminal.output();
    let is_colour = |rest: &str| {
        rest.find('m')
            .is_some_and(|end| rest[..end].chars().all(|c| c.is_ascii_digit() || c == ';'))
    };
    assert!(!output.split("\x1b[").skip(1).any(is_colour), "{output:?}");
    terminal.press(b"\x03");
    terminal.ends_well();
}

#[test]
fn without_a_terminal_it_prints_a_line_each_second_until_nobody_reads() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    let server = Server::redtail(&primary);
    let address = format!("127.0.0.1:{}", server.port);
    for form in [&[][..], &["--json"]] {
        let mut command = redtail(&[&["status", &address, "--watch"], form].concat());
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it runs");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut next = || {
            let mut line = String::new();
            lines.read_line(&mut line).expect("a line");
            assert!(!line.contains('\x1b'), "{line:?}");
            line
        };
        let (first, second) = (next(), next());
        if form.is_empty() {
            assert!(first.contains("Z in sync: follows 127.0.0.1:"), "{first}");
            assert!(
                second.contains("stream ") && second.contains("/s]"),
                "{second}"
            );
        } else {
            let json: serde_json::Value = serde_json::from_str(&second).expect("it is JSON");
            assert_eq!(json["health"]["condition"], "in_sync");
        }
        drop(lines);
        let status = child.wait().expect("it ends");
        assert_eq!(status.code(), Some(0));
    }
}
