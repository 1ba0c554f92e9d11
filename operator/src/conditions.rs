//! Conditions: a pure function of the old list, what is assessed, the generation and the time.

use allmende_crds::conditions::DISPLAY_ORDER;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::clock::whole_seconds;

/// What is to be said of one condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assessment {
    /// One of `allmende_crds::conditions`.
    pub kind: &'static str,
    /// Yes, no, or (`None`) not known.
    pub holds: Option<bool>,
    /// One of `allmende_crds::conditions::reason`.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

impl Assessment {
    /// It holds.
    #[must_use]
    pub fn yes(kind: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { kind, holds: Some(true), reason, message: message.into() }
    }

    /// It does not hold.
    #[must_use]
    pub fn no(kind: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { kind, holds: Some(false), reason, message: message.into() }
    }

    /// `True`, `False` or `Unknown`.
    #[must_use]
    pub fn status(&self) -> &'static str {
        match self.holds {
            Some(true) => "True",
            Some(false) => "False",
            None => "Unknown",
        }
    }
}

/// Puts an assessment into the list. The transition time moves only when the status does, so an equal assessment changes nothing.
pub fn set(conditions: &mut Vec<Condition>, next: Assessment, generation: i64, now: Timestamp) {
    let since = conditions
        .iter()
        .find(|condition| condition.type_ == next.kind && condition.status == next.status())
        .map_or_else(|| Time(whole_seconds(now)), |condition| condition.last_transition_time.clone());
    conditions.retain(|condition| condition.type_ != next.kind);
    conditions.push(Condition {
        type_: next.kind.to_owned(),
        status: next.status().to_owned(),
        reason: next.reason.to_owned(),
        message: next.message,
        observed_generation: Some(generation),
        last_transition_time: since,
    });
    conditions.sort_by_key(|condition| {
        DISPLAY_ORDER.iter().position(|kind| *kind == condition.type_).unwrap_or(usize::MAX)
    });
}

/// Takes a condition that no longer has a meaning out of the list.
pub fn remove(conditions: &mut Vec<Condition>, kind: &str) {
    conditions.retain(|condition| condition.type_ != kind);
}

#[cfg(test)]
mod tests {
    use allmende_crds::conditions::{DELETING, READY, reason};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_transition_time_moves_only_with_the_status() {
        let mut conditions = Vec::new();
        set(&mut conditions, Assessment::no(READY, reason::APPLYING, "quota"), 1, at(10));
        set(&mut conditions, Assessment::no(READY, reason::QUOTA_PENDING, "quota"), 2, at(20));
        assert_eq!(conditions[0].last_transition_time, Time(at(10)));
        set(&mut conditions, Assessment::yes(READY, reason::CONVERGED, ""), 2, at(30));
        assert_eq!(conditions[0].last_transition_time, Time(at(30)));
        assert_eq!(conditions.len(), 1);
    }

    #[test]
    fn ready_is_shown_first() {
        let mut conditions = Vec::new();
        set(&mut conditions, Assessment::no(DELETING, reason::DELETION_NOT_ALLOWED, ""), 1, at(1));
        set(&mut conditions, Assessment::yes(READY, reason::CONVERGED, ""), 1, at(1));
        assert_eq!(conditions[0].type_, READY);
    }
}
