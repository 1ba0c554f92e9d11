//! What becomes of the certificate: its end, and whether it can be renewed.

use allmende_identity::client::ClientTls;
use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

/// As a client's files call it.
const OWN: &str = "own-certificate";

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct RenewalMetrics {
    /// 1 while a join or renewal is due and fails, or none is possible.
    pub failing: Gauge,
    /// Certificates received.
    pub received: Counter,
}

/// Registers everything; the ends are read from the files at each scrape.
pub fn register(registry: &mut Registry, tls: ClientTls) -> RenewalMetrics {
    allmende_telemetry::register_expiries(registry, move || {
        // A kind of its own: it lives for a day, and its alerts differ from those of a server's.
        let kind = |end: &'static str| if end == OWN { "cluster-certificate" } else { end };
        tls.expiries().into_iter().map(|end| (kind(end.kind), end.name, end.at)).collect()
    });
    let metrics = RenewalMetrics::default();
    registry.register(
        "allmende_operator_certificate_renewal_failing",
        "1 while the certificate is to be renewed and cannot be",
        metrics.failing.clone(),
    );
    registry.register(
        "allmende_operator_certificates_received",
        "Certificates received from the API",
        metrics.received.clone(),
    );
    metrics
}
