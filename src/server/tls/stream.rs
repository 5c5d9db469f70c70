//! One TLS connection: its handshake, and its bytes.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::rustls::{self, AlertDescription, CertificateError};
use tokio_rustls::server::TlsStream;

use super::{Certificates, HANDSHAKE_PATIENCE};
use crate::command::client::Client;
use crate::server::peer::Link;
use crate::words::Plain;

/// Maximum bytes of replies that `rustls` holds for a connection, beside those that the connection accounts for.
const HELD_BYTES_MAX: usize = 16 << 10;

/// Shakes hands with a client. Returns nothing if it does not finish, which is logged with the reason.
pub(in super::super) async fn shake_hands(
    stream: TcpStream,
    certificates: &Certificates,
    client: &Client,
) -> Option<TlsLink> {
    let accepting = certificates.acceptor().accept_with(stream, |connection| {
        connection.set_buffer_limit(Some(HELD_BYTES_MAX));
    });
    let shaken = tokio::select! {
        shaken = tokio::time::timeout(HANDSHAKE_PATIENCE, accepting) => shaken,
        () = client.close.cancelled() => return None,
    };
    let error = match shaken {
        Ok(Ok(inner)) => {
            return Some(TlsLink {
                inner,
                is_flushed: true,
            });
        }
        Ok(Err(error)) => why(&error),
        Err(_) => format!(
            "it did not finish within {} seconds",
            HANDSHAKE_PATIENCE.as_secs()
        ),
    };
    tracing::warn!(address = %client.address, error, "the TLS handshake with a client failed");
    None
}

/// Returns why a handshake failed, and what to do about it.
fn why(error: &io::Error) -> String {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let Some(inner) = inner else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => "the client closed the connection".to_owned(),
            _ => Plain(error).to_string(),
        };
    };
    use rustls::Error as E;
    match inner {
        E::InvalidMessage(_) => "the client does not speak TLS, and this port does: use rediss:// or redis-cli --tls".to_owned(),
        E::NoCertificatesPresented => {
            "the client presented no certificate, and --listen-client-auth required needs one".to_owned()
        }
        E::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "the client's certificate is not signed by an authority in --listen-client-ca-file".to_owned()
        }
        E::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "the client's certificate has expired".to_owned()
        }
        E::InvalidCertificate(error) => format!("the client's certificate is not valid: {error}"),
        E::AlertReceived(
            alert @ (AlertDescription::UnknownCA | AlertDescription::BadCertificate | AlertDescription::CertificateUnknown),
        ) => format!(
            "the client does not trust the certificate ({alert:?}): give it the authority that signed --listen-cert-file"
        ),
        E::AlertReceived(AlertDescription::CertificateExpired) => {
            "the client refused the certificate of --listen-cert-file, because it has expired".to_owned()
        }
        E::AlertReceived(alert) => format!("the client refused the connection ({alert:?})"),
        E::PeerIncompatible(_) => "the client and redtail have no TLS version or cipher in common: redtail speaks TLS 1.2 and 1.3".to_owned(),
        error => error.to_string(),
    }
}

/// A connection after its handshake.
///
/// What the socket has no room for waits inside `rustls`. It is sent whenever the connection next reads or writes, so callers
/// need not flush.
pub(in super::super) struct TlsLink {
    inner: TlsStream<TcpStream>,
    is_flushed: bool,
}

impl TlsLink {
    /// Sends what waits, as far as the socket has room.
    fn send_waiting(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.is_flushed {
            return Ok(());
        }
        match Pin::new(&mut self.inner).poll_flush(cx) {
            Poll::Ready(Ok(())) => self.is_flushed = true,
            Poll::Ready(Err(error)) => return Err(error),
            Poll::Pending => {}
        }
        Ok(())
    }
}

impl AsyncRead for TlsLink {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.send_waiting(cx)?;
        let read = Pin::new(&mut self.inner).poll_read(cx, buffer);
        match read {
            // Many clients hang up without the close that TLS asks for. Requests need no protection from being cut short.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Poll::Ready(Ok(()))
            }
            read => read,
        }
    }
}

impl AsyncWrite for TlsLink {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        if let Poll::Ready(Ok(1..)) = written {
            self.is_flushed = false;
            self.send_waiting(cx)?;
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl Link for TlsLink {
    fn socket(&self) -> BorrowedFd<'_> {
        self.inner.get_ref().0.as_fd()
    }

    /// A byte beside the encrypted ones would break the connection.
    fn takes_raw_bytes(&self) -> bool {
        false
    }
}
