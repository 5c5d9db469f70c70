//! The link's configuration.

use std::time::Duration;

use super::address::{Address, Upstream};
use super::spool::SpoolLimits;
use super::tls::Tls;

/// The link's timeouts and intervals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Timeout for a connection, and for each line of the handshake. Redis's own replicas allow five seconds.
    pub handshake: Duration,
    /// Timeout after the last received byte, once the handshake is done: Redis's `repl-timeout`.
    pub silence: Duration,
    /// Time between two acknowledgements.
    pub ack: Duration,
    /// Delay before the first retry. It doubles with each further retry.
    pub retry_first: Duration,
    /// Maximum delay before a retry.
    pub retry_max: Duration,
    /// Delay before a retry when a person must fix something first.
    pub retry_refused: Duration,
    /// Minimum time between the starts of two full syncs: each makes the primary fork and send all its data.
    pub resync_floor: Duration,
    /// Time between two questions to a sentinel while it sends no message. A sentinel itself asks the servers every ten
    /// seconds.
    pub sentinel_look: Duration,
    /// Time after which an idle connection is probed; zero for never. Redis's `tcp-keepalive`.
    pub keepalive: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(5),
            silence: Duration::from_secs(60),
            ack: Duration::from_secs(1),
            retry_first: Duration::from_millis(100),
            retry_max: Duration::from_secs(5),
            retry_refused: Duration::from_secs(30),
            resync_floor: Duration::from_secs(10),
            sentinel_look: Duration::from_secs(10),
            keepalive: Duration::from_secs(300),
        }
    }
}

/// The offset that redtail acknowledges to the primary. It decides whether the primary counts redtail as a replica that
/// holds its data safely.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(
    feature = "cli",
    derive(serde::Deserialize, clap::ValueEnum),
    serde(rename_all = "kebab-case")
)]
pub enum AckPolicy {
    /// Honest below a replica, observer below a primary.
    #[default]
    Auto,
    /// The applied offset: WAIT counts redtail, FAILOVER may pick it, and SHUTDOWN need not wait.
    Honest,
    /// Always 0: WAIT and FAILOVER ignore redtail, min-replicas counts it. SHUTDOWN in Redis 7.0 and later waits for
    /// `shutdown-timeout`, and the lag looks like the whole history.
    Observer,
}

/// Whether the primary compresses the snapshots that it sends to redtail. Redis 8.6 and later can leave that out; older servers
/// compress as they are configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(
    feature = "cli",
    derive(serde::Deserialize, clap::ValueEnum),
    serde(rename_all = "kebab-case")
)]
pub enum RdbCompression {
    /// Not over a Unix socket or the loopback interface, where bytes cost less than compression.
    #[default]
    Auto,
    /// As the primary is configured.
    Yes,
    /// Not if the primary can leave it out.
    No,
}

/// What the primary may leave out of the snapshots that it sends to redtail, if it can: Redis 8.6 and later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relief {
    /// Whether it compresses them.
    pub compression: RdbCompression,
    /// Whether it computes a checksum. Without one, only values that make no sense show that bytes were damaged on the way.
    pub checksum: bool,
}

impl Default for Relief {
    fn default() -> Self {
        Self {
            compression: RdbCompression::Auto,
            checksum: true,
        }
    }
}

impl Relief {
    /// Returns the options of REPLCONF that ask a server at `address` for it.
    pub(super) fn options(self, address: &Address) -> Vec<&'static str> {
        let compresses = match self.compression {
            RdbCompression::Auto => !address.is_near(),
            RdbCompression::Yes => true,
            RdbCompression::No => false,
        };
        let mut options = Vec::new();
        if !compresses {
            options.extend(["rdb-no-compress", "1"]);
        }
        if !self.checksum {
            options.extend(["rdb-no-checksum", "1"]);
        }
        options
    }
}

/// The configuration of the link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The servers to follow.
    pub upstream: Upstream,
    /// TLS settings for those servers that use TLS.
    pub tls: Tls,
    /// The port to announce. The default announces none: a client that discovers replicas through the primary must not
    /// connect to redtail.
    pub listening_port: Option<u16>,
    /// What acknowledgements say.
    pub acks: AckPolicy,
    /// Timeouts and intervals.
    pub timing: Timing,
    /// How many bytes may wait for the writer, and where.
    pub spool: SpoolLimits,
    /// What the primary may leave out of its snapshots.
    pub relief: Relief,
    /// How often to ask the server for its offset, on a separate connection; `None` for never.
    pub proof_every: Option<Duration>,
    /// Whether to notice within two seconds that the server hangs or cannot be reached. While the server sends nothing, redtail
    /// then asks it PING once a second on that connection. The link itself stays until [`Timing::silence`].
    pub watch: bool,
}

impl Config {
    /// Follows `upstream`, with defaults for everything else.
    #[must_use]
    pub fn new(upstream: Upstream) -> Self {
        Self {
            upstream,
            tls: Tls::default(),
            listening_port: None,
            acks: AckPolicy::default(),
            timing: Timing::default(),
            spool: SpoolLimits::default(),
            relief: Relief::default(),
            proof_every: None,
            watch: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_nearby_need_not_compress() {
        let address = |host: &str| Address::Tcp {
            host: host.to_owned(),
            port: 6379,
        };
        let asked = |compression, checksum, address: Address| {
            Relief {
                compression,
                checksum,
            }
            .options(&address)
            .join(" ")
        };
        let auto = |address| asked(RdbCompression::Auto, true, address);
        for near in ["127.0.0.1", "::1", "localhost", "::ffff:127.0.0.1"] {
            assert_eq!(auto(address(near)), "rdb-no-compress 1", "{near}");
        }
        assert_eq!(
            auto(Address::Unix("/run/redis.sock".into())),
            "rdb-no-compress 1"
        );
        for far in ["10.0.0.1", "db", "localhost.example"] {
            assert_eq!(auto(address(far)), "", "{far}");
        }
        assert_eq!(asked(RdbCompression::Yes, true, address("::1")), "");
        let both = asked(RdbCompression::No, false, address("db"));
        assert_eq!(both, "rdb-no-compress 1 rdb-no-checksum 1");
    }
}
