//! The budgets that an order touches: those of its recipient for this year and the next. All are compared, also where there is none, so
//! that a limit that is set meanwhile counts.

use allmende_domain::{
    ids::{BillToId, MemberId},
    price::PriceList,
    quota::{
        budget::{Budget, BudgetError},
        projection::{BudgetYear, Charge},
    },
};
use allmende_store::{Key, Store, Txn, Versioned, keys};
use jiff::Timestamp;

use crate::error::AppError;

/// See the module.
pub(crate) struct Ledgers {
    found: Vec<(Key<Budget>, Option<Versioned<Budget>>)>,
    lists: Vec<PriceList>,
}

impl Ledgers {
    /// Loads the budgets of a recipient that an order of now touches, with the price lists where there are any.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn load(
        store: &Store,
        (member, bill_to): (&MemberId, &BillToId),
        now: Timestamp,
    ) -> Result<Self, AppError> {
        let year = BudgetYear::of_time(now)?;
        let past = keys::budget(member, bill_to, year.previous());
        let rows = store.scan(&keys::budgets_of(member, bill_to), Some(past.raw()), 2).await?;
        let mut found = Vec::new();
        for year in [year, year.following()] {
            let key = keys::budget(member, bill_to, year);
            let budget = rows.iter().find(|row| row.key.raw() == key.raw()).cloned();
            found.push((key, budget));
        }
        let lists = if rows.is_empty() { Vec::new() } else { price_lists(store).await? };
        Ok(Self { found, lists })
    }

    /// Commits for a holder: the part of the order's transaction that concerns money.
    ///
    /// # Errors
    /// BUDGET_EXCEEDED with the numbers; FAILED_PRECONDITION when a limit binds and no price is known.
    pub(crate) fn commit(&self, holder: &str, charge: &Charge, now: Timestamp) -> Result<Txn, AppError> {
        self.each(|budget| Ok(budget.commit(holder, charge, now, &self.lists)?.budget))
    }

    /// Gives back what a holder would have cost from now on.
    ///
    /// # Errors
    /// A defect.
    pub(crate) fn release(&self, holder: &str, now: Timestamp) -> Result<Txn, AppError> {
        self.each(|budget| budget.release(holder, now, &self.lists))
    }

    fn each(&self, change: impl Fn(&Budget) -> Result<Budget, BudgetError>) -> Result<Txn, AppError> {
        let mut txn = Txn::new();
        for (key, found) in &self.found {
            let Some(found) = found else {
                txn = txn.expect_absent(key);
                continue;
            };
            let next = change(&found.value).map_err(|error| budget_error(&found.value, error))?;
            txn = txn.expect_unchanged(found);
            if next != found.value {
                txn = txn.put(key, &next);
            }
        }
        Ok(txn)
    }
}

/// All price lists, announced ones included.
pub(crate) async fn price_lists(store: &Store) -> Result<Vec<PriceList>, AppError> {
    let (lists, _) = store.snapshot(&keys::price_lists()).await?;
    Ok(lists.into_iter().map(|list| list.value).collect())
}

/// A refusal by a budget, for the client.
fn budget_error(budget: &Budget, error: BudgetError) -> AppError {
    match error {
        BudgetError::Exceeded(excess) => AppError::BudgetExceeded { budget: budget.name(), excess },
        BudgetError::Unpriced(error) => AppError::WrongState {
            resource: budget.name(),
            description: format!(
                "cannot be checked: {error}. The cooperative's treasurer announces a price list, or the budget is set to REPORT"
            ),
        },
        BudgetError::TooMany => {
            AppError::WrongState { resource: budget.name(), description: error.to_string() }
        }
        BudgetError::Amount(error) => error.into(),
        BudgetError::Year(error) => error.into(),
    }
}
