//! Lifecycle facts of a cluster. Amounts and ends come from our own records; the cluster adds when a thing became ready, within bounds.

use allmende_domain::{
    cluster::ClusterSeen,
    ids::ClusterId,
    usage::{FactKind, LifecycleFact},
};
use allmende_proto::v1;
use allmende_store::{Commit, Txn, keys};
use jiff::Timestamp;

use super::{Usages, fact_of_instance, fact_of_tenant};
use crate::{authz::Scope, context::Context, error::AppError, names};

/// Conflicts with a closing period or with an order: decided anew.
const ATTEMPTS: usize = 8;

/// What became of one fact.
enum Taken {
    Acknowledged,
    Refused,
}

/// The tenant or instance a fact is about, as far as a fact needs it.
struct Subject {
    fact: LifecycleFact,
    accepted: Timestamp,
    /// The generations that our record's amounts are of: from the one that asked for them to the present one.
    amounts_of: std::ops::RangeInclusive<u64>,
    /// Written with the fact.
    txn: Txn,
}

fn kind_in_words(kind: FactKind) -> &'static str {
    match kind {
        FactKind::Ready => "Bereit",
        FactKind::Resized => "Neue Größe",
        FactKind::Ended => "Ende",
        FactKind::Gone => "Entfernt",
    }
}

impl Usages {
    /// Takes facts, each counted once, and moves the watermark forward.
    ///
    /// # Errors
    /// When the cluster is not the caller's, the store is another one, or the store fails: then nothing is acknowledged.
    pub async fn report(
        &self,
        context: &Context,
        id: &ClusterId,
        request: &v1::ReportFactsRequest,
    ) -> Result<v1::ReportFactsResponse, AppError> {
        self.core.authorizer.require(context, Scope::Cluster(id, &request.name)).await?;
        self.core.must_be_our_store(&request.name, &request.store_id, request.epoch).await?;
        let mut answer = v1::ReportFactsResponse::default();
        for fact in &request.facts {
            match self.take(context, id, fact).await? {
                Taken::Acknowledged => answer.acknowledged_ids.push(fact.id.clone()),
                Taken::Refused => answer.refused_ids.push(fact.id.clone()),
            }
        }
        let watermark = request.watermark.as_ref().and_then(|w| Timestamp::new(w.seconds, w.nanos).ok());
        let held = self.advance(context, id, watermark).await?;
        answer.watermark = held.map(crate::convert::fields::time);
        Ok(answer)
    }

    async fn take(
        &self,
        context: &Context,
        id: &ClusterId,
        message: &v1::LifecycleFact,
    ) -> Result<Taken, AppError> {
        for _ in 0..ATTEMPTS {
            let Some(subject) = self.subject(context, id, message).await? else { return Ok(Taken::Refused) };
            let fact = subject.fact;
            if fact.id != message.id {
                return Ok(Taken::Refused);
            }
            let key = keys::fact(&fact.member, &fact.id);
            // A size that nobody has asked for. READY counts in any generation: a store that was put back may know only an earlier one.
            if fact.kind == FactKind::Resized && fact.generation > *subject.amounts_of.end() {
                return Ok(Taken::Refused);
            }
            // Nothing to store: known before, no effect on money, or amounts that have been overtaken by a later order. A later generation
            // that asked for something else, a deletion above all, does not overtake them.
            let stale = fact.kind == FactKind::Resized && fact.generation < *subject.amounts_of.start();
            if stale || fact.kind == FactKind::Gone || self.core.store.find(&key).await?.is_some() {
                return Ok(Taken::Acknowledged);
            }
            let (fact, period) = self.in_open_period(fact, subject.accepted, context).await?;
            let told = format!(
                "{} ab {} angenommen, Generation {}",
                kind_in_words(fact.kind),
                fact.occurred,
                fact.generation
            );
            let audit = context.audit_report(Some(&fact.member), &message.subject, told)?;
            let txn = subject.txn.and(period).expect_absent(&key).put(&key, &fact).and(audit);
            if let Commit::Committed(_) = self.core.store.commit(txn).await? {
                return Ok(Taken::Acknowledged);
            }
        }
        Err(AppError::Contention)
    }

    /// Bounds the time (not before accepted, not after received), and moves a late fact to the beginning of the next open period.
    async fn in_open_period(
        &self,
        mut fact: LifecycleFact,
        accepted: Timestamp,
        context: &Context,
    ) -> Result<(LifecycleFact, Txn), AppError> {
        fact.occurred = fact.occurred.clamp(accepted.min(context.now), context.now);
        let mut period = allmende_domain::period::Period::of_time(fact.occurred)?;
        loop {
            let key = keys::period(period);
            let state = self.core.store.find(&key).await?;
            if state.as_ref().is_none_or(|state| !state.value.closed) {
                return Ok((fact, Txn::new().expect_as_read(&key, state.as_ref())));
            }
            period = period.following()?;
            fact.occurred = period.start()?;
        }
    }

    async fn subject(
        &self,
        context: &Context,
        id: &ClusterId,
        message: &v1::LifecycleFact,
    ) -> Result<Option<Subject>, AppError> {
        let kind = match v1::lifecycle_fact::Kind::try_from(message.kind) {
            Ok(v1::lifecycle_fact::Kind::Ready) => FactKind::Ready,
            Ok(v1::lifecycle_fact::Kind::Resized) => FactKind::Resized,
            Ok(v1::lifecycle_fact::Kind::Gone) => FactKind::Gone,
            Ok(v1::lifecycle_fact::Kind::Unspecified) | Err(_) => return Ok(None),
        };
        let at = message.occur_time.as_ref().and_then(|t| Timestamp::new(t.seconds, t.nanos).ok());
        let occurred = at.unwrap_or(context.now);
        if let Ok((member, tenant, instance)) = names::instance(&message.subject) {
            let found = self.core.store.find(&keys::instance(&member, &tenant, &instance)).await?;
            let Some(found) = found.filter(|f| f.value.cluster == *id && f.value.uid.as_str() == message.uid)
            else {
                return Ok(None);
            };
            let value = &found.value;
            let fact = fact_of_instance(value, kind, message.generation, occurred, context.now);
            let mut next = value.clone();
            next.ready_time =
                next.ready_time.or(Some(occurred.clamp(value.create_time.min(context.now), context.now)));
            let txn = Txn::new().expect_unchanged(&found).put(&found.key, &next);
            return Ok(Some(Subject {
                fact,
                accepted: value.create_time,
                // A footprint is that of its plan, which does not change.
                amounts_of: 0..=value.generation,
                txn,
            }));
        }
        let Ok((member, tenant)) = names::tenant(&message.subject) else { return Ok(None) };
        let found = self.core.store.find(&keys::tenant(&member, &tenant)).await?;
        let Some(found) = found.filter(|f| f.value.cluster == *id && f.value.uid.as_str() == message.uid)
        else {
            return Ok(None);
        };
        let value = &found.value;
        let fact = fact_of_tenant(value, kind, message.generation, occurred, context.now);
        let txn = Txn::new().expect_unchanged(&found);
        let amounts_of = value.sized_generation..=value.generation;
        Ok(Some(Subject { fact, accepted: value.create_time, amounts_of, txn }))
    }

    async fn advance(
        &self,
        context: &Context,
        id: &ClusterId,
        watermark: Option<Timestamp>,
    ) -> Result<Option<Timestamp>, AppError> {
        let key = keys::seen(id);
        let found = self.core.store.find(&key).await?;
        let held = found.as_ref().and_then(|found| found.value.watermark);
        // Never into the future: a fast clock must not let a period close early.
        let next = watermark.map(|watermark| watermark.min(context.now)).max(held);
        if next == held {
            return Ok(held);
        }
        let mut seen =
            found.as_ref().map_or_else(|| ClusterSeen::first(id.clone(), context.now), |f| f.value.clone());
        (seen.last_seen, seen.watermark) = (context.now, next);
        match self.core.store.commit(Txn::new().expect_as_read(&key, found.as_ref()).put(&key, &seen)).await?
        {
            Commit::Committed(_) => Ok(next),
            Commit::Conflict => Ok(held),
        }
    }
}
