//! Is this cluster fit for members? Run by hand before anything is installed, or as the chart's Job under an account of its own.
//!
//! Each file judges one thing and is pure where it can be; what asks the cluster is a few lines around it. What cannot be found out is
//! `not-proven`, never passed.

pub mod admission;
pub mod clock;
pub mod keep;
pub mod network;
pub mod oidc;
pub mod probe;
pub mod registry;
pub mod report;
pub mod settings;
pub mod storage;
pub mod version;
pub mod webhooks;

use std::{future::Future, io::Write, path::Path, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context as _;
use k8s_openapi::api::{
    admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
    storage::v1::StorageClass,
};
use kube::{Api, Client, api::ListParams};

use crate::clock::{Clock, SystemClock};
use report::{Check, Report, Verdict};
use settings::{Output, PreflightSettings};

/// Name of what belongs to it: the probe's namespace, the report's ConfigMap, the field manager.
pub const NAME: &str = "allmende-preflight";
/// Longest wait for one check that asks the API server only.
const CHECK_WITHIN: Duration = Duration::from_secs(45);
/// Longest wait for the first answer of the cluster.
const REACHED_WITHIN: Duration = Duration::from_secs(15);

/// Checks everything, prints the report, keeps it where that is asked for.
///
/// # Errors
/// When the cluster is not reached or the report cannot be kept: then nothing is known.
pub async fn run(settings: PreflightSettings, stop: impl Future<Output = ()>) -> anyhow::Result<ExitCode> {
    let config = kube::Config::infer().await.context("how to reach the Kubernetes API server")?;
    let client = crate::context::client(config).context("Kubernetes client")?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let report = look(&client, &settings, &clock, stop).await?;
    print(&report, settings.output)?;
    if let Some(namespace) = &settings.save_in {
        let kept = format!("the report in ConfigMap {NAME} of namespace {namespace}");
        keep::save(&client, namespace, &report).await.context(kept)?;
    }
    let failed = report.has_failed() && !settings.always_succeed;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// All checks, one after the other; `stop` ends the one with pods early.
///
/// # Errors
/// When the cluster is not reached.
pub async fn look(
    client: &Client,
    settings: &PreflightSettings,
    clock: &Arc<dyn Clock>,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<Report> {
    let token = settings.member_token_file.as_deref().map(read_token).transpose()?;
    let version = tokio::time::timeout(REACHED_WITHIN, client.apiserver_version())
        .await
        .context("the Kubernetes API server does not answer")?
        .context("the Kubernetes API server does not answer")?;
    let mut checks =
        vec![report::VERSION.found(version::judge(&version.major, &version.minor, &version.git_version))];
    checks.push(report::ADMISSION.found(timely(admission::check(client)).await));
    checks.push(report::NETWORK.found(network(client, settings, clock, stop).await));
    checks.extend(storage(client).await);
    let (issuer, audience) = (&settings.oidc_issuer, &settings.oidc_audience);
    checks.push(report::OIDC.found(timely(oidc::check(client, token, issuer, audience)).await));
    checks.push(report::WEBHOOKS.found(timely(webhooks(client)).await));
    let reached = registry::check(&settings.registry, &settings.plain_http_registry).await;
    checks.push(report::REGISTRY.found(reached));
    checks.push(report::CLOCK.found(timely(clock::check(client, clock.as_ref())).await));
    Ok(Report {
        time: clock.now(),
        program_version: env!("CARGO_PKG_VERSION").to_owned(),
        kubernetes_version: version.git_version,
        checks,
    })
}

async fn timely(check: impl Future<Output = Verdict>) -> Verdict {
    let late = || Verdict::not_proven("the API server did not answer in time", "check again");
    tokio::time::timeout(CHECK_WITHIN, check).await.unwrap_or_else(|_| late())
}

async fn network(
    client: &Client,
    settings: &PreflightSettings,
    clock: &Arc<dyn Clock>,
    stop: impl Future<Output = ()>,
) -> Verdict {
    let Some(image) = settings.image.clone().filter(|image| !image.is_empty()) else {
        return Verdict::not_proven(
            "the network was not tried: no image was named for the probe's pods",
            "say --image with this program's image",
        );
    };
    let experiment = network::Experiment {
        image,
        pull_secrets: settings.image_pull_secret.clone(),
        namespace: settings.probe_namespace.clone(),
        pods_within: settings.pods_within(),
        enforced_within: settings.enforced_within(),
    };
    network::check(client, &experiment, clock, stop).await
}

async fn storage(client: &Client) -> [Check; 2] {
    let api: Api<StorageClass> = Api::all(client.clone());
    let (default, encrypted) =
        match tokio::time::timeout(CHECK_WITHIN, api.list(&ListParams::default())).await {
            Ok(Ok(classes)) => storage::judge(&classes.items),
            Ok(Err(error)) => {
                let unread = Verdict::unreadable("storage classes", &error);
                (unread.clone(), unread)
            }
            Err(_) => {
                let late = Verdict::not_proven("the API server did not answer in time", "check again");
                (late.clone(), late)
            }
        };
    [report::STORAGE.found(default), report::ENCRYPTION.found(encrypted)]
}

async fn webhooks(client: &Client) -> Verdict {
    let all = ListParams::default();
    let mutating = Api::<MutatingWebhookConfiguration>::all(client.clone()).list(&all).await;
    let validating = Api::<ValidatingWebhookConfiguration>::all(client.clone()).list(&all).await;
    match (mutating, validating) {
        (Ok(mutating), Ok(validating)) => webhooks::judge(&mutating.items, &validating.items),
        (Err(error), _) | (_, Err(error)) => Verdict::unreadable("webhooks", &error),
    }
}

fn read_token(path: &Path) -> anyhow::Result<String> {
    let token = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    Ok(token.trim().to_owned())
}

fn print(report: &Report, output: Output) -> anyhow::Result<()> {
    let text = match output {
        Output::Text => report.text(),
        Output::Json => serde_json::to_string_pretty(report)? + "\n",
    };
    std::io::stdout().lock().write_all(text.as_bytes()).context("standard output")
}
