//! The clients and tools that `tests/tools` fetches.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::servers::present;

/// Returns the path of the program `name` ("exporter", "promtool", "chromium", "python", "node"). If it is missing, prints that the
/// test is skipped and returns `None`.
///
/// # Panics
/// If it is missing and `REDTAIL_TESTS_STRICT=1`.
pub fn path(name: &str) -> Option<PathBuf> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tools =
        std::env::var_os("REDTAIL_TOOLS").map_or(home.join("target/tools"), |d| home.join(d));
    present(tools.join("bin").join(name), "tests/tools")
}

/// Returns what a program prints when it is asked for its version.
fn version(name: &str) -> Option<String> {
    let output = Command::new(path(name)?)
        .arg("--version")
        .output()
        .expect("it starts");
    assert!(output.status.success(), "{name}: {output:?}");
    let mut text = output.stdout;
    text.extend(output.stderr);
    Some(String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn tools_start_and_say_what_they_are() {
    for (name, title) in [
        ("exporter", "Redis Metrics Exporter"),
        ("prometheus", "prometheus, version"),
        ("promtool", "promtool, version"),
        ("chromium", "Chromium"),
        ("chromedriver", "ChromeDriver"),
        ("systemd-analyze", "systemd"),
        ("python", "Python 3"),
        ("hadolint", "Haskell Dockerfile Linter"),
        ("docker-compose", "Docker Compose version"),
        ("node", "v"),
    ] {
        let Some(version) = version(name) else { return };
        assert!(version.contains(title), "{name}: {version}");
    }
}
