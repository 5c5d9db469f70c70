//! Certificates and keys in PEM files, for both sides of TLS.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::limits::CERTIFICATES_BYTES_MAX;

/// A PEM file that cannot be used.
#[derive(Debug)]
pub(crate) enum Unusable {
    /// It cannot be read.
    Unreadable(PathBuf, io::Error),
    /// It does not contain what it should.
    Missing(PathBuf, &'static str),
}

/// Returns the certificates in a file, at least one.
pub(crate) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Unusable> {
    let missing = || Unusable::Missing(file.to_owned(), "certificate (a PEM block)");
    let text = text(file)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    found
        .ok()
        .filter(|found| !found.is_empty())
        .ok_or_else(missing)
}

/// Returns the private key in a file.
pub(crate) fn key(file: &Path) -> Result<PrivateKeyDer<'static>, Unusable> {
    PrivateKeyDer::from_pem_slice(&text(file)?)
        .map_err(|_| Unusable::Missing(file.to_owned(), "unencrypted private key"))
}

fn text(path: &Path) -> Result<Vec<u8>, Unusable> {
    let read = || {
        let mut text = Vec::new();
        File::open(path)?
            .take(CERTIFICATES_BYTES_MAX)
            .read_to_end(&mut text)?;
        Ok(text)
    };
    read().map_err(|error| Unusable::Unreadable(path.to_owned(), error))
}
