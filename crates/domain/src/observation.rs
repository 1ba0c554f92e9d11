//! What a cluster said about one object. A cluster's word is limited: it changes what was seen, never what was asked or who pays.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ids::Uid, operation::Step, quota::shown::NamespaceQuota, resources::Resources};

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
    /// What the ResourceQuotas of a tenant's namespaces show, by namespace.
    pub quotas: BTreeMap<String, NamespaceQuota>,
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
    /// It speaks of a generation that nobody has asked for yet: taken, it would end operations and shut out all true reports after it.
    UnknownGeneration,
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
            enforced_quota: observation.enforced_quota.clone().or_else(|| self.enforced_quota.clone()),
            used: observation.used.clone().or_else(|| self.used.clone()),
            binding_fingerprint: if observation.binding_fingerprint.is_empty() {
                self.binding_fingerprint.clone()
            } else {
                observation.binding_fingerprint.clone()
            },
        }
    }
}

/// The rules that hold for tenants and instances alike; `generation` is the one that is asked for now.
///
/// # Errors
/// The refusal, when the observation may not be taken.
pub fn check(
    observation: &Observation,
    uid: &Uid,
    generation: u64,
    seen_generation: u64,
    deleting: bool,
) -> Result<(), ObservationRefusal> {
    if observation.uid != *uid {
        return Err(ObservationRefusal::OtherUid);
    }
    if observation.generation < seen_generation {
        return Err(ObservationRefusal::OldGeneration);
    }
    if observation.generation > generation {
        return Err(ObservationRefusal::UnknownGeneration);
    }
    if observation.phase == Phase::Gone && !deleting {
        return Err(ObservationRefusal::NotDeleting);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::tenant::{State, Tenant};

    const UID: &str = "0192f0c1-2345-7abc-8def-0123456789ab";
    const OTHER: &str = "0192f0c1-2345-7abc-8def-0123456789ac";

    fn tenant(state: State, generation: u64) -> Tenant {
        Tenant {
            member: "m-05766044".parse().unwrap(),
            id: "prod".parse().unwrap(),
            uid: UID.parse().unwrap(),
            cluster: "local-1".parse().unwrap(),
            workspace_quota: Resources::ZERO,
            bill_to: "main".parse().unwrap(),
            state,
            generation,
            sized_generation: 1,
            seen: Seen::default(),
            operation: UID.parse().unwrap(),
            create_time: Timestamp::UNIX_EPOCH,
            update_time: Timestamp::UNIX_EPOCH,
            delete_time: None,
        }
    }

    fn observation(uid: &str, generation: u64, phase: Phase) -> Observation {
        Observation {
            uid: uid.parse().unwrap(),
            generation,
            phase,
            conditions: Vec::new(),
            message: String::new(),
            steps: Vec::new(),
            enforced_quota: None,
            used: None,
            quotas: BTreeMap::new(),
            binding_fingerprint: String::new(),
        }
    }

    #[test]
    fn only_a_report_on_the_present_generation_makes_ready() {
        let asked = tenant(State::Provisioning, 2);
        let earlier = asked.observed(&observation(UID, 1, Phase::Ready)).unwrap();
        assert_eq!(earlier.state, State::Provisioning);
        assert_eq!(earlier.observed(&observation(UID, 2, Phase::Ready)).unwrap().state, State::Ready);
    }

    #[test]
    fn another_life_an_older_generation_and_an_end_that_nobody_asked_for_are_refused() {
        let seen = tenant(State::Ready, 2).observed(&observation(UID, 2, Phase::Ready)).unwrap();
        let refused =
            |uid, generation, phase| seen.observed(&observation(uid, generation, phase)).unwrap_err();
        assert_eq!(refused(OTHER, 2, Phase::Ready), ObservationRefusal::OtherUid);
        assert_eq!(refused(UID, 1, Phase::Ready), ObservationRefusal::OldGeneration);
        assert_eq!(refused(UID, 3, Phase::Ready), ObservationRefusal::UnknownGeneration);
        assert_eq!(refused(UID, 2, Phase::Gone), ObservationRefusal::NotDeleting);
    }

    fn phases() -> impl Strategy<Value = Phase> {
        prop::sample::select(vec![
            Phase::Progressing,
            Phase::Ready,
            Phase::Failed,
            Phase::Gone,
            Phase::Orphan,
        ])
    }

    proptest! {
        #[test]
        fn no_report_ends_a_deletion_changes_what_was_asked_or_goes_back(
            reports in prop::collection::vec((0..6u64, phases()), 0..20),
            deleting in any::<bool>(),
        ) {
            let asked = tenant(if deleting { State::Deleting } else { State::Provisioning }, 3);
            let mut now = asked.clone();
            for (generation, phase) in reports {
                let Ok(next) = now.observed(&observation(UID, generation, phase)) else { continue };
                prop_assert!((now.seen.generation..=asked.generation).contains(&next.seen.generation));
                prop_assert_eq!(next.state == State::Deleting, deleting);
                // Once more changes nothing: then nothing is written.
                prop_assert_eq!(&next.observed(&observation(UID, generation, phase)).unwrap(), &next);
                now = next;
            }
            prop_assert_eq!(Tenant { state: asked.state, seen: asked.seen.clone(), ..now }, asked);
        }
    }
}
