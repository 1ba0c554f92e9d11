//! What the certificates and connections of the API look like, read from [`ServerTls`] at each scrape.

use std::sync::atomic::Ordering;

use allmende_identity::{Cut, Expiry, ServerTls, client::ClientTls};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};

#[derive(Debug)]
struct TlsCollector(ServerTls);

/// Registers everything in `registry`; `etcd` are the files towards etcd, whose ends are shown beside the API's own.
pub fn register(registry: &mut Registry, tls: &ServerTls, etcd: Option<ClientTls>) {
    let expiring = tls.clone();
    allmende_telemetry::register_expiries(registry, move || {
        let towards_etcd = |end: Expiry| Expiry { kind: etcd_kind(end.kind), ..end };
        let etcd = etcd.iter().flat_map(ClientTls::expiries).map(towards_etcd);
        expiring.expiries().into_iter().chain(etcd).map(|end| (end.kind, end.name, end.at)).collect()
    });
    registry.register_collector(Box::new(TlsCollector(tls.clone())));
}

/// The API's own certificate has an alert of its own.
fn etcd_kind(kind: &'static str) -> &'static str {
    if kind == "own-certificate" { "etcd-certificate" } else { kind }
}

impl Collector for TlsCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let handshakes = self.0.handshakes();
        let outcomes = [
            ("completed", &handshakes.completed),
            ("failed", &handshakes.failed),
            ("timed-out", &handshakes.timed_out),
        ];
        let mut family = encoder.encode_descriptor(
            "allmende_api_tls_handshakes",
            "Handshakes by how they ended",
            None,
            MetricType::Counter,
        )?;
        for (outcome, count) in outcomes {
            let count = ConstCounter::new(count.load(Ordering::Relaxed));
            count.encode(family.encode_family(&[("outcome", outcome)])?)?;
        }
        let mut family = encoder.encode_descriptor(
            "allmende_api_tls_connections_cut",
            "Connections cut because their certificate is admitted no longer",
            None,
            MetricType::Counter,
        )?;
        for cut in Cut::ALL {
            ConstCounter::new(self.0.cuts(cut)).encode(family.encode_family(&[("why", cut.name())])?)?;
        }
        let (failed, failing) = self.0.reloads_failed();
        ConstCounter::new(failed).encode(encoder.encode_descriptor(
            "allmende_api_tls_reload_failures",
            "Looks at changed certificate files that could not be used",
            None,
            MetricType::Counter,
        )?)?;
        ConstGauge::new(i64::from(failing)).encode(encoder.encode_descriptor(
            "allmende_api_tls_reload_failing",
            "1 while a certificate file cannot be used and its last state serves on",
            None,
            MetricType::Gauge,
        )?)?;
        let connections = i64::try_from(self.0.connections()).unwrap_or(i64::MAX);
        ConstGauge::new(connections).encode(encoder.encode_descriptor(
            "allmende_api_tls_connections",
            "Connections that live",
            None,
            MetricType::Gauge,
        )?)
    }
}
