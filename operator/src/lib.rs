//! The operator of one cluster: it knows Kubernetes and never etcd. It follows the desired state that the API streams, keeps the objects of
//! its cluster as that says, and reports what it saw.
//!
//! `sync/` writes the objects `Tenant` and `ServiceInstance`; `tenant/` and `instance/` reconcile them in five steps: dereference, validate,
//! build, apply, status. Reconciling does not need the API: with it away, the cluster is kept as it should be.

pub mod applier;
pub mod backoff;
pub mod certificate;
pub mod clock;
pub mod conditions;
pub mod context;
pub mod coverage;
pub mod error;
pub mod events;
pub mod helm;
pub mod instance;
pub mod leader;
pub mod lifecycle;
pub mod merge;
pub mod metrics;
pub mod preflight;
pub mod quantity;
pub mod settings;
pub mod sync;
pub mod tenant;
pub mod wiring;
