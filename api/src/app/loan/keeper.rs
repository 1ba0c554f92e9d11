//! What time does to loans: offers and wishes expire, agreed loans begin on their first day, notices begin and run out, borrowers are
//! reminded, and what the cluster shows as free goes back. Every replica of the API has one; each step is a compared transaction, so any
//! number of them do no harm.

use std::time::Duration;

use allmende_domain::{
    ids::MemberId,
    quota::loan::{Loan, LoanState, Moment},
};
use allmende_store::{Commit, Txn, Versioned, keys};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{Loans, moment, write};
use crate::{
    core::{Core, audit_keeper},
    error::AppError,
};

/// Pause between two passes.
const EVERY: Duration = Duration::from_secs(15);

/// See the module.
#[derive(Clone)]
pub struct LoanKeeper {
    loans: Loans,
}

impl LoanKeeper {
    /// Over all loans.
    pub fn new(core: Core) -> Self {
        Self { loans: Loans { core } }
    }

    /// Passes until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
            let now = self.loans.core.clock.now();
            if let Err(error) = Box::pin(self.pass(now)).await {
                tracing::warn!(?error, "the keeper of the loans could not go on");
            }
        }
    }

    /// One look at every loan that has not come to its end.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn pass(&self, now: Timestamp) -> Result<(), AppError> {
        let at = moment(now)?;
        let (live, _) = self.loans.core.store.snapshot(&keys::loans_live()).await?;
        for row in live {
            let key = keys::loan(&row.value.loan);
            let Some(found) = self.loans.core.store.find(&key).await? else { continue };
            if let Some((txn, what)) = self.step(&found, at).await? {
                match self.loans.core.store.commit(txn).await? {
                    Commit::Committed(_) => tracing::info!(loan = %found.value.id, what, "loan"),
                    // Somebody else was faster: the next pass looks again.
                    Commit::Conflict => {}
                }
            }
        }
        Ok(())
    }

    /// The next step of a loan; none: it waits.
    async fn step(
        &self,
        found: &Versioned<Loan>,
        at: Moment,
    ) -> Result<Option<(Txn, &'static str)>, AppError> {
        let loan = &found.value;
        if loan.is_agreed() && loan.terms.from <= at.today && loan.at(at).is_agreed() {
            let accounts = self.loans.accounts(loan).await?;
            return Ok(match loan.begin(&accounts.parties, at) {
                Ok((next, parties)) => {
                    let txn = write(Some(found), &next).and(accounts.write(&parties));
                    Some((txn.and(told(&next, "Leihe beginnt", at.now)?), "begins"))
                }
                // It waits on, until it expires; both sides see that it has not begun.
                Err(error) => {
                    tracing::warn!(loan = %loan.id, %error, "an agreed loan cannot begin");
                    None
                }
            });
        }
        if loan.state.is_outstanding() {
            let accounts = self.loans.accounts(loan).await?;
            let borrower = Some(&accounts.parties.borrower);
            let passed = loan.pass_time(borrower, at).map_err(AppError::internal)?;
            if let Some((next, borrower)) = passed {
                let mut parties = accounts.parties.clone();
                parties.borrower = borrower.unwrap_or(parties.borrower);
                let txn = write(Some(found), &next).and(accounts.write(&parties));
                let summary = format!("Leihe ist jetzt {:?}", next.state);
                return Ok(Some((txn.and(told(&next, &summary, at.now)?), "time has passed")));
            }
            return self.back_or_reminded(found, &accounts, at).await;
        }
        let passed = loan.pass_time(None, at).map_err(AppError::internal)?;
        Ok(match passed {
            Some((next, _)) => {
                let summary = format!("Leihe ist jetzt {:?}", next.state);
                let txn = write(Some(found), &next).and(told(&next, &summary, at.now)?);
                Some((txn, "time has passed"))
            }
            None => None,
        })
    }

    /// A loan that was called back goes back as soon as the cluster shows it; else its borrower is reminded.
    async fn back_or_reminded(
        &self,
        found: &Versioned<Loan>,
        accounts: &super::Accounts,
        at: Moment,
    ) -> Result<Option<(Txn, &'static str)>, AppError> {
        let loan = &found.value;
        if !matches!(loan.state, LoanState::Recalled | LoanState::Overdue) {
            return Ok(None);
        }
        let shown = self.loans.shown(&accounts.parties.borrower).await?;
        let back = shown.ok().and_then(|shown| loan.give_back(&accounts.parties, &shown, at).ok());
        if let Some((next, parties)) = back {
            let txn = write(Some(found), &next).and(accounts.write(&parties));
            return Ok(Some((txn.and(told(&next, "Leihe ist zurück", at.now)?), "is back")));
        }
        if !loan.is_reminder_due(at.today) {
            return Ok(None);
        }
        let next = loan.reminded(at.today);
        let due = loan.due.map(|due| due.to_string()).unwrap_or_default();
        let summary = format!("Erinnerung: Leihe ist zurückzugeben bis {due}");
        Ok(Some((write(Some(found), &next).and(told(&next, &summary, at.now)?), "reminded")))
    }
}

/// An entry in the audit of each side.
fn told(loan: &Loan, summary: &str, now: Timestamp) -> Result<Txn, AppError> {
    let sides: Vec<&MemberId> = std::iter::once(&loan.lender).chain(&loan.borrower).collect();
    sides.into_iter().try_fold(Txn::new(), |txn, member| {
        let target = loan.name_for(member);
        let action = "allmende.v1.LoanService";
        Ok(txn.and(audit_keeper(now, member, (action, &target), "", summary.to_owned())?))
    })
}
