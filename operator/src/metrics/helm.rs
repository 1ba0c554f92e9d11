//! Metrics of Helm runs.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

use crate::helm::Class;

/// What a run is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Asks for the revisions.
    History,
    /// First run.
    Install,
    /// Later run.
    Upgrade,
    /// Way back after an interrupted run.
    Rollback,
    /// Removal.
    Uninstall,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RunLabels {
    verb: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerbLabels {
    verb: &'static str,
}

/// Clones share the numbers.
#[derive(Debug, Clone)]
pub struct HelmMetrics {
    runs: Family<RunLabels, Counter>,
    seconds: Family<VerbLabels, Histogram, fn() -> Histogram>,
}

impl HelmMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            runs: Family::default(),
            // A tenth of a second for a question up to about an hour for the longest upgrade with its way back.
            seconds: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.1, 2.0, 17))),
        };
        registry.register(
            "allmende_operator_helm_runs",
            "Runs of Helm by verb and outcome",
            metrics.runs.clone(),
        );
        registry.register(
            "allmende_operator_helm_run_seconds",
            "Duration of runs of Helm by verb",
            metrics.seconds.clone(),
        );
        metrics
    }

    /// A run ended; without a class it did what was asked.
    pub fn ran(&self, verb: Verb, failure: Option<Class>, took: Duration) {
        let verb = verb_label(verb);
        self.runs.get_or_create(&RunLabels { verb, outcome: outcome_label(failure) }).inc();
        self.seconds.get_or_create(&VerbLabels { verb }).observe(took.as_secs_f64());
    }

    /// How many runs of this verb ended so.
    #[must_use]
    pub fn runs(&self, verb: Verb, failure: Option<Class>) -> u64 {
        let labels = RunLabels { verb: verb_label(verb), outcome: outcome_label(failure) };
        self.runs.get_or_create(&labels).get()
    }
}

fn verb_label(verb: Verb) -> &'static str {
    match verb {
        Verb::History => "history",
        Verb::Install => "install",
        Verb::Upgrade => "upgrade",
        Verb::Rollback => "rollback",
        Verb::Uninstall => "uninstall",
    }
}

fn outcome_label(failure: Option<Class>) -> &'static str {
    match failure {
        None => "succeeded",
        Some(Class::Failed) => "failed",
        Some(Class::TimedOut) => "timed-out",
        Some(Class::Interrupted) => "interrupted",
        Some(Class::NotStarted) => "not-started",
    }
}
