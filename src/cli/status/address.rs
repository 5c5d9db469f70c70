//! Where `redtail status` asks.

use std::fmt;
use std::net::SocketAddr;

use crate::cli::Failure;
use crate::server::Listen;
use crate::upstream::Node;

/// What answers, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// A listener for clients: INFO.
    Clients(Node),
    /// A listener for HTTP, `host:port`: /status.json.
    Http(String),
}

impl Target {
    /// Returns the target at an address. Without one, it is redtail's own first listener in this environment, or else its
    /// default one.
    ///
    /// # Errors
    /// [`Failure::Usage`] if it is no address. The message does not repeat the address, which may hold a password.
    pub(super) fn new(given: Option<&str>) -> Result<Self, Failure> {
        match given {
            Some(text) => Self::parse(text),
            None => Self::parse(&own_listener(std::env::var("REDTAIL_LISTEN").ok())),
        }
    }

    fn parse(text: &str) -> Result<Self, Failure> {
        if let Some(rest) = text.strip_prefix("http://") {
            return http(rest);
        }
        if text.starts_with("https://") {
            return Err(Failure::Usage(
                "redtail answers HTTP without TLS: write http://host:port of its own listener, or rediss://host:port".to_owned(),
            ));
        }
        if text.starts_with("sentinel") {
            return Err(Failure::Usage(
                "a Sentinel has no status of a redtail: give the address of the redtail itself, such as 127.0.0.1:6380".to_owned(),
            ));
        }
        let with_port = with_port(text);
        let node = with_port.parse().map_err(|error| {
            Failure::Usage(format!(
                "the address: {error}. redtail's own listeners are 127.0.0.1:6380, unless it was started with --listen"
            ))
        })?;
        Ok(Self::Clients(node))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clients(node) => write!(f, "{}", node.address),
            Self::Http(host) => write!(f, "http://{host}"),
        }
    }
}

/// The port of redtail's default listener.
const PORT: u16 = 6380;

/// Adds redtail's port to an address without one. The parser is that of primaries and would add Redis's.
fn with_port(text: &str) -> String {
    if text.starts_with("unix:") {
        return text.to_owned();
    }
    if text.parse::<u16>().is_ok() {
        return format!("127.0.0.1:{text}");
    }
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), text),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit('@').next().unwrap_or_default();
    let has_port = match host.rsplit_once(']') {
        Some((_, port)) => port.starts_with(':'),
        None => host.contains(':'),
    };
    if has_port || host.is_empty() {
        text.to_owned()
    } else {
        format!("{scheme}{authority}:{PORT}{path}")
    }
}

fn http(rest: &str) -> Result<Target, Failure> {
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let wrong = |what: &str| {
        Err(Failure::Usage(format!(
            "the address: {what}: write http://host:port"
        )))
    };
    if host.contains('@') {
        return wrong(
            "a user or a password has no place in it; give the token with --token or --token-file",
        );
    }
    if host.is_empty() || host.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return wrong("it has no host");
    }
    if !matches!(path, "" | "status.json") {
        return wrong("only the host and the port are needed");
    }
    let has_port = host.rsplit(']').next().is_some_and(|end| end.contains(':'));
    Ok(Target::Http(if has_port {
        host.to_owned()
    } else {
        format!("{host}:80")
    }))
}

/// Returns the address of the first listener that this variable names, as it is reached from this machine.
fn own_listener(listen: Option<String>) -> String {
    let first = listen
        .as_deref()
        .and_then(|listen| listen.split(',').next());
    let default = || format!("127.0.0.1:{PORT}");
    match first.map(str::parse::<Listen>) {
        Some(Ok(Listen::Tcp(address))) => here(address).to_string(),
        Some(Ok(other)) => other.to_string(),
        _ => default(),
    }
}

/// Returns the loopback address in place of all addresses.
fn here(address: SocketAddr) -> SocketAddr {
    let loopback: std::net::IpAddr = match address {
        SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    if address.ip().is_unspecified() {
        SocketAddr::new(loopback, address.port())
    } else {
        address
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn shown(text: &str) -> String {
        Target::new(Some(text)).unwrap().to_string()
    }

    #[test]
    fn an_address_without_a_port_has_that_of_redtail() {
        for (text, address) in [
            ("127.0.0.1", "127.0.0.1:6380"),
            ("redis://:p@h", "h:6380"),
            ("rediss://u:p@h/", "h:6380"),
            ("[::1]", "[::1]:6380"),
            ("[::1]:7", "[::1]:7"),
            ("7000", "127.0.0.1:7000"),
            ("h:1", "h:1"),
            ("unix:/run/redtail.sock", "unix:/run/redtail.sock"),
            ("http://h", "http://h:80"),
            ("http://[::1]:9121/", "http://[::1]:9121"),
            ("http://h:9121/status.json", "http://h:9121"),
        ] {
            assert_eq!(shown(text), address, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_what_to_write_and_without_a_password() {
        for (text, words) in [
            ("https://h", "rediss://host:port"),
            ("sentinel://h/name", "the redtail itself"),
            ("http://u:secret@h", "--token"),
            ("http:///x", "no host"),
            ("http://h/secret", "only the host"),
            ("redis://:secret@h:port", "invalid port"),
            ("", "no host"),
        ] {
            let error = Target::new(Some(text)).unwrap_err().to_string();
            assert!(
                error.contains(words) && !error.contains("secret"),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn without_an_address_it_is_the_listener_of_this_environment() {
        for (listen, address) in [
            (None, "127.0.0.1:6380"),
            (Some("0.0.0.0:7000,unix:/x"), "127.0.0.1:7000"),
            (Some("[::]:7000"), "[::1]:7000"),
            (Some("10.0.0.1:7000"), "10.0.0.1:7000"),
            (Some("unix:/x"), "unix:/x"),
            (Some("nonsense"), "127.0.0.1:6380"),
        ] {
            assert_eq!(own_listener(listen.map(str::to_owned)), address);
        }
    }
}
