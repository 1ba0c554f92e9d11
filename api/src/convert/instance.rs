//! Service instances.

use allmende_domain::{instance::Instance, tenant::State};
use allmende_proto::v1;
use allmende_store::Versioned;

use super::{fields::time, resources};

/// An instance with its etag.
pub fn write(instance: &Versioned<Instance>) -> v1::Instance {
    let value = &instance.value;
    v1::Instance {
        name: value.name(),
        uid: value.uid.to_string(),
        offering: format!("offerings/{}", value.offering),
        version: value.version.clone(),
        plan: value.plan.to_string(),
        parameters_json: value.parameters_json.clone(),
        footprint: Some(resources::write(&value.footprint)),
        bill_to: format!("members/{}/billTos/{}", value.member, value.bill_to),
        accounting_reference: value.accounting_reference.clone(),
        state: state(value.state).into(),
        state_message: value.seen.message.clone(),
        generation: value.generation,
        observed_generation: value.seen.generation,
        conditions: value.seen.conditions.iter().map(resources::condition).collect(),
        create_time: Some(time(value.create_time)),
        update_time: Some(time(value.update_time)),
        ready_time: value.ready_time.map(time),
        delete_time: value.delete_time.map(time),
        etag: instance.etag(),
    }
}

/// The reference to the credentials; never the credentials.
pub fn credentials(instance: &Instance) -> v1::CredentialsReference {
    v1::CredentialsReference {
        cluster: format!("clusters/{}", instance.cluster),
        namespace: format!("{}-{}", instance.member, instance.tenant),
        secret: instance.binding_secret(),
        keys: instance.binding_keys.clone(),
        fingerprint: instance.seen.binding_fingerprint.clone(),
    }
}

fn state(state: State) -> v1::instance::State {
    match state {
        State::Provisioning => v1::instance::State::Provisioning,
        State::Ready => v1::instance::State::Ready,
        State::Deleting => v1::instance::State::Deleting,
        State::Failed => v1::instance::State::Failed,
    }
}
