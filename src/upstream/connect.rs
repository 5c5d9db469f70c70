//! Connections to a server over any transport.

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::timeout;

use super::address::Address;
use super::config::{Config, Timing};
use super::error::Error;
use super::gather::Gather;
use super::line::Line;
use super::route::Route;
use super::tls;
use crate::limits::NAME_ADDRESSES_MAX;

/// Any byte stream to a server.
pub(super) trait Connection: AsyncRead + AsyncWrite + Unpin + Send {
    /// Lets the kernel gather incoming bytes, if the transport supports it.
    fn gather(&self) -> Option<Gather> {
        None
    }

    /// Returns a handle that says whether what is sent arrives, if the transport knows.
    fn route(&self) -> Option<Route> {
        None
    }

    /// Converts the connection once its handshake is done.
    fn into_line(self: Box<Self>) -> Line;
}

impl Connection for UnixStream {
    fn into_line(self: Box<Self>) -> Line {
        Line::unix(*self)
    }
}

#[cfg(test)]
impl Connection for tokio::io::DuplexStream {
    fn into_line(self: Box<Self>) -> Line {
        Line::Wrapped(self)
    }
}

impl Connection for TcpStream {
    fn into_line(self: Box<Self>) -> Line {
        Line::tcp(*self)
    }

    fn gather(&self) -> Option<Gather> {
        Gather::of(self)
    }

    fn route(&self) -> Option<Route> {
        Route::of(self)
    }
}

/// Connects. Resolves the name again and tries its addresses in turn, each for up to the handshake timeout.
///
/// # Errors
/// [`Error::Lookup`], [`Error::Connect`], [`Error::Tls`], [`Error::Ourselves`].
pub(super) async fn connect(
    address: &Address,
    over_tls: bool,
    config: &Config,
) -> Result<Box<dyn Connection>, Error> {
    let timing = &config.timing;
    let failed = |error| Error::Connect(address.clone(), error);
    Ok(match address {
        Address::Unix(path) => {
            let connecting = in_time(timing, UnixStream::connect(path));
            Box::new(connecting.await.map_err(failed)?)
        }
        Address::Tcp { host, port } => {
            let addresses = in_time(timing, lookup_host((host.as_str(), *port))).await;
            let addresses = addresses.map_err(|error| Error::Lookup(host.clone(), error))?;
            let stream = first_of(addresses, timing).await;
            let stream = stream
                .and_then(|stream| prepared(stream, timing))
                .map_err(failed)?;
            if config.listening_port == Some(*port) && is_this_machine(&stream) {
                return Err(Error::Ourselves(address.clone()));
            }
            if over_tls {
                Box::new(tls::connect(stream, host, &config.tls, timing.handshake).await?)
            } else {
                Box::new(stream)
            }
        }
    })
}

/// Connects to the first address of a name that accepts.
async fn first_of(
    addresses: impl Iterator<Item = SocketAddr>,
    timing: &Timing,
) -> io::Result<TcpStream> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses.take(NAME_ADDRESSES_MAX) {
        match in_time(timing, TcpStream::connect(address)).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn is_this_machine(stream: &TcpStream) -> bool {
    let (ours, theirs) = (stream.local_addr(), stream.peer_addr());
    ours.is_ok_and(|ours| theirs.is_ok_and(|theirs| ours.ip() == theirs.ip()))
}

fn prepared(stream: TcpStream, timing: &Timing) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    if !timing.keepalive.is_zero() {
        let probes = TcpKeepalive::new().with_time(timing.keepalive);
        SockRef::from(&stream).set_tcp_keepalive(&probes)?;
    }
    Ok(stream)
}

async fn in_time<T>(timing: &Timing, doing: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(timing.handshake, doing)
        .await
        .map_err(|_| io::ErrorKind::TimedOut)?
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use crate::upstream::Upstream;
    use socket2::{Domain, Socket, Type};
    use std::net::TcpListener;

    #[tokio::test]
    async fn what_we_announce_ourselves_is_not_followed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let upstream: Upstream = format!("127.0.0.1:{port}").parse().unwrap();
        let mut config = Config::new(upstream);
        let host = "127.0.0.1".to_owned();
        let address = Address::Tcp { host, port };
        assert!(connect(&address, false, &config).await.is_ok());
        config.listening_port = Some(port);
        let refused = connect(&address, false, &config).await.err();
        assert!(matches!(refused, Some(Error::Ourselves(_))), "{refused:?}");
    }

    #[tokio::test]
    async fn an_address_that_does_not_accept_is_followed_by_the_next() {
        // Bound, so that no other process gets the port, but not listened on.
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        socket.bind(&any.into()).unwrap();
        let dead = socket.local_addr().unwrap().as_socket().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let live = listener.local_addr().unwrap();
        let timing = Timing::default();
        let stream = first_of([dead, live].into_iter(), &timing).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), live);
        let none = first_of([dead].into_iter(), &timing).await.unwrap_err();
        assert_eq!(none.kind(), io::ErrorKind::ConnectionRefused);
        let nameless = first_of(std::iter::empty(), &timing).await.unwrap_err();
        assert_eq!(nameless.kind(), io::ErrorKind::NotFound);
    }
}
