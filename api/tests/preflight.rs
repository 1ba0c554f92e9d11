//! What a cluster's preflight found, and what tenants are told of it: over real mTLS, with a real etcd.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use allmende_proto::v1::{
    self, cluster_service_client::ClusterServiceClient, follow_desired_state_response::Event,
    preflight_check::State, tenant_service_client::TenantServiceClient,
};
use support::{Api, CLUSTER, LEMGO, OPERATOR, WIEHL};
use tonic::Code;

/// Seconds of 2026-11-24T10:00:00Z, when the test's clock stands.
const NOW: i64 = 1_795_514_400;

/// Which store the test's cluster follows.
struct Store {
    id: String,
    epoch: u64,
}

impl Store {
    async fn of(api: &Api) -> Self {
        let request = v1::FollowDesiredStateRequest { name: "clusters/local-1".into(), ..Default::default() };
        let mut stream = ClusterServiceClient::new(api.channel(CLUSTER))
            .follow_desired_state(request)
            .await
            .unwrap()
            .into_inner();
        let first = stream.message().await.unwrap().unwrap();
        assert!(matches!(first.event, Some(Event::SnapshotEnd(_) | Event::SnapshotObject(_))));
        Self { id: first.store_id, epoch: first.epoch }
    }

    fn report(&self, checks: Vec<v1::PreflightCheck>, seconds: i64) -> v1::ReportObservationsRequest {
        let preflight = v1::PreflightReport {
            check_time: Some(prost_types::Timestamp { seconds, nanos: 0 }),
            program_version: "0.1.0".into(),
            kubernetes_version: "v1.36.0".into(),
            checks,
        };
        v1::ReportObservationsRequest {
            name: "clusters/local-1".into(),
            store_id: self.id.clone(),
            epoch: self.epoch,
            preflight: Some(preflight),
            ..Default::default()
        }
    }
}

fn check(id: &str, state: State) -> v1::PreflightCheck {
    v1::PreflightCheck { id: id.into(), title: id.into(), state: state.into(), ..Default::default() }
}

fn walls(network: State, admission: State) -> Vec<v1::PreflightCheck> {
    vec![check("network-policy", network), check("admission-policy", admission), check("oidc", State::Failed)]
}

async fn isolation(api: &Api) -> (bool, Vec<String>) {
    let mut tenants = TenantServiceClient::new(api.channel(LEMGO));
    let name = "members/m-05766044/tenants/prod".into();
    let got = tenants.get_tenant(v1::GetTenantRequest { name }).await.unwrap().into_inner();
    let request = v1::ListTenantsRequest { parent: "members/m-05766044".into(), ..Default::default() };
    let listed = tenants.list_tenants(request).await.unwrap().into_inner().tenants.remove(0);
    assert_eq!(listed, got, "a list says what a single answer says");
    (got.isolation_proven, got.isolation_reasons)
}

#[tokio::test]
async fn a_tenant_says_that_isolation_is_not_proven_until_its_cluster_has_shown_both_walls() {
    let api = Api::start().await;
    api.furnished().await;
    let store = Store::of(&api).await;
    TenantServiceClient::new(api.channel(LEMGO)).create_tenant(support::tenant_request(4)).await.unwrap();
    assert_eq!(isolation(&api).await, (false, vec!["der Cluster wurde noch nicht geprüft".into()]));

    let mut cluster = ClusterServiceClient::new(api.channel(CLUSTER));
    let failed = store.report(walls(State::Failed, State::Passed), NOW - 60);
    cluster.report_observations(failed.clone()).await.unwrap();
    let known = api.dump().await;
    let reasons = vec!["Netzwerkregeln werden auf dem Cluster nicht durchgesetzt".to_owned()];
    assert_eq!(isolation(&api).await, (false, reasons));
    cluster.report_observations(failed).await.unwrap();
    assert_eq!(api.dump().await, known, "the same look told again writes nothing");

    cluster.report_observations(store.report(walls(State::Passed, State::Passed), NOW)).await.unwrap();
    assert_eq!(isolation(&api).await, (true, Vec::new()));
    cluster.report_observations(store.report(walls(State::Failed, State::Failed), NOW - 30)).await.unwrap();
    assert!(isolation(&api).await.0, "an older look comes late and says nothing");

    api.set_clock("2026-12-31T10:00:00Z");
    let (proven, reasons) = isolation(&api).await;
    assert!(!proven && reasons[0].contains("31 Tage"), "{reasons:?}");
}

#[tokio::test]
async fn the_cooperative_sees_the_report_and_nobody_speaks_for_another_cluster() {
    let api = Api::start().await;
    api.furnished().await;
    let store = Store::of(&api).await;
    let request = store.report(walls(State::NotProven, State::Passed), NOW - 60);
    for identity in [OPERATOR, LEMGO, WIEHL, "allmende://cluster/north-2"] {
        let refused = ClusterServiceClient::new(api.channel(identity))
            .report_observations(request.clone())
            .await
            .unwrap_err();
        assert!(matches!(refused.code(), Code::PermissionDenied | Code::NotFound), "{identity}: {refused}");
    }
    let mut cluster = ClusterServiceClient::new(api.channel(CLUSTER));
    cluster.report_observations(request.clone()).await.unwrap();
    let get = v1::GetClusterRequest { name: "clusters/local-1".into() };
    let known = ClusterServiceClient::new(api.channel(OPERATOR)).get_cluster(get).await.unwrap().into_inner();
    assert_eq!(known.preflight, request.preflight);
}

#[tokio::test]
async fn a_report_that_hides_or_doubles_a_check_is_refused_as_a_whole_and_long_texts_are_cut() {
    let api = Api::start().await;
    api.furnished().await;
    let store = Store::of(&api).await;
    let mut cluster = ClusterServiceClient::new(api.channel(CLUSTER));
    let alive = v1::ReportObservationsRequest { preflight: None, ..store.report(Vec::new(), NOW) };
    cluster.report_observations(alive).await.unwrap();
    let known = api.dump().await;
    let many = (0..30).map(|number| check(&format!("check-{number}"), State::Passed)).collect();
    let twice = vec![check("oidc", State::Failed), check("oidc", State::Passed)];
    let unknown = vec![v1::PreflightCheck { state: 99, ..check("oidc", State::Passed) }];
    for (checks, wrong) in [
        (Vec::new(), "preflight.checks"),
        (many, "preflight.checks"),
        (twice, "preflight.checks[1].id"),
        (unknown, "preflight.checks[0].state"),
    ] {
        let refused = cluster.report_observations(store.report(checks, NOW)).await.unwrap_err();
        assert_eq!(
            (refused.code(), support::wrong_fields(&refused)),
            (Code::InvalidArgument, vec![wrong.into()])
        );
    }
    assert_eq!(api.dump().await, known, "a refused report changes nothing");

    let long = v1::PreflightCheck { detail: "ü".repeat(5000), ..check("oidc", State::Failed) };
    cluster.report_observations(store.report(vec![long], NOW)).await.unwrap();
    let get = v1::GetClusterRequest { name: "clusters/local-1".into() };
    let known = ClusterServiceClient::new(api.channel(OPERATOR)).get_cluster(get).await.unwrap().into_inner();
    assert_eq!(known.preflight.unwrap().checks[0].detail.chars().count(), 1000);
}
