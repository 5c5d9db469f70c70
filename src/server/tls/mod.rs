//! TLS on listeners.
//!
//! A connection counts against `--maxclients` from its first moment, and must finish its handshake within
//! [`HANDSHAKE_PATIENCE`]. Until then it holds one record and one handshake message, which `rustls` bounds.
//!
//! The files of the certificate, the key and the authorities are checked at each handshake: if a file is another one than
//! before, all are read again. If they cannot be used, redtail logs why and keeps the ones it has. Connections that exist keep
//! theirs. A renewal needs no signal and no restart, and the order in which the files are replaced does not matter.

#[cfg(not(feature = "tls"))]
mod absent;
#[cfg(feature = "tls")]
mod certificates;
#[cfg(feature = "tls")]
mod stream;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
#[cfg(feature = "tls")]
use std::time::Duration;

#[cfg(not(feature = "tls"))]
pub(super) use absent::{Certificates, shake_hands};
#[cfg(feature = "tls")]
pub(super) use certificates::Certificates;
#[cfg(feature = "tls")]
pub(super) use stream::shake_hands;

/// How long a client may take for its handshake. Across the world on a slow line it takes two seconds.
#[cfg(feature = "tls")]
pub(super) const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);

/// What a listener presents and asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsFiles {
    /// A PEM file with the certificate, and any certificates between it and its authority.
    pub cert_file: PathBuf,
    /// A PEM file with the unencrypted private key; `None` if it is in the certificate's file.
    pub key_file: Option<PathBuf>,
    /// A PEM file with the authorities that may sign a client's certificate.
    pub client_ca_file: Option<PathBuf>,
    /// Whether clients need a certificate.
    pub client_auth: ClientAuth,
}

/// Whether clients need a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientAuth {
    /// They are not asked for one.
    #[default]
    No,
    /// One that is presented must be valid.
    Optional,
    /// Yes.
    Required,
}

impl ClientAuth {
    /// Returns the word of the setting.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Optional => "optional",
            Self::Required => "required",
        }
    }
}

impl fmt::Display for ClientAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A text that is not a [`ClientAuth`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not one of no, optional and required")]
pub struct ClientAuthError(String);

impl FromStr for ClientAuth {
    type Err = ClientAuthError;

    fn from_str(text: &str) -> Result<Self, ClientAuthError> {
        let mut known = [Self::No, Self::Optional, Self::Required].into_iter();
        let found = known.find(|choice| choice.word() == text);
        found.ok_or_else(|| ClientAuthError(text.to_owned()))
    }
}

/// Why a listener cannot speak TLS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// This build cannot speak TLS.
    #[error("this build of redtail has no TLS: build it with the feature `tls`")]
    NotBuilt,
    /// No certificate is configured.
    #[error("a TLS listener needs a certificate: set --listen-cert-file")]
    NoCertificate,
    /// Clients need a certificate, and nobody may sign it.
    #[error(
        "--listen-client-auth {0} needs the authorities that sign clients' certificates: set --listen-client-ca-file"
    )]
    NoAuthorities(ClientAuth),
    /// A file cannot be used.
    #[error("{0}")]
    File(String),
    /// The key and the certificate are not a pair.
    #[error(
        "the key in --listen-key-file does not belong to the certificate in --listen-cert-file"
    )]
    KeyMismatch,
}
