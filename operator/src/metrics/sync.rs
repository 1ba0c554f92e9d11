//! Metrics of the conversation with the API.

use allmende_proto::v1::refused_observation::ReasonCode;
use jiff::Timestamp;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::sync::fence::Refusal;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

/// Clones share the numbers.
#[derive(Debug, Clone, Default)]
pub struct SyncMetrics {
    connected: Gauge,
    last_snapshot: Gauge,
    refused_records: Family<ReasonLabels, Counter>,
    refused_observations: Family<ReasonLabels, Counter>,
}

impl SyncMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "allmende_operator_sync_connected",
            "1 while the API's desired state is followed: a whole snapshot came and the stream lives",
            metrics.connected.clone(),
        );
        registry.register(
            "allmende_operator_sync_last_snapshot_timestamp_seconds",
            "When the newest whole snapshot was received, Unix time; 0 before the first",
            metrics.last_snapshot.clone(),
        );
        registry.register(
            "allmende_operator_sync_refused_records",
            "Records of the API that were not followed, by reason",
            metrics.refused_records.clone(),
        );
        registry.register(
            "allmende_operator_sync_refused_observations",
            "Observations that the API did not take, by its reason",
            metrics.refused_observations.clone(),
        );
        metrics
    }

    /// A whole snapshot came.
    pub fn snapshot(&self, now: Timestamp) {
        self.last_snapshot.set(now.as_second());
    }

    /// A stream is followed from now on, or no longer.
    pub fn follows(&self, follows: bool) {
        self.connected.set(i64::from(follows));
    }

    /// Whether the stream is followed.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connected.get() == 1
    }

    /// When the newest whole snapshot was received, Unix time.
    #[must_use]
    pub fn last_snapshot(&self) -> i64 {
        self.last_snapshot.get()
    }

    /// A record was not followed.
    pub fn refused_record(&self, why: Refusal) {
        self.refused_records.get_or_create(&ReasonLabels { reason: refusal_label(why) }).inc();
    }

    /// How many were not followed for this reason.
    #[must_use]
    pub fn refused_records(&self, why: Refusal) -> u64 {
        self.refused_records.get_or_create(&ReasonLabels { reason: refusal_label(why) }).get()
    }

    /// The API did not take an observation.
    pub fn refused_observation(&self, why: ReasonCode) {
        self.refused_observations.get_or_create(&ReasonLabels { reason: reason_label(why) }).inc();
    }

    /// How many observations the API did not take for this reason.
    #[must_use]
    pub fn refused_observations(&self, why: ReasonCode) -> u64 {
        self.refused_observations.get_or_create(&ReasonLabels { reason: reason_label(why) }).get()
    }
}

fn refusal_label(why: Refusal) -> &'static str {
    match why {
        Refusal::OlderEpoch => "older-epoch",
        Refusal::OtherStore => "other-store",
        Refusal::OlderRevision => "older-revision",
        Refusal::OtherLife => "other-life",
        Refusal::OlderGeneration => "older-generation",
    }
}

fn reason_label(why: ReasonCode) -> &'static str {
    match why {
        ReasonCode::Unspecified => "unspecified",
        ReasonCode::NotFound => "not-found",
        ReasonCode::OtherUid => "other-uid",
        ReasonCode::OldGeneration => "old-generation",
        ReasonCode::NotDeleting => "not-deleting",
    }
}
