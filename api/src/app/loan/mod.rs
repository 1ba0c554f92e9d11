//! Loans between members. The domain decides; here they are loaded with the accounts they change, and written in one transaction.

mod change;
mod keeper;
mod refusal;

use std::collections::BTreeMap;

use allmende_domain::{
    account::QuotaAccount,
    ids::{ClusterId, LoanId, MemberId},
    period::day_in_berlin,
    quota::loan::{Loan, LoanState, Moment, Parties, Shown},
};
use allmende_store::{LoanRef, Txn, Versioned, keys};
use jiff::Timestamp;

use crate::{
    authz::Scope,
    context::Context,
    convert::loan::LoanView,
    core::Core,
    error::AppError,
    pagination::{Page, PageRequest},
};

pub use change::Act;
pub use keeper::LoanKeeper;

/// Use cases over loans.
#[derive(Clone)]
pub struct Loans {
    /// Shared parts.
    pub core: Core,
}

/// The accounts of both sides as they were read; one that a borrower has not had before is made.
struct Accounts {
    lender: Versioned<QuotaAccount>,
    borrower: Option<Versioned<QuotaAccount>>,
    parties: Parties,
}

impl Accounts {
    /// The part of a transaction that writes both, as far as they differ.
    fn write(&self, next: &Parties) -> Txn {
        let key = keys::account(&self.parties.borrower.member, &self.parties.borrower.cluster);
        let mut txn = Txn::new().expect_unchanged(&self.lender).expect_as_read(&key, self.borrower.as_ref());
        if next.lender != self.parties.lender {
            txn = txn.put(&self.lender.key, &next.lender);
        }
        if next.borrower != self.parties.borrower {
            txn = txn.put(&key, &next.borrower);
        }
        txn
    }
}

/// The moment of a call.
pub(super) fn moment(now: Timestamp) -> Result<Moment, AppError> {
    Ok(Moment { now, today: day_in_berlin(now)? })
}

impl Loans {
    /// One loan, for a side of it, for the cooperative, or for everybody while it is an open offer.
    ///
    /// # Errors
    /// NOT_FOUND, also where the caller may not know of it.
    pub async fn get(
        &self,
        context: &Context,
        (member, id): (&MemberId, &LoanId),
        name: &str,
    ) -> Result<LoanView, AppError> {
        self.core.authorizer.require(context, Scope::Member(member, name)).await?;
        let found = self.core.store.find(&keys::loan(id)).await?.ok_or_else(|| AppError::not_found(name))?;
        let loan = found.value.at(moment(context.now)?);
        if loan.side_of(member).is_none() && loan.state != LoanState::Open {
            return Err(AppError::not_found(name));
        }
        self.view(loan, Some(member)).await
    }

    /// A member's loans on either side, the open offers, or all loans for the cooperative.
    ///
    /// # Errors
    /// Refusal, or a page token of another list.
    pub async fn list(
        &self,
        context: &Context,
        member: Option<&MemberId>,
        (parent, offers): (&str, bool),
        page: &PageRequest,
    ) -> Result<Page<LoanView>, AppError> {
        self.core.authorizer.require(context, Scope::of(member, parent)).await?;
        let at = moment(context.now)?;
        let found = match member {
            _ if offers => self.core.page(&keys::loans_live(), page).await?,
            Some(member) => self.core.page(&keys::loans_of(member), page).await?,
            None => {
                let all = self.core.page(&keys::loans(), page).await?;
                let mut items = Vec::with_capacity(all.items.len());
                for loan in all.items {
                    items.push(self.view(loan.value.at(at), None).await?);
                }
                return Ok(Page { items, next_page_token: all.next_page_token });
            }
        };
        let mut items = Vec::new();
        for LoanRef { loan } in found.items.into_iter().map(|row| row.value) {
            let Some(loan) = self.core.store.find(&keys::loan(&loan)).await? else { continue };
            let loan = loan.value.at(at);
            if !offers || loan.state == LoanState::Open {
                items.push(self.view(loan, member).await?);
            }
        }
        Ok(Page { items, next_page_token: found.next_page_token })
    }

    /// With the names of both members.
    async fn view(&self, loan: Loan, seen_by: Option<&MemberId>) -> Result<LoanView, AppError> {
        let mut display_names = BTreeMap::new();
        for member in std::iter::once(&loan.lender).chain(&loan.borrower) {
            if let Some(found) = self.core.store.find(&keys::member(member)).await? {
                display_names.insert(member.clone(), found.value.display_name);
            }
        }
        Ok(LoanView { loan, seen_by: seen_by.cloned(), display_names })
    }

    /// Whether a member is a side of a loan that has not come to its end.
    pub(super) async fn open_loans(core: &Core, member: &MemberId) -> Result<Vec<String>, AppError> {
        let (own, _) = core.store.snapshot(&keys::loans_of(member)).await?;
        let mut open = Vec::new();
        for LoanRef { loan } in own.into_iter().map(|row| row.value) {
            let found = core.store.find(&keys::loan(&loan)).await?;
            if let Some(found) = found.filter(|found| !found.value.state.is_final()) {
                open.push(found.value.name_for(member));
            }
        }
        Ok(open)
    }

    async fn account(
        &self,
        member: &MemberId,
        cluster: &ClusterId,
    ) -> Result<(Option<Versioned<QuotaAccount>>, QuotaAccount), AppError> {
        let found = self.core.store.find(&keys::account(member, cluster)).await?;
        let value = found.as_ref().map_or_else(
            || QuotaAccount::empty(member.clone(), cluster.clone()),
            |found| found.value.clone(),
        );
        Ok((found, value))
    }

    /// Both accounts of a loan that was taken.
    async fn accounts(&self, loan: &Loan) -> Result<Accounts, AppError> {
        let cluster = &loan.terms.cluster;
        let lacks = |what: &str| AppError::internal(format!("loan {} has no {what}", loan.id));
        let borrower = loan.borrower.as_ref().ok_or_else(|| lacks("borrower"))?;
        let (lender, given) = self.account(&loan.lender, cluster).await?;
        let (borrower, taken) = self.account(borrower, cluster).await?;
        let lender = lender.ok_or_else(|| lacks("lender's account"))?;
        Ok(Accounts { lender, borrower, parties: Parties { lender: given, borrower: taken } })
    }

    /// What the cluster shows of the borrower. Read behind the account: a tenant that grows meanwhile changes the account, and the
    /// transaction that compares it fails.
    async fn shown(&self, borrower: &QuotaAccount) -> Result<Result<Shown, AppError>, AppError> {
        let (tenants, _) = self.core.store.snapshot(&keys::tenants(&borrower.member)).await?;
        let tenants: Vec<_> = tenants.into_iter().map(|tenant| tenant.value).collect();
        Ok(Shown::of(borrower, &tenants).map_err(|unshown| AppError::WrongState {
            resource: format!("members/{}/entitlements/{}", borrower.member, borrower.cluster),
            description: unshown.to_string(),
        }))
    }
}

/// The part of a transaction that writes a loan and what finds it.
fn write(before: Option<&Versioned<Loan>>, next: &Loan) -> Txn {
    let key = keys::loan(&next.id);
    let found = LoanRef { loan: next.id.clone() };
    let mut txn = Txn::new().expect_as_read(&key, before).put(&key, next);
    let live = keys::loan_live(&next.id);
    if before.is_none() {
        txn = txn.put(&keys::loan_of(&next.lender, &next.id), &found).put(&live, &found);
    }
    let earlier = before.and_then(|before| before.value.borrower.as_ref());
    if earlier != next.borrower.as_ref() {
        if let Some(earlier) = earlier {
            txn = txn.delete(&keys::loan_of(earlier, &next.id));
        }
        if let Some(borrower) = &next.borrower {
            txn = txn.put(&keys::loan_of(borrower, &next.id), &found);
        }
    }
    if next.state.is_final() {
        txn = txn.delete(&live);
    }
    txn
}
