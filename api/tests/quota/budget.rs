//! Limits of money: checked in the transaction of every order, the first one included.

use allmende_proto::v1::{
    self, billing_service_client::BillingServiceClient, budget::Mode,
    budget_service_client::BudgetServiceClient, instance_service_client::InstanceServiceClient,
    tenant_service_client::TenantServiceClient,
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::support::{
    Api, LEMGO, OPERATOR, TREASURER, WIEHL, amounts, instance_request, reason, set_entitlement,
    tenant_request, wrong_fields,
};

pub(crate) const BUDGET: &str = "members/m-05766044/billTos/main/budgets/2026";

/// One euro a month for a CPU, nothing else: easy to reckon with.
pub(crate) async fn create_prices(api: &Api, id: &str, from: &str, micro_euro: i64) {
    let price = |meter: &str, micro_euro| v1::MeterPrice {
        meter: meter.into(),
        unit: v1::meter_price::Unit::Month.into(),
        micro_euro,
        title: "x".into(),
    };
    let list = v1::PriceList {
        valid_from: from.into(),
        resolution: "Muster".into(),
        prices: vec![
            price("vcpu", micro_euro),
            price("memory-gib", 0),
            price("storage-gib", 0),
            price("namespace", 0),
        ],
        ..Default::default()
    };
    let request =
        v1::CreatePriceListRequest { price_list_id: id.into(), price_list: Some(list), ..Default::default() };
    BillingServiceClient::new(api.channel(TREASURER)).create_price_list(request).await.unwrap();
}

pub(crate) fn budget_request(cents: i64, mode: Mode) -> v1::SetBudgetRequest {
    v1::SetBudgetRequest {
        name: BUDGET.into(),
        limit: Some(v1::Money { currency_code: "EUR".into(), cents }),
        mode: mode.into(),
        resolution: "HHS 2026".into(),
        ..Default::default()
    }
}

pub(crate) async fn set_budget(api: &Api, request: v1::SetBudgetRequest) -> Result<v1::Budget, Status> {
    let answer = BudgetServiceClient::new(api.channel(LEMGO)).set_budget(request).await;
    answer.map(tonic::Response::into_inner)
}

pub(crate) async fn get_budget(api: &Api) -> v1::Budget {
    let request = v1::GetBudgetRequest { name: BUDGET.into() };
    BudgetServiceClient::new(api.channel(LEMGO)).get_budget(request).await.unwrap().into_inner()
}

/// A member with an entitlement of 40 CPUs on 1 December: each CPU costs 100 cents until the year's end.
pub(crate) async fn priced() -> Api {
    let api = Api::start().await;
    api.furnished().await;
    set_entitlement(&api, "m-05766044", 40).await.unwrap();
    create_prices(&api, "preise", "2026-01-01", 1_000_000).await;
    // The first moment of December in Berlin.
    api.set_clock("2026-11-30T23:00:00Z");
    api
}

pub(crate) fn tenant(id: &str, cpus: i64) -> v1::CreateTenantRequest {
    v1::CreateTenantRequest { tenant_id: id.into(), ..tenant_request(cpus) }
}

pub(crate) async fn order(
    api: &Api,
    request: v1::CreateTenantRequest,
) -> Result<v1::CreateTenantResponse, Status> {
    let answer = TenantServiceClient::new(api.channel(LEMGO)).create_tenant(request).await;
    answer.map(tonic::Response::into_inner)
}

fn cents(money: Option<&v1::Money>) -> i64 {
    money.map_or(0, |money| money.cents)
}

#[tokio::test]
async fn an_order_beyond_the_budget_is_refused_with_the_numbers_and_changes_nothing() {
    let api = priced().await;
    set_budget(&api, budget_request(1_000, Mode::Block)).await.unwrap();
    order(&api, tenant("prod", 6)).await.unwrap();
    let before = api.dump().await;

    let preview = v1::CreateTenantRequest { validate_only: true, ..tenant("test", 5) };
    let refused = order(&api, tenant("test", 5)).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::ResourceExhausted, "BUDGET_EXCEEDED"));
    let told = refused.get_details_error_info().unwrap().metadata;
    assert_eq!((told["limit_cents"].as_str(), told["committed_cents"].as_str()), ("1000", "600"));
    assert_eq!((told["asked_cents"].as_str(), told["budget"].as_str()), ("500", BUDGET));
    for part in ["10.00 EUR", "6.00 EUR", "5.00 EUR", "approver"] {
        assert!(refused.message().contains(part), "{refused}");
    }
    let mut clients = v1::tenant_service_client::TenantServiceClient::new(api.channel(LEMGO));
    let preview = clients.create_tenant(preview).await.unwrap().into_inner().preview.unwrap();
    assert_eq!(preview.until_year_end_net.as_ref().map(|money| money.cents), Some(500));
    let [obstacle] = preview.obstacles.as_slice() else { panic!("{preview:?}") };
    assert_eq!(
        (obstacle.reason.as_str(), obstacle.description.as_str()),
        ("BUDGET_EXCEEDED", refused.message())
    );
    assert_eq!(api.dump().await, before);

    // What fits, fits; growth is money too, and shrinking always may.
    order(&api, tenant("test", 3)).await.unwrap();
    let resize = |cpus| v1::UpdateTenantRequest {
        tenant: Some(v1::Tenant {
            name: "members/m-05766044/tenants/test".into(),
            workspace_quota: Some(amounts(cpus)),
            ..Default::default()
        }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["workspace_quota".into()] }),
        ..Default::default()
    };
    let mut tenants = TenantServiceClient::new(api.channel(LEMGO));
    let refused = tenants.update_tenant(resize(5)).await.unwrap_err();
    assert_eq!(reason(&refused), "BUDGET_EXCEEDED");
    tenants.update_tenant(resize(4)).await.unwrap();
    let mut instances = InstanceServiceClient::new(api.channel(LEMGO));
    assert_eq!(
        reason(&instances.create_instance(instance_request("db")).await.unwrap_err()),
        "BUDGET_EXCEEDED"
    );
    let lower =
        v1::SetBudgetRequest { etag: get_budget(&api).await.etag, ..budget_request(500, Mode::Block) };
    let over = set_budget(&api, lower).await.unwrap();
    assert_eq!(cents(over.remaining.as_ref()), -500, "a lower limit takes nothing away");
    tenants.update_tenant(resize(2)).await.unwrap();
    assert_eq!(cents(get_budget(&api).await.committed.as_ref()), 800);
}

#[tokio::test]
async fn thirty_two_first_orders_at_once_never_pass_the_budget() {
    let api = priced().await;
    set_budget(&api, budget_request(1_000, Mode::Block)).await.unwrap();
    let orders = (0..32).map(|number| {
        let mut tenants = TenantServiceClient::new(api.channel(LEMGO));
        tokio::spawn(async move { tenants.create_tenant(tenant(&format!("t{number}"), 1)).await })
    });
    let mut accepted = 0;
    for order in futures::future::join_all(orders).await {
        match order.unwrap() {
            Ok(_) => accepted += 1,
            Err(status) => {
                let known = ["BUDGET_EXCEEDED", "CONTENTION"].contains(&reason(&status).as_str());
                assert!(known, "{status}");
            }
        }
    }
    assert!((1..=10).contains(&accepted), "ten euros for one each: {accepted}");
    let budget = get_budget(&api).await;
    assert_eq!(cents(budget.committed.as_ref()), accepted * 100);
    assert_eq!(i64::try_from(budget.commitments.len()).unwrap(), accepted);
    // Whoever lost only a race comes again, until the limit is reached and not passed.
    for number in 0..32 {
        let again = order(&api, tenant(&format!("n{number}"), 1)).await;
        assert_eq!(again.is_ok(), accepted + number < 10, "{number}: {again:?}");
    }
    assert_eq!(cents(get_budget(&api).await.committed.as_ref()), 1_000);
}

#[tokio::test]
async fn a_deletion_gives_back_its_future_and_what_was_spent_stays() {
    let api = priced().await;
    order(&api, tenant("prod", 4)).await.unwrap();
    // What lives already is counted when the limit is set.
    let budget = set_budget(&api, budget_request(1_000, Mode::Block)).await.unwrap();
    assert_eq!(cents(budget.committed.as_ref()), 400);
    // Half of December has gone.
    api.set_clock("2026-12-16T11:00:00Z");
    let request =
        v1::DeleteTenantRequest { name: "members/m-05766044/tenants/prod".into(), ..Default::default() };
    TenantServiceClient::new(api.channel(LEMGO)).delete_tenant(request).await.unwrap();
    let budget = get_budget(&api).await;
    assert_eq!((cents(budget.committed.as_ref()), budget.commitments.len()), (200, 0));
    assert_eq!(budget.ended[0].subject, "members/m-05766044/tenants/prod");

    // It was never ready, so by the facts nothing was used: a count anew says so, and only with a reason.
    let mut budgets = BudgetServiceClient::new(api.channel(LEMGO));
    let mut request = v1::RecountBudgetRequest { name: BUDGET.into(), ..Default::default() };
    assert_eq!(wrong_fields(&budgets.recount_budget(request.clone()).await.unwrap_err()), ["reason"]);
    request.reason = "nie bereit".into();
    let counted = budgets.recount_budget(request).await.unwrap().into_inner();
    assert_eq!((counted.drifts.len(), cents(counted.drifts[0].ledger.as_ref())), (1, 200));
    assert_eq!(cents(get_budget(&api).await.committed.as_ref()), 0);
}

#[tokio::test]
async fn the_next_years_budget_counts_what_lives_on_at_the_prices_announced_for_it() {
    let api = priced().await;
    order(&api, tenant("prod", 2)).await.unwrap();
    create_prices(&api, "preise-2027", "2027-07-01", 3_000_000).await;
    let name = BUDGET.replace("2026", "2027");
    let request = v1::SetBudgetRequest { name: name.clone(), ..budget_request(5_000, Mode::Block) };
    let budget = set_budget(&api, request).await.unwrap();
    assert_eq!(cents(budget.committed.as_ref()), 2 * (6 * 100 + 6 * 300));
    let refused = order(&api, tenant("test", 1)).await.unwrap_err();
    assert_eq!(refused.get_details_error_info().unwrap().metadata["budget"], name, "{refused}");
}

#[tokio::test]
async fn budgets_are_the_members_own_and_bad_ones_are_refused_with_all_that_is_wrong() {
    let api = priced().await;
    let bad = v1::SetBudgetRequest {
        limit: Some(v1::Money { currency_code: "CHF".into(), cents: -1 }),
        resolution: " ".into(),
        ..budget_request(0, Mode::Unspecified)
    };
    let refused = set_budget(&api, bad).await.unwrap_err();
    assert_eq!(wrong_fields(&refused), ["limit.cents", "limit.currency_code", "mode", "resolution"]);
    let past = v1::SetBudgetRequest { name: BUDGET.replace("2026", "2025"), ..budget_request(1, Mode::Ask) };
    assert_eq!(wrong_fields(&set_budget(&api, past).await.unwrap_err()), ["name"]);
    let unknown =
        v1::SetBudgetRequest { name: BUDGET.replace("main", "schulen"), ..budget_request(1, Mode::Ask) };
    assert_eq!(set_budget(&api, unknown).await.unwrap_err().code(), Code::NotFound);

    set_budget(&api, budget_request(1, Mode::Ask)).await.unwrap();
    let stale = v1::SetBudgetRequest { etag: "0".into(), ..budget_request(2, Mode::Ask) };
    assert_eq!(reason(&set_budget(&api, stale).await.unwrap_err()), "STALE_ETAG");
    for (identity, code) in [(WIEHL, Code::NotFound), (OPERATOR, Code::PermissionDenied)] {
        let mut budgets = BudgetServiceClient::new(api.channel(identity));
        let refused = budgets.set_budget(budget_request(5, Mode::Block)).await.unwrap_err();
        assert_eq!(refused.code(), code, "{identity}: what a member spends is its own decision");
        let request = v1::GetBudgetRequest { name: BUDGET.into() };
        assert_eq!(budgets.get_budget(request).await.unwrap_err().code(), code);
    }
}
