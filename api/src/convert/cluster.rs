//! Clusters, desired state, observations.

use allmende_domain::{
    cluster::{Cluster, ClusterSeen},
    desired::{DesiredBody, DesiredRecord},
    observation::{Observation, Phase},
    operation::{Step, StepState},
    quota::shown::NamespaceQuota,
    resources::Resources,
};
use allmende_proto::v1;
use allmende_store::Versioned;

use super::{fields::time, preflight, resources};
use crate::app::cluster::Known;

/// A cluster with its etag and what its operator last said.
pub fn write(cluster: &Versioned<Cluster>, seen: Option<&ClusterSeen>) -> v1::Cluster {
    v1::Cluster { etag: cluster.etag(), ..write_value(&cluster.value, seen) }
}

/// A cluster with all its last words.
pub fn write_known(known: &Known) -> v1::Cluster {
    let preflight = known.preflight.as_ref().map(preflight::write);
    v1::Cluster { preflight, ..write(&known.cluster, known.seen.as_ref()) }
}

/// A cluster that is not stored (preview).
pub fn write_value(cluster: &Cluster, seen: Option<&ClusterSeen>) -> v1::Cluster {
    v1::Cluster {
        name: format!("clusters/{}", cluster.id),
        display_name: cluster.display_name.clone(),
        capacity: Some(resources::write(&cluster.capacity)),
        carved: Some(resources::write(&cluster.carved)),
        create_time: Some(time(cluster.create_time)),
        last_seen_time: seen.map(|seen| time(seen.last_seen)),
        watermark: seen.and_then(|seen| seen.watermark).map(time),
        orphans: seen
            .iter()
            .flat_map(|seen| &seen.orphans)
            .map(|(name, uid)| v1::Orphan { name: name.clone(), uid: uid.to_string() })
            .collect(),
        etag: String::new(),
        preflight: None,
    }
}

/// One record of the desired state.
pub fn desired(record: &Versioned<DesiredRecord>) -> v1::DesiredObject {
    let body = match &record.value.body {
        DesiredBody::Tenant(tenant) => {
            let services_quota = Resources::sum(tenant.footprints.values()).unwrap_or_default();
            v1::desired_object::Body::Tenant(v1::DesiredTenant {
                namespace: tenant.namespace.clone(),
                member: tenant.member.to_string(),
                tenant: tenant.tenant.to_string(),
                member_display_name: tenant.member_display_name.clone(),
                workspace_quota: Some(resources::write(&tenant.workspace_quota)),
                services: tenant.services,
                services_quota: Some(resources::write(&services_quota)),
                group_bindings: tenant
                    .group_bindings
                    .iter()
                    .map(|b| v1::GroupBinding { group: b.group.clone(), role: b.role.clone() })
                    .collect(),
            })
        }
        DesiredBody::Instance(instance) => v1::desired_object::Body::Instance(v1::DesiredInstance {
            member: instance.member.to_string(),
            tenant: instance.tenant.to_string(),
            instance: instance.instance.to_string(),
            namespace: instance.namespace.clone(),
            offering: instance.offering.to_string(),
            version: instance.version.clone(),
            plan: instance.plan.to_string(),
            chart: instance.chart.clone(),
            values_json: instance.values_json.clone(),
            footprint: Some(resources::write(&instance.footprint)),
            timeout_seconds: instance.timeout_seconds,
            secret_fields: instance
                .secret_fields
                .iter()
                .map(|f| v1::SecretField { key: f.key.clone(), value: f.value.clone(), bound: f.bound })
                .collect(),
            binding_secret: instance.binding_secret.clone(),
            binding_fields: instance.binding_fields.clone(),
            retry_nonce: instance.retry_nonce,
        }),
    };
    v1::DesiredObject {
        name: record.value.name.clone(),
        generation: record.value.generation,
        revision: record.revision.0,
        deleting: record.value.deleting,
        uid: record.value.uid.to_string(),
        body: Some(body),
    }
}

/// An observation; none when its uid or phase is none.
pub fn read_observation(message: &v1::Observation) -> Option<Observation> {
    let phase = match v1::observation::Phase::try_from(message.phase).ok()? {
        v1::observation::Phase::Unspecified => return None,
        v1::observation::Phase::Progressing => Phase::Progressing,
        v1::observation::Phase::Ready => Phase::Ready,
        v1::observation::Phase::Failed => Phase::Failed,
        v1::observation::Phase::Gone => Phase::Gone,
        v1::observation::Phase::Orphan => Phase::Orphan,
    };
    Some(Observation {
        uid: message.uid.parse().ok()?,
        generation: message.generation,
        phase,
        conditions: message.conditions.iter().take(32).map(resources::read_condition).collect(),
        message: message.message.chars().take(2000).collect(),
        steps: message.steps.iter().take(32).map(read_step).collect(),
        enforced_quota: message.enforced_quota.as_ref().map(amounts),
        used: message.used.as_ref().map(amounts),
        quotas: message.quotas.iter().take(QUOTAS_MAX).map(quota).collect(),
        binding_fingerprint: message.binding_fingerprint.chars().take(64).collect(),
    })
}

/// More namespaces no tenant has.
const QUOTAS_MAX: usize = 3;

fn quota(message: &v1::NamespaceQuota) -> (String, NamespaceQuota) {
    let read = |resources: Option<&v1::Resources>| resources.map(amounts).unwrap_or_default();
    let quota = NamespaceQuota { hard: read(message.hard.as_ref()), used: read(message.used.as_ref()) };
    (message.namespace.chars().take(63).collect(), quota)
}

/// What a cluster shows is kept as shown, but never below zero.
fn amounts(message: &v1::Resources) -> Resources {
    Resources {
        cpu_milli: message.cpu_milli.max(0),
        memory_bytes: message.memory_bytes.max(0),
        storage_bytes: message.storage_bytes.max(0),
        pods: message.pods.max(0),
        load_balancers: message.load_balancers.max(0),
        extended: resources::read_extended(&message.extended)
            .iter()
            .map(|(name, amount)| (name.clone(), amount.max(0)))
            .collect(),
    }
}

fn read_step(step: &v1::ObservedStep) -> Step {
    let state = match step.state {
        2 => StepState::Running,
        3 => StepState::Done,
        4 => StepState::Failed,
        _ => StepState::Pending,
    };
    let at = step.update_time.as_ref();
    Step {
        id: step.id.chars().take(63).collect(),
        title: step.title.chars().take(200).collect(),
        state,
        message: step.message.chars().take(2000).collect(),
        update_time: at.and_then(|at| jiff::Timestamp::new(at.seconds, at.nanos).ok()),
    }
}
