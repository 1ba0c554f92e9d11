//! A service instance: one ordered plan in one tenant.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    ids::{BillToId, ClusterId, InstanceId, MemberId, OfferingId, OperationId, PlanId, TenantId, Uid},
    observation::{Observation, ObservationRefusal, Seen, check},
    resources::Resources,
    tenant::{State, next_state},
};

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Whose.
    pub member: MemberId,
    /// In which tenant.
    pub tenant: TenantId,
    /// Id under the tenant.
    pub id: InstanceId,
    /// This life of it.
    pub uid: Uid,
    /// The tenant's cluster.
    pub cluster: ClusterId,
    /// What was ordered.
    pub offering: OfferingId,
    /// Which version of it.
    pub version: String,
    /// Which plan of it.
    pub plan: PlanId,
    /// JSON object, checked against the version's schema.
    pub parameters_json: String,
    /// What it reserves and is billed for.
    pub footprint: Resources,
    /// Who pays.
    pub bill_to: BillToId,
    /// BT-133; may be empty.
    pub accounting_reference: String,
    /// Keys of the binding's secret, for the reference that a member gets.
    pub binding_keys: Vec<String>,
    /// Where it stands.
    pub state: State,
    /// Raised with every change of what is asked.
    pub generation: u64,
    /// What the cluster said.
    pub seen: Seen,
    /// The operation under way, or the last one.
    pub operation: OperationId,
    /// When the order was accepted.
    pub create_time: Timestamp,
    /// Last change of what is asked.
    pub update_time: Timestamp,
    /// First ready, by the cluster's fact within the API's own bounds: billing starts here.
    pub ready_time: Option<Timestamp>,
    /// When its deletion was accepted: billing ends here.
    pub delete_time: Option<Timestamp>,
}

impl Instance {
    /// `members/{member}/tenants/{tenant}/instances/{instance}`.
    pub fn name(&self) -> String {
        name(&self.member, &self.tenant, &self.id)
    }

    /// The secret in the workspace that carries its credentials.
    pub fn binding_secret(&self) -> String {
        binding_secret(&self.id)
    }

    /// Takes what the cluster saw.
    ///
    /// # Errors
    /// When the observation speaks of something else, see [`check`].
    pub fn observed(&self, observation: &Observation) -> Result<Self, ObservationRefusal> {
        let deleting = self.state == State::Deleting;
        check(observation, &self.uid, self.generation, self.seen.generation, deleting)?;
        let state = next_state(self.state, self.generation, observation);
        Ok(Self { state, seen: self.seen.updated(observation), ..self.clone() })
    }
}

/// `members/{member}/tenants/{tenant}/instances/{instance}`.
pub fn name(member: &MemberId, tenant: &TenantId, instance: &InstanceId) -> String {
    format!("members/{member}/tenants/{tenant}/instances/{instance}")
}

/// The secret in the workspace that carries an instance's credentials.
pub fn binding_secret(instance: &InstanceId) -> String {
    format!("{instance}-binding")
}
