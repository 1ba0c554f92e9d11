//! A member's place on one cluster.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    ids::{BillToId, ClusterId, MemberId, OperationId, TenantId, Uid},
    observation::{Observation, ObservationRefusal, Phase, Seen, check},
    resources::Resources,
};

/// Where a tenant or an instance stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Asked for, the cluster has not confirmed yet.
    Provisioning,
    /// The cluster confirmed the present generation.
    Ready,
    /// Being deleted; stays until the cluster confirms.
    Deleting,
    /// The last attempt failed; the operator goes on trying.
    Failed,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Whose.
    pub member: MemberId,
    /// Id under the member.
    pub id: TenantId,
    /// This life of it.
    pub uid: Uid,
    /// Permanent.
    pub cluster: ClusterId,
    /// Quota of the workspace namespace; also its reservation.
    pub workspace_quota: Resources,
    /// Who pays.
    pub bill_to: BillToId,
    /// Where it stands.
    pub state: State,
    /// Raised with every change of what is asked.
    pub generation: u64,
    /// The generation that asked for the present workspace quota: from it on, another size that the cluster tells of is this one.
    #[serde(default)]
    pub sized_generation: u64,
    /// What the cluster said.
    pub seen: Seen,
    /// The operation under way, or the last one.
    pub operation: OperationId,
    /// When it was accepted.
    pub create_time: Timestamp,
    /// Last change of what is asked.
    pub update_time: Timestamp,
    /// When its deletion was accepted.
    pub delete_time: Option<Timestamp>,
}

impl Tenant {
    /// `members/{member}/tenants/{tenant}`.
    pub fn name(&self) -> String {
        name(&self.member, &self.id)
    }

    /// The workspace namespace, also the name of the `Tenant` object on the cluster.
    pub fn namespace(&self) -> String {
        format!("{}-{}", self.member, self.id)
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

/// `members/{member}/tenants/{tenant}`.
pub fn name(member: &MemberId, tenant: &TenantId) -> String {
    format!("members/{member}/tenants/{tenant}")
}

/// The state after an observation: deleting stays deleting, and only a report on the present generation can say ready.
pub fn next_state(state: State, generation: u64, observation: &Observation) -> State {
    if state == State::Deleting {
        return State::Deleting;
    }
    match observation.phase {
        Phase::Ready if observation.generation == generation => State::Ready,
        Phase::Failed => State::Failed,
        Phase::Ready | Phase::Progressing | Phase::Gone | Phase::Orphan => State::Provisioning,
    }
}
