//! From a plan to objects. Pure and without errors: what can go wrong was found before.

mod limits;
mod namespace;
mod network;
mod quota;
mod roles;

use k8s_openapi::api::{
    core::v1::{LimitRange, Namespace, ResourceQuota, ServiceAccount},
    networking::v1::NetworkPolicy,
    rbac::v1::RoleBinding,
};
use kube::api::ObjectMeta;

pub use quota::{amounts, is_enforced};

use super::validate::{NamespaceKind, NamespacePlan};

/// Name of quota, limits and policy in each namespace: one of each.
pub const OBJECT_NAME: &str = "allmende";

/// Everything of one namespace, in no order; `apply` has the order.
#[derive(Debug, Clone)]
pub struct NamespaceObjects {
    /// The namespace itself.
    pub namespace: Namespace,
    /// Its quota.
    pub quota: ResourceQuota,
    /// Its defaults for containers.
    pub limits: LimitRange,
    /// Closed, with its openings.
    pub policy: NetworkPolicy,
    /// The account of pods that name none: without a token.
    pub default_account: ServiceAccount,
    /// The account that Helm runs as; in a services namespace only.
    pub account: Option<ServiceAccount>,
    /// One for each role.
    pub bindings: Vec<RoleBinding>,
}

/// Builds the objects of one namespace.
#[must_use]
pub fn build(plan: &NamespacePlan) -> NamespaceObjects {
    NamespaceObjects {
        namespace: namespace::build(plan),
        quota: quota::build(plan),
        limits: limits::build(plan),
        policy: network::build(plan),
        default_account: roles::default_account(plan),
        account: (plan.kind == NamespaceKind::Services).then(|| roles::account(plan)),
        bindings: roles::build(plan),
    }
}

/// Metadata of an object in the namespace.
fn metadata(plan: &NamespacePlan, name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(plan.name.clone()),
        labels: Some(namespace::labels(plan)),
        ..ObjectMeta::default()
    }
}
