//! The command line tools of the servers: redis-cli and valkey-cli with their modes, redis-benchmark and valkey-benchmark.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use super::{Kind, Primary};
use crate::servers::{ALL, Server, program};

/// A tool of the server `name`, connected to a server.
fn tool(name: &str, tool: &str, server: &Server) -> Command {
    let path = program(name, tool).expect("the server was there a moment ago");
    let mut command = Command::new(path);
    command.args(["-p", &server.port.to_string()]);
    command.stdin(Stdio::null());
    command
}

/// Returns the lines that a tool prints to both of its outputs, and its exit code. Progress ends lines, too.
fn lines(output: &Output) -> (Vec<String>, Option<i32>) {
    let bytes = [&output.stdout[..], &output.stderr].concat();
    let text = String::from_utf8_lossy(&bytes).replace('\r', "\n");
    let lines = text.lines().map(|line| line.trim_end().to_owned());
    (lines.collect(), output.status.code())
}

fn run(name: &str, server: &Server, arguments: &[&str]) -> (Vec<String>, Option<i32>) {
    lines(
        &tool(name, "cli", server)
            .args(arguments)
            .output()
            .expect("it runs"),
    )
}

/// Modes whose output is the same line for line.
const EXACT: &[&[&str]] = &[
    &["get", "n:7"],
    &["-n", "1", "get", "where"],
    &["--csv", "hgetall", "hash:small"],
    &["--no-raw", "lrange", "list:many", "0", "9"],
    &["zrange", "scan:zset", "0", "3", "withscores"],
    &["-3", "zrange", "scan:zset", "0", "3", "withscores"],
    &["-3", "hgetall", "hash:small"],
    &["xrange", "stream:small", "-", "+"],
    &["-c", "get", "n:7"],
    &["--hotkeys"],
    &["set", "a", "1"],
    &["-e", "set", "a", "1"],
    &["-r", "3", "get", "n:7"],
    &["--cluster", "check"],
];

/// Keeps the lines of `--bigkeys` that do not depend on the order of keys.
fn biggest(lines: Vec<String>) -> Vec<String> {
    let is_kept = |line: &String| !line.contains("so far") && !line.starts_with('[');
    lines.into_iter().filter(is_kept).collect()
}

/// Keeps what `--memkeys` counts. The sizes are those of redtail's own memory.
fn counted(lines: Vec<String>) -> Vec<String> {
    let totals = lines.into_iter().filter(|line| {
        line.starts_with("Sampled") || line.contains(" with ") && !line.contains("so far")
    });
    let count = |line: String| line.split(" with ").next().unwrap_or_default().to_owned();
    totals.map(count).collect()
}

/// Keeps what `--keystats` of redis-cli 8.0 says about lengths.
fn lengths(lines: Vec<String>) -> Vec<String> {
    let from = lines
        .into_iter()
        .skip_while(|line| !line.contains("Top length"));
    from.take_while(|line| !line.is_empty()).collect()
}

fn sorted((mut lines, code): (Vec<String>, Option<i32>)) -> (Vec<String>, Option<i32>) {
    lines.sort();
    (lines, code)
}

/// Reads and scans, and returns what both servers must agree on.
fn modes(name: &str, server: &Server) -> Vec<(Vec<String>, Option<i32>)> {
    let mut seen: Vec<_> = EXACT.iter().map(|words| run(name, server, words)).collect();
    seen.push(sorted(run(name, server, &["--scan", "--pattern", "n:1*"])));
    let (big, code) = run(name, server, &["--bigkeys"]);
    seen.push((biggest(big), code));
    let (memory, code) = run(name, server, &["--memkeys"]);
    seen.push((counted(memory), code));
    let (lines, code) = run(name, server, &["--keystats"]);
    seen.push((lengths(lines), code));
    seen.push(piped(name, server));
    seen
}

/// Sends a file of commands with `--pipe`, as for mass insertion: reads, and one write.
fn piped(name: &str, server: &Server) -> (Vec<String>, Option<i32>) {
    let mut command = tool(name, "cli", server);
    command.arg("--pipe").stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let mut input = child.stdin.take().expect("it is piped");
    let reads: String = (0..5000).map(|i| format!("GET n:{i}\r\n")).collect();
    input
        .write_all(format!("{reads}SET a 1\r\n").as_bytes())
        .expect("it reads");
    drop(input);
    lines(&child.wait_with_output().expect("it ends"))
}

#[test]
fn redis_cli_sees_a_replica() {
    for name in ALL {
        let Some(primary) = Primary::start(name) else {
            continue;
        };
        let [real, redtail] = [Kind::RealReplica, Kind::Redtail].map(|kind| primary.follower(kind));
        let theirs = modes(name, &real.server);
        let ours = modes(name, &redtail.server);
        for (theirs, ours) in theirs.iter().zip(&ours) {
            assert_eq!(theirs, ours, "{name}");
        }
        // The whole keyspace, and nothing twice.
        let (keys, _) = run(name, &redtail.server, &["--scan", "--pattern", "n:*"]);
        assert_eq!(keys.len(), super::STRINGS, "{name}");
        refuses_to_feed(name, &redtail.server);
        measures(name, &redtail.server);
    }
}

/// `--rdb` asks for a snapshot as a replica does. redtail feeds no replicas, and the tool must say so.
fn refuses_to_feed(name: &str, redtail: &Server) {
    let file: PathBuf = redtail.directory().join("never.rdb");
    let (lines, code) = run(name, redtail, &["--rdb", &file.to_string_lossy()]);
    let reason = "redtail has no replicas of its own";
    assert_eq!(code, Some(1), "{name}: {lines:?}");
    assert!(
        lines.iter().any(|line| line.contains(reason)),
        "{name}: {lines:?}"
    );
}

/// Runs a mode that never ends in a terminal, and interrupts it after a while. Returns its lines.
fn watch(name: &str, server: &Server, arguments: &str) -> Vec<String> {
    let path = program(name, "cli").expect("the server was there a moment ago");
    let command = format!(
        "timeout -s INT 1.2 '{}' -p {} {arguments}",
        path.display(),
        server.port
    );
    let mut script = Command::new("script");
    script
        .args(["-qefc", &command, "/dev/null"])
        .stdin(Stdio::null());
    lines(&script.output().expect("script runs")).0
}

/// The number of keys of all databases.
fn keys(server: &Server) -> usize {
    let text = server.command("INFO keyspace").text();
    let counts = text.lines().filter_map(|line| line.split_once("keys="));
    let count = |(_, rest): (&str, &str)| rest.split(',').next()?.parse::<usize>().ok();
    counts.filter_map(count).sum()
}

/// The modes that measure print their figures.
fn measures(name: &str, redtail: &Server) {
    let keys = keys(redtail).to_string();
    let (samples, stat, history) = std::thread::scope(|scope| {
        let samples = scope.spawn(|| run(name, redtail, &["--latency"]).0);
        let stat = scope.spawn(|| watch(name, redtail, "--stat -i 0.2"));
        let history = scope.spawn(|| watch(name, redtail, "--latency-history -i 0.4"));
        (samples.join(), stat.join(), history.join())
    });
    let samples = samples.expect("it ran").join(" ");
    let figures: Vec<&str> = samples.split_whitespace().collect();
    let [_, _, _, count] = figures[..] else {
        panic!("{name}: {samples}");
    };
    assert_ne!(count, "0", "{name}: {samples}");
    let stat = stat.expect("it ran");
    let is_line = |line: &&String| line.split_whitespace().next() == Some(&keys);
    assert!(stat.iter().filter(is_line).count() > 1, "{name}: {stat:?}");
    let history = history.expect("it ran").join("\n");
    assert!(history.contains("samples)"), "{name}: {history}");
}

/// Returns what a benchmark prints, with its exit code.
fn benchmark(name: &str, server: &Server, arguments: &[&str]) -> (String, Option<i32>) {
    let output = tool(name, "benchmark", server).args(arguments).output();
    let (lines, code) = lines(&output.expect("it runs"));
    (lines.join("\n"), code)
}

#[test]
fn redis_benchmark_reads() {
    for name in ALL {
        let Some(primary) = Primary::start(name) else {
            continue;
        };
        let [real, redtail] = [Kind::RealReplica, Kind::Redtail].map(|kind| primary.follower(kind));
        for arguments in [
            &[
                "-t", "ping,get", "-n", "20000", "-c", "10", "-P", "16", "-q",
            ][..],
            &[
                "-t",
                "get",
                "-n",
                "5000",
                "-r",
                "20000",
                "--threads",
                "2",
                "-q",
            ],
            &["-n", "2000", "-r", "20000", "-q", "get", "n:__rand_int__"],
            &["-n", "2000", "-q", "lrange", "scan:list", "0", "20"],
        ] {
            let (report, code) = benchmark(name, &redtail.server, arguments);
            let is_done = report.contains("requests per second") && !report.contains("rror");
            assert!(is_done && code == Some(0), "{name} {arguments:?}: {report}");
        }
        // Writes: refused, and reported as with a real replica.
        let write = ["-t", "set", "-n", "10", "-c", "1", "-e", "-q"];
        let [theirs, ours] = [&real, &redtail].map(|follower| {
            let (report, code) = benchmark(name, &follower.server, &write);
            (report.contains("READONLY You can't write"), code)
        });
        assert_eq!(theirs, ours, "{name}");
        assert!(ours.0, "{name}");
    }
}
