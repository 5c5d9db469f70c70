//! TLS connections to servers.
//!
//! All files are read again for each connection, so that renewed certificates and keys take effect without a restart. The
//! same settings apply to every server and sentinel whose address asks for TLS.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    self, AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore,
    SignatureScheme,
};

use crate::limits::{CERTIFICATE_FILES_MAX, CERTIFICATES_BYTES_MAX};
use crate::words::{Period, Plain};

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

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        match error {
            rustls::Error::InconsistentKeys(_) => Self::KeyMismatch,
            error => Self::Refused {
                fix: fix(&error),
                cause: cause(&error),
            },
        }
    }
}

/// Returns what is wrong, in plain words: many messages of `rustls` contain the names of its own types.
fn cause(error: &rustls::Error) -> String {
    use rustls::Error as E;
    let text = match error {
        E::InvalidCertificate(error) => certificate_cause(error),
        E::InvalidMessage(_) => "the server's answer is not TLS",
        E::AlertReceived(alert) => {
            return format!(
                "the server refuses the TLS connection ({})",
                spaced(&format!("{alert:?}"))
            );
        }
        E::PeerIncompatible(_) => {
            "the server and redtail do not support a common TLS version or cipher"
        }
        E::NoCertificatesPresented => "the server presented no certificate",
        E::DecryptError => "redtail cannot decrypt what the server sent",
        E::PeerMisbehaved(_)
        | E::InappropriateMessage { .. }
        | E::InappropriateHandshakeMessage { .. } => "the server violated the TLS protocol",
        E::InvalidCertRevocationList(_) => "a certificate revocation list is invalid",
        _ => return format!("the TLS connection failed: {error}"),
    };
    text.to_owned()
}

fn certificate_cause(error: &CertificateError) -> &'static str {
    use CertificateError as E;
    match error {
        E::UnknownIssuer => {
            "the server's certificate is signed by an authority that redtail does not trust, or is self-signed"
        }
        E::Expired | E::ExpiredContext { .. } => "the server's certificate has expired",
        E::NotValidYet | E::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet"
        }
        E::NotValidForName | E::NotValidForNameContext { .. } => {
            "the server's certificate is for another name"
        }
        E::Revoked => "the server's certificate was revoked",
        E::BadSignature => "the server's certificate has an invalid signature",
        E::BadEncoding => "the server's certificate is malformed",
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => {
            "the server's certificate is not valid for servers"
        }
        other if is_self_signed(other) => {
            "the server's certificate is self-signed, like those that openssl req -x509 makes, and redtail does not accept it"
        }
        _ => "the server's certificate is not valid",
    }
}

/// Whether the certificate is an authority's own certificate, like those that `openssl req -x509` makes.
fn is_self_signed(error: &CertificateError) -> bool {
    matches!(error, CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity"))
}

/// Turns `HandshakeFailure` into `handshake failure`.
fn spaced(name: &str) -> String {
    let mut words = String::with_capacity(name.len() + 4);
    for (at, letter) in name.char_indices() {
        if at > 0 && letter.is_uppercase() {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
    }
    words
}

/// Returns what to do about an error, with the separator before it.
fn fix(error: &rustls::Error) -> &'static str {
    use rustls::Error as E;
    match error {
        E::InvalidCertificate(error) => certificate_fix(error),
        E::InvalidMessage(_) => {
            ". If it does not speak TLS on this port, write redis:// instead of rediss://"
        }
        E::AlertReceived(AlertDescription::CertificateRequired) => {
            ". Provide a client certificate: --tls-cert-file and --tls-key-file"
        }
        E::AlertReceived(AlertDescription::HandshakeFailure) => {
            ". It may require a client certificate (--tls-cert-file), or allow only ciphers that are no longer safe"
        }
        E::AlertReceived(
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnsupportedCertificate,
        ) => ". The server does not accept redtail's certificate: see --tls-cert-file",
        E::AlertReceived(AlertDescription::UnrecognisedName) => {
            ". Set the name that the server expects with --tls-sni"
        }
        E::AlertReceived(AlertDescription::ProtocolVersion) | E::PeerIncompatible(_) => {
            ". The server must speak TLS 1.2 or 1.3"
        }
        _ => "",
    }
}

fn certificate_fix(error: &CertificateError) -> &'static str {
    use CertificateError as E;
    match error {
        E::UnknownIssuer => {
            ". Provide the authority that signed the server's certificate: --tls-ca-cert-file or --tls-ca-cert-dir"
        }
        E::Revoked => ". Give the server a new certificate",
        E::Expired | E::ExpiredContext { .. } => ". Renew the server's certificate",
        E::NotValidYet | E::NotValidYetContext { .. } => ". Check the clocks of both machines",
        E::NotValidForName | E::NotValidForNameContext { .. } => {
            ". Use a name that the server's certificate contains, or set one with --tls-sni, or see --tls-verify-name"
        }
        other if is_self_signed(other) => {
            ". Create an authority (openssl req -x509), sign a certificate for the server with it, and provide the authority's certificate with \
             --tls-ca-cert-file"
        }
        _ => "",
    }
}

/// Returns the TLS error inside a failed read or write of a TLS connection, if TLS itself failed.
pub(super) fn refusal(error: &io::Error) -> Option<TlsError> {
    let inner = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(inner.clone().into())
}

/// Shakes hands over `stream` with the server at `host`.
///
/// # Errors
/// [`TlsError`].
pub(super) async fn connect(
    stream: TcpStream,
    host: &str,
    tls: &Tls,
    patience: Duration,
) -> Result<TlsStream<TcpStream>, TlsError> {
    let name = tls.server_name.as_deref().unwrap_or(host).to_owned();
    let server = ServerName::try_from(name.clone()).map_err(|_| TlsError::Name(name))?;
    let settings = tls.clone();
    let shaking = async {
        let config = tokio::task::spawn_blocking(move || settings.read());
        let config = config.await.map_err(|_| TlsError::Closed)??;
        let connector = TlsConnector::from(Arc::new(config));
        let connected = connector.connect(server, stream).await;
        connected.map_err(|error| refusal(&error).unwrap_or(TlsError::Closed))
    };
    tokio::time::timeout(patience, shaking)
        .await
        .map_err(|_| TlsError::Silence(patience))?
}

impl Tls {
    /// Reads all files.
    fn read(&self) -> Result<ClientConfig, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let authorities = Arc::new(self.authorities()?);
        let config = if self.any_name {
            let inner = WebPkiServerVerifier::builder_with_provider(authorities, provider);
            let inner = inner.build().map_err(|_| TlsError::NoAuthorities)?;
            let verifier = Arc::new(AnyName(inner));
            config
                .dangerous()
                .with_custom_certificate_verifier(verifier)
        } else {
            config.with_root_certificates(authorities)
        };
        let Some(cert_file) = &self.cert_file else {
            return Ok(config.with_no_client_auth());
        };
        let key_file = self.key_file.as_ref().unwrap_or(cert_file);
        let (chain, key) = (certificates(cert_file)?, key(key_file)?);
        Ok(config.with_client_auth_cert(chain, key)?)
    }

    /// Returns the trusted authorities.
    fn authorities(&self) -> Result<RootCertStore, TlsError> {
        let mut all = Vec::new();
        if let Some(file) = &self.ca_cert_file {
            all.extend(certificates(file)?);
        }
        if let Some(folder) = &self.ca_cert_dir {
            all.extend(certificates_within(folder)?);
        }
        if self.ca_cert_file.is_none() && self.ca_cert_dir.is_none() {
            // Unreadable certificates of the system do not matter, as long as some can be read.
            all = rustls_native_certs::load_native_certs().certs;
        }
        let mut roots = RootCertStore::empty();
        match (roots.add_parsable_certificates(all), &self.ca_cert_file) {
            ((1.., _), _) => Ok(roots),
            (_, Some(file)) => Err(TlsError::Missing(file.clone(), "certificate")),
            (_, None) => Err(TlsError::NoAuthorities),
        }
    }
}

/// Verifies everything in a certificate except its name, which the inner verifier checks last.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        use CertificateError as E;
        let verified =
            self.0
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            Err(rustls::Error::InvalidCertificate(
                E::NotValidForName | E::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// Returns the certificates in a file, at least one.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let missing = || TlsError::Missing(file.to_owned(), "certificate (a PEM block)");
    let text = text(file)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    found
        .ok()
        .filter(|found| !found.is_empty())
        .ok_or_else(missing)
}

/// Returns the certificates in a folder's files, at least one. The folder may contain other files.
fn certificates_within(folder: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |error| TlsError::File(folder.to_owned(), error);
    let mut found = Vec::new();
    for entry in folder
        .read_dir()
        .map_err(failed)?
        .take(CERTIFICATE_FILES_MAX)
    {
        let path = entry.map_err(failed)?.path();
        if path.is_file() {
            found.extend(certificates(&path).unwrap_or_default());
        }
    }
    if found.is_empty() {
        let folder = folder.to_owned();
        return Err(TlsError::Missing(
            folder,
            "file with certificates (PEM blocks)",
        ));
    }
    Ok(found)
}

/// Returns the private key in a file.
fn key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&text(file)?)
        .map_err(|_| TlsError::Missing(file.to_owned(), "unencrypted private key"))
}

fn text(path: &Path) -> Result<Vec<u8>, TlsError> {
    let read = || {
        let mut text = Vec::new();
        File::open(path)?
            .take(CERTIFICATES_BYTES_MAX)
            .read_to_end(&mut text)?;
        Ok(text)
    };
    read().map_err(|error| TlsError::File(path.to_owned(), error))
}
