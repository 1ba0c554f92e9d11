//! Lifecycle facts: derived from status that was persisted first, told until acknowledged, with a watermark.
//!
//! The object is its own journal. A finalizer keeps it until the API has answered for all that its status tells about money, and only the
//! teller takes that finalizer away: when the reconciler has let go, so that nothing is added any more, and at the version that was read.
//! So a fact outlives restarts and an API that is away, and the end of an object is told after its facts.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use allmende_crds::{Desired, LifecycleEntry, LifecycleKind, ServiceInstance, Tenant, names};
use allmende_proto::v1::{self, lifecycle_fact::Kind, usage_service_client::UsageServiceClient};
use jiff::{SignedDuration, Timestamp};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use tokio::sync::{Notify, watch};
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

/// Pure: the finalizers that an object should have, where they are to be changed. `told` is whether the API answered for all its facts.
pub fn finalizers(present: &[String], ending: bool, told: bool) -> Option<Vec<String>> {
    let has = |finalizer: &str| present.iter().any(|name| name == finalizer);
    match (ending, has(names::FINALIZER_FACTS)) {
        // Made by an earlier release. To what is ending already Kubernetes lets nobody add one.
        (false, false) => Some(present.iter().cloned().chain([names::FINALIZER_FACTS.to_owned()]).collect()),
        (true, true) if told && !has(names::FINALIZER) => {
            Some(present.iter().filter(|name| *name != names::FINALIZER_FACTS).cloned().collect())
        }
        _ => None,
    }
}

/// An object as far as facts need it.
struct Subject<K> {
    object: K,
    facts: Vec<v1::LifecycleFact>,
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
    /// Something is on its way out: its facts are told without waiting for the next look.
    pub ending: Arc<Notify>,
    /// The clock.
    pub now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl FactTeller {
    /// Looks, tells, moves the watermark; what fails is told again.
    pub async fn run(self) {
        let mut answered = BTreeSet::new();
        let mut told_to: Option<Known> = None;
        loop {
            // Either is the time for another look.
            let _ = tokio::time::timeout(EVERY, self.ending.notified()).await;
            let known = self.followed.borrow().clone();
            let Some(known) = known.filter(|_| *self.leader.borrow()) else { continue };
            if told_to.as_ref() != Some(&known) {
                answered.clear();
                told_to = Some(known.clone());
            }
            if let Err(reason) = self.tell(&known, &mut answered).await {
                tracing::info!(reason, "facts are told again");
            }
        }
    }

    async fn tell(&self, known: &Known, answered: &mut BTreeSet<String>) -> Result<(), String> {
        // Taken before the lists: everything that was persisted before it is in them.
        let watermark = (self.now)() - MARGIN;
        let tenants = self.tenants().await.map_err(|error| error.to_string())?;
        let instances = self.instances().await.map_err(|error| error.to_string())?;
        let of_tenants = tenants.iter().flat_map(|subject| &subject.facts);
        let all: Vec<_> = of_tenants.chain(instances.iter().flat_map(|subject| &subject.facts)).collect();
        // What has ended is not told again.
        let present: BTreeSet<&str> = all.iter().map(|fact| fact.id.as_str()).collect();
        answered.retain(|id| present.contains(id.as_str()));
        let open: Vec<v1::LifecycleFact> =
            all.into_iter().filter(|fact| !answered.contains(&fact.id)).cloned().collect();
        for batch in open.chunks(BATCH) {
            let answer = self.report(known, batch.to_vec(), None).await?;
            answered.extend(answer.acknowledged_ids);
            answered.extend(answer.refused_ids);
        }
        if let Some(fact) = open.iter().find(|fact| !answered.contains(&fact.id)) {
            return Err(format!("{} of {} was neither taken nor refused", fact.id, fact.subject));
        }
        // Alone and last: it says that all before it was answered.
        self.report(known, Vec::new(), Some(seconds(watermark))).await?;
        self.let_go(&tenants, answered, |_| Api::all(self.client.clone())).await?;
        let namespaced = |instance: &ServiceInstance| {
            Api::namespaced(self.client.clone(), &instance.namespace().unwrap_or_default())
        };
        self.let_go(&instances, answered, namespaced).await
    }

    async fn report(
        &self,
        known: &Known,
        facts: Vec<v1::LifecycleFact>,
        watermark: Option<prost_types::Timestamp>,
    ) -> Result<v1::ReportFactsResponse, String> {
        let request = v1::ReportFactsRequest {
            name: format!("clusters/{}", self.cluster),
            store_id: known.store_id.clone(),
            epoch: known.epoch,
            facts,
            watermark,
        };
        let answer = UsageServiceClient::new(self.channel.clone()).report_facts(request).await;
        answer.map(tonic::Response::into_inner).map_err(|status| status.to_string())
    }

    /// Objects whose facts were all answered and that are otherwise done may go; living ones are held from now on.
    async fn let_go<K>(
        &self,
        subjects: &[Subject<K>],
        answered: &BTreeSet<String>,
        api: impl Fn(&K) -> Api<K>,
    ) -> Result<(), String>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
    {
        for Subject { object, facts } in subjects {
            let told = facts.iter().all(|fact| answered.contains(&fact.id));
            let ending = object.meta().deletion_timestamp.is_some();
            let Some(next) = finalizers(object.finalizers(), ending, told) else { continue };
            if !*self.leader.borrow() {
                return Ok(());
            }
            let patch = serde_json::json!({
                "metadata": { "finalizers": next, "resourceVersion": object.resource_version() }
            });
            let name = object.name_any();
            match api(object).patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await {
                Ok(_) => {}
                // Gone, or changed since it was read: looked at again.
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
                Err(error) => return Err(format!("finalizers of {name}: {error}")),
            }
        }
        Ok(())
    }

    async fn tenants(&self) -> Result<Vec<Subject<Tenant>>, kube::Error> {
        let all = Api::<Tenant>::all(self.client.clone()).list(&ListParams::default()).await?.items;
        Ok(all
            .into_iter()
            .map(|object| {
                let lifecycle = object.status.as_ref().map(|status| status.lifecycle.as_slice());
                let facts = of_object(&object.spec.desired, lifecycle.unwrap_or_default());
                Subject { object, facts }
            })
            .collect())
    }

    async fn instances(&self) -> Result<Vec<Subject<ServiceInstance>>, kube::Error> {
        let all = Api::<ServiceInstance>::all(self.client.clone()).list(&ListParams::default()).await?.items;
        Ok(all
            .into_iter()
            .map(|object| {
                let lifecycle = object.status.as_ref().map(|status| status.lifecycle.as_slice());
                let facts = of_object(&object.spec.desired, lifecycle.unwrap_or_default());
                Subject { object, facts }
            })
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn an_object_is_held_until_its_facts_are_answered_and_its_reconciler_has_let_go() {
        let (ours, facts, other) = (names::FINALIZER, names::FINALIZER_FACTS, "example.org/other");
        let all = list(&[ours, facts, other]);
        assert_eq!(finalizers(&all, false, true), None, "it lives");
        assert_eq!(finalizers(&all, true, true), None, "the reconciler may still add a fact");
        let rest = list(&[facts, other]);
        assert_eq!(finalizers(&rest, true, false), None, "a fact is open");
        assert_eq!(finalizers(&rest, true, true), Some(list(&[other])));
        assert_eq!(finalizers(&list(&[ours]), false, false), Some(list(&[ours, facts])));
        assert_eq!(finalizers(&list(&[ours]), true, false), None, "nothing can be added any more");
    }
}
