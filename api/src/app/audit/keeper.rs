//! Writes counted refusals and seals entries, every few seconds. Every replica of the API has one; the compares of the head let one of
//! them win.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use allmende_domain::{
    audit::{AuditEntry, Refused},
    ids::MemberId,
};
use allmende_evidence::SigningKey;
use allmende_store::{Commit, Txn, keys};
use jiff::Timestamp;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::{AuditMetrics, Audits, Refusals, Sealer, archive::Mover};
use crate::{
    core::{Core, fresh},
    error::AppError,
};

/// Pause between two passes.
const EVERY: Duration = Duration::from_secs(2);
/// Entries of one transaction.
const REFUSALS_AT_ONCE: usize = 8;

/// See the module.
#[derive(Clone)]
pub struct Keeper {
    core: Core,
    refusals: Refusals,
    metrics: AuditMetrics,
    sealer: Option<Sealer>,
    mover: Arc<Mutex<Mover>>,
}

impl Keeper {
    pub(super) fn new(audits: &Audits, key: Option<Arc<SigningKey>>) -> Self {
        let core = audits.core.clone();
        let sealer = key.map(|key| Sealer::new(core.clone(), key));
        let (refusals, metrics) = (audits.refusals.clone(), audits.metrics.clone());
        Self { core, refusals, metrics, sealer, mover: Arc::default() }
    }

    /// Passes until `stop`. What was refused since is written by [`finish`](Self::finish), once no call is under way any more.
    pub async fn run(self, stop: CancellationToken) {
        if self.sealer.is_none() {
            tracing::warn!("no key for the audit: entries are written, and neither sealed nor signed");
        }
        while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
            if let Err(error) = self.pass(false).await {
                self.metrics.error();
                tracing::warn!(?error, "the audit's keeper could not go on");
            }
        }
    }

    /// Writes every refusal that is still counted, and seals.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn finish(&self) -> Result<(), AppError> {
        self.pass(true).await
    }

    /// One pass; with `all`, also refusals of the running minute that were told once already.
    ///
    /// # Errors
    /// When the store fails: what was not written is written by the next pass.
    pub async fn pass(&self, all: bool) -> Result<(), AppError> {
        self.write_refusals(all).await?;
        if let Some(sealer) = &self.sealer {
            // Each batch that was sealed may leave another.
            loop {
                let sealed = sealer.seal().await?;
                self.metrics.sealed(sealed);
                if sealed == 0 {
                    break;
                }
            }
        }
        self.measure().await?;
        let moved = self.mover.lock().await.step(&self.core).await?;
        self.metrics.moved(moved);
        Ok(())
    }

    async fn write_refusals(&self, all: bool) -> Result<(), AppError> {
        let now = self.core.clock.now();
        let due = self.refusals.take_due(now, all);
        let mut exists = BTreeMap::new();
        for batch in due.chunks(REFUSALS_AT_ONCE) {
            if let Err(error) = self.write(batch, now, &mut exists).await {
                // Of this batch and all behind it: nothing is lost but time. An outcome that is unknown may count twice, never not.
                batch.iter().for_each(|refused| self.refusals.give_back(refused.clone()));
                return Err(error);
            }
            self.metrics.refused(batch.iter().map(|refused| refused.attempts.count).sum());
        }
        Ok(())
    }

    async fn write(
        &self,
        batch: &[Refused],
        now: Timestamp,
        exists: &mut BTreeMap<MemberId, bool>,
    ) -> Result<(), AppError> {
        let mut txn = Txn::new();
        for refused in batch {
            let member = match &refused.member {
                Some(member) if self.is_member(member, exists).await? => Some(member.clone()),
                _ => None,
            };
            let entry = entry(refused, member, now)?;
            txn = txn.audit(&keys::audit(now, &entry.actor, &entry.request_id), entry);
        }
        match self.core.store.commit(txn).await? {
            Commit::Committed(_) => Ok(()),
            Commit::Conflict => Err(AppError::Contention),
        }
    }

    /// A random id has no chain: only of members that exist do attempts go into the member's own.
    async fn is_member(
        &self,
        member: &MemberId,
        known: &mut BTreeMap<MemberId, bool>,
    ) -> Result<bool, AppError> {
        if let Some(exists) = known.get(member) {
            return Ok(*exists);
        }
        let exists = self.core.store.find(&keys::member(member)).await?.is_some();
        known.insert(member.clone(), exists);
        Ok(exists)
    }

    async fn measure(&self) -> Result<(), AppError> {
        let oldest = self.core.store.oldest(&keys::audit_all(), 1).await?;
        let age = oldest
            .first()
            .map_or(0, |row| self.core.clock.now().as_second().saturating_sub(row.value.at.as_second()));
        self.metrics.unsealed(age);
        Ok(())
    }
}

fn entry(refused: &Refused, member: Option<MemberId>, now: Timestamp) -> Result<AuditEntry, AppError> {
    Ok(AuditEntry {
        member,
        summary: format!("{} abgewiesen", refused.attempts.count),
        refused: Some(refused.attempts.clone()),
        ..AuditEntry::done(now, &refused.principal, "", &refused.rpc, &refused.target, fresh()?)
    })
}
