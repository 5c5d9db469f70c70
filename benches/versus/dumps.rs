//! Dumps as a tool, beside the tools that people have: rdbtools and its fork, the program of the crate rdb, `redis-check-rdb`, and
//! a server that loads the dump as the floor. Each reads the same three dumps, alone, in turn. Also: what every tool takes for one
//! big dump.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use tempfile::TempDir;

use crate::big_dumps::{Content, Cost, LOOK, TOOLS, make, run, run_tool};
use crate::process::{PATIENCE, Process};
use crate::systems;

/// The dumps, and their names.
const DUMPS: [(&str, Content); 3] = [
    ("small", Content::Small),
    ("mixed", Content::Mixed),
    ("huge", Content::Huge),
];

/// The newest version that all of the tools read: that of Redis 5.0 to 6.2.
const COMMON_VERSION: u16 = 9;

/// That of Redis 7.2.
const NEW_VERSION: u16 = 11;

/// A task that tools are compared on, and how redtail is asked for it.
const TASKS: [(&str, &[&str]); 4] = [
    ("check", &["rdb", "check"]),
    ("stats", &["rdb", "stats", "--json", "--quiet"]),
    ("json", &["rdb", "json", "--quiet"]),
    ("prefix", &["rdb", "prefix", "--json", "--quiet"]),
];

/// A tool that `benches/peers` installs, and how it is asked for a task or the nearest to it.
struct Peer {
    name: &'static str,
    /// The words for a task; none if it has nothing like it.
    task: fn(&str) -> &'static [&'static str],
    /// How many rounds it gets.
    rounds: fn(usize) -> usize,
}

const PEERS: [Peer; 3] = [
    Peer {
        name: "rdbtools",
        task: rdbtools,
        // A hundred times slower: one round is enough.
        rounds: |_| 1,
    },
    Peer {
        name: "rdb-cli",
        task: rdbtools,
        rounds: |_| 1,
    },
    Peer {
        name: "rdb",
        task: |task| match task {
            "check" => &["--format", "nil"],
            "json" => &["--format", "json"],
            _ => &[],
        },
        rounds: |rounds| rounds,
    },
];

/// The report of keys has what `stats` and `prefix` add up.
fn rdbtools(task: &str) -> &'static [&'static str] {
    match task {
        "stats" | "prefix" => &["--command", "memory"],
        "json" => &["--command", "json"],
        _ => &[],
    }
}

/// The program of a peer, if it is installed.
fn program(peer: &Peer) -> Option<PathBuf> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = home.join("target/peers").join(peer.name).join("bin/rdb");
    path.is_file().then_some(path)
}

/// Measures all tools on dumps of about `mebibytes` each, `rounds` times, and prints the medians.
pub(crate) fn measure(mebibytes: u64, rounds: usize) {
    let folder = TempDir::new().expect("a temporary directory");
    let checker = systems::checker(folder.path());
    for missing in PEERS.iter().filter(|peer| program(peer).is_none()) {
        let name = missing.name;
        println!("{name}: not installed (benches/peers): not measured");
    }
    if checker.is_none() {
        println!("redis-check-rdb: not installed (tests/servers): not measured");
    }
    println!(
        "{:8} {:8} {:18} {:>9} {:>9} {:>9}",
        "dump", "task", "tool", "MB/s", "CPU s", "MiB"
    );
    for (name, content) in DUMPS {
        let dump = folder.path().join(format!("{name}.rdb"));
        let bytes = make(&dump, mebibytes << 20, content, COMMON_VERSION).expect("it is written");
        for (task, arguments) in TASKS {
            let redtail = Path::new(env!("CARGO_BIN_EXE_redtail"));
            show(name, task, "redtail", bytes, rounds, || {
                run(Command::new(redtail).args(arguments).arg(&dump))
            });
            for peer in &PEERS {
                let words = (peer.task)(task);
                let Some(program) = program(peer).filter(|_| !words.is_empty()) else {
                    continue;
                };
                show(name, task, peer.name, bytes, (peer.rounds)(rounds), || {
                    run(Command::new(&program).args(words).arg(&dump))
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
        fs::remove_file(&dump).expect("it is there");
    }
}

/// Measures every tool once on a mixed dump of about `mebibytes`, in the directory for temporary files.
pub(crate) fn measure_tools(mebibytes: u64) {
    let folder = TempDir::new().expect("a temporary directory");
    let dump = folder.path().join("big.rdb");
    let bytes = make(&dump, mebibytes << 20, Content::Mixed, NEW_VERSION).expect("it is written");
    println!("{:40} {:>9} {:>9} {:>9}", "tool", "MB/s", "CPU s", "MiB");
    for tool in TOOLS {
        let redtail = Path::new(env!("CARGO_BIN_EXE_redtail"));
        let cost = run_tool(redtail, tool, &dump);
        let (rate, cpu, mebibytes) = figures(cost, bytes);
        let tool = tool.join(" ");
        println!("{tool:40} {rate:>9.0} {cpu:>9.2} {mebibytes:>9}");
    }
}

fn show(dump: &str, task: &str, tool: &str, bytes: u64, rounds: usize, run: impl Fn() -> Cost) {
    let mut costs: Vec<Cost> = (0..rounds.max(1)).map(|_| run()).collect();
    costs.sort_by_key(|cost| cost.cpu);
    let (rate, cpu, mebibytes) = figures(costs[costs.len() / 2], bytes);
    println!("{dump:8} {task:8} {tool:18} {rate:>9.0} {cpu:>9.2} {mebibytes:>9}");
}

/// MB/s, seconds of CPU time, and MiB at the peak.
fn figures(cost: Cost, bytes: u64) -> (f64, f64, u64) {
    let rate = bytes as f64 / 1e6 / cost.took.as_secs_f64();
    (rate, cost.cpu.as_secs_f64(), cost.peak_bytes >> 20)
}

/// A server that loads the dump, until it answers.
fn load(dump: &Path) -> Cost {
    let started = Instant::now();
    let server = Process::start(|port, directory| {
        std::os::unix::fs::symlink(dump, directory.join("dump.rdb")).expect("a link");
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
