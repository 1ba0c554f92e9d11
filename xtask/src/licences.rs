//! Licences, banned crates and sources of everything that cargo builds, by the rules of `deny.toml`.
//!
//! It reads `cargo tree`, which knows the features really in use, so that a crate that is only locked does not count.

use std::{collections::BTreeSet, fs};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::{findings::Findings, metadata::cargo};

#[derive(Debug, Deserialize)]
struct Policy {
    licenses: Licenses,
    bans: Bans,
}

#[derive(Debug, Deserialize)]
struct Licenses {
    allow: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Debug, Deserialize)]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
    reason: String,
}

/// Checks the built graph of the whole workspace, build and test dependencies included.
pub(crate) fn check() -> Result<Findings> {
    let policy =
        fs::read_to_string("deny.toml").context("deny.toml: run this at the root of the repository")?;
    let policy: Policy = toml::from_str(&policy).context("deny.toml is not what this check reads")?;
    let tree = cargo(&[
        "tree",
        "--workspace",
        "--locked",
        "--edges=normal,build,dev",
        "--prefix=none",
        "--format={p}|{l}",
        "--no-dedupe",
    ])?;
    let lock = fs::read_to_string("Cargo.lock").context("Cargo.lock")?;
    let mut findings = judge(&policy, &tree)?;
    findings.errors.extend(foreign_sources(&lock));
    Ok(findings)
}

fn judge(policy: &Policy, tree: &str) -> Result<Findings> {
    let crates: BTreeSet<&str> = tree.lines().filter(|line| !line.is_empty()).collect();
    ensure!(!crates.is_empty(), "cargo tree names no crate");
    let mut errors = Vec::new();
    for line in &crates {
        let (package, licence) =
            line.rsplit_once('|').with_context(|| format!("not a line of the tree: {line}"))?;
        let name = package.split(' ').next().unwrap_or(package);
        if let Some(ban) = policy.bans.deny.iter().find(|ban| ban.name == name) {
            errors.push(format!("{package} is banned: {}", ban.reason));
        }
        match Expression::parse(licence) {
            Ok(expression) if expression.is_allowed(&policy.licenses.allow) => {}
            Ok(_) => {
                errors.push(format!("{package}: the licence `{licence}` is not in deny.toml's allow list"))
            }
            Err(error) => errors.push(format!("{package}: {error:#}")),
        }
    }
    Ok(Findings { checked: format!("{} crates", crates.len()), warnings: Vec::new(), errors })
}

/// Locked packages that come from anywhere but crates.io and this workspace.
fn foreign_sources(lock: &str) -> Vec<String> {
    lock.lines()
        .filter_map(|line| line.strip_prefix("source = "))
        .filter(|source| source.trim_matches('"') != "registry+https://github.com/rust-lang/crates.io-index")
        .map(|source| format!("{source} is an unknown source; only crates.io is allowed"))
        .collect()
}

/// A licence expression of SPDX: OR binds weaker than AND, WITH belongs to its licence. The old `A/B` means OR.
#[derive(Debug, PartialEq, Eq)]
enum Expression {
    Licence(String),
    Any(Vec<Expression>),
    All(Vec<Expression>),
}

impl Expression {
    fn parse(text: &str) -> Result<Expression> {
        let spaced = text.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
        let mut words: Vec<&str> = spaced.split_whitespace().rev().collect();
        ensure!(!words.is_empty(), "it names no licence");
        let expression = Self::any(&mut words)?;
        ensure!(words.is_empty(), "`{text}` is no licence expression");
        Ok(expression)
    }

    /// `words` is a stack: the next word lies on top.
    fn any(words: &mut Vec<&str>) -> Result<Expression> {
        let mut parts = vec![Self::all(words)?];
        while words.pop_if(|word| *word == "OR").is_some() {
            parts.push(Self::all(words)?);
        }
        Ok(Expression::Any(parts))
    }

    fn all(words: &mut Vec<&str>) -> Result<Expression> {
        let mut parts = vec![Self::licence(words)?];
        while words.pop_if(|word| *word == "AND").is_some() {
            parts.push(Self::licence(words)?);
        }
        Ok(Expression::All(parts))
    }

    fn licence(words: &mut Vec<&str>) -> Result<Expression> {
        let word = words.pop().context("the licence expression ends too early")?;
        if word == "(" {
            let inner = Self::any(words)?;
            ensure!(words.pop() == Some(")"), "a bracket is not closed");
            return Ok(inner);
        }
        if [")", "OR", "AND", "WITH"].contains(&word) {
            bail!("`{word}` stands where a licence should");
        }
        if words.pop_if(|word| *word == "WITH").is_some() {
            let exception = words.pop().context("WITH needs an exception")?;
            return Ok(Expression::Licence(format!("{word} WITH {exception}")));
        }
        Ok(Expression::Licence(word.to_owned()))
    }

    fn is_allowed(&self, allowed: &[String]) -> bool {
        match self {
            Expression::Licence(name) => allowed.contains(name),
            Expression::Any(parts) => parts.iter().any(|part| part.is_allowed(allowed)),
            Expression::All(parts) => parts.iter().all(|part| part.is_allowed(allowed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(text: &str) -> bool {
        let list = ["MIT".to_owned(), "ISC".to_owned(), "Apache-2.0 WITH LLVM-exception".to_owned()];
        Expression::parse(text).unwrap().is_allowed(&list)
    }

    fn policy() -> Policy {
        toml::from_str(
            "[licenses]\nallow = ['MIT']\n[bans]\ndeny = [{ crate = 'ring', reason = 'one provider' }]\n",
        )
        .unwrap()
    }

    #[test]
    fn one_allowed_choice_is_enough_and_all_joined_licences_are_needed() {
        assert!(allowed("MIT OR GPL-3.0"));
        assert!(allowed("Unlicense/MIT"));
        assert!(!allowed("MIT AND GPL-3.0"));
        assert!(allowed("(GPL-3.0 OR MIT) AND ISC"));
        assert!(!allowed("GPL-3.0 OR MIT AND GPL-2.0"));
        assert!(allowed("Apache-2.0 WITH LLVM-exception"));
        assert!(!allowed("Apache-2.0"));
    }

    #[test]
    fn a_broken_expression_is_an_error_and_not_a_pass() {
        for text in ["", "(MIT", "MIT OR", "MIT ISC", "AND MIT"] {
            assert!(Expression::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_banned_crate_and_a_strange_licence_are_both_told() {
        let found = judge(&policy(), "ring v0.17.0|MIT\nodd v1.0.0|SSPL-1.0\nfine v1.0.0|MIT\n").unwrap();
        assert_eq!(found.errors.len(), 2, "{found:?}");
        assert!(found.errors.iter().any(|text| text.starts_with("ring v0.17.0 is banned: one provider")));
        assert_eq!(found.checked, "3 crates");
    }

    #[test]
    fn a_git_source_is_refused() {
        let lock = "source = \"git+https://example.org/x\"\nsource = \"registry+https://github.com/rust-lang/crates.io-index\"\n";
        assert_eq!(foreign_sources(lock).len(), 1);
    }
}
