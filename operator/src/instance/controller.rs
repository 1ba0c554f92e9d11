//! The reconcile of a `ServiceInstance`, as a table of contents, and its controller.

use std::{sync::Arc, time::Duration};

use allmende_crds::{ServiceInstance, names};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, ResourceExt,
    core::{DeserializeGuard, PartialObjectMeta},
    runtime::{
        Controller, Predicate, WatchStreamExt,
        controller::Action,
        predicates,
        reflector::{self, ObjectRef},
        watcher,
    },
};
use tokio_util::sync::CancellationToken;

use super::{
    Error, INSTANCE_LABEL, Tools,
    apply::apply,
    cleanup::cleanup,
    dereference::dereference,
    status::{Outcome, next, publish},
    validate::{Run, validate},
};

/// Looked at again without an event.
const RESYNC: Duration = Duration::from_secs(600);
/// Pause where something else must come first.
const SOON: Duration = Duration::from_secs(3);
/// What a reconcile may take beyond the Helm run's own limit.
const MARGIN: Duration = Duration::from_secs(300);

/// Runs until `shutdown`.
pub async fn run(tools: Tools, shutdown: CancellationToken) {
    let (reader, writer) = reflector::store();
    let config = || watcher::Config::default().timeout(120);
    let api: Api<DeserializeGuard<ServiceInstance>> = Api::all(tools.client.clone());
    let instances = watcher(api, config())
        .default_backoff()
        .reflect(writer)
        .applied_objects()
        .predicate_filter(predicates::generation.combine(predicates::finalizers), Default::default());
    let ours = config().labels(&format!("{}={},{INSTANCE_LABEL}", names::LABEL_MANAGED_BY, names::OPERATOR));
    let secrets = watcher(Api::<PartialObjectMeta<Secret>>::all(tools.client.clone()), ours)
        .default_backoff()
        .touched_objects();
    Controller::for_stream(instances, reader)
        .watches_stream(secrets, |secret: PartialObjectMeta<Secret>| owner(&secret))
        .graceful_shutdown_on(async move { shutdown.cancelled().await })
        .run(reconcile, on_error, Arc::new(tools))
        .for_each(|outcome| async move {
            if let Err(error) = outcome {
                tracing::debug!(%error, "instance controller");
            }
        })
        .await;
}

/// The instance that a secret belongs to, in whichever namespace the secret lies.
fn owner(secret: &PartialObjectMeta<Secret>) -> Option<ObjectRef<DeserializeGuard<ServiceInstance>>> {
    let label = |key: &str| secret.labels().get(key);
    let workspace = format!("{}-{}", label(names::LABEL_MEMBER)?, label(names::LABEL_TENANT)?);
    Some(ObjectRef::new(label(INSTANCE_LABEL)?).within(&names::services_namespace(&workspace)))
}

async fn reconcile(
    object: Arc<DeserializeGuard<ServiceInstance>>,
    tools: Arc<Tools>,
) -> Result<Action, Error> {
    let instance = match &object.0 {
        Ok(instance) => instance,
        Err(error) => return Err(Error::Invalid(error.to_string())),
    };
    if !*tools.leader.borrow() {
        return Ok(Action::requeue(SOON));
    }
    let limit = Duration::from_secs(u64::try_from(instance.spec.timeout_seconds).unwrap_or(300))
        .saturating_add(MARGIN);
    match tokio::time::timeout(limit, reconcile_now(instance, &tools)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Error::Release(crate::helm::failure::translate("timed out: the reconcile was ended"))),
    }
}

async fn reconcile_now(cached: &ServiceInstance, tools: &Tools) -> Result<Action, Error> {
    // The cache may lack the status that the last reconcile wrote, and with it that a run is already done.
    let Some(instance) = &read(tools, cached).await? else { return Ok(Action::await_change()) };
    if instance.metadata.deletion_timestamp.is_some() {
        return end(instance, tools).await;
    }
    let outcome = converge(instance, tools).await;
    let now = tools.clock.now();
    // The newest object: a run takes minutes, and its status was written when it began.
    let Some(present) = read(tools, instance).await? else { return Ok(Action::await_change()) };
    match outcome {
        Ok(Converged::Applied(applied)) => {
            publish(&tools.client, &present, &next(&present, &Outcome::Applied(&applied), now)).await?;
            Ok(Action::requeue(RESYNC))
        }
        Ok(Converged::Ended) => Ok(Action::requeue(Duration::ZERO)),
        Ok(Converged::Waits(after)) => {
            let seconds = after.as_second().saturating_sub(now.as_second()).max(1);
            Ok(Action::requeue(Duration::from_secs(u64::try_from(seconds).unwrap_or(1))))
        }
        Err(error) => {
            if let Error::Release(release) = &error {
                tracing::warn!(
                    instance = instance.name_any(),
                    words = release.words,
                    detail = release.detail,
                    "run failed"
                );
                tools.events.warning(instance, "ReleaseFailed", "Reconcile", &release.words).await;
            }
            publish(&tools.client, &present, &next(&present, &Outcome::Failed(&error), now)).await?;
            match error {
                Error::Release(_) | Error::ServicesNotReady(_) => Ok(Action::requeue(SOON)),
                Error::Invalid(_) => Ok(Action::await_change()),
                Error::Cluster(_) => Err(error),
            }
        }
    }
}

/// How converging ended without a failure.
enum Converged {
    Applied(super::apply::Applied),
    Waits(jiff::Timestamp),
    /// Its deletion was asked for while a run was under way: the run was ended.
    Ended,
}

/// The object as it is now.
async fn read(tools: &Tools, instance: &ServiceInstance) -> Result<Option<ServiceInstance>, kube::Error> {
    let namespace = instance.namespace().unwrap_or_default();
    Api::<ServiceInstance>::namespaced(tools.client.clone(), &namespace).get_opt(&instance.name_any()).await
}

/// Comes back when the object is to be deleted. A read that fails is no reason to end a run.
async fn deletion(tools: &Tools, instance: &ServiceInstance) {
    loop {
        tokio::time::sleep(SOON).await;
        let present = read(tools, instance).await;
        if present
            .is_ok_and(|present| present.is_none_or(|object| object.metadata.deletion_timestamp.is_some()))
        {
            return;
        }
    }
}

async fn converge(instance: &ServiceInstance, tools: &Tools) -> Result<Converged, Error> {
    let found = dereference(&tools.client, instance).await?;
    let plan = validate(instance, &found, tools.clock.now())?;
    match plan.run {
        Run::After(after) => return Ok(Converged::Waits(after)),
        Run::Now => {
            publish(&tools.client, instance, &next(instance, &Outcome::Running, tools.clock.now())).await?
        }
        Run::NotNeeded => {}
    }
    tokio::select! {
        applied = apply(tools, &plan) => applied.map(Converged::Applied),
        // A member need not wait for a run that is on its way to nowhere: dropping it ends Helm.
        () = deletion(tools, instance) => Ok(Converged::Ended),
    }
}

async fn end(instance: &ServiceInstance, tools: &Tools) -> Result<Action, Error> {
    if !instance.finalizers().iter().any(|finalizer| finalizer == names::FINALIZER) {
        return Ok(Action::await_change());
    }
    let now = tools.clock.now();
    if !instance.spec.desired.deleting {
        publish(&tools.client, instance, &next(instance, &Outcome::DeletionNotAllowed, now)).await?;
        return Ok(Action::await_change());
    }
    publish(&tools.client, instance, &next(instance, &Outcome::CleaningUp, now)).await?;
    let Some(present) = read(tools, instance).await? else { return Ok(Action::await_change()) };
    cleanup(tools, &present).await?;
    Ok(Action::await_change())
}

fn on_error(_: Arc<DeserializeGuard<ServiceInstance>>, error: &Error, _: Arc<Tools>) -> Action {
    match error {
        Error::Invalid(_) => Action::await_change(),
        Error::Cluster(_) | Error::ServicesNotReady(_) | Error::Release(_) => Action::requeue(SOON),
    }
}
