//! Metrics of the worker. Labels come from the closed set of steps.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use allmende_domain::closing::Step;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepLabels {
    step: &'static str,
}

/// All metrics; clones share them.
#[derive(Debug, Clone, Default)]
pub struct BillingMetrics {
    steps: Family<StepLabels, Counter>,
    failed: Counter,
    errors: Counter,
    reaches_store: Arc<AtomicBool>,
}

impl BillingMetrics {
    /// Registers everything in `registry`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "allmende_billing_steps",
            "Steps of runs that this worker did",
            metrics.steps.clone(),
        );
        registry.register(
            "allmende_billing_runs_failed",
            "Runs ended because of their inputs",
            metrics.failed.clone(),
        );
        registry.register("allmende_billing_errors", "Passes that could not go on", metrics.errors.clone());
        metrics
    }

    /// Counts a step.
    pub fn step(&self, step: Step) {
        self.steps.get_or_create(&StepLabels { step: step.as_str() }).inc();
    }

    /// Counts a run that has failed.
    pub fn failed(&self) {
        self.failed.inc();
    }

    /// The store was reached.
    pub fn reached(&self) {
        self.reaches_store.store(true, Ordering::Relaxed);
    }

    /// Counts a pass that could not go on.
    pub fn error(&self) {
        self.errors.inc();
        self.reaches_store.store(false, Ordering::Relaxed);
    }

    /// Whether the last thing tried could be done.
    pub fn is_ready(&self) -> bool {
        self.reaches_store.load(Ordering::Relaxed)
    }
}
