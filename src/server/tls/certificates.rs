//! The files of a listener, and when they are read again.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::server::{
    NoClientAuth, WebPkiClientVerifier, danger::ClientCertVerifier,
};
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};

use super::{ClientAuth, TlsError, TlsFiles};
use crate::pem::{self, Unusable};
use crate::words::Plain;

/// The certificate that a listener presents now.
pub(in super::super) struct Certificates {
    files: TlsFiles,
    current: Mutex<Current>,
}

struct Current {
    acceptor: TlsAcceptor,
    /// What the files were when they were last read, usable or not.
    stamp: Vec<Stamp>,
}

/// What tells one state of a file from another: device, inode, length, and when it was changed in seconds and nanoseconds.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

impl Certificates {
    /// Reads the files.
    ///
    /// # Errors
    /// If they cannot be used.
    pub(in super::super) fn read(files: Option<&TlsFiles>) -> Result<Self, TlsError> {
        let files = files.ok_or(TlsError::NoCertificate)?.clone();
        let stamp = stamp(&files);
        let acceptor = acceptor(&files)?;
        let current = Mutex::new(Current { acceptor, stamp });
        Ok(Self { files, current })
    }

    /// Returns what accepts the next connection. Reads the files again if they have changed.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let stamp = stamp(&self.files);
        {
            let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
            if current.stamp == stamp {
                return current.acceptor.clone();
            }
        }
        // Read without the lock: other handshakes go on with the old certificate.
        let read = acceptor(&self.files);
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.stamp == stamp {
            return current.acceptor.clone();
        }
        current.stamp = stamp;
        match read {
            Ok(acceptor) => {
                current.acceptor = acceptor;
                tracing::info!(file = %self.files.cert_file.display(), "new clients get the new certificate");
            }
            Err(error) => tracing::error!(
                %error,
                "the files of --listen-cert-file, --listen-key-file and --listen-client-ca-file have changed and cannot be used: \
                 new clients still get the old certificate"
            ),
        }
        current.acceptor.clone()
    }
}

fn stamp(files: &TlsFiles) -> Vec<Stamp> {
    let of = |path: &Path| {
        let seen = path.metadata().ok()?;
        Some((
            seen.dev(),
            seen.ino(),
            seen.len(),
            seen.mtime(),
            seen.mtime_nsec(),
        ))
    };
    let all = [
        Some(&files.cert_file),
        files.key_file.as_ref(),
        files.client_ca_file.as_ref(),
    ];
    all.into_iter().flatten().map(|path| of(path)).collect()
}

fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let verifier = verifier(files, &provider)?;
    let chain = pem::certificates(&files.cert_file)?;
    let key = pem::key(files.key_file.as_ref().unwrap_or(&files.cert_file))?;
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|config| {
            config
                .with_client_cert_verifier(verifier)
                .with_single_cert(chain, key)
        });
    let config = config.map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => TlsError::KeyMismatch,
        error => TlsError::File(format!(
            "{} cannot be used: {error}",
            files.cert_file.display()
        )),
    })?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn verifier(
    files: &TlsFiles,
    provider: &Arc<rustls::crypto::CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    if files.client_auth == ClientAuth::No {
        return Ok(Arc::new(NoClientAuth));
    }
    let file = files
        .client_ca_file
        .as_ref()
        .ok_or(TlsError::NoAuthorities(files.client_auth))?;
    let mut roots = RootCertStore::empty();
    if roots.add_parsable_certificates(pem::certificates(file)?).0 == 0 {
        return Err(Unusable::Missing(file.clone(), "certificate").into());
    }
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let verifier = if files.client_auth == ClientAuth::Optional {
        verifier.allow_unauthenticated()
    } else {
        verifier
    };
    let failed = |error| TlsError::File(format!("{} cannot be used: {error}", file.display()));
    verifier.build().map_err(failed)
}

impl From<Unusable> for TlsError {
    fn from(unusable: Unusable) -> Self {
        Self::File(match unusable {
            Unusable::Unreadable(path, error) => {
                format!("cannot read {}: {}", path.display(), Plain(&error))
            }
            Unusable::Missing(path, what) => format!("{} contains no {what}", path.display()),
        })
    }
}
