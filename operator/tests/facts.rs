//! Facts about money outlive the object they are about and an API that is away.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod played;

use std::sync::atomic::Ordering;

use allmende_crds::names;
use allmende_proto::v1::{
    self, follow_desired_state_response::Event, lifecycle_fact::Kind, observation::Phase,
};
use kube::api::{Patch, PatchParams};
use played::{World, message, snapshot, tenant, until};
use serde_json::json;

const NAME: &str = "m-05766044-prod";

/// Plays the reconciler: ready, persisted.
async fn became_ready(world: &World) {
    let status = json!({ "status": {
        "lifecycle": [{ "kind": "Ready", "generation": 1, "time": "2026-11-24T10:00:00Z" }],
    } });
    world.tenants().patch_status(NAME, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
}

/// Plays the reconciler: everything is gone, the object may go.
async fn let_go(world: &World) {
    let mut finalizers = world.tenants().get(NAME).await.unwrap().metadata.finalizers.unwrap();
    finalizers.retain(|finalizer| finalizer != names::FINALIZER);
    let patch = json!({ "metadata": { "finalizers": finalizers } });
    world.tenants().patch(NAME, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
}

fn facts(world: &World) -> Vec<v1::LifecycleFact> {
    world.played.facts.lock().unwrap().iter().flat_map(|request| request.facts.clone()).collect()
}

#[tokio::test]
async fn what_became_ready_and_was_deleted_while_the_api_was_away_is_told_once_each() {
    let ending = snapshot(1, &[tenant("prod", 2, true)], false);
    let world = World::with(vec![snapshot(1, &[tenant("prod", 1, false)], false), ending]).await;
    until("the object is there", || async { world.names().await.len() == 1 }).await;
    // The watermark is told from here on: the facts' side of the conversation runs.
    until("a watermark was told", || async { !world.played.facts.lock().unwrap().is_empty() }).await;

    // The last word of the API is the deletion; then it takes nothing any more.
    world.played.away.store(true, Ordering::SeqCst);
    became_ready(&world).await;
    let sender = world.played.open.lock().unwrap()[0].clone();
    sender.send(Ok(message(1, Event::Change(tenant("prod", 2, true))))).await.unwrap();
    drop(sender);
    until("the object is on its way out", || async {
        world.tenants().get(NAME).await.unwrap().metadata.deletion_timestamp.is_some()
    })
    .await;
    world.played.open.lock().unwrap().clear();
    let_go(&world).await;
    let told_before = world.played.facts.lock().unwrap().len();

    world.played.away.store(false, Ordering::SeqCst);
    until("gone is told", || async { world.was_told("prod", Phase::Gone) }).await;
    assert!(world.names().await.is_empty());
    let told = world.played.facts.lock().unwrap().clone();
    let first = &told[told_before];
    assert_eq!(first.facts.len(), 1, "the fact comes before any watermark");
    assert_eq!((first.facts[0].kind(), first.watermark), (Kind::Ready, None));
    // A whole look further: nothing is told again.
    until("another watermark was told", || async {
        world.played.facts.lock().unwrap().len() > told.len() + 1
    })
    .await;
    assert_eq!(facts(&world).len(), 1);
    let gone = world.played.told.lock().unwrap().iter().filter(|o| o.phase() == Phase::Gone).count();
    assert_eq!(gone, 1);
}

#[tokio::test]
async fn an_object_of_an_earlier_release_is_held_for_its_facts_too() {
    let world = World::with(vec![snapshot(1, &[tenant("prod", 1, false)], false)]).await;
    until("the object is there", || async { world.names().await.len() == 1 }).await;
    let only = json!({ "metadata": { "finalizers": [names::FINALIZER] } });
    world.tenants().patch(NAME, &PatchParams::default(), &Patch::Merge(only)).await.unwrap();
    until("it is held", || async {
        let finalizers = world.tenants().get(NAME).await.unwrap().metadata.finalizers.unwrap_or_default();
        finalizers.iter().any(|finalizer| finalizer == names::FINALIZER_FACTS)
    })
    .await;
}
