//! `allmende-operator`.

use std::sync::Arc;

use allmende_identity::{
    client::{ClientTls, channel},
    install_crypto_provider,
};
use allmende_operator::{
    clock::{Clock, SystemClock},
    context::{self, Context},
    helm::{account::Server, cli::HelmCli},
    instance,
    leader::{Candidate, Times},
    metrics::Metrics,
    settings::Settings,
    sync, tenant,
};
use anyhow::Context as _;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    install_crypto_provider();
    let settings = Settings::parse();
    allmende_telemetry::init_logging(settings.log_format.parse()?, &settings.log)?;
    let config =
        kube::Config::infer().await.context("no way to the cluster: neither in a pod nor a kubeconfig")?;
    let server = Server::of(&config);
    let client = context::client(config)?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        cluster = settings.cluster,
        "allmende-operator starts"
    );
    let mut registry = prometheus_client::registry::Registry::default();
    let metrics = Metrics::register(&mut registry);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (candidate, leader) = Candidate::new(
        client.clone(),
        &settings.namespace,
        settings.identity.clone(),
        Times::default(),
        Arc::clone(&clock),
    );
    let shutdown = CancellationToken::new();
    let shared = Context::new(
        client.clone(),
        &settings.identity,
        settings.policy.clone(),
        metrics,
        Arc::clone(&clock),
        leader.clone(),
    );
    let probes = allmende_telemetry::Probes {
        registry: Arc::new(registry),
        live: Arc::new(|| true),
        ready: Arc::new(|| true),
    };
    let listener = tokio::net::TcpListener::bind(settings.metrics_listen).await.context("metrics-listen")?;
    let serving =
        tokio::spawn(allmende_telemetry::serve(listener, probes, shutdown.clone().cancelled_owned()));
    let helm = HelmCli {
        program: settings.helm.clone(),
        client: client.clone(),
        server,
        work: settings.work_dir.clone(),
        plain_http_registries: settings.plain_http_registries.clone(),
        leader: leader.clone(),
    };
    let tools = instance::Tools {
        client: client.clone(),
        backend: Arc::new(helm),
        clock: Arc::clone(&clock),
        events: shared.events.clone(),
        leader: leader.clone(),
    };
    let own = Some((settings.tls_cert.clone(), settings.tls_key.clone()));
    let following = sync::start(sync::Parts {
        client,
        channel: channel(&settings.api, ClientTls { ca: settings.api_ca.clone(), own })?,
        cluster: settings.cluster.clone(),
        namespace: settings.namespace.clone(),
        leader,
        clock,
    });
    let tenants = tokio::spawn(tenant::controller::run(shared, shutdown.clone()));
    let instances = tokio::spawn(instance::controller::run(tools, shutdown.clone()));
    let mut election = tokio::spawn(candidate.run(shutdown.clone()));
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let lost = tokio::select! {
        ended = &mut election => Some(ended?),
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
    };
    tracing::info!("ending: nothing more is begun");
    drop(following);
    shutdown.cancel();
    tenants.await?;
    instances.await?;
    serving.await??;
    // A lost lease ends the process with an error, so that it starts again as a candidate.
    match lost {
        Some(outcome) => Ok(outcome?),
        None => Ok(election.await??),
    }
}
