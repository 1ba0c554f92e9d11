//! The desired state of a cluster: one record per tenant and instance, level-triggered, always the whole.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    catalog::SecretField,
    ids::{ClusterId, InstanceId, MemberId, OfferingId, PlanId, TenantId, Uid},
    resources::Resources,
};

/// What one object on a cluster should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredRecord {
    /// `members/…/tenants/…` or `members/…/tenants/…/instances/…`.
    pub name: String,
    /// On which cluster.
    pub cluster: ClusterId,
    /// Which life of it.
    pub uid: Uid,
    /// As the tenant's or instance's.
    pub generation: u64,
    /// The only reason for which anything is deleted. Stays until the operator confirms.
    pub deleting: bool,
    /// What it is.
    pub body: DesiredBody,
}

/// Tenant or instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DesiredBody {
    /// A tenant.
    Tenant(Box<DesiredTenant>),
    /// A service instance.
    Instance(Box<DesiredInstance>),
}

/// A tenant on its cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredTenant {
    /// The workspace namespace.
    pub namespace: String,
    /// Whose.
    pub member: MemberId,
    /// Id under the member.
    pub tenant: TenantId,
    /// For people who look at the cluster.
    pub member_display_name: String,
    /// Quota of the workspace.
    pub workspace_quota: Resources,
    /// From the first order on.
    pub services: bool,
    /// Footprints by instance id; their sum is the quota of the services namespace.
    pub footprints: BTreeMap<InstanceId, Resources>,
    /// Groups and what they may do.
    pub group_bindings: Vec<GroupBinding>,
}

/// A group of the cluster's authentication and its role in the tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupBinding {
    /// For example `allmende:m-05766044:admin`.
    pub group: String,
    /// `viewer` or `admin`.
    pub role: String,
}

/// A service instance on its cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredInstance {
    /// Whose.
    pub member: MemberId,
    /// In which tenant.
    pub tenant: TenantId,
    /// Id under the tenant.
    pub instance: InstanceId,
    /// The workspace namespace.
    pub namespace: String,
    /// What was ordered.
    pub offering: OfferingId,
    /// Which version.
    pub version: String,
    /// Which plan.
    pub plan: PlanId,
    /// OCI reference by digest.
    pub chart: String,
    /// Plan values with the parameters, JSON object.
    pub values_json: String,
    /// What it may take.
    pub footprint: Resources,
    /// Limit of one Helm run.
    pub timeout_seconds: u32,
    /// Fields of its secret.
    pub secret_fields: Vec<SecretField>,
    /// Name of the binding in the workspace.
    pub binding_secret: String,
    /// What the binding adds.
    pub binding_fields: BTreeMap<String, String>,
    /// Raised by a retry.
    pub retry_nonce: u64,
}

impl DesiredTenant {
    /// The groups of a member that every tenant binds: its admins and its viewers.
    pub fn groups_of(member: &MemberId) -> Vec<GroupBinding> {
        ["admin", "viewer"]
            .map(|role| GroupBinding { group: format!("allmende:{member}:{role}"), role: role.to_owned() })
            .to_vec()
    }
}

/// The text whose SHA-256 (hex) ends a snapshot: for every object the line `{name} {generation} {0|1}\n`, sorted by the bytes of the
/// name. The operator computes the same from what it received; a snapshot with another digest counts as nothing.
pub fn snapshot_text<'a>(objects: impl IntoIterator<Item = (&'a str, u64, bool)>) -> String {
    let mut all: Vec<_> = objects.into_iter().collect();
    all.sort_unstable();
    all.into_iter()
        .map(|(name, generation, deleting)| format!("{name} {generation} {}\n", u8::from(deleting)))
        .collect()
}
