//! The pool divided by a rule, and less capacity than what is promised.

use std::collections::BTreeMap;

use allmende_api::app::pool::PoolKeeper;
use allmende_proto::v1::{
    self, cluster_service_client::ClusterServiceClient, pool_service_client::PoolServiceClient,
    quota_service_client::QuotaServiceClient, tenant_service_client::TenantServiceClient,
};
use tonic::Code;

use super::support::{self, Api, LEMGO, OPERATOR, reason};

const LEMGO_NAME: &str = "members/m-05766044";
const WIEHL_NAME: &str = "members/m-05374048";

fn rule() -> v1::PoolRule {
    let part = |basis: v1::pool_rule_part::Basis, permille| v1::PoolRulePart {
        basis: basis.into(),
        permille,
        ..Default::default()
    };
    v1::PoolRule {
        valid_from: "2026-11-01".into(),
        resolution: "GV 7/2026".into(),
        parts: vec![
            part(v1::pool_rule_part::Basis::Shares, 500),
            part(v1::pool_rule_part::Basis::Equal, 500),
        ],
        reserve_permille: 500,
        resolve_days: 90,
        ..Default::default()
    }
}

async fn guaranteed(api: &Api, member: &str) -> v1::Entitlement {
    let request = v1::GetEntitlementRequest { name: format!("{member}/entitlements/local-1") };
    QuotaServiceClient::new(api.channel(OPERATOR)).get_entitlement(request).await.unwrap().into_inner()
}

async fn resize(api: &Api, cpus: i64) -> Result<(), tonic::Status> {
    let tenant = v1::Tenant {
        name: format!("{LEMGO_NAME}/tenants/prod"),
        workspace_quota: Some(support::amounts(cpus)),
        ..Default::default()
    };
    let mask = prost_types::FieldMask { paths: vec!["workspace_quota".into()] };
    let request =
        v1::UpdateTenantRequest { tenant: Some(tenant), update_mask: Some(mask), ..Default::default() };
    TenantServiceClient::new(api.channel(LEMGO)).update_tenant(request).await.map(|_| ())
}

#[tokio::test]
async fn a_rule_is_looked_at_carried_out_in_steps_and_takes_nothing_that_is_in_use() {
    let api = Api::start().await;
    api.furnished().await;
    support::set_entitlement(&api, "m-05766044", 30).await.unwrap();
    TenantServiceClient::new(api.channel(LEMGO)).create_tenant(support::tenant_request(20)).await.unwrap();
    let mut pools = PoolServiceClient::new(api.channel(OPERATOR));

    let bad = v1::PoolRule {
        valid_from: "2026-11-02".into(),
        resolution: String::new(),
        reserve_permille: -1,
        ..rule()
    };
    let request =
        v1::CreatePoolRuleRequest { pool_rule_id: "A!".into(), pool_rule: Some(bad), ..Default::default() };
    let refused = pools.create_pool_rule(request).await.unwrap_err();
    assert_eq!(support::wrong_fields(&refused), ["pool_rule.reserve_permille", "pool_rule_id"]);

    // 64 CPUs, half of it divided: by shares (4 of 8 each) and equally, 16 each.
    let request = v1::CreatePoolRuleRequest {
        pool_rule_id: "2026".into(),
        pool_rule: Some(rule()),
        ..Default::default()
    };
    pools.create_pool_rule(request).await.unwrap();
    let look = |shares: BTreeMap<String, i64>| v1::PreviewDivisionRequest {
        name: "poolRules/2026".into(),
        shares,
        ..Default::default()
    };
    let seen = pools.preview_division(look(BTreeMap::new())).await.unwrap().into_inner().clusters.remove(0);
    assert_eq!(seen.divided.as_ref().unwrap().cpu_milli, 32_000);
    let lemgo = seen.members.iter().find(|member| member.member == LEMGO_NAME).unwrap();
    assert_eq!(
        (lemgo.before.as_ref().unwrap().cpu_milli, lemgo.after.as_ref().unwrap().cpu_milli),
        (30_000, 16_000)
    );
    assert_eq!(
        (lemgo.loses.as_ref().unwrap().cpu_milli, lemgo.over.as_ref().unwrap().cpu_milli),
        (14_000, 4_000)
    );
    assert_eq!((lemgo.parts[0].weight, lemgo.parts[0].weights), (4, 8));
    // With more shares it would lose less: 16 · 12/16 + 8.
    let other =
        pools.preview_division(look([(LEMGO_NAME.to_owned(), 12)].into())).await.unwrap().into_inner();
    let lemgo = other.clusters[0].members.iter().find(|member| member.member == LEMGO_NAME).unwrap();
    assert_eq!(lemgo.after.as_ref().unwrap().cpu_milli, 20_000);
    let stranger = pools.preview_division(look([("members/aaa".to_owned(), 1)].into())).await.unwrap_err();
    assert_eq!(stranger.code(), Code::InvalidArgument);

    let apply = |day: &str| v1::ApplyPoolRuleRequest {
        name: "poolRules/2026".into(),
        effective_date: day.into(),
        ..Default::default()
    };
    let early = pools.apply_pool_rule(apply("2026-12-01")).await.unwrap_err();
    assert_eq!(early.code(), Code::FailedPrecondition, "with the period, not before: {early}");
    assert_eq!(pools.apply_pool_rule(apply("2026-10-01")).await.unwrap_err().code(), Code::InvalidArgument);
    let run = pools.apply_pool_rule(apply("")).await.unwrap().into_inner();
    assert_eq!((run.name.as_str(), run.entitlements_total), ("poolRules/2026/runs/2026-11-01", 2));
    let keeper = PoolKeeper::new(api.audits.core.clone());
    let now = "2026-11-24T10:00:00Z".parse().unwrap();
    keeper.pass(now).await.unwrap();

    // Lemgo runs on with what it has reserved, and orders nothing new; Wiehl has what it was given.
    let own = guaranteed(&api, LEMGO_NAME).await;
    assert_eq!(own.guaranteed.as_ref().unwrap().cpu_milli, 20_000);
    assert_eq!((own.decided.unwrap().cpu_milli, own.over.unwrap().cpu_milli), (16_000, 4_000));
    assert_eq!(own.resolve_by, "2027-01-30");
    assert_eq!(guaranteed(&api, WIEHL_NAME).await.guaranteed.unwrap().cpu_milli, 16_000);
    let more = resize(&api, 21).await.unwrap_err();
    assert_eq!((more.code(), reason(&more).as_str()), (Code::ResourceExhausted, "OVER_ENTITLEMENT"));
    assert!(more.message().contains("2027-01-30") && more.message().contains("limit 16000"), "{more}");
    let name = || v1::GetPoolRunRequest { name: "poolRules/2026/runs/2026-11-01".into() };
    let run = pools.get_pool_run(name()).await.unwrap().into_inner();
    assert_eq!((run.state(), run.entitlements_done, run.unsettled), (v1::pool_run::State::Settling, 2, 1));

    resize(&api, 15).await.unwrap();
    keeper.pass(now).await.unwrap();
    let own = guaranteed(&api, LEMGO_NAME).await;
    assert_eq!((own.guaranteed.unwrap().cpu_milli, own.resolution.as_str()), (16_000, "GV 7/2026"));
    assert!(own.over.is_none() && own.decided.is_none());
    assert_eq!(pools.get_pool_run(name()).await.unwrap().into_inner().state(), v1::pool_run::State::Done);
    resize(&api, 16).await.unwrap();
}

#[tokio::test]
async fn less_capacity_than_what_is_promised_needs_a_plan_and_takes_nothing() {
    let api = Api::start().await;
    api.furnished().await;
    TenantServiceClient::new(api.channel(LEMGO)).create_tenant(support::tenant_request(9)).await.unwrap();
    let mut clusters = ClusterServiceClient::new(api.channel(OPERATOR));
    let request = |plan: Option<v1::ShrinkPlan>| v1::UpdateClusterCapacityRequest {
        name: "clusters/local-1".into(),
        capacity: Some(support::amounts(8)),
        plan,
        ..Default::default()
    };
    let refused = clusters.update_cluster_capacity(request(None)).await.unwrap_err();
    assert_eq!(reason(&refused), "QUOTA_EXCEEDED");
    let plan = |cpus, by: &str| v1::ShrinkPlan {
        resolution: "V 3/2026".into(),
        resolve_by: by.into(),
        shrink: vec![v1::PlannedShrink {
            member: LEMGO_NAME.into(),
            guaranteed: Some(support::amounts(cpus)),
        }],
    };
    let little = clusters.update_cluster_capacity(request(Some(plan(9, "2026-12-31")))).await.unwrap_err();
    assert_eq!(reason(&little), "QUOTA_EXCEEDED", "the plan does not reach");
    let late = clusters.update_cluster_capacity(request(Some(plan(8, "2026-11-24")))).await.unwrap_err();
    assert_eq!(support::wrong_fields(&late), ["plan.resolve_by"]);
    let giving = clusters.update_cluster_capacity(request(Some(plan(11, "2026-12-31")))).await.unwrap_err();
    assert_eq!(support::wrong_fields(&giving), ["plan.shrink[0].guaranteed"]);
    let cluster =
        clusters.update_cluster_capacity(request(Some(plan(8, "2026-12-31")))).await.unwrap().into_inner();
    assert_eq!((cluster.capacity.unwrap().cpu_milli, cluster.carved.unwrap().cpu_milli), (8_000, 9_000));
    let own = guaranteed(&api, LEMGO_NAME).await;
    assert_eq!((own.reserved.unwrap().cpu_milli, own.over.unwrap().cpu_milli), (9_000, 1_000));
    assert!(support::set_entitlement(&api, "m-05374048", 1).await.is_err(), "nothing is given out meanwhile");
    assert_eq!(reason(&resize(&api, 10).await.unwrap_err()), "OVER_ENTITLEMENT");
    resize(&api, 8).await.unwrap();
    let keeper = PoolKeeper::new(api.audits.core.clone());
    keeper.pass("2026-11-24T10:00:00Z".parse().unwrap()).await.unwrap();
    assert_eq!(guaranteed(&api, LEMGO_NAME).await.guaranteed.unwrap().cpu_milli, 8_000);
}
