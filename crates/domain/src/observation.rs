//! What a cluster said about one object. A cluster's word is limited: it changes what was seen, never what was asked or who pays.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ids::Uid, operation::Step, resources::Resources};

/// A condition as Kubernetes has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// `Ready`, `Progressing` …
    pub kind: String,
    /// `True`, `False`, `Unknown`.
    pub status: String,
    /// CamelCase.
    pub reason: String,
    /// For people.
    pub message: String,
    /// When the status last changed.
    pub last_transition_time: Option<Timestamp>,
    /// The generation it speaks about.
    pub observed_generation: i64,
}

/// Where an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Being made or changed.
    Progressing,
    /// As asked.
    Ready,
    /// The last attempt failed; the operator goes on trying.
    Failed,
    /// Everything of it is gone.
    Gone,
    /// On the cluster and in no snapshot.
    Orphan,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// Which life of the object.
    pub uid: Uid,
    /// The generation that was applied.
    pub generation: u64,
    /// Where it is.
    pub phase: Phase,
    /// As on the object.
    pub conditions: Vec<Condition>,
    /// For people.
    pub message: String,
    /// The steps of the present work.
    pub steps: Vec<Step>,
    /// `status.hard` of the ResourceQuota.
    pub enforced_quota: Option<Resources>,
    /// `status.used`.
    pub used: Option<Resources>,
    /// SHA-256 of the binding's content, hex.
    pub binding_fingerprint: String,
}

/// What is kept of observations beside a tenant or an instance.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Seen {
    /// Generation last reported on; 0 before the first report.
    pub generation: u64,
    /// Conditions of the last report.
    pub conditions: Vec<Condition>,
    /// For people.
    pub message: String,
    /// What the quota showed.
    pub enforced_quota: Option<Resources>,
    /// What was used of it.
    pub used: Option<Resources>,
    /// Fingerprint of the binding.
    pub binding_fingerprint: String,
}

/// Why an observation was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObservationRefusal {
    /// It speaks of another life of the object.
    OtherUid,
    /// It speaks of an older generation than the one last reported.
    OldGeneration,
    /// GONE of an object that is not being deleted.
    NotDeleting,
}

impl Seen {
    /// Takes an observation of a newer or the same generation.
    #[must_use]
    pub fn updated(&self, observation: &Observation) -> Self {
        Self {
            generation: observation.generation,
            conditions: observation.conditions.clone(),
            message: observation.message.clone(),
            enforced_quota: observation.enforced_quota.or(self.enforced_quota),
            used: observation.used.or(self.used),
            binding_fingerprint: if observation.binding_fingerprint.is_empty() {
                self.binding_fingerprint.clone()
            } else {
                observation.binding_fingerprint.clone()
            },
        }
    }
}

/// The rules that hold for tenants and instances alike.
///
/// # Errors
/// The refusal, when the observation may not be taken.
pub fn check(
    observation: &Observation,
    uid: &Uid,
    seen_generation: u64,
    deleting: bool,
) -> Result<(), ObservationRefusal> {
    if observation.uid != *uid {
        return Err(ObservationRefusal::OtherUid);
    }
    if observation.generation < seen_generation {
        return Err(ObservationRefusal::OldGeneration);
    }
    if observation.phase == Phase::Gone && !deleting {
        return Err(ObservationRefusal::NotDeleting);
    }
    Ok(())
}
