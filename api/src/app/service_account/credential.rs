//! Credentials of service accounts: certificates for a key that the account's program has made and keeps. Short-lived, on the account's own
//! list, and renewed under the present one.

use allmende_domain::{
    ids::{CredentialId, MemberId, ServiceAccountId},
    member::Member,
    period::end_of_day_in_berlin,
    service_account::{
        AccountCredential, CredentialBar, IssuedCertificate, LIFE_DEFAULT, LIFE_MIN, Life, ServiceAccount,
    },
};
use allmende_identity::{
    CertificateRequest, Identity,
    signer::{SignedCertificate, SigningOrder},
};
use allmende_proto::v1;
use allmende_store::{Txn, keys};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{super::revocation::Pending, ServiceAccounts, principal};
use crate::{
    authz::Scope,
    context::Context,
    convert::{fields::Fields, service_account as convert},
    core::fresh,
    error::AppError,
    pagination::{Page, PageRequest},
};

/// What an account was given; no secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct IssuedCredential {
    /// The credential.
    pub credential: AccountCredential,
    /// Leaf first, PEM.
    pub chain: String,
    /// Why it counts shorter than was asked for; empty: it does not.
    pub shortened: String,
}

impl IssuedCredential {
    /// Half of its life.
    pub fn renew_time(&self) -> Timestamp {
        let IssuedCertificate { not_before, not_after, .. } = &self.credential.current;
        let half = not_after.duration_since(*not_before) / 2;
        not_before.checked_add(half).unwrap_or(*not_after)
    }
}

/// What was asked for.
struct Wish {
    request: CertificateRequest,
    seconds: i64,
}

fn read(request: &v1::IssueServiceAccountCredentialRequest) -> Result<Wish, AppError> {
    let mut fields = Fields::new();
    let verified = CertificateRequest::verified(&request.certificate_request)
        .map_err(|error| fields.wrong("certificate_request", error))
        .ok();
    let seconds = request.ttl.map_or(LIFE_DEFAULT, |ttl| ttl.seconds);
    if seconds < LIFE_MIN {
        fields.wrong("ttl", "must be at least 5 minutes");
    }
    fields.finish(verified).map(|request| Wish { request, seconds })
}

/// When nothing of a member counts any more; none: it stays.
fn membership_end(member: &Member) -> Option<Timestamp> {
    // A day that no clock reaches ends nothing.
    end_of_day_in_berlin(member.departure.as_ref()?.grace_until).ok()
}

impl ServiceAccounts {
    /// Gives an account a credential, or renews the one under which it calls.
    ///
    /// # Errors
    /// Refusal; all wrong fields at once; WRONG_STATE with what stands in the way; no signer.
    pub async fn issue(
        &self,
        context: &Context,
        (member, id): (&MemberId, &ServiceAccountId),
        request: &v1::IssueServiceAccountCredentialRequest,
    ) -> Result<IssuedCredential, AppError> {
        let name = &request.parent;
        let change = self.core.change(context, Scope::Account(member, id, name), request).await?;
        let wish = read(request)?;
        let presented = match &context.caller.identity {
            Identity::ServiceAccount { .. } => context.caller.serial.as_deref(),
            _ => None,
        };
        let wrong_state = |bar: CredentialBar| {
            let description = format!("{} {bar}", id.as_str());
            AppError::WrongState { resource: name.clone(), description }
        };
        self.core
            .commit(&change, || async {
                let found = self.found(member, id, name).await?;
                let owner = self.core.store.find(&keys::member(member)).await?;
                let owner = owner.ok_or_else(|| AppError::not_found(name))?;
                let life = found.value.life(wish.seconds, membership_end(&owner.value), context.now);
                let life = life.map_err(wrong_state)?;
                let pending = Pending::read(&self.core, &principal(member, id), context.now).await?;
                let siblings = Identity::service_accounts_of(member.as_str());
                let siblings = Pending::read(&self.core, &siblings, context.now).await?;
                let bars = [&pending.present, &siblings.present];
                let not_before = bars.map(|bar| bar.not_before(context.now)).into_iter().max();
                let not_before = not_before.unwrap_or_else(|| context.now.as_second());
                let signed = self.sign(name, &wish, &found.value, (not_before, life)).await?;
                let current = certificate(&signed, life)?;
                let (next, credential, dropped) = match presented {
                    Some(serial) => found.value.renewed(serial, current, context.now).map_err(wrong_state)?,
                    None => {
                        let fresh = AccountCredential {
                            id: fresh()?,
                            current,
                            renewed_from: None,
                            issued_by: change.actor.principal.clone(),
                            issue_time: context.now,
                            renewals: 0,
                        };
                        let next = found.value.issued(fresh.clone(), context.now).map_err(wrong_state)?;
                        (next, fresh, None)
                    }
                };
                let mut bars = Txn::new();
                if let Some(dropped) = dropped.filter(|dropped| context.now < dropped.not_after) {
                    tracing::warn!(
                        account = name,
                        serial = dropped.serial,
                        "a renewed certificate ends early"
                    );
                    let without = pending.present.without((&dropped).into(), context.now);
                    // Beyond the bound it is still off the account's list, and lives for a day at most.
                    bars = without.map_or_else(|_| Txn::new(), |next| pending.put(&next));
                }
                let what = if presented.is_some() { "Erneuert" } else { "Ausgestellt" };
                let summary = format!("{what}: Zertifikat {} bis {}", signed.serial, life.not_after);
                let audit = change.audit(context.row.rpc, Some(member), name, summary, "");
                let txn = Txn::new().expect_unchanged(&owner).expect_unchanged(&found);
                let txn = txn.put(&found.key, &next).and(bars).and(audit);
                let shortened = life.shortened.to_owned();
                Ok((txn, IssuedCredential { credential, chain: signed.chain, shortened }))
            })
            .await
    }

    async fn sign(
        &self,
        name: &str,
        wish: &Wish,
        account: &ServiceAccount,
        (not_before, life): (i64, Life),
    ) -> Result<SignedCertificate, AppError> {
        let signer = self.signer.as_ref().ok_or_else(|| AppError::WrongState {
            resource: name.to_owned(),
            description: "this API has no signer: it issues no credentials".to_owned(),
        })?;
        let identity =
            Identity::ServiceAccount { member: account.member.to_string(), account: account.id.to_string() };
        let order = SigningOrder {
            request: wish.request.clone(),
            identity,
            not_before,
            not_after: life.not_after.as_second(),
        };
        signer.sign(&order).await.map_err(AppError::internal)
    }

    /// The credentials of an account that have not ended.
    ///
    /// # Errors
    /// NOT_FOUND, also where the caller may not know of it.
    pub async fn credentials(
        &self,
        context: &Context,
        (member, id): (&MemberId, &ServiceAccountId),
        name: &str,
        page: &PageRequest,
    ) -> Result<Page<AccountCredential>, AppError> {
        self.core.authorizer.require(context, Scope::Account(member, id, name)).await?;
        let mut all = self.found(member, id, name).await?.value.credentials;
        all.retain(|credential| context.now < credential.current.not_after);
        // Ids ascend with time.
        let rows = all
            .into_iter()
            .filter(|credential| page.after().is_none_or(|after| credential.id.as_str() > after))
            .take(page.limit())
            .collect();
        Ok(page.page(rows, |credential: &AccountCredential| credential.id.to_string()))
    }

    /// Ends a credential, and all that it was renewed to.
    ///
    /// # Errors
    /// NOT_FOUND.
    pub async fn revoke(
        &self,
        context: &Context,
        (member, id, credential): (&MemberId, &ServiceAccountId, &CredentialId),
        request: &v1::RevokeServiceAccountCredentialRequest,
    ) -> Result<ServiceAccount, AppError> {
        let name = &request.name;
        let change = self.core.change(context, Scope::Account(member, id, name), request).await?;
        self.core
            .commit(&change, || async {
                let found = self.found(member, id, name).await?;
                let (next, ended) =
                    found.value.revoked(credential, context.now).ok_or_else(|| AppError::not_found(name))?;
                let pending = Pending::read(&self.core, &principal(member, id), context.now).await?;
                let mut revocation = pending.present.clone();
                for certificate in ended.certificates() {
                    revocation = revocation.without(certificate.into(), context.now).map_err(|full| {
                        let resource = convert::name(&found.value);
                        AppError::WrongState { resource, description: full.to_string() }
                    })?;
                }
                let summary = format!("Zertifikat {} widerrufen", ended.current.serial);
                let audit = change.audit(context.row.rpc, Some(member), name, summary, request.reason.trim());
                let txn = Txn::new().expect_unchanged(&found).put(&found.key, &next);
                Ok((txn.and(pending.put(&revocation)).and(audit), next))
            })
            .await
    }
}

/// What goes onto the account's list: never longer than was decided, even where an issuer rounds up.
fn certificate(signed: &SignedCertificate, life: Life) -> Result<IssuedCertificate, AppError> {
    let time = |unix| Timestamp::from_second(unix).map_err(AppError::internal);
    let (not_before, not_after) = (time(signed.not_before)?, time(signed.not_after)?.min(life.not_after));
    if not_after.duration_since(not_before) <= SignedDuration::ZERO {
        return Err(AppError::internal("the signer gave a certificate that never counts"));
    }
    Ok(IssuedCertificate { serial: signed.serial.clone(), not_before, not_after })
}
