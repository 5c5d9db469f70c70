//! The handshake, and the files that it needs.

use std::path::Path;
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
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    self, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};

use super::{Tls, TlsError, refusal};
use crate::limits::CERTIFICATE_FILES_MAX;
use crate::pem::{Unusable, certificates, key};
use crate::upstream::connect::Connection;
use crate::upstream::gather::Gather;
use crate::upstream::line::Line;
use crate::upstream::route::Route;

/// Shakes hands over `stream` with the server at `host`.
///
/// # Errors
/// [`TlsError`].
pub(in super::super) async fn connect(
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

impl Connection for TlsStream<TcpStream> {
    fn into_line(self: Box<Self>) -> Line {
        Line::Wrapped(self)
    }

    fn gather(&self) -> Option<Gather> {
        Gather::of(self.get_ref().0)
    }

    fn route(&self) -> Option<Route> {
        Route::of(self.get_ref().0)
    }
}

impl Tls {
    /// Reads all files, to see whether they can be used.
    ///
    /// # Errors
    /// [`TlsError`].
    #[cfg(feature = "cli")]
    pub(crate) fn check(&self) -> Result<(), TlsError> {
        self.read().map(drop)
    }

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

impl From<Unusable> for TlsError {
    fn from(unusable: Unusable) -> Self {
        match unusable {
            Unusable::Unreadable(path, error) => Self::File(path, error),
            Unusable::Missing(path, what) => Self::Missing(path, what),
        }
    }
}
