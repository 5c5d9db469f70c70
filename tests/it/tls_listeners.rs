//! TLS on listeners: certificates, who is let in, renewals, and clients that never finish.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};

use crate::certificates::{Authority, Pair};
use crate::servers::{PATIENCE, Server, free_port, program};

/// A primary, and redtail with a plain listener and one that speaks TLS.
struct Pairing {
    _primary: Server,
    redtail: Server,
    port: u16,
}

impl Pairing {
    fn start(arguments: &[&str]) -> Option<Self> {
        let primary = Server::start("redis-7.0", &[])?;
        primary.command("SET key value");
        let port = free_port();
        let listen = format!("rediss://127.0.0.1:{port}");
        let redtail = Server::redtail_with(&primary, &[&["--listen", &listen], arguments].concat());
        Some(Self {
            _primary: primary,
            redtail,
            port,
        })
    }
}

static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

/// A client that trusts an authority, and may present a certificate.
struct Trust<'t> {
    authority: &'t str,
    own: Option<&'t Pair>,
    versions: &'t [&'static SupportedProtocolVersion],
}

impl<'t> Trust<'t> {
    fn in_authority(authority: &'t str) -> Self {
        Self {
            authority,
            own: None,
            versions: &BOTH,
        }
    }

    fn with(self, own: &'t Pair) -> Self {
        Self {
            own: Some(own),
            ..self
        }
    }

    fn connect(&self, port: u16) -> StreamOwned<ClientConnection, TcpStream> {
        let mut roots = RootCertStore::empty();
        for found in CertificateDer::pem_file_iter(self.authority).unwrap() {
            roots.add(found.unwrap()).unwrap();
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(self.versions)
            .unwrap()
            .with_root_certificates(roots);
        let config = match self.own {
            Some(own) => {
                let chain = CertificateDer::pem_file_iter(&own.cert)
                    .unwrap()
                    .map(Result::unwrap)
                    .collect();
                config
                    .with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(&own.key).unwrap())
                    .unwrap()
            }
            None => config.with_no_client_auth(),
        };
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        StreamOwned::new(connection, socket)
    }

    /// Returns the first reply to GET, or the error.
    fn get(&self, port: u16) -> std::io::Result<String> {
        let mut stream = self.connect(port);
        stream.write_all(b"GET key\r\n")?;
        let mut reply = [0; 11];
        stream.read_exact(&mut reply)?;
        Ok(String::from_utf8_lossy(&reply).into_owned())
    }
}

const VALUE: &str = "$5\r\nvalue\r\n";

#[test]
fn both_versions_of_tls_are_spoken_and_nothing_else_is() {
    let authority = Authority::new("inside");
    let own = authority.sign("own", &["127.0.0.1"]);
    let Some(pairing) = Pairing::start(&[
        "--listen-cert-file",
        &own.cert,
        "--listen-key-file",
        &own.key,
    ]) else {
        return;
    };
    let file = authority.file();
    for versions in [&BOTH[1..], &BOTH[..1], &BOTH] {
        let trust = Trust {
            versions,
            ..Trust::in_authority(&file)
        };
        assert_eq!(trust.get(pairing.port).unwrap(), VALUE);
    }
    let other = Authority::new("outside");
    assert!(
        Trust::in_authority(&other.file())
            .get(pairing.port)
            .is_err()
    );
    pairing
        .redtail
        .wait_for_log("the client does not trust the certificate");
    // A client that speaks no TLS is told nothing that it could read, and the operator is.
    let mut plain = TcpStream::connect(("127.0.0.1", pairing.port)).unwrap();
    plain.write_all(b"PING\r\n").unwrap();
    let mut rest = Vec::new();
    _ = plain.read_to_end(&mut rest);
    assert!(!rest.starts_with(b"+PONG"));
    pairing.redtail.wait_for_log(
        "the client does not speak TLS, and this port does: use rediss:// or redis-cli --tls",
    );
    assert_eq!(pairing.redtail.command("GET key").text(), "value");
    let failures = pairing
        .redtail
        .client()
        .info("redtail", "redtail_tls_handshake_failures");
    assert_eq!(failures.as_deref(), Some("2"));
}

#[test]
fn a_pipeline_of_ten_thousand_comes_back_whole() {
    let authority = Authority::new("inside");
    let own = authority.sign("own", &["127.0.0.1"]);
    let Some(pairing) = Pairing::start(&[
        "--listen-cert-file",
        &own.cert,
        "--listen-key-file",
        &own.key,
    ]) else {
        return;
    };
    let mut stream = Trust::in_authority(&authority.file()).connect(pairing.port);
    // All requests are written before a reply is read, so that both directions fill up.
    let request = "ECHO 01234567890123456789012345678901234567890123456789\r\n";
    stream.write_all(request.repeat(10_000).as_bytes()).unwrap();
    stream.write_all(b"QUIT\r\n").unwrap();
    let mut replies = Vec::new();
    stream.read_to_end(&mut replies).unwrap();
    let reply = "$50\r\n01234567890123456789012345678901234567890123456789\r\n";
    assert!(
        replies == (reply.repeat(10_000) + "+OK\r\n").as_bytes(),
        "{} bytes",
        replies.len()
    );
}

#[test]
fn clients_present_a_certificate_where_they_must() {
    let authority = Authority::new("inside");
    let other = Authority::new("outside");
    let own = authority.sign("own", &["127.0.0.1"]);
    let good = authority.sign("client", &["client"]);
    let expired = authority.sign_until("expired", &["client"], 2001);
    let bad = other.sign("client", &["client"]);
    let file = authority.file();
    let files = [
        "--listen-cert-file",
        &own.cert,
        "--listen-key-file",
        &own.key,
        "--listen-client-ca-file",
        &file,
    ];
    for (choice, without) in [
        (None, false),
        (Some("required"), false),
        (Some("optional"), true),
        (Some("no"), true),
    ] {
        let choice: Vec<&str> =
            choice.map_or(Vec::new(), |choice| vec!["--listen-client-auth", choice]);
        let Some(pairing) = Pairing::start(&[&files[..], &choice].concat()) else {
            return;
        };
        let trust = || Trust::in_authority(&file);
        assert_eq!(trust().get(pairing.port).is_ok(), without, "{choice:?}");
        assert_eq!(
            trust().with(&good).get(pairing.port).unwrap(),
            VALUE,
            "{choice:?}"
        );
        let takes_any = choice.last() == Some(&"no");
        assert_eq!(
            trust().with(&bad).get(pairing.port).is_ok(),
            takes_any,
            "{choice:?}"
        );
        assert_eq!(
            trust().with(&expired).get(pairing.port).is_ok(),
            takes_any,
            "{choice:?}"
        );
        if !takes_any {
            pairing
                .redtail
                .wait_for_log("is not signed by an authority in --listen-client-ca-file");
            pairing
                .redtail
                .wait_for_log("the client's certificate has expired");
        }
    }
}

#[test]
fn a_renewed_certificate_is_used_and_a_broken_one_is_not() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let own = old.sign("own", &["127.0.0.1"]);
    let renewed = new.sign("own", &["127.0.0.1"]);
    let Some(pairing) = Pairing::start(&[
        "--listen-cert-file",
        &own.cert,
        "--listen-key-file",
        &own.key,
    ]) else {
        return;
    };
    let mut before = Trust::in_authority(&old.file()).connect(pairing.port);
    let mut ask = move || {
        before.write_all(b"GET key\r\n").unwrap();
        let mut reply = [0; 11];
        before.read_exact(&mut reply).unwrap();
        assert_eq!(reply, VALUE.as_bytes());
    };
    ask();
    // The certificate alone does not belong to the key: nothing changes yet.
    fs::copy(&renewed.cert, &own.cert).unwrap();
    assert_eq!(
        Trust::in_authority(&old.file()).get(pairing.port).unwrap(),
        VALUE
    );
    pairing
        .redtail
        .wait_for_log("the key in --listen-key-file does not belong to the certificate");
    fs::copy(&renewed.key, &own.key).unwrap();
    assert_eq!(
        Trust::in_authority(&new.file()).get(pairing.port).unwrap(),
        VALUE
    );
    assert!(Trust::in_authority(&old.file()).get(pairing.port).is_err());
    pairing
        .redtail
        .wait_for_log("new clients get the new certificate");
    fs::write(&own.cert, "nothing").unwrap();
    assert_eq!(
        Trust::in_authority(&new.file()).get(pairing.port).unwrap(),
        VALUE
    );
    pairing
        .redtail
        .wait_for_log("new clients still get the old certificate");
    ask();
}

#[test]
fn a_handshake_that_never_ends_holds_a_place_for_ten_seconds() {
    let authority = Authority::new("inside");
    let own = authority.sign("own", &["127.0.0.1"]);
    let arguments = [
        "--listen-cert-file",
        &own.cert,
        "--listen-key-file",
        &own.key,
        "--maxclients",
        "4",
    ];
    let Some(pairing) = Pairing::start(&arguments) else {
        return;
    };
    // One says nothing, one begins a record and stops.
    let silent: Vec<TcpStream> = (0..3)
        .map(|_| TcpStream::connect(("127.0.0.1", pairing.port)).unwrap())
        .collect();
    (&silent[0]).write_all(&[22, 3, 1, 64, 0, 1]).unwrap();
    let mut admin = pairing.redtail.client();
    let connected =
        |admin: &mut crate::client::Client| admin.info("clients", "connected_clients").unwrap();
    while connected(&mut admin) != "4" {
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut refused = pairing.redtail.client();
    assert!(
        refused
            .try_command(&[b"PING"])
            .map_or(true, |reply| reply.is_error())
    );
    let begun = std::time::Instant::now();
    while connected(&mut admin) != "1" {
        std::thread::sleep(Duration::from_millis(100));
        assert!(begun.elapsed() < PATIENCE, "they are still connected");
    }
    pairing
        .redtail
        .wait_for_log("it did not finish within 10 seconds");
    assert_eq!(
        Trust::in_authority(&authority.file())
            .get(pairing.port)
            .unwrap(),
        VALUE
    );
}

#[test]
fn the_real_client_works_over_tls() {
    let authority = Authority::new("inside");
    let own = authority.sign("own", &["127.0.0.1"]);
    let client = authority.sign("client", &["client"]);
    let file = authority.file();
    let arguments = [
        "--listen-cert-file",
        &own.cert,
        "--listen-key-file",
        &own.key,
        "--listen-client-ca-file",
        &file,
    ];
    let Some(pairing) = Pairing::start(&arguments) else {
        return;
    };
    for name in ["redis-7.0", "redis-8.0", "valkey-9.1"] {
        let Some(cli) = program(name, "cli") else {
            return;
        };
        let run = |more: &[&str]| {
            let port = pairing.port.to_string();
            let output = Command::new(&cli)
                .args(["-p", &port, "--tls", "--cacert", &file])
                .args(more)
                .output()
                .unwrap();
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
        };
        let with = ["--cert", &client.cert, "--key", &client.key, "GET", "key"];
        assert_eq!(run(&with), "value\n", "{name}");
        assert!(run(&["GET", "key"]).contains("rror"), "{name}");
    }
}

#[test]
fn wrong_settings_are_refused_with_what_to_do() {
    let authority = Authority::new("inside");
    let own = authority.sign("own", &["127.0.0.1"]);
    let another = authority.sign("another", &["127.0.0.1"]);
    for (arguments, said) in [
        (
            &[][..],
            "a TLS listener needs a certificate: set --listen-cert-file",
        ),
        (
            &["--listen-cert-file", "/nowhere.pem"],
            "cannot read /nowhere.pem",
        ),
        (&["--listen-cert-file", &own.key], "contains no certificate"),
        (
            &["--listen-cert-file", &own.cert],
            "contains no unencrypted private key",
        ),
        (
            &[
                "--listen-cert-file",
                &own.cert,
                "--listen-key-file",
                &another.key,
            ],
            "the key in --listen-key-file does not belong to the certificate in --listen-cert-file",
        ),
        (
            &[
                "--listen-cert-file",
                &own.cert,
                "--listen-key-file",
                &own.key,
                "--listen-client-auth",
                "optional",
            ],
            "--listen-client-auth optional needs the authorities",
        ),
        (
            &["--listen-client-auth", "perhaps"],
            "is not one of no, optional and required",
        ),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_redtail"))
            .args([
                "serve",
                "--primary",
                "redis://127.0.0.1:1",
                "--listen",
                "rediss://127.0.0.1:0",
            ])
            .args(arguments)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && text.contains(said),
            "{arguments:?}: {text}"
        );
    }
}
