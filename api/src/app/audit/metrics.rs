//! Metrics of the audit.

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

/// All of them; clones share them.
#[derive(Debug, Clone, Default)]
pub struct AuditMetrics {
    unsealed_age: Gauge,
    sealed: Counter,
    refused: Counter,
    errors: Counter,
    moved: Counter,
}

impl AuditMetrics {
    /// Registers everything in `registry`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "allmende_audit_unsealed_age_seconds",
            "Age of the oldest audit entry that is not sealed; 0 when all are",
            metrics.unsealed_age.clone(),
        );
        registry.register(
            "allmende_audit_sealed",
            "Audit entries that this process sealed",
            metrics.sealed.clone(),
        );
        registry.register(
            "allmende_audit_refused_attempts",
            "Refused attempts that this process wrote into the audit",
            metrics.refused.clone(),
        );
        registry.register(
            "allmende_audit_moved_segments",
            "Segments of sealed audit entries that this process moved out of etcd",
            metrics.moved.clone(),
        );
        registry.register(
            "allmende_audit_errors",
            "Passes of the audit's keeper that could not go on",
            metrics.errors.clone(),
        );
        metrics
    }

    pub(super) fn unsealed(&self, seconds: i64) {
        self.unsealed_age.set(seconds.max(0));
    }

    pub(super) fn sealed(&self, count: usize) {
        self.sealed.inc_by(u64::try_from(count).unwrap_or(u64::MAX));
    }

    pub(super) fn refused(&self, count: u64) {
        self.refused.inc_by(count);
    }

    pub(super) fn moved(&self, segments: usize) {
        self.moved.inc_by(u64::try_from(segments).unwrap_or(u64::MAX));
    }

    pub(super) fn error(&self) {
        self.errors.inc();
    }
}
