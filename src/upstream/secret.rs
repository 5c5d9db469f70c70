//! Users and passwords: given directly, or in files that are read again for each connection, so that a changed password
//! takes effect.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use zeroize::Zeroizing;

use super::error::Error;
use crate::limits::SECRET_BYTES_MAX;
pub use crate::secret::Secret;

/// Where a password comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Password {
    /// From the configuration.
    Given(Secret),
    /// From a file, read again for each connection. One line end at the end of the file is not part of the password.
    File(PathBuf),
}

impl Password {
    /// Returns the password as it is now.
    ///
    /// # Errors
    /// Returns the error if its file cannot be read or holds no password.
    #[cfg(feature = "cli")]
    pub(crate) fn read(&self) -> io::Result<Secret> {
        match self {
            Self::Given(secret) => Ok(secret.clone()),
            Self::File(path) => in_file(path),
        }
    }
}

/// The user and password that redtail uses at a server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Login {
    /// The ACL user; `None` for the default user.
    pub user: Option<String>,
    /// The password; without one, redtail sends no AUTH.
    pub password: Option<Password>,
}

impl Login {
    /// Replaces the user and the password by those that `other` has.
    pub fn replace_by(&mut self, other: &Self) {
        self.user = other.user.clone().or_else(|| self.user.take());
        self.password = other.password.clone().or_else(|| self.password.take());
    }

    /// Returns the current password.
    ///
    /// # Errors
    /// Returns [`Error::File`] when the file cannot be read within `patience`.
    pub(super) async fn password(&self, patience: Duration) -> Result<Option<Secret>, Error> {
        match &self.password {
            None => Ok(None),
            Some(Password::Given(secret)) => Ok(Some(secret.clone())),
            Some(Password::File(path)) => {
                let wanted = path.clone();
                let read = blocking(patience, move || in_file(&wanted)).await;
                let password =
                    read.map_err(|error| Error::File("password", path.clone(), error))?;
                Ok(Some(password))
            }
        }
    }
}

/// Reads files on a separate thread, so that a slow disk does not block the runtime's threads.
///
/// # Errors
/// Returns the error of `read`, or a timeout when it takes longer than `patience`.
pub(super) async fn blocking<T: Send + 'static>(
    patience: Duration,
    read: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let reading = tokio::task::spawn_blocking(read);
    tokio::time::timeout(patience, reading)
        .await
        .map_err(|_| io::ErrorKind::TimedOut)??
}

/// Reads the password in the file at `path`. One line end at the end of the file is not part of it.
///
/// # Errors
/// If the file cannot be read, is empty, longer than 64 KiB, or not text.
pub fn in_file(path: &Path) -> io::Result<Secret> {
    // With room for all of it: growing would leave a copy behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(READ_BYTES));
    File::open(path)?
        .take(READ_BYTES as u64)
        .read_to_end(&mut bytes)?;
    if bytes.len() == READ_BYTES {
        return Err(io::Error::other("it is too long for a password"));
    }
    let text = std::str::from_utf8(&bytes);
    let text = text.map_err(|_| io::Error::other("it is not valid UTF-8"))?;
    let line = text.strip_suffix('\n').unwrap_or(text);
    let password = line.strip_suffix('\r').unwrap_or(line);
    if password.is_empty() {
        return Err(io::Error::other("it is empty"));
    }
    Ok(Secret::new(password))
}

/// One byte more than the longest password that a file may hold.
const READ_BYTES: usize = SECRET_BYTES_MAX + 1;

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn read(text: &[u8]) -> io::Result<Secret> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        in_file(file.path())
    }

    #[test]
    fn cuts_one_line_end_and_nothing_else() {
        assert_eq!(read(b"secret").unwrap().expose(), "secret");
        assert_eq!(read(b"secret\n").unwrap().expose(), "secret");
        assert_eq!(read(b"secret\r\n").unwrap().expose(), "secret");
        assert_eq!(read(b" a b \n\n").unwrap().expose(), " a b \n");
    }

    #[test]
    fn refuses_files_that_hold_no_password() {
        for text in [&b""[..], b"\n", &[b'x'; (64 << 10) + 1], b"\xff\xfe"] {
            assert!(read(text).is_err(), "{} bytes", text.len());
        }
        assert!(in_file(Path::new("/nowhere/at/all")).is_err());
    }

    #[test]
    fn what_is_given_apart_replaces_and_what_is_not_stays() {
        let given = |text| Some(Password::Given(Secret::new(text)));
        let mut login = Login {
            user: Some("a".to_owned()),
            password: given("b"),
        };
        login.replace_by(&Login {
            user: None,
            password: given("c"),
        });
        assert_eq!(login.user.as_deref(), Some("a"));
        assert_eq!(login.password, given("c"));
    }

    #[test]
    fn is_never_shown() {
        let login = Login {
            user: None,
            password: Some(Password::Given(Secret::new("hidden"))),
        };
        assert!(!format!("{login:?} {}", Secret::new("hidden")).contains("hidden"));
    }
}
