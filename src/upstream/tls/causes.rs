//! The errors of `rustls` in plain words, with what to do about each.

use std::io;

use tokio_rustls::rustls::{self, AlertDescription, CertificateError};

use super::TlsError;

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
pub(in super::super) fn refusal(error: &io::Error) -> Option<TlsError> {
    let inner = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(inner.clone().into())
}
