//! A limit of money for one recipient of invoices and one budget year, with what is committed against it.
//!
//! Committed is the sum of what each tenant and instance has cost and will cost until the year's end, and nothing else: there is no second
//! number that could differ. The whole ledger is one stored value, so an order compares one key and two orders at once never pass the
//! limit together. Prices are those that were known when a commitment was made; another price list changes no number by itself: a count
//! anew does, and says so.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::projection::{BudgetYear, Charge, Projection, ProjectionError, project};
use crate::{
    ids::{BillToId, MemberId, PriceListId},
    money::{Cents, MoneyError},
    period::PeriodError,
    price::PriceList,
    rating::RatingError,
};

/// Most holders in one ledger: it is one stored value with a size limit.
pub const HOLDERS_MAX: usize = 2_000;
/// Ended holders that are kept by name; what older ones cost is kept as one sum.
pub const ENDED_MAX: usize = 500;
/// Permissions that wait for their order at once.
pub const PERMISSIONS_MAX: usize = 100;

/// What happens to an order that would pass the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// It is refused.
    Block,
    /// It is refused unless the member's approver has permitted it.
    Ask,
    /// It is accepted: the limit is only shown.
    Report,
}

/// The limit as it was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// Net, for the year.
    pub cents: Cents,
    /// What it does.
    pub mode: Mode,
    /// Number of the resolution (Beschluss-Nr.), for example of the budget by-law (Haushaltssatzung).
    pub resolution: String,
}

/// What one tenant or instance costs in the year.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commitment {
    /// What it holds.
    pub charge: Charge,
    /// Since when it holds this, or since the last count.
    pub since: Timestamp,
    /// What it cost before `since`.
    pub settled: Cents,
    /// What it costs from `since` until the year's end.
    pub ahead: Cents,
    /// The price lists that `ahead` comes from; none: no price was known, and `ahead` is not a price.
    pub price_lists: BTreeSet<PriceListId>,
    /// The request whose approval let it pass the limit; empty in the normal case.
    pub permission: String,
}

/// Leave to pass the limit once, given by an approved request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permission {
    /// The tenant or instance that may be ordered or enlarged.
    pub holder: String,
    /// For no more than this until the year's end.
    pub cents: Cents,
    /// Until when the order must come (exclusive).
    pub valid_until: Timestamp,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Whose.
    pub member: MemberId,
    /// Who pays.
    pub bill_to: BillToId,
    /// Which year.
    pub year: BudgetYear,
    /// None: it is counted and nothing is limited.
    pub limit: Option<Limit>,
    /// By resource name.
    pub holders: BTreeMap<String, Commitment>,
    /// What ended holders and imported usage cost, by resource name.
    pub ended: BTreeMap<String, Cents>,
    /// What ended ones cost that are not kept by name any more.
    pub ended_others: Cents,
    /// By the name of the request that gave it.
    pub permissions: BTreeMap<String, Permission>,
    /// When all of it was last counted from the records; none: it is only being opened.
    pub counted: Option<Timestamp>,
}

/// What an order does to a budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// The ledger after it.
    pub budget: Budget,
    /// What the order adds until the year's end; negative when it gives back.
    pub asked: Cents,
    /// The permission that it used up.
    pub permission: Option<String>,
}

/// More was asked than the budget leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excess {
    /// The limit.
    pub limit: Cents,
    /// What is committed already.
    pub committed: Cents,
    /// What was asked beside it, until the year's end.
    pub asked: Cents,
    /// What the limit does.
    pub mode: Mode,
}

/// Why an order does not fit a budget.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BudgetError {
    /// The limit would be passed.
    #[error("the budget does not cover this")]
    Exceeded(Excess),
    /// It has no price, so nobody can say whether it fits.
    #[error("the budget cannot be checked: {0}")]
    Unpriced(ProjectionError),
    /// Too many holders or permissions.
    #[error("the budget holds the most commitments or permissions it can")]
    TooMany,
    /// A sum is too large.
    #[error(transparent)]
    Amount(#[from] MoneyError),
    /// No such year.
    #[error(transparent)]
    Year(#[from] PeriodError),
}

impl Commitment {
    /// What it costs in the year.
    ///
    /// # Errors
    /// On overflow.
    pub fn net(&self) -> Result<Cents, MoneyError> {
        self.settled.checked_add(self.ahead)
    }
}

impl Budget {
    /// A ledger that is only being opened.
    pub fn opening(member: MemberId, bill_to: BillToId, year: BudgetYear) -> Self {
        Self {
            member,
            bill_to,
            year,
            limit: None,
            holders: BTreeMap::new(),
            ended: BTreeMap::new(),
            ended_others: Cents::ZERO,
            permissions: BTreeMap::new(),
            counted: None,
        }
    }

    /// `members/{member}/billTos/{bill_to}/budgets/{year}`.
    pub fn name(&self) -> String {
        name(&self.member, &self.bill_to, self.year)
    }

    /// What all have cost and will cost in the year.
    ///
    /// # Errors
    /// On overflow.
    pub fn committed(&self) -> Result<Cents, MoneyError> {
        let ended = Cents::sum(self.ended.values().copied())?.checked_add(self.ended_others)?;
        self.holders.values().try_fold(ended, |sum, commitment| sum.checked_add(commitment.net()?))
    }

    /// What is left; below zero when more is committed than decided. None where nothing is limited.
    ///
    /// # Errors
    /// On overflow.
    pub fn remaining(&self) -> Result<Option<Cents>, MoneyError> {
        let Some(limit) = &self.limit else { return Ok(None) };
        let committed = self.committed()?;
        limit.cents.checked_sub(committed).map(Some)
    }

    /// Holders without a known price.
    pub fn unpriced(&self) -> usize {
        let billed = |charge: &Charge| {
            charge.workspace
                || charge.amounts.cpu_milli > 0
                || charge.amounts.memory_bytes > 0
                || charge.amounts.storage_bytes > 0
        };
        self.holders.values().filter(|one| one.price_lists.is_empty() && billed(&one.charge)).count()
    }

    /// Commits for a new holder, or for another size of a present one, from `now` on. What costs no more than before always may.
    ///
    /// # Errors
    /// See [`BudgetError`]; nothing is changed then.
    pub fn commit(
        &self,
        holder: &str,
        charge: &Charge,
        now: Timestamp,
        lists: &[PriceList],
    ) -> Result<Effect, BudgetError> {
        let present = self.holders.get(holder);
        if present.is_none() && self.holders.len() >= HOLDERS_MAX {
            return Err(BudgetError::TooMany);
        }
        let ahead = self.ahead(charge, now, lists)?;
        let (settled, left) = self.split(present, now, lists)?;
        let commitment = Commitment {
            charge: charge.clone(),
            since: now,
            settled,
            ahead: ahead.net,
            price_lists: ahead.price_lists,
            permission: present.map(|present| present.permission.clone()).unwrap_or_default(),
        };
        let asked = commitment.ahead.checked_sub(left)?;
        // Whoever gives back is never held up by money, whatever the prices did meanwhile.
        let shrinks = present.is_some_and(|present| !charge.amounts.exceeds(&present.charge.amounts));
        let permission = if shrinks { None } else { self.permit(holder, asked, now)? };
        let mut budget = self.clone();
        if let Some(used) = &permission {
            budget.permissions.remove(used);
        }
        let commitment = match &permission {
            Some(used) => Commitment { permission: used.clone(), ..commitment },
            None => commitment,
        };
        budget.holders.insert(holder.to_owned(), commitment);
        Ok(Effect { budget, asked, permission })
    }

    /// Gives back what a holder would have cost from `now` on; what it has cost stays. Releasing twice is the same as once.
    ///
    /// # Errors
    /// On overflow.
    pub fn release(&self, holder: &str, now: Timestamp, lists: &[PriceList]) -> Result<Self, BudgetError> {
        let Some(present) = self.holders.get(holder) else { return Ok(self.clone()) };
        let (spent, _) = self.split(Some(present), now, lists)?;
        let mut next = self.clone();
        next.holders.remove(holder);
        next.keep_ended(holder, spent)?;
        Ok(next)
    }

    /// Sets or replaces the limit. A limit below what is committed is one: nothing is taken, and nothing more is accepted.
    #[must_use]
    pub fn limited(&self, limit: Limit) -> Self {
        Self { limit: Some(limit), ..self.clone() }
    }

    /// Gives leave to pass the limit once.
    ///
    /// # Errors
    /// When too many wait for their order.
    pub fn permitting(
        &self,
        request: &str,
        permission: Permission,
        now: Timestamp,
    ) -> Result<Self, BudgetError> {
        let mut next = self.clone();
        next.permissions.retain(|_, permission| now < permission.valid_until);
        if next.permissions.len() >= PERMISSIONS_MAX {
            return Err(BudgetError::TooMany);
        }
        next.permissions.insert(request.to_owned(), permission);
        Ok(next)
    }

    pub(super) fn keep_ended(&mut self, holder: &str, spent: Cents) -> Result<(), MoneyError> {
        if spent == Cents::ZERO {
            return Ok(());
        }
        let by_name = self.ended.contains_key(holder) || self.ended.len() < ENDED_MAX;
        let sum =
            if by_name { self.ended.entry(holder.to_owned()).or_default() } else { &mut self.ended_others };
        *sum = sum.checked_add(spent)?;
        Ok(())
    }

    /// A commitment's money before and after `now`, at the prices that it was made with: its sum never changes by being split.
    fn split(
        &self,
        present: Option<&Commitment>,
        now: Timestamp,
        lists: &[PriceList],
    ) -> Result<(Cents, Cents), BudgetError> {
        let Some(present) = present else { return Ok((Cents::ZERO, Cents::ZERO)) };
        let lists: Vec<PriceList> =
            lists.iter().filter(|list| present.price_lists.contains(&list.id)).cloned().collect();
        let span = (now.max(present.since), self.year.end()?);
        let left = match project(&self.member, &present.charge, span, self.year, &lists) {
            Ok(left) => left.net,
            Err(ProjectionError::Rating(RatingError::Amount(error))) => return Err(error.into()),
            // It had no price when it was made.
            Err(_) => Cents::ZERO,
        };
        Ok((present.net()?.checked_sub(left)?, left))
    }

    /// What a charge costs from `now` to the year's end. Where the limit binds, an unknown price is a refusal.
    fn ahead(&self, charge: &Charge, now: Timestamp, lists: &[PriceList]) -> Result<Projection, BudgetError> {
        let binds = self.limit.as_ref().is_some_and(|limit| limit.mode != Mode::Report);
        match project(&self.member, charge, (now, self.year.end()?), self.year, lists) {
            Ok(projection) => Ok(projection),
            Err(error) if binds => Err(BudgetError::Unpriced(error)),
            Err(_) => Ok(Projection::default()),
        }
    }

    /// Whether `asked` fits; gives the permission that is needed for it.
    fn permit(&self, holder: &str, asked: Cents, now: Timestamp) -> Result<Option<String>, BudgetError> {
        let Some(limit) = self.limit.as_ref().filter(|limit| limit.mode != Mode::Report) else {
            return Ok(None);
        };
        let committed = self.committed()?;
        if asked <= Cents::ZERO || committed.checked_add(asked)? <= limit.cents {
            return Ok(None);
        }
        let fits = |permission: &Permission| {
            permission.holder == holder && asked <= permission.cents && now < permission.valid_until
        };
        let found = self.permissions.iter().find(|(_, permission)| fits(permission));
        match found {
            Some((request, _)) if limit.mode == Mode::Ask => Ok(Some(request.clone())),
            _ => {
                Err(BudgetError::Exceeded(Excess { limit: limit.cents, committed, asked, mode: limit.mode }))
            }
        }
    }
}

/// `members/{member}/billTos/{bill_to}/budgets/{year}`.
pub fn name(member: &MemberId, bill_to: &BillToId, year: BudgetYear) -> String {
    format!("members/{member}/billTos/{bill_to}/budgets/{year}")
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
