//! What an operator does in a terminal: completions, the manual, the demo, the settings, the status.

mod demo;
mod manual;
mod settings;
mod status;
mod watch;

use std::process::{Command, Output, Stdio};

/// `redtail` with these arguments, without redtail's variables of the environment.
fn redtail(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_redtail"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("REDTAIL_") {
            command.env_remove(name);
        }
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

pub fn run(arguments: &[&str]) -> Output {
    redtail(arguments).output().expect("it runs")
}

/// The standard output of a run that must succeed.
fn printed(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("it is text")
}

/// The standard error of a run that must end with that code and print nothing else.
fn complaint(code: i32, arguments: &[&str]) -> String {
    let output = run(arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert!(output.stdout.is_empty(), "{arguments:?}: {output:?}");
    said
}

/// Whether this machine has that program. If not, prints that the test is skipped.
fn is_there(program: &str) -> bool {
    let there = Command::new(program)
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success());
    if !there {
        eprintln!("this machine has no {program}, so that part is left out");
    }
    there
}
