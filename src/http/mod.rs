//! The operator's view over HTTP: health, metrics, and a status page. Off unless `--http` gives an address.
//!
//! `listen` accepts connections and bounds what each may take: the head of a request, its time, idle time, and their number.
//! `guard` decides who gets an answer: methods, bodies, the Host header, protected mode, the token. `routes` finds the answer.
//! All answers but `/livez` and `/readyz` are made from [`Facts`]: one consistent reading of the server and the replica, taken
//! once for each answer, so that no answer mixes the data from before a full resync with the offsets from after it.
//!
//! | path | what it answers |
//! |---|---|
//! | `/livez` | 200 while the process can do its work. It never depends on the upstream. 503 once the writer thread has ended, or has left received bytes alone for minutes: nothing keeps the data fresh any more, and only a restart helps. It is what the watchdog of systemd asks, too |
//! | `/readyz` | 200 while reads are answered, 503 otherwise; the body is the health in words |
//! | `/metrics` | OpenMetrics (`metrics`) |
//! | `/status.json` | everything that the page and `redtail status` show (`status`) |
//! | `/keys.json` | one level of the keys by prefix, from a bounded sample (`keys`) |
//! | `/` | the status page (`page/`), which loads nothing from elsewhere |
//!
//! This room changes nothing: it only reads. It neither speaks TLS nor serves other machines without a token unless it is
//! configured to.

mod config;
mod events;
mod facts;
mod guard;
mod history;
mod keys;
mod listen;
mod metrics;
mod names;
mod pages;
mod reads;
mod routes;
mod stall;
mod status;

pub use config::{Config, Token, TokenFile};
pub use events::{Event, Events, Recorder};
pub use facts::Facts;
pub use listen::{Error, Listener};
