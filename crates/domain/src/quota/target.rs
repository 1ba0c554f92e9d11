//! What a new division of the pool, or less capacity, does to an account: nothing is taken that is in use.
//!
//! The entitlement that was decided is the account's *target*. As far as it is lower, the carved part comes down to what the member has
//! reserved and lent, and no further: the member is *over its entitlement*, runs on, orders nothing new, and has a date to resolve it. As
//! far as it is higher, the carved part rises with what others have freed. So the sum of what is carved never passes the ceiling on the way.

use jiff::civil::Date;

use crate::{
    account::{QuotaAccount, Target},
    resources::{AmountError, Resources},
};

/// What a member has reserved beyond its entitlement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Over {
    /// How much.
    pub amounts: Resources,
    /// Last day to come down.
    pub resolve_by: Date,
}

impl QuotaAccount {
    /// What counts for orders: the carved part, or the decided one where that is less.
    pub fn entitled(&self) -> Resources {
        match &self.target {
            Some(target) => self.guaranteed.min(&target.guaranteed),
            None => self.guaranteed.clone(),
        }
    }

    /// The part of the entitlement that cannot be taken now: what is reserved and lent, less what is borrowed for it.
    ///
    /// # Errors
    /// Never for an account made by this crate's functions.
    pub fn bound(&self) -> Result<Resources, AmountError> {
        Ok(self.reserved()?.checked_add(self.lent()?)?.saturating_sub(self.borrowed()?))
    }

    /// The same without loans that were called back: they are no ground to give up something of one's own.
    ///
    /// # Errors
    /// As [`bound`](Self::bound).
    fn needed(&self) -> Result<Resources, AmountError> {
        let usable = self.borrowed()?.checked_sub(self.recalled()?)?;
        Ok(self.reserved()?.checked_add(self.lent()?)?.saturating_sub(usable))
    }

    /// What is reserved and lent beyond what was decided; none: the member is within its entitlement.
    ///
    /// # Errors
    /// As [`bound`](Self::bound).
    pub fn over(&self) -> Result<Option<Over>, AmountError> {
        let Some(target) = &self.target else { return Ok(None) };
        let amounts = self.needed()?.saturating_sub(&target.guaranteed);
        Ok((!amounts.is_zero()).then_some(Over { amounts, resolve_by: target.resolve_by }))
    }

    /// Decides another entitlement, and goes as far towards it as can be: `room` is what the cluster may still promise.
    ///
    /// # Errors
    /// When an amount no longer fits.
    pub fn retarget(&self, target: Target, room: &Resources) -> Result<Self, AmountError> {
        Self { target: Some(target), ..self.clone() }.settle(room)
    }

    /// Goes further towards what was decided. Changes nothing where that is there, or nothing has moved.
    ///
    /// # Errors
    /// When an amount no longer fits.
    pub fn settle(&self, room: &Resources) -> Result<Self, AmountError> {
        let Some(target) = &self.target else { return Ok(self.clone()) };
        let wanted = &target.guaranteed;
        let lowered = wanted.max(self.needed()?).min(&self.guaranteed);
        let raised = wanted.min(self.guaranteed.checked_add(room)?);
        let guaranteed = lowered.max(raised);
        Ok(if guaranteed == *wanted {
            Self { resolution: target.resolution.clone(), target: None, guaranteed, ..self.clone() }
        } else {
            Self { guaranteed, ..self.clone() }
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;
    use crate::account::ReserveError;

    fn cpu(amount: i64) -> Resources {
        Resources { cpu_milli: amount, ..Resources::ZERO }
    }

    fn account(guaranteed: i64, reserved: i64) -> QuotaAccount {
        let empty = QuotaAccount::empty("aaa".parse().unwrap(), "c".parse().unwrap());
        QuotaAccount { guaranteed: cpu(guaranteed), ..empty }.admit("t", cpu(reserved)).unwrap()
    }

    fn target(amount: i64) -> Target {
        Target { guaranteed: cpu(amount), resolution: "GV 2".to_owned(), resolve_by: date(2027, 3, 31) }
    }

    #[test]
    fn a_member_below_what_it_has_reserved_runs_on_grows_no_more_and_comes_down_in_steps() {
        let over = account(10, 8).retarget(target(5), &Resources::ZERO).unwrap();
        assert_eq!((over.guaranteed.cpu_milli, over.over().unwrap().unwrap().amounts), (8, cpu(3)));
        let Err(ReserveError::OverEntitlement { shortfalls, resolve_by }) = over.admit("u", cpu(1)) else {
            panic!("must be refused")
        };
        assert_eq!((shortfalls[0].limit, shortfalls[0].used, shortfalls[0].asked), (5, 8, 1));
        assert_eq!(resolve_by, date(2027, 3, 31));
        let lower = over.change("t", cpu(6)).unwrap().settle(&Resources::ZERO).unwrap();
        assert_eq!(lower.guaranteed, cpu(6));
        assert!(lower.change("t", cpu(7)).is_err(), "what was given back is not taken again");
        let there = lower.change("t", cpu(4)).unwrap().settle(&Resources::ZERO).unwrap();
        assert_eq!((there.guaranteed.clone(), there.target.clone()), (cpu(5), None));
        assert_eq!(there.resolution, "GV 2");
        assert!(there.change("t", cpu(5)).is_ok());
    }

    #[test]
    fn what_others_hold_still_comes_when_they_have_freed_it() {
        let waiting = account(10, 0).retarget(target(30), &cpu(5)).unwrap();
        assert_eq!(waiting.guaranteed, cpu(15));
        assert_eq!(waiting.over().unwrap(), None);
        assert!(matches!(waiting.admit("u", cpu(16)), Err(ReserveError::Exceeded(_))));
        let there = waiting.settle(&cpu(100)).unwrap();
        assert_eq!((there.guaranteed.clone(), there.target), (cpu(30), None));
    }

    proptest! {
        #[test]
        fn settling_never_takes_what_is_in_use_nor_more_than_there_is_room(
            guaranteed in 0..50i64, part in 0..=100i64, wanted in 0..50i64, room in 0..50i64,
        ) {
            let before = account(guaranteed, guaranteed * part / 100);
            let after = before.retarget(target(wanted), &cpu(room)).unwrap();
            prop_assert!(!after.reserved().unwrap().exceeds(after.limit().unwrap()));
            prop_assert!(after.guaranteed.cpu_milli <= guaranteed.max(guaranteed + room));
            // Nothing is kept that is neither decided nor in use.
            prop_assert!(after.guaranteed.cpu_milli <= wanted.max(before.bound().unwrap().cpu_milli));
            prop_assert_eq!(after.settle(&Resources::ZERO).unwrap(), after.clone(), "a second look changes nothing");
            prop_assert_eq!(after.target.is_none(), after.guaranteed == cpu(wanted));
        }
    }
}
