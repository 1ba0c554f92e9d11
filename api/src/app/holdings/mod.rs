//! What is held of the pool and how full it is: for a member what it has and uses, tenant by tenant; for the cooperative how much each
//! holds, and not what for.

mod keeper;
mod metrics;
mod watch;

use std::collections::BTreeMap;

use allmende_domain::{
    account::QuotaAccount,
    ids::{ClusterId, MemberId},
    period::day_in_berlin,
    quota::{
        level::{Fill, fills},
        shown::ShownQuota,
        trend::{Forecast, QuotaHistory},
    },
    resources::{AmountError, Resources},
};
use allmende_store::{Versioned, keys};

pub use keeper::HoldingsKeeper;
pub use metrics::HoldingsMetrics;
pub use watch::LevelStream;

use crate::{authz::Scope, context::Context, core::Core, error::AppError};

/// Use cases over what is held.
#[derive(Clone)]
pub struct Holdings {
    /// Shared parts.
    pub core: Core,
    /// Of the keeper.
    pub metrics: HoldingsMetrics,
}

/// What a member has on one cluster.
#[derive(Debug)]
pub struct ClusterUsage {
    /// The account.
    pub account: Versioned<QuotaAccount>,
    /// Sum of what the tenants use.
    pub used: Resources,
    /// By tenant's resource name.
    pub tenants: Vec<TenantUsage>,
    /// How full each resource is, and where it is heading.
    pub outlook: Vec<(Fill, Forecast)>,
}

/// What a tenant has.
#[derive(Debug, Default)]
pub struct TenantUsage {
    /// `members/{member}/tenants/{tenant}`.
    pub tenant: String,
    /// Reserved for the workspace.
    pub workspace: Resources,
    /// Reserved for the instances.
    pub services: Resources,
    /// What the cluster shows.
    pub shown: Option<ShownQuota>,
}

impl Holdings {
    /// What a member has and uses, by cluster.
    ///
    /// # Errors
    /// NOT_FOUND, also where the caller may not know of it.
    pub async fn usage(
        &self,
        context: &Context,
        (member, cluster): (&MemberId, Option<&ClusterId>),
        name: &str,
    ) -> Result<Vec<ClusterUsage>, AppError> {
        self.core.authorizer.require(context, Scope::Member(member, name)).await?;
        let store = &self.core.store;
        let accounts = match cluster {
            None => store.snapshot(&keys::accounts(member)).await?.0,
            Some(cluster) => {
                let missing = || AppError::not_found(format!("{name}/entitlements/{cluster}"));
                vec![store.find(&keys::account(member, cluster)).await?.ok_or_else(missing)?]
            }
        };
        let shown = store.snapshot(&keys::shown_quotas(member)).await?.0;
        let histories = store.snapshot(&keys::quota_histories(member)).await?.0;
        let today = day_in_berlin(context.now)?;
        let mut all = Vec::new();
        for account in accounts {
            let cluster = &account.value.cluster;
            let tenants = tenants(
                &account.value,
                shown.iter().map(|row| &row.value).filter(|shown| shown.cluster == *cluster),
            )?;
            let history = histories.iter().map(|row| &row.value).find(|history| history.cluster == *cluster);
            let none = QuotaHistory::empty(member.clone(), cluster.clone());
            let history = history.unwrap_or(&none);
            let outlook = fills(&account.value)?.into_iter().map(|fill| {
                let forecast = history.forecast(&fill, today);
                (fill, forecast)
            });
            let outlook = outlook.collect();
            let mut used = Resources::ZERO;
            for shown in tenants.iter().filter_map(|tenant| tenant.shown.as_ref()) {
                used = used.checked_add(shown.used()?)?;
            }
            all.push(ClusterUsage { account, used, tenants, outlook });
        }
        Ok(all)
    }
}

/// The holders of an account by tenant, with what the cluster shows of each.
fn tenants<'a>(
    account: &QuotaAccount,
    shown: impl Iterator<Item = &'a ShownQuota>,
) -> Result<Vec<TenantUsage>, AmountError> {
    let mut all: BTreeMap<&str, TenantUsage> = BTreeMap::new();
    for (holder, amounts) in &account.holders {
        let (tenant, is_instance) = match holder.split_once("/instances/") {
            Some((tenant, _)) => (tenant, true),
            None => (holder.as_str(), false),
        };
        let entry = all.entry(tenant).or_default();
        tenant.clone_into(&mut entry.tenant);
        let slot = if is_instance { &mut entry.services } else { &mut entry.workspace };
        *slot = slot.checked_add(amounts)?;
    }
    for shown in shown {
        let name = allmende_domain::tenant::name(&shown.member, &shown.tenant);
        // What holds nothing here any more is on its way out.
        if let Some(entry) = all.get_mut(name.as_str()) {
            entry.shown = Some(shown.clone());
        }
    }
    Ok(all.into_values().collect())
}
