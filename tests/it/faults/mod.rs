//! Faults of every kind between redtail and real primaries: cut and slow connections, primaries that end, fail over, change
//! their history, are flushed. Meanwhile there are writers at the primary ([`load`]) and readers at redtail ([`reader`]); after
//! each fault both data sets are compared ([`proof`]).
//!
//! | variable | means | without it |
//! |---|---|---|
//! | `REDTAIL_CUTS` | random cuts below each server | see `cuts` |
//! | `REDTAIL_FAULT_SEED` | the seed of writes and cuts | 1 |

mod acks;
mod clock;
mod cohort;
mod cut;
mod cuts;
mod endurance;
mod load;
mod node;
mod payload;
mod primaries;
mod proof;
mod proxy;
mod reader;
mod stage;

use crate::servers::Server;

/// The database of the keys that readers watch; the random writes leave it alone.
const WATCHED_DB: usize = 9;

/// Keys that always have the same value.
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

/// A word of a server's INFO; empty if it is not there.
fn word(server: &Server, section: &str, field: &str) -> String {
    server.client().info(section, field).unwrap_or_default()
}
