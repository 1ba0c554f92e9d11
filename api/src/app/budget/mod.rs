//! Budgets: limits of money with the ledger of what is committed against them.

mod ledger;
mod records;

use allmende_domain::{
    ids::{BillToId, MemberId},
    money::Cents,
    quota::{
        budget::{Budget, Limit, Mode},
        count::Drift,
        projection::BudgetYear,
    },
};
use allmende_proto::v1;
use allmende_store::{Commit, Txn, Versioned, keys};
use serde::{Deserialize, Serialize};

pub(crate) use ledger::{Ledgers, price_lists};
pub(crate) use records::{charge_of_instance, charge_of_workspace, counted};

use crate::{
    app::member::check_etag,
    authz::Scope,
    context::Context,
    convert::{budget as convert, fields::Fields},
    core::{Change, Core},
    error::AppError,
    pagination::{Page, PageRequest},
};

/// Whose budget, of whom to pay, of which year.
pub type Path<'a> = (&'a MemberId, &'a BillToId, BudgetYear);

/// Use cases over budgets.
#[derive(Clone)]
pub struct Budgets {
    /// Shared parts.
    pub core: Core,
}

/// A budget counted anew. Kept in the receipt.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Recounted {
    /// As counted.
    pub budget: Budget,
    /// Holder, as the ledger had it, as the records give it.
    pub drifts: Vec<(String, Cents, Cents)>,
}

impl Budgets {
    /// Sets or replaces a limit, and counts what lives into it.
    ///
    /// # Errors
    /// All wrong fields at once; a stale etag; no such recipient.
    pub async fn set(
        &self,
        context: &Context,
        path: Path<'_>,
        request: &v1::SetBudgetRequest,
    ) -> Result<Budget, AppError> {
        let (member, bill_to, year) = path;
        let change = self.core.change(context, Scope::Member(member, &request.name), request).await?;
        let limit = read(year, request, context)?;
        let key = keys::budget(member, bill_to, year);
        let summary = format!("Budget {year}: {} EUR, {:?}", limit.cents, limit.mode);
        self.core
            .commit(&change, || async {
                let owner = keys::bill_to(member, bill_to);
                if self.core.store.find(&owner).await?.is_none() {
                    return Err(AppError::not_found(&request.name));
                }
                let found = self.core.store.find(&key).await?;
                match found.as_ref().filter(|found| found.value.counted.is_some()) {
                    Some(found) => check_etag(found, &request.etag, &request.name)?,
                    None if request.etag.is_empty() => {}
                    None => return Err(AppError::StaleEtag { resource: request.name.clone() }),
                }
                let found = match found {
                    None if !change.validate_only => Some(self.open(path).await?),
                    found => found,
                };
                let present = found.as_ref().map_or_else(
                    || Budget::opening(member.clone(), bill_to.clone(), year),
                    |found| found.value.clone(),
                );
                // Once counted, every order keeps it: only a new one is filled from the records.
                let filled = if present.counted.is_some() {
                    present
                } else {
                    counted(&self.core.store, &present, context.now).await?
                };
                let next = filled.limited(limit.clone());
                let audit = change.audit(
                    context.row.rpc,
                    Some(member),
                    &request.name,
                    summary.clone(),
                    &limit.resolution,
                );
                Ok((Txn::new().expect_as_read(&key, found.as_ref()).put(&key, &next).and(audit), next))
            })
            .await
    }

    /// Opens a ledger without limit before it is filled: from here on every order writes into it, so none is missed between the reading
    /// of what lives and the writing of the sum. Left behind by a failure it limits nothing.
    async fn open(&self, (member, bill_to, year): Path<'_>) -> Result<Versioned<Budget>, AppError> {
        let key = keys::budget(member, bill_to, year);
        let empty = Budget::opening(member.clone(), bill_to.clone(), year);
        match self.core.store.commit(Txn::new().expect_absent(&key).put(&key, &empty)).await? {
            Commit::Committed(_) | Commit::Conflict => {
                self.core.store.find(&key).await?.ok_or(AppError::Contention)
            }
        }
    }

    /// Counts what is committed anew.
    ///
    /// # Errors
    /// NOT_FOUND; no reason.
    pub async fn recount(
        &self,
        context: &Context,
        (member, bill_to, year): Path<'_>,
        request: &v1::RecountBudgetRequest,
    ) -> Result<Recounted, AppError> {
        let change = self.core.change(context, Scope::Member(member, &request.name), request).await?;
        let mut fields = Fields::new();
        if request.reason.trim().is_empty() {
            fields.wrong("reason", "is needed: why it is counted anew, for example a new price list");
        }
        fields.check()?;
        let key = keys::budget(member, bill_to, year);
        self.core
            .commit(&change, || async {
                let found = found(&self.core, &key, &request.name).await?;
                let next = counted(&self.core.store, &found.value, context.now).await?;
                let drifts = found.value.drift(&next, Cents::ZERO).map_err(AppError::internal)?;
                let (before, after) = (found.value.committed()?, next.committed()?);
                let audit = self.audit_of_count(context, &change, member, request, (before, after));
                let drifts =
                    drifts.into_iter().map(|Drift { holder, ledger, records }| (holder, ledger, records));
                let answer = Recounted { budget: next.clone(), drifts: drifts.collect() };
                Ok((Txn::new().expect_unchanged(&found).put(&key, &next).and(audit), answer))
            })
            .await
    }

    fn audit_of_count(
        &self,
        context: &Context,
        change: &Change,
        member: &MemberId,
        request: &v1::RecountBudgetRequest,
        (before, after): (Cents, Cents),
    ) -> Txn {
        let summary = format!("neu gezählt: gebunden {before} EUR, danach {after} EUR");
        change.audit(context.row.rpc, Some(member), &request.name, summary, request.reason.trim())
    }

    /// One budget.
    ///
    /// # Errors
    /// NOT_FOUND, also where the caller may not know of it.
    pub async fn get(
        &self,
        context: &Context,
        (member, bill_to, year): Path<'_>,
        name: &str,
    ) -> Result<Versioned<Budget>, AppError> {
        self.core.authorizer.require(context, Scope::Member(member, name)).await?;
        found(&self.core, &keys::budget(member, bill_to, year), name).await
    }

    /// A member's budgets.
    ///
    /// # Errors
    /// Refusal, or a page token of another list.
    pub async fn list(
        &self,
        context: &Context,
        member: &MemberId,
        name: &str,
        page: &PageRequest,
    ) -> Result<Page<Versioned<Budget>>, AppError> {
        self.core.authorizer.require(context, Scope::Member(member, name)).await?;
        let mut found = self.core.page(&keys::budgets(member), page).await?;
        found.items.retain(|row| row.value.counted.is_some());
        Ok(found)
    }
}

/// A budget that was set: one that is only being opened is none.
async fn found(
    core: &Core,
    key: &allmende_store::Key<Budget>,
    name: &str,
) -> Result<Versioned<Budget>, AppError> {
    let found = core.store.find(key).await?.filter(|found| found.value.counted.is_some());
    found.ok_or_else(|| AppError::not_found(name))
}

fn read(year: BudgetYear, request: &v1::SetBudgetRequest, context: &Context) -> Result<Limit, AppError> {
    let mut fields = Fields::new();
    let this = BudgetYear::of_time(context.now)?;
    if year != this && year != this.following() {
        fields.wrong("name", format!("the year must be {this} or {}", this.following()));
    }
    let cents = convert::read_money(&mut fields, "limit", request.limit.as_ref());
    let mode = match request.mode() {
        v1::budget::Mode::Block => Some(Mode::Block),
        v1::budget::Mode::Ask => Some(Mode::Ask),
        v1::budget::Mode::Report => Some(Mode::Report),
        v1::budget::Mode::Unspecified => {
            fields.wrong("mode", "must be BLOCK, ASK or REPORT");
            None
        }
    };
    if request.resolution.trim().is_empty() {
        fields.wrong("resolution", "the number of the resolution (Beschluss-Nr.) is needed");
    }
    let (cents, mode) = fields.finish(cents.zip(mode))?;
    Ok(Limit { cents, mode, resolution: request.resolution.trim().to_owned() })
}
