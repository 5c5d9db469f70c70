//! Memory that redtail allocates for clients returns to the system after they have gone.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::servers::{PATIENCE, Server};

const MIB: usize = 1 << 20;

/// The size in bytes of the value that clients request.
const VALUE: usize = 8 * MIB;

/// The minimum memory that clients make redtail allocate.
const LEFT: usize = 160 * MIB;

/// The memory that may remain: the allocator's own, and partly used pages.
const STAYS: usize = 32 * MIB;

fn resident(server: &Server) -> usize {
    let statm = fs::read_to_string(format!("/proc/{}/statm", server.pid())).unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// The ids of the process's threads.
fn threads(server: &Server) -> BTreeSet<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
    let name = |task: fs::DirEntry| task.file_name().to_string_lossy().into_owned();
    tasks.map(|task| name(task.unwrap())).collect()
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "timed out waiting until {what}");
        sleep(Duration::from_millis(20));
    }
}

/// Clients make redtail allocate memory and leave. Returns whether all threads lived until the memory was returned: the allocator
/// also returns memory when a thread ends, which must not be the reason here.
fn takes_and_gives_back(redtail: &Server, requests: &[u8]) -> bool {
    let before = resident(redtail);
    let clients: Vec<TcpStream> = (0..4)
        .map(|_| {
            let mut client = TcpStream::connect(("127.0.0.1", redtail.port)).unwrap();
            client.write_all(requests).unwrap();
            client
        })
        .collect();
    wait_until("memory is allocated", || resident(redtail) > before + LEFT);
    drop(clients);
    let there = threads(redtail);
    wait_until("memory is returned", || resident(redtail) < before + STAYS);
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
        // A runtime thread may end at any time, but not in every attempt.
        let gives_back = (0..10).any(|_| takes_and_gives_back(&redtail, requests.as_bytes()));
        assert!(
            gives_back,
            "memory returned only when threads ended: {}",
            redtail.log()
        );
    }
}
