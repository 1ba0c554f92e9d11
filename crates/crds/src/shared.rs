//! What both kinds carry.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Amounts of what is counted and reserved. Zero means "none", never "without limit".
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ResourceAmounts {
    /// Thousandths of a CPU core.
    #[schemars(range(min = 0))]
    pub cpu_milli: i64,
    /// Bytes of memory.
    #[schemars(range(min = 0))]
    pub memory_bytes: i64,
    /// Bytes of persistent storage that claims may ask for.
    #[schemars(range(min = 0))]
    pub storage_bytes: i64,
    /// Number of pods.
    #[schemars(range(min = 0))]
    pub pods: i64,
    /// Number of services of type `LoadBalancer`.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub load_balancers: i64,
    /// Units of extended resources, by the name that nodes advertise: `nvidia.com/gpu`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub extended: BTreeMap<String, i64>,
}

impl ResourceAmounts {
    /// Whether any amount is more than the other's.
    #[must_use]
    pub fn exceeds(&self, other: &Self) -> bool {
        self.cpu_milli > other.cpu_milli
            || self.memory_bytes > other.memory_bytes
            || self.storage_bytes > other.storage_bytes
            || self.pods > other.pods
            || self.load_balancers > other.load_balancers
            || self
                .extended
                .iter()
                .any(|(name, amount)| *amount > other.extended.get(name).copied().unwrap_or(0))
    }

    /// Whether an amount is below zero.
    #[must_use]
    pub fn is_negative(&self) -> bool {
        let fixed = [self.cpu_milli, self.memory_bytes, self.storage_bytes, self.pods, self.load_balancers];
        fixed.into_iter().chain(self.extended.values().copied()).any(|amount| amount < 0)
    }
}

/// What the ResourceQuota of one namespace shows.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceQuota {
    /// The namespace.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// `status.hard`: what the API server enforces.
    pub hard: ResourceAmounts,
    /// `status.used`: what it has counted.
    pub used: ResourceAmounts,
}

/// Which record of the API the object mirrors. An older record never replaces a newer one: a restored store must raise the epoch.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.epoch > oldSelf.epoch || (self.epoch == oldSelf.epoch && self.storeId == oldSelf.storeId)")
        .message("desired.epoch must not fall, and another store needs a higher epoch"),
    validation = Rule::new("self.epoch > oldSelf.epoch || self.uid != oldSelf.uid || self.generation >= oldSelf.generation")
        .message("desired.generation must not fall within one epoch and one life of the object")
)]
pub struct Desired {
    /// Identity of the store that the record lives in.
    #[schemars(length(min = 1, max = 64))]
    pub store_id: String,
    /// Raised when the store was restored from a backup.
    #[schemars(range(min = 0))]
    pub epoch: i64,
    /// Raised with every change of the record.
    #[schemars(range(min = 0))]
    pub generation: i64,
    /// Stable id of this life of the record; a new one of the same name has another.
    #[schemars(length(min = 1, max = 64))]
    pub uid: String,
    /// The only reason for which anything is deleted.
    pub deleting: bool,
    /// `members/{member}/tenants/{tenant}[/instances/{instance}]`.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
}

/// One step of the way to *Ready*, for people.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Stable within its kind, for example `quota`.
    #[schemars(length(min = 1, max = 64))]
    pub id: String,
    /// What is done, in words.
    #[schemars(length(max = 128))]
    pub title: String,
    /// How far it is.
    pub state: StepState,
    /// Why it failed or what it waits for; empty when there is nothing to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub message: String,
    /// When `state` last changed.
    pub update_time: Time,
}

/// How far a step is.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepState {
    /// Not begun.
    Pending,
    /// Begun, or waiting for the cluster.
    Running,
    /// Done and seen.
    Done,
    /// Tried in vain; it is tried again.
    Failed,
}

/// Something that counts for billing. Written before it is reported, so that it can be reported again with the same identity.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct LifecycleEntry {
    /// What happened.
    pub kind: LifecycleKind,
    /// `desired.generation` at which it happened.
    #[schemars(range(min = 0))]
    pub generation: i64,
    /// When it was seen, UTC.
    pub time: Time,
}

/// What can happen in the life of an object that counts for billing.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LifecycleKind {
    /// *Ready* for the first time.
    Ready,
    /// Another quota or footprint is enforced.
    Resized,
    /// Everything of it is gone.
    Gone,
}
