//! Passwords in memory: never shown, and wiped when they are no longer needed.
//!
//! What this cannot wipe are the copies that others keep: the environment, the parsed arguments and the kernel's buffers.

use std::fmt;

use zeroize::Zeroizing;

/// A password. `Debug` and `Display` never show it. Its memory is wiped when it is dropped.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(serde::Deserialize), serde(from = "String"))]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a password.
    pub fn new(password: impl Into<String>) -> Self {
        Self(Zeroizing::new(password.into()))
    }

    /// Returns the password itself, for the one place that sends or compares it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(password: String) -> Self {
        Self::new(password)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails to compile if dropping the type does not wipe its memory.
    const fn is_wiped<T: zeroize::ZeroizeOnDrop>(_: &T) {}

    #[test]
    fn is_never_shown_and_wiped_when_dropped() {
        let secret = Secret::new("hidden");
        assert_eq!(format!("{secret:?} {secret}"), "*** ***");
        assert_eq!(secret.expose(), "hidden");
        is_wiped(&secret.0);
    }
}
