//! `redtail config check` and `redtail serve --print-config`.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::{complaint, printed, redtail};

/// Writes a configuration file that only its owner may read.
fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("a file");
    let mode = fs::Permissions::from_mode(0o600);
    fs::set_permissions(path, mode).expect("it is ours");
}

#[test]
fn right_settings_are_called_so_and_nothing_is_connected_to_or_listened_on() {
    let primary = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let (primary_at, taken_at) = (primary.local_addr(), taken.local_addr());
    let primary_at = format!("redis://{}", primary_at.expect("an address"));
    let taken_at = taken_at.expect("an address").to_string();
    let directory = tempfile::tempdir().expect("a directory");
    let state = directory.path().join("state");
    let said = printed(&[
        "config",
        "check",
        "--primary",
        &primary_at,
        "--listen",
        &taken_at,
        "--state-dir",
        &state.display().to_string(),
    ]);
    assert_eq!(said, "The settings are right.\n");
    primary.set_nonblocking(true).expect("a socket");
    assert!(primary.accept().is_err(), "it connected");
    assert!(!state.exists(), "it made the directory");
}

#[test]
fn every_mistake_is_listed_with_its_place_and_what_to_do() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("redtail.toml");
    write(&file, "primry = \"h\"\nmaxclients = \"many\"\n");
    let path = file.display().to_string();
    let said = complaint(2, &["config", "check", "--config", &path]);
    let expected = format!(
        "redtail: 2 mistakes in the settings\n\
         {path}:1:1: unknown key `primry`. Did you mean `primary`?\n\
         {path}:2:14: the key `maxclients` must be a whole number, without quotes\n"
    );
    assert_eq!(said, expected);
    // The same words as when serve is started.
    let served = complaint(2, &["serve", "--config", &path]);
    assert_eq!(
        served,
        format!("redtail: {path}:1:1: unknown key `primry`. Did you mean `primary`?\n")
    );
}

#[test]
fn settings_that_contradict_each_other_and_files_that_cannot_be_used_are_found() {
    let directory = tempfile::tempdir().expect("a directory");
    let inside = |name: &str| directory.path().join(name).display().to_string();
    fs::write(inside("no-pem"), "hello").expect("a file");
    fs::write(inside("empty"), "\n").expect("a file");
    let text = format!(
        "primary = \"rediss://h\"\nresync-guard = 150\nprimary-password-file = \"{}\"\ntls-ca-cert-file = \"{}\"\nstate-dir = \"{}\"\n",
        inside("empty"),
        inside("no-pem"),
        inside("no-pem"),
    );
    let file = directory.path().join("redtail.toml");
    write(&file, &text);
    let path = file.display().to_string();
    let mut command = redtail(&["config", "check", "--config", &path]);
    command
        .args(["--listen", "127.0.0.1:1,127.0.0.1:1,unix:/nowhere/at/all"])
        .env("REDTAIL_SPOOL_DIR", "/nowhere")
        .env("REDTAIL_LOG_LEVEL", "loud");
    let output = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    for line in [
        format!("{path}:2:1: --resync-guard: write a percentage from 0 to 100"),
        format!(
            "{path}:3:1: --primary-password-file: cannot use {}: it is empty",
            inside("empty")
        ),
        format!(
            "{path}:4:1: the --tls-… settings: {} contains no certificate (a PEM block)",
            inside("no-pem")
        ),
        format!("{path}:5:1: --state-dir: "),
        "flag --listen: --listen: 127.0.0.1:1 is given twice: remove one of them".to_owned(),
        "flag --listen: --listen: the directory /nowhere/at of the socket does not exist"
            .to_owned(),
        "variable REDTAIL_SPOOL_DIR: --spool-dir: cannot create a file in /nowhere: No such file"
            .to_owned(),
        "variable REDTAIL_LOG_LEVEL: --log-level: unknown level \"loud\"".to_owned(),
    ] {
        assert!(
            said.lines().any(|said| said.starts_with(&line)),
            "{line}\nis not in\n{said}"
        );
    }
    assert_eq!(said.lines().count(), 9, "{said}");
}

#[test]
fn what_is_most_likely_not_meant_is_a_warning() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("redtail.toml");
    fs::write(
        &file,
        "primary = \"h\"\nprimary-password = \"secret\"\nack = \"honest\"\n",
    )
    .expect("a file");
    let path = file.display().to_string();
    let mut command = redtail(&[
        "config",
        "check",
        "--config",
        &path,
        "--listen",
        "0.0.0.0:7",
    ]);
    let output = command
        .env("REDTAIL_MAX_STALNESS", "5s")
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    for line in [
        "warning: redtail ignores the unknown variable REDTAIL_MAX_STALNESS. Did you mean REDTAIL_MAX_STALENESS?".to_owned(),
        format!("warning: {path}:3:1: --ack honest without --announce-port"),
        "warning: 0.0.0.0:7: protected mode: no password is set".to_owned(),
        format!("warning: {path}:2:1: every user of this machine can read this password. Restrict the file to its owner: chmod 600 {path}"),
    ] {
        assert!(said.lines().any(|said| said.starts_with(&line)), "{line}\nis not in\n{said}");
    }
    assert!(!said.contains("secret"), "{said}");
    assert!(said.ends_with("\nThe settings are right.\n"), "{said}");
}

#[test]
fn a_wrong_variable_is_named_as_one() {
    let mut command = redtail(&["serve", "--primary", "h"]);
    let output = command
        .env("REDTAIL_MAXCLIENTS", "")
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("This is the value of the variable REDTAIL_MAXCLIENTS"),
        "{said}"
    );
    let said = complaint(2, &["serve", "--primary", "h", "--maxclients", "many"]);
    assert!(!said.contains("variable"), "{said}");
}

#[test]
fn the_printed_settings_are_a_configuration_file_that_means_the_same() {
    let directory = tempfile::tempdir().expect("a directory");
    let first = directory.path().join("first.toml");
    write(
        &first,
        "primary = [\"redis://u:hidden-word@h:1\", \"h:2\"]\ndatabases = 3\n",
    );
    let given = |path: &Path| {
        let mut command = redtail(&["serve", "--print-config", "--maxclients", "7", "--config"]);
        command.arg(path).env("REDTAIL_TRACK_ACCESS", "yes");
        let output = command.output().expect("it runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("it is text")
    };
    let text = given(&first);
    assert!(!text.contains("hidden-word"), "{text}");
    for line in [
        format!(
            "primary = [\"redis://u@h:1\", \"h:2\"]  # {}:1:1; the password is not shown",
            first.display()
        ),
        format!("databases = 3  # {}:2:1", first.display()),
        "maxclients = 7  # flag --maxclients".to_owned(),
        "track-access = \"yes\"  # variable REDTAIL_TRACK_ACCESS".to_owned(),
        "timeout = 0  # default".to_owned(),
        "# state-dir is not set  # default: none, so each start needs a full sync".to_owned(),
    ] {
        assert!(
            text.lines().any(|said| said == line),
            "{line}\nis not in\n{text}"
        );
    }
    let second = directory.path().join("second.toml");
    write(&second, &text);
    let values = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines
            .map(|line| line.split("  # ").next().unwrap_or_default().to_owned())
            .collect()
    };
    assert_eq!(values(&given(&second)), values(&text));
}
