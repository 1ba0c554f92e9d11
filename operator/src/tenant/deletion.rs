//! The end of a tenant: only when its record says so, namespaces first, and the object when they are gone.

use allmende_crds::{ServiceInstance, Tenant, names};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, ResourceExt, api::ListParams};

use super::{status::Deletion, validate::is_ours};
use crate::{context::Context, error::Error};

/// Goes on with the deletion of a tenant whose record is being deleted. A spec that no longer is valid does not hinder it.
///
/// # Errors
/// When the API server refuses or does not answer.
pub async fn proceed(context: &Context, tenant: &Tenant) -> Result<Deletion, Error> {
    let workspace = tenant.name_any();
    let services = names::services_namespace(&workspace);
    let kept = instances_to_keep(context, &services).await?;
    if !kept.is_empty() {
        return Ok(Deletion::NotAllowed(format!(
            "service instances are not being deleted: {}",
            kept.join(", ")
        )));
    }
    let mut awaited = Vec::new();
    for name in [services, workspace] {
        if delete_namespace(context, tenant, &name).await? {
            awaited.push(name);
        }
    }
    if !awaited.is_empty() {
        return Ok(Deletion::Running(format!("waiting for the end of {}", awaited.join(" and "))));
    }
    let others: Vec<String> =
        tenant.finalizers().iter().filter(|name| *name != names::FINALIZER).cloned().collect();
    context.applier.set_finalizers(&Api::<Tenant>::all(context.client()), tenant, &others).await?;
    Ok(Deletion::Running("everything is gone".to_owned()))
}

/// Instances whose own record is not being deleted: their data must not go with the namespace.
async fn instances_to_keep(context: &Context, services: &str) -> Result<Vec<String>, Error> {
    let api: Api<ServiceInstance> = Api::namespaced(context.client(), services);
    let read = Error::cluster(format!("list the service instances of {services}"));
    let all = api.list(&ListParams::default()).await.map_err(read)?;
    Ok(all
        .items
        .into_iter()
        .filter(|instance| !instance.spec.desired.deleting)
        .map(|instance| instance.name_any())
        .collect())
}

/// Whether the namespace is still there. One that is not ours is none of this tenant's.
async fn delete_namespace(context: &Context, tenant: &Tenant, name: &str) -> Result<bool, Error> {
    let api: Api<Namespace> = Api::all(context.client());
    let Some(found) = api.get_opt(name).await.map_err(Error::cluster(format!("read namespace {name}")))?
    else {
        return Ok(false);
    };
    let spec = &tenant.spec;
    if !is_ours(&found, &spec.member, &spec.tenant, &spec.desired.name) {
        return Ok(false);
    }
    if found.metadata.deletion_timestamp.is_none() {
        context.applier.delete(&api, &found).await?;
    }
    Ok(true)
}
