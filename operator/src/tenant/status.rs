//! What a tenant's status says: a pure function of the old status, what came of the reconcile, and the time. Written once, and only when
//! something differs.

use std::time::Duration;

use allmende_crds::{
    LifecycleEntry, LifecycleKind, NamespaceQuota, ResourceAmounts, Step, StepState, Tenant, TenantStatus,
    conditions::{DELETING, PROGRESSING, QUOTA_ENFORCED, READY, reason},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{Api, ResourceExt};

use super::apply::Applied;
use crate::{
    clock::whole_seconds,
    conditions::{self, Assessment},
    context::Context,
    error::{Category, Error},
    lifecycle::drop_later_sizes,
};

/// Entries that are kept for billing; the oldest change of size goes first.
const LIFECYCLE_MAX: usize = 60;

/// What is used is told no more often.
const QUOTAS_EVERY: Duration = Duration::from_secs(60);

/// A step that a member sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stage {
    id: &'static str,
    title: &'static str,
}

impl Stage {
    /// Of the workspace: namespace, rules, quota, rights.
    pub const WORKSPACE: [Self; 4] = [
        Self { id: "workspace", title: "Arbeitsbereich anlegen" },
        Self { id: "workspace-rules", title: "Regeln des Arbeitsbereichs setzen" },
        Self { id: "workspace-quota", title: "Kontingent durchsetzen" },
        Self { id: "workspace-rights", title: "Rechte vergeben" },
    ];
    /// Of the services namespace.
    pub const SERVICES: [Self; 4] = [
        Self { id: "services", title: "Dienstebereich anlegen" },
        Self { id: "services-rules", title: "Regeln des Dienstebereichs setzen" },
        Self { id: "services-quota", title: "Kontingent der Dienste durchsetzen" },
        Self { id: "services-rights", title: "Rechte im Dienstebereich vergeben" },
    ];
}

/// How far the steps came.
#[derive(Debug, Clone)]
pub struct Progress {
    steps: Vec<(Stage, StepState, String)>,
}

impl Progress {
    /// All steps of this tenant, none begun.
    #[must_use]
    pub fn of(tenant: &Tenant) -> Self {
        let services = tenant.spec.services.then_some(Stage::SERVICES).into_iter().flatten();
        let stages = Stage::WORKSPACE.into_iter().chain(services);
        Self { steps: stages.map(|stage| (stage, StepState::Pending, String::new())).collect() }
    }

    /// A step begins.
    pub fn begin(&mut self, stage: Stage) {
        self.set(stage, StepState::Running, String::new());
    }

    /// A step is done and seen.
    pub fn done(&mut self, stage: Stage) {
        self.set(stage, StepState::Done, String::new());
    }

    /// A step waits for the cluster.
    pub fn wait(&mut self, stage: Stage, why: &str) {
        self.set(stage, StepState::Running, why.to_owned());
    }

    /// The step under way failed, or the first one when none was begun.
    fn fail(&mut self, why: &str) {
        let running = self.steps.iter().position(|(_, state, _)| *state == StepState::Running);
        let first = self.steps.iter().position(|(_, state, _)| *state == StepState::Pending);
        if let Some(step) = running.or(first).and_then(|index| self.steps.get_mut(index)) {
            step.1 = StepState::Failed;
            why.clone_into(&mut step.2);
        }
    }

    fn set(&mut self, stage: Stage, state: StepState, message: String) {
        if let Some(step) = self.steps.iter_mut().find(|step| step.0 == stage) {
            (step.1, step.2) = (state, message);
        }
    }

    /// With the times at which a state last changed.
    fn into_steps(self, old: &[Step], now: Timestamp) -> Vec<Step> {
        let step = |(stage, state, message): (Stage, StepState, String)| {
            let before = old.iter().find(|step| step.id == stage.id && step.state == state);
            Step {
                id: stage.id.to_owned(),
                title: stage.title.to_owned(),
                state,
                message,
                update_time: before.map_or_else(|| Time(whole_seconds(now)), |step| step.update_time.clone()),
            }
        };
        self.steps.into_iter().map(step).collect()
    }
}

/// What came of a deletion that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deletion {
    /// Nobody asked for one.
    None,
    /// Somebody deleted the object, and no record allows it.
    NotAllowed(String),
    /// It goes on; what is awaited.
    Running(String),
}

/// The next status.
#[must_use]
pub fn next(
    tenant: &Tenant,
    outcome: &Result<Applied, Error>,
    deletion: &Deletion,
    mut progress: Progress,
    now: Timestamp,
) -> TenantStatus {
    let mut status = tenant.status.clone().unwrap_or_default();
    let generation = tenant.metadata.generation.unwrap_or_default();
    let was_converged = is_converged(tenant);
    match outcome {
        Ok(applied) => {
            if applied.pending.is_empty() {
                record_lifecycle(&mut status, tenant, applied, now);
                status.observed_desired_generation = tenant.spec.desired.generation;
            }
            status.namespaces.clone_from(&applied.namespaces);
            take_used(&mut status, applied);
            if quotas_wait(&status, applied, now).is_none() {
                take_quotas(&mut status, applied, now);
            }
            status.enforced_quota = applied.enforced.clone().or(status.enforced_quota.take());
            status.steps = progress.into_steps(&status.steps, now);
        }
        // A server that is away for a moment does not make unready what was ready and still stands.
        Err(error)
            if was_converged && matches!(error.category(), Category::Transient | Category::TimedOut) => {}
        Err(error) => {
            progress.fail(&error.message());
            status.steps = progress.into_steps(&status.steps, now);
        }
    }
    status.observed_generation = generation;
    for assessment in assess(outcome, was_converged) {
        conditions::set(&mut status.conditions, assessment, generation, now);
    }
    tell_deletion(&mut status, deletion, generation, now);
    status
}

/// The next status of a tenant that ends: what is there is no longer looked at.
#[must_use]
pub fn of_deletion(tenant: &Tenant, deletion: &Deletion, now: Timestamp) -> TenantStatus {
    let mut status = tenant.status.clone().unwrap_or_default();
    let generation = tenant.metadata.generation.unwrap_or_default();
    status.observed_generation = generation;
    tell_deletion(&mut status, deletion, generation, now);
    status
}

fn tell_deletion(status: &mut TenantStatus, deletion: &Deletion, generation: i64, now: Timestamp) {
    let list = &mut status.conditions;
    match deletion {
        Deletion::None => conditions::remove(list, DELETING),
        Deletion::NotAllowed(why) => {
            let assessment = Assessment::no(DELETING, reason::DELETION_NOT_ALLOWED, why.clone());
            conditions::set(list, assessment, generation, now);
        }
        Deletion::Running(what) => {
            let deleting = Assessment::yes(DELETING, reason::DELETION_RUNNING, what.clone());
            conditions::set(list, deleting, generation, now);
            conditions::set(
                list,
                Assessment::no(READY, reason::DELETION_RUNNING, what.clone()),
                generation,
                now,
            );
        }
    }
    let ready = status.conditions.iter().find(|condition| condition.type_ == READY);
    status.message = ready.map(|condition| condition.message.clone()).unwrap_or_default();
}

/// Whether everything of the present spec was done before.
#[must_use]
pub fn is_converged(tenant: &Tenant) -> bool {
    tenant.status.as_ref().is_some_and(|status| {
        status.observed_generation == tenant.metadata.generation.unwrap_or_default()
            && status
                .conditions
                .iter()
                .any(|condition| condition.type_ == READY && condition.status == "True")
    })
}

fn assess(outcome: &Result<Applied, Error>, was_converged: bool) -> Vec<Assessment> {
    match outcome {
        Ok(applied) if applied.pending.is_empty() => vec![
            Assessment::yes(READY, reason::CONVERGED, "everything is as asked for"),
            Assessment::no(PROGRESSING, reason::CONVERGED, ""),
            Assessment::yes(QUOTA_ENFORCED, reason::CONVERGED, ""),
        ],
        Ok(applied) => {
            let what = format!("the quota is not enforced yet in {}", applied.pending.join(" and "));
            vec![
                Assessment::no(READY, reason::QUOTA_PENDING, what.clone()),
                Assessment::yes(PROGRESSING, reason::QUOTA_PENDING, ""),
                Assessment::no(QUOTA_ENFORCED, reason::QUOTA_PENDING, what),
            ]
        }
        Err(error) => {
            let passing =
                matches!(error.category(), Category::Transient | Category::TimedOut | Category::Conflict);
            if was_converged && passing && !matches!(error, Error::NamespaceTerminating(_)) {
                return Vec::new();
            }
            let mut progressing = Assessment::no(PROGRESSING, error.reason(), "");
            progressing.holds = Some(passing);
            vec![Assessment::no(READY, error.reason(), error.message()), progressing]
        }
    }
}

/// Use changes with every pod: it is refreshed when something else is written anyway, and whenever it is above what is allowed, because
/// then quota is given back only down to what is used.
fn take_used(status: &mut TenantStatus, applied: &Applied) {
    let (Some(used), Some(enforced)) = (&applied.used, &applied.enforced) else { return };
    let above = |amounts: &ResourceAmounts| amounts.exceeds(enforced);
    if status.used.as_ref().is_none_or(above) || above(used) || status.enforced_quota != applied.enforced {
        status.used = Some(used.clone());
    }
}

/// How long what is used must wait before it is told: pods come and go, and each telling is a write here and in the API. `None`: it is
/// told now, or there is nothing to tell.
#[must_use]
pub fn quotas_wait(status: &TenantStatus, applied: &Applied, now: Timestamp) -> Option<Duration> {
    let hard = |quotas: &[NamespaceQuota]| -> Vec<(String, ResourceAmounts)> {
        quotas.iter().map(|quota| (quota.namespace.clone(), quota.hard.clone())).collect()
    };
    // What may be taken is told at once.
    if status.quotas == applied.quotas || hard(&status.quotas) != hard(&applied.quotas) {
        return None;
    }
    let told = status.quotas_time.as_ref()?.0;
    let passed = u64::try_from(now.as_second().saturating_sub(told.as_second())).unwrap_or(0);
    QUOTAS_EVERY.checked_sub(Duration::from_secs(passed)).filter(|left| !left.is_zero())
}

fn take_quotas(status: &mut TenantStatus, applied: &Applied, now: Timestamp) {
    if status.quotas != applied.quotas {
        status.quotas.clone_from(&applied.quotas);
        status.quotas_time = Some(Time(whole_seconds(now)));
    }
}

/// What counts for billing: ready for the first time, and each other size that became real. One entry for each generation.
fn record_lifecycle(status: &mut TenantStatus, tenant: &Tenant, applied: &Applied, now: Timestamp) {
    let generation = tenant.spec.desired.generation;
    drop_later_sizes(&mut status.lifecycle, generation);
    let kind = if !status.lifecycle.iter().any(|entry| entry.kind == LifecycleKind::Ready) {
        LifecycleKind::Ready
    } else if status.enforced_quota != applied.enforced
        && status.lifecycle.iter().all(|entry| entry.generation != generation)
    {
        LifecycleKind::Resized
    } else {
        return;
    };
    status.lifecycle.push(LifecycleEntry { kind, generation, time: Time(whole_seconds(now)) });
    if status.lifecycle.len() > LIFECYCLE_MAX
        && let Some(oldest) = status.lifecycle.iter().position(|entry| entry.kind == LifecycleKind::Resized)
    {
        status.lifecycle.remove(oldest);
    }
}

/// Writes the status that `next` makes of the object as it is now. Reads it first: the copy in memory may be older than our own last write.
/// Returns whether something was written.
///
/// # Errors
/// When the API server refuses or does not answer.
pub async fn publish(
    context: &Context,
    tenant: &Tenant,
    next: impl Fn(&Tenant) -> TenantStatus,
) -> Result<bool, Error> {
    if tenant.status.as_ref() == Some(&next(tenant)) {
        return Ok(false);
    }
    let (api, name): (Api<Tenant>, _) = (Api::all(context.client()), tenant.name_any());
    let read = Error::cluster(format!("read Tenant {name}"));
    let Some(present) = api.get_opt(&name).await.map_err(read)? else { return Ok(false) };
    // Another spec or another life: its own event brings the next reconcile.
    if present.metadata.generation != tenant.metadata.generation || present.uid() != tenant.uid() {
        return Ok(false);
    }
    let status = next(&present);
    if present.status.as_ref() == Some(&status) {
        return Ok(false);
    }
    let status = serde_json::to_value(&status).map_err(|error| Error::InvalidObject(error.to_string()))?;
    context.applier.write_status(&api, &name, &status).await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(hard: i64, used: i64) -> Applied {
        let amounts = |pods| ResourceAmounts { pods, ..ResourceAmounts::default() };
        let quota = NamespaceQuota { namespace: "m-1-prod".into(), hard: amounts(hard), used: amounts(used) };
        Applied { quotas: vec![quota], ..Applied::default() }
    }

    #[test]
    fn what_is_used_is_told_once_a_minute_and_what_may_be_used_at_once() {
        let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).unwrap();
        let mut status = TenantStatus::default();
        assert_eq!(quotas_wait(&status, &applied(10, 1), at(0)), None);
        take_quotas(&mut status, &applied(10, 1), at(0));
        assert_eq!(quotas_wait(&status, &applied(10, 1), at(1)), None, "nothing is new");
        assert_eq!(quotas_wait(&status, &applied(10, 2), at(1)), Some(Duration::from_secs(59)));
        assert_eq!(quotas_wait(&status, &applied(9, 2), at(1)), None);
        assert_eq!(quotas_wait(&status, &applied(10, 2), at(60)), None);
        take_quotas(&mut status, &applied(10, 2), at(60));
        assert_eq!(status.quotas, applied(10, 2).quotas);
        assert_eq!(quotas_wait(&status, &applied(10, 3), at(61)), Some(Duration::from_secs(59)));
        assert_eq!(
            quotas_wait(&status, &applied(10, 3), at(0)),
            Some(QUOTAS_EVERY),
            "a clock that was put back"
        );
    }
}
