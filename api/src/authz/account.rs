//! What a service account may do: its scopes, as long as the certificate that is shown stands on its list.

use allmende_domain::{ids::MemberId, service_account::ServiceAccount};
use allmende_identity::Identity;
use allmende_store::{Store, keys};

use super::authorizer::Held;
use crate::{context::Context, error::AppError};

/// The account that calls; none: the caller is no service account.
///
/// # Errors
/// Refused alike, whatever the reason: no such account, disabled, ended, or a certificate that is not on its list.
pub(super) async fn caller(store: &Store, context: &Context) -> Result<Option<ServiceAccount>, AppError> {
    let Identity::ServiceAccount { member, account } = &context.caller.identity else { return Ok(None) };
    let (Ok(member), Ok(id), Some(serial)) = (member.parse(), account.parse(), &context.caller.serial) else {
        return Err(AppError::AccountRefused);
    };
    let found = store.find_now(&keys::service_account(&member, &id)).await?;
    let account = found.map(|found| found.value).filter(|account| account.admits(serial, context.now));
    account.map(Some).ok_or(AppError::AccountRefused)
}

/// The roles that it has for this resource of the member in this call.
pub(super) fn held(
    account: &ServiceAccount,
    (member, resource): (&MemberId, &str),
    context: &Context,
) -> Vec<Held> {
    if account.member != *member {
        return Vec::new();
    }
    let reads = context.row.reads();
    let covers = account.scopes.iter().filter(|scope| scope.covers(member, resource, reads));
    covers.map(|scope| scope.role.into()).collect()
}

/// Whether it may know that the resource exists: it is not in a tenant that no scope of it reaches.
pub(super) fn knows_of(account: &ServiceAccount, member: &MemberId, resource: &str) -> bool {
    let in_a_tenant = resource.starts_with(&format!("members/{member}/tenants/"));
    account.member == *member
        && (!in_a_tenant || account.scopes.iter().any(|scope| scope.reaches(member, resource)))
}

/// Its scopes, for a refusal.
pub(super) fn described(account: &ServiceAccount) -> String {
    let scopes = account.scopes.iter().map(|scope| {
        let tenant = scope.tenant.as_ref().map(|tenant| format!(" in tenants/{tenant}")).unwrap_or_default();
        format!("{}{tenant}{}", scope.role, if scope.read_only { " (read only)" } else { "" })
    });
    scopes.collect::<Vec<_>>().join(", ")
}
