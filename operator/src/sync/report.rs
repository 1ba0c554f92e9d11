//! Observations: what is seen of each object, told when it changed and all of it after a reconnect; kept until the API took it.

use std::time::Duration;

use allmende_crds::{
    Desired, NamespaceQuota, ResourceAmounts, ServiceInstance, Step, StepState, Tenant,
    conditions::{self, reason},
};
use allmende_proto::v1::{self, cluster_service_client::ClusterServiceClient, observation::Phase};
use futures::StreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    Api, Client,
    runtime::{WatchStreamExt, watcher},
};
use tokio::sync::{mpsc, watch};
use tonic::transport::Channel;

use super::{fence::Known, outbox::Outbox, seconds};
use crate::metrics::SyncMetrics;

/// Observations in one call.
const BATCH: usize = 100;
/// Pause before a failed call is tried again.
const RETRY: Duration = Duration::from_secs(2);

/// One observation on its way to the API.
#[derive(Debug, Clone, PartialEq)]
pub struct Report(pub v1::Observation);

impl Report {
    /// Nothing of a DELETING record is left.
    pub fn gone(object: &v1::DesiredObject) -> Self {
        Self(v1::Observation {
            name: object.name.clone(),
            uid: object.uid.clone(),
            generation: object.generation,
            phase: Phase::Gone.into(),
            message: "gelöscht".to_owned(),
            ..Default::default()
        })
    }

    /// On the cluster and in no snapshot.
    pub fn orphan(desired: &Desired) -> Self {
        Self(v1::Observation { phase: Phase::Orphan.into(), ..about(desired) })
    }

    /// What a tenant's status says.
    pub fn tenant(tenant: &Tenant) -> Option<Self> {
        let status = tenant.status.as_ref()?;
        let desired = &tenant.spec.desired;
        Some(Self(v1::Observation {
            phase: phase(&status.conditions, status.observed_desired_generation, desired).into(),
            conditions: status.conditions.iter().map(condition).collect(),
            message: status.message.clone(),
            steps: status.steps.iter().map(step).collect(),
            enforced_quota: status.enforced_quota.as_ref().map(amounts),
            used: status.used.as_ref().map(amounts),
            quotas: status.quotas.iter().map(quota).collect(),
            ..about(desired)
        }))
    }

    /// What an instance's status says.
    pub fn instance(instance: &ServiceInstance) -> Option<Self> {
        let status = instance.status.as_ref()?;
        let desired = &instance.spec.desired;
        Some(Self(v1::Observation {
            phase: phase(&status.conditions, status.observed_desired_generation, desired).into(),
            conditions: status.conditions.iter().map(condition).collect(),
            message: status.message.clone(),
            steps: status.steps.iter().map(step).collect(),
            binding_fingerprint: status.binding_fingerprint.clone(),
            ..about(desired)
        }))
    }
}

fn about(desired: &Desired) -> v1::Observation {
    v1::Observation {
        name: desired.name.clone(),
        uid: desired.uid.clone(),
        generation: u64::try_from(desired.generation).unwrap_or_default(),
        ..Default::default()
    }
}

/// Ready only for the generation that is asked for now; failed where the reason is a failure and not the way there.
fn phase(conditions: &[Condition], observed: i64, desired: &Desired) -> Phase {
    let Some(ready) = conditions.iter().find(|condition| condition.type_ == conditions::READY) else {
        return Phase::Progressing;
    };
    let failures = [
        reason::NAMESPACE_TAKEN,
        reason::INVALID_SPEC,
        reason::REFUSED,
        reason::TIMED_OUT,
        reason::RELEASE_FAILED,
    ];
    match ready.status.as_str() {
        "True" if observed == desired.generation => Phase::Ready,
        "False" if failures.contains(&ready.reason.as_str()) => Phase::Failed,
        _ => Phase::Progressing,
    }
}

fn condition(condition: &Condition) -> v1::Condition {
    let at = condition.last_transition_time.0;
    v1::Condition {
        r#type: condition.type_.clone(),
        status: condition.status.clone(),
        reason: condition.reason.clone(),
        message: condition.message.clone(),
        last_transition_time: Some(seconds(at)),
        observed_generation: condition.observed_generation.unwrap_or_default(),
    }
}

fn step(step: &Step) -> v1::ObservedStep {
    let at = step.update_time.0;
    v1::ObservedStep {
        id: step.id.clone(),
        title: step.title.clone(),
        state: match step.state {
            StepState::Pending => 1,
            StepState::Running => 2,
            StepState::Done => 3,
            StepState::Failed => 4,
        },
        message: step.message.clone(),
        update_time: Some(seconds(at)),
    }
}

fn quota(quota: &NamespaceQuota) -> v1::NamespaceQuota {
    v1::NamespaceQuota {
        namespace: quota.namespace.clone(),
        hard: Some(amounts(&quota.hard)),
        used: Some(amounts(&quota.used)),
    }
}

fn amounts(amounts: &ResourceAmounts) -> v1::Resources {
    v1::Resources {
        cpu_milli: amounts.cpu_milli,
        memory_bytes: amounts.memory_bytes,
        storage_bytes: amounts.storage_bytes,
        pods: amounts.pods,
        load_balancers: amounts.load_balancers,
        extended: amounts.extended.clone(),
    }
}

/// Watches both kinds and hands what their status says to the sender. Ends when nobody listens.
pub async fn watch_objects(client: Client, reports: mpsc::Sender<Report>) {
    let config = || watcher::Config::default().timeout(120);
    let tenants = watcher(Api::<Tenant>::all(client.clone()), config())
        .default_backoff()
        .applied_objects()
        .filter_map(|event| async move { event.ok().as_ref().and_then(Report::tenant) })
        .boxed();
    let instances = watcher(Api::<ServiceInstance>::all(client), config())
        .default_backoff()
        .applied_objects()
        .filter_map(|event| async move { event.ok().as_ref().and_then(Report::instance) })
        .boxed();
    let mut all = futures::stream::select(tenants, instances);
    while let Some(report) = all.next().await {
        if reports.send(report).await.is_err() {
            return;
        }
    }
}

/// Sends reports, the newest of each object, until the API took them.
#[derive(Debug)]
pub struct Reporter {
    /// Id of this cluster in the API.
    pub cluster: String,
    /// The API.
    pub channel: Channel,
    /// What to send.
    pub reports: mpsc::Receiver<Report>,
    /// Which store and epoch is followed.
    pub followed: watch::Receiver<Option<Known>>,
    /// Whether this process leads: another one tells otherwise.
    pub leader: watch::Receiver<bool>,
    /// Counts what the API does not take.
    pub metrics: SyncMetrics,
}

impl Reporter {
    /// Sends for ever; ends when nothing more can come.
    pub async fn run(mut self) {
        let mut outbox = Outbox::default();
        loop {
            if outbox.is_empty() {
                tokio::select! {
                    report = self.reports.recv() => match report {
                        None => return,
                        Some(Report(observation)) => outbox.note(observation),
                    },
                    changed = self.followed.changed() => {
                        if changed.is_err() { return; }
                        self.followed.mark_changed();
                    }
                }
            }
            // Another store or a reconnect: what it knows of us is unknown. Heard before anything is sent: what is told to the new stream
            // would else be told to it twice.
            if self.followed.has_changed().unwrap_or(false) {
                outbox.tell_again();
            }
            while let Ok(Report(observation)) = self.reports.try_recv() {
                outbox.note(observation);
            }
            let known = self.followed.borrow_and_update().clone();
            let Some(known) = known.filter(|_| *self.leader.borrow()) else {
                tokio::time::sleep(RETRY).await;
                continue;
            };
            let batch = outbox.batch(BATCH);
            if batch.is_empty() {
                continue;
            }
            match self.send(&known, batch.clone()).await {
                Ok(()) => outbox.took(batch),
                Err(status) => {
                    tracing::info!(%status, "observations are told again");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    async fn send(&self, known: &Known, observations: Vec<v1::Observation>) -> Result<(), tonic::Status> {
        let request = v1::ReportObservationsRequest {
            name: format!("clusters/{}", self.cluster),
            store_id: known.store_id.clone(),
            epoch: known.epoch,
            observations,
            ..Default::default()
        };
        let answer =
            ClusterServiceClient::new(self.channel.clone()).report_observations(request).await?.into_inner();
        for refused in answer.refused {
            let reason = refused.reason();
            self.metrics.refused_observation(reason);
            tracing::info!(object = refused.name, ?reason, "an observation was not taken");
        }
        Ok(())
    }
}
