//! Usage: facts in, counted once; usage and cost out.

mod cost;
mod facts;
mod import;

use allmende_domain::{
    ids::{MemberId, Uid},
    period::Period,
    usage::{UsageSegment, cut, segments_of},
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
pub fn fact_id(uid: &Uid, kind: &str, generation: u64) -> String {
    hex::encode(Sha256::digest(format!("{uid} {kind} {generation}")))
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
