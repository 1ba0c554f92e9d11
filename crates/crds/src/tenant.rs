//! `Tenant`: a member's place on this cluster.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shared::{Desired, LifecycleEntry, NamespaceQuota, ResourceAmounts, Step};

/// A member's place on this cluster: a workspace namespace of the object's name and, from the first order on, a services namespace.
///
/// Written by Allmende's operator alone, from what the API says. Read it to see state, steps and the reason of a failure.
#[derive(CustomResource, Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[kube(
    group = "allmende.eu",
    version = "v1alpha1",
    kind = "Tenant",
    doc = "A member's place on this cluster.",
    plural = "tenants",
    singular = "tenant",
    shortname = "mandant",
    category = "allmende",
    status = "TenantStatus",
    derive = "PartialEq",
    validation = Rule::new("self.metadata.name == self.spec.member + '-' + self.spec.tenant").message("the name must be {member}-{tenant}"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(name = "Member", type_ = "string", json_path = ".spec.memberDisplayName"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1)
)]
#[serde(rename_all = "camelCase")]
pub struct TenantSpec {
    /// Id of the member; decides who pays, hence immutable.
    #[schemars(length(min = 1, max = 40))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("member is immutable"))]
    pub member: String,
    /// Id of the tenant within the member.
    #[schemars(length(min = 1, max = 40))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("tenant is immutable"))]
    pub tenant: String,
    /// The member's official name, for people.
    #[schemars(length(max = 250))]
    pub member_display_name: String,
    /// Quota of the workspace namespace.
    pub workspace_quota: ResourceAmounts,
    /// From the first order on: the services namespace exists.
    #[serde(default)]
    pub services: bool,
    /// Quota of the services namespace: the sum of the footprints.
    #[serde(default)]
    pub services_quota: ResourceAmounts,
    /// Groups and what they may do.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub group_bindings: Vec<GroupBinding>,
    /// Which record of the API this mirrors.
    pub desired: Desired,
}

/// A group of the cluster's authentication and its role in the tenant.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
pub struct GroupBinding {
    /// As the authentication delivers it.
    #[schemars(length(min = 1, max = 200))]
    pub group: String,
    /// What it may do.
    pub role: GroupRole,
}

/// What a group may do in a tenant.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "lowercase")]
pub enum GroupRole {
    /// Own workloads and secrets; never quota, policies or rights.
    Admin,
    /// Reads, but no secrets.
    Viewer,
}

/// What was found and done.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct TenantStatus {
    /// `metadata.generation` that this status speaks of.
    #[serde(default)]
    pub observed_generation: i64,
    /// `spec.desired.generation` that was applied completely; 0 before the first.
    #[serde(default)]
    pub observed_desired_generation: i64,
    /// *Ready* first; types and reasons are listed in the reference.
    #[serde(default)]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The namespaces that are there.
    #[serde(default)]
    #[schemars(length(max = 2))]
    pub namespaces: Vec<String>,
    /// `status.hard` of the workspace's ResourceQuota.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enforced_quota: Option<ResourceAmounts>,
    /// `status.used` of the workspace's ResourceQuota.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<ResourceAmounts>,
    /// What the quotas of all namespaces show. When only what is used has changed, it is written at most once a minute.
    #[serde(default)]
    #[schemars(length(max = 2))]
    pub quotas: Vec<NamespaceQuota>,
    /// When `quotas` was written last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quotas_time: Option<Time>,
    /// The steps, in their order.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub steps: Vec<Step>,
    /// One sentence: the step it is at or why it failed.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub message: String,
    /// What counts for billing.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub lifecycle: Vec<LifecycleEntry>,
}
