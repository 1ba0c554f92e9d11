//! Reads what is there: by name, so that an object whose labels were taken away is still found.

use std::collections::BTreeMap;

use allmende_crds::{Tenant, names};
use k8s_openapi::api::{
    core::v1::{LimitRange, Namespace, ResourceQuota, ServiceAccount},
    networking::v1::NetworkPolicy,
    rbac::v1::RoleBinding,
};
use kube::{Api, Client, ResourceExt};

use super::build::OBJECT_NAME;
use crate::error::Error;

/// What was found of one namespace and in it.
#[derive(Debug, Clone, Default)]
pub struct FoundNamespace {
    /// The namespace itself.
    pub namespace: Option<Namespace>,
    /// Its quota.
    pub quota: Option<ResourceQuota>,
    /// Its defaults for containers.
    pub limits: Option<LimitRange>,
    /// Its policy.
    pub policy: Option<NetworkPolicy>,
    /// The account of pods that name none.
    pub default_account: Option<ServiceAccount>,
    /// The account that Helm runs as.
    pub account: Option<ServiceAccount>,
    /// Our bindings, by name.
    pub bindings: BTreeMap<String, RoleBinding>,
}

/// What was found of a tenant.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The member's own namespace.
    pub workspace: FoundNamespace,
    /// The namespace of services; `None` when the spec does not ask for one.
    pub services: Option<FoundNamespace>,
}

/// Reads everything that the tenant's spec concerns.
///
/// # Errors
/// When the API server does not answer.
pub async fn dereference(client: &Client, tenant: &Tenant) -> Result<Found, Error> {
    let workspace = tenant.name_any();
    let roles = [names::ROLE_WORKSPACE_ADMIN, names::ROLE_WORKSPACE_VIEWER, names::ROLE_OPERATOR_WORKSPACE];
    let found = read(client, &workspace, &roles).await?;
    let services = if tenant.spec.services {
        let roles = [names::ROLE_SERVICES_VIEWER, names::ROLE_RELEASE, names::ROLE_OPERATOR_SERVICES];
        Some(read(client, &names::services_namespace(&workspace), &roles).await?)
    } else {
        None
    };
    Ok(Found { workspace: found, services })
}

async fn read(client: &Client, name: &str, roles: &[&str]) -> Result<FoundNamespace, Error> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace =
        namespaces.get_opt(name).await.map_err(Error::cluster(format!("read namespace {name}")))?;
    // In a namespace that is not there is nothing to read.
    if namespace.is_none() {
        return Ok(FoundNamespace::default());
    }
    let contents = || Error::cluster(format!("read what is in namespace {name}"));
    let (quotas, limits) = (Api::namespaced(client.clone(), name), Api::namespaced(client.clone(), name));
    let (policies, accounts) = (Api::namespaced(client.clone(), name), Api::namespaced(client.clone(), name));
    let bindings: Api<RoleBinding> = Api::namespaced(client.clone(), name);
    let (quota, limits, policy, default_account, account, bindings) = futures::try_join!(
        quotas.get_opt(OBJECT_NAME),
        limits.get_opt(OBJECT_NAME),
        policies.get_opt(OBJECT_NAME),
        accounts.get_opt(names::DEFAULT_ACCOUNT),
        accounts.get_opt(names::RELEASE_ACCOUNT),
        futures::future::try_join_all(roles.iter().map(|role| bindings.get_opt(role))),
    )
    .map_err(contents())?;
    let bindings = bindings.into_iter().flatten().map(|binding| (binding.name_any(), binding)).collect();
    Ok(FoundNamespace { namespace, quota, limits, policy, default_account, account, bindings })
}
