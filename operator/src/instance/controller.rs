//! The reconcile of a `ServiceInstance`, as a table of contents, and its controller.

use std::{sync::Arc, time::Duration};

use allmende_crds::{ServiceInstance, conditions::reason, names};
use futures::StreamExt;
use kube::{
    Api, Resource, ResourceExt,
    core::DeserializeGuard,
    runtime::{Controller, Predicate, WatchStreamExt, controller::Action, predicates, reflector, watcher},
};
use tokio_util::sync::CancellationToken;

use super::{
    Error, Tools,
    apply::apply,
    cleanup::cleanup,
    dereference::dereference,
    run_timeout,
    status::{Outcome, is_converged, next, publish},
    validate::{Run, paused_until, validate},
};
use crate::{
    helm::{failure::timed_out, limits},
    metrics,
};

/// Pause where something else must come first.
const SOON: Duration = Duration::from_secs(3);

/// Runs until `shutdown`. Secrets are not watched: that would need the right to read all secrets of the cluster. What somebody did to one
/// is found when the instance is looked at again, and an admission policy refuses it in the first place.
pub async fn run(tools: Tools, shutdown: CancellationToken) {
    let (reader, writer) = reflector::store();
    let config = || watcher::Config::default().timeout(120);
    let api: Api<DeserializeGuard<ServiceInstance>> = Api::all(tools.client());
    let instances = watcher(api, config())
        .default_backoff()
        .reflect(writer)
        .applied_objects()
        .predicate_filter(predicates::generation.combine(predicates::finalizers), Default::default());
    Controller::for_stream(instances, reader)
        .graceful_shutdown_on(async move { shutdown.cancelled().await })
        .run(reconcile, on_error, Arc::new(tools))
        .for_each(|outcome| async move {
            if let Err(error) = outcome {
                tracing::debug!(%error, "instance controller");
            }
        })
        .await;
}

#[tracing::instrument(skip_all, fields(controller = "instance", object = %object.name_any(), namespace = object.meta().namespace))]
async fn reconcile(
    object: Arc<DeserializeGuard<ServiceInstance>>,
    tools: Arc<Tools>,
) -> Result<Action, Error> {
    let begun = tokio::time::Instant::now();
    let result = match &object.0 {
        Ok(instance) => reconcile_now(instance, &tools).await,
        Err(error) => Err(Error::Invalid(error.to_string())),
    };
    let (outcome, action) = match result {
        Ok((outcome, action)) => (outcome, Ok(action)),
        Err(error) if error.is_interruption() => (metrics::Outcome::Interrupted, Ok(Action::requeue(SOON))),
        Err(error) => (metrics::Outcome::Failed(error.failure()), Err(error)),
    };
    tools.context.metrics.reconciled(metrics::Controller::Instance, outcome, begun.elapsed());
    action
}

type Ended = Result<(metrics::Outcome, Action), Error>;

async fn reconcile_now(cached: &ServiceInstance, tools: &Tools) -> Ended {
    tools.context.applier.check_leads()?;
    // The cache may lack the status that the last reconcile wrote, and with it that a run is already done.
    let Some(instance) = &read(tools, cached).await? else { return gone() };
    if instance.metadata.deletion_timestamp.is_some() {
        return end(instance, tools).await;
    }
    let outcome = within(instance, converge(instance, tools)).await;
    let now = tools.context.clock.now();
    let Some(judged) = &judged(tools, instance).await? else { return gone() };
    match outcome {
        Ok(Converged::Applied(applied)) => {
            publish(tools, judged, &next(judged, &Outcome::Applied(&applied), now)).await?;
            Ok((metrics::Outcome::Done, Action::requeue(tools.context.policy.resync())))
        }
        Ok(Converged::Ended) => Ok((metrics::Outcome::Ending, Action::requeue(Duration::ZERO))),
        Ok(Converged::Waits(after)) => Ok((metrics::Outcome::Waiting, at(after, now))),
        Err(error) if error.is_interruption() => Err(error),
        Err(error) => {
            warn(tools, instance, &error).await;
            publish(tools, judged, &next(judged, &Outcome::Failed(&error), now)).await?;
            let failed = metrics::Outcome::Failed(error.failure());
            match error {
                Error::Release(_) | Error::ServicesNotReady(_) => Ok((failed, Action::requeue(SOON))),
                Error::Invalid(_) => Ok((failed, Action::await_change())),
                Error::Cluster(_) => Err(error),
            }
        }
    }
}

fn gone() -> Ended {
    Ok((metrics::Outcome::Done, Action::await_change()))
}

fn at(after: jiff::Timestamp, now: jiff::Timestamp) -> Action {
    let seconds = after.as_second().saturating_sub(now.as_second()).max(1);
    Action::requeue(Duration::from_secs(u64::try_from(seconds).unwrap_or(1)))
}

/// Ends what takes longer than everything in it may take together.
async fn within<T>(
    instance: &ServiceInstance,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let limit = limits::reconcile(run_timeout(&instance.spec));
    tokio::time::timeout(limit, work)
        .await
        .unwrap_or_else(|_| Err(Error::Release(timed_out("the reconcile was ended"))))
}

/// Tells a failure to the log and to people who look at the object.
async fn warn(tools: &Tools, instance: &ServiceInstance, error: &Error) {
    if let Error::Release(release) = error {
        tracing::warn!(words = release.words, detail = release.detail, "run failed");
        tools.context.events.warning(instance, reason::RELEASE_FAILED, "Reconcile", &release.words).await;
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
async fn read(tools: &Tools, instance: &ServiceInstance) -> Result<Option<ServiceInstance>, Error> {
    let (namespace, name) = (instance.namespace().unwrap_or_default(), instance.name_any());
    let api = Api::<ServiceInstance>::namespaced(tools.client(), &namespace);
    api.get_opt(&name).await.map_err(Error::cluster(format!("read ServiceInstance {name}")))
}

/// What a status is written about after a run: the spec that the run had, since the object may ask for something else by now, and the status
/// that is there now, since it was written when the run began. None when the object went, or is another one of the same name.
async fn judged(tools: &Tools, instance: &ServiceInstance) -> Result<Option<ServiceInstance>, Error> {
    let present = read(tools, instance).await?.filter(|present| present.uid() == instance.uid());
    Ok(present.map(|present| ServiceInstance { status: present.status, ..instance.clone() }))
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
    let found = dereference(&tools.client(), instance).await?;
    let now = tools.context.clock.now();
    let plan = validate(instance, &found, now)?;
    match plan.run {
        Run::After(after) => return Ok(Converged::Waits(after)),
        Run::Now => publish(tools, instance, &next(instance, &Outcome::Running, now)).await?,
        Run::NotNeeded => {}
    }
    tokio::select! {
        applied = apply(tools, &plan, is_converged(instance)) => applied.map(Converged::Applied),
        // A member need not wait for a run that is on its way to nowhere: dropping it kills Helm, and what it leaves is removed next.
        () = deletion(tools, instance) => Ok(Converged::Ended),
    }
}

async fn end(instance: &ServiceInstance, tools: &Tools) -> Ended {
    let ending = |action| Ok((metrics::Outcome::Ending, action));
    if !instance.finalizers().iter().any(|finalizer| finalizer == names::FINALIZER) {
        return ending(Action::await_change());
    }
    let now = tools.context.clock.now();
    if !instance.spec.desired.deleting {
        publish(tools, instance, &next(instance, &Outcome::DeletionNotAllowed, now)).await?;
        return ending(Action::await_change());
    }
    if let Some(after) = paused_until(instance, now) {
        return Ok((metrics::Outcome::Waiting, at(after, now)));
    }
    let cleaning = next(instance, &Outcome::CleaningUp, now);
    // Why the last try failed stays to be read until the next one is over.
    if cleaning.release.attempts == 0 {
        publish(tools, instance, &cleaning).await?;
    }
    let Some(present) = &read(tools, instance).await? else { return gone() };
    let Err(error) = within(present, cleanup(tools, present)).await else {
        return ending(Action::await_change());
    };
    if error.is_interruption() {
        return Err(error);
    }
    warn(tools, instance, &error).await;
    let now = tools.context.clock.now();
    let Some(judged) = &judged(tools, present).await? else { return gone() };
    let status = next(judged, &Outcome::CleanupFailed(&error), now);
    publish(tools, judged, &status).await?;
    let after = status.release.next_retry_time.map_or(now, |time| time.0);
    Ok((metrics::Outcome::Failed(error.failure()), at(after, now)))
}

fn on_error(_: Arc<DeserializeGuard<ServiceInstance>>, error: &Error, _: Arc<Tools>) -> Action {
    match error {
        Error::Invalid(_) => Action::await_change(),
        Error::Cluster(_) | Error::ServicesNotReady(_) | Error::Release(_) => Action::requeue(SOON),
    }
}
