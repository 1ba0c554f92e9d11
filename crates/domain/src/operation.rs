//! Long-running work: what a change still waits for after its transaction was committed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    ids::{MemberId, OperationId},
    observation::{Observation, Phase},
};

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verb {
    /// A tenant is made.
    CreateTenant,
    /// Its quota changes.
    UpdateTenant,
    /// It is deleted.
    DeleteTenant,
    /// An instance is made.
    CreateInstance,
    /// Another attempt was asked for.
    RetryInstance,
    /// It is deleted.
    DeleteInstance,
}

impl Verb {
    /// The name as the API shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CreateTenant => "CreateTenant",
            Self::UpdateTenant => "UpdateTenant",
            Self::DeleteTenant => "DeleteTenant",
            Self::CreateInstance => "CreateInstance",
            Self::RetryInstance => "RetryInstance",
            Self::DeleteInstance => "DeleteInstance",
        }
    }

    fn ends_with_gone(self) -> bool {
        matches!(self, Self::DeleteTenant | Self::DeleteInstance)
    }
}

/// Where a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StepState {
    /// Not begun.
    Pending,
    /// Under way.
    Running,
    /// Done.
    Done,
    /// Failed; it will be tried again.
    Failed,
}

/// One step of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// `accepted`, `namespace`, `release` …
    pub id: String,
    /// For people.
    pub title: String,
    /// Where it is.
    pub state: StepState,
    /// For people.
    pub message: String,
    /// Last change.
    pub update_time: Option<Timestamp>,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Whose.
    pub member: MemberId,
    /// Its id.
    pub id: OperationId,
    /// Resource name it works on.
    pub target: String,
    /// What is done.
    pub verb: Verb,
    /// The generation of the target that it waits for.
    pub generation: u64,
    /// Ended.
    pub done: bool,
    /// Ended well.
    pub succeeded: bool,
    /// Accepted first, then the cluster's.
    pub steps: Vec<Step>,
    /// For people.
    pub message: String,
    /// When it was accepted.
    pub create_time: Timestamp,
    /// When it ended.
    pub end_time: Option<Timestamp>,
}

impl Operation {
    /// Just accepted.
    pub fn accepted(
        member: MemberId,
        id: OperationId,
        target: String,
        verb: Verb,
        generation: u64,
        now: Timestamp,
    ) -> Self {
        let step = Step {
            id: "accepted".to_owned(),
            title: "Auftrag angenommen".to_owned(),
            state: StepState::Done,
            message: String::new(),
            update_time: Some(now),
        };
        Self {
            member,
            id,
            target,
            verb,
            generation,
            done: false,
            succeeded: false,
            steps: vec![step],
            message: "wartet auf den Cluster".to_owned(),
            create_time: now,
            end_time: None,
        }
    }

    /// Takes what the cluster saw of the target. A finished operation stays as it is.
    #[must_use]
    pub fn observed(&self, observation: &Observation, now: Timestamp) -> Self {
        if self.done || observation.generation < self.generation {
            return self.clone();
        }
        let mut next = self.clone();
        next.steps.truncate(1);
        next.steps.extend(observation.steps.iter().cloned());
        next.message.clone_from(&observation.message);
        let reached = match observation.phase {
            Phase::Gone => self.verb.ends_with_gone(),
            Phase::Ready => !self.verb.ends_with_gone(),
            Phase::Progressing | Phase::Failed | Phase::Orphan => false,
        };
        if reached {
            next.done = true;
            next.succeeded = true;
            next.end_time = Some(now);
        }
        next
    }

    /// Ended because something newer took its place.
    #[must_use]
    pub fn superseded(&self, by: Verb, now: Timestamp) -> Self {
        if self.done {
            return self.clone();
        }
        let message = format!("abgelöst durch {}", by.as_str());
        Self { done: true, succeeded: false, message, end_time: Some(now), ..self.clone() }
    }
}
