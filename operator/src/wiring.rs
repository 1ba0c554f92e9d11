//! Puts the program together: who leads, what runs only then, what is served, and in which order it ends.

use std::{sync::Arc, time::Duration};

use allmende_crds::Tenant;
use allmende_telemetry::Probes;
use anyhow::Context as _;
use jiff::SignedDuration;
use kube::{Api, Client, api::ListParams};
use prometheus_client::registry::Registry;
use tokio::{net::TcpListener, sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    certificate,
    clock::{Clock, SystemClock},
    context::{self, Context},
    helm::{
        account::Server,
        child::Ends,
        cli::HelmCli,
        limits::{END_GRACE, LOST_LEASE_GRACE},
        measured::Measured,
    },
    instance,
    leader::{Candidate, Times},
    metrics::Metrics,
    settings::Settings,
    sync, tenant,
};

/// How often the API server is asked for a sign of life.
const SIGN_OF_LIFE_EVERY: Duration = Duration::from_secs(15);
/// Longest wait for it.
const SIGN_OF_LIFE_LIMIT: Duration = Duration::from_secs(10);
/// Three times what a silent watch takes to be opened again: then only a new process helps.
const SILENCE_MAX: SignedDuration = SignedDuration::from_secs(360);
/// Longest wait for reconciles under way when the program ends.
const END_LIMIT: Duration = Duration::from_secs(20);
/// Longest wait for Helm's children after that, once they were asked to end. All in all less than what Kubernetes gives a pod to end.
const RUNS_END_LIMIT: Duration = END_GRACE.saturating_add(Duration::from_secs(2));
/// Longest wait for Helm's children when the lease was lost.
const LOST_LEASE_LIMIT: Duration = LOST_LEASE_GRACE.saturating_add(Duration::from_millis(500));

/// Runs the operator until `shutdown`.
///
/// # Errors
/// When something cannot be set up, or the lease was lost: then the process must end.
pub async fn run(settings: Settings, shutdown: CancellationToken) -> anyhow::Result<()> {
    let config = kube::Config::infer().await.context("how to reach the Kubernetes API server")?;
    let server = Server::of(&config);
    let client = context::client(config).context("Kubernetes client")?;
    let (api, tls) = certificate::channel(&settings).context("channel to the API")?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let renewal = certificate::metrics::register(&mut registry, tls.clone());
    let (candidate, leader) = Candidate::new(
        client.clone(),
        &settings.namespace,
        settings.identity.clone(),
        Times::default(),
        clock.clone(),
    );
    let context = Context::new(
        client,
        &settings.identity,
        settings.policy.clone(),
        metrics.clone(),
        clock.clone(),
        leader.clone(),
    );
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        cluster = settings.cluster,
        "allmende-operator starts"
    );

    let listener = TcpListener::bind(settings.metrics_listen).await.context("metrics-listen")?;
    let probes = probes(registry, metrics.clone(), clock.clone());
    let mut background = JoinSet::new();
    let ends = shutdown.clone();
    background.spawn(async move {
        if let Err(error) = allmende_telemetry::serve(listener, probes, ends.cancelled_owned()).await {
            tracing::error!(%error, "probes are not served");
        }
    });
    background.spawn(signs_of_life(context.client(), metrics.clone(), clock));
    background.spawn(show_leader(metrics.clone(), leader.clone()));
    // Each part of the conversation with the API itself waits for the lease; dropping the set ends them.
    let mut conversation = sync::start(sync::Parts {
        client: context.client(),
        channel: api,
        cluster: settings.cluster.clone(),
        namespace: settings.namespace.clone(),
        leader,
        clock: context.clock.clone(),
        metrics: metrics.clone(),
    });

    if let Some(keeper) = certificate::keeper(&settings, &context, &tls, renewal) {
        background.spawn(keeper.run());
    }
    let held = CancellationToken::new();
    let mut election = tokio::spawn(candidate.run(held.clone()));
    let runs = CancellationToken::new();
    let mut work = reconcilers(&settings, &context, server, shutdown.clone(), runs.clone());
    tokio::select! {
        ended = &mut election => {
            // Nothing is written any more, and nobody waits for anything but the end of Helm's children: another process may write soon.
            shutdown.cancel();
            finished(&mut work, LOST_LEASE_LIMIT).await;
            return ended.context("election")?.context("lease");
        }
        () = shutdown.cancelled() => {}
    }
    end(work, &runs).await;
    conversation.abort_all();
    background.abort_all();
    held.cancel();
    election.await.context("election")?.context("lease")
}

/// Lets reconciles under way finish, then asks Helm's children to end, then cuts off what is left.
async fn end(mut work: JoinSet<()>, runs: &CancellationToken) {
    tracing::info!("ending: reconciles under way are finished");
    if finished(&mut work, END_LIMIT).await {
        return;
    }
    tracing::warn!("Helm's runs under way are ended");
    runs.cancel();
    if !finished(&mut work, RUNS_END_LIMIT).await {
        tracing::warn!("reconciles under way were cut off");
        work.abort_all();
    }
}

/// Whether everything ended within the limit.
async fn finished(work: &mut JoinSet<()>, limit: Duration) -> bool {
    tokio::time::timeout(limit, async { while work.join_next().await.is_some() {} }).await.is_ok()
}

/// What writes for tenants and instances: begins when this process leads. `runs` ends Helm's children.
fn reconcilers(
    settings: &Settings,
    context: &Context,
    server: Server,
    shutdown: CancellationToken,
    runs: CancellationToken,
) -> JoinSet<()> {
    let helm = HelmCli {
        program: settings.helm.clone(),
        client: context.client(),
        server,
        work: settings.work_dir.clone(),
        plain_http_registries: settings.plain_http_registries.clone(),
        ends: Ends { leader: context.leader.clone(), shutdown: runs },
    };
    let tools = instance::Tools {
        context: context.clone(),
        backend: Arc::new(Measured { backend: Arc::new(helm), metrics: context.metrics.helm.clone() }),
    };
    let mut work = JoinSet::new();
    let tenants = tenant::controller::run(context.clone(), shutdown.clone());
    work.spawn(when_leading(context.leader.clone(), shutdown.clone(), tenants));
    work.spawn(when_leading(
        context.leader.clone(),
        shutdown.clone(),
        instance::controller::run(tools, shutdown),
    ));
    work
}

async fn when_leading(
    mut leader: watch::Receiver<bool>,
    shutdown: CancellationToken,
    work: impl Future<Output = ()>,
) {
    tokio::select! {
        () = shutdown.cancelled() => return,
        leads = leader.wait_for(|leads| *leads) => if leads.is_err() { return },
    }
    work.await;
}

async fn signs_of_life(client: Client, metrics: Metrics, clock: Arc<dyn Clock>) {
    let api: Api<Tenant> = Api::all(client);
    let one = ListParams::default().limit(1);
    loop {
        match tokio::time::timeout(SIGN_OF_LIFE_LIMIT, api.list_metadata(&one)).await {
            Ok(Ok(_)) => metrics.listed(clock.now()),
            Ok(Err(error)) => tracing::warn!(%error, "the API server does not list tenants"),
            Err(_) => tracing::warn!("the API server does not answer"),
        }
        tokio::time::sleep(SIGN_OF_LIFE_EVERY).await;
    }
}

async fn show_leader(metrics: Metrics, mut leader: watch::Receiver<bool>) {
    loop {
        metrics.leader.set(i64::from(*leader.borrow_and_update()));
        if leader.changed().await.is_err() {
            return;
        }
    }
}

/// Live: the API server answered a list lately, or the program is young. Ready: it answered once.
fn probes(registry: Registry, metrics: Metrics, clock: Arc<dyn Clock>) -> Probes {
    let started = clock.now();
    let ready = metrics.clone();
    let (live_clock, ready_clock) = (clock.clone(), clock);
    Probes {
        registry: Arc::new(registry),
        live: Arc::new(move || {
            let now = live_clock.now();
            metrics.list_age(now).unwrap_or_else(|| now.duration_since(started)) < SILENCE_MAX
        }),
        ready: Arc::new(move || ready.list_age(ready_clock.now()).is_some()),
    }
}
