//! Service accounts: identities of a member's programs, made by its admin; their credentials are in [`credential`].

mod credential;

use std::sync::Arc;

use allmende_domain::{
    grant::Role,
    ids::{MemberId, ServiceAccountId},
    revocation::Revocation,
    service_account::{ACCOUNTS_MAX, ServiceAccount},
};
use allmende_identity::{Identity, signer::Signer};
use allmende_proto::v1;
use allmende_store::{Txn, Versioned, keys};

use super::{member::check_etag, revocation::Pending};
use crate::{
    authz::{Scope, authorizer::Actor},
    context::Context,
    convert::{fields::Fields, service_account as convert},
    core::Core,
    error::AppError,
    pagination::{Page, PageRequest},
};
pub use credential::IssuedCredential;

/// Use cases over service accounts.
#[derive(Clone)]
pub struct ServiceAccounts {
    /// Shared parts.
    pub core: Core,
    /// Who signs; none: certificates come from elsewhere, and no account gets one.
    pub signer: Option<Arc<dyn Signer>>,
}

/// Whom the certificates of an account name.
pub fn principal(member: &MemberId, id: &ServiceAccountId) -> String {
    Identity::ServiceAccount { member: member.to_string(), account: id.to_string() }.to_string()
}

/// The roles that who acts may give to an account: those that it may grant.
fn grantable(actor: &Actor) -> &'static [Role] {
    let role = Role::ALL.into_iter().find(|role| role.to_string() == actor.role);
    role.map_or(&[], Role::grantable)
}

impl ServiceAccounts {
    async fn found(
        &self,
        member: &MemberId,
        id: &ServiceAccountId,
        name: &str,
    ) -> Result<Versioned<ServiceAccount>, AppError> {
        let found = self.core.store.find(&keys::service_account(member, id)).await?;
        found.ok_or_else(|| AppError::not_found(name))
    }

    /// Makes an account, without a credential.
    ///
    /// # Errors
    /// Refusal; all wrong fields at once; ALREADY_EXISTS; WRONG_STATE when the member has too many.
    pub async fn create(
        &self,
        context: &Context,
        member: &MemberId,
        request: &v1::CreateServiceAccountRequest,
    ) -> Result<ServiceAccount, AppError> {
        let change = self.core.change(context, Scope::Member(member, &request.parent), request).await?;
        let mut fields = Fields::new();
        let id = fields.parse::<ServiceAccountId>("service_account_id", &request.service_account_id);
        let message = fields.needed("service_account", request.service_account.as_ref());
        let account = id.zip(message).and_then(|(id, message)| {
            let by = (change.actor.principal.as_str(), context.now);
            convert::read(&mut fields, message, (member, id), by, grantable(&change.actor))
        });
        let account = fields.finish(account)?;
        let name = convert::name(&account);
        let key = keys::service_account(member, &account.id);
        self.core
            .commit(&change, || async {
                must_end_later(&account, context)?;
                let owner = self.core.store.find(&keys::member(member)).await?;
                let owner = owner.ok_or_else(|| AppError::not_found(&request.parent))?;
                let (others, _) = self.core.store.snapshot(&keys::service_accounts(member)).await?;
                if others.iter().any(|other| other.value.id == account.id) {
                    return Err(AppError::AlreadyExists { resource: name.clone() });
                }
                if others.len() >= ACCOUNTS_MAX {
                    let description =
                        format!("has {ACCOUNTS_MAX} service accounts already: delete one first");
                    return Err(AppError::WrongState { resource: request.parent.clone(), description });
                }
                let summary = format!("Dienstkonto: {}", convert::scopes_in_words(&account));
                let audit = change.audit(context.row.rpc, Some(member), &name, summary, "");
                let ends = self.with_end(&account, |revocation| revocation.clone(), context).await?;
                let txn = Txn::new().expect_unchanged(&owner).expect_absent(&key).put(&key, &account);
                Ok((txn.and(ends).and(audit), account.clone()))
            })
            .await
    }

    /// One account.
    ///
    /// # Errors
    /// NOT_FOUND, also where the caller may not know of it.
    pub async fn get(
        &self,
        context: &Context,
        (member, id): (&MemberId, &ServiceAccountId),
        name: &str,
    ) -> Result<Versioned<ServiceAccount>, AppError> {
        self.core.authorizer.require(context, Scope::Account(member, id, name)).await?;
        self.found(member, id, name).await
    }

    /// A member's accounts.
    ///
    /// # Errors
    /// Refusal, or a page token of another list.
    pub async fn list(
        &self,
        context: &Context,
        member: &MemberId,
        name: &str,
        page: &PageRequest,
    ) -> Result<Page<Versioned<ServiceAccount>>, AppError> {
        self.core.authorizer.require(context, Scope::Member(member, name)).await?;
        self.core.page(&keys::service_accounts(member), page).await
    }

    /// Changes what people set. Open connections are cut, so that a stream goes on under the new scopes or not at all; disabling ends all
    /// credentials.
    ///
    /// # Errors
    /// NOT_FOUND; a stale etag; all wrong fields at once.
    pub async fn update(
        &self,
        context: &Context,
        (member, id): (&MemberId, &ServiceAccountId),
        request: &v1::UpdateServiceAccountRequest,
    ) -> Result<ServiceAccount, AppError> {
        let message = request.service_account.clone().unwrap_or_default();
        let name = &message.name;
        let change = self.core.change(context, Scope::Account(member, id, name), request).await?;
        let mask = request.update_mask.as_ref().map(|mask| mask.paths.as_slice()).unwrap_or_default();
        self.core
            .commit(&change, || async {
                let found = self.found(member, id, name).await?;
                check_etag(&found, &message.etag, name)?;
                let mut next =
                    convert::changed(&found.value, &message, mask, grantable(&change.actor), context.now)?;
                if mask.iter().any(|path| path == "expire_time") {
                    must_end_later(&next, context)?;
                }
                let disabled = next.disabled && !found.value.disabled;
                if disabled {
                    next.credentials.clear();
                }
                let bars = |revocation: &Revocation| {
                    if disabled {
                        revocation.barred(context.now, context.now)
                    } else {
                        revocation.turned(context.now)
                    }
                };
                let ends = self.with_end(&next, bars, context).await?;
                let summary = format!("geändert: {}; {}", mask.join(", "), convert::scopes_in_words(&next));
                let audit = change.audit(context.row.rpc, Some(member), name, summary, "");
                let txn = Txn::new().expect_unchanged(&found).put(&found.key, &next);
                Ok((txn.and(ends).and(audit), next))
            })
            .await
    }

    /// Deletes an account; its credentials end with it.
    ///
    /// # Errors
    /// NOT_FOUND.
    pub async fn delete(
        &self,
        context: &Context,
        (member, id): (&MemberId, &ServiceAccountId),
        request: &v1::DeleteServiceAccountRequest,
    ) -> Result<ServiceAccount, AppError> {
        let name = &request.name;
        let change = self.core.change(context, Scope::Account(member, id, name), request).await?;
        self.core
            .commit(&change, || async {
                let found = self.found(member, id, name).await?;
                let pending = Pending::read(&self.core, &principal(member, id), context.now).await?;
                let bars = pending.put(&pending.present.barred(context.now, context.now));
                let summary = "Dienstkonto gelöscht".to_owned();
                let audit = change.audit(context.row.rpc, Some(member), name, summary, "");
                let txn = Txn::new().expect_unchanged(&found).delete(&found.key);
                Ok((txn.and(bars).and(audit), found.value))
            })
            .await
    }

    /// What TLS is to know of an account: when it ends, and what else has changed.
    async fn with_end(
        &self,
        account: &ServiceAccount,
        change: impl Fn(&Revocation) -> Revocation,
        context: &Context,
    ) -> Result<Txn, AppError> {
        let pending =
            Pending::read(&self.core, &principal(&account.member, &account.id), context.now).await?;
        let mut next = change(&pending.present);
        if next.ends != account.expire_time {
            next = next.ending(account.expire_time, context.now);
        }
        Ok(if next == pending.present { Txn::new() } else { pending.put(&next) })
    }
}

/// Judged with the transaction: a repeated request is answered as the first was.
fn must_end_later(account: &ServiceAccount, context: &Context) -> Result<(), AppError> {
    if account.expire_time.is_some_and(|end| end <= context.now) {
        return Err(AppError::invalid("service_account.expire_time", "must lie in the future"));
    }
    Ok(())
}
