//! What operators read after a mistake: each mistake is really made, and the message must say how to fix it.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::certificates::Authority;
use crate::scripted::{MARK, Scripted, full_resync};
use crate::servers::{ALL, PATIENCE, Server, free_port};

/// redtail configured to follow `address`.
fn redtail(address: &str) -> Server {
    Server::redtail_of(address, &[])
}

fn field(redtail: &Server, name: &str) -> String {
    redtail.client().info("redtail", name).unwrap_or_default()
}

/// Waits until the log, INFO and ROLE all report a mistake that a person must fix.
fn says(redtail: &Server, words: &str) {
    redtail.wait_for_log(words);
    for name in ["redtail_last_fault", "redtail_last_link_error"] {
        let told = field(redtail, name);
        assert!(told.contains(words), "{name}: {told}");
    }
    assert_eq!(field(redtail, "redtail_link_needs_a_person"), "1");
    assert_ne!(field(redtail, "redtail_last_fault_seconds_ago"), "-1");
    let role = redtail.command("ROLE").elements();
    assert_eq!(role.len(), 6, "{role:?}");
    assert!(role[5].text().contains(words), "{role:?}");
    assert!(redtail.log().contains("until this is fixed"));
}

/// Waits until the log and INFO report a fault that needs no person.
fn mentions(redtail: &Server, words: &str) {
    redtail.wait_for_log(words);
    let told = field(redtail, "redtail_last_fault");
    assert!(told.contains(words), "{told}");
    assert_eq!(field(redtail, "redtail_link_needs_a_person"), "0");
    assert_eq!(redtail.command("ROLE").elements().len(), 5);
}

fn sentinel(name: &str, primary: &Server) -> Server {
    let file = primary.directory().join("sentinel.conf");
    let text = format!("sentinel monitor group 127.0.0.1 {} 1\n", primary.port);
    fs::write(&file, text).expect("a file");
    Server::sentinel(name, &file.display().to_string()).expect("the server was there a moment ago")
}

#[test]
fn a_sentinel_is_recognised_and_the_address_to_write_is_given() {
    for name in ["redis-6.0", "redis-8.0", "valkey-9.1"] {
        let Some(primary) = Server::start(name, &[]) else {
            continue;
        };
        let sentinel = sentinel(name, &primary);
        let redtail = redtail(&format!("redis://127.0.0.1:{}", sentinel.port));
        let address = format!("127.0.0.1:{}", sentinel.port);
        says(
            &redtail,
            &format!(
                "{address} is a Sentinel, which holds no data: write sentinel://{address}/group"
            ),
        );
    }
}

#[test]
fn a_server_that_is_no_sentinel_is_called_so() {
    for name in ["redis-6.0", "valkey-9.1"] {
        let Some(primary) = Server::start(name, &[]) else {
            continue;
        };
        let redtail = redtail(&format!("sentinel://127.0.0.1:{}/group", primary.port));
        says(
            &redtail,
            "This server is not a sentinel: give the port of a sentinel",
        );
        says(
            &redtail,
            "or write redis://host:port to follow this server itself",
        );
    }
}

#[test]
fn a_redtail_is_not_followed_and_names_whom_to_follow() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    let first = Server::redtail(&primary);
    let second = redtail(&format!("redis://127.0.0.1:{}", first.port));
    says(
        &second,
        &format!(
            "is itself a redtail, which feeds no replicas: give the address of the primary that it follows, 127.0.0.1:{}",
            primary.port
        ),
    );
    // A redtail without data answers the same.
    let waiting = redtail(&format!("redis://127.0.0.1:{}", free_port()));
    says(
        &redtail(&format!("redis://127.0.0.1:{}", waiting.port)),
        "is itself a redtail",
    );
}

#[test]
fn a_server_of_a_cluster_is_followed_with_a_warning() {
    for name in ["redis-6.0", "valkey-9.1"] {
        let Some(primary) = Server::start(name, &["--cluster-enabled", "yes"]) else {
            continue;
        };
        let redtail = Server::redtail(&primary);
        redtail.wait_for_log("redtail serves only the keys of its slots");
        assert_eq!(field(&redtail, "redtail_upstream_mode"), "cluster");
        assert_eq!(field(&redtail, "redtail_last_fault"), "");
        assert_eq!(field(&redtail, "redtail_last_fault_seconds_ago"), "-1");
        // Logged once, not for each link.
        primary.command("CLIENT KILL TYPE replica");
        redtail.wait_for_log("partial resync");
        assert_eq!(redtail.log().matches("of its slots").count(), 1);
    }
    let Some(plain) = Server::start("redis-7.0", &[]) else {
        return;
    };
    let redtail = Server::redtail(&plain);
    assert_eq!(field(&redtail, "redtail_upstream_mode"), "standalone");
    assert!(!redtail.log().contains("of its slots"));
}

#[test]
fn a_wrong_login_is_named_with_the_setting_that_holds_it() {
    for name in ALL {
        let Some(primary) = Server::start(name, &[]) else {
            continue;
        };
        let needless = redtail(&format!("redis://:needless@127.0.0.1:{}", primary.port));
        says(&needless, "leave the password out");
        primary.command("ACL SETUSER weak on >weak +ping +info");
        let weak = redtail(&format!("redis://weak:weak@127.0.0.1:{}", primary.port));
        says(&weak, "ACL SETUSER <user> +ping +psync +replconf +info");
        primary.command("CONFIG SET requirepass right");
        let none = redtail(&format!("redis://127.0.0.1:{}", primary.port));
        says(&none, "Set its password with --primary-password");
        let wrong = redtail(&format!("redis://:wrong@127.0.0.1:{}", primary.port));
        says(
            &wrong,
            "Check the user and the password that redtail sends: --primary-user",
        );
    }
}

#[test]
fn what_is_no_server_itself_is_named() {
    for (reply, words) in [
        ("-MOVED 3999 127.0.0.1:6381", "run one for each primary"),
        (
            "-ERR wrong number of arguments for 'psync' command",
            "most likely a proxy, which cannot pass on replication",
        ),
        (
            "-ERR unsupported command 'psync'",
            "give the address of the server behind it",
        ),
        (
            "-ERR a word that nobody knows",
            "an error that redtail does not know",
        ),
    ] {
        let primary = Scripted::start();
        let redtail = redtail(&format!("redis://{}", primary.address()));
        let (mut connection, _) = primary.accept_psync();
        connection.send(format!("{reply}\r\n"));
        says(&redtail, words);
        says(&redtail, &reply[1..]);
    }
}

#[test]
fn nothing_that_listens_a_name_that_is_none_and_another_program_are_told_apart() {
    let refused = redtail(&format!("redis://127.0.0.1:{}", free_port()));
    mentions(
        &refused,
        "Connection refused. Nothing accepts connections there",
    );
    assert!(!refused.log().contains("os error"), "{}", refused.log());
    let nameless = redtail("redis://no-such-host.invalid:6379");
    mentions(
        &nameless,
        "Check the name, and whether this machine's DNS resolves it: getent hosts no-such-host.invalid",
    );
    let missing = redtail("unix:///nowhere/at/all.sock");
    mentions(&missing, "The socket does not exist: is the server running");
    let website = Scripted::start();
    let confused = redtail(&format!("redis://{}", website.address()));
    website.accept().send("HTTP/1.1 400 Bad Request\r\n\r\n");
    says(
        &confused,
        "Check the host and the port: another program may be listening there",
    );
}

#[test]
fn a_proxy_that_hangs_up_at_unknown_commands_is_thought_of() {
    let proxy = Scripted::start();
    let redtail = redtail(&format!("redis://{}", proxy.address()));
    let mut connection = proxy.accept();
    assert_eq!(connection.command(), "PING");
    connection.send("+PONG\r\n");
    assert_eq!(connection.command(), "INFO server");
    drop(connection);
    mentions(
        &redtail,
        "A proxy does this on a command that it does not pass on",
    );
}

#[test]
fn a_server_that_is_loading_is_waited_for_with_its_reason() {
    let primary = Scripted::start();
    let redtail = redtail(&format!("redis://{}", primary.address()));
    let (mut connection, _) = primary.accept_psync();
    connection.send("-LOADING Redis is loading the dataset in memory\r\n");
    mentions(
        &redtail,
        "the server is not ready: it is loading its data (LOADING",
    );
}

#[test]
fn a_self_signed_certificate_is_called_so() {
    let authority = Authority::new("authority");
    let own = authority.self_signed("own", &["127.0.0.1"]);
    let port = free_port().to_string();
    let words = [
        "--tls-port",
        &port,
        "--tls-cert-file",
        &own.cert,
        "--tls-key-file",
        &own.key,
        "--tls-ca-cert-file",
        &own.cert,
        "--tls-auth-clients",
        "no",
    ];
    let Some(_primary) = Server::start("valkey-9.1", &words) else {
        return;
    };
    let address = format!("rediss://127.0.0.1:{port}");
    for trusted in [&own.cert, &authority.file()] {
        let redtail = Server::redtail_of(&address, &["--tls-ca-cert-file", trusted]);
        says(&redtail, "the server's certificate is self-signed");
        says(&redtail, "--tls-ca-cert-file");
        let log = redtail.log();
        for name in [
            "CaUsedAsEndEntity",
            "UnknownIssuer",
            "OtherError",
            "invalid peer",
        ] {
            assert!(!log.contains(name), "{log}");
        }
    }
}

#[test]
fn times_in_the_log_are_those_of_people() {
    let redtail = redtail(&format!("redis://127.0.0.1:{}", free_port()));
    redtail.wait_for_log("retry_in=");
    let log = redtail.log();
    let shown = log.split("retry_in=").nth(1).unwrap_or_default();
    let shown = shown.split_whitespace().next().unwrap_or_default();
    // For example 223ms or 2.5s, but not 223.904485ms.
    assert!(shown.len() <= 5 && shown.ends_with('s'), "{shown}");
}

/// Runs `redtail serve`, which must exit by itself with that code. Returns its output.
fn ends(code: i32, arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_redtail"));
    command.args(arguments).envs(environment.iter().copied());
    let output = command.stdin(Stdio::null()).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    said
}

#[test]
fn wrong_arguments_are_answered_with_what_to_write() {
    let serve = ["serve", "--primary", "redis://127.0.0.1:1"];
    let with = |more: &[&'static str]| [&serve[..], more].concat();
    for (arguments, words) in [
        (
            vec!["--primary", "redis://127.0.0.1:1", "serve"],
            "write it after serve, as in redtail serve --primary …",
        ),
        (
            with(&["--max-staleness", "5"]),
            "the unit is missing: write 5s for seconds, 5ms for milliseconds",
        ),
        (with(&["--maxclients", "many"]), "write a whole number"),
        (
            with(&["--primry", "h"]),
            "a similar argument exists: '--primary'",
        ),
        (
            vec!["serve", "--primary", "redis://127.0.0.1/3"],
            "redtail follows all databases of a server: remove what follows the port",
        ),
        (vec!["serve"], "give it with --primary redis://host:port"),
        (
            with(&["--listen", "6380"]),
            "write an IP address with a port, such as 127.0.0.1:6380",
        ),
    ] {
        let said = ends(2, &arguments, &[]);
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
}

#[test]
fn database_0_in_an_address_is_no_mistake() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    let sentinel = sentinel("redis-7.0", &primary);
    for address in [
        format!("redis://127.0.0.1:{}/0", primary.port),
        format!("127.0.0.1:{}/0", primary.port),
        format!("sentinel://127.0.0.1:{}/group/0", sentinel.port),
    ] {
        let redtail = redtail(&address);
        redtail.wait_for("its first sync", |client| {
            client.command("DBSIZE").is_integer()
        });
    }
}

#[test]
fn a_variable_that_is_none_is_told_with_the_one_that_was_meant() {
    let address = format!("redis://127.0.0.1:{}", free_port());
    let slip = [("REDTAIL_MAX_STALNESS", Path::new("5s"))];
    let redtail = Server::redtail_in(&slip, &address, &[]);
    redtail.wait_for_log(
        "the unknown variable REDTAIL_MAX_STALNESS. Did you mean REDTAIL_MAX_STALENESS?",
    );
}

#[test]
fn a_state_directory_on_a_read_only_disk_is_done_without() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    primary.command("SET a 1");
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().display().to_string();
    let address = format!("redis://127.0.0.1:{}", primary.port);
    let arguments = ["--state-dir", path.as_str()];
    let Some(redtail) = Server::redtail_with_read_only(folder.path(), &address, &arguments) else {
        return;
    };
    redtail.wait_for("the data", |client| client.command("GET a").text() == "1");
    assert!(
        redtail
            .log()
            .contains("redtail serves without keeping its state"),
        "{}",
        redtail.log()
    );
    assert_eq!(field(&redtail, "redtail_state"), "not-kept");
    assert_eq!(field(&redtail, "redtail_state_failures"), "1");
    let error = field(&redtail, "redtail_state_last_error");
    assert!(error.contains("Read-only file system"), "{error}");
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it exists").permissions().mode() & 0o777
}

#[test]
fn a_state_directory_that_others_may_read_is_closed_or_refused() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().display().to_string();
    let open = || fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755));
    open().expect("change the folder's mode");
    let mut redtail = Server::redtail_with(&primary, &["--state-dir", &path]);
    redtail.wait_for_log("redtail has restricted it to its owner (chmod 700)");
    assert_eq!(mode(folder.path()), 0o700);
    assert_eq!(field(&redtail, "redtail_state"), "kept");
    redtail.stop();

    open().expect("change the folder's mode");
    fs::write(folder.path().join("notes"), "").expect("a file");
    let listen = format!("127.0.0.1:{}", free_port());
    let serve = [
        "serve",
        "--primary",
        "127.0.0.1:1",
        "--listen",
        &listen,
        "--state-dir",
        &path,
    ];
    let said = ends(1, &serve, &[]);
    assert!(
        said.contains("(mode 755)") && said.contains("or chmod 700 this one"),
        "{said}"
    );
    assert!(!said.contains("listening"), "{said}");
    assert_eq!(mode(folder.path()), 0o755);

    let other = TempDir::new().expect("a folder");
    fs::create_dir(other.path().join("lock")).expect("a folder");
    let path = other.path().display().to_string();
    let serve = [
        "serve",
        "--primary",
        "127.0.0.1:1",
        "--listen",
        &listen,
        "--state-dir",
        &path,
    ];
    let said = ends(1, &serve, &[]);
    assert!(
        said.contains("/lock is a directory, but redtail needs a file there"),
        "{said}"
    );
}

/// An address of this machine other than loopback, if it has one. Sends nothing to find it.
fn outer_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

/// The reply to a PING that is sent to that address of this machine.
fn answer(address: IpAddr, port: u16) -> String {
    let mut stream = TcpStream::connect((address, port)).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    // A refused client may already be disconnected.
    _ = stream.write_all(b"PING\r\n");
    let mut line = String::new();
    _ = BufReader::new(stream).read_line(&mut line);
    line
}

#[test]
fn protected_mode_keeps_other_machines_out_until_there_is_a_password_or_leave() {
    let Some(outer) = outer_address() else {
        eprintln!("SKIPPED: this machine has no address but loopback");
        return;
    };
    let here = IpAddr::from([127, 0, 0, 1]);
    let start = |arguments: &[&str]| {
        let port = free_port();
        let everywhere = format!("0.0.0.0:{port}");
        let arguments = [&["--listen", &everywhere, "--listen", "unix:s"], arguments].concat();
        (redtail_with(&arguments), port)
    };
    let (protected, port) = start(&[]);
    let refusal = answer(outer, port);
    assert!(
        refusal.starts_with("-DENIED redtail is running in protected mode")
            && refusal.contains("'--protected-mode no'")
            && refusal.contains("'--requirepass'"),
        "{refusal}"
    );
    assert!(answer(here, port).starts_with("-LOADING"));
    let socket = protected.directory().join("s");
    let mut unix = UnixStream::connect(socket).expect("it listens");
    unix.write_all(b"PING\r\n").expect("a socket");
    let mut answer_there = [0; 8];
    unix.read_exact(&mut answer_there).expect("an answer");
    assert_eq!(&answer_there, b"-LOADING");
    assert_eq!(
        protected
            .client()
            .info("stats", "rejected_connections")
            .as_deref(),
        Some("1")
    );
    let set = protected.command("CONFIG GET protected-mode").text();
    assert_eq!(set, "protected-mode\nyes");
    protected.wait_for_log("clients from other machines are refused");

    let (open, port) = start(&["--protected-mode", "no"]);
    assert!(answer(outer, port).starts_with("-LOADING"));
    assert!(
        open.command("CONFIG GET protected-mode")
            .text()
            .ends_with("no")
    );
    assert!(!open.log().contains("other machines"), "{}", open.log());

    let (_guarded, port) = start(&["--requirepass", "word"]);
    assert!(answer(outer, port).starts_with("-NOAUTH"));
}

fn redtail_with(arguments: &[&str]) -> Server {
    Server::redtail_of(&format!("redis://127.0.0.1:{}", free_port()), arguments)
}

#[test]
fn a_size_that_is_not_known_is_not_shown() {
    for (announced, size) in [
        (format!("$EOF:{MARK}\r\n"), ""),
        ("$1000\r\n".to_owned(), "1000"),
    ] {
        let primary = Scripted::start();
        let redtail = redtail(&format!("redis://{}", primary.address()));
        let (mut connection, _) = primary.accept_psync();
        connection.send(full_resync(1));
        connection.send(announced);
        connection.send("REDIS0010");
        redtail.wait_for_log("loading keys=");
        let log = redtail.log();
        let shown = log.split("of_bytes=").nth(1).unwrap_or_default();
        assert_eq!(
            shown.split_whitespace().next().unwrap_or_default(),
            size,
            "{log}"
        );
    }
}
