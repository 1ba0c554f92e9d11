//! The end of an instance: release, volumes, secrets; only where a DELETING record allows it. Tolerates what is gone already.

use allmende_crds::{ServiceInstance, names};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams},
};

use super::{
    Error, Tools,
    dereference::{credentials_name, namespace_is_active},
};
use crate::helm::Target;

/// Cleans up and lets the object go. A spec that no longer validates does not stand in the way: it is not looked at.
///
/// # Errors
/// When the cluster or Helm refuses; tried again.
pub async fn cleanup(tools: &Tools, instance: &ServiceInstance) -> Result<(), Error> {
    let namespace = instance.namespace().unwrap_or_default();
    let name = &instance.spec.instance;
    let applier = &tools.context.applier;
    // In a namespace that terminates Helm could write nothing, and everything goes with the namespace.
    if namespace_is_active(&tools.client(), &namespace).await? {
        applier.check_leads()?;
        let target = Target { namespace: namespace.clone(), release: name.clone() };
        tools.backend.uninstall(&target).await?;
        applier.check_leads()?;
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(tools.client(), &namespace);
        let of_release = ListParams::default().labels(&format!("app.kubernetes.io/instance={name}"));
        claims
            .delete_collection(&DeleteParams::default(), &of_release)
            .await
            .map_err(Error::cluster("delete the volume claims of the release"))?;
        delete(tools, &namespace, &credentials_name(name)).await?;
    }
    // With a workspace that ends, its secrets and the operator's right to them go.
    let workspace = &instance.spec.namespace;
    if namespace_is_active(&tools.client(), workspace).await? {
        delete(tools, workspace, &instance.spec.binding_secret).await?;
    }
    let rest: Vec<String> =
        instance.finalizers().iter().filter(|finalizer| *finalizer != names::FINALIZER).cloned().collect();
    let api: Api<ServiceInstance> = Api::namespaced(tools.client(), &namespace);
    applier.set_finalizers(&api, instance, &rest).await?;
    Ok(())
}

async fn delete(tools: &Tools, namespace: &str, name: &str) -> Result<(), Error> {
    let api: Api<Secret> = Api::namespaced(tools.client(), namespace);
    let read = Error::cluster(format!("read Secret {name}"));
    if let Some(found) = api.get_opt(name).await.map_err(read)? {
        tools.context.applier.delete(&api, &found).await?;
    }
    Ok(())
}
