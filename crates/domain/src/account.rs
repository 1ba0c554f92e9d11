//! The quota account of one member on one cluster: reserved ≤ guaranteed − lent + borrowed, always.
//!
//! Reserved is the sum of the holders, lent and borrowed are the sums of the loans, and nothing else: there is no second number that could
//! differ. What loans do to an account is in [`quota::lending`](crate::quota::lending), what a division of the pool does in
//! [`quota::target`](crate::quota::target).

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    ids::{ClusterId, LoanId, MemberId},
    resources::{AmountError, Resources, Shortfall},
};

/// Most holders in one account: an account is one stored value with a size limit.
pub const HOLDERS_MAX: usize = 2_000;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaAccount {
    /// Whose.
    pub member: MemberId,
    /// On which cluster.
    pub cluster: ClusterId,
    /// The guaranteed part of the pool (entitlement), as it is carved out of the cluster.
    pub guaranteed: Resources,
    /// Given to others for a time, by loan.
    #[serde(default)]
    pub lendings: BTreeMap<LoanId, Lending>,
    /// Taken from others for a time, by loan.
    #[serde(default)]
    pub borrowings: BTreeMap<LoanId, Borrowing>,
    /// What the guaranteed part becomes as soon as it can; none: it is what was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// What each tenant's workspace and each instance holds, by resource name.
    pub holders: BTreeMap<String, Resources>,
    /// Number of the resolution that gave the entitlement.
    pub resolution: String,
}

/// What is given to another member for a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lending {
    /// To whom.
    pub borrower: MemberId,
    /// How much.
    pub amount: Resources,
}

/// What is taken from another member for a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Borrowing {
    /// From whom.
    pub lender: MemberId,
    /// How much.
    pub amount: Resources,
    /// Notice is running, or over: nothing new is ordered on it.
    pub recalled: bool,
}

/// An entitlement that was decided and cannot be there yet: more is reserved (then the member is over its entitlement), or others hold
/// what it will get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// What was decided.
    pub guaranteed: Resources,
    /// By which resolution.
    pub resolution: String,
    /// Last day to come down to it, for who is over it.
    pub resolve_by: Date,
}

/// Why a reservation was not made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReserveError {
    /// Entitlement does not cover it.
    #[error("the entitlement does not cover this")]
    Exceeded(Vec<Shortfall>),
    /// More is reserved than the member is entitled to since the pool was divided anew: what runs goes on, nothing grows.
    #[error("over its entitlement until {resolve_by} at the latest: nothing grows before it has come down")]
    OverEntitlement {
        /// Told against what was decided.
        shortfalls: Vec<Shortfall>,
        /// Last day to come down.
        resolve_by: Date,
    },
    /// It would be on what a lender has called back.
    #[error("a loan was recalled: nothing new is ordered on it")]
    OnRecalledLoan {
        /// Told without the recalled loans.
        shortfalls: Vec<Shortfall>,
        /// Which.
        loans: Vec<LoanId>,
    },
    /// The holder has one already.
    #[error("{0} holds a reservation already")]
    AlreadyHeld(String),
    /// The holder has none.
    #[error("{0} holds no reservation")]
    NotHeld(String),
    /// Too many holders.
    #[error("the account holds {HOLDERS_MAX} reservations, which is the most")]
    TooManyHolders,
    /// The sum is no amount.
    #[error(transparent)]
    Amount(#[from] AmountError),
}

impl QuotaAccount {
    /// An account without entitlement.
    pub fn empty(member: MemberId, cluster: ClusterId) -> Self {
        Self {
            member,
            cluster,
            guaranteed: Resources::ZERO,
            lendings: BTreeMap::new(),
            borrowings: BTreeMap::new(),
            target: None,
            holders: BTreeMap::new(),
            resolution: String::new(),
        }
    }

    /// Given to others for a time.
    ///
    /// # Errors
    /// Never for an account made by this crate's functions.
    pub fn lent(&self) -> Result<Resources, AmountError> {
        Resources::sum(self.lendings.values().map(|lending| &lending.amount))
    }

    /// Taken from others for a time.
    ///
    /// # Errors
    /// As [`lent`](Self::lent).
    pub fn borrowed(&self) -> Result<Resources, AmountError> {
        Resources::sum(self.borrowings.values().map(|borrowing| &borrowing.amount))
    }

    /// The part of what is borrowed that was called back.
    ///
    /// # Errors
    /// As [`lent`](Self::lent).
    pub fn recalled(&self) -> Result<Resources, AmountError> {
        let recalled = self.borrowings.values().filter(|borrowing| borrowing.recalled);
        Resources::sum(recalled.map(|borrowing| &borrowing.amount))
    }

    /// What may be reserved in all: guaranteed − lent + borrowed.
    ///
    /// # Errors
    /// As [`lent`](Self::lent).
    pub fn limit(&self) -> Result<Resources, AmountError> {
        self.guaranteed.checked_sub(self.lent()?)?.checked_add(self.borrowed()?)
    }

    /// What an order may fill: what was decided where that is less than what is carved, and without loans that were called back.
    ///
    /// # Errors
    /// As [`lent`](Self::lent).
    pub fn order_limit(&self) -> Result<Resources, AmountError> {
        let usable = self.borrowed()?.checked_sub(self.recalled()?)?;
        self.entitled().saturating_sub(self.lent()?).checked_add(usable)
    }

    /// Sum of what is held.
    ///
    /// # Errors
    /// As [`lent`](Self::lent).
    pub fn reserved(&self) -> Result<Resources, AmountError> {
        Resources::sum(self.holders.values())
    }

    /// What may still be reserved.
    ///
    /// # Errors
    /// As [`lent`](Self::lent).
    pub fn available(&self) -> Result<Resources, AmountError> {
        Ok(self.order_limit()?.saturating_sub(self.reserved()?))
    }

    /// Reserves for a new holder.
    ///
    /// # Errors
    /// When it does not fit, or the holder has one: then nothing is changed.
    pub fn admit(&self, holder: &str, asked: Resources) -> Result<Self, ReserveError> {
        if self.holders.contains_key(holder) {
            return Err(ReserveError::AlreadyHeld(holder.to_owned()));
        }
        if self.holders.len() >= HOLDERS_MAX {
            return Err(ReserveError::TooManyHolders);
        }
        self.with(holder, asked)
    }

    /// Changes what a holder holds. Growing must fit; shrinking always may, also in an account over its entitlement.
    ///
    /// # Errors
    /// As [`admit`](Self::admit).
    pub fn change(&self, holder: &str, asked: Resources) -> Result<Self, ReserveError> {
        if !self.holders.contains_key(holder) {
            return Err(ReserveError::NotHeld(holder.to_owned()));
        }
        self.with(holder, asked)
    }

    /// Gives a holder's reservation back. Releasing twice is the same as once.
    #[must_use]
    pub fn release(&self, holder: &str) -> Self {
        let mut next = self.clone();
        next.holders.remove(holder);
        next
    }

    /// Sets the guaranteed part, whatever was to become of it before.
    ///
    /// # Errors
    /// When it would not cover what is reserved and lent.
    pub fn with_guaranteed(&self, guaranteed: Resources, resolution: &str) -> Result<Self, ReserveError> {
        let short = self.bound()?.shortfalls(&Resources::ZERO, &guaranteed);
        if !short.is_empty() {
            return Err(ReserveError::Exceeded(short));
        }
        Ok(Self { guaranteed, resolution: resolution.to_owned(), target: None, ..self.clone() })
    }

    fn with(&self, holder: &str, asked: Resources) -> Result<Self, ReserveError> {
        let before = self.holders.get(holder).cloned().unwrap_or_default();
        let growth = asked.saturating_sub(&before);
        // Told against what all hold now, so that the numbers are those that the member sees.
        let used = self.reserved()?;
        let short = growth.shortfalls(&used, &self.order_limit()?);
        if !short.is_empty() {
            return Err(self.bar(short)?);
        }
        let mut next = self.clone();
        next.holders.insert(holder.to_owned(), asked);
        Ok(next)
    }

    /// Why it is short: an entitlement that was lowered, a loan that was called back, or simply not enough.
    fn bar(&self, shortfalls: Vec<Shortfall>) -> Result<ReserveError, AmountError> {
        let any = |amounts: &Resources| shortfalls.iter().any(|short| amounts.get(&short.resource) > 0);
        if let Some(over) = self.over()?.filter(|over| any(&over.amounts)) {
            return Ok(ReserveError::OverEntitlement { resolve_by: over.resolve_by, shortfalls });
        }
        if any(&self.recalled()?) {
            let recalled = self.borrowings.iter().filter(|(_, borrowing)| borrowing.recalled);
            let loans = recalled.map(|(loan, _)| loan.clone()).collect();
            return Ok(ReserveError::OnRecalledLoan { shortfalls, loans });
        }
        Ok(ReserveError::Exceeded(shortfalls))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn account(guaranteed: i64) -> QuotaAccount {
        let all = Resources {
            cpu_milli: guaranteed,
            memory_bytes: guaranteed,
            storage_bytes: guaranteed,
            pods: guaranteed,
            ..Resources::ZERO
        };
        QuotaAccount {
            guaranteed: all,
            ..QuotaAccount::empty("m-05766044".parse().unwrap(), "local-1".parse().unwrap())
        }
    }

    fn cpu(amount: i64) -> Resources {
        Resources { cpu_milli: amount, ..Resources::ZERO }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Admit(u8, i64),
        Change(u8, i64),
        Release(u8),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0..6u8, 0..60i64).prop_map(|(h, a)| Step::Admit(h, a)),
            (0..6u8, 0..60i64).prop_map(|(h, a)| Step::Change(h, a)),
            (0..6u8).prop_map(Step::Release),
        ];
        prop::collection::vec(step, 0..40)
    }

    proptest! {
        #[test]
        fn reserved_never_exceeds_the_limit_whatever_is_asked(steps in steps()) {
            let mut account = account(100);
            for step in steps {
                let next = match step {
                    Step::Admit(h, a) => account.admit(&h.to_string(), cpu(a)),
                    Step::Change(h, a) => account.change(&h.to_string(), cpu(a)),
                    Step::Release(h) => Ok(account.release(&h.to_string())),
                };
                if let Ok(next) = next { account = next; }
                prop_assert!(account.reserved().unwrap().cpu_milli <= 100);
            }
        }

        #[test]
        fn admit_then_release_is_identity(amount in 0..100i64) {
            let before = account(100);
            let after = before.admit("a", cpu(amount)).unwrap().release("a");
            prop_assert_eq!(before, after);
        }
    }

    #[test]
    fn a_refusal_tells_limit_used_and_asked() {
        let account = account(4000).admit("a", cpu(3000)).unwrap();
        let Err(ReserveError::Exceeded(short)) = account.admit("b", cpu(2000)) else {
            panic!("must not fit")
        };
        assert_eq!(
            short,
            [Shortfall { resource: "requests.cpu".into(), limit: 4000, used: 3000, asked: 2000 }]
        );
    }

    #[test]
    fn an_entitlement_is_not_lowered_below_what_is_reserved() {
        let account = account(4000).admit("a", cpu(3000)).unwrap();
        assert!(account.with_guaranteed(cpu(2000), "x").is_err());
        assert!(account.with_guaranteed(cpu(3000), "x").is_ok());
    }
}
