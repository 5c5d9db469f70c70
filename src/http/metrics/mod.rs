//! `/metrics`: the facts as numbers.
//!
//! Of a cluster, everything is about all shards together, but for what `cluster` shows: each shard, with a label for its name.
//!
//! There are two sets of names. Those under `redtail_` are redtail's own, with units in the names (`replica`, `server`,
//! `process`). Those under `redis_` are what `redis_exporter` would show of this replica, made as it makes them: from INFO
//! (`exporter`). Dashboards that people have for the exporter work with them.
//!
//! Nothing is kept between two answers. Each is made from one reading, so that a resync never mixes two generations of data in
//! it, and everything in it is there in every state: only what is not known yet before the first sync is absent until then.

mod cluster;
mod exporter;
mod process;
mod replica;
mod server;
mod sheet;

use std::fmt::Error;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, prometheus_text, text};
use prometheus_client::registry::Registry;

use super::facts::Facts;
use sheet::Sheet;

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// The older text format, 0.0.4, which every scraper reads.
    Text,
}

impl Format {
    /// Returns the format for a request with this Accept header, if it has any. OpenMetrics is for those that name it.
    pub(super) fn of(accept: Option<&str>) -> Self {
        let named = accept.unwrap_or_default().split(',').any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let is_open = parts.next() == Some("application/openmetrics-text");
            // A quality of 0 refuses it.
            let refused = ["q=0", "q=0.0", "q=0.00", "q=0.000"];
            is_open && !parts.any(|part| refused.contains(&part))
        });
        if named { Self::OpenMetrics } else { Self::Text }
    }

    /// Returns the media type.
    pub(super) const fn media_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => prometheus_text::CONTENT_TYPE,
        }
    }
}

/// Returns the facts as text.
pub(super) fn text(facts: &Arc<Facts>, format: Format) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Shown(Arc::clone(facts))));
    let mut text = String::new();
    // Writing to a string does not fail, and neither does a collector of ours.
    let _ = match format {
        Format::OpenMetrics => text::encode(&mut text, &registry),
        Format::Text => prometheus_text::encode(&mut text, &registry),
    };
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
    fn encode(&self, encoder: DescriptorEncoder) -> Result<(), Error> {
        let mut sheet = Sheet::new(encoder);
        replica::write(&mut sheet, &self.0)?;
        if let Some(cluster) = &self.0.cluster {
            cluster::write(&mut sheet, cluster)?;
        }
        server::write(&mut sheet, &self.0)?;
        process::write(&mut sheet, &self.0)?;
        exporter::write(&mut sheet, &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scraper_gets_the_format_that_it_names() {
        let of = |accept| Format::of(Some(accept));
        assert_eq!(Format::of(None), Format::Text);
        assert_eq!(of("*/*"), Format::Text);
        assert_eq!(of("text/plain;version=0.0.4"), Format::Text);
        assert_eq!(
            of("application/openmetrics-text;q=0,text/plain"),
            Format::Text
        );
        // What Prometheus sends.
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                          text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(of(prometheus), Format::OpenMetrics);
    }
}
