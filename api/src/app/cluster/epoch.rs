//! The epoch of the store: raised after a restore, so that clusters take the older state for the valid one, and only then.

use allmende_proto::v1;
use allmende_store::{StoreIdentity, Txn, keys};

use super::Clusters;
use crate::{authz::Scope, context::Context, convert::fields::Fields, error::AppError};

/// How far above its own a store's epoch may be raised at once: a slip of the finger must not use the numbers up.
const STEP_MAX: u64 = 1000;

impl Clusters {
    /// Raises the store's epoch and gives it a new id, then ends all streams. Streams of other processes end with their next bookmark.
    ///
    /// # Errors
    /// Refusal; no reason; an epoch out of reach.
    pub async fn raise_epoch(
        &self,
        context: &Context,
        request: &v1::RaiseStoreEpochRequest,
    ) -> Result<StoreIdentity, AppError> {
        let change = self.core.change(context, Scope::Cooperative, request).await?;
        let raised = self
            .core
            .commit(&change, || async {
                let (present, _) = self.core.store.present().await?;
                check(request, &present.value)?;
                let next = present.value.raised(request.above_epoch);
                let head = self.core.store.find(&keys::audit_head(None)).await?;
                let goes_on = head.map_or_else(String::new, |head| {
                    let head = head.value.head;
                    format!("; das Protokoll geht nach Nr. {} ({}) weiter", head.sequence, head.digest)
                });
                let summary = format!("Epoche {} → {}{goes_on}", present.value.epoch, next.epoch);
                let audit = change.audit(context.row.rpc, None, "store", summary, request.reason.trim());
                Ok((Txn::new().expect_unchanged(&present).put(&present.key, &next).and(audit), next))
            })
            .await?;
        if !change.validate_only {
            tracing::warn!(epoch = raised.epoch, "the store's epoch was raised: all streams begin anew");
            self.streams.end_all();
        }
        Ok(raised)
    }
}

fn check(request: &v1::RaiseStoreEpochRequest, own: &StoreIdentity) -> Result<(), AppError> {
    let mut fields = Fields::new();
    if request.reason.trim().is_empty() {
        fields.wrong("reason", "is needed: which backup was put back, and why");
    }
    let most = own.epoch.saturating_add(STEP_MAX);
    if request.above_epoch > most {
        fields.wrong("above_epoch", format!("must be at most {most}"));
    }
    fields.finish(Some(()))
}
