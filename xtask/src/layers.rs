//! Who may depend on whom.
//!
//! Two halves meet in `proto/`: the API knows etcd and never Kubernetes, the operator knows Kubernetes and never etcd. The
//! domain knows neither. The table below is that sentence, crate by crate; a crate without a row fails the check.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

use crate::{
    findings::Findings,
    metadata::{Metadata, Package},
};

/// One crate's row: what it may use of this workspace, and what it must never reach, also through others.
struct Layer {
    name: &'static str,
    may_use: &'static [&'static str],
    never: &'static [&'static str],
    reason: &'static str,
}

const KUBERNETES: &str = "kube";
const ETCD: &str = "etcd-client";

/// The only crate that anything may use in tests, and nothing else.
const TEST_KIT: &str = "allmende-testkit";

/// Crates that hold tests alone: for them a normal dependency on the test kit is a test's dependency.
const TESTS_ONLY: &[&str] = &["allmende-bench", "allmende-decoders", "allmende-tests"];

/// All that the pure domain may use from outside.
const DOMAIN_EXTERNAL: &[&str] = &["jiff", "serde", "thiserror"];

const LAYERS: &[Layer] = &[
    Layer {
        name: "allmende-proto",
        may_use: &[],
        never: &[KUBERNETES, ETCD],
        reason: "it is the contract: whoever talks to the API compiles it, and nothing else with it",
    },
    Layer {
        name: "allmende-domain",
        may_use: &[],
        never: &["tokio", "tonic", KUBERNETES, ETCD, "allmende-proto"],
        reason: "it decides about money and quota; with no I/O in reach every decision is tested in microseconds",
    },
    Layer {
        name: "allmende-evidence",
        may_use: &[],
        never: &["tokio", "tonic", KUBERNETES, ETCD, "allmende-proto"],
        reason: "who seals and who verifies offline use the same lines, which an auditor can read in half an hour",
    },
    Layer {
        name: "allmende-store",
        may_use: &["allmende-domain", "allmende-evidence"],
        never: &[KUBERNETES, "allmende-proto"],
        reason: "it stores entities of the domain; a wire message in etcd would tie stored data to the contract",
    },
    Layer {
        name: "allmende-crds",
        may_use: &[],
        never: &[ETCD, "allmende-proto"],
        reason: "the types of the cluster; an administrator's tool may use them without the rest",
    },
    Layer {
        name: "allmende-documents",
        may_use: &["allmende-domain"],
        never: &["tokio", KUBERNETES, ETCD, "allmende-proto"],
        reason: "values in, bytes out: the same invoice must give the same bytes in any program",
    },
    Layer {
        name: "allmende-identity",
        may_use: &[],
        never: &[KUBERNETES, ETCD, "allmende-domain"],
        reason: "it says who called; what they may do is decided elsewhere",
    },
    Layer {
        name: "allmende-telemetry",
        may_use: &[],
        never: &[KUBERNETES, ETCD, "allmende-domain"],
        reason: "every binary uses it, so it must pull in nothing of any half",
    },
    Layer {
        name: TEST_KIT,
        may_use: &[
            "allmende-crds",
            "allmende-domain",
            "allmende-identity",
            "allmende-proto",
            "allmende-store",
            "allmende-telemetry",
        ],
        never: &[],
        reason: "fixtures may know everything, because nothing that runs in production may know them",
    },
    Layer {
        name: "allmende-api",
        may_use: &[
            "allmende-domain",
            "allmende-evidence",
            "allmende-identity",
            "allmende-proto",
            "allmende-store",
            "allmende-telemetry",
        ],
        never: &[KUBERNETES, "k8s-openapi", "allmende-crds", "allmende-operator"],
        reason: "the API never calls Kubernetes: clusters may stand behind firewalls and the operator dials out",
    },
    Layer {
        name: "allmende-billing",
        may_use: &["allmende-documents", "allmende-domain", "allmende-store", "allmende-telemetry"],
        never: &[KUBERNETES, "k8s-openapi", "allmende-proto"],
        reason: "a worker on the store; it serves nothing",
    },
    Layer {
        name: "allmende-operator",
        may_use: &["allmende-crds", "allmende-identity", "allmende-proto", "allmende-telemetry"],
        never: &[ETCD, "allmende-store", "allmende-domain", "allmende-api"],
        reason: "the operator never reads etcd: all it knows comes over the stream and from its own cluster",
    },
    Layer {
        name: "allmende-cli",
        may_use: &["allmende-evidence", "allmende-identity", "allmende-proto", "allmende-telemetry"],
        never: &[KUBERNETES, "k8s-openapi", ETCD, "allmende-store", "allmende-domain"],
        reason: "a client like any other: what it can do, every client can do",
    },
    Layer {
        name: "allmende-tests",
        may_use: &["allmende-identity", "allmende-proto", TEST_KIT],
        never: &[
            "allmende-store",
            "allmende-domain",
            "allmende-api",
            "allmende-operator",
            "allmende-billing",
        ],
        reason: "end-to-end tests start the programs and see what lies outside of them",
    },
    Layer {
        name: "allmende-decoders",
        may_use: &[
            "allmende-api",
            "allmende-domain",
            "allmende-evidence",
            "allmende-identity",
            "allmende-operator",
            "allmende-proto",
            "allmende-store",
        ],
        never: &[],
        reason: "it feeds any bytes to the decoders of all of them, and nothing that runs in production may know it",
    },
    Layer {
        name: "allmende-bench",
        may_use: &["allmende-domain", "allmende-identity", "allmende-proto", "allmende-store", TEST_KIT],
        never: &["allmende-api", "allmende-operator", "allmende-billing"],
        reason: "it measures the programs from outside, and the store as the API uses it",
    },
    Layer { name: "xtask", may_use: &[], never: &[KUBERNETES, ETCD], reason: "checks must build in seconds" },
];

/// Compares the manifests with the table.
pub(crate) fn check() -> Result<Findings> {
    findings(&Metadata::read()?)
}

fn findings(metadata: &Metadata) -> Result<Findings> {
    let packages = metadata.by_name();
    ensure!(!packages.is_empty(), "cargo metadata names no package");
    let mut errors = Vec::new();
    for (name, package) in &packages {
        match LAYERS.iter().find(|layer| layer.name == *name) {
            Some(layer) => errors.extend(breaches(layer, package, &packages)),
            None => {
                errors.push(format!("{name} has no row in xtask/src/layers.rs: say what it may use and why"))
            }
        }
    }
    for layer in LAYERS.iter().filter(|layer| !packages.contains_key(layer.name)) {
        errors.push(format!(
            "{} has a row in xtask/src/layers.rs but is no crate of this workspace",
            layer.name
        ));
    }
    Ok(Findings { checked: format!("{} crates", packages.len()), warnings: Vec::new(), errors })
}

fn breaches(layer: &Layer, package: &Package, packages: &BTreeMap<&str, &Package>) -> Vec<String> {
    let mut found = Vec::new();
    for dependency in &package.dependencies {
        let name = dependency.name.as_str();
        if name == TEST_KIT && !dependency.is_dev() && !TESTS_ONLY.contains(&layer.name) {
            found.push(format!("{} uses {TEST_KIT} outside of dev-dependencies", layer.name));
        } else if dependency.is_dev() && name == TEST_KIT {
            // The one thing that a test may add freely.
        } else if packages.contains_key(name) && !layer.may_use.contains(&name) {
            found.push(format!("{} must not use {name}: {}", layer.name, layer.reason));
        }
        if layer.name == "allmende-domain"
            && !dependency.is_dev()
            && !DOMAIN_EXTERNAL.contains(&name)
            && !packages.contains_key(name)
        {
            found.push(format!("{} must not use {name}: {}", layer.name, layer.reason));
        }
    }
    for path in reached(package, packages) {
        let name = path.last().copied().unwrap_or_default();
        if layer.never.contains(&name) {
            found.push(format!(
                "{} must never reach {name} ({}): {}",
                layer.name,
                path.join(" → "),
                layer.reason
            ));
        }
    }
    found
}

/// Every declared dependency in reach, through this workspace's crates, with the way to it. Dev-dependencies are left out.
fn reached<'a>(package: &'a Package, packages: &BTreeMap<&'a str, &'a Package>) -> Vec<Vec<&'a str>> {
    let mut paths: Vec<Vec<&str>> = Vec::new();
    let mut open = vec![(package, vec![package.name.as_str()])];
    while let Some((from, way)) = open.pop() {
        for dependency in from.dependencies.iter().filter(|dependency| !dependency.is_dev()) {
            let name = dependency.name.as_str();
            if paths.iter().any(|path| path.last() == Some(&name)) {
                continue;
            }
            let mut path = way.clone();
            path.push(name);
            if let Some(next) = packages.get(name) {
                open.push((next, path.clone()));
            }
            paths.push(path);
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Dependency;

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Package {
        let dependencies = dependencies
            .iter()
            .map(|(name, kind)| Dependency { name: (*name).to_owned(), kind: kind.map(str::to_owned) })
            .collect();
        Package { name: name.to_owned(), dependencies }
    }

    /// The table's own crates, each without dependencies, but for those given.
    fn workspace(changed: Vec<Package>) -> Metadata {
        let mut packages = changed;
        for layer in LAYERS {
            if !packages.iter().any(|package| package.name == layer.name) {
                packages.push(package(layer.name, &[]));
            }
        }
        Metadata::of(packages)
    }

    fn errors(changed: Vec<Package>) -> Vec<String> {
        findings(&workspace(changed)).unwrap().errors
    }

    #[test]
    fn the_table_itself_is_in_order() {
        assert_eq!(errors(vec![]), Vec::<String>::new());
    }

    #[test]
    fn the_api_must_not_use_the_crds_nor_kubernetes() {
        let found = errors(vec![package("allmende-api", &[("allmende-crds", None), ("kube", None)])]);
        assert!(found.iter().any(|text| text.contains("must not use allmende-crds")), "{found:?}");
        assert!(found.iter().any(|text| text.contains("must never reach kube")), "{found:?}");
    }

    #[test]
    fn what_is_reached_through_another_crate_counts_and_the_way_is_told() {
        let found = errors(vec![
            package("allmende-telemetry", &[("etcd-client", None)]),
            package("allmende-operator", &[("allmende-telemetry", None)]),
        ]);
        let way = "allmende-operator → allmende-telemetry → etcd-client";
        assert!(found.iter().any(|text| text.contains(way)), "{found:?}");
    }

    #[test]
    fn the_test_kit_is_for_tests_alone() {
        assert_eq!(
            errors(vec![package("allmende-api", &[("allmende-testkit", Some("dev"))])]),
            Vec::<String>::new()
        );
        assert_eq!(errors(vec![package("allmende-api", &[("allmende-testkit", None)])]).len(), 1);
    }

    #[test]
    fn the_domain_uses_three_crates_from_outside() {
        assert_eq!(errors(vec![package("allmende-domain", &[("serde_json", None)])]).len(), 1);
        assert_eq!(
            errors(vec![package("allmende-domain", &[("serde_json", Some("dev")), ("serde", None)])]).len(),
            0
        );
    }

    #[test]
    fn a_crate_without_a_row_fails() {
        let found = errors(vec![package("allmende-new", &[])]);
        assert!(found.iter().any(|text| text.contains("allmende-new has no row")), "{found:?}");
    }
}
