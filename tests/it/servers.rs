//! Real servers, and the `redtail` binary, as child processes on free ports.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::client::{Client, Reply, show};

/// The servers that most tests run against, oldest first. `tests/servers` unpacks some more.
pub const ALL: [&str; 8] = [
    "redis-6.0",
    "redis-7.0",
    "redis-7.4",
    "redis-8.0",
    "redis-8.2",
    "valkey-8.1",
    "valkey-9.0",
    "valkey-9.1",
];

/// How long anything may take before a test fails. On a working machine no test's result depends on being faster or slower than
/// this.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Whether redtails leave out the second connection to their primary unless told otherwise.
static UNWATCHED: AtomicBool = AtomicBool::new(false);

/// From now on, each redtail makes only the link's connection to its primary, for what counts connections or treats the newest one
/// as the link.
pub fn leave_primaries_unwatched() {
    UNWATCHED.store(true, Ordering::Relaxed);
}

/// A running server, killed on drop.
pub struct Server {
    child: Child,
    directory: TempDir,
    pub port: u16,
    /// Whether a command waits for more bytes if its last ones arrive while an earlier one blocks: a flaw of Valkey 9.0.0.
    stalls: bool,
}

/// Returns the path of a server's program ("redis-server", "cli", "benchmark"). If it is missing, prints that the test is skipped
/// and returns `None`.
///
/// # Panics
/// If it is missing and `REDTAIL_TESTS_STRICT=1`.
pub fn program(name: &str, program: &str) -> Option<PathBuf> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let servers =
        std::env::var_os("REDTAIL_SERVERS").map_or(home.join("target/servers"), |d| home.join(d));
    let path = servers.join(name).join(program);
    present(path, "tests/servers").inspect(|_| show_package(name, &servers.join(name)))
}

/// Whether a server is installed that Debian may not have at the moment.
pub fn is_there(name: &str) -> bool {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let servers =
        std::env::var_os("REDTAIL_SERVERS").map_or(home.join("target/servers"), |d| home.join(d));
    servers.join(name).join("redis-server").exists()
}

/// Returns `path` if it exists. If it is missing, prints that the test is skipped, and which script to run, and returns `None`.
///
/// # Panics
/// If it is missing and `REDTAIL_TESTS_STRICT=1`.
pub fn present(path: PathBuf, script: &str) -> Option<PathBuf> {
    if path.exists() {
        return Some(path);
    }
    let strict = std::env::var_os("REDTAIL_TESTS_STRICT").is_some_and(|value| value == "1");
    assert!(!strict, "{} is missing: run {script}", path.display());
    // Written past the test runner's capture, which would hide the line in a passing test.
    _ = writeln!(
        std::io::stderr(),
        "SKIPPED: no {}, run {script}",
        path.display()
    );
    None
}

/// Prints once which package the server `name` in `directory` came from, as `tests/servers` recorded it, because builds of one
/// version differ. The test runner shows the line when the test fails.
fn show_package(name: &str, directory: &Path) {
    static SHOWN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if shown.insert(name.to_owned()) {
        let noted = std::fs::read_to_string(directory.join("package"));
        let package = noted.unwrap_or_else(|_| "from an unknown package".to_owned());
        eprintln!("{name} is {}", package.trim());
    }
}

impl Server {
    /// Starts the server `name` with the words `config` ("--maxmemory", "1mb"). Returns `None` if it is not installed.
    pub fn start(name: &str, config: &[&str]) -> Option<Self> {
        Self::start_on(name, None, None, config)
    }

    /// Starts the server `name` with the data of `dump`, a file in `fixtures/`.
    pub fn with_dump(name: &str, dump: &str, config: &[&str]) -> Option<Self> {
        Self::start_on(name, None, Some(&fixture(dump)), config)
    }

    /// Starts a real replica of `primary` and waits until it is in sync.
    pub fn replica(name: &str, primary: &Self) -> Option<Self> {
        let port = primary.port.to_string();
        let replica = Self::start(name, &["--replicaof", "127.0.0.1", &port])?;
        replica.wait_for("its primary", |client| {
            client
                .info("replication", "master_link_status")
                .is_some_and(|status| status == "up")
        });
        Some(replica)
    }

    /// Starts the server `name` as a sentinel on a free port. The sentinel writes to the configuration file `file`.
    pub fn sentinel(name: &str, file: &str) -> Option<Self> {
        let program = program(name, "redis-server")?;
        Some(Self::spawn(None, |port, directory| {
            let mut command = Command::new(&program);
            command.args([file, "--sentinel", "--bind", "127.0.0.1", "--port"]);
            command.arg(port.to_string()).arg("--dir").arg(directory);
            command
        }))
    }

    /// Starts the server `name` on `port` or a free one, with a dump file if one is given.
    pub fn start_on(
        name: &str,
        port: Option<u16>,
        dump: Option<&Path>,
        config: &[&str],
    ) -> Option<Self> {
        Self::start_in(&[], name, port, dump, config)
    }

    /// The same, with variables in its environment.
    pub fn start_in(
        environment: &[(&str, &Path)],
        name: &str,
        port: Option<u16>,
        dump: Option<&Path>,
        config: &[&str],
    ) -> Option<Self> {
        let server = Self::start_loading(environment, name, port, dump, config)?;
        server.wait_for("its data", |client| client.command("DBSIZE").is_integer());
        Some(server)
    }

    /// The same, but does not wait until the dump is loaded.
    pub fn start_loading(
        environment: &[(&str, &Path)],
        name: &str,
        port: Option<u16>,
        dump: Option<&Path>,
        config: &[&str],
    ) -> Option<Self> {
        let program = program(name, "redis-server")?;
        let debug: &[&str] = if name == "redis-6.0" {
            &[]
        } else {
            &["--enable-debug-command", "yes"]
        };
        let mut server = Self::spawn(port, |port, directory| {
            if let Some(dump) = dump {
                std::fs::copy(dump, directory.join("dump.rdb")).expect("copy the dump");
            }
            let mut command = Command::new(&program);
            command
                .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--dir"])
                .arg(directory);
            command
                .args(["--save", "", "--repl-diskless-sync-delay", "0"])
                .args(debug)
                .args(config)
                .envs(environment.iter().copied());
            command
        });
        server.stalls = name == "valkey-9.0";
        Some(server)
    }

    /// Asserts that this server answers each of `questions` like `other`, a server `name`, in both protocol versions. Replies of
    /// this server that are `exempt` may differ.
    pub fn answers_as(
        &self,
        other: &Self,
        name: &str,
        questions: &[Vec<Vec<u8>>],
        exempt: impl Fn(&Reply) -> bool,
    ) {
        let in_both = |server: &Self| {
            let mut replies = server.client().pipeline(questions);
            replies.extend(server.client().resp3().pipeline(questions));
            replies
        };
        let asked = questions.iter().chain(questions);
        for ((question, expected), reply) in asked.zip(in_both(other)).zip(in_both(self)) {
            if !exempt(&reply) {
                assert_eq!(reply, expected, "{name}: {}", show(question));
            }
        }
    }

    /// Starts `redtail serve` for `primary` and waits until it is in sync.
    pub fn redtail(primary: &Self) -> Self {
        Self::redtail_with(primary, &[])
    }

    /// The same with more arguments.
    pub fn redtail_with(primary: &Self, arguments: &[&str]) -> Self {
        let redtail = Self::redtail_of(&format!("redis://127.0.0.1:{}", primary.port), arguments);
        redtail.wait_for("its first sync", |client| {
            client.command("DBSIZE").is_integer()
        });
        redtail
    }

    /// Starts `redtail serve` for the primary at `address` and waits until it accepts connections.
    pub fn redtail_of(address: &str, arguments: &[&str]) -> Self {
        Self::redtail_in(&[], address, arguments)
    }

    /// The same, on `port` or a free one.
    pub fn redtail_at(port: Option<u16>, address: &str, arguments: &[&str]) -> Self {
        Self::redtail_spawned(port, &[], address, arguments)
    }

    /// The same, with variables in its environment.
    pub fn redtail_in(environment: &[(&str, &Path)], address: &str, arguments: &[&str]) -> Self {
        Self::redtail_spawned(None, environment, address, arguments)
    }

    fn redtail_spawned(
        port: Option<u16>,
        environment: &[(&str, &Path)],
        address: &str,
        arguments: &[&str],
    ) -> Self {
        Self::spawn(port, |port, directory| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_redtail"));
            command.args([
                "serve",
                "--primary",
                address,
                "--listen",
                &format!("127.0.0.1:{port}"),
            ]);
            command.args(arguments).current_dir(directory);
            if UNWATCHED.load(Ordering::Relaxed) {
                command.env("REDTAIL_WATCH_PRIMARY", "no");
            }
            command.envs(environment.iter().copied());
            command
        })
    }

    /// The same, with files limited to `kib` KiB: writes beyond that fail as on a full disk.
    pub fn redtail_with_file_limit(kib: u32, address: &str, arguments: &[&str]) -> Self {
        let limited = format!("trap '' XFSZ; ulimit -f {kib}; exec \"$0\" \"$@\"");
        Self::spawn(None, |port, directory| {
            let mut command = Command::new("bash");
            let listen = format!("127.0.0.1:{port}");
            command
                .args(["-c", &limited, env!("CARGO_BIN_EXE_redtail"), "serve"])
                .args(["--primary", address, "--listen", &listen])
                .args(arguments)
                .current_dir(directory);
            command
        })
    }

    /// The same, with `folder` on a read-only file system. Returns `None` if this machine allows no such mount.
    pub fn redtail_with_read_only(
        folder: &Path,
        address: &str,
        arguments: &[&str],
    ) -> Option<Self> {
        let mount = "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\"";
        let inside = |script: &str| {
            let mut command = Command::new("unshare");
            command.args([
                "--user",
                "--map-root-user",
                "--mount",
                "bash",
                "-c",
                script,
                "-",
            ]);
            command.arg(folder);
            command
        };
        if !inside(mount)
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
        {
            _ = writeln!(
                std::io::stderr(),
                "SKIPPED: this machine allows no such mount"
            );
            return None;
        }
        let script = format!("{mount} && shift && exec \"$@\"");
        Some(Self::spawn(None, |port, directory| {
            let mut command = inside(&script);
            command
                .args([env!("CARGO_BIN_EXE_redtail"), "serve", "--primary", address])
                .args(["--listen", &format!("127.0.0.1:{port}")])
                .args(arguments)
                .current_dir(directory);
            command
        }))
    }

    /// Spawns the command that `command` returns for a port and a directory, and waits until it answers. If another process took
    /// the port in between, tries again with another one.
    pub fn spawn(port: Option<u16>, command: impl Fn(u16, &Path) -> Command) -> Self {
        for _ in 0..5 {
            let directory = TempDir::new().expect("a temporary directory");
            let log = File::create(directory.path().join("log")).expect("a log file");
            let port = port.unwrap_or_else(free_port);
            let mut command = command(port, directory.path());
            command
                .stdin(Stdio::null())
                .stderr(log.try_clone().expect("a log file"))
                .stdout(log);
            let child = command.spawn().expect("the program starts");
            let mut server = Self {
                child,
                directory,
                port,
                stalls: false,
            };
            if server.answers() {
                return server;
            }
            _ = writeln!(
                std::io::stderr(),
                "port {port} failed, trying another: {}",
                server.log()
            );
        }
        panic!("no server started in five attempts");
    }

    /// Waits until the process answers. Returns false if it ended instead.
    fn answers(&mut self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if self.child.try_wait().expect("the child is ours").is_some() {
                return false;
            }
            if Client::try_connect(self.port)
                .is_ok_and(|mut client| client.try_command(&[b"PING"]).is_ok())
            {
                return true;
            }
            sleep(Duration::from_millis(20));
        }
        panic!("nothing answers on port {}: {}", self.port, self.log());
    }

    /// Asks repeatedly, on one connection, until `done` returns true.
    ///
    /// # Panics
    /// If it takes longer than [`PATIENCE`]. The message contains the server's log.
    pub fn wait_for(&self, what: &str, mut done: impl FnMut(&mut Client) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut client = self.client();
        while !done(&mut client) {
            assert!(
                Instant::now() < deadline,
                "timed out waiting for {what}: {}",
                self.log()
            );
            sleep(Duration::from_millis(10));
        }
    }

    /// Waits until this replica has applied everything that `primary` has written so far.
    pub fn wait_in_sync(&self, primary: &Self) {
        let offset = primary
            .client()
            .offset("master_repl_offset")
            .expect("a primary knows its offset");
        self.wait_for(&format!("offset {offset}"), |client| {
            client
                .offset("slave_repl_offset")
                .is_some_and(|applied| applied >= offset)
        });
    }

    /// Waits until the log contains `text`.
    pub fn wait_for_log(&self, text: &str) {
        self.wait_for(&format!("{text:?} in the log"), |_| {
            self.log().contains(text)
        });
    }

    /// Waits for the process to exit by itself. Returns its exit code, or `None` after [`PATIENCE`].
    pub fn exit_code(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("the child is ours") {
                return status.code();
            }
            sleep(Duration::from_millis(10));
        }
        None
    }

    /// A new connection.
    pub fn client(&self) -> Client {
        let client = Client::try_connect(self.port);
        let client = client.unwrap_or_else(|error| panic!("{error}: {}", self.log()));
        if self.stalls {
            client.pausing()
        } else {
            client
        }
    }

    /// Sends one command on a connection of its own.
    pub fn command(&self, line: &str) -> Reply {
        self.client().command(line)
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Stops the process for a while, or lets it go on.
    pub fn freeze(&self, frozen: bool) {
        let pid = i32::try_from(self.pid()).expect("a process id");
        let signal = match frozen {
            true => Signal::SIGSTOP,
            false => Signal::SIGCONT,
        };
        kill(Pid::from_raw(pid), signal).expect("the process is ours");
    }

    /// The process's output so far.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.directory.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The directory that the process runs in.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Kills the process and waits until it has ended.
    pub fn stop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The path of a file in `fixtures/`.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(name)
}

/// Returns a port that nothing listens on, and that no other test gets soon.
///
/// Linux assigns ports from 32,768 on to sockets that ask for none in particular. So no connection and no such listener can take
/// a port below that between this call and its use, or while a server on it is down. Each process starts its search at a
/// different port.
pub fn free_port() -> u16 {
    const FIRST: u32 = 11_000;
    // More than a test of clusters needs: the next test has the next process id, and would take the port of a node that is down.
    const OF_A_PROCESS: u32 = 210;
    const PLACES: u32 = 100;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let own = std::process::id() % PLACES * OF_A_PROCESS;
    (0..PLACES * OF_A_PROCESS)
        .map(|_| own + NEXT.fetch_add(1, Ordering::Relaxed))
        .filter_map(|place| u16::try_from(FIRST + place % (PLACES * OF_A_PROCESS)).ok())
        .find(|&port| TcpListener::bind(("0.0.0.0", port)).is_ok())
        .expect("a free port")
}
