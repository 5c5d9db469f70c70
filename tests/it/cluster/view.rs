//! What a node says about its cluster.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::client::Client;

/// A node as `CLUSTER NODES` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub id: String,
    pub port: u16,
    pub is_primary: bool,
    /// Whether the node that was asked considers it reachable and no stranger.
    pub is_well: bool,
    /// The id of its primary; empty if it is one.
    pub primary: String,
    pub slots: Vec<RangeInclusive<u16>>,
    /// The configuration epoch of a primary.
    pub epoch: Option<u64>,
    /// Whether one of its slots is being moved.
    pub is_moving: bool,
}

/// All nodes by their ids.
pub type View = BTreeMap<String, Member>;

/// Asks a node.
pub fn view(client: &mut Client) -> View {
    let text = client.command("CLUSTER NODES").text();
    let members = text.lines().filter_map(member);
    members.map(|one| (one.id.clone(), one)).collect()
}

/// `id address flags primary ping pong epoch link slot…`
fn member(line: &str) -> Option<Member> {
    let words: Vec<&str> = line.split(' ').collect();
    let (address, flags) = (words.get(1)?, words.get(2)?);
    let port = address.split('@').next()?.rsplit(':').next()?;
    let has = |flag: &str| flags.split(',').any(|one| one == flag);
    let epoch: Option<u64> = words.get(6)?.parse().ok();
    let is_well = !["fail", "fail?", "handshake", "noaddr"]
        .into_iter()
        .any(has);
    let (marks, slots): (Vec<&str>, Vec<&str>) =
        words[8..].iter().partition(|word| word.starts_with('['));
    Some(Member {
        id: words[0].to_owned(),
        port: port.parse().ok()?,
        is_primary: has("master"),
        is_well,
        primary: words[3].trim_matches('-').to_owned(),
        slots: slots.into_iter().filter_map(range).collect(),
        epoch: epoch.filter(|_| has("master")),
        is_moving: !marks.is_empty(),
    })
}

/// `0-5460` or `10000`.
fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some(first.parse().ok()?..=last.parse().ok()?)
}

impl Member {
    pub fn has(&self, slot: u16) -> bool {
        self.slots.iter().any(|range| range.contains(&slot))
    }
}
