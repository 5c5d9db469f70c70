//! What kind of server listens at an address, according to the server itself.
//!
//! `INFO server` is the one command that Sentinel, a cluster node and redtail itself share with a server that redtail can
//! follow. If the user may not run INFO, redtail assumes such a server, and PSYNC then shows what it is.

use super::address::{Address, Node};
use super::error::Error;
use super::role::Role;
use super::wire::Wire;

/// How a server runs. Source: valkey 9.1 server.c, `getServerMode`, which names the field `server_mode`; `redis_mode` in
/// earlier servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// It does not say, or not to this user.
    #[default]
    Unknown,
    /// Alone or with replicas: it has all keys.
    Standalone,
    /// In a cluster: it has the keys of its slots.
    Cluster,
}

impl Mode {
    /// Returns the word that INFO uses.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Standalone => "standalone",
            Self::Cluster => "cluster",
        }
    }
}

/// The kinds of server that `INFO server` reveals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Server(Mode),
    Sentinel,
    Redtail,
}

impl Kind {
    fn of(info: &str) -> Self {
        if field(info, "redtail_version").is_some() {
            return Self::Redtail;
        }
        let mode = field(info, "redis_mode").or_else(|| field(info, "server_mode"));
        match mode {
            Some("sentinel") => Self::Sentinel,
            Some("cluster") => Self::Server(Mode::Cluster),
            Some("standalone") => Self::Server(Mode::Standalone),
            _ => Self::Server(Mode::Unknown),
        }
    }
}

/// Asks what listens at the other end of `wire`, where `node` is expected.
///
/// # Errors
/// [`Error::NoServer`] says what it is and which address to write instead.
pub(super) async fn ask(wire: &mut Wire, node: &Node) -> Result<Mode, Error> {
    let info = section(wire, "server").await?;
    match Kind::of(&info) {
        Kind::Server(mode) => Ok(mode),
        Kind::Sentinel => {
            let watched = section(wire, "sentinel").await?;
            Err(Error::NoServer(wire.shown(&sentinel(node, &watched))))
        }
        Kind::Redtail => {
            let role = Role::of(&section(wire, "replication").await?);
            Err(Error::NoServer(wire.shown(&redtail(&node.address, &role))))
        }
    }
}

/// Returns a section of INFO, or an empty string if the server does not send it.
async fn section(wire: &mut Wire, name: &str) -> Result<String, Error> {
    let doing = "answering INFO";
    let header = wire.ask(&["INFO", name], doing).await?;
    let bulk = wire.bulk(&header, doing).await?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&bulk).into_owned())
}

fn field<'i>(info: &'i str, name: &str) -> Option<&'i str> {
    let value = |line: &'i str| line.strip_prefix(name)?.strip_prefix(':');
    info.lines().find_map(value)
}

/// Source: redis 7.0 sentinel.c, `sentinelInfoCommand`: `master0:name=group,status=ok,…`.
fn sentinel(node: &Node, info: &str) -> String {
    let name =
        field(info, "master0").and_then(|line| line.strip_prefix("name=")?.split(',').next());
    let scheme = if node.tls { "sentinels" } else { "sentinel" };
    let address = &node.address;
    format!(
        "{address} is a Sentinel, which holds no data: write {scheme}://{address}/{}",
        name.unwrap_or("NAME, where NAME is the name of the primary that it watches")
    )
}

fn redtail(address: &Address, role: &Role) -> String {
    let followed = match &role.primary {
        Some((host, port)) if !host.is_empty() && *port != 0 => {
            let (host, port) = (host.clone(), *port);
            format!(", {}", Address::Tcp { host, port })
        }
        _ => String::new(),
    };
    format!(
        "{address} is itself a redtail, which feeds no replicas: give the address of the primary that it follows{followed}"
    )
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn every_way_to_say_it_is_understood() {
        for (info, kind) in [
            ("# Server\r\nredis_mode:sentinel\r\n", Kind::Sentinel),
            ("# Server\r\nserver_mode:sentinel\r\n", Kind::Sentinel),
            ("redis_mode:cluster\r\n", Kind::Server(Mode::Cluster)),
            ("server_mode:standalone\r\n", Kind::Server(Mode::Standalone)),
            (
                "redis_mode:standalone\r\nredtail_version:1\r\n",
                Kind::Redtail,
            ),
            ("", Kind::Server(Mode::Unknown)),
            ("redis_mode:", Kind::Server(Mode::Unknown)),
            ("xredis_mode:sentinel", Kind::Server(Mode::Unknown)),
        ] {
            assert_eq!(Kind::of(info), kind, "{info}");
        }
    }

    #[test]
    fn says_what_to_write_instead() {
        let node: Node = "rediss://u:p@h:26379".parse().unwrap();
        let info = "# Sentinel\r\nsentinel_masters:2\r\nmaster0:name=group,status=ok,address=127.0.0.1:1\r\n";
        assert!(sentinel(&node, info).ends_with("write sentinels://h:26379/group"));
        assert!(sentinel(&node, "").contains("h:26379/NAME, where NAME"));
        let role = Role::of("role:slave\r\nmaster_host:p\r\nmaster_port:7\r\n");
        assert!(redtail(&node.address, &role).ends_with("it follows, p:7"));
        assert!(redtail(&node.address, &Role::default()).ends_with("it follows"));
    }
}
