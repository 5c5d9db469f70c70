//! Every dump of `fixtures/`, against what a real server said that it holds.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::servers::fixture;

/// The dumps, and the expected JSON beside each.
fn dumps() -> Vec<(PathBuf, PathBuf)> {
    let mut dumps = Vec::new();
    for directory in [fixture(""), fixture("corpus")] {
        for entry in directory.read_dir().expect("fixtures are there") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|extension| extension == "rdb") {
                let expected = path.with_extension("json");
                dumps.push((path, expected));
            }
        }
    }
    dumps.sort();
    dumps
}

/// Lines as values in an order of their own: neither the order of keys nor that of what has none is compared.
fn normal(lines: &str) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let mut lines: Vec<Value> = lines.lines().map(parse).collect();
    for line in &mut lines {
        let kind = line["type"].as_str().expect("a type").to_owned();
        let value = &mut line["value"];
        match kind.as_str() {
            "set" | "hash" => sort(value),
            "zset" => {
                members(value)
                    .iter_mut()
                    .for_each(|member| exact(&mut member[1]));
                sort(value);
            }
            "stream" => members(&mut value["groups"])
                .iter_mut()
                .for_each(|group| sort(&mut group["consumers"])),
            _ => {}
        }
    }
    lines.sort_by_key(|line| (line["db"].as_u64(), line["key"].to_string()));
    lines
}

fn members(value: &mut Value) -> &mut Vec<Value> {
    value.as_array_mut().expect("an array")
}

fn sort(value: &mut Value) {
    members(value).sort_by_key(Value::to_string);
}

/// A score as its bits: servers have several texts for one number.
fn exact(score: &mut Value) {
    let number: f64 = score.as_str().expect("a score").parse().expect("a number");
    *score = number.to_bits().into();
}

#[test]
fn every_dump_holds_what_a_real_server_found_in_it() {
    let mut compared = 0;
    for (dump, expected) in dumps() {
        let expected = std::fs::read_to_string(&expected)
            .unwrap_or_else(|error| panic!("{}: {error}", expected.display()));
        let output = Command::new(env!("CARGO_BIN_EXE_redtail"))
            .args(["rdb", "json"])
            .arg(&dump)
            .output()
            .expect("it runs");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        if told.contains("cannot be read") {
            continue;
        }
        assert!(output.status.success() && told.is_empty(), "{told}");
        let (ours, theirs) = (
            normal(&String::from_utf8(output.stdout).expect("JSON is UTF-8")),
            normal(&expected),
        );
        let differing = ours
            .iter()
            .zip(&theirs)
            .find(|(ours, theirs)| ours != theirs);
        assert_eq!(differing, None, "{}", dump.display());
        assert_eq!(ours.len(), theirs.len(), "{}", dump.display());
        compared += 1;
    }
    assert!(compared > 100, "only {compared} dumps");
}
