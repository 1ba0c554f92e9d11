//! A backend whose runs are counted and timed, whichever it is.

use std::{sync::Arc, time::Instant};

use async_trait::async_trait;

use super::{ReleaseBackend, ReleaseError, Revision, Target, Wanted};
use crate::metrics::{HelmMetrics, Verb};

/// See the module.
pub struct Measured {
    /// Does the work.
    pub backend: Arc<dyn ReleaseBackend>,
    /// Counts it.
    pub metrics: HelmMetrics,
}

impl Measured {
    async fn measure<T>(
        &self,
        verb: Verb,
        run: impl Future<Output = Result<T, ReleaseError>> + Send,
    ) -> Result<T, ReleaseError> {
        let begun = Instant::now();
        let outcome = run.await;
        self.metrics.ran(verb, outcome.as_ref().err().map(|error| error.class), begun.elapsed());
        outcome
    }
}

#[async_trait]
impl ReleaseBackend for Measured {
    async fn history(&self, target: &Target) -> Result<Vec<Revision>, ReleaseError> {
        self.measure(Verb::History, self.backend.history(target)).await
    }

    async fn install(&self, target: &Target, wanted: &Wanted) -> Result<(), ReleaseError> {
        self.measure(Verb::Install, self.backend.install(target, wanted)).await
    }

    async fn upgrade(&self, target: &Target, wanted: &Wanted) -> Result<(), ReleaseError> {
        self.measure(Verb::Upgrade, self.backend.upgrade(target, wanted)).await
    }

    async fn rollback(&self, target: &Target, revision: i64) -> Result<(), ReleaseError> {
        self.measure(Verb::Rollback, self.backend.rollback(target, revision)).await
    }

    async fn uninstall(&self, target: &Target) -> Result<(), ReleaseError> {
        self.measure(Verb::Uninstall, self.backend.uninstall(target)).await
    }
}
