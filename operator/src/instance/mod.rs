//! `ServiceInstance`: secret, release, binding, in five steps.
//!
//! [`dereference`] reads, [`validate`] and [`build`] are pure, [`apply`] writes, [`status`] tells — also when a step failed.

pub mod apply;
pub mod build;
pub mod cleanup;
pub mod controller;
pub mod dereference;
pub mod status;
pub mod validate;

use std::sync::Arc;

use kube::Client;

use crate::{clock::Clock, events::Events, helm::ReleaseBackend};

/// What reconciling an instance works with.
#[derive(Clone)]
pub struct Tools {
    /// Kubernetes.
    pub client: Client,
    /// Releases.
    pub backend: Arc<dyn ReleaseBackend>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// For people who look at the object.
    pub events: Events,
    /// Whether this process leads: only then is anything written.
    pub leader: tokio::sync::watch::Receiver<bool>,
}

/// Label on secrets: id of the instance.
pub const INSTANCE_LABEL: &str = "allmende.eu/instance";

/// Why an instance is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused or did not answer.
    #[error("der Cluster: {0}")]
    Cluster(#[from] kube::Error),
    /// The tenant's services namespace or its release account is not there yet.
    #[error("der Dienstbereich {0} ist noch nicht bereit")]
    ServicesNotReady(String),
    /// The spec passes the schema, and still cannot be applied.
    #[error("{0}")]
    Invalid(String),
    /// A Helm run failed, or the pause after a failure is not over.
    #[error("{0}")]
    Release(#[from] crate::helm::ReleaseError),
}
