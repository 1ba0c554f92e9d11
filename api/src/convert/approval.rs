//! Who must agree, and who has.

use allmende_domain::quota::approval::{Approval, ApprovalState, Decision};
use allmende_proto::v1;

use super::{fields::time, grant::write_role};

/// As a message.
pub fn write(approval: &Approval) -> v1::Approval {
    use v1::approval::State;
    let state = match approval.state {
        ApprovalState::Waiting => State::Waiting,
        ApprovalState::Escalated => State::Escalated,
        ApprovalState::Approved => State::Approved,
        ApprovalState::Refused => State::Refused,
        ApprovalState::Withdrawn => State::Withdrawn,
        ApprovalState::Expired => State::Expired,
    };
    v1::Approval {
        requester: approval.requester.clone(),
        open_time: Some(time(approval.opened)),
        asked: approval.asked().into_iter().map(|asked| write_role(asked).into()).collect(),
        needed: i32::from(approval.needed),
        missing: i32::from(approval.missing()),
        state: state.into(),
        escalate_time: approval.escalate_at.map(time),
        expire_time: approval.expire_at.map(time),
        decisions: approval.decisions.iter().map(decision).collect(),
    }
}

fn decision(decision: &Decision) -> v1::ApprovalDecision {
    let deputy = decision.eye.deputy;
    v1::ApprovalDecision {
        principal: decision.eye.principal.clone(),
        role: write_role(decision.eye.role).into(),
        deputy: deputy.is_some(),
        deputy_from: deputy.map(|dates| time(dates.from)),
        deputy_until: deputy.and_then(|dates| dates.until).map(time),
        approved: decision.approved,
        reason: decision.reason.clone(),
        time: Some(time(decision.at)),
    }
}
