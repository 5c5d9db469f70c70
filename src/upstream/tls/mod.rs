//! TLS connections to servers.
//!
//! All files are read again for each connection, so that renewed certificates and keys take effect without a restart. The
//! same settings apply to every server and sentinel whose address asks for TLS.

#[cfg(not(feature = "tls"))]
mod absent;
#[cfg(feature = "tls")]
mod causes;
#[cfg(feature = "tls")]
mod handshake;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::words::{Period, Plain};

#[cfg(not(feature = "tls"))]
pub(super) use absent::{connect, refusal};
#[cfg(feature = "tls")]
pub(super) use causes::refusal;
#[cfg(feature = "tls")]
pub(super) use handshake::connect;

/// Which certificates to trust, and which one to present.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// A PEM file with the authorities that may sign a server's certificate. Without this file and
    /// [`ca_cert_dir`](Self::ca_cert_dir), the system's authorities.
    pub ca_cert_file: Option<PathBuf>,
    /// A folder of such files.
    pub ca_cert_dir: Option<PathBuf>,
    /// A PEM file with redtail's own certificate, and any certificates between it and its authority.
    pub cert_file: Option<PathBuf>,
    /// A PEM file with the unencrypted private key. `None` if it is in the certificate's file.
    pub key_file: Option<PathBuf>,
    /// The name that redtail asks for (SNI) and that the certificate must contain. `None` for the name in the address.
    pub server_name: Option<String>,
    /// Whether any name in the certificate is accepted, as Redis's own replicas do: any server with a certificate from a
    /// trusted authority may then be the upstream.
    pub any_name: bool,
}

/// Why a TLS connection could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// This build cannot speak TLS.
    #[error("this build of redtail has no TLS: build it with the feature `tls`")]
    NotBuilt,
    /// A file cannot be read.
    #[error("cannot read {path}: {error}", path = .0.display(), error = Plain(.1))]
    File(PathBuf, #[source] io::Error),
    /// A file does not contain what it should.
    #[error("{path} contains no {1}", path = .0.display())]
    Missing(PathBuf, &'static str),
    /// No authority is trusted.
    #[error("the system has no list of certificate authorities: set --tls-ca-cert-file")]
    NoAuthorities,
    /// The key and the certificate are not a pair.
    #[error("the key in --tls-key-file does not belong to the certificate in --tls-cert-file")]
    KeyMismatch,
    /// A name that no certificate can contain.
    #[error("{0:?} is neither a host name nor an address: set the server's name with --tls-sni")]
    Name(String),
    /// The server did not answer in time.
    #[error(
        "the server did not answer within {period}. If it does not speak TLS on this port, write redis:// instead of rediss://",
        period = Period(*.0)
    )]
    Silence(Duration),
    /// The server closed the connection.
    #[error(
        "the server closed the connection during the TLS handshake. If it does not speak TLS on this port, write redis:// instead of rediss://"
    )]
    Closed,
    /// One side does not accept the other.
    #[error("{cause}{fix}")]
    Refused {
        /// What is wrong.
        cause: String,
        /// What to change, with the separator before it.
        fix: &'static str,
    },
}
