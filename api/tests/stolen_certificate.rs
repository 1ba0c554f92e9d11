//! What a copy of a cluster's certificate is worth: the lines of `docs/reference/security/stolen-cluster-certificate.md`.
#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "a test fails by panicking, and a story is told in one piece"
)]

mod support;

use allmende_proto::v1::{
    self, certificate_service_client::CertificateServiceClient, cluster_service_client::ClusterServiceClient,
    follow_desired_state_response::Event, observation::Phase, refused_observation::ReasonCode,
    tenant_service_client::TenantServiceClient, usage_service_client::UsageServiceClient,
};
use sha2::{Digest, Sha256};
use support::{Api, CLUSTER, LEMGO, OPERATOR, amounts, set_entitlement, tenant_request};
use tonic::{Code, Streaming, transport::Channel};

const LIMIT: std::time::Duration = std::time::Duration::from_secs(20);
const OTHER: &str = "allmende://cluster/local-2";

/// Lemgo has a tenant on each of two clusters; the certificate of the first is stolen.
struct World {
    api: Api,
    thief: Channel,
    store_id: String,
    epoch: u64,
    own: v1::DesiredObject,
    foreign: v1::DesiredObject,
}

async fn follow(
    channel: Channel,
    name: &str,
) -> Result<Streaming<v1::FollowDesiredStateResponse>, tonic::Status> {
    let request = v1::FollowDesiredStateRequest { name: name.into(), ..Default::default() };
    ClusterServiceClient::new(channel).follow_desired_state(request).await.map(tonic::Response::into_inner)
}

async fn snapshot(
    stream: &mut Streaming<v1::FollowDesiredStateResponse>,
) -> (String, u64, Vec<v1::DesiredObject>) {
    let mut objects = Vec::new();
    loop {
        let message = tokio::time::timeout(LIMIT, stream.message()).await.unwrap().unwrap().unwrap();
        match message.event {
            Some(Event::SnapshotObject(object)) => objects.push(object),
            Some(Event::SnapshotEnd(_)) => return (message.store_id, message.epoch, objects),
            _ => {}
        }
    }
}

impl World {
    async fn new() -> Self {
        let api = Api::start().await;
        api.furnished().await;
        let mut clusters = ClusterServiceClient::new(api.channel(OPERATOR));
        let cluster = v1::Cluster { capacity: Some(amounts(64)), ..Default::default() };
        let request = v1::CreateClusterRequest {
            cluster_id: "local-2".into(),
            cluster: Some(cluster),
            ..Default::default()
        };
        clusters.create_cluster(request).await.unwrap();
        set_entitlement(&api, "m-05766044", 10).await.unwrap();
        let mut quota = v1::quota_service_client::QuotaServiceClient::new(api.channel(OPERATOR));
        let request = v1::SetEntitlementRequest {
            name: "members/m-05766044/entitlements/local-2".into(),
            guaranteed: Some(amounts(10)),
            resolution: "Muster 2026/02".into(),
            ..Default::default()
        };
        quota.set_entitlement(request).await.unwrap();
        let mut tenants = TenantServiceClient::new(api.channel(LEMGO));
        tenants.create_tenant(tenant_request(2)).await.unwrap();
        let mut second = tenant_request(2);
        second.tenant_id = "test".into();
        second.tenant.as_mut().unwrap().cluster = "clusters/local-2".into();
        tenants.create_tenant(second).await.unwrap();

        let mut stream = follow(api.channel(OTHER), "clusters/local-2").await.unwrap();
        let (_, _, mut foreign) = snapshot(&mut stream).await;
        let thief = api.channel(CLUSTER);
        let mut stream = follow(thief.clone(), "clusters/local-1").await.unwrap();
        let (store_id, epoch, mut own) = snapshot(&mut stream).await;
        assert_eq!((own.len(), foreign.len()), (1, 1), "each sees its own alone");
        Self { api, thief, store_id, epoch, own: own.remove(0), foreign: foreign.remove(0) }
    }

    async fn observe(&self, of: &v1::DesiredObject, phase: Phase) -> Option<ReasonCode> {
        let observation = v1::Observation {
            name: of.name.clone(),
            uid: of.uid.clone(),
            generation: of.generation,
            phase: phase.into(),
            ..Default::default()
        };
        let request = v1::ReportObservationsRequest {
            name: "clusters/local-1".into(),
            store_id: self.store_id.clone(),
            epoch: self.epoch,
            observations: vec![observation],
            ..Default::default()
        };
        let mut clusters = ClusterServiceClient::new(self.thief.clone());
        let refused = clusters.report_observations(request).await.unwrap().into_inner().refused;
        refused.first().map(v1::RefusedObservation::reason)
    }

    /// Whether the fact was taken.
    async fn tell(&self, of: &v1::DesiredObject, at: &str) -> bool {
        let at: jiff::Timestamp = at.parse().unwrap();
        let id = hex::encode(Sha256::digest(format!("{} READY {}", of.uid, of.generation)));
        let fact = v1::LifecycleFact {
            id,
            subject: of.name.clone(),
            uid: of.uid.clone(),
            kind: v1::lifecycle_fact::Kind::Ready.into(),
            generation: of.generation,
            occur_time: Some(prost_types::Timestamp { seconds: at.as_second(), nanos: 0 }),
        };
        let request = v1::ReportFactsRequest {
            name: "clusters/local-1".into(),
            store_id: self.store_id.clone(),
            epoch: self.epoch,
            facts: vec![fact],
            watermark: None,
        };
        let answer = UsageServiceClient::new(self.thief.clone()).report_facts(request).await.unwrap();
        !answer.into_inner().acknowledged_ids.is_empty()
    }

    /// The facts that money follows, as stored.
    async fn facts(&self) -> Vec<String> {
        let all = self.api.dump().await;
        all.into_iter().filter(|(key, _)| key.contains("/fact/")).map(|(_, value)| value).collect()
    }
}

#[tokio::test]
async fn another_clusters_objects_are_as_if_they_were_not_there() {
    let world = World::new().await;
    for name in ["clusters/local-2", "clusters/nowhere"] {
        let status = follow(world.thief.clone(), name).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::NotFound, format!("{name} not found").as_str()));
    }
    let before = world.api.dump().await;
    let nowhere =
        v1::DesiredObject { name: "members/m-05766044/tenants/none".into(), ..world.foreign.clone() };
    for phase in [Phase::Ready, Phase::Failed, Phase::Gone] {
        assert_eq!(world.observe(&world.foreign, phase).await, Some(ReasonCode::NotFound));
        assert_eq!(world.observe(&nowhere, phase).await, Some(ReasonCode::NotFound), "the same answer");
    }
    assert!(!world.tell(&world.foreign, "2026-11-24T10:00:00Z").await);
    assert!(!world.tell(&nowhere, "2026-11-24T10:00:00Z").await);
    let mut after = world.api.dump().await;
    let mut kept = before;
    // The sign of life is its own cluster's.
    for dump in [&mut after, &mut kept] {
        dump.retain(|key, _| !key.contains("/seen/local-1"));
    }
    assert_eq!(after, kept, "nothing changed");
}

#[tokio::test]
async fn it_ends_nothing_that_nobody_deleted() {
    let world = World::new().await;
    assert_eq!(world.observe(&world.own, Phase::Gone).await, Some(ReasonCode::NotDeleting));
    let mut tenants = TenantServiceClient::new(world.api.channel(LEMGO));
    let request = v1::GetTenantRequest { name: world.own.name.clone() };
    tenants.get_tenant(request).await.unwrap();
    let orphan = world.observe(&world.own, Phase::Orphan).await;
    assert_eq!(orphan, None, "noted, and nothing follows from it");
    tenants.get_tenant(v1::GetTenantRequest { name: world.own.name.clone() }).await.unwrap();
}

#[tokio::test]
async fn a_fact_carries_the_amounts_of_the_order_and_a_time_between_order_and_receipt() {
    let world = World::new().await;
    world.api.set_clock("2026-11-24T12:00:00Z");
    // Long before the order, which was at ten.
    assert!(world.tell(&world.own, "2026-01-01T00:00:00Z").await);
    let facts = world.facts().await;
    assert_eq!(facts.len(), 1);
    assert!(facts[0].contains("2026-11-24T10:00:00Z"), "not before it was accepted: {}", facts[0]);
    assert!(
        facts[0].contains("2000") || facts[0].contains("cpu_milli"),
        "amounts of the order: {}",
        facts[0]
    );
    // What was said once stays: no second fact, no other time.
    assert!(world.tell(&world.own, "2026-11-24T11:30:00Z").await);
    assert_eq!(world.facts().await, facts);
    let future = v1::DesiredObject { generation: world.own.generation + 1, ..world.own.clone() };
    world.tell(&future, "2030-01-01T00:00:00Z").await;
    assert!(!world.facts().await.concat().contains("2030"), "nor after it was received");
}

#[tokio::test]
async fn rpcs_for_others_stay_shut() {
    let world = World::new().await;
    let member = "members/m-05766044";
    let mut tenants = TenantServiceClient::new(world.thief.clone());
    let status = tenants.get_tenant(v1::GetTenantRequest { name: world.own.name.clone() }).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    let status = tenants.create_tenant(tenant_request(1)).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    let mut usage = UsageServiceClient::new(world.thief.clone());
    let request = v1::ListUsageRequest { parent: member.into(), ..Default::default() };
    assert_eq!(usage.list_usage(request).await.unwrap_err().code(), Code::NotFound);
    let mut clusters = ClusterServiceClient::new(world.thief.clone());
    let request = v1::UpdateClusterCapacityRequest {
        name: "clusters/local-1".into(),
        capacity: Some(amounts(1)),
        ..Default::default()
    };
    assert_eq!(clusters.update_cluster_capacity(request).await.unwrap_err().code(), Code::PermissionDenied);

    let mut certificates = CertificateServiceClient::new(world.thief.clone());
    let pair = allmende_identity::KeyAndRequest::generate().unwrap();
    let request = v1::RenewClusterCertificateRequest {
        name: "clusters/local-2".into(),
        certificate_request: pair.request,
        ..Default::default()
    };
    let status = certificates.renew_cluster_certificate(request).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound, "another cluster's");
    let request = v1::CreateJoinTokenRequest { parent: "clusters/local-1".into(), ..Default::default() };
    let status = certificates.create_join_token(request).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    let request = v1::RevokeClusterCertificatesRequest {
        name: "clusters/local-1".into(),
        reason: "x".into(),
        ..Default::default()
    };
    let status = certificates.revoke_cluster_certificates(request).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn the_stream_is_one_and_its_own_operator_takes_it_back() {
    let world = World::new().await;
    let mut stolen = follow(world.thief.clone(), "clusters/local-1").await.unwrap();
    snapshot(&mut stolen).await;
    let mut own = follow(world.api.channel(CLUSTER), "clusters/local-1").await.unwrap();
    snapshot(&mut own).await;
    let ended = async { while stolen.message().await.is_ok_and(|message| message.is_some()) {} };
    tokio::time::timeout(LIMIT, ended).await.expect("the thief's stream ends");
}
