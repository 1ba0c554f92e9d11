//! What a cluster tells and we take for true is in the audit with the cluster as its actor, once; what changes nothing is not.

use allmende_domain::audit::AuditEntry;
use allmende_proto::v1::{
    cluster_service_client::ClusterServiceClient, follow_desired_state_response::Event, lifecycle_fact::Kind,
    observation::Phase, tenant_service_client::TenantServiceClient, usage_service_client::UsageServiceClient,
};
use sha2::{Digest, Sha256};

use super::{Api, LEMGO, keys, store, support, v1};

const TENANT: &str = "members/m-05766044/tenants/prod";
const CLUSTER: &str = "clusters/local-1";

async fn of_cluster(api: &Api) -> Vec<AuditEntry> {
    let (rows, _) = store(api).await.snapshot(&keys::audit_all()).await.unwrap();
    rows.into_iter().map(|row| row.value).filter(|entry| entry.actor == support::CLUSTER).collect()
}

/// The one whose summary has these words: entries of one moment lie in no order.
fn with<'a>(entries: &'a [AuditEntry], words: &str) -> &'a AuditEntry {
    entries.iter().find(|entry| entry.summary.contains(words)).unwrap()
}

/// The desired tenant, and the store's id and epoch.
async fn followed(api: &Api) -> (v1::DesiredObject, String, u64) {
    let request = v1::FollowDesiredStateRequest { name: CLUSTER.into(), ..Default::default() };
    let mut client = ClusterServiceClient::new(api.channel(support::CLUSTER));
    let mut stream = client.follow_desired_state(request).await.unwrap().into_inner();
    let message = stream.message().await.unwrap().unwrap();
    let Some(Event::SnapshotObject(object)) = message.event else { panic!("one object: {message:?}") };
    (object, message.store_id, message.epoch)
}

#[tokio::test]
async fn readiness_end_and_orphans_are_audited_once_with_the_cluster_as_actor() {
    let api = Api::start().await;
    api.furnished().await;
    let mut tenants = TenantServiceClient::new(api.channel(LEMGO));
    tenants.create_tenant(support::tenant_request(2)).await.unwrap();
    let (object, store_id, epoch) = followed(&api).await;
    let before = of_cluster(&api).await.len();

    let facts = v1::ReportFactsRequest {
        name: CLUSTER.into(),
        store_id: store_id.clone(),
        epoch,
        facts: vec![v1::LifecycleFact {
            id: hex::encode(Sha256::digest(format!("{} READY {}", object.uid, object.generation))),
            subject: TENANT.into(),
            uid: object.uid.clone(),
            kind: Kind::Ready.into(),
            generation: object.generation,
            occur_time: Some(prost_types::Timestamp { seconds: 1_795_514_400, nanos: 0 }),
        }],
        ..Default::default()
    };
    let mut usage = UsageServiceClient::new(api.channel(support::CLUSTER));
    for _ in 0..2 {
        let answer = usage.report_facts(facts.clone()).await.unwrap().into_inner();
        assert_eq!(answer.acknowledged_ids.len(), 1, "{answer:?}");
    }
    let told = of_cluster(&api).await;
    assert_eq!(told.len(), before + 1, "told twice, counted once: {told:?}");
    let ready = with(&told, "Bereit");
    assert_eq!(
        (ready.action.as_str(), ready.target.as_str()),
        ("allmende.v1.UsageService/ReportFacts", TENANT)
    );
    assert_eq!(ready.member.as_ref().unwrap().as_str(), "m-05766044", "in the member's chain");
    assert!(ready.summary.starts_with("Bereit ab 2026-11-24") && ready.role == "cluster", "{ready:?}");

    let observation = |name: &str, phase: Phase, generation: u64| v1::Observation {
        name: name.into(),
        uid: object.uid.clone(),
        phase: phase.into(),
        generation,
        ..Default::default()
    };
    let report = |observations| v1::ReportObservationsRequest {
        name: CLUSTER.into(),
        store_id: store_id.clone(),
        epoch,
        observations,
        ..Default::default()
    };
    let mut cluster = ClusterServiceClient::new(api.channel(support::CLUSTER));
    let orphans = || {
        vec![
            observation("members/m-05766044/tenants/lost", Phase::Orphan, 1),
            observation("members/m-05766044/tenants/gone", Phase::Orphan, 1),
        ]
    };
    for observations in [
        vec![observation(TENANT, Phase::Progressing, object.generation)],
        vec![observation(TENANT, Phase::Ready, object.generation)],
        orphans(),
        orphans(),
    ] {
        let refused = cluster.report_observations(report(observations)).await.unwrap().into_inner().refused;
        assert!(refused.is_empty(), "{refused:?}");
    }
    let told = of_cluster(&api).await;
    assert_eq!(
        told.len(),
        before + 2,
        "progress is no change of rights or money; orphans are one entry: {told:?}"
    );
    let lost = with(&told, "verwaist");
    assert!(
        lost.summary.starts_with("2 verwaist gemeldet: ") && lost.summary.contains("tenants/lost"),
        "{lost:?}"
    );
    assert_eq!((lost.target.as_str(), &lost.member), (CLUSTER, &None), "a name is the cluster's word");

    let request = v1::DeleteTenantRequest { name: TENANT.into(), ..Default::default() };
    tenants.delete_tenant(request).await.unwrap();
    let gone = vec![observation(TENANT, Phase::Gone, object.generation + 1)];
    let refused = cluster.report_observations(report(gone)).await.unwrap().into_inner().refused;
    assert!(refused.is_empty(), "{refused:?}");
    let told = of_cluster(&api).await;
    assert_eq!(told.len(), before + 3, "{told:?}");
    let freed = with(&told, "Reservierung frei");
    assert!(freed.target == TENANT && freed.summary.contains("Reservierung frei"), "{freed:?}");
    assert!(
        freed.changes.iter().any(|change| change.field.starts_with("account")),
        "what became free: {freed:?}"
    );
}
