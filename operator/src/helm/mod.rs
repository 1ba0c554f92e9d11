//! Releases: Helm behind a small trait. Every run is the tenant's release account's, never the operator's own.

pub mod account;
pub mod child;
pub mod cli;
pub mod failure;
pub mod limits;
pub mod measured;
pub mod recovery;

use std::time::Duration;

use async_trait::async_trait;

/// Where a release lives and what it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The services namespace.
    pub namespace: String,
    /// Name of the release.
    pub release: String,
}

/// What one run applies.
#[derive(Clone, PartialEq, Eq)]
pub struct Wanted {
    /// OCI reference by digest.
    pub chart: String,
    /// Values as JSON; go through a file, never through arguments.
    pub values: String,
    /// Helm's own limit; what the run as a whole may take is in [`limits`].
    pub timeout: Duration,
}

/// State of one revision, in Helm's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevisionState {
    /// The one in force.
    Deployed,
    /// Was in force.
    Superseded,
    /// A run ended in failure.
    Failed,
    /// A first run never ended.
    PendingInstall,
    /// A later run never ended.
    PendingUpgrade,
    /// A way back never ended.
    PendingRollback,
    /// A removal never ended.
    Uninstalling,
    /// Anything else.
    Other,
}

/// One revision of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revision {
    /// Ascending from 1.
    pub number: i64,
    /// Where it stands.
    pub state: RevisionState,
}

/// How a run went wrong: a closed set, label of metrics and base of what is done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// It ran, and did not do what was asked.
    Failed,
    /// It was over its limit and was ended.
    TimedOut,
    /// It was ended, or not begun, because this process does not lead or ends. Says nothing about the release: another process goes on.
    Interrupted,
    /// It could not be started.
    NotStarted,
}

/// Why a run failed, in words for the member and in Helm's for the log.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{words}")]
pub struct ReleaseError {
    /// How it went wrong.
    pub class: Class,
    /// German, with what to do.
    pub words: String,
    /// Masked output of the tool.
    pub detail: String,
}

/// What can be done with a release. All but `history` change the cluster.
#[async_trait]
pub trait ReleaseBackend: Send + Sync {
    /// Revisions, oldest first; empty when there is no release.
    async fn history(&self, target: &Target) -> Result<Vec<Revision>, ReleaseError>;
    /// First run.
    async fn install(&self, target: &Target, wanted: &Wanted) -> Result<(), ReleaseError>;
    /// Later run; a failed one goes back to what was in force.
    async fn upgrade(&self, target: &Target, wanted: &Wanted) -> Result<(), ReleaseError>;
    /// Back to a revision.
    async fn rollback(&self, target: &Target, revision: i64) -> Result<(), ReleaseError>;
    /// Removes the release and waits. Nothing there is fine.
    async fn uninstall(&self, target: &Target) -> Result<(), ReleaseError>;
}
