//! The end of everything that ends, as one metric: certificates, authorities, revocation lists. Alerts compare it with the time.

use std::{collections::BTreeMap, fmt};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
    registry::Registry,
};

/// One end: a kind from a closed set, a name for people, Unix seconds.
pub type End = (&'static str, String, i64);

struct Expiries<F>(F);

impl<F> fmt::Debug for Expiries<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Expiries")
    }
}

impl<F: Fn() -> Vec<End> + Send + Sync + 'static> Collector for Expiries<F> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut family = encoder.encode_descriptor(
            "allmende_expiry_timestamp_seconds",
            "When the validity of what is in use ends, Unix time",
            None,
            MetricType::Gauge,
        )?;
        // A line may come once only: of two with the same name (an authority and its successor) the one that ends first counts.
        let mut first = BTreeMap::new();
        for (kind, name, at) in (self.0)() {
            let end = first.entry((kind, name)).or_insert(at);
            *end = at.min(*end);
        }
        for ((kind, name), at) in first {
            let labels = [("kind", kind), ("name", name.as_str())];
            ConstGauge::new(at).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

/// Shows what `read` gives at each scrape: `allmende_expiry_timestamp_seconds{kind="own-certificate",name="CN=allmende-api"}`.
pub fn register_expiries(registry: &mut Registry, read: impl Fn() -> Vec<End> + Send + Sync + 'static) {
    registry.register_collector(Box::new(Expiries(read)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_is_one_line_and_of_two_with_one_name_the_first_counts() {
        let mut registry = Registry::default();
        let end = |at| ("authority", "CN=\"a\"".to_owned(), at);
        register_expiries(&mut registry, move || vec![end(1_900_000_000), end(1_800_000_000)]);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let line = r#"allmende_expiry_timestamp_seconds{kind="authority",name="CN=\"a\""} 1800000000"#;
        assert!(text.contains(line), "{text}");
        assert_eq!(text.matches("expiry_timestamp_seconds{").count(), 1, "{text}");
    }
}
