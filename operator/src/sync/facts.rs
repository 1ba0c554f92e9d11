//! Lifecycle facts: derived from status that was persisted first, told until acknowledged, with a watermark.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use allmende_crds::{Desired, LifecycleEntry, LifecycleKind, ServiceInstance, Tenant};
use allmende_proto::v1::{self, lifecycle_fact::Kind, usage_service_client::UsageServiceClient};
use jiff::{SignedDuration, Timestamp};
use kube::{Api, Client, api::ListParams};
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tonic::transport::Channel;

use super::{fence::Known, seconds};

/// How often facts are looked for.
const EVERY: Duration = Duration::from_secs(5);
/// A status may be written this much later than the time it carries: the watermark stays behind by more than any reconcile takes.
const MARGIN: SignedDuration = SignedDuration::from_secs(120);
/// Facts in one call.
const BATCH: usize = 200;

/// Pure: the facts of one object.
pub fn of_object(desired: &Desired, lifecycle: &[LifecycleEntry]) -> Vec<v1::LifecycleFact> {
    lifecycle
        .iter()
        .filter_map(|entry| {
            let (kind, text) = match entry.kind {
                LifecycleKind::Ready => (Kind::Ready, "READY"),
                LifecycleKind::Resized => (Kind::Resized, "RESIZED"),
                // Tells nothing about money; the observation says it.
                LifecycleKind::Gone => return None,
            };
            let at = entry.time.0;
            Some(v1::LifecycleFact {
                id: hex::encode(Sha256::digest(format!("{} {text} {}", desired.uid, entry.generation))),
                subject: desired.name.clone(),
                uid: desired.uid.clone(),
                kind: kind.into(),
                generation: u64::try_from(entry.generation).unwrap_or_default(),
                occur_time: Some(seconds(at)),
            })
        })
        .collect()
}

/// Tells facts for ever.
pub struct FactTeller {
    /// Kubernetes.
    pub client: Client,
    /// Id of this cluster in the API.
    pub cluster: String,
    /// The API.
    pub channel: Channel,
    /// Which store and epoch is followed.
    pub followed: watch::Receiver<Option<Known>>,
    /// Whether this process leads.
    pub leader: watch::Receiver<bool>,
    /// The clock.
    pub now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl FactTeller {
    /// Looks, tells, moves the watermark; what fails is told again.
    pub async fn run(self) {
        let mut acknowledged = BTreeSet::new();
        let mut told_to: Option<Known> = None;
        loop {
            tokio::time::sleep(EVERY).await;
            let known = self.followed.borrow().clone();
            let Some(known) = known.filter(|_| *self.leader.borrow()) else { continue };
            if told_to.as_ref() != Some(&known) {
                acknowledged.clear();
                told_to = Some(known.clone());
            }
            if let Err(reason) = self.tell(&known, &mut acknowledged).await {
                tracing::info!(reason, "facts are told again");
            }
        }
    }

    async fn tell(&self, known: &Known, acknowledged: &mut BTreeSet<String>) -> Result<(), String> {
        // Taken before the list: everything that was persisted before it is in the list.
        let watermark = (self.now)() - MARGIN;
        let facts = self.all().await.map_err(|error| error.to_string())?;
        let mut open: Vec<v1::LifecycleFact> =
            facts.into_iter().filter(|fact| !acknowledged.contains(&fact.id)).collect();
        loop {
            let rest = open.split_off(open.len().min(BATCH));
            let whole = rest.is_empty();
            let time = seconds(watermark);
            let request = v1::ReportFactsRequest {
                name: format!("clusters/{}", self.cluster),
                store_id: known.store_id.clone(),
                epoch: known.epoch,
                facts: open,
                watermark: whole.then_some(time),
            };
            let answer = UsageServiceClient::new(self.channel.clone())
                .report_facts(request)
                .await
                .map_err(|status| status.to_string())?
                .into_inner();
            acknowledged.extend(answer.acknowledged_ids);
            acknowledged.extend(answer.refused_ids);
            if whole {
                return Ok(());
            }
            open = rest;
        }
    }

    async fn all(&self) -> Result<Vec<v1::LifecycleFact>, kube::Error> {
        let list = ListParams::default();
        let mut facts = Vec::new();
        for tenant in Api::<Tenant>::all(self.client.clone()).list(&list).await?.items {
            let lifecycle = tenant.status.map(|status| status.lifecycle).unwrap_or_default();
            facts.extend(of_object(&tenant.spec.desired, &lifecycle));
        }
        for instance in Api::<ServiceInstance>::all(self.client.clone()).list(&list).await?.items {
            let lifecycle = instance.status.map(|status| status.lifecycle).unwrap_or_default();
            facts.extend(of_object(&instance.spec.desired, &lifecycle));
        }
        Ok(facts)
    }
}
