//! Which server to try next.
//!
//! Servers are tried in rounds: one after the other, each once, without a pause between them. What worked last comes first.
//! Only a round that failed as a whole is followed by a pause.

use super::address::{Primary, Upstream};
use super::error::Error;

/// The servers that may be followed, and how far this round has come.
pub(super) struct Choice {
    upstream: Upstream,
    /// The one that worked last.
    last: Option<Primary>,
    /// The one that is being tried.
    current: Option<Primary>,
    /// Those that have failed in this round.
    failed: Vec<Primary>,
    /// Whether this round has more to try.
    others_left: bool,
}

impl Choice {
    pub(super) const fn new(upstream: Upstream) -> Self {
        Self {
            upstream,
            last: None,
            current: None,
            failed: Vec::new(),
            others_left: false,
        }
    }

    /// The server to try now.
    ///
    /// # Errors
    /// [`Error`] when there is none.
    pub(super) fn next(&mut self) -> Result<Primary, Error> {
        let candidates = self.candidates();
        let mut untried = candidates.iter().filter(|one| !self.failed.contains(one));
        let Some(chosen) = untried.next().or(candidates.first()).cloned() else {
            return Err(Error::Nobody);
        };
        self.others_left = untried.any(|one| *one != chosen);
        self.current = Some(chosen.clone());
        Ok(chosen)
    }

    /// The attempt has ended. Whether another server can be tried at once.
    pub(super) fn ended(&mut self, worked: bool) -> bool {
        let others_left = !worked && std::mem::take(&mut self.others_left);
        if !others_left {
            self.failed.clear();
        }
        match self.current.take() {
            Some(server) if worked => self.last = Some(server),
            Some(server) if others_left => self.failed.push(server),
            _ => {}
        }
        others_left
    }

    /// All of them, best first.
    fn candidates(&self) -> Vec<Primary> {
        let Upstream::List(list) = &self.upstream;
        let is_last = |one: &&Primary| self.last.as_ref() == Some(one);
        let first = list.iter().find(is_last);
        let rest = list.iter().filter(|one| !is_last(one));
        first.into_iter().chain(rest).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    /// Tries as often as `worked` says, and shows what was tried and where a pause came.
    fn tried(list: &str, worked: &[bool]) -> String {
        let mut choice = Choice::new(list.parse().unwrap());
        let mut shown = String::new();
        for worked in worked {
            shown += &choice.next().unwrap().address.host_and_port().0;
            if !choice.ended(*worked) {
                shown.push('|');
            }
        }
        shown
    }

    #[test]
    fn each_is_tried_once_a_round_and_a_pause_follows_the_round() {
        assert_eq!(tried("a", &[false; 3]), "a|a|a|");
        assert_eq!(tried("a,b,c", &[false; 7]), "abc|abc|a");
    }

    #[test]
    fn what_worked_last_comes_first() {
        let worked = [false, true, false, false, false, false];
        assert_eq!(tried("a,b,c", &worked), "ab|bac|b");
    }

    #[test]
    fn the_same_address_twice_is_one_server() {
        assert_eq!(tried("a,a", &[false; 2]), "a|a|");
    }
}
