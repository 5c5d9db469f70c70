//! The settings in the files of `docs/deploy` are settings of the program.

use std::collections::BTreeSet;
use std::process::Command;

use super::text;

/// Runs `redtail` with these words, and returns what it says, and whether it succeeds.
fn redtail(words: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_redtail"));
    let output = command.args(words).output().expect("it runs");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

/// The variables that a text names.
fn variables(text: &str) -> BTreeSet<&str> {
    let is_part =
        |letter: char| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_';
    let words = text.split(|letter| !is_part(letter));
    words.filter(|word| word.starts_with("REDTAIL_")).collect()
}

#[test]
fn every_variable_is_one_that_the_program_knows() {
    let (_, help) = redtail(&["serve", "--help"]);
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
