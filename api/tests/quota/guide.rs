//! The worked example of docs/guides/quota.md: the sample cooperative's prices and amounts, ordered over the API. With
//! `ALLMENDE_WRITE_DOCS` set it is written into the guide, else compared with it.

use allmende_proto::v1::{
    self, billing_service_client::BillingServiceClient, quota_service_client::QuotaServiceClient,
    tenant_service_client::TenantServiceClient,
};

use crate::support::{Api, LEMGO, OPERATOR, TREASURER, tenant_request};

const GUIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/guides/quota.md");
const SAMPLE: &str = include_str!("../../../data/sample/price-list.yaml");
const BEGIN: &str = "<!-- example: written by the test of the API's quota -->\n";
const END: &str = "<!-- end of the example -->\n";

/// The sample's price list, read line by line: its form is that of its generator.
fn sample_prices() -> v1::CreatePriceListRequest {
    let values = |key: &str| -> Vec<String> {
        let lines = SAMPLE.lines().filter_map(|line| line.trim_start_matches([' ', '-']).split_once(": "));
        lines.filter(|(name, _)| *name == key).map(|(_, value)| value.trim_matches('"').to_owned()).collect()
    };
    let (meters, units, prices) = (values("meter"), values("unit"), values("microEuro"));
    assert_eq!((meters.len(), units.len(), prices.len()), (4, 4, 4), "the sample has another form");
    let price = |i: usize| v1::MeterPrice {
        meter: meters[i].clone(),
        unit: v1::meter_price::Unit::from_str_name(&format!("UNIT_{}", units[i].trim_start_matches("UNIT_")))
            .unwrap()
            .into(),
        micro_euro: prices[i].parse().unwrap(),
        title: meters[i].clone(),
    };
    v1::CreatePriceListRequest {
        price_list_id: values("priceListId").remove(0),
        price_list: Some(v1::PriceList {
            valid_from: values("validFrom").remove(0),
            resolution: values("resolution").remove(0),
            prices: (0..4).map(price).collect(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn amounts(cpu_milli: i64, memory_gib: i64, storage_gib: i64, pods: i64) -> v1::Resources {
    v1::Resources {
        cpu_milli,
        memory_bytes: memory_gib << 30,
        storage_bytes: storage_gib << 30,
        pods,
        ..Default::default()
    }
}

fn row(title: &str, amounts: &v1::Resources) -> String {
    let gib = |bytes: i64| {
        assert_eq!(bytes % (1 << 30), 0);
        bytes >> 30
    };
    format!(
        "| {title} | {}.{:03} | {} | {} | {} |\n",
        amounts.cpu_milli / 1000,
        amounts.cpu_milli % 1000,
        gib(amounts.memory_bytes),
        gib(amounts.storage_bytes),
        amounts.pods
    )
}

fn euro(money: Option<&v1::Money>) -> String {
    let cents = money.unwrap().cents;
    format!("{}.{:02}", cents / 100, cents % 100)
}

fn order(id: &str, quota: v1::Resources, validate_only: bool) -> v1::CreateTenantRequest {
    let mut request = v1::CreateTenantRequest { tenant_id: id.into(), validate_only, ..tenant_request(1) };
    request.tenant.as_mut().unwrap().workspace_quota = Some(quota);
    request
}

fn priced(preview: &v1::Preview) -> String {
    let mut text =
        "| meter | quantity in November | unit price, EUR | net, EUR |\n|---|---|---|---|\n".to_owned();
    for part in &preview.price_parts {
        let micro = part.unit_price_micro_euro;
        let price = format!("{}.{:06}", micro / 1_000_000, micro % 1_000_000);
        text += &format!("| {} | {} | {price} | {} |\n", part.meter, part.quantity, euro(part.net.as_ref()));
    }
    text += &format!("| **a whole month** | | | **{}** |\n\n", euro(preview.monthly_net.as_ref()));
    text += "| month | net, EUR | price list |\n|---|---|---|\n";
    for month in &preview.months {
        text += &format!("| {} | {} | {} |\n", month.period, euro(month.net.as_ref()), month.price_list);
    }
    text + &format!("| **until the year's end** | **{}** | |\n\n", euro(preview.until_year_end_net.as_ref()))
}

async fn example(api: &Api) -> String {
    let entitled = v1::SetEntitlementRequest {
        name: "members/m-05766044/entitlements/local-1".into(),
        guaranteed: Some(amounts(2000, 8, 40, 40)),
        resolution: "Beschluss 2026/03 (Muster)".into(),
        ..Default::default()
    };
    QuotaServiceClient::new(api.channel(OPERATOR)).set_entitlement(entitled).await.unwrap();
    BillingServiceClient::new(api.channel(TREASURER)).create_price_list(sample_prices()).await.unwrap();
    let mut tenants = TenantServiceClient::new(api.channel(LEMGO));
    tenants.create_tenant(order("prod", amounts(1000, 4, 20, 20), false)).await.unwrap();
    let mut quota = QuotaServiceClient::new(api.channel(LEMGO));
    let name = "members/m-05766044/entitlements/local-1".to_owned();
    let account = quota.get_entitlement(v1::GetEntitlementRequest { name }).await.unwrap().into_inner();
    let asked = amounts(500, 2, 5, 5);
    let small = tenants
        .create_tenant(order("test", asked.clone(), true))
        .await
        .unwrap()
        .into_inner()
        .preview
        .unwrap();
    let large =
        tenants.create_tenant(order("test", amounts(1500, 2, 5, 5), true)).await.unwrap().into_inner();
    let large = large.preview.unwrap();
    assert!(small.obstacles.is_empty());
    let mut text = format!(
        "Lemgo (`m-05766044`) on `local-1`, by {}. Its tenant `prod` is there; `test` is looked at on 24 November 2026, 11:00.\n\n",
        account.resolution
    );
    text += "| | CPUs | memory, GiB | storage, GiB | pods |\n|---|---|---|---|---|\n";
    text += &row("entitlement", account.guaranteed.as_ref().unwrap());
    text += &row("− lent", account.lent.as_ref().unwrap());
    text += &row("+ borrowed", account.borrowed.as_ref().unwrap());
    text += &row("− reserved (`prod`)", account.reserved.as_ref().unwrap());
    text += &row("= available", account.available.as_ref().unwrap());
    text += &row("asked for `test`", &asked);
    text += &row("= remaining, as the preview says", small.remaining.as_ref().unwrap());
    text += "\nWhat `test` costs, as the preview says:\n\n";
    text += &priced(&small);
    text += "The same with 1.5 CPUs is in the way of the entitlement, and the preview says so:\n\n";
    for obstacle in &large.obstacles {
        text += &format!(
            "> {}: {}\n>\n> Who can lift it: {}: {}.\n",
            obstacle.reason, obstacle.description, obstacle.role, obstacle.remedy
        );
    }
    text
}

#[tokio::test]
async fn the_guide_s_example_is_what_the_api_answers() {
    let api = Api::start().await;
    api.furnished().await;
    let example = example(&api).await;
    let guide = std::fs::read_to_string(GUIDE).unwrap();
    let (before, rest) = guide.split_once(BEGIN).expect("the guide has a place for the example");
    let (present, after) = rest.split_once(END).expect("the example ends");
    if std::env::var_os("ALLMENDE_WRITE_DOCS").is_some() {
        std::fs::write(GUIDE, format!("{before}{BEGIN}{example}{END}{after}")).unwrap();
    } else {
        assert_eq!(
            present, example,
            "write it anew: ALLMENDE_WRITE_DOCS=1 cargo test -p allmende-api --test quota"
        );
    }
}
