//! Secrets in files: the password of `--requirepass-file`, and what the service manager passes in `$CREDENTIALS_DIRECTORY`.
//!
//! systemd's `LoadCredential=` and `LoadCredentialEncrypted=`, and whatever imitates them, put each credential into a file of its
//! own in that directory. A credential with the name of a setting below is used if nothing else sets it.

use std::path::{Path, PathBuf};

use super::Settings;
use crate::cli::Failure;
use crate::upstream::password_in_file;
use crate::words::Plain;

impl Settings {
    /// Takes the credentials in `folder` for settings that are not set.
    pub(super) fn with_credentials(mut self, folder: Option<&Path>) -> Self {
        let Some(folder) = folder else {
            return self;
        };
        let found = |name: &str| Some(folder.join(name)).filter(|path| path.is_file());
        let take = |place: &mut Option<PathBuf>, is_set: bool, name: &str| {
            if place.is_none() && !is_set {
                *place = found(name);
            }
        };
        let [requirepass, primary, sentinel] = [
            self.requirepass.is_some(),
            self.primary_password.is_some(),
            self.sentinel_password.is_some(),
        ];
        take(&mut self.requirepass_file, requirepass, "requirepass");
        take(&mut self.primary_password_file, primary, "primary-password");
        take(
            &mut self.sentinel_password_file,
            sentinel,
            "sentinel-password",
        );
        take(&mut self.aclfile, false, "aclfile");
        take(&mut self.tls_cert_file, false, "tls-cert-file");
        take(&mut self.tls_key_file, false, "tls-key-file");
        take(&mut self.listen_cert_file, false, "listen-cert-file");
        take(&mut self.listen_key_file, false, "listen-key-file");
        self
    }

    /// Reads the password that clients must give, if it is in a file.
    ///
    /// # Errors
    /// [`Failure::Usage`] if it is given twice, or the file holds no password.
    pub(super) fn with_password(mut self) -> Result<Self, Failure> {
        let Some(file) = &self.requirepass_file else {
            return Ok(self);
        };
        if self.requirepass.is_some() {
            return Err(Failure::Usage(
                "--requirepass and --requirepass-file are both given: leave one out".to_owned(),
            ));
        }
        let password = password_in_file(file).map_err(|error| {
            let (file, error) = (file.display(), Plain(&error));
            Failure::Usage(format!(
                "--requirepass-file: cannot read the password in {file}: {error}"
            ))
        })?;
        self.requirepass = Some(password);
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn a_credential_is_used_if_nothing_else_sets_it() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str| {
            std::fs::write(folder.path().join(name), format!("from-{name}\n")).unwrap()
        };
        put("requirepass");
        put("primary-password");
        put("aclfile");
        let read = |settings: Settings| {
            settings
                .with_credentials(Some(folder.path()))
                .with_password()
        };
        let settings = read(Settings::default()).unwrap();
        assert_eq!(settings.requirepass.unwrap().expose(), "from-requirepass");
        assert_eq!(
            settings.primary_password_file,
            Some(folder.path().join("primary-password"))
        );
        assert_eq!(settings.aclfile, Some(folder.path().join("aclfile")));
        assert_eq!(settings.sentinel_password_file, None);
        let given = read(Settings {
            requirepass: Some(Secret::new("a flag's")),
            primary_password: Some(Secret::new("a flag's")),
            aclfile: Some(PathBuf::from("/other")),
            ..Settings::default()
        });
        let given = given.unwrap();
        assert_eq!(given.requirepass.unwrap().expose(), "a flag's");
        assert_eq!(given.primary_password_file, None);
        assert_eq!(given.aclfile, Some(PathBuf::from("/other")));
        let twice = Settings {
            requirepass: Some(Secret::new("a")),
            requirepass_file: Some(PathBuf::from("/b")),
            ..Settings::default()
        };
        assert!(twice.with_password().is_err());
    }
}
