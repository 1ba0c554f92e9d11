//! Dividing the pool: rules, what they would do, and carrying them out.

mod keeper;
mod seats;

use allmende_domain::{
    account::QuotaAccount,
    cluster::Cluster,
    ids::PoolRuleId,
    quota::{
        division::{DivideError, Division, Seat, divide},
        outlook::{Outlook, outlook},
        rule::PoolRule,
        run::{PoolRun, PoolRunState},
    },
};
use allmende_proto::v1;
use allmende_store::{Txn, Versioned, keys};
use jiff::civil::Date;
use sha2::{Digest, Sha256};

use crate::{
    authz::Scope,
    context::Context,
    convert::{fields::Fields, pool as convert},
    core::Core,
    error::AppError,
    names,
    pagination::{Page, PageRequest},
};

pub use keeper::PoolKeeper;

/// Use cases over the division of the pool.
#[derive(Clone)]
pub struct Pools {
    /// Shared parts.
    pub core: Core,
}

/// A cluster's division with what it would do.
#[derive(Debug, Clone)]
pub struct Divided {
    /// Who gets what.
    pub division: Division,
    /// Held against what is.
    pub outlook: Vec<Outlook>,
}

impl Pools {
    /// Records a rule.
    ///
    /// # Errors
    /// All wrong fields at once; ALREADY_EXISTS.
    pub async fn create(
        &self,
        context: &Context,
        request: &v1::CreatePoolRuleRequest,
    ) -> Result<PoolRule, AppError> {
        let change = self.core.change(context, Scope::Cooperative, request).await?;
        let mut fields = Fields::new();
        let id: Option<PoolRuleId> = fields.parse("pool_rule_id", &request.pool_rule_id);
        let rule = convert::read(&mut fields, id, request.pool_rule.as_ref(), context.now);
        let rule = fields.finish(rule)?;
        let key = keys::pool_rule(&rule.id);
        let name = format!("poolRules/{}", rule.id);
        self.core
            .commit(&change, || async {
                if self.core.store.find(&key).await?.is_some() {
                    return Err(AppError::AlreadyExists { resource: name.clone() });
                }
                let summary = format!("Verteilungsregel ab {}", rule.valid_from);
                let audit = change.audit(context.row.rpc, None, &name, summary, &rule.resolution);
                Ok((Txn::new().expect_absent(&key).put(&key, &rule).and(audit), rule.clone()))
            })
            .await
    }

    /// One rule.
    ///
    /// # Errors
    /// NOT_FOUND.
    pub async fn get(&self, context: &Context, id: &PoolRuleId, name: &str) -> Result<PoolRule, AppError> {
        self.core.authorizer.require(context, Scope::Known).await?;
        Ok(self.rule(id, name).await?.value)
    }

    /// All rules.
    ///
    /// # Errors
    /// Refusal, or a page token of another list.
    pub async fn list(
        &self,
        context: &Context,
        page: &PageRequest,
    ) -> Result<Page<Versioned<PoolRule>>, AppError> {
        self.core.authorizer.require(context, Scope::Known).await?;
        self.core.page(&keys::pool_rules(), page).await
    }

    /// What a rule would do, also with other shares. Stores nothing.
    ///
    /// # Errors
    /// All wrong fields at once; what cannot be divided.
    pub async fn preview(
        &self,
        context: &Context,
        request: &v1::PreviewDivisionRequest,
    ) -> Result<Vec<Divided>, AppError> {
        self.core.authorizer.require(context, Scope::Cooperative).await?;
        let mut fields = Fields::new();
        let rule = if request.name.is_empty() {
            let id: Option<PoolRuleId> = fields.parse("pool_rule", "preview");
            convert::read(&mut fields, id, request.pool_rule.as_ref(), context.now)
        } else {
            Some(self.rule(&names::pool_rule(&request.name)?, &request.name).await?.value)
        };
        let shares = convert::read_shares(&mut fields, &request.shares);
        let effective = effective_date(&mut fields, &request.effective_date);
        let rule = fields.finish(rule)?;
        let effective = effective.unwrap_or(rule.valid_from);
        let mut seats = self.seats(&rule, effective).await?;
        if let Some(stranger) = shares.keys().find(|member| !seats.iter().any(|seat| seat.member == **member))
        {
            let field = format!("shares[members/{stranger}]");
            return Err(AppError::invalid(field, "is no member on that day"));
        }
        for seat in &mut seats {
            seat.shares = shares.get(&seat.member).copied().unwrap_or(seat.shares);
        }
        self.divided(&rule, &seats).await
    }

    /// Begins to carry a rule out.
    ///
    /// # Errors
    /// NOT_FOUND; a day that has not begun; a run that is under way; what cannot be divided.
    pub async fn apply(
        &self,
        context: &Context,
        id: &PoolRuleId,
        request: &v1::ApplyPoolRuleRequest,
    ) -> Result<PoolRun, AppError> {
        let change = self.core.change(context, Scope::Cooperative, request).await?;
        let rule = self.rule(id, &request.name).await?;
        let today = allmende_domain::period::day_in_berlin(context.now)?;
        let mut fields = Fields::new();
        let wish = effective_date(&mut fields, &request.effective_date);
        let effective = wish.unwrap_or_else(|| today.first_of_month().max(rule.value.valid_from));
        if effective < rule.value.valid_from {
            fields.wrong("effective_date", format!("the rule is in force from {}", rule.value.valid_from));
        }
        fields.check()?;
        if effective > today {
            let description = format!("takes effect on {effective}, with a period: apply it then");
            return Err(AppError::WrongState { resource: request.name.clone(), description });
        }
        let seats = self.seats(&rule.value, effective).await?;
        let divided = self.divided(&rule.value, &seats).await?;
        let run = PoolRun {
            rule: id.clone(),
            effective,
            principal: change.actor.principal.clone(),
            state: PoolRunState::Dividing,
            digest: digest(&divided)?,
            done_to: None,
            done: 0,
            total: total(&divided),
            unsettled: 0,
            start_time: context.now,
            end_time: None,
        };
        let key = keys::pool_run(id, effective);
        self.core
            .commit(&change, || async {
                let found = self.core.store.find(&key).await?;
                let (all, _) = self.core.store.snapshot(&keys::pool_runs()).await?;
                // Two at once would set the same entitlements to and fro.
                if let Some(other) = all.iter().find(|run| run.value.state == PoolRunState::Dividing) {
                    let description = "is being carried out: wait until all entitlements are set".to_owned();
                    let resource = format!("poolRules/{}/runs/{}", other.value.rule, other.value.effective);
                    return Err(AppError::WrongState { resource, description });
                }
                let summary = format!("Verteilung zum {effective}: {} Ansprüche", run.total);
                let resolution = &rule.value.resolution;
                let audit = change.audit(context.row.rpc, None, &request.name, summary, resolution);
                let txn = Txn::new()
                    .expect_unchanged(&rule)
                    .expect_as_read(&key, found.as_ref())
                    .put(&key, &run)
                    .and(audit);
                Ok((txn, run.clone()))
            })
            .await
    }

    /// How far a run is.
    ///
    /// # Errors
    /// NOT_FOUND.
    pub async fn run(
        &self,
        context: &Context,
        (rule, effective): (&PoolRuleId, Date),
        name: &str,
    ) -> Result<PoolRun, AppError> {
        self.core.authorizer.require(context, Scope::Cooperative).await?;
        let found = self.core.store.find(&keys::pool_run(rule, effective)).await?;
        found.map(|found| found.value).ok_or_else(|| AppError::not_found(name))
    }

    async fn rule(&self, id: &PoolRuleId, name: &str) -> Result<Versioned<PoolRule>, AppError> {
        self.core.store.find(&keys::pool_rule(id)).await?.ok_or_else(|| AppError::not_found(name))
    }

    /// Every cluster's division, with the accounts as they are.
    async fn divided(&self, rule: &PoolRule, seats: &[Seat]) -> Result<Vec<Divided>, AppError> {
        let (clusters, _) = self.core.store.snapshot(&keys::clusters()).await?;
        let (accounts, _) = self.core.store.snapshot(&keys::accounts_all()).await?;
        let accounts: Vec<QuotaAccount> = accounts.into_iter().map(|account| account.value).collect();
        let known: Vec<Cluster> = clusters.into_iter().map(|cluster| cluster.value).collect();
        if let Some(fixed) = rule.fixed.iter().find(|fixed| !known.iter().any(|one| one.id == fixed.cluster))
        {
            let text = format!("fixed: there is no cluster {}", fixed.cluster);
            return Err(AppError::invalid("pool_rule.fixed", text));
        }
        known
            .iter()
            .map(|cluster| {
                let division = divide(rule, &cluster.id, &cluster.capacity, seats)
                    .map_err(|error| divide_error(cluster, error))?;
                let outlook = outlook(&division, &accounts)?;
                Ok(Divided { division, outlook })
            })
            .collect()
    }
}

/// What a division was computed to: another one has another digest.
fn digest(divided: &[Divided]) -> Result<String, AppError> {
    let rows: Vec<_> = divided.iter().map(|one| (&one.division.cluster, &one.division.rows)).collect();
    let text = serde_json::to_vec(&rows).map_err(AppError::internal)?;
    Ok(hex::encode(Sha256::digest(text)))
}

/// How many entitlements are set.
fn total(divided: &[Divided]) -> u32 {
    u32::try_from(divided.iter().map(|one| one.outlook.len()).sum::<usize>()).unwrap_or(u32::MAX)
}

fn effective_date(fields: &mut Fields, text: &str) -> Option<Date> {
    if text.is_empty() {
        return None;
    }
    let day = fields.date("effective_date", text)?;
    if day.day() != 1 {
        fields.wrong("effective_date", "must be the first day of a calendar month");
    }
    Some(day)
}

fn divide_error(cluster: &Cluster, error: DivideError) -> AppError {
    match error {
        DivideError::FixedExceeds(short) => AppError::QuotaExceeded {
            subject: format!("clusters/{}", cluster.id),
            shortfalls: short.into_iter().map(Into::into).collect(),
        },
        DivideError::Amount(error) => error.into(),
        error @ (DivideError::Part(..) | DivideError::FixedForNobody(_)) => {
            AppError::invalid("pool_rule", error.to_string())
        }
    }
}
