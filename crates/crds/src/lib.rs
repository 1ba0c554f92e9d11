//! The objects that the operator keeps on its cluster: `Tenant` and `ServiceInstance`, group `allmende.eu`.
//!
//! Written by the operator alone; members read them. Here are their types with the rules that the API server checks (CEL), the closed sets
//! of condition types and reasons, and the names that charts and admission policies share with the operator.

#![allow(unreachable_pub, reason = "kube's derive repeats every type in a private module")]

pub mod conditions;
pub mod instance;
pub mod names;
pub mod shared;
pub mod tenant;

pub use instance::{ReleaseStatus, SecretField, ServiceInstance, ServiceInstanceSpec, ServiceInstanceStatus};
use kube::CustomResourceExt;
pub use shared::{Desired, LifecycleEntry, LifecycleKind, NamespaceQuota, ResourceAmounts, Step, StepState};
pub use tenant::{GroupBinding, GroupRole, Tenant, TenantSpec, TenantStatus};

/// One generated file of the chart `allmende-crds`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrdFile {
    /// File name.
    pub name: &'static str,
    /// YAML.
    pub text: String,
}

/// The definitions of both kinds. Uninstalling the chart keeps them, and with them every object.
///
/// # Errors
/// When a definition cannot be written as YAML.
pub fn crd_files() -> Result<Vec<CrdFile>, Box<dyn std::error::Error>> {
    let all = [("tenants.yaml", Tenant::crd()), ("serviceinstances.yaml", ServiceInstance::crd())];
    all.into_iter()
        .map(|(name, mut crd)| {
            let annotations = crd.metadata.annotations.get_or_insert_default();
            annotations.insert("helm.sh/resource-policy".to_owned(), "keep".to_owned());
            Ok(CrdFile { name, text: serde_saphyr::to_string(&crd)? })
        })
        .collect()
}
