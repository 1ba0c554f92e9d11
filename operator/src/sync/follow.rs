//! Follows the stream: a whole snapshot first, then changes. What cannot be mirrored at once stays pending and is tried again.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use allmende_crds::{Desired, ServiceInstance, Tenant};
use allmende_proto::v1::{self, cluster_service_client::ClusterServiceClient};
use kube::{Api, Client, api::ListParams};
use tokio::sync::{Notify, mpsc, watch};
use tonic::transport::Channel;

use super::{
    fence::{self, Known, Refusal},
    memory::Memory,
    mirror::{Mirrored, mirror},
    report::Report,
    stream::{Disorder, Step, Stream},
};
use crate::metrics::{Metrics, StreamEnd};

/// Pause before the stream is opened again; doubled up to the longest.
const REOPEN: Duration = Duration::from_secs(1);
/// The longest such pause.
const REOPEN_MAX: Duration = Duration::from_secs(30);
/// How often pending records are tried again.
const PENDING_EVERY: Duration = Duration::from_secs(2);
/// Silence after which a stream is given up: bookmarks come every few seconds.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Everything the follower works with.
#[derive(Clone)]
pub struct Follower {
    /// Kubernetes.
    pub client: Client,
    /// The operator's own namespace.
    pub namespace: String,
    /// Id of this cluster in the API.
    pub cluster: String,
    /// The API.
    pub channel: Channel,
    /// Whether this process leads: only then is anything written.
    pub leader: watch::Receiver<bool>,
    /// Where observations go.
    pub reports: mpsc::Sender<Report>,
    /// Tells reporters which store and epoch is followed.
    pub followed: watch::Sender<Option<Known>>,
    /// Wakes who tells facts: something is on its way out and waits for that.
    pub ending: Arc<Notify>,
    /// Counts why streams end.
    pub metrics: Metrics,
}

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("the API: {0}")]
    Api(#[from] tonic::Status),
    #[error("the cluster: {0}")]
    Cluster(#[from] kube::Error),
    #[error("refused: {0}")]
    Refused(#[from] fence::Refusal),
    #[error("out of order: {0}")]
    Disorder(#[from] Disorder),
    #[error("the stream fell silent")]
    Silent,
    #[error("the stream was closed")]
    Closed,
    #[error("no longer the leader")]
    NotLeader,
}

impl Ended {
    fn kind(&self) -> StreamEnd {
        match self {
            Self::Api(status) if status.code() == tonic::Code::FailedPrecondition => StreamEnd::StoreBehind,
            Self::Api(_) => StreamEnd::Api,
            Self::Cluster(_) => StreamEnd::Cluster,
            Self::Refused(_) => StreamEnd::OlderStore,
            Self::Disorder(Disorder::BeforeSnapshot) => StreamEnd::BeforeSnapshot,
            Self::Disorder(Disorder::OtherStore) => StreamEnd::OtherStore,
            Self::Disorder(Disorder::Snapshot(_)) => StreamEnd::Snapshot,
            Self::Silent => StreamEnd::Silent,
            Self::Closed => StreamEnd::Closed,
            Self::NotLeader => StreamEnd::NotLeader,
        }
    }
}

/// The desired state as known, and what of it is still to be written.
#[derive(Default)]
struct State {
    memory: Memory,
    /// What of `memory` is on the cluster.
    saved: Memory,
    objects: BTreeMap<String, v1::DesiredObject>,
    pending: BTreeSet<String>,
}

impl Follower {
    /// Follows for ever, while this process leads.
    pub async fn run(mut self) {
        let mut pause = REOPEN;
        loop {
            if self.leader.wait_for(|leads| *leads).await.is_err() {
                return;
            }
            let mut whole = false;
            let ended = self.follow_once(&mut whole).await;
            self.metrics.sync.follows(false);
            self.metrics.stream_ended(ended.kind());
            if matches!(ended.kind(), StreamEnd::StoreBehind | StreamEnd::OlderStore) {
                // What is seen here says nothing about a store that was put back: nothing is reported until one is followed again.
                self.followed.send_replace(None);
            }
            tracing::warn!(reason = %ended, "the desired state is not followed right now; the cluster keeps what it has");
            pause = if whole { REOPEN } else { pause.saturating_mul(2).min(REOPEN_MAX) };
            tokio::time::sleep(pause).await;
        }
    }

    async fn follow_once(&self, whole: &mut bool) -> Ended {
        let memory = match Memory::load(&self.client, &self.namespace).await {
            Ok(memory) => memory,
            Err(error) => return error.into(),
        };
        let mut state = State { memory: memory.clone(), saved: memory, ..State::default() };
        let ended = match self.try_follow(&mut state, whole).await {
            Ok(()) => Ended::Closed,
            Err(ended) => ended,
        };
        // What came since the last bookmark counts too when the next store is judged.
        match self.remember(&mut state).await {
            Ok(()) => ended,
            Err(error) => {
                tracing::warn!(%error, "how far the store was followed could not be kept");
                ended
            }
        }
    }

    async fn try_follow(&self, state: &mut State, whole: &mut bool) -> Result<(), Ended> {
        let request = v1::FollowDesiredStateRequest {
            name: format!("clusters/{}", self.cluster),
            known_epoch: state.memory.known.epoch,
            known_store_id: state.memory.known.store_id.clone(),
            known_revision: state.memory.revision,
            operator_version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let mut messages =
            ClusterServiceClient::new(self.channel.clone()).follow_desired_state(request).await?.into_inner();
        let mut stream = Stream::default();
        let mut retry = tokio::time::interval(PENDING_EVERY);
        let mut leader = self.leader.clone();
        let mut silence = tokio::time::Instant::now() + SILENCE_MAX;
        loop {
            let message = tokio::select! {
                message = tokio::time::timeout_at(silence, messages.message()) => {
                    silence = tokio::time::Instant::now() + SILENCE_MAX;
                    message.map_err(|_| Ended::Silent)??.ok_or(Ended::Closed)?
                }
                _ = retry.tick() => {
                    self.mirror_pending(state).await?;
                    continue;
                }
                _ = async { leader.wait_for(|leads| !*leads).await.map(|_| ()) } => return Err(Ended::NotLeader),
            };
            // Also within a snapshot: what comes from an older store is not even collected.
            fence::store(&state.memory.known, &message.store_id, message.epoch)?;
            let from = Known { store_id: message.store_id.clone(), epoch: message.epoch };
            match stream.take(message)? {
                Step::Snapshot(objects, revision) => {
                    self.accept(state, from, objects, revision).await?;
                    self.metrics.sync.follows(true);
                    *whole = true;
                }
                Step::Change(object) => {
                    state.memory = state.memory.reached(&from, object.revision);
                    state.pending.insert(object.name.clone());
                    state.objects.insert(object.name.clone(), *object);
                    self.mirror_pending(state).await?;
                }
                Step::Dropped(name) => {
                    state.objects.remove(&name);
                    state.pending.remove(&name);
                }
                Step::UpTo(revision) => {
                    state.memory = state.memory.reached(&from, revision);
                    self.remember(state).await?;
                }
                Step::Wait => {}
            }
        }
    }

    /// A whole snapshot: remembered as followed, everything of it is to be mirrored, and what it lacks is told as orphaned. Absence never
    /// means delete.
    async fn accept(
        &self,
        state: &mut State,
        next: Known,
        snapshot: BTreeMap<String, v1::DesiredObject>,
        revision: i64,
    ) -> Result<(), Ended> {
        fence::revision(&state.memory.known, state.memory.revision, &next, revision)?;
        state.memory = state.memory.reached(&next, revision);
        self.remember(state).await?;
        tracing::info!(objects = snapshot.len(), epoch = next.epoch, "desired state received whole");
        state.pending = snapshot.keys().cloned().collect();
        state.objects = snapshot;
        self.followed.send_replace(Some(next));
        self.mirror_pending(state).await?;
        self.tell_orphans(state).await
    }

    async fn mirror_pending(&self, state: &mut State) -> Result<(), Ended> {
        if !*self.leader.borrow() {
            return Err(Ended::NotLeader);
        }
        for name in state.pending.clone() {
            let Some(object) = state.objects.get(&name) else {
                state.pending.remove(&name);
                continue;
            };
            match mirror(&self.client, object, &state.memory.known.store_id, state.memory.known.epoch).await {
                Ok(Mirrored::Done) => {
                    state.pending.remove(&name);
                }
                Ok(Mirrored::Gone) => {
                    state.pending.remove(&name);
                    self.tell(Report::gone(object)).await;
                }
                // Looked at again until it is gone.
                Ok(Mirrored::Ending) => self.ending.notify_one(),
                // Another life began here, so nothing of this one is left. What is there now stays: an orphan, for a person to judge.
                Ok(Mirrored::Refused(Refusal::OtherLife)) if object.deleting => {
                    state.pending.remove(&name);
                    self.tell(Report::gone(object)).await;
                }
                Ok(Mirrored::Refused(reason)) => {
                    self.metrics.sync.refused_record(reason);
                    tracing::warn!(object = name, %reason, "a record is not followed");
                    state.pending.remove(&name);
                }
                Err(error) => tracing::info!(object = name, %error, "a record cannot be mirrored yet"),
            }
        }
        Ok(())
    }

    async fn tell_orphans(&self, state: &State) -> Result<(), Ended> {
        let tenants = Api::<Tenant>::all(self.client.clone()).list(&ListParams::default()).await?;
        let instances = Api::<ServiceInstance>::all(self.client.clone()).list(&ListParams::default()).await?;
        let tenants = tenants.items.into_iter().map(|tenant| tenant.spec.desired);
        let instances = instances.items.into_iter().map(|instance| instance.spec.desired);
        let known = |desired: &Desired| {
            state.objects.get(&desired.name).is_some_and(|object| object.uid == desired.uid)
        };
        for desired in tenants.chain(instances).filter(|desired| !known(desired)) {
            tracing::warn!(
                object = desired.name,
                uid = desired.uid,
                "orphan: on the cluster, in no snapshot; nothing is deleted"
            );
            self.tell(Report::orphan(&desired)).await;
        }
        Ok(())
    }

    async fn tell(&self, report: Report) {
        // A closed channel means that the process ends.
        let _ = self.reports.send(report).await;
    }

    /// Keeps on the cluster how far the store was followed, when that is news.
    async fn remember(&self, state: &mut State) -> Result<(), kube::Error> {
        if state.memory != state.saved {
            state.memory.save(&self.client, &self.namespace).await?;
            state.saved.clone_from(&state.memory);
        }
        Ok(())
    }
}
