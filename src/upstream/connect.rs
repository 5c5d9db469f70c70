//! Connections to a primary, whatever they run over.

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::config::{Address, Timing};
use super::error::Error;

/// Any byte stream to a primary.
pub(super) trait Connection: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Connection for T {}

/// Connects within the handshake's time.
///
/// # Errors
/// [`Error::Connect`].
pub(super) async fn connect(
    address: &Address,
    timing: &Timing,
) -> Result<Box<dyn Connection>, Error> {
    let failed = |error| Error::Connect(address.clone(), error);
    let connecting = async {
        Ok::<Box<dyn Connection>, std::io::Error>(match address {
            Address::Tcp { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                if !timing.keepalive.is_zero() {
                    let probes = TcpKeepalive::new().with_time(timing.keepalive);
                    SockRef::from(&stream).set_tcp_keepalive(&probes)?;
                }
                Box::new(stream)
            }
            Address::Unix(path) => Box::new(UnixStream::connect(path).await?),
        })
    };
    let connected = timeout(timing.handshake, connecting).await;
    connected
        .map_err(|_| failed(std::io::ErrorKind::TimedOut.into()))?
        .map_err(failed)
}
