//! The operator with the rights and under the admission policies that its chart gives, and not as an administrator.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod cluster;

use std::{
    path::Path,
    process::{Command, Stdio},
};

use allmende_testkit::{etcd::tool, kubernetes::TestKubernetes};
use cluster::{Operator, admin, create, eventually, install_definitions, tenant, until_condition};
use k8s_openapi::api::core::v1::{Namespace, ResourceQuota};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::json;

const NAMESPACE: &str = "allmende-system";

/// Installs roles and policies of the chart, rendered by Helm, and returns the operator's user.
async fn install_rights(kubernetes: &TestKubernetes) -> String {
    let namespaces: Api<Namespace> = Api::all(admin(kubernetes).await);
    let own = serde_json::from_value(json!({"metadata": {"name": NAMESPACE}})).unwrap();
    namespaces.create(&PostParams::default(), &own).await.unwrap();
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/allmende-operator");
    let rendered = Command::new(tool("helm"))
        .args(["template", "allmende-operator"])
        .arg(&chart)
        .args(["--namespace", NAMESPACE, "--values"])
        .arg(chart.join("tests/default.yaml"))
        .args([
            "-s",
            "templates/rbac.yaml",
            "-s",
            "templates/member-roles.yaml",
            "-s",
            "templates/policies.yaml",
        ])
        .output()
        .unwrap();
    assert!(rendered.status.success(), "{}", String::from_utf8_lossy(&rendered.stderr));
    let file = kubernetes.folder().join("rights.yaml");
    std::fs::write(&file, rendered.stdout).unwrap();
    let applied = Command::new(tool("kubectl"))
        .arg("--kubeconfig")
        .arg(kubernetes.kubeconfig())
        .args(["apply", "--namespace", NAMESPACE, "-f"])
        .arg(&file)
        .stdout(Stdio::null())
        .output()
        .unwrap();
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    format!("system:serviceaccount:{NAMESPACE}:allmende-operator")
}

#[tokio::test]
async fn the_charts_rights_are_enough_for_the_whole_life_of_a_tenant() {
    let kubernetes = TestKubernetes::start().await;
    install_definitions(&kubernetes, |_| {}).await;
    let user = install_rights(&kubernetes).await;
    let operator = Operator::start_in(&kubernetes, &user, "system:serviceaccounts").await;
    let both = tenant("m-own-prod", |object| {
        object["spec"]["services"] = json!(true);
        object["spec"]["groupBindings"] =
            json!([{"group": "g:admin", "role": "admin"}, {"group": "g:viewer", "role": "viewer"}]);
    });
    let api = create(&kubernetes, &both).await;
    until_condition(&api, "m-own-prod", "Ready", "True", "Converged").await;

    let client = admin(&kubernetes).await;
    let quotas: Api<ResourceQuota> = Api::namespaced(client.clone(), "m-own-prod");
    quotas.delete("allmende", &DeleteParams::default()).await.unwrap();
    eventually("the quota is back", async || quotas.get_opt("allmende").await.unwrap().is_some()).await;

    let fewer = json!({"spec": {"groupBindings": [], "desired": {"generation": 2}}});
    api.patch("m-own-prod", &PatchParams::default(), &Patch::Merge(fewer)).await.unwrap();
    until_condition(&api, "m-own-prod", "Ready", "True", "Converged").await;

    let record = json!({"spec": {"desired": {"deleting": true, "generation": 3}}});
    api.patch("m-own-prod", &PatchParams::default(), &Patch::Merge(record)).await.unwrap();
    api.delete("m-own-prod", &DeleteParams::default()).await.unwrap();
    eventually("the tenant is gone", async || api.get_opt("m-own-prod").await.unwrap().is_none()).await;
    let namespaces: Api<Namespace> = Api::all(client);
    assert!(namespaces.get_opt("m-own-prod").await.unwrap().is_none());

    let refused: Vec<_> = kubernetes
        .audit()
        .into_iter()
        .filter(|entry| entry.user == operator.user && entry.code == 403)
        .collect();
    assert_eq!(refused, [], "the operator lacks a right that it uses");
}
