//! A loan of idle entitlement from one member to another, for a time, with notice.
//!
//! ```text
//! OFFERED ──lender's second──▶ OPEN ──taken──▶ TAKEN ──borrower's second──▶ ACTIVE ──notice──▶ RECALLED ──day passes──▶ OVERDUE
//!    │                          │ ▲─refused, withdrawn, expired─┘              │                  │  ▲──────extended──────┘ │
//!    ▼                          ▼                                              └──────────────────┴───────────▶ RETURNED ◀──┤
//! REFUSED · WITHDRAWN · EXPIRED                                                                               WRITTEN_OFF ◀─┘
//! ```
//!
//! The accounts change with ACTIVE (both in one transaction) and with RETURNED or WRITTEN_OFF (the same); RECALLED marks the borrower's.
//! A loan is outstanding until the cluster shows that its part is free again. Nothing is ever evicted: what is overdue is for the
//! cooperative's operator to decide.

mod terms;
mod transfer;

use jiff::{SignedDuration, Timestamp, civil::Date};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    approval::{Approval, ApprovalError, ApprovalRule, ApprovalState, Eye, Measure},
    lending::LendError,
};
use crate::{
    grant::Role,
    ids::{LoanId, MemberId},
};
pub use terms::{LENGTH_DAYS_MAX, LoanTerms, NOTICE_DAYS_MAX};
pub use transfer::{Parties, Shown, Unshown};

/// Days after which a second pair of eyes that has not looked yet is escalated, and after which the asking is over.
const ESCALATE_DAYS: i64 = 5;
const EXPIRE_DAYS: i64 = 21;

/// Who must agree on each side: one with the right to spend, who has not asked for it.
pub fn approval_rule() -> ApprovalRule {
    let days = |days: i64| Some(SignedDuration::from_hours(days.saturating_mul(24)));
    ApprovalRule {
        escalate_after: days(ESCALATE_DAYS),
        expire_after: days(EXPIRE_DAYS),
        ..ApprovalRule::of(Role::Approver, 1)
    }
}

/// Where a loan stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LoanState {
    /// Waits for the lender's second pair of eyes.
    Offered,
    /// Every member may take it.
    Open,
    /// Waits for the borrower's second pair of eyes, or for its first day.
    Taken,
    /// The borrower may reserve it.
    Active,
    /// The notice runs: nothing new is ordered on it.
    Recalled,
    /// The day by which it should have been back is over.
    Overdue,
    /// The lender has it again.
    Returned,
    /// The lender has given it up.
    WrittenOff,
    /// The lender's second refused.
    Refused,
    /// The lender took the offer back.
    Withdrawn,
    /// Nobody agreed to it or took it in time.
    Expired,
}

impl LoanState {
    /// Whether nothing can change it any more.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Returned | Self::WrittenOff | Self::Refused | Self::Withdrawn | Self::Expired)
    }

    /// Whether it is in the accounts.
    pub fn is_outstanding(self) -> bool {
        matches!(self, Self::Active | Self::Recalled | Self::Overdue)
    }
}

/// On which side of the loan somebody acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// Gives.
    Lender,
    /// Takes.
    Borrower,
}

/// What the cooperative's operator decides about an overdue loan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum OverdueDecision {
    /// Another day by which it must be back.
    Extend(Date),
    /// It stays as it is, and was looked at.
    Leave,
    /// The entitlement stays with the borrower, by resolution.
    WriteOff,
}

/// Why a loan does not go on. Nothing is changed then.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LoanError {
    /// Not in this state.
    #[error("is {state:?}: {what}")]
    State {
        /// In which it is.
        state: LoanState,
        /// What cannot be done, or what comes first.
        what: &'static str,
    },
    /// A loan to oneself.
    #[error("a member cannot lend to itself")]
    ToOneself,
    /// Somebody else must agree.
    #[error(transparent)]
    Approval(#[from] ApprovalError),
    /// An account says no.
    #[error(transparent)]
    Lend(#[from] LendError),
    /// The cluster does not show the release.
    #[error(transparent)]
    Unshown(#[from] Unshown),
    /// Not before its first day.
    #[error("begins on {0}")]
    NotBefore(Date),
    /// The new day is no later one.
    #[error("the new day must lie ahead")]
    DayNotAhead,
    /// Not of this member.
    #[error("another member's")]
    NotAParty,
}

/// When a decision is taken: the moment, and its day in Berlin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// In UTC.
    pub now: Timestamp,
    /// The calendar day.
    pub today: Date,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loan {
    /// Permanent.
    pub id: LoanId,
    /// Who gives.
    pub lender: MemberId,
    /// What is offered.
    pub terms: LoanTerms,
    /// Where it stands, as far as it was written down.
    pub state: LoanState,
    /// The lender's second pair of eyes.
    pub offer: Approval,
    /// Who takes; none before it is taken.
    pub borrower: Option<MemberId>,
    /// The borrower's second pair of eyes.
    pub take: Option<Approval>,
    /// Last day by which it must be back; none while no notice runs.
    pub due: Option<Date>,
    /// Why it was called back; empty when it ends by its own last day.
    pub recall_reason: String,
    /// Reminders so far.
    pub reminders: u32,
    /// When it was offered.
    pub create_time: Timestamp,
    /// When it became what it is.
    pub state_since: Timestamp,
}

impl Loan {
    /// Offers a loan: the account must have it idle now.
    ///
    /// # Errors
    /// See [`LoanError`].
    pub fn offer(
        id: LoanId,
        account: &crate::account::QuotaAccount,
        terms: LoanTerms,
        requester: &str,
        at: Moment,
    ) -> Result<Self, LoanError> {
        account.can_lend(&terms.amount)?;
        let measure = Measure::Resources(terms.amount.clone());
        Ok(Self {
            id,
            lender: account.member.clone(),
            terms,
            state: LoanState::Offered,
            offer: Approval::open(&approval_rule(), &measure, requester, at.now),
            borrower: None,
            take: None,
            due: None,
            recall_reason: String::new(),
            reminders: 0,
            create_time: at.now,
            state_since: at.now,
        })
    }

    /// `members/{member}/loans/{loan}`: the same loan has a name under each of its two members.
    pub fn name_for(&self, member: &MemberId) -> String {
        format!("members/{member}/loans/{}", self.id)
    }

    /// On which side a member is.
    pub fn side_of(&self, member: &MemberId) -> Option<Side> {
        if self.lender == *member {
            Some(Side::Lender)
        } else {
            (self.borrower.as_ref() == Some(member)).then_some(Side::Borrower)
        }
    }

    /// The same at a later time: what ends by itself has ended.
    #[must_use]
    pub fn at(&self, at: Moment) -> Self {
        let mut next = self.clone();
        // Each step is nearer to an end; there are fewer than this.
        for _ in 0..6 {
            let after = next.step(at);
            if after == next {
                break;
            }
            next = after;
        }
        next
    }

    fn step(&self, at: Moment) -> Self {
        let over = at.today > self.terms.until;
        match self.state {
            LoanState::Offered | LoanState::Open | LoanState::Taken if over => {
                self.becomes(LoanState::Expired, at)
            }
            LoanState::Offered => {
                let offer = self.offer.at(at.now);
                let expired = offer.state == ApprovalState::Expired;
                let next = Self { offer, ..self.clone() };
                if expired { next.becomes(LoanState::Expired, at) } else { next }
            }
            LoanState::Taken => match self.take.as_ref().map(|take| take.at(at.now)) {
                Some(take) if take.state == ApprovalState::Expired => self.open_again(at),
                take => Self { take, ..self.clone() },
            },
            LoanState::Active if at.today >= self.terms.last_orders() && at.today >= self.terms.from => {
                Self { due: Some(self.terms.until), ..self.becomes(LoanState::Recalled, at) }
            }
            LoanState::Recalled if self.due.is_some_and(|due| at.today > due) => {
                self.becomes(LoanState::Overdue, at)
            }
            _ => self.clone(),
        }
    }

    /// One agrees: the lender's second opens the offer, the borrower's second lets it begin.
    ///
    /// # Errors
    /// See [`LoanError`].
    pub fn approve(&self, side: Side, eye: &Eye, comment: &str, at: Moment) -> Result<Self, LoanError> {
        let present = self.at(at);
        match (present.state, side) {
            (LoanState::Offered, Side::Lender) => {
                let offer = present.offer.approve(eye, comment, at.now)?;
                let open = offer.state == ApprovalState::Approved;
                let next = Self { offer, ..present };
                Ok(if open { next.becomes(LoanState::Open, at) } else { next })
            }
            (LoanState::Taken, Side::Borrower) => {
                let take = present.take.as_ref().ok_or(LoanError::NotAParty)?;
                Ok(Self { take: Some(take.approve(eye, comment, at.now)?), ..present })
            }
            (state, _) => Err(LoanError::State { state, what: "nothing waits for this side's agreement" }),
        }
    }

    /// One refuses: the lender's second ends the offer, the borrower's second leaves it to others.
    ///
    /// # Errors
    /// See [`LoanError`].
    pub fn refuse(&self, side: Side, eye: &Eye, reason: &str, at: Moment) -> Result<Self, LoanError> {
        let present = self.at(at);
        match (present.state, side) {
            (LoanState::Offered, Side::Lender) => {
                let offer = present.offer.refuse(eye, reason, at.now)?;
                Ok(Self { offer, ..present.becomes(LoanState::Refused, at) })
            }
            (LoanState::Taken, Side::Borrower) => {
                let take = present.take.as_ref().ok_or(LoanError::NotAParty)?;
                take.refuse(eye, reason, at.now)?;
                Ok(present.open_again(at))
            }
            (state, _) => Err(LoanError::State { state, what: "nothing waits for this side's agreement" }),
        }
    }

    /// A member takes an open offer.
    ///
    /// # Errors
    /// See [`LoanError`].
    pub fn take(
        &self,
        account: &crate::account::QuotaAccount,
        requester: &str,
        at: Moment,
    ) -> Result<Self, LoanError> {
        let present = self.at(at);
        if account.member == present.lender {
            return Err(LoanError::ToOneself);
        }
        if present.state != LoanState::Open {
            return Err(LoanError::State { state: present.state, what: "only an open offer can be taken" });
        }
        account.can_borrow(&present.terms.amount)?;
        let measure = Measure::Resources(present.terms.amount.clone());
        Ok(Self {
            borrower: Some(account.member.clone()),
            take: Some(Approval::open(&approval_rule(), &measure, requester, at.now)),
            ..present.becomes(LoanState::Taken, at)
        })
    }

    /// The lender takes its offer back, the borrower its wish.
    ///
    /// # Errors
    /// See [`LoanError`].
    pub fn withdraw(&self, side: Side, at: Moment) -> Result<Self, LoanError> {
        let present = self.at(at);
        match (present.state, side) {
            (LoanState::Offered | LoanState::Open | LoanState::Taken, Side::Lender) => {
                Ok(present.becomes(LoanState::Withdrawn, at))
            }
            (LoanState::Taken, Side::Borrower) => Ok(present.open_again(at)),
            (state, Side::Lender) if state.is_outstanding() => {
                Err(LoanError::State { state, what: "it is given: recall it" })
            }
            (state, _) => Err(LoanError::State { state, what: "there is nothing to withdraw" }),
        }
    }

    /// Whether nothing but its first day stands before it.
    pub fn is_agreed(&self) -> bool {
        let agreed = |take: &Approval| take.state == ApprovalState::Approved;
        self.state == LoanState::Taken && self.take.as_ref().is_some_and(agreed)
    }

    /// The days until it must be back at which the borrower is reminded: a week and a day before, on the day, and then once a week.
    pub fn is_reminder_due(&self, today: Date) -> bool {
        let Some(due) = self.due.filter(|_| matches!(self.state, LoanState::Recalled | LoanState::Overdue))
        else {
            return false;
        };
        let left = today.until(due).map_or(0, |span| span.get_days());
        let passed = match left {
            8.. => 0,
            2..=7 => 1,
            1 => 2,
            0 => 3,
            late => 3u32.saturating_add(late.unsigned_abs().div_ceil(7)),
        };
        passed > self.reminders
    }

    /// Notes that the borrower was reminded now of all that was due.
    #[must_use]
    pub fn reminded(&self, today: Date) -> Self {
        let mut next = self.clone();
        while next.is_reminder_due(today) {
            next.reminders = next.reminders.saturating_add(1);
        }
        next
    }

    /// In another state from now on.
    fn becomes(&self, state: LoanState, at: Moment) -> Self {
        Self { state, state_since: at.now, ..self.clone() }
    }

    /// Nobody has taken it.
    fn open_again(&self, at: Moment) -> Self {
        Self { borrower: None, take: None, ..self.becomes(LoanState::Open, at) }
    }
}
