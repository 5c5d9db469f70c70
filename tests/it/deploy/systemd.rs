//! The systemd unit, as systemd's own tool sees it.

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use super::{file, text};
use crate::tools;

/// A directory with the unit and its drop-ins as they would be installed, but with this build's program.
fn installed() -> TempDir {
    let directory = TempDir::new().expect("a directory");
    let unit = text("systemd/redtail.service");
    let program = env!("CARGO_BIN_EXE_redtail");
    assert!(unit.contains("ExecStart=/usr/bin/redtail serve "), "{unit}");
    let unit = unit.replace("/usr/bin/redtail", program);
    std::fs::write(directory.path().join("redtail.service"), unit).expect("a file");
    let drop_ins = directory.path().join("redtail.service.d");
    std::fs::create_dir(&drop_ins).expect("a directory");
    for entry in file("systemd/redtail.service.d")
        .read_dir()
        .expect("drop-ins")
    {
        let path = entry.expect("an entry").path();
        std::fs::copy(&path, drop_ins.join(path.file_name().expect("a name"))).expect("a copy");
    }
    directory
}

fn analyze(tool: &Path, arguments: &[&str], directory: &TempDir) -> Output {
    let unit = directory.path().join("redtail.service");
    let mut command = Command::new(tool);
    command.args(arguments).arg(unit).output().expect("it runs")
}

#[test]
fn systemd_understands_every_line_of_the_unit() {
    let Some(tool) = tools::path("systemd-analyze") else {
        return;
    };
    let directory = installed();
    // The manual is installed by the package.
    let verify = || analyze(&tool, &["verify", "--man=no"], &directory);
    let output = verify();
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success() && complaints.is_empty(),
        "{complaints}"
    );

    // It would have complained.
    let wrong = directory.path().join("redtail.service.d/wrong.conf");
    std::fs::write(wrong, "[Service]\nMemoryDenyWriteExec=yes\n").expect("a file");
    let complaints = String::from_utf8_lossy(&verify().stderr).into_owned();
    assert!(complaints.contains("MemoryDenyWriteExec"), "{complaints}");
}

#[test]
fn the_unit_is_exposed_to_hardly_anything() {
    let Some(tool) = tools::path("systemd-analyze") else {
        return;
    };
    let directory = installed();
    // On systemd's scale from 0 to 100, of which "OK" ends at 20 and most services are above 90. The unit has 11 in systemd 252,
    // most of it for the network.
    let arguments = ["security", "--offline=true", "--threshold=15", "--no-pager"];
    let output = analyze(&tool, &arguments, &directory);
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{report}");
}
