//! A primary that hangs or is cut off: its connections do not end, but redtail says so everywhere, and answers as before.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::certificates::Authority;
use crate::faults::proxy::Proxy;
use crate::http::{Http, start};
use crate::servers::{PATIENCE, Server, program};
use crate::terminal::run;
use crate::upstreams::{HERE, TlsServer};

const SILENT: &str = "primary_silent";

/// Sends a signal to a server's process. Stopping it does not end its connections.
pub fn signal(server: &Server, signal: Signal) {
    let pid = i32::try_from(server.pid()).expect("a process id");
    kill(Pid::from_raw(pid), signal).expect("the process is ours");
}

fn field(redtail: &Server, name: &str) -> String {
    redtail.client().info("redtail", name).unwrap_or_default()
}

fn wait_until_it_is(redtail: &Server, condition: &str) {
    redtail.wait_for(condition, |client| {
        client.info("redtail", "redtail_health").as_deref() == Some(condition)
    });
}

/// Whether a list of the primary's clients shows a second connection that has been answered: only from then on does silence mean
/// something. `redtail` must be in sync, because the handshake begins with a PING, too.
fn is_watched(listed: &str) -> bool {
    listed.contains(" cmd=ping ") || listed.contains(" cmd=info ")
}

pub fn wait_until_watched(primary: &Server) {
    primary.wait_for("an answer on the second connection", |client| {
        is_watched(&client.command("CLIENT LIST TYPE normal").text())
    });
}

#[test]
fn a_primary_that_hangs_is_told_everywhere_in_the_same_words() {
    for name in ["redis-7.0", "valkey-9.1"] {
        let Some(primary) = Server::start(name, &[]) else {
            continue;
        };
        primary.command("SET greeting hello");
        let (redtail, http) = start(&primary, &[]);
        wait_until_watched(&primary);
        signal(&primary, Signal::SIGSTOP);
        wait_until_it_is(&redtail, SILENT);
        says_it_everywhere(&redtail, &http, primary.port);
        signal(&primary, Signal::SIGCONT);
        wait_until_it_is(&redtail, "in_sync");
        assert_eq!(field(&redtail, "redtail_link_silent_seconds"), "-1");
        // The link never went down.
        primary.command("SET greeting again");
        redtail.wait_in_sync(&primary);
        assert_eq!(redtail.command("GET greeting").text(), "again");
        let syncs = ["redtail_full_syncs", "redtail_partial_syncs"].map(|one| field(&redtail, one));
        assert_eq!(syncs, ["1", "0"], "{name}");
    }
}

/// INFO, the log, HTTP and the terminal agree, and reads are answered.
fn says_it_everywhere(redtail: &Server, http: &Http, port: u16) {
    let why = field(redtail, "redtail_health_why");
    let advice = field(redtail, "redtail_health_advice");
    assert_eq!(
        why,
        format!(
            "reads are answered from the data as it was; the connection to 127.0.0.1:{port} is open, but the server has not answered \
             for more than a second"
        )
    );
    let sentence = format!("primary silent: {why}. {advice}");
    redtail.wait_for_log(&sentence);
    let status = http.status();
    assert_eq!(status["health"]["condition"], SILENT);
    assert_eq!(status["health"]["why"], why);
    assert_eq!(status["health"]["advice"], advice);
    assert_eq!(status["health"]["answers_reads"], true);
    assert_eq!(status["link"]["up"], true);
    assert!(
        status["link"]["silent_seconds"].as_f64() > Some(1.0),
        "{status}"
    );
    let ready = http.get("/readyz");
    assert_eq!(ready.status, 200);
    assert!(
        ready.text().starts_with(&format!("primary silent: {why}"))
            && ready.text().contains(&advice),
        "{ready:?}"
    );
    let metrics = http.get("/metrics").text();
    assert!(
        metrics.contains("redtail_health{condition=\"primary_silent\"} 1.0\n"),
        "{metrics}"
    );
    assert!(
        metrics.contains("redtail_link_up 1.0\n")
            && !metrics.contains("redtail_link_silent_seconds 0.0\n")
    );
    let address = format!("127.0.0.1:{}", redtail.port);
    let checked = run(&["status", &address, "--check"]);
    assert_eq!(checked.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&checked.stdout),
        format!("{sentence}\n")
    );
    let shown = run(&["status", &address]);
    let shown = String::from_utf8_lossy(&shown.stdout);
    assert!(
        shown.contains(&format!("Primary   127.0.0.1:{port}, silent")),
        "{shown}"
    );
    assert_eq!(redtail.command("GET greeting").text(), "hello");
    let link = redtail.client().info("replication", "master_link_status");
    assert_eq!(link.as_deref(), Some("up"));
}

#[test]
fn a_primary_that_hangs_for_long_loses_the_link_only_after_the_timeout() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    let redtail = Server::redtail_with(&primary, &["--repl-timeout", "6"]);
    wait_until_watched(&primary);
    signal(&primary, Signal::SIGSTOP);
    wait_until_it_is(&redtail, SILENT);
    wait_until_it_is(&redtail, "disconnected");
    let why = field(&redtail, "redtail_health_why");
    assert!(why.contains("sent nothing for"), "{why}");
    assert_eq!(field(&redtail, "redtail_link_silent_seconds"), "-1");
    signal(&primary, Signal::SIGCONT);
    wait_until_it_is(&redtail, "in_sync");
}

#[test]
fn a_limit_on_staleness_refuses_reads_and_says_that_the_primary_is_silent() {
    let Some(primary) = Server::start("valkey-9.1", &[]) else {
        return;
    };
    let redtail = Server::redtail_with(&primary, &["--max-staleness", "4s"]);
    wait_until_watched(&primary);
    signal(&primary, Signal::SIGSTOP);
    wait_until_it_is(&redtail, SILENT);
    assert!(
        !redtail
            .command("GET greeting")
            .text()
            .starts_with("MASTERDOWN")
    );
    wait_until_it_is(&redtail, "stale");
    let why = field(&redtail, "redtail_health_why");
    assert!(
        why.ends_with("but the server has not answered for more than a second"),
        "{why}"
    );
    signal(&primary, Signal::SIGCONT);
    wait_until_it_is(&redtail, "in_sync");
}

#[test]
fn a_primary_that_hangs_is_told_over_tls_and_for_a_user() {
    let authority = Authority::new("authority");
    let pair = authority.sign("server", HERE);
    let Some(primary) = TlsServer::start("redis-7.0", &authority, &pair, &[]) else {
        return;
    };
    primary
        .server
        .command("ACL SETUSER redtail on >a-password +ping +psync +replconf +info");
    let arguments = [
        "--primary-user",
        "redtail",
        "--primary-password",
        "a-password",
    ];
    let trust = ["--tls-ca-cert-file", &authority.file()];
    let redtail = Server::redtail_of(&primary.address(), &[&arguments[..], &trust].concat());
    wait_until_it_is(&redtail, "in_sync");
    wait_until_watched(&primary.server);
    signal(&primary.server, Signal::SIGSTOP);
    wait_until_it_is(&redtail, SILENT);
    signal(&primary.server, Signal::SIGCONT);
    wait_until_it_is(&redtail, "in_sync");
    assert!(
        !redtail.log().contains("cannot ask it"),
        "{}",
        redtail.log()
    );
}

#[test]
fn a_route_that_stalls_is_told_until_it_goes_on() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    let proxy = Proxy::start(primary.port);
    let address = format!("redis://127.0.0.1:{}", proxy.port);
    let redtail = Server::redtail_of(&address, &["--watch-primary", "yes"]);
    wait_until_it_is(&redtail, "in_sync");
    wait_until_watched(&primary);
    proxy.hold(true);
    wait_until_it_is(&redtail, SILENT);
    proxy.hold(false);
    wait_until_it_is(&redtail, "in_sync");
}

#[test]
fn a_second_connection_that_is_refused_is_said_once_and_the_link_stays() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    primary.command("ACL SETUSER default -ping");
    let redtail = Server::redtail(&primary);
    let said = "cannot ask it on a second connection whether it answers";
    redtail.wait_for_log(said);
    redtail.wait_for_log("ACL SETUSER <user> +ping");
    primary.command("SET greeting hello");
    redtail.wait_in_sync(&primary);
    wait_until_it_is(&redtail, "in_sync");
    // It tries again after one second, two, four and so on.
    sleep(Duration::from_secs(4));
    assert_eq!(redtail.log().matches(said).count(), 1, "{}", redtail.log());
    assert_eq!(field(&redtail, "redtail_partial_syncs"), "0");
}

/// The number of connections of the primary that are no replicas, without the one that asks.
fn others(primary: &Server) -> usize {
    let listed = primary.command("CLIENT LIST TYPE normal").text();
    listed.lines().filter(|line| line.contains("id=")).count() - 1
}

#[test]
fn there_is_one_second_connection_and_none_if_that_is_switched_off() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    let without = Server::redtail_with(&primary, &["--watch-primary", "no"]);
    without.wait_in_sync(&primary);
    assert_eq!(others(&primary), 0);
    let _one_for_both = Server::redtail_with(&primary, &["--max-staleness", "10s"]);
    wait_until_watched(&primary);
    assert_eq!(others(&primary), 1);
    // The two questions share it.
    for asked in [" cmd=ping ", " cmd=info "] {
        primary.wait_for(asked, |client| {
            client
                .command("CLIENT LIST TYPE normal")
                .text()
                .contains(asked)
        });
    }
    assert_eq!(others(&primary), 1);
}

/// A primary and its redtail in networks of their own, with a cable between them that can be pulled.
struct Networks {
    script: Child,
    orders: ChildStdin,
    replies: BufReader<ChildStdout>,
    directory: TempDir,
}

/// Makes both networks, then pulls and plugs the cable as told. The primary waits until the cable is there.
const NETWORKS: &str = r#"
mkfifo "$3/plugged"
unshare --net bash -c '
    ip link set lo up
    read -r _ < "$3/plugged"
    ip addr add 10.231.7.2/24 dev there && ip link set there up
    exec "$1" --port 6379 --bind 10.231.7.2 --protected-mode no --save "" --dir "$3" --unixsocket "$3/primary.sock" --repl-diskless-sync-delay 0 $4 > /dev/null
' - "$@" &
primary=$!
ip link set lo up && ip link add here type veth peer name there || exit
while [ "$(readlink /proc/$primary/ns/net)" = "$(readlink /proc/$$/ns/net)" ]; do sleep 0.01; done
ip link set there netns $primary && ip addr add 10.231.7.1/24 dev here && ip link set here up || exit
echo > "$3/plugged"
"$2" serve --primary redis://10.231.7.2:6379 --listen "unix:$3/redtail.sock" > "$3/log" 2>&1 &
redtail=$!
echo ready
while read -r state; do
    nsenter --target $primary --net ip link set there "$state" && echo done
done
kill -9 $primary $redtail
"#;

impl Networks {
    /// Starts both. Returns `None` if a program is missing or this machine allows no such networks. `user` is a rule for the
    /// primary's default user.
    fn start(user: &str) -> Option<Self> {
        let server = program("redis-7.0", "redis-server")?;
        let directory = TempDir::new().expect("a temporary directory");
        let mut script = Command::new("unshare")
            .args([
                "--user",
                "--map-root-user",
                "--net",
                "bash",
                "-c",
                NETWORKS,
                "-",
            ])
            .args([
                server,
                PathBuf::from(env!("CARGO_BIN_EXE_redtail")),
                directory.path().into(),
            ])
            .arg(user)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let orders = script.stdin.take().expect("it is piped");
        let replies = BufReader::new(script.stdout.take().expect("it is piped"));
        let mut networks = Self {
            script,
            orders,
            replies,
            directory,
        };
        if networks.reply() != "ready\n" {
            _ = writeln!(
                std::io::stderr(),
                "SKIPPED: this machine allows no networks of one's own"
            );
            return None;
        }
        Some(networks)
    }

    fn reply(&mut self) -> String {
        let mut line = String::new();
        self.replies.read_line(&mut line).expect("it writes text");
        line
    }

    /// Sets the far end of the cable "up" or "down".
    fn cable(&mut self, state: &str) {
        writeln!(self.orders, "{state}").expect("it reads orders");
        assert_eq!(self.reply(), "done\n");
    }

    /// What `redtail status --check` says, as soon as it begins like this.
    fn says(&self, start: &str) -> String {
        let address = format!(
            "unix:{}",
            self.directory.path().join("redtail.sock").display()
        );
        let deadline = Instant::now() + PATIENCE;
        loop {
            let checked = run(&["status", &address, "--check"]);
            let said = String::from_utf8_lossy(&checked.stdout).into_owned();
            if said.starts_with(start) {
                return said;
            }
            assert!(Instant::now() < deadline, "{said:?}: {}", self.log());
        }
    }

    /// Like the function of this name, on the primary's socket, which no cable leads to.
    fn wait_until_watched(&self) {
        let socket = self.directory.path().join("primary.sock");
        let mut stream = BufReader::new(UnixStream::connect(socket).expect("it listens"));
        let deadline = Instant::now() + PATIENCE;
        let mut line = String::new();
        while !is_watched(&line) {
            assert!(Instant::now() < deadline, "{}", self.log());
            if line.trim_end().is_empty() {
                let asked = stream.get_mut().write_all(b"CLIENT LIST TYPE normal\r\n");
                asked.expect("it reads");
            }
            line.clear();
            stream.read_line(&mut line).expect("it writes text");
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    fn wait_for_log(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.log().contains(text) {
            assert!(Instant::now() < deadline, "no {text:?}: {}", self.log());
            sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        // The script ends both at the end of its orders.
        let (nothing, _) = UnixStream::pair().expect("a pair");
        drop(std::mem::replace(
            &mut self.orders,
            ChildStdin::from(OwnedFd::from(nothing)),
        ));
        _ = self.script.wait();
    }
}

const PULLED: &str =
    "the connection to 10.231.7.2:6379 is open, but nothing that redtail sends arrives there";

#[test]
fn a_cable_that_is_pulled_is_told_and_so_is_its_return() {
    let Some(mut networks) = Networks::start("") else {
        return;
    };
    networks.says("in sync: ");
    networks.wait_until_watched();
    let mut log = String::new();
    for _ in 0..2 {
        networks.cable("down");
        let said = networks.says("primary silent: ");
        assert!(said.contains(PULLED), "{said}");
        networks.cable("up");
        networks.says("in sync: ");
        writeln!(log, "{said}").expect("a string grows");
    }
    networks.wait_for_log(log.lines().next().expect("two lines"));
}

#[test]
fn a_cable_that_is_pulled_is_told_without_a_second_connection() {
    let Some(mut networks) = Networks::start("--user default on nopass ~* +@all -ping") else {
        return;
    };
    networks.wait_for_log("cannot ask it on a second connection whether it answers");
    networks.says("in sync: ");
    networks.cable("down");
    let said = networks.says("primary silent: ");
    assert!(said.contains(PULLED), "{said}");
    networks.cable("up");
    networks.says("in sync: ");
}
