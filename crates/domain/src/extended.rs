//! Extended resources: what Kubernetes counts under a name that the cluster's operator chose, for example `nvidia.com/gpu`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Most extended resources that a cluster gives out: each is a number in every quota and every stored amount.
pub const EXTENDED_MAX: usize = 8;

/// Longest name: it stands behind `requests.` in a quota.
const NAME_MAX: usize = 100;

/// Name of an extended resource as nodes advertise it, without `requests.`. See
/// <https://kubernetes.io/docs/tasks/administer-cluster/extended-resource-node/>.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ResourceName(String);

/// What is no name of an extended resource.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{0}` names no extended resource: write {{domain}}/{{name}} as nodes advertise it, for example nvidia.com/gpu; \
     domains of kubernetes.io are its own"
)]
pub struct ResourceNameError(String);

impl ResourceName {
    /// As nodes advertise it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As a ResourceQuota names it.
    pub fn in_quota(&self) -> String {
        format!("requests.{}", self.0)
    }
}

impl fmt::Display for ResourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ResourceName {
    type Err = ResourceNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let well_formed = text.len() <= NAME_MAX
            && text.split_once('/').is_some_and(|(domain, name)| is_domain(domain) && is_qualified(name));
        if well_formed { Ok(Self(text.to_owned())) } else { Err(ResourceNameError(shown(text))) }
    }
}

impl TryFrom<String> for ResourceName {
    type Error = ResourceNameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ResourceName> for String {
    fn from(name: ResourceName) -> Self {
        name.0
    }
}

/// A DNS name with a dot that is none of Kubernetes' own.
fn is_domain(domain: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let reserved = domain == "kubernetes.io" || domain.ends_with(".kubernetes.io");
    domain.contains('.') && domain.split('.').all(label) && !reserved && !domain.starts_with("requests.")
}

/// The part behind the domain: letters, digits, and `-`, `_`, `.` between them.
fn is_qualified(name: &str) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    bytes.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// What somebody sent, cut so that no error grows with it.
fn shown(text: &str) -> String {
    text.chars().take(NAME_MAX).collect()
}

/// Amounts by name. What is zero is not kept: two that mean the same are the same.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "BTreeMap<ResourceName, i64>", into = "BTreeMap<ResourceName, i64>")]
pub struct Extended(BTreeMap<ResourceName, i64>);

impl Extended {
    /// None.
    pub const NONE: Self = Self(BTreeMap::new());

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Number of units; zero for a name that is not there.
    pub fn get(&self, name: &ResourceName) -> i64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// Sets the number of units.
    pub fn set(&mut self, name: ResourceName, amount: i64) {
        if amount == 0 {
            self.0.remove(&name);
        } else {
            self.0.insert(name, amount);
        }
    }

    /// Names and amounts, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&ResourceName, i64)> {
        self.0.iter().map(|(name, amount)| (name, *amount))
    }

    /// Names that are not among the `known` ones.
    pub fn unknown(&self, known: &Self) -> Vec<ResourceName> {
        self.0.keys().filter(|name| !known.0.contains_key(name)).cloned().collect()
    }

    /// The names of both, each once.
    pub(crate) fn names_with<'a>(&'a self, other: &'a Self) -> BTreeSet<&'a ResourceName> {
        self.0.keys().chain(other.0.keys()).collect()
    }
}

impl From<BTreeMap<ResourceName, i64>> for Extended {
    fn from(amounts: BTreeMap<ResourceName, i64>) -> Self {
        Self(amounts.into_iter().filter(|(_, amount)| *amount != 0).collect())
    }
}

impl From<Extended> for BTreeMap<ResourceName, i64> {
    fn from(amounts: Extended) -> Self {
        amounts.0
    }
}

impl FromIterator<(ResourceName, i64)> for Extended {
    fn from_iter<I: IntoIterator<Item = (ResourceName, i64)>>(amounts: I) -> Self {
        Self(amounts.into_iter().filter(|(_, amount)| *amount != 0).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_nodes_may_advertise() {
        for good in ["nvidia.com/gpu", "nvidia.com/mig-1g.10gb.shared", "amd.com/gpu", "xilinx.com/fpga_u30"]
        {
            assert_eq!(good.parse::<ResourceName>().unwrap().in_quota(), format!("requests.{good}"));
        }
    }

    #[test]
    fn what_is_no_name_or_belongs_to_kubernetes_is_refused() {
        let long = format!("example.org/{}", "a".repeat(64));
        for bad in [
            "",
            "gpu",
            "/gpu",
            "nvidia.com/",
            "nvidia/gpu",
            "Nvidia.com/gpu",
            "nvidia.com/a/b",
            "nvidia.com/gpu ",
            "nvidia..com/gpu",
            "-a.com/gpu",
            "kubernetes.io/batch-cpu",
            "node.kubernetes.io/x",
            "requests.nvidia.com/gpu",
            "nvidia.com/-gpu",
            "nvidia.com/gpü",
            &long,
        ] {
            let refused = bad.parse::<ResourceName>();
            assert!(refused.is_err_and(|error| error.to_string().contains("nvidia.com/gpu")), "{bad}");
        }
    }

    #[test]
    fn nothing_of_a_resource_is_the_same_as_not_naming_it() {
        let gpu: ResourceName = "nvidia.com/gpu".parse().unwrap();
        let read: Extended = serde_json::from_str(r#"{"nvidia.com/gpu":0}"#).unwrap();
        assert_eq!(read, Extended::NONE);
        let mut some = Extended::from_iter([(gpu.clone(), 2)]);
        assert_eq!(serde_json::to_string(&some).unwrap(), r#"{"nvidia.com/gpu":2}"#);
        some.set(gpu, 0);
        assert!(some.is_empty());
    }
}
