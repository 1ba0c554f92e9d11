//! Prices, keys, pots, issuer: dated data by resolution. Runs: accepted and finalised here, worked off by the billing worker.

use allmende_domain::{
    issuer::Issuer,
    period::{Period, day_in_berlin},
    run::{Run, RunState},
};
use allmende_proto::v1;
use allmende_store::{Key, Range, Record, Txn, Versioned, keys};
use jiff::Timestamp;

use super::member::check_etag;
use crate::{
    authz::Scope,
    context::Context,
    convert::{billing as convert, fields::Fields},
    core::{Change, Core},
    error::AppError,
    names,
    pagination::{Page, PageRequest},
};

/// Use cases of the treasurer.
#[derive(Clone)]
pub struct Billing {
    /// Shared parts.
    pub core: Core,
}

impl Billing {
    /// Creates a dated record that never changes after.
    ///
    /// # Errors
    /// ALREADY_EXISTS.
    async fn create<T: Record + std::fmt::Debug>(
        &self,
        context: &Context,
        change: &Change,
        (key, name): (Key<T>, &str),
        record: T,
        resolution: &str,
    ) -> Result<T, AppError> {
        self.core
            .commit(change, || async {
                if self.core.store.find(&key).await?.is_some() {
                    return Err(AppError::AlreadyExists { resource: name.to_owned() });
                }
                let audit = change.audit(context.row.rpc, None, name, "angelegt".to_owned(), resolution);
                Ok((Txn::new().expect_absent(&key).put(&key, &record).and(audit), record.clone()))
            })
            .await
    }

    /// A list of such records, for everybody or for the cooperative as the table says.
    ///
    /// # Errors
    /// Refusal, or a page token of another list.
    pub async fn list<T: Record>(
        &self,
        context: &Context,
        range: &Range<T>,
        page: &PageRequest,
    ) -> Result<Page<Versioned<T>>, AppError> {
        self.core.authorizer.require(context, Scope::Cooperative).await?;
        self.core.page(range, page).await
    }

    /// Creates a price list.
    ///
    /// # Errors
    /// All wrong fields at once; ALREADY_EXISTS.
    pub async fn create_price_list(
        &self,
        context: &Context,
        request: &v1::CreatePriceListRequest,
    ) -> Result<v1::PriceList, AppError> {
        let change = self.core.change(context, Scope::Cooperative, request).await?;
        let mut fields = Fields::new();
        let id = fields.parse("price_list_id", &request.price_list_id);
        let list = convert::read_price_list(&mut fields, id, request.price_list.as_ref());
        let list = fields.finish(list)?;
        let (key, name) = (keys::price_list(&list.id), format!("priceLists/{}", list.id));
        let resolution = list.resolution.clone();
        let made = self.create(context, &change, (key, &name), list, &resolution).await?;
        Ok(convert::write_price_list(&made, String::new()))
    }

    /// Creates an allocation key.
    ///
    /// # Errors
    /// All wrong fields at once; ALREADY_EXISTS.
    pub async fn create_key(
        &self,
        context: &Context,
        request: &v1::CreateAllocationKeyRequest,
    ) -> Result<v1::AllocationKey, AppError> {
        let change = self.core.change(context, Scope::Cooperative, request).await?;
        let mut fields = Fields::new();
        let id = fields.parse("key_id", &request.key_id);
        let key_record = convert::read_key(&mut fields, id, request.key.as_ref());
        let record = fields.finish(key_record)?;
        let (key, name) = (keys::allocation_key(&record.id), format!("keys/{}", record.id));
        let resolution = record.resolution.clone();
        let made = self.create(context, &change, (key, &name), record, &resolution).await?;
        Ok(convert::write_key(&made, String::new()))
    }

    /// Creates a pot in an open period.
    ///
    /// # Errors
    /// All wrong fields at once; PERIOD_CLOSED; ALREADY_EXISTS.
    pub async fn create_pot(
        &self,
        context: &Context,
        request: &v1::CreatePotRequest,
    ) -> Result<v1::Pot, AppError> {
        let change = self.core.change(context, Scope::Cooperative, request).await?;
        let mut fields = Fields::new();
        let id = fields.parse("pot_id", &request.pot_id);
        let pot = convert::read_pot(&mut fields, id, request.pot.as_ref());
        if let Some(pot) = &pot
            && self.core.store.find(&keys::allocation_key(&pot.key)).await?.is_none()
        {
            fields.wrong("pot.key", "there is no such key");
        }
        let pot = fields.finish(pot)?;
        let (key, name) = (keys::pot(&pot.id), format!("pots/{}", pot.id));
        let made = self
            .core
            .commit(&change, || async {
                let store = &self.core.store;
                if store.find(&key).await?.is_some() {
                    return Err(AppError::AlreadyExists { resource: name.clone() });
                }
                // Compared, so that a pot cannot slip into a period that is being closed and then never be billed.
                let period_key = keys::period(pot.period);
                let state = store.find(&period_key).await?;
                if state.as_ref().is_some_and(|state| state.value.closed) {
                    return Err(AppError::PeriodClosed { period: pot.period.to_string() });
                }
                let txn = Txn::new()
                    .expect_as_read(&period_key, state.as_ref())
                    .expect_absent(&key)
                    .put(&key, &pot)
                    .and(change.audit(context.row.rpc, None, &name, "angelegt".to_owned(), &pot.resolution));
                Ok((txn, pot.clone()))
            })
            .await?;
        Ok(convert::write_pot(&made, String::new()))
    }

    /// Sets who issues the invoices; issued ones keep theirs.
    ///
    /// # Errors
    /// All wrong fields at once.
    pub async fn set_issuer(
        &self,
        context: &Context,
        request: &v1::SetIssuerRequest,
    ) -> Result<Issuer, AppError> {
        let change = self.core.change(context, Scope::Cooperative, request).await?;
        let mut fields = Fields::new();
        let issuer = convert::read_issuer(&mut fields, request.issuer.as_ref());
        let issuer = fields.finish(issuer)?;
        let key = keys::issuer();
        self.core
            .commit(&change, || async {
                let found = self.core.store.find(&key).await?;
                let audit = change.audit(context.row.rpc, None, "issuer", issuer.legal_name.clone(), "");
                let txn = Txn::new().expect_as_read(&key, found.as_ref()).put(&key, &issuer).and(audit);
                Ok((txn, issuer.clone()))
            })
            .await
    }

    /// Who issues the invoices.
    ///
    /// # Errors
    /// NOT_FOUND before one was set.
    pub async fn issuer(&self, context: &Context) -> Result<Versioned<Issuer>, AppError> {
        self.core.authorizer.require(context, Scope::Cooperative).await?;
        self.core.store.find(&keys::issuer()).await?.ok_or_else(|| AppError::not_found("issuer"))
    }

    /// Starts the closing of a period.
    ///
    /// # Errors
    /// Before the period's end, without a cluster's watermark or a decision, a second run, a missing issuer.
    pub async fn create_run(
        &self,
        context: &Context,
        request: &v1::CreateRunRequest,
    ) -> Result<Run, AppError> {
        let change = self.core.change(context, Scope::Cooperative, request).await?;
        let mut fields = Fields::new();
        let period: Option<Period> = fields.parse("period", &request.period);
        let issue_date = if request.issue_date.is_empty() {
            day_in_berlin(context.now).ok()
        } else {
            fields.date("issue_date", &request.issue_date)
        };
        if let Some(period) = period
            && period.end()? > context.now
        {
            fields.wrong("period", format!("{period} is not over yet"));
        }
        let (period, issue_date) = fields.finish(period.zip(issue_date))?;
        let (key, name) = (keys::run(period), format!("runs/{period}"));
        let decision = request.watermark_decision.trim();
        self.core
            .commit(&change, || async {
                let found = self.core.store.find(&key).await?;
                if found.as_ref().is_some_and(|run| run.value.state != RunState::Failed) {
                    return Err(AppError::AlreadyExists { resource: name.clone() });
                }
                if self.core.store.find(&keys::issuer()).await?.is_none() {
                    let description = "the issuer of invoices is not set: SetIssuer first".to_owned();
                    return Err(AppError::WrongState { resource: name.clone(), description });
                }
                let missing = self.clusters_behind(period.end()?).await?;
                if !missing.is_empty() && decision.is_empty() {
                    return Err(AppError::WatermarkMissing { clusters: missing });
                }
                let run = Run::accepted(period, issue_date, decision, context.now);
                let audit = change.audit(
                    context.row.rpc,
                    None,
                    &name,
                    "Abrechnungslauf begonnen".to_owned(),
                    decision,
                );
                Ok((Txn::new().expect_as_read(&key, found.as_ref()).put(&key, &run).and(audit), run))
            })
            .await
    }

    /// Clusters whose facts are not complete up to `end`. Those registered after it had nothing to say.
    async fn clusters_behind(&self, end: Timestamp) -> Result<Vec<String>, AppError> {
        let (clusters, _) = self.core.store.snapshot(&keys::clusters()).await?;
        let mut behind = Vec::new();
        for cluster in clusters.into_iter().filter(|cluster| cluster.value.create_time < end) {
            let seen = self.core.store.find(&keys::seen(&cluster.value.id)).await?;
            if seen.and_then(|seen| seen.value.watermark).is_none_or(|watermark| watermark < end) {
                behind.push(format!("clusters/{}", cluster.value.id));
            }
        }
        Ok(behind)
    }

    /// One run.
    ///
    /// # Errors
    /// NOT_FOUND.
    pub async fn run(&self, context: &Context, name: &str) -> Result<Versioned<Run>, AppError> {
        self.core.authorizer.require(context, Scope::Cooperative).await?;
        let period: Period = names::single(name, "runs")?.parse().map_err(|_| AppError::not_found(name))?;
        self.core.store.find(&keys::run(period)).await?.ok_or_else(|| AppError::not_found(name))
    }

    /// After review: lets the worker number and issue the drafts.
    ///
    /// # Errors
    /// FAILED_PRECONDITION unless drafts lie for review; a stale etag.
    pub async fn finalize_run(
        &self,
        context: &Context,
        request: &v1::FinalizeRunRequest,
    ) -> Result<Run, AppError> {
        let change = self.core.change(context, Scope::Cooperative, request).await?;
        let name = &request.name;
        let period: Period = names::single(name, "runs")?.parse().map_err(|_| AppError::not_found(name))?;
        let key = keys::run(period);
        self.core
            .commit(&change, || async {
                let found = self.core.store.find(&key).await?.ok_or_else(|| AppError::not_found(name))?;
                check_etag(&found, &request.etag, name)?;
                if found.value.state != RunState::Review {
                    let description =
                        format!("is {:?}; only drafts that lie for review can be issued", found.value.state);
                    return Err(AppError::WrongState { resource: name.clone(), description });
                }
                let run = Run { state: RunState::Issuing, invoices_done: 0, ..found.value.clone() };
                let audit =
                    change.audit(context.row.rpc, None, name, "Festschreibung angenommen".to_owned(), "");
                Ok((Txn::new().expect_unchanged(&found).put(&key, &run).and(audit), run))
            })
            .await
    }
}
