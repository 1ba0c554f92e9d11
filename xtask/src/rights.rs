//! Every rule of the operator's chart says why it is there: checked, and told in the reference.
//!
//! The reason is the comment above a rule. Helm keeps comments, so the rendered snapshot of the chart is read, which has a check of its own.

use std::{fmt::Write, fs};

use anyhow::{Context, Result, bail};

use crate::findings::Findings;

const RENDERED: &str = "charts/allmende-operator/tests/snapshots/default.yaml";
const REFERENCE: &str = "docs/reference/security/rbac.md";
/// Rights to have all rights.
const NEVER: [&str; 2] = ["escalate", "impersonate"];

/// One rule of a role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Rule {
    reason: String,
    groups: Vec<String>,
    resources: Vec<String>,
    names: Vec<String>,
    verbs: Vec<String>,
}

/// A role and where it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Role {
    title: String,
    rules: Vec<Rule>,
}

/// Judges the rules and compares the reference with them.
pub(crate) fn check() -> Result<Findings> {
    let roles = read()?;
    let mut findings = judge(&roles);
    let written = fs::read_to_string(REFERENCE).unwrap_or_default();
    if written != page(&roles) {
        findings.errors.push(format!("{REFERENCE} is not what the chart says: cargo xtask write-rights"));
    }
    Ok(findings)
}

/// Writes the reference; a rule without a reason is an error here too.
pub(crate) fn write() -> Result<Findings> {
    let roles = read()?;
    let findings = judge(&roles);
    if findings.errors.is_empty() {
        fs::write(REFERENCE, page(&roles)).with_context(|| format!("{REFERENCE} cannot be written"))?;
    }
    Ok(findings)
}

fn read() -> Result<Vec<Role>> {
    let text = fs::read_to_string(RENDERED).with_context(|| format!("{RENDERED} cannot be read"))?;
    let mut roles = roles(&text)?;
    anyhow::ensure!(!roles.is_empty(), "{RENDERED} holds no role");
    let order =
        |role: &Role| ["The operator", "The preflight"].iter().position(|who| role.title.starts_with(who));
    roles.sort_by_key(|role| order(role).unwrap_or(usize::MAX));
    Ok(roles)
}

fn judge(roles: &[Role]) -> Findings {
    let mut findings = Findings::default();
    let mut count = 0_usize;
    for role in roles {
        for rule in &role.rules {
            count += 1;
            let what = format!("{}: {} of {}", role.title, rule.verbs.join(", "), rule.resources.join(", "));
            if rule.reason.is_empty() {
                findings.errors.push(format!("{what}: no reason in a comment above the rule"));
            }
            let words = || rule.groups.iter().chain(&rule.resources).chain(&rule.verbs);
            if words().any(|word| word.contains('*')) {
                findings.errors.push(format!("{what}: a wildcard; name what is needed"));
            }
            if let Some(verb) = rule.verbs.iter().find(|verb| NEVER.contains(&verb.as_str())) {
                findings.errors.push(format!("{what}: {verb} is a right to have all rights"));
            }
            if rule.verbs.iter().any(|verb| verb == "bind") && rule.names.is_empty() {
                findings.errors.push(format!("{what}: bind without the names of the roles"));
            }
        }
    }
    findings.checked = format!("{count} rules");
    findings
}

fn roles(text: &str) -> Result<Vec<Role>> {
    let documents: Vec<&str> = text.split("\n---\n").collect();
    let bound = |kind: &str, name: &str| {
        documents.iter().any(|document| {
            field(document, "kind: ") == Some(kind)
                && document.contains(&format!(
                    "roleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: ClusterRole\n  name: {name}\n"
                ))
        })
    };
    let mut roles = Vec::new();
    for document in &documents {
        let kind = field(document, "kind: ").unwrap_or_default();
        if kind != "ClusterRole" && kind != "Role" {
            continue;
        }
        let name = field(document, "  name: ").context("a role without a name")?;
        // The operator's release is rendered into `demo-system`; the preflight has a namespace of its own.
        let (whose, own) = if name.ends_with("-preflight") {
            ("The preflight", "allmende-preflight")
        } else {
            ("The operator", "demo-system")
        };
        let title = match (kind, field(document, "  namespace: ")) {
            ("Role", Some(namespace)) if namespace != own => {
                format!("{whose}, in the namespace of the operator")
            }
            ("Role", _) => format!("{whose}, in its own namespace"),
            _ if bound("ClusterRoleBinding", name) => format!("{whose}, in the whole cluster"),
            _ => format!("`{name}`, bound by the operator in managed namespaces"),
        };
        let (_, rules) = document.split_once("\nrules:\n").context("a role without rules")?;
        roles.push(Role { title, rules: rules_of(rules)? });
    }
    Ok(roles)
}

fn field<'a>(document: &'a str, key: &str) -> Option<&'a str> {
    document.lines().find_map(|line| line.strip_prefix(key))
}

fn rules_of(text: &str) -> Result<Vec<Rule>> {
    let mut rules: Vec<Rule> = Vec::new();
    let mut reason = Vec::new();
    for line in text.lines() {
        if let Some(words) = line.strip_prefix("  # ") {
            reason.push(words);
            continue;
        }
        if let Some(groups) = line.strip_prefix("  - apiGroups: ") {
            rules.push(Rule { reason: reason.join(" "), groups: list(groups)?, ..Rule::default() });
            reason.clear();
            continue;
        }
        let (rule, (key, value)) = rules
            .last_mut()
            .zip(line.trim().split_once(": "))
            .with_context(|| format!("not understood: {line}"))?;
        match key {
            "resources" => rule.resources = list(value)?,
            "verbs" => rule.verbs = list(value)?,
            "resourceNames" => rule.names = list(value)?,
            _ => bail!("not understood: {line}"),
        }
    }
    Ok(rules)
}

/// A list in one line: `[get, "list"]`.
fn list(text: &str) -> Result<Vec<String>> {
    let inside = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let inside = inside.with_context(|| format!("a list in one line was expected: {text}"))?;
    Ok(inside.split(',').map(|item| item.trim().trim_matches('"').to_owned()).collect())
}

fn page(roles: &[Role]) -> String {
    let mut text = String::from(
        "# Rights\n\n\
         What the operator's chart gives, rule by rule, each with its reason: written from the chart by `cargo xtask write-rights`, compared by\n\
         `cargo xtask check-rights`, which refuses a rule without a reason, a wildcard, `escalate`, `impersonate`, and `bind` without names. Admission\n\
         policies narrow these rights further; they are listed in the chart's README.\n",
    );
    for role in roles {
        let _ = write!(text, "\n## {}\n\n| on | may | why |\n|---|---|---|\n", role.title);
        for rule in &role.rules {
            let resources: Vec<String> =
                rule.resources.iter().map(|name| qualified(name, &rule.groups)).collect();
            let names =
                if rule.names.is_empty() { String::new() } else { format!(" named {}", code(&rule.names)) };
            let _ = writeln!(
                text,
                "| {}{names} | {} | {} |",
                code(&resources),
                rule.verbs.join(", "),
                rule.reason
            );
        }
    }
    text
}

fn qualified(resource: &str, groups: &[String]) -> String {
    match groups {
        [group] if !group.is_empty() => format!("{resource}.{group}"),
        _ => resource.to_owned(),
    }
}

fn code(words: &[String]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: &str = "kind: ClusterRole\nmetadata:\n  name: x\nrules:\n";

    fn errors(rules: &str) -> Vec<String> {
        judge(&roles(&format!("{ROLE}{rules}")).unwrap()).errors
    }

    #[test]
    fn a_rule_with_a_reason_is_read_whole() {
        let rules = "  # Because\n  # of this.\n  - apiGroups: [apps]\n    resources: [deployments]\n    verbs: [\"get\",\"list\"]\n    resourceNames: [a]\n";
        let roles = roles(&format!("{ROLE}{rules}")).unwrap();
        assert_eq!(roles[0].rules[0].reason, "Because of this.");
        assert!(page(&roles).contains("| `deployments.apps` named `a` | get, list | Because of this. |"));
        assert_eq!(errors(rules), Vec::<String>::new());
    }

    #[test]
    fn no_reason_wildcards_and_rights_to_all_rights_are_errors() {
        let bad = "  - apiGroups: [\"*\"]\n    resources: [roles]\n    verbs: [escalate, bind]\n";
        assert_eq!(errors(bad).len(), 4, "{:?}", errors(bad));
    }

    #[test]
    fn what_is_not_understood_is_not_passed_over() {
        assert!(roles(&format!("{ROLE}  - nonResourceURLs: [x]\n")).is_err());
    }
}
