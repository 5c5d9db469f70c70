//! The listener, and the limits of each connection.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::config::Config;
use super::events::Events;
use super::guard::Ends;
use super::routes::Site;
use super::stall::Stalling;
use crate::server::Server;
use crate::words::Plain;

/// Maximum number of connections. A monitoring system and a few browsers need a dozen.
const CONNECTIONS_MAX: usize = 64;

/// Maximum bytes of a request's line and headers.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// Maximum number of a request's headers.
const HEADERS_MAX: usize = 64;

/// How long a request's head may take to arrive, and how long a connection may be idle before it.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);

/// How long a peer may take nothing of what it is sent.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);

/// How long connections have to finish their answer when redtail stops.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// The pause after a failed accept (mostly because no file descriptors are left).
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// HTTP cannot listen on its address.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for HTTP: {error}{hint}", error = Plain(.error), hint = hint(.error))]
pub struct Error {
    address: SocketAddr,
    #[source]
    error: io::Error,
}

/// Returns what to do if listening fails, with the punctuation before it.
fn hint(error: &io::Error) -> &'static str {
    use io::ErrorKind as E;
    match error.kind() {
        E::AddrInUse => {
            ". Another program listens there, perhaps another redtail: stop it, or choose another address with --http"
        }
        E::AddrNotAvailable => ". This machine does not have that address: see --http",
        E::PermissionDenied => ". The system reserves ports below 1024: see --http",
        _ => "",
    }
}

/// An open listener. Connections wait in it until [`run`](Self::run) is called.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    config: Config,
}

impl Listener {
    /// Returns the address that it listens on.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.config.listen
    }

    /// Opens the listener.
    ///
    /// # Errors
    /// If the address cannot be used.
    pub async fn open(mut config: Config) -> Result<Self, Error> {
        let failed = |error| Error {
            address: config.listen,
            error,
        };
        let tcp = TcpListener::bind(config.listen).await.map_err(failed)?;
        config.listen = tcp.local_addr().map_err(failed)?;
        tracing::info!(
            "health, metrics and the status page are at http://{}/",
            config.listen
        );
        if config.refuses_others() {
            tracing::warn!(
                listen = %config.listen,
                "protected mode: no HTTP token is set, so other machines get only /livez and /readyz. Set one (--http-token or \
                 --http-token-file), or let everyone in (--protected-mode no)"
            );
        }
        Ok(Self { tcp, config })
    }

    /// Answers until `stop` is cancelled, then lets every connection finish its answer, and returns within a bounded time.
    /// `writer_works` says whether the replica's writer works. It is asked each second, because it compares what it sees with what
    /// it saw before.
    pub async fn run(
        self,
        server: Arc<Server>,
        events: Arc<Events>,
        writer_works: impl Fn() -> bool + Send + Sync + 'static,
        stop: CancellationToken,
    ) {
        let site = Site::new(server, self.config, events, Box::new(writer_works));
        let site = Arc::new(site);
        let sampling = tokio::spawn(site.sample(stop.clone()));
        let tasks = TaskTracker::new();
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.tcp.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    back_off(&error).await;
                    continue;
                }
            };
            let Ok(seat) = Arc::clone(&room).try_acquire_owned() else {
                tasks.spawn(turn_away(stream));
                continue;
            };
            let (site, stop) = (Arc::clone(&site), stop.clone());
            tasks.spawn(async move {
                serve(stream, peer, site, stop).await;
                drop(seat);
            });
        }
        tasks.close();
        // Connections that do not end in time are dropped with the runtime.
        let _ = tokio::time::timeout(STOP_GRACE, tasks.wait()).await;
        // The sampler returns nothing.
        let _ = sampling.await;
    }
}

/// Answers the requests of one connection.
async fn serve(stream: TcpStream, peer: SocketAddr, site: Arc<Site>, stop: CancellationToken) {
    // An answer must not wait for more bytes to send. If setting the option fails, answers are only slower.
    let _ = stream.set_nodelay(true);
    let Ok(local) = stream.local_addr() else {
        return;
    };
    let ends = Ends { peer, local };
    let service = service_fn(move |request: Request<Incoming>| {
        let site = Arc::clone(&site);
        async move { Ok::<_, Infallible>(site.answer(request, ends).await) }
    });
    let io = TokioIo::new(Stalling::new(stream, WRITE_PATIENCE));
    let mut connection = pin!(builder().serve_connection(io, service));
    // A connection that fails is of no interest: its peer is gone, too slow, or does not speak HTTP.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

fn builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_header_size(HEAD_BYTES_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        // `nc -N` ends its side after the request, and reads the answer.
        .half_close(true);
    builder
}

/// What a connection beyond [`CONNECTIONS_MAX`] gets.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 21\r\n\
Retry-After: 1\r\nConnection: close\r\n\r\ntoo many connections\n";

async fn turn_away(mut stream: TcpStream) {
    let told = async {
        // If this fails, the peer is gone.
        let _ = stream.write_all(FULL).await;
        let _ = stream.shutdown().await;
    };
    let _ = tokio::time::timeout(STOP_GRACE, told).await;
}

async fn back_off(error: &io::Error) {
    tracing::warn!(
        error = %Plain(error),
        "could not accept an HTTP connection. If too many files are open, raise the limit (ulimit -n)"
    );
    tokio::time::sleep(ACCEPT_BACKOFF).await;
}
