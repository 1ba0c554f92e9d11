//! A store as large as the register: one member is made through the API, and all its records are copied for every other one.

use std::path::Path;

use allmende_proto::v1;
use anyhow::{Context, Result};
use etcd_client::{Client, GetOptions, Txn, TxnOp};
use tonic::transport::Channel;

/// The member that is made through the API; its key is in the register.
const FIRST: &str = "05766044";
/// Below etcd's limit of a transaction.
const AT_ONCE: usize = 100;

/// Amounts of everything.
pub(crate) fn amounts(cpus: i64) -> v1::Resources {
    v1::Resources {
        cpu_milli: cpus * 1000,
        memory_bytes: cpus << 31,
        storage_bytes: cpus * (10 << 30),
        pods: cpus * 10,
        ..Default::default()
    }
}

/// The ids of `count` members, the one made through the API first.
pub(crate) fn members(count: usize) -> Result<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/gemeinden_2023-11-30.csv");
    let text = std::fs::read_to_string(path)?;
    let keys = text.lines().skip(1).filter_map(|line| line.get(..8)).filter(|key| *key != FIRST);
    let all = std::iter::once(FIRST).chain(keys).take(count);
    Ok(all.map(|key| format!("m-{key}")).collect())
}

/// Makes the cooperative with one member through the API.
pub(crate) async fn first_member(operator: Channel, member: Channel, instances: usize) -> Result<()> {
    cooperative(operator).await?;
    let mut tenants = v1::tenant_service_client::TenantServiceClient::new(member.clone());
    let tenant = v1::Tenant {
        cluster: "clusters/bench".to_owned(),
        workspace_quota: Some(amounts(1)),
        ..Default::default()
    };
    let request = v1::CreateTenantRequest {
        parent: format!("members/m-{FIRST}"),
        tenant_id: "prod".to_owned(),
        tenant: Some(tenant),
        ..Default::default()
    };
    tenants.create_tenant(request).await?;
    let mut orders = v1::instance_service_client::InstanceServiceClient::new(member);
    for n in 0..instances {
        let instance = v1::Instance {
            offering: "offerings/note".to_owned(),
            plan: "small".to_owned(),
            ..Default::default()
        };
        let request = v1::CreateInstanceRequest {
            parent: format!("members/m-{FIRST}/tenants/prod"),
            instance_id: format!("db-{n}"),
            instance: Some(instance),
            ..Default::default()
        };
        orders.create_instance(request).await?;
    }
    Ok(())
}

async fn cooperative(operator: Channel) -> Result<()> {
    let mut registers = v1::member_service_client::MemberServiceClient::new(operator.clone());
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data");
    let file = |name: &str| std::fs::read(data.join(name));
    let mut parts = vec![v1::ImportRegisterRequest {
        edition: "2023-11-30".to_owned(),
        population_as_of: "2022-12-31".to_owned(),
        source: "Destatis GV-ISys, dl-de/by-2-0".to_owned(),
        ..Default::default()
    }];
    for chunk in file("gemeinden_2023-11-30.csv")?.chunks(1 << 20) {
        parts.push(v1::ImportRegisterRequest { municipalities_csv: chunk.to_vec(), ..Default::default() });
    }
    let counties_csv = file("kreise_2023-11-30.csv")?;
    parts.push(v1::ImportRegisterRequest { counties_csv, ..Default::default() });
    registers.import_register(tokio_stream::iter(parts)).await?;
    let mut clusters = v1::cluster_service_client::ClusterServiceClient::new(operator.clone());
    let cluster = v1::Cluster { capacity: Some(amounts(1_000_000)), ..Default::default() };
    let request = v1::CreateClusterRequest {
        cluster_id: "bench".to_owned(),
        cluster: Some(cluster),
        ..Default::default()
    };
    clusters.create_cluster(request).await?;
    registers.create_member(member()).await?;
    let mut quota = v1::quota_service_client::QuotaServiceClient::new(operator.clone());
    let request = v1::SetEntitlementRequest {
        name: format!("members/m-{FIRST}/entitlements/bench"),
        guaranteed: Some(amounts(90)),
        resolution: "Messung 2026/01".to_owned(),
        ..Default::default()
    };
    quota.set_entitlement(request).await?;
    let mut catalog = v1::catalog_service_client::CatalogServiceClient::new(operator);
    catalog.publish_offering_version(offering()).await?;
    Ok(())
}

/// Prices of the workspace, so that a preview has something to price.
pub(crate) async fn prices(treasurer: Channel) -> Result<()> {
    use v1::meter_price::Unit;
    let price = |meter: &str, unit: Unit, micro_euro| v1::MeterPrice {
        meter: meter.to_owned(),
        unit: unit.into(),
        micro_euro,
        title: meter.to_owned(),
    };
    let list = v1::PriceList {
        valid_from: "2020-01-01".to_owned(),
        resolution: "Messung 2020/01".to_owned(),
        prices: vec![
            price("vcpu", Unit::Hour, 12_300),
            price("memory-gib", Unit::Hour, 3_100),
            price("storage-gib", Unit::Month, 89_000),
            price("namespace", Unit::Month, 45_000_000),
        ],
        ..Default::default()
    };
    let request = v1::CreatePriceListRequest {
        price_list_id: "preise".to_owned(),
        price_list: Some(list),
        ..Default::default()
    };
    v1::billing_service_client::BillingServiceClient::new(treasurer).create_price_list(request).await?;
    Ok(())
}

fn member() -> v1::CreateMemberRequest {
    let shares = vec![v1::ShareHolding { count: 4, valid_from: "2020-01-01".to_owned() }];
    let member = v1::Member { register_key: FIRST.to_owned(), shares, ..Default::default() };
    let bill_to = v1::BillTo {
        recipient_name: "Stadtkasse (Muster)".to_owned(),
        leitweg_id: format!("{FIRST}-KST4711-12"),
        street: "Musterweg 1".to_owned(),
        postal_code: "32657".to_owned(),
        city: "Musterstadt".to_owned(),
        electronic_address: "rechnung@muster.example".to_owned(),
        ..Default::default()
    };
    v1::CreateMemberRequest { member: Some(member), bill_to: Some(bill_to), ..Default::default() }
}

fn offering() -> v1::PublishOfferingVersionRequest {
    let part = v1::FootprintPart { title: "Notiz".to_owned(), resources: Some(amounts(1)) };
    let plan = v1::Plan {
        id: "small".to_owned(),
        title: "Klein".to_owned(),
        values_json: r#"{"size":"small"}"#.to_owned(),
        footprint: vec![part],
    };
    let version = v1::OfferingVersion {
        version: "1.0.0".to_owned(),
        chart: format!("oci://127.0.0.1:5000/charts/note@sha256:{}", "a".repeat(64)),
        parameters_schema: r#"{"type":"object","additionalProperties":false,"properties":{}}"#.to_owned(),
        plans: vec![plan],
        timeout_seconds: 60,
        ..Default::default()
    };
    v1::PublishOfferingVersionRequest {
        name: "offerings/note".to_owned(),
        title: "Notiz".to_owned(),
        version: Some(version),
        ..Default::default()
    }
}

/// Copies the first member's records for the others; gives how many records there are now.
pub(crate) async fn copy(endpoint: &str, members: &[String]) -> Result<usize> {
    let client = Client::connect([endpoint], None).await?;
    let (first, others) = members.split_first().context("no members")?;
    let all = client.kv_client().get("/allmende/v1/", Some(GetOptions::new().with_prefix())).await?;
    let count = usize::try_from(all.count())?;
    let log = ["/audit", "/receipt/", "/register/"];
    let mut own = Vec::new();
    for kv in all.kvs() {
        let key = kv.key_str()?;
        if key.contains(first.as_str()) && !log.iter().any(|part| key.contains(part)) {
            own.push((key.to_owned(), String::from_utf8(kv.value().to_vec())?));
        }
    }
    let copies = others.iter().flat_map(|member| {
        own.iter().map(move |(key, value)| {
            TxnOp::put(key.replace(first, member), value.replace(first, member), None)
        })
    });
    let mut copies = copies.peekable();
    while copies.peek().is_some() {
        let part: Vec<TxnOp> = copies.by_ref().take(AT_ONCE).collect();
        client.kv_client().txn(Txn::new().and_then(part)).await?;
    }
    Ok(count + own.len() * others.len())
}
