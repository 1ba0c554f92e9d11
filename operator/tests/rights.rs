//! The operator with the rights and under the admission policies that its chart gives, and not as an administrator.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod cluster;
mod walls;

use allmende_testkit::kubernetes::TestKubernetes;
use cluster::{Operator, admin, eventually, install_definitions, tenant, until_condition};
use k8s_openapi::api::{
    core::v1::{Namespace, ServiceAccount},
    rbac::v1::RoleBinding,
};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::json;
use walls::chart;

async fn start() -> (TestKubernetes, Operator) {
    let kubernetes = TestKubernetes::start().await;
    install_definitions(&kubernetes, |_| {}).await;
    chart::install(&kubernetes, &chart::chart().join("tests/default.yaml")).await;
    let operator = Operator::start_in(&kubernetes, chart::OPERATOR, "system:serviceaccounts").await;
    (kubernetes, operator)
}

#[tokio::test]
async fn the_charts_rights_are_enough_for_the_whole_life_of_a_tenant() {
    let (kubernetes, operator) = start().await;
    let both = tenant("m-own-prod", |object| {
        object["spec"]["services"] = json!(true);
        object["spec"]["groupBindings"] =
            json!([{"group": "g:admin", "role": "admin"}, {"group": "g:viewer", "role": "viewer"}]);
    });
    let api = Api::all(operator.client.clone());
    api.create(&PostParams::default(), &both).await.unwrap();
    until_condition(&api, "m-own-prod", "Ready", "True", "Converged").await;

    let client = admin(&kubernetes).await;
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "m-own-prod");
    assert_eq!(accounts.get("default").await.unwrap().automount_service_account_token, Some(false));
    let fewer = json!({"spec": {"groupBindings": [], "desired": {"generation": 2}}});
    api.patch("m-own-prod", &PatchParams::default(), &Patch::Merge(fewer)).await.unwrap();
    until_condition(&api, "m-own-prod", "Ready", "True", "Converged").await;

    let record = json!({"spec": {"desired": {"deleting": true, "generation": 3}}});
    api.patch("m-own-prod", &PatchParams::default(), &Patch::Merge(record)).await.unwrap();
    api.delete("m-own-prod", &DeleteParams::default()).await.unwrap();
    eventually("the tenant is gone", async || api.get_opt("m-own-prod").await.unwrap().is_none()).await;
    let namespaces: Api<Namespace> = Api::all(client);
    assert!(namespaces.get_opt("m-own-prod").await.unwrap().is_none());

    // The canaries are to be refused, and they alone.
    let refused: Vec<_> = kubernetes
        .audit()
        .into_iter()
        .filter(|entry| entry.user == operator.user && entry.code == 403 && entry.resource != "rolebindings")
        .collect();
    assert_eq!(refused, [], "the operator lacks a right that it uses");
    let canaries = kubernetes
        .audit()
        .into_iter()
        .filter(|entry| entry.user == operator.user && entry.code == 403 && entry.name == "allmende-canary");
    assert_eq!(canaries.count(), 2, "one for each namespace");
}

#[tokio::test]
async fn nobody_gets_rights_while_the_policies_do_not_hold() {
    let (kubernetes, operator) = start().await;
    let client = admin(&kubernetes).await;
    let api = Api::all(operator.client.clone());
    let before = tenant("m-before-prod", |_| {});
    api.create(&PostParams::default(), &before).await.unwrap();
    until_condition(&api, "m-before-prod", "Ready", "True", "Converged").await;
    chart::remove_binding(&client, "allmende-operator-rights").await;
    let everybody: RoleBinding = serde_json::from_value(json!({
        "metadata": {"name": "x"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:authenticated"}],
    }))
    .unwrap();
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let there: Api<RoleBinding> = Api::namespaced(client.clone(), "m-before-prod");
    eventually("the policy acts no more", async || there.create(&dry_run, &everybody).await.is_ok()).await;

    api.create(&PostParams::default(), &tenant("m-open-prod", |_| {})).await.unwrap();
    let bindings: Api<RoleBinding> = Api::namespaced(client.clone(), "m-open-prod");
    let open = until_condition(&api, "m-open-prod", "Ready", "False", "WallsNotProven").await;
    assert!(open.status.unwrap().message.contains("policies"), "it says what to look at");
    assert!(bindings.list(&Default::default()).await.unwrap().items.is_empty(), "rights were given");

    chart::restore(&kubernetes, &chart::chart().join("tests/default.yaml"));
    until_condition(&api, "m-open-prod", "Ready", "True", "Converged").await;
    assert_eq!(bindings.list(&Default::default()).await.unwrap().items.len(), 1);
}
