//! Whether and how a tenant can be made: from the spec and what was found, to a plan. Pure.

use allmende_crds::{GroupBinding, GroupRole, ResourceAmounts, Tenant, names};
use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt;

use super::dereference::Found;
use crate::{
    error::Error,
    settings::{OwnAccount, Policy},
};

/// The longest name of a workspace: `-svc` must fit behind it in 63 characters.
const WORKSPACE_NAME_MAX: usize = 59;

/// Which of a tenant's namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamespaceKind {
    /// The member's own.
    Workspace,
    /// Of what Allmende runs for the member.
    Services,
}

/// How one namespace is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespacePlan {
    /// Its name.
    pub name: String,
    /// Which it is.
    pub kind: NamespaceKind,
    /// The tenant's other namespace.
    pub counterpart: String,
    /// Id of the member.
    pub member: String,
    /// Id of the tenant.
    pub tenant: String,
    /// The API's name of the tenant.
    pub desired_name: String,
    /// What may be asked for in it.
    pub quota: ResourceAmounts,
    /// `limits.*` of the quota in thousandths of `requests.*`.
    pub limit_per_mille: i64,
    /// Extended resources of the cluster: what of them is not reserved is zero.
    pub extended_resources: Vec<String>,
    /// Roles and the groups that get them; no empty ones.
    pub roles: Vec<(&'static str, Vec<String>)>,
    /// The operator's own account, where it handles credentials: in both namespaces of a tenant with services.
    pub operator: Option<OwnAccount>,
}

/// How a tenant is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantPlan {
    /// The member's own namespace.
    pub workspace: NamespacePlan,
    /// From the first order on.
    pub services: Option<NamespacePlan>,
}

/// Checks the spec, all of it, and that the namespaces are ours to make.
///
/// # Errors
/// [`Error::InvalidSpec`] with everything that is wrong, [`Error::NamespaceTaken`], [`Error::NamespaceTerminating`].
pub fn validate(tenant: &Tenant, found: &Found, policy: &Policy) -> Result<TenantPlan, Error> {
    let wrong = wrong_fields(tenant);
    if !wrong.is_empty() {
        return Err(Error::InvalidSpec(wrong));
    }
    let plan = plan(tenant, policy);
    check_namespace(&plan.workspace, found.workspace.namespace.as_ref())?;
    if let (Some(plan), Some(found)) = (&plan.services, &found.services) {
        check_namespace(plan, found.namespace.as_ref())?;
    }
    Ok(plan)
}

/// Whether a found namespace belongs to this tenant. Either sign is enough, so that a label that somebody took away comes back; a
/// namespace with neither sign is never adopted.
#[must_use]
pub fn is_ours(namespace: &Namespace, member: &str, tenant: &str, desired_name: &str) -> bool {
    let labels = namespace.labels();
    let label = |key: &str| labels.get(key).map(String::as_str);
    let by_labels = label(names::LABEL_MANAGED_BY) == Some(names::OPERATOR)
        && label(names::LABEL_MEMBER) == Some(member)
        && label(names::LABEL_TENANT) == Some(tenant);
    let by_annotation =
        namespace.annotations().get(names::ANNOTATION_DESIRED_NAME).is_some_and(|name| name == desired_name);
    by_labels || by_annotation
}

fn check_namespace(plan: &NamespacePlan, found: Option<&Namespace>) -> Result<(), Error> {
    let Some(found) = found else { return Ok(()) };
    if !is_ours(found, &plan.member, &plan.tenant, &plan.desired_name) {
        return Err(Error::NamespaceTaken(plan.name.clone()));
    }
    if found.metadata.deletion_timestamp.is_some() {
        return Err(Error::NamespaceTerminating(plan.name.clone()));
    }
    Ok(())
}

fn wrong_fields(tenant: &Tenant) -> Vec<String> {
    let spec = &tenant.spec;
    let mut wrong = Vec::new();
    let name = tenant.name_any();
    if name != format!("{}-{}", spec.member, spec.tenant) {
        wrong.push(format!("the name {name} is not {{member}}-{{tenant}}"));
    }
    if name.len() > WORKSPACE_NAME_MAX {
        wrong.push(format!("the name {name} is longer than {WORKSPACE_NAME_MAX} characters"));
    }
    for (field, amounts) in
        [("workspaceQuota", &spec.workspace_quota), ("servicesQuota", &spec.services_quota)]
    {
        if amounts.is_negative() {
            wrong.push(format!("{field} has a negative amount"));
        }
    }
    for (index, binding) in spec.group_bindings.iter().enumerate() {
        // Such groups hold all users or the cluster's own parts: no member's group is called so.
        if binding.group.is_empty() || binding.group.starts_with("system:") {
            wrong.push(format!(
                "groupBindings[{index}].group must be a member's group, not {:?}",
                binding.group
            ));
        }
    }
    wrong
}

fn plan(tenant: &Tenant, policy: &Policy) -> TenantPlan {
    let spec = &tenant.spec;
    let workspace = tenant.name_any();
    let services = names::services_namespace(&workspace);
    let namespace = |kind, name: &str, counterpart: &str, quota, roles| NamespacePlan {
        name: name.to_owned(),
        kind,
        counterpart: counterpart.to_owned(),
        member: spec.member.clone(),
        tenant: spec.tenant.clone(),
        desired_name: spec.desired.name.clone(),
        quota,
        limit_per_mille: policy.limit_per_mille,
        extended_resources: policy.extended_resources.clone(),
        roles,
        operator: spec.services.then(|| policy.account.clone()),
    };
    let groups = |wanted: Option<GroupRole>| {
        let matches = |binding: &&GroupBinding| wanted.is_none_or(|role| binding.role == role);
        let mut groups: Vec<String> =
            spec.group_bindings.iter().filter(matches).map(|binding| binding.group.clone()).collect();
        groups.sort();
        groups.dedup();
        groups
    };
    let not_empty = |roles: Vec<(&'static str, Vec<String>)>| {
        roles.into_iter().filter(|(_, groups)| !groups.is_empty()).collect()
    };
    let workspace_roles = not_empty(vec![
        (names::ROLE_WORKSPACE_ADMIN, groups(Some(GroupRole::Admin))),
        (names::ROLE_WORKSPACE_VIEWER, groups(Some(GroupRole::Viewer))),
    ]);
    let services_roles = not_empty(vec![(names::ROLE_SERVICES_VIEWER, groups(None))]);
    TenantPlan {
        workspace: namespace(
            NamespaceKind::Workspace,
            &workspace,
            &services,
            spec.workspace_quota.clone(),
            workspace_roles,
        ),
        services: spec.services.then(|| {
            namespace(
                NamespaceKind::Services,
                &services,
                &workspace,
                spec.services_quota.clone(),
                services_roles,
            )
        }),
    }
}

impl NamespacePlan {
    /// The limit that goes with a request, rounded up to a whole unit.
    #[must_use]
    pub fn limit_of(&self, request: i64) -> i64 {
        let thousandths = i128::from(request) * i128::from(self.limit_per_mille);
        i64::try_from((thousandths + 999).div_euclid(1000)).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tenant(change: impl FnOnce(&mut serde_json::Value)) -> Tenant {
        let amounts = json!({"cpuMilli": 1000, "memoryBytes": 1, "storageBytes": 1, "pods": 1});
        let mut object = json!({
            "apiVersion": "allmende.eu/v1alpha1", "kind": "Tenant",
            "metadata": {"name": "m-1-prod"},
            "spec": {
                "member": "m-1", "tenant": "prod", "memberDisplayName": "", "workspaceQuota": amounts,
                "desired": {"storeId": "s", "epoch": 1, "generation": 1, "uid": "u", "deleting": false, "name": "members/m-1/tenants/prod"},
            },
        });
        change(&mut object);
        serde_json::from_value(object).unwrap()
    }

    fn namespace(metadata: serde_json::Value) -> Found {
        let mut found = Found::default();
        found.workspace.namespace = Some(serde_json::from_value(json!({ "metadata": metadata })).unwrap());
        found
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let tenant = tenant(|object| {
            object["metadata"]["name"] = json!("another");
            object["spec"]["workspaceQuota"]["pods"] = json!(-1);
            object["spec"]["groupBindings"] = json!([{"group": "system:authenticated", "role": "admin"}]);
        });
        let Err(Error::InvalidSpec(wrong)) = validate(&tenant, &Found::default(), &Policy::default()) else {
            panic!("must be refused")
        };
        assert_eq!(wrong.len(), 3, "{wrong:?}");
    }

    #[test]
    fn a_namespace_without_our_signs_is_taken() {
        let found = namespace(json!({"name": "m-1-prod", "labels": {"team": "x"}}));
        let answer = validate(&tenant(|_| {}), &found, &Policy::default());
        assert!(matches!(answer, Err(Error::NamespaceTaken(_))));
    }

    #[test]
    fn a_namespace_of_another_tenant_is_taken() {
        let found = namespace(json!({"name": "m-1-prod", "labels": {
            "allmende.eu/managed-by": "allmende-operator", "allmende.eu/member": "m-1-x", "allmende.eu/tenant": "prod",
        }}));
        let answer = validate(&tenant(|_| {}), &found, &Policy::default());
        assert!(matches!(answer, Err(Error::NamespaceTaken(_))));
    }

    #[test]
    fn our_namespace_that_lost_its_labels_is_still_ours() {
        let found = namespace(
            json!({"name": "m-1-prod", "annotations": {"allmende.eu/desired-name": "members/m-1/tenants/prod"}}),
        );
        assert!(validate(&tenant(|_| {}), &found, &Policy::default()).is_ok());
    }

    #[test]
    fn a_role_without_groups_is_not_bound() {
        let tenant = tenant(|object| {
            object["spec"]["services"] = json!(true);
            object["spec"]["groupBindings"] =
                json!([{"group": "b", "role": "viewer"}, {"group": "a", "role": "viewer"}]);
        });
        let plan = validate(&tenant, &Found::default(), &Policy::default()).unwrap();
        assert_eq!(
            plan.workspace.roles,
            [(names::ROLE_WORKSPACE_VIEWER, vec!["a".to_owned(), "b".to_owned()])]
        );
        assert_eq!(plan.services.unwrap().roles.len(), 1);
    }
}
