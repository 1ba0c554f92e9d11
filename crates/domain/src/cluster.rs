//! A cluster in the pool and what of it is carved into entitlements.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    ids::{ClusterId, Uid},
    quota::rule::Overcommit,
    resources::{AmountError, Resources, Shortfall},
};

/// A Kubernetes cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Permanent.
    pub id: ClusterId,
    /// For people.
    pub display_name: String,
    /// What can be given out.
    pub capacity: Resources,
    /// Sum of the entitlements on it. Grows only up to the [`ceiling`](Self::ceiling).
    pub carved: Resources,
    /// How much more than the capacity may be promised; decided with the rule that divides the pool.
    #[serde(default)]
    pub overcommit: Overcommit,
    /// When it was registered.
    pub create_time: Timestamp,
}

/// What the operator of a cluster last said; apart from [`Cluster`] so that a sign of life never collides with carving.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterSeen {
    /// Of this cluster.
    pub cluster: ClusterId,
    /// When its operator was last heard.
    pub last_seen: Timestamp,
    /// All lifecycle facts up to here were received; moves forward only.
    pub watermark: Option<Timestamp>,
    /// What is there and not in our state, by name: as told since the operator last connected. Of many only the first.
    #[serde(default)]
    pub orphans: BTreeMap<String, Uid>,
}

/// Orphans that are kept of one cluster: enough to see that something is wrong, and what.
const ORPHANS_MAX: usize = 500;

impl ClusterSeen {
    /// First heard now.
    pub fn first(cluster: ClusterId, now: Timestamp) -> Self {
        Self { cluster, last_seen: now, watermark: None, orphans: BTreeMap::new() }
    }

    /// With one more orphan, as far as there is room.
    #[must_use]
    pub fn with_orphan(&self, name: &str, uid: Uid) -> Self {
        let mut next = self.clone();
        if next.orphans.len() < ORPHANS_MAX || next.orphans.contains_key(name) {
            next.orphans.insert(name.to_owned(), uid);
        }
        next
    }
}

/// Why capacity was not carved or changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CarveError {
    /// The capacity would not cover the entitlements.
    #[error("the cluster's capacity does not cover this")]
    Short(Vec<Shortfall>),
    /// The sum is no amount.
    #[error(transparent)]
    Amount(#[from] AmountError),
}

impl Cluster {
    /// What may be promised of the capacity.
    ///
    /// # Errors
    /// When an amount no longer fits.
    pub fn ceiling(&self) -> Result<Resources, AmountError> {
        self.overcommit.ceiling(&self.capacity)
    }

    /// What may still be carved.
    ///
    /// # Errors
    /// As [`ceiling`](Self::ceiling).
    pub fn room(&self) -> Result<Resources, AmountError> {
        Ok(self.ceiling()?.saturating_sub(&self.carved))
    }

    /// Replaces one member's entitlement `old` by `new` in the carved sum. What shrinks always may, also where more is promised than there
    /// is since the capacity was lowered.
    ///
    /// # Errors
    /// When the capacity does not cover what grows; nothing is changed then.
    pub fn carve(&self, old: &Resources, new: &Resources) -> Result<Self, CarveError> {
        let others = self.carved.checked_sub(old)?;
        let mut short = new.shortfalls(&others, &self.ceiling()?);
        short.retain(|short| new.get(&short.resource) > old.get(&short.resource));
        if short.is_empty() {
            Ok(Self { carved: others.checked_add(new)?, ..self.clone() })
        } else {
            Err(CarveError::Short(short))
        }
    }

    /// Sets the capacity. One that does not cover what is promised needs a plan: see [`quota::capacity`](crate::quota::capacity).
    ///
    /// # Errors
    /// When it does not cover what is already carved.
    pub fn with_capacity(&self, capacity: Resources) -> Result<Self, CarveError> {
        let next = Self { capacity, ..self.clone() };
        let short = self.carved.shortfalls(&Resources::ZERO, &next.ceiling()?);
        if short.is_empty() { Ok(next) } else { Err(CarveError::Short(short)) }
    }
}
