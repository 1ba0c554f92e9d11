//! Long-running work, read.

use allmende_domain::{
    ids::{MemberId, OperationId},
    operation::Operation,
};
use allmende_identity::Identity;
use allmende_store::{Versioned, keys};

use crate::{
    authz::Scope,
    context::Context,
    core::Core,
    error::AppError,
    pagination::{Page, PageRequest},
};

/// Use cases over operations.
#[derive(Clone)]
pub struct Operations {
    /// Shared parts.
    pub core: Core,
}

impl Operations {
    /// One operation.
    ///
    /// # Errors
    /// NOT_FOUND, also where the caller may not know of it.
    pub async fn get(
        &self,
        context: &Context,
        (member, id): (&MemberId, &OperationId),
        name: &str,
    ) -> Result<Operation, AppError> {
        // What is narrowed to a tenant reads what is done there: by the name of what is worked on.
        if matches!(context.caller.identity, Identity::ServiceAccount { .. })
            && let Some(found) = self.core.store.find(&keys::operation(member, id)).await?
            && self.core.authorizer.allows(context, Scope::Member(member, &found.value.target)).await?
        {
            return Ok(found.value);
        }
        self.core.authorizer.require(context, Scope::Member(member, name)).await?;
        let found = self.core.store.find(&keys::operation(member, id)).await?;
        found.map(|found| found.value).ok_or_else(|| AppError::not_found(name))
    }

    /// A member's operations, oldest first.
    ///
    /// # Errors
    /// Refusal, or a page token of another list.
    pub async fn list(
        &self,
        context: &Context,
        member: &MemberId,
        name: &str,
        page: &PageRequest,
    ) -> Result<Page<Versioned<Operation>>, AppError> {
        self.core.authorizer.require(context, Scope::Member(member, name)).await?;
        self.core.page(&keys::operations(member), page).await
    }
}
