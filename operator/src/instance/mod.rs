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

use std::{sync::Arc, time::Duration};

use allmende_crds::ServiceInstanceSpec;
use kube::Client;

use crate::{
    context::Context,
    error::Category,
    helm::{Class, ReleaseBackend},
    metrics::Failure,
};

/// What reconciling an instance works with.
#[derive(Clone)]
pub struct Tools {
    /// What every reconcile works with.
    pub context: Context,
    /// Releases.
    pub backend: Arc<dyn ReleaseBackend>,
}

impl Tools {
    fn client(&self) -> Client {
        self.context.client()
    }
}

/// Label on secrets: id of the instance.
pub const INSTANCE_LABEL: &str = "allmende.eu/instance";

/// Helm's own limit for a run of this instance.
pub(crate) fn run_timeout(spec: &ServiceInstanceSpec) -> Duration {
    Duration::from_secs(u64::try_from(spec.timeout_seconds).unwrap_or(300))
}

/// Why an instance is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused or did not answer, or this process does not lead.
    #[error("der Cluster: {}", .0.message())]
    Cluster(#[from] crate::error::Error),
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

impl Error {
    /// Wraps an answer of the API server.
    fn cluster(action: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let wrap = crate::error::Error::cluster(action);
        move |source| Self::Cluster(wrap(source))
    }

    /// Whether it says nothing about the instance: this process lost the lease or ends, and another one goes on.
    fn is_interruption(&self) -> bool {
        match self {
            Self::Cluster(error) => matches!(error, crate::error::Error::NotLeader),
            Self::Release(error) => error.class == Class::Interrupted,
            Self::ServicesNotReady(_) | Self::Invalid(_) => false,
        }
    }

    /// Its label in metrics.
    fn failure(&self) -> Failure {
        match self {
            Self::Cluster(error) => Failure::Of(error.category()),
            Self::ServicesNotReady(_) => Failure::TenantNotReady,
            Self::Invalid(_) => Failure::Of(Category::Invalid),
            Self::Release(_) => Failure::Release,
        }
    }
}
