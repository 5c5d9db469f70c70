//! What the link is told.

use std::time::Duration;

use super::address::Upstream;
use super::spool::SpoolLimits;
use super::tls::Tls;

/// How long the link waits for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// For a connection and for each line of the handshake. Redis's own replicas give it five seconds.
    pub handshake: Duration,
    /// For any byte at all once the handshake is done, counted from the last one: Redis's `repl-timeout`.
    pub silence: Duration,
    /// Between two acknowledgements.
    pub ack: Duration,
    /// Before the first retry; each further one waits twice as long.
    pub retry_first: Duration,
    /// Before any retry at most.
    pub retry_max: Duration,
    /// Before a retry where a person must change something first.
    pub retry_refused: Duration,
    /// From one full sync's begin to the next one's at least: each makes the primary fork and send all that it holds.
    pub resync_floor: Duration,
    /// Between two looks at what a sentinel says, when it sends no message. It asks the servers every ten seconds itself.
    pub sentinel_look: Duration,
    /// A connection without traffic is probed this often; zero for never. Redis's `tcp-keepalive`.
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

/// What the primary is told about how far we are. It decides whether we count as a replica that holds its data safely.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum AckPolicy {
    /// Honest below a replica, an observer below a primary.
    #[default]
    Auto,
    /// The applied offset: WAIT counts us, FAILOVER may pick us, SHUTDOWN need not wait.
    Honest,
    /// Always 0: WAIT and FAILOVER leave us out, min-replicas does not; SHUTDOWN of Redis 7.0 and later waits for
    /// `shutdown-timeout`, and lag looks like the whole history.
    Observer,
}

/// All that the link needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Whom to follow.
    pub upstream: Upstream,
    /// How to speak TLS with those of them that do.
    pub tls: Tls,
    /// The port to announce. None is announced by default: whoever discovers replicas through the primary must not come here.
    pub listening_port: Option<u16>,
    /// What acknowledgements say.
    pub acks: AckPolicy,
    /// How long to wait for what.
    pub timing: Timing,
    /// How much may wait for the writer, and where.
    pub spool: SpoolLimits,
    /// How often the server is asked for its offset, on a connection beside the link's; `None` for never.
    pub proof_every: Option<Duration>,
}

impl Config {
    /// Follows `upstream`, with the default of everything else.
    #[must_use]
    pub fn new(upstream: Upstream) -> Self {
        Self {
            upstream,
            tls: Tls::default(),
            listening_port: None,
            acks: AckPolicy::default(),
            timing: Timing::default(),
            spool: SpoolLimits::default(),
            proof_every: None,
        }
    }
}
