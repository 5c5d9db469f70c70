//! Connections to a server, whatever they run over.

use std::future::Future;
use std::io;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::timeout;

use super::address::Address;
use super::config::Timing;
use super::error::Error;
use crate::limits::NAME_ADDRESSES_MAX;

/// Any byte stream to a server.
pub(super) trait Connection: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Connection for T {}

/// Connects. The name is looked up anew, and its addresses are tried in turn, each for the handshake's time.
///
/// # Errors
/// [`Error::Connect`].
pub(super) async fn connect(
    address: &Address,
    timing: &Timing,
) -> Result<Box<dyn Connection>, Error> {
    let connected: io::Result<Box<dyn Connection>> = match address {
        Address::Tcp { host, port } => tcp(host, *port, timing).await.map(boxed),
        Address::Unix(path) => in_time(timing, UnixStream::connect(path)).await.map(boxed),
    };
    connected.map_err(|error| Error::Connect(address.clone(), error))
}

fn boxed(stream: impl Connection + 'static) -> Box<dyn Connection> {
    Box::new(stream)
}

/// Connects to the first of the name's addresses that accepts.
async fn tcp(host: &str, port: u16, timing: &Timing) -> io::Result<TcpStream> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let addresses = in_time(timing, lookup_host((host, port))).await?;
    for address in addresses.take(NAME_ADDRESSES_MAX) {
        match in_time(timing, TcpStream::connect(address)).await {
            Ok(stream) => return prepared(stream, timing),
            Err(error) => failed = error,
        }
    }
    Err(failed)
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
