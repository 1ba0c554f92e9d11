//! Metrics of the pool. Labels: clusters, resources and levels; never members, who are many and whose matter it is.

use allmende_domain::{
    cluster::Cluster,
    quota::level::{Crossing, LEVELS},
    resources::Resources,
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// Labels of an amount.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    cluster: String,
    resource: String,
}

/// Labels of a level.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LevelLabels {
    cluster: String,
    resource: String,
    level: u8,
}

/// Labels of a crossing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CrossingLabels {
    level: u8,
    direction: &'static str,
}

/// See the module; clones share them.
#[derive(Debug, Clone, Default)]
pub struct HoldingsMetrics {
    capacity: Family<Labels, Gauge>,
    carved: Family<Labels, Gauge>,
    reserved: Family<Labels, Gauge>,
    lent: Family<Labels, Gauge>,
    used: Family<Labels, Gauge>,
    members: Family<LevelLabels, Gauge>,
    crossings: Family<CrossingLabels, Counter>,
    errors: Counter,
}

/// Sums over the members of one cluster.
#[derive(Debug, Clone, Default)]
pub(super) struct Sums {
    pub(super) reserved: Resources,
    pub(super) lent: Resources,
    pub(super) used: Resources,
    /// Members at or above each level, by resource.
    pub(super) members: std::collections::BTreeMap<(String, u8), i64>,
}

impl HoldingsMetrics {
    /// Registers everything in `registry`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let amounts = [
            ("capacity", "What the cluster can give, base units", &metrics.capacity),
            ("carved", "What of it is entitlement of members", &metrics.carved),
            ("reserved", "What members have reserved", &metrics.reserved),
            ("lent", "What members have lent to others", &metrics.lent),
            ("used", "What the cluster counts as used in members' namespaces", &metrics.used),
        ];
        for (name, help, family) in amounts {
            registry.register(format!("allmende_quota_{name}"), help, family.clone());
        }
        registry.register(
            "allmende_quota_members_at_level",
            "Members that have reserved at least so many per cent of what they may",
            metrics.members.clone(),
        );
        registry.register(
            "allmende_quota_level_crossings",
            "Levels that members' accounts reached or fell below, as seen by this replica",
            metrics.crossings.clone(),
        );
        registry.register(
            "allmende_quota_keeper_errors",
            "Looks at the pool that could not be finished",
            metrics.errors.clone(),
        );
        metrics
    }

    pub(super) fn error(&self) {
        self.errors.inc();
    }

    pub(super) fn crossed(&self, crossing: &Crossing) {
        let direction = if crossing.up { "up" } else { "down" };
        self.crossings.get_or_create(&CrossingLabels { level: crossing.level, direction }).inc();
    }

    /// Sets everything of one cluster.
    pub(super) fn set(&self, cluster: &Cluster, sums: &Sums) {
        // Zeros too: what is given back must not stand for ever.
        let names = cluster.capacity.max(&cluster.carved).max(&sums.reserved);
        for (resource, _) in names.named() {
            let resource = resource.into_owned();
            let set = |family: &Family<Labels, Gauge>, amounts: &Resources| {
                let labels = Labels { cluster: cluster.id.to_string(), resource: resource.clone() };
                family.get_or_create(&labels).set(amounts.get(&resource));
            };
            set(&self.capacity, &cluster.capacity);
            set(&self.carved, &cluster.carved);
            set(&self.reserved, &sums.reserved);
            set(&self.lent, &sums.lent);
            set(&self.used, &sums.used);
            for level in LEVELS {
                let labels =
                    LevelLabels { cluster: cluster.id.to_string(), resource: resource.clone(), level };
                let count = sums.members.get(&(resource.clone(), level)).copied().unwrap_or(0);
                self.members.get_or_create(&labels).set(count);
            }
        }
    }
}
