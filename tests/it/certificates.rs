//! Certificates of all kinds, generated during the test.

use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use tempfile::TempDir;

/// A folder of PEM files, and the authority that signs them.
pub struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

/// The files of a certificate and its key.
pub struct Pair {
    pub cert: String,
    pub key: String,
}

impl Authority {
    /// A new authority. Its own certificate is in [`Self::file`].
    pub fn new(name: &str) -> Self {
        let mut params =
            CertificateParams::new(Vec::new()).expect("an empty list of names is valid");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let own = params.self_signed(&key).expect("a certificate").pem();
        let authority = Self {
            folder: TempDir::new().expect("a temporary directory"),
            issuer: Issuer::new(params, key),
        };
        std::fs::write(authority.path("ca.pem"), own).expect("a file");
        authority
    }

    /// The file with its own certificate.
    pub fn file(&self) -> String {
        self.path("ca.pem").display().to_string()
    }

    /// The folder of that file, and of everything it signs.
    pub fn folder(&self) -> String {
        self.folder.path().display().to_string()
    }

    /// A self-signed certificate for these names and addresses, as `openssl req -x509` makes it.
    pub fn self_signed(&self, name: &str, subjects: &[&str]) -> Pair {
        let subjects: Vec<String> = subjects.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(subjects).expect("valid names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let own = params.self_signed(&key).expect("a certificate").pem();
        self.keep(name, &own, &key)
    }

    /// A certificate for these names and addresses, in the files `NAME.pem` and `NAME.key`.
    pub fn sign(&self, name: &str, subjects: &[&str]) -> Pair {
        self.sign_until(name, subjects, 2099)
    }

    /// The same, valid until the beginning of that year.
    pub fn sign_until(&self, name: &str, subjects: &[&str], year: i32) -> Pair {
        let subjects: Vec<String> = subjects.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(subjects).expect("valid names");
        params.not_after = date_time_ymd(year, 1, 1);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let signed = params.signed_by(&key, &self.issuer).expect("a certificate");
        self.keep(name, &signed.pem(), &key)
    }

    fn keep(&self, name: &str, certificate: &str, key: &KeyPair) -> Pair {
        let pair = Pair {
            cert: self.path(&format!("{name}.pem")).display().to_string(),
            key: self.path(&format!("{name}.key")).display().to_string(),
        };
        std::fs::write(&pair.cert, certificate).expect("a file");
        std::fs::write(&pair.key, key.serialize_pem()).expect("a file");
        pair
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}
