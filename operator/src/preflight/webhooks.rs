//! Webhooks of others in the way of what Allmende writes: those that may change it, and those without which nothing can be written.

use std::collections::BTreeSet;

use k8s_openapi::{
    api::admissionregistration::v1::{
        MutatingWebhookConfiguration, RuleWithOperations, ValidatingWebhookConfiguration,
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use kube::ResourceExt;

use super::report::Verdict;

/// What keeps tenants apart: a webhook that rewrites it rewrites the walls.
const WALLS: &[(&str, &str)] = &[
    ("", "namespaces"),
    ("", "resourcequotas"),
    ("", "limitranges"),
    ("networking.k8s.io", "networkpolicies"),
    ("rbac.authorization.k8s.io", "rolebindings"),
    ("allmende.eu", "tenants"),
    ("allmende.eu", "serviceinstances"),
];
/// What tenants need besides.
const NEEDED: &[(&str, &str)] = &[("", "pods"), ("", "secrets"), ("", "services"), ("apps", "statefulsets")];

/// One webhook of either kind, as far as it matters here.
struct Hook {
    name: String,
    mutating: bool,
    fails_closed: bool,
    /// A selector or a condition spares a part.
    narrowed: bool,
    rules: Vec<RuleWithOperations>,
}

/// Judges all webhooks of a cluster.
pub fn judge(
    mutating: &[MutatingWebhookConfiguration],
    validating: &[ValidatingWebhookConfiguration],
) -> Verdict {
    let hooks: Vec<Hook> = of_mutating(mutating).chain(of_validating(validating)).collect();
    let total = hooks.len();
    let mut rewrites = Vec::new();
    let mut notes = Vec::new();
    for hook in hooks {
        let walls = covered(&hook.rules, WALLS);
        let all: BTreeSet<String> = walls.iter().cloned().chain(covered(&hook.rules, NEEDED)).collect();
        if all.is_empty() {
            continue;
        }
        let what = all.into_iter().collect::<Vec<_>>().join(", ");
        if hook.mutating && !hook.narrowed && !walls.is_empty() {
            rewrites.push(format!("{} may change {what} everywhere", hook.name));
        } else if hook.mutating {
            notes.push(format!("{} may change {what}", hook.name));
        } else if hook.fails_closed {
            notes.push(format!("without an answer of {} no {what} can be written", hook.name));
        }
    }
    if !rewrites.is_empty() {
        let detail = rewrites.into_iter().chain(notes).collect::<Vec<_>>().join("; ");
        let remedy = "spare what Allmende manages by the webhook's namespaceSelector \
                      (allmende.eu/managed-by DoesNotExist), or take these kinds out of its rules";
        return Verdict::failed(detail, remedy);
    }
    if !notes.is_empty() {
        let remedy = "look at each: it must know Allmende's namespaces, or spare them \
                      (namespaceSelector: allmende.eu/managed-by DoesNotExist)";
        return Verdict::warning(notes.join("; "), remedy);
    }
    Verdict::passed(match total {
        0 => "there are none".to_owned(),
        total => format!("{total}, none in the way"),
    })
}

fn of_mutating(all: &[MutatingWebhookConfiguration]) -> impl Iterator<Item = Hook> {
    all.iter().flat_map(|configuration| {
        configuration.webhooks.iter().flatten().map(|hook| Hook {
            name: format!("{}/{}", configuration.name_any(), hook.name),
            mutating: true,
            fails_closed: hook.failure_policy.as_deref() != Some("Ignore"),
            narrowed: narrows(hook.namespace_selector.as_ref())
                || narrows(hook.object_selector.as_ref())
                || hook.match_conditions.iter().flatten().next().is_some(),
            rules: hook.rules.clone().unwrap_or_default(),
        })
    })
}

fn of_validating(all: &[ValidatingWebhookConfiguration]) -> impl Iterator<Item = Hook> {
    all.iter().flat_map(|configuration| {
        configuration.webhooks.iter().flatten().map(|hook| Hook {
            name: format!("{}/{}", configuration.name_any(), hook.name),
            mutating: false,
            fails_closed: hook.failure_policy.as_deref() != Some("Ignore"),
            narrowed: narrows(hook.namespace_selector.as_ref())
                || narrows(hook.object_selector.as_ref())
                || hook.match_conditions.iter().flatten().next().is_some(),
            rules: hook.rules.clone().unwrap_or_default(),
        })
    })
}

fn narrows(selector: Option<&LabelSelector>) -> bool {
    selector.is_some_and(|selector| {
        selector.match_labels.as_ref().is_some_and(|labels| !labels.is_empty())
            || selector.match_expressions.as_ref().is_some_and(|expressions| !expressions.is_empty())
    })
}

/// Which of these kinds a webhook sees being written.
fn covered(rules: &[RuleWithOperations], kinds: &[(&str, &str)]) -> BTreeSet<String> {
    let sees = |rule: &RuleWithOperations, (group, resource): (&str, &str)| {
        has(&rule.api_groups, &[group, "*"])
            && has(&rule.resources, &[resource, "*", "*/*"])
            && has(&rule.operations, &["CREATE", "UPDATE", "DELETE", "*"])
    };
    kinds
        .iter()
        .filter(|kind| rules.iter().any(|rule| sees(rule, **kind)))
        .map(|(_, resource)| (*resource).to_owned())
        .collect()
}

fn has(list: &Option<Vec<String>>, any_of: &[&str]) -> bool {
    list.iter().flatten().any(|entry| any_of.contains(&entry.as_str()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{super::report::State, *};

    fn hook(group: &str, resource: &str, more: Value) -> Value {
        let mut hook = json!({
            "name": "hook.example.org", "admissionReviewVersions": ["v1"], "sideEffects": "None", "clientConfig": {},
            "rules": [{ "apiGroups": [group], "apiVersions": ["*"], "operations": ["CREATE"], "resources": [resource] }],
        });
        hook.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        hook
    }

    fn mutating(hook: Value) -> Verdict {
        let configuration = json!({ "metadata": { "name": "other" }, "webhooks": [hook] });
        judge(&[serde_json::from_value(configuration).unwrap()], &[])
    }

    fn validating(hook: Value) -> Verdict {
        let configuration = json!({ "metadata": { "name": "other" }, "webhooks": [hook] });
        judge(&[], &[serde_json::from_value(configuration).unwrap()])
    }

    #[test]
    fn a_webhook_that_may_rewrite_the_walls_everywhere_fails() {
        for (group, resource) in
            [("*", "*"), ("allmende.eu", "tenants"), ("networking.k8s.io", "networkpolicies"), ("", "*/*")]
        {
            let verdict = mutating(hook(group, resource, json!({ "failurePolicy": "Ignore" })));
            assert_eq!(verdict.state, State::Failed, "{group}/{resource}: {}", verdict.detail);
        }
    }

    #[test]
    fn a_webhook_that_is_narrowed_or_sees_only_pods_is_a_warning() {
        let selector = json!({ "namespaceSelector": { "matchLabels": { "istio-injection": "enabled" } } });
        assert_eq!(mutating(hook("*", "*", selector)).state, State::Warning);
        assert_eq!(mutating(hook("", "pods", json!({}))).state, State::Warning);
    }

    #[test]
    fn a_validating_webhook_stands_in_the_way_only_when_it_fails_closed() {
        assert_eq!(
            validating(hook("", "namespaces", json!({ "failurePolicy": "Fail" }))).state,
            State::Warning
        );
        assert_eq!(
            validating(hook("", "namespaces", json!({}))).state,
            State::Warning,
            "Fail is the default"
        );
        assert_eq!(
            validating(hook("", "namespaces", json!({ "failurePolicy": "Ignore" }))).state,
            State::Passed
        );
        assert_eq!(validating(hook("apps", "deployments", json!({}))).state, State::Passed);
        assert_eq!(judge(&[], &[]), Verdict::passed("there are none"));
    }
}
