//! Service accounts: identities of a member's own programs. What one may do are its scopes; which certificates speak for it, it lists
//! itself: one that is not on the list does not count, whoever signed it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    grant::Role,
    ids::{CredentialId, MemberId, ServiceAccountId, TenantId},
    revocation::RevokedCertificate,
    violation::FieldViolation,
};

/// Most accounts of one member: an exit reads them all.
pub const ACCOUNTS_MAX: usize = 50;
/// Most scopes of one account.
pub const SCOPES_MAX: usize = 16;
/// Most credentials of one account at a time.
pub const CREDENTIALS_MAX: usize = 16;
/// Life of a credential where nobody said otherwise, seconds.
pub const LIFE_DEFAULT: i64 = 3_600;
/// Shortest that can be asked for, seconds.
pub const LIFE_MIN: i64 = 300;
/// Longest, seconds.
pub const LIFE_MAX: i64 = 86_400;
/// What is left of an account must be at least this long for a credential to be worth signing, seconds.
const LIFE_LEFT: i64 = 60;

/// One thing that an account may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountScope {
    /// A member's role.
    pub role: Role,
    /// Only there; none: for the whole member.
    pub tenant: Option<TenantId>,
    /// Only what reads.
    pub read_only: bool,
}

/// A key that speaks for an account, and what it was renewed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountCredential {
    /// Its id, the same over all renewals.
    pub id: CredentialId,
    /// The certificate issued last.
    pub current: IssuedCertificate,
    /// The one under which that was renewed. Still good, for another renewal too: the answer may have been lost.
    pub renewed_from: Option<IssuedCertificate>,
    /// Who asked for the first certificate.
    pub issued_by: String,
    /// When.
    pub issue_time: Timestamp,
    /// How often it was renewed.
    pub renewals: u32,
}

/// One certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuedCertificate {
    /// Serial number, hex.
    pub serial: String,
    /// Begin.
    pub not_before: Timestamp,
    /// End.
    pub not_after: Timestamp,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceAccount {
    /// Whose.
    pub member: MemberId,
    /// Its id within the member.
    pub id: ServiceAccountId,
    /// For people.
    pub display_name: String,
    /// What it may do.
    pub scopes: Vec<AccountScope>,
    /// It may renew its own credential.
    pub self_renew: bool,
    /// Nothing of it counts.
    pub disabled: bool,
    /// Nothing of it counts from then on.
    pub expire_time: Option<Timestamp>,
    /// Principal that made it.
    pub created_by: String,
    /// When.
    pub create_time: Timestamp,
    /// Last change of what people set.
    pub update_time: Timestamp,
    /// Those that have not ended, oldest first. Serial numbers are no secret: under this name the audit shows them.
    #[serde(rename = "issued")]
    pub credentials: Vec<AccountCredential>,
}

/// Why a credential is not issued or renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CredentialBar {
    /// See text.
    #[error("is disabled: enable it first")]
    Disabled,
    /// See text.
    #[error("has ended: give it a later end first")]
    Ended,
    /// See text.
    #[error("ends, or its membership does, within the minute")]
    NothingLeft,
    /// See text.
    #[error("has {CREDENTIALS_MAX} credentials already: revoke one, or wait for one to end")]
    TooMany,
    /// See text.
    #[error("may not renew its credential: set self_renew, or have the member's admin issue a new one")]
    NoRenewal,
    /// See text.
    #[error(
        "has a credential that was renewed already, and the next one was renewed too: somebody else holds a copy. Revoke the credential, \
         then issue a new one"
    )]
    Forked,
}

/// How long a credential counts, and why not longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// Its end.
    pub not_after: Timestamp,
    /// Why it is shorter than was asked for; empty: it is not.
    pub shortened: &'static str,
}

impl IssuedCertificate {
    fn is_good(&self, serial: &str, now: Timestamp) -> bool {
        self.serial == serial && now < self.not_after
    }
}

impl From<&IssuedCertificate> for RevokedCertificate {
    fn from(issued: &IssuedCertificate) -> Self {
        Self { serial: issued.serial.clone(), not_after: Some(issued.not_after) }
    }
}

impl AccountCredential {
    fn admits(&self, serial: &str, now: Timestamp) -> bool {
        self.current.is_good(serial, now)
            || self.renewed_from.as_ref().is_some_and(|one| one.is_good(serial, now))
    }

    fn ends(&self) -> Timestamp {
        let earlier = self.renewed_from.as_ref().map_or(self.current.not_after, |one| one.not_after);
        self.current.not_after.max(earlier)
    }

    /// Its certificates that are still good.
    pub fn certificates(&self) -> impl Iterator<Item = &IssuedCertificate> {
        std::iter::once(&self.current).chain(&self.renewed_from)
    }
}

impl AccountScope {
    /// Whether it holds for a resource name; `reads`: the call changes nothing and tells no secret.
    pub fn covers(&self, member: &MemberId, resource: &str, reads: bool) -> bool {
        (reads || !self.read_only) && self.reaches(member, resource)
    }

    /// Whether the resource lies where it holds.
    pub fn reaches(&self, member: &MemberId, resource: &str) -> bool {
        let Some(tenant) = &self.tenant else { return true };
        let within = resource.strip_prefix(&format!("members/{member}/tenants/{tenant}"));
        within.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl ServiceAccount {
    /// Everything that is wrong with what people set; field paths as in the proto message. `grantable` are the roles that who sets it may
    /// give.
    pub fn violations(&self, grantable: &[Role]) -> Vec<FieldViolation> {
        let mut wrong = Vec::new();
        if self.display_name.chars().count() > 120 {
            wrong.push(FieldViolation::new("display_name", "must have at most 120 characters"));
        }
        if self.scopes.is_empty() || self.scopes.len() > SCOPES_MAX {
            wrong.push(FieldViolation::new("scopes", format!("must be 1 to {SCOPES_MAX}")));
        }
        for (index, scope) in self.scopes.iter().enumerate() {
            let field = |name: &str| format!("scopes[{index}].{name}");
            if !grantable.contains(&scope.role) {
                wrong.push(FieldViolation::new(field("role"), "must be a role that you may grant yourself"));
            }
            if scope.tenant.is_some() && matches!(scope.role, Role::Accountant | Role::Auditor) {
                let text = "must be empty: the money and the audit are the whole member's";
                wrong.push(FieldViolation::new(field("tenant"), text));
            }
            if scope.role == Role::Auditor && self.expire_time.is_none() {
                wrong.push(FieldViolation::new("expire_time", "is needed for an auditor"));
            }
            if self.scopes.iter().take(index).any(|earlier| earlier == scope) {
                wrong.push(FieldViolation::new(format!("scopes[{index}]"), "is there twice"));
            }
        }
        wrong
    }

    /// Whether anything of it counts at this time.
    pub fn is_usable(&self, now: Timestamp) -> bool {
        !self.disabled && self.expire_time.is_none_or(|end| now < end)
    }

    /// Whether the certificate with this serial number speaks for it now.
    pub fn admits(&self, serial: &str, now: Timestamp) -> bool {
        self.is_usable(now) && self.credentials.iter().any(|credential| credential.admits(serial, now))
    }

    /// Until when a credential would count that is asked for `seconds`; the membership ends at `membership`.
    ///
    /// # Errors
    /// When nothing of the account counts, or hardly any longer.
    pub fn life(
        &self,
        seconds: i64,
        membership: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Life, CredentialBar> {
        if self.disabled {
            return Err(CredentialBar::Disabled);
        }
        if !self.is_usable(now) {
            return Err(CredentialBar::Ended);
        }
        let after = |seconds: i64| {
            Timestamp::from_second(now.as_second().saturating_add(seconds)).unwrap_or(Timestamp::MAX)
        };
        let mut life = Life { not_after: after(seconds), shortened: "" };
        for (end, why) in [
            (Some(after(LIFE_MAX)), "a day is the longest that a credential counts"),
            (self.expire_time, "the account ends"),
            (membership, "the membership ends"),
        ] {
            if let Some(end) = end
                && end < life.not_after
            {
                life = Life { not_after: end, shortened: why };
            }
        }
        if life.not_after < after(LIFE_LEFT) { Err(CredentialBar::NothingLeft) } else { Ok(life) }
    }

    /// Without what has ended.
    fn current(&self, now: Timestamp) -> Self {
        let mut next = self.clone();
        next.credentials.retain(|credential| now < credential.ends());
        next
    }

    /// With a new credential.
    ///
    /// # Errors
    /// When there are too many.
    pub fn issued(&self, credential: AccountCredential, now: Timestamp) -> Result<Self, CredentialBar> {
        let mut next = self.current(now);
        if next.credentials.len() >= CREDENTIALS_MAX {
            return Err(CredentialBar::TooMany);
        }
        next.credentials.push(credential);
        Ok(next)
    }

    /// Whether the account may renew the credential to which this certificate belongs.
    ///
    /// # Errors
    /// When it may not renew at all, or when the chain of renewals went on without this certificate.
    pub fn may_renew(&self, serial: &str) -> Result<(), CredentialBar> {
        if !self.self_renew {
            return Err(CredentialBar::NoRenewal);
        }
        let known = |credential: &AccountCredential| {
            credential.certificates().any(|certificate| certificate.serial == serial)
        };
        if self.credentials.iter().any(known) { Ok(()) } else { Err(CredentialBar::Forked) }
    }

    /// With the credential of this certificate renewed, and the certificate that counts no more, if there is one.
    ///
    /// # Errors
    /// As [`may_renew`](Self::may_renew).
    pub fn renewed(
        &self,
        presented: &str,
        issued: IssuedCertificate,
        now: Timestamp,
    ) -> Result<(Self, AccountCredential, Option<IssuedCertificate>), CredentialBar> {
        self.may_renew(presented)?;
        let mut next = self.current(now);
        for credential in &mut next.credentials {
            let (kept, dropped) = match &credential.renewed_from {
                _ if credential.current.serial == presented => {
                    (credential.current.clone(), credential.renewed_from.clone())
                }
                // The answer was lost, or somebody else holds a copy: the successor that was given before counts no more.
                Some(earlier) if earlier.serial == presented => {
                    (earlier.clone(), Some(credential.current.clone()))
                }
                _ => continue,
            };
            credential.current = issued;
            credential.renewed_from = Some(kept);
            credential.renewals = credential.renewals.saturating_add(1);
            let renewed = credential.clone();
            return Ok((next, renewed, dropped));
        }
        Err(CredentialBar::Forked)
    }

    /// Without credentials of which a certificate is refused: one of these, or one that was issued before the bar.
    #[must_use]
    pub fn barred(&self, serial: Option<&str>, before: Option<Timestamp>, now: Timestamp) -> Self {
        let mut next = self.current(now);
        let refused = |one: &IssuedCertificate| {
            serial.is_some_and(|serial| one.serial == serial)
                || before.is_some_and(|bar| one.not_before < bar)
        };
        next.credentials.retain(|credential| !credential.certificates().any(refused));
        next
    }

    /// Without this credential; gives its certificates. None: there is no such credential.
    pub fn revoked(&self, id: &CredentialId, now: Timestamp) -> Option<(Self, AccountCredential)> {
        let mut next = self.clone();
        let place = next.credentials.iter().position(|credential| credential.id == *id)?;
        let credential = next.credentials.remove(place);
        Some((next.current(now), credential))
    }
}
