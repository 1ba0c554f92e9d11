//! The API server of the test kit.

use std::time::Duration;

use allmende_testkit::kubernetes::TestKubernetes;
use k8s_openapi::api::core::v1::{Namespace, ResourceQuota};
use kube::{Api, Client, api::PostParams};
use serde_json::json;

#[tokio::test]
async fn quotas_are_enforced_and_writes_are_counted_per_user() {
    let kubernetes = TestKubernetes::start().await;
    let client = Client::try_from(kubernetes.config_for("somebody", "system:masters").await).unwrap();
    let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": "place"}})).unwrap();
    Api::all(client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
    let quota: ResourceQuota =
        serde_json::from_value(json!({"metadata": {"name": "quota"}, "spec": {"hard": {"pods": "3"}}}))
            .unwrap();
    let quotas: Api<ResourceQuota> = Api::namespaced(client, "place");
    quotas.create(&PostParams::default(), &quota).await.unwrap();
    tokio::time::timeout(Duration::from_secs(60), async {
        while quotas.get("quota").await.unwrap().status.and_then(|status| status.hard).is_none() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .expect("the quota controller fills status.hard");
    let writes: Vec<String> =
        kubernetes.writes_of("somebody").into_iter().map(|entry| entry.resource).collect();
    assert_eq!(writes, ["namespaces", "resourcequotas"]);
}
