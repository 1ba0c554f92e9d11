//! Usage: facts in, counted once; usage and cost out.

mod cost;
mod facts;
mod import;

use allmende_domain::{
    ids::{MemberId, Uid},
    instance::Instance,
    period::Period,
    resources::Resources,
    tenant::Tenant,
    usage::{FactKind, LifecycleFact, UsageSegment, cut, segments_of},
};
use allmende_store::{Store, keys};
pub use import::Import;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::{core::Core, error::AppError};

/// Use cases over usage.
#[derive(Clone)]
pub struct Usages {
    /// Shared parts.
    pub core: Core,
}

/// Id of a lifecycle fact: the same thing has the same id wherever it is derived.
fn fact_id(uid: &Uid, kind: FactKind, generation: u64) -> String {
    let kind = match kind {
        FactKind::Ready => "READY",
        FactKind::Resized => "RESIZED",
        FactKind::Ended => "ENDED",
        FactKind::Gone => "GONE",
    };
    hex::encode(Sha256::digest(format!("{uid} {kind} {generation}")))
}

/// A fact about a tenant's workspace, with the amounts of our own record. Pods are limited, not billed; what has ended holds nothing.
pub fn fact_of_tenant(
    tenant: &Tenant,
    kind: FactKind,
    generation: u64,
    occurred: Timestamp,
    received: Timestamp,
) -> LifecycleFact {
    let amounts = if kind == FactKind::Ended {
        Resources::ZERO
    } else {
        Resources { pods: 0, ..tenant.workspace_quota.clone() }
    };
    LifecycleFact {
        id: fact_id(&tenant.uid, kind, generation),
        member: tenant.member.clone(),
        subject: tenant.name(),
        uid: tenant.uid.clone(),
        kind,
        generation,
        occurred,
        received,
        amounts,
        workspace: true,
        bill_to: tenant.bill_to.clone(),
        accounting_reference: String::new(),
    }
}

/// The same about an instance.
pub fn fact_of_instance(
    instance: &Instance,
    kind: FactKind,
    generation: u64,
    occurred: Timestamp,
    received: Timestamp,
) -> LifecycleFact {
    let amounts = if kind == FactKind::Ended { Resources::ZERO } else { instance.footprint.clone() };
    LifecycleFact {
        id: fact_id(&instance.uid, kind, generation),
        member: instance.member.clone(),
        subject: instance.name(),
        uid: instance.uid.clone(),
        kind,
        generation,
        occurred,
        received,
        amounts,
        workspace: false,
        bill_to: instance.bill_to.clone(),
        accounting_reference: instance.accounting_reference.clone(),
    }
}

/// All usage of a member that touches a period: from lifecycle facts (living ones up to `until`) and imported.
///
/// # Errors
/// When the store fails.
pub async fn segments_in(
    store: &Store,
    member: &MemberId,
    period: Period,
    until: Timestamp,
) -> Result<Vec<UsageSegment>, AppError> {
    let (facts, _) = store.snapshot(&keys::facts(member)).await?;
    let facts: Vec<_> = facts.into_iter().map(|fact| fact.value).collect();
    let mut all = segments_of(&facts, until)?;
    let (imported, _) = store.snapshot(&keys::segments(member)).await?;
    all.extend(imported.into_iter().map(|stored| stored.value.segment));
    Ok(all.iter().filter_map(|segment| cut(segment, period)).collect())
}
