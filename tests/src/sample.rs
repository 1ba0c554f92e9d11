//! What the story's requests hold. Bodies depend on nothing but their arguments: a repeated request must be the same.

use std::path::Path;

use allmende_proto::v1;

use crate::{month::Month, world::CLUSTER};

/// All dated data is in force from here on.
const FROM: &str = "2020-01-01";
/// Resolution of everything (sample).
const RESOLUTION: &str = "Muster 2020/01";

/// CPUs of a workspace.
const WORKSPACE: i64 = 2;

/// A sample member.
#[derive(Debug)]
pub struct Member {
    key: &'static str,
    /// For people.
    pub city: &'static str,
    leitweg_id: &'static str,
    postal_code: &'static str,
}

/// The story's members.
pub const MEMBERS: [Member; 3] = [
    Member { key: "05766044", city: "Lemgo", leitweg_id: "05766044-KST4711-12", postal_code: "32657" },
    Member { key: "05374048", city: "Wiehl", leitweg_id: "05374048-33", postal_code: "51674" },
    Member { key: "01051044", city: "Heide", leitweg_id: "01051044-IT01-35", postal_code: "25746" },
];

/// So many CPUs and what goes with them.
pub fn amounts(cpus: i64) -> v1::Resources {
    v1::Resources {
        cpu_milli: cpus * 1000,
        memory_bytes: cpus << 31,
        storage_bytes: cpus * (10 << 30),
        pods: cpus * 10,
        ..v1::Resources::default()
    }
}

impl Member {
    fn name(&self) -> String {
        format!("members/m-{}", self.key)
    }

    /// Who acts for it.
    pub fn identity(&self) -> String {
        format!("allmende://member/m-{}", self.key)
    }

    /// Its only tenant.
    pub fn tenant_name(&self) -> String {
        format!("{}/tenants/prod", self.name())
    }

    /// Its only instance.
    pub fn instance_name(&self) -> String {
        format!("{}/instances/note", self.tenant_name())
    }

    fn recipient(&self) -> v1::BillTo {
        v1::BillTo {
            recipient_name: format!("Stadtkasse {} (Muster)", self.city),
            leitweg_id: self.leitweg_id.into(),
            street: "Musterweg 1".into(),
            postal_code: self.postal_code.into(),
            city: self.city.into(),
            electronic_address: "rechnung@muster.example".into(),
            valid_from: FROM.into(),
            ..Default::default()
        }
    }

    /// Its onboarding.
    pub fn onboarding(&self, request_id: String) -> v1::CreateMemberRequest {
        let tax = v1::TaxProfile {
            valid_from: FROM.into(),
            vat_category: "S".into(),
            rate_basis_points: 1900,
            ..Default::default()
        };
        v1::CreateMemberRequest {
            member: Some(v1::Member {
                register_key: self.key.into(),
                shares: vec![v1::ShareHolding { count: 4, valid_from: FROM.into() }],
                tax_profiles: vec![tax],
                ..Default::default()
            }),
            bill_to: Some(self.recipient()),
            request_id,
            ..Default::default()
        }
    }

    /// Another recipient.
    pub fn bill_to_it(&self, request_id: String) -> v1::CreateBillToRequest {
        v1::CreateBillToRequest {
            parent: self.name(),
            bill_to: Some(self.recipient()),
            bill_to_id: "it".into(),
            request_id,
            ..Default::default()
        }
    }

    /// Its part of the cluster.
    pub fn entitlement(&self, request_id: String) -> v1::SetEntitlementRequest {
        v1::SetEntitlementRequest {
            name: format!("{}/entitlements/{CLUSTER}", self.name()),
            guaranteed: Some(amounts(10)),
            resolution: RESOLUTION.into(),
            request_id,
            ..Default::default()
        }
    }

    /// Its tenant.
    pub fn tenant(&self, request_id: String) -> v1::CreateTenantRequest {
        v1::CreateTenantRequest {
            parent: self.name(),
            tenant_id: "prod".into(),
            tenant: Some(v1::Tenant {
                cluster: format!("clusters/{CLUSTER}"),
                workspace_quota: Some(amounts(WORKSPACE)),
                ..Default::default()
            }),
            request_id,
            ..Default::default()
        }
    }

    /// Its tenant with a larger quota.
    pub fn growth(&self, request_id: String) -> v1::UpdateTenantRequest {
        v1::UpdateTenantRequest {
            tenant: Some(v1::Tenant {
                name: self.tenant_name(),
                workspace_quota: Some(amounts(WORKSPACE + 1)),
                ..Default::default()
            }),
            update_mask: Some(prost_types::FieldMask { paths: vec!["workspace_quota".into()] }),
            request_id,
            ..Default::default()
        }
    }

    /// Its order.
    pub fn order(&self, request_id: String) -> v1::CreateInstanceRequest {
        v1::CreateInstanceRequest {
            parent: self.tenant_name(),
            instance_id: "note".into(),
            instance: Some(v1::Instance {
                offering: "offerings/note".into(),
                plan: "small".into(),
                ..Default::default()
            }),
            request_id,
            ..Default::default()
        }
    }
}

/// The register with the story's members alone: rows of the real one.
///
/// # Panics
/// When the real one cannot be read.
pub fn register() -> Vec<v1::ImportRegisterRequest> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data");
    let rows = |file: &str, wanted: &dyn Fn(&str) -> bool| -> Vec<u8> {
        let text = std::fs::read_to_string(data.join(file)).unwrap();
        let kept: Vec<&str> = text
            .lines()
            .enumerate()
            .filter(|(row, line)| *row == 0 || wanted(line))
            .map(|(_, l)| l)
            .collect();
        (kept.join("\n") + "\n").into_bytes()
    };
    let ours = |line: &str| MEMBERS.iter().any(|member| line.starts_with(member.key));
    vec![v1::ImportRegisterRequest {
        edition: "2023-11-30".into(),
        population_as_of: "2022-12-31".into(),
        source: "Destatis GV-ISys, dl-de/by-2-0".into(),
        municipalities_csv: rows("gemeinden_2023-11-30.csv", &ours),
        counties_csv: rows("kreise_2023-11-30.csv", &|line| line.starts_with("05766")),
    }]
}

/// The cluster.
pub fn cluster(request_id: String) -> v1::CreateClusterRequest {
    let cluster = v1::Cluster { capacity: Some(amounts(64)), ..Default::default() };
    v1::CreateClusterRequest {
        cluster_id: CLUSTER.into(),
        cluster: Some(cluster),
        request_id,
        ..Default::default()
    }
}

/// The offering.
pub fn offering(request_id: String, chart: &str) -> v1::PublishOfferingVersionRequest {
    let field =
        |key: &str, value: &str| v1::CatalogSecretField { key: key.into(), value: value.into(), bound: true };
    v1::PublishOfferingVersionRequest {
        name: "offerings/note".into(),
        title: "Notiz".into(),
        version: Some(v1::OfferingVersion {
            version: "1.0.0".into(),
            chart: chart.into(),
            parameters_schema: r#"{"type":"object","additionalProperties":false,"properties":{}}"#.into(),
            plans: vec![v1::Plan {
                id: "small".into(),
                title: "Klein".into(),
                values_json: r#"{"size":"small"}"#.into(),
                footprint: vec![v1::FootprintPart { title: "Notiz".into(), resources: Some(amounts(1)) }],
            }],
            secret_fields: vec![field("username", "note"), field("password", "")],
            binding_fields: [("host".to_owned(), "{service}.{services_namespace}.svc".to_owned())].into(),
            timeout_seconds: 60,
            ..Default::default()
        }),
        request_id,
        ..Default::default()
    }
}

/// Who issues the invoices.
pub fn issuer(request_id: String) -> v1::SetIssuerRequest {
    v1::SetIssuerRequest {
        issuer: Some(v1::Issuer {
            legal_name: "Muster-Plattformgenossenschaft eG (i. M.)".into(),
            legal_registration: "GnR 0000 (Muster)".into(),
            vat_id: "DE123456788".into(),
            street: "Musterallee 1 (Muster)".into(),
            postal_code: "32657".into(),
            city: "Lemgo".into(),
            contact_name: "Rechnungsstelle".into(),
            contact_phone: "+49 5261 0000000".into(),
            contact_email: "rechnung@genossenschaft.example.org".into(),
            electronic_address: "rechnung@genossenschaft.example.org".into(),
            iban: "DE02120300000000202051".into(),
            payment_terms: "Zahlbar innerhalb von 30 Tagen ohne Abzug.".into(),
            payment_days: 30,
            number_prefix: "MPG".into(),
            ..Default::default()
        }),
        request_id,
        ..Default::default()
    }
}

/// Prices of all meters.
pub fn prices(request_id: String) -> v1::CreatePriceListRequest {
    use v1::meter_price::Unit;
    let price = |meter: &str, unit: Unit, micro_euro| v1::MeterPrice {
        meter: meter.into(),
        unit: unit.into(),
        micro_euro,
        title: meter.to_uppercase(),
    };
    v1::CreatePriceListRequest {
        price_list_id: "preise".into(),
        price_list: Some(v1::PriceList {
            valid_from: FROM.into(),
            resolution: RESOLUTION.into(),
            prices: vec![
                price("vcpu", Unit::Hour, 12_300),
                price("memory-gib", Unit::Hour, 3_100),
                price("storage-gib", Unit::Month, 89_000),
                price("namespace", Unit::Month, 45_000_000),
            ],
            ..Default::default()
        }),
        request_id,
        ..Default::default()
    }
}

/// By inhabitants and shares.
pub fn key(request_id: String) -> v1::CreateAllocationKeyRequest {
    use v1::key_component::Kind;
    let part =
        |kind: Kind, title: &str| v1::KeyComponent { kind: kind.into(), percent: 50, title: title.into() };
    v1::CreateAllocationKeyRequest {
        key_id: "standard".into(),
        key: Some(v1::AllocationKey {
            valid_from: FROM.into(),
            resolution: RESOLUTION.into(),
            components: vec![part(Kind::Inhabitants, "Einwohner"), part(Kind::Shares, "Anteile")],
            ..Default::default()
        }),
        request_id,
        ..Default::default()
    }
}

/// A common cost.
pub fn pot(request_id: String, month: Month) -> v1::CreatePotRequest {
    v1::CreatePotRequest {
        pot_id: "betrieb".into(),
        pot: Some(v1::Pot {
            period: month.period(),
            title: "Gemeinsamer Betrieb".into(),
            amount: Some(v1::Money { currency_code: "EUR".into(), cents: 100_001 }),
            key: "keys/standard".into(),
            resolution: RESOLUTION.into(),
            ..Default::default()
        }),
        request_id,
        ..Default::default()
    }
}

/// Two meters of every member for ten days.
pub fn usage(request_id: String, month: Month) -> Vec<v1::ImportUsageRequest> {
    let time = |day| prost_types::Timestamp { seconds: month.noon(day), nanos: 0 };
    let segments = MEMBERS.iter().flat_map(|member| {
        ["vcpu", "storage-gib"].map(|meter| v1::UsageSegment {
            id: format!("{}-{meter}", member.key),
            member: member.name(),
            meter: meter.into(),
            amount_milli: 4000,
            interval: Some(v1::Interval { start_time: Some(time(3)), end_time: Some(time(13)) }),
            subject: "Bestand (Muster)".into(),
            ..Default::default()
        })
    });
    vec![v1::ImportUsageRequest {
        source: "Muster".into(),
        request_id,
        validate_only: false,
        segments: segments.collect(),
    }]
}

/// The closing, dated so that every run prints the same.
pub fn run(request_id: String, month: Month) -> v1::CreateRunRequest {
    v1::CreateRunRequest {
        period: month.period(),
        issue_date: format!("{}-28", month.period()),
        request_id,
        ..Default::default()
    }
}
