//! The state directory: restarts that resume, whatever was cut, flipped, or in the way.

use std::path::Path;

use tempfile::TempDir;

use crate::client::{Client, Reply};
use crate::oracle;
use crate::servers::{ALL, Server, free_port};

/// A primary that deletes nothing by itself, so that digests stay the same.
fn primary(name: &str) -> Option<Server> {
    let scripts: &[&str] = match name {
        "redis-6.0" => &["--lua-replicate-commands", "yes"],
        _ => &[],
    };
    let primary = Server::start(name, scripts)?;
    primary.command("DEBUG SET-ACTIVE-EXPIRE 0");
    Some(primary)
}

/// redtail with its state in `folder`. DEBUG DIGEST sums up what is past its time, too: no value may be swept away.
fn redtail(address: &str, folder: &Path, more: &[&str]) -> Server {
    let folder = folder.to_str().expect("a plain path");
    let own = format!("--state-dir {folder} --enable-debug-command yes --expired-grace 0");
    let arguments: Vec<&str> = own.split(' ').chain(more.iter().copied()).collect();
    Server::redtail_of(address, &arguments)
}

fn address(primary: &Server) -> String {
    format!("redis://127.0.0.1:{}", primary.port)
}

/// Where nobody listens.
fn nowhere() -> String {
    format!("redis://127.0.0.1:{}", free_port())
}

fn write(primary: &Server, seed: u64, count: usize) {
    drop(primary.client().pipeline(&oracle::writes(seed, count)));
}

/// What tells two states apart.
#[derive(Debug, PartialEq)]
struct Shown {
    offset: Option<String>,
    replid: Option<String>,
    version: Option<String>,
    keyspace: String,
    digest: Reply,
    libraries: Reply,
}

fn shown(server: &Server) -> Shown {
    let mut client = server.client();
    Shown {
        offset: client.info("replication", "master_repl_offset"),
        replid: client.info("replication", "master_replid"),
        version: client.info("server", "redis_version"),
        keyspace: client.command("INFO keyspace").text(),
        digest: client.command("DEBUG DIGEST"),
        libraries: client.command("FUNCTION DUMP"),
    }
}

fn syncs(primary: &Server) -> [i64; 2] {
    let mut client = primary.client();
    let count = |client: &mut Client, name| client.info("stats", name)?.parse().ok();
    ["sync_full", "sync_partial_ok"].map(|name| count(&mut client, name).unwrap_or(-1))
}

fn ready(redtail: &Server) {
    redtail.wait_for("its data", |client| client.command("DBSIZE").is_integer());
}

/// Asks redtail to end, as a supervisor does.
fn terminate(redtail: &mut Server) {
    let pid = redtail.pid().to_string();
    let killed = std::process::Command::new("kill").arg(&pid).status();
    assert!(killed.expect("kill runs").success());
    assert_eq!(redtail.exit_code(), Some(0), "{}", redtail.log());
}

#[test]
fn a_restart_serves_at_once_and_resumes_by_partial_resync() {
    for name in ALL {
        let Some(primary) = primary(name) else {
            continue;
        };
        let folder = TempDir::new().unwrap();
        write(&primary, 1, 500);
        let mut first = redtail(&address(&primary), folder.path(), &[]);
        ready(&first);
        write(&primary, 2, 500);
        first.wait_in_sync(&primary);
        let before = shown(&first);
        terminate(&mut first);
        // Nobody is asked for anything: the primary may be down.
        let mut alone = redtail(&nowhere(), folder.path(), &[]);
        ready(&alone);
        assert_eq!(shown(&alone), before, "{name}");
        alone.stop();
        write(&primary, 3, 500);
        let [full, partial] = syncs(&primary);
        let again = redtail(&address(&primary), folder.path(), &[]);
        again.wait_in_sync(&primary);
        assert_eq!(syncs(&primary), [full, partial + 1], "{name}");
        let digest = primary.command("DEBUG DIGEST");
        assert_eq!(again.command("DEBUG DIGEST"), digest, "{name}");
    }
}
