//! Writes: secret first (the chart reads it), then the release, then the binding. Client required.

use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::{Api, Client, ResourceExt, api::ListParams};

use super::{
    Error, Tools, build, run_timeout,
    validate::{Plan, Run},
};
use crate::helm::{Class, ReleaseError, Target, Wanted, failure::pods_in_words, recovery};

/// What is there after a reconcile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Digest of what is in force.
    pub hash: String,
    /// Fingerprint of the binding.
    pub fingerprint: String,
}

/// Secret and release. `converged` says that all was done for the present spec before: then what differs is drift.
///
/// # Errors
/// When the cluster refused, or the run failed.
pub async fn apply(tools: &Tools, plan: &Plan<'_>, converged: bool) -> Result<Applied, Error> {
    let credentials = build::credentials(plan.spec, plan.found, random);
    ensure(tools, plan.found.credentials.as_ref(), &credentials, converged).await?;
    if plan.run == Run::Now {
        release(tools, plan).await?;
    }
    let binding = build::binding(plan.spec, plan.found, &credentials);
    ensure(tools, plan.found.binding.as_ref(), &binding, converged).await?;
    Ok(Applied { hash: plan.wanted_hash.clone(), fingerprint: build::fingerprint(&binding) })
}

async fn ensure(
    tools: &Tools,
    found: Option<&Secret>,
    wanted: &Secret,
    converged: bool,
) -> Result<(), Error> {
    let api: Api<Secret> = Api::namespaced(tools.client(), &wanted.namespace().unwrap_or_default());
    tools.context.applier.ensure_secret(&api, wanted, found, converged).await?;
    Ok(())
}

/// Brings the release from whatever state to what is wanted.
async fn release(tools: &Tools, plan: &Plan<'_>) -> Result<(), Error> {
    let target = Target { namespace: plan.found.namespace.clone(), release: plan.spec.instance.clone() };
    let timeout = run_timeout(plan.spec);
    let wanted = Wanted { chart: plan.spec.chart.clone(), values: plan.values.clone(), timeout };
    let outcome = match recovery::next(&tools.backend.history(&target).await?) {
        recovery::Next::Install => tools.backend.install(&target, &wanted).await,
        recovery::Next::Upgrade => tools.backend.upgrade(&target, &wanted).await,
        recovery::Next::Rollback(revision) => {
            tracing::info!(release = target.release, revision, "an interrupted run is taken back");
            tools.backend.rollback(&target, revision).await?;
            tools.backend.upgrade(&target, &wanted).await
        }
        recovery::Next::UninstallFirst => {
            tracing::info!(release = target.release, "a first run that did not end is removed");
            tools.backend.uninstall(&target).await?;
            tools.backend.install(&target, &wanted).await
        }
    };
    match outcome {
        Ok(()) => Ok(()),
        Err(error) if error.class == Class::Interrupted => Err(error.into()),
        Err(error) => Err(with_pods(&tools.client(), &target, error).await.into()),
    }
}

/// Adds why pods are not ready: that is what a member can understand.
async fn with_pods(client: &Client, target: &Target, error: ReleaseError) -> ReleaseError {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &target.namespace);
    let selector = ListParams::default().labels(&format!("app.kubernetes.io/instance={}", target.release));
    let Ok(pods) = pods.list(&selector).await else { return error };
    let reasons: Vec<String> = pods.items.iter().flat_map(waiting_reasons).collect();
    match pods_in_words(&reasons) {
        Some(words) => ReleaseError { words: format!("{}: {words}", error.words), ..error },
        None => error,
    }
}

fn waiting_reasons(pod: &Pod) -> Vec<String> {
    let Some(status) = &pod.status else { return Vec::new() };
    let containers =
        status.container_statuses.iter().flatten().chain(status.init_container_statuses.iter().flatten());
    let waiting = containers
        .filter_map(|container| container.state.as_ref()?.waiting.as_ref()?.reason.clone())
        .filter(|reason| reason != "ContainerCreating" && reason != "PodInitializing");
    let unscheduled = status
        .conditions
        .iter()
        .flatten()
        .filter(|condition| condition.type_ == "PodScheduled" && condition.status == "False")
        .filter_map(|condition| condition.reason.clone());
    waiting.chain(unscheduled).collect()
}

/// Sixty-four hexadecimal digits from the system's random source.
fn random() -> String {
    format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple())
}
