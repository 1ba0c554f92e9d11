//! From the order to the cluster and back: what an operator program follows and reports, played by the test.
#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "a test fails by panicking, and a story is told in one piece"
)]

mod support;

use allmende_proto::v1::{
    self, cluster_service_client::ClusterServiceClient, follow_desired_state_response::Event,
    instance_service_client::InstanceServiceClient, operation_service_client::OperationServiceClient,
    tenant_service_client::TenantServiceClient, usage_service_client::UsageServiceClient,
};
use sha2::{Digest, Sha256};
use support::{Api, CLUSTER, LEMGO, OPERATOR, TREASURER};
use tonic::{Code, Streaming};

const TENANT: &str = "members/m-05766044/tenants/prod";
const INSTANCE: &str = "members/m-05766044/tenants/prod/instances/db";

fn follow_request(epoch: u64) -> v1::FollowDesiredStateRequest {
    v1::FollowDesiredStateRequest {
        name: "clusters/local-1".into(),
        known_epoch: epoch,
        ..Default::default()
    }
}

/// What the operator program knows after a snapshot and the changes since.
struct Followed {
    stream: Streaming<v1::FollowDesiredStateResponse>,
    store_id: String,
    epoch: u64,
    objects: Vec<v1::DesiredObject>,
}

impl Followed {
    async fn begin(api: &Api) -> Self {
        let mut client = ClusterServiceClient::new(api.channel(CLUSTER));
        let stream = client.follow_desired_state(follow_request(0)).await.unwrap().into_inner();
        let mut followed = Self { stream, store_id: String::new(), epoch: 0, objects: Vec::new() };
        loop {
            let message = followed.stream.message().await.unwrap().unwrap();
            (followed.store_id, followed.epoch) = (message.store_id, message.epoch);
            match message.event.unwrap() {
                Event::SnapshotObject(object) => followed.objects.push(object),
                Event::SnapshotEnd(end) => {
                    let mut lines: Vec<String> = followed
                        .objects
                        .iter()
                        .map(|o| format!("{} {} {}\n", o.name, o.generation, u8::from(o.deleting)))
                        .collect();
                    lines.sort();
                    assert_eq!(end.count, followed.objects.len() as u64);
                    assert_eq!(end.digest, hex::encode(Sha256::digest(lines.concat())));
                    return followed;
                }
                other => panic!("nothing else before the snapshot's end: {other:?}"),
            }
        }
    }

    async fn next(&mut self) -> Event {
        let limit = std::time::Duration::from_secs(20);
        loop {
            let message = tokio::time::timeout(limit, self.stream.message()).await.expect("an event in time");
            match message.unwrap().unwrap().event.unwrap() {
                Event::Bookmark(_) => {}
                event => return event,
            }
        }
    }

    fn report(
        &self,
        object: &v1::DesiredObject,
        phase: v1::observation::Phase,
    ) -> v1::ReportObservationsRequest {
        v1::ReportObservationsRequest {
            name: "clusters/local-1".into(),
            store_id: self.store_id.clone(),
            epoch: self.epoch,
            observations: vec![v1::Observation {
                name: object.name.clone(),
                uid: object.uid.clone(),
                generation: object.generation,
                phase: phase.into(),
                ..Default::default()
            }],
            ..Default::default()
        }
    }

    fn fact(&self, object: &v1::DesiredObject, at: i64) -> v1::ReportFactsRequest {
        let id = hex::encode(Sha256::digest(format!("{} READY {}", object.uid, object.generation)));
        let time = prost_types::Timestamp { seconds: at, nanos: 0 };
        v1::ReportFactsRequest {
            name: "clusters/local-1".into(),
            store_id: self.store_id.clone(),
            epoch: self.epoch,
            facts: vec![v1::LifecycleFact {
                id,
                subject: object.name.clone(),
                uid: object.uid.clone(),
                kind: v1::lifecycle_fact::Kind::Ready.into(),
                generation: object.generation,
                occur_time: Some(time),
            }],
            watermark: Some(time),
        }
    }
}

fn object(event: Event) -> v1::DesiredObject {
    match event {
        Event::Change(object) => object,
        other => panic!("a change was expected: {other:?}"),
    }
}

#[tokio::test]
async fn an_order_reaches_the_cluster_becomes_ready_is_billed_and_ends() {
    let api = Api::start().await;
    api.furnished().await;
    let lemgo = api.channel(LEMGO);
    let mut tenants = TenantServiceClient::new(lemgo.clone());
    let mut instances = InstanceServiceClient::new(lemgo.clone());
    let mut operations = OperationServiceClient::new(lemgo.clone());
    let mut cluster = ClusterServiceClient::new(api.channel(CLUSTER));
    let mut usage = UsageServiceClient::new(api.channel(CLUSTER));
    let mut followed = Followed::begin(&api).await;
    assert!(followed.objects.is_empty());

    tenants.create_tenant(support::tenant_request(4)).await.unwrap();
    let tenant = object(followed.next().await);
    assert_eq!((tenant.name.as_str(), tenant.generation, tenant.deleting), (TENANT, 1, false));
    let ready = v1::observation::Phase::Ready;
    let answer = cluster.report_observations(followed.report(&tenant, ready)).await.unwrap().into_inner();
    assert!(answer.refused.is_empty(), "{answer:?}");

    let ordered = instances.create_instance(support::instance_request("db")).await.unwrap().into_inner();
    let (first, second) = (object(followed.next().await), object(followed.next().await));
    let (tenant, instance) = if first.name == TENANT { (first, second) } else { (second, first) };
    assert_eq!((tenant.generation, instance.name.as_str()), (2, INSTANCE));
    let Some(v1::desired_object::Body::Tenant(body)) = &tenant.body else { panic!("a tenant") };
    assert!(body.services, "the first order asks for the services namespace");
    assert_eq!(body.services_quota, Some(support::amounts(1)));

    let operation = v1::GetOperationRequest { name: ordered.operation.unwrap().name };
    assert!(!operations.get_operation(operation.clone()).await.unwrap().into_inner().done);
    cluster.report_observations(followed.report(&tenant, ready)).await.unwrap();
    cluster.report_observations(followed.report(&instance, ready)).await.unwrap();
    let done = operations.get_operation(operation).await.unwrap().into_inner();
    assert!(done.done && done.succeeded);
    let before = api.dump().await;
    cluster.report_observations(followed.report(&instance, ready)).await.unwrap();
    assert_eq!(api.dump().await, before, "nothing is written when nothing changed");

    // A cluster's clock may be wrong: ready before the order is the order, and a fact counts once.
    usage.report_facts(followed.fact(&instance, 1_000_000_000)).await.unwrap();
    let known = api.dump().await;
    let again = usage.report_facts(followed.fact(&instance, 1_000_000_000)).await.unwrap().into_inner();
    assert_eq!(again.acknowledged_ids.len(), 1);
    assert_eq!(api.dump().await, known);
    create_prices(&api).await;
    api.set_clock("2026-11-24T20:00:00Z");
    let delete = v1::DeleteInstanceRequest { name: INSTANCE.into(), ..Default::default() };
    instances.delete_instance(delete).await.unwrap();
    api.set_clock("2026-11-25T20:00:00Z");
    let cost = v1::GetCostRequest { parent: "members/m-05766044".into(), ..Default::default() };
    let cost = UsageServiceClient::new(lemgo).get_cost(cost).await.unwrap().into_inner();
    let line = cost.lines.iter().find(|line| line.subject == INSTANCE && line.meter == "vcpu").unwrap();
    assert_eq!(line.quantity, "10", "one CPU from the order at 10:00 to the accepted delete at 20:00");

    let ending = object(followed.next().await);
    assert!(ending.deleting && ending.name == INSTANCE);
    let gone = v1::observation::Phase::Gone;
    let refused =
        cluster.report_observations(followed.report(&tenant, gone)).await.unwrap().into_inner().refused;
    assert_eq!(refused.len(), 1, "what is not being deleted cannot be gone");
    cluster.report_observations(followed.report(&ending, gone)).await.unwrap();
    let missing = instances.get_instance(v1::GetInstanceRequest { name: INSTANCE.into() }).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
    let mut quota = v1::quota_service_client::QuotaServiceClient::new(api.channel(LEMGO));
    let name = "members/m-05766044/entitlements/local-1".to_owned();
    let account = quota.get_entitlement(v1::GetEntitlementRequest { name }).await.unwrap().into_inner();
    assert_eq!(account.reserved, Some(support::amounts(4)), "only the workspace is held now");
}

async fn create_prices(api: &Api) {
    let price = |meter: &str, unit: v1::meter_price::Unit| v1::MeterPrice {
        meter: meter.into(),
        unit: unit.into(),
        micro_euro: 12_300,
        title: "x".into(),
    };
    let hour = v1::meter_price::Unit::Hour;
    let month = v1::meter_price::Unit::Month;
    let list = v1::PriceList {
        valid_from: "2026-01-01".into(),
        resolution: "Muster".into(),
        prices: vec![
            price("vcpu", hour),
            price("memory-gib", hour),
            price("storage-gib", month),
            price("namespace", month),
        ],
        ..Default::default()
    };
    let mut billing = v1::billing_service_client::BillingServiceClient::new(api.channel(TREASURER));
    let request = v1::CreatePriceListRequest {
        price_list_id: "preise-2026".into(),
        price_list: Some(list),
        ..Default::default()
    };
    billing.create_price_list(request).await.unwrap();
}

#[tokio::test]
async fn fifty_orders_at_once_never_exceed_the_entitlement() {
    let api = Api::start().await;
    api.furnished().await;
    let lemgo = api.channel(LEMGO);
    TenantServiceClient::new(lemgo.clone()).create_tenant(support::tenant_request(4)).await.unwrap();
    let orders = (0..50).map(|number| {
        let mut instances = InstanceServiceClient::new(lemgo.clone());
        tokio::spawn(async move {
            instances.create_instance(support::instance_request(&format!("i{number}"))).await
        })
    });
    let mut accepted = 0;
    for order in futures::future::join_all(orders).await {
        match order.unwrap() {
            Ok(_) => accepted += 1,
            Err(status) => {
                assert!(matches!(status.code(), Code::ResourceExhausted | Code::Aborted), "{status}")
            }
        }
    }
    assert!((1..=6).contains(&accepted), "ten CPUs, four of them for the workspace: {accepted}");
    let mut quota = v1::quota_service_client::QuotaServiceClient::new(lemgo);
    let name = "members/m-05766044/entitlements/local-1".to_owned();
    let account = quota.get_entitlement(v1::GetEntitlementRequest { name }).await.unwrap().into_inner();
    assert_eq!(account.reserved.unwrap().cpu_milli, 4000 + accepted * 1000);
}

#[tokio::test]
async fn a_preview_gives_the_numbers_of_the_real_call_and_stores_nothing() {
    let api = Api::start().await;
    api.furnished().await;
    create_prices(&api).await;
    let mut tenants = TenantServiceClient::new(api.channel(LEMGO));
    let before = api.dump().await;
    let mut request = support::tenant_request(4);
    request.validate_only = true;
    let preview = tenants.create_tenant(request).await.unwrap().into_inner();
    assert!(preview.operation.is_none());
    assert_eq!(api.dump().await, before);
    let real = tenants.create_tenant(support::tenant_request(4)).await.unwrap().into_inner();
    assert_eq!(preview.preview, real.preview);
    let shown = real.preview.unwrap();
    assert_eq!(shown.remaining, Some(support::amounts(6)));
    assert!(shown.monthly_net.unwrap().cents > shown.until_month_end_net.unwrap().cents);
}

#[tokio::test]
async fn a_tenant_with_instances_is_not_deleted_and_a_second_stream_ends_the_first() {
    let api = Api::start().await;
    api.furnished().await;
    let lemgo = api.channel(LEMGO);
    let mut tenants = TenantServiceClient::new(lemgo.clone());
    tenants.create_tenant(support::tenant_request(4)).await.unwrap();
    InstanceServiceClient::new(lemgo).create_instance(support::instance_request("db")).await.unwrap();
    let delete = v1::DeleteTenantRequest { name: TENANT.into(), ..Default::default() };
    let status = tenants.delete_tenant(delete).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains("db"), "{status}");
    let mut first = Followed::begin(&api).await;
    assert_eq!(first.objects.len(), 2);
    let _second = Followed::begin(&api).await;
    let limit = std::time::Duration::from_secs(10);
    tokio::time::timeout(limit, async { while let Ok(Some(_)) = first.stream.message().await {} })
        .await
        .unwrap();
    let mut client = ClusterServiceClient::new(api.channel(CLUSTER));
    let status = client.follow_desired_state(follow_request(99)).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition, "an older store must not drive a newer cluster");
    let mut foreign = ClusterServiceClient::new(api.channel(OPERATOR));
    assert_eq!(
        foreign.follow_desired_state(follow_request(0)).await.unwrap_err().code(),
        Code::PermissionDenied
    );
}
