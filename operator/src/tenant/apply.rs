//! Writes what differs, in an order with a reason: closed before open, rights last and only when the quota is really enforced.

use allmende_crds::{NamespaceQuota, ResourceAmounts};
use k8s_openapi::api::{
    core::v1::{LimitRange, Namespace, ResourceQuota, ServiceAccount},
    networking::v1::NetworkPolicy,
    rbac::v1::RoleBinding,
};
use kube::{Api, Resource, ResourceExt, core::NamespaceResourceScope};
use tokio::time::Instant;

use super::{
    build::{NamespaceObjects, OBJECT_NAME, amounts, build, is_enforced},
    dereference::{Found, FoundNamespace},
    status::{Progress, Stage},
    validate::{NamespacePlan, TenantPlan},
    walls,
};
use crate::{applier::differs, context::Context, error::Error};

/// Pause between two looks at a quota that is not enforced yet.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_millis(50);

/// What is there after applying.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// The namespaces.
    pub namespaces: Vec<String>,
    /// What the workspace's quota enforces; `None` while the API server says nothing.
    pub enforced: Option<ResourceAmounts>,
    /// What is used of it.
    pub used: Option<ResourceAmounts>,
    /// What the quotas of the namespaces show: those that show anything.
    pub quotas: Vec<NamespaceQuota>,
    /// Namespaces whose quota is not enforced yet: no new rights were given in them.
    pub pending: Vec<String>,
}

/// Makes everything of the tenant as planned.
///
/// # Errors
/// When the API server refuses or does not answer; what was written stays.
pub async fn apply(
    context: &Context,
    plan: &TenantPlan,
    found: &Found,
    converged: bool,
    progress: &mut Progress,
) -> Result<Applied, Error> {
    let mut applied = Applied::default();
    let mut places = vec![(&plan.workspace, found.workspace.clone())];
    if let Some(services) = &plan.services {
        places.push((services, found.services.clone().unwrap_or_default()));
    }
    for (index, (plan, found)) in places.into_iter().enumerate() {
        let stages = if index == 0 { Stage::WORKSPACE } else { Stage::SERVICES };
        let place = Place { context, plan, found, converged };
        let quota = place.apply(stages, progress).await?;
        applied.namespaces.push(plan.name.clone());
        let status = quota.found.status.unwrap_or_default();
        let (hard, used) = (status.hard.as_ref().map(amounts), status.used.as_ref().map(amounts));
        if let (Some(hard), Some(used)) = (hard.clone(), used.clone()) {
            applied.quotas.push(NamespaceQuota { namespace: plan.name.clone(), hard, used });
        }
        if index == 0 {
            (applied.enforced, applied.used) = (hard, used);
        }
        if !quota.enforced {
            applied.pending.push(plan.name.clone());
        }
    }
    Ok(applied)
}

/// A quota as last seen.
struct SeenQuota {
    found: ResourceQuota,
    enforced: bool,
}

/// One namespace under work.
struct Place<'a> {
    context: &'a Context,
    plan: &'a NamespacePlan,
    found: FoundNamespace,
    converged: bool,
}

impl Place<'_> {
    async fn apply(&self, stages: [Stage; 4], progress: &mut Progress) -> Result<SeenQuota, Error> {
        // No `..`: a new kind of object must be placed in this order on purpose.
        let NamespaceObjects { namespace, quota, limits, policy, default_account, account, bindings } =
            build(self.plan);
        let [namespace_stage, rules_stage, quota_stage, rights_stage] = stages;
        progress.begin(namespace_stage);
        let namespaces: Api<Namespace> = Api::all(self.context.client());
        let applier = &self.context.applier;
        applier.ensure(&namespaces, &namespace, self.found.namespace.as_ref(), self.converged).await?;
        progress.done(namespace_stage);
        progress.begin(rules_stage);
        self.ensure::<ResourceQuota>(&quota, self.found.quota.as_ref()).await?;
        self.ensure::<LimitRange>(&limits, self.found.limits.as_ref()).await?;
        self.ensure::<NetworkPolicy>(&policy, self.found.policy.as_ref()).await?;
        self.take(&default_account, self.found.default_account.as_ref()).await?;
        if let Some(account) = &account {
            self.ensure::<ServiceAccount>(account, self.found.account.as_ref()).await?;
        }
        progress.done(rules_stage);
        // Rights that are no longer wanted go at once; new ones wait for the quota.
        self.prune_bindings(&bindings).await?;
        progress.begin(quota_stage);
        let seen = self.wait_for_quota(&quota).await?;
        if !seen.enforced {
            progress.wait(quota_stage, "the API server does not enforce the quota yet");
            return Ok(seen);
        }
        progress.done(quota_stage);
        progress.begin(rights_stage);
        let mut missing = Vec::new();
        for binding in &bindings {
            let found = self.found.bindings.get(&binding.name_any());
            if differs(binding, found)? {
                missing.push((binding, found));
            }
        }
        if !missing.is_empty() && self.context.policy.require_walls {
            walls::prove(&self.context.client(), &self.plan.name).await?;
        }
        for (binding, found) in missing {
            self.ensure::<RoleBinding>(binding, found).await?;
        }
        progress.done(rights_stage);
        Ok(seen)
    }

    async fn ensure<K>(&self, desired: &K, found: Option<&K>) -> Result<(), Error>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + serde::Serialize
            + serde::de::DeserializeOwned
            + Clone
            + std::fmt::Debug,
    {
        let api: Api<K> = Api::namespaced(self.context.client(), &self.plan.name);
        self.context.applier.ensure(&api, desired, found, self.converged).await.map(|_| ())
    }

    /// For what Kubernetes makes too, sooner or later.
    async fn take(&self, desired: &ServiceAccount, found: Option<&ServiceAccount>) -> Result<(), Error> {
        let api: Api<ServiceAccount> = Api::namespaced(self.context.client(), &self.plan.name);
        self.context.applier.take(&api, desired, found, self.converged).await
    }

    async fn prune_bindings(&self, wanted: &[RoleBinding]) -> Result<(), Error> {
        let api: Api<RoleBinding> = Api::namespaced(self.context.client(), &self.plan.name);
        for (name, found) in &self.found.bindings {
            if !wanted.iter().any(|binding| binding.name_any() == *name) {
                self.context.applier.delete(&api, found).await?;
            }
        }
        Ok(())
    }

    /// Looks until the quota is enforced or the time for that is over; the quota's own event starts the next reconcile.
    async fn wait_for_quota(&self, wanted: &ResourceQuota) -> Result<SeenQuota, Error> {
        if let Some(found) = &self.found.quota
            && is_enforced(wanted, found)
        {
            return Ok(SeenQuota { found: found.clone(), enforced: true });
        }
        let api: Api<ResourceQuota> = Api::namespaced(self.context.client(), &self.plan.name);
        let until = Instant::now() + self.context.policy.quota_wait();
        loop {
            let read = Error::cluster(format!("read the quota of namespace {}", self.plan.name));
            let found = api.get(OBJECT_NAME).await.map_err(read)?;
            let enforced = is_enforced(wanted, &found);
            if enforced || Instant::now() >= until {
                return Ok(SeenQuota { found, enforced });
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}
