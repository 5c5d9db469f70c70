//! OpenMetrics: the facts as numbers, under `redtail_`, with units in the names.

use std::fmt::Error;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::facts::Facts;
use crate::command::Condition;

/// The media type of [`text`].
pub(super) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Returns the facts as OpenMetrics text.
pub(super) fn text(facts: &Arc<Facts>) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Shown(Arc::clone(facts))));
    let mut text = String::new();
    // Writing to a string does not fail, and neither does a collector of ours.
    let _ = encode(&mut text, &registry);
    text
}

/// The facts as a collector: each answer encodes what was read for it, and nothing is kept.
struct Shown(Arc<Facts>);

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shown")
    }
}

impl Collector for Shown {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), Error> {
        let facts = &*self.0;
        health(&mut encoder, facts)?;
        let replication = &facts.replication;
        gauge(
            &mut encoder,
            "redtail_applied_offset_bytes",
            "Replication offset up to which the stream is visible",
            replication.applied_offset,
        )?;
        gauge(
            &mut encoder,
            "redtail_received_offset_bytes",
            "Replication offset up to which the stream is received",
            replication.received_offset,
        )?;
        gauge(
            &mut encoder,
            "redtail_lag_bytes",
            "Bytes that are received and not visible yet",
            replication.lag_bytes(),
        )?;
        gauge(
            &mut encoder,
            "redtail_keys",
            "Keys, expired ones included",
            facts.keys() as u64,
        )?;
        counter(
            &mut encoder,
            "redtail_full_syncs",
            "Full syncs that the primary started",
            replication.full_syncs,
        )
    }
}

/// One series for each condition: 1 for the one that holds, 0 for the others.
fn health(encoder: &mut DescriptorEncoder, facts: &Facts) -> Result<(), Error> {
    let mut family = encoder.encode_descriptor(
        "redtail_health",
        "The state of the replica: 1 for the condition that holds",
        None,
        MetricType::Gauge,
    )?;
    for condition in Condition::ALL {
        let holds = u64::from(condition == facts.seen.health.condition);
        let labels = [("condition", condition.word())];
        ConstGauge::new(holds).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

fn gauge(encoder: &mut DescriptorEncoder, name: &str, help: &str, value: u64) -> Result<(), Error> {
    let encoder = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    ConstGauge::new(value).encode(encoder)
}

fn counter(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    value: u64,
) -> Result<(), Error> {
    let encoder = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    ConstCounter::new(value).encode(encoder)
}
