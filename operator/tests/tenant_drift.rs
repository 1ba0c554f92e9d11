//! What others change or delete is put right and counted, on a real API server.

mod cluster;

use cluster::{Operator, admin, create, eventually, shared, tenant, until_condition};
use k8s_openapi::api::{
    core::v1::{Namespace, ResourceQuota},
    networking::v1::NetworkPolicy,
    rbac::v1::RoleBinding,
};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::json;

#[tokio::test]
async fn a_deleted_quota_comes_back_and_is_counted() {
    let kubernetes = shared().await;
    let operator = Operator::start(kubernetes, "operator-quota").await;
    let api = create(kubernetes, &tenant("m-quota-prod", |_| {})).await;
    until_condition(&api, "m-quota-prod", "Ready", "True", "Converged").await;
    let quotas: Api<ResourceQuota> = Api::namespaced(admin(kubernetes).await, "m-quota-prod");
    let before = quotas.get("allmende").await.unwrap().metadata.uid;
    quotas.delete("allmende", &DeleteParams::default()).await.unwrap();
    eventually("the quota is back", async || {
        quotas.get_opt("allmende").await.unwrap().is_some_and(|quota| quota.metadata.uid != before)
    })
    .await;
    eventually("the repair is counted", async || operator.metrics.repairs("ResourceQuota") == 1).await;
    until_condition(&api, "m-quota-prod", "Ready", "True", "Converged").await;
}

#[tokio::test]
async fn a_raised_quota_falls_back_to_what_is_paid() {
    let kubernetes = shared().await;
    let operator = Operator::start(kubernetes, "operator-raised").await;
    let api = create(kubernetes, &tenant("m-raise-prod", |_| {})).await;
    until_condition(&api, "m-raise-prod", "Ready", "True", "Converged").await;
    let quotas: Api<ResourceQuota> = Api::namespaced(admin(kubernetes).await, "m-raise-prod");
    let more = json!({"spec": {"hard": {"requests.cpu": "64"}}});
    quotas.patch("allmende", &PatchParams::default(), &Patch::Merge(more)).await.unwrap();
    eventually("the quota is as reserved", async || {
        quotas.get("allmende").await.unwrap().spec.unwrap().hard.unwrap()["requests.cpu"].0 == "2"
    })
    .await;
    eventually("the repair is counted", async || operator.metrics.repairs("ResourceQuota") == 1).await;
}

#[tokio::test]
async fn an_opened_network_policy_is_closed_again() {
    let kubernetes = shared().await;
    let operator = Operator::start(kubernetes, "operator-policy").await;
    let api = create(kubernetes, &tenant("m-net-prod", |_| {})).await;
    until_condition(&api, "m-net-prod", "Ready", "True", "Converged").await;
    let policies: Api<NetworkPolicy> = Api::namespaced(admin(kubernetes).await, "m-net-prod");
    let as_built = policies.get("allmende").await.unwrap().spec;
    let open = json!({"spec": {"ingress": [{}]}});
    policies.patch("allmende", &PatchParams::default(), &Patch::Merge(open)).await.unwrap();
    eventually("the policy is closed", async || policies.get("allmende").await.unwrap().spec == as_built)
        .await;
    eventually("the repair is counted", async || operator.metrics.repairs("NetworkPolicy") == 1).await;
}

#[tokio::test]
async fn a_label_that_was_taken_away_comes_back() {
    let kubernetes = shared().await;
    let operator = Operator::start(kubernetes, "operator-label").await;
    let api = create(kubernetes, &tenant("m-label-prod", |_| {})).await;
    until_condition(&api, "m-label-prod", "Ready", "True", "Converged").await;
    let namespaces: Api<Namespace> = Api::all(admin(kubernetes).await);
    let labels = ["allmende.eu/managed-by", "pod-security.kubernetes.io/enforce"];
    for label in labels {
        let without = json!({"metadata": {"labels": {label: null}}});
        namespaces.patch("m-label-prod", &PatchParams::default(), &Patch::Merge(without)).await.unwrap();
        eventually(&format!("{label} is back"), async || {
            namespaces.get("m-label-prod").await.unwrap().metadata.labels.unwrap().contains_key(label)
        })
        .await;
    }
    eventually("the repairs are counted", async || operator.metrics.repairs("Namespace") == 2).await;
}

#[tokio::test]
async fn a_group_that_lost_its_role_loses_its_rights() {
    let kubernetes = shared().await;
    let _operator = Operator::start(kubernetes, "operator-rights").await;
    let api = create(kubernetes, &tenant("m-right-prod", |_| {})).await;
    until_condition(&api, "m-right-prod", "Ready", "True", "Converged").await;
    let bindings: Api<RoleBinding> = Api::namespaced(admin(kubernetes).await, "m-right-prod");
    assert!(bindings.get_opt("allmende:workspace-admin").await.unwrap().is_some());
    let order =
        json!({"spec": {"groupBindings": [{"group": "g", "role": "viewer"}], "desired": {"generation": 2}}});
    api.patch("m-right-prod", &PatchParams::default(), &Patch::Merge(order)).await.unwrap();
    until_condition(&api, "m-right-prod", "Ready", "True", "Converged").await;
    assert!(bindings.get_opt("allmende:workspace-admin").await.unwrap().is_none());
    assert!(bindings.get_opt("allmende:workspace-viewer").await.unwrap().is_some());
}
