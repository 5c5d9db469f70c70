//! Questions to a server that is not followed.

use std::time::Duration;

use super::address::Node;
use super::config::Config;
use super::connect::connect;
use super::error::Error;
use super::tls::Tls;
use super::wire::Wire;
use super::{Login, Upstream};

/// A connection that answers questions.
pub struct Visit(Wire);

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A status or a string.
    Text(String),
    /// An error reply, without its `-`, on one line.
    Error(String),
}

impl Visit {
    /// Connects to a server. The name, the connection and each line of an answer may take up to `patience`.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn start(node: &Node, tls: &Tls, patience: Duration) -> Result<Self, Error> {
        let mut config = Config::new(Upstream::List(vec![node.clone()]));
        config.tls = tls.clone();
        config.timing.handshake = patience;
        let stream = connect(&node.address, node.tls, &config).await?;
        Ok(Self(Wire::new(stream, patience)))
    }

    /// Sends a command whose reply is a status or a string; `asked` names it in errors.
    ///
    /// # Errors
    /// [`Error`], but not for an error reply.
    pub async fn ask(&mut self, words: &[&str], asked: &'static str) -> Result<Answer, Error> {
        let header = self.0.ask(words, asked).await?;
        if let Some(error) = header.strip_prefix('-') {
            return Ok(Answer::Error(self.0.shown(error)));
        }
        if let Some(status) = header.strip_prefix('+') {
            return Ok(Answer::Text(status.to_owned()));
        }
        match self.0.bulk(&header, asked).await? {
            Some(text) => Ok(Answer::Text(String::from_utf8_lossy(&text).into_owned())),
            None => Err(self.0.error_of(&header, asked)),
        }
    }

    /// Authenticates. Without a password there is nothing to do. Returns the error reply if there is one.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn authenticate(&mut self, login: &Login) -> Result<Option<String>, Error> {
        let reply = self.0.log_in(login).await?;
        let refusal = reply.as_deref().and_then(|reply| reply.strip_prefix('-'));
        Ok(refusal.map(|refusal| self.0.shown(refusal)))
    }
}
