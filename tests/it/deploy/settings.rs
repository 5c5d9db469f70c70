//! The settings in the files of `docs/deploy` are settings of the program.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use super::{file, text};

/// The variables that a text names.
fn variables(text: &str) -> BTreeSet<&str> {
    let is_part =
        |letter: char| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_';
    let words = text.split(|letter| !is_part(letter));
    words.filter(|word| word.starts_with("REDTAIL_")).collect()
}

#[test]
fn every_variable_is_one_that_the_program_knows() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_redtail"));
    let output = command.args(["serve", "--help"]).output().expect("it runs");
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    let known = variables(&help);
    let mut used = 0;
    for name in [
        "Dockerfile",
        "README.md",
        "compose.yaml",
        "kubernetes/sidecar.yaml",
        "kubernetes/standalone.yaml",
        "systemd/redtail.service",
        "systemd/redtail.service.d/secrets.conf",
    ] {
        for variable in variables(&text(name)) {
            assert!(known.contains(variable), "{name}: {variable}");
            used += 1;
        }
    }
    assert!(used > 20, "{used}");
}

/// The example with every line in force that only shows a default or an alternative. A key that comes again is left out.
fn with_every_key(example: &str) -> String {
    let mut keys = BTreeSet::new();
    let mut all = String::new();
    for line in example.lines() {
        let setting = line.strip_prefix("# ").unwrap_or(line);
        let Some((key, _)) = setting.split_once(" = ") else {
            continue;
        };
        let is_key = key
            .chars()
            .all(|letter| letter.is_ascii_lowercase() || letter == '-');
        if is_key && keys.insert(key) {
            all.push_str(setting);
            all.push('\n');
        }
    }
    assert!(keys.len() > 10, "{keys:?}");
    all
}

/// Asserts that redtail starts with this configuration, up to the listener, whose address another program has.
fn assert_valid(configuration: &Path, state: &Path) {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let listen = taken.local_addr().expect("an address").to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_redtail"));
    command
        .args(["serve", "--listen", &listen, "--config"])
        .arg(configuration);
    command.arg("--state-dir").arg(state);
    let output = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // 2 would be a wrong setting.
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot listen on"), "{said}");
}

#[test]
fn the_example_configuration_is_valid_as_it_is_and_with_every_line_in_force() {
    let directory = tempfile::tempdir().expect("a directory");
    let state = directory.path().join("state");
    assert_valid(&file("redtail.toml"), &state);

    let all = directory.path().join("all.toml");
    let password = directory.path().join("primary-password");
    std::fs::write(&password, "secret").expect("a file");
    let here = directory.path().display().to_string();
    let in_force = with_every_key(&text("redtail.toml")).replace("/etc/redtail", &here);
    // Settings for TLS need an address that uses it.
    let in_force = in_force.replace("redis://", "rediss://");
    std::fs::write(&all, in_force).expect("a file");
    assert_valid(&all, &state);
}
