//! What a member sees of its quota, what the cooperative sees, and the levels as a stream.

use std::time::Duration;

use allmende_proto::v1::{
    self, cluster_service_client::ClusterServiceClient, instance_service_client::InstanceServiceClient,
    quota_service_client::QuotaServiceClient, tenant_service_client::TenantServiceClient,
};
use tonic::{Code, Streaming};

use crate::support::{
    Api, CLUSTER, LEMGO, OPERATOR, WIEHL, amounts, instance_request, set_entitlement, tenant_request,
};

const TENANT: &str = "members/m-05766044/tenants/prod";

fn usage_request() -> v1::GetUsageRequest {
    v1::GetUsageRequest { parent: "members/m-05766044".into(), ..Default::default() }
}

async fn usage(api: &Api) -> v1::ClusterUsage {
    let answer = QuotaServiceClient::new(api.channel(LEMGO)).get_usage(usage_request()).await.unwrap();
    let [one] = answer.into_inner().clusters.try_into().unwrap();
    one
}

/// The record of the tenant, as a cluster would have it.
async fn stored_tenant(api: &Api) -> serde_json::Value {
    let dump = api.dump().await;
    let text = dump.iter().find(|(key, _)| key.contains("/tenant/") && key.contains("m-05766044")).unwrap().1;
    serde_json::from_str::<serde_json::Value>(text).unwrap()["value"].clone()
}

async fn report(api: &Api, generation: u64, quotas: Vec<v1::NamespaceQuota>) -> Vec<v1::RefusedObservation> {
    let mut cluster = ClusterServiceClient::new(api.channel(CLUSTER));
    let follow = v1::FollowDesiredStateRequest { name: "clusters/local-1".into(), ..Default::default() };
    let first =
        cluster.follow_desired_state(follow).await.unwrap().into_inner().message().await.unwrap().unwrap();
    let request = v1::ReportObservationsRequest {
        name: "clusters/local-1".into(),
        store_id: first.store_id,
        epoch: first.epoch,
        observations: vec![v1::Observation {
            name: TENANT.into(),
            uid: stored_tenant(api).await["uid"].as_str().unwrap().into(),
            generation,
            phase: v1::observation::Phase::Ready.into(),
            quotas,
            ..Default::default()
        }],
        ..Default::default()
    };
    cluster.report_observations(request).await.unwrap().into_inner().refused
}

fn shown(namespace: &str, hard: i64, used: i64) -> v1::NamespaceQuota {
    v1::NamespaceQuota { namespace: namespace.into(), hard: Some(amounts(hard)), used: Some(amounts(used)) }
}

#[tokio::test]
async fn a_member_sees_what_each_tenant_has_and_uses_and_an_etag_outlives_what_pods_do() {
    let api = Api::start().await;
    api.furnished().await;
    let lemgo = api.channel(LEMGO);
    TenantServiceClient::new(lemgo.clone()).create_tenant(tenant_request(4)).await.unwrap();
    InstanceServiceClient::new(lemgo.clone()).create_instance(instance_request("db")).await.unwrap();
    let before = usage(&api).await;
    assert_eq!(before.entitlement.as_ref().unwrap().reserved, Some(amounts(5)));
    assert_eq!(before.used, Some(v1::Resources::default()));
    assert_eq!(before.tenants[0].workspace, Some(amounts(4)));
    assert_eq!(before.tenants[0].services, Some(amounts(1)));
    assert!(before.tenants[0].namespaces.is_empty(), "the cluster has shown nothing");

    // The instance has changed what the tenant is asked for.
    let workspace = "m-05766044-prod";
    assert!(
        report(&api, 2, vec![shown(workspace, 4, 2), shown("m-05766044-prod-svc", 1, 1)]).await.is_empty()
    );
    let seen = usage(&api).await;
    assert_eq!(seen.used, Some(amounts(3)));
    assert_eq!(seen.tenants[0].namespaces.len(), 2);

    // What pods do makes no etag stale; another's namespace is not believed; an older report changes nothing.
    let name = v1::GetTenantRequest { name: TENANT.into() };
    let mut tenants = TenantServiceClient::new(lemgo.clone());
    let etag = tenants.get_tenant(name.clone()).await.unwrap().into_inner().etag;
    report(&api, 2, vec![shown(workspace, 4, 3), shown("m-05374048-prod", 9, 9)]).await;
    assert_eq!(tenants.get_tenant(name).await.unwrap().into_inner().etag, etag);
    assert_eq!(usage(&api).await.used, Some(amounts(3)));
    assert_eq!(report(&api, 1, vec![shown(workspace, 4, 1)]).await.len(), 1);
    assert_eq!(usage(&api).await.used, Some(amounts(3)));
}

#[tokio::test]
async fn the_cooperative_sees_how_much_each_holds_and_not_what_for() {
    let api = Api::start().await;
    api.furnished().await;
    TenantServiceClient::new(api.channel(LEMGO)).create_tenant(tenant_request(4)).await.unwrap();
    let mut operator = QuotaServiceClient::new(api.channel(OPERATOR));
    let pool = operator.get_pool(v1::GetPoolRequest {}).await.unwrap().into_inner();
    assert_eq!((pool.reserved.clone(), pool.clusters[0].members), (Some(amounts(4)), 1));
    let all = v1::ListEntitlementsRequest { parent: "members/-".into(), ..Default::default() };
    let all = operator.list_entitlements(all).await.unwrap().into_inner();
    assert_eq!(all.entitlements[0].reserved, Some(amounts(4)));
    let told = format!("{pool:?}{all:?}");
    assert!(!told.contains("tenants"), "{told}");
    let refused = operator.get_usage(usage_request()).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let request = v1::ListReservationsRequest { parent: "members/m-05766044".into(), ..Default::default() };
    assert_eq!(operator.list_reservations(request).await.unwrap_err().code(), Code::PermissionDenied);

    // Another member's are not there at all.
    let mut wiehl = QuotaServiceClient::new(api.channel(WIEHL));
    assert_eq!(wiehl.get_usage(usage_request()).await.unwrap_err().code(), Code::NotFound);
    let watch = v1::WatchQuotaRequest { parent: "members/m-05766044".into() };
    assert_eq!(wiehl.watch_quota(watch).await.unwrap_err().code(), Code::NotFound);
    let watch = v1::WatchQuotaRequest { parent: "members/-".into() };
    assert_eq!(wiehl.watch_quota(watch).await.unwrap_err().code(), Code::PermissionDenied);
}

#[tokio::test]
async fn days_of_growth_say_when_it_is_full_and_a_flat_account_has_no_such_day() {
    let api = Api::start().await;
    api.furnished().await;
    let mut keeper = api.holdings.keeper();
    keeper.look().await.unwrap();
    assert!(usage(&api).await.outlook.iter().all(|resource| resource.full_on.is_empty()));

    // Ten days later half of it is reserved: another ten days to go.
    api.set_clock("2026-12-04T10:00:00Z");
    TenantServiceClient::new(api.channel(LEMGO)).create_tenant(tenant_request(5)).await.unwrap();
    keeper.look().await.unwrap();
    let outlook = usage(&api).await.outlook;
    assert_eq!(outlook.len(), 4);
    for resource in &outlook {
        assert_eq!((resource.per_mille, resource.growth_days), (500, 10), "{resource:?}");
        assert_eq!(resource.full_on, "2026-12-14", "{resource:?}");
    }

    // Nothing more in four weeks: nobody can say when.
    api.set_clock("2027-01-04T10:00:00Z");
    assert!(usage(&api).await.outlook.iter().all(|resource| resource.full_on.is_empty()));
    keeper.look().await.unwrap();
    let days = api
        .dump()
        .await
        .iter()
        .find(|(key, _)| key.contains("quotahistory"))
        .unwrap()
        .1
        .matches("cpu_milli")
        .count();
    assert_eq!(days, 2, "a look that finds nothing new writes nothing");
}

async fn next(stream: &mut Streaming<v1::WatchQuotaResponse>) -> v1::WatchQuotaResponse {
    let message =
        tokio::time::timeout(Duration::from_secs(20), stream.message()).await.expect("an event in time");
    message.unwrap().expect("the stream goes on")
}

/// The next crossings: as many as there are resources, all of one level.
async fn level(stream: &mut Streaming<v1::WatchQuotaResponse>) -> (i32, bool, bool) {
    let mut told = Vec::new();
    for _ in 0..4 {
        let event = next(stream).await;
        told.push((event.level, event.reached, event.present));
    }
    told.dedup();
    assert_eq!(told.len(), 1, "{told:?}");
    told[0]
}

#[tokio::test]
async fn each_level_is_told_once_on_the_way_up_and_once_on_the_way_down() {
    let api = Api::start().await;
    api.furnished().await;
    let lemgo = api.channel(LEMGO);
    let mut tenants = TenantServiceClient::new(lemgo.clone());
    tenants.create_tenant(tenant_request(5)).await.unwrap();
    let watch = v1::WatchQuotaRequest { parent: "members/m-05766044".into() };
    let mut stream = QuotaServiceClient::new(lemgo).watch_quota(watch).await.unwrap().into_inner();
    assert_eq!(level(&mut stream).await, (50, true, true), "what is reached already");
    let end = next(&mut stream).await;
    assert_eq!((end.entitlement.as_str(), end.present), ("", true), "that was all that is reached");
    // Within a level nothing is told; a larger entitlement makes it emptier.
    set_entitlement(&api, "m-05766044", 9).await.unwrap();
    set_entitlement(&api, "m-05766044", 5).await.unwrap();
    for resource in 0..4 {
        for expected in [80, 100] {
            let event = next(&mut stream).await;
            assert_eq!(
                (event.level, event.reached, event.present),
                (expected, true, false),
                "{resource}: {event:?}"
            );
            assert_eq!(event.limit, event.reserved);
        }
    }
    set_entitlement(&api, "m-05766044", 6).await.unwrap();
    assert_eq!(level(&mut stream).await, (100, false, false));

    // The cooperative hears of all members.
    let watch = v1::WatchQuotaRequest { parent: "members/-".into() };
    let mut all =
        QuotaServiceClient::new(api.channel(OPERATOR)).watch_quota(watch).await.unwrap().into_inner();
    let event = next(&mut all).await;
    assert_eq!(
        (event.entitlement.as_str(), event.present),
        ("members/m-05766044/entitlements/local-1", true)
    );
}
