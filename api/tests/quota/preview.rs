//! The preview: the numbers of the real call, all that stands in its way, and the price to the year's end.

use allmende_proto::v1::{
    self, billing_service_client::BillingServiceClient, quota_service_client::QuotaServiceClient,
    tenant_service_client::TenantServiceClient,
};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::support::{Api, LEMGO, TREASURER, amounts, set_entitlement, tenant_request};

const TENANT: &str = "members/m-05766044/tenants/prod";

async fn price_list(api: &Api, id: &str, from: &str, micro_euro: i64) {
    let unit = v1::meter_price::Unit::Month.into();
    let price = |meter: &str| v1::MeterPrice { meter: meter.into(), unit, micro_euro, title: meter.into() };
    let request = v1::CreatePriceListRequest {
        price_list_id: id.into(),
        price_list: Some(v1::PriceList {
            valid_from: from.into(),
            resolution: "Muster 2026/03".into(),
            prices: ["vcpu", "memory-gib", "storage-gib", "namespace"].map(price).into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    BillingServiceClient::new(api.channel(TREASURER)).create_price_list(request).await.unwrap();
}

fn order(quota: v1::Resources, validate_only: bool) -> v1::CreateTenantRequest {
    let mut request = v1::CreateTenantRequest { validate_only, ..tenant_request(1) };
    request.tenant.as_mut().unwrap().workspace_quota = Some(quota);
    request
}

fn resize(quota: v1::Resources, validate_only: bool) -> v1::UpdateTenantRequest {
    let tenant = v1::Tenant { name: TENANT.into(), workspace_quota: Some(quota), ..Default::default() };
    let update_mask = Some(prost_types::FieldMask { paths: vec!["workspace_quota".into()] });
    v1::UpdateTenantRequest { tenant: Some(tenant), update_mask, validate_only, ..Default::default() }
}

fn cents(money: Option<&v1::Money>) -> i64 {
    money.map(|money| money.cents).unwrap()
}

#[tokio::test]
async fn a_preview_prices_each_month_to_the_year_s_end_by_the_list_in_force_then() {
    let api = Api::start().await;
    api.furnished().await;
    let mut tenants = TenantServiceClient::new(api.channel(LEMGO));
    let unknown = tenants.create_tenant(order(amounts(1), true)).await.unwrap().into_inner().preview.unwrap();
    assert_eq!((unknown.until_year_end_net, unknown.months), (None, vec![]), "no price is not free");
    price_list(&api, "alt", "2026-01-01", 10_000_000).await;
    price_list(&api, "neu", "2026-12-01", 20_000_000).await;
    // From the middle of November: 1 vCPU, 2 GiB, 10 GiB and a namespace at 10 EUR, then at 20 EUR.
    api.set_clock("2026-11-15T23:00:00Z");
    let preview = tenants.create_tenant(order(amounts(1), true)).await.unwrap().into_inner().preview.unwrap();
    assert_eq!(cents(preview.monthly_net.as_ref()), 14_000);
    assert_eq!(cents(preview.until_month_end_net.as_ref()), 7_000);
    let months: Vec<_> = preview
        .months
        .iter()
        .map(|month| (month.period.as_str(), cents(month.net.as_ref()), month.price_list.as_str()))
        .collect();
    assert_eq!(months, [("2026-11", 7_000, "priceLists/alt"), ("2026-12", 28_000, "priceLists/neu")]);
    assert_eq!(cents(preview.until_year_end_net.as_ref()), 35_000);
}

#[tokio::test]
async fn a_preview_tells_everything_that_stands_in_the_way_and_who_can_lift_it_and_the_call_is_refused_for_all_of_it()
 {
    let set_up = |apps: allmende_api::service::Apps| apps.with_processing_agreements(true);
    let api = Api::start_as(allmende_api::authn::Issuers::default(), set_up).await;
    api.furnished().await;
    let before = api.dump().await;
    let mut tenants = TenantServiceClient::new(api.channel(LEMGO));
    let preview =
        tenants.create_tenant(order(amounts(11), true)).await.unwrap().into_inner().preview.unwrap();
    let reasons: Vec<_> = preview.obstacles.iter().map(|obstacle| obstacle.reason.as_str()).collect();
    assert_eq!(reasons, ["WRONG_STATE", "QUOTA_EXCEEDED"]);
    assert!(
        preview.obstacles.iter().all(|obstacle| !obstacle.role.is_empty() && !obstacle.remedy.is_empty())
    );
    assert!(preview.obstacles[1].description.contains("pods limit 100, used 0, asked 110"), "{preview:?}");
    assert_eq!(preview.remaining, Some(amounts(10)), "as it is now");
    let refused = tenants.create_tenant(order(amounts(11), false)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    for part in ["no signed processing agreement", "Also: members/m-05766044/entitlements/local-1"] {
        assert!(refused.message().contains(part), "{refused}");
    }
    assert_eq!(refused.get_details_precondition_failure().unwrap().violations.len(), 1);
    assert_eq!(refused.get_details_quota_failure().unwrap().violations.len(), 4);
    assert_eq!(api.dump().await, before);
}

/// A small generator: the same seeds, the same orders.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(self.0 >> 33).unwrap() % limit
    }
}

#[tokio::test]
async fn what_is_booked_is_what_the_preview_said_whatever_is_asked() {
    let api = Api::start().await;
    api.furnished().await;
    price_list(&api, "alt", "2026-01-01", 1_234_567).await;
    price_list(&api, "neu", "2026-12-01", 7_654_321).await;
    let mut tenants = TenantServiceClient::new(api.channel(LEMGO));
    let mut quota = QuotaServiceClient::new(api.channel(LEMGO));
    let (mut accepted, mut refused) = (0, 0);
    for seed in 0..40_u64 {
        let mut chance = Chance(seed);
        chance.below(7);
        // Refused where it would be less than what is reserved: then it stays.
        let _ = set_entitlement(&api, "m-05766044", 10 + chance.below(4)).await;
        let asked = v1::Resources {
            cpu_milli: chance.below(14_000),
            memory_bytes: chance.below(28 << 30),
            storage_bytes: chance.below(140 << 30),
            pods: 1 + chance.below(130),
            ..Default::default()
        };
        let exists = accepted > 0;
        let (preview, real) = if exists {
            let preview =
                tenants.update_tenant(resize(asked.clone(), true)).await.unwrap().into_inner().preview;
            let real = tenants.update_tenant(resize(asked.clone(), false)).await;
            (preview.unwrap(), real.map(|answer| answer.into_inner().preview.unwrap()))
        } else {
            let preview =
                tenants.create_tenant(order(asked.clone(), true)).await.unwrap().into_inner().preview;
            let real = tenants.create_tenant(order(asked.clone(), false)).await;
            (preview.unwrap(), real.map(|answer| answer.into_inner().preview.unwrap()))
        };
        let name = "members/m-05766044/entitlements/local-1".to_owned();
        let account = quota.get_entitlement(v1::GetEntitlementRequest { name }).await.unwrap().into_inner();
        match real {
            Ok(real) => {
                accepted += 1;
                assert_eq!(real, preview, "seed {seed}");
                assert_eq!(
                    (account.reserved, account.available),
                    (Some(asked), preview.remaining),
                    "seed {seed}"
                );
            }
            Err(status) => {
                refused += 1;
                let [one] = preview.obstacles.as_slice() else { panic!("seed {seed}: {preview:?}") };
                assert_eq!(status.message(), one.description, "seed {seed}");
                assert_eq!(status.get_details_error_info().unwrap().reason, one.reason);
                assert_eq!(account.available, preview.remaining, "seed {seed}");
            }
        }
    }
    assert!(accepted >= 5 && refused >= 5, "{accepted} accepted, {refused} refused: the seeds try both");
}
