//! In a build without the feature `tls`, a TLS listener is refused with the reason.

use tokio::net::TcpStream;

use super::{TlsError, TlsFiles};
use crate::command::client::Client;

/// Cannot be created.
pub(in super::super) enum Certificates {}

impl Certificates {
    /// Refuses.
    ///
    /// # Errors
    /// Always [`TlsError::NotBuilt`].
    pub(in super::super) const fn read(_files: Option<&TlsFiles>) -> Result<Self, TlsError> {
        Err(TlsError::NotBuilt)
    }
}

/// Is never called.
pub(in super::super) async fn shake_hands(
    _stream: TcpStream,
    certificates: &Certificates,
    _client: &Client,
) -> Option<TcpStream> {
    match *certificates {}
}
