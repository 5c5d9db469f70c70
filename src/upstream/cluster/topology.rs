//! One picture of what all nodes say.

use std::collections::BTreeMap;

use super::nodes::{Account, Member};
use crate::slots::ClusterSlots;
use crate::upstream::address::Address;

/// A node in the picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its id.
    pub id: String,
    /// Where it listens; `None` if no node knows.
    pub address: Option<Address>,
    /// Whether it is a primary.
    pub is_primary: bool,
    /// The primary that it follows.
    pub primary: Option<String>,
    /// Whether it is down: it does not answer, and others say so.
    pub is_down: bool,
    /// Its configuration epoch.
    pub epoch: u64,
    /// The slots that it has: nobody else has them.
    pub slots: ClusterSlots,
}

/// Every node of the cluster, by id.
pub type Picture = BTreeMap<String, Seen>;

/// Makes one picture of what nodes say.
///
/// What a node that answers says of itself counts, and what others say of those that do not answer. A server that claims a slot may
/// have lost it: of two claims the one with the higher configuration epoch is right. What others say of a node may be old in another
/// way, too: they learn its new epoch and its new slots, but not which slots it no longer has. So they are not asked about a node that
/// speaks for itself.
#[must_use]
pub fn picture<'a>(accounts: impl Iterator<Item = &'a Account> + Clone) -> Picture {
    let mut picture = Picture::new();
    let mut claims: BTreeMap<&str, &Member> = BTreeMap::new();
    let valid = accounts.clone().filter(|account| account.is_ok);
    for account in valid.clone() {
        if let Some(myself) = account.myself() {
            claims.insert(&myself.id, myself);
        }
    }
    let speaks = |id: &str| valid.clone().any(|account| account.id == id);
    let said = accounts.clone().flat_map(|account| &account.members);
    for member in said.clone().filter(|member| !speaks(&member.id)) {
        let known = claims.get(member.id.as_str());
        if known.is_none_or(|known| known.epoch < member.epoch) {
            claims.insert(&member.id, member);
        }
    }
    let answers = |id: &str| accounts.clone().any(|account| account.id == id);
    for (id, member) in &claims {
        let others = said.clone().filter(|other| other.id == *id);
        let address = member
            .address
            .clone()
            .or_else(|| others.filter_map(|other| other.address.clone()).next());
        let seen = Seen {
            id: (*id).to_owned(),
            address,
            is_primary: member.is_primary,
            primary: member.primary.clone(),
            is_down: member.is_down && !answers(id),
            epoch: member.epoch,
            slots: ClusterSlots::default(),
        };
        picture.insert((*id).to_owned(), seen);
    }
    assign(&mut picture, claims.values().copied());
    picture
}

/// Gives each slot to the claim with the highest epoch.
fn assign<'a>(picture: &mut Picture, claims: impl Iterator<Item = &'a Member>) {
    let mut primaries: Vec<&Member> = claims
        .filter(|member| member.is_primary && !member.slots.is_empty())
        .collect();
    primaries.sort_by_key(|member| std::cmp::Reverse(member.epoch));
    let mut taken = ClusterSlots::default();
    for member in primaries {
        if let Some(seen) = picture.get_mut(&member.id) {
            seen.slots = member.slots.clone();
            seen.slots.remove_all(&taken);
            taken.add_all(&member.slots);
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::indexing_slicing, reason = "a test may panic")]
    use std::time::Instant;

    use super::*;

    fn id(number: u8) -> String {
        format!("{number:040x}")
    }

    fn member(number: u8, epoch: u64, slots: &[u16]) -> Member {
        let mut member = Member {
            id: id(number),
            address: None,
            is_myself: false,
            is_down: false,
            is_primary: true,
            primary: None,
            epoch,
            slots: ClusterSlots::default(),
            moves: Vec::new(),
        };
        slots.iter().for_each(|slot| member.slots.insert(*slot));
        member
    }

    fn account(speaker: u8, is_ok: bool, mut members: Vec<Member>) -> Account {
        for member in &mut members {
            member.is_myself = member.id == id(speaker);
        }
        Account {
            asked: Instant::now(),
            id: id(speaker),
            is_ok,
            replid: None,
            offset: 0,
            members,
        }
    }

    fn slots(picture: &Picture, number: u8) -> String {
        picture[&id(number)].slots.to_string()
    }

    #[test]
    fn the_newest_epoch_has_the_slot() {
        let one = account(1, true, vec![member(1, 3, &[5, 6]), member(2, 2, &[7])]);
        let two = account(2, true, vec![member(1, 3, &[5, 6]), member(2, 4, &[6, 7])]);
        let both = picture([&one, &two].into_iter());
        assert_eq!(
            (slots(&both, 1), slots(&both, 2)),
            ("5-5".to_owned(), "6-7".to_owned())
        );
    }

    #[test]
    fn a_node_knows_best_what_it_has_lost() {
        // The first has heard of the second's newest epoch, and not that the third has slot 7 by now.
        let one = account(
            1,
            true,
            vec![member(1, 1, &[]), member(2, 9, &[7]), member(3, 4, &[])],
        );
        let two = account(2, true, vec![member(2, 9, &[8]), member(3, 8, &[7])]);
        let three = account(3, true, vec![member(3, 8, &[7]), member(2, 5, &[8])]);
        let all = picture([&one, &two, &three].into_iter());
        assert_eq!(
            (slots(&all, 2), slots(&all, 3)),
            ("8-8".to_owned(), "7-7".to_owned())
        );
    }

    #[test]
    fn a_node_that_sees_no_cluster_has_no_say() {
        let cut_off = account(1, false, vec![member(1, 3, &[5])]);
        let other = account(2, true, vec![member(1, 3, &[]), member(2, 4, &[5])]);
        let both = picture([&cut_off, &other].into_iter());
        assert_eq!(
            (slots(&both, 1), slots(&both, 2)),
            (String::new(), "5-5".to_owned())
        );
    }

    #[test]
    fn of_a_node_that_is_silent_others_speak() {
        let mut down = member(1, 3, &[5]);
        down.is_down = true;
        let other = account(2, true, vec![down, member(2, 4, &[6])]);
        let seen = picture([&other].into_iter());
        assert!(seen[&id(1)].is_down);
        assert_eq!(slots(&seen, 1), "5-5");
    }
}
