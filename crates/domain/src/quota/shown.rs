//! What a cluster shows of a tenant's quotas, namespace by namespace. Apart from the tenant itself: it changes with every pod, and must
//! neither collide with an order nor make an etag stale.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    ids::{ClusterId, MemberId, TenantId, Uid},
    resources::{AmountError, Resources},
};

/// Namespaces of a tenant: the workspace and the services.
const NAMESPACES_MAX: usize = 2;

/// The ResourceQuota of one namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceQuota {
    /// `status.hard`: what the API server enforces.
    pub hard: Resources,
    /// `status.used`: what it has counted.
    pub used: Resources,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownQuota {
    /// Whose.
    pub member: MemberId,
    /// Of which tenant.
    pub tenant: TenantId,
    /// Of which life of it.
    pub uid: Uid,
    /// On which cluster.
    pub cluster: ClusterId,
    /// The generation of the tenant that was applied when this was seen.
    pub generation: u64,
    /// By namespace.
    pub namespaces: BTreeMap<String, NamespaceQuota>,
    /// When a report last told something else.
    pub change_time: Timestamp,
}

impl ShownQuota {
    /// Takes what a report shows; `None` when it tells nothing new, is older than what is known, or speaks of an earlier life. The caller
    /// has checked that the report is about the tenant as it lives now.
    pub fn updated(found: Option<&Self>, told: Self) -> Option<Self> {
        if told.namespaces.is_empty() || told.namespaces.len() > NAMESPACES_MAX {
            return None;
        }
        match found {
            Some(found) if found.uid == told.uid && found.generation > told.generation => None,
            Some(found)
                if found.uid == told.uid
                    && found.namespaces == told.namespaces
                    && found.generation == told.generation =>
            {
                None
            }
            _ => Some(told),
        }
    }

    /// What all namespaces use.
    ///
    /// # Errors
    /// When the sum is no amount.
    pub fn used(&self) -> Result<Resources, AmountError> {
        Resources::sum(self.namespaces.values().map(|quota| &quota.used))
    }

    /// What all namespaces may take.
    ///
    /// # Errors
    /// When the sum is no amount.
    pub fn hard(&self) -> Result<Resources, AmountError> {
        Resources::sum(self.namespaces.values().map(|quota| &quota.hard))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "0192f0c1-2345-7abc-8def-0123456789ab";
    const NEXT_LIFE: &str = "0192f0c1-2345-7abc-8def-0123456789ac";

    fn told(uid: &str, generation: u64, used: i64) -> ShownQuota {
        let quota = |pods| NamespaceQuota {
            hard: Resources { pods: 10, ..Resources::ZERO },
            used: Resources { pods, ..Resources::ZERO },
        };
        ShownQuota {
            member: "m-05766044".parse().unwrap(),
            tenant: "prod".parse().unwrap(),
            uid: uid.parse().unwrap(),
            cluster: "local-1".parse().unwrap(),
            generation,
            namespaces: [("m-05766044-prod", used), ("m-05766044-prod-svc", 1)]
                .map(|(name, used)| (name.to_owned(), quota(used)))
                .into(),
            change_time: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn what_is_new_is_taken_and_what_is_older_or_the_same_is_not() {
        let first = ShownQuota::updated(None, told(UID, 2, 3)).unwrap();
        assert_eq!((first.used().unwrap().pods, first.hard().unwrap().pods), (4, 20));
        assert_eq!(ShownQuota::updated(Some(&first), told(UID, 2, 3)), None);
        assert_eq!(ShownQuota::updated(Some(&first), told(UID, 1, 5)), None, "a report that was overtaken");
        assert!(ShownQuota::updated(Some(&first), told(UID, 2, 5)).is_some());
        assert!(ShownQuota::updated(Some(&first), told(NEXT_LIFE, 1, 5)).is_some());
        let nothing = ShownQuota { namespaces: BTreeMap::new(), ..told(UID, 3, 0) };
        assert_eq!(ShownQuota::updated(Some(&first), nothing), None);
    }
}
