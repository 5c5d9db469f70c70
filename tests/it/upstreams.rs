//! What an upstream can be: behind TLS, with a login, on a Unix socket, behind a name, one of several.

use std::io::copy;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _};
use std::thread;

use tempfile::TempDir;

use crate::certificates::{Authority, Pair};
use crate::client::Reply;
use crate::servers::{Server, free_port};

/// The server for tests in which all servers behave the same.
const ANY: &str = "valkey-9.1";

/// The names of this machine.
pub const HERE: &[&str] = &["127.0.0.1", "localhost"];

/// A server whose second port uses TLS.
pub struct TlsServer {
    pub server: Server,
    tls_port: u16,
}

impl TlsServer {
    pub fn start(name: &str, authority: &Authority, pair: &Pair, more: &[&str]) -> Option<Self> {
        Self::start_on(name, free_port(), authority, pair, more)
    }

    fn start_on(
        name: &str,
        tls_port: u16,
        authority: &Authority,
        pair: &Pair,
        more: &[&str],
    ) -> Option<Self> {
        let port = tls_port.to_string();
        let ca = authority.file();
        let mut words = vec!["--tls-port", &port, "--tls-ca-cert-file", &ca];
        words.extend(["--tls-cert-file", &pair.cert, "--tls-key-file", &pair.key]);
        // The last word counts, so that `more` can override these.
        words.extend(["--tls-auth-clients", "no"]);
        words.extend(more);
        let server = Server::start(name, &words)?;
        Some(Self { server, tls_port })
    }

    pub fn address(&self) -> String {
        format!("rediss://127.0.0.1:{}", self.tls_port)
    }
}

/// redtail, with DEBUG enabled.
fn redtail(address: &str, arguments: &[&str]) -> Server {
    let all = [&["--enable-debug-command", "yes"], arguments].concat();
    Server::redtail_of(address, &all)
}

fn wait_for_sync(redtail: &Server) {
    redtail.wait_for("its first sync", |client| {
        client.command("DBSIZE").is_integer()
    });
}

fn assert_equal(redtail: &Server, primary: &Server) {
    redtail.wait_in_sync(primary);
    let digest = |server: &Server| server.command("DEBUG DIGEST");
    assert_eq!(digest(redtail), digest(primary));
}

fn plain(server: &Server) -> String {
    format!("redis://127.0.0.1:{}", server.port)
}

fn master(redtail: &Server) -> (String, String) {
    let mut client = redtail.client();
    let mut field = |name| client.info("replication", name).unwrap_or_default();
    (field("master_host"), field("master_port"))
}

/// The server's numbers of full and partial syncs.
fn syncs(server: &Server) -> (Option<String>, Option<String>) {
    let mut client = server.client();
    (
        client.info("stats", "sync_full"),
        client.info("stats", "sync_partial_ok"),
    )
}

fn counts(full: u32, partial: u32) -> (Option<String>, Option<String>) {
    (Some(full.to_string()), Some(partial.to_string()))
}

/// The servers that can speak TLS. The build of Redis 8.2 cannot.
const WITH_TLS: [&str; 6] = [
    "redis-6.0",
    "redis-7.0",
    "redis-7.4",
    "redis-8.0",
    "valkey-8.1",
    "valkey-9.1",
];

#[test]
fn follows_every_server_over_tls() {
    let authority = Authority::new("authority");
    let pair = authority.sign("server", HERE);
    for name in WITH_TLS {
        let Some(primary) = TlsServer::start(name, &authority, &pair, &[]) else {
            continue;
        };
        let server = &primary.server;
        server.command("DEBUG POPULATE 20000 key 100");
        let large = "x".repeat(3 << 20);
        server.client().words(&[b"SET", b"large", large.as_bytes()]);
        let redtail = redtail(
            &primary.address(),
            &["--tls-ca-cert-file", &authority.file(), "--ack", "honest"],
        );
        wait_for_sync(&redtail);
        server
            .client()
            .words(&[b"SET", b"larger", large.as_bytes()]);
        server.command("INCR counter");
        assert_equal(&redtail, server);
        // Waits for an acknowledgement, which must be sent as soon as it is written.
        assert_eq!(
            server.command("WAIT 1 20000"),
            Reply(b":1\r\n".to_vec()),
            "{name}"
        );
        assert_eq!(
            master(&redtail),
            ("127.0.0.1".to_owned(), primary.tls_port.to_string())
        );
    }
}

/// Waits until redtail logs why it cannot follow.
fn refusal(address: &str, arguments: &[&str], expected: &str) {
    redtail(address, arguments).wait_for_log(expected);
}

#[test]
fn says_what_is_wrong_with_the_servers_certificate_and_what_to_do() {
    let (authority, stranger) = (Authority::new("authority"), Authority::new("stranger"));
    let expired = authority.sign_until("expired", HERE, 2020);
    let elsewhere = authority.sign("elsewhere", &["db.example", "127.0.0.2"]);
    let Some(old) = TlsServer::start(ANY, &authority, &expired, &[]) else {
        return;
    };
    let other = TlsServer::start(ANY, &authority, &elsewhere, &[])
        .expect("the server was there a moment ago");
    let ca = authority.file();
    let trusting = ["--tls-ca-cert-file", ca.as_str()];
    refusal(&old.address(), &trusting, "Renew the server's certificate");
    refusal(&other.address(), &trusting, "or set one with --tls-sni");
    refusal(
        &other.address(),
        &["--tls-ca-cert-file", &stranger.file()],
        "Provide the authority that signed the server's certificate: --tls-ca-cert-file",
    );
    let any_name = [&trusting[..], &["--tls-verify-name", "no"]].concat();
    wait_for_sync(&redtail(&other.address(), &any_name));
    let stranger = stranger.file();
    let still = [&any_name[2..], &["--tls-ca-cert-file", &stranger]].concat();
    refusal(&other.address(), &still, "--tls-ca-cert-file");
    refusal(&old.address(), &any_name, "Renew the server's certificate");
    // The system's authorities have not signed it, either.
    refusal(&other.address(), &[], "--tls-ca-cert-file");
    let sni = [&trusting[..], &["--tls-sni", "db.example"]].concat();
    wait_for_sync(&redtail(&other.address(), &sni));
    let folder = authority.folder();
    let by_folder = ["--tls-ca-cert-dir", &folder, "--tls-sni", "db.example"];
    wait_for_sync(&redtail(&other.address(), &by_folder));
}

#[test]
fn shows_a_client_certificate_where_one_is_wanted() {
    let (authority, stranger) = (Authority::new("authority"), Authority::new("stranger"));
    let pair = authority.sign("server", HERE);
    let client = authority.sign("client", &["client"]);
    let wrong = stranger.sign("wrong", &["client"]);
    let ca = authority.file();
    for protocols in ["TLSv1.2", "TLSv1.3"] {
        let words = ["--tls-auth-clients", "yes", "--tls-protocols", protocols];
        let Some(primary) = TlsServer::start(ANY, &authority, &pair, &words) else {
            return;
        };
        let with = |cert: &str, key: &str| {
            [
                "--tls-ca-cert-file",
                &ca,
                "--tls-cert-file",
                cert,
                "--tls-key-file",
                key,
            ]
            .map(str::to_owned)
        };
        let run = |cert: &str, key: &str| {
            let words = with(cert, key);
            redtail(&primary.address(), &words.each_ref().map(String::as_str))
        };
        refusal(
            &primary.address(),
            &["--tls-ca-cert-file", &ca],
            "--tls-cert-file",
        );
        run(&wrong.cert, &wrong.key).wait_for_log("does not accept redtail's certificate");
        run(&client.cert, &wrong.key).wait_for_log("does not belong to the certificate");
        run(&client.cert, &client.cert).wait_for_log("contains no unencrypted private key");
        run("/nowhere", &client.key).wait_for_log("cannot read /nowhere");
        wait_for_sync(&run(&client.cert, &client.key));
    }
}

#[test]
fn renewed_files_are_used_by_the_next_connection() {
    let (first, second) = (Authority::new("first"), Authority::new("second"));
    let pair = first.sign("server", HERE);
    let Some(mut primary) = TlsServer::start(ANY, &first, &pair, &[]) else {
        return;
    };
    let folder = TempDir::new().expect("a temporary directory");
    let ca = folder.path().join("trusted.pem").display().to_string();
    std::fs::copy(first.file(), &ca).expect("a copy");
    let redtail = redtail(&primary.address(), &["--tls-ca-cert-file", &ca]);
    wait_for_sync(&redtail);
    primary.server.stop();
    let renewed = second.sign("server", HERE);
    let primary = TlsServer::start_on(ANY, primary.tls_port, &second, &renewed, &[])
        .expect("the server starts again");
    primary.server.command("SET after renewal");
    redtail.wait_for_log("Provide the authority that signed");
    std::fs::copy(second.file(), &ca).expect("a copy");
    redtail.wait_for("the renewed server's data", |client| {
        client.command("GET after").text() == "renewal"
    });
}

#[test]
fn says_when_one_side_speaks_tls_and_the_other_does_not() {
    let authority = Authority::new("authority");
    let pair = authority.sign("server", HERE);
    for name in WITH_TLS {
        let Some(primary) = TlsServer::start(name, &authority, &pair, &[]) else {
            continue;
        };
        let quick = ["--repl-syncio-timeout", "1"];
        refusal(
            &format!("rediss://127.0.0.1:{}", primary.server.port),
            &quick,
            "write redis:// instead of rediss://",
        );
        refusal(
            &format!("redis://127.0.0.1:{}", primary.tls_port),
            &quick,
            "write rediss:// instead of redis://",
        );
    }
}

#[test]
fn follows_over_a_unix_socket_as_a_user_who_may_do_three_things() {
    let folder = TempDir::new().expect("a temporary directory");
    let socket = folder.path().join("s").display().to_string();
    let Some(primary) = Server::start(ANY, &["--unixsocket", &socket]) else {
        return;
    };
    primary.command("ACL SETUSER tail on >secret-word +psync +replconf +ping");
    primary.command("ACL SETUSER default resetpass >other");
    let login = [
        "--primary-user",
        "tail",
        "--primary-password",
        "secret-word",
    ];
    let redtail = redtail(&format!("unix://{socket}"), &login);
    wait_for_sync(&redtail);
    assert_eq!(master(&redtail), (socket, "0".to_owned()));
    assert!(!redtail.log().contains("secret-word"), "{}", redtail.log());
}

#[test]
fn a_rotated_password_file_is_used_by_the_next_connection() {
    let Some(primary) = Server::start(ANY, &[]) else {
        return;
    };
    let mut admin = primary.client();
    admin.command("CONFIG SET requirepass first-word");
    admin.command("AUTH first-word");
    let folder = TempDir::new().expect("a temporary directory");
    let file = folder.path().join("password");
    let path = file.display().to_string();
    let redtail = redtail(&plain(&primary), &["--primary-password-file", &path]);
    redtail.wait_for_log("cannot read the password in");
    std::fs::write(&file, "first-word\n").expect("a file");
    wait_for_sync(&redtail);

    admin.command("CONFIG SET requirepass second-word");
    admin.command("AUTH second-word");
    std::fs::write(&file, "second-word\n").expect("a file");
    admin.command("SET rotated yes");
    admin.command("CLIENT KILL TYPE replica");
    admin.command("SET then yes");
    redtail.wait_for("the write after the rotation", |client| {
        client.command("GET then").text() == "yes"
    });
    assert_eq!(admin.info("stats", "sync_full").as_deref(), Some("1"));
    assert!(!redtail.log().contains("-word"), "{}", redtail.log());
}

/// Forwards connections to `listener` to a port on 127.0.0.1.
fn forward(listener: TcpListener, port: u16) {
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let server =
                TcpStream::connect(("127.0.0.1", port)).expect("the server accepts connections");
            pass_on(&stream, &server);
            pass_on(&server, &stream);
        }
    });
}

fn pass_on(from: &TcpStream, to: &TcpStream) {
    let (mut from, mut to) = (
        from.try_clone().expect("a socket"),
        to.try_clone().expect("a socket"),
    );
    thread::spawn(move || {
        _ = copy(&mut from, &mut to);
        _ = to.shutdown(Shutdown::Write);
    });
}

/// The addresses of the name `localhost`.
fn addresses_of_localhost(port: u16) -> Vec<String> {
    let addresses = ("localhost", port)
        .to_socket_addrs()
        .expect("it has a name");
    let without_port = |address: SocketAddr| match address.ip() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    addresses.map(without_port).collect()
}

#[test]
fn tries_every_address_of_a_name() {
    let Some(primary) = Server::start(ANY, &[]) else {
        return;
    };
    // A listener on only one of the name's two addresses.
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let Ok(listener) = TcpListener::bind(address) else {
            eprintln!("this machine has no IPv6");
            continue;
        };
        let port = listener.local_addr().expect("bound").port();
        forward(listener, primary.port);
        let listens = addresses_of_localhost(port);
        if listens.contains(&address.replace(":0", "")) {
            wait_for_sync(&redtail(&format!("redis://localhost:{port}"), &[]));
        }
        let literal = address.replace(":0", &format!(":{port}"));
        wait_for_sync(&redtail(&literal, &[]));
    }
}

#[test]
fn verifies_an_ipv6_address_against_the_certificate() {
    let authority = Authority::new("authority");
    let pair = authority.sign("server", &["::1"]);
    let Some(primary) = TlsServer::start(ANY, &authority, &pair, &["--bind", "127.0.0.1", "-::1"])
    else {
        return;
    };
    let ca = authority.file();
    let trusting = ["--tls-ca-cert-file", ca.as_str()];
    if TcpStream::connect(("::1", primary.tls_port)).is_ok() {
        wait_for_sync(&redtail(
            &format!("rediss://[::1]:{}", primary.tls_port),
            &trusting,
        ));
    }
    refusal(&primary.address(), &trusting, "--tls-sni");
}

#[test]
fn another_of_the_list_takes_over_by_partial_resync() {
    for name in ["redis-6.0", "redis-8.0", ANY] {
        let Some(mut primary) = Server::start(name, &[]) else {
            continue;
        };
        primary.command("DEBUG POPULATE 1000");
        let mut first = Server::replica(name, &primary).expect("the server was there a moment ago");
        let second = Server::replica(name, &primary).expect("the server was there a moment ago");
        let list = format!(
            "127.0.0.1:{},{},{}",
            first.port,
            plain(&primary),
            plain(&second)
        );
        let redtail = redtail(&list, &[]);
        wait_for_sync(&redtail);
        primary.command("SET last words");
        assert_equal(&redtail, &primary);
        assert_eq!(master(&redtail).1, first.port.to_string());

        first.stop();
        primary.command("SET from primary");
        assert_equal(&redtail, &primary);
        assert_eq!(master(&redtail).1, primary.port.to_string());
        // Two full syncs for the two real replicas.
        assert_eq!(syncs(&primary), counts(2, 1), "{name}");

        second.wait_in_sync(&primary);
        primary.stop();
        second.command("REPLICAOF NO ONE");
        second.command("SET first word");
        assert_equal(&redtail, &second);
        assert_eq!(syncs(&second), counts(0, 1), "{name}");
        redtail.wait_for_log("following another server");
    }
}

#[test]
fn a_list_goes_past_the_dead_and_stays_with_what_works() {
    let Some(primary) = Server::start(ANY, &[]) else {
        return;
    };
    let dead = free_port();
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let list = format!(
        "127.0.0.1:{dead},{},unix:/nowhere,{}",
        silent.local_addr().expect("bound"),
        plain(&primary)
    );
    let redtail = redtail(&list, &["--repl-syncio-timeout", "1"]);
    wait_for_sync(&redtail);
    let revived =
        Server::start_on(ANY, Some(dead), None, &[]).expect("the server was there a moment ago");
    primary.command("CLIENT KILL TYPE replica");
    primary.command("SET still here");
    assert_equal(&redtail, &primary);
    assert_eq!(syncs(&primary), counts(1, 1));
    assert_eq!(syncs(&revived), counts(0, 0));
}
