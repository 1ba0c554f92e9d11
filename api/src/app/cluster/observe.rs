//! What the operator program of a cluster saw. Its word is limited: it speaks only for what is placed on its cluster.

use std::collections::BTreeMap;

use allmende_domain::{
    cluster::ClusterSeen,
    ids::{ClusterId, MemberId, OperationId, Uid},
    observation::{Observation, ObservationRefusal, Phase},
    quota::shown::ShownQuota,
    tenant::Tenant,
};
use allmende_proto::v1::{self, refused_observation::ReasonCode};
use allmende_store::{Commit, Txn, Versioned, keys};

use super::Clusters;
use crate::{authz::Scope, context::Context, convert, error::AppError, names};

/// Conflicts with orders of the same member: the observation is applied to the newer state.
const ATTEMPTS: usize = 8;

/// What became of one observation.
pub(super) enum Taken {
    /// Stored, or nothing was new.
    Yes,
    /// Not stored.
    Refused(ReasonCode),
    /// Something changed meanwhile: read again.
    Conflict,
}

impl From<ObservationRefusal> for Taken {
    fn from(refusal: ObservationRefusal) -> Self {
        Self::Refused(match refusal {
            ObservationRefusal::OtherUid => ReasonCode::OtherUid,
            ObservationRefusal::OldGeneration => ReasonCode::OldGeneration,
            // The contract has no word of its own for it: such a generation is nowhere to be found.
            ObservationRefusal::UnknownGeneration => ReasonCode::NotFound,
            ObservationRefusal::NotDeleting => ReasonCode::NotDeleting,
        })
    }
}

impl From<Commit> for Taken {
    fn from(commit: Commit) -> Self {
        match commit {
            Commit::Committed(_) => Self::Yes,
            Commit::Conflict => Self::Conflict,
        }
    }
}

impl Clusters {
    /// Takes observations, each by itself; answers with the refused ones.
    ///
    /// # Errors
    /// When the cluster is not the caller's, the store is another one, or the store fails.
    pub async fn observe(
        &self,
        context: &Context,
        id: &ClusterId,
        request: &v1::ReportObservationsRequest,
    ) -> Result<Vec<v1::RefusedObservation>, AppError> {
        self.core.authorizer.require(context, Scope::Cluster(id, &request.name)).await?;
        self.core.must_be_our_store(&request.name, &request.store_id, request.epoch).await?;
        self.note_sign_of_life(context, id).await?;
        self.keep_preflight(context, id, request).await?;
        let (mut refused, mut orphans) = (Vec::new(), BTreeMap::new());
        for message in &request.observations {
            if let Some(reason) = self.observe_one(context, id, message, &mut orphans).await? {
                refused.push(v1::RefusedObservation { name: message.name.clone(), reason: reason.into() });
            }
        }
        self.note_orphans(context, id, &orphans).await?;
        Ok(refused)
    }

    async fn observe_one(
        &self,
        context: &Context,
        id: &ClusterId,
        message: &v1::Observation,
        orphans: &mut BTreeMap<String, Uid>,
    ) -> Result<Option<ReasonCode>, AppError> {
        let Some(observation) = convert::cluster::read_observation(message) else {
            return Ok(Some(ReasonCode::NotFound));
        };
        if observation.phase == Phase::Orphan {
            tracing::warn!(cluster = %id, object = message.name, uid = %observation.uid, "orphan: on the cluster and not in our state; nothing is deleted");
            if names::instance(&message.name).is_err() && names::tenant(&message.name).is_err() {
                return Ok(Some(ReasonCode::NotFound));
            }
            orphans.insert(message.name.clone(), observation.uid);
            return Ok(None);
        }
        for _ in 0..ATTEMPTS {
            let taken = if let Ok((member, tenant, instance)) = names::instance(&message.name) {
                self.observe_instance(context, id, (&member, &tenant, &instance), &observation).await?
            } else if let Ok((member, tenant)) = names::tenant(&message.name) {
                self.observe_tenant(context, id, (&member, &tenant), &observation).await?
            } else {
                Taken::Refused(ReasonCode::NotFound)
            };
            match taken {
                Taken::Yes => return Ok(None),
                Taken::Refused(reason) => return Ok(Some(reason)),
                Taken::Conflict => {}
            }
        }
        Err(AppError::Contention)
    }

    async fn observe_tenant(
        &self,
        context: &Context,
        id: &ClusterId,
        (member, tenant): (&MemberId, &allmende_domain::ids::TenantId),
        observation: &Observation,
    ) -> Result<Taken, AppError> {
        let found = self.core.store.find(&keys::tenant(member, tenant)).await?;
        let Some(found) = found.filter(|found| found.value.cluster == *id) else {
            return Ok(Taken::Refused(ReasonCode::NotFound));
        };
        let next = match found.value.observed(observation) {
            Ok(next) => next,
            Err(refusal) => return Ok(refusal.into()),
        };
        let operation = self.observe_operation(context, member, &found.value.operation, observation).await?;
        if observation.phase == Phase::Gone {
            return self.tenant_gone(context, &found, operation).await;
        }
        let shown = self.observe_quotas(context, &found.value, observation).await?;
        self.store_if_new(&found, next, operation.and(shown)).await
    }

    /// The part of the transaction that keeps what the quotas show; empty when nothing is new. Namespaces that are not the tenant's are
    /// not believed.
    async fn observe_quotas(
        &self,
        context: &Context,
        tenant: &Tenant,
        observation: &Observation,
    ) -> Result<Txn, AppError> {
        let workspace = tenant.namespace();
        let services = format!("{workspace}-svc");
        let own = |name: &String| *name == workspace || *name == services;
        let told = ShownQuota {
            member: tenant.member.clone(),
            tenant: tenant.id.clone(),
            uid: tenant.uid.clone(),
            cluster: tenant.cluster.clone(),
            generation: observation.generation,
            namespaces: observation.quotas.clone().into_iter().filter(|(name, _)| own(name)).collect(),
            change_time: context.now,
        };
        if told.namespaces.is_empty() {
            return Ok(Txn::new());
        }
        let key = keys::shown_quota(&tenant.member, &tenant.id);
        let found = self.core.store.find(&key).await?;
        Ok(match ShownQuota::updated(found.as_ref().map(|found| &found.value), told) {
            Some(next) => Txn::new().expect_as_read(&key, found.as_ref()).put(&key, &next),
            None => Txn::new(),
        })
    }

    async fn observe_instance(
        &self,
        context: &Context,
        id: &ClusterId,
        (member, tenant, instance): (
            &MemberId,
            &allmende_domain::ids::TenantId,
            &allmende_domain::ids::InstanceId,
        ),
        observation: &Observation,
    ) -> Result<Taken, AppError> {
        let found = self.core.store.find(&keys::instance(member, tenant, instance)).await?;
        let Some(found) = found.filter(|found| found.value.cluster == *id) else {
            return Ok(Taken::Refused(ReasonCode::NotFound));
        };
        let next = match found.value.observed(observation) {
            Ok(next) => next,
            Err(refusal) => return Ok(refusal.into()),
        };
        let operation = self.observe_operation(context, member, &found.value.operation, observation).await?;
        if observation.phase == Phase::Gone {
            return self.instance_gone(context, &found, operation).await;
        }
        self.store_if_new(&found, next, operation).await
    }

    /// The part of the transaction that takes the operation further; empty when nothing is new.
    async fn observe_operation(
        &self,
        context: &Context,
        member: &MemberId,
        id: &OperationId,
        observation: &Observation,
    ) -> Result<Txn, AppError> {
        let key = keys::operation(member, id);
        let Some(found) = self.core.store.find(&key).await? else { return Ok(Txn::new()) };
        let next = found.value.observed(observation, context.now);
        if next == found.value {
            Ok(Txn::new())
        } else {
            Ok(Txn::new().expect_unchanged(&found).put(&key, &next))
        }
    }

    async fn store_if_new<T: allmende_store::Record + PartialEq>(
        &self,
        found: &Versioned<T>,
        next: T,
        operation: Txn,
    ) -> Result<Taken, AppError> {
        let txn = if next == found.value {
            operation
        } else {
            operation.expect_unchanged(found).put(&found.key, &next)
        };
        if txn.is_empty() {
            return Ok(Taken::Yes);
        }
        Ok(self.core.store.commit(txn).await?.into())
    }

    /// Notes that the operator was heard; once a minute is enough.
    async fn note_sign_of_life(&self, context: &Context, id: &ClusterId) -> Result<(), AppError> {
        let key = keys::seen(id);
        let found = self.core.store.find(&key).await?;
        if found
            .as_ref()
            .is_some_and(|f| context.now.as_second().saturating_sub(f.value.last_seen.as_second()) < 60)
        {
            return Ok(());
        }
        let mut next = seen(found.as_ref(), id, context);
        next.last_seen = context.now;
        // A lost race means that somebody else noted it.
        self.core.store.commit(Txn::new().expect_as_read(&key, found.as_ref()).put(&key, &next)).await?;
        Ok(())
    }

    /// Keeps orphans for people to see, with one entry in the audit for all that are new. Their names are the cluster's word, so no member's
    /// chain gets it.
    async fn note_orphans(
        &self,
        context: &Context,
        id: &ClusterId,
        orphans: &BTreeMap<String, Uid>,
    ) -> Result<(), AppError> {
        if orphans.is_empty() {
            return Ok(());
        }
        self.change_seen(context, id, |seen| {
            let next =
                orphans.iter().fold(seen.clone(), |seen, (name, uid)| seen.with_orphan(name, uid.clone()));
            let new: Vec<&str> = next
                .orphans
                .keys()
                .filter(|name| !seen.orphans.contains_key(*name))
                .map(String::as_str)
                .collect();
            let told =
                (!new.is_empty()).then(|| format!("{} verwaist gemeldet: {}", new.len(), new.join(", ")));
            (next, told)
        })
        .await
    }

    /// The operator begins anew, and tells all its orphans again.
    pub(super) async fn forget_orphans(&self, context: &Context, id: &ClusterId) -> Result<(), AppError> {
        self.change_seen(context, id, |seen| (ClusterSeen { orphans: BTreeMap::new(), ..seen.clone() }, None))
            .await
    }

    /// Changes what was heard of a cluster; with a text, the audit gets it too.
    async fn change_seen(
        &self,
        context: &Context,
        id: &ClusterId,
        change: impl Fn(&ClusterSeen) -> (ClusterSeen, Option<String>),
    ) -> Result<(), AppError> {
        let key = keys::seen(id);
        for _ in 0..ATTEMPTS {
            let found = self.core.store.find(&key).await?;
            let present = seen(found.as_ref(), id, context);
            let (next, told) = change(&present);
            if next == present {
                return Ok(());
            }
            let mut txn = Txn::new().expect_as_read(&key, found.as_ref()).put(&key, &next);
            if let Some(told) = told {
                txn = txn.and(context.audit_report(None, &format!("clusters/{id}"), told)?);
            }
            if let Commit::Committed(_) = self.core.store.commit(txn).await? {
                return Ok(());
            }
        }
        Err(AppError::Contention)
    }
}

/// What was heard of a cluster so far.
fn seen(found: Option<&Versioned<ClusterSeen>>, id: &ClusterId, context: &Context) -> ClusterSeen {
    found.map_or_else(|| ClusterSeen::first(id.clone(), context.now), |found| found.value.clone())
}
