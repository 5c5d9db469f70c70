//! Asks for the status, over whichever protocol answers at the address.

use std::path::PathBuf;
use std::time::Duration;

use super::address::Target;
use super::facts::Facts;
use super::{http, info};
use crate::secret::Secret;
use crate::upstream::{Answer, Error, Login, Node, Password, Tls, Visit};
use crate::words::Plain;

/// Why there is no status: what went wrong, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct NoStatus(pub(super) String);

/// The server to ask, and the login for it.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) target: Target,
    pub(super) user: Option<String>,
    pub(super) password: Option<Password>,
    pub(super) token: Option<Token>,
    pub(super) tls: Tls,
    pub(super) patience: Duration,
}

/// The token for HTTP.
#[derive(Debug, Clone)]
pub(super) enum Token {
    Given(Secret),
    File(PathBuf),
}

impl Source {
    /// Asks once, within `patience` for each step.
    pub(super) async fn ask(&self) -> Result<Facts, NoStatus> {
        match &self.target {
            Target::Clients(node) => {
                let text = self.info(node).await?;
                Ok(Facts::new(info::status(&text)))
            }
            Target::Http(host) => {
                let asking = http::get(host, self.token.as_ref());
                let answered = tokio::time::timeout(self.patience, asking).await;
                let status = answered.unwrap_or_else(|_| Err(http::silence(host)))?;
                Ok(Facts::new(status))
            }
        }
    }

    /// Returns the text of INFO. The password is sent only to a server that asks for it.
    async fn info(&self, node: &Node) -> Result<String, NoStatus> {
        let mut login = node.login.clone();
        login.replace_by(&Login {
            user: self.user.clone(),
            password: self.password.clone(),
        });
        let failed = |error: Error| NoStatus(explain(&error));
        let mut visit = Visit::start(node, &self.tls, self.patience)
            .await
            .map_err(failed)?;
        if login.user.is_some() {
            log_in(&mut visit, &login).await?;
        }
        let first = ask_info(&mut visit).await?;
        let refusal = match first {
            Answer::Text(text) => return Ok(text),
            Answer::Error(refusal) => refusal,
        };
        if !needs_login(&refusal) || login.user.is_some() {
            return Err(refused(&refusal));
        }
        if login.password.is_none() {
            return Err(NoStatus(format!(
                "the server requires a password ({refusal}). Give it in the variable REDTAIL_REQUIREPASS or with --password-file"
            )));
        }
        log_in(&mut visit, &login).await?;
        match ask_info(&mut visit).await? {
            Answer::Text(text) => Ok(text),
            Answer::Error(refusal) => Err(refused(&refusal)),
        }
    }
}

async fn ask_info(visit: &mut Visit) -> Result<Answer, NoStatus> {
    let asked = visit.ask(&["INFO", "everything"], "answering INFO").await;
    asked.map_err(|error| NoStatus(explain(&error)))
}

/// Authenticates.
async fn log_in(visit: &mut Visit, login: &Login) -> Result<(), NoStatus> {
    match visit.authenticate(login).await {
        Ok(None) => Ok(()),
        Ok(Some(refusal)) => Err(NoStatus(format!(
            "the server does not accept the password ({refusal}). Check REDTAIL_REQUIREPASS, --password-file, --user, and what the address says"
        ))),
        Err(Error::File(_, path, error)) => Err(NoStatus(format!(
            "cannot use --password-file {}: {}",
            path.display(),
            Plain(&error)
        ))),
        Err(error) => Err(NoStatus(explain(&error))),
    }
}

fn needs_login(refusal: &str) -> bool {
    refusal.starts_with("NOAUTH") || refusal.starts_with("NOPERM")
}

fn refused(refusal: &str) -> NoStatus {
    let fix = if refusal.starts_with("NOPERM") {
        "Give the user the permission +info, or use another one with --user"
    } else if refusal.starts_with("DENIED") {
        "Ask from the machine that redtail runs on, or set a password there"
    } else if refusal.contains("max number of clients") {
        "Raise --maxclients, or close connections"
    } else {
        "If this is no redtail, give the address of one"
    };
    NoStatus(format!("the server refuses INFO ({refusal}). {fix}"))
}

/// Returns what an error means for somebody who asks for the status.
fn explain(error: &Error) -> String {
    match error {
        Error::Garbage(_, text) if text.starts_with("HTTP/") => {
            "this is a listener for HTTP: write http:// before the address".to_owned()
        }
        Error::Connect(address, cause) => format!(
            "cannot connect to {address}: {}. {}",
            Plain(cause),
            match cause.kind() {
                std::io::ErrorKind::ConnectionRefused =>
                    "Nothing listens there: check that redtail runs, and its --listen",
                std::io::ErrorKind::NotFound =>
                    "The socket does not exist: check that redtail runs, and its --listen",
                std::io::ErrorKind::PermissionDenied =>
                    "Use the user that redtail runs as, or another listener",
                _ => "Check the address, and that redtail runs",
            }
        ),
        error => error.to_string(),
    }
}
