//! The end of an instance: release, volumes, secrets; only where a DELETING record allows it. Tolerates what is gone already.

use allmende_crds::{ServiceInstance, names};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams},
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
    // In a namespace that terminates Helm could write nothing, and everything goes with the namespace.
    if namespace_is_active(&tools.client, &namespace).await? {
        let target = Target { namespace: namespace.clone(), release: name.clone() };
        tools.backend.uninstall(&target).await?;
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(tools.client.clone(), &namespace);
        let of_release = ListParams::default().labels(&format!("app.kubernetes.io/instance={name}"));
        claims.delete_collection(&DeleteParams::default(), &of_release).await?;
        let secrets: Api<Secret> = Api::namespaced(tools.client.clone(), &namespace);
        delete(&secrets, &credentials_name(name)).await?;
    }
    let bindings: Api<Secret> = Api::namespaced(tools.client.clone(), &instance.spec.namespace);
    delete(&bindings, &instance.spec.binding_secret).await?;
    let api: Api<ServiceInstance> = Api::namespaced(tools.client.clone(), &namespace);
    let rest: Vec<&String> =
        instance.finalizers().iter().filter(|finalizer| *finalizer != names::FINALIZER).collect();
    let patch = serde_json::json!({
        "metadata": { "finalizers": rest, "resourceVersion": instance.resource_version() }
    });
    match api.patch(&instance.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await {
        Ok(_) => Ok(()),
        Err(error) if is_absent(&error) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

async fn delete(api: &Api<Secret>, name: &str) -> Result<(), kube::Error> {
    match api.delete(name, &DeleteParams::default()).await {
        Ok(_) => Ok(()),
        Err(error) if is_absent(&error) => Ok(()),
        Err(error) => Err(error),
    }
}

fn is_absent(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}
