//! Writes metrics: a name, a help text, and one value or a series of values with labels.

use std::fmt::Error;
use std::time::Duration;

use prometheus_client::encoding::{
    DescriptorEncoder, EncodeMetric as _, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::spread::Durations;

/// The labels of one value.
pub(super) type Labels<'l> = Vec<(&'l str, String)>;

/// A histogram: how many values are in each bucket alone, by its upper bound, then all values, and their sum.
#[derive(Debug, Default)]
pub(super) struct Buckets {
    pub(super) each: Vec<(f64, u64)>,
    pub(super) count: u64,
    pub(super) sum: f64,
}

impl Buckets {
    pub(super) fn of(durations: &Durations) -> Self {
        let each = durations.buckets.iter();
        Self {
            each: each
                .map(|(bound, count)| (bound.as_secs_f64(), *count))
                .collect(),
            count: durations.count,
            sum: durations.sum.as_secs_f64(),
        }
    }
}

/// Where metrics are written to.
pub(super) struct Sheet<'e>(DescriptorEncoder<'e>);

type Written = Result<(), Error>;

impl<'e> Sheet<'e> {
    pub(super) const fn new(encoder: DescriptorEncoder<'e>) -> Self {
        Self(encoder)
    }

    fn begin<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
        kind: MetricType,
    ) -> Result<MetricEncoder<'s>, Error> {
        self.0.encode_descriptor(name, help, None, kind)
    }

    /// Writes a value that goes up and down.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: f64) -> Written {
        ConstGauge::new(value).encode(self.begin(name, help, MetricType::Gauge)?)
    }

    /// The same, if there is a value.
    pub(super) fn gauge_if(&mut self, name: &str, help: &str, value: Option<f64>) -> Written {
        value.map_or(Ok(()), |value| self.gauge(name, help, value))
    }

    /// Writes a count that only grows. Its full name ends in `_total`, which `name` leaves out.
    pub(super) fn counter(&mut self, name: &str, help: &str, value: f64) -> Written {
        ConstCounter::new(value).encode(self.begin(name, help, MetricType::Counter)?)
    }

    /// Writes a value whose type its name must not say.
    pub(super) fn untyped(&mut self, name: &str, help: &str, value: f64) -> Written {
        ConstGauge::new(value).encode(self.begin(name, help, MetricType::Unknown)?)
    }

    /// Writes values that go up and down, with their labels.
    pub(super) fn gauges<'l>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Labels<'l>, f64)>,
    ) -> Written {
        self.series(name, help, MetricType::Gauge, values)
    }

    /// Writes values with labels whose type their name must not say.
    pub(super) fn untyped_series<'l>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Labels<'l>, f64)>,
    ) -> Written {
        self.series(name, help, MetricType::Unknown, values)
    }

    fn series<'l>(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        values: impl IntoIterator<Item = (Labels<'l>, f64)>,
    ) -> Written {
        let mut family = self.begin(name, help, kind)?;
        for (labels, value) in values {
            ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// Writes counts that only grow, with their labels.
    pub(super) fn counters<'l>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Labels<'l>, f64)>,
    ) -> Written {
        let mut family = self.begin(name, help, MetricType::Counter)?;
        for (labels, value) in values {
            ConstCounter::new(value).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// Writes histograms with their labels.
    pub(super) fn histograms<'l>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Labels<'l>, Buckets)>,
    ) -> Written {
        let mut family = self.begin(name, help, MetricType::Histogram)?;
        for (labels, mut buckets) in values {
            let inside: u64 = buckets.each.iter().map(|(_, count)| count).sum();
            let beyond = buckets.count.saturating_sub(inside);
            buckets.each.push((f64::INFINITY, beyond));
            let mut one = family.encode_family(&labels)?;
            one.encode_histogram::<NoLabelSet>(buckets.sum, inside + beyond, &buckets.each, None)?;
        }
        Ok(())
    }
}

/// A count as a value.
pub(super) fn number(count: impl TryInto<u64>) -> f64 {
    count.try_into().map_or(0.0, |count| count as f64)
}

/// Whether something is so, as a value.
pub(super) fn flag(is_so: bool) -> f64 {
    f64::from(u8::from(is_so))
}

/// Seconds, if they are known.
pub(super) fn seconds(duration: Option<Duration>) -> Option<f64> {
    duration.map(|duration| duration.as_secs_f64())
}

/// One label.
pub(super) fn label<'l>(name: &'l str, value: impl Into<String>) -> Labels<'l> {
    vec![(name, value.into())]
}
