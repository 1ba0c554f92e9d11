//! Resource names (AIP-122): `members/m-05766044/tenants/prod/instances/db`.
//!
//! A name that does not parse names nothing: the answer is NOT_FOUND with the text as sent, as for any id that does not exist, so
//! that a probe learns nothing from the form of the refusal. Fields that *create* a name are checked with INVALID_ARGUMENT instead.

use allmende_domain::{
    ids::{
        BillToId, ClusterId, CredentialId, GrantId, InstanceId, LoanId, MemberId, OfferingId, OperationId,
        PoolRuleId, ServiceAccountId, TenantId,
    },
    quota::projection::BudgetYear,
};

use crate::error::AppError;

/// Splits `members/{}/tenants/{}` by a pattern of collection names; gives the ids.
fn split<'a, const N: usize>(name: &'a str, collections: [&str; N]) -> Result<[&'a str; N], AppError> {
    let unknown = || AppError::not_found(name);
    let mut parts = name.split('/');
    let mut ids = [""; N];
    for (slot, collection) in ids.iter_mut().zip(collections) {
        if parts.next() != Some(collection) {
            return Err(unknown());
        }
        *slot = parts.next().filter(|id| !id.is_empty()).ok_or_else(unknown)?;
    }
    if parts.next().is_some() { Err(unknown()) } else { Ok(ids) }
}

fn id<T: std::str::FromStr>(text: &str, name: &str) -> Result<T, AppError> {
    text.parse().map_err(|_| AppError::not_found(name))
}

/// `members/{member}`.
pub fn member(name: &str) -> Result<MemberId, AppError> {
    let [member] = split(name, ["members"])?;
    id(member, name)
}

/// `members/{member}`, or none for `members/-` (all members).
pub fn member_or_all(name: &str) -> Result<Option<MemberId>, AppError> {
    if name == "members/-" { Ok(None) } else { member(name).map(Some) }
}

/// `members/{member}/billTos/{bill_to}`.
pub fn bill_to(name: &str) -> Result<(MemberId, BillToId), AppError> {
    let [member, bill_to] = split(name, ["members", "billTos"])?;
    Ok((id(member, name)?, id(bill_to, name)?))
}

/// `members/{member}/billTos/{bill_to}/budgets/{year}`.
pub fn budget(name: &str) -> Result<(MemberId, BillToId, BudgetYear), AppError> {
    let [member, bill_to, year] = split(name, ["members", "billTos", "budgets"])?;
    Ok((id(member, name)?, id(bill_to, name)?, id(year, name)?))
}

/// `members/{member}/grants/{grant}`.
pub fn grant(name: &str) -> Result<(MemberId, GrantId), AppError> {
    let [member, grant] = split(name, ["members", "grants"])?;
    Ok((id(member, name)?, id(grant, name)?))
}

/// `members/{member}/serviceAccounts/{service_account}`.
pub fn service_account(name: &str) -> Result<(MemberId, ServiceAccountId), AppError> {
    let [member, account] = split(name, ["members", "serviceAccounts"])?;
    Ok((id(member, name)?, id(account, name)?))
}

/// `members/{member}/serviceAccounts/{service_account}/credentials/{credential}`.
pub fn service_account_credential(
    name: &str,
) -> Result<(MemberId, ServiceAccountId, CredentialId), AppError> {
    let [member, account, credential] = split(name, ["members", "serviceAccounts", "credentials"])?;
    Ok((id(member, name)?, id(account, name)?, id(credential, name)?))
}

/// `members/{member}/tenants/{tenant}`.
pub fn tenant(name: &str) -> Result<(MemberId, TenantId), AppError> {
    let [member, tenant] = split(name, ["members", "tenants"])?;
    Ok((id(member, name)?, id(tenant, name)?))
}

/// `members/{member}/tenants/{tenant}`, or no tenant for `members/{member}/tenants/-`.
pub fn tenant_or_all(name: &str) -> Result<(MemberId, Option<TenantId>), AppError> {
    let [member, tenant] = split(name, ["members", "tenants"])?;
    let tenant = if tenant == "-" { None } else { Some(id(tenant, name)?) };
    Ok((id(member, name)?, tenant))
}

/// `members/{member}/tenants/{tenant}/instances/{instance}`.
pub fn instance(name: &str) -> Result<(MemberId, TenantId, InstanceId), AppError> {
    let [member, tenant, instance] = split(name, ["members", "tenants", "instances"])?;
    Ok((id(member, name)?, id(tenant, name)?, id(instance, name)?))
}

/// `members/{member}/operations/{operation}`.
pub fn operation(name: &str) -> Result<(MemberId, OperationId), AppError> {
    let [member, operation] = split(name, ["members", "operations"])?;
    Ok((id(member, name)?, id(operation, name)?))
}

/// `members/{member}/entitlements/{cluster}`.
pub fn entitlement(name: &str) -> Result<(MemberId, ClusterId), AppError> {
    let [member, cluster] = split(name, ["members", "entitlements"])?;
    Ok((id(member, name)?, id(cluster, name)?))
}

/// `members/{member}/loans/{loan}`.
pub fn loan(name: &str) -> Result<(MemberId, LoanId), AppError> {
    let [member, loan] = split(name, ["members", "loans"])?;
    Ok((id(member, name)?, id(loan, name)?))
}

/// `poolRules/{pool_rule}`.
pub fn pool_rule(name: &str) -> Result<PoolRuleId, AppError> {
    let [rule] = split(name, ["poolRules"])?;
    id(rule, name)
}

/// `poolRules/{pool_rule}/runs/{effective_date}`.
pub fn pool_run(name: &str) -> Result<(PoolRuleId, jiff::civil::Date), AppError> {
    let [rule, day] = split(name, ["poolRules", "runs"])?;
    Ok((id(rule, name)?, day.parse().map_err(|_| AppError::not_found(name))?))
}

/// `members/{member}/invoices/{invoice}`: the invoice part is checked by who looks it up.
pub fn invoice(name: &str) -> Result<(MemberId, String), AppError> {
    let [member, invoice] = split(name, ["members", "invoices"])?;
    Ok((id(member, name)?, invoice.to_owned()))
}

/// `clusters/{cluster}`.
pub fn cluster(name: &str) -> Result<ClusterId, AppError> {
    let [cluster] = split(name, ["clusters"])?;
    id(cluster, name)
}

/// `offerings/{offering}`.
pub fn offering(name: &str) -> Result<OfferingId, AppError> {
    let [offering] = split(name, ["offerings"])?;
    id(offering, name)
}

/// One id under a collection, as text: `runs/2026-09`, `keys/standard`.
pub fn single<'a>(name: &'a str, collection: &str) -> Result<&'a str, AppError> {
    let [id] = split(name, [collection])?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_another_shape_names_nothing() {
        for wrong in [
            "",
            "members",
            "members/",
            "members/m-05766044/",
            "Members/m-05766044",
            "members/../x",
            "x/m-05766044",
        ] {
            assert!(
                matches!(member(wrong), Err(AppError::NotFound { resource }) if resource == wrong),
                "{wrong}"
            );
        }
        assert_eq!(member("members/m-05766044").unwrap().to_string(), "m-05766044");
        assert!(member_or_all("members/-").unwrap().is_none());
        assert!(instance("members/m-05766044/tenants/prod/instances/db").is_ok());
    }
}
