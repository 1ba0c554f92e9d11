//! The sync between an API that the test plays and a real API server: what is followed, what is refused, and that nothing is deleted
//! without a DELETING record.
#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "a test fails by panicking, and a story is told in one piece"
)]

mod played;

use allmende_crds::names;
use allmende_operator::{
    metrics::StreamEnd,
    sync::{
        fence::Refusal,
        mirror::{Mirrored, mirror},
    },
};
use allmende_proto::v1::{
    self, follow_desired_state_response::Event, observation::Phase, refused_observation::ReasonCode,
};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
};
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
    until("the refusal is counted", || async {
        world.metrics.sync.refused_records(Refusal::OlderGeneration) == 1
    })
    .await;
}

#[tokio::test]
async fn a_deleting_record_deletes_and_gone_is_told_only_when_nothing_is_left() {
    let world = World::with(vec![snapshot(1, &[tenant("prod", 1, false)], false)]).await;
    until("the stream is followed", || async { world.metrics.sync.is_connected() }).await;
    assert_eq!(world.names().await.len(), 1);
    until("the snapshot is noted", || async { world.metrics.sync.last_snapshot() > 1_600_000_000 }).await;
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

fn instance(generation: u64, binding_fields: &[(&str, &str)]) -> v1::DesiredObject {
    let amounts =
        v1::Resources { cpu_milli: 1, memory_bytes: 1, storage_bytes: 1, pods: 1, ..Default::default() };
    let fields = binding_fields.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    v1::DesiredObject {
        name: "members/m-05766044/tenants/prod/instances/db".into(),
        generation,
        uid: "0192f0c1-2345-7abc-8def-000000000001".into(),
        body: Some(v1::desired_object::Body::Instance(v1::DesiredInstance {
            namespace: "m-05766044-prod".into(),
            member: "m-05766044".into(),
            tenant: "prod".into(),
            instance: "db".into(),
            offering: "postgresql".into(),
            version: "1.0.0".into(),
            plan: "small".into(),
            chart: "oci://r/c@sha256:aa".into(),
            values_json: "{}".into(),
            footprint: Some(amounts),
            timeout_seconds: 60,
            binding_secret: "db-binding".into(),
            binding_fields: fields.collect(),
            ..Default::default()
        })),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_key_that_a_record_no_longer_has_goes_and_a_spec_changed_by_hand_is_put_right() {
    let world = World::with(Vec::new()).await;
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    let services = ObjectMeta { name: Some("m-05766044-prod-svc".into()), ..Default::default() };
    let services = Namespace { metadata: services, ..Default::default() };
    namespaces.create(&PostParams::default(), &services).await.unwrap();
    let api: Api<allmende_crds::ServiceInstance> =
        Api::namespaced(world.client.clone(), "m-05766044-prod-svc");
    let write = async |object: v1::DesiredObject| {
        assert_eq!(mirror(&world.client, &object, "store", 1).await.unwrap(), Mirrored::Done);
        api.get("db").await.unwrap()
    };
    write(instance(1, &[("host", "h"), ("port", "5432")])).await;
    let status = serde_json::json!({ "status": { "message": "bereit" } });
    api.patch_status("db", &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    let present = write(instance(2, &[("host", "h")])).await;
    assert_eq!(present.spec.binding_fields, [("host".to_owned(), "h".to_owned())].into());

    let by_hand = serde_json::json!({
        "metadata": { "labels": { names::LABEL_MEMBER: "somebody", "of": "others" }, "finalizers": null },
        "spec": { "bindingFields": { "evil": "x" }, "chart": "oci://elsewhere/c@sha256:bb" },
    });
    api.patch("db", &PatchParams::default(), &Patch::Merge(by_hand)).await.unwrap();
    let present = write(instance(2, &[("host", "h")])).await;
    assert_eq!(present.spec.binding_fields.len(), 1);
    assert_eq!(present.spec.chart, "oci://r/c@sha256:aa");
    let labels = present.metadata.labels.unwrap();
    assert_eq!((labels[names::LABEL_MEMBER].as_str(), labels["of"].as_str()), ("m-05766044", "others"));
    assert_eq!(present.metadata.finalizers.unwrap(), [names::FINALIZER, names::FINALIZER_FACTS]);
    assert_eq!(present.status.unwrap().message, "bereit", "the status is not the record's");
    let again = write(instance(2, &[("host", "h")])).await;
    assert_eq!(again.metadata.resource_version, present.metadata.resource_version, "nothing to write");
}

#[tokio::test]
async fn what_the_api_does_not_take_is_counted_by_its_reason() {
    let orphan = vec![snapshot(1, &[tenant("prod", 1, false)], false), snapshot(1, &[], false)];
    let world = World::with(orphan).await;
    *world.played.refuses.lock().unwrap() = Some(ReasonCode::OtherUid);
    until("the object is there", || async { world.names().await.len() == 1 }).await;
    world.played.open.lock().unwrap().clear();
    until("the refusal is counted", || async {
        world.metrics.sync.refused_observations(ReasonCode::OtherUid) == 1
    })
    .await;
    assert_eq!(world.metrics.sync.refused_observations(ReasonCode::NotFound), 0);
}
