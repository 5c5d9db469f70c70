//! Slows down whoever guesses passwords, also one that reconnects for each guess.
//!
//! Each source address may fail [`BURST`] times at once, and [`PER_SECOND`] times a second after that. An AUTH from an address
//! that has used this up waits for its turn, right or wrong: otherwise a guesser could tell a wrong password by the wait, and
//! hang up. It waits for at most [`WAIT_MAX`]; then it is refused unchecked. Right passwords cost nothing, and other addresses do
//! not wait. Clients on a Unix socket are not limited: the socket's file says who may connect.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failures that an address has for free.
const BURST: f64 = 100.0;

/// Failures per second that an address may have forever. A program with an old password that retries in a loop stays below
/// this with a pause of 10 ms, and a guesser gets through nine million passwords a day.
const PER_SECOND: f64 = 100.0;

/// The longest time that AUTH waits.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(5);

/// Maximum number of addresses that are told apart. All others share one allowance.
const ADDRESSES_MAX: usize = 10_000;

/// The failures of all addresses that have failed lately.
#[derive(Debug, Default)]
pub struct Guesses {
    allowances: Mutex<HashMap<Option<IpAddr>, Allowance>>,
    /// How often AUTH had to wait.
    pub delayed: AtomicU64,
    /// How often AUTH was refused because it had waited for too long.
    pub refused: AtomicU64,
}

#[derive(Debug, Clone, Copy)]
struct Allowance {
    left: f64,
    seen: Instant,
}

impl Allowance {
    fn at(self, now: Instant) -> f64 {
        let earned = now.saturating_duration_since(self.seen).as_secs_f64() * PER_SECOND;
        (self.left + earned).min(BURST)
    }
}

impl Guesses {
    /// Takes one failure from the allowance of a client's address, before its password is checked.
    ///
    /// # Errors
    /// How long to wait first.
    pub(crate) fn take(&self, client: &str, now: Instant) -> Result<(), Duration> {
        let Some(address) = network(client) else {
            return Ok(());
        };
        let mut allowances = self
            .allowances
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if allowances.len() >= ADDRESSES_MAX {
            allowances.retain(|_, allowance| allowance.at(now) < BURST);
        }
        let is_known = allowances.contains_key(&Some(address));
        let place = (is_known || allowances.len() < ADDRESSES_MAX).then_some(address);
        let allowance = allowances.entry(place).or_insert(Allowance {
            left: BURST,
            seen: now,
        });
        let left = allowance.at(now);
        *allowance = Allowance { left, seen: now };
        if left < 1.0 {
            self.delayed.fetch_add(1, Ordering::Relaxed);
            return Err(Duration::from_secs_f64((1.0 - left) / PER_SECOND));
        }
        allowance.left = left - 1.0;
        Ok(())
    }

    /// Returns what [`take`](Self::take) took: the password was right.
    pub(crate) fn give_back(&self, client: &str) {
        let Some(address) = network(client) else {
            return;
        };
        let mut allowances = self
            .allowances
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(allowance) = allowances.get_mut(&Some(address)) {
            allowance.left += 1.0;
            if allowance.left >= BURST {
                allowances.remove(&Some(address));
            }
        }
    }
}

/// Returns the address that counts as one source: an IPv4 address, or a /64 network, which one machine may have to itself.
fn network(client: &str) -> Option<IpAddr> {
    let address: SocketAddr = client.parse().ok()?;
    Some(match address.ip().to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address => address,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guesser_is_held_to_its_rate_and_others_are_not() {
        let (guesses, begun) = (Guesses::default(), Instant::now());
        let (mut now, mut tried) = (begun, 0);
        while now < begun + Duration::from_secs(10) {
            // Each guess comes from another port, that is, another connection.
            match guesses.take(&format!("10.0.0.1:{}", 1000 + tried % 60_000), now) {
                Ok(()) => tried += 1,
                Err(wait) => now += wait,
            }
        }
        assert!((1090..=1101).contains(&tried), "{tried}");
        assert_eq!(guesses.take("10.0.0.2:1", now), Ok(()));
        assert_eq!(guesses.take("[2001:db8::1]:1", now), Ok(()));
        assert_eq!(guesses.take("unix:/path:0", now), Ok(()));
    }

    #[test]
    fn right_passwords_cost_nothing() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        for _ in 0..10_000 {
            assert_eq!(guesses.take("127.0.0.1:1", now), Ok(()));
            guesses.give_back("127.0.0.1:1");
        }
        let empty = guesses
            .allowances
            .lock()
            .is_ok_and(|allowances| allowances.is_empty());
        assert!(empty);
    }

    #[test]
    fn a_network_counts_as_one_and_the_table_is_bounded() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        let mut taken = 0;
        while guesses
            .take(&format!("[2001:db8::{taken:x}]:1"), now)
            .is_ok()
        {
            taken += 1;
        }
        assert_eq!(taken, 100);
        for number in 0..2 * ADDRESSES_MAX {
            let [.., a, b, c] = number.to_be_bytes();
            let _ = guesses.take(&format!("10.{a}.{b}.{c}:1"), now);
        }
        let len = guesses
            .allowances
            .lock()
            .map_or(0, |allowances| allowances.len());
        assert!(len <= ADDRESSES_MAX + 1, "{len}");
        assert!(
            guesses.take("11.0.0.1:1", now).is_err(),
            "those beyond share one allowance"
        );
    }
}
