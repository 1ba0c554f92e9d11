//! The desired state of this cluster: followed as a stream, mirrored into `Tenant` and `ServiceInstance` objects; what was seen goes back.
//!
//! [`snapshot`] and [`fence`] are pure: they decide what counts. [`follow`] receives, [`mirror`] writes objects, [`report`] and [`facts`]
//! tell the API. With the API away nothing here runs, and the reconcilers go on with the objects they have.

pub mod facts;
pub mod fence;
pub mod follow;
pub mod mirror;
pub mod report;
pub mod snapshot;

/// The running loops of the sync; ends them when dropped.
#[derive(Debug)]
pub struct SyncTasks(pub tokio::task::JoinSet<()>);
