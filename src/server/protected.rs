//! Protected mode: a server without a password refuses clients from other machines, unless it is configured to accept them.
//!
//! As in Redis 7.0, an explicit `bind` does not turn it off. Source: redis 7.0 networking.c, `clientAcceptHandler`.

use std::net::IpAddr;

use super::config::{Config, Listen};
use super::shared::Server;

/// The error that a client from another machine gets before it is disconnected: Redis's text, with redtail's settings.
pub(super) const DENIED: &[u8] = b"-DENIED redtail is running in protected mode because protected mode is enabled and no password is set for the \
default user. In this mode connections are only accepted from the loopback interface. If you want to connect from external computers to \
redtail you may adopt one of the following solutions: 1) Set up a password that clients must give: start redtail with '--requirepass', the \
variable REDTAIL_REQUIREPASS or the key 'requirepass' of its file. 2) Just disable protected mode by starting redtail with the \
'--protected-mode no' option, the variable REDTAIL_PROTECTED_MODE or the key 'protected-mode' of its file, however MAKE SURE redtail is not \
publicly accessible from internet if you do so. NOTE: You only need to do one of the above things in order for redtail to start accepting \
connections from the outside.\r\n";

impl Config {
    /// Returns the listeners on which protected mode refuses clients from other machines.
    #[must_use]
    pub fn denied_listeners(&self) -> Vec<&Listen> {
        let is_open = |listen: &&Listen| match listen {
            Listen::Tcp(address) | Listen::Tls(address) => {
                !address.ip().to_canonical().is_loopback()
            }
            Listen::Unix(_) => false,
        };
        let protected = self.is_protected();
        self.listen
            .iter()
            .filter(|_| protected)
            .filter(is_open)
            .collect()
    }

    fn is_protected(&self) -> bool {
        let users = self.users.as_ref();
        let is_open = users.map_or(self.password.is_none(), |users| {
            users.default_has_no_password()
        });
        self.protected && is_open
    }
}

impl Server {
    /// Whether protected mode refuses a client at that address: the default user has no password now. It does not apply to Unix
    /// sockets.
    pub(super) fn denies(&self, peer: IpAddr) -> bool {
        !peer.to_canonical().is_loopback()
            && self.config.protected
            && self.users.default_has_no_password()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use std::sync::Arc;

    use super::*;
    use crate::command::Replication;

    fn config(protected: bool, password: Option<&str>) -> Config {
        Config {
            protected,
            password: password.map(crate::secret::Secret::new),
            ..Config::default()
        }
    }

    fn denies(config: &Config, peer: &str) -> bool {
        let server = Server::new(config.clone(), Arc::default(), Replication::default);
        server.denies(peer.parse().unwrap())
    }

    #[test]
    fn only_loopback_gets_in_without_a_password() {
        assert!(Config::default().protected);
        let open = config(true, None);
        for local in ["127.0.0.1", "127.255.0.9", "::1", "::ffff:127.0.0.1"] {
            assert!(!denies(&open, local), "{local}");
        }
        for elsewhere in [
            "10.0.0.1",
            "192.168.1.7",
            "0.0.0.0",
            "::",
            "::ffff:10.0.0.1",
            "::7f00:1",
            "fe80::1",
            "2001:db8::1",
        ] {
            assert!(denies(&open, elsewhere), "{elsewhere}");
            assert!(!denies(&config(false, None), elsewhere), "{elsewhere}");
            assert!(
                !denies(&config(true, Some("word")), elsewhere),
                "{elsewhere}"
            );
        }
    }

    #[test]
    fn listeners_beyond_this_machine_are_known() {
        let listen = |texts: &[&str]| Config {
            listen: texts.iter().map(|text| text.parse().unwrap()).collect(),
            ..Config::default()
        };
        let denied = |config: &Config| config.denied_listeners().len();
        assert_eq!(denied(&listen(&["127.0.0.1:1", "[::1]:1", "unix:/x"])), 0);
        let open = listen(&["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "127.0.0.1:1"]);
        assert_eq!(denied(&open), 3);
        let told = Config {
            protected: false,
            ..open
        };
        assert_eq!(denied(&told), 0);
    }
}
