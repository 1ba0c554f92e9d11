//! The namespace: who it belongs to, and Pod Security `restricted`.

use std::collections::BTreeMap;

use allmende_crds::names;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::ObjectMeta;

use super::super::validate::{NamespaceKind, NamespacePlan};

/// <https://kubernetes.io/docs/concepts/security/pod-security-standards/>
const POD_SECURITY: [(&str, &str); 4] = [
    ("pod-security.kubernetes.io/enforce", "restricted"),
    ("pod-security.kubernetes.io/enforce-version", "latest"),
    ("pod-security.kubernetes.io/warn", "restricted"),
    ("pod-security.kubernetes.io/audit", "restricted"),
];

/// Labels of everything of a tenant.
pub(super) fn labels(plan: &NamespacePlan) -> BTreeMap<String, String> {
    let labels = [
        (names::LABEL_MANAGED_BY, names::OPERATOR),
        (names::LABEL_APP_MANAGED_BY, names::OPERATOR),
        (names::LABEL_MEMBER, plan.member.as_str()),
        (names::LABEL_TENANT, plan.tenant.as_str()),
    ];
    labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

pub(super) fn build(plan: &NamespacePlan) -> Namespace {
    let kind = match plan.kind {
        NamespaceKind::Workspace => names::NAMESPACE_WORKSPACE,
        NamespaceKind::Services => names::NAMESPACE_SERVICES,
    };
    let mut labels = labels(plan);
    labels.insert(names::LABEL_NAMESPACE_KIND.to_owned(), kind.to_owned());
    labels.extend(POD_SECURITY.map(|(key, value)| (key.to_owned(), value.to_owned())));
    let annotations =
        BTreeMap::from([(names::ANNOTATION_DESIRED_NAME.to_owned(), plan.desired_name.clone())]);
    Namespace {
        metadata: ObjectMeta {
            name: Some(plan.name.clone()),
            labels: Some(labels),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    }
}
