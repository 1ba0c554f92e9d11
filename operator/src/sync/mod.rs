//! The desired state of this cluster: followed as a stream, mirrored into `Tenant` and `ServiceInstance` objects; what was seen goes back.
//!
//! [`stream`], [`snapshot`], [`fence`] and [`outbox`] are pure: they decide what counts. [`follow`] receives, [`memory`] keeps how far,
//! [`mirror`] writes objects, [`report`], [`facts`] and [`preflight`] tell the API. With the API away nothing here runs, and the reconcilers go on with the objects they have.

pub mod facts;
pub mod fence;
pub mod follow;
pub mod memory;
pub mod mirror;
pub mod outbox;
pub mod preflight;
pub mod report;
pub mod snapshot;
pub mod stream;

use std::sync::Arc;

use kube::Client;
use tokio::{
    sync::{Notify, mpsc, watch},
    task::JoinSet,
};
use tonic::transport::Channel;

use crate::{
    clock::Clock,
    metrics::{Metrics, SyncMetrics},
};

/// Reports that wait for the API.
const REPORTS: usize = 1024;

/// What the sync works with.
#[derive(Clone)]
pub struct Parts {
    /// Kubernetes.
    pub client: Client,
    /// The API.
    pub channel: Channel,
    /// Id of this cluster in the API.
    pub cluster: String,
    /// The operator's own namespace.
    pub namespace: String,
    /// Whether this process leads: only then is anything written or told.
    pub leader: watch::Receiver<bool>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// What is counted.
    pub metrics: Metrics,
}

/// Starts following, reporting and telling facts. Dropping the set ends them.
pub fn start(parts: Parts) -> JoinSet<()> {
    let (reports, waiting) = mpsc::channel(REPORTS);
    let (followed, following) = watch::channel(None);
    let ending = Arc::new(Notify::new());
    let mut tasks = JoinSet::new();
    let follower = follow::Follower {
        client: parts.client.clone(),
        namespace: parts.namespace.clone(),
        cluster: parts.cluster.clone(),
        channel: parts.channel.clone(),
        leader: parts.leader.clone(),
        reports: reports.clone(),
        followed,
        ending: ending.clone(),
        metrics: parts.metrics.clone(),
    };
    tasks.spawn(follower.run());
    tasks.spawn(report::watch_objects(parts.client.clone(), reports));
    let reporter = report::Reporter {
        cluster: parts.cluster.clone(),
        channel: parts.channel.clone(),
        reports: waiting,
        followed: following.clone(),
        leader: parts.leader.clone(),
        metrics: parts.metrics.sync.clone(),
    };
    tasks.spawn(reporter.run());
    tasks.spawn(note_snapshots(following.clone(), parts.metrics.sync, parts.clock.clone()));
    let preflight = preflight::PreflightTeller {
        client: parts.client.clone(),
        namespace: parts.namespace,
        cluster: parts.cluster.clone(),
        channel: parts.channel.clone(),
        followed: following.clone(),
        leader: parts.leader.clone(),
    };
    tasks.spawn(preflight.run());
    let clock = parts.clock;
    let teller = facts::FactTeller {
        client: parts.client,
        cluster: parts.cluster,
        channel: parts.channel,
        followed: following,
        leader: parts.leader,
        ending,
        now: Arc::new(move || clock.now()),
    };
    tasks.spawn(teller.run());
    tasks
}

/// Every whole snapshot is told to those who report, also when store and epoch are the ones of before.
async fn note_snapshots(
    mut followed: watch::Receiver<Option<fence::Known>>,
    metrics: SyncMetrics,
    clock: Arc<dyn Clock>,
) {
    while followed.changed().await.is_ok() {
        if followed.borrow_and_update().is_some() {
            metrics.snapshot(clock.now());
        }
    }
}

/// A time as the contract has it, in whole seconds: what Kubernetes keeps of a time.
fn seconds(time: jiff::Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: time.as_second(), nanos: 0 }
}
