//! Certificates that are refused before their time is over. What is written here reaches every replica's TLS by [`crate::bars`].

use allmende_domain::{
    ids::{MemberId, ServiceAccountId},
    revocation::{Revocation, RevokedCertificate, serial},
    service_account::ServiceAccount,
};
use allmende_identity::Identity;
use allmende_proto::v1;
use allmende_store::{Txn, Versioned, keys};
use jiff::Timestamp;

use crate::{
    authz::Scope,
    context::Context,
    convert::fields::Fields,
    core::Core,
    error::AppError,
    pagination::{Page, PageRequest},
};

/// Longest reason, characters.
const REASON_MAX: usize = 500;

/// Use cases over revocations.
#[derive(Clone)]
pub struct Revocations {
    /// Shared parts.
    pub core: Core,
}

/// What is refused of a principal as read; `found` is none where nothing ever was.
pub(crate) struct Pending {
    found: Option<Versioned<Revocation>>,
    pub(crate) present: Revocation,
}

impl Pending {
    pub(crate) async fn read(core: &Core, principal: &str, now: Timestamp) -> Result<Self, AppError> {
        let found = core.store.find(&keys::revocation(principal)).await?;
        let present = match &found {
            Some(found) => found.value.clone(),
            None => Revocation::none(principal.to_owned(), now),
        };
        Ok(Self { found, present })
    }

    /// Writes what comes next, if the present is still as it was read.
    pub(crate) fn put(&self, next: &Revocation) -> Txn {
        let key = keys::revocation(&next.principal);
        Txn::new().expect_as_read(&key, self.found.as_ref()).put(&key, next)
    }
}

/// Whose certificates are meant.
enum Whose {
    Accounts(MemberId),
    Account(MemberId, ServiceAccountId),
    Member(MemberId),
    /// Known to the cooperative alone.
    Other,
    /// Nobody who has certificates that are revoked here; why.
    Nobody(&'static str),
}

impl Whose {
    fn of(text: &str) -> Self {
        if let Some(member) = text.strip_suffix("/serviceaccount/-") {
            return match member.parse() {
                Ok(Identity::Member(id)) => id.parse().map_or(Self::Other, Self::Accounts),
                _ => Self::Nobody("must be an identity such as allmende://member/m-05766044"),
            };
        }
        match text.parse() {
            Ok(Identity::Member(id)) => id.parse().map_or(Self::Other, Self::Member),
            Ok(Identity::ServiceAccount { member, account }) => match (member.parse(), account.parse()) {
                (Ok(member), Ok(account)) => Self::Account(member, account),
                _ => Self::Other,
            },
            Ok(Identity::Principal(_) | Identity::Cooperative(_) | Identity::Component(_)) => Self::Other,
            Ok(Identity::Cluster(_)) => Self::Nobody("is a cluster: use RevokeClusterCertificates"),
            Ok(Identity::Subject { .. }) => {
                Self::Nobody("has no certificate: revoke its grants, or have its issuer withdraw the token")
            }
            Err(_) => Self::Nobody("must be an identity such as allmende://member/m-05766044"),
        }
    }

    fn member(&self) -> Option<&MemberId> {
        match self {
            Self::Accounts(member) | Self::Account(member, _) | Self::Member(member) => Some(member),
            Self::Other | Self::Nobody(_) => None,
        }
    }
}

/// What is revoked.
enum What {
    One(String),
    IssuedBefore(Timestamp),
}

impl Revocations {
    /// Refuses certificates of a principal from now on, everywhere, and cuts their connections.
    ///
    /// # Errors
    /// Refusal; all wrong fields at once; WRONG_STATE when too many are named singly.
    pub async fn revoke(
        &self,
        context: &Context,
        request: &v1::RevokeCertificatesRequest,
    ) -> Result<Revocation, AppError> {
        let whose = Whose::of(&request.principal);
        let scope = whose.member().map_or(Scope::Cooperative, |id| Scope::Member(id, &request.principal));
        let change = self.core.change(context, scope, request).await?;
        let (what, reason) = read(request, &whose, context.now)?;
        self.core
            .commit(&change, || async {
                if let Some(id) = whose.member() {
                    let member = self.core.store.find(&keys::member(id)).await?;
                    member.ok_or_else(|| AppError::not_found(&request.principal))?;
                }
                let pending = Pending::read(&self.core, &request.principal, context.now).await?;
                let (next, summary) = match &what {
                    What::IssuedBefore(at) => {
                        let next = pending.present.barred(*at, context.now);
                        (next, format!("Zertifikate vor {at} widerrufen"))
                    }
                    What::One(serial) => {
                        let one = RevokedCertificate { serial: serial.clone(), not_after: None };
                        let next = pending.present.without(one, context.now);
                        let wrong =
                            |error: allmende_domain::revocation::TooManySerials| AppError::WrongState {
                                resource: request.principal.clone(),
                                description: error.to_string(),
                            };
                        (next.map_err(wrong)?, format!("Zertifikat {serial} widerrufen"))
                    }
                };
                let accounts = self.accounts(&whose, &what, &next, context.now).await?;
                let rpc = context.row.rpc;
                let audit = change.audit(rpc, whose.member(), &request.principal, summary, &reason);
                Ok((pending.put(&next).and(accounts).and(audit), next))
            })
            .await
    }

    /// Takes what is revoked off the lists of the accounts concerned, so that it renews nothing in the moment before it is cut.
    async fn accounts(
        &self,
        whose: &Whose,
        what: &What,
        next: &Revocation,
        now: Timestamp,
    ) -> Result<Txn, AppError> {
        let found: Vec<Versioned<ServiceAccount>> = match whose {
            Whose::Accounts(member) => self.core.store.snapshot(&keys::service_accounts(member)).await?.0,
            Whose::Account(member, id) => {
                self.core.store.find(&keys::service_account(member, id)).await?.into_iter().collect()
            }
            Whose::Member(_) | Whose::Other | Whose::Nobody(_) => Vec::new(),
        };
        let serial = if let What::One(serial) = what { Some(serial.as_str()) } else { None };
        Ok(found.iter().fold(Txn::new(), |txn, account| {
            let left = account.value.barred(serial, next.issued_before, now);
            txn.expect_unchanged(account).put(&account.key, &left)
        }))
    }

    /// What is refused now, in no order that means anything.
    ///
    /// # Errors
    /// Refusal, or a page token of another list.
    pub async fn list(
        &self,
        context: &Context,
        page: &PageRequest,
    ) -> Result<Page<Versioned<Revocation>>, AppError> {
        self.core.authorizer.require(context, Scope::Cooperative).await?;
        self.core.page(&keys::revocations(), page).await
    }
}

fn read(
    request: &v1::RevokeCertificatesRequest,
    whose: &Whose,
    now: Timestamp,
) -> Result<(What, String), AppError> {
    let mut fields = Fields::new();
    if let Whose::Nobody(why) = whose {
        fields.wrong("principal", why);
    }
    let reason = request.reason.trim();
    if !(1..=REASON_MAX).contains(&reason.chars().count()) {
        fields.wrong("reason", "say why, in 1 to 500 characters: it goes into the audit");
    }
    let what = if request.serial.is_empty() {
        let at = match &request.issued_before {
            None => Some(now),
            given => fields.time("issued_before", given.as_ref()),
        };
        if at.is_some_and(|at| at > now) {
            fields
                .wrong("issued_before", "must not lie in the future: what is issued until then would count");
        }
        at.map(What::IssuedBefore)
    } else {
        if request.issued_before.is_some() {
            fields.wrong("issued_before", "must be left out with a serial number");
        }
        if matches!(whose, Whose::Accounts(_)) {
            fields.wrong("serial", "must be empty: name the service account whose certificate it is");
        }
        let one = serial(&request.serial);
        if one.is_none() {
            fields.wrong("serial", "must be hex of at most 20 bytes, as `openssl x509 -serial` shows it");
        }
        one.map(What::One)
    };
    fields.finish(what).map(|what| (what, reason.to_owned()))
}
