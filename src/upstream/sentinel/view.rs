//! What a sentinel says about the servers of a name, and what follows from it.

use std::fmt;

use super::Prefer;
use crate::upstream::address::Address;
use crate::upstream::error::{Error, Why};
use crate::upstream::wire::Wire;

/// Offsets that differ by less count as equal: a sentinel asks for them only every ten seconds.
const NEAR_BYTES: u64 = 1 << 20;

/// Flags of a server that redtail should not follow.
const DOWN: [&str; 3] = ["s_down", "o_down", "disconnected"];

/// What a server is, according to a sentinel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    /// The primary.
    Primary,
    /// A replica of that primary.
    ReplicaOf(Address),
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Primary => f.write_str("the primary"),
            Self::ReplicaOf(primary) => write!(f, "a replica of {primary}"),
        }
    }
}

/// A replica, according to a sentinel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Replica {
    address: Address,
    /// The primary that it says it follows.
    primary: Option<Address>,
    /// Whether the replica and its link to its primary are up.
    healthy: bool,
    offset: u64,
}

/// What one sentinel says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    primary: Address,
    /// Whether the sentinel considers the primary up.
    primary_up: bool,
    replicas: Vec<Replica>,
    /// The other sentinels.
    pub(super) sentinels: Vec<Address>,
}

/// The verdict on the server that is followed now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Keep following it.
    Right,
    /// Leave it at once.
    Wrong(Why),
    /// There is a better server. Whether to move depends on how long that has been so.
    Worse(Why),
}

impl View {
    /// Asks the sentinel on `wire` about `name`.
    ///
    /// # Errors
    /// Returns [`Error`], also when the sentinel does not know the name.
    pub(super) async fn ask(wire: &mut Wire, name: &str, prefer: Prefer) -> Result<Self, Error> {
        let doing = "answering SENTINEL";
        let address = ["SENTINEL", "get-master-addr-by-name", name];
        wire.send(&address).await?;
        let words = wire.words(doing).await?;
        let unknown = || Error::UnknownName(name.to_owned());
        let primary = words.and_then(address_of).ok_or_else(unknown)?;
        wire.send(&["SENTINEL", "master", name]).await?;
        let flags = wire.words(doing).await?.unwrap_or_default();
        let mut view = Self {
            primary,
            primary_up: is_up(&flags),
            replicas: Vec::new(),
            sentinels: Vec::new(),
        };
        if prefer == Prefer::Replica {
            view.replicas = replicas(wire, name).await?;
        }
        wire.send(&["SENTINEL", "sentinels", name]).await?;
        let others = wire.tables(doing).await?;
        view.sentinels = others.iter().filter_map(|one| host_and_port(one)).collect();
        Ok(view)
    }

    /// Returns the servers to follow, best first. The one that worked last comes first if it is healthy.
    pub(super) fn candidates(
        &self,
        prefer: Prefer,
        last: Option<&Address>,
    ) -> Vec<(Address, Told)> {
        let mut replicas: Vec<&Replica> = match prefer {
            Prefer::Replica => self.healthy().collect(),
            Prefer::Primary => Vec::new(),
        };
        // Many followers of one name must not all choose the same replica.
        fastrand::shuffle(&mut replicas);
        let newest = replicas.iter().map(|one| one.offset).max().unwrap_or(0);
        let lag = |one: &Replica| (newest - one.offset) / NEAR_BYTES;
        replicas.sort_by_key(|one| (last != Some(&one.address), lag(one)));
        let told = Told::ReplicaOf(self.primary.clone());
        let all = replicas
            .into_iter()
            .map(|one| (one.address.clone(), told.clone()));
        all.chain([(self.primary.clone(), Told::Primary)]).collect()
    }

    /// Returns the verdict on `address`, which a sentinel called `told`.
    pub(super) fn verdict(&self, address: &Address, told: &Told, prefer: Prefer) -> Verdict {
        let is_primary = *address == self.primary;
        match told {
            Told::Primary if !is_primary => Verdict::Wrong(Why::NoPrimary),
            Told::Primary if prefer == Prefer::Replica && self.healthy().next().is_some() => {
                Verdict::Worse(Why::ReplicaReady)
            }
            Told::Primary => Verdict::Right,
            Told::ReplicaOf(_) if is_primary => Verdict::Wrong(Why::Promoted),
            Told::ReplicaOf(_) => self.replica_verdict(address),
        }
    }

    /// Lists the servers that can be followed, in a form that changes only when they do.
    pub(super) fn outline(&self) -> Vec<String> {
        let mut healthy: Vec<String> = self.healthy().map(|one| one.address.to_string()).collect();
        healthy.sort_unstable();
        let state = if self.primary_up { "up" } else { "down" };
        healthy.push(format!("{} {state}", self.primary));
        healthy
    }

    fn replica_verdict(&self, address: &Address) -> Verdict {
        if self.healthy().any(|one| one.address == *address) {
            return Verdict::Right;
        }
        // While there is no better server, a replica without a link still has all the data that it had.
        if self.primary_up || self.healthy().next().is_some() {
            Verdict::Worse(Why::Unhealthy)
        } else {
            Verdict::Right
        }
    }

    /// Replicas of this primary that are up. A sentinel needs some seconds to redirect a replica that follows another
    /// primary.
    fn healthy(&self) -> impl Iterator<Item = &Replica> {
        let fits = |one: &&Replica| one.healthy && one.primary.as_ref() == Some(&self.primary);
        self.replicas.iter().filter(fits)
    }
}

/// Asks for replicas, with the command of Redis 5.0 or that of older servers.
async fn replicas(wire: &mut Wire, name: &str) -> Result<Vec<Replica>, Error> {
    let doing = "answering SENTINEL replicas";
    wire.send(&["SENTINEL", "replicas", name]).await?;
    let tables = match wire.tables(doing).await {
        Err(Error::Unexpected { .. }) => {
            wire.send(&["SENTINEL", "slaves", name]).await?;
            wire.tables(doing).await?
        }
        tables => tables?,
    };
    Ok(tables.iter().filter_map(|one| Replica::of(one)).collect())
}

impl Replica {
    /// Reads the fields in the reply of SENTINEL replicas.
    fn of(fields: &[String]) -> Option<Self> {
        let linked = field(fields, "master-link-status") == Some("ok");
        let offset = field(fields, "slave-repl-offset").and_then(|text| text.parse().ok());
        let primary = field(fields, "master-host").zip(field(fields, "master-port"));
        Some(Self {
            address: host_and_port(fields)?,
            primary: primary.and_then(|(host, port)| address(host, port)),
            healthy: linked && is_up(fields),
            offset: offset.unwrap_or(0),
        })
    }
}

/// Returns the value after `name` in a list of names and values.
fn field<'f>(fields: &'f [String], name: &str) -> Option<&'f str> {
    let (pairs, _) = fields.as_chunks::<2>();
    let found = pairs.iter().find(|[field, _]| field == name);
    found.map(|[_, value]| value.as_str())
}

fn is_up(fields: &[String]) -> bool {
    let flags = field(fields, "flags").unwrap_or("disconnected");
    !flags.split(',').any(|flag| DOWN.contains(&flag))
}

fn host_and_port(fields: &[String]) -> Option<Address> {
    address(field(fields, "ip")?, field(fields, "port")?)
}

fn address_of(words: Vec<String>) -> Option<Address> {
    let [host, port] = <[String; 2]>::try_from(words).ok()?;
    address(&host, &port)
}

fn address(host: &str, port: &str) -> Option<Address> {
    let port = port.parse().ok().filter(|port| *port != 0)?;
    let host = host.to_owned();
    (!host.is_empty()).then_some(Address::Tcp { host, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> Address {
        let host = "h".to_owned();
        Address::Tcp { host, port }
    }

    fn replica(port: u16, healthy: bool, offset: u64) -> Replica {
        Replica {
            address: at(port),
            primary: Some(at(1)),
            healthy,
            offset,
        }
    }

    fn view(replicas: &[Replica]) -> View {
        View {
            primary: at(1),
            primary_up: true,
            replicas: replicas.to_vec(),
            sentinels: Vec::new(),
        }
    }

    fn ports(view: &View, prefer: Prefer, last: Option<u16>) -> Vec<u16> {
        let last = last.map(at);
        let all = view.candidates(prefer, last.as_ref()).into_iter();
        all.map(|(address, _)| address.host_and_port().1).collect()
    }

    #[test]
    fn healthy_replicas_come_by_their_lag_and_the_primary_last() {
        let behind = 5 * NEAR_BYTES;
        let view = view(&[
            replica(2, true, 0),
            replica(3, false, behind),
            replica(4, true, behind),
        ]);
        assert_eq!(ports(&view, Prefer::Replica, None), [4, 2, 1]);
        assert_eq!(ports(&view, Prefer::Replica, Some(2)), [2, 4, 1]);
        assert_eq!(ports(&view, Prefer::Replica, Some(3)), [4, 2, 1]);
        assert_eq!(ports(&view, Prefer::Primary, Some(2)), [1]);
    }

    #[test]
    fn the_outline_changes_with_what_can_be_followed_and_with_nothing_else() {
        let outline = |replicas: &[Replica]| view(replicas).outline();
        let (one, two, sick) = (
            replica(2, true, 1),
            replica(3, true, 9),
            replica(3, false, 9),
        );
        assert_eq!(
            outline(&[one.clone(), two.clone()]),
            outline(&[two.clone(), replica(2, true, 5)])
        );
        assert_eq!(
            outline(&[one.clone(), sick]),
            outline(std::slice::from_ref(&one))
        );
        assert_ne!(outline(&[one.clone(), two]), outline(&[one]));
        let down = View {
            primary_up: false,
            ..view(&[])
        };
        assert_ne!(down.outline(), outline(&[]));
    }

    #[test]
    fn equal_replicas_are_chosen_at_random() {
        let view = view(&[replica(2, true, 10), replica(3, true, 0)]);
        let mut first: Vec<u16> = (0..200)
            .filter_map(|_| ports(&view, Prefer::Replica, None).first().copied())
            .collect();
        first.sort_unstable();
        first.dedup();
        assert_eq!(first, [2, 3]);
    }

    #[test]
    fn a_replica_of_another_primary_is_no_candidate() {
        let stray = Replica {
            primary: Some(at(9)),
            ..replica(2, true, 0)
        };
        assert_eq!(ports(&view(&[stray]), Prefer::Replica, None), [1]);
    }

    #[test]
    fn a_demoted_primary_is_left_at_once_and_a_sick_replica_for_a_better_one() {
        let told = Told::ReplicaOf(at(1));
        let sick = view(&[replica(2, false, 0)]);
        let verdict =
            |view: &View, port, told: &Told| view.verdict(&at(port), told, Prefer::Replica);
        assert_eq!(
            verdict(&sick, 7, &Told::Primary),
            Verdict::Wrong(Why::NoPrimary)
        );
        assert_eq!(verdict(&sick, 1, &told), Verdict::Wrong(Why::Promoted));
        assert_eq!(verdict(&sick, 2, &told), Verdict::Worse(Why::Unhealthy));
        assert_eq!(verdict(&sick, 1, &Told::Primary), Verdict::Right);
        let alone = View {
            primary_up: false,
            ..sick
        };
        assert_eq!(verdict(&alone, 2, &told), Verdict::Right);
        let well = view(&[replica(2, true, 0)]);
        assert_eq!(verdict(&well, 2, &told), Verdict::Right);
        assert_eq!(
            verdict(&well, 1, &Told::Primary),
            Verdict::Worse(Why::ReplicaReady)
        );
        let primary = well.verdict(&at(1), &Told::Primary, Prefer::Primary);
        assert_eq!(primary, Verdict::Right);
    }

    #[test]
    fn what_is_missing_or_odd_in_fields_makes_no_server() {
        let fields = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(Replica::of(&fields("ip h port 0")), None);
        assert_eq!(Replica::of(&fields("ip h port")), None);
        assert_eq!(Replica::of(&fields("port 7 ip")), None);
        let bare = Replica::of(&fields("ip h port 7"));
        assert!(bare.is_some_and(|one| !one.healthy && one.primary.is_none()));
        let well = "ip h port 2 flags slave master-link-status ok master-host h master-port 1 slave-repl-offset 3";
        assert_eq!(Replica::of(&fields(well)), Some(replica(2, true, 3)));
    }
}
