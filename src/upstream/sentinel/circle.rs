//! The sentinels of one name: asks them in turn, and listens to one.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::Sentinels;
use super::view::{Told, Verdict, View};
use crate::limits::SENTINELS_MAX;
use crate::upstream::address::{Address, Node};
use crate::upstream::choose::Candidate;
use crate::upstream::config::Config;
use crate::upstream::connect::connect;
use crate::upstream::error::{Error, Why};
use crate::upstream::status::Status;
use crate::upstream::wire::Wire;

/// Messages after which a server may have a new role. The sentinel that leads a failover reports the promotion some seconds
/// before the others report the switch.
const EVENTS: [&str; 11] = [
    "SUBSCRIBE",
    "+promoted-slave",
    "+config-update-from",
    "+switch-master",
    "+sdown",
    "-sdown",
    "+odown",
    "+slave",
    "+slave-reconf-done",
    "+convert-to-slave",
    "+reboot",
];

/// redtail leaves a server that is down or has no link to its primary after this many times `Timing::sentinel_look`.
const LOOKS_UNHEALTHY: u32 = 2;

/// redtail leaves the primary for a replica that has been healthy for this many times `Timing::sentinel_look`.
const LOOKS_READY: u32 = 6;

/// The known sentinels: those in the address, and those that other sentinels named. The one that answered last is first.
#[derive(Debug)]
pub(crate) struct Circle {
    sentinels: Sentinels,
    known: Vec<Node>,
    /// The outline of the last answer.
    offered: Vec<String>,
}

impl Circle {
    pub(crate) fn new(sentinels: Sentinels) -> Self {
        let known = sentinels.nodes.clone();
        Self {
            sentinels,
            known,
            offered: Vec::new(),
        }
    }

    /// Returns the servers to follow, best first.
    ///
    /// # Errors
    /// Returns [`Error::Sentinel`] of the last sentinel when none answers.
    pub(crate) async fn candidates(
        &mut self,
        last: Option<&Address>,
        config: &Config,
    ) -> Result<Vec<Candidate>, Error> {
        let prefer = self.sentinels.prefer;
        self.offered.clear();
        let (_, view) = self.ask(config).await?;
        self.offered = view.outline();
        let candidate = |(address, told)| Candidate {
            node: self.server(address),
            told: Some(told),
        };
        let candidates = view.candidates(prefer, last);
        Ok(candidates.into_iter().map(candidate).collect())
    }

    /// Listens until redtail should leave `server`, which a sentinel called `told`. Returns why.
    pub(crate) async fn watch(
        &mut self,
        server: &Address,
        told: &Told,
        config: &Config,
        status: &Status,
    ) -> Why {
        let prefer = self.sentinels.prefer;
        let look = config.timing.sentinel_look;
        let mut worse = Worse::default();
        let should_leave = |view: &View| {
            let verdict = view.verdict(server, told, prefer);
            let lasts = worse.lasts(verdict, Instant::now());
            judge(verdict, lasts, look, status.streamed().is_some())
        };
        self.listen_until(config, should_leave).await
    }

    /// Listens until the servers to follow differ from those at the last call of [`Self::candidates`]. If that call got no
    /// answer, the first answer counts.
    pub(crate) async fn news(&mut self, config: &Config) {
        let before = self.offered.clone();
        let differs = |view: &View| (view.outline() != before).then_some(());
        self.listen_until(config, differs).await;
    }

    /// Listens to one sentinel after the other until `judge` returns a result.
    async fn listen_until<T>(
        &mut self,
        config: &Config,
        mut judge: impl FnMut(&View) -> Option<T>,
    ) -> T {
        loop {
            match self.listen(config, &mut judge).await {
                Ok(seen) => return seen,
                Err(error) => tracing::debug!(%error, "stopped listening to a sentinel"),
            }
            // The last answer may be out of date soon: continue with the next sentinel.
            let known = self.known.len();
            self.known.rotate_left(1.min(known));
            sleep(config.timing.retry_max / 5).await;
        }
    }

    /// The same for one sentinel.
    async fn listen<T>(
        &mut self,
        config: &Config,
        judge: &mut impl FnMut(&View) -> Option<T>,
    ) -> Result<T, Error> {
        let (name, prefer) = (self.sentinels.name.clone(), self.sentinels.prefer);
        let look = config.timing.sentinel_look;
        let (mut asks, _) = self.ask(config).await?;
        let front = self.known.first().cloned().ok_or(Error::Nobody)?;
        let listening = async {
            let mut events = open(&front, config).await?;
            events.send(&EVENTS).await?;
            loop {
                let view = in_time(config, View::ask(&mut asks, &name, prefer)).await?;
                if let Some(seen) = judge(&view) {
                    return Ok(seen);
                }
                // Messages that arrive together cause one question.
                if let Ok(heard) = timeout(look, events.hear()).await {
                    heard?;
                    sleep(look / 50).await;
                }
            }
        };
        listening.await.map_err(|error| of(&front, error))
    }

    /// Asks one sentinel after the other until one answers. That one is asked first from then on.
    async fn ask(&mut self, config: &Config) -> Result<(Wire, View), Error> {
        let mut failed = Error::Nobody;
        for at in 0..self.known.len() {
            let Some(node) = self.known.get(at).cloned() else {
                break;
            };
            match self.ask_one(&node, config).await {
                Ok((wire, view)) => {
                    self.known.rotate_left(at);
                    self.learn(&view, &node);
                    return Ok((wire, view));
                }
                Err(error) => failed = of(&node, error),
            }
        }
        Err(failed)
    }

    async fn ask_one(&self, node: &Node, config: &Config) -> Result<(Wire, View), Error> {
        let mut wire = open(node, config).await?;
        let asking = View::ask(&mut wire, &self.sentinels.name, self.sentinels.prefer);
        let view = in_time(config, asking).await?;
        Ok((wire, view))
    }

    /// Adds the sentinels that `teller` knows. They get the same login and TLS setting.
    fn learn(&mut self, view: &View, teller: &Node) {
        for address in &view.sentinels {
            let is_known = self.known.iter().any(|node| node.address == *address);
            if !is_known && self.known.len() < SENTINELS_MAX {
                tracing::info!(sentinel = %address, "learned of another sentinel");
                self.known.push(Node {
                    address: address.clone(),
                    ..teller.clone()
                });
            }
        }
    }

    fn server(&self, address: Address) -> Node {
        Node {
            address,
            tls: self.sentinels.servers_tls,
            login: self.sentinels.servers_login.clone(),
        }
    }
}

fn of(node: &Node, error: Error) -> Error {
    Error::Sentinel(node.address.clone(), Box::new(error))
}

async fn open(node: &Node, config: &Config) -> Result<Wire, Error> {
    let stream = connect(&node.address, node.tls, config).await?;
    let mut wire = Wire::new(stream, config.timing.handshake);
    wire.auth(&node.login).await?;
    Ok(wire)
}

/// Fails if `asking` takes too long: a sentinel that sends byte by byte must not hold redtail up.
async fn in_time<T>(
    config: &Config,
    asking: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let patience = config.timing.handshake * 2;
    let silence = |_| Error::Silence(patience, "answering SENTINEL");
    timeout(patience, asking).await.map_err(silence)?
}

/// How long there has been a better server.
#[derive(Debug, Default)]
struct Worse {
    since: Option<Instant>,
}

impl Worse {
    /// Returns how long there has been a better server at `now`.
    fn lasts(&mut self, verdict: Verdict, now: Instant) -> Duration {
        if !matches!(verdict, Verdict::Worse(_)) {
            self.since = None;
            return Duration::ZERO;
        }
        now - *self.since.get_or_insert(now)
    }
}

/// Returns why to leave the server now, or `None` to stay. redtail does not break off a full sync for a better server.
fn judge(verdict: Verdict, lasts: Duration, look: Duration, streams: bool) -> Option<Why> {
    match verdict {
        Verdict::Right => None,
        Verdict::Wrong(why) => Some(why),
        Verdict::Worse(why) => {
            let looks = if why == Why::ReplicaReady {
                LOOKS_READY
            } else {
                LOOKS_UNHEALTHY
            };
            (streams && lasts >= look * looks).then_some(why)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_better_must_stay_so_and_what_is_wrong_is_left_at_once() {
        let look = Duration::from_secs(10);
        let ready = Verdict::Worse(Why::ReplicaReady);
        assert_eq!(judge(ready, look * 5, look, true), None);
        assert_eq!(judge(ready, look * 6, look, true), Some(Why::ReplicaReady));
        assert_eq!(judge(ready, look * 6, look, false), None);
        let wrong = Verdict::Wrong(Why::NoPrimary);
        assert_eq!(
            judge(wrong, Duration::ZERO, look, false),
            Some(Why::NoPrimary)
        );
    }

    #[test]
    fn a_good_look_in_between_begins_anew() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let (mut worse, sick) = (Worse::default(), Verdict::Worse(Why::Unhealthy));
        assert_eq!(worse.lasts(sick, start), Duration::ZERO);
        assert_eq!(worse.lasts(sick, start + second), second);
        assert_eq!(worse.lasts(Verdict::Right, start + second), Duration::ZERO);
        assert_eq!(worse.lasts(sick, start + second * 2), Duration::ZERO);
    }
}
