//! Quota accounts.

use allmende_domain::{
    account::QuotaAccount,
    quota::{
        level::Fill,
        shown::{NamespaceQuota, ShownQuota},
        trend::Forecast,
    },
    resources::{AmountError, Resources},
};
use allmende_proto::v1;

use super::{fields::time, resources};
use crate::app::{
    holdings::{ClusterUsage, TenantUsage},
    quota::PoolPart,
};

/// An account as the member sees it.
pub fn write(account: &QuotaAccount, etag: String) -> Result<v1::Entitlement, AmountError> {
    let over = account.over()?;
    Ok(v1::Entitlement {
        name: format!("members/{}/entitlements/{}", account.member, account.cluster),
        guaranteed: Some(resources::write(&account.guaranteed)),
        lent: Some(resources::write(&account.lent()?)),
        borrowed: Some(resources::write(&account.borrowed()?)),
        reserved: Some(resources::write(&account.reserved()?)),
        available: Some(resources::write(&account.available()?)),
        resolution: account.resolution.clone(),
        etag,
        recalled: Some(resources::write(&account.recalled()?)),
        decided: account.target.as_ref().map(|target| resources::write(&target.guaranteed)),
        over: over.as_ref().map(|over| resources::write(&over.amounts)),
        resolve_by: over.map(|over| over.resolve_by.to_string()).unwrap_or_default(),
    })
}

/// The pool with its sums.
pub fn pool(parts: &[PoolPart]) -> Result<v1::Pool, AmountError> {
    let sum = |of: fn(&PoolPart) -> &Resources| Resources::sum(parts.iter().map(of));
    Ok(v1::Pool {
        clusters: parts.iter().map(part).collect(),
        capacity: Some(resources::write(&sum(|part| &part.cluster.capacity)?)),
        carved: Some(resources::write(&sum(|part| &part.cluster.carved)?)),
        reserved: Some(resources::write(&sum(|part| &part.reserved)?)),
    })
}

fn part(part: &PoolPart) -> v1::ClusterPool {
    v1::ClusterPool {
        cluster: format!("clusters/{}", part.cluster.id),
        capacity: Some(resources::write(&part.cluster.capacity)),
        carved: Some(resources::write(&part.cluster.carved)),
        reserved: Some(resources::write(&part.reserved)),
        members: i32::try_from(part.members).unwrap_or(i32::MAX),
    }
}

/// What a member has on one cluster.
pub fn usage(usage: &ClusterUsage) -> Result<v1::ClusterUsage, AmountError> {
    Ok(v1::ClusterUsage {
        entitlement: Some(write(&usage.account.value, usage.account.etag())?),
        used: Some(resources::write(&usage.used)),
        tenants: usage.tenants.iter().map(tenant).collect(),
        outlook: usage.outlook.iter().map(outlook).collect(),
    })
}

fn tenant(tenant: &TenantUsage) -> v1::TenantUsage {
    let namespaces = tenant.shown.iter().flat_map(|shown| &shown.namespaces);
    v1::TenantUsage {
        tenant: tenant.tenant.clone(),
        workspace: Some(resources::write(&tenant.workspace)),
        services: Some(resources::write(&tenant.services)),
        namespaces: namespaces.map(namespace).collect(),
        change_time: tenant.shown.as_ref().map(|ShownQuota { change_time, .. }| time(*change_time)),
    }
}

fn namespace((name, quota): (&String, &NamespaceQuota)) -> v1::NamespaceQuota {
    v1::NamespaceQuota {
        namespace: name.clone(),
        hard: Some(resources::write(&quota.hard)),
        used: Some(resources::write(&quota.used)),
    }
}

fn outlook((fill, forecast): &(Fill, Forecast)) -> v1::ResourceOutlook {
    v1::ResourceOutlook {
        resource: fill.resource.clone(),
        limit: fill.limit,
        reserved: fill.reserved,
        per_mille: fill.per_mille(),
        growth: forecast.growth,
        growth_days: i32::try_from(forecast.days).unwrap_or(i32::MAX),
        full_on: forecast.full_on.map(|day| day.to_string()).unwrap_or_default(),
    }
}
