//! Grouped commits and the store's index as metrics: whether it answers, how large it is, how far behind it may be, and how often etcd had to be asked.

use allmende_store::Store;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};

#[derive(Debug)]
struct IndexMetrics(Store);

/// Registers `allmende_api_index_…` and `allmende_api_commit_…`.
pub fn register(registry: &mut Registry, store: Store) {
    registry.register_collector(Box::new(IndexMetrics(store)));
}

impl Collector for IndexMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        if let Some(groups) = self.0.group_state() {
            let counters = [
                ("groups", "Transactions of etcd in which changes were committed together", groups.groups),
                ("changes", "Changes in them", groups.changes),
            ];
            for (name, help, value) in counters {
                let name = format!("allmende_api_commit_{name}");
                let metric = encoder.encode_descriptor(&name, help, None, MetricType::Counter)?;
                ConstCounter::new(value).encode(metric)?;
            }
        }
        let Some(state) = self.0.index_state() else { return Ok(()) };
        let gauges = [
            ("loaded", "1: reads of calls are answered from the index", f64::from(u8::from(state.loaded))),
            ("rows", "Values in the index", amount(state.rows)),
            (
                "bytes",
                "Bytes of keys and values in the index, and about what holds them",
                amount(state.bytes),
            ),
            ("lag_seconds", "Since etcd last said how far it is", state.silence.as_secs_f64()),
        ];
        for (name, help, value) in gauges {
            let name = format!("allmende_api_index_{name}");
            let metric = encoder.encode_descriptor(&name, help, None, MetricType::Gauge)?;
            ConstGauge::new(value).encode(metric)?;
        }
        let counters = [
            ("fallbacks", "Reads of calls that went to etcd instead of the index", state.fallbacks),
            (
                "fences",
                "Calls that asked for a linearizable revision; those that wait share one request",
                state.fences,
            ),
        ];
        for (name, help, value) in counters {
            let name = format!("allmende_api_index_{name}");
            let metric = encoder.encode_descriptor(&name, help, None, MetricType::Counter)?;
            ConstCounter::new(value).encode(metric)?;
        }
        Ok(())
    }
}

/// As a metric; exact far beyond any size here.
fn amount(value: usize) -> f64 {
    f64::from(u32::try_from(value).unwrap_or(u32::MAX))
}
