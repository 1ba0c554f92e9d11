//! What the member sees: conditions, steps, one sentence. One write, none when nothing changed.

use allmende_crds::{
    LifecycleEntry, LifecycleKind, ServiceInstance, ServiceInstanceStatus, Step, StepState,
    conditions::{BINDING_READY, DELETING, READY, RELEASE_APPLIED, reason},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams},
};

use super::{Error, apply::Applied};
use crate::{
    clock::whole_seconds,
    conditions::{Assessment, set},
};

/// First pause after a failed run; doubled up to the longest.
const FIRST_PAUSE_SECONDS: i64 = 10;
/// The longest pause: retried for ever.
const LONGEST_PAUSE_SECONDS: i64 = 600;

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
}

/// The status after an outcome. Pure.
pub fn next(instance: &ServiceInstance, outcome: &Outcome<'_>, now: Timestamp) -> ServiceInstanceStatus {
    let generation = instance.metadata.generation.unwrap_or_default();
    let mut status = instance.status.clone().unwrap_or_default();
    let changed = status.observed_generation != generation;
    status.observed_generation = generation;
    status.release.name.clone_from(&instance.spec.instance);
    match outcome {
        Outcome::Running => running(&mut status, generation, now),
        Outcome::Applied(applied) => applied_now(&mut status, instance, applied, generation, now),
        Outcome::Failed(error) => failed(&mut status, error, (generation, changed), now),
        Outcome::DeletionNotAllowed => {
            "gelöscht ohne Auftrag: wartet auf den Auftrag des Mitglieds".clone_into(&mut status.message);
            let assessment = Assessment::no(DELETING, reason::DELETION_NOT_ALLOWED, &status.message);
            set(&mut status.conditions, assessment, generation, now);
        }
        Outcome::CleaningUp => {
            "wird gelöscht".clone_into(&mut status.message);
            set(
                &mut status.conditions,
                Assessment::yes(DELETING, reason::DELETION_RUNNING, "wird gelöscht"),
                generation,
                now,
            );
            set(
                &mut status.conditions,
                Assessment::no(READY, reason::DELETION_RUNNING, "wird gelöscht"),
                generation,
                now,
            );
        }
    }
    status
}

fn running(status: &mut ServiceInstanceStatus, generation: i64, now: Timestamp) {
    "der Dienst wird eingerichtet".clone_into(&mut status.message);
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
    // What is billed by: once in a life, persisted before it is told.
    if !status.lifecycle.iter().any(|entry| entry.kind == LifecycleKind::Ready) {
        let time = Time(whole_seconds(now));
        status.lifecycle.push(LifecycleEntry { kind: LifecycleKind::Ready, generation: desired, time });
    }
}

fn failed(
    status: &mut ServiceInstanceStatus,
    error: &Error,
    (generation, changed): (i64, bool),
    now: Timestamp,
) {
    let why = match error {
        Error::Release(_) => reason::RELEASE_FAILED,
        Error::Invalid(_) => reason::INVALID_SPEC,
        Error::ServicesNotReady(_) => reason::TENANT_NOT_READY,
        Error::Cluster(_) => reason::CLUSTER_UNAVAILABLE,
    };
    status.message = error.to_string().chars().take(900).collect();
    if let Error::Release(release) = error {
        let attempts = if changed { 1 } else { status.release.attempts.saturating_add(1) };
        let doubled = FIRST_PAUSE_SECONDS << (attempts.clamp(1, 7) - 1);
        let pause = SignedDuration::from_secs(doubled.min(LONGEST_PAUSE_SECONDS));
        let after = now.checked_add(pause).unwrap_or(now);
        status.release.attempts = attempts;
        status.release.next_retry_time = Some(Time(whole_seconds(after)));
        "failed".clone_into(&mut status.release.state);
        status.message =
            format!("{} (Versuch {attempts}, nächster um {} UTC)", release.words, after.strftime("%H:%M:%S"));
        let message = status.message.clone();
        set_steps(status, [StepState::Done, StepState::Failed, StepState::Pending], &message, now);
        set(&mut status.conditions, Assessment::no(RELEASE_APPLIED, why, &message), generation, now);
    }
    let message = status.message.clone();
    set(&mut status.conditions, Assessment::no(READY, why, message), generation, now);
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
/// When the API server does not answer.
pub async fn publish(
    client: &Client,
    instance: &ServiceInstance,
    status: &ServiceInstanceStatus,
) -> Result<(), kube::Error> {
    if instance.status.as_ref() == Some(status) {
        return Ok(());
    }
    let api: Api<ServiceInstance> =
        Api::namespaced(client.clone(), &instance.namespace().unwrap_or_default());
    let patch = serde_json::json!({ "status": status });
    match api.patch_status(&instance.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await {
        Ok(_) => Ok(()),
        // It went while we were at it.
        Err(kube::Error::Api(answer)) if answer.code == 404 => Ok(()),
        Err(error) => Err(error),
    }
}
