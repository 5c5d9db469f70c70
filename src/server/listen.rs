//! Listening sockets.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::config::Listen;
use super::protected::DENIED;
use super::session;
use super::shared::Server;
use crate::command::Tunables;
use crate::words::Plain;

/// How long connections get to finish their batch when the server stops.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// Pause after a failed accept (no file descriptors left, most often).
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// How often silent and stalled connections are looked for.
const SWEEP_EVERY: Duration = Duration::from_millis(250);

/// An address could not be listened on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The socket could not be opened.
    #[error("cannot listen on {0}: {error}{hint}", error = Plain(.1), hint = hint(.1))]
    Bind(Listen, #[source] io::Error),
    /// Something else than a socket stands in a Unix socket's place.
    #[error("cannot listen on unix:{}: there is a file of that name that is not a socket. Remove it, or choose another path", .0.display())]
    NotSocket(PathBuf),
}

/// What to do about an address that cannot be listened on, with what stands between.
fn hint(error: &io::Error) -> &'static str {
    use io::ErrorKind as E;
    match error.kind() {
        E::AddrInUse => {
            ". Another program listens there, perhaps another redtail: end it, or choose another address by --listen"
        }
        E::AddrNotAvailable => ". This machine does not have that address: see --listen",
        E::PermissionDenied => {
            ". The system reserves ports below 1024, and a socket's folder must be writable: see --listen"
        }
        E::NotFound => ". The folder of the socket is not there",
        _ => "",
    }
}

/// Open listeners. Connections wait in them until [`Server::run`].
pub struct Listeners(Vec<Bound>);

enum Bound {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

impl Listeners {
    /// Opens a listener at each address.
    ///
    /// # Errors
    /// When one cannot be listened on; none is open then.
    pub async fn open(addresses: &[Listen]) -> Result<Self, Error> {
        let mut open = Self(Vec::new());
        for listen in addresses {
            open.0.push(Bound::open(listen).await?);
            tracing::info!(%listen, "listening");
        }
        Ok(open)
    }

    /// The port of the first TCP listener.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.0.iter().find_map(|bound| match bound {
            Bound::Tcp(listener) => Some(listener.local_addr().ok()?.port()),
            Bound::Unix(..) => None,
        })
    }
}

impl Bound {
    async fn open(listen: &Listen) -> Result<Self, Error> {
        let failed = |error| Error::Bind(listen.clone(), error);
        match listen {
            Listen::Tcp(address) => {
                let listener = TcpListener::bind(address).await.map_err(failed)?;
                Ok(Self::Tcp(listener))
            }
            Listen::Unix(path) => {
                remove_stale(path)?;
                let listener = UnixListener::bind(path).map_err(failed)?;
                Ok(Self::Unix(listener, path.clone()))
            }
        }
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            // It may be gone already; then there is nothing to remove.
            let _ = fs::remove_file(path);
        }
    }
}

impl Server {
    /// Serves until `stop`: accepts no more then, lets every connection finish its batch, and returns within a bounded time.
    pub async fn run(self: Arc<Self>, listeners: Listeners, stop: CancellationToken) {
        let port = listeners.port().unwrap_or(0);
        self.statistics
            .port
            .store(u64::from(port), Ordering::Relaxed);
        let tasks = TaskTracker::new();
        let mut accepting = Vec::new();
        for bound in listeners.0 {
            let (server, stop, tasks) = (Arc::clone(&self), stop.clone(), tasks.clone());
            accepting.push(tokio::spawn(async move {
                match &bound {
                    Bound::Tcp(listener) => server.accept_tcp(listener, &stop, &tasks).await,
                    Bound::Unix(listener, path) => {
                        server.accept_unix(listener, path, &stop, &tasks).await;
                    }
                }
            }));
        }
        self.sweep_until(&stop).await;
        for listener in accepting {
            // A listener that panicked has ended all the same.
            let _ = listener.await;
        }
        tasks.close();
        // Connections that do not end in time are dropped with the runtime.
        let _ = tokio::time::timeout(STOP_GRACE, tasks.wait()).await;
    }

    async fn sweep_until(&self, stop: &CancellationToken) {
        let mut ticks = tokio::time::interval(SWEEP_EVERY);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let statistics = &self.statistics;
            statistics.rates.sample(statistics.traffic.totals());
            let idle = Duration::from_millis(self.tunables.idle_ms.load(Ordering::Relaxed));
            let stalled = self.clients.sweep(idle, self.config.stall_timeout);
            self.statistics
                .reply_limit_closes
                .fetch_add(stalled, Ordering::Relaxed);
        }
    }

    async fn accept_tcp(
        self: &Arc<Self>,
        listener: &TcpListener,
        stop: &CancellationToken,
        tasks: &TaskTracker,
    ) {
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) if self.config.denies(address.ip()) => {
                    self.statistics.rejected.fetch_add(1, Ordering::Relaxed);
                    tasks.spawn(turn_away(stream, DENIED));
                }
                Ok((stream, address)) => {
                    // Replies must not wait for more to send; without the option they are only slower.
                    let _ = stream.set_nodelay(true);
                    self.probe_when_silent(&stream);
                    let local = stream.local_addr().map(|local| local.to_string());
                    let local = local.unwrap_or_default();
                    self.start(stream, address.to_string(), local, false, stop, tasks);
                }
                Err(error) => back_off(&error).await,
            }
        }
    }

    /// Has the system find out whether a silent peer is still there. Source: redis 7.0 anet.c, `anetKeepAlive`.
    fn probe_when_silent(&self, stream: &TcpStream) {
        let seconds = self.tunables.keepalive_seconds.load(Ordering::Relaxed);
        if seconds == 0 {
            return;
        }
        let between = Duration::from_secs((seconds / 3).max(1));
        let probes = TcpKeepalive::new()
            .with_time(Duration::from_secs(seconds))
            .with_interval(between);
        // Without the option a peer that vanished is noticed later.
        let _ = SockRef::from(stream).set_tcp_keepalive(&probes);
    }

    async fn accept_unix(
        self: &Arc<Self>,
        listener: &UnixListener,
        path: &Path,
        stop: &CancellationToken,
        tasks: &TaskTracker,
    ) {
        let address = format!("{}:0", path.display());
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    self.start(stream, address.clone(), address.clone(), true, stop, tasks);
                }
                Err(error) => back_off(&error).await,
            }
        }
    }

    fn start(
        self: &Arc<Self>,
        stream: impl AsyncRead + AsyncWrite + AsFd + Unpin + Send + Sync + 'static,
        address: String,
        local: String,
        is_unix: bool,
        stop: &CancellationToken,
        tasks: &TaskTracker,
    ) {
        let most = Tunables::size(&self.tunables.clients_max);
        let admitted = self.clients.admit(
            address,
            local,
            is_unix,
            stop.child_token(),
            &self.statistics.budget,
            most,
        );
        match admitted {
            Some(client) => {
                self.statistics.connections.fetch_add(1, Ordering::Relaxed);
                tasks.spawn(session::run(stream, Arc::clone(self), client));
            }
            None => {
                self.statistics.rejected.fetch_add(1, Ordering::Relaxed);
                tasks.spawn(turn_away(stream, FULL));
            }
        }
    }
}

/// Source: redis 7.0 networking.c, `acceptCommonHandler`.
const FULL: &[u8] = b"-ERR max number of clients reached\r\n";

/// Says why a connection is not served, and closes it.
async fn turn_away(mut stream: impl AsyncWrite + Unpin, reason: &[u8]) {
    // Nobody is left to tell if this fails.
    let _ = stream.write_all(reason).await;
    let _ = stream.shutdown().await;
}

async fn back_off(error: &io::Error) {
    tracing::warn!(
        error = %Plain(error),
        "a client could not be let in. If too many files are open, raise the limit (ulimit -n) or lower --maxclients"
    );
    tokio::time::sleep(ACCEPT_BACKOFF).await;
}

/// Removes the socket file of a server that is gone; never one on which somebody listens, never another kind of file.
fn remove_stale(path: &Path) -> Result<(), Error> {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !metadata.file_type().is_socket() {
        return Err(Error::NotSocket(path.to_owned()));
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            // If it cannot be removed, binding says so.
            let _ = fs::remove_file(path);
            Ok(())
        }
        // Somebody listens: binding fails with the right words.
        _ => Ok(()),
    }
}
