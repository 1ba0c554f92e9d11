//! The desired state of one cluster as a stream: a snapshot at one revision, its end marker, then changes by revision.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use allmende_domain::{desired::DesiredRecord, desired::snapshot_text, ids::ClusterId};
use allmende_proto::v1::{self, follow_desired_state_response::Event};
use allmende_store::{Revision, StoreIdentity, WatchEvent, keys};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use super::Clusters;
use crate::{authz::Scope, context::Context, convert, error::AppError};

/// Messages that wait for a slow operator.
const BUFFER: usize = 64;
/// How often an operator hears that nothing changed.
const BOOKMARK_EVERY: Duration = Duration::from_secs(5);

type Message = Result<v1::FollowDesiredStateResponse, tonic::Status>;
/// What an operator receives.
pub type DesiredStream = ReceiverStream<Message>;

/// The live streams, one a cluster: a new one ends the old one.
#[derive(Debug)]
pub struct Streams {
    live: Mutex<HashMap<ClusterId, CancellationToken>>,
    all: CancellationToken,
}

impl Streams {
    /// None yet. `all` ends every stream (drain).
    pub fn new(all: CancellationToken) -> Self {
        Self { live: Mutex::default(), all }
    }

    fn replace(&self, cluster: &ClusterId) -> CancellationToken {
        let token = self.all.child_token();
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = live.insert(cluster.clone(), token.clone()) {
            old.cancel();
        }
        token
    }

    /// Ends every live stream: the operators come back, and are told from the beginning.
    pub(super) fn end_all(&self) {
        let live = std::mem::take(&mut *self.live.lock().unwrap_or_else(PoisonError::into_inner));
        live.into_values().for_each(|token| token.cancel());
    }
}

/// Why this store must not be followed by a cluster that has seen what the request says: it was put back to an older state. Then the
/// same generations stand for other things, and a cluster that went on would take what was ordered since for outdated.
fn behind(
    own: &StoreIdentity,
    revision: Revision,
    request: &v1::FollowDesiredStateRequest,
) -> Option<String> {
    let same_epoch = request.known_epoch == own.epoch;
    let (seen, command) = if request.known_epoch > own.epoch {
        let above = request.known_epoch;
        (
            format!("epoch {above}, this store has epoch {}", own.epoch),
            format!("{RAISE} --above-epoch {above}"),
        )
    } else if same_epoch && !request.known_store_id.is_empty() && request.known_store_id != own.store_id {
        (format!("another store of the same epoch {}", own.epoch), RAISE.to_owned())
    } else if same_epoch && request.known_revision > revision.0 {
        let seen = request.known_revision;
        (format!("revision {seen}, this store is at revision {}", revision.0), RAISE.to_owned())
    } else {
        return None;
    };
    Some(format!(
        "this store is older than what the cluster has seen of it ({seen}): it was restored from a backup. Nothing on the cluster is \
         changed until the cooperative's operator confirms the restore (docs/guides/restore.md): {command}"
    ))
}

/// The command that confirms a restore.
const RAISE: &str = "allmende store raise-epoch --reason …";

/// One operator's stream under way.
struct Feed {
    identity: StoreIdentity,
    sender: mpsc::Sender<Message>,
    revision: Revision,
}

/// The operator has gone, or must come anew.
struct Gone;

impl Clusters {
    /// Begins to stream the desired state of the caller's cluster.
    ///
    /// # Errors
    /// When the cluster is unknown or not the caller's; STORE_BEHIND when it has seen more of this store than there is.
    pub async fn follow(
        &self,
        context: &Context,
        id: &ClusterId,
        request: &v1::FollowDesiredStateRequest,
    ) -> Result<DesiredStream, AppError> {
        self.core.authorizer.require(context, Scope::Cluster(id, &request.name)).await?;
        if self.core.store.find(&keys::cluster(id)).await?.is_none() {
            return Err(AppError::not_found(&request.name));
        }
        let (present, revision) = self.core.store.present().await?;
        let identity = present.value;
        if let Some(description) = behind(&identity, revision, request) {
            tracing::error!(cluster = %id, description, "an operator is refused: this store is older than what its cluster has seen");
            return Err(AppError::StoreBehind { resource: request.name.clone(), description });
        }
        self.forget_orphans(context, id).await?;
        tracing::info!(cluster = %id, version = request.operator_version, "operator follows");
        let (sender, receiver) = mpsc::channel(BUFFER);
        let token = self.streams.replace(id);
        let (clusters, id) = (self.clone(), id.clone());
        let under_way = self.metrics.follow();
        let feed = Feed { identity, sender, revision: Revision::ABSENT };
        tokio::spawn(async move {
            let ended = token.run_until_cancelled(clusters.feed(&id, feed)).await;
            drop(under_way);
            tracing::info!(cluster = %id, replaced_or_drained = ended.is_none(), "operator's stream ended");
        });
        Ok(ReceiverStream::new(receiver))
    }

    async fn feed(&self, id: &ClusterId, mut feed: Feed) {
        let range = keys::desired(id);
        loop {
            let snapshot = match self.core.store.snapshot(&range).await {
                Ok(snapshot) => snapshot,
                Err(error) => return feed.fail(error.into()).await,
            };
            if feed.send_snapshot(snapshot.0, snapshot.1).await.is_err() {
                return;
            }
            let mut watch = self.core.store.watch(&range, feed.revision.next());
            let mut bookmark = tokio::time::interval(BOOKMARK_EVERY);
            // Ends only when the operator has gone, or for a new snapshot after a compaction.
            loop {
                let sent = tokio::select! {
                    event = watch.next() => match event {
                        Some(WatchEvent::Compacted) | None => break,
                        Some(event) => feed.send_event(event).await,
                    },
                    _ = bookmark.tick() => self.bookmark(&feed).await,
                };
                if sent.is_err() {
                    return;
                }
            }
        }
    }
}

impl Clusters {
    /// A sign of life; ends the stream when the store is another one by now (its epoch was raised) or an older one (put back under us).
    async fn bookmark(&self, feed: &Feed) -> Result<(), Gone> {
        match self.core.store.present().await {
            Ok((present, revision)) if present.value != feed.identity || revision < feed.revision => {
                tracing::warn!(epoch = feed.identity.epoch, "the store has changed: the stream begins anew");
                Err(Gone)
            }
            Ok(_) => feed.send_bookmark().await,
            // Still the last word, and the operator shall not take us for dead.
            Err(error) => {
                tracing::warn!(%error, "the store cannot be asked for its identity");
                feed.send_bookmark().await
            }
        }
    }
}

impl Feed {
    async fn send(&self, event: Event) -> Result<(), Gone> {
        let message = v1::FollowDesiredStateResponse {
            store_id: self.identity.store_id.clone(),
            epoch: self.identity.epoch,
            event: Some(event),
        };
        self.sender.send(Ok(message)).await.map_err(|_| Gone)
    }

    async fn fail(&self, error: AppError) {
        let _ = self.sender.send(Err(error.into())).await;
    }

    async fn send_snapshot(
        &mut self,
        records: Vec<allmende_store::Versioned<DesiredRecord>>,
        revision: Revision,
    ) -> Result<(), Gone> {
        let lines = records.iter().map(|r| (r.value.name.as_str(), r.value.generation, r.value.deleting));
        let digest = hex::encode(Sha256::digest(snapshot_text(lines)));
        for record in &records {
            self.send(Event::SnapshotObject(convert::cluster::desired(record))).await?;
        }
        self.revision = revision;
        let count = u64::try_from(records.len()).unwrap_or(u64::MAX);
        self.send(Event::SnapshotEnd(v1::SnapshotEnd { revision: revision.0, count, digest })).await
    }

    async fn send_event(&mut self, event: WatchEvent<DesiredRecord>) -> Result<(), Gone> {
        match event {
            WatchEvent::Put(record) => {
                self.revision = self.revision.max(record.revision);
                self.send(Event::Change(convert::cluster::desired(&record))).await
            }
            WatchEvent::Delete(raw, revision) => {
                self.revision = self.revision.max(revision);
                let Some(name) = keys::desired_name(&raw) else { return Ok(()) };
                self.send(Event::Dropped(v1::DesiredObjectKey { name })).await
            }
            WatchEvent::Progress(revision) => {
                self.revision = self.revision.max(revision);
                Ok(())
            }
            WatchEvent::Unreadable(error) => {
                tracing::error!(%error, "a desired record cannot be read; its object stays as it is");
                Ok(())
            }
            WatchEvent::Compacted => Ok(()),
        }
    }

    async fn send_bookmark(&self) -> Result<(), Gone> {
        self.send(Event::Bookmark(v1::Bookmark { revision: self.revision.0 })).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn behind_by(epoch: u64, store: &str, revision: i64) -> Option<String> {
        let own = StoreIdentity { store_id: "a".into(), epoch: 2, schema: 1 };
        let request = v1::FollowDesiredStateRequest {
            known_epoch: epoch,
            known_store_id: store.into(),
            known_revision: revision,
            ..Default::default()
        };
        behind(&own, Revision(50), &request)
    }

    #[test]
    fn a_store_that_knows_less_than_a_cluster_is_behind_and_the_text_says_what_to_do() {
        assert_eq!(behind_by(0, "", 0), None, "the very first start");
        assert_eq!(behind_by(2, "a", 50), None);
        assert_eq!(behind_by(1, "b", 900), None, "an older epoch: its revisions say nothing here");
        for (epoch, store, revision, command) in [
            (3, "b", 7, "raise-epoch --reason … --above-epoch 3"),
            (2, "b", 7, "raise-epoch --reason …"),
            (2, "a", 51, "raise-epoch --reason …"),
        ] {
            let text = behind_by(epoch, store, revision).unwrap();
            assert!(text.ends_with(command) && text.contains("older"), "{text}");
        }
    }
}
