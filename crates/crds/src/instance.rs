//! `ServiceInstance`: one ordered plan in one tenant.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shared::{Desired, LifecycleEntry, ResourceAmounts, Step};

/// Keys that a binding has beside the secret's: templates with `{service}` and `{services_namespace}`.
pub type BindingFields = BTreeMap<String, String>;

/// One ordered service: a Helm release in the tenant's services namespace.
///
/// Written by Allmende's operator alone, from what the API says. Read it to see state, steps and the reason of a failure.
#[derive(CustomResource, Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[kube(
    group = "allmende.eu",
    version = "v1alpha1",
    kind = "ServiceInstance",
    doc = "One ordered service: a Helm release in the tenant's services namespace.",
    plural = "serviceinstances",
    singular = "serviceinstance",
    shortname = "si",
    category = "allmende",
    namespaced,
    status = "ServiceInstanceStatus",
    derive = "PartialEq",
    validation = Rule::new("self.metadata.name == self.spec.instance").message("the name must be the instance's id"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(name = "Offering", type_ = "string", json_path = ".spec.offering"),
    printcolumn(name = "Plan", type_ = "string", json_path = ".spec.plan"),
    printcolumn(name = "Member", type_ = "string", json_path = ".spec.member"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1)
)]
#[serde(rename_all = "camelCase")]
pub struct ServiceInstanceSpec {
    /// Id of the member; decides who pays, hence immutable.
    #[schemars(length(min = 1, max = 40))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("member is immutable"))]
    pub member: String,
    /// Id of the tenant within the member.
    #[schemars(length(min = 1, max = 40))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("tenant is immutable"))]
    pub tenant: String,
    /// Id of the instance within the tenant; also the name of the Helm release.
    #[schemars(length(min = 1, max = 53), regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("instance is immutable"))]
    pub instance: String,
    /// The tenant's workspace namespace; this object and the release live in `{namespace}-svc`.
    #[schemars(length(min = 1, max = 59))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("namespace is immutable"))]
    pub namespace: String,
    /// Id of the offering.
    #[schemars(length(min = 1, max = 63))]
    pub offering: String,
    /// Version of the offering.
    #[schemars(length(min = 1, max = 63))]
    pub version: String,
    /// Id of the plan.
    #[schemars(length(min = 1, max = 63))]
    pub plan: String,
    /// OCI reference by digest: `oci://host/repository@sha256:…`.
    #[schemars(length(min = 1, max = 512))]
    pub chart: String,
    /// JSON object: the plan's values, then the order's parameters. What the platform sets comes on top.
    #[schemars(length(max = 65536))]
    pub values_json: String,
    /// What the release may use, with room for updates.
    pub footprint: ResourceAmounts,
    /// Time limit of one Helm run, seconds.
    #[schemars(range(min = 1, max = 3600))]
    pub timeout_seconds: i64,
    /// Keys of the secret that the operator generates.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub secret_fields: Vec<SecretField>,
    /// Name of the secret in the workspace that carries the credentials.
    #[schemars(length(min = 1, max = 63))]
    pub binding_secret: String,
    /// Keys that the binding has beside the secret's.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 32))]
    pub binding_fields: BindingFields,
    /// Raised to try again at once.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub retry_nonce: i64,
    /// The record that this object mirrors.
    pub desired: Desired,
}

/// One key of an instance's secret.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SecretField {
    /// Key within the secret.
    #[schemars(length(min = 1, max = 63))]
    pub key: String,
    /// Fixed value that is no secret, for example a user's name; absent: generated once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub value: Option<String>,
    /// Whether the member's binding carries it.
    #[serde(default)]
    pub bound: bool,
}

/// What was found and done.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ServiceInstanceStatus {
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
    /// The Helm release.
    #[serde(default)]
    pub release: ReleaseStatus,
    /// The steps, in their order.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub steps: Vec<Step>,
    /// One sentence: the step it is at or why it failed.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub message: String,
    /// SHA-256 of the binding secret's content, hex; never the content.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub binding_fingerprint: String,
    /// The footprint that is in force; absent before the first, and in a status of an operator that did not tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub footprint: Option<ResourceAmounts>,
    /// What counts for billing.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub lifecycle: Vec<LifecycleEntry>,
}

/// State of the Helm release and of the tries.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseStatus {
    /// Name of the release; empty before the first try.
    #[serde(default)]
    #[schemars(length(max = 53))]
    pub name: String,
    /// Helm's revision; 0 before the first.
    #[serde(default)]
    pub revision: i64,
    /// The chart of the newest successful run.
    #[serde(default)]
    #[schemars(length(max = 512))]
    pub chart: String,
    /// SHA-256 of chart, values and retry nonce of the newest successful run, hex: equal means there is nothing to do.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub applied_hash: String,
    /// `retryNonce` of the newest try.
    #[serde(default)]
    pub retry_nonce: i64,
    /// Helm's word, for example `deployed`.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub state: String,
    /// Failed tries in a row.
    #[serde(default)]
    pub attempts: i64,
    /// Not before this time it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_retry_time: Option<Time>,
}
