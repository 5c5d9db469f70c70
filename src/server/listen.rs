//! Listening sockets.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::config::Listen;
use super::peer::Link;
use super::protected::DENIED;
use super::session;
use super::shared::Server;
use super::tls::{Certificates, TlsError, TlsFiles, shake_hands};
use crate::command::client::Client;
use crate::command::{Host as _, Tunables};
use crate::words::Plain;

/// How long connections have to finish their batch when the server stops.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// The pause after a failed accept (mostly because no file descriptors are left).
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// How often the server checks for silent and stalled connections.
const SWEEP_EVERY: Duration = Duration::from_millis(250);

/// Listening on an address failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The socket could not be opened.
    #[error("cannot listen on {0}: {error}{hint}", error = Plain(.1), hint = hint(.1))]
    Bind(Listen, #[source] io::Error),
    /// The path of a Unix socket holds something other than a socket.
    #[error("cannot listen on unix:{}: a file of that name exists and is not a socket. Remove it, or choose another path", .0.display())]
    NotSocket(PathBuf),
    /// The certificate of a TLS listener cannot be used.
    #[error("cannot listen on {0}: {1}")]
    Tls(Listen, #[source] TlsError),
}

/// Returns what to do if listening on an address fails, with the punctuation before it.
fn hint(error: &io::Error) -> &'static str {
    use io::ErrorKind as E;
    match error.kind() {
        E::AddrInUse => {
            ". Another program listens there, perhaps another redtail: stop it, or choose another address with --listen"
        }
        E::AddrNotAvailable => ". This machine does not have that address: see --listen",
        E::PermissionDenied => {
            ". The system reserves ports below 1024, and a socket's directory must be writable: see --listen"
        }
        E::NotFound => ". The socket's directory does not exist",
        _ => "",
    }
}

/// Open listeners. Connections wait in them until [`Server::run`] is called.
pub struct Listeners(Vec<Bound>);

enum Bound {
    Tcp(TcpListener),
    Tls(TcpListener, Arc<Certificates>),
    Unix(UnixListener, PathBuf),
}

impl Listeners {
    /// Opens a listener on each address. Those that speak TLS present the certificate in `tls`.
    ///
    /// # Errors
    /// If listening on one address fails; then none is open.
    pub async fn open(addresses: &[Listen], tls: Option<&TlsFiles>) -> Result<Self, Error> {
        let mut open = Self(Vec::new());
        for listen in addresses {
            open.0.push(Bound::open(listen, tls).await?);
            tracing::info!(%listen, "listening");
        }
        Ok(open)
    }

    /// Returns the port of the first TCP listener.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.0.iter().find_map(|bound| match bound {
            Bound::Tcp(listener) | Bound::Tls(listener, _) => {
                Some(listener.local_addr().ok()?.port())
            }
            Bound::Unix(..) => None,
        })
    }
}

impl Bound {
    async fn open(listen: &Listen, tls: Option<&TlsFiles>) -> Result<Self, Error> {
        let failed = |error| Error::Bind(listen.clone(), error);
        match listen {
            Listen::Tcp(address) => {
                let listener = TcpListener::bind(address).await.map_err(failed)?;
                Ok(Self::Tcp(listener))
            }
            Listen::Tls(address) => {
                let certificates = Certificates::read(tls);
                let certificates =
                    certificates.map_err(|error| Error::Tls(listen.clone(), error))?;
                let listener = TcpListener::bind(address).await.map_err(failed)?;
                Ok(Self::Tls(listener, Arc::new(certificates)))
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
            // The file may already be gone; then there is nothing to remove.
            let _ = fs::remove_file(path);
        }
    }
}

impl Server {
    /// Serves until `stop` is cancelled. Then it stops accepting, lets every connection finish its batch, and returns within a
    /// bounded time.
    pub async fn run(self: Arc<Self>, listeners: Listeners, stop: CancellationToken) {
        let port = listeners.port().unwrap_or(0);
        self.statistics
            .port
            .store(u64::from(port), Ordering::Relaxed);
        let tasks = TaskTracker::new();
        self.audience.open();
        let mut accepting = Vec::new();
        for bound in listeners.0 {
            let (server, stop, tasks) = (Arc::clone(&self), stop.clone(), tasks.clone());
            accepting.push(tokio::spawn(async move {
                match &bound {
                    Bound::Tcp(listener) => server.accept_tcp(listener, None, &stop, &tasks).await,
                    Bound::Tls(listener, certificates) => {
                        let certificates = Some(certificates);
                        server
                            .accept_tcp(listener, certificates, &stop, &tasks)
                            .await;
                    }
                    Bound::Unix(listener, path) => {
                        server.accept_unix(listener, path, &stop, &tasks).await;
                    }
                }
            }));
        }
        let couriers = {
            let (server, stop) = (Arc::clone(&self), stop.clone());
            tokio::spawn(server.run_couriers(stop))
        };
        let messages = tokio::spawn(Arc::clone(&self).run_messages(stop.clone()));
        self.sweep_until(&stop).await;
        // They begin again if they panic, and end with `stop`.
        let _ = tokio::join!(couriers, messages);
        for listener in accepting {
            // A listener that panicked has ended too.
            let _ = listener.await;
        }
        tasks.close();
        // Connections that do not end in time are dropped with the runtime.
        let _ = tokio::time::timeout(STOP_GRACE, tasks.wait()).await;
        self.audience.close();
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
            // Notes and logs what has changed.
            self.health();
            let idle = Duration::from_millis(self.tunables.idle_ms.load(Ordering::Relaxed));
            let stalled = self.clients.sweep(
                idle,
                self.config.stall_timeout,
                &self.tunables.output_limits,
            );
            self.statistics
                .reply_limit_closes
                .fetch_add(stalled, Ordering::Relaxed);
        }
    }

    async fn accept_tcp(
        self: &Arc<Self>,
        listener: &TcpListener,
        certificates: Option<&Arc<Certificates>>,
        stop: &CancellationToken,
        tasks: &TaskTracker,
    ) {
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) if self.denies(address.ip()) => {
                    self.statistics.rejected.fetch_add(1, Ordering::Relaxed);
                    if certificates.is_none() {
                        tasks.spawn(turn_away(stream, DENIED));
                    }
                }
                Ok((stream, address)) => {
                    // A reply must not wait for more bytes to send. If setting the option fails, replies are only slower.
                    let _ = stream.set_nodelay(true);
                    self.probe_when_silent(&stream);
                    let local = stream.local_addr().map(|local| local.to_string());
                    let local = local.unwrap_or_default();
                    let address = address.to_string();
                    match certificates {
                        Some(certificates) => {
                            self.start_tls(stream, certificates, address, local, stop, tasks);
                        }
                        None => self.start(stream, address, local, false, stop, tasks),
                    }
                }
                Err(error) => back_off(&error).await,
            }
        }
    }

    /// Makes the system probe whether a silent peer is still there. Source: redis 7.0 anet.c, `anetKeepAlive`.
    fn probe_when_silent(&self, stream: &TcpStream) {
        let seconds = self.tunables.keepalive_seconds.load(Ordering::Relaxed);
        if seconds == 0 {
            return;
        }
        let between = Duration::from_secs((seconds / 3).max(1));
        let probes = TcpKeepalive::new()
            .with_time(Duration::from_secs(seconds))
            .with_interval(between);
        // If setting the option fails, a peer that has vanished is noticed later.
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
        stream: impl Link + 'static,
        address: String,
        local: String,
        is_unix: bool,
        stop: &CancellationToken,
        tasks: &TaskTracker,
    ) {
        match self.admit(address, local, is_unix, stop) {
            Some(client) => {
                let run = session::run(stream, Arc::clone(self), client, tasks.clone());
                drop(tasks.spawn(run));
            }
            None => drop(tasks.spawn(turn_away(stream, FULL))),
        }
    }

    /// Like [`start`](Self::start), after a handshake. A client that is not admitted is disconnected: it could not read the reason
    /// before the handshake.
    fn start_tls(
        self: &Arc<Self>,
        stream: TcpStream,
        certificates: &Arc<Certificates>,
        address: String,
        local: String,
        stop: &CancellationToken,
        tasks: &TaskTracker,
    ) {
        let Some(client) = self.admit(address, local, false, stop) else {
            return;
        };
        let (server, certificates) = (Arc::clone(self), Arc::clone(certificates));
        let all = tasks.clone();
        tasks.spawn(async move {
            match shake_hands(stream, &certificates, &client).await {
                Some(stream) => session::run(stream, server, client, all).await,
                None => {
                    let failures = &server.statistics.tls_failures;
                    failures.fetch_add(1, Ordering::Relaxed);
                    server.clients.remove(&client);
                }
            }
        });
    }

    fn admit(
        &self,
        address: String,
        local: String,
        is_unix: bool,
        stop: &CancellationToken,
    ) -> Option<Arc<Client>> {
        let most = Tunables::size(&self.tunables.clients_max);
        let (close, budget) = (stop.child_token(), &self.statistics.budget);
        let admitted = self
            .clients
            .admit(address, local, is_unix, close, budget, most);
        let counted = match admitted {
            Some(_) => &self.statistics.connections,
            None => &self.statistics.rejected,
        };
        counted.fetch_add(1, Ordering::Relaxed);
        admitted
    }
}

/// Source: redis 7.0 networking.c, `acceptCommonHandler`.
const FULL: &[u8] = b"-ERR max number of clients reached\r\n";

/// Sends the reason why a connection is not served, and closes it.
async fn turn_away(mut stream: impl AsyncWrite + Unpin, reason: &[u8]) {
    // If this fails, the peer is gone.
    let _ = stream.write_all(reason).await;
    let _ = stream.shutdown().await;
}

async fn back_off(error: &io::Error) {
    tracing::warn!(
        error = %Plain(error),
        "could not accept a client. If too many files are open, raise the limit (ulimit -n) or lower --maxclients"
    );
    tokio::time::sleep(ACCEPT_BACKOFF).await;
}

/// Removes the socket file of a server that is gone. Never removes one on which a process listens, or a file of another kind.
fn remove_stale(path: &Path) -> Result<(), Error> {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !metadata.file_type().is_socket() {
        return Err(Error::NotSocket(path.to_owned()));
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            // If it cannot be removed, binding fails and reports it.
            let _ = fs::remove_file(path);
            Ok(())
        }
        // A process listens there: binding fails with the right error.
        _ => Ok(()),
    }
}
