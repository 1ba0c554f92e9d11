//! The steps of a loan that change accounts.

use std::collections::BTreeMap;

use thiserror::Error;

use super::{Loan, LoanError, LoanState, Moment, OverdueDecision, Side};
use crate::{
    account::QuotaAccount,
    quota::lending::{LendError, write_off},
    resources::{AmountError, Resources},
    tenant::{State, Tenant},
};

/// The accounts of both members on the loan's cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parties {
    /// Gives.
    pub lender: QuotaAccount,
    /// Takes.
    pub borrower: QuotaAccount,
}

/// What the cluster shows that a member holds on it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shown(pub Resources);

/// The cluster has not shown yet what a member holds.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unshown {
    /// The cluster has not confirmed what was asked for last.
    #[error("the cluster has not confirmed the present size of {}: wait for it", .0.join(", "))]
    Tenants(Vec<String>),
    /// The sum is no amount.
    #[error(transparent)]
    Amount(#[from] AmountError),
}

impl Shown {
    /// What a cluster shows of a member: for each tenant the quota that is enforced in its workspace, or what is used of it where that is
    /// more; footprints count as booked, since a tenant is READY only when both of its namespaces enforce them.
    ///
    /// Only a report on the present generation counts, and one of an earlier generation is never taken ([`check`]): a stale or reordered
    /// report releases nothing.
    ///
    /// [`check`]: crate::observation::check
    ///
    /// # Errors
    /// While a tenant is not confirmed as it was asked for last.
    pub fn of(account: &QuotaAccount, tenants: &[Tenant]) -> Result<Self, Unshown> {
        let own: Vec<&Tenant> = tenants
            .iter()
            .filter(|tenant| tenant.member == account.member && tenant.cluster == account.cluster)
            .collect();
        let unconfirmed: Vec<String> =
            own.iter().filter(|tenant| !is_confirmed(tenant)).map(|tenant| tenant.name()).collect();
        if !unconfirmed.is_empty() {
            return Err(Unshown::Tenants(unconfirmed));
        }
        let by_name: BTreeMap<String, &Tenant> =
            own.into_iter().map(|tenant| (tenant.name(), tenant)).collect();
        let mut sum = Resources::ZERO;
        for (holder, booked) in &account.holders {
            let mut held = booked.clone();
            if let Some(tenant) = by_name.get(holder) {
                for seen in [&tenant.seen.enforced_quota, &tenant.seen.used].into_iter().flatten() {
                    held = held.max(seen);
                }
            }
            sum = sum.checked_add(held)?;
        }
        Ok(Self(sum))
    }
}

/// Whether the cluster has said that everything is as it was asked for last. What is being deleted is held in the account until it is gone.
fn is_confirmed(tenant: &Tenant) -> bool {
    match tenant.state {
        State::Deleting => true,
        State::Ready => tenant.seen.generation == tenant.generation && tenant.seen.enforced_quota.is_some(),
        State::Provisioning | State::Failed => false,
    }
}

impl Loan {
    /// The borrower has it from now on; both accounts change together. The lender must have it idle still.
    ///
    /// # Errors
    /// See [`LoanError`].
    pub fn begin(&self, parties: &Parties, at: Moment) -> Result<(Self, Parties), LoanError> {
        let present = self.at(at);
        present.must_be_of(parties)?;
        if !present.is_agreed() {
            return Err(LoanError::State { state: present.state, what: "both sides must have agreed" });
        }
        if at.today < present.terms.from {
            return Err(LoanError::NotBefore(present.terms.from));
        }
        let (id, amount) = (&present.id, &present.terms.amount);
        let next = Parties {
            lender: parties.lender.lend(id, &parties.borrower.member, amount)?,
            borrower: parties.borrower.borrow(id, &parties.lender.member, amount)?,
        };
        Ok((present.becomes(LoanState::Active, at), next))
    }

    /// The lender calls it back: the notice runs, and nothing new is ordered on it.
    ///
    /// # Errors
    /// See [`LoanError`]; also when it is called back already.
    pub fn recall(
        &self,
        reason: &str,
        borrower: &QuotaAccount,
        at: Moment,
    ) -> Result<(Self, QuotaAccount), LoanError> {
        let present = self.at(at);
        // That its own end has come is no news for the lender, but the account may not know it yet.
        if self.state != LoanState::Active {
            let what = if matches!(self.state, LoanState::Recalled | LoanState::Overdue) {
                "it was called back before"
            } else {
                "only an active loan can be called back"
            };
            return Err(LoanError::State { state: present.state, what });
        }
        let due = self.terms.due_after_recall(at.today);
        let next = Self {
            due: Some(due),
            recall_reason: reason.trim().to_owned(),
            ..self.becomes(LoanState::Recalled, at)
        };
        Ok((next, borrower.call_back(&self.id)?))
    }

    /// What time alone changes, with the borrower's account as far as it is touched; none: nothing.
    ///
    /// # Errors
    /// When the account does not go with the loan.
    pub fn pass_time(
        &self,
        borrower: Option<&QuotaAccount>,
        at: Moment,
    ) -> Result<Option<(Self, Option<QuotaAccount>)>, LoanError> {
        let next = self.at(at);
        if next == *self {
            return Ok(None);
        }
        let called_back = self.state == LoanState::Active && next.state != LoanState::Active;
        let account =
            if called_back { Some(borrower.ok_or(LoanError::NotAParty)?.call_back(&self.id)?) } else { None };
        Ok(Some((next, account)))
    }

    /// It goes back; both accounts change together. Only when the borrower has nothing reserved on it and the cluster shows that.
    ///
    /// # Errors
    /// See [`LoanError`].
    pub fn give_back(
        &self,
        parties: &Parties,
        shown: &Shown,
        at: Moment,
    ) -> Result<(Self, Parties), LoanError> {
        self.must_be_of(parties)?;
        if !self.state.is_outstanding() {
            let what = "only a loan that was given can be given back";
            return Err(LoanError::State { state: self.state, what });
        }
        let next = Parties {
            borrower: parties.borrower.give_back(&self.id, &shown.0)?,
            lender: parties.lender.get_back(&self.id)?,
        };
        Ok((self.becomes(LoanState::Returned, at), next))
    }

    /// What the cooperative's operator decides about what is overdue.
    ///
    /// # Errors
    /// See [`LoanError`].
    pub fn decide_overdue(
        &self,
        decision: &OverdueDecision,
        parties: &Parties,
        at: Moment,
    ) -> Result<(Self, Parties), LoanError> {
        let present = self.at(at);
        present.must_be_of(parties)?;
        if present.state != LoanState::Overdue || self.state == LoanState::Active {
            return Err(LoanError::State {
                state: present.state,
                what: "only what is overdue is decided on",
            });
        }
        match decision {
            OverdueDecision::Extend(day) if *day <= at.today => Err(LoanError::DayNotAhead),
            OverdueDecision::Extend(day) => {
                let next = Self { due: Some(*day), reminders: 0, ..present.becomes(LoanState::Recalled, at) };
                Ok((next, parties.clone()))
            }
            OverdueDecision::Leave => Ok((present, parties.clone())),
            OverdueDecision::WriteOff => {
                let (lender, borrower) = write_off(&self.id, (&parties.lender, &parties.borrower))?;
                Ok((present.becomes(LoanState::WrittenOff, at), Parties { lender, borrower }))
            }
        }
    }

    fn must_be_of(&self, parties: &Parties) -> Result<(), LoanError> {
        let sides = [(&parties.lender, Side::Lender), (&parties.borrower, Side::Borrower)].iter().all(
            |(account, side)| {
                account.cluster == self.terms.cluster && self.side_of(&account.member) == Some(*side)
            },
        );
        if sides { Ok(()) } else { Err(LoanError::NotAParty) }
    }
}

impl From<AmountError> for LoanError {
    fn from(error: AmountError) -> Self {
        Self::Lend(LendError::Amount(error))
    }
}
