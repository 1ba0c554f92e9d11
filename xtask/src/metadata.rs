//! The part of `cargo metadata` that the layer check reads.

use std::{collections::BTreeMap, process::Command};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// The workspace's packages with their declared dependencies.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) dependencies: Vec<Dependency>,
}

/// One line of a `[dependencies]` table.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `None` for a normal dependency, else `dev` or `build`.
    pub(crate) kind: Option<String>,
}

impl Dependency {
    pub(crate) fn is_dev(&self) -> bool {
        self.kind.as_deref() == Some("dev")
    }
}

impl Metadata {
    /// Reads the manifests of this workspace; needs no network.
    pub(crate) fn read() -> Result<Metadata> {
        let output = cargo(&["metadata", "--no-deps", "--format-version", "1"])?;
        serde_json::from_str(&output).context("cargo metadata is not the JSON it should be")
    }

    /// The packages by name.
    pub(crate) fn by_name(&self) -> BTreeMap<&str, &Package> {
        self.packages.iter().map(|package| (package.name.as_str(), package)).collect()
    }

    #[cfg(test)]
    pub(crate) fn of(packages: Vec<Package>) -> Metadata {
        Metadata { packages }
    }
}

/// Runs cargo and returns what it printed.
pub(crate) fn cargo(arguments: &[&str]) -> Result<String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo).args(arguments).output().context("cargo cannot be started")?;
    ensure!(
        output.status.success(),
        "cargo {} failed: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).context("cargo printed something that is not UTF-8")
}
