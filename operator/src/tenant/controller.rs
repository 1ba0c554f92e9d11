//! When a tenant is reconciled, in which order, and when again.

use std::{sync::Arc, time::Duration};

use allmende_crds::{Tenant, conditions::reason, names};
use futures::{Stream, StreamExt};
use k8s_openapi::api::{
    core::v1::{LimitRange, Namespace, ResourceQuota, ServiceAccount},
    networking::v1::NetworkPolicy,
    rbac::v1::RoleBinding,
};
use kube::{
    Api, Resource, ResourceExt,
    core::{DeserializeGuard, PartialObjectMeta},
    runtime::{
        Predicate, WatchStreamExt,
        controller::{Action, Config, Controller as Runtime},
        predicates,
        reflector::{self, ObjectRef},
        watcher,
    },
};
use tokio_util::sync::CancellationToken;

use super::{
    apply::{Applied, apply},
    deletion,
    dereference::dereference,
    status::{self, Deletion, Progress, is_converged},
    validate::validate,
};
use crate::{
    context::Context,
    error::{Category, Error},
    metrics::{Controller, Failure, Outcome},
};

/// A watch that says nothing for so long is opened again, in seconds.
const WATCH_SECONDS: u32 = 120;
/// How soon one looks again at what is ending.
const ENDING_EVERY: Duration = Duration::from_secs(2);
/// How soon one looks again after somebody else wrote the same object.
const CONFLICT_EVERY: Duration = Duration::from_millis(200);

type Object = DeserializeGuard<Tenant>;

/// Reconciles tenants until `shutdown`. Events of our own objects count only when spec, deletion or finalizers changed, so our own status
/// starts nothing; of children only metadata is watched.
pub async fn run(context: Context, shutdown: CancellationToken) {
    let client = context.client();
    let (reader, writer) = reflector::store::<Object>();
    let tenants =
        watcher(Api::<Object>::all(client.clone()), watcher::Config::default().timeout(WATCH_SECONDS))
            .default_backoff()
            .reflect(writer)
            .touched_objects()
            .predicate_filter(
                predicates::generation.combine(predicates::finalizers),
                kube::runtime::PredicateConfig::default(),
            );
    let config =
        Config::default().concurrency(context.policy.concurrency).debounce(Duration::from_millis(100));
    Runtime::for_stream(tenants, reader)
        .with_config(config)
        .watches_stream(children::<Namespace>(client.clone()), tenants_of)
        .watches_stream(children::<ResourceQuota>(client.clone()), tenants_of)
        .watches_stream(children::<LimitRange>(client.clone()), tenants_of)
        .watches_stream(children::<NetworkPolicy>(client.clone()), tenants_of)
        .watches_stream(children::<RoleBinding>(client.clone()), tenants_of)
        .watches_stream(children::<ServiceAccount>(client), tenants_of)
        .graceful_shutdown_on(shutdown.cancelled_owned())
        .run(reconcile, error_policy, Arc::new(context))
        .for_each(|result| async move {
            if let Err(error) = result {
                tracing::debug!(%error, "reconcile ended with an error");
            }
        })
        .await;
}

fn children<K>(
    client: kube::Client,
) -> impl Stream<Item = Result<PartialObjectMeta<K>, watcher::Error>> + Send + 'static
where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + std::fmt::Debug + 'static,
{
    let ours = format!("{}={}", names::LABEL_MANAGED_BY, names::OPERATOR);
    let config = watcher::Config::default().labels(&ours).timeout(WATCH_SECONDS);
    watcher(Api::<PartialObjectMeta<K>>::all(client), config).default_backoff().touched_objects()
}

/// A child's tenant by the namespace's name, which nobody can take away as a label could be.
fn tenants_of<K: Resource<DynamicType = ()>>(child: PartialObjectMeta<K>) -> Vec<ObjectRef<Object>> {
    let namespace = child.namespace().unwrap_or_else(|| child.name_any());
    let workspace = namespace.strip_suffix("-svc").map(ToOwned::to_owned);
    [Some(namespace), workspace].into_iter().flatten().map(|name| ObjectRef::new(&name)).collect()
}

/// One look at one tenant.
///
/// # Errors
/// What hindered it; the status says the same.
#[tracing::instrument(skip_all, fields(controller = "tenant", object = %object.name_any(), generation = object.meta().generation))]
pub async fn reconcile(object: Arc<Object>, context: Arc<Context>) -> Result<Action, Error> {
    let begun = tokio::time::Instant::now();
    let name = object.name_any();
    let result = match &object.0 {
        Ok(tenant) => look_at(tenant, &context).await,
        Err(error) => Err(Error::InvalidObject(error.to_string())),
    };
    let outcome = match &result {
        Ok(_) if object.meta().deletion_timestamp.is_some() => Outcome::Ending,
        Ok(_) => Outcome::Done,
        Err(Error::NotLeader) => Outcome::Interrupted,
        Err(error) => Outcome::Failed(Failure::Of(error.category())),
    };
    context.metrics.reconciled(Controller::Tenant, outcome, begun.elapsed());
    match &result {
        Ok(_) => context.backoff.reset(&name),
        Err(error) => tracing::warn!(%error, category = ?error.category(), "tenant not converged"),
    }
    result
}

/// When a tenant whose reconcile failed is looked at again.
#[allow(clippy::needless_pass_by_value, reason = "the signature is the runtime's")]
pub fn error_policy(object: Arc<Object>, error: &Error, context: Arc<Context>) -> Action {
    match error.category() {
        // Only a change of the spec helps.
        Category::Invalid => Action::await_change(),
        Category::Conflict => Action::requeue(CONFLICT_EVERY),
        Category::Taken | Category::Refused | Category::Transient | Category::TimedOut => {
            Action::requeue(context.backoff.next(&object.name_any()))
        }
    }
}

async fn look_at(tenant: &Tenant, context: &Context) -> Result<Action, Error> {
    let deleted = tenant.metadata.deletion_timestamp.is_some();
    match (deleted, tenant.spec.desired.deleting) {
        (true, true) => end(tenant, context).await,
        // The record is being deleted: the object's deletion comes next, nothing is repaired any more.
        (false, true) => Ok(Action::await_change()),
        (true, false) => {
            let why = "the object was deleted, but its record is not being deleted: it stays until the record says so";
            converge_and_tell(tenant, context, &Deletion::NotAllowed(why.to_owned())).await
        }
        (false, false) => {
            ensure_finalizer(tenant, context).await?;
            converge_and_tell(tenant, context, &Deletion::None).await
        }
    }
}

async fn converge_and_tell(tenant: &Tenant, context: &Context, deletion: &Deletion) -> Result<Action, Error> {
    let mut progress = Progress::of(tenant);
    let limit = context.policy.reconcile_limit();
    let outcome = tokio::time::timeout(limit, converge(tenant, context, &mut progress))
        .await
        .unwrap_or(Err(Error::TimedOut(limit.as_secs())));
    if let Err(error @ Error::NotLeader) = outcome {
        return Err(error);
    }
    let now = context.clock.now();
    // Also when a step failed: people must see why.
    let told = status::publish(context, tenant, |present| {
        status::next(present, &outcome, deletion, progress.clone(), now)
    })
    .await;
    let changed = match &outcome {
        Err(error) if error.category() != Category::Conflict => {
            context.events.warning(tenant, error.reason(), "Reconcile", &error.message()).await;
            false
        }
        _ => *told.as_ref().unwrap_or(&false),
    };
    let applied = outcome?;
    told?;
    if changed && applied.pending.is_empty() {
        context.events.normal(tenant, reason::CONVERGED, "Reconcile", "everything is as asked for").await;
    }
    let told = tenant.status.as_ref().and_then(|present| status::quotas_wait(present, &applied, now));
    Ok(Action::requeue(told.unwrap_or_else(|| context.policy.resync())))
}

async fn converge(tenant: &Tenant, context: &Context, progress: &mut Progress) -> Result<Applied, Error> {
    let found = dereference(&context.client(), tenant).await?;
    let plan = validate(tenant, &found, &context.policy)?;
    apply(context, &plan, &found, is_converged(tenant), progress).await
}

async fn ensure_finalizer(tenant: &Tenant, context: &Context) -> Result<(), Error> {
    if tenant.finalizers().iter().any(|name| name == names::FINALIZER) {
        return Ok(());
    }
    let finalizers: Vec<String> =
        tenant.finalizers().iter().cloned().chain([names::FINALIZER.to_owned()]).collect();
    context.applier.set_finalizers(&Api::<Tenant>::all(context.client()), tenant, &finalizers).await
}

async fn end(tenant: &Tenant, context: &Context) -> Result<Action, Error> {
    if !tenant.finalizers().iter().any(|name| name == names::FINALIZER) {
        return Ok(Action::await_change());
    }
    let deletion = deletion::proceed(context, tenant).await?;
    let now = context.clock.now();
    let say = |present: &Tenant| status::of_deletion(present, &deletion, now);
    status::publish(context, tenant, say).await?;
    Ok(Action::requeue(ENDING_EVERY))
}
