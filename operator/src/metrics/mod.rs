//! Metrics of the operator. Labels come from closed sets; no names of objects, no messages.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

mod helm;
mod sync;

pub use helm::{HelmMetrics, Verb};
pub use sync::SyncMetrics;

use crate::error::Category;

/// Which reconciler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Controller {
    /// Of `Tenant`.
    Tenant,
    /// Of `ServiceInstance`.
    Instance,
}

/// How a reconcile ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Everything that could be done is done.
    Done,
    /// The pause after a failure is not over: nothing was tried.
    Waiting,
    /// The object is on its way out.
    Ending,
    /// Something hindered it.
    Failed(Failure),
    /// The lease was lost or the process ends.
    Interrupted,
}

/// What hindered a reconcile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// The cluster, or the spec.
    Of(Category),
    /// A Helm run.
    Release,
    /// The tenant's part is not there yet.
    TenantNotReady,
}

/// How something was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Write {
    /// A new object.
    Create,
    /// Server-side apply.
    Apply,
    /// A merge that also takes away, compared with what was read.
    Merge,
    /// The status of one of our own objects.
    Status,
    /// A deletion.
    Delete,
}

/// Why a stream of the desired state ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StreamEnd {
    /// The API refused it or broke off.
    Api,
    /// The API says that its store is older than what this cluster has seen.
    StoreBehind,
    /// An older or another store, refused here.
    OlderStore,
    /// Something came before the snapshot was whole.
    BeforeSnapshot,
    /// The store or epoch changed within the stream.
    OtherStore,
    /// The snapshot was not what its marker said.
    Snapshot,
    /// The cluster's own API server refused or did not answer.
    Cluster,
    /// No sign of life.
    Silent,
    /// Closed in order.
    Closed,
    /// Another process leads.
    NotLeader,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StreamEndLabels {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ControllerLabels {
    controller: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    controller: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    controller: &'static str,
    category: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabels {
    kind: &'static str,
    how: &'static str,
}

/// All metrics; clones share them.
#[derive(Debug, Clone)]
pub struct Metrics {
    reconcile_seconds: Family<ControllerLabels, Histogram, fn() -> Histogram>,
    reconciles: Family<OutcomeLabels, Counter>,
    reconcile_failures: Family<FailureLabels, Counter>,
    drift_repaired: Family<KindLabels, Counter>,
    writes: Family<WriteLabels, Counter>,
    streams_ended: Family<StreamEndLabels, Counter>,
    /// 1 while this process holds the lease.
    pub leader: Gauge,
    /// Of the conversation with the API.
    pub sync: SyncMetrics,
    /// Of Helm's runs.
    pub helm: HelmMetrics,
    last_list: Arc<AtomicI64>,
}

fn reconcile_buckets() -> Histogram {
    Histogram::new(exponential_buckets(0.005, 2.0, 15))
}

impl Metrics {
    /// Registers everything in `registry`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            reconcile_seconds: Family::new_with_constructor(reconcile_buckets),
            reconciles: Family::default(),
            reconcile_failures: Family::default(),
            drift_repaired: Family::default(),
            writes: Family::default(),
            streams_ended: Family::default(),
            leader: Gauge::default(),
            sync: SyncMetrics::register(registry),
            helm: HelmMetrics::register(registry),
            last_list: Arc::new(AtomicI64::new(i64::MIN)),
        };
        registry.register(
            "allmende_operator_reconcile_seconds",
            "Duration of reconciles",
            metrics.reconcile_seconds.clone(),
        );
        registry.register(
            "allmende_operator_reconciles",
            "Reconciles by outcome",
            metrics.reconciles.clone(),
        );
        registry.register(
            "allmende_operator_reconcile_failures",
            "Failed reconciles by class of the error",
            metrics.reconcile_failures.clone(),
        );
        registry.register(
            "allmende_operator_drift_repaired",
            "Objects of others' changes put right",
            metrics.drift_repaired.clone(),
        );
        registry.register(
            "allmende_operator_writes",
            "Accepted writes to the cluster",
            metrics.writes.clone(),
        );
        registry.register(
            "allmende_operator_streams_ended",
            "Streams of the desired state that ended, by reason",
            metrics.streams_ended.clone(),
        );
        registry.register("allmende_operator_leader", "1 while this process leads", metrics.leader.clone());
        metrics
    }

    /// A reconcile ended.
    pub fn reconciled(&self, controller: Controller, outcome: Outcome, took: Duration) {
        let controller = controller_label(controller);
        self.reconcile_seconds.get_or_create(&ControllerLabels { controller }).observe(took.as_secs_f64());
        self.reconciles.get_or_create(&OutcomeLabels { controller, outcome: outcome_label(outcome) }).inc();
        if let Outcome::Failed(failure) = outcome {
            let labels = FailureLabels { controller, category: failure_label(failure) };
            self.reconcile_failures.get_or_create(&labels).inc();
        }
    }

    /// How many reconciles ended so; a failure counts with all others.
    #[must_use]
    pub fn reconciles(&self, controller: Controller, outcome: Outcome) -> u64 {
        let labels =
            OutcomeLabels { controller: controller_label(controller), outcome: outcome_label(outcome) };
        self.reconciles.get_or_create(&labels).get()
    }

    /// Something that others changed or deleted was put right.
    pub fn repaired(&self, kind: &str) {
        self.drift_repaired.get_or_create(&KindLabels { kind: kind_label(kind) }).inc();
    }

    /// How often something of this kind was put right.
    #[must_use]
    pub fn repairs(&self, kind: &str) -> u64 {
        self.drift_repaired.get_or_create(&KindLabels { kind: kind_label(kind) }).get()
    }

    /// A write was accepted.
    pub fn wrote(&self, kind: &str, how: Write) {
        let how = match how {
            Write::Create => "create",
            Write::Apply => "apply",
            Write::Merge => "merge",
            Write::Status => "status",
            Write::Delete => "delete",
        };
        self.writes.get_or_create(&WriteLabels { kind: kind_label(kind), how }).inc();
    }

    /// A stream of the desired state ended.
    pub fn stream_ended(&self, end: StreamEnd) {
        self.streams_ended.get_or_create(&StreamEndLabels { reason: stream_end_label(end) }).inc();
    }

    /// How many streams ended so.
    #[must_use]
    pub fn streams_ended(&self, end: StreamEnd) -> u64 {
        self.streams_ended.get_or_create(&StreamEndLabels { reason: stream_end_label(end) }).get()
    }

    /// The API server answered a list.
    pub fn listed(&self, now: Timestamp) {
        self.last_list.store(now.as_second(), Ordering::Relaxed);
    }

    /// Time since the API server last answered a list; `None` before the first.
    #[must_use]
    pub fn list_age(&self, now: Timestamp) -> Option<SignedDuration> {
        let last = Timestamp::from_second(self.last_list.load(Ordering::Relaxed)).ok()?;
        Some(now.duration_since(last))
    }
}

fn controller_label(controller: Controller) -> &'static str {
    match controller {
        Controller::Tenant => "tenant",
        Controller::Instance => "instance",
    }
}

fn stream_end_label(end: StreamEnd) -> &'static str {
    match end {
        StreamEnd::Api => "api",
        StreamEnd::StoreBehind => "store-behind",
        StreamEnd::OlderStore => "older-store",
        StreamEnd::BeforeSnapshot => "before-snapshot",
        StreamEnd::OtherStore => "other-store",
        StreamEnd::Snapshot => "snapshot",
        StreamEnd::Cluster => "cluster",
        StreamEnd::Silent => "silent",
        StreamEnd::Closed => "closed",
        StreamEnd::NotLeader => "not-leader",
    }
}

fn outcome_label(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::Waiting => "waiting",
        Outcome::Ending => "ending",
        Outcome::Failed(_) => "failed",
        Outcome::Interrupted => "interrupted",
    }
}

fn failure_label(failure: Failure) -> &'static str {
    match failure {
        Failure::Of(category) => category_label(category),
        Failure::Release => "release",
        Failure::TenantNotReady => "tenant-not-ready",
    }
}

fn category_label(category: Category) -> &'static str {
    match category {
        Category::Invalid => "invalid",
        Category::Taken => "taken",
        Category::Conflict => "conflict",
        Category::Refused => "refused",
        Category::Transient => "transient",
        Category::TimedOut => "timed-out",
    }
}

/// Keeps the set of label values closed.
fn kind_label(kind: &str) -> &'static str {
    const KINDS: [&str; 11] = [
        "Namespace",
        "ResourceQuota",
        "LimitRange",
        "NetworkPolicy",
        "RoleBinding",
        "ServiceAccount",
        "Secret",
        "ConfigMap",
        "PersistentVolumeClaim",
        "Tenant",
        "ServiceInstance",
    ];
    KINDS.into_iter().find(|known| *known == kind).unwrap_or("other")
}
