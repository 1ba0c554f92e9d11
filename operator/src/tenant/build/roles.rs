//! Who may do what: roles that the operator's chart defines, bound in the namespace under the role's own name.

use allmende_crds::names;
use k8s_openapi::api::{
    core::v1::ServiceAccount,
    rbac::v1::{RoleBinding, RoleRef, Subject},
};

use super::{
    super::validate::{NamespaceKind, NamespacePlan},
    metadata,
};

const RBAC: &str = "rbac.authorization.k8s.io";

pub(super) fn build(plan: &NamespacePlan) -> Vec<RoleBinding> {
    let groups = plan
        .roles
        .iter()
        .map(|(role, groups)| binding(plan, role, groups.iter().map(|name| group(name)).collect()));
    let release = (plan.kind == NamespaceKind::Services)
        .then(|| binding(plan, names::ROLE_RELEASE, vec![release_account(plan)]));
    let own = plan.operator.as_ref().map(|account| {
        let role = match plan.kind {
            NamespaceKind::Workspace => names::ROLE_OPERATOR_WORKSPACE,
            NamespaceKind::Services => names::ROLE_OPERATOR_SERVICES,
        };
        binding(plan, role, vec![service_account(&account.namespace, &account.name)])
    });
    groups.chain(release).chain(own).collect()
}

/// The account of pods that name none. It has no rights, and no pod gets its token.
pub(super) fn default_account(plan: &NamespacePlan) -> ServiceAccount {
    ServiceAccount {
        metadata: metadata(plan, names::DEFAULT_ACCOUNT),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}

/// The account that Helm runs as. No pod gets its token by itself.
pub(super) fn account(plan: &NamespacePlan) -> ServiceAccount {
    ServiceAccount {
        metadata: metadata(plan, names::RELEASE_ACCOUNT),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}

fn binding(plan: &NamespacePlan, role: &str, subjects: Vec<Subject>) -> RoleBinding {
    RoleBinding {
        metadata: metadata(plan, role),
        role_ref: RoleRef {
            api_group: RBAC.to_owned(),
            kind: "ClusterRole".to_owned(),
            name: role.to_owned(),
        },
        subjects: Some(subjects),
    }
}

fn group(name: &str) -> Subject {
    Subject {
        api_group: Some(RBAC.to_owned()),
        kind: "Group".to_owned(),
        name: name.to_owned(),
        namespace: None,
    }
}

fn release_account(plan: &NamespacePlan) -> Subject {
    service_account(&plan.name, names::RELEASE_ACCOUNT)
}

fn service_account(namespace: &str, name: &str) -> Subject {
    Subject {
        api_group: None,
        kind: "ServiceAccount".to_owned(),
        name: name.to_owned(),
        namespace: Some(namespace.to_owned()),
    }
}
