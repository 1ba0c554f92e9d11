//! What the member sees: conditions, steps, one sentence. One write, none when nothing changed.

use allmende_crds::{
    LifecycleEntry, LifecycleKind, ServiceInstance, ServiceInstanceStatus, Step, StepState,
    conditions::{BINDING_READY, DELETING, READY, RELEASE_APPLIED, reason},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{Api, ResourceExt};

use super::{Error, Tools, apply::Applied};
use crate::{
    clock::whole_seconds,
    conditions::{Assessment, set},
    lifecycle::drop_later_sizes,
    merge,
};

/// First pause after a failed run; doubled up to the longest.
const FIRST_PAUSE_SECONDS: i64 = 10;
/// The longest pause: retried for ever.
const LONGEST_PAUSE_SECONDS: i64 = 600;

/// Entries that are kept for billing; the oldest change of size goes first.
const LIFECYCLE_MAX: usize = 60;
/// Longest text of a message, in characters; the schema allows a little more.
const MESSAGE_MAX: usize = 1000;

/// How a reconcile ended.
#[derive(Debug)]
pub enum Outcome<'a> {
    /// A Helm run begins.
    Running,
    /// Everything is as asked.
    Applied(&'a Applied),
    /// A step failed.
    Failed(&'a Error),
    /// Deleted without a DELETING record.
    DeletionNotAllowed,
    /// Being cleaned up.
    CleaningUp,
    /// Cleaning up failed; tried again after a pause.
    CleanupFailed(&'a Error),
}

/// The status after an outcome. Pure.
pub fn next(instance: &ServiceInstance, outcome: &Outcome<'_>, now: Timestamp) -> ServiceInstanceStatus {
    let generation = instance.metadata.generation.unwrap_or_default();
    let mut status = instance.status.clone().unwrap_or_default();
    // Another spec, or a deletion, begins with a first try.
    if status.observed_generation != generation {
        status.release.attempts = 0;
        status.release.next_retry_time = None;
    }
    status.observed_generation = generation;
    status.release.name.clone_from(&instance.spec.instance);
    match outcome {
        Outcome::Running => running(&mut status, generation, now),
        Outcome::Applied(applied) => applied_now(&mut status, instance, applied, generation, now),
        Outcome::Failed(error) => failed(&mut status, error, generation, now),
        Outcome::DeletionNotAllowed => {
            "gelöscht ohne Auftrag: wartet auf den Auftrag des Mitglieds".clone_into(&mut status.message);
            let assessment = Assessment::no(DELETING, reason::DELETION_NOT_ALLOWED, &status.message);
            set(&mut status.conditions, assessment, generation, now);
        }
        Outcome::CleaningUp => {
            "wird gelöscht".clone_into(&mut status.message);
            deleting(&mut status, reason::DELETION_RUNNING, generation, now);
        }
        Outcome::CleanupFailed(error) => {
            let retry = count_failure(&mut status, now);
            status.message = shortened(&format!("das Löschen gelingt noch nicht: {error} ({retry})"));
            deleting(&mut status, why(error), generation, now);
        }
    }
    status
}

fn deleting(status: &mut ServiceInstanceStatus, why: &'static str, generation: i64, now: Timestamp) {
    for assessment in
        [Assessment::yes(DELETING, why, &status.message), Assessment::no(READY, why, &status.message)]
    {
        set(&mut status.conditions, assessment, generation, now);
    }
}

fn running(status: &mut ServiceInstanceStatus, generation: i64, now: Timestamp) {
    "der Dienst wird eingerichtet".clone_into(&mut status.message);
    // From here on nobody knows what is in force until the run has ended well: also a way back to the old spec takes a run.
    status.release.applied_hash.clear();
    set_steps(status, [StepState::Done, StepState::Running, StepState::Pending], "", now);
    let assessment = Assessment::no(READY, reason::RELEASE_RUNNING, &status.message);
    set(&mut status.conditions, assessment, generation, now);
}

fn applied_now(
    status: &mut ServiceInstanceStatus,
    instance: &ServiceInstance,
    applied: &Applied,
    generation: i64,
    now: Timestamp,
) {
    let desired = instance.spec.desired.generation;
    status.release.applied_hash.clone_from(&applied.hash);
    status.release.chart.clone_from(&instance.spec.chart);
    status.release.retry_nonce = instance.spec.retry_nonce;
    "deployed".clone_into(&mut status.release.state);
    status.release.attempts = 0;
    status.release.next_retry_time = None;
    status.binding_fingerprint.clone_from(&applied.fingerprint);
    status.observed_desired_generation = desired;
    status.message = "bereit".to_owned();
    set_steps(status, [StepState::Done; 3], "", now);
    for kind in [READY, RELEASE_APPLIED, BINDING_READY] {
        set(&mut status.conditions, Assessment::yes(kind, reason::CONVERGED, ""), generation, now);
    }
    record_lifecycle(status, instance, now);
}

/// What is billed by, persisted before it is told: ready once in a life, and each other footprint that came into force. One entry for each
/// generation. Where the footprint of an older status is not known, a newer generation counts as another size: the API keeps the amounts,
/// and a size that is told twice costs nobody anything.
fn record_lifecycle(status: &mut ServiceInstanceStatus, instance: &ServiceInstance, now: Timestamp) {
    let generation = instance.spec.desired.generation;
    drop_later_sizes(&mut status.lifecycle, generation);
    let footprint = &instance.spec.footprint;
    let resized = status.footprint.as_ref() != Some(footprint);
    status.footprint = Some(footprint.clone());
    let kind = if !status.lifecycle.iter().any(|entry| entry.kind == LifecycleKind::Ready) {
        LifecycleKind::Ready
    } else if resized && status.lifecycle.iter().all(|entry| entry.generation != generation) {
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

fn why(error: &Error) -> &'static str {
    match error {
        Error::Release(_) => reason::RELEASE_FAILED,
        Error::Invalid(_) => reason::INVALID_SPEC,
        Error::ServicesNotReady(_) => reason::TENANT_NOT_READY,
        Error::Cluster(_) => reason::CLUSTER_UNAVAILABLE,
    }
}

fn failed(status: &mut ServiceInstanceStatus, error: &Error, generation: i64, now: Timestamp) {
    let why = why(error);
    status.message = shortened(&error.to_string());
    if let Error::Release(release) = error {
        let retry = count_failure(status, now);
        "failed".clone_into(&mut status.release.state);
        status.message = shortened(&format!("{} ({retry})", release.words));
        let message = status.message.clone();
        set_steps(status, [StepState::Done, StepState::Failed, StepState::Pending], &message, now);
        set(&mut status.conditions, Assessment::no(RELEASE_APPLIED, why, &message), generation, now);
    }
    let message = status.message.clone();
    set(&mut status.conditions, Assessment::no(READY, why, message), generation, now);
}

/// One more failure in a row: the pause before the next try doubles up to the longest. Returns it in words.
fn count_failure(status: &mut ServiceInstanceStatus, now: Timestamp) -> String {
    let attempts = status.release.attempts.saturating_add(1);
    let doubled = FIRST_PAUSE_SECONDS << (attempts.clamp(1, 7) - 1);
    let pause = SignedDuration::from_secs(doubled.min(LONGEST_PAUSE_SECONDS));
    let after = now.checked_add(pause).unwrap_or(now);
    status.release.attempts = attempts;
    status.release.next_retry_time = Some(Time(whole_seconds(after)));
    format!("Versuch {attempts}, nächster um {} UTC", after.strftime("%H:%M:%S"))
}

fn shortened(text: &str) -> String {
    text.chars().take(MESSAGE_MAX).collect()
}

/// Whether everything of the present spec was done before.
pub fn is_converged(instance: &ServiceInstance) -> bool {
    instance.status.as_ref().is_some_and(|status| {
        instance.metadata.generation == Some(status.observed_generation)
            && status
                .conditions
                .iter()
                .any(|condition| condition.type_ == READY && condition.status == "True")
    })
}

fn set_steps(status: &mut ServiceInstanceStatus, states: [StepState; 3], message: &str, now: Timestamp) {
    let steps = [
        ("secret", "Zugangsdaten erzeugt"),
        ("release", "Dienst eingerichtet"),
        ("binding", "Zugangsdaten bereitgestellt"),
    ];
    let before = std::mem::take(&mut status.steps);
    status.steps = steps
        .into_iter()
        .zip(states)
        .map(|((id, title), state)| {
            let same = before.iter().find(|step| step.id == id && step.state == state);
            let update_time = same.map_or_else(|| Time(whole_seconds(now)), |step| step.update_time.clone());
            let message = if state == StepState::Failed { message.to_owned() } else { String::new() };
            Step { id: id.to_owned(), title: title.to_owned(), state, message, update_time }
        })
        .collect();
}

/// Writes the status when it differs from what is there.
///
/// # Errors
/// When the API server does not answer, or another process leads.
pub async fn publish(
    tools: &Tools,
    instance: &ServiceInstance,
    status: &ServiceInstanceStatus,
) -> Result<(), Error> {
    if instance.status.as_ref() == Some(status) {
        return Ok(());
    }
    let api: Api<ServiceInstance> =
        Api::namespaced(tools.client(), &instance.namespace().unwrap_or_default());
    let unreadable = |error: serde_json::Error| crate::error::Error::InvalidObject(error.to_string());
    let present = serde_json::to_value(&instance.status).map_err(unreadable)?;
    let next = merge::patch(&present, serde_json::to_value(status).map_err(unreadable)?);
    match tools.context.applier.write_status(&api, &instance.name_any(), &next).await {
        // It went while we were at it.
        Err(error) if error.is_absent() => Ok(()),
        written => Ok(written?),
    }
}

#[cfg(test)]
mod tests {
    use allmende_crds::{Desired, ResourceAmounts, ServiceInstanceSpec};

    use super::*;
    use crate::{
        helm::failure::translate,
        instance::{
            dereference::Found,
            validate::{Run, paused_until, validate},
        },
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// An instance at a generation; Kubernetes's and the API's go together here.
    fn instance(generation: i64, cpu_milli: i64, status: Option<ServiceInstanceStatus>) -> ServiceInstance {
        let spec = ServiceInstanceSpec {
            member: "m-05766044".into(),
            tenant: "prod".into(),
            instance: "db".into(),
            namespace: "m-05766044-prod".into(),
            offering: "postgresql".into(),
            version: "1.0.0".into(),
            plan: "small".into(),
            chart: "oci://r/c@sha256:aa".into(),
            values_json: format!("{{\"cpu\":{cpu_milli}}}"),
            footprint: ResourceAmounts { cpu_milli, ..Default::default() },
            timeout_seconds: 60,
            secret_fields: Vec::new(),
            binding_secret: "db-binding".into(),
            binding_fields: Default::default(),
            retry_nonce: 0,
            desired: Desired { generation, ..Default::default() },
        };
        let mut instance = ServiceInstance::new("db", spec);
        instance.metadata.generation = Some(generation);
        instance.status = status;
        instance
    }

    fn plan(instance: &ServiceInstance, now: Timestamp) -> (Run, String) {
        let found = Found { namespace: "n".into(), credentials: None, binding: None };
        let plan = validate(instance, &found, now).unwrap();
        (plan.run, plan.wanted_hash)
    }

    fn applied(instance: &ServiceInstance, now: Timestamp) -> ServiceInstanceStatus {
        let applied = Applied { hash: plan(instance, now).1, fingerprint: "f".into() };
        next(instance, &Outcome::Applied(&applied), now)
    }

    #[test]
    fn an_interrupted_upgrade_and_a_spec_that_goes_back_take_a_run() {
        let ready = applied(&instance(1, 1, None), at(0));
        let (run, _) = plan(&instance(1, 1, Some(ready.clone())), at(1));
        assert_eq!(run, Run::NotNeeded);
        // The upgrade begins, and the process is killed.
        let running = next(&instance(2, 2, Some(ready)), &Outcome::Running, at(10));
        let (run, _) = plan(&instance(3, 1, Some(running)), at(20));
        assert_eq!(run, Run::Now, "nobody knows what is in force");
    }

    #[test]
    fn a_footprint_that_came_into_force_is_told_once_and_an_equal_one_never() {
        let first = applied(&instance(1, 1000, None), at(0));
        let same = applied(&instance(2, 1000, Some(first)), at(10));
        let grown = applied(&instance(3, 2000, Some(same)), at(20));
        let again = applied(&instance(3, 2000, Some(grown)), at(30));
        let told: Vec<_> =
            again.lifecycle.iter().map(|entry| (entry.kind, entry.generation, entry.time.0)).collect();
        assert_eq!(told, [(LifecycleKind::Ready, 1, at(0)), (LifecycleKind::Resized, 3, at(20))]);
    }

    #[test]
    fn a_footprint_is_not_told_before_it_is_in_force() {
        let first = applied(&instance(1, 1000, None), at(0));
        let running = next(&instance(2, 2000, Some(first)), &Outcome::Running, at(10));
        let error = Error::Release(translate("Error: exceeded quota"));
        let failed = next(&instance(2, 2000, Some(running)), &Outcome::Failed(&error), at(20));
        assert_eq!(failed.lifecycle.len(), 1);
        let grown = applied(&instance(2, 2000, Some(failed)), at(30));
        assert_eq!(grown.lifecycle.last().unwrap().time.0, at(30));
    }

    #[test]
    fn the_footprint_of_an_older_status_is_not_known_and_counts_as_another_with_a_newer_generation() {
        let old = ServiceInstanceStatus { footprint: None, ..applied(&instance(1, 1000, None), at(0)) };
        assert_eq!(applied(&instance(1, 1000, Some(old.clone())), at(5)).lifecycle.len(), 1);
        assert_eq!(applied(&instance(2, 2000, Some(old)), at(5)).lifecycle.len(), 2);
    }

    #[test]
    fn sizes_of_long_ago_go_first_and_the_first_readiness_stays() {
        let mut status = applied(&instance(1, 1, None), at(0));
        for generation in 2..200 {
            status = applied(&instance(generation, generation, Some(status)), at(generation));
        }
        assert_eq!(status.lifecycle.len(), LIFECYCLE_MAX);
        assert_eq!(status.lifecycle[0].kind, LifecycleKind::Ready);
        assert_eq!(status.lifecycle.last().unwrap().generation, 199);
    }

    #[test]
    fn a_removal_that_fails_says_why_and_waits_longer_each_time_and_a_change_ends_the_pause() {
        let error = Error::Release(translate("Error: context deadline exceeded"));
        let mut status = next(&instance(2, 1, None), &Outcome::CleaningUp, at(0));
        let mut pauses = Vec::new();
        for _ in 0..9 {
            status = next(&instance(2, 1, Some(status)), &Outcome::CleanupFailed(&error), at(100));
            let after = paused_until(&instance(2, 1, Some(status.clone())), at(100)).unwrap();
            pauses.push(after.as_second() - 100);
        }
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 600, 600, 600]);
        let told = |kind: &str| {
            let condition = status.conditions.iter().find(|condition| condition.type_ == kind).unwrap();
            (condition.status.clone(), condition.reason.clone())
        };
        assert_eq!(told(DELETING), ("True".into(), "ReleaseFailed".into()));
        assert_eq!(told(READY), ("False".into(), "ReleaseFailed".into()));
        assert!(
            status.message.contains("nicht bereit") && status.message.contains("Versuch 9"),
            "{}",
            status.message
        );
        assert_eq!(paused_until(&instance(2, 1, Some(status.clone())), at(701)), None);
        assert_eq!(paused_until(&instance(3, 1, Some(status)), at(100)), None);
    }

    #[test]
    fn failures_of_an_older_spec_do_not_lengthen_the_pause_of_a_newer_one() {
        let error = Error::Release(translate("Error"));
        let mut status = ServiceInstanceStatus::default();
        for _ in 0..5 {
            status = next(&instance(1, 1, Some(status)), &Outcome::Failed(&error), at(0));
        }
        status = next(&instance(2, 1, Some(status)), &Outcome::Running, at(0));
        status = next(&instance(2, 1, Some(status)), &Outcome::Failed(&error), at(0));
        assert_eq!(status.release.attempts, 1);
    }
}
