//! How old the keys of each issuer of access tokens are, as a metric: a key set that nobody could read for hours is an alarm long before
//! tokens are refused.

use allmende_identity::token::TokenVerifier;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
    registry::Registry,
};

#[derive(Debug)]
struct KeyAges(TokenVerifier);

/// Registers `allmende_api_issuer_keys_age_seconds`, with the issuer's alias as label; −1: never read.
pub fn register(registry: &mut Registry, verifier: TokenVerifier) {
    registry.register_collector(Box::new(KeyAges(verifier)));
}

impl Collector for KeyAges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let ages = self.0.key_ages();
        if ages.is_empty() {
            return Ok(());
        }
        let mut family = encoder.encode_descriptor(
            "allmende_api_issuer_keys_age_seconds",
            "Time since the issuer's public keys were read; -1: never",
            None,
            MetricType::Gauge,
        )?;
        for (alias, age) in ages {
            let seconds = age.map_or(-1.0, |age| age.as_secs_f64());
            let labels = [("issuer", alias.as_str())];
            ConstGauge::new(seconds).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authn::Issuers;

    #[test]
    fn keys_that_were_never_read_show_minus_one() {
        allmende_identity::install_crypto_provider();
        let text = "[[issuer]]\nalias = \"lemgo\"\nissuer = \"https://id.lemgo.example\"\naudience = \"allmende\"\n\
            algorithms = [\"RS256\"]\n";
        let mut registry = Registry::default();
        register(&mut registry, Issuers::parse(text).unwrap().verifier().clone());
        let mut shown = String::new();
        prometheus_client::encoding::text::encode(&mut shown, &registry).unwrap();
        assert!(shown.contains("allmende_api_issuer_keys_age_seconds{issuer=\"lemgo\"} -1.0"), "{shown}");
    }
}
