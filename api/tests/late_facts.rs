//! Facts that come late: after the next order, or after the deletion, they still count, and only what was asked for counts.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use allmende_domain::usage::{FactKind, LifecycleFact};
use allmende_proto::v1::{
    self, cluster_service_client::ClusterServiceClient, follow_desired_state_response::Event,
    lifecycle_fact::Kind, tenant_service_client::TenantServiceClient,
    usage_service_client::UsageServiceClient,
};
use allmende_store::{Store, StoreConfig, keys};
use sha2::{Digest, Sha256};
use support::{Api, CLUSTER, LEMGO, amounts, tenant_request};

const TENANT: &str = "members/m-05766044/tenants/prod";

/// Uid, store id and epoch of the only object.
async fn followed(api: &Api) -> (String, String, u64) {
    let mut client = ClusterServiceClient::new(api.channel(CLUSTER));
    let request = v1::FollowDesiredStateRequest { name: "clusters/local-1".into(), ..Default::default() };
    let mut stream = client.follow_desired_state(request).await.unwrap().into_inner();
    let message = stream.message().await.unwrap().unwrap();
    let Some(Event::SnapshotObject(object)) = message.event else { panic!("one object: {message:?}") };
    (object.uid, message.store_id, message.epoch)
}

async fn resize(api: &Api, cpus: i64) {
    let tenant =
        v1::Tenant { name: TENANT.into(), workspace_quota: Some(amounts(cpus)), ..Default::default() };
    let mask = prost_types::FieldMask { paths: vec!["workspace_quota".into()] };
    let request =
        v1::UpdateTenantRequest { tenant: Some(tenant), update_mask: Some(mask), ..Default::default() };
    TenantServiceClient::new(api.channel(LEMGO)).update_tenant(request).await.unwrap();
}

#[tokio::test]
async fn a_size_that_was_in_force_counts_also_when_it_is_told_after_the_deletion() {
    let api = Api::start().await;
    api.furnished().await;
    let mut tenants = TenantServiceClient::new(api.channel(LEMGO));
    tenants.create_tenant(tenant_request(2)).await.unwrap();
    let (uid, store_id, epoch) = followed(&api).await;
    resize(&api, 3).await;
    resize(&api, 4).await;
    let request = v1::DeleteTenantRequest { name: TENANT.into(), ..Default::default() };
    tenants.delete_tenant(request).await.unwrap();

    let fact = |kind: Kind, text: &str, generation: u64| v1::LifecycleFact {
        id: hex::encode(Sha256::digest(format!("{uid} {text} {generation}"))),
        subject: TENANT.into(),
        uid: uid.clone(),
        kind: kind.into(),
        generation,
        occur_time: Some(prost_types::Timestamp { seconds: 1_795_514_400, nanos: 0 }),
    };
    let facts = vec![
        fact(Kind::Resized, "RESIZED", 2),
        fact(Kind::Resized, "RESIZED", 3),
        fact(Kind::Resized, "RESIZED", 9),
    ];
    let ids: Vec<String> = facts.iter().map(|fact| fact.id.clone()).collect();
    let request = v1::ReportFactsRequest {
        name: "clusters/local-1".into(),
        store_id,
        epoch,
        facts,
        ..Default::default()
    };
    let answer =
        UsageServiceClient::new(api.channel(CLUSTER)).report_facts(request).await.unwrap().into_inner();
    assert_eq!(answer.acknowledged_ids, ids[..2], "one that was overtaken, and the last one");
    assert_eq!(answer.refused_ids, ids[2..], "nobody asked for that generation");

    let store = Store::connect(&StoreConfig::new(vec![api.etcd.endpoint()])).await.unwrap();
    let (rows, _) = store.snapshot(&keys::facts(&"m-05766044".parse().unwrap())).await.unwrap();
    let told: Vec<LifecycleFact> =
        rows.into_iter().map(|row| row.value).filter(|fact| fact.kind == FactKind::Resized).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].generation, told[0].amounts.cpu_milli), (3, 4000));
}
