//! Service instances: ordered, retried, deleted; credentials by reference only.

mod create;
mod delete;
mod parameters;

use allmende_domain::{
    ids::{InstanceId, MemberId, TenantId},
    instance::Instance,
};
use allmende_store::{Versioned, keys};

use crate::{
    authz::Scope,
    context::Context,
    core::Core,
    error::AppError,
    pagination::{Page, PageRequest},
};

/// The three ids of an instance.
pub type Path<'a> = (&'a MemberId, &'a TenantId, &'a InstanceId);

/// Use cases over instances.
#[derive(Clone)]
pub struct Instances {
    /// Shared parts.
    pub core: Core,
}

impl Instances {
    /// One instance.
    ///
    /// # Errors
    /// NOT_FOUND, also where the caller may not know of it.
    pub async fn get(
        &self,
        context: &Context,
        (member, tenant, id): Path<'_>,
        name: &str,
    ) -> Result<Versioned<Instance>, AppError> {
        self.core.authorizer.require(context, Scope::Member(member, name)).await?;
        let found = self.core.store.find(&keys::instance(member, tenant, id)).await?;
        found.ok_or_else(|| AppError::not_found(name))
    }

    /// The instances of a tenant, or of all tenants of the member.
    ///
    /// # Errors
    /// Refusal, or a page token of another list.
    pub async fn list(
        &self,
        context: &Context,
        (member, tenant): (&MemberId, Option<&TenantId>),
        name: &str,
        page: &PageRequest,
    ) -> Result<Page<Versioned<Instance>>, AppError> {
        self.core.authorizer.require(context, Scope::Member(member, name)).await?;
        let range =
            tenant.map_or_else(|| keys::instances_of(member), |tenant| keys::instances(member, tenant));
        self.core.page(&range, page).await
    }
}
