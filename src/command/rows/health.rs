//! What an operator should know first, in the same words everywhere: INFO, the log, the metrics, the status page and the
//! terminal.

use std::fmt;
use std::time::Duration;

use super::session::{Loading, Replication};

/// Bytes received and not yet visible from which redtail counts as catching up. A link that streams always has a few on the
/// way: a mebibyte is more than the socket's buffer and the writer's turn hold together.
const CATCHING_UP_BYTES: u64 = 1 << 20;

/// The state of the replica as a whole. The best comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// The link streams, and what has arrived is visible.
    InSync,
    /// The link streams, but much of what has arrived is not visible yet.
    CatchingUp,
    /// The link is there, but the primary gives no sign of life. Reads are answered from the data as it was.
    PrimarySilent,
    /// The link is down. Reads are answered from the data as it was.
    Disconnected,
    /// A new snapshot is on its way. Reads are answered from the data as it was.
    Resyncing,
    /// A new snapshot brings so few keys that a person must accept it.
    HeldBack,
    /// The data may be older than `--max-staleness` allows. Reads are refused.
    Stale,
    /// Nobody here serves some slots of a cluster although the cluster has them. Reads of their keys are refused.
    Unserved,
    /// The first snapshot is on its way. Reads are refused.
    Loading,
    /// There is no data and no link. Reads are refused.
    Connecting,
}

impl Condition {
    /// All conditions, the best first.
    pub const ALL: [Self; 10] = [
        Self::InSync,
        Self::CatchingUp,
        Self::PrimarySilent,
        Self::Disconnected,
        Self::Resyncing,
        Self::HeldBack,
        Self::Stale,
        Self::Unserved,
        Self::Loading,
        Self::Connecting,
    ];

    /// Returns the word for it, in lower case with underscores.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::InSync => "in_sync",
            Self::CatchingUp => "catching_up",
            Self::PrimarySilent => "primary_silent",
            Self::Disconnected => "disconnected",
            Self::Resyncing => "resyncing",
            Self::HeldBack => "held_back",
            Self::Stale => "stale",
            Self::Unserved => "unserved",
            Self::Loading => "loading",
            Self::Connecting => "connecting",
        }
    }

    /// Whether reads are answered.
    #[must_use]
    pub const fn answers_reads(self) -> bool {
        !matches!(
            self,
            Self::Stale | Self::Unserved | Self::Loading | Self::Connecting
        )
    }

    /// Whether only a cluster can be in this state.
    #[must_use]
    pub const fn is_of_clusters(self) -> bool {
        matches!(self, Self::Unserved)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.word().replace('_', " "))
    }
}

/// The state of the replica, why it is so, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// The state.
    pub condition: Condition,
    /// What is going on, in one sentence without figures that change by themselves.
    pub why: String,
    /// What to do; empty if redtail needs nobody.
    pub advice: String,
    /// What else is wrong, one sentence each.
    pub warnings: Vec<String>,
}

impl fmt::Display for Health {
    /// Writes the state, why it is so, and what to do. Leaves out the warnings.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (condition, why, advice) = (self.condition, &self.why, &self.advice);
        let between = match (advice.is_empty(), why.ends_with('?')) {
            (true, _) => "",
            (false, true) => " ",
            (false, false) => ". ",
        };
        write!(f, "{condition}: {why}{between}{advice}")
    }
}

/// What health depends on besides the link.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Data {
    /// Whether there is data to read.
    pub is_there: bool,
    /// Keys that answer TAINTED; `None` if all do.
    pub tainted_keys: Option<usize>,
    /// Whether it is the data of one shard of a cluster.
    pub is_part: bool,
}

impl Data {
    /// Returns what becomes of reads while there is none.
    const fn refusal(self) -> &'static str {
        if self.is_part {
            "reads of its keys are refused"
        } else {
            "reads answer LOADING"
        }
    }
}

impl Replication {
    /// Returns the health of a replica in this state that has this data.
    #[must_use]
    pub fn health(&self, data: Data) -> Health {
        let condition = self.condition(data.is_there);
        Health {
            condition,
            why: self.why(condition, data),
            advice: self.advice(condition),
            warnings: self.warnings(condition, data),
        }
    }

    fn condition(&self, has_data: bool) -> Condition {
        let is_down = self.down_for.is_some();
        let is_syncing = self.state == "sync" || self.loading.is_some();
        match (has_data, is_down) {
            (false, _) if is_syncing => Condition::Loading,
            (false, _) => Condition::Connecting,
            (true, _) if self.stale => Condition::Stale,
            (true, _) if self.held.is_some() => Condition::HeldBack,
            (true, true) if is_syncing => Condition::Resyncing,
            (true, true) => Condition::Disconnected,
            (true, false) if self.silent_for.is_some() => Condition::PrimarySilent,
            (true, false) if self.lag_bytes() >= CATCHING_UP_BYTES => Condition::CatchingUp,
            (true, false) => Condition::InSync,
        }
    }

    /// Returns the bytes that have been received and are not visible yet.
    #[must_use]
    pub const fn lag_bytes(&self) -> u64 {
        self.received_offset.saturating_sub(self.applied_offset)
    }

    /// Returns the address of the server that is followed or tried.
    #[must_use]
    pub fn upstream(&self) -> String {
        match (self.host.as_str(), self.port) {
            ("", _) => "the primary".to_owned(),
            (path, 0) => path.to_owned(),
            (host, port) => format!("{host}:{port}"),
        }
    }

    fn why(&self, condition: Condition, data: Data) -> String {
        let (upstream, refusal) = (self.upstream(), data.refusal());
        match condition {
            Condition::InSync => format!("follows {upstream}; everything received is visible"),
            Condition::CatchingUp => {
                format!("follows {upstream}; the stream arrives faster than it is applied")
            }
            Condition::Resyncing => {
                format!(
                    "a new snapshot from {upstream} is on its way; reads are answered from the old data"
                )
            }
            Condition::Loading => {
                format!("a snapshot from {upstream} is on its way; {refusal} until it is complete")
            }
            Condition::HeldBack => format!(
                "{upstream} sent a snapshot that brings fewer keys than --resync-guard allows; reads are answered from the old data"
            ),
            Condition::Stale => format!(
                "the data is older than --max-staleness allows, so reads answer MASTERDOWN; {}",
                self.link_words()
            ),
            Condition::Disconnected | Condition::PrimarySilent => {
                format!(
                    "reads are answered from the data as it was; {}",
                    self.link_words()
                )
            }
            // One replica alone is never unserved.
            Condition::Unserved | Condition::Connecting => {
                format!("there is no data yet, so {refusal}; {}", self.link_words())
            }
        }
    }

    /// Returns what is known about the link.
    fn link_words(&self) -> String {
        let upstream = self.upstream();
        match &self.last_error {
            Some(error) if self.down_for.is_some() => {
                format!("the link to {upstream} is down: {error}")
            }
            _ if self.down_for.is_some() => format!("connecting to {upstream}"),
            _ if self.silent_for.is_some() => self.silence_words(),
            _ => format!(
                "the link to {upstream} is up, but brings no proof that the data is complete"
            ),
        }
    }

    /// Returns what a silent primary no longer does.
    fn silence_words(&self) -> String {
        let upstream = self.upstream();
        if self.is_unacknowledged {
            format!(
                "the connection to {upstream} is open, but nothing that redtail sends arrives there"
            )
        } else {
            format!(
                "the connection to {upstream} is open, but the server has not answered for more than a second"
            )
        }
    }

    fn advice(&self, condition: Condition) -> String {
        let advice = match condition {
            Condition::InSync | Condition::Resyncing | Condition::Loading | Condition::Unserved => {
                ""
            }
            Condition::CatchingUp => {
                "If this lasts, give redtail a processor of its own, or raise --writer-rate if it is set"
            }
            Condition::HeldBack => {
                "Check why the primary has so few keys. Send redtail SIGUSR1 to accept the snapshot"
            }
            Condition::Disconnected | Condition::Connecting | Condition::Stale
                if self.needs_a_person =>
            {
                "redtail cannot repair this: do what the error says. It keeps trying"
            }
            Condition::PrimarySilent if self.is_unacknowledged => {
                "Check the network between here and the primary, and that its machine runs. redtail continues by itself"
            }
            Condition::PrimarySilent => {
                "Check whether the primary hangs or runs a long command. redtail continues by itself once it answers"
            }
            Condition::Disconnected | Condition::Connecting if self.last_error.is_none() => "",
            Condition::Disconnected | Condition::Connecting => {
                "Check that the primary runs and can be reached from here. redtail keeps trying"
            }
            Condition::Stale => {
                "Check that the primary runs and can be reached from here, and that redtail has processor time"
            }
        };
        advice.to_owned()
    }

    fn warnings(&self, condition: Condition, data: Data) -> Vec<String> {
        let mut warnings = Vec::new();
        let is_said = matches!(condition, Condition::PrimarySilent | Condition::Stale);
        if self.silent_for.is_some() && !is_said {
            warnings.push(self.silence_words());
        }
        match data.tainted_keys {
            None if data.is_there && self.unknown_names.is_empty() => warnings.push(
                "all keys answer TAINTED until the next full sync: redtail could not apply a write whose keys are unknown".to_owned(),
            ),
            None if data.is_there => warnings.push(format!(
                "all keys answer TAINTED until the next full sync: the primary sent what redtail cannot apply: {}",
                self.unknown_names.join(", ")
            )),
            Some(1..) => warnings.push(
                "some keys answer TAINTED until the next full sync: redtail could not apply a write to them".to_owned(),
            ),
            _ => {}
        }
        if let Some(error) = self.kept.as_ref().and_then(|kept| kept.last_error.as_ref()) {
            warnings.push(format!("the state directory: {error}"));
        }
        warnings
    }
}

impl Loading {
    /// Returns the percentage that has arrived; `None` if the size is unknown.
    #[must_use]
    pub fn percent(&self) -> Option<f64> {
        let is_known = self.bytes_expected > 0;
        is_known.then(|| self.bytes as f64 * 100.0 / self.bytes_expected as f64)
    }
}

/// The health as it was last seen, and since when.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The health.
    pub health: Health,
    /// How long it has been so.
    pub for_how_long: Duration,
}
