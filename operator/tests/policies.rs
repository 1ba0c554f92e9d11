//! What the policies must let through: people and Kubernetes go on with their work.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod cluster;
mod walls;

use serde_json::json;
use walls::{
    ask::{Ask, Who},
    objects::{named, pod, service},
    yard::{OTHER, OWN, OWN_SERVICES, Yard, core},
};

#[tokio::test]
async fn administrators_members_and_kubernetes_go_on_with_their_work() {
    let yard = Yard::open().await;
    let namespaces = "/api/v1/namespaces?dryRun=All";
    let plain = |labels| named("v1", "Namespace", "plain", json!({"metadata": {"labels": labels}}));
    let team = named("v1", "Namespace", OWN, json!({"metadata": {"labels": {"team": "a"}}}));
    let ops = json!([{"op": "add", "path": "/metadata/labels/team", "value": "a"}]);
    let pull = named(
        "v1",
        "ServiceAccount",
        "default",
        json!({
            "automountServiceAccountToken": false, "imagePullSecrets": [{"name": "second"}],
        }),
    );
    let pulls = json!([{"op": "add", "path": "/imagePullSecrets", "value": [{"name": "second"}]}]);
    let catalogue = pod("db", |pod| pod["spec"]["containers"][0]["imagePullPolicy"] = json!("IfNotPresent"));
    let mut asks = vec![
        Ask::post(Who::Cluster, namespaces, &plain(json!({}))),
        // Administrators say which namespaces hold ingress controllers.
        Ask::post(Who::Cluster, namespaces, &plain(json!({"allmende.eu/namespace-kind": "ingress"}))),
        Ask::post(Who::Admin, core(OWN, "pods?dryRun=All"), &pod("mine", |_| {})),
        Ask::post(Who::Admin, core(OWN, "services?dryRun=All"), &service("mine", json!({}))),
        Ask::post(Who::Cluster, core(OWN_SERVICES, "pods?dryRun=All"), &catalogue),
        Ask::get(Who::Viewer, core(OWN, "pods")),
        Ask::get(Who::Viewer, core(OWN_SERVICES, "pods")),
        // It finishes what an allowed delete of the namespace has begun.
        Ask::delete(Who::Kubernetes, format!("/apis/allmende.eu/v1alpha1/tenants/{OTHER}?dryRun=All")),
        Ask::delete(Who::Kubernetes, core(OWN, "resourcequotas/allmende?dryRun=All")),
    ];
    asks.extend(
        Ask::patches(Who::Cluster, &format!("/api/v1/namespaces/{OWN}"), &team, &ops).iter().map(Ask::dry),
    );
    asks.extend(
        Ask::patches(Who::Admin, &core(OWN, "serviceaccounts/default"), &pull, &pulls).iter().map(Ask::dry),
    );
    for ask in &asks {
        yard.allowed(ask).await;
    }
}

#[tokio::test]
async fn our_definitions_are_deleted_on_purpose_only() {
    let yard = Yard::open().await;
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/tenants.allmende.eu";
    let slip = yard.send(&Ask::delete(Who::Cluster, format!("{path}?dryRun=All")), "slip").await;
    assert_eq!((slip.code, slip.text.contains("allow-deletion")), (403, true), "{}", slip.text);
    let meant = json!({"metadata": {"annotations": {"allmende.eu/allow-deletion": "true"}}});
    let merge = Ask::patches(Who::Cluster, path, &meant, &json!([])).remove(0);
    yard.allowed(&merge).await;
    yard.allowed(&Ask::delete(Who::Cluster, format!("{path}?dryRun=All"))).await;
}
