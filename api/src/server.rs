//! The gRPC server with all its limits, health on its own listener, and a drain that is bounded in time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use allmende_identity::{Acceptor, AcceptorLimits, ServerTls, client::ClientTls};
use allmende_proto::{FILE_DESCRIPTOR_SET, v1};
use allmende_store::Store;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

use crate::{
    authn::Issuers,
    bars, index_metrics,
    layers::{
        authentication::Authentication,
        call::{CallLayer, CallLimits},
    },
    metrics::ApiMetrics,
    service::{
        Apps, AuditApi, BillingApi, BudgetApi, CatalogApi, CertificateApi, ClusterApi, InstanceApi,
        InvoiceApi, LoanApi, MemberApi, OperationApi, PoolApi, QuotaApi, ServiceAccountApi, TenantApi,
        UsageApi,
    },
    tls_metrics,
};

/// Largest message taken: register and usage come in parts below it.
const DECODE_MAX: usize = 4 << 20;
/// Largest message sent.
const ENCODE_MAX: usize = 16 << 20;
/// HTTP/2 streams of one connection.
const STREAMS_MAX: u32 = 256;
/// Header bytes of one request.
const HEADERS_MAX: u32 = 16 << 10;
/// Calls under way at once, over all connections.
const CALLS_MAX: usize = 512;
/// The same of one caller.
const CALLS_OF_ONE_MAX: usize = 64;
/// Longest time to the first response.
const CALL_LIMIT: Duration = Duration::from_secs(60);
/// How often certificate files are looked at and connections whose time is over are cut: revocation is honoured within five of these.
const CERTIFICATES_EVERY: Duration = Duration::from_secs(1);
/// How often readiness asks the store.
const READY_EVERY: Duration = Duration::from_secs(2);

/// Where the server listens.
#[derive(Debug)]
pub struct Listeners {
    /// gRPC over TLS.
    pub api: TcpListener,
    /// gRPC health, plain.
    pub health: TcpListener,
    /// Metrics and probes, plain.
    pub metrics: TcpListener,
}

/// What a server is made of.
pub struct Parts {
    /// Certificates.
    pub tls: ServerTls,
    /// The files towards etcd, for when they end; none: plain HTTP.
    pub etcd_tls: Option<ClientTls>,
    /// Whose access tokens are taken.
    pub issuers: Issuers,
    /// Use cases.
    pub apps: Apps,
    /// For readiness.
    pub store: Store,
    /// All metrics.
    pub registry: Registry,
    /// The API's own.
    pub metrics: ApiMetrics,
}

/// Serves until `drain` is cancelled, then lets calls under way end.
///
/// # Errors
/// When a listener fails.
pub async fn serve(listeners: Listeners, mut parts: Parts, drain: CancellationToken) -> anyhow::Result<()> {
    tls_metrics::register(&mut parts.registry, &parts.tls, parts.etcd_tls.take());
    index_metrics::register(&mut parts.registry, parts.store.clone());
    let certificates = tokio::spawn(parts.tls.clone().watch_files(CERTIFICATES_EVERY));
    let bars = tokio::spawn(bars::keep(parts.store.clone(), parts.tls.clone()));
    let ready = Arc::new(AtomicBool::new(false));
    let health =
        tokio::spawn(serve_health(listeners.health, parts.store.clone(), Arc::clone(&ready), drain.clone()));
    let probes = allmende_telemetry::Probes {
        registry: Arc::new(parts.registry),
        live: Arc::new(|| true),
        ready: Arc::new(move || ready.load(Ordering::Relaxed)),
    };
    let metrics =
        tokio::spawn(allmende_telemetry::serve(listeners.metrics, probes, drain.clone().cancelled_owned()));
    let acceptor = Acceptor::spawn(listeners.api, parts.tls, AcceptorLimits::default());
    let keys = tokio::spawn(parts.issuers.verifier().clone().keep_fresh());
    let authentication = Authentication {
        issuers: parts.issuers,
        clock: Arc::clone(&parts.apps.clock),
        metrics: parts.metrics.clone(),
        refusals: parts.apps.audits.refusals.clone(),
    };
    router(parts.apps, authentication, parts.metrics, parts.store)?
        .serve_with_incoming_shutdown(acceptor, drain.cancelled_owned())
        .await?;
    keys.abort();
    certificates.abort();
    bars.abort();
    health.await??;
    metrics.await??;
    Ok(())
}

type LimitedRouter =
    tonic::transport::server::Router<tower::layer::util::Stack<CallLayer, tower::layer::util::Identity>>;

fn router(
    apps: Apps,
    authentication: Authentication,
    metrics: ApiMetrics,
    store: Store,
) -> anyhow::Result<LimitedRouter> {
    let apps = Arc::new(apps);
    macro_rules! service {
        ($server:path, $api:ident) => {
            <$server>::new($api(Arc::clone(&apps)))
                .max_decoding_message_size(DECODE_MAX)
                .max_encoding_message_size(ENCODE_MAX)
        };
    }
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let limits = CallLimits { concurrency: CALLS_MAX, of_one_caller: CALLS_OF_ONE_MAX, deadline: CALL_LIMIT };
    let mut server = Server::builder()
        .max_concurrent_streams(STREAMS_MAX)
        .http2_max_header_list_size(HEADERS_MAX)
        .http2_keepalive_interval(Some(Duration::from_secs(20)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .http2_max_pending_accept_reset_streams(Some(64))
        .concurrency_limit_per_connection(usize::try_from(STREAMS_MAX)?)
        .layer(CallLayer::new(limits, authentication, metrics, store));
    Ok(server
        .add_service(service!(v1::audit_service_server::AuditServiceServer<AuditApi>, AuditApi))
        .add_service(service!(v1::member_service_server::MemberServiceServer<MemberApi>, MemberApi))
        .add_service(service!(v1::cluster_service_server::ClusterServiceServer<ClusterApi>, ClusterApi))
        .add_service(service!(
            v1::certificate_service_server::CertificateServiceServer<CertificateApi>,
            CertificateApi
        ))
        .add_service(service!(
            v1::service_account_service_server::ServiceAccountServiceServer<ServiceAccountApi>,
            ServiceAccountApi
        ))
        .add_service(service!(v1::tenant_service_server::TenantServiceServer<TenantApi>, TenantApi))
        .add_service(service!(v1::quota_service_server::QuotaServiceServer<QuotaApi>, QuotaApi))
        .add_service(service!(v1::budget_service_server::BudgetServiceServer<BudgetApi>, BudgetApi))
        .add_service(service!(v1::loan_service_server::LoanServiceServer<LoanApi>, LoanApi))
        .add_service(service!(v1::pool_service_server::PoolServiceServer<PoolApi>, PoolApi))
        .add_service(service!(v1::catalog_service_server::CatalogServiceServer<CatalogApi>, CatalogApi))
        .add_service(service!(v1::instance_service_server::InstanceServiceServer<InstanceApi>, InstanceApi))
        .add_service(service!(
            v1::operation_service_server::OperationServiceServer<OperationApi>,
            OperationApi
        ))
        .add_service(service!(v1::usage_service_server::UsageServiceServer<UsageApi>, UsageApi))
        .add_service(service!(v1::billing_service_server::BillingServiceServer<BillingApi>, BillingApi))
        .add_service(service!(v1::invoice_service_server::InvoiceServiceServer<InvoiceApi>, InvoiceApi))
        .add_service(reflection))
}

/// gRPC health: SERVING while the store answers, NOT_SERVING as soon as the drain begins.
async fn serve_health(
    listener: TcpListener,
    store: Store,
    ready: Arc<AtomicBool>,
    drain: CancellationToken,
) -> anyhow::Result<()> {
    let (reporter, service) = tonic_health::server::health_reporter();
    let ended = drain.clone();
    let watch = tokio::spawn(async move {
        loop {
            let good = !drain.is_cancelled() && store.ping().await.is_ok();
            ready.store(good, Ordering::Relaxed);
            let status = if good {
                tonic_health::ServingStatus::Serving
            } else {
                tonic_health::ServingStatus::NotServing
            };
            reporter.set_service_status("", status).await;
            if drain.run_until_cancelled(tokio::time::sleep(READY_EVERY)).await.is_none() {
                ready.store(false, Ordering::Relaxed);
                reporter.set_service_status("", tonic_health::ServingStatus::NotServing).await;
                return;
            }
        }
    });
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    Server::builder()
        .add_service(service)
        .serve_with_incoming_shutdown(incoming, ended.cancelled_owned())
        .await?;
    watch.await?;
    Ok(())
}
