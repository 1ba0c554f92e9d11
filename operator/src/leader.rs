//! One process leads: a `Lease` of `coordination.k8s.io`. It saves double work; correctness does not rest on it.
//!
//! Age is measured by this machine's monotonic clock from when a record was first seen, never by comparing clocks of two machines. A leader
//! that cannot renew in time stops writing before another may begin, and its process ends.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, ResourceExt,
    api::{ObjectMeta, PostParams},
};
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;

/// Name of the lease.
const LEASE: &str = "allmende-operator";

/// Times of the election.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// A lease that was not renewed for so long may be taken.
    pub lease: Duration,
    /// A leader that could not renew for so long stops; shorter than `lease`.
    pub give_up: Duration,
    /// Pause between two tries.
    pub every: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(15),
            give_up: Duration::from_secs(10),
            every: Duration::from_secs(2),
        }
    }
}

/// Takes part in the election.
pub struct Candidate {
    api: Api<Lease>,
    identity: String,
    times: Times,
    clock: Arc<dyn Clock>,
    leads: watch::Sender<bool>,
    /// The newest record of others and when we first saw it.
    seen: Option<(Option<String>, Instant)>,
}

/// What a try found.
enum Hold {
    /// We hold the lease.
    Ours,
    /// Somebody else holds it.
    Others,
    /// Somebody wrote it at the same time: look again.
    Contested,
}

/// The lease was held and could not be renewed in time.
#[derive(Debug, thiserror::Error)]
#[error("the lease was lost: nothing more is written, the process ends and starts again as a candidate")]
pub struct LeaseLost;

impl Candidate {
    /// A candidate, and where it tells whether it leads.
    #[must_use]
    pub fn new(
        client: kube::Client,
        namespace: &str,
        identity: String,
        times: Times,
        clock: Arc<dyn Clock>,
    ) -> (Self, watch::Receiver<bool>) {
        let (leads, receiver) = watch::channel(false);
        (
            Self { api: Api::namespaced(client, namespace), identity, times, clock, leads, seen: None },
            receiver,
        )
    }

    /// Tries to lead, and leads, until `shutdown`; then gives the lease back.
    ///
    /// # Errors
    /// When the lease was lost: the caller ends the process.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), LeaseLost> {
        let mut renewed: Option<Instant> = None;
        loop {
            let begun = Instant::now();
            let left =
                renewed.map_or(self.times.give_up, |at| self.times.give_up.saturating_sub(at.elapsed()));
            match timeout(left, self.try_hold()).await {
                Ok(Ok(Hold::Ours)) => {
                    renewed = Some(begun);
                    self.leads.send_if_modified(|leads| !std::mem::replace(leads, true));
                }
                // Somebody else holds it: a leader that reads this has lost it.
                Ok(Ok(Hold::Others)) if renewed.is_some() => return self.lost(),
                Ok(Ok(Hold::Others | Hold::Contested)) => {}
                Ok(Err(error)) => tracing::warn!(%error, "lease not renewed"),
                Err(_) => tracing::warn!("lease not renewed: no answer"),
            }
            if renewed.is_some_and(|at| at.elapsed() >= self.times.give_up) {
                return self.lost();
            }
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = tokio::time::sleep(self.times.every) => {}
            }
        }
        if self.leads.send_replace(false) {
            self.give_back().await;
        }
        Ok(())
    }

    fn lost(&self) -> Result<(), LeaseLost> {
        self.leads.send_replace(false);
        Err(LeaseLost)
    }

    /// Whether we hold the lease now. Every write compares the resource version that was read.
    async fn try_hold(&mut self) -> Result<Hold, kube::Error> {
        let Some(lease) = self.api.get_opt(LEASE).await? else {
            let lease = Lease {
                metadata: ObjectMeta { name: Some(LEASE.to_owned()), ..ObjectMeta::default() },
                spec: self.spec(None),
            };
            return accepted(self.api.create(&PostParams::default(), &lease).await);
        };
        let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone()).unwrap_or_default();
        if holder != self.identity && !holder.is_empty() && !self.has_expired(&lease) {
            return Ok(Hold::Others);
        }
        let mut next = lease.clone();
        next.spec = self.spec(lease.spec.filter(|_| holder == self.identity));
        accepted(self.api.replace(LEASE, &PostParams::default(), &next).await)
    }

    /// Whether the same record was seen for longer than a lease lasts.
    fn has_expired(&mut self, lease: &Lease) -> bool {
        let version = lease.resource_version();
        match &self.seen {
            Some((seen, since)) if *seen == version => since.elapsed() > self.times.lease,
            _ => {
                self.seen = Some((version, Instant::now()));
                false
            }
        }
    }

    fn spec(&self, ours: Option<LeaseSpec>) -> Option<LeaseSpec> {
        let now = MicroTime(self.clock.now());
        let acquired =
            ours.as_ref().and_then(|spec| spec.acquire_time.clone()).unwrap_or_else(|| now.clone());
        Some(LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(self.times.lease.as_secs()).ok(),
            acquire_time: Some(acquired),
            renew_time: Some(now),
            ..LeaseSpec::default()
        })
    }

    async fn give_back(&self) {
        let give_back = async {
            let mut lease = self.api.get(LEASE).await?;
            if let Some(spec) =
                lease.spec.as_mut().filter(|spec| spec.holder_identity.as_deref() == Some(&self.identity))
            {
                spec.holder_identity = Some(String::new());
                self.api.replace(LEASE, &PostParams::default(), &lease).await?;
            }
            Ok::<(), kube::Error>(())
        };
        if !matches!(timeout(self.times.every, give_back).await, Ok(Ok(()))) {
            tracing::info!("the lease was not given back; it runs out by itself");
        }
    }
}

/// A conflict means that somebody else was quicker.
fn accepted<T>(answer: Result<T, kube::Error>) -> Result<Hold, kube::Error> {
    match answer {
        Ok(_) => Ok(Hold::Ours),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(Hold::Contested),
        Err(error) => Err(error),
    }
}
