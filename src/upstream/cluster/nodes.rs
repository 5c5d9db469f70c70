//! What one node says about the cluster.
//!
//! Source: redis 7.0 cluster.c, `clusterGenNodeDescription`; valkey 9.1 cluster_legacy.c, the same.

use std::time::Instant;

use crate::history::ReplId;
use crate::limits::CLUSTER_NODES_MAX;
use crate::slots::ClusterSlots;
use crate::upstream::address::Address;
use crate::upstream::role::Role;

/// What one node said.
#[derive(Debug, Clone)]
pub struct Account {
    /// When it was asked.
    pub asked: Instant,
    /// Its own line is among `members`.
    pub id: String,
    /// Whether it sees a working cluster.
    pub is_ok: bool,
    /// The history that it has, and the offset that it named before it said the rest; `None` if it named none.
    pub replid: Option<ReplId>,
    /// That offset.
    pub offset: u64,
    /// All nodes that it knows.
    pub members: Vec<Member>,
}

/// A node, as a node describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// 40 hexadecimal digits.
    pub id: String,
    /// Where it listens; `None` if that is not known.
    pub address: Option<Address>,
    /// Whether this is the node that speaks.
    pub is_myself: bool,
    /// Whether the speaker believes it to be down.
    pub is_down: bool,
    /// Whether it is a primary.
    pub is_primary: bool,
    /// The primary that it follows.
    pub primary: Option<String>,
    /// The configuration epoch. Of two that claim the same slot, the higher one has it.
    pub epoch: u64,
    /// The slots that it has.
    pub slots: ClusterSlots,
    /// The slots that are being moved to or from it, if it speaks of itself.
    pub moves: Vec<Move>,
}

/// A slot that is being moved key by key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The slot.
    pub slot: u16,
    /// Whether it leaves the node.
    pub leaves: bool,
    /// The other node.
    pub other: String,
}

impl Account {
    /// Whether it says the same of the cluster as `other`. Offsets may differ.
    #[must_use]
    pub fn agrees_with(&self, other: &Self) -> bool {
        (self.is_ok, &self.members) == (other.is_ok, &other.members)
    }

    /// Reads the replies to the three questions. `host` is where the node was asked: it may not know its own address. Returns `None`
    /// if they are not what a cluster's node says.
    pub(super) fn read(
        asked: Instant,
        host: &str,
        replication: &str,
        state: &str,
        nodes: &str,
    ) -> Option<Self> {
        let role = Role::of(replication);
        let members: Vec<Member> = nodes
            .lines()
            .take(CLUSTER_NODES_MAX)
            .filter_map(|line| Member::read(line, host))
            .collect();
        let id = members.iter().find(|member| member.is_myself)?.id.clone();
        Some(Self {
            asked,
            id,
            is_ok: state.lines().any(|line| line == "cluster_state:ok"),
            replid: role.histories.first().copied(),
            offset: role.offset,
            members,
        })
    }

    /// What it says of itself.
    #[must_use]
    pub fn myself(&self) -> Option<&Member> {
        self.members.iter().find(|member| member.is_myself)
    }
}

impl Member {
    /// Reads a line of CLUSTER NODES. Returns `None` for a node that is not one yet, or no longer.
    fn read(line: &str, host: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let id = words.next().filter(|id| is_id(id))?.to_owned();
        let (place, flags, primary) = (words.next()?, words.next()?, words.next()?);
        let (_ping, _pong) = (words.next()?, words.next()?);
        let epoch = words.next()?.parse().ok()?;
        let _link = words.next()?;
        let has = |flag: &str| flags.split(',').any(|one| one == flag);
        if has("handshake") {
            return None;
        }
        let mut member = Self {
            address: address_of(place, host).filter(|_| !has("noaddr")),
            is_myself: has("myself"),
            is_down: has("fail") || has("fail?"),
            is_primary: has("master"),
            primary: is_id(primary).then(|| primary.to_owned()),
            epoch,
            slots: ClusterSlots::default(),
            moves: Vec::new(),
            id,
        };
        words.for_each(|word| member.take_slots(word));
        Some(member)
    }

    /// Reads `5`, `5-9`, or `[5->-id]` and `[5-<-id]`.
    fn take_slots(&mut self, word: &str) {
        if let Some(marked) = word.strip_prefix('[') {
            self.moves.extend(read_move(marked));
            return;
        }
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        // A range that makes no sense adds nothing.
        let _ = self.slots.add_text(first.as_bytes(), last.as_bytes());
    }
}

fn read_move(marked: &str) -> Option<Move> {
    let marked = marked.strip_suffix(']')?;
    let (slot, other, leaves) = match marked.split_once("->-") {
        Some((slot, other)) => (slot, other, true),
        None => {
            let (slot, other) = marked.split_once("-<-")?;
            (slot, other, false)
        }
    };
    Some(Move {
        slot: slot.parse().ok()?,
        leaves,
        other: other.to_owned(),
    })
}

fn is_id(word: &str) -> bool {
    word.len() == 40 && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Reads `host:port@busport[,hostname[,…]]`.
fn address_of(place: &str, asked_at: &str) -> Option<Address> {
    let (place, _more) = place.split_once(',').unwrap_or((place, ""));
    let (place, _bus) = place.split_once('@').unwrap_or((place, ""));
    let (host, port) = place.rsplit_once(':')?;
    let host = match host {
        "" => asked_at,
        "?" => return None,
        host => host,
    };
    let port = port.parse().ok().filter(|port| *port > 0)?;
    Some(Address::Tcp {
        host: host.trim_matches(['[', ']']).to_owned(),
        port,
    })
}

#[cfg(test)]
mod tests {
    #![expect(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        reason = "a test may panic"
    )]
    use super::*;

    const ONE: &str = "07c37dfeb235213a872192d90877d0cd55635b91";
    const TWO: &str = "e7d1eecce10fd6bb5eb35b9f99a514335d9ba9ca";

    /// Lines of Redis 7.0, Redis 8.0 and Valkey 9.1.
    #[test]
    fn reads_what_nodes_say() {
        let nodes = format!(
            "{ONE} 127.0.0.1:30004@31004,host-4,shard-id=69bc080733d1355567173199cff4a6a039a2f024 myself,master - 0 1426238317239 4 connected 0-99 200 [93->-{TWO}] [77-<-{TWO}]\n\
             {TWO} :30002@31002 slave,fail? {ONE} 0 1426238316232 2 disconnected\n\
             {ONE} 127.0.0.1:0@0 master,noaddr - 0 0 9 connected\n\
             nonsense\n{TWO} 1.2.3.4:5@6 handshake - 0 0 0 connected\n"
        );
        let replication = "role:master\r\nmaster_replid:0123456789abcdef0123456789abcdef01234567\r\nmaster_repl_offset:17\r\n";
        let account = Account::read(
            Instant::now(),
            "10.0.0.1",
            replication,
            "cluster_state:ok\r\ncluster_slots_assigned:16384\r\n",
            &nodes,
        )
        .unwrap();
        assert!(account.is_ok && account.id == ONE && account.offset == 17);
        assert_eq!(account.members.len(), 3);
        let myself = account.myself().unwrap();
        assert_eq!(myself.slots.to_string(), "0-99 200-200");
        assert_eq!((myself.epoch, myself.is_primary), (4, true));
        let moves: Vec<(u16, bool)> = myself
            .moves
            .iter()
            .map(|one| (one.slot, one.leaves))
            .collect();
        assert_eq!(moves, [(93, true), (77, false)]);
        let other = &account.members[1];
        assert!(other.is_down && !other.is_primary && other.primary.as_deref() == Some(ONE));
        assert_eq!(
            other.address.as_ref().unwrap().to_string(),
            "10.0.0.1:30002"
        );
        assert_eq!(account.members[2].address, None);
    }

    #[test]
    fn what_is_no_cluster_is_none() {
        for nodes in ["", "x", &format!("{ONE} h:1@2 master - 0 0 1 connected")] {
            assert!(
                Account::read(Instant::now(), "h", "", "", nodes).is_none(),
                "{nodes}"
            );
        }
    }
}
