//! Service accounts and their credentials as messages.

use allmende_domain::{
    grant::{Right, RightSource, Role},
    ids::{MemberId, ServiceAccountId, TenantId},
    revocation::Revocation,
    service_account::{AccountCredential, AccountScope, ServiceAccount},
};
use allmende_proto::v1;
use jiff::Timestamp;

use super::{
    fields::{Fields, time},
    grant::{read_role, write_role},
};
use crate::{app::service_account::principal, error::AppError, names};

/// What can be changed.
const PATHS: [&str; 5] = ["display_name", "scopes", "self_renew", "disabled", "expire_time"];
/// Where the message lies in the requests.
const PATH: &str = "service_account";

/// `members/{member}/serviceAccounts/{service_account}`.
pub fn name(account: &ServiceAccount) -> String {
    format!("members/{}/serviceAccounts/{}", account.member, account.id)
}

/// A new account of a member, made by `by` now.
pub fn read(
    fields: &mut Fields,
    message: &v1::ServiceAccount,
    (member, id): (&MemberId, ServiceAccountId),
    (by, now): (&str, Timestamp),
    grantable: &[Role],
) -> Option<ServiceAccount> {
    let account = ServiceAccount {
        member: member.clone(),
        id,
        display_name: message.display_name.trim().to_owned(),
        scopes: read_scopes(fields, member, &message.scopes),
        self_renew: message.self_renew,
        disabled: message.disabled,
        expire_time: read_end(fields, message),
        created_by: by.to_owned(),
        create_time: now,
        update_time: now,
        credentials: Vec::new(),
    };
    check(fields, &account, message, grantable);
    Some(account)
}

/// The account with what the mask names changed.
///
/// # Errors
/// All wrong fields at once.
pub fn changed(
    account: &ServiceAccount,
    message: &v1::ServiceAccount,
    mask: &[String],
    grantable: &[Role],
    now: Timestamp,
) -> Result<ServiceAccount, AppError> {
    let mut fields = Fields::new();
    let mut next = ServiceAccount { update_time: now, ..account.clone() };
    if mask.is_empty() {
        fields.wrong("update_mask", format!("must name what changes: {}", PATHS.join(", ")));
    }
    for path in mask {
        match path.as_str() {
            "display_name" => message.display_name.trim().clone_into(&mut next.display_name),
            "scopes" => next.scopes = read_scopes(&mut fields, &account.member, &message.scopes),
            "self_renew" => next.self_renew = message.self_renew,
            "disabled" => next.disabled = message.disabled,
            "expire_time" => next.expire_time = read_end(&mut fields, message),
            other => {
                let paths = PATHS.join(", ");
                fields.wrong("update_mask", format!("{other} cannot be changed; only {paths}"));
            }
        }
    }
    // What cannot be read is told once, as what it is.
    if fields.is_sound() {
        fields.wrong_under(PATH, next.violations(grantable));
    }
    fields.finish(Some(next))
}

/// The rules over the whole; scopes that could not be read are told already.
fn check(fields: &mut Fields, account: &ServiceAccount, message: &v1::ServiceAccount, grantable: &[Role]) {
    let unread = account.scopes.len() != message.scopes.len();
    let violations = account.violations(grantable);
    let told = |field: &str| unread && field.starts_with("scopes");
    fields.wrong_under(PATH, violations.into_iter().filter(|wrong| !told(&wrong.field)).collect());
}

fn read_end(fields: &mut Fields, message: &v1::ServiceAccount) -> Option<Timestamp> {
    let given = message.expire_time.as_ref()?;
    fields.time("service_account.expire_time", Some(given))
}

fn read_scopes(
    fields: &mut Fields,
    member: &MemberId,
    messages: &[v1::ServiceAccountScope],
) -> Vec<AccountScope> {
    let scope = |(index, message): (usize, &v1::ServiceAccountScope)| {
        let path = |name: &str| format!("{PATH}.scopes[{index}].{name}");
        let role = read_role(message.role);
        if role.is_none() {
            let text = "must be VIEWER, ORDERER, APPROVER, ACCOUNTANT, AUDITOR or ADMIN";
            fields.wrong(path("role"), text);
        }
        let tenant = match read_tenant(member, &message.tenant) {
            Ok(tenant) => Some(tenant),
            Err(text) => {
                fields.wrong(path("tenant"), text);
                None
            }
        };
        Some(AccountScope { role: role?, tenant: tenant?, read_only: message.read_only })
    };
    // More than can be right are not looked at: the number alone is told.
    messages.iter().take(64).enumerate().filter_map(scope).collect()
}

/// None: the whole member.
fn read_tenant(member: &MemberId, name: &str) -> Result<Option<TenantId>, &'static str> {
    if name.is_empty() {
        return Ok(None);
    }
    match names::tenant(name) {
        Ok((owner, tenant)) if owner == *member => Ok(Some(tenant)),
        _ => Err("must be a tenant of this member: members/{member}/tenants/{tenant}"),
    }
}

/// An account with its etag.
pub fn write(account: &ServiceAccount, etag: String) -> v1::ServiceAccount {
    let scope = |scope: &AccountScope| v1::ServiceAccountScope {
        role: write_role(scope.role).into(),
        tenant: tenant_name(account, scope),
        read_only: scope.read_only,
    };
    v1::ServiceAccount {
        name: name(account),
        display_name: account.display_name.clone(),
        scopes: account.scopes.iter().map(scope).collect(),
        self_renew: account.self_renew,
        disabled: account.disabled,
        expire_time: account.expire_time.map(time),
        principal: principal(&account.member, &account.id),
        created_by: account.created_by.clone(),
        create_time: Some(time(account.create_time)),
        update_time: Some(time(account.update_time)),
        etag,
    }
}

fn tenant_name(account: &ServiceAccount, scope: &AccountScope) -> String {
    let tenant = scope.tenant.as_ref();
    tenant.map(|tenant| format!("members/{}/tenants/{tenant}", account.member)).unwrap_or_default()
}

/// What it may do, for the audit.
pub fn scopes_in_words(account: &ServiceAccount) -> String {
    let scope = |scope: &AccountScope| {
        let tenant = scope.tenant.as_ref().map(|tenant| format!(" in {tenant}")).unwrap_or_default();
        format!("{}{tenant}{}", scope.role, if scope.read_only { ", nur lesend" } else { "" })
    };
    account.scopes.iter().map(scope).collect::<Vec<_>>().join("; ")
}

/// The scopes as lines of the report of rights.
pub fn rights(account: &ServiceAccount) -> Vec<Right> {
    let right = |scope: &AccountScope| Right {
        member: Some(account.member.clone()),
        principal: principal(&account.member, &account.id),
        role: scope.role,
        source: RightSource::ServiceAccount,
        // Since when a scope is there is in the audit.
        valid_from: Some(account.create_time),
        valid_until: account.expire_time,
        deputy: false,
        granted_by: account.created_by.clone(),
        grant: None,
        tenant: scope.tenant.clone(),
        read_only: scope.read_only,
    };
    if account.disabled { Vec::new() } else { account.scopes.iter().map(right).collect() }
}

/// A credential; its certificate apart.
pub fn write_credential(account: &str, credential: &AccountCredential) -> v1::ServiceAccountCredential {
    v1::ServiceAccountCredential {
        name: format!("{account}/credentials/{}", credential.id),
        serial: credential.current.serial.clone(),
        issued_by: credential.issued_by.clone(),
        issue_time: Some(time(credential.issue_time)),
        expire_time: Some(time(credential.current.not_after)),
        renewals: i32::try_from(credential.renewals).unwrap_or(i32::MAX),
    }
}

/// What is refused of a principal.
pub fn write_revocation(revocation: &Revocation) -> v1::CertificateRevocation {
    v1::CertificateRevocation {
        principal: revocation.principal.clone(),
        issued_before: revocation.issued_before.map(time),
        serials: revocation.certificates.iter().map(|one| one.serial.clone()).collect(),
        end_time: revocation.ends.map(time),
        update_time: Some(time(revocation.update_time)),
    }
}
