//! What the preflight of a cluster found: kept as its last word, shown to the cooperative, and the ground for what tenants are told.

use std::collections::BTreeMap;

use allmende_domain::{
    ids::ClusterId,
    preflight::{Isolation, PreflightReport},
};
use allmende_proto::v1;
use allmende_store::{Commit, Store, Txn, keys};
use jiff::Timestamp;

use super::Clusters;
use crate::{context::Context, convert, error::AppError};

/// Two reports of one cluster at once: the later look wins.
const ATTEMPTS: usize = 8;

impl Clusters {
    /// Keeps a report, unless a later look is known. The caller has authorised.
    ///
    /// # Errors
    /// All wrong fields at once; a cluster that is not registered.
    pub(super) async fn keep_preflight(
        &self,
        context: &Context,
        id: &ClusterId,
        request: &v1::ReportObservationsRequest,
    ) -> Result<(), AppError> {
        let Some(message) = &request.preflight else { return Ok(()) };
        let report = convert::preflight::read(id, message, context.now)?;
        if self.core.store.find(&keys::cluster(id)).await?.is_none() {
            return Err(AppError::not_found(&request.name));
        }
        let key = keys::preflight(id);
        for _ in 0..ATTEMPTS {
            let found = self.core.store.find(&key).await?;
            if found.as_ref().is_some_and(|found| !report.is_news_after(&found.value)) {
                return Ok(());
            }
            let txn = Txn::new().expect_as_read(&key, found.as_ref()).put(&key, &report);
            match self.core.store.commit(txn).await? {
                Commit::Committed(_) => return Ok(()),
                Commit::Conflict => {}
            }
        }
        Err(AppError::Contention)
    }

    /// The last report of a cluster. The caller has authorised.
    pub(super) async fn preflight_of(&self, id: &ClusterId) -> Result<Option<PreflightReport>, AppError> {
        Ok(self.core.store.find(&keys::preflight(id)).await?.map(|found| found.value))
    }
}

/// What is known of the isolation on one cluster.
pub(crate) async fn isolation(
    store: &Store,
    cluster: &ClusterId,
    now: Timestamp,
) -> Result<Isolation, AppError> {
    let report = store.find(&keys::preflight(cluster)).await?;
    Ok(Isolation::of(report.as_ref().map(|report| &report.value), now))
}

/// The same of all clusters that were ever looked at.
pub(crate) async fn isolations(
    store: &Store,
    now: Timestamp,
) -> Result<BTreeMap<ClusterId, Isolation>, AppError> {
    let (reports, _) = store.snapshot(&keys::preflights()).await?;
    let of = |report: &PreflightReport| (report.cluster.clone(), Isolation::of(Some(report), now));
    Ok(reports.iter().map(|report| of(&report.value)).collect())
}
