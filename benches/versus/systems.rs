//! The compared systems: installed servers, builds of redtail, and floors that do the minimal work.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::clusters::bus;
use crate::process::Process;

/// The rivals that are measured unless systems are named.
const RIVALS: [&str; 3] = ["redis-7.0", "redis-8.0", "valkey-9.1"];
/// The build of redtail that belongs to this bench.
pub(crate) const REDTAIL: &str = "redtail";
/// The minimal work: a replica that keeps nothing, and a server that looks nothing up.
pub(crate) const FLOOR: &str = "floor";

/// A system to measure.
#[derive(Clone)]
pub(crate) struct System {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// How a system is started.
#[derive(Clone)]
pub(crate) enum Kind {
    /// A server of Redis or Valkey.
    Rival(PathBuf),
    /// A build of redtail.
    Redtail(PathBuf),
    Floor,
}

impl System {
    /// The `named` systems, or all that are installed if none is named, followed by the `builds` of redtail, each NAME=PATH.
    ///
    /// # Panics
    /// If a named system is not installed.
    pub(crate) fn choose(named: &[String], builds: &[String]) -> Vec<Self> {
        let mut systems = Vec::new();
        for name in named {
            let system = Self::find(name)
                .unwrap_or_else(|| panic!("{name} is not installed: run tests/servers"));
            systems.push(system);
        }
        if named.is_empty() {
            let all = [REDTAIL].into_iter().chain(RIVALS).chain([FLOOR]);
            systems.extend(all.filter_map(Self::find));
        }
        systems.extend(builds.iter().map(|build| {
            let (name, path) = build.split_once('=').expect("--system NAME=PATH");
            let path = std::path::absolute(path).expect("a path");
            Self::new(name, Kind::Redtail(path))
        }));
        systems
    }

    fn find(name: &str) -> Option<Self> {
        let kind = match name {
            REDTAIL => Kind::Redtail(env!("CARGO_BIN_EXE_redtail").into()),
            FLOOR => Kind::Floor,
            name => Kind::Rival(server(name)?),
        };
        Some(Self::new(name, kind))
    }

    /// The same system under another name.
    pub(crate) fn named(&self, name: &str) -> Self {
        Self::new(name, self.kind.clone())
    }

    fn new(name: &str, kind: Kind) -> Self {
        Self {
            name: name.to_owned(),
            kind,
        }
    }

    /// Whether redtail is compared with it.
    pub(crate) fn is_rival(&self) -> bool {
        matches!(self.kind, Kind::Rival(_))
    }

    /// Whether it serves data.
    pub(crate) fn has_reads(&self) -> bool {
        !matches!(self.kind, Kind::Floor)
    }

    /// The version that the program reports.
    pub(crate) fn version(&self) -> String {
        let (Kind::Rival(path) | Kind::Redtail(path)) = &self.kind else {
            return String::new();
        };
        let output = Command::new(path)
            .arg("--version")
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&output.stdout);
        let version = said.split_whitespace().find_map(|word| {
            let word = word.strip_prefix("v=").unwrap_or(word);
            word.starts_with(|first: char| first.is_ascii_digit())
                .then_some(word)
        });
        version.unwrap_or_default().to_owned()
    }

    /// Starts it as a replica of `primary`, with its default settings. It may not listen yet.
    pub(crate) fn replica(&self, primary: &Process) -> Process {
        self.spawn(primary, |_| ())
    }

    /// Starts a build of redtail as a follower of another address than a single server's.
    ///
    /// # Panics
    /// If it is not a build of redtail.
    pub(crate) fn follower(&self, address: &str) -> Process {
        let Kind::Redtail(program) = &self.kind else {
            panic!("{} does not follow {address}", self.name);
        };
        Process::start(|port, _| {
            let mut command = Command::new(program);
            command.args(["serve", "--primary", address]);
            command.args(["--listen", &format!("127.0.0.1:{port}")]);
            command
        })
    }

    /// Starts a build of redtail that prints the changes of `primary` into its log.
    ///
    /// # Panics
    /// If it is not a build of redtail.
    pub(crate) fn tail(&self, primary: &Process) -> Process {
        let Kind::Redtail(program) = &self.kind else {
            panic!("{} prints no changes", self.name);
        };
        Process::start(|_, _| {
            let mut command = Command::new(program);
            command.args(["tail", &format!("redis://127.0.0.1:{}", primary.port)]);
            command
        })
    }

    /// The same, with a variable in its environment.
    pub(crate) fn replica_in(&self, (name, value): (&str, &str), primary: &Process) -> Process {
        self.spawn(primary, |command| _ = command.env(name, value))
    }

    /// The same, with arguments that all systems take.
    pub(crate) fn replica_with(&self, arguments: &[&str], primary: &Process) -> Process {
        self.spawn(primary, |command| _ = command.args(arguments))
    }

    fn spawn(&self, primary: &Process, adapt: impl FnOnce(&mut Command)) -> Process {
        Process::start(|port, directory| {
            let mut command = match &self.kind {
                Kind::Rival(program) => rival(program, port, directory, primary.port),
                Kind::Redtail(program) => redtail(program, port, primary.port),
                Kind::Floor => floor("swallow", primary.port),
            };
            adapt(&mut command);
            command
        })
    }
}

/// Starts the server `name` as a primary without data.
///
/// # Panics
/// If the server is not installed.
pub(crate) fn primary(name: &str) -> Process {
    let program =
        server(name).unwrap_or_else(|| panic!("{name} is not installed: run tests/servers"));
    let process = Process::start(|port, directory| {
        let mut command = server_command(&program, port, directory);
        command.args(["--repl-diskless-sync-delay", "0"]);
        command.args(["--enable-debug-command", "yes"]);
        command
    });
    process.listening()
}

/// Starts the server `name` as a node of a cluster that it is not part of yet.
///
/// # Panics
/// If the server is not installed.
pub(crate) fn node(name: &str) -> Process {
    let program =
        server(name).unwrap_or_else(|| panic!("{name} is not installed: run tests/servers"));
    let process = Process::start(|port, directory| {
        let mut command = server_command(&program, port, directory);
        command.args([
            "--repl-diskless-sync-delay",
            "0",
            "--cluster-enabled",
            "yes",
        ]);
        command.args(["--cluster-port", &bus(port).to_string()]);
        command
    });
    process.listening()
}

/// Starts the server that answers with a constant.
pub(crate) fn constant_server() -> Process {
    Process::start(|port, _| floor("constant", port)).listening()
}

fn floor(part: &str, port: u16) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--bench", part, "--port", &port.to_string()]);
    command
}

fn redtail(program: &Path, port: u16, primary: u16) -> Command {
    let mut command = Command::new(program);
    command.args([
        "serve",
        "--primary",
        &format!("redis://127.0.0.1:{primary}"),
    ]);
    command.args(["--listen", &format!("127.0.0.1:{port}")]);
    command
}

/// A server as a replica that loads its first snapshot straight from the socket, which is fastest for it. By default it would
/// write the snapshot to disk first.
fn rival(program: &Path, port: u16, directory: &Path, primary: u16) -> Command {
    let mut command = server_command(program, port, directory);
    command.args(["--repl-diskless-load", "on-empty-db"]);
    command.args(["--replicaof", "127.0.0.1", &primary.to_string()]);
    command
}

/// A server that takes no snapshots of its own, because one could fall in the middle of a measurement.
fn server_command(program: &Path, port: u16, directory: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
    command.args(["--save", "", "--dir"]).arg(directory);
    command
}

/// A server without data on this port, with what `directory` holds.
///
/// # Panics
/// If the server is not installed.
pub(crate) fn empty_server(name: &str, port: u16, directory: &Path) -> Command {
    let program =
        server(name).unwrap_or_else(|| panic!("{name} is not installed: run tests/servers"));
    server_command(&program, port, directory)
}

/// Whether a server answers reads, and does not load any more.
pub(crate) fn answers(port: u16) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"DBSIZE\r\n")?;
        let mut first = [0];
        stream.read_exact(&mut first)?;
        io::Result::Ok(first[0])
    };
    ask().is_ok_and(|first| first == b':')
}

/// The tool `redis-check-rdb` of an unpacked server, which a copy of the script that starts the server runs in `directory`.
pub(crate) fn checker(directory: &Path) -> Option<PathBuf> {
    let server = server("redis-7.0")?;
    let script = fs::read_to_string(&server).ok()?;
    let home = format!("here={}", server.parent()?.display());
    let script = script
        .replace("here=$(dirname \"$(readlink -f \"$0\")\")", &home)
        .replace("/usr/bin/redis-server\"", "/usr/bin/redis-check-rdb\"");
    let path = directory.join("redis-check-rdb");
    fs::write(&path, script).ok()?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).ok()?;
    Some(path)
}

/// The program of the server `name`: the one that `tests/servers` unpacked, or the one of that name on the PATH.
fn server(name: &str) -> Option<PathBuf> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let unpacked =
        std::env::var_os("REDTAIL_SERVERS").map_or(home.join("target/servers"), |d| home.join(d));
    let unpacked = unpacked.join(name).join("redis-server");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates =
        std::iter::once(unpacked).chain(std::env::split_paths(&path).map(|d| d.join(name)));
    candidates.find(|candidate| candidate.is_file())
}
