//! Who may do what, and since when: what the API would decide by, as a report.

use std::collections::BTreeSet;

use allmende_domain::{
    grant::{Grant, Right, RightSource, Role},
    ids::{MemberId, TenantId},
    member::Member,
    period::day_in_berlin,
};
use allmende_identity::{Identity, http_client::percent_encoded};
use allmende_store::{Range, Versioned, keys};
use jiff::Timestamp;

use super::Members;
use crate::{
    authn::GroupRight,
    authz::Scope,
    context::Context,
    convert::service_account::rights as scopes,
    error::AppError,
    pagination::{Page, PageRequest},
};

/// Grants read at once.
const PART: usize = 500;

/// Whose rights are asked for.
#[derive(Debug, Clone, Copy)]
pub enum RightsOf<'a> {
    /// Of all members and of the cooperative.
    Everybody,
    /// For one member; with the name as the caller sent it.
    Member(&'a MemberId, &'a str),
}

impl Members {
    /// The rights that hold at `at`, for one member or over all, in a fixed order.
    ///
    /// # Errors
    /// Refusal, or a page token of another list.
    pub async fn rights(
        &self,
        context: &Context,
        of: RightsOf<'_>,
        at: Timestamp,
        page: &PageRequest,
    ) -> Result<Page<Right>, AppError> {
        let scope = match of {
            RightsOf::Everybody => Scope::Cooperative,
            RightsOf::Member(id, name) => Scope::Member(id, name),
        };
        self.core.authorizer.require(context, scope).await?;
        // Rights end with the membership: what was given by or to those who have left no longer counts.
        let day = day_in_berlin(at)?;
        let mut left = BTreeSet::new();
        let mut rights = match of {
            RightsOf::Everybody => {
                let (members, _) = self.core.store.snapshot(&keys::members()).await?;
                left.extend(
                    members.iter().filter(|row| row.value.is_gone(day)).map(|row| row.value.id.clone()),
                );
                let (grants, _) = self.core.store.snapshot(&keys::grants_all()).await?;
                let mut rights: Vec<Right> =
                    Role::ALL.into_iter().filter_map(by_cooperative_certificate).collect();
                rights.extend(members.iter().map(|member| by_member_certificate(&member.value)));
                rights.extend(grants.into_iter().map(|grant| Right::from(grant.value)));
                let (accounts, _) = self.core.store.snapshot(&keys::service_accounts_all()).await?;
                rights.extend(accounts.iter().flat_map(|row| scopes(&row.value)));
                rights
            }
            RightsOf::Member(id, name) => {
                let member = self.core.store.find(&keys::member(id)).await?;
                let member = member.ok_or_else(|| AppError::not_found(name))?;
                left.extend(member.value.is_gone(day).then(|| id.clone()));
                let (grants, _) = self.core.store.snapshot(&keys::grants(id)).await?;
                let mut rights = vec![by_member_certificate(&member.value)];
                rights.extend(grants.into_iter().map(|grant| Right::from(grant.value)));
                let (accounts, _) = self.core.store.snapshot(&keys::service_accounts(id)).await?;
                rights.extend(accounts.iter().flat_map(|row| scopes(&row.value)));
                rights
            }
        };
        let of_this = |right: &&GroupRight| match of {
            RightsOf::Everybody => true,
            RightsOf::Member(id, _) => right.member.as_ref() == Some(id),
        };
        rights.extend(self.issuers.groups().iter().filter(of_this).map(by_group));
        rights.retain(|right| {
            right.is_valid_at(at) && right.member.as_ref().is_none_or(|member| !left.contains(member))
        });
        rights.sort_by_key(order);
        rights.dedup_by_key(|right| order(right));
        let rows = rights
            .into_iter()
            .filter(|right| page.after().is_none_or(|after| order(right).as_str() > after))
            .take(page.limit())
            .collect();
        Ok(page.page(rows, order))
    }

    /// What the caller itself may do now. Without a right for a member, its existence is not said.
    ///
    /// # Errors
    /// When a certificate and a token do not go together, or the store fails.
    pub async fn own_rights(&self, context: &Context) -> Result<Vec<Right>, AppError> {
        self.core.authorizer.require(context, Scope::Known).await?;
        let caller = &context.caller;
        if let Some(account) = self.core.authorizer.account(context).await? {
            return Ok(scopes(&account));
        }
        let mut rights = match &caller.identity {
            Identity::Cooperative(name) => Role::ALL
                .into_iter()
                .filter(|role| role.cooperative_name() == Some(name))
                .filter_map(by_cooperative_certificate)
                .collect(),
            Identity::Member(id) => {
                let id: MemberId = id.parse().map_err(|_| AppError::Unauthenticated)?;
                let member = self.core.store.find(&keys::member(&id)).await?;
                member.iter().map(|member| by_member_certificate(&member.value)).collect()
            }
            _ => Vec::new(),
        };
        rights.extend(caller.rights.iter().map(by_group));
        let principal = caller.identity.to_string();
        let mut after: Option<String> = None;
        loop {
            let range: Range<Grant> = keys::grants_all();
            let part: Vec<Versioned<Grant>> = self.core.store.scan(&range, after.as_deref(), PART).await?;
            after = part.last().map(|row| row.key.raw().to_owned());
            let (end, own) = (part.len() < PART, |row: &Versioned<Grant>| row.value.principal == principal);
            rights.extend(part.into_iter().filter(own).map(|row| Right::from(row.value)));
            if end {
                break;
            }
        }
        rights.retain(|right| right.is_valid_at(context.now));
        // A pair acts only for what certificate and token both name.
        if let Some(Identity::Member(bound)) = &caller.bound_to {
            rights.retain(|right| right.member.as_ref().is_some_and(|member| member.as_str() == bound));
        }
        if let Some(Identity::Cooperative(bound)) = &caller.bound_to {
            rights.retain(|right| right.role.cooperative_name() == Some(bound));
        }
        rights.sort_by_key(order);
        let mut seen = BTreeSet::new();
        rights.retain(|right| seen.insert(order(right)));
        Ok(rights)
    }
}

/// The member itself, by its certificate: since it was onboarded.
fn by_member_certificate(member: &Member) -> Right {
    Right {
        member: Some(member.id.clone()),
        principal: Identity::Member(member.id.to_string()).to_string(),
        role: Role::Admin,
        source: RightSource::Certificate,
        valid_from: Some(member.create_time),
        valid_until: None,
        deputy: false,
        granted_by: String::new(),
        grant: None,
        tenant: None,
        read_only: false,
    }
}

/// The cooperative's staff, by their certificates.
fn by_cooperative_certificate(role: Role) -> Option<Right> {
    let name = role.cooperative_name()?;
    Some(Right {
        member: None,
        principal: Identity::Cooperative(name.to_owned()).to_string(),
        role,
        source: RightSource::Certificate,
        valid_from: None,
        valid_until: None,
        deputy: false,
        granted_by: String::new(),
        grant: None,
        tenant: None,
        read_only: false,
    })
}

/// Everybody in a group of an issuer, by the configured table.
fn by_group(right: &GroupRight) -> Right {
    Right {
        member: right.member.clone(),
        principal: format!("allmende://group/{}/{}", right.issuer, percent_encoded(&right.group)),
        role: right.role,
        source: RightSource::Group,
        valid_from: right.since,
        valid_until: right.until,
        deputy: false,
        granted_by: String::new(),
        grant: None,
        tenant: None,
        read_only: false,
    }
}

/// Cooperative first, then by member, principal and role. Ids hold no control characters, so no two rights share a text by accident.
fn order(right: &Right) -> String {
    let member = right.member.as_ref().map_or("", MemberId::as_str);
    let grant = right.grant.as_ref().map(ToString::to_string).unwrap_or_default();
    let tenant = right.tenant.as_ref().map_or("", TenantId::as_str);
    let narrowed = if right.read_only { "\u{1}r" } else { "" };
    format!("{member}\u{1}{}\u{1}{}\u{1}{grant}{tenant}{narrowed}", right.principal, right.role)
}
