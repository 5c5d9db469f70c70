//! Dumps as a tool, beside the tools that people have: rdbtools (PyPI), `redis-check-rdb`, and a server that loads the dump as the
//! floor. Each reads the same three dumps, alone, in turn.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::process::{PATIENCE, Process};
use crate::systems;

/// How often a tool's memory is looked at.
const LOOK: Duration = Duration::from_millis(2);

/// A task that tools are compared on, and how redtail is asked for it.
const TASKS: [(&str, &[&str]); 4] = [
    ("check", &["rdb", "check"]),
    ("stats", &["rdb", "stats", "--json", "--quiet"]),
    ("json", &["rdb", "json"]),
    ("prefix", &["rdb", "prefix", "--json", "--quiet"]),
];

/// The rdbtools command that does the same task or the nearest to it. Its report of keys has what `stats` adds up.
fn rdbtools(task: &str) -> Option<&'static [&'static str]> {
    match task {
        "stats" | "prefix" => Some(&["--command", "memory"]),
        "json" => Some(&["--command", "json"]),
        _ => None,
    }
}

/// Measures all tools on dumps of about `mebibytes` each, `rounds` times, and prints the medians.
pub(crate) fn measure(mebibytes: u64, rounds: usize) {
    let folder = TempDir::new().expect("a temporary directory");
    let rdb = on_path("rdb");
    let checker = systems::checker(folder.path());
    if rdb.is_none() {
        println!("rdbtools: not on the PATH (pip install rdbtools python-lzf): not measured");
    }
    if checker.is_none() {
        println!("redis-check-rdb: not installed (tests/servers): not measured");
    }
    println!(
        "{:8} {:8} {:18} {:>9} {:>9} {:>9}",
        "dump", "task", "tool", "MB/s", "CPU s", "MiB"
    );
    for (name, fill) in DUMPS {
        let dump = folder.path().join(format!("{name}.rdb"));
        let bytes = make(&dump, mebibytes << 20, fill).expect("the dump is written");
        for (task, arguments) in TASKS {
            let redtail = Path::new(env!("CARGO_BIN_EXE_redtail"));
            show(name, task, "redtail", bytes, rounds, || {
                run(Command::new(redtail).args(arguments).arg(&dump))
            });
            if let (Some(rdb), Some(arguments)) = (&rdb, rdbtools(task)) {
                // A hundred times slower: one round is enough.
                show(name, task, "rdbtools", bytes, 1, || {
                    run(Command::new(rdb).args(arguments).arg(&dump))
                });
            }
            if let (Some(checker), "check") = (&checker, task) {
                show(name, task, "redis-check-rdb", bytes, rounds, || {
                    run(Command::new(checker).arg(&dump))
                });
            }
        }
        show(name, "load", "redis-server", bytes, rounds, || load(&dump));
        show(name, "load", "redtail serve", bytes, rounds, || {
            serve(&dump)
        });
    }
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut found = std::env::split_paths(&path).map(|folder| folder.join(name));
    found.find(|file| file.is_file())
}

/// What a run took.
#[derive(Clone, Copy)]
struct Cost {
    took: Duration,
    cpu: Duration,
    peak_bytes: u64,
}

fn show(dump: &str, task: &str, tool: &str, bytes: u64, rounds: usize, run: impl Fn() -> Cost) {
    let mut costs: Vec<Cost> = (0..rounds.max(1)).map(|_| run()).collect();
    costs.sort_by_key(|cost| cost.cpu);
    let cost = costs[costs.len() / 2];
    let rate = bytes as f64 / 1e6 / cost.took.as_secs_f64();
    let (cpu, mebibytes) = (cost.cpu.as_secs_f64(), cost.peak_bytes >> 20);
    println!("{dump:8} {task:8} {tool:18} {rate:>9.0} {cpu:>9.2} {mebibytes:>9}");
}

/// Runs a tool to its end; its output is discarded.
fn run(command: &mut Command) -> Cost {
    let started = Instant::now();
    let command = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = command.spawn().expect("the tool starts");
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
    let clock = clock_getcpuclockid(pid).expect("it has a CPU clock");
    let (mut cpu, mut peak_bytes) = (Duration::ZERO, 0);
    loop {
        // The clock of a process that has ended can be read until it is waited for.
        if let Ok(now) = clock_gettime(clock) {
            cpu = now.into();
        }
        peak_bytes = peak_bytes.max(peak(pid));
        if has_ended(pid) {
            break;
        }
        assert!(started.elapsed() < 20 * PATIENCE, "the tool does not end");
        std::thread::sleep(LOOK);
    }
    let took = started.elapsed();
    let status = child.wait().expect("the child is ours");
    assert!(status.success(), "{status}");
    Cost {
        took,
        cpu,
        peak_bytes,
    }
}

fn has_ended(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit(") ")
        .next()
        .and_then(|rest| rest.chars().next());
    matches!(state, None | Some('Z'))
}

/// The most memory that a process has had resident.
fn peak(pid: Pid) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kibibytes.unwrap_or(0) << 10
}

/// A server that loads the dump, until it answers.
fn load(dump: &Path) -> Cost {
    let started = Instant::now();
    let server = Process::start(|port, directory| {
        fs::copy(dump, directory.join("dump.rdb")).expect("a copy");
        systems::empty_server("redis-7.0", port, directory)
    });
    wait_until_loaded(server.listening(), started)
}

/// redtail, which serves the dump.
fn serve(dump: &Path) -> Cost {
    let started = Instant::now();
    let server = Process::start(|port, _| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_redtail"));
        command.args(["rdb", "serve", "--quiet"]).arg(dump);
        command.arg("--listen").arg(format!("127.0.0.1:{port}"));
        command
    });
    wait_until_loaded(server.listening(), started)
}

fn wait_until_loaded(server: Process, started: Instant) -> Cost {
    while !systems::answers(server.port) {
        assert!(
            started.elapsed() < PATIENCE,
            "it does not load: {}",
            server.log()
        );
        std::thread::sleep(LOOK);
    }
    Cost {
        took: started.elapsed(),
        cpu: server.cpu(),
        peak_bytes: server.resident_bytes(),
    }
}

/// Writes a key and its value, the number of which is given.
type Fill = fn(&mut Vec<u8>, u64);

const DUMPS: [(&str, Fill); 3] = [("small", small), ("mixed", mixed), ("huge", huge)];

/// Writes a dump of at least `bytes` bytes. Returns its size.
fn make(path: &Path, bytes: u64, fill: Fill) -> io::Result<u64> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut buffer = b"REDIS0011\xfa\x09redis-ver\x057.2.4\xfe\x00".to_vec();
    let (mut written, mut number) = (0, 0);
    while written < bytes {
        fill(&mut buffer, number);
        number += 1;
        written += buffer.len() as u64;
        out.write_all(&buffer)?;
        buffer.clear();
    }
    // Without a checksum, as a server writes it that does not compute one.
    out.write_all(b"\xff\0\0\0\0\0\0\0\0")?;
    out.flush()?;
    Ok(written + 9)
}

fn length(out: &mut Vec<u8>, length: usize) {
    match length {
        0..64 => out.push(length as u8),
        64..16_384 => out.extend_from_slice(&(0x4000 | length as u16).to_be_bytes()),
        _ => {
            out.push(0x80);
            out.extend_from_slice(&(length as u32).to_be_bytes());
        }
    }
}

fn text(out: &mut Vec<u8>, text: &[u8]) {
    length(out, text.len());
    out.extend_from_slice(text);
}

/// A number without a pattern.
fn scattered(number: u64) -> u64 {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 7
}

fn name(number: u64) -> Vec<u8> {
    format!("user:{}:item:{number}", scattered(number) % 1000).into_bytes()
}

/// Bytes without a pattern.
fn noise(number: u64, len: usize) -> Vec<u8> {
    let words =
        (0..=len as u64 / 8).flat_map(|word| scattered(number ^ (word << 32)).to_le_bytes());
    words.take(len).collect()
}

/// A string of 10 to 200 bytes; one in ten expires.
fn small(out: &mut Vec<u8>, number: u64) {
    if number.is_multiple_of(10) {
        out.push(0xfc);
        out.extend_from_slice(&2_000_000_000_000_u64.to_le_bytes());
    }
    out.push(0);
    text(out, &name(number));
    text(out, &noise(number, 10 + scattered(number) as usize % 190));
}

/// Half strings, half hashes, sets and sorted sets of up to sixty elements.
fn mixed(out: &mut Vec<u8>, number: u64) {
    let count = 1 + scattered(number) as usize % 60;
    let kind = match number % 8 {
        4 | 5 => 4,
        6 => 2,
        7 => 5,
        _ => return small(out, number),
    };
    out.push(kind);
    text(out, &name(number));
    length(out, count);
    for element in 0..count {
        text(out, format!("element:{}", element * 31).as_bytes());
        match kind {
            4 => text(out, format!("value-{}", element * 77).as_bytes()),
            5 => out.extend_from_slice(&(element as f64 * 1.5).to_le_bytes()),
            _ => {}
        }
    }
}

/// Strings of 8 MiB and hashes of 200,000 fields.
fn huge(out: &mut Vec<u8>, number: u64) {
    const FIELDS: usize = 200_000;
    if number.is_multiple_of(2) {
        out.push(0);
        text(out, &name(number));
        return text(out, &noise(number, 8 << 20));
    }
    out.push(4);
    text(out, &name(number));
    length(out, FIELDS);
    for field in 0..FIELDS {
        text(out, format!("field{field}").as_bytes());
        text(out, &[b'v'; 50]);
    }
}
