//! A real API in process: mTLS over loopback, a real etcd, a clock that the test sets.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    reason = "each test binary uses a part of this"
)]

pub mod document;
pub mod http2;
pub mod memory;
pub mod probe;
pub mod raw;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use allmende_api::{
    clock::Clock,
    metrics::ApiMetrics,
    server::{Listeners, Parts, serve},
    wiring,
};
use allmende_identity::{
    KeyAndRequest, ServerTls, ServerTlsPaths, client, install_crypto_provider, signer::FileSigner,
};
use allmende_proto::v1::{self, member_service_client::MemberServiceClient};
use allmende_store::{Store, StoreConfig, objects::DocumentStore};
use allmende_testkit::{
    ca::{Leaf, TestCa, rcgen},
    etcd::TestEtcd,
};
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic_types::StatusExt;

pub const OPERATOR: &str = "allmende://cooperative/operator";
pub const TREASURER: &str = "allmende://cooperative/treasurer";
pub const LEMGO: &str = "allmende://member/m-05766044";
pub const WIEHL: &str = "allmende://member/m-05374048";
pub const CLUSTER: &str = "allmende://cluster/local-1";

/// A clock that stands until it is set.
pub struct SetClock(Mutex<Timestamp>);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

pub struct Api {
    pub etcd: TestEtcd,
    pub ca: TestCa,
    pub tls: ServerTls,
    pub clock: Arc<SetClock>,
    pub documents: tempfile::TempDir,
    pub address: std::net::SocketAddr,
    pub health: std::net::SocketAddr,
    pub metrics: std::net::SocketAddr,
    pub audits: allmende_api::app::audit::Audits,
    pub holdings: allmende_api::app::holdings::Holdings,
    drain: CancellationToken,
}

impl Drop for Api {
    fn drop(&mut self) {
        self.drain.cancel();
    }
}

impl Api {
    pub async fn start() -> Self {
        Self::start_with(allmende_api::authn::Issuers::default()).await
    }

    /// With issuers of access tokens.
    pub async fn start_with(issuers: allmende_api::authn::Issuers) -> Self {
        Self::start_as(issuers, |apps| apps).await
    }

    /// With use cases set up in another way.
    pub async fn start_as(
        issuers: allmende_api::authn::Issuers,
        set_up: impl FnOnce(allmende_api::service::Apps) -> allmende_api::service::Apps,
    ) -> Self {
        install_crypto_provider();
        let (etcd, ca) = (TestEtcd::start().await, TestCa::new());
        let documents = tempfile::tempdir().unwrap();
        let server = ca.server("server");
        let paths = ServerTlsPaths {
            cert: server.cert,
            key: server.key,
            client_ca: ca.cert(),
            crl: Some(ca.revocation_list(&[], true)),
        };
        let store = Store::connect(&StoreConfig::new(vec![etcd.endpoint()])).await.unwrap();
        let store = store.indexed();
        let clock = Arc::new(SetClock(Mutex::new("2026-11-24T10:00:00Z".parse().unwrap())));
        let mut registry = prometheus_client::registry::Registry::default();
        let metrics = ApiMetrics::register(&mut registry);
        let drain = CancellationToken::new();
        let document_store = DocumentStore::open(documents.path()).await.unwrap();
        let apps = wiring::apps(
            store.clone(),
            document_store,
            clock.clone(),
            issuers.clone(),
            metrics.clone(),
            drain.clone(),
        );
        let mut apps = set_up(apps);
        let (audits, holdings) = (apps.audits.clone(), apps.holdings.clone());
        let authority = ca.own();
        apps.set_signer(Some(Arc::new(FileSigner { cert: authority.cert, key: authority.key })));
        let bind = || async { TcpListener::bind("127.0.0.1:0").await.unwrap() };
        let listeners = Listeners { api: bind().await, health: bind().await, metrics: bind().await };
        let (address, health) = (listeners.api.local_addr().unwrap(), listeners.health.local_addr().unwrap());
        let metrics_address = listeners.metrics.local_addr().unwrap();
        let tls = ServerTls::load(paths).unwrap();
        // The etcd of the tests speaks no TLS; only the ends of these are shown.
        let towards_etcd = ca.client("allmende", &[]);
        let own = Some((towards_etcd.cert, towards_etcd.key));
        let etcd_tls = Some(allmende_identity::client::ClientTls { ca: ca.cert(), own });
        let parts = Parts { tls: tls.clone(), etcd_tls, issuers, apps, store, registry, metrics };
        tokio::spawn(serve(listeners, parts, drain.clone()));
        Self {
            etcd,
            ca,
            tls,
            clock,
            documents,
            address,
            health,
            audits,
            holdings,
            metrics: metrics_address,
            drain,
        }
    }

    pub fn set_clock(&self, time: &str) {
        *self.clock.0.lock().unwrap() = time.parse().unwrap();
    }

    /// A channel with the certificate of an identity; an empty one: without certificate.
    pub fn channel(&self, identity: &str) -> Channel {
        let own = (!identity.is_empty()).then(|| self.leaf(identity));
        self.channel_as(own.as_ref())
    }

    /// A fresh certificate of an identity.
    pub fn leaf(&self, identity: &str) -> Leaf {
        let file = format!("client-{}", identity.replace(['/', ':'], "_"));
        self.ca.client(&file, &[identity])
    }

    /// A channel with this certificate.
    pub fn channel_as(&self, own: Option<&Leaf>) -> Channel {
        let own = own.map(|leaf| (leaf.cert.clone(), leaf.key.clone()));
        let tls = client::ClientTls { ca: self.ca.cert(), own };
        client::channel(&format!("https://localhost:{}", self.address.port()), tls).unwrap()
    }

    /// A certificate request that asks for more than it gets.
    pub fn request_as(&self, uri: &str) -> KeyAndRequest {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.subject_alt_names = vec![rcgen::SanType::URI(uri.try_into().unwrap())];
        params.distinguished_name.push(rcgen::DnType::CommonName, "operator");
        let request = params.serialize_request(&key).unwrap().pem().unwrap();
        KeyAndRequest { key: key.serialize_pem(), request }
    }

    /// One for a key on the wrong curve.
    pub fn request_on_p384(&self) -> String {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        rcgen::CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap()
    }

    /// Everything stored, but audit and receipts: what a refused call must not change.
    pub async fn dump(&self) -> BTreeMap<String, String> {
        let client = etcd_client::Client::connect([self.etcd.endpoint()], None).await.unwrap();
        let options = etcd_client::GetOptions::new().with_prefix();
        let all = client.kv_client().get("/allmende/", Some(options)).await.unwrap();
        all.kvs()
            .iter()
            .map(|kv| (kv.key_str().unwrap().to_owned(), kv.value_str().unwrap().to_owned()))
            .filter(|(key, _)| !key.contains("/audit/"))
            .collect()
    }

    /// All audit entries, oldest first.
    pub async fn audit(&self) -> Vec<serde_json::Value> {
        let client = etcd_client::Client::connect([self.etcd.endpoint()], None).await.unwrap();
        let options = etcd_client::GetOptions::new().with_prefix();
        let all = client.kv_client().get("/allmende/v1/audit/", Some(options)).await.unwrap();
        all.kvs()
            .iter()
            .map(|kv| serde_json::from_slice::<serde_json::Value>(kv.value()).unwrap()["value"].clone())
            .collect()
    }

    /// Register, members Lemgo and Wiehl, cluster, entitlements, offering.
    pub async fn furnished(&self) {
        import_register(self).await;
        create_member(self, "05766044", "05766044-KST4711-12").await.unwrap();
        create_member(self, "05374048", "05374048-33").await.unwrap();
        let mut clusters = v1::cluster_service_client::ClusterServiceClient::new(self.channel(OPERATOR));
        let cluster = v1::Cluster { capacity: Some(amounts(64)), ..Default::default() };
        let request = v1::CreateClusterRequest {
            cluster_id: "local-1".into(),
            cluster: Some(cluster),
            ..Default::default()
        };
        clusters.create_cluster(request).await.unwrap();
        set_entitlement(self, "m-05766044", 10).await.unwrap();
        let mut catalog = v1::catalog_service_client::CatalogServiceClient::new(self.channel(OPERATOR));
        catalog.publish_offering_version(offering("1.0.0")).await.unwrap();
    }
}

pub fn amounts(cpus: i64) -> v1::Resources {
    v1::Resources {
        cpu_milli: cpus * 1000,
        memory_bytes: cpus << 31,
        storage_bytes: cpus * (10 << 30),
        pods: cpus * 10,
        ..v1::Resources::default()
    }
}

pub async fn set_entitlement(api: &Api, member: &str, cpus: i64) -> Result<v1::Entitlement, tonic::Status> {
    let mut quota = v1::quota_service_client::QuotaServiceClient::new(api.channel(OPERATOR));
    let request = v1::SetEntitlementRequest {
        name: format!("members/{member}/entitlements/local-1"),
        guaranteed: Some(amounts(cpus)),
        resolution: "Muster 2026/01".into(),
        ..Default::default()
    };
    quota.set_entitlement(request).await.map(tonic::Response::into_inner)
}

pub async fn import_register(api: &Api) -> v1::RegisterEdition {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/../data");
    let file = |name: &str| std::fs::read(format!("{data}/{name}")).unwrap();
    let mut parts = vec![v1::ImportRegisterRequest {
        edition: "2023-11-30".into(),
        population_as_of: "2022-12-31".into(),
        source: "Destatis GV-ISys, dl-de/by-2-0".into(),
        ..Default::default()
    }];
    for chunk in file("gemeinden_2023-11-30.csv").chunks(1 << 20) {
        parts.push(v1::ImportRegisterRequest { municipalities_csv: chunk.to_vec(), ..Default::default() });
    }
    parts.push(v1::ImportRegisterRequest {
        counties_csv: file("kreise_2023-11-30.csv"),
        ..Default::default()
    });
    let mut members = MemberServiceClient::new(api.channel(OPERATOR));
    members.import_register(tokio_stream::iter(parts)).await.unwrap().into_inner()
}

pub fn member_request(key: &str, leitweg_id: &str) -> v1::CreateMemberRequest {
    v1::CreateMemberRequest {
        member: Some(v1::Member {
            register_key: key.into(),
            shares: vec![v1::ShareHolding { count: 4, valid_from: "2026-01-01".into() }],
            ..Default::default()
        }),
        bill_to: Some(v1::BillTo {
            recipient_name: "Stadtkasse (Muster)".into(),
            leitweg_id: leitweg_id.into(),
            street: "Musterweg 1".into(),
            postal_code: "32657".into(),
            city: "Musterstadt".into(),
            electronic_address: "rechnung@muster.example".into(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

pub async fn create_member(api: &Api, key: &str, leitweg_id: &str) -> Result<v1::Member, tonic::Status> {
    let mut members = MemberServiceClient::new(api.channel(OPERATOR));
    members.create_member(member_request(key, leitweg_id)).await.map(tonic::Response::into_inner)
}

pub fn offering(version: &str) -> v1::PublishOfferingVersionRequest {
    let schema = r#"{"type":"object","additionalProperties":false,"properties":
        {"database":{"type":"string","pattern":"^[a-z]+$"},"maxConnections":{"type":"integer","minimum":10,"maximum":500}}}"#;
    v1::PublishOfferingVersionRequest {
        name: "offerings/postgresql".into(),
        title: "PostgreSQL".into(),
        version: Some(v1::OfferingVersion {
            version: version.into(),
            chart: format!("oci://127.0.0.1:5000/charts/postgresql@sha256:{}", "a".repeat(64)),
            parameters_schema: schema.into(),
            plans: vec![v1::Plan {
                id: "small".into(),
                title: "Klein".into(),
                values_json: r#"{"storage":{"size":"10Gi"}}"#.into(),
                footprint: vec![v1::FootprintPart { title: "Datenbank".into(), resources: Some(amounts(1)) }],
            }],
            timeout_seconds: 300,
            ..Default::default()
        }),
        ..Default::default()
    }
}

pub fn tenant_request(cpus: i64) -> v1::CreateTenantRequest {
    v1::CreateTenantRequest {
        parent: "members/m-05766044".into(),
        tenant_id: "prod".into(),
        tenant: Some(v1::Tenant {
            cluster: "clusters/local-1".into(),
            workspace_quota: Some(amounts(cpus)),
            ..Default::default()
        }),
        ..Default::default()
    }
}

pub fn instance_request(id: &str) -> v1::CreateInstanceRequest {
    v1::CreateInstanceRequest {
        parent: "members/m-05766044/tenants/prod".into(),
        instance_id: id.into(),
        instance: Some(v1::Instance {
            offering: "offerings/postgresql".into(),
            plan: "small".into(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// The wrong fields that a refusal names, sorted.
pub fn wrong_fields(status: &tonic::Status) -> Vec<String> {
    let mut fields: Vec<String> = status
        .get_details_bad_request()
        .map(|bad| bad.field_violations.into_iter().map(|violation| violation.field).collect())
        .unwrap_or_default();
    fields.sort();
    fields
}

pub fn reason(status: &tonic::Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}
