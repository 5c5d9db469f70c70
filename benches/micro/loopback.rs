//! A server and its one client on a single thread, over TCP: whatever the thread allocates or runs is the cost of the connection.

use std::sync::Arc;

use redtail::internal::command::Replication;
use redtail::internal::server::{Config, Listeners, Server};
use redtail::internal::store::{Generation, Served};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// The client's end.
pub(crate) struct Loopback {
    runtime: Runtime,
    stream: TcpStream,
    received: Vec<u8>,
}

impl Loopback {
    /// Serves `generation` and connects to it.
    pub(crate) fn new(generation: Arc<Generation>) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let served = Arc::new(Served::default());
        served.swap_in(generation);
        let stream = runtime.block_on(async {
            let any = "127.0.0.1:0".parse().unwrap();
            let listeners = Listeners::open(&[any], None).await.unwrap();
            let port = listeners.port().unwrap();
            let server = Server::new(Config::default(), served, Replication::default);
            tokio::spawn(server.run(listeners, CancellationToken::new()));
            TcpStream::connect(("127.0.0.1", port)).await.unwrap()
        });
        stream.set_nodelay(true).unwrap();
        Self {
            runtime,
            stream,
            received: Vec::new(),
        }
    }

    /// Sends `requests` in one write, `rounds` times, and each time waits for `reply_bytes` bytes of replies. Returns the last
    /// replies.
    pub(crate) fn ask(&mut self, requests: &[u8], reply_bytes: usize, rounds: u64) -> &[u8] {
        let (stream, received) = (&mut self.stream, &mut self.received);
        received.resize(reply_bytes, 0);
        self.runtime.block_on(async {
            // Each time the runtime is entered, its first yielding task makes it allocate the list of yielded tasks.
            tokio::task::yield_now().await;
            for _ in 0..rounds {
                stream.write_all(requests).await.unwrap();
                stream.read_exact(received).await.unwrap();
            }
        });
        &self.received
    }
}
