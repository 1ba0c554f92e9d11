//! Reads what the spec points at. Client required.

use allmende_crds::{ServiceInstance, names};
use k8s_openapi::api::core::v1::{Namespace, Secret, ServiceAccount};
use kube::{Api, Client, ResourceExt};

use super::Error;

/// What was found.
#[derive(Debug)]
pub struct Found {
    /// The services namespace.
    pub namespace: String,
    /// The instance's secret, when it was made before.
    pub credentials: Option<Secret>,
    /// The binding in the workspace.
    pub binding: Option<Secret>,
}

/// Name of the instance's secret in the services namespace.
pub fn credentials_name(instance: &str) -> String {
    format!("{instance}-credentials")
}

/// Whether a namespace is there and not on its way out.
///
/// # Errors
/// When the API server does not answer.
pub async fn namespace_is_active(client: &Client, name: &str) -> Result<bool, Error> {
    let read = Error::cluster(format!("read Namespace {name}"));
    let namespace = Api::<Namespace>::all(client.clone()).get_opt(name).await.map_err(read)?;
    Ok(namespace.is_some_and(|namespace| namespace.metadata.deletion_timestamp.is_none()))
}

/// Reads namespace, account and secrets.
///
/// # Errors
/// [`Error::ServicesNotReady`] while the tenant's side is on its way.
pub async fn dereference(client: &Client, instance: &ServiceInstance) -> Result<Found, Error> {
    let namespace = instance.namespace().unwrap_or_default();
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), &namespace);
    let ready = namespace_is_active(client, &namespace).await?
        && accounts
            .get_opt(names::RELEASE_ACCOUNT)
            .await
            .map_err(Error::cluster("read the release account"))?
            .is_some();
    if !ready {
        return Err(Error::ServicesNotReady(namespace));
    }
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &namespace);
    let read = |place: &str| not_ready_or(place.to_owned(), "read the secrets of the instance");
    let credentials =
        secrets.get_opt(&credentials_name(&instance.spec.instance)).await.map_err(read(&namespace))?;
    let workspace: Api<Secret> = Api::namespaced(client.clone(), &instance.spec.namespace);
    let binding =
        workspace.get_opt(&instance.spec.binding_secret).await.map_err(read(&instance.spec.namespace))?;
    Ok(Found { namespace, credentials, binding })
}

/// The operator handles secrets by a binding that the tenant's reconcile makes last; until the API server knows of it, it refuses.
fn not_ready_or(namespace: String, action: &'static str) -> impl FnOnce(kube::Error) -> Error {
    move |error| match &error {
        kube::Error::Api(status) if status.code == 403 => {
            tracing::info!(namespace, answer = status.message, "no right to the secrets yet");
            Error::ServicesNotReady(namespace)
        }
        _ => Error::cluster(action)(error),
    }
}
