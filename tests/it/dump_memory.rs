//! No dump tool needs memory for the whole dump.
//!
//! `REDTAIL_DUMP_MEBIBYTES` is the size of the dump. `cargo bench --bench versus -- tools --mebibytes 10240` does the same with
//! the optimised program.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::big_dumps::{Content, TOOLS, make, run_tool};

/// What `docs/dumps.md` promises for all tools.
const BOUND_BYTES: u64 = 200 << 20;

/// What it promises for those that only add up or print, with values of 20 MiB.
const LOW_BOUND_BYTES: u64 = 64_000_000;

/// The tools with the lower bound.
const LOW: [&str; 4] = ["check", "stats", "json", "prefix"];

/// The size of the dump. Without one it is small, and only a tool that takes three times as much is found.
fn mebibytes() -> u64 {
    let value = std::env::var("REDTAIL_DUMP_MEBIBYTES").ok();
    value.map_or(64, |value| value.parse().expect("a number of mebibytes"))
}

#[test]
fn made_dumps_are_sound_and_hold_what_they_should() {
    let folder = tempfile::tempdir().expect("a folder");
    let dump = folder.path().join("made.rdb");
    let mixed = &["string", "hash", "list", "set", "zset"];
    for (content, mebibytes, types) in [
        (Content::Small, 1, &["string"][..]),
        (Content::Mixed, 4, mixed),
        (Content::Huge, 9, &["string", "hash"]),
    ] {
        for version in [9, 11] {
            let bytes =
                make(&dump, mebibytes << 20, content, version).expect("the dump is written");
            let mut check = Command::new(env!("CARGO_BIN_EXE_redtail"));
            let check = check.args(["rdb", "check", "--json"]).arg(&dump);
            let output = check.output().expect("it runs");
            let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
            assert_eq!(report["sound"], true, "{report}");
            assert_eq!(report["bytes"], bytes);
            assert_eq!(report["version"], format!("REDIS{version:04}"));
            let found = report["types"].as_object().expect("an object");
            assert!(
                types.iter().all(|name| found.contains_key(*name)) && found.len() == types.len()
            );
        }
    }
}

#[test]
fn no_tool_takes_more_than_200_mib_for_a_dump_of_any_size() {
    let folder = tempfile::tempdir().expect("a folder");
    let dump = folder.path().join("big.rdb");
    let bytes = mebibytes() << 20;
    let written = make(&dump, bytes, Content::Mixed, 11).expect("the dump is written");
    assert!(written >= bytes, "{written}");
    let redtail = Path::new(env!("CARGO_BIN_EXE_redtail"));
    for tool in TOOLS {
        let cost = run_tool(redtail, tool, &dump);
        let (took, cpu, mebibytes) = (cost.took, cost.cpu, cost.peak_bytes >> 20);
        println!("{tool:?}: {took:.1?}, {cpu:.1?} of CPU, {mebibytes} MiB");
        assert!(cost.peak_bytes > 0, "{tool:?}: its memory was not seen");
        let bound = match tool.first().is_some_and(|name| LOW.contains(name)) {
            true => LOW_BOUND_BYTES,
            false => BOUND_BYTES,
        };
        assert!(cost.peak_bytes < bound, "{tool:?}: {cost:?}");
    }
}
