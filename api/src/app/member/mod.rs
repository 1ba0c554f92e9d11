//! Members: onboarding, dated attributes, bill-tos, grants.

mod bill_to;
mod create;
mod departure;
mod export;
mod grant;
mod rights;
mod update;

use allmende_domain::{
    ids::MemberId,
    member::{BillTo, Member},
};
use allmende_store::{Versioned, keys};

use super::register::Registers;
use crate::{
    authn::Issuers,
    authz::Scope,
    context::Context,
    core::Core,
    error::AppError,
    pagination::{Page, PageRequest},
};
pub(crate) use departure::ordering_member;
pub use export::MemberDataStream;
pub use rights::RightsOf;
pub(crate) use update::check_etag;

/// Use cases over members.
#[derive(Clone)]
pub struct Members {
    /// Shared parts.
    pub core: Core,
    /// Where names and populations come from.
    pub registers: Registers,
    /// Whose tokens are taken: groups give rights, and grants name their principals.
    pub issuers: Issuers,
}

impl Members {
    /// One member.
    ///
    /// # Errors
    /// NOT_FOUND, also where the caller may not know of it.
    pub async fn get(
        &self,
        context: &Context,
        id: &MemberId,
        name: &str,
    ) -> Result<Versioned<Member>, AppError> {
        self.core.authorizer.require(context, Scope::Member(id, name)).await?;
        self.core.store.find(&keys::member(id)).await?.ok_or_else(|| AppError::not_found(name))
    }

    /// All members, for the cooperative.
    ///
    /// # Errors
    /// Refusal, or a page token of another list.
    pub async fn list(
        &self,
        context: &Context,
        page: &PageRequest,
        land: &str,
    ) -> Result<Page<Versioned<Member>>, AppError> {
        self.core.authorizer.require(context, Scope::Cooperative).await?;
        if land.is_empty() {
            return self.core.page(&keys::members(), page).await;
        }
        let (rows, _) = self.core.store.snapshot(&keys::members()).await?;
        let rows = rows
            .into_iter()
            .filter(|row| row.value.land == land && page.after().is_none_or(|after| row.key.raw() > after))
            .take(page.limit())
            .collect();
        Ok(page.page(rows, |row: &Versioned<Member>| row.key.raw().to_owned()))
    }

    /// A member's bill-tos.
    ///
    /// # Errors
    /// Refusal, or a page token of another list.
    pub async fn bill_tos(
        &self,
        context: &Context,
        id: &MemberId,
        name: &str,
        page: &PageRequest,
    ) -> Result<Page<Versioned<BillTo>>, AppError> {
        self.core.authorizer.require(context, Scope::Member(id, name)).await?;
        self.core.page(&keys::bill_tos(id), page).await
    }
}
