//! The container image, without a container engine: an empty root with the program in it, read-only, as the image's numeric user,
//! without a capability.
//!
//! The program is this build's, with the libraries that it loads. `REDTAIL_IMAGE_PROGRAM` names a static one to try instead, such as
//! `docs/deploy/build-static` prints.

use std::fs::{DirBuilder, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::text;
use crate::servers::{Server, free_port};

/// The user of the image, as the Dockerfile says it.
const USER: u32 = 65532;

/// The image's root, and the settings that it brings.
struct Image {
    root: TempDir,
    settings: Vec<(String, String)>,
}

/// The program to put into the image.
fn program() -> PathBuf {
    let given = std::env::var_os("REDTAIL_IMAGE_PROGRAM");
    given.map_or_else(|| env!("CARGO_BIN_EXE_redtail").into(), PathBuf::from)
}

/// The libraries that a program loads, with the loader; none if it is static.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(program).output().expect("ldd runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let words = text.split_whitespace().filter(|word| word.starts_with('/'));
    words.map(PathBuf::from).collect()
}

/// The value of an instruction of the Dockerfile's last stage, with lines that continue joined.
fn instruction(name: &str) -> String {
    let text = text("Dockerfile").replace("\\\n", " ");
    let (_, last) = text.rsplit_once("\nFROM ").expect("stages");
    let mut found = last
        .lines()
        .filter_map(|line| line.trim().strip_prefix(name)?.strip_prefix(' '));
    found
        .next()
        .unwrap_or_else(|| panic!("no {name}"))
        .trim()
        .to_owned()
}

impl Image {
    /// Makes the root that the Dockerfile makes. Returns `None` if this machine allows no such thing.
    fn new() -> Option<Self> {
        assert_eq!(instruction("USER"), format!("{USER}:{USER}"));
        let root = TempDir::new().expect("a directory");
        std::fs::set_permissions(root.path(), Permissions::from_mode(0o755)).expect("others enter");
        let copy = |from: &Path, to: &Path| {
            let to = root.path().join(to.strip_prefix("/").expect("absolute"));
            std::fs::create_dir_all(to.parent().expect("a parent")).expect("a directory");
            std::fs::copy(from, &to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        };
        let program = program();
        copy(&program, Path::new("/usr/bin/redtail"));
        libraries(&program)
            .iter()
            .for_each(|library| copy(library, library));
        // What a container engine adds.
        for directory in ["proc", "etc/redtail/secret"] {
            std::fs::create_dir_all(root.path().join(directory)).expect("a directory");
        }
        let data = root.path().join("data");
        DirBuilder::new()
            .mode(0o700)
            .create(&data)
            .expect("a directory");
        let settings = instruction("ENV");
        let settings = settings
            .split_whitespace()
            .filter_map(|pair| pair.split_once('='));
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let image = Self {
            settings: settings.collect(),
            root,
        };
        let owned = std::os::unix::fs::chown(&data, Some(USER), Some(USER));
        if owned.is_err()
            || !image
                .run(&["/usr/bin/redtail", "--version"])
                .stdout(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
        {
            _ = writeln!(
                std::io::stderr(),
                "SKIPPED: this user may not enter another root"
            );
            return None;
        }
        Some(image)
    }

    /// A command inside the image, with its settings and nothing else in the environment.
    fn run(&self, words: &[&str]) -> Command {
        // The root is read-only except for its volume. `exec` keeps the process: its pid is the program's.
        let enter = "mount --bind \"$1\" \"$1\" && mount --bind \"$1/data\" \"$1/data\" && mount --rbind /proc \"$1/proc\" &&
            mount -o remount,bind,ro \"$1\" && root=$1 && shift && exec setpriv --bounding-set=-all,+sys_chroot,+setuid,+setgid \
            --inh-caps=-all --no-new-privs chroot --userspec=\"$USER_ID:$USER_ID\" --groups= \"$root\" \"$@\"";
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-c", enter, "-"])
            .arg(self.root.path())
            .args(words);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("USER_ID", USER.to_string());
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).current_dir("/");
        command
    }

    /// Starts redtail in the image with more settings.
    fn start(&self, settings: &[(&str, String)]) -> Server {
        let words: Vec<String> = serde_json::from_str(&instruction("ENTRYPOINT")).expect("a list");
        let more: Vec<String> = serde_json::from_str(&instruction("CMD")).expect("a list");
        let words: Vec<&str> = words.iter().chain(&more).map(String::as_str).collect();
        Server::spawn(None, |port, _| {
            let mut command = self.run(&words);
            command.envs(settings.iter().map(|(name, value)| (name, value)));
            command.env("REDTAIL_LISTEN", format!("127.0.0.1:{port}"));
            command
        })
    }

    /// The volume.
    fn data(&self) -> PathBuf {
        self.root.path().join("data")
    }
}

/// The line of `/proc/PID/status` with this title.
fn status(pid: u32, title: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(title)?.strip_prefix(':'));
    line.expect("a line").trim().to_owned()
}

#[test]
fn the_image_needs_neither_a_shell_nor_a_root_that_it_can_write_to() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    let Some(image) = Image::new() else {
        return;
    };
    primary.command("SET greeting hello");
    // Its address needs a lookup, which must not depend on libraries that the image lacks.
    std::fs::write(image.root.path().join("etc/hosts"), "127.0.0.1 primary\n").expect("a file");
    let settings = [
        (
            "REDTAIL_PRIMARY",
            format!("redis://primary:{}", primary.port),
        ),
        ("REDTAIL_STATE_DIR", "/data/state".to_owned()),
        ("REDTAIL_HTTP", format!("127.0.0.1:{}", free_port())),
    ];
    let mut redtail = image.start(&settings);
    redtail.wait_for("its first sync", |client| {
        client.command("DBSIZE").is_integer()
    });
    assert_eq!(redtail.command("GET greeting").text(), "hello");

    let pid = redtail.pid();
    assert_eq!(
        status(pid, "Uid"),
        format!("{USER}\t{USER}\t{USER}\t{USER}")
    );
    assert_eq!(status(pid, "CapEff"), "0000000000000000");
    assert_eq!(status(pid, "NoNewPrivs"), "1");
    assert!(
        image.data().join("state/lock").exists(),
        "{}",
        redtail.log()
    );

    // The volume is all that a new container needs.
    redtail.stop();
    drop(primary);
    let redtail = image.start(&settings);
    redtail.wait_for("the kept data", |client| {
        client.command("GET greeting").text() == "hello"
    });
    assert!(!redtail.log().contains("read-only"), "{}", redtail.log());
}
