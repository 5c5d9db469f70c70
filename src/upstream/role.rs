//! What a server says about its role.
//!
//! redtail asks `INFO replication` and not ROLE. INFO says the same and also which histories the server holds, and redtail
//! needs it anyway: so an ACL user needs one permission less.

use std::fmt;

use tokio::net::lookup_host;

use super::address::Address;
use crate::history::{Point, ReplId};

/// A server's role in replication.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Role {
    /// The primary that it follows; `None` when it is a primary.
    pub(super) primary: Option<(String, u16)>,
    /// Whether its link to that primary is up.
    pub(super) link_up: bool,
    /// The offset up to which it can serve redtail.
    pub(super) offset: u64,
    /// The histories from which it can serve redtail.
    pub(super) histories: Vec<ReplId>,
}

impl Role {
    /// Reads the text of `INFO replication`. A missing field stays empty, because the text comes from another program.
    pub(super) fn of(info: &str) -> Self {
        let field = |name: &str| {
            let line = |line: &'_ str| {
                line.strip_prefix(name)?
                    .strip_prefix(':')
                    .map(str::to_owned)
            };
            info.lines().find_map(line)
        };
        let number = |name| field(name).and_then(|text| text.parse().ok());
        let host_and_port = || {
            let port = field("master_port").and_then(|text| text.parse().ok());
            (field("master_host").unwrap_or_default(), port.unwrap_or(0))
        };
        let ids = ["master_replid", "master_replid2"].map(field);
        Self {
            primary: (field("role").as_deref() == Some("slave")).then(host_and_port),
            link_up: field("master_link_status").as_deref() == Some("up"),
            offset: number("master_repl_offset").unwrap_or(0),
            histories: ids
                .into_iter()
                .flatten()
                .filter_map(|id| id.parse().ok())
                .collect(),
        }
    }

    /// Returns how many bytes of redtail's history this replica lacks: if any, it would answer PSYNC with a full sync now.
    /// The result is 0 for a primary, which cannot get the bytes from another server, and for a replica without a link,
    /// which refuses PSYNC.
    pub(super) fn lacks(&self, resume: Point) -> u64 {
        let catches_up = self.primary.is_some() && self.link_up;
        if catches_up && self.histories.contains(&resume.replid) {
            resume.offset.saturating_sub(self.offset)
        } else {
            0
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.primary {
            None => f.write_str("a primary"),
            Some((host, port)) => write!(f, "a replica of {}", shown(host, *port)),
        }
    }
}

/// Formats an address from a peer on one line.
fn shown(host: &str, port: u16) -> String {
    let host = host.chars().take(256).filter(|c| !c.is_control()).collect();
    Address::Tcp { host, port }.to_string()
}

/// Whether `address` and `other`, which a server reports as its primary, are the same server: one may be a name and the
/// other an address.
pub(super) async fn same_server(address: &Address, other: &(String, u16)) -> bool {
    let Address::Tcp { host, port } = address else {
        return false;
    };
    if *port != other.1 {
        return false;
    }
    if host.eq_ignore_ascii_case(&other.0) {
        return true;
    }
    let (Ok(ours), Ok(theirs)) = tokio::join!(
        lookup_host((host.as_str(), *port)),
        lookup_host((other.0.as_str(), other.1))
    ) else {
        return false;
    };
    let theirs: Vec<_> = theirs.collect();
    ours.into_iter().any(|one| theirs.contains(&one))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef01234567";

    fn replica(offset: u64) -> Role {
        Role::of(&format!(
            "# Replication\r\nrole:slave\r\nmaster_host:h\r\nmaster_port:7\r\nmaster_link_status:up\r\n\
             master_replid:{ID}\r\nmaster_replid2:{}\r\nmaster_repl_offset:{offset}\r\n",
            "0".repeat(40)
        ))
    }

    #[test]
    fn reads_what_servers_say() {
        let role = replica(17);
        assert_eq!(role.primary, Some(("h".to_owned(), 7)));
        assert_eq!(
            (role.link_up, role.offset, role.histories.len()),
            (true, 17, 2)
        );
        assert_eq!(Role::of("role:master\r\n").primary, None);
        assert_eq!(Role::of("nonsense"), Role::default());
    }

    #[tokio::test]
    async fn a_name_and_its_address_are_one_server() {
        let address = Address::Tcp {
            host: "127.0.0.1".to_owned(),
            port: 7,
        };
        let is_same =
            async |host: &str, port| same_server(&address, &(host.to_owned(), port)).await;
        assert!(is_same("127.0.0.1", 7).await && is_same("localhost", 7).await);
        assert!(!is_same("127.0.0.1", 8).await && !is_same("127.0.0.2", 7).await);
        assert!(!is_same("no name at all", 7).await);
    }

    #[test]
    fn only_a_replica_of_the_same_history_can_catch_up() {
        let resume = |id: &str| Point {
            replid: id.parse().unwrap(),
            offset: 20,
        };
        assert_eq!(replica(17).lacks(resume(ID)), 3);
        assert_eq!(replica(20).lacks(resume(ID)), 0);
        assert_eq!(replica(17).lacks(resume(&"f".repeat(40))), 0);
        let primary = Role {
            primary: None,
            ..replica(17)
        };
        assert_eq!(primary.lacks(resume(ID)), 0);
    }
}
