//! Everything of the cluster that an escape could change, to be compared before and after.

use std::collections::BTreeMap;

use futures::{StreamExt, stream};
use kube::Client;
use serde_json::Value;

const CORE: [&str; 12] = [
    "namespaces",
    "resourcequotas",
    "limitranges",
    "serviceaccounts",
    "secrets",
    "services",
    "endpoints",
    "pods",
    "configmaps",
    "persistentvolumeclaims",
    "persistentvolumes",
    "nodes",
];
const GROUPS: [&str; 19] = [
    "allmende.eu/v1alpha1/tenants",
    "allmende.eu/v1alpha1/serviceinstances",
    "networking.k8s.io/v1/networkpolicies",
    "networking.k8s.io/v1/ingresses",
    "rbac.authorization.k8s.io/v1/roles",
    "rbac.authorization.k8s.io/v1/rolebindings",
    "rbac.authorization.k8s.io/v1/clusterroles",
    "rbac.authorization.k8s.io/v1/clusterrolebindings",
    "discovery.k8s.io/v1/endpointslices",
    "coordination.k8s.io/v1/leases",
    "certificates.k8s.io/v1/certificatesigningrequests",
    "apiextensions.k8s.io/v1/customresourcedefinitions",
    "admissionregistration.k8s.io/v1/validatingadmissionpolicies",
    "admissionregistration.k8s.io/v1/validatingadmissionpolicybindings",
    "admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
    "apiregistration.k8s.io/v1/apiservices",
    "storage.k8s.io/v1/storageclasses",
    "scheduling.k8s.io/v1/priorityclasses",
    "apps/v1/deployments",
];

/// Each object by its path, without what Kubernetes counts up by itself.
pub type State = BTreeMap<String, Value>;

/// Reads it.
pub async fn read(client: &Client) -> State {
    let core = CORE.iter().map(|kind| (format!("/api/v1/{kind}"), *kind));
    let groups = GROUPS.iter().map(|kind| (format!("/apis/{kind}"), *kind));
    let lists: Vec<State> = stream::iter(core.chain(groups))
        .map(async |(path, kind)| list(client, &path, kind).await)
        .buffer_unordered(8)
        .collect()
        .await;
    lists.into_iter().flatten().collect()
}

async fn list(client: &Client, path: &str, kind: &str) -> State {
    let request = http::Request::get(path).body(Vec::new()).unwrap();
    let mut list: Value = client.request(request).await.unwrap();
    let items = list["items"].take();
    let items = items.as_array().cloned().unwrap_or_default();
    items.into_iter().map(|item| known(kind, item)).filter(|(name, _)| !is_volatile(name)).collect()
}

fn known(kind: &str, mut item: Value) -> (String, Value) {
    let metadata = &mut item["metadata"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let name = format!("{kind} {}/{}", text(&metadata["namespace"]), text(&metadata["name"]));
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.remove("managedFields");
        metadata.remove("resourceVersion");
    }
    (name, item)
}

/// What the API server renews for itself.
fn is_volatile(name: &str) -> bool {
    name.contains("leases kube-system/apiserver-") || name.contains("apiservices ")
}

/// What differs, by name.
pub fn changes(before: &State, after: &State) -> Vec<String> {
    let names = before.keys().chain(after.keys()).collect::<std::collections::BTreeSet<_>>();
    names.into_iter().filter(|name| before.get(*name) != after.get(*name)).cloned().collect()
}
