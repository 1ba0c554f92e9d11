//! What every reconcile gets passed in.

use std::sync::Arc;

use tokio::sync::watch;

use crate::{
    applier::Applier, backoff::Backoff, clock::Clock, events::Events, metrics::Metrics, settings::Policy,
};

/// Shared by all reconcilers of the process; clones are cheap.
#[derive(Clone, Debug)]
pub struct Context {
    /// Kubernetes. Without hidden repetition: a create that was not answered is looked at, not sent again.
    pub client: ContextClient,
    /// Writes that are counted and end with the lease.
    pub applier: Applier,
    /// Settings that are the same for all objects.
    pub policy: Policy,
    /// Counters.
    pub metrics: Metrics,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Events on objects.
    pub events: Events,
    /// Waiting times of failed objects.
    pub backoff: Arc<Backoff>,
    /// Whether this process leads.
    pub leader: watch::Receiver<bool>,
}

/// A client that can be shown in debug output.
#[derive(Clone)]
pub struct ContextClient(pub kube::Client);

impl std::fmt::Debug for ContextClient {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Client")
    }
}

impl Context {
    /// Puts the parts together.
    #[must_use]
    pub fn new(
        client: kube::Client,
        identity: &str,
        policy: Policy,
        metrics: Metrics,
        clock: Arc<dyn Clock>,
        leader: watch::Receiver<bool>,
    ) -> Self {
        Self {
            applier: Applier::new(metrics.clone(), leader.clone()),
            events: Events::new(client.clone(), identity),
            client: ContextClient(client),
            policy,
            metrics,
            clock,
            backoff: Arc::default(),
            leader,
        }
    }

    /// The Kubernetes client.
    #[must_use]
    pub fn client(&self) -> kube::Client {
        self.client.0.clone()
    }
}

/// The client of the whole process.
///
/// # Errors
/// When the configuration does not make a client.
pub fn client(mut config: kube::Config) -> Result<kube::Client, kube::Error> {
    // kube repeats requests of every method by default; a create that is repeated blindly can meet its own result.
    config.default_retry = false;
    kube::Client::try_from(config)
}
