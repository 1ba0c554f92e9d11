//! The sync between an API that the test plays and a real API server: what is followed, what is refused, and that nothing is deleted
//! without a DELETING record.
#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "a test fails by panicking, and a story is told in one piece"
)]

mod played;

use allmende_crds::names;
use allmende_operator::metrics::StreamEnd;
use allmende_proto::v1::{self, follow_desired_state_response::Event, observation::Phase};
use kube::api::{Patch, PatchParams};
use played::{World, message, snapshot, tenant, until};

#[tokio::test]
async fn a_truncated_snapshot_counts_as_nothing_and_a_whole_one_deletes_nothing() {
    let (prod, test) = (tenant("prod", 1, false), tenant("test1", 1, false));
    let streams = vec![
        snapshot(1, &[prod.clone(), test.clone()], false),
        // The stream breaks off; the next ones are truncated, then whole but without `test1`.
        snapshot(1, &[prod.clone(), test.clone()], true),
        snapshot(1, std::slice::from_ref(&prod), false),
    ];
    let world = World::with(streams).await;
    until("both objects are there", || async { world.names().await.len() == 2 }).await;
    world.played.open.lock().unwrap().clear();
    until("the orphan is told", || async { world.was_told("test1", Phase::Orphan) }).await;
    assert_eq!(world.names().await, ["m-05766044-prod", "m-05766044-test1"], "absence never means delete");
}

#[tokio::test]
async fn a_lower_epoch_and_a_lower_generation_change_nothing() {
    let mut old = tenant("prod", 1, true);
    old.deleting = true;
    let streams = vec![
        snapshot(2, &[tenant("prod", 5, false)], false),
        // A restored older store says DELETING: refused, the object stays.
        snapshot(1, &[old.clone()], false),
        // The right store with an older generation: the record is not followed.
        snapshot(2, &[old], false),
    ];
    let world = World::with(streams).await;
    until("the object is there", || async { world.names().await.len() == 1 }).await;
    world.played.open.lock().unwrap().clear();
    until("all streams were opened", || async { world.played.streams.lock().unwrap().is_empty() }).await;
    let present = world.tenants().get("m-05766044-prod").await.unwrap();
    assert_eq!((present.spec.desired.generation, present.spec.desired.epoch), (5, 2));
    assert!(!present.spec.desired.deleting && present.metadata.deletion_timestamp.is_none());
}

#[tokio::test]
async fn a_deleting_record_deletes_and_gone_is_told_only_when_nothing_is_left() {
    let world = World::with(vec![snapshot(1, &[tenant("prod", 1, false)], false)]).await;
    until("the object is there", || async { world.names().await.len() == 1 }).await;
    let change = message(1, Event::Change(tenant("prod", 2, true)));
    let sender = world.played.open.lock().unwrap()[0].clone();
    sender.send(Ok(change)).await.unwrap();
    until("the object is on its way out", || async {
        let present = world.tenants().get("m-05766044-prod").await.unwrap();
        present.spec.desired.deleting && present.metadata.deletion_timestamp.is_some()
    })
    .await;
    assert!(!world.was_told("prod", Phase::Gone), "the finalizer still holds it");
    let patch = serde_json::json!({ "metadata": { "finalizers": null } });
    assert_eq!(names::FINALIZER, "allmende.eu/desired-deleting");
    world.tenants().patch("m-05766044-prod", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    until("gone is told", || async { world.was_told("prod", Phase::Gone) }).await;
}

#[tokio::test]
async fn a_stream_that_changes_before_its_snapshot_or_names_another_store_is_dropped() {
    let prod = tenant("prod", 1, false);
    let mut foreign = snapshot(1, &[tenant("prod", 3, false)], false);
    for message in foreign.iter_mut().skip(1) {
        "another".clone_into(&mut message.store_id);
    }
    let streams = vec![
        snapshot(1, &[prod], false),
        vec![message(1, Event::Change(tenant("prod", 2, true)))],
        foreign,
        snapshot(1, &[tenant("prod", 4, false)], false),
    ];
    let world = World::with(streams).await;
    until("the object is there", || async { world.names().await.len() == 1 }).await;
    world.played.open.lock().unwrap().clear();
    until("the last stream is followed", || async {
        let present = world.tenants().get("m-05766044-prod").await.unwrap();
        assert!(!present.spec.desired.deleting && present.metadata.deletion_timestamp.is_none());
        assert!([1, 4].contains(&present.spec.desired.generation), "of no dropped stream");
        present.spec.desired.generation == 4
    })
    .await;
    let ended = |end| world.metrics.streams_ended(end);
    assert_eq!((ended(StreamEnd::BeforeSnapshot), ended(StreamEnd::OlderStore)), (1, 1));
}

#[tokio::test]
async fn a_store_that_was_put_back_is_followed_only_after_its_epoch_was_raised() {
    let at = |mut messages: Vec<v1::FollowDesiredStateResponse>, revision| {
        if let Some(Event::SnapshotEnd(end)) = &mut messages.last_mut().unwrap().event {
            end.revision = revision;
        }
        messages
    };
    let mut other_life = tenant("test1", 7, true);
    other_life.uid = "0192f0c1-2345-7abc-8def-0123456789ab".into();
    let streams = vec![
        at(snapshot(1, &[tenant("prod", 5, false), tenant("test1", 1, false)], false), 40),
        // The same store and epoch from before: nothing of it counts, not even a deletion.
        at(snapshot(1, &[tenant("prod", 6, true)], false), 45),
        // Raised: a lower generation counts, and a record of another life ends nothing.
        at(snapshot(2, &[tenant("prod", 3, false), other_life], false), 45),
    ];
    let world = World::with(streams).await;
    until("both objects are there", || async { world.names().await.len() == 2 }).await;
    let sender = world.played.open.lock().unwrap()[0].clone();
    sender.send(Ok(message(1, Event::Bookmark(v1::Bookmark { revision: 50 })))).await.unwrap();
    drop(sender);
    world.played.open.lock().unwrap().clear();
    until("the raised epoch is followed", || async {
        world.tenants().get("m-05766044-prod").await.unwrap().spec.desired.epoch == 2
    })
    .await;
    assert_eq!(world.metrics.streams_ended(StreamEnd::OlderStore), 1);
    assert_eq!(world.played.asked.lock().unwrap()[1].known_revision, 50, "told to the API as well");
    until("the other life is told as an orphan", || async { world.was_told("test1", Phase::Orphan) }).await;
    for name in ["m-05766044-prod", "m-05766044-test1"] {
        let present = world.tenants().get(name).await.unwrap();
        assert!(!present.spec.desired.deleting && present.metadata.deletion_timestamp.is_none(), "{name}");
    }
    assert_eq!(world.tenants().get("m-05766044-prod").await.unwrap().spec.desired.generation, 3);
}
