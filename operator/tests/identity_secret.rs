//! Where the operator keeps its own certificate, its chart lets it write that one secret outside the namespaces it manages, and no other.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cluster;
mod walls;

use allmende_testkit::kubernetes::TestKubernetes;
use cluster::{admin, install_definitions};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client,
    api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams},
};
use serde_json::json;
use walls::chart;

fn secret(name: &str) -> Secret {
    Secret { metadata: ObjectMeta { name: Some(name.into()), ..Default::default() }, ..Default::default() }
}

#[tokio::test]
async fn the_operator_writes_its_own_identity_and_no_other_secret_of_its_namespace() {
    let kubernetes = TestKubernetes::start().await;
    install_definitions(&kubernetes, |_| {}).await;
    chart::install(&kubernetes, &chart::chart().join("tests/managed.yaml")).await;
    let theirs: Api<Secret> = Api::namespaced(admin(&kubernetes).await, chart::NAMESPACE);
    for name in ["cluster-identity", "registry-password"] {
        theirs.create(&PostParams::default(), &secret(name)).await.unwrap();
    }
    let operator =
        Client::try_from(kubernetes.config_for(chart::OPERATOR, "system:serviceaccounts").await).unwrap();
    let own: Api<Secret> = Api::namespaced(operator, chart::NAMESPACE);
    let change = Patch::Merge(json!({"stringData": {"tls.crt": "x"}}));
    own.patch("cluster-identity", &PatchParams::default(), &change).await.unwrap();
    let refused = |outcome: Result<(), kube::Error>| {
        let is = matches!(&outcome, Err(kube::Error::Api(status)) if status.code == 403);
        assert!(is, "{outcome:?}");
    };
    refused(own.patch("registry-password", &PatchParams::default(), &change).await.map(drop));
    refused(own.create(&PostParams::default(), &secret("another")).await.map(drop));
    refused(own.delete("cluster-identity", &DeleteParams::default()).await.map(drop));
}
