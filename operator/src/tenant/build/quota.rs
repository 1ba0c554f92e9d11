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
const LOAD_BALANCERS: &str = "services.loadbalancers";
/// What stands before the name of an extended resource.
const REQUESTS: &str = "requests.";

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
    let amounts = &plan.quota;
    let mut hard = BTreeMap::from([
        (CPU.to_owned(), from_milli(amounts.cpu_milli)),
        (MEMORY.to_owned(), from_whole(amounts.memory_bytes)),
        (STORAGE.to_owned(), from_whole(amounts.storage_bytes)),
        (PODS.to_owned(), from_whole(amounts.pods)),
        ("limits.cpu".to_owned(), from_milli(plan.limit_of(amounts.cpu_milli))),
        ("limits.memory".to_owned(), from_whole(plan.limit_of(amounts.memory_bytes))),
        (LOAD_BALANCERS.to_owned(), from_whole(amounts.load_balancers)),
        // Ports of nodes belong to the cluster; nobody reserves or pays them.
        ("services.nodeports".to_owned(), from_whole(0)),
    ]);
    // What a quota does not name, a namespace may take without limit: what is not reserved is named with zero.
    hard.extend(plan.extended_resources.iter().map(|name| (format!("{REQUESTS}{name}"), from_whole(0))));
    hard.extend(
        amounts.extended.iter().map(|(name, amount)| (format!("{REQUESTS}{name}"), from_whole(*amount))),
    );
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
        load_balancers: whole(LOAD_BALANCERS),
        extended: map
            .keys()
            .filter_map(|key| key.strip_prefix(REQUESTS).filter(|name| name.contains('/')))
            .map(|name| (name.to_owned(), whole(&format!("{REQUESTS}{name}"))))
            .filter(|(_, amount)| *amount != 0)
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenant::validate::NamespaceKind;

    fn plan(quota: ResourceAmounts) -> NamespacePlan {
        NamespacePlan {
            name: "m-1-prod".to_owned(),
            kind: NamespaceKind::Workspace,
            counterpart: "m-1-prod-svc".to_owned(),
            member: "m-1".to_owned(),
            tenant: "prod".to_owned(),
            desired_name: "members/m-1/tenants/prod".to_owned(),
            quota,
            limit_per_mille: 1500,
            extended_resources: vec!["nvidia.com/gpu".to_owned(), "example.org/fpga".to_owned()],
            roles: Vec::new(),
            operator: None,
        }
    }

    fn hard(quota: &ResourceQuota) -> BTreeMap<String, Quantity> {
        quota.spec.as_ref().unwrap().hard.clone().unwrap()
    }

    #[test]
    fn what_is_not_reserved_of_a_cluster_s_resources_is_zero_and_not_without_limit() {
        let hard = hard(&build(&plan(ResourceAmounts {
            cpu_milli: 1001,
            memory_bytes: 3,
            extended: [("nvidia.com/gpu".to_owned(), 2)].into(),
            ..ResourceAmounts::default()
        })));
        for (name, amount) in [
            ("requests.cpu", "1001m"),
            ("limits.cpu", "1502m"),
            ("limits.memory", "5"),
            ("requests.storage", "0"),
            ("pods", "0"),
            ("services.loadbalancers", "0"),
            ("services.nodeports", "0"),
            ("requests.nvidia.com/gpu", "2"),
            ("requests.example.org/fpga", "0"),
        ] {
            assert_eq!(hard.get(name).map(|quantity| quantity.0.as_str()), Some(amount), "{name}");
        }
    }

    #[test]
    fn what_a_quota_shows_is_read_as_what_it_was_made_from() {
        let amounts_before = ResourceAmounts {
            cpu_milli: 1500,
            memory_bytes: 1 << 30,
            storage_bytes: 5,
            pods: 7,
            load_balancers: 1,
            extended: [("nvidia.com/gpu".to_owned(), 2)].into(),
        };
        assert_eq!(amounts(&hard(&build(&plan(amounts_before.clone())))), amounts_before);
    }
}
