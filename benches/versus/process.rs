//! Child processes: started on a free port, measured for CPU time and memory, and ended with the bench however it ends.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use tempfile::TempDir;

/// How long a step may take before the bench fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// More than the bytes of one line.
const LINE_BYTES: u64 = 1 << 10;

/// The running children, so that a signal handler can end them.
static RUNNING: Mutex<Vec<(Pid, PathBuf)>> = Mutex::new(Vec::new());

/// A running child with its own directory. Drop ends the one and removes the other.
pub(crate) struct Process {
    child: Child,
    directory: TempDir,
    /// The port it listens on, on 127.0.0.1.
    pub(crate) port: u16,
}

impl Process {
    /// Starts the command that `command` returns for a port and a directory.
    pub(crate) fn start(command: impl FnOnce(u16, &Path) -> Command) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let log = File::create(directory.path().join("log")).expect("a log file");
        let port = free_port();
        let mut command = command(port, directory.path());
        command
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stderr(log.try_clone().expect("a log file"))
            .stdout(log);
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        running().push((pid_of(&child), directory.path().to_owned()));
        Self {
            child,
            directory,
            port,
        }
    }

    /// Waits until it accepts connections.
    pub(crate) fn listening(mut self) -> Self {
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let ended = self.child.try_wait().expect("the child is ours");
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "nothing listens: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(1));
        }
        self
    }

    /// Waits until it exits, which must be with success.
    pub(crate) fn finished(mut self) {
        let status = self.child.wait().expect("the child is ours");
        assert!(status.success(), "{status}: {}", self.log());
    }

    /// The CPU time of all its threads so far, user and system: utime + stime of `/proc/PID/stat`, but more precise.
    pub(crate) fn cpu(&self) -> Duration {
        let clock = clock_getcpuclockid(pid_of(&self.child)).expect("the child has a CPU clock");
        clock_gettime(clock)
            .expect("the child has a CPU clock")
            .into()
    }

    /// Its resident memory in bytes: VmRSS.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("the child runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
        kib.and_then(|kib| kib.parse::<u64>().ok())
            .expect("VmRSS in kB")
            * 1024
    }

    /// The number of its threads.
    pub(crate) fn threads(&self) -> usize {
        let path = format!("/proc/{}/task", self.child.id());
        std::fs::read_dir(path).expect("the child runs").count()
    }

    /// Whether the last line of its output so far has `word`.
    pub(crate) fn log_ends_with(&self, word: &str) -> bool {
        let mut end = String::new();
        let read = File::open(self.directory.path().join("log")).and_then(|mut log| {
            let bytes = log.metadata()?.len();
            log.seek(SeekFrom::Start(bytes.saturating_sub(LINE_BYTES)))?;
            log.read_to_string(&mut end)
        });
        let last = end.lines().last();
        read.is_ok() && last.is_some_and(|line| line.contains(word))
    }

    /// Its output so far.
    pub(crate) fn log(&self) -> String {
        let bytes = std::fs::read(self.directory.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
        running().retain(|(pid, _)| *pid != pid_of(&self.child));
    }
}

/// On SIGINT and SIGTERM, ends the running children and this process.
pub(crate) fn end_children_on_signals() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    std::thread::spawn(move || {
        runtime.block_on(async {
            let mut terminate =
                tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
                    .expect("a signal handler");
            tokio::select! { _ = tokio::signal::ctrl_c() => {}, _ = terminate.recv() => {} }
        });
        for (pid, directory) in running().drain(..) {
            _ = kill(pid, Signal::SIGKILL);
            _ = std::fs::remove_dir_all(directory);
        }
        std::process::exit(130);
    });
}

fn running() -> std::sync::MutexGuard<'static, Vec<(Pid, PathBuf)>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound socket").port()
}
