//! Operations.

use allmende_domain::operation::{Operation, StepState};
use allmende_proto::v1;

use super::fields::time;

/// An operation as a message.
pub fn write(operation: &Operation) -> v1::Operation {
    v1::Operation {
        name: format!("members/{}/operations/{}", operation.member, operation.id),
        target: operation.target.clone(),
        verb: operation.verb.as_str().to_owned(),
        done: operation.done,
        succeeded: operation.succeeded,
        steps: operation
            .steps
            .iter()
            .map(|step| v1::OperationStep {
                id: step.id.clone(),
                title: step.title.clone(),
                state: state(step.state).into(),
                message: step.message.clone(),
                update_time: step.update_time.map(time),
            })
            .collect(),
        message: operation.message.clone(),
        create_time: Some(time(operation.create_time)),
        end_time: operation.end_time.map(time),
    }
}

fn state(state: StepState) -> v1::operation_step::State {
    match state {
        StepState::Pending => v1::operation_step::State::Pending,
        StepState::Running => v1::operation_step::State::Running,
        StepState::Done => v1::operation_step::State::Done,
        StepState::Failed => v1::operation_step::State::Failed,
    }
}
