//! Proof of how far the server's history had come at a given moment.
//!
//! The stream alone proves little: a silent server may have nothing to send, or may be gone. So redtail asks the server at
//! intervals, on a separate connection (`side`), for the offset of its history. A replica that has applied that offset has
//! everything that was written before the question was sent.

use std::time::Instant;

use super::role::Role;
use crate::history::Point;

/// How far a history had come at a given moment: this offset, or further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// The moment.
    pub at: Instant,
    /// The end of the history at that moment.
    pub point: Point,
}

impl Proof {
    /// Returns what `role` proves, if anything: a replica whose own link is down does not know how far its history has come.
    pub(super) fn of(role: &Role, at: Instant) -> Option<Self> {
        let speaks = role.primary.is_none() || role.link_up;
        let replid = *role.histories.first()?;
        speaks.then_some(Self {
            at,
            point: Point {
                replid,
                offset: role.offset,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn proof(role: &str) -> Option<(String, u64)> {
        let id = "0123456789abcdef0123456789abcdef01234567";
        let info = format!("{role}\r\nmaster_replid:{id}\r\nmaster_repl_offset:17\r\n");
        let proof = Proof::of(&Role::of(&info), Instant::now())?;
        Some((proof.point.replid.to_string(), proof.point.offset))
    }

    #[test]
    fn a_replica_without_its_primary_proves_nothing() {
        assert_eq!(proof("role:master").unwrap().1, 17);
        assert_eq!(proof("role:slave\r\nmaster_link_status:up").unwrap().1, 17);
        assert_eq!(proof("role:slave\r\nmaster_link_status:down"), None);
        assert_eq!(Proof::of(&Role::of("role:master"), Instant::now()), None);
    }
}
