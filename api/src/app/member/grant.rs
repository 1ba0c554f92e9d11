//! Rights of principals for a member.

use allmende_domain::{
    grant::Grant,
    ids::{GrantId, MemberId},
};
use allmende_identity::Identity;
use allmende_proto::v1;
use allmende_store::{Txn, Versioned, keys};

use super::Members;
use crate::{
    authz::Scope,
    context::Context,
    convert::{fields::Fields, grant as convert},
    core::fresh,
    error::AppError,
    pagination::{Page, PageRequest},
};

impl Members {
    /// Gives a principal a role.
    ///
    /// # Errors
    /// All wrong fields at once.
    pub async fn create_grant(
        &self,
        context: &Context,
        member: &MemberId,
        request: &v1::CreateGrantRequest,
    ) -> Result<Grant, AppError> {
        let change = self.core.change(context, Scope::Member(member, &request.parent), request).await?;
        let mut fields = Fields::new();
        let id: GrantId = fresh()?;
        let grant = convert::read_grant(
            &mut fields,
            request.grant.as_ref(),
            (member, id),
            &change.actor.principal,
            context.now,
        );
        self.check_issuer(&mut fields, grant.as_ref());
        let grant = fields.finish(grant)?;
        let (key, member_key) = (keys::grant(member, &grant.id), keys::member(member));
        self.core
            .commit(&change, || async {
                if let Some(wrong) = grant.backdated(context.now) {
                    return Err(AppError::Invalid(vec![wrong.under("grant")]));
                }
                let owner = self
                    .core
                    .store
                    .find(&member_key)
                    .await?
                    .ok_or_else(|| AppError::not_found(&request.parent))?;
                let summary = format!("{} erhält {}", grant.principal, grant.role);
                let target = format!("{}/grants/{}", request.parent, grant.id);
                let txn = Txn::new().expect_unchanged(&owner).put(&key, &grant).and(change.audit(
                    context.row.rpc,
                    Some(member),
                    &target,
                    summary,
                    "",
                ));
                Ok((txn, grant.clone()))
            })
            .await
    }

    /// A grant to somebody of an issuer that nobody configured would never hold: a slip of the pen.
    fn check_issuer(&self, fields: &mut Fields, grant: Option<&Grant>) {
        if let Some(Ok(Identity::Subject { issuer, .. })) = grant.map(|grant| grant.principal.parse())
            && !self.issuers.knows(&issuer)
        {
            fields.wrong("grant.principal", format!("there is no issuer `{issuer}` here"));
        }
    }

    /// A member's grants, ended ones too.
    ///
    /// # Errors
    /// Refusal, or a page token of another list.
    pub async fn grants(
        &self,
        context: &Context,
        member: &MemberId,
        name: &str,
        page: &PageRequest,
    ) -> Result<Page<Versioned<Grant>>, AppError> {
        self.core.authorizer.require(context, Scope::Member(member, name)).await?;
        self.core.page(&keys::grants(member), page).await
    }

    /// Ends a grant now.
    ///
    /// # Errors
    /// NOT_FOUND.
    pub async fn revoke_grant(
        &self,
        context: &Context,
        (member, id): (&MemberId, &GrantId),
        request: &v1::RevokeGrantRequest,
    ) -> Result<Grant, AppError> {
        let change = self.core.change(context, Scope::Member(member, &request.name), request).await?;
        let key = keys::grant(member, id);
        self.core
            .commit(&change, || async {
                let found =
                    self.core.store.find(&key).await?.ok_or_else(|| AppError::not_found(&request.name))?;
                let until = found.value.valid_until.map_or(context.now, |until| until.min(context.now));
                let ended = Grant {
                    valid_until: Some(until),
                    revoked_by: Some(change.actor.principal.clone()),
                    ..found.value.clone()
                };
                let summary = format!("{} verliert {}", ended.principal, ended.role);
                let txn = Txn::new().expect_unchanged(&found).put(&key, &ended).and(change.audit(
                    context.row.rpc,
                    Some(member),
                    &request.name,
                    summary,
                    "",
                ));
                Ok((txn, ended))
            })
            .await
    }
}
