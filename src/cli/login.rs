//! How a command logs in to the primary and to sentinels: the flags that `tail` and `rdb pull` share with `serve`.

use std::path::PathBuf;

use super::config::{Settings, Switch};
use crate::secret::Secret;

/// The logins, and TLS.
#[derive(Clone, clap::Args)]
pub struct Login {
    /// The user to authenticate as at the primary [default: the one in the address]
    #[arg(
        long,
        env = "REDTAIL_PRIMARY_USER",
        hide_env_values = true,
        value_name = "NAME"
    )]
    primary_user: Option<String>,
    /// The password for the primary [default: the one in the address]
    ///
    /// Set it in REDTAIL_PRIMARY_PASSWORD: other users can see an argument in `ps` for a moment.
    #[arg(
        long,
        env = "REDTAIL_PRIMARY_PASSWORD",
        hide_env_values = true,
        value_name = "PASSWORD"
    )]
    primary_password: Option<Secret>,
    /// A file that holds the password for the primary, read again for each connection [default: none]
    #[arg(long, env = "REDTAIL_PRIMARY_PASSWORD_FILE", value_name = "FILE")]
    primary_password_file: Option<PathBuf>,
    /// The user to authenticate as at sentinels [default: the one in the address]
    #[arg(
        long,
        env = "REDTAIL_SENTINEL_USER",
        hide_env_values = true,
        value_name = "NAME"
    )]
    sentinel_user: Option<String>,
    /// The password for sentinels [default: the one in the address]
    ///
    /// Set it in REDTAIL_SENTINEL_PASSWORD: other users can see an argument in `ps` for a moment.
    #[arg(
        long,
        env = "REDTAIL_SENTINEL_PASSWORD",
        hide_env_values = true,
        value_name = "PASSWORD"
    )]
    sentinel_password: Option<Secret>,
    /// A file that holds the password for sentinels, read again for each connection [default: none]
    #[arg(long, env = "REDTAIL_SENTINEL_PASSWORD_FILE", value_name = "FILE")]
    sentinel_password_file: Option<PathBuf>,
    /// A PEM file of the authorities that may sign the primary's certificate [default: the system's]
    #[arg(long, env = "REDTAIL_TLS_CA_CERT_FILE", value_name = "FILE")]
    tls_ca_cert_file: Option<PathBuf>,
    /// A directory of such PEM files [default: none]
    #[arg(long, env = "REDTAIL_TLS_CA_CERT_DIR", value_name = "DIR")]
    tls_ca_cert_dir: Option<PathBuf>,
    /// A PEM file of the client certificate to present [default: none]
    #[arg(long, env = "REDTAIL_TLS_CERT_FILE", value_name = "FILE")]
    tls_cert_file: Option<PathBuf>,
    /// A PEM file of the client certificate's private key [default: the certificate's own file]
    #[arg(long, env = "REDTAIL_TLS_KEY_FILE", value_name = "FILE")]
    tls_key_file: Option<PathBuf>,
    /// The name that the primary's certificate must have [default: the host in the address]
    #[arg(long, env = "REDTAIL_TLS_SNI", value_name = "NAME")]
    tls_sni: Option<String>,
    /// Whether to check the name in the primary's certificate: yes or no [default: yes]
    #[arg(long, env = "REDTAIL_TLS_VERIFY_NAME", value_name = "YES|NO")]
    tls_verify_name: Option<Switch>,
}

impl Login {
    /// Returns the settings that follow `address` with this login.
    pub(super) fn settings(&self, address: Option<&String>) -> Settings {
        Settings {
            primary: address.map(|address| vec![address.clone()]),
            primary_user: self.primary_user.clone(),
            primary_password: self.primary_password.clone(),
            primary_password_file: self.primary_password_file.clone(),
            sentinel_user: self.sentinel_user.clone(),
            sentinel_password: self.sentinel_password.clone(),
            sentinel_password_file: self.sentinel_password_file.clone(),
            tls_ca_cert_file: self.tls_ca_cert_file.clone(),
            tls_ca_cert_dir: self.tls_ca_cert_dir.clone(),
            tls_cert_file: self.tls_cert_file.clone(),
            tls_key_file: self.tls_key_file.clone(),
            tls_sni: self.tls_sni.clone(),
            tls_verify_name: self.tls_verify_name,
            ..Settings::default()
        }
    }
}
