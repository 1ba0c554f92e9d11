//! `allmende-api`.

use std::{sync::Arc, time::Duration};

use allmende_api::{
    app::{audit::Archive, loan::LoanKeeper, pool::PoolKeeper},
    authn::Issuers,
    clock::SystemClock,
    config::Config,
    key_ages,
    metrics::ApiMetrics,
    server::{Listeners, Parts, serve},
    service::Apps,
    wiring,
};
use allmende_evidence::SigningKey;
use allmende_identity::{ServerTls, ServerTlsPaths, install_crypto_provider};
use allmende_store::{LOOK_EVERY, Store, objects::DocumentStore};
use anyhow::Context;
use clap::Parser;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

/// How long a start waits for etcd.
const ETCD_WITHIN: Duration = Duration::from_secs(120);

/// Longest time that the last refused attempts may take to be written.
const AUDIT_WITHIN: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    install_crypto_provider();
    let config = Config::parse();
    allmende_telemetry::init_logging(config.log_format.parse()?, &config.log)?;
    let tls = ServerTls::load(server_tls(&config))?;
    // A wrong file is told at once, not after the wait for etcd.
    let issuers = config.issuers.as_deref().map(Issuers::load).transpose()?.unwrap_or_default();
    let etcd = config.etcd().load()?;
    let store = Store::connect_within(&etcd, ETCD_WITHIN).await.context("etcd")?;
    tokio::spawn(store.clone().follow_certificates(config.etcd(), etcd, LOOK_EVERY));
    let store = if config.no_index { store } else { store.indexed() };
    let store = if config.etcd_max_txn_ops == 0 { store } else { store.grouped(config.etcd_max_txn_ops) };
    tracing::info!(version = env!("CARGO_PKG_VERSION"), store = ?store.identity(), "allmende-api starts");
    let documents = DocumentStore::open(&config.documents_dir).await.context("documents directory")?;
    let mut registry = prometheus_client::registry::Registry::default();
    let metrics = ApiMetrics::register(&mut registry);
    key_ages::register(&mut registry, issuers.verifier().clone());
    let drain = CancellationToken::new();
    let apps = wiring::apps(
        store.clone(),
        documents,
        Arc::new(SystemClock),
        issuers.clone(),
        metrics.clone(),
        drain.clone(),
    );
    let mut apps = apps
        .with_processing_agreements(config.require_processing_agreement)
        .with_archive(archive(&config).await?);
    let keeper = apps.audits.keeper(audit_key(&config)?);
    tokio::spawn(keeper.clone().run(drain.clone()));
    keep_quota(&apps, &drain);
    apps.set_signer(config.signer());
    apps.certificates.life = jiff::SignedDuration::from_hours(config.cluster_certificate_hours);
    let listeners = Listeners {
        api: TcpListener::bind(config.listen).await.context("listen")?,
        health: TcpListener::bind(config.health_listen).await.context("health-listen")?,
        metrics: TcpListener::bind(config.metrics_listen).await.context("metrics-listen")?,
    };
    let server = tokio::spawn(serve(
        listeners,
        Parts { tls, etcd_tls: config.etcd_tls(), issuers, apps, store, registry, metrics },
        drain.clone(),
    ));
    tokio::pin!(server);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        ended = &mut server => return ended?,
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("draining");
    drain.cancel();
    let outcome = match tokio::time::timeout(Duration::from_secs(config.drain_seconds), server).await {
        Ok(ended) => ended?,
        Err(_) => {
            tracing::warn!("calls under way were cut off after the drain's time");
            Ok(())
        }
    };
    // No call is under way any more: what was refused up to here is written.
    match tokio::time::timeout(AUDIT_WITHIN, keeper.finish()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(?error, "the last refused attempts were not written"),
        Err(_) => tracing::warn!("the last refused attempts were not written in time"),
    }
    outcome
}

/// What time does to the quota: levels that are crossed, loans, and divisions of the pool.
fn keep_quota(apps: &Apps, drain: &CancellationToken) {
    tokio::spawn(apps.holdings.keeper().run(drain.clone()));
    tokio::spawn(LoanKeeper::new(apps.loans.core.clone()).run(drain.clone()));
    tokio::spawn(PoolKeeper::new(apps.pools.core.clone()).run(drain.clone()));
}

fn server_tls(config: &Config) -> ServerTlsPaths {
    ServerTlsPaths {
        cert: config.tls_cert.clone(),
        key: config.tls_key.clone(),
        client_ca: config.client_ca.clone(),
        crl: config.crl.clone(),
    }
}

/// Where old segments of the audit go.
async fn archive(config: &Config) -> anyhow::Result<Option<Archive>> {
    let Some(address) = &config.audit_objects else { return Ok(None) };
    let objects = DocumentStore::at(address).await.context("audit-objects")?;
    let days = config.audit_move_after_days;
    let after = (days > 0).then(|| jiff::SignedDuration::from_hours(24 * days));
    Ok(Some(Archive { objects, after }))
}

/// The key that signs the audit's heads. A path that holds none is an error: a typing mistake must not end the sealing silently.
fn audit_key(config: &Config) -> anyhow::Result<Option<SigningKey>> {
    let Some(path) = &config.audit_key else { return Ok(None) };
    let text = std::fs::read_to_string(path).with_context(|| format!("audit-key {}", path.display()))?;
    SigningKey::from_pem(&text).map(Some).with_context(|| format!("audit-key {}", path.display()))
}
