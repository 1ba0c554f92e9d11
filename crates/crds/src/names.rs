//! Names, labels and annotations that are part of the contract with people, charts and admission policies.

/// Label and its only value on everything the operator makes.
pub const LABEL_MANAGED_BY: &str = "allmende.eu/managed-by";
/// Value of [`LABEL_MANAGED_BY`], and the field manager of every write.
pub const OPERATOR: &str = "allmende-operator";
/// The label that tools of others look at.
pub const LABEL_APP_MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Id of the member.
pub const LABEL_MEMBER: &str = "allmende.eu/member";
/// Id of the tenant within the member.
pub const LABEL_TENANT: &str = "allmende.eu/tenant";
/// On namespaces: [`NAMESPACE_WORKSPACE`] or [`NAMESPACE_SERVICES`].
pub const LABEL_NAMESPACE_KIND: &str = "allmende.eu/namespace-kind";
/// The member's own namespace.
pub const NAMESPACE_WORKSPACE: &str = "workspace";
/// The namespace of what Allmende runs for the member.
pub const NAMESPACE_SERVICES: &str = "services";
/// The API's name of what an object belongs to.
pub const ANNOTATION_DESIRED_NAME: &str = "allmende.eu/desired-name";
/// On both kinds: cleans up only what a record that is being deleted allows.
pub const FINALIZER: &str = "allmende.eu/desired-deleting";
/// On both kinds: the object stays until the API has taken what its status tells about money.
pub const FINALIZER_FACTS: &str = "allmende.eu/facts-told";

/// Role of a member's admins in the workspace.
pub const ROLE_WORKSPACE_ADMIN: &str = "allmende:workspace-admin";
/// Role of a member's viewers in the workspace.
pub const ROLE_WORKSPACE_VIEWER: &str = "allmende:workspace-viewer";
/// Role of all of a member's people in the services namespace.
pub const ROLE_SERVICES_VIEWER: &str = "allmende:services-viewer";
/// Role of the release account in its services namespace.
pub const ROLE_RELEASE: &str = "allmende:release";
/// Role of the operator itself in the workspace of a tenant with services: credentials are copied there.
pub const ROLE_OPERATOR_WORKSPACE: &str = "allmende:operator-workspace";
/// Role of the operator itself in a services namespace: credentials are made there, pods looked at and volumes removed.
pub const ROLE_OPERATOR_SERVICES: &str = "allmende:operator-services";
/// Service account in a services namespace that Helm runs as.
pub const RELEASE_ACCOUNT: &str = "allmende-release";

/// Service account that pods run as which name none.
pub const DEFAULT_ACCOUNT: &str = "default";

/// The services namespace of a workspace.
#[must_use]
pub fn services_namespace(workspace: &str) -> String {
    format!("{workspace}-svc")
}
