//! Memory that clients made redtail take goes back to the system when they have gone.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::servers::{PATIENCE, Server};

const MIB: usize = 1 << 20;

/// Bytes of the value that clients ask for.
const VALUE: usize = 8 * MIB;

/// What clients leave lying in all, at least.
const LEFT: usize = 160 * MIB;

/// What may stay: the allocator's own, and pages that are in use in part.
const STAYS: usize = 32 * MIB;

fn resident(server: &Server) -> usize {
    let statm = fs::read_to_string(format!("/proc/{}/statm", server.pid())).unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// The process's threads.
fn threads(server: &Server) -> BTreeSet<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
    let name = |task: fs::DirEntry| task.file_name().to_string_lossy().into_owned();
    tasks.map(|task| name(task.unwrap())).collect()
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        sleep(Duration::from_millis(20));
    }
}

/// Clients take memory and go. Gives whether all threads lived until it had gone back: the allocator gives back what it keeps
/// whenever one ends, and that must not be what is waited for.
fn takes_and_gives_back(redtail: &Server, requests: &[u8]) -> bool {
    let before = resident(redtail);
    let clients: Vec<TcpStream> = (0..4)
        .map(|_| {
            let mut client = TcpStream::connect(("127.0.0.1", redtail.port)).unwrap();
            client.write_all(requests).unwrap();
            client
        })
        .collect();
    wait_until("memory is taken", || resident(redtail) > before + LEFT);
    drop(clients);
    let there = threads(redtail);
    wait_until("memory goes back", || resident(redtail) < before + STAYS);
    threads(redtail).is_superset(&there)
}

#[test]
fn memory_goes_back_to_the_system_soon_after_clients_that_took_much() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    primary
        .client()
        .words(&[b"SET", b"big", &vec![b'x'; VALUE]]);
    let redtail = Server::redtail_with(&primary, &["--clients-memory", "1000000000"]);
    let replies = "GET big\r\n".repeat(10);
    let queue = "MULTI\r\n".to_owned() + &format!("GET {}\r\n", "k".repeat(10_000)).repeat(5_000);
    for requests in [replies, queue] {
        // A thread of the runtime's own may end at any time, but not at each.
        let gives_back = (0..10).any(|_| takes_and_gives_back(&redtail, requests.as_bytes()));
        assert!(gives_back, "only as threads ended: {}", redtail.log());
    }
}
