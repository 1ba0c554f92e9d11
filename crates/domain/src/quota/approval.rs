//! Who must agree to something, and who has: one form for loans, requests for more, and money beyond a limit.
//!
//! Whoever asked never agrees to it. Above a threshold two people agree (four eyes). Who acts as a deputy is told so, with the dates of the
//! deputyship ("i. V."). What waits too long is escalated: then another role may decide too. What waits longer still expires. Time is
//! passed in: [`Approval::at`] says what the same approval is at a later time, and every decision looks at it first, so that it does not
//! matter whether a job has already written it down.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{grant::Role, money::Cents, resources::Resources};

/// Most people that a rule may ask for.
pub const EYES_MAX: u8 = 5;
/// Longest reason or comment, in characters.
pub const REASON_MAX: usize = 1_000;

/// How much something is about, to be held against a threshold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Measure {
    /// Of what a cluster has.
    Resources(Resources),
    /// Money.
    Money(Cents),
}

/// From where on more people must agree.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Threshold {
    /// There is none: the first number always holds.
    #[default]
    None,
    /// Above, when any amount is more than this.
    Resources(Resources),
    /// Above, when it is more than this.
    Money(Cents),
}

impl Threshold {
    /// Whether this much lies above. A threshold in another unit says nothing about it; then the greater care is taken.
    pub fn is_passed(&self, measure: &Measure) -> bool {
        match (self, measure) {
            (Self::None, _) => false,
            (Self::Resources(limit), Measure::Resources(amount)) => amount.exceeds(limit),
            (Self::Money(limit), Measure::Money(amount)) => amount > limit,
            (Self::Resources(_), Measure::Money(_)) | (Self::Money(_), Measure::Resources(_)) => true,
        }
    }
}

/// Who must agree. Data of an installation or of a resolution; what is asked for keeps the form that it had when it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalRule {
    /// Whose word counts.
    pub role: Role,
    /// How many of them, up to the threshold.
    pub needed: u8,
    /// From where on [`needed_above`](Self::needed_above) holds.
    pub threshold: Threshold,
    /// How many above the threshold: two are four eyes.
    pub needed_above: u8,
    /// After this waiting time it is escalated; none: never.
    pub escalate_after: Option<SignedDuration>,
    /// Whose word counts too, once it is escalated.
    pub escalate_to: Option<Role>,
    /// After this waiting time it is over; none: it waits for ever.
    pub expire_after: Option<SignedDuration>,
}

impl ApprovalRule {
    /// `needed` people of one role, without threshold, escalation or end.
    pub fn of(role: Role, needed: u8) -> Self {
        Self {
            role,
            needed,
            threshold: Threshold::None,
            needed_above: needed,
            escalate_after: None,
            escalate_to: None,
            expire_after: None,
        }
    }

    /// How many must agree to this much.
    pub fn needed_for(&self, measure: &Measure) -> u8 {
        if self.threshold.is_passed(measure) { self.needed_above.max(self.needed) } else { self.needed }
    }

    /// Whether it can be kept: somebody must agree, not more than [`EYES_MAX`], fewer never above the threshold, and times ascend.
    pub fn is_sound(&self) -> bool {
        let zero = SignedDuration::ZERO;
        let times_ascend = match (self.escalate_after, self.expire_after) {
            (Some(escalate), Some(expire)) => zero < escalate && escalate < expire,
            (Some(one), None) | (None, Some(one)) => zero < one,
            (None, None) => true,
        };
        (1..=EYES_MAX).contains(&self.needed)
            && (self.needed..=EYES_MAX).contains(&self.needed_above)
            && times_ascend
    }
}

/// Who decides, as the authorisation found them: never from what the caller says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Eye {
    /// Identity text.
    pub principal: String,
    /// The role by which it decides.
    pub role: Role,
    /// Set, when it acts as a deputy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deputy: Option<Deputyship>,
}

/// From when to when somebody acts in place of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deputyship {
    /// From (inclusive).
    pub from: Timestamp,
    /// Until (exclusive); none: not told.
    pub until: Option<Timestamp>,
}

impl Deputyship {
    fn holds_at(self, now: Timestamp) -> bool {
        self.from <= now && self.until.is_none_or(|until| now < until)
    }
}

impl Eye {
    /// The principal, with "i. V." before it when it acts as a deputy.
    pub fn told(&self) -> String {
        if self.deputy.is_some() { format!("i. V. {}", self.principal) } else { self.principal.clone() }
    }
}

/// One who agreed or refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Who.
    pub eye: Eye,
    /// For it.
    pub approved: bool,
    /// In words; needed for a refusal.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// Where it stands. All but the first two are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ApprovalState {
    /// Not enough have agreed yet.
    Waiting,
    /// The same, for too long: the escalation's role may decide too.
    Escalated,
    /// Enough have agreed.
    Approved,
    /// One of those who were asked has refused.
    Refused,
    /// Taken back before it was decided.
    Withdrawn,
    /// Nobody decided in time.
    Expired,
}

impl ApprovalState {
    /// Whether nothing can change it any more.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Waiting | Self::Escalated)
    }
}

/// Why a decision does not count. Nothing is changed then.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ApprovalError {
    /// The requester would agree to what it asked for.
    #[error(
        "whoever asked for it cannot agree to it or refuse it: somebody else must; to take it back, withdraw it"
    )]
    ByRequester,
    /// Not one of those who are asked.
    #[error("must be decided by: {needed}; {has} is not asked")]
    WrongRole {
        /// Whose word counts now.
        needed: String,
        /// What the caller is.
        has: Role,
    },
    /// The same person twice.
    #[error("{0} has agreed already: another person must")]
    Twice(String),
    /// A deputyship that has not begun or is over.
    #[error("the deputyship does not hold now")]
    DeputyNotNow,
    /// It is decided.
    #[error("is {0:?} already")]
    Over(ApprovalState),
    /// A refusal without words, or with too many.
    #[error("a reason of 1 to {REASON_MAX} characters is needed")]
    ReasonNeeded,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Who asked.
    pub requester: String,
    /// When.
    pub opened: Timestamp,
    /// Whose word counts.
    pub role: Role,
    /// How many.
    pub needed: u8,
    /// When it is escalated; none: never.
    pub escalate_at: Option<Timestamp>,
    /// Whose word counts too then.
    pub escalate_to: Option<Role>,
    /// When it is over; none: it waits for ever.
    pub expire_at: Option<Timestamp>,
    /// In the order in which they came.
    pub decisions: Vec<Decision>,
    /// Where it stands, as far as it was written down: [`at`](Self::at) tells it for a time.
    pub state: ApprovalState,
    /// When it became what it is.
    pub state_since: Timestamp,
}

impl Approval {
    /// Asks for agreement to this much.
    pub fn open(rule: &ApprovalRule, measure: &Measure, requester: &str, now: Timestamp) -> Self {
        let after = |wait: Option<SignedDuration>| wait.and_then(|wait| now.checked_add(wait).ok());
        Self {
            requester: requester.to_owned(),
            opened: now,
            role: rule.role,
            needed: rule.needed_for(measure).max(1),
            escalate_at: after(rule.escalate_after),
            escalate_to: rule.escalate_to,
            expire_at: after(rule.expire_after),
            decisions: Vec::new(),
            state: ApprovalState::Waiting,
            state_since: now,
        }
    }

    /// The same at a time: escalated or expired, where nobody decided before.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Self {
        if self.state.is_final() {
            return self.clone();
        }
        let past = |time: Option<Timestamp>| time.filter(|time| *time <= now);
        let (state, since) = if let Some(time) = past(self.expire_at) {
            (ApprovalState::Expired, time)
        } else if let Some(time) = past(self.escalate_at) {
            (ApprovalState::Escalated, time)
        } else {
            (self.state, self.state_since)
        };
        Self { state, state_since: since, ..self.clone() }
    }

    /// How many more must agree; 0 once it is decided.
    pub fn missing(&self) -> u8 {
        if self.state.is_final() {
            return 0;
        }
        let agreed = self.decisions.iter().filter(|decision| decision.approved).count();
        self.needed.saturating_sub(u8::try_from(agreed).unwrap_or(u8::MAX))
    }

    /// The roles whose word counts now.
    pub fn asked(&self) -> Vec<Role> {
        let more =
            self.escalate_to.filter(|more| self.state == ApprovalState::Escalated && *more != self.role);
        std::iter::once(self.role).chain(more).collect()
    }

    /// One agrees. The last one that was needed makes it APPROVED.
    ///
    /// # Errors
    /// See [`ApprovalError`].
    pub fn approve(&self, eye: &Eye, comment: &str, now: Timestamp) -> Result<Self, ApprovalError> {
        if comment.chars().count() > REASON_MAX {
            return Err(ApprovalError::ReasonNeeded);
        }
        let mut next = self.decided_by(eye, true, comment, now)?;
        if next.missing() == 0 {
            next.state = ApprovalState::Approved;
            next.state_since = now;
        }
        Ok(next)
    }

    /// One refuses, which ends it: whoever is asked may stop it alone.
    ///
    /// # Errors
    /// See [`ApprovalError`].
    pub fn refuse(&self, eye: &Eye, reason: &str, now: Timestamp) -> Result<Self, ApprovalError> {
        if !(1..=REASON_MAX).contains(&reason.trim().chars().count()) {
            return Err(ApprovalError::ReasonNeeded);
        }
        let next = self.decided_by(eye, false, reason, now)?;
        Ok(Self { state: ApprovalState::Refused, state_since: now, ..next })
    }

    /// Takes it back. Who may, the use case decides.
    ///
    /// # Errors
    /// [`ApprovalError::Over`].
    pub fn withdraw(&self, now: Timestamp) -> Result<Self, ApprovalError> {
        let open = self.still_open(now)?;
        Ok(Self { state: ApprovalState::Withdrawn, state_since: now, ..open })
    }

    fn still_open(&self, now: Timestamp) -> Result<Self, ApprovalError> {
        let present = self.at(now);
        if present.state.is_final() { Err(ApprovalError::Over(present.state)) } else { Ok(present) }
    }

    fn decided_by(
        &self,
        eye: &Eye,
        approved: bool,
        reason: &str,
        now: Timestamp,
    ) -> Result<Self, ApprovalError> {
        let mut next = self.still_open(now)?;
        if eye.principal == next.requester {
            return Err(ApprovalError::ByRequester);
        }
        let asked = next.asked();
        if !asked.iter().any(|role| eye.role.covers(*role)) {
            let needed: Vec<String> = asked.iter().map(Role::to_string).collect();
            return Err(ApprovalError::WrongRole { needed: needed.join(", "), has: eye.role });
        }
        if eye.deputy.is_some_and(|deputy| !deputy.holds_at(now)) {
            return Err(ApprovalError::DeputyNotNow);
        }
        if next.decisions.iter().any(|decision| decision.eye.principal == eye.principal) {
            return Err(ApprovalError::Twice(eye.principal.clone()));
        }
        next.decisions.push(Decision {
            eye: eye.clone(),
            approved,
            reason: reason.trim().to_owned(),
            at: now,
        });
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REQUESTER: &str = "allmende://principal/0";

    fn time(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn eye(person: u8, role: Role) -> Eye {
        Eye { principal: format!("allmende://principal/{person}"), role, deputy: None }
    }

    fn rule(needed: u8) -> ApprovalRule {
        ApprovalRule {
            escalate_after: Some(SignedDuration::from_secs(100)),
            escalate_to: Some(Role::CooperativeOperator),
            expire_after: Some(SignedDuration::from_secs(200)),
            ..ApprovalRule::of(Role::Approver, needed)
        }
    }

    fn opened(needed: u8) -> Approval {
        Approval::open(&rule(needed), &Measure::Money(Cents(1)), REQUESTER, time(0))
    }

    #[derive(Debug, Clone)]
    enum Step {
        Approve(u8, Role),
        Refuse(u8, Role),
        Withdraw,
        Wait(i64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let role =
            prop::sample::select(vec![Role::Approver, Role::Admin, Role::CooperativeOperator, Role::Orderer]);
        let step = prop_oneof![
            6 => (0..4u8, role.clone()).prop_map(|(who, role)| Step::Approve(who, role)),
            1 => (0..4u8, role).prop_map(|(who, role)| Step::Refuse(who, role)),
            1 => Just(Step::Withdraw),
            2 => (1..80i64).prop_map(Step::Wait),
        ];
        prop::collection::vec(step, 0..24)
    }

    proptest! {
        #[test]
        fn it_is_approved_by_enough_different_people_who_were_asked_and_did_not_ask(needed in 1..4u8, steps in steps()) {
            let (mut now, mut approval) = (0, opened(needed));
            for step in steps {
                let before = approval.at(time(now));
                let next = match step {
                    Step::Approve(who, role) => approval.approve(&eye(who, role), "", time(now)),
                    Step::Refuse(who, role) => approval.refuse(&eye(who, role), "no room", time(now)),
                    Step::Withdraw => approval.withdraw(time(now)),
                    Step::Wait(seconds) => { now += seconds; Ok(approval.at(time(now))) }
                };
                let Ok(next) = next else { continue };
                // What is final stays.
                prop_assert!(!before.state.is_final() || next == before);
                approval = next;
            }
            let agreed: Vec<&Decision> = approval.decisions.iter().filter(|decision| decision.approved).collect();
            let people: std::collections::BTreeSet<&str> = agreed.iter().map(|d| d.eye.principal.as_str()).collect();
            prop_assert_eq!(people.len(), agreed.len(), "nobody counts twice");
            prop_assert!(!people.contains(REQUESTER));
            prop_assert_eq!(approval.state == ApprovalState::Approved, agreed.len() == usize::from(needed));
            for decision in &approval.decisions {
                prop_assert!(decision.at < time(200), "nothing is decided after its end");
                let own = matches!(decision.eye.role, Role::Approver | Role::Admin);
                let asked = own || (decision.eye.role == Role::CooperativeOperator && decision.at >= time(100));
                prop_assert!(asked);
            }
        }

        #[test]
        fn looking_more_often_changes_nothing(needed in 1..4u8, first in 0..300i64, more in 0..300i64) {
            let direct = opened(needed).at(time(first + more));
            prop_assert_eq!(opened(needed).at(time(first)).at(time(first + more)), direct);
        }

        #[test]
        fn above_the_threshold_more_must_agree(limit in 0..1_000i64, amount in 0..1_000i64) {
            let rule = ApprovalRule { threshold: Threshold::Money(Cents(limit)), needed_above: 2, ..ApprovalRule::of(Role::Approver, 1) };
            prop_assert!(rule.is_sound());
            prop_assert_eq!(rule.needed_for(&Measure::Money(Cents(amount))) == 2, amount > limit);
            // What cannot be compared is treated with the greater care.
            prop_assert_eq!(rule.needed_for(&Measure::Resources(Resources::ZERO)), 2);
        }
    }

    #[test]
    fn each_refusal_says_why_and_changes_nothing() {
        let approval = opened(2).approve(&eye(1, Role::Approver), "", time(1)).unwrap();
        let refused = |eye: &Eye, at| approval.approve(eye, "", time(at)).unwrap_err();
        assert_eq!(refused(&eye(0, Role::Approver), 2), ApprovalError::ByRequester);
        assert_eq!(
            refused(&eye(1, Role::Approver), 2),
            ApprovalError::Twice("allmende://principal/1".into())
        );
        let wrong = ApprovalError::WrongRole { needed: "approver".into(), has: Role::CooperativeOperator };
        assert_eq!(refused(&eye(2, Role::CooperativeOperator), 99), wrong);
        assert!(
            approval.approve(&eye(2, Role::CooperativeOperator), "", time(100)).is_ok(),
            "after the escalation"
        );
        assert_eq!(refused(&eye(2, Role::Approver), 200), ApprovalError::Over(ApprovalState::Expired));
        let silent = approval.refuse(&eye(2, Role::Approver), "  ", time(3)).unwrap_err();
        assert_eq!(silent, ApprovalError::ReasonNeeded);
    }

    #[test]
    fn a_deputy_decides_within_the_dates_and_is_told_as_one() {
        let deputy = Eye {
            deputy: Some(Deputyship { from: time(10), until: Some(time(20)) }),
            ..eye(3, Role::Approver)
        };
        assert_eq!(deputy.told(), "i. V. allmende://principal/3");
        assert_eq!(opened(1).approve(&deputy, "", time(9)).unwrap_err(), ApprovalError::DeputyNotNow);
        assert_eq!(opened(1).approve(&deputy, "", time(20)).unwrap_err(), ApprovalError::DeputyNotNow);
        assert_eq!(opened(1).approve(&deputy, "", time(19)).unwrap().state, ApprovalState::Approved);
    }

    #[test]
    fn a_rule_that_nobody_could_keep_is_not_sound() {
        assert!(rule(2).is_sound());
        assert!(!rule(0).is_sound() && !rule(EYES_MAX + 1).is_sound());
        assert!(!ApprovalRule { needed_above: 1, ..rule(2) }.is_sound(), "fewer above than below");
        let at_once = ApprovalRule { escalate_after: Some(SignedDuration::ZERO), ..rule(1) };
        assert!(!at_once.is_sound());
        let too_late = ApprovalRule { escalate_after: Some(SignedDuration::from_secs(200)), ..rule(1) };
        assert!(!too_late.is_sound(), "it would be over before it is escalated");
    }
}
