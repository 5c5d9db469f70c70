//! redtail inside this process, with shorter timeouts for the link than any setting allows, so that a thousand cuts do not take a
//! thousand waits.

use std::sync::mpsc;
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use redtail::internal::cli::config::LogFormat;
use redtail::internal::cli::serve::follow_and_serve;
use redtail::internal::replica;
use redtail::internal::server;
use tokio_util::sync::CancellationToken;

use crate::client::Client;
use crate::servers::{PATIENCE, free_port};

/// A running replica with its listener, stopped on drop.
pub struct Node {
    pub port: u16,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

/// A configuration that follows the primary on that port of this machine and always reconnects at once.
pub fn config(port: u16) -> replica::Config {
    let mut config = replica::Config::new(&format!("127.0.0.1:{port}")).expect("an address");
    let timing = &mut config.upstream.timing;
    timing.retry_first = Duration::from_millis(1);
    timing.retry_max = Duration::from_millis(20);
    timing.retry_refused = Duration::from_millis(20);
    timing.resync_floor = Duration::ZERO;
    timing.ack = Duration::from_millis(50);
    // The proxy takes the newest connection for the link.
    config.upstream.watch = false;
    // Digests include expired values.
    config.expired_grace = Duration::ZERO;
    config
}

impl Node {
    /// Follows the primary on that port and waits until it is in sync.
    pub fn start(port: u16) -> Self {
        Self::with(config(port))
    }

    /// The same with another configuration.
    pub fn with(replica: replica::Config) -> Self {
        Self::on(free_port(), replica)
    }

    /// The same, and announces its port to the primary.
    pub fn announced(mut replica: replica::Config) -> Self {
        let port = free_port();
        replica.upstream.listening_port = Some(port);
        Self::on(port, replica)
    }

    fn on(listen: u16, replica: replica::Config) -> Self {
        let server = server::Config {
            listen: vec![server::Listen::Tcp(([127, 0, 0, 1], listen).into())],
            debug: server::Access::Yes,
            ..server::Config::default()
        };
        // The log is shown if the test fails. Another test in this process may have started it already.
        _ = redtail::internal::cli::log::start(None, LogFormat::Compact, None);
        let (sender, tokens) = mpsc::channel();
        let thread = thread::spawn(move || {
            let beside = |_: &redtail::Replica, stop| {
                sender.send(stop).expect("the test waits");
                Ok(())
            };
            let runtime = tokio::runtime::Builder::new_multi_thread();
            let runtime = { runtime }.worker_threads(2).enable_all().build();
            let ended = runtime
                .expect("a runtime")
                .block_on(follow_and_serve(replica, server, None, beside));
            assert!(ended.is_ok(), "redtail serves");
        });
        let node = Self {
            port: listen,
            stop: tokens.recv().expect("redtail starts"),
            thread: Some(thread),
        };
        wait("the first sync", || {
            Client::try_connect(listen)
                .is_ok_and(|mut client| client.command("DBSIZE").is_integer())
        });
        node
    }

    pub fn client(&self) -> Client {
        Client::try_connect(self.port).expect("redtail listens")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop.cancel();
        _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Waits until `done` returns true.
///
/// # Panics
/// If it takes longer than [`PATIENCE`].
pub fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "timed out waiting for {what}");
        sleep(Duration::from_millis(5));
    }
}
