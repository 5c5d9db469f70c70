//! Sentinel: servers that know where a primary and its replicas are.
//!
//! Each attempt asks the sentinels one after the other until one answers. What a sentinel says about a server is checked at
//! that server before redtail follows it. While a link streams, redtail listens to one sentinel. It does not read the
//! messages: each one only makes redtail ask again. So redtail never takes more from a sentinel than a list of addresses.

mod circle;
mod view;

use std::str::FromStr;

use super::address::{AddressError, Node, authority_and_rest, decoded, server};
use super::secret::Login;

pub(super) use circle::Circle;
pub(super) use view::Told;

/// The port of a sentinel whose address names none.
const DEFAULT_PORT: u16 = 26379;

/// Which of the servers of a name to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Prefer {
    /// A healthy replica, or the primary while there is none. Full syncs then do not burden the primary.
    #[default]
    Replica,
    /// Always the primary.
    Primary,
}

/// Sentinels, and what to ask them. Parses from `sentinel://[user:password@]host[:port],…/name[?prefer=primary]`, or
/// `sentinels://…` for TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentinels {
    /// The sentinels: their addresses, whether they use TLS, and the login.
    pub nodes: Vec<Node>,
    /// The primary's name in Sentinel.
    pub name: String,
    /// Which servers to follow.
    pub prefer: Prefer,
    /// Whether the servers that the sentinels name use TLS.
    pub servers_tls: bool,
    /// The login at those servers.
    pub servers_login: Login,
}

impl Sentinels {
    /// Whether `text` is a Sentinel address.
    pub(super) fn are_in(text: &str) -> bool {
        ["sentinel://", "sentinels://"]
            .iter()
            .any(|scheme| text.starts_with(scheme))
    }
}

impl FromStr for Sentinels {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (scheme, rest) = text.split_once("://").ok_or(AddressError::Sentinel)?;
        let tls = match scheme {
            "sentinel" => false,
            "sentinels" => true,
            other => return Err(AddressError::Scheme(other.to_owned())),
        };
        let (login, hosts, rest) = authority_and_rest(rest)?;
        let (name, query) = rest.split_once('?').unwrap_or((rest, ""));
        // Other programs write database 0 like this. redtail follows all databases.
        let name = name.strip_suffix("/0").unwrap_or(name);
        if name.is_empty() || name.contains(['/', '#']) || query.contains('#') {
            return Err(AddressError::Sentinel);
        }
        let node = |host: &str| {
            Ok(Node {
                address: server(host.trim(), DEFAULT_PORT)?,
                tls,
                login: login.clone(),
            })
        };
        let mut sentinels = Self {
            nodes: hosts.split(',').map(node).collect::<Result<_, _>>()?,
            name: decoded(name),
            prefer: Prefer::default(),
            servers_tls: tls,
            servers_login: Login::default(),
        };
        for option in query.split('&').filter(|option| !option.is_empty()) {
            sentinels.set(option)?;
        }
        Ok(sentinels)
    }
}

impl Sentinels {
    fn set(&mut self, option: &str) -> Result<(), AddressError> {
        match option {
            "prefer=replica" => self.prefer = Prefer::Replica,
            "prefer=primary" => self.prefer = Prefer::Primary,
            "server-tls=yes" => self.servers_tls = true,
            "server-tls=no" => self.servers_tls = false,
            _ => return Err(AddressError::SentinelOption),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use crate::upstream::Upstream;

    fn sentinels(text: &str) -> Sentinels {
        match text.parse().unwrap() {
            Upstream::Sentinel(sentinels) => sentinels,
            _ => panic!("{text} names no sentinels"),
        }
    }

    fn shown(sentinels: &Sentinels) -> Vec<String> {
        let nodes = sentinels.nodes.iter();
        nodes.map(|node| node.address.to_string()).collect()
    }

    #[test]
    fn understands_sentinels_with_and_without_everything() {
        let plain = sentinels("sentinel://h/mymaster");
        assert_eq!(shown(&plain), ["h:26379"]);
        assert_eq!(
            (plain.name.as_str(), plain.prefer),
            ("mymaster", Prefer::Replica)
        );
        assert!(!plain.servers_tls && plain.nodes.iter().all(|node| !node.tls));
        let text = "sentinels://app:p%40,s@h1,[::1]:5, h3:6/a%20b?prefer=primary&server-tls=no";
        let full = sentinels(text);
        assert_eq!(shown(&full), ["h1:26379", "[::1]:5", "h3:6"]);
        assert_eq!((full.name.as_str(), full.prefer), ("a b", Prefer::Primary));
        assert!(!full.servers_tls && full.nodes.iter().all(|node| node.tls));
        assert!(
            full.nodes
                .iter()
                .all(|node| node.login.user.as_deref() == Some("app"))
        );
        assert_eq!(full.servers_login, Login::default());
    }

    #[test]
    fn says_what_is_wrong_and_never_shows_a_password() {
        for wrong in [
            "sentinel://",
            "sentinel://h",
            "sentinel://h/",
            "sentinel:///name",
            "sentinel://h,/name",
            "sentinel://:secret@h/a/b",
            "sentinel://:secret@h/name?prefer=any",
            "sentinel://:secret@h/name#x",
            "sentinel://h:port/name",
            "redis://h,sentinel://:secret@h/name",
        ] {
            let error = wrong.parse::<Upstream>().unwrap_err();
            assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
        }
        let both = ["sentinel://:secret@h/name", "redis://h"];
        assert_eq!(Upstream::of(both), Err(AddressError::Alone));
        let upstream: Upstream = "sentinel://:secret@h/name".parse().unwrap();
        assert!(!format!("{upstream:?}").contains("secret"));
    }
}
