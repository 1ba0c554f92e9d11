//! `allmende-billing`: see the library.

use std::{sync::Arc, time::Duration};

use allmende_billing::{Clock, Worker, config::Config, follow::follow, metrics::BillingMetrics};
use allmende_store::{LOOK_EVERY, Store, objects::DocumentStore};
use allmende_telemetry::{Probes, init_logging};
use anyhow::Context;
use clap::Parser;
use prometheus_client::registry::Registry;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How long a start waits for etcd.
const ETCD_WITHIN: Duration = Duration::from_secs(120);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = Config::parse();
    init_logging(config.log_format.parse()?, &config.log)?;
    let documents = DocumentStore::open(&config.documents_dir)
        .await
        .context("the documents' directory cannot be made")?;
    let etcd = config.etcd().load()?;
    let store = Store::connect_within(&etcd, ETCD_WITHIN).await.context("etcd")?;
    tokio::spawn(store.clone().follow_certificates(config.etcd(), etcd, LOOK_EVERY));
    let mut registry = Registry::default();
    let metrics = BillingMetrics::register(&mut registry);
    let stop = CancellationToken::new();

    let listener =
        tokio::net::TcpListener::bind(config.metrics_listen).await.context("the metrics' address")?;
    let ready = metrics.clone();
    let probes = Probes {
        registry: Arc::new(registry),
        // The worker tries again by itself: a restart would not help.
        live: Arc::new(|| true),
        ready: Arc::new(move || ready.is_ready()),
    };
    let serving = tokio::spawn(allmende_telemetry::serve(listener, probes, stop.clone().cancelled_owned()));

    let mut terminate = signal(SignalKind::terminate())?;
    let stopper = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        stopper.cancel();
    });

    tracing::info!(store_id = store.identity().store_id, "billing worker started");
    follow(store.clone(), Worker::new(store, documents, clock()), metrics, stop).await;
    serving.await??;
    Ok(())
}

#[allow(
    clippy::disallowed_methods,
    reason = "this is the one place where the worker reads the machine's clock"
)]
fn clock() -> Clock {
    Arc::new(jiff::Timestamp::now)
}
