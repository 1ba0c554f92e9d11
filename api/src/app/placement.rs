//! A tenant with everything that a change of what it holds compares: its record, its desired record, and the member's quota account.

use allmende_domain::{
    account::{QuotaAccount, ReserveError},
    cluster::Cluster,
    desired::{DesiredBody, DesiredRecord, DesiredTenant},
    ids::{ClusterId, InstanceId, MemberId, TenantId},
    resources::{Resources, Shortfall},
    tenant::{State, Tenant},
};
use allmende_store::{Store, Txn, Versioned, keys};

use crate::error::{AppError, QuotaBar};

/// See the module.
#[derive(Debug)]
pub struct Placement {
    /// The tenant.
    pub tenant: Versioned<Tenant>,
    /// What its cluster is asked for.
    pub desired: Versioned<DesiredRecord>,
    /// What the member has reserved on that cluster.
    pub account: Versioned<QuotaAccount>,
}

impl Placement {
    /// Loads all three.
    ///
    /// # Errors
    /// NOT_FOUND for the tenant.
    pub async fn load(
        store: &Store,
        member: &MemberId,
        tenant: &TenantId,
        name: &str,
    ) -> Result<Self, AppError> {
        let tenant =
            store.find(&keys::tenant(member, tenant)).await?.ok_or_else(|| AppError::not_found(name))?;
        let value = &tenant.value;
        let desired = store
            .find(&keys::desired_tenant(&value.cluster, member, &value.id))
            .await?
            .ok_or_else(|| AppError::internal(format!("{name} has no desired record")))?;
        let account = store
            .find(&keys::account(member, &value.cluster))
            .await?
            .ok_or_else(|| AppError::internal(format!("{name} has no quota account")))?;
        Ok(Self { tenant, desired, account })
    }

    /// What the cluster is asked for, as a tenant.
    ///
    /// # Errors
    /// A defect.
    pub fn desired_tenant(&self) -> Result<&DesiredTenant, AppError> {
        match &self.desired.value.body {
            DesiredBody::Tenant(tenant) => Ok(tenant),
            DesiredBody::Instance(_) => {
                Err(AppError::internal("a tenant's desired record holds an instance"))
            }
        }
    }

    /// Refuses while the tenant is being deleted.
    ///
    /// # Errors
    /// FAILED_PRECONDITION.
    pub fn must_live(&self) -> Result<(), AppError> {
        if self.tenant.value.state == State::Deleting {
            let description = "is being deleted: wait until it is gone".to_owned();
            return Err(AppError::WrongState { resource: self.tenant.value.name(), description });
        }
        Ok(())
    }

    /// The transaction that writes tenant and desired record anew with the next generation, and compares all three.
    pub fn write(
        &self,
        tenant: Tenant,
        desired: DesiredTenant,
        account: &QuotaAccount,
        deleting: bool,
    ) -> Txn {
        let generation = self.tenant.value.generation.saturating_add(1);
        let record = DesiredRecord {
            generation,
            deleting: deleting || self.desired.value.deleting,
            body: DesiredBody::Tenant(Box::new(desired)),
            ..self.desired.value.clone()
        };
        let tenant = Tenant { generation, ..tenant };
        Txn::new()
            .expect_unchanged(&self.tenant)
            .put(&self.tenant.key, &tenant)
            .expect_unchanged(&self.desired)
            .put(&self.desired.key, &record)
            .expect_unchanged(&self.account)
            .put(&self.account.key, account)
    }

    /// The same tenant with an instance's footprint added to its services namespace (or taken away: none).
    ///
    /// # Errors
    /// A defect.
    pub fn with_footprint(
        &self,
        instance: &InstanceId,
        footprint: Option<Resources>,
    ) -> Result<DesiredTenant, AppError> {
        let mut desired = self.desired_tenant()?.clone();
        match footprint {
            Some(footprint) => {
                desired.services = true;
                desired.footprints.insert(instance.clone(), footprint);
            }
            None => {
                desired.footprints.remove(instance);
            }
        }
        Ok(desired)
    }
}

/// Refuses extended resources that a cluster does not give out; `field` is where they were asked for.
///
/// # Errors
/// INVALID_ARGUMENT with the names that are known there.
pub fn must_give_out(cluster: &Cluster, field: &str, asked: &Resources) -> Result<(), AppError> {
    let unknown = asked.extended.unknown(&cluster.capacity.extended);
    if unknown.is_empty() {
        return Ok(());
    }
    let list = |names: Vec<String>| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let unknown = list(unknown.iter().map(ToString::to_string).collect());
    let known = list(cluster.capacity.extended.iter().map(|(name, _)| name.to_string()).collect());
    let text = format!(
        "{unknown}: clusters/{} does not give this out; extended resources there: {known}",
        cluster.id
    );
    Err(AppError::invalid(field, text))
}

/// As [`must_give_out`], for a change that has not read the cluster. Reads it only when extended resources are asked for.
///
/// # Errors
/// As [`must_give_out`]; also when there is no such cluster.
pub async fn must_be_known(
    store: &Store,
    cluster: &ClusterId,
    field: &str,
    asked: &Resources,
) -> Result<(), AppError> {
    if asked.extended.is_empty() {
        return Ok(());
    }
    let found = store.find(&keys::cluster(cluster)).await?;
    let found = found.ok_or_else(|| AppError::invalid(field, format!("there is no clusters/{cluster}")))?;
    must_give_out(&found.value, field, asked)
}

/// A refusal to reserve, for the client.
pub fn reserve_error(member: &MemberId, cluster: &ClusterId, error: ReserveError) -> AppError {
    let subject = format!("members/{member}/entitlements/{cluster}");
    let client = |shortfalls: Vec<Shortfall>| shortfalls.into_iter().map(Into::into).collect();
    match error {
        ReserveError::Exceeded(shortfalls) => {
            AppError::QuotaExceeded { subject, shortfalls: client(shortfalls) }
        }
        ReserveError::OverEntitlement { shortfalls, resolve_by } => AppError::QuotaBarred {
            subject,
            shortfalls: client(shortfalls),
            bar: QuotaBar::OverEntitlement { resolve_by },
        },
        ReserveError::OnRecalledLoan { shortfalls, loans } => {
            let loans = loans.iter().map(|loan| format!("members/{member}/loans/{loan}")).collect();
            let bar = QuotaBar::LoanRecalled { loans };
            AppError::QuotaBarred { subject, shortfalls: client(shortfalls), bar }
        }
        ReserveError::AlreadyHeld(holder) => AppError::AlreadyExists { resource: holder },
        ReserveError::NotHeld(holder) => {
            AppError::internal(format!("{holder} holds no reservation in {subject}"))
        }
        ReserveError::TooManyHolders => AppError::WrongState {
            resource: subject,
            description: "holds the most reservations it can".to_owned(),
        },
        ReserveError::Amount(error) => error.into(),
    }
}
