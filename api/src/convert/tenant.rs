//! Tenants.

use allmende_domain::{
    preflight::Isolation,
    tenant::{State, Tenant},
};
use allmende_proto::v1;
use allmende_store::Versioned;

use super::{fields::time, resources};

/// A tenant with its etag, and what is known of the walls around it.
pub fn write(tenant: &Versioned<Tenant>, isolation: &Isolation) -> v1::Tenant {
    let value = &tenant.value;
    v1::Tenant {
        name: value.name(),
        uid: value.uid.to_string(),
        cluster: format!("clusters/{}", value.cluster),
        namespace: value.namespace(),
        workspace_quota: Some(resources::write(&value.workspace_quota)),
        bill_to: format!("members/{}/billTos/{}", value.member, value.bill_to),
        state: state(value.state).into(),
        generation: value.generation,
        observed_generation: value.seen.generation,
        conditions: value.seen.conditions.iter().map(resources::condition).collect(),
        create_time: Some(time(value.create_time)),
        update_time: Some(time(value.update_time)),
        etag: tenant.etag(),
        used: value.seen.used.as_ref().map(resources::write),
        isolation_proven: isolation.proven(),
        isolation_reasons: isolation.reasons.clone(),
    }
}

fn state(state: State) -> v1::tenant::State {
    match state {
        State::Provisioning => v1::tenant::State::Provisioning,
        State::Ready => v1::tenant::State::Ready,
        State::Deleting => v1::tenant::State::Deleting,
        State::Failed => v1::tenant::State::Failed,
    }
}
