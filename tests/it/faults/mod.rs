//! Faults of every kind between redtail and real primaries: cut and slow connections, and primaries that end, fail over, change
//! their replication id or are flushed. During the faults, writers use the primary ([`load`]) and readers use redtail
//! ([`reader`]). After each fault the data sets of both are compared ([`proof`]).
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `REDTAIL_CUTS` | random cuts of the connection to each server | see `cuts` |
//! | `REDTAIL_FAULT_SEED` | the seed for writes and cuts | 1 |

mod acks;
mod clock;
mod cohort;
pub mod cut;
mod cuts;
mod endurance;
mod load;
mod node;
mod payload;
mod primaries;
mod proof;
pub mod proxy;
mod reader;
mod stage;

use crate::servers::Server;

/// The database with the keys that readers watch. The random writes do not touch it.
const WATCHED_DB: usize = 9;

/// The number of keys whose values never change.
const STEADY_KEYS: usize = 500;

/// A key that always exists, and its value.
fn steady(number: usize) -> (Vec<u8>, Vec<u8>) {
    let value = format!("value {number} ").repeat(number % 20 + 1);
    (format!("steady:{number}").into_bytes(), value.into_bytes())
}

/// A number from the environment.
fn number(variable: &str, default: u64) -> u64 {
    let value = std::env::var(variable).ok();
    value
        .and_then(|value| value.parse().ok())
        .unwrap_or(default)
}

/// A field of a server's INFO; empty if it is missing.
fn word(server: &Server, section: &str, field: &str) -> String {
    server.client().info(section, field).unwrap_or_default()
}
