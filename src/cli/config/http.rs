//! The settings of HTTP.

use super::Settings;
use crate::cli::Failure;
#[cfg(not(feature = "http"))]
use crate::cli::no_http as http;
#[cfg(feature = "http")]
use crate::http;

impl Settings {
    /// Returns how to serve HTTP; `None` if it is off.
    ///
    /// # Errors
    /// [`Failure::Usage`] if the token is given twice, without an address, or in a file that cannot be read, or if this build has
    /// no HTTP.
    pub fn http(&self) -> Result<Option<http::Config>, Failure> {
        let usage = |text: &str| Err(Failure::Usage(text.to_owned()));
        let has_token = self.http_token.is_some() || self.http_token_file.is_some();
        match self.http {
            None if has_token => usage(
                "--http-token needs --http, the address to answer HTTP on: give it, or leave the token out",
            ),
            None => Ok(None),
            Some(_) if self.http_token.is_some() && self.http_token_file.is_some() => {
                usage("--http-token and --http-token-file are both given: leave one out")
            }
            Some(address) => self.http_at(address).map(Some),
        }
    }

    #[cfg(not(feature = "http"))]
    fn http_at(&self, _address: super::TcpAddress) -> Result<http::Config, Failure> {
        Err(Failure::Usage(
            "--http: this build of redtail has no HTTP: build it with the feature `http`, or leave --http out"
                .to_owned(),
        ))
    }

    #[cfg(feature = "http")]
    fn http_at(&self, address: super::TcpAddress) -> Result<http::Config, Failure> {
        let given = self.http_token.clone();
        let given = given.filter(|token| !token.expose().is_empty());
        let token = match &self.http_token_file {
            None => given.map(http::Token::Given),
            Some(path) => {
                let file = http::TokenFile::open(path.clone()).map_err(|error| {
                    Failure::Usage(format!(
                        "cannot read the token in {} (--http-token-file): {}",
                        path.display(),
                        crate::words::Plain(&error)
                    ))
                })?;
                Some(http::Token::File(file))
            }
        };
        Ok(http::Config {
            listen: address.0,
            token,
            protected: self.protected_mode != Some(super::Switch::No),
        })
    }
}
