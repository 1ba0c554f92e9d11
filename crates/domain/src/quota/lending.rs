//! What a loan does to the accounts of lender and borrower.
//!
//! Only what is idle of a member's own entitlement can be lent: guaranteed − lent − reserved. Who borrows a resource on a cluster lends
//! nothing of it there, and who lends it borrows nothing: so there are no chains and no cycles, and what is called back is never somebody
//! else's. What is lent is not guaranteed to the lender until it is back.

use thiserror::Error;

use crate::{
    account::{Borrowing, Lending, QuotaAccount},
    ids::{LoanId, MemberId},
    resources::{AmountError, Resources, Shortfall},
};

/// Most loans in each direction in one account.
pub const LOANS_MAX: usize = 200;

/// Why an account gives or takes no loan. Nothing is changed then.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LendError {
    /// The lender has less idle of its own.
    #[error("the lender has not that much idle of its own entitlement")]
    NotIdle(Vec<Shortfall>),
    /// The lender borrows this itself.
    #[error(
        "borrows {0} on this cluster itself: what is borrowed is not lent on, and who borrows a resource lends nothing of it"
    )]
    LenderBorrows(String),
    /// The borrower lends this itself.
    #[error("lends {0} on this cluster itself: who lends a resource borrows nothing of it")]
    BorrowerLends(String),
    /// Too many loans.
    #[error("has {LOANS_MAX} loans on this cluster, which is the most")]
    TooMany,
    /// The account knows nothing of this loan, or has it already.
    #[error("the account and loan {0} do not go together")]
    Mismatch(LoanId),
    /// The borrower still has it reserved.
    #[error("the borrower has still reserved what it would give back")]
    StillReserved(Vec<Shortfall>),
    /// The sum is no amount.
    #[error(transparent)]
    Amount(#[from] AmountError),
}

impl QuotaAccount {
    /// Whether this much could be lent now.
    ///
    /// # Errors
    /// See [`LendError`].
    pub fn can_lend(&self, amount: &Resources) -> Result<(), LendError> {
        if let Some(resource) = first_common(amount, &self.borrowed()?) {
            return Err(LendError::LenderBorrows(resource));
        }
        if self.lendings.len() >= LOANS_MAX {
            return Err(LendError::TooMany);
        }
        let own = self.entitled().saturating_sub(self.lent()?);
        let short = amount.shortfalls(&self.reserved()?, &own);
        if short.is_empty() { Ok(()) } else { Err(LendError::NotIdle(short)) }
    }

    /// Whether this much could be borrowed now.
    ///
    /// # Errors
    /// See [`LendError`].
    pub fn can_borrow(&self, amount: &Resources) -> Result<(), LendError> {
        if let Some(resource) = first_common(amount, &self.lent()?) {
            return Err(LendError::BorrowerLends(resource));
        }
        if self.borrowings.len() >= LOANS_MAX {
            return Err(LendError::TooMany);
        }
        Ok(())
    }

    /// Gives it to the borrower.
    ///
    /// # Errors
    /// See [`LendError`].
    pub fn lend(&self, loan: &LoanId, borrower: &MemberId, amount: &Resources) -> Result<Self, LendError> {
        self.can_lend(amount)?;
        if self.lendings.contains_key(loan) {
            return Err(LendError::Mismatch(loan.clone()));
        }
        let mut next = self.clone();
        next.lendings.insert(loan.clone(), Lending { borrower: borrower.clone(), amount: amount.clone() });
        Ok(next)
    }

    /// Takes it from the lender.
    ///
    /// # Errors
    /// See [`LendError`].
    pub fn borrow(&self, loan: &LoanId, lender: &MemberId, amount: &Resources) -> Result<Self, LendError> {
        self.can_borrow(amount)?;
        if self.borrowings.contains_key(loan) {
            return Err(LendError::Mismatch(loan.clone()));
        }
        let borrowing = Borrowing { lender: lender.clone(), amount: amount.clone(), recalled: false };
        let mut next = self.clone();
        next.borrowings.insert(loan.clone(), borrowing);
        next.limit()?;
        Ok(next)
    }

    /// Nothing new on it from now on.
    ///
    /// # Errors
    /// [`LendError::Mismatch`].
    pub fn call_back(&self, loan: &LoanId) -> Result<Self, LendError> {
        let mut next = self.clone();
        let borrowing = next.borrowings.get_mut(loan).ok_or_else(|| LendError::Mismatch(loan.clone()))?;
        borrowing.recalled = true;
        Ok(next)
    }

    /// The borrower gives it back; `shown` is what the cluster says that it holds, which counts beside what is reserved.
    ///
    /// # Errors
    /// [`LendError::StillReserved`] told against the limit without the loan.
    pub fn give_back(&self, loan: &LoanId, shown: &Resources) -> Result<Self, LendError> {
        let mut next = self.clone();
        let gone = next.borrowings.remove(loan).ok_or_else(|| LendError::Mismatch(loan.clone()))?;
        let held = self.reserved()?.max(shown);
        let limit = next.limit()?;
        // What the loan was not about is not its matter.
        let mut short = held.shortfalls(&Resources::ZERO, &limit);
        short.retain(|short| gone.amount.get(&short.resource) > 0);
        if short.is_empty() { Ok(next) } else { Err(LendError::StillReserved(short)) }
    }

    /// The lender has it again.
    ///
    /// # Errors
    /// [`LendError::Mismatch`].
    pub fn get_back(&self, loan: &LoanId) -> Result<Self, LendError> {
        let mut next = self.clone();
        next.lendings.remove(loan).ok_or_else(|| LendError::Mismatch(loan.clone()))?;
        Ok(next)
    }
}

/// The lender gives it up and the borrower keeps it: the entitlement moves from one to the other, and their sum stays.
///
/// # Errors
/// [`LendError::Mismatch`].
pub fn write_off(
    loan: &LoanId,
    (lender, borrower): (&QuotaAccount, &QuotaAccount),
) -> Result<(QuotaAccount, QuotaAccount), LendError> {
    let mut from = lender.get_back(loan)?;
    let mut to = borrower.clone();
    let gone = to.borrowings.remove(loan).ok_or_else(|| LendError::Mismatch(loan.clone()))?;
    from.guaranteed = from.guaranteed.checked_sub(&gone.amount)?;
    to.guaranteed = to.guaranteed.checked_add(&gone.amount)?;
    // What was decided otherwise moves along: the one is not over its entitlement by what it gave up, the other not by what it kept.
    if let Some(target) = &mut from.target {
        target.guaranteed = target.guaranteed.saturating_sub(&gone.amount);
    }
    if let Some(target) = &mut to.target {
        target.guaranteed = target.guaranteed.checked_add(&gone.amount)?;
    }
    Ok((from, to))
}

/// The first resource of which both have some.
fn first_common(one: &Resources, other: &Resources) -> Option<String> {
    one.named()
        .find(|(resource, amount)| *amount > 0 && other.get(resource) > 0)
        .map(|(resource, _)| resource.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOAN: &str = "0192f0c1-2345-7abc-8def-0123456789ab";

    fn memory(amount: i64) -> Resources {
        Resources { memory_bytes: amount, ..Resources::ZERO }
    }

    fn account(member: &str, guaranteed: i64, reserved: i64) -> QuotaAccount {
        let empty = QuotaAccount::empty(member.parse().unwrap(), "c".parse().unwrap());
        let all = Resources { cpu_milli: 100, ..memory(guaranteed) };
        QuotaAccount { guaranteed: all, ..empty }.admit("t", memory(reserved)).unwrap()
    }

    fn lent(amount: i64) -> (LoanId, QuotaAccount, QuotaAccount) {
        let (loan, lender, borrower) = (LOAN.parse().unwrap(), account("aaa", 10, 2), account("bbb", 3, 3));
        let given = lender.lend(&loan, &borrower.member, &memory(amount)).unwrap();
        let taken = borrower.borrow(&loan, &lender.member, &memory(amount)).unwrap();
        (loan, given, taken)
    }

    #[test]
    fn only_what_is_idle_of_ones_own_is_lent() {
        let account = account("aaa", 10, 2);
        assert!(account.can_lend(&memory(8)).is_ok());
        let Err(LendError::NotIdle(short)) = account.can_lend(&memory(9)) else { panic!("must not") };
        assert_eq!((short[0].limit, short[0].used, short[0].asked), (10, 2, 9));
    }

    #[test]
    fn who_borrows_lends_nothing_of_it_and_the_other_way_round() {
        let (loan, lender, borrower) = lent(4);
        let more = |borrower: &QuotaAccount| borrower.can_lend(&memory(1)).unwrap_err();
        assert_eq!(more(&borrower), LendError::LenderBorrows("requests.memory".into()));
        assert_eq!(
            more(&borrower.call_back(&loan).unwrap()),
            LendError::LenderBorrows("requests.memory".into())
        );
        assert_eq!(
            lender.can_borrow(&memory(1)).unwrap_err(),
            LendError::BorrowerLends("requests.memory".into())
        );
        let cpu = Resources { cpu_milli: 1, ..Resources::ZERO };
        assert!(borrower.can_lend(&cpu).is_ok() && lender.can_borrow(&cpu).is_ok(), "another resource may");
    }

    #[test]
    fn a_recalled_loan_takes_no_orders_and_is_back_only_when_the_cluster_shows_it() {
        use crate::account::ReserveError;
        let (loan, _, borrower) = lent(4);
        let full = borrower.change("t", memory(6)).unwrap();
        let recalled = full.call_back(&loan).unwrap();
        let Err(ReserveError::OnRecalledLoan { shortfalls, loans }) = recalled.change("t", memory(7)) else {
            panic!("must be refused")
        };
        assert_eq!((shortfalls[0].limit, shortfalls[0].used, shortfalls[0].asked), (3, 6, 1));
        assert_eq!(loans, std::slice::from_ref(&loan));
        let Err(LendError::StillReserved(short)) = recalled.give_back(&loan, &Resources::ZERO) else {
            panic!("must not")
        };
        assert_eq!((short[0].limit, short[0].asked), (3, 6));
        let shrunk = recalled.change("t", memory(3)).unwrap();
        assert!(shrunk.give_back(&loan, &memory(6)).is_err(), "the cluster still shows it");
        let free = shrunk.give_back(&loan, &memory(3)).unwrap();
        assert_eq!(free.limit().unwrap().memory_bytes, 3);
        assert_eq!(free.give_back(&loan, &memory(3)), Err(LendError::Mismatch(loan)), "once");
    }

    #[test]
    fn a_loan_written_off_moves_the_entitlement_and_leaves_the_sum() {
        let (loan, lender, borrower) = lent(4);
        let (from, to) = write_off(&loan, (&lender, &borrower)).unwrap();
        assert_eq!((from.guaranteed.memory_bytes, to.guaranteed.memory_bytes), (6, 7));
        assert_eq!((from.limit(), to.limit()), (lender.limit(), borrower.limit()));
        assert!(from.lendings.is_empty() && to.borrowings.is_empty());
    }
}
