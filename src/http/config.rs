//! What HTTP is configured to do.

use std::fs::File;
use std::io::{self, Read as _};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::limits::SECRET_BYTES_MAX;
use crate::secret::Secret;
use crate::words::Plain;

/// Where HTTP listens, and who gets answers.
#[derive(Debug)]
pub struct Config {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// What callers must give for all but `/livez` and `/readyz`; `None` lets everyone in.
    pub token: Option<Token>,
    /// Whether to refuse other machines while no token is set: all but `/livez` and `/readyz`.
    pub protected: bool,
}

impl Config {
    /// Whether protected mode refuses a caller at that address.
    pub(super) fn denies(&self, peer: IpAddr) -> bool {
        self.is_protected() && !peer.to_canonical().is_loopback()
    }

    /// Whether other machines reach the listener and are refused.
    #[must_use]
    pub fn refuses_others(&self) -> bool {
        self.is_protected() && !self.listen.ip().to_canonical().is_loopback()
    }

    const fn is_protected(&self) -> bool {
        self.protected && self.token.is_none()
    }
}

/// The token that callers must give.
#[derive(Debug)]
pub enum Token {
    /// From the configuration.
    Given(Secret),
    /// From a file, which is read again when it may have changed.
    File(TokenFile),
}

impl Token {
    /// Whether `given` is the token. Takes the same time for every wrong one of its length. A file that cannot be read holds no
    /// token, so nothing is.
    pub(super) fn is(&self, given: &[u8]) -> bool {
        let matches = |secret: &Secret| secret.expose().as_bytes().ct_eq(given).into();
        match self {
            Self::Given(secret) => matches(secret),
            Self::File(file) => file.current().as_ref().is_some_and(matches),
        }
    }
}

/// A token in a file. One line end at the end of the file is not part of the token.
#[derive(Debug)]
pub struct TokenFile {
    path: PathBuf,
    read: Mutex<Read>,
}

/// What the file held when it was last read.
#[derive(Debug)]
struct Read {
    at: Instant,
    token: Option<Secret>,
}

/// How long a token that was read counts: a changed one takes effect after this, and callers who guess do not read the disk each
/// time.
const READ_AGAIN_AFTER: Duration = Duration::from_secs(1);

impl TokenFile {
    /// Reads the token in the file at `path`.
    ///
    /// # Errors
    /// If the file cannot be read, or holds nothing, more than a secret may have, or anything but UTF-8.
    pub fn open(path: PathBuf) -> io::Result<Self> {
        let read = Read {
            token: Some(read(&path)?),
            at: Instant::now(),
        };
        Ok(Self {
            path,
            read: Mutex::new(read),
        })
    }

    fn current(&self) -> Option<Secret> {
        // A poisoned lock still holds a whole value.
        let mut last = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if last.at.elapsed() >= READ_AGAIN_AFTER {
            let now = read(&self.path);
            if let (Err(error), true) = (&now, last.token.is_some()) {
                tracing::warn!(
                    file = %self.path.display(),
                    error = %Plain(error),
                    "cannot read the HTTP token, so nobody gets in until the file is readable again (--http-token-file)"
                );
            }
            *last = Read {
                at: Instant::now(),
                token: now.ok(),
            };
        }
        last.token.clone()
    }
}

/// Reads the token in a file.
fn read(path: &std::path::Path) -> io::Result<Secret> {
    // With room for all of it: growing would leave a copy behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(SECRET_BYTES_MAX + 1));
    let most = SECRET_BYTES_MAX as u64 + 1;
    File::open(path)?.take(most).read_to_end(&mut bytes)?;
    if bytes.len() > SECRET_BYTES_MAX {
        return Err(io::Error::other("it is too long for a token"));
    }
    let text = std::str::from_utf8(&bytes);
    let text = text.map_err(|_| io::Error::other("it is not valid UTF-8"))?;
    let line = text.strip_suffix('\n').unwrap_or(text);
    let token = line.strip_suffix('\r').unwrap_or(line);
    if token.is_empty() {
        return Err(io::Error::other("it is empty"));
    }
    Ok(Secret::new(token))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn config(listen: &str, token: Option<&str>, protected: bool) -> Config {
        Config {
            listen: listen.parse().unwrap(),
            token: token.map(|token| Token::Given(Secret::new(token))),
            protected,
        }
    }

    #[test]
    fn only_this_machine_gets_in_without_a_token() {
        let open = config("0.0.0.0:1", None, true);
        for (peer, denied) in [
            ("127.0.0.1", false),
            ("::1", false),
            ("::ffff:127.0.0.1", false),
            ("10.0.0.1", true),
            ("::ffff:10.0.0.1", true),
            ("fe80::1", true),
        ] {
            let peer = peer.parse().unwrap();
            assert_eq!(open.denies(peer), denied, "{peer}");
            assert!(!config("0.0.0.0:1", Some("t"), true).denies(peer));
            assert!(!config("0.0.0.0:1", None, false).denies(peer));
        }
        assert!(open.refuses_others());
        assert!(!config("127.0.0.1:1", None, true).refuses_others());
        assert!(!config("0.0.0.0:1", Some("t"), true).refuses_others());
    }

    #[test]
    fn a_token_is_the_whole_token() {
        let token = Token::Given(Secret::new("secret"));
        assert!(token.is(b"secret"));
        for wrong in [&b""[..], b"secre", b"secret1", b"Secret", b"secret\n"] {
            assert!(!token.is(wrong));
        }
    }

    #[test]
    fn a_token_file_without_a_token_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let open = |text: &[u8]| {
            std::fs::write(file.path(), text).unwrap();
            TokenFile::open(file.path().to_owned())
        };
        for text in [
            &b""[..],
            b"\n",
            b"\r\n",
            b"\xff",
            &[b'x'; SECRET_BYTES_MAX + 1],
        ] {
            assert!(open(text).is_err(), "{} bytes", text.len());
        }
        let token = Token::File(open(b"secret\r\n").unwrap());
        assert!(token.is(b"secret") && !token.is(b"secret\r"));
        assert!(TokenFile::open("/nowhere/at/all".into()).is_err());
    }
}
