//! Follows the stream: a whole snapshot first, then changes. What cannot be mirrored at once stays pending and is tried again.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use allmende_crds::{ServiceInstance, Tenant};
use allmende_proto::v1::{
    self, cluster_service_client::ClusterServiceClient, follow_desired_state_response::Event,
};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams},
};
use tokio::sync::{mpsc, watch};
use tonic::transport::Channel;

use super::{
    fence::{self, Known},
    mirror::{Mirrored, mirror},
    report::Report,
    snapshot::Collecting,
};

/// Pause before the stream is opened again; doubled up to the longest.
const REOPEN: Duration = Duration::from_secs(1);
/// The longest such pause.
const REOPEN_MAX: Duration = Duration::from_secs(30);
/// How often pending records are tried again.
const PENDING_EVERY: Duration = Duration::from_secs(2);
/// Silence after which a stream is given up: bookmarks come every few seconds.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// Name of the ConfigMap that keeps the store that was last followed.
const KNOWN_NAME: &str = "allmende-sync";

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
    #[error("snapshot: {0}")]
    Snapshot(#[from] super::snapshot::SnapshotError),
    #[error("the stream fell silent")]
    Silent,
    #[error("the stream was closed")]
    Closed,
    #[error("no longer the leader")]
    NotLeader,
}

/// The desired state as known, and what of it is still to be written.
#[derive(Default)]
struct State {
    known: Known,
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
            tracing::warn!(reason = %ended, "the desired state is not followed right now; the cluster keeps what it has");
            pause = if whole { REOPEN } else { pause.saturating_mul(2).min(REOPEN_MAX) };
            tokio::time::sleep(pause).await;
        }
    }

    async fn follow_once(&self, whole: &mut bool) -> Ended {
        match self.try_follow(whole).await {
            Ok(()) => Ended::Closed,
            Err(ended) => ended,
        }
    }

    async fn try_follow(&self, whole: &mut bool) -> Result<(), Ended> {
        let mut state = State { known: self.load_known().await?, ..State::default() };
        let request = v1::FollowDesiredStateRequest {
            name: format!("clusters/{}", self.cluster),
            known_epoch: state.known.epoch,
            known_store_id: state.known.store_id.clone(),
            operator_version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let mut stream =
            ClusterServiceClient::new(self.channel.clone()).follow_desired_state(request).await?.into_inner();
        let mut collecting = Some(Collecting::default());
        let mut retry = tokio::time::interval(PENDING_EVERY);
        let mut leader = self.leader.clone();
        let mut silence = tokio::time::Instant::now() + SILENCE_MAX;
        loop {
            let message = tokio::select! {
                message = tokio::time::timeout_at(silence, stream.message()) => {
                    silence = tokio::time::Instant::now() + SILENCE_MAX;
                    message.map_err(|_| Ended::Silent)??.ok_or(Ended::Closed)?
                }
                _ = retry.tick() => {
                    self.mirror_pending(&mut state).await?;
                    continue;
                }
                _ = async { leader.wait_for(|leads| !*leads).await.map(|_| ()) } => return Err(Ended::NotLeader),
            };
            fence::store(&state.known, &message.store_id, message.epoch)?;
            let next = Known { store_id: message.store_id, epoch: message.epoch };
            match message.event {
                Some(Event::SnapshotObject(object)) => {
                    if let Some(collecting) = &mut collecting {
                        collecting.add(object);
                    }
                }
                Some(Event::SnapshotEnd(end)) => {
                    // A later snapshot on the same stream (after a compaction) begins anew.
                    let snapshot =
                        collecting.replace(Collecting::default()).unwrap_or_default().finish(&end)?;
                    self.accept(&mut state, next, snapshot).await?;
                    *whole = true;
                }
                Some(Event::Change(object)) => {
                    state.pending.insert(object.name.clone());
                    state.objects.insert(object.name.clone(), object);
                    self.mirror_pending(&mut state).await?;
                }
                Some(Event::Dropped(key)) => {
                    state.objects.remove(&key.name);
                    state.pending.remove(&key.name);
                }
                Some(Event::Bookmark(_)) | None => {}
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
    ) -> Result<(), Ended> {
        if next != state.known {
            self.save_known(&next).await?;
            state.known = next.clone();
        }
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
            match mirror(&self.client, object, &state.known.store_id, state.known.epoch).await {
                Ok(Mirrored::Done) => {
                    state.pending.remove(&name);
                }
                Ok(Mirrored::Gone) => {
                    state.pending.remove(&name);
                    self.tell(Report::gone(object)).await;
                }
                // Looked at again until it is gone.
                Ok(Mirrored::Ending) => {}
                Ok(Mirrored::Refused(reason)) => {
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
        for desired in tenants.chain(instances).filter(|desired| !state.objects.contains_key(&desired.name)) {
            tracing::warn!(
                object = desired.name,
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

    async fn load_known(&self) -> Result<Known, kube::Error> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
        let data = api.get_opt(KNOWN_NAME).await?.and_then(|map| map.data).unwrap_or_default();
        Ok(Known {
            store_id: data.get("storeId").cloned().unwrap_or_default(),
            epoch: data.get("epoch").and_then(|epoch| epoch.parse().ok()).unwrap_or(0),
        })
    }

    async fn save_known(&self, known: &Known) -> Result<(), kube::Error> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
        let map = serde_json::json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "name": KNOWN_NAME },
            "data": { "storeId": known.store_id, "epoch": known.epoch.to_string() },
        });
        let parameters = PatchParams::apply(allmende_crds::names::OPERATOR).force();
        api.patch(KNOWN_NAME, &parameters, &Patch::Apply(map)).await.map(|_| ())
    }
}
