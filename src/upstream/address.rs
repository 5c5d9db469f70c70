//! Addresses of upstreams, as people write them.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;

use super::cluster::{Cluster, ShardServers};
use super::secret::{Login, Password, Secret};
use super::sentinel::Sentinels;

/// The port of an address that names none.
const DEFAULT_PORT: u16 = 6379;

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// A TCP port.
    Tcp {
        /// A name or an address, IPv6 without brackets. Names are resolved again at every attempt.
        host: String,
        /// The port.
        port: u16,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

impl Address {
    /// A TCP port.
    #[must_use]
    pub(crate) fn of(host: &str, port: u16) -> Self {
        Self::Tcp {
            host: host.to_owned(),
            port,
        }
    }

    /// Whether the server is on this machine, as far as the address says.
    pub(super) fn is_near(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Tcp { host, .. } => {
                let ip = host.parse::<IpAddr>();
                host == "localhost" || ip.is_ok_and(|ip| ip.to_canonical().is_loopback())
            }
        }
    }

    /// Returns host and port as INFO shows them; for a Unix socket, its path and 0.
    #[must_use]
    pub fn host_and_port(&self) -> (String, u16) {
        match self {
            Self::Tcp { host, port } => (host.clone(), *port),
            Self::Unix(path) => (path.display().to_string(), 0),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Text that is not an upstream address. Never repeats the text, which may contain a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// Not a URL.
    #[error(
        "this is not an address ({0}): write redis://host:port, or redis://user:password@host:port"
    )]
    Syntax(String),
    /// An unsupported scheme.
    #[error(
        "redtail does not support {0}:// addresses: write redis://host:port, rediss://host:port for TLS, unix:///path, sentinel://host,host/name, or cluster://host,host"
    )]
    Scheme(String),
    /// No host.
    #[error("the address has no host: write redis://host:port")]
    Host,
    /// A database number: a replica cannot choose one.
    #[error("redtail follows all databases of a server: remove what follows the port")]
    Database,
    /// A query or a fragment. redtail would ignore it, and it is more likely a password that contains `?` or `#`.
    #[error(
        "the address contains ? or #: in a password, write them as %3F and %23; elsewhere, remove them"
    )]
    Extra,
    /// A comma that may be part of a password or may start another address.
    #[error(
        "the address contains a comma: in a password, write it as %2C; in a list, start each address with redis://"
    )]
    Comma,
    /// Not a Sentinel address.
    #[error(
        "this is not a Sentinel address: write sentinel://host:port,host:port/name, or sentinel://user:password@host:port/name, where name \
         is the primary's name in Sentinel; in a password, write / as %2F"
    )]
    Sentinel,
    /// An unknown option after the `?` of a Sentinel address.
    #[error(
        "the options after the ? of a Sentinel address are prefer=replica or prefer=primary, and server-tls=yes or server-tls=no, separated \
         by &"
    )]
    SentinelOption,
    /// A server that speaks TLS, for a build that does not.
    #[error(
        "this build of redtail has no TLS: build it with the feature `tls`, or write redis:// instead of rediss://"
    )]
    NoTls,
    /// A Sentinel address mixed with other addresses.
    #[error(
        "a Sentinel address cannot be mixed with others: write one sentinel://host,host/name with all sentinels"
    )]
    Alone,
    /// Not the address of a cluster.
    #[error(
        "this is not the address of a cluster: write cluster://host:port,host:port with some of its nodes, or \
         cluster://user:password@host:port; in a password, write / as %2F"
    )]
    Cluster,
    /// An unknown option after the `?` of a cluster's address.
    #[error("the option after the ? of a cluster's address is prefer=primary or prefer=replica")]
    ClusterOption,
    /// A cluster's address mixed with other addresses.
    #[error(
        "the address of a cluster cannot be mixed with others: write one cluster://host:port,host:port with some of its nodes"
    )]
    ClusterAlone,
}

/// A server to follow: where it is, and the login that redtail uses there. Parses from
/// `redis://[user[:password]@]host[:port]`, `rediss://…` for TLS, `host:port` and `unix:///path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where it listens.
    pub address: Address,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// The login that redtail uses there.
    pub login: Login,
}

impl FromStr for Node {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return Ok(Self {
                address: Address::Unix(PathBuf::from(path)),
                tls: false,
                login: Login::default(),
            });
        }
        let text = if text.contains("://") {
            text.to_owned()
        } else {
            format!("redis://{text}")
        };
        let (scheme, rest) = text.trim().split_once("://").unwrap_or_default();
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "redis" => false,
            "rediss" => true,
            other => return Err(AddressError::Scheme(other.to_owned())),
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if path.contains(['?', '#']) {
            return Err(AddressError::Extra);
        }
        if !matches!(path.trim_matches('/'), "" | "0") {
            return Err(AddressError::Database);
        }
        let (login, host) = login_and_host(authority);
        Ok(Self {
            address: tcp(host, DEFAULT_PORT)?,
            tls,
            login,
        })
    }
}

/// Parses `host[:port]`.
pub(super) fn server(text: &str, default_port: u16) -> Result<Address, AddressError> {
    if text.contains(['@', '/', '?', '#']) {
        return Err(AddressError::Extra);
    }
    tcp(text, default_port)
}

/// Returns the login, the hosts, and what follows the `/` in an address with several hosts.
pub(super) fn authority_and_rest(text: &str) -> Result<(Login, &str, &str), AddressError> {
    let (authority, rest) = text.split_once('/').ok_or(AddressError::Sentinel)?;
    let (login, hosts) = login_and_host(authority);
    Ok((login, hosts, rest))
}

/// Splits `user:password@host:port` at its last `@`. Without one there is no login.
pub(super) fn login_and_host(authority: &str) -> (Login, &str) {
    let Some((login, host)) = authority.rsplit_once('@') else {
        return (Login::default(), authority);
    };
    let (user, password) = match login.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (login, None),
    };
    let login = Login {
        user: Some(decoded(user)).filter(|user| !user.is_empty()),
        password: password
            .filter(|password| !password.is_empty())
            .map(|password| Password::Given(Secret::new(decoded(password)))),
    };
    (login, host)
}

/// Parses `host`, `host:port`, `[address]` or `[address]:port`.
fn tcp(text: &str, default_port: u16) -> Result<Address, AddressError> {
    let wrong = |what: &str| Err(AddressError::Syntax(what.to_owned()));
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let Some((address, port)) = rest.split_once(']') else {
                return wrong("the IPv6 address has no closing bracket");
            };
            match address.parse::<Ipv6Addr>() {
                Ok(address) => (address.to_string(), port.strip_prefix(':').unwrap_or(port)),
                Err(_) => return wrong("invalid IPv6 address"),
            }
        }
        None => {
            let (host, port) = text.split_once(':').unwrap_or((text, ""));
            (host.to_owned(), port)
        }
    };
    if host.is_empty() {
        return Err(AddressError::Host);
    }
    let is_odd = |c: char| !(c.is_alphanumeric() || matches!(c, '-' | '.' | '_' | ':'));
    if host.contains(is_odd) {
        return wrong("invalid character in the host");
    }
    let port = match port {
        "" => default_port,
        port if port.contains(':') => return wrong("an IPv6 address needs brackets"),
        port => match port.parse() {
            Ok(port) => port,
            Err(_) => return wrong("invalid port number"),
        },
    };
    Ok(Address::Tcp { host, port })
}

/// Decodes `%41` and the like. A `%` without two hex digits after it stays as it is.
pub(super) fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let escaped = if byte == b'%' { hex_pair(tail) } else { None };
        bytes.push(escaped.unwrap_or(byte));
        rest = escaped.and_then(|_| tail.get(2..)).unwrap_or(tail);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Returns the byte that the first two hex digits of `text` encode.
fn hex_pair(text: &[u8]) -> Option<u8> {
    let digit = |at| u8::try_from(char::from(*text.get(at)?).to_digit(16)?).ok();
    Some(digit(0)? << 4 | digit(1)?)
}

/// The servers to follow. Parses from one address, several separated by commas, or the address of [`Sentinels`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Upstream {
    /// Servers with the same data, at least one. The one that worked last is tried first, then the others in this order.
    List(Vec<Node>),
    /// The servers that sentinels name.
    Sentinel(Sentinels),
    /// All shards of a cluster.
    Cluster(Cluster),
    /// The servers of one shard of a cluster.
    #[doc(hidden)]
    Shard(ShardServers),
}

impl Upstream {
    /// Parses `texts`, each of them one address or several separated by commas.
    ///
    /// # Errors
    /// Returns [`AddressError`], also when there is no address.
    pub fn of<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<Self, AddressError> {
        let upstream = Self::parse(texts)?;
        if upstream.uses_tls() && !cfg!(feature = "tls") {
            return Err(AddressError::NoTls);
        }
        Ok(upstream)
    }

    fn parse<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<Self, AddressError> {
        let texts: Vec<&str> = texts.into_iter().collect();
        match texts.as_slice() {
            [text] if Sentinels::are_in(text) => return Ok(Self::Sentinel(text.parse()?)),
            texts if texts.iter().any(|text| Sentinels::are_in(text)) => {
                return Err(AddressError::Alone);
            }
            [text] if Cluster::is_in(text) => return Ok(Self::Cluster(text.parse()?)),
            texts if texts.iter().any(|text| Cluster::is_in(text)) => {
                return Err(AddressError::ClusterAlone);
            }
            _ => {}
        }
        let mut list = Vec::new();
        for text in texts {
            for member in members(text)? {
                list.push(member.parse()?);
            }
        }
        if list.is_empty() {
            return Err(AddressError::Host);
        }
        Ok(Self::List(list))
    }

    /// Whether any of the servers or sentinels uses TLS.
    #[must_use]
    pub fn uses_tls(&self) -> bool {
        match self {
            Self::List(list) => list.iter().any(|member| member.tls),
            Self::Sentinel(all) => all.servers_tls || all.nodes.iter().any(|node| node.tls),
            Self::Cluster(cluster) => cluster.nodes.iter().any(|node| node.tls),
            Self::Shard(shard) => shard.now().iter().any(|node| node.tls),
        }
    }

    /// Whether any of the servers to follow has a password.
    #[must_use]
    pub fn has_password(&self) -> bool {
        match self {
            Self::List(list) => has_password(list),
            Self::Sentinel(all) => all.servers_login.password.is_some(),
            Self::Cluster(Cluster { nodes, .. }) => has_password(nodes),
            Self::Shard(shard) => has_password(&shard.now()),
        }
    }

    /// Applies `login` to the servers to follow. It overrides what the addresses say.
    #[must_use]
    pub fn with_login(mut self, login: &Login) -> Self {
        match &mut self {
            Self::List(list) => replace_logins(list, login),
            Self::Sentinel(sentinels) => sentinels.servers_login.replace_by(login),
            Self::Cluster(cluster) => replace_logins(&mut cluster.nodes, login),
            // Its servers have the cluster's login already.
            Self::Shard(_) => {}
        }
        self
    }

    /// Applies `login` to the sentinels, if there are any.
    #[must_use]
    pub fn with_sentinel_login(mut self, login: &Login) -> Self {
        if let Self::Sentinel(sentinels) = &mut self {
            replace_logins(&mut sentinels.nodes, login);
        }
        self
    }
}

fn has_password(nodes: &[Node]) -> bool {
    nodes.iter().any(|node| node.login.password.is_some())
}

fn replace_logins(nodes: &mut [Node], login: &Login) {
    for node in nodes {
        node.login.replace_by(login);
    }
}

impl FromStr for Upstream {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::of([text])
    }
}

/// Splits `text` into addresses. A part after a comma that has an `@` but no scheme is more likely the end of a password.
fn members(text: &str) -> Result<Vec<&str>, AddressError> {
    let members: Vec<&str> = text.split(',').map(str::trim).collect();
    let is_doubtful = |member: &&str| member.contains('@') && !member.contains("://");
    if members.len() > 1 && members.iter().any(is_doubtful) {
        return Err(AddressError::Comma);
    }
    Ok(members)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn tcp(host: &str, port: u16) -> Address {
        Address::Tcp {
            host: host.to_owned(),
            port,
        }
    }

    fn secret(text: &str) -> Option<Password> {
        Some(Password::Given(Secret::new(text)))
    }

    fn list(text: &str) -> Vec<Node> {
        match text.parse().unwrap() {
            Upstream::List(list) => list,
            _ => panic!("{text} is no list"),
        }
    }

    fn addresses(text: &str) -> Vec<Address> {
        let list = list(text);
        list.into_iter().map(|member| member.address).collect()
    }

    #[test]
    fn understands_addresses_with_and_without_everything() {
        let plain: Node = "redis://example.com".parse().unwrap();
        assert_eq!(
            plain,
            Node {
                address: tcp("example.com", 6379),
                tls: false,
                login: Login::default(),
            }
        );
        let full: Node = "redis://app:p%40ss%3a@[::1]:7000/0".parse().unwrap();
        assert_eq!(full.address, tcp("::1", 7000));
        assert_eq!(full.login.user.as_deref(), Some("app"));
        assert_eq!(full.login.password, secret("p@ss:"));
        let only_password: Node = "redis://:secret@127.0.0.1:6380".parse().unwrap();
        assert_eq!(only_password.login.user, None);
        assert_eq!(only_password.login.password, secret("secret"));
        let over_tls: Node = "rediss://u:p@h".parse().unwrap();
        assert!(over_tls.tls && over_tls.address == tcp("h", 6379));
        for (text, host) in [("10.0.0.1:7000", "10.0.0.1"), ("[::1]:7000", "::1")] {
            let bare: Node = text.parse().unwrap();
            assert_eq!(bare.address, tcp(host, 7000));
        }
        assert_eq!(
            "unix:///run/redis.sock".parse::<Node>().unwrap().address,
            Address::Unix("/run/redis.sock".into())
        );
    }

    #[test]
    fn decodes_only_whole_escapes() {
        assert_eq!(decoded("%41%zz%+4%4"), "A%zz%+4%4");
    }

    #[test]
    fn a_list_keeps_its_order_and_each_members_own_login() {
        assert_eq!(
            addresses("h1:1, redis://h2,unix:/s"),
            [tcp("h1", 1), tcp("h2", 6379), Address::Unix("/s".into())]
        );
        let list = list("redis://:a@h,redis://b:c%2C@h:2");
        let passwords: Vec<_> = list.into_iter().map(|m| m.login.password).collect();
        assert_eq!(passwords, [secret("a"), secret("c,")]);
    }

    #[test]
    fn a_comma_that_may_be_in_a_password_is_refused() {
        for text in ["redis://u:12,34@h", "u:1@h,u:2@h", "redis://h,u:p@h"] {
            assert_eq!(text.parse::<Upstream>(), Err(AddressError::Comma), "{text}");
        }
    }

    #[test]
    fn says_what_is_wrong_with_an_address_and_never_shows_a_password() {
        for wrong in [
            "http://u:secret@h",
            "redis://u:secret@h:port",
            "redis://u:secret@h/3",
            "redis://u:12/secret@h",
            "redis://u:12?secret@h",
            "redis://u:12,secret@h",
            "redis://h#secret",
            "redis://h,nonsense://:secret@h",
            "redis://",
            "redis://h,",
            "",
        ] {
            let error = wrong.parse::<Upstream>().unwrap_err();
            assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
        }
        let upstream: Upstream = "redis://:secret@h".parse().unwrap();
        assert!(!format!("{upstream:?}").contains("secret"));
    }
}
