//! What a ledger is counted from: the member's facts, imported usage, tenants, instances, and the price lists.

use std::collections::BTreeMap;

use allmende_domain::{
    quota::{budget::Budget, count::Records, projection::Charge},
    resources::Resources,
    tenant::State,
};
use allmende_store::{Store, keys};
use jiff::Timestamp;

use super::price_lists;
use crate::error::AppError;

/// The budget with its commitments counted from the records of one moment.
///
/// # Errors
/// When the store fails or an amount cannot be computed.
pub(crate) async fn counted(store: &Store, budget: &Budget, now: Timestamp) -> Result<Budget, AppError> {
    let member = &budget.member;
    let (tenants, at) = store.snapshot(&keys::tenants(member)).await?;
    let instances = store.snapshot_at(&keys::instances_of(member), at).await?;
    let facts: Vec<_> =
        store.snapshot_at(&keys::facts(member), at).await?.into_iter().map(|row| row.value).collect();
    let imported: Vec<_> = store
        .snapshot_at(&keys::segments(member), at)
        .await?
        .into_iter()
        .map(|row| row.value.segment)
        .collect();
    let mut living = BTreeMap::new();
    for tenant in tenants.into_iter().map(|row| row.value) {
        if tenant.bill_to == budget.bill_to && tenant.state != State::Deleting {
            living.insert(tenant.name(), charge_of_workspace(&tenant.workspace_quota));
        }
    }
    for instance in instances.into_iter().map(|row| row.value) {
        if instance.bill_to == budget.bill_to && instance.state != State::Deleting {
            living.insert(instance.name(), charge_of_instance(&instance.footprint));
        }
    }
    let lists = price_lists(store).await?;
    let records = Records { facts: &facts, imported: &imported, living: &living, lists: &lists };
    budget.counted(records, now).map_err(AppError::internal)
}

/// What a workspace is billed for.
pub(crate) fn charge_of_workspace(quota: &Resources) -> Charge {
    Charge { amounts: Resources { pods: 0, ..quota.clone() }, workspace: true }
}

/// What an instance is billed for.
pub(crate) fn charge_of_instance(footprint: &Resources) -> Charge {
    Charge { amounts: footprint.clone(), workspace: false }
}
