//! The pool: entitlements are carved by the cooperative's operator, everything is read.

use allmende_domain::{
    account::QuotaAccount,
    cluster::Cluster,
    ids::{ClusterId, MemberId},
    resources::Resources,
};
use allmende_proto::v1;
use allmende_store::{Txn, Versioned, keys};

use super::{
    cluster::carve_error,
    member::check_etag,
    placement::{must_give_out, reserve_error},
};
use crate::{
    authz::Scope,
    context::Context,
    convert::{fields::Fields, resources},
    core::Core,
    error::AppError,
    pagination::{Page, PageRequest},
};

/// Use cases over the pool.
#[derive(Clone)]
pub struct Quotas {
    /// Shared parts.
    pub core: Core,
}

/// A cluster as a part of the pool.
#[derive(Debug)]
pub struct PoolPart {
    /// With its capacity and what of it is carved.
    pub cluster: Cluster,
    /// By all members.
    pub reserved: Resources,
    /// With an entitlement on it.
    pub members: usize,
}

impl Quotas {
    /// All clusters with what members hold of each: how much, not what for.
    ///
    /// # Errors
    /// Refusal.
    pub async fn pool(&self, context: &Context) -> Result<Vec<PoolPart>, AppError> {
        self.core.authorizer.require(context, Scope::Cooperative).await?;
        let (clusters, _) = self.core.store.snapshot(&keys::clusters()).await?;
        let (accounts, _) = self.core.store.snapshot(&keys::accounts_all()).await?;
        let part = |cluster: Versioned<Cluster>| {
            let here = accounts.iter().filter(|account| account.value.cluster == cluster.value.id);
            let here = here.filter(|account| !account.value.guaranteed.is_zero()).count();
            (cluster.value, here)
        };
        let mut parts: Vec<PoolPart> = Vec::new();
        for (cluster, members) in clusters.into_iter().map(part) {
            let mut reserved = Resources::ZERO;
            for account in accounts.iter().filter(|account| account.value.cluster == cluster.id) {
                reserved = reserved.checked_add(account.value.reserved()?)?;
            }
            parts.push(PoolPart { cluster, reserved, members });
        }
        Ok(parts)
    }

    /// One account.
    ///
    /// # Errors
    /// NOT_FOUND, also where the caller may not know of it.
    pub async fn get(
        &self,
        context: &Context,
        (member, cluster): (&MemberId, &ClusterId),
        name: &str,
    ) -> Result<Versioned<QuotaAccount>, AppError> {
        self.core.authorizer.require(context, Scope::Member(member, name)).await?;
        self.core.store.find(&keys::account(member, cluster)).await?.ok_or_else(|| AppError::not_found(name))
    }

    /// A member's accounts, or all of them for the cooperative.
    ///
    /// # Errors
    /// Refusal, or a page token of another list.
    pub async fn list(
        &self,
        context: &Context,
        member: Option<&MemberId>,
        name: &str,
        page: &PageRequest,
    ) -> Result<Page<Versioned<QuotaAccount>>, AppError> {
        self.core.authorizer.require(context, Scope::of(member, name)).await?;
        let range = member.map_or_else(keys::accounts_all, keys::accounts);
        self.core.page(&range, page).await
    }

    /// Carves an entitlement out of a cluster's capacity.
    ///
    /// # Errors
    /// Beyond the capacity, below what is reserved, a stale etag, all wrong fields at once.
    pub async fn set(
        &self,
        context: &Context,
        (member, cluster): (&MemberId, &ClusterId),
        request: &v1::SetEntitlementRequest,
    ) -> Result<QuotaAccount, AppError> {
        let change = self.core.change(context, Scope::Cooperative, request).await?;
        let mut fields = Fields::new();
        let guaranteed = resources::read(&mut fields, "guaranteed", request.guaranteed.as_ref());
        if request.resolution.trim().is_empty() {
            fields.wrong("resolution", "the number of the resolution (Beschluss-Nr.) is needed");
        }
        let guaranteed = fields.finish(guaranteed)?;
        let (account_key, cluster_key) = (keys::account(member, cluster), keys::cluster(cluster));
        self.core
            .commit(&change, || async {
                let store = &self.core.store;
                let unknown = || AppError::not_found(&request.name);
                let owner = store.find(&keys::member(member)).await?.ok_or_else(unknown)?;
                let place = store.find(&cluster_key).await?.ok_or_else(unknown)?;
                must_give_out(&place.value, "guaranteed.extended", &guaranteed)?;
                let found = store.find(&account_key).await?;
                if let Some(found) = &found {
                    check_etag(found, &request.etag, &request.name)?;
                }
                let before = found.as_ref().map_or_else(
                    || QuotaAccount::empty(member.clone(), cluster.clone()),
                    |found| found.value.clone(),
                );
                let carved = place
                    .value
                    .carve(&before.guaranteed, &guaranteed)
                    .map_err(|error| carve_error(cluster, error))?;
                let account = before
                    .with_guaranteed(guaranteed.clone(), &request.resolution)
                    .map_err(|error| reserve_error(member, cluster, error))?;
                let summary = format!("Anspruch {guaranteed}");
                let txn = Txn::new()
                    .expect_unchanged(&owner)
                    .expect_unchanged(&place)
                    .put(&cluster_key, &carved)
                    .expect_as_read(&account_key, found.as_ref())
                    .put(&account_key, &account)
                    .and(change.audit(
                        context.row.rpc,
                        Some(member),
                        &request.name,
                        summary,
                        &request.resolution,
                    ));
                Ok((txn, account))
            })
            .await
    }
}
