//! Condition types and reasons: a contract with people, dashboards and alerts. Say here when each surfaces.

/// It can be used.
pub const READY: &str = "Ready";
/// Something is being done for the current generation.
pub const PROGRESSING: &str = "Progressing";
/// Tenant: the quota that is asked for is the one that is enforced.
pub const QUOTA_ENFORCED: &str = "QuotaEnforced";
/// Instance: the release is what the order says.
pub const RELEASE_APPLIED: &str = "ReleaseApplied";
/// Instance: the secret that the chart takes exists.
pub const SECRET_READY: &str = "SecretReady";
/// Instance: the member can read the credentials in the workspace.
pub const BINDING_READY: &str = "BindingReady";
/// Deletion was asked for; its state says whether it goes on.
pub const DELETING: &str = "Deleting";
/// The API's complete snapshot lacks the object. Nothing is deleted.
pub const ORPHAN: &str = "Orphan";

/// The order in which conditions are shown.
pub const DISPLAY_ORDER: [&str; 8] =
    [READY, PROGRESSING, QUOTA_ENFORCED, SECRET_READY, RELEASE_APPLIED, BINDING_READY, ORPHAN, DELETING];

/// Reasons, a closed set.
pub mod reason {
    /// Surfaces when everything is as asked for.
    pub const CONVERGED: &str = "Converged";
    /// Surfaces while steps of the current generation run.
    pub const APPLYING: &str = "Applying";
    /// Surfaces when the API server does not yet show the quota in `status.hard`.
    pub const QUOTA_PENDING: &str = "QuotaPending";
    /// Surfaces when a namespace of that name exists and is not ours: nothing is adopted.
    pub const NAMESPACE_TAKEN: &str = "NamespaceTaken";
    /// Surfaces when the namespace is being deleted by somebody.
    pub const NAMESPACE_TERMINATING: &str = "NamespaceTerminating";
    /// Surfaces when the spec passes the schema but not the operator's own checks.
    pub const INVALID_SPEC: &str = "InvalidSpec";
    /// Surfaces when the admission policies let through what they must refuse: no rights are given until they hold.
    pub const WALLS_NOT_PROVEN: &str = "WallsNotProven";
    /// Surfaces when the API server refuses a write for good, for example for missing rights.
    pub const REFUSED: &str = "Refused";
    /// Surfaces when the API server does not answer or is overloaded; it is tried again.
    pub const CLUSTER_UNAVAILABLE: &str = "ClusterUnavailable";
    /// Surfaces when a reconcile did not end within its own time limit.
    pub const TIMED_OUT: &str = "TimedOut";
    /// Surfaces when the object has a deletion time but no record that allows it.
    pub const DELETION_NOT_ALLOWED: &str = "DeletionNotAllowed";
    /// Surfaces while namespaces or releases go.
    pub const DELETION_RUNNING: &str = "DeletionRunning";
    /// Surfaces when the API's complete snapshot lacks the object.
    pub const NOT_IN_SNAPSHOT: &str = "NotInSnapshot";
    /// Surfaces when the release is being installed or upgraded.
    pub const RELEASE_RUNNING: &str = "ReleaseRunning";
    /// Surfaces when Helm failed; the message says why in words.
    pub const RELEASE_FAILED: &str = "ReleaseFailed";
    /// Surfaces when an interrupted release is being brought back.
    pub const RELEASE_RECOVERING: &str = "ReleaseRecovering";
    /// Surfaces when the tenant's services namespace does not exist yet.
    pub const TENANT_NOT_READY: &str = "TenantNotReady";
}
