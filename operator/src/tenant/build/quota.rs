//! The quota of a namespace, and what an API server says of it.

use std::collections::BTreeMap;

use allmende_crds::ResourceAmounts;
use k8s_openapi::{
    api::core::v1::{ResourceQuota, ResourceQuotaSpec},
    apimachinery::pkg::api::resource::Quantity,
};

use super::{super::validate::NamespacePlan, OBJECT_NAME, metadata};
use crate::quantity::{from_milli, from_whole, parse_milli, parse_whole};

const CPU: &str = "requests.cpu";
const MEMORY: &str = "requests.memory";
const STORAGE: &str = "requests.storage";
const PODS: &str = "pods";

/// How many objects of a kind fit into a namespace. Nobody pays for them, but all share the store they lie in: far above what people need,
/// far below what would hurt others.
const COUNTS: [(&str, i64); 15] = [
    ("configmaps", 500),
    ("secrets", 1000),
    ("services", 100),
    ("persistentvolumeclaims", 100),
    ("replicationcontrollers", 100),
    ("count/serviceaccounts", 100),
    ("count/deployments.apps", 100),
    ("count/statefulsets.apps", 100),
    ("count/replicasets.apps", 2000),
    ("count/jobs.batch", 1000),
    ("count/cronjobs.batch", 100),
    ("count/ingresses.networking.k8s.io", 100),
    ("count/networkpolicies.networking.k8s.io", 100),
    ("count/roles.rbac.authorization.k8s.io", 100),
    ("count/rolebindings.rbac.authorization.k8s.io", 100),
];

pub(super) fn build(plan: &NamespacePlan) -> ResourceQuota {
    let amounts = plan.quota;
    let mut hard = BTreeMap::from([
        (CPU.to_owned(), from_milli(amounts.cpu_milli)),
        (MEMORY.to_owned(), from_whole(amounts.memory_bytes)),
        (STORAGE.to_owned(), from_whole(amounts.storage_bytes)),
        (PODS.to_owned(), from_whole(amounts.pods)),
        ("limits.cpu".to_owned(), from_milli(amounts.cpu_milli.saturating_mul(plan.limit_factor))),
        ("limits.memory".to_owned(), from_whole(amounts.memory_bytes.saturating_mul(plan.limit_factor))),
        // Ports of nodes and load balancers belong to the cluster; nobody reserved or pays them.
        ("services.nodeports".to_owned(), from_whole(0)),
        ("services.loadbalancers".to_owned(), from_whole(0)),
    ]);
    hard.extend(COUNTS.map(|(name, count)| (name.to_owned(), from_whole(count))));
    ResourceQuota {
        metadata: metadata(plan, OBJECT_NAME),
        spec: Some(ResourceQuotaSpec { hard: Some(hard), ..ResourceQuotaSpec::default() }),
        status: None,
    }
}

/// Whether the API server enforces what the quota says: `status.hard` shows the same amounts as `spec.hard` of `wanted`.
#[must_use]
pub fn is_enforced(wanted: &ResourceQuota, found: &ResourceQuota) -> bool {
    let wanted = wanted.spec.as_ref().and_then(|spec| spec.hard.as_ref());
    let enforced = found.status.as_ref().and_then(|status| status.hard.as_ref());
    let (Some(wanted), Some(enforced)) = (wanted, enforced) else { return false };
    wanted.iter().all(|(name, amount)| {
        enforced.get(name).is_some_and(|found| {
            parse_milli(&found.0).is_some() && parse_milli(&found.0) == parse_milli(&amount.0)
        })
    })
}

/// The amounts of a `hard` or `used` map; what is missing counts as zero.
#[must_use]
pub fn amounts(map: &BTreeMap<String, Quantity>) -> ResourceAmounts {
    let milli = |name: &str| map.get(name).and_then(|amount| parse_milli(&amount.0)).unwrap_or(0);
    let whole = |name: &str| map.get(name).and_then(|amount| parse_whole(&amount.0)).unwrap_or(0);
    ResourceAmounts {
        cpu_milli: i64::try_from(milli(CPU)).unwrap_or(i64::MAX),
        memory_bytes: whole(MEMORY),
        storage_bytes: whole(STORAGE),
        pods: whole(PODS),
    }
}
