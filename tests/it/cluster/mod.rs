//! redtail as a follower of a whole cluster: real clusters are written, resharded, failed over, killed and partitioned, while
//! readers read through both faces. A key that always exists is never nil, and no connection sees a version older than one it has
//! seen.
//!
//! What is done ([`acts`]) is first done without redtail ([`harness`]): readers of the primaries must see no fault either, so that
//! what readers of redtail see is redtail's.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `REDTAIL_CLUSTER_MINUTES` | how long anything is done at any time | see `endurance` |
//! | `REDTAIL_CLUSTER_SERVERS` | the servers, separated by commas | see `stage` |
//! | `REDTAIL_CLUSTER_SEED` | the seed for what is done | 1 |

mod acts;
mod alike;
mod calm;
mod clients;
mod endurance;
mod faces;
mod figures;
mod following;
mod harness;
mod keys;
mod links;
mod messages;
mod moves;
mod named_failures;
pub mod nodes;
mod parts;
mod reader;
mod router;
mod shards;
mod slots;
mod stage;
mod view;
mod walks;
mod writer;
