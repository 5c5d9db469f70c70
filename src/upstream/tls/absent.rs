//! In a build without the feature `tls`, every attempt fails with the reason.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;

use super::{Tls, TlsError};

#[cfg(feature = "cli")]
impl Tls {
    /// Refuses to use the files.
    ///
    /// # Errors
    /// Always [`TlsError::NotBuilt`].
    pub(crate) fn check(&self) -> Result<(), TlsError> {
        Err(TlsError::NotBuilt)
    }
}

/// Refuses to connect.
///
/// # Errors
/// Always [`TlsError::NotBuilt`].
pub(in super::super) async fn connect(
    _stream: TcpStream,
    _host: &str,
    _tls: &Tls,
    _patience: Duration,
) -> Result<TcpStream, TlsError> {
    std::future::ready(Err(TlsError::NotBuilt)).await
}

/// Returns nothing: no read or write fails because of TLS.
pub(in super::super) const fn refusal(_error: &io::Error) -> Option<TlsError> {
    None
}
